//! Returns the statements that create what a run would find missing. A role with the right to create tables executes
//! them, so the run's role needs no such right.
//!
//! Invariants: they are the statements of the run itself, in an order that works in one transaction.

use std::collections::{HashMap, HashSet};

use rollfit_job::config::Series;
use rollfit_job::partition::Partition;
use rollfit_job::store::{Sink, StoreError};

use crate::PostgresStore;
use crate::connection::session::Session;
use crate::ddl::creation::Model;
use crate::names::TableName;
use crate::tables::table;
use crate::tables::{definitions, receipts};

/// Tables with equal series, key and parent are alike.
type Kin = (String, String, Option<String>);

/// The statements so far.
#[derive(Default)]
struct Ddl {
    statements: Vec<String>,
    models: HashMap<Kin, Model>,
    parents: HashSet<TableName>,
}

impl PostgresStore {
    /// Returns the statements that create what `partitions` lack: the tables of receipts and definitions, parents,
    /// features tables; and the one that brings receipts of an earlier version to this. Writes nothing.
    ///
    /// # Errors
    /// When a name is invalid, a missing table has no model, or a query fails.
    pub(crate) fn missing_ddl(&self, partitions: &[Partition]) -> Result<Vec<String>, StoreError> {
        self.check_outputs(partitions)?;
        self.in_snapshot(|session| self.missing_tables(session, partitions))
    }

    fn missing_tables(
        &self,
        session: &mut Session,
        partitions: &[Partition],
    ) -> Result<Vec<String>, StoreError> {
        let names: HashSet<String> = table::names(session, &self.schema)?.into_iter().collect();
        let mut ddl = Ddl::default();
        if !names.contains(&self.receipts.name) {
            ddl.statements.push(receipts::create_sql(&self.receipts));
        } else {
            let found = table::describe(session, &self.schema, std::slice::from_ref(&self.receipts.name))?;
            ddl.statements.extend(found.get(&self.receipts.name).and_then(receipts::alter_sql));
        }
        if !names.contains(&self.definitions.name) {
            ddl.statements.push(definitions::create_sql(&self.definitions));
        }
        for partition in partitions {
            for (at, series) in self.series.iter().enumerate() {
                if !names.contains(&series.features_table(partition)) {
                    let leaf = self.prospect(session, at, partition)?;
                    self.check_row(session, &leaf)?;
                    self.add_table(session, &mut ddl, series, partition)?;
                }
            }
        }
        ddl.statements.extend(self.missing_views_ddl(session, partitions)?);
        Ok(ddl.statements)
    }

    fn add_table(
        &self,
        session: &mut Session,
        ddl: &mut Ddl,
        series: &Series,
        partition: &Partition,
    ) -> Result<(), StoreError> {
        let kin = (series.name.clone(), partition.key.clone(), series.parent_table(partition));
        if !ddl.models.contains_key(&kin) {
            ddl.models.insert(kin.clone(), self.model(session, series, partition)?);
        }
        let creation = self.creation_like(&ddl.models[&kin], series, partition)?;
        if let Some((parent, statements)) = creation.parent
            && ddl.parents.insert(parent)
        {
            ddl.statements.extend(statements);
        }
        ddl.statements.push(creation.create);
        ddl.statements.extend(creation.after);
        Ok(())
    }
}
