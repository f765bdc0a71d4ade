//! [`TaskResult`]: what came of one partition that a program asked for, small and as JSON; and [`summarize`], which makes the summary of a run
//! of many of them.

use std::time::Duration;

use rollfit_job::foreign;
use rollfit_job::join_loss::JoinLoss;
use rollfit_job::partition::Partition;
use rollfit_job::pending::PendingRows;
use rollfit_job::receipt::NoValue;
use rollfit_job::run::{OneRun, Outcome, RunReport, WrittenCounts};
use rollfit_job::state::{Assessment, State};
use rollfit_job::store::StoreError;

use crate::commands::run::Summary;
use crate::embedded_run::FinishedRun;
use crate::exit::{Exit, Failure};
use crate::format;
use crate::machine::host_name;

/// How a partition ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskOutcome {
    /// Features and receipt are committed.
    Written,
    /// There was nothing to do.
    AlreadyDone,
    /// Another runner has written it meanwhile.
    WrittenByOther,
    /// No row is joined yet.
    Waiting,
    /// There are no features, and no series has a row.
    Empty,
    /// It is replaced only where that is asked for.
    Skipped,
}

impl TaskOutcome {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::AlreadyDone => "already-done",
            Self::WrittenByOther => "written-by-other",
            Self::Waiting => "waiting",
            Self::Empty => "empty",
            Self::Skipped => "skipped",
        }
    }
}

/// What came of one partition.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TaskResult {
    /// Which.
    pub partition: Partition,
    /// How it ended.
    pub outcome: TaskOutcome,
    /// The state that it was in before, of one that is written or skipped.
    pub state: Option<String>,
    /// Why it is skipped, and what to do; empty otherwise.
    pub reason: String,
    /// Whether it is skipped and the source has no row of it.
    #[serde(default)]
    pub is_without_rows: bool,
    /// The rows of features written.
    pub rows: u64,
    /// Whether they were added to those that were there.
    pub is_addition: bool,
    /// The bytes stored.
    pub bytes: u64,
    /// Features without a value, by cause, of the rows written.
    pub no_value: NoValue,
    /// Rows of a series that another series lacks.
    pub join_lost_rows: u64,
    /// What the join loses, where that is more than `join_loss_max` and new.
    pub join_loss: Option<JoinLoss>,
    /// The rows that wait for another series.
    pub pending: Option<PendingRows>,
    /// Attempts that hit transient errors and were retried.
    pub retries: u64,
    /// How often its source was read.
    #[serde(default)]
    pub source_reads: u64,
    /// When it began, in microseconds since 1970 by the clock of its machine.
    pub begun_us: i64,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// The name of its machine.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// The most memory that the process ever held; none if the system does not report it.
    pub peak_memory_bytes: Option<u64>,
}

impl TaskResult {
    /// What came of a partition.
    ///
    /// # Errors
    /// Where it failed, or another runner still has it.
    pub(crate) fn from_run(partition: &Partition, begun_us: i64, one: OneRun) -> Result<Self, Failure> {
        let mut result = Self {
            partition: partition.clone(),
            outcome: TaskOutcome::AlreadyDone,
            state: None,
            reason: String::new(),
            is_without_rows: false,
            rows: 0,
            is_addition: false,
            bytes: 0,
            no_value: NoValue::default(),
            join_lost_rows: 0,
            join_loss: None,
            pending: one.pending,
            retries: one.retries,
            source_reads: one.source_reads,
            begun_us,
            took_us: u64::try_from(one.spent.ended.as_micros()).unwrap_or(u64::MAX),
            host: host_name(),
            pid: std::process::id(),
            peak_memory_bytes: crate::commands::run::peak_memory_bytes(),
        };
        result.end(one.outcome)?;
        Ok(result)
    }

    fn end(&mut self, outcome: Outcome) -> Result<(), Failure> {
        self.outcome = match outcome {
            Outcome::Written { was, counts, bytes, join_loss } => {
                (self.state, self.bytes, self.join_loss) = (Some(was.name().to_owned()), bytes, join_loss);
                (self.rows, self.is_addition) = (counts.written_rows(), counts.added_rows.is_some());
                (self.no_value, self.join_lost_rows) = (counts.no_value, counts.lost_rows);
                TaskOutcome::Written
            }
            Outcome::AlreadyDone => TaskOutcome::AlreadyDone,
            Outcome::WrittenByOther => TaskOutcome::WrittenByOther,
            Outcome::Waiting => TaskOutcome::Waiting,
            Outcome::Empty => TaskOutcome::Empty,
            Outcome::LeftAlone(assessment) => {
                (self.state, self.reason) = (Some(assessment.state.name().to_owned()), assessment.cause);
                self.is_without_rows = assessment.is_without_rows;
                TaskOutcome::Skipped
            }
            Outcome::Held(holder) => {
                return Err(Failure::passing(format!("{}: still in use by {holder}", self.partition)));
            }
            Outcome::Failed(error) => {
                let is_unconnected = error.is_unconnected();
                let failure = Failure::from(error).after(&format!("{}:", self.partition));
                return Err(if is_unconnected { failure.with_exit(Exit::Unreachable) } else { failure });
            }
            Outcome::Abandoned => return Err(Failure::stopped()),
            other => return Err(Failure::failed(format!("{}: {other:?}", self.partition))),
        };
        Ok(())
    }

