//! [`Session`]: one connection to the server, driven by the thread that uses it. All asynchronous code is in here.
//!
//! Invariants: every wait has a limit. A session whose server does not answer, or whose connection was lost, is
//! broken and is not used again.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use libpq_connect::{ConnectError, ConnectOptions, server_fault};
use rollfit_job::activity::sending;
use rollfit_job::config::RowSecurity;
use rollfit_job::store::StoreError;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, CopyInSink, CopyOutStream, SimpleQueryMessage};

use crate::connection::answer_row::AnswerRow;
use crate::connection::fault::{ends_the_session, given_up, is_statement_mixed_up, server_error, silent};

pub(crate) use self::batch::{RefusedStep, Step};
pub(crate) use self::pipeline::{Answers, PreparedCopy, Request};
pub(crate) use self::shared::Shared;

/// A value with its type, so that no statement has to be prepared.
pub(crate) type SqlParameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// To write. Each statement sees what was committed before it, and therefore everything from before its lock was
    /// acquired.
    Write,
    /// To read one snapshot of the store.
    Snapshot,
    /// To read the current state of the server.
    Monitor,
}

impl Mode {
    /// Returns the options after `BEGIN`. The isolation level is always explicit, never the role's default.
    fn sql(self) -> &'static str {
        match self {
            Self::Write => "ISOLATION LEVEL READ COMMITTED",
            Self::Snapshot => "ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Self::Monitor => "ISOLATION LEVEL READ COMMITTED READ ONLY",
        }
    }
}

/// How long the statements of a transaction may take, and whether policies may hide rows from them. Set for each
/// transaction, not for the session, which a pooler may share with others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TransactionSettings {
    pub(crate) statement: Duration,
    pub(crate) lock: Duration,
    pub(crate) idle: Duration,
    pub(crate) row_security: RowSecurity,
}

impl TransactionSettings {
    /// Returns the statements that set them, and the other settings that a transaction must not inherit: the time
    /// zone and date style, how soon the server notices a lost client, and the timeout of whole transactions, which
    /// exists since version 17.
    fn sql(&self) -> String {
        let row_security = match self.row_security {
            RowSecurity::Refuse => "off",
            RowSecurity::Apply => "on",
        };
        format!(
            "SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; \
             SET LOCAL idle_in_transaction_session_timeout = {}; SET LOCAL TimeZone = 'UTC'; \
             SET LOCAL DateStyle = 'ISO, MDY'; \
             SET LOCAL tcp_keepalives_idle = 30; SET LOCAL tcp_keepalives_interval = 10; \
             SET LOCAL tcp_keepalives_count = 3; SET LOCAL row_security = {row_security}; \
             SELECT CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL \
                 THEN set_config('transaction_timeout', '0', true) END",
            self.statement.as_millis(),
            self.lock.as_millis(),
            self.idle.as_millis()
        )
    }
}

/// One connection.
pub(crate) struct Session {
    client: Arc<Client>,
    runtime: Runtime,
    /// The statements that begin a transaction, until they are sent with the first of its requests.
    pending_begin: Option<String>,
    /// Whether the transaction only reads, and all rows that it reads have come.
    is_read_only: bool,
    is_copying_out: bool,
    /// The end of a transaction whose answer nobody waits for.
    ending: Option<JoinHandle<Result<(), tokio_postgres::Error>>>,
    /// Where it leads, for messages.
    at: String,
    /// Why this side gave the connection up, if it did.
    given_up: Arc<OnceLock<String>>,
    /// Whether an answer had another form than was asked for.
    is_wrong: Arc<AtomicBool>,
    reply_timeout: Duration,
    /// How long the statements of the transaction may wait for a lock.
    lock_timeout: Duration,
    /// Whether it finds out who holds a lock that it waits for.
    asks_for_holders: bool,
    shared: Shared,
    /// The process that serves it, once the server has said so; 0 before.
    process: Arc<AtomicI32>,
    broken: bool,
}

/// A table that is being written.
pub(crate) struct CopyIn {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    doing: String,
    /// How long this side has waited since it began.
    waited: Duration,
}

