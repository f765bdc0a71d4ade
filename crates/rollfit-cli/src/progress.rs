//! Progress of a run on stderr: the run as it is now on a terminal, plain lines elsewhere, JSON lines when asked for.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rollfit_job::lock::lock;
use rollfit_job::partition::Partition;
use rollfit_job::pending::PendingRows;
use rollfit_job::record::{Decision, Header, Unavailable};
use rollfit_job::run::{Outcome, Spent, Stage, Try};
use rollfit_job::store::StoreError;

use crate::allow_skipped::AllowSkipped;
use crate::args::{GlobalArguments, RunArguments};
use crate::commands::cause_groups::{CauseGroup, PartitionCause};
use crate::details::detail_once;
use crate::format::count;
use crate::live::Live;
use crate::screen::Screen;
use crate::view::lines;
use crate::{join_loss, logging, pending_rows};

/// Shows the progress of a run.
pub(crate) struct Progress {
    screen: Option<Screen>,
    allow_skipped: AllowSkipped,
    /// Whether the summary groups what was not done by cause. Only the first failure of a cause is then logged at once.
    leaves_ends_to_summary: bool,
    /// Skipped partitions, kept until the run ends: only those with a cause of their own are logged then. None where each is logged at once.
    skipped: Option<Mutex<Vec<SkippedPartition>>>,
    header: Header,
    /// Those of the run so far: with a shard there are more when it begins to help.
    partitions: AtomicU64,
    ended: AtomicU64,
}

/// A skipped partition that is kept until the run ends.
struct SkippedPartition {
    partition: Partition,
    worker: usize,
    attempt: u32,
    state: &'static str,
    cause: String,
}

impl Progress {
    pub(crate) fn start(global: &GlobalArguments, arguments: &RunArguments, header: &Header) -> Self {
        let is_for_screen = !logging::is_json() && !global.quiet;
        let screen = is_for_screen.then(Screen::on_stderr).flatten();
        if let Some(screen) = &screen {
            logging::write_above(screen.bar());
        }
        let partitions = AtomicU64::new(header.partitions);
        // A follower's document comes at its end, which may be far.
        let has_late_summary = global.json && arguments.follow;
        Self {
            screen,
            allow_skipped: arguments.allow_skipped,
            leaves_ends_to_summary: logging::leaves_ends_to_summary() && !has_late_summary,
            skipped: (!logging::tells_nothing_to_do() && !global.json && !global.quiet).then(Mutex::default),
            header: header.clone(),
            partitions,
            ended: AtomicU64::new(0),
        }
    }

    /// Shows the run as it is now.
    pub(crate) fn show(&self, live: &Live) {
        self.partitions.fetch_max(live.moment.totals.partitions, Ordering::Relaxed);
        if let Some(screen) = &self.screen {
            screen.show(&lines(&self.header, live, screen.size()));
        }
    }

    /// Takes away what is shown. Returns the screen, which may show something else.
    pub(crate) fn finish(self) -> Option<Screen> {
        self.log_lone_skipped();
        self.screen.inspect(Screen::clear)
    }

    /// One event, with what every JSON line carries.
    fn log_event(&self, at: Try<'_>, stage: &str, serious: bool, message: &str) {
        let (partition, attempt) = (at.partition.to_string(), at.attempt);
        if logging::is_json() && serious {
            tracing::warn!(
                run = logging::run_id(),
                partition,
                stage,
                attempt,
                worker = at.worker,
                "{message}"
            );
        } else if logging::is_json() {
            tracing::info!(
                run = logging::run_id(),
                partition,
                stage,
                attempt,
                worker = at.worker,
                "{message}"
            );
        } else if serious {
            logging::warn(&format!("{partition}: {message}"));
        } else if self.screen.is_none() {
            let ended = self.ended.load(Ordering::Relaxed);
            let partitions = self.partitions.load(Ordering::Relaxed).max(ended);
            tracing::info!("[{ended}/{partitions}] {partition}: {message}");
        }
    }

    /// A partition was skipped, which the summary tells too.
    fn log_skipped(&self, at: Try<'_>, state: &'static str, cause: &str) {
        if self.leaves_ends_to_summary {
            return;
        }
        let Some(skipped) = &self.skipped else { return self.log_skipped_now(at, state, cause) };
        let Try { partition, worker, attempt } = at;
        let (partition, cause) = (partition.clone(), cause.to_owned());
        lock(skipped).push(SkippedPartition { partition, worker, attempt, state, cause });
    }

    fn log_skipped_now(&self, at: Try<'_>, state: &str, cause: &str) {
        let message = format!("skipped ({state}): {cause}");
        self.log_event(at, "left-alone", !self.allow_skipped.allow_skipped, &message);
    }

    /// Tells the skipped partitions that have a cause of their own: the summary has one line for all of another.
    fn log_lone_skipped(&self) {
        let Some(skipped) = &self.skipped else { return };
        let skipped = std::mem::take(&mut *lock(skipped));
        let causes = skipped.iter().map(|SkippedPartition { partition, state, cause, .. }| PartitionCause {
            partition,
            state,
            cause,
        });
        for group in CauseGroup::from_partitions(causes).iter().filter(|group| group.count == 1) {
            let SkippedPartition { partition, worker, attempt, state, cause } = &skipped[group.at];
            let at = Try { partition, worker: *worker, attempt: *attempt };
            self.log_skipped_now(at, state, cause);
        }
    }