    /// For people, on one line, as a run logs it.
    pub fn line(&self) -> String {
        let Self { partition, bytes, .. } = self;
        let state = self.state.as_deref().unwrap_or_default();
        let ended = match self.outcome {
            TaskOutcome::Written => {
                let new = if self.is_addition { "new " } else { "" };
                let (rows, bytes) = (format::count(self.rows), format::bytes(*bytes));
                let row = if self.rows == 1 { "row" } else { "rows" };
                let seconds = self.took().as_secs_f64();
                format!("written (was {state}), {rows} {new}{row}, {bytes}, {seconds:.2} s")
            }
            TaskOutcome::AlreadyDone => "nothing to do".to_owned(),
            TaskOutcome::WrittenByOther => "another runner has written it".to_owned(),
            TaskOutcome::Waiting => "waiting for its first row".to_owned(),
            TaskOutcome::Empty => "empty: no series has a row".to_owned(),
            TaskOutcome::Skipped => format!("skipped ({state}): {}", self.reason),
        };
        foreign::printable(&format!("{partition}: {ended}"), usize::MAX).into_owned()
    }

    /// How long it took.
    pub fn took(&self) -> Duration {
        Duration::from_micros(self.took_us)
    }

    fn ended_us(&self) -> i64 {
        self.begun_us.saturating_add_unsigned(self.took_us)
    }

    fn to_outcome(&self) -> Outcome {
        let state = State::ALL.into_iter().find(|state| Some(state.name()) == self.state.as_deref());
        let state = state.unwrap_or(State::Missing);
        match self.outcome {
            TaskOutcome::Written => Outcome::Written {
                was: state,
                counts: WrittenCounts {
                    rows: self.rows,
                    added_rows: self.is_addition.then_some(self.rows),
                    lost_rows: self.join_lost_rows,
                    no_value: self.no_value,
                    ..WrittenCounts::default()
                },
                bytes: self.bytes,
                join_loss: self.join_loss.clone(),
            },
            TaskOutcome::AlreadyDone => Outcome::AlreadyDone,
            TaskOutcome::WrittenByOther => Outcome::WrittenByOther,
            TaskOutcome::Waiting => Outcome::Waiting,
            TaskOutcome::Empty => Outcome::Empty,
            TaskOutcome::Skipped => Outcome::LeftAlone(Assessment {
                state,
                also: None,
                cause: self.reason.clone(),
                earlier: None,
                is_without_rows: self.is_without_rows,
            }),
        }
    }
}

/// What became of a partition that a program wants done, as far as it knows.
#[derive(Clone, Debug)]
pub enum TaskEnd {
    /// It ended.
    Ended(Box<TaskResult>),
    /// It failed, and why.
    Failed(String),
    /// It was not begun, or not finished.
    NotStarted,
}

/// The report of a run that did these partitions. It is interrupted where some were not started; its memory is that of the process that held
/// the most.
///
/// # Errors
/// When the report is no JSON, which is a bug.
pub fn summarize(ends: Vec<(Partition, TaskEnd)>) -> Result<FinishedRun, Failure> {
    let partitions = ends.len();
    let mut report = RunReport { own_partitions: partitions, ..RunReport::default() };
    let mut spans = Vec::new();
    let mut memory_bytes = None;
    for (partition, end) in ends {
        let outcome = match end {
            TaskEnd::Ended(result) => {
                spans.push((result.begun_us, result.ended_us()));
                memory_bytes = memory_bytes.max(result.peak_memory_bytes);
                report.retries += result.retries;
                report.source_reads += result.source_reads;
                let pending = result.pending.clone();
                report.pending.extend(pending.map(|pending| (partition.clone(), pending)));
                result.to_outcome()
            }
            TaskEnd::Failed(cause) => Outcome::Failed(StoreError::permanent(cause)),
            TaskEnd::NotStarted => {
                report.interrupted = true;
                continue;
            }
        };
        report.outcomes.push((partition, outcome));
    }
    report.outcomes.sort_by(|(a, _), (b, _)| a.cmp(b));
    report.pending.sort_by(|(a, _), (b, _)| a.cmp(b));
    report.workers_max = most_at_once(&spans);
    let summary = Summary::new(&report, None, false, took(&spans)).with_peak_memory(memory_bytes);
    let json = serde_json::to_string(&summary).map_err(std::io::Error::other)?;
    let json = foreign::json(&json).into_owned();
    Ok(FinishedRun { run: String::new(), exit: summary.exit(), text: summary.text(), json, record: None })
}

/// From the first beginning to the last end.
fn took(spans: &[(i64, i64)]) -> Duration {
    let first = spans.iter().map(|&(begun_us, _)| begun_us).min();
    let last = spans.iter().map(|&(_, ended_us)| ended_us).max();
    first.zip(last).map_or(Duration::ZERO, |(first, last)| Duration::from_micros(last.abs_diff(first)))
}

/// How many were in progress at once, at most.
fn most_at_once(spans: &[(i64, i64)]) -> usize {
    // One that ends when another begins makes way for it.
    let mut changes: Vec<(i64, i64)> = spans
        .iter()
        .flat_map(|&(begun_us, ended_us)| [(begun_us, 1), (ended_us.max(begun_us + 1), -1)])
        .collect();
    changes.sort_unstable();
    let running = changes.iter().scan(0, |running, (_, change)| {
        *running += change;
        Some(*running)
    });
    running.max().and_then(|most| usize::try_from(most).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_in_progress_at_once_are_counted() {
        assert_eq!(most_at_once(&[]), 0);
        assert_eq!(most_at_once(&[(0, 0)]), 1);
        assert_eq!(most_at_once(&[(0, 10), (10, 20), (20, 30)]), 1);
        assert_eq!(most_at_once(&[(0, 10), (5, 20), (9, 30), (25, 40)]), 3);
        assert_eq!(took(&[(5, 9), (2, 4)]), Duration::from_micros(7));
    }
}
