//! [`JoinedRuns`]: what the records of several runners of one job say together.

use serde::{Deserialize, Serialize};

use super::clock_disagreement::{self, ClockDisagreement};
use super::duplicate_work::DuplicateWork;
use super::host_line::{self, HostLine, HostWork, SlowerHost};
use super::imbalance::Imbalance;
use super::joined_limit::JoinedLimit;
use super::joined_point::{self, JoinedPoint, TimeGap};
use super::killed_runner::KilledRunner;
use super::more_machines::MoreMachines;
use super::runner_digest::RunnerDigest;
use super::runner_line::RunnerLine;
use super::shared_server::SharedServer;
use super::time_use::{TimeShare, TimeUse, WorkerTime};
use crate::analysis::FORMAT;

/// What several records say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinedRuns {
    /// [`FORMAT`].
    pub format: u32,
    /// What makes it one job: [`Header::job`](rollfit_job::record::Header::job).
    pub job: String,
    /// Where series come from, for people.
    pub source: String,
    /// Where features go, for people.
    pub sink: String,
    /// How it went.
    pub whole: JoinedSummary,
    /// What limits it.
    pub finding: JoinedLimit,
    /// What the time of all workers was spent on, the largest first.
    pub worker_time: Vec<TimeShare>,
    /// The sink's server, which is one.
    pub server: SharedServer,
    /// The hosts in order of their names.
    pub hosts: Vec<HostLine>,
    /// Those on which a row took longer than on the others.
    pub slower: Vec<SlowerHost>,
    /// The runners in order of their beginning.
    pub runners: Vec<RunnerLine>,
    /// How evenly they ended.
    pub imbalance: Option<Imbalance>,
    /// What was done more than once.
    pub duplicates: DuplicateWork,
    /// The runners whose record has no end.
    pub killed: Vec<KilledRunner>,
    /// Hosts whose clocks cannot both be right.
    pub clocks: Vec<ClockDisagreement>,
    /// When no runner was at work.
    pub gaps: Vec<TimeGap>,
    /// What more machines would give.
    pub more: MoreMachines,
    /// The whole over time, at most a few hundred points.
    pub timeline: Vec<JoinedPoint>,
}

/// How the whole went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinedSummary {
    /// When the first runner began, by its host's clock, RFC 3339.
    pub started: String,
    /// From then until the last one ended, in seconds.
    pub took_s: f64,
    /// Partitions that were written, rows and bytes, by all.
    pub partitions: u64,
    /// See [`JoinedSummary::partitions`].
    pub rows: u64,
    /// See [`JoinedSummary::partitions`].
    pub bytes: u64,
    /// Over the whole time.
    pub rows_per_s: f64,
    /// Over the whole time.
    pub bytes_per_s: f64,
    /// Failures of partitions; others may have written them.
    pub failed: u64,
    /// The workers of all runners, the most of each.
    pub workers: usize,
}

/// Records that cannot be joined.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// There are none.
    None,
    /// Two are of different jobs.
    OtherJob {
        /// The first record's run, and another's.
        runs: [String; 2],
        /// Where the features of each go.
        sinks: [String; 2],
    },
    /// One does not say when it began.
    NoStart {
        /// Its run.
        run: String,
        /// What stands there instead.
        started: String,
    },
}

impl JoinedRuns {
    /// What the records of one job say together. Of two records of one run the longer one counts.
    ///
    /// # Errors
    /// [`JoinError`], when they are not of one job or do not say when they began.
    pub fn new(runners: Vec<RunnerDigest>) -> Result<Self, JoinError> {
        let mut runners = distinct(runners);
        check_job(&runners)?;
        let started_us = runners.iter().map(started_us).collect::<Result<Vec<i64>, _>>()?;
        let first_us = started_us.iter().copied().min().unwrap_or(0);
        runners.sort_by_cached_key(|runner| (runner.started_us, runner.header.run.clone()));
        let began_s: Vec<f64> = runners.iter().map(|runner| since_s(runner, first_us)).collect();
        let ends = || runners.iter().zip(&began_s).map(|(runner, began_s)| began_s + runner.run.took_s);
        let took_s = ends().fold(0.0, f64::max);
        for (runner, began_s) in runners.iter_mut().zip(&began_s) {
            let workers = runner.workers_max as f64;
            runner.time.add(TimeUse::BeforeStart, workers * began_s);
            runner.time.add(TimeUse::AfterEnd, workers * (took_s - began_s - runner.run.took_s));
        }
        Ok(Self::of_one_job(&runners, &began_s, took_s))
    }

