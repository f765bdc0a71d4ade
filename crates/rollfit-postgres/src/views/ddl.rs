//! The statements that make missing functions and views, for `rollfit schema`: those of a run, and the grants that a run's role may not
//! give.

use std::collections::HashSet;

use rollfit_job::partition::Partition;
use rollfit_job::store::{ReaderView, StoreError};

use crate::PostgresStore;
use crate::connection::session::Session;
use crate::names::quoted;

impl PostgresStore {
    /// Returns the statements that make the functions and views that `partitions` lack, once their tables are there.
    ///
    /// # Errors
    /// When something else has the name of a view.
    pub(crate) fn missing_views_ddl(
        &self,
        session: &mut Session,
        partitions: &[Partition],
    ) -> Result<Vec<String>, StoreError> {
        let Some(views) = &self.views else { return Ok(Vec::new()) };
        let found = self.current_functions(session, &views.functions)?;
        let mut statements: Vec<String> =
            found.missing.iter().map(|&at| views.functions[at].create.clone()).collect();
        for foreign in &found.foreign {
            let function = &views.functions[foreign.at];
            tracing::warn!("{}.{}", self.schema, foreign.warning(function));
            statements.extend(foreign.statements(&quoted(&self.schema), function));
        }
        let (mut known, mut grants) = (HashSet::new(), Vec::new());
        for partition in partitions {
            for (at, view) in self.features_views(views, partition).into_iter().enumerate() {
                if !known.insert(view.name.clone()) {
                    continue;
                }
                match self.current_views(session, views, std::slice::from_ref(&view))?.pop() {
                    Some(ReaderView::Missing(_)) => {
                        statements.extend(self.view_sql(session, views, at, partition, &view)?);
                        grants.extend(self.reader_grants(session, views, at, partition, &view)?);
                    }
                    Some(ReaderView::Foreign(what)) => {
                        return Err(StoreError::permanent(format!("{partition}: {what}")));
                    }
                    Some(ReaderView::Ready) | None => {}
                }
            }
        }
        let mut told = HashSet::new();
        statements.extend(grants.into_iter().filter(|grant| told.insert(grant.clone())));
        Ok(statements)
    }
}
