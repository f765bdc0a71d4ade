//! `rollfit run`: computes and stores the features of every partition that needs it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rollfit::Cpu;
use rollfit_job::error_chain;
use rollfit_job::join_loss::JoinLoss;
use rollfit_job::partition::Partition;
use rollfit_job::pending::PendingRows;
use rollfit_job::plan::estimate_missing_bytes;
use rollfit_job::receipt::NoValue;
use rollfit_job::run::{Outcome, RunOptions, RunReport, run as run_job};
use rollfit_job::state::{EarlierDefinition, State};
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::unfilled::{UnfilledWindow, UsableRows, unfilled_windows};

use super::follow;
use super::new_definition::NewDefinition;
use super::unfilled::{self, selects_whole_key};
use crate::args::{GlobalArguments, RunArguments};
use crate::details::detail_once;
use crate::exit::{Exit, Failure};
use crate::open::OpenJob;
use crate::output::ENTRIES_MAX;
use crate::record::header::header;
use crate::run_reporters::{RunReporters, TakenOver};
use crate::{format, logging, output, pending_rows, signals};

pub(super) fn run(global: &GlobalArguments, arguments: &RunArguments) -> Result<Exit, Failure> {
    if arguments.follow {
        return follow::run(global, arguments);
    }
    let summary = run_partitions(global, arguments)?;
    output::document(global.json, &summary, Summary::print)?;
    Ok(summary.exit())
}

/// Runs the job and prints only progress.
pub(super) fn run_partitions(global: &GlobalArguments, arguments: &RunArguments) -> Result<Summary, Failure> {
    let open = OpenJob::new(&arguments.select)?;
    let (summary, reporters) = run_open(global, arguments, &open, &StopSignal::default())?;
    reporters.finish(summary.interrupted);
    Ok(summary)
}

/// Runs a job that is open, until `stop`, which signals request from now on. Returns the reporters that outlive the run.
pub(super) fn run_open(
    global: &GlobalArguments,
    arguments: &RunArguments,
    open: &OpenJob,
    stop: &StopSignal,
) -> Result<(Summary, TakenOver), Failure> {
    check_space(open)?;
    signals::handle_signals(stop, arguments.stop_within.map(Duration::from_secs))?;
    let options = RunOptions { replace: arguments.replace.clone(), force: arguments.force };
    let kernel = Cpu::detect().name();
    logging::info(&format!("workers = {}, kernel on {kernel}", open.job().workers));
    let reporters = RunReporters::start(global, arguments, header(open, arguments))?;
    let report = run_job(&open.job(), &open.partitions, &options, stop, &reporters);
    let (took, reporters) = reporters.finish(&report);
    let written = written_keys(&open.partitions, &report)
        .filter(|usable| selects_whole_key(&arguments.select.only, &usable.partition.key));
    let unfilled_windows = unfilled_windows(&open.config, written);
    unfilled::warn(&unfilled_windows, open.config.boundary);
    let new_definition = NewDefinition::new(open, report.outcomes.iter().map(earlier));
    let summary =
        Summary { unfilled_windows, new_definition, ..Summary::new(&report, open.partitions.len(), took) };
    Ok((summary, reporters))
}

/// What a skipped partition has of an earlier definition.
fn earlier((partition, outcome): &(Partition, Outcome)) -> (&Partition, Option<EarlierDefinition>) {
    (partition, if let Outcome::LeftAlone(assessment) = outcome { assessment.earlier } else { None })
}

/// The rows of the partitions of keys that were written as a whole: of the others it is not known here whether a window
/// fills somewhere.
fn written_keys<'a>(
    partitions: &'a [Partition],
    report: &'a RunReport,
) -> impl Iterator<Item = UsableRows<'a>> {
    let written: Vec<UsableRows<'_>> = report
        .outcomes
        .iter()
        .filter_map(|(partition, outcome)| match outcome {
            Outcome::Written { counts, .. } => {
                Some(UsableRows { partition, rows: counts.rows, lookback_rows: counts.lookback_rows })
            }
            _ => None,
        })
        .collect();
    let mut unwritten: HashMap<&str, usize> = HashMap::new();
    partitions.iter().for_each(|partition| *unwritten.entry(&partition.key).or_default() += 1);
    for usable in &written {
        unwritten.entry(&usable.partition.key).and_modify(|left| *left = left.saturating_sub(1));
    }
    written.into_iter().filter(move |usable| unwritten.get(usable.partition.key.as_str()) == Some(&0))
}

