//! The statements that make missing functions and views, for `rollfit schema`: those of a run, and the grants that a run's role may not
//! give.

use std::collections::HashSet;

use rollfit_job::foreign::MESSAGE_CHARS_MAX;
use rollfit_job::partition::Partition;
use rollfit_job::store::{ReaderView, StoreError};

use crate::PostgresStore;
use crate::connection::session::Session;
use crate::names::{TableName, quoted};

impl PostgresStore {
    /// Returns the statements that make the functions and views that `partitions` lack, once their tables are there.
    ///
    /// # Errors
    /// When something else has the name of views; all of these are named.
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
        let (mut known, mut grants, mut others) = (HashSet::new(), Vec::new(), Vec::new());
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
                        others.push((view.name, format!("{partition}: {what}")));
                    }
                    Some(ReaderView::Ready) | None => {}
                }
            }
        }
        if let Some(error) = in_the_way(&others) {
            return Err(error);
        }
        let mut told = HashSet::new();
        statements.extend(grants.into_iter().filter(|grant| told.insert(grant.clone())));
        Ok(statements)
    }
}

/// The error that views have the names of something else.
fn in_the_way(others: &[(TableName, String)]) -> Option<StoreError> {
    let (names, whats): (Vec<&TableName>, Vec<&str>) =
        others.iter().map(|(name, what)| (name, what.as_str())).unzip();
    let together = whats.join("; ");
    Some(StoreError::permanent(match names.as_slice() {
        [] => return None,
        _ if together.chars().count() <= MESSAGE_CHARS_MAX => together,
        [_, rest @ ..] => {
            let rest: Vec<String> = rest.iter().map(ToString::to_string).collect();
            format!("{}; and so it is with {}", whats[0], rest.join(", "))
        }
    }))
}
