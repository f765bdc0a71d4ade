//! `rollfit run`: computes and stores the features of every partition that needs it.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use rollfit::Cpu;
use rollfit_job::config::{JobConfig, Workers};
use rollfit_job::few::few;
use rollfit_job::foreign;
use rollfit_job::join_loss::JoinLoss;
use rollfit_job::partition::Partition;
use rollfit_job::pending::PendingRows;
use rollfit_job::plan::estimate_missing_bytes;
use rollfit_job::receipt::NoValue;
use rollfit_job::run::{OtherConfiguration, Outcome, RunOptions, RunReport, run as run_job};
use rollfit_job::state::{EarlierDefinition, State};
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::unfilled::{UnfilledWindow, UsableRows, unfilled_windows};

use super::before_work::{other_configuration, tell_before_work};
use super::continued::Continued;
use super::follow;
use super::help_summary::HelpSummary;
use super::new_definition::NewDefinition;
use super::next_step;
use super::remaining::Remaining;
use super::undone::UndonePartition;
use super::unfilled;
use super::ways_out::ways_out;
use crate::args::{GlobalArguments, RunArguments};
use crate::details::detail_once;
use crate::exit::{Exit, Failure};
use crate::given_shard::GivenShard;
use crate::job_arguments::JobArguments;
use crate::open::OpenJob;
use crate::output::ENTRIES_MAX;
use crate::record::header::header;
use crate::run_reporters::{RunReporters, TakenOver};
use crate::share::{self, Share};
use crate::{format, logging, output, pending_rows, signals};

pub(super) fn run(global: &GlobalArguments, arguments: &RunArguments) -> Result<Exit, Failure> {
    if arguments.follow {
        return follow::run(global, arguments);
    }
    let given = given_shard(arguments)?;
    let summary = run_partitions(global, arguments, given.as_ref())?;
    let exit = arguments.allow_skipped.exit(summary.exit());
    output::result(global, exit, &summary, Summary::print)?;
    summary.refuse_other_configuration()?;
    Ok(exit)
}

/// The share of the job that a run is given.
///
/// # Errors
/// Where what says so has no meaning, or there is none and an option that goes with one.
pub(crate) fn given_shard(arguments: &RunArguments) -> Result<Option<GivenShard>, Failure> {
    let given = GivenShard::find(arguments.select.shard)?;
    if arguments.no_help && given.is_none() {
        return Err(Failure::usage("--no-help needs a shard: add --shard I/N, or remove --no-help"));
    }
    Ok(given)
}

/// Runs the job, or the share of it that is given, and prints only progress.
pub(super) fn run_partitions(
    global: &GlobalArguments,
    arguments: &RunArguments,
    given: Option<&GivenShard>,
) -> Result<Summary, Failure> {
    let open = open(arguments, given)?;
    let (summary, reporters) = run_open(global, arguments, &open, &StopSignal::default())?;
    reporters.finish(summary.interrupted);
    next_step::tell(arguments, &open, &summary);
    Ok(summary)
}

/// Opens the job, or of it what an interrupted run has left.
fn open(arguments: &RunArguments, given: Option<&GivenShard>) -> Result<OpenJob, Failure> {
    let Some(run) = &arguments.continues else { return OpenJob::new(&arguments.select, given) };
    let continued = Continued::find(run, &arguments.select)?;
    let mut open = OpenJob::new(&continued.select(&arguments.select), given)?;
    continued.narrow(&mut open)?;
    Ok(open)
}

/// Runs a job that is open for the program around this library, which handles signals itself. Returns the record too.
pub(crate) fn run_embedded(
    arguments: &RunArguments,
    open: &OpenJob,
    stop: &StopSignal,
    start: impl FnOnce() -> Result<RunReporters, Failure>,
) -> Result<(Summary, Option<PathBuf>), Failure> {
    check_space(open)?;
    tell_before_work(&open.job(), &open.partitions, &arguments.replace)?;
    let (summary, reporters) = run_reported(arguments, open, stop, start)?;
    let record = reporters.finish(summary.interrupted);
    summary.refuse_other_configuration()?;
    Ok((summary, record))
}

