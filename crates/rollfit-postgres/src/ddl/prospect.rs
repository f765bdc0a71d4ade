//! A features table that a run would create: its model, and what prevents its creation.

use rollfit_job::partition::Partition;
use rollfit_job::store::StoreError;

use crate::PostgresStore;
use crate::connection::session::Session;
use crate::ddl::creation::Model;
use crate::tables::defect::Defect;
use crate::tables::leaf::Leaf;
use crate::tables::problem::TableProblem;
use crate::tables::table::{RelationKind, Table, describe};

impl PostgresStore {
    /// Returns the table that a run would create for the series at `at` of a partition.
    ///
    /// # Errors
    /// When it would not become a partition of its siblings' parent, when its parent cannot take it, or when a query
    /// fails.
    pub(crate) fn prospect(
        &self,
        session: &mut Session,
        at: usize,
        partition: &Partition,
    ) -> Result<Leaf, StoreError> {
        let series = &self.series[at];
        let name = self.table(&series.features_table(partition));
        let siblings = self.siblings(session)?;
        if let Some(problem) = self.apart_from_siblings(&siblings, at, partition) {
            return Err(problem.into());
        }
        let parent = self.parent(session, series, partition)?;
        let Some(parent) = parent.as_deref().and_then(Option::as_ref) else {
            let nearest = siblings.nearest(at, &partition.key);
            let like = nearest.map(|sibling| self.described(session, &sibling.name)).transpose()?.flatten();
            let like = like.filter(|table| Leaf::new(table, series).is_ok());
            return self.leaf_like(&Model::like(like), series, &name);
        };
        let like = Table { kind: RelationKind::Plain, ..parent.table.clone() };
        let leaf = match Leaf::new(&like, series) {
            Ok(leaf) => Leaf { name, ..leaf },
            Err(defect) => return Err(self.refused(session, &defect)),
        };
        match parent.obstacle(session, series, partition, &leaf.name)? {
            Some(problem) => Err(self.catalog.print_once(problem).into()),
            None => Ok(leaf),
        }
    }

    /// Returns a table as the cache has it.
    fn described(&self, session: &mut Session, name: &str) -> Result<Option<Table>, StoreError> {
        let find = || Ok(describe(session, &self.schema, &[name.to_owned()])?.remove(name));
        Ok(self.catalog.models.get(&self.table(name), find)?.as_ref().clone())
    }

    /// Returns the error that a table cannot be written as it is, and later ones of its partition neither, with statements that fix them.
    pub(crate) fn all_refused(
        &self,
        session: &mut Session,
        first: &Defect,
        later: impl Iterator<Item = Defect>,
    ) -> StoreError {
        let mut problem = |defect: &Defect| -> Result<TableProblem, StoreError> {
            Ok(self.catalog.print_once(defect.problem(session)?))
        };
        let all = || -> Result<TableProblem, StoreError> {
            let mut first = problem(first)?;
            for defect in later {
                let other = problem(&defect)?;
                // Series may share a table and its columns.
                if other != first {
                    first.further.push(other);
                }
            }
            Ok(first)
        };
        all().map_or_else(|error| error, StoreError::from)
    }

    /// Returns the error that a table cannot be written as it is, with statements that fix it.
    pub(crate) fn refused(&self, session: &mut Session, defect: &Defect) -> StoreError {
        match defect.problem(session) {
            Ok(problem) => self.catalog.print_once(problem).into(),
            Err(error) => error,
        }
    }
}
