//! [`Bench`]: a job in memory; [`Record`]: an observer that keeps what it is told.

use std::sync::Mutex;
use std::time::Duration;

use rollfit_job::Job;
use rollfit_job::activity::Activity;
use rollfit_job::config::{JobConfig, Workers};
use rollfit_job::partition::Partition;
use rollfit_job::plan::partitions;
use rollfit_job::record::Decision;
use rollfit_job::run::{Observer, Outcome, RunOptions, RunReport, Spent, Stage, Try, run};
use rollfit_job::selection::Selection;
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::store::{Fault, StoreError};
use rollfit_job::watch::{Machine, Moment, Unseen};
use rollfit_testkit::market::{config, partition};
use rollfit_testkit::memory::{MemorySink, MemorySource};

pub(crate) const MONTHS: [&str; 3] = ["2017-01", "2017-02", "2017-03"];

pub(crate) fn transient() -> StoreError {
    StoreError::new(Fault::Transient, "the store is busy")
}

pub(crate) fn fails_for(
    key: &'static str,
    error: fn() -> StoreError,
) -> impl Fn(&Partition) -> Result<(), StoreError> {
    move |partition| if partition.key == key { Err(error()) } else { Ok(()) }
}

/// A job in memory, with what is needed to run it.
pub(crate) struct Bench {
    pub(crate) config: JobConfig,
    pub(crate) source: MemorySource,
    pub(crate) sink: MemorySink,
    pub(crate) workers: Workers,
    pub(crate) stop: StopSignal,
    pub(crate) machine: Box<dyn Machine>,
}

impl Bench {
    /// A job over `rows` rows of each key in each month.
    pub(crate) fn new(values: &[(&str, &str)], keys: &[&str], months: &[&str], rows: usize) -> Self {
        let mut source = MemorySource::default();
        for key in keys {
            months.iter().for_each(|month| source.fill(&partition(key, month), rows));
        }
        let config = config(values);
        Self {
            config,
            source,
            sink: MemorySink::default(),
            workers: Workers::Fixed(1),
            stop: StopSignal::default(),
            machine: Box::new(Unseen),
        }
    }

    pub(crate) fn job(&self) -> Job<'_> {
        Job {
            config: &self.config,
            source: &self.source,
            sink: &self.sink,
            workers: self.workers,
            machine: self.machine.as_ref(),
        }
    }

    pub(crate) fn partitions(&self) -> Vec<Partition> {
        partitions(&self.config, &self.source, &self.sink, &Selection::default()).unwrap()
    }

    pub(crate) fn run(&self) -> RunReport {
        self.run_with(&RunOptions::default(), &Record::default())
    }

    pub(crate) fn run_with(&self, options: &RunOptions, observer: &dyn Observer) -> RunReport {
        run(&self.job(), &self.partitions(), options, &self.stop, observer)
    }
}

/// What the outcomes of a run are called, in the order of the partitions.
pub(crate) fn outcomes(report: &RunReport) -> Vec<String> {
    report.outcomes.iter().map(|(_, outcome)| name(outcome)).collect()
}

/// What an outcome is called.
pub(crate) fn name(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Written { .. } => "written".to_owned(),
        Outcome::WrittenByOther => "written by another".to_owned(),
        Outcome::Unchecked => "unchecked".to_owned(),
        Outcome::AlreadyDone => "already done".to_owned(),
        Outcome::Waiting => "waiting".to_owned(),
        Outcome::LeftAlone(assessment) => format!("left alone: {}", assessment.state),
        Outcome::Held(holder) => format!("held by {holder}"),
        Outcome::Failed(error) => format!("failed: {error}"),
        Outcome::Abandoned => "abandoned".to_owned(),
        other => format!("{other:?}"),
    }
}

/// What a test does when it is told something.
type Act<T> = Box<dyn Fn(&T) + Sync>;

/// What an observer was told.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) stages: Mutex<Vec<(String, Stage, u32)>>,
    pub(crate) rows: Mutex<u64>,
    pub(crate) retries: Mutex<Vec<(String, u32)>>,
    /// For each retry whether nothing had succeeded since another.
    pub(crate) known: Mutex<Vec<bool>>,
    pub(crate) ended: Mutex<Vec<String>>,
    /// Those that waited for another runner or a session, some time.
    pub(crate) waited: Mutex<Vec<String>>,
    /// How many workers there were to be.
    pub(crate) decided: Mutex<Vec<usize>>,
    /// What to do when a stage begins.
    pub(crate) on_stage: Option<Act<Stage>>,
    /// What to do when the number of workers is set.
    pub(crate) on_decision: Option<Act<usize>>,
    /// What to do once a second.
    pub(crate) on_sample: Option<Act<Moment>>,
}

impl Record {
    pub(crate) fn stopping(at: Stage, stop: impl Fn() + Sync + 'static) -> Self {
        let on_stage: Act<Stage> = Box::new(move |stage| {
            if *stage == at {
                stop();
            }
        });
        Self { on_stage: Some(on_stage), ..Self::default() }
    }
}

impl Observer for Record {
    fn stage(&self, at: Try<'_>, stage: Stage) {
        self.stages.lock().unwrap().push((at.partition.to_string(), stage, at.attempt));
        self.on_stage.iter().for_each(|act| act(&stage));
    }

    fn sampled(&self, moment: &Moment) {
        *self.rows.lock().unwrap() = moment.totals.rows;
        self.on_sample.iter().for_each(|act| act(moment));
    }

    fn decided(&self, decision: &Decision) {
        self.decided.lock().unwrap().push(decision.workers);
        self.on_decision.iter().for_each(|act| act(&decision.workers));
    }

    fn retried(&self, at: Try<'_>, _: &StoreError, _: Duration, known: bool) {
        self.known.lock().unwrap().push(known);
        self.retries.lock().unwrap().push((at.partition.to_string(), at.attempt));
    }

    fn ended(&self, at: Try<'_>, _: &Outcome, spent: &Spent) {
        if spent.wall.get(Activity::Waiting) > 0 {
            self.waited.lock().unwrap().push(at.partition.to_string());
        }
        self.ended.lock().unwrap().push(at.partition.to_string());
    }
}
