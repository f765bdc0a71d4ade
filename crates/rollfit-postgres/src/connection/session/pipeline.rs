//! [`Request`]s that are sent together and answered one after the other, in one round trip, and their [`Answers`].
//!
//! Invariants: requests reach the server in their order, and their answers are taken in it. In a transaction all that follow a failed
//! one fail as well: whoever takes the answers in order is told of the first failure, and of no other. A session on which a COPY did
//! not start is not used again: the client library miscounts its answers from then on.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::{MaybeDone, maybe_done};
use rollfit_job::activity::{querying, sending, waiting};
use rollfit_job::store::StoreError;
use tokio_postgres::{Client, Row, Statement};

use super::{CopyIn, Session, SqlParameter, Step, Wait, wait};
use crate::connection::answer_row::AnswerRow;
use crate::connection::fault::server_error;

/// One of several requests, and what it is for.
pub(crate) enum Request<'a> {
    /// Statements that return nothing, or a query.
    Step(Step<'a>),
    /// Prepares a COPY, which can then be started in one round trip.
    Prepare { doing: String, sql: String },
    /// Starts a COPY.
    Start(PreparedCopy),
    /// Ends a COPY whose rows were sent.
    Finish(CopyIn),
}

/// A COPY that can be started.
pub(crate) struct PreparedCopy {
    pub(super) statement: Statement,
    doing: String,
}

/// The answer to a request that succeeded.
enum Answer {
    /// Empty where nothing was asked.
    Rows(Vec<Row>),
    Prepared(PreparedCopy),
    Started(CopyIn),
    Counted(u64),
}

/// What an answer is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WaitKind {
    Answer,
    Lock,
    CopyStart,
    CopyEnd,
}

impl WaitKind {
    /// Waits, as the activity that this is.
    fn during<T>(self, wait: impl FnOnce() -> T) -> T {
        match self {
            Self::Answer => wait(),
            Self::Lock => waiting(wait),
            Self::CopyStart | Self::CopyEnd => sending(wait),
        }
    }
}

impl Answer {
    fn rows(self) -> Option<Vec<Row>> {
        match self {
            Self::Rows(rows) => Some(rows),
            _ => None,
        }
    }
}

type Refusable<T> = Result<T, tokio_postgres::Error>;

/// The answer to one request: a refusal of the server, or an error of the session.
struct Outcome {
    doing: String,
    answer: Result<Refusable<Answer>, StoreError>,
}

/// The answers to requests, taken in their order.
pub(crate) struct Answers {
    outcomes: VecDeque<Outcome>,
    is_wrong: Arc<AtomicBool>,
}

impl<'a> Request<'a> {
    /// Statements that return nothing.
    pub(crate) fn execute(doing: impl Into<String>, sql: impl Into<String>) -> Self {
        Self::Step(Step::execute(doing, sql))
    }

    /// A query.
    pub(crate) fn query(
        doing: impl Into<String>,
        sql: impl Into<String>,
        parameters: Vec<SqlParameter<'a>>,
    ) -> Self {
        Self::Step(Step::query(doing, sql, parameters))
    }

    /// A COPY that is started later.
    pub(crate) fn prepare(doing: impl Into<String>, sql: impl Into<String>) -> Self {
        Self::Prepare { doing: doing.into(), sql: sql.into() }
    }

    fn doing(&self) -> &str {
        match self {
            Self::Step(step) => step.doing(),
            Self::Prepare { doing, .. } => doing,
            Self::Start(copy) => &copy.doing,
            Self::Finish(copy) => &copy.doing,
        }
    }

    fn wait_kind(&self) -> WaitKind {
        match self {
            Self::Step(step) if step.is_lock() => WaitKind::Lock,
            Self::Step(_) | Self::Prepare { .. } => WaitKind::Answer,
            Self::Start(_) => WaitKind::CopyStart,
            Self::Finish(_) => WaitKind::CopyEnd,
        }
    }

    /// Sends it when polled first.
    async fn send(self, client: &Client) -> Refusable<Answer> {
        Ok(match self {
            Self::Step(step) => Answer::Rows(step.send(client).await?),
            Self::Prepare { doing, sql } => {
                Answer::Prepared(PreparedCopy { statement: client.prepare(&sql).await?, doing })
            }
            Self::Start(PreparedCopy { statement, doing }) => {
                let sink = Box::pin(client.copy_in(&statement).await?);
                Answer::Started(CopyIn { sink, doing, waited: Duration::ZERO })
            }
            Self::Finish(mut copy) => Answer::Counted(copy.sink.as_mut().finish().await?),
        })
    }
}

impl Session {
    /// Sends all of `requests` before it waits for the first answer: one round trip.
    pub(crate) fn at_once(&mut self, requests: Vec<Request<'_>>) -> Answers {
        let begin = self.pending_begin.take();
        let begins = begin.is_some();
        let begin = begin.map(|begin| Request::execute("begin a transaction", begin));
        let requests: Vec<Request<'_>> = begin.into_iter().chain(requests).collect();
        let mut outcomes = self.outcomes(requests);
        // Without a transaction nothing else counts.
        if begins && matches!(&outcomes[0].answer, Ok(Ok(_))) {
            outcomes.pop_front();
        }
        Answers { outcomes, is_wrong: Arc::clone(&self.is_wrong) }
    }