    /// A partition failed, which the summary tells too.
    fn log_failed(&self, at: Try<'_>, stage: &str, message: &str) {
        let cause = PartitionCause { partition: at.partition, state: stage, cause: message };
        if !self.leaves_ends_to_summary || cause.is_first_of_group() {
            self.log_event(at, stage, true, message);
        }
    }

    /// A partition had nothing to do: told where every one is to be.
    fn log_idle(&self, at: Try<'_>, stage: &str, message: &str) {
        if logging::tells_nothing_to_do() {
            self.log_event(at, stage, false, message);
        }
    }

    /// A worker starts a stage of a partition.
    pub(crate) fn stage(&self, at: Try<'_>, stage: Stage) {
        if logging::is_json() {
            self.log_event(at, stage.name(), false, "started");
        }
    }

    /// The number of workers was set.
    pub(crate) fn decided(&self, decision: &Decision) {
        let Decision { was, workers, reason, .. } = decision;
        if logging::is_json() {
            let (run, partition, stage) = (logging::run_id(), "", "decision");
            tracing::info!(run, partition, stage, attempt = 0, was, workers, "{reason}");
        } else {
            logging::info(reason);
        }
    }

    /// A figure is unavailable.
    pub(crate) fn unavailable(&self, unavailable: &Unavailable) {
        logging::info(&format!("{} is unavailable: {}", unavailable.what, unavailable.cause));
    }

    /// Logs an error that repeats while nothing succeeds only once; JSON lines have each.
    pub(crate) fn retried(&self, at: Try<'_>, error: &StoreError, pause: Duration, known: bool) {
        if known && !logging::is_json() {
            return;
        }
        let cause = cause_of(error);
        self.log_event(at, "retry", !known, &format!("{cause}; retrying in {:.1} s", pause.as_secs_f64()));
    }

    /// Rows cannot be added to a partition.
    pub(crate) fn rewritten(&self, at: Try<'_>, why: &str) {
        self.log_event(at, "rewrite", false, &format!("writes all rows, since none can be added: {why}"));
    }

    /// What readers find a partition by was made again.
    pub(crate) fn view_made(&self, at: Try<'_>, what: &str) {
        self.log_event(at, "view", false, &format!("{what}: made again"));
    }

    /// Rows of a partition wait for another series.
    pub(crate) fn pending(&self, at: Try<'_>, pending: &PendingRows) {
        if pending_rows::is_worth_telling(pending) {
            self.log_event(at, "pending", false, &pending_rows::sentence(pending));
        }
    }

    /// Another runner has a partition, for now.
    pub(crate) fn held(&self, at: Try<'_>, holder: &str) {
        self.log_event(at, "held", false, &format!("in use by {holder}; rollfit tries it again later"));
    }

    /// A partition has ended for good.
    pub(crate) fn ended(&self, at: Try<'_>, outcome: &Outcome, spent: &Spent) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        let seconds = (spent.ended - spent.begun).as_secs_f64();
        match outcome {
            Outcome::Written { was, counts, bytes, join_loss } => {
                let rows = match counts.added_rows {
                    Some(1) => "1 new row".to_owned(),
                    Some(added_rows) => format!("{} new rows", count(added_rows)),
                    None => format!("{} rows", count(counts.rows)),
                };
                let bytes = crate::format::bytes(*bytes);
                self.log_event(
                    at,
                    "written",
                    false,
                    &format!("written (was {was}), {rows}, {bytes}, {seconds:.2} s"),
                );
                if let Some(loss) = join_loss {
                    self.log_event(at, "join", true, &join_loss::sentence(loss));
                }
            }
            Outcome::AlreadyDone => self.log_idle(at, "done", "nothing to do"),
            Outcome::WrittenByOther => self.log_idle(at, "done", "another runner has written it"),
            Outcome::Unchecked => {
                self.log_idle(at, "done", "not checked: belongs to another shard and has features");
            }
            Outcome::Waiting => self.log_idle(at, "waiting", "waiting for its first row"),
            Outcome::Empty => self.log_idle(at, "empty", "empty: no series has a row"),
            Outcome::LeftAlone(assessment) => {
                self.log_skipped(at, assessment.state.name(), &assessment.cause);
            }
            Outcome::Held(holder) => {
                let message = format!("still in use by {holder}; given up after lock_wait_s");
                self.log_failed(at, "held", &message);
            }
            Outcome::Failed(error) => {
                self.log_failed(at, "failed", &format!("failed: {}", cause_of(error)));
            }
            Outcome::Abandoned => self.log_event(at, "abandoned", true, "rolled back"),
            other => self.log_event(at, "ended", false, &format!("{other:?}")),
        }
    }
}

/// Why something failed: for people with each detail once, for machines always with it.
fn cause_of(error: &StoreError) -> String {
    let cause = rollfit_job::error_chain(error);
    if logging::is_json() { cause } else { detail_once(&cause, error.detail()) }
}