/// Rows that are being read.
pub(crate) struct CopyOut {
    stream: Pin<Box<CopyOutStream>>,
    doing: String,
    /// How long this side has waited since it began.
    waited: Duration,
}

/// How waiting for the server ended.
enum Wait<T> {
    Answered(Result<T, tokio_postgres::Error>),
    Silent,
}

impl Session {
    /// Connects. A reply that takes longer than `reply_timeout` breaks the session.
    pub(crate) fn open(
        options: &ConnectOptions,
        reply_timeout: Duration,
        shared: Shared,
    ) -> Result<Self, ConnectError> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
                ConnectError::Configuration {
                    message: "the system does not let the process wait for network input".to_owned(),
                    source: Some(error.into()),
                }
            })?;
        let (client, connection) = match runtime.block_on(options.connect()) {
            Ok(connected) => connected,
            Err(error) => {
                // A resolver that does not answer is not waited for.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let given_up = Arc::new(OnceLock::new());
        let end = Arc::clone(&given_up);
        // Callers that wait for the connection report how it ended, if the server ended it.
        runtime.spawn(async move {
            if let Some(why) = connection.await.err().as_ref().and_then(server_fault) {
                // The first reason counts, and there is no second.
                let _ = end.set(why);
            }
        });
        let at = options.to_string();
        let (client, process, is_wrong) = (Arc::new(client), Arc::default(), Arc::default());
        Ok(Self {
            client,
            runtime,
            pending_begin: None,
            is_read_only: false,
            is_copying_out: false,
            ending: None,
            at,
            given_up,
            is_wrong,
            reply_timeout,
            lock_timeout: Duration::ZERO,
            asks_for_holders: false,
            shared,
            process,
            broken: false,
        })
    }

    /// Asks which process serves it, ahead of its first request. Nobody waits for the answer.
    pub(crate) fn note_process(&self) {
        self.runtime
            .spawn(self.shared.clone().note_process(Arc::clone(&self.client), Arc::clone(&self.process)));
    }

    /// Sets the time limit for replies. A slower reply breaks the session.
    pub(crate) fn set_reply_timeout(&mut self, reply_timeout: Duration) {
        self.reply_timeout = reply_timeout;
    }

    /// Sets whether it asks, on another session, who holds a lock that it waits for.
    pub(crate) fn ask_for_holders(&mut self, asks: bool) {
        self.asks_for_holders = asks;
    }

    /// Returns whether the session can be used again: it is not broken, and the server has not closed it.
    pub(crate) fn is_usable(&self) -> bool {
        if !self.broken {
            self.runtime.block_on(let_connection_work());
        }
        !self.broken && !self.is_wrong.load(Ordering::Relaxed) && !self.client.is_closed()
    }

    /// Begins a transaction whose statements have a timeout. It is sent with the first request of the transaction.
    pub(crate) fn begin(&mut self, mode: Mode, settings: &TransactionSettings) {
        self.pending_begin = Some(self.begin_sql(mode, settings));
    }

    /// Forgets a transaction of which nothing was sent.
    pub(crate) fn forget_begin(&mut self) {
        self.pending_begin = None;
    }

    /// Begins a transaction with a query in the same message. Returns the first value of its last row, as text.
    pub(crate) fn begin_with(
        &mut self,
        mode: Mode,
        settings: &TransactionSettings,
        (doing, query): (&str, &str),
    ) -> Result<Option<String>, StoreError> {
        self.log_round_trip(doing);
        let sql = format!("{}; {query}", self.begin_sql(mode, settings));
        let waited = self.counted(self.reply_timeout, self.client.simple_query(&sql));
        let messages = self.judge(doing, waited)?.map_err(|error| server_error(doing, error))?;
        let row = messages.into_iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(row.and_then(|row| row.try_get(0).ok().flatten().map(str::to_owned)))
    }

    /// Returns the statements that begin a transaction, which comes next.
    fn begin_sql(&mut self, mode: Mode, settings: &TransactionSettings) -> String {
        self.is_read_only = mode != Mode::Write;
        self.lock_timeout = settings.lock;
        let forget = if self.shared.mixed_up.load(Ordering::Relaxed) { "DEALLOCATE ALL; " } else { "" };
        format!("BEGIN {}; {forget}{}", mode.sql(), settings.sql())
    }

    /// Returns the rows of a query about the last rows of tables, in a transaction of its own: one round trip, because nothing of it
    /// waits for an answer. Tables are read through their indexes, whatever the planner knows of them.
    pub(crate) fn rows_at_once(
        &mut self,
        settings: &TransactionSettings,
        doing: &str,
        sql: &str,
        parameters: &[SqlParameter<'_>],
    ) -> Result<Vec<AnswerRow>, StoreError> {
        const PLANNING: &str = "SET LOCAL enable_seqscan = off; SET LOCAL jit = off; \
                                SET LOCAL max_parallel_workers_per_gather = 0";
        let begin = format!("{}; {PLANNING}", self.begin_sql(Mode::Monitor, settings));
        let mut answers = self.at_once(vec![
            Request::execute(doing, begin),
            Request::query(doing, sql, parameters.to_vec()),
            Request::execute(doing, "ROLLBACK"),
        ]);
        answers.done()?;
        let rows = answers.rows()?;
        answers.done().map(|()| rows)
    }

    /// Rolls the transaction back. Waits for the answer only if the transaction could write, or rows of it may still come.
    pub(crate) fn roll_back(&mut self) {
        if self.is_read_only && !self.is_copying_out {
            self.end_reading();
        } else if self.pending_begin.take().is_none()
            && !self.broken
            && self.execute("roll back", "ROLLBACK").is_err()
        {
            self.broken = true;
        }
        self.is_copying_out = false;
    }

    /// Marks the session as broken.
    pub(crate) fn break_off(&mut self) {
        self.broken = true;
    }

    /// Runs statements that return nothing.
    pub(crate) fn execute(&mut self, doing: &str, sql: &str) -> Result<(), StoreError> {
        self.at_once(vec![Request::execute(doing, sql)]).done()
    }

    /// Like [`Session::execute`], but returns a refusal of the server to the caller.
    pub(crate) fn try_execute(
        &mut self,
        doing: &str,
        sql: &str,
    ) -> Result<Result<(), tokio_postgres::Error>, StoreError> {
        Ok(self.at_once(vec![Request::execute(doing, sql)]).try_rows()?.map(drop))
    }

    /// Returns the rows of a query.
    pub(crate) fn rows(
        &mut self,
        doing: &str,
        sql: &str,
        parameters: &[SqlParameter<'_>],
    ) -> Result<Vec<AnswerRow>, StoreError> {
        self.at_once(vec![Request::query(doing, sql, parameters.to_vec())]).rows()
    }

    /// Takes locks and then asks, in one round trip. The query sees what was committed before the locks were had. A refusal of the locks is
    /// returned to the caller, as by [`Session::try_execute`].
    pub(crate) fn try_lock_and_rows(
        &mut self,
        (doing, sql): (&str, &str),
        (asking, query): (&str, &str),
        parameters: &[SqlParameter<'_>],
    ) -> Result<Result<Vec<AnswerRow>, tokio_postgres::Error>, StoreError> {
        let lock = Request::Step(Step::lock(doing, sql));
        let mut answers = self.at_once(vec![lock, Request::query(asking, query, parameters.to_vec())]);
        match answers.try_rows()? {
            Ok(_) => answers.rows().map(Ok),
            Err(refused) => Ok(Err(refused)),
        }
    }

    /// Starts writing a table: two round trips.
    pub(crate) fn copy_in(&mut self, doing: &str, sql: &str) -> Result<CopyIn, StoreError> {
        let prepared = self.at_once(vec![Request::prepare(doing, sql)]).prepared()?;
        self.at_once(vec![Request::Start(prepared)]).started()
    }

    /// Sends bytes of a table. They may still be in flight when this returns; the server reports errors at the end.
    pub(crate) fn send(&mut self, copy: &mut CopyIn, bytes: Bytes) -> Result<(), StoreError> {
        let limit = self.reply_timeout.saturating_sub(copy.waited);
        let started = Instant::now();
        let waited = sending(|| self.runtime.block_on(wait(limit, copy.sink.send(bytes))));
        copy.waited += started.elapsed();
        self.judge(&copy.doing, waited)?.map_err(|error| server_error(&copy.doing, error))
    }

    /// Ends a table. Returns the rows that the server counted.
    pub(crate) fn finish(&mut self, copy: CopyIn) -> Result<u64, StoreError> {
        self.at_once(vec![Request::Finish(copy)]).counted()
    }

    /// Starts reading rows.
    pub(crate) fn copy_out(&mut self, doing: &str, sql: &str) -> Result<CopyOut, StoreError> {
        let prepare = Request::Prepare { doing: doing.to_owned(), sql: sql.to_owned(), activity: None };
        let PreparedCopy { statement, .. } = self.at_once(vec![prepare]).prepared()?;
        self.log_round_trip(doing);
        self.is_copying_out = true;
        let waited = self.counted(self.reply_timeout, self.client.copy_out(&statement));
        let stream = self.judge(doing, waited)?.map_err(|error| server_error(doing, error))?;
        Ok(CopyOut { stream: Box::pin(stream), doing: doing.to_owned(), waited: Duration::ZERO })
    }

    /// Returns the next bytes of the rows, or none at the end.
    pub(crate) fn receive(&mut self, copy: &mut CopyOut) -> Result<Option<Bytes>, StoreError> {
        // The server's timeout is for all of the rows too, so that a server that sends one now and then is found out.
        let limit = self.reply_timeout.saturating_sub(copy.waited);
        let started = Instant::now();
        let next = async { copy.stream.next().await.transpose() };
        let waited = self.runtime.block_on(wait(limit, next));
        copy.waited += started.elapsed();
        let bytes = self.judge(&copy.doing, waited)?.map_err(|error| server_error(&copy.doing, error))?;
        self.is_copying_out = bytes.is_some();
        Ok(bytes)
    }

    fn log_round_trip(&self, doing: &str) {
        self.shared.round_trips.fetch_add(1, Ordering::Relaxed);
        self.shared.log_round_trip(doing);
    }

    /// Records what an answer says about the session itself.
    fn judge<T>(
        &mut self,
        doing: &str,
        waited: Wait<T>,
    ) -> Result<Result<T, tokio_postgres::Error>, StoreError> {
        match waited {
            Wait::Silent => {
                self.broken = true;
                Err(silent(doing, &self.at, self.reply_timeout))
            }
            Wait::Answered(answer) => {
                if let Err(error) = &answer {
                    self.broken |= ends_the_session(error);
                    if let Some(why) = self.given_up.get().filter(|_| self.broken) {
                        return Err(given_up(doing, &self.at, why));
                    }
                    if is_statement_mixed_up(error) {
                        self.shared.mixed_up.store(true, Ordering::Relaxed);
                    }
                }
                Ok(answer)
            }
        }
    }
}

impl Drop for Session {
    /// Takes the answer that nobody has waited for: a connection that is closed before counts as reset at the server, which logs it.
    fn drop(&mut self) {
        const WAIT_MAX: Duration = Duration::from_secs(1);
        if let Some(ending) = self.ending.take().filter(|_| !self.broken) {
            let _ = self.runtime.block_on(async { tokio::time::timeout(WAIT_MAX, ending).await });
        }
        self.shared.forget_process(&self.process);
    }
}

/// Lets the connection send what is to be sent, and see what has arrived, without waiting.
async fn let_connection_work() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

async fn wait<T>(
    timeout: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Wait<T> {
    match tokio::time::timeout(timeout, answer).await {
        Ok(answer) => Wait::Answered(answer),
        Err(_) => Wait::Silent,
    }
}

mod answer_wait;
mod batch;
mod pipeline;
mod shared;

#[cfg(test)]
mod tests;