/// Runs a job that is open, until `stop`, which signals request from now on. Returns the reporters that outlive the run.
pub(super) fn run_open(
    global: &GlobalArguments,
    arguments: &RunArguments,
    open: &OpenJob,
    stop: &StopSignal,
) -> Result<(Summary, TakenOver), Failure> {
    check_space(open)?;
    tell_before_work(&open.job(), &open.partitions, &arguments.replace)?;
    signals::handle_signals(stop, arguments.stop_within.map(Duration::from_secs))?;
    run_reported(arguments, open, stop, || {
        RunReporters::start(global, arguments, header(open, arguments, logging::run_id()))
    })
}

/// Runs a job that is open, until `stop`, which somebody else requests. Starts the reporters once it has said what it does.
fn run_reported(
    arguments: &RunArguments,
    open: &OpenJob,
    stop: &StopSignal,
    start: impl FnOnce() -> Result<RunReporters, Failure>,
) -> Result<(Summary, TakenOver), Failure> {
    let options =
        RunOptions { replace: arguments.replace.clone(), force: arguments.force, no_help: arguments.no_help };
    let kernel = Cpu::detect().name();
    // A fixed number is said when it is decided, with what speaks against it.
    let workers = match open.job().workers {
        Workers::Fixed(_) => String::new(),
        workers => format!("workers = {workers}, "),
    };
    logging::info(&format!("{workers}kernel on {kernel}"));
    let reporters = start()?;
    let report = run_job(&open.job(), &open.partitions, &options, stop, &reporters);
    let remaining =
        if arguments.force { Remaining::new(open.own_partitions(), &report) } else { Remaining::default() };
    reporters.add_remaining(&remaining.selectors());
    let (took, reporters) = reporters.finish(&report);
    let remaining = remaining.recorded_by(reporters.run().as_deref());
    let written = written_keys(&open.partitions, &report)
        .filter(|usable| open.selection.selects_whole_key(&usable.partition.key));
    let unfilled_windows = unfilled_windows(&open.config, written);
    unfilled::warn(&unfilled_windows, &open.config);
    let new_definition = NewDefinition::new(open, outcomes(&report).map(earlier));
    let summary = Summary::new(&report, open.share.clone(), arguments.no_help, took);
    if open.share.is_none() && open.selection.is_all() && summary.is_all_empty() {
        logging::warn(&all_empty(&open.config));
    }
    let job = arguments.select.job.clone();
    let summary = Summary { unfilled_windows, new_definition, remaining, job, ..summary };
    Ok((summary, reporters))
}

/// What is said of a job that has nothing to compute anywhere, which is more likely a slip than meant.
fn all_empty(config: &JobConfig) -> String {
    let unit = config.by.noun();
    format!(
        "no series has a row in any {unit} of the job: check from and to in [partitions], and the source tables"
    )
}

/// How each partition ended that the run worked on, in its own share and in others.
fn outcomes(report: &RunReport) -> impl Iterator<Item = &(Partition, Outcome)> {
    report.outcomes.iter().chain(report.other_shares.iter().flat_map(|others| &others.helped))
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
    let written: Vec<UsableRows<'_>> = outcomes(report)
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
    let needed = estimate_missing_bytes(&open.job(), open.own_partitions());
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
    let waiting = outcomes(report).filter(|(_, outcome)| matches!(outcome, Outcome::Waiting));
    let waiting: HashSet<&Partition> = waiting.map(|(partition, _)| partition).collect();
    let is_told = |(partition, pending): &&(Partition, PendingRows)| {
        pending_rows::is_worth_telling(pending) || waiting.contains(partition)
    };
    let told = report.pending.iter().filter(is_told).cloned();
    told.map(|(partition, pending)| PartitionPending { partition, pending }).collect()
}

