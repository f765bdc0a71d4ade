//! What `rollfit drop` does about views: one that shows a single partition goes with its rows, in the same transaction; one of a parent stays,
//! because other partitions are read through it.
//!
//! Invariants: only a view that is the one that rollfit makes is dropped, and nothing with it: while objects of others depend on it, the
//! partition stays as it is.

use rollfit_job::partition::Partition;
use rollfit_job::store::StoreError;

use super::Views;
use super::features_view::FeaturesView;
use crate::PostgresStore;
use crate::connection::session::Session;

impl PostgresStore {
    /// See [`Sink::dependents`](rollfit_job::store::Sink::dependents).
    ///
    /// # Errors
    /// When a query fails.
    pub(crate) fn dependents_of_views(&self, partition: &Partition) -> Result<Vec<String>, StoreError> {
        let Some(views) = &self.views else { return Ok(Vec::new()) };
        let wanted = self.views_of_leaves(views, partition);
        let found = self.in_snapshot(|session| self.current_own_views(session, views, &wanted))?;
        Ok(found.into_iter().flat_map(|(_, relation)| relation.dependents).collect())
    }

    /// Drops the views that show nothing but a partition, in a transaction that removes its rows.
    ///
    /// # Errors
    /// When the server refuses, as it does where something depends on one.
    pub(crate) fn drop_views(&self, session: &mut Session, partition: &Partition) -> Result<(), StoreError> {
        let Some(views) = &self.views else { return Ok(()) };
        let wanted = self.views_of_leaves(views, partition);
        for (FeaturesView { name, .. }, found) in self.current_own_views(session, views, &wanted)? {
            let sql = format!("DROP VIEW {}", name.sql());
            if found.may_drop {
                session.execute(&format!("drop the view {name}"), &sql)?;
            } else {
                tracing::warn!(
                    "the view {name} stays, without rows: it belongs to another role, which may run {sql}"
                );
            }
        }
        views.forget();
        Ok(())
    }

    /// The views that a partition has to itself.
    fn views_of_leaves(&self, views: &Views, partition: &Partition) -> Vec<FeaturesView> {
        let own = self.features_views(views, partition).into_iter().zip(&self.series);
        own.filter(|(_, series)| series.parent.is_none()).map(|(view, _)| view).collect()
    }
}
