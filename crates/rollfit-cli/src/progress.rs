//! Progress of a run on stderr: a bar on a terminal, plain lines elsewhere, JSON lines when asked for.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use rollfit_job::record::Decision;
use rollfit_job::run::{Observer, Outcome, Spent, Stage, Try};
use rollfit_job::store::StoreError;
use rollfit_job::watch::Moment;

use crate::args::GlobalArguments;
use crate::logging;
use crate::output::{count, plural};

/// Tells of a run as it goes on.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    rows: AtomicU64,
    ended: AtomicU64,
    partitions: usize,
}

impl Progress {
    pub(crate) fn start(arguments: &GlobalArguments, partitions: usize) -> Self {
        let on_terminal = !logging::is_json() && !arguments.quiet && std::io::stderr().is_terminal();
        Self {
            bar: on_terminal.then(|| new_bar(partitions)),
            started: Instant::now(),
            rows: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            partitions,
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn rows_per_second(&self) -> u64 {
        let rows = self.rows.load(Ordering::Relaxed) as f64;
        (rows / self.started.elapsed().as_secs_f64().max(1e-3)) as u64
    }

    fn show_rate(&self) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} rows/s", count(self.rows_per_second())));
        }
    }

    /// One event, with what every JSON line carries.
    fn tell(&self, at: Try<'_>, stage: &str, serious: bool, message: &str) {
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
        } else if self.bar.is_none() {
            tracing::info!(
                "[{}/{}] {partition}: {message}",
                self.ended.load(Ordering::Relaxed),
                self.partitions
            );
        }
    }
}

fn new_bar(partitions: usize) -> ProgressBar {
    const TEMPLATE: &str = "{bar:30} {pos}/{len} partitions, {msg}, {elapsed} elapsed, {eta} to go";
    let bar = ProgressBar::new(partitions as u64);
    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    logging::write_above(&bar);
    bar
}

impl Observer for Progress {
    fn stage(&self, at: Try<'_>, stage: Stage) {
        if logging::is_json() {
            self.tell(at, stage.name(), false, "begins");
        }
    }

    fn decided(&self, decision: &Decision) {
        logging::info(&format!("{}: {}", plural(decision.workers, "worker"), decision.reason));
    }

    fn sampled(&self, moment: &Moment) {
        self.rows.store(moment.totals.rows, Ordering::Relaxed);
        self.show_rate();
    }

    /// What fails again while nothing succeeds is told once: for people, not in JSON lines, which are for machines.
    fn retried(&self, at: Try<'_>, error: &StoreError, pause: Duration, known: bool) {
        if known && !logging::is_json() {
            return;
        }
        let cause = rollfit_job::error_chain(error);
        self.tell(at, "retry", !known, &format!("{cause}; trying again in {:.1} s", pause.as_secs_f64()));
    }

    fn ended(&self, at: Try<'_>, outcome: &Outcome, spent: &Spent) {
        if !matches!(outcome, Outcome::Held(_)) {
            self.ended.fetch_add(1, Ordering::Relaxed);
        }
        let seconds = (spent.ended - spent.begun).as_secs_f64();
        match outcome {
            Outcome::Written { was, receipt, bytes } => {
                let (rows, bytes) = (count(receipt.stored.rows), crate::output::bytes(*bytes));
                self.tell(at, "written", false, &format!("was {was}, {rows} rows, {bytes}, {seconds:.2} s"));
            }
            Outcome::AlreadyDone => self.tell(at, "done", false, "nothing to do"),
            Outcome::LeftAlone(assessment) => {
                let message = format!("left alone, it is {}: {}", assessment.state, assessment.cause);
                self.tell(at, "left-alone", true, &message);
            }
            Outcome::Held(holder) => {
                self.tell(at, "held", false, &format!("{holder} has it, trying again later"));
            }
            Outcome::Failed(error) => {
                self.tell(at, "failed", true, &format!("failed: {}", rollfit_job::error_chain(error)));
            }
            Outcome::Abandoned => self.tell(at, "abandoned", true, "rolled back"),
            other => self.tell(at, "ended", false, &format!("{other:?}")),
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.ended.load(Ordering::Relaxed));
            self.show_rate();
        }
    }
}