/// What a run did, as it is printed. With a shard what is counted is its own share, but for rows, bytes and time.
#[derive(Default, serde::Serialize)]
pub(crate) struct Summary {
    /// The job as it was typed, for the commands that come next.
    #[serde(skip)]
    job: JobArguments,
    /// None where the run had the whole job.
    shard: Option<Share>,
    partitions: usize,
    written: usize,
    already_done: usize,
    /// Those that other runners wrote since it began.
    written_by_others: usize,
    /// Those of which no row is joined yet.
    waiting: usize,
    /// Those without features of which no series has a row.
    empty: Vec<Partition>,
    skipped: Vec<UndonePartition>,
    failed: Vec<UndonePartition>,
    not_started: usize,
    /// Of a run with --force that was interrupted, what it has not rewritten.
    remaining: Remaining,
    /// The partitions of the other shards; none where the run had the whole job.
    other_shards: Option<HelpSummary>,
    /// How often the source of a partition was read.
    source_reads: u64,
    /// The partitions that another runner was seen to have.
    seen_held: u64,
    /// That a runner with another configuration is at work on this job; none where none was seen.
    other_configuration: Option<OtherConfiguration>,
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

/// The most memory that this process ever held; none if the system does not report it.
pub(crate) fn peak_memory_bytes() -> Option<u64> {
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

impl Summary {
    pub(crate) fn new(report: &RunReport, share: Option<Share>, no_help: bool, took: Duration) -> Self {
        let mut summary = Self {
            shard: share,
            partitions: report.own_partitions,
            not_started: report.own_partitions,
            other_shards: report.other_shares.as_ref().map(|others| HelpSummary::new(others, no_help)),
            source_reads: report.source_reads,
            seen_held: report.seen_held,
            other_configuration: report.other_configuration.clone(),
            interrupted: report.interrupted,
            retries: report.retries,
            workers: report.workers_max,
            seconds: took.as_secs_f64(),
            peak_memory_bytes: peak_memory_bytes(),
            ..Self::default()
        };
        report.outcomes.iter().for_each(|(partition, outcome)| summary.add(partition, outcome));
        outcomes(report).for_each(|(partition, outcome)| summary.add_written(partition, outcome));
        summary.pending = told_pending(report);
        summary.rows_per_second = summary.rows as f64 / summary.seconds.max(1e-9);
        summary
    }

    /// The same with the memory of the processes that did it, where that was not this one.
    pub(crate) fn with_peak_memory(self, peak_memory_bytes: Option<u64>) -> Self {
        Self { peak_memory_bytes, ..self }
    }

    /// Adds what was written of a partition, whoever's it is.
    fn add_written(&mut self, partition: &Partition, outcome: &Outcome) {
        let Outcome::Written { counts, bytes, join_loss, .. } = outcome else { return };
        self.rows += counts.written_rows();
        self.bytes += bytes;
        self.no_value.add(&counts.no_value);
        self.join_lost_rows += counts.lost_rows;
        let loss = join_loss.clone();
        self.join_losses.extend(loss.map(|loss| PartitionLoss { partition: partition.clone(), loss }));
    }

    /// Adds how a partition ended that is this run's own.
    fn add(&mut self, partition: &Partition, outcome: &Outcome) {
        if !matches!(outcome, Outcome::Abandoned) {
            self.not_started = self.not_started.saturating_sub(1);
        }
        match outcome {
            Outcome::Written { .. } => self.written += 1,
            Outcome::AlreadyDone => self.already_done += 1,
            Outcome::WrittenByOther => self.written_by_others += 1,
            Outcome::Waiting => self.waiting += 1,
            Outcome::Empty => self.empty.push(partition.clone()),
            Outcome::LeftAlone(_) => self.skipped.extend(UndonePartition::new(partition, outcome)),
            _ => self.failed.extend(UndonePartition::new(partition, outcome)),
        }
    }

    /// Ends in an error where another configuration is at work on the same partitions, however the run itself ended.
    ///
    /// # Errors
    /// What to do about it.
    pub(super) fn refuse_other_configuration(&self) -> Result<(), Failure> {
        self.other_configuration.as_ref().map_or(Ok(()), |other| Err(other_configuration(other)))
    }

    /// Whether no partition has a row.
    fn is_all_empty(&self) -> bool {
        self.partitions > 0 && self.empty.len() == self.partitions
    }

    /// Whether it was stopped before all was done.
    pub(super) fn interrupted(&self) -> bool {
        self.interrupted
    }

    /// Whether it skipped the partition of this name.
    pub(super) fn has_skipped(&self, partition: &str) -> bool {
        self.skipped.iter().any(|problem| problem.partition.to_string() == partition)
    }

    /// Whether it skipped partitions in this state.
    pub(super) fn has_skipped_in(&self, state: State) -> bool {
        self.skipped.iter().any(|problem| problem.state == state.name())
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

    pub(crate) fn exit(&self) -> Exit {
        Exit::from_partitions(self.interrupted, !self.failed.is_empty(), !self.skipped.is_empty())
    }

    pub(super) fn print(&self) -> Result<(), Failure> {
        let lines = self.lines(|problem| detail_once(&problem.cause, problem.detail.as_deref()));
        lines.iter().try_for_each(|line| Ok(output::line(line)?))
    }

    /// The summary for people, with every cause as it is.
    pub(crate) fn text(&self) -> String {
        let lines = self.lines(|problem| problem.cause.clone());
        lines.iter().map(|line| foreign::printable(line, usize::MAX)).collect::<Vec<_>>().join("\n")
    }

    fn lines(&self, cause: impl Fn(&UndonePartition) -> String) -> Vec<String> {
        let mut lines = vec![self.counts_line()];
        if self.rows > 0 || self.written > 0 {
            lines.extend(self.written_lines());
        }
        let pending = self.pending.iter().take(ENTRIES_MAX);
        lines.extend(pending.map(|PartitionPending { partition, pending }| {
            format!("  {partition}: {}", pending_rows::sentence(pending))
        }));
        lines.extend(output::rest_line(self.pending.len(), "partition"));
        lines.extend(self.empty_line());
        lines.extend((self.retries > 0).then(|| self.retries_line()));
        for problems in [&self.failed, &self.skipped] {
            lines.extend(UndonePartition::lines(&problems.iter().collect::<Vec<_>>(), "", &cause));
        }
        lines.extend(self.other_shards.iter().flat_map(|others| others.lines(&cause)));
        lines.extend(ways_out(&self.job, &self.skipped, self.new_definition.as_ref()));
        lines.extend(self.interrupted.then(|| self.how_to_continue()));
        lines
    }

    fn how_to_continue(&self) -> String {
        let same = || "Interrupted. Run the same command again to continue.".to_owned();
        self.remaining.sentence().unwrap_or_else(same)
    }

    fn counts_line(&self) -> String {
        let some = |number: usize, what: &str| {
            if number > 0 { format!(", {number} {what}") } else { String::new() }
        };
        format!(
            "{}: {} written, {} already done{}{}{}, {} skipped, {} failed, {} not started",
            share::partitions(self.partitions, self.shard.as_ref()),
            self.written,
            self.already_done,
            some(self.written_by_others, "written by other runners"),
            some(self.waiting, "waiting"),
            some(self.empty.len(), "empty"),
            self.skipped.len(),
            self.failed.len(),
            self.not_started
        )
    }

    /// The partitions without a row, in one line.
    fn empty_line(&self) -> Option<String> {
        let empty = (!self.empty.is_empty()).then(|| few(&self.empty))?;
        Some(format!("  empty (no series has a row): {empty}"))
    }

    fn retries_line(&self) -> String {
        let attempts = format::plural(usize::try_from(self.retries).unwrap_or(usize::MAX), "attempt");
        let hit =
            if self.retries == 1 { "hit a transient error and was" } else { "hit transient errors and were" };
        format!("{attempts} {hit} retried")
    }

    fn written_lines(&self) -> [String; 2] {
        let memory = self.peak_memory_bytes.map_or("unknown".to_owned(), format::bytes);
        let NoValue { warmup, input, undefined, column, included } = self.no_value;
        let included = match included {
            0 => String::new(),
            count => format!(", {} included", format::count(count)),
        };
        [
            format!(
                "{} rows, {} in {:.1} s on {}: {} rows/s, {}/s, {memory} of memory at most",
                format::count(self.rows),
                format::bytes(self.bytes),
                self.seconds,
                format::plural(self.workers, "worker"),
                format::count(self.rows_per_second as u64),
                format::bytes((self.bytes as f64 / self.seconds.max(1e-9)) as u64)
            ),
            format!(
                "features without a value: {} warm-up, {} input, {} undefined, {} column{included}; {} rows lost in the join",
                format::count(warmup),
                format::count(input),
                format::count(undefined),
                format::count(column),
                format::count(self.join_lost_rows)
            ),
        ]
    }
}