/// Refuses a run that would fill the disk, before it writes a byte.
fn check_space(open: &OpenJob) -> Result<(), Failure> {
    let Some(free) = open.sink.free_bytes() else { return Ok(()) };
    let needed = estimate_missing_bytes(&open.job(), &open.partitions);
    if needed <= free {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "the missing partitions need about {}, but {} are free at {}; free some space, or select fewer with --only",
        format::bytes(needed),
        format::bytes(free),
        open.sink.place()
    )))
}

/// The rows that a run reports as waiting for another series: those that have waited for long, and those of partitions without others.
fn told_pending(report: &RunReport) -> Vec<PartitionPending> {
    let waiting = report.outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Waiting));
    let waiting: HashSet<&Partition> = waiting.map(|(partition, _)| partition).collect();
    let is_told = |(partition, pending): &&(Partition, PendingRows)| {
        pending_rows::is_worth_telling(pending) || waiting.contains(partition)
    };
    let told = report.pending.iter().filter(is_told).cloned();
    told.map(|(partition, pending)| PartitionPending { partition, pending }).collect()
}

/// What a run did, as it is printed.
#[derive(Default, serde::Serialize)]
pub(super) struct Summary {
    partitions: usize,
    written: usize,
    already_done: usize,
    /// Those of which no row is joined yet.
    waiting: usize,
    skipped: Vec<UndonePartition>,
    failed: Vec<UndonePartition>,
    not_started: usize,
    interrupted: bool,
    /// Attempts that hit transient errors and were retried.
    retries: u64,
    rows: u64,
    bytes: u64,
    no_value: NoValue,
    /// Rows of a series that another series lacks, of the partitions written.
    join_lost_rows: u64,
    /// The partitions written for the first time whose join loses more than `join_loss_max`.
    join_losses: Vec<PartitionLoss>,
    /// The partitions whose rows have waited for another series for an hour or more, and those that have no others.
    pending: Vec<PartitionPending>,
    workers: usize,
    seconds: f64,
    rows_per_second: f64,
    /// What a new definition means for the partitions that an earlier one stored; none where it stored nothing.
    new_definition: Option<NewDefinition>,
    unfilled_windows: Vec<UnfilledWindow>,
    /// The most memory that this process ever held; none if the system does not report it.
    peak_memory_bytes: Option<u64>,
}

fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// What the join of a partition loses.
#[derive(serde::Serialize)]
struct PartitionLoss {
    partition: Partition,
    #[serde(flatten)]
    loss: JoinLoss,
}

/// The rows of a partition that wait for another series.
#[derive(serde::Serialize)]
struct PartitionPending {
    partition: Partition,
    #[serde(flatten)]
    pending: PendingRows,
}

/// A partition that was not done, and why.
#[derive(serde::Serialize)]
struct UndonePartition {
    partition: Partition,
    state: &'static str,
    cause: String,
    /// The end of the cause that may be the same for many partitions.
    #[serde(skip)]
    detail: Option<String>,
}

impl Summary {
    fn new(report: &RunReport, partitions: usize, took: Duration) -> Self {
        let mut summary = Self {
            partitions,
            not_started: partitions - report.outcomes.len(),
            interrupted: report.interrupted,
            retries: report.retries,
            workers: report.workers_max,
            seconds: took.as_secs_f64(),
            peak_memory_bytes: peak_memory_bytes(),
            ..Self::default()
        };
        for (partition, outcome) in &report.outcomes {
            summary.add(partition, outcome);
        }
        summary.pending = told_pending(report);
        summary.rows_per_second = summary.rows as f64 / summary.seconds.max(1e-9);
        summary
    }

    fn add(&mut self, partition: &Partition, outcome: &Outcome) {
        let problem =
            |state, cause| UndonePartition { partition: partition.clone(), state, cause, detail: None };
        match outcome {
            Outcome::Written { counts, bytes, join_loss, .. } => {
                self.written += 1;
                self.rows += counts.written_rows();
                self.bytes += bytes;
                self.no_value.add(&counts.no_value);
                self.join_lost_rows += counts.lost_rows;
                let loss = join_loss.clone();
                let loss = loss.map(|loss| PartitionLoss { partition: partition.clone(), loss });
                self.join_losses.extend(loss);
            }
            Outcome::AlreadyDone => self.already_done += 1,
            Outcome::Waiting => self.waiting += 1,
            Outcome::LeftAlone(assessment) => {
                self.skipped.push(problem(assessment.state.name(), assessment.cause.clone()));
            }
            Outcome::Held(holder) => self.failed.push(problem("held", format!("still in use by {holder}"))),
            Outcome::Failed(error) => self.failed.push(UndonePartition {
                detail: error.detail().map(str::to_owned),
                ..problem("failed", error_chain(error))
            }),
            Outcome::Abandoned => self.not_started += 1,
            other => self.failed.push(problem("failed", format!("{other:?}"))),
        }
    }