    fn of_one_job(runners: &[RunnerDigest], began_s: &[f64], took_s: f64) -> Self {
        let header = &runners[0].header;
        let lines: Vec<RunnerLine> = runners
            .iter()
            .zip(began_s)
            .map(|(runner, began_s)| RunnerLine::new(runner, *began_s, took_s))
            .collect();
        let whole = JoinedSummary::new(runners, took_s);
        let hosts = HostWork::all(runners);
        let time = WorkerTime::sum(runners.iter().map(|runner| runner.time));
        let server = SharedServer::new(runners);
        let imbalance = Imbalance::new(runners, &lines, took_s);
        let worked_s: f64 = runners.iter().map(|runner| runner.run.workers * runner.run.took_s).sum();
        let spans = lines.iter().map(|line| (line.began_s, line.ended_s)).collect();
        Self {
            format: FORMAT,
            job: header.job.clone(),
            source: header.source.clone(),
            sink: header.sink.clone(),
            finding: JoinedLimit::new(
                &time,
                &hosts,
                &server,
                imbalance.as_ref(),
                whole.partitions,
                whole.workers,
            ),
            worker_time: time.shares(),
            more: MoreMachines::new(&hosts, &time, &server, worked_s / took_s.max(1e-3), took_s),
            slower: host_line::slower(&hosts),
            hosts: hosts.into_iter().map(|host| host.line).collect(),
            server,
            imbalance,
            duplicates: DuplicateWork::new(runners),
            killed: KilledRunner::all(runners, began_s),
            clocks: clock_disagreement::disagreements(runners, began_s),
            gaps: joined_point::gaps(spans),
            timeline: joined_point::timeline(runners, began_s, took_s),
            runners: lines,
            whole,
        }
    }
}

impl JoinedSummary {
    fn new(runners: &[RunnerDigest], took_s: f64) -> Self {
        let sum = |of: fn(&RunnerDigest) -> u64| runners.iter().map(of).sum::<u64>();
        let (rows, bytes) = (sum(|runner| runner.rows), sum(|runner| runner.bytes));
        Self {
            started: runners[0].header.started.clone(),
            took_s,
            partitions: sum(|runner| runner.written),
            rows,
            bytes,
            rows_per_s: rows as f64 / took_s.max(1e-3),
            bytes_per_s: bytes as f64 / took_s.max(1e-3),
            failed: sum(|runner| runner.failed),
            workers: runners.iter().map(|runner| runner.workers_max).sum(),
        }
    }
}

/// Each run once.
fn distinct(runners: Vec<RunnerDigest>) -> Vec<RunnerDigest> {
    let mut distinct: Vec<RunnerDigest> = Vec::new();
    for runner in runners {
        match distinct.iter_mut().find(|known| known.is_same_run(&runner)) {
            Some(known) if runner.is_longer(known) => *known = runner,
            Some(_) => {}
            None => distinct.push(runner),
        }
    }
    distinct
}

fn check_job(runners: &[RunnerDigest]) -> Result<(), JoinError> {
    let first = &runners.first().ok_or(JoinError::None)?.header;
    let is_other =
        |runner: &&RunnerDigest| runner.header.job != first.job || runner.header.sink != first.sink;
    match runners.iter().find(is_other).map(|runner| &runner.header) {
        None => Ok(()),
        Some(other) => Err(JoinError::OtherJob {
            runs: [first.run.clone(), other.run.clone()],
            sinks: [first.sink.clone(), other.sink.clone()],
        }),
    }
}

fn started_us(runner: &RunnerDigest) -> Result<i64, JoinError> {
    runner.started_us.ok_or_else(|| JoinError::NoStart {
        run: runner.header.run.clone(),
        started: runner.header.started.clone(),
    })
}

fn since_s(runner: &RunnerDigest, first_us: i64) -> f64 {
    runner.started_us.unwrap_or(first_us).saturating_sub(first_us) as f64 / 1e6
}
