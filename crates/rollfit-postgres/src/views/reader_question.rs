//! [`ReaderQuestion`]: what readers find where they look for the features of a partition now, asked in a batch with other questions.

use rollfit_job::partition::Partition;
use rollfit_job::store::{ReaderView, StoreError};

use super::Views;
use super::look::ViewQuestion;
use super::view_function::{FunctionQuestion, FunctionsFound};
use crate::PostgresStore;
use crate::connection::answer_row::AnswerRow;
use crate::connection::session::{Session, Step};

/// The question about the functions and views of a partition.
pub(crate) struct ReaderQuestion<'a> {
    store: &'a PostgresStore,
    kept: &'a Views,
    functions: FunctionQuestion<'a>,
    views: ViewQuestion<'a>,
}

impl PostgresStore {
    /// Returns the question about the functions and views of a partition; none where readers read the tables.
    pub(crate) fn reader_question(&self, partition: &Partition) -> Option<ReaderQuestion<'_>> {
        let kept = self.views.as_ref()?;
        let functions = self.function_question(&kept.functions);
        Some(ReaderQuestion { store: self, kept, functions, views: self.view_question(partition)? })
    }
}

impl ReaderQuestion<'_> {
    /// Returns it as steps of a batch.
    pub(crate) fn steps(&self) -> [Step<'_>; 2] {
        [self.functions.step(), self.views.step()]
    }

    /// Returns what readers find by the answers to [`Self::steps`], and notes it.
    ///
    /// # Errors
    /// When they have another form.
    pub(crate) fn answer(
        &self,
        functions: &[AnswerRow],
        views: &[AnswerRow],
    ) -> Result<ReaderView, StoreError> {
        self.together(FunctionsFound::from_rows(functions)?, views)
    }

    /// Asks it now.
    ///
    /// # Errors
    /// When a query fails.
    pub(crate) fn ask(&self, session: &mut Session) -> Result<ReaderView, StoreError> {
        let functions = self.functions.ask(session)?;
        let views = self.views.ask(session)?;
        self.together(functions, &views)
    }

    fn together(&self, functions: FunctionsFound, views: &[AnswerRow]) -> Result<ReaderView, StoreError> {
        let seen = self.views.states(views)?;
        let state = self.store.together(self.kept, &functions, seen);
        self.kept.functions_found.note(&(), functions);
        Ok(state)
    }
}
