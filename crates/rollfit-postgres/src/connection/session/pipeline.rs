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
use std::time::Duration;

use futures_util::future::{MaybeDone, maybe_done};
use rollfit_job::activity::sending;
use rollfit_job::store::StoreError;
use tokio_postgres::{Client, Row, Statement};

use super::{CopyIn, Session, SqlParameter, Wait, wait};
use crate::connection::answer_row::AnswerRow;
use crate::connection::fault::server_error;

/// One of several requests, and what it is for.
pub(crate) enum Request<'a> {
    /// Statements that return nothing.
    Execute { doing: String, sql: String },
    /// A query.
    Query { doing: String, sql: String, parameters: &'a [SqlParameter<'a>] },
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
    Done,
    Rows(Vec<Row>),
    Prepared(PreparedCopy),
    Started(CopyIn),
    Counted(u64),
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
    pub(crate) fn execute(doing: impl Into<String>, sql: impl Into<String>) -> Self {
        Self::Execute { doing: doing.into(), sql: sql.into() }
    }

    pub(crate) fn query(
        doing: impl Into<String>,
        sql: impl Into<String>,
        parameters: &'a [SqlParameter<'a>],
    ) -> Self {
        Self::Query { doing: doing.into(), sql: sql.into(), parameters }
    }

    pub(crate) fn prepare(doing: impl Into<String>, sql: impl Into<String>) -> Self {
        Self::Prepare { doing: doing.into(), sql: sql.into() }
    }

    fn doing(&self) -> &str {
        match self {
            Self::Execute { doing, .. } | Self::Query { doing, .. } | Self::Prepare { doing, .. } => doing,
            Self::Start(copy) => &copy.doing,
            Self::Finish(copy) => &copy.doing,
        }
    }

    /// Whether the wait for its answer is for the rows of a COPY.
    fn is_sending(&self) -> bool {
        matches!(self, Self::Start(_) | Self::Finish(_))
    }

    /// Sends it when polled first.
    async fn send(self, client: &Client) -> Refusable<Answer> {
        Ok(match self {
            Self::Execute { sql, .. } => {
                client.batch_execute(&sql).await?;
                Answer::Done
            }
            Self::Query { sql, parameters, .. } => Answer::Rows(client.query_typed(&sql, parameters).await?),
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

    fn outcomes(&mut self, requests: Vec<Request<'_>>) -> VecDeque<Outcome> {
        self.count_round_trips(1);
        let client = Arc::clone(&self.client);
        let asked: Vec<(String, bool, bool)> = requests
            .iter()
            .map(|request| {
                let starts_copy = matches!(request, Request::Start(_));
                (request.doing().to_owned(), request.is_sending(), starts_copy)
            })
            .collect();
        let mut sent: Vec<MaybeDone<Pin<Box<_>>>> =
            requests.into_iter().map(|request| maybe_done(Box::pin(request.send(&client)))).collect();
        let mut outcomes = VecDeque::new();
        for (at, (doing, is_sending, starts_copy)) in asked.into_iter().enumerate() {
            let answered = poll_fn(|context| {
                // All are polled, in their order: first to be sent, later because they take their answers in turns.
                for request in &mut sent[at..] {
                    let _ = Pin::new(request).poll(context);
                }
                Pin::new(&mut sent[at]).take_output().map_or(Poll::Pending, Poll::Ready)
            });
            let waited = || self.runtime.block_on(wait(self.reply_timeout, answered));
            let waited = if is_sending { sending(waited) } else { waited() };
            self.broken |= starts_copy && matches!(&waited, Wait::Answered(Err(_)));
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
        self.take(|answer| matches!(answer, Answer::Done).then_some(()))
    }

    /// As [`Answers::done`], but returns a refusal of the server to the caller.
    pub(crate) fn try_done(&mut self) -> Result<Refusable<()>, StoreError> {
        Ok(self.try_take(|answer| matches!(answer, Answer::Done).then_some(()))?.1)
    }

    /// Takes the rows of a query.
    pub(crate) fn rows(&mut self) -> Result<Vec<AnswerRow>, StoreError> {
        let rows = self.take(|answer| match answer {
            Answer::Rows(rows) => Some(rows),
            _ => None,
        })?;
        Ok(rows.into_iter().map(|row| AnswerRow::new(row, &self.is_wrong)).collect())
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
