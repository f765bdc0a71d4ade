//! [`Step`]: statements that are sent together and answered one after the other, in one round trip.
//!
//! Invariants: the server executes them in this order, each after the one before has ended and with a snapshot of its own. In a
//! transaction the first one that fails makes all later ones fail, so it is the one that is reported.

use std::sync::Arc;

use rollfit_job::activity::Activity;
use rollfit_job::store::StoreError;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row};

use super::{Mode, Request, Session, SqlParameter, TransactionSettings};
use crate::connection::answer_row::AnswerRow;
use crate::connection::fault::{is_lock_timeout, is_lost, server_error};

/// A statement of a batch.
#[derive(Clone)]
pub(crate) struct Step<'a> {
    /// What it does, for messages.
    doing: String,
    sql: String,
    /// None for statements that return nothing, of which there may be several.
    parameters: Option<Vec<SqlParameter<'a>>>,
    /// What the worker does while it waits for the answer; none for what it does anyway.
    activity: Option<Activity>,
}

/// The answer to the first step that the server refused.
pub(crate) struct RefusedStep {
    pub(crate) doing: String,
    error: tokio_postgres::Error,
    /// Whether it locks tables.
    is_lock: bool,
    /// The rows of the steps before it.
    answered: Vec<Vec<AnswerRow>>,
}

impl<'a> Step<'a> {
    /// Statements that return nothing.
    pub(crate) fn execute(doing: impl Into<String>, sql: impl Into<String>) -> Self {
        Self { doing: doing.into(), sql: sql.into(), parameters: None, activity: None }
    }

    /// The same, which may have to wait for a lock.
    pub(crate) fn lock(doing: impl Into<String>, sql: impl Into<String>) -> Self {
        Self::execute(doing, sql).counted_as(Activity::Waiting)
    }

    /// A query.
    pub(crate) fn query(
        doing: impl Into<String>,
        sql: impl Into<String>,
        parameters: Vec<SqlParameter<'a>>,
    ) -> Self {
        Self { doing: doing.into(), sql: sql.into(), parameters: Some(parameters), activity: None }
    }

    /// The same step, of which the time is that of this activity.
    pub(crate) fn counted_as(self, activity: Activity) -> Self {
        Self { activity: Some(activity), ..self }
    }

    pub(super) fn doing(&self) -> &str {
        &self.doing
    }

    pub(super) fn activity(&self) -> Option<Activity> {
        self.activity
    }

    fn is_lock(&self) -> bool {
        self.activity == Some(Activity::Waiting)
    }

    /// Sends it when polled first.
    pub(super) async fn send(&self, client: &Client) -> Result<Vec<Row>, tokio_postgres::Error> {
        match &self.parameters {
            Some(parameters) => client.query_typed(&self.sql, parameters).await,
            None => client.batch_execute(&self.sql).await.map(|()| Vec::new()),
        }
    }
}

impl RefusedStep {
    /// Whether a lock could not be had in time.
    pub(crate) fn is_lock_timeout(&self) -> bool {
        is_lock_timeout(&self.error)
    }

    /// Whether the statement itself was wrong: a name that is not there, a kind or type that is another one, a right that is missing,
    /// or an object that went while the server looked at it.
    pub(crate) fn is_wrong_statement(&self) -> bool {
        let is_wrong = |code: &SqlState| {
            code.code().starts_with("42")
                || [SqlState::FEATURE_NOT_SUPPORTED, SqlState::INTERNAL_ERROR].contains(code)
        };
        self.error.code().is_some_and(is_wrong)
    }

    /// Whether it is a DO block that locks, and the server did not even begin it: an error in it would say where.
    pub(crate) fn is_block_refused(&self) -> bool {
        let has_no_context = || self.error.as_db_error().is_some_and(|error| error.where_().is_none());
        self.is_lock && self.is_wrong_statement() && has_no_context()
    }

    /// Takes the rows of the steps before it.
    pub(crate) fn take_answers(&mut self) -> Vec<Vec<AnswerRow>> {
        std::mem::take(&mut self.answered)
    }

    /// The error that says so.
    pub(crate) fn into_error(self) -> StoreError {
        server_error(&self.doing, self.error)
    }
}

impl Session {
    /// Returns the statement that begins a transaction, as the first step of a batch.
    pub(crate) fn begin_step<'a>(&mut self, mode: Mode, settings: &TransactionSettings) -> Step<'a> {
        self.is_read_only = mode != Mode::Write;
        Step::execute("begin a transaction", self.begin_sql(mode, settings))
    }

    /// Runs the steps of a batch. Returns the rows of each, or the first one that the server refused. Where the connection was lost, what
    /// that is for is all of the batch: which of them the server still ran is not known.
    pub(crate) fn try_batch(
        &mut self,
        doing: &str,
        steps: &[Step<'_>],
    ) -> Result<Result<Vec<Vec<AnswerRow>>, RefusedStep>, StoreError> {
        let mut answers = self.at_once(steps.iter().cloned().map(Request::Step).collect());
        let mut answered = Vec::with_capacity(steps.len());
        for step in steps {
            match answers.try_rows()? {
                Ok(rows) => answered.push(rows),
                // Those after it failed because of it.
                Err(error) => {
                    let doing = if is_lost(&error) { doing } else { &step.doing };
                    let (doing, is_lock) = (doing.to_owned(), step.is_lock());
                    return Ok(Err(RefusedStep { doing, error, is_lock, answered }));
                }
            }
        }
        Ok(Ok(answered))
    }

    /// Ends a transaction that only reads, without waiting for the answer. Where it is lost, the session is found to be broken when it
    /// is used next.
    pub(crate) fn end_reading(&mut self) {
        if self.pending_begin.take().is_some() || self.broken {
            return;
        }
        let client = Arc::clone(&self.client);
        self.ending = Some(self.runtime.spawn(async move { client.batch_execute("ROLLBACK").await }));
        // Lets the connection send it.
        self.runtime.block_on(super::let_connection_work());
    }
}
