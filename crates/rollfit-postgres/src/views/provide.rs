//! Makes missing functions and views. Those that partitions share, functions and views of parents, are made once, under the lock under
//! which shared tables are made, and committed at once; the view of one partition's table is made with its rows.

use rollfit_job::lock::lock;
use rollfit_job::partition::Partition;
use rollfit_job::store::{ReaderView, StoreError};

use super::Views;
use super::features_view::FeaturesView;
use crate::PostgresStore;
use crate::connection::session::{Mode, Session, TransactionSettings};
use crate::tables::table::describe;

/// Which views.
#[derive(Clone, Copy)]
enum Making {
    /// Those of parents.
    Shared,
    /// All of a partition whose tables are there.
    All,
}

impl PostgresStore {
    /// Makes the functions and views that a partition shares with others, where they are missing.
    ///
    /// # Errors
    /// When a statement fails.
    pub(crate) fn provide_views(
        &self,
        session: &mut Session,
        partition: &Partition,
    ) -> Result<(), StoreError> {
        let Some(views) = &self.views else { return Ok(()) };
        // Other workers wait until they are there.
        let mut provided = lock(&views.provided);
        let shared = self.shared_views(views, partition);
        let mut names = shared.iter().map(|(_, view)| &view.name);
        if provided.functions && names.all(|name| provided.views.contains(name)) {
            return Ok(());
        }
        session.begin(Mode::Snapshot, &self.settings);
        let missing = self.missing_shared(session, views, partition);
        session.roll_back();
        if missing? {
            self.make_views(session, views, partition, Making::Shared)?;
        }
        provided.functions = true;
        provided.views.extend(shared.into_iter().map(|(_, view)| view.name));
        Ok(())
    }

    /// Makes the functions and views of a partition, see [`Sink::make_reader_view`](rollfit_job::store::Sink::make_reader_view).
    ///
    /// # Errors
    /// When a statement fails.
    pub(crate) fn make_missing_views(
        &self,
        session: &mut Session,
        partition: &Partition,
    ) -> Result<(), StoreError> {
        let Some(views) = &self.views else { return Ok(()) };
        self.make_views(session, views, partition, Making::All)
    }

    /// Returns the statements that make the missing view of one partition's table, in a transaction that has the table; none where
    /// several partitions share the view.
    pub(crate) fn view_of_leaf(
        &self,
        session: &mut Session,
        at: usize,
        partition: &Partition,
    ) -> Result<Vec<String>, StoreError> {
        let Some(views) = self.views.as_ref().filter(|_| self.series[at].parent.is_none()) else {
            return Ok(Vec::new());
        };
        let view = self.features_view(views, at, partition);
        // The look under the locks has seen it.
        let state = match views.seen(&view.name) {
            Some(state) => Some(state),
            None => self.current_views(session, views, std::slice::from_ref(&view))?.pop(),
        };
        match state {
            Some(ReaderView::Missing(_)) => self.view_sql(session, views, at, partition, &view),
            Some(ReaderView::Ready | ReaderView::Foreign(_)) | None => Ok(Vec::new()),
        }
    }

    /// The views of the parents of a partition's tables, with their series.
    fn shared_views(&self, views: &Views, partition: &Partition) -> Vec<(usize, FeaturesView)> {
        let views = self.features_views(views, partition).into_iter().enumerate();
        views.filter(|(at, _)| self.series[*at].parent.is_some()).collect()
    }

    fn missing_shared(
        &self,
        session: &mut Session,
        views: &Views,
        partition: &Partition,
    ) -> Result<bool, StoreError> {
        let functions = self.current_functions(session, &views.functions)?;
        let missing = self.missing_views(session, views, partition, Making::Shared)?;
        Ok(!functions.missing.is_empty() || !missing.is_empty())
    }

    /// The missing views of a partition, with their series.
    fn missing_views(
        &self,
        session: &mut Session,
        views: &Views,
        partition: &Partition,
        making: Making,
    ) -> Result<Vec<(usize, FeaturesView)>, StoreError> {
        let wanted: Vec<(usize, FeaturesView)> = match making {
            Making::Shared => self.shared_views(views, partition),
            Making::All => self.features_views(views, partition).into_iter().enumerate().collect(),
        };
        let shown: Vec<FeaturesView> = wanted.iter().map(|(_, view)| view.clone()).collect();
        let states = self.current_views(session, views, &shown)?;
        let missing = wanted.into_iter().zip(states);
        let missing = missing.filter(|(_, state)| matches!(state, ReaderView::Missing(_)));
        let missing: Vec<(usize, FeaturesView)> = missing.map(|(view, _)| view).collect();
        if missing.is_empty() {
            return Ok(missing);
        }
        let names: Vec<String> = missing.iter().map(|(_, view)| view.from.name.clone()).collect();
        let tables = describe(session, &self.schema, &names)?;
        Ok(missing.into_iter().filter(|(_, view)| tables.contains_key(&view.from.name)).collect())
    }

    fn make_views(
        &self,
        session: &mut Session,
        views: &Views,
        partition: &Partition,
        making: Making,
    ) -> Result<(), StoreError> {
        // Other sessions hold this lock only briefly, to create tables and views.
        let settings = TransactionSettings { lock: self.settings.statement, ..self.settings };
        session.begin(Mode::Write, &settings);
        let made = self.make_under_lock_views(session, views, partition, making);
        if made.is_err() {
            session.roll_back();
        }
        views.forget();
        made
    }

    fn make_under_lock_views(
        &self,
        session: &mut Session,
        views: &Views,
        partition: &Partition,
        making: Making,
    ) -> Result<(), StoreError> {
        self.lock_creation(session)?;
        let functions = self.current_functions(session, &views.functions)?;
        let missing = self.missing_views(session, views, partition, making)?;
        let mut names: Vec<String> = functions
            .missing
            .iter()
            .map(|&at| format!("{}.{}", self.schema, views.functions[at].signature()))
            .collect();
        names.truncate(1);
        let mut statements: Vec<String> =
            functions.missing.iter().map(|&at| views.functions[at].create.clone()).collect();
        for (at, view) in &missing {
            names.push(view.name.to_string());
            statements.extend(self.view_sql(session, views, *at, partition, view)?);
        }
        statements.push("COMMIT".to_owned());
        session.execute(
            &format!("create {}, which `rollfit schema` prints", names.join(" and ")),
            &statements.join(";\n"),
        )
    }
}