    /// Whether it was stopped before all was done.
    pub(super) fn interrupted(&self) -> bool {
        self.interrupted
    }

    /// Whether it skipped the partition of this name.
    pub(super) fn has_skipped(&self, partition: &str) -> bool {
        self.skipped.iter().any(|problem| problem.partition.to_string() == partition)
    }

    /// The partitions that were not done.
    pub(super) fn not_done(&self) -> Vec<Partition> {
        self.failed.iter().chain(&self.skipped).map(|problem| problem.partition.clone()).collect()
    }

    /// Forgets the partitions that were not done then, and have been since.
    pub(super) fn forget(&mut self, is_done: impl Fn(&Partition) -> bool) {
        self.failed.retain(|problem| !is_done(&problem.partition));
        self.skipped.retain(|problem| !is_done(&problem.partition));
        self.pending.retain(|waiting| !is_done(&waiting.partition));
    }

    pub(super) fn exit(&self) -> Exit {
        Exit::from_partitions(self.interrupted, !self.failed.is_empty(), !self.skipped.is_empty())
    }

    pub(super) fn print(&self) -> Result<(), Failure> {
        let waiting = (self.waiting > 0).then(|| format!(", {} waiting", self.waiting));
        output::line(&format!(
            "{}: {} written, {} already done{}, {} skipped, {} failed, {} not started",
            format::plural(self.partitions, "partition"),
            self.written,
            self.already_done,
            waiting.unwrap_or_default(),
            self.skipped.len(),
            self.failed.len(),
            self.not_started
        ))?;
        if self.written > 0 {
            self.print_written()?;
        }
        for PartitionPending { partition, pending } in self.pending.iter().take(ENTRIES_MAX) {
            output::line(&format!("  {partition}: {}", pending_rows::sentence(pending)))?;
        }
        output::rest(self.pending.len(), "partition")?;
        if self.retries > 0 {
            let attempts = format::plural(usize::try_from(self.retries).unwrap_or(usize::MAX), "attempt");
            let hit = if self.retries == 1 {
                "hit a transient error and was"
            } else {
                "hit transient errors and were"
            };
            output::line(&format!("{attempts} {hit} retried"))?;
        }
        for problem in self.failed.iter().chain(&self.skipped).take(ENTRIES_MAX) {
            let cause = detail_once(&problem.cause, problem.detail.as_deref());
            output::line(&format!("  {}: {}: {cause}", problem.partition, problem.state))?;
        }
        output::rest(self.failed.len() + self.skipped.len(), "partition")?;
        self.print_ways_out()?;
        if self.interrupted {
            output::line("Interrupted. Run the same command again to continue.")?;
        }
        Ok(())
    }

    /// What to do about the skipped partitions.
    fn print_ways_out(&self) -> Result<(), Failure> {
        let is = |problem: &UndonePartition, state: State| problem.state == state.name();
        let is_replaceable =
            |problem: &UndonePartition| !is(problem, State::Blocked) && !is(problem, State::Newer);
        if self.skipped.iter().any(is_replaceable) {
            output::line("Skipped partitions are rewritten only with --replace STATE.")?;
        }
        self.new_definition.iter().try_for_each(|new| output::line(&new.sentence()))?;
        if self.skipped.iter().any(|problem| is(problem, State::Blocked)) {
            output::line(
                "A blocked partition is written when what blocks it is gone; --replace does not help.",
            )?;
        }
        if self.skipped.iter().any(|problem| is(problem, State::Newer)) {
            output::line(
                "A newer partition is for the version of rollfit that wrote it; --replace does not help.",
            )?;
        }
        Ok(())
    }

    fn print_written(&self) -> Result<(), Failure> {
        let memory = self.peak_memory_bytes.map_or("unknown".to_owned(), format::bytes);
        output::line(&format!(
            "{} rows, {} in {:.1} s on {}: {} rows/s, {}/s, {memory} of memory at most",
            format::count(self.rows),
            format::bytes(self.bytes),
            self.seconds,
            format::plural(self.workers, "worker"),
            format::count(self.rows_per_second as u64),
            format::bytes((self.bytes as f64 / self.seconds.max(1e-9)) as u64)
        ))?;
        let NoValue { warmup, input, undefined, column } = self.no_value;
        output::line(&format!(
            "features without a value: {} warm-up, {} input, {} undefined, {} column; {} rows lost in the join",
            format::count(warmup),
            format::count(input),
            format::count(undefined),
            format::count(column),
            format::count(self.join_lost_rows)
        ))?;
        Ok(())
    }
}
