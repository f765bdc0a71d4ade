//! [`Request`]s that are sent together and answered one after the other, in one round trip, and their [`Answers`].
//!
//! Invariants: requests reach the server in their order, and their answers are taken in it. In a transaction all that follow a failed
//! one fail as well: whoever takes the answers in order is told of the first failure, and of no other. A session on which a COPY did
//! not start is not used again: the client library miscounts its answers from then on.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{MaybeDone, maybe_done};
use rollfit_job::activity::{Activity, during, waiting};
use rollfit_job::store::StoreError;
use tokio_postgres::{Client, Row, Statement};

use super::{CopyIn, Session, SqlParameter, Step, Wait, wait};
use crate::connection::answer_row::AnswerRow;
use crate::connection::fault::server_error;

/// One of several requests, and what it is for.
pub(crate) enum Request<'a> {
    /// Statements that return nothing, or a query.
    Step(Step<'a>),
    /// Prepares a COPY, which can then be started in one round trip; and what the worker does meanwhile, where that is something else than it
    /// does anyway.
    Prepare { doing: String, sql: String, activity: Option<Activity> },
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

/// What is known of a request after it was sent.
struct Asked {
    doing: String,
    activity: Option<Activity>,
    starts_copy: bool,
}

/// The answer to a request that succeeded.
enum Answer {
    /// Empty where nothing was asked.
    Rows(Vec<Row>),
    Prepared(PreparedCopy),
    Started(CopyIn),
    Counted(u64),
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

    /// A COPY into a table that is started later.
    pub(crate) fn prepare(doing: impl Into<String>, sql: impl Into<String>) -> Self {
        Self::Prepare { doing: doing.into(), sql: sql.into(), activity: Some(Activity::Sending) }
    }

    /// The same request, of which the time is that of this activity. A COPY is always sending.
    pub(crate) fn counted_as(self, activity: Activity) -> Self {
        match self {
            Self::Step(step) => Self::Step(step.counted_as(activity)),
            copy => copy,
        }
    }

    fn asked(&self) -> Asked {
        Asked {
            doing: self.doing().to_owned(),
            activity: self.activity(),
            starts_copy: matches!(self, Self::Start(_)),
        }
    }

    fn doing(&self) -> &str {
        match self {
            Self::Step(step) => step.doing(),
            Self::Prepare { doing, .. } => doing,
            Self::Start(copy) => &copy.doing,
            Self::Finish(copy) => &copy.doing,
        }
    }

    /// What the worker does while it waits for the answer; none for what it does anyway.
    fn activity(&self) -> Option<Activity> {
        match self {
            Self::Step(step) => step.activity(),
            Self::Prepare { activity, .. } => *activity,
            Self::Start(_) | Self::Finish(_) => Some(Activity::Sending),
        }
    }

    /// Sends it when polled first.
    async fn send(self, client: &Client) -> Refusable<Answer> {
        Ok(match self {
            Self::Step(step) => Answer::Rows(step.send(client).await?),
            Self::Prepare { doing, sql, .. } => {
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
        let commit = ["SAVEPOINT rollfit_commit", "COMMIT"]
            .map(|sql| Request::execute(doing, sql).counted_as(Activity::Committing));
        let mut answers = self.at_once(commit.into_iter().chain(afterwards).collect());
        answers.done()?;
        answers.done()?;
        Ok(answers)
    }

    fn outcomes(&mut self, requests: Vec<Request<'_>>) -> VecDeque<Outcome> {
        let asked: Vec<Asked> = requests.iter().map(Request::asked).collect();
        let doing: Vec<&str> = asked.iter().map(|asked| asked.doing.as_str()).collect();
        self.log_round_trip(&doing.join(" + "));
        let client = Arc::clone(&self.client);
        let mut sent: Vec<MaybeDone<Pin<Box<_>>>> =
            requests.into_iter().map(|request| maybe_done(Box::pin(request.send(&client)))).collect();
        let mut outcomes = VecDeque::with_capacity(sent.len());
        for (at, asked) in asked.into_iter().enumerate() {
            let answered = poll_fn(|context| {
                // All are polled, in their order: first to be sent, later to take what has come for them.
                for request in &mut sent[at..] {
                    let _ = Pin::new(request).poll(context);
                }
                Pin::new(&mut sent[at]).take_output().map_or(Poll::Pending, Poll::Ready)
            });
            let waited = match at {
                0 => self.first_answer(asked.activity, answered),
                _ => during_any(asked.activity, || self.runtime.block_on(wait(self.reply_timeout, answered))),
            };
            self.broken |= asked.starts_copy && matches!(&waited, Wait::Answered(Err(_)));
            let answer = self.judge(&asked.doing, waited);
            let is_over = answer.is_err();
            outcomes.push_back(Outcome { doing: asked.doing, answer });
            if is_over {
                break;
            }
        }
        outcomes
    }

    /// Waits for the first answer of a round trip, which counts as what is asked first. A lock that is had at once was not waited for: as long as
    /// any answer takes is querying, as is the trip.
    fn first_answer<T>(
        &self,
        activity: Option<Activity>,
        mut answer: impl Future<Output = Refusable<T>> + Unpin,
    ) -> Wait<T> {
        let limit = self.reply_timeout;
        if activity != Some(Activity::Waiting) {
            return during_any(activity, || self.counted(limit, answer));
        }
        let prompt = self.shared.shortest_reply().min(limit);
        match during(Activity::Querying, || self.counted(prompt, &mut answer)) {
            Wait::Silent => waiting(|| self.runtime.block_on(wait(limit - prompt, answer))),
            answered => answered,
        }
    }
}

/// Waits as this activity; none is what the worker does anyway.
fn during_any<T>(activity: Option<Activity>, wait: impl FnOnce() -> T) -> T {
    match activity {
        Some(activity) => during(activity, wait),
        None => wait(),
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