    /// Commits the transaction. `afterwards` is sent with it: statements whose failure undoes nothing, of which these are the answers.
    pub(crate) fn commit(
        &mut self,
        doing: &str,
        afterwards: Vec<Request<'_>>,
    ) -> Result<Answers, StoreError> {
        // Where a statement of the transaction has failed, the server answers COMMIT with ROLLBACK and no error, and with a
        // warning where there is no transaction. It refuses a savepoint in both cases.
        let commit = ["SAVEPOINT rollfit_commit", "COMMIT"].map(|sql| Request::execute(doing, sql));
        let mut answers = self.at_once(commit.into_iter().chain(afterwards).collect());
        answers.done()?;
        answers.done()?;
        Ok(answers)
    }

    fn outcomes(&mut self, requests: Vec<Request<'_>>) -> VecDeque<Outcome> {
        let asked: Vec<(String, WaitKind)> =
            requests.iter().map(|request| (request.doing().to_owned(), request.wait_kind())).collect();
        let doing: Vec<&str> = asked.iter().map(|(doing, _)| doing.as_str()).collect();
        self.count_round_trips(1, &doing.join(" + "));
        let client = Arc::clone(&self.client);
        let mut sent: Vec<MaybeDone<Pin<Box<_>>>> =
            requests.into_iter().map(|request| maybe_done(Box::pin(request.send(&client)))).collect();
        let mut outcomes = VecDeque::with_capacity(sent.len());
        for (at, (doing, kind)) in asked.into_iter().enumerate() {
            let mut answered = poll_fn(|context| {
                // All are polled, in their order: first to be sent, later to take what has come for them.
                for request in &mut sent[at..] {
                    let _ = Pin::new(request).poll(context);
                }
                Pin::new(&mut sent[at]).take_output().map_or(Poll::Pending, Poll::Ready)
            });
            let limit = self.reply_timeout;
            let waited = if at == 0 {
                // As long as the way there and back takes, whatever was asked.
                let (started, shortest) = (Instant::now(), self.shared.shortest_reply());
                let first = querying(|| self.runtime.block_on(wait(shortest.min(limit), &mut answered)));
                let waited = match first {
                    Wait::Silent => {
                        kind.during(|| self.runtime.block_on(wait(limit - shortest.min(limit), answered)))
                    }
                    answered => answered,
                };
                self.shared.note_reply(started.elapsed());
                waited
            } else {
                kind.during(|| self.runtime.block_on(wait(limit, answered)))
            };
            self.broken |= kind == WaitKind::CopyStart && matches!(&waited, Wait::Answered(Err(_)));
            let answer = self.judge(&doing, waited);
            let is_over = answer.is_err();
            outcomes.push_back(Outcome { doing, answer });
            if is_over {
                break;
            }
        }
        outcomes
    }
}

impl Answers {
    /// Takes the answer to statements that return nothing.
    pub(crate) fn done(&mut self) -> Result<(), StoreError> {
        self.rows().map(drop)
    }

    /// Takes the rows of a query.
    pub(crate) fn rows(&mut self) -> Result<Vec<AnswerRow>, StoreError> {
        let rows = self.take(Answer::rows)?;
        Ok(self.answer_rows(rows))
    }

    /// As [`Answers::rows`], but returns a refusal of the server to the caller.
    pub(crate) fn try_rows(&mut self) -> Result<Refusable<Vec<AnswerRow>>, StoreError> {
        let (_, rows) = self.try_take(Answer::rows)?;
        Ok(rows.map(|rows| self.answer_rows(rows)))
    }

    fn answer_rows(&self, rows: Vec<Row>) -> Vec<AnswerRow> {
        rows.into_iter().map(|row| AnswerRow::new(row, &self.is_wrong)).collect()
    }

    /// Takes a COPY that was prepared.
    pub(crate) fn prepared(&mut self) -> Result<PreparedCopy, StoreError> {
        self.take(|answer| match answer {
            Answer::Prepared(copy) => Some(copy),
            _ => None,
        })
    }

    /// Takes a COPY that was started.
    pub(crate) fn started(&mut self) -> Result<CopyIn, StoreError> {
        self.take(|answer| match answer {
            Answer::Started(copy) => Some(copy),
            _ => None,
        })
    }

    /// Takes the number of rows that the server counted in a COPY.
    pub(crate) fn counted(&mut self) -> Result<u64, StoreError> {
        self.take(|answer| match answer {
            Answer::Counted(rows) => Some(rows),
            _ => None,
        })
    }

    /// Takes the answers that are left, of requests whose failure undoes nothing. Returns the failures.
    pub(crate) fn failures(mut self) -> Vec<StoreError> {
        let mut failures = Vec::new();
        // After one that never came there are no more.
        while !self.outcomes.is_empty() {
            failures.extend(self.done().err());
        }
        failures
    }

    fn take<T>(&mut self, pick: impl FnOnce(Answer) -> Option<T>) -> Result<T, StoreError> {
        let (doing, answer) = self.try_take(pick)?;
        answer.map_err(|error| server_error(&doing, error))
    }

    fn try_take<T>(
        &mut self,
        pick: impl FnOnce(Answer) -> Option<T>,
    ) -> Result<(String, Refusable<T>), StoreError> {
        let bug = || {
            StoreError::permanent("an answer was taken for another one; please report this bug in rollfit")
        };
        let Outcome { doing, answer } = self.outcomes.pop_front().ok_or_else(bug)?;
        Ok((
            doing,
            match answer? {
                Ok(answer) => Ok(pick(answer).ok_or_else(bug)?),
                Err(refused) => Err(refused),
            },
        ))
    }
}
