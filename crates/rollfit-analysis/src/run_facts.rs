//! [`RunFacts`]: what a record says, put together once for all who ask: how the run went, what a partition cost, how busy
//! machine and store were, and the [`Scenario`] that follows from it.

use std::collections::HashSet;

use super::concurrency_level::ConcurrencyLevel;
use super::demand::{Demand, RoundTripTimes, SeenWaiting, written};
use super::fitted::{Measured, as_met, fitted};
use super::no_estimate::NoEstimate;
use super::observed::WaitShare;
use super::observed::{Observed, other_runners};
use super::scenario::{Ceilings, Scenario};
use super::server_cpu::ServerCpuBasis;
use super::step_series::StepSeries;
use super::tuning::{FREE_OF_LIMITS, UNCERTAINTY_LEAST, UNCERTAINTY_MOST};
use super::work::{Cores, Queue, ServerCores, Wait, Work};
use rollfit_job::activity::Activity;
use rollfit_job::config::{Order, Setting, Workers};
use rollfit_job::partition::Partition;
use rollfit_job::record::{Decision, PartitionEnd, PartitionOutcome, Record, WorkerCeiling};
use rollfit_job::store::{StoreSample, WaitKind};
use rollfit_job::watch::Totals;
use rollfit_job::workers::{auto_workers_max, workers_with_sessions};

/// What a record says.
pub(super) struct RunFacts<'a> {
    pub(super) record: &'a Record,
    pub(super) took_s: f64,
    pub(super) totals: Totals,
    /// How many partitions were in progress.
    pub(super) in_progress: StepSeries,
    /// What a written partition cost; none where none was written.
    pub(super) demand: Demand,
    pub(super) levels: Vec<ConcurrencyLevel>,
    pub(super) observed: Observed,
    pub(super) scenario: Scenario,
    /// For how long a partition keeps the disk busy; none where the store is no files, or that was not seen.
    pub(super) disk_s: Option<f64>,
    /// Whether anything is estimated from it.
    pub(super) predicts: bool,
}

impl<'a> RunFacts<'a> {
    /// That of a record; none where no partition was written.
    pub(super) fn from_record(record: &'a Record) -> Option<Self> {
        let demand = Demand::from_ends(written(record), RoundTripTimes::from_record(record))?;
        let demand = if asks_source_alone(record) { demand.asking_source() } else { demand };
        let (took_s, totals) = (took_s(record), totals(record));
        let in_progress = StepSeries::in_progress(record);
        let observed = Observed::new(record);
        let waiting_s = |wait| observed.sessions_waiting(wait) * took_s / demand.partitions as f64;
        let seen = SeenWaiting { bytes_s: waiting_s(WaitKind::Client), durable_s: waiting_s(WaitKind::Sync) };
        let demand = demand.waiting_for_cores(core_wait_s(&demand, &observed, took_s)).seen_waiting(seen);
        let levels = ConcurrencyLevel::all(record, sessions_workers(record), observed.competing.as_ref());
        let held_s = held_s(record, took_s);
        let had = had(record, &in_progress, took_s);
        let busy_s = in_progress.above_s(0.5, 0.0, took_s).max(1e-3);
        let workers = (in_progress.mean(0.0, took_s) * took_s / busy_s).round().max(1.0) as usize;
        let scenario = Scenario { had, held_s, ..scenario(record, &demand, &levels, &observed, workers) };
        let predicts = NoEstimate::from_record(record).is_none();
        let disk_s = disk_s(record, &demand, &observed);
        let facts = Self {
            record,
            took_s,
            totals,
            in_progress,
            demand,
            levels,
            observed,
            scenario,
            disk_s,
            predicts,
        };
        let missed = facts.job_s() / facts.scenario.job_as_had_s().expected;
        let missed = if missed.is_finite() { missed } else { 1.0 };
        Some(Self { scenario: Scenario { missed, ..facts.scenario }, ..facts })
    }

    /// The same where earlier estimates say how uncertain this one is, relative.
    pub(super) fn with_uncertainty(self, uncertainty: Option<f64>) -> Self {
        match uncertainty {
            Some(uncertainty) => Self { scenario: self.scenario.with_uncertainty(uncertainty), ..self },
            None => self,
        }
    }

    /// A setting of the run.
    pub(super) fn setting(&self, name: &str) -> Option<&'a Setting> {
        setting(self.record, name)
    }

    /// Rows written a second.
    pub(super) fn rows_per_s(&self) -> f64 {
        self.demand.rows * self.demand.partitions as f64 / self.took_s.max(1e-3)
    }

    /// Bytes written a second.
    pub(super) fn bytes_per_s(&self) -> f64 {
        self.demand.bytes * self.demand.partitions as f64 / self.took_s.max(1e-3)
    }

    /// How long the whole job takes at this rate, from nothing.
    pub(super) fn job_s(&self) -> f64 {
        if self.demand.partitions >= self.scenario.rows.len() {
            return self.took_s;
        }
        self.scenario.rows.iter().sum::<f64>() / self.rows_per_s()
    }

    /// The share of the rows of the whole job that is not written yet.
    pub(super) fn share_left(&self) -> f64 {
        let all: f64 = self.scenario.rows.iter().sum();
        let ended = self.scenario.rows.len().saturating_sub(unended(self.record) as usize);
        let left: f64 = self.scenario.rows.iter().skip(ended).sum();
        left / all
    }

    /// The workers that there were, on average.
    pub(super) fn workers(&self) -> f64 {
        self.in_progress.mean(0.0, self.took_s)
    }

    /// The share of the run that workers had no partition, of as many as there were at most.
    pub(super) fn idle_share(&self) -> f64 {
        (1.0 - self.workers() / self.workers_max() as f64).max(0.0)
    }

    /// The share of all cores that are busy, with whatever.
    pub(super) fn cores_busy(&self) -> Option<f64> {
        let machine = &self.record.header.machine;
        let all = machine.cores.map(|cores| cores as f64).or(machine.cores_allowed)?;
        let own = self.observed.own_cores?;
        let of_all = (own + self.observed.others_cores.unwrap_or(0.0)) / all;
        let of_allowed = own / machine.cores_allowed.unwrap_or(all);
        Some(of_all.max(of_allowed).min(1.0))
    }

    /// The cores that affinity and quota allow, of all.
    pub(super) fn cores_allowed(&self, all: f64) -> f64 {
        self.record.header.machine.cores_allowed.unwrap_or(all).min(all)
    }

    /// How long a partition waits for locks of others: where not for sessions, it waits for nothing else. None of that is believed without
    /// evidence: what sessions were seen to wait for, or a partition that others held.
    pub(super) fn locked_s(&self) -> f64 {
        let seen_s = self.locked_seen_s();
        if seen_s <= 0.0 && held(self.record).is_empty() {
            return 0.0;
        }
        let for_sessions = self.scenario.ceilings.sessions.is_some_and(|most| self.workers_max() > most);
        let waiting_s = if for_sessions { 0.0 } else { self.demand.waiting_s };
        // A look a second misses some and meets others twice.
        const SURE_S: f64 = 2.0;
        let believed_s = if held(self.record).is_empty() {
            (2.0 * seen_s + SURE_S) / self.demand.partitions as f64
        } else {
            f64::INFINITY
        };
        waiting_s.min(believed_s) + self.locked_while_querying_s()
    }

    /// For how long sessions of this run were seen waiting for locks, all of them together.
    fn locked_seen_s(&self) -> f64 {
        let mut before_ms = 0;
        let mut seen_s = 0.0;
        for sample in &self.record.samples {
            let lasted_s = sample.at_ms.saturating_sub(before_ms) as f64 / 1e3;
            before_ms = sample.at_ms;
            seen_s += lasted_s * sample.store.as_ref().map_or(0.0, locked_sessions);
        }
        seen_s
    }

    /// How long a partition waits for small answers, locks apart.
    pub(super) fn asked_s(&self) -> f64 {
        (self.demand.querying_s - self.locked_while_querying_s()).max(0.0)
    }

    /// Sessions that the store says wait for locks, of those that ask it small things.
    fn locked_while_querying_s(&self) -> f64 {
        let waits = self.observed.waits.iter();
        let locked: f64 =
            waits.filter(|((kind, _), _)| *kind == WaitKind::Lock).map(|(_, count)| count).sum();
        let each_s = locked * self.took_s / self.demand.partitions as f64;
        (each_s - self.demand.waiting_s).clamp(0.0, self.demand.querying_s)
    }

    /// What at least `sessions_min` sessions waited for within the store, on average.
    pub(super) fn store_waits(&self, sessions_min: f64) -> Vec<WaitShare> {
        let waits = self.observed.waits.iter().filter(|(_, sessions)| **sessions >= sessions_min);
        let share = |((kind, event), sessions): (&(WaitKind, String), &f64)| WaitShare {
            wait: *kind,
            event: event.clone(),
            sessions: *sessions,
        };
        waits.map(share).collect()
    }

    /// The most workers that partitions were in progress of at once.
    pub(super) fn workers_max(&self) -> usize {
        let sampled = self.record.samples.iter().map(|sample| sample.workers).max().unwrap_or(0);
        sampled.max(self.levels.last().map_or(1, |level| level.workers))
    }
}

/// The sessions that wait for locks, at least one where somebody holds some of them.
fn locked_sessions(store: &StoreSample) -> f64 {
    let waits = store.waits.iter().filter(|wait| wait.kind == WaitKind::Lock);
    let sessions: u32 = waits.map(|wait| wait.sessions).sum();
    f64::from(sessions.max(u32::from(!store.lock_holders.is_empty())))
}

/// What a worker waited for a core beside the time in which it computed: all that its threads waited, less what stretched its own work.
fn core_wait_s(demand: &Demand, observed: &Observed, took_s: f64) -> f64 {
    let all_s = observed.waiting_threads.unwrap_or(0.0) * took_s / demand.partitions as f64;
    all_s - (demand.stretch - 1.0) * demand.cpu_s
}

/// A setting of a run.
pub(super) fn setting<'a>(record: &'a Record, name: &str) -> Option<&'a Setting> {
    record.header.settings.iter().find(|setting| setting.name == name)
}

fn number_set(record: &Record, name: &str) -> Option<f64> {
    setting(record, name)?.value.as_ref()?.parse().ok()
}

/// The workers that the configuration sets.
pub(super) fn workers_set(record: &Record) -> Workers {
    let value = setting(record, "run.workers").and_then(|setting| setting.value.as_ref());
    value.and_then(|value| value.parse().ok()).unwrap_or(Workers::Auto)
}

/// How long the run took, or has taken as far as is known.
pub(super) fn took_s(record: &Record) -> f64 {
    let last_sample = record.samples.last().map(|sample| sample.at_ms);
    let last_end = record.partitions.iter().map(|end| end.at_ms).max();
    let seen_ms = last_sample.into_iter().chain(last_end).max().unwrap_or(0);
    record.end.as_ref().map_or(seen_ms, |end| end.at_ms) as f64 / 1e3
}

/// What was done, as far as is known.
pub(super) fn totals(record: &Record) -> Totals {
    let last_sample = record.samples.last().map(|sample| sample.totals);
    record.end.as_ref().map(|end| end.totals).or(last_sample).unwrap_or_default()
}

/// The partitions of a run that have not ended, whatever became of those that have.
pub(super) fn unended(record: &Record) -> u64 {
    let totals = totals(record);
    totals.partitions.max(record.header.partitions).saturating_sub(totals.ended)
}

/// For which shares of the time in which there was work for all the run had how many workers; nothing where all partitions
/// were begun at once, so that there was no such time.
fn had(record: &Record, in_progress: &StepSeries, took_s: f64) -> Vec<(usize, f64)> {
    const LEAST: f64 = 0.1;
    let until_s = last_begun_s(record);
    if until_s < LEAST * took_s { Vec::new() } else { in_progress.shares(0.0, until_s) }
}

fn scenario(
    record: &Record,
    demand: &Demand,
    levels: &[ConcurrencyLevel],
    observed: &Observed,
    workers: usize,
) -> Scenario {
    let ceilings = ceilings(record, observed);
    let sessions_bind = ceilings.sessions.is_some_and(|most| levels.iter().any(|level| level.workers > most));
    // What a limit costs follows from the limit, and not from how long it made workers wait.
    let waiting_s = if sessions_bind { 0.0 } else { demand.waiting_s };
    let measured = measured(record, demand, levels, observed, workers);
    let server = &observed.server;
    let quota_cores = used_up_quota(record, observed);
    let cores = cores_beside_quota(mean_cores(&measured), quota_cores);
    let elsewhere = server.cores.zip(server.partition_s).filter(|_| !server.is_local);
    let elsewhere = elsewhere.map(|(cores, cpu_s)| ServerCores { cores, cpu_s });
    // What limits of the configuration cost follows from the limit, and not from how long they made workers wait.
    let met = Demand { waiting_s, throttled_s: 0.0, ..*demand };
    let busy_cores = observed.own_cores.map(|own| own + observed.others_cores.unwrap_or(0.0));
    let store_cpu_s = server.local_partition_s();
    let work = Work {
        ease: busy_cores.map_or(1.0, |busy| cores.ease(busy)),
        cores_max: number_set(record, "run.cpu_max"),
        quota_cores,
        bytes_per_s_max: number_set(record, "run.store_write_mb_per_s_max").map(|mb| mb * 1e6),
        store_cpu_s: store_cpu_s * busy_cores.map_or(1.0, |busy| cores.awake(busy)),
        ..Work::new(&met, store_cpu_s, elsewhere, cores)
    };
    // Numbers of workers that a limit throttled say nothing of the rest.
    let is_free = |(at, level): &(usize, &Measured)| {
        let met = levels.get(*at).map_or(demand, |level| &level.demand);
        level.rate < FREE_OF_LIMITS * work.own_limit()
            && met.throttled_s < (1.0 - FREE_OF_LIMITS) * met.wall_s
    };
    let free = measured.iter().enumerate().filter(|level| quota_cores.is_none() && is_free(level));
    let free: Vec<Measured> = free.map(|(_, level)| *level).collect();
    let variants = variants(&work, store_cpu_s, &free, usual(record), disk_s(record, demand, observed));
    let scatter = levels.iter().map(ConcurrencyLevel::uncertainty).fold(f64::INFINITY, f64::min);
    Scenario {
        uncertainty: scatter.clamp(UNCERTAINTY_LEAST, UNCERTAINTY_MOST),
        variants,
        workers: workers_set(record),
        workers_measured: measured.iter().map(|level| level.workers).max().unwrap_or(1),
        unseen_above: (server.basis == ServerCpuBasis::Unknown)
            .then(|| measured.iter().map(|level| level.rate * demand.rows).fold(0.0, f64::max)),
        is_beside_runners: other_runners(record).is_some_and(|runners| runners > 0),
        had: Vec::new(),
        ceilings,
        order: match setting(record, "run.order").and_then(|setting| setting.value.as_deref()) {
            Some("largest-first") => Order::LargestFirst,
            Some("spread") => Order::Spread,
            _ => Order::Plan,
        },
        rows: rows(record, demand.rows),
        fixed_share: fixed_share(record, demand),
        held_s: 0.0,
        missed: 1.0,
    }
}

/// The quota of the control group, where it was used up for most of the run.
fn used_up_quota(record: &Record, observed: &Observed) -> Option<f64> {
    record.header.machine.cores_allowed.filter(|_| observed.quota_reached.is_some_and(|share| share > 0.5))
}

/// What the work may be like, by what no limit throttled, or where all was throttled, by what was waited for. Whether the server will need less
/// than it did, `store_cpu_s`, is not certain.
fn variants(
    work: &Work,
    store_cpu_s: f64,
    free: &[Measured],
    usual: Queue,
    disk_s: Option<f64>,
) -> Vec<Work> {
    let fit = |work: &Work| match free {
        [] => as_met(work, usual, disk_s),
        free => fitted(work, free, usual),
    };
    let as_measured = (work.store_cpu_s < store_cpu_s).then_some(Work { store_cpu_s, ..*work });
    fit(work).into_iter().chain(as_measured.iter().flat_map(fit)).collect()
}

/// For how long a partition keeps the disk of a store in files busy. Files are had one at a time; what a server's disk does is not waited for
/// as a whole.
fn disk_s(record: &Record, demand: &Demand, observed: &Observed) -> Option<f64> {
    let busy = observed.disk_busy.filter(|_| writes_files(record));
    busy.map(|busy| busy * took_s(record) / demand.partitions as f64)
}

/// The cores of this process and its server: all of the machine's where the quota, which holds this process alone, is a limit of its own.
fn cores_beside_quota(cores: Cores, quota_cores: Option<f64>) -> Cores {
    if quota_cores.is_some() { cores.allowing(cores.all) } else { cores }
}

/// What numbers of workers did: each level, or where none lasted, the whole run.
fn measured(
    record: &Record,
    demand: &Demand,
    levels: &[ConcurrencyLevel],
    observed: &Observed,
    workers: usize,
) -> Vec<Measured> {
    let at_level = |level: &ConcurrencyLevel| {
        let cores = observed.cores(record, level.others_cores, level.demand.stretch);
        Measured::new(level.active, level.demand.wall_s, level.uncertainty(), cores)
    };
    if !levels.is_empty() {
        return levels.iter().map(at_level).collect();
    }
    let most = sessions_workers(record).unwrap_or(workers);
    let waited_s = if workers > most { demand.waiting_s } else { 0.0 };
    let cores = observed.cores(record, observed.competing_mean, demand.stretch);
    vec![Measured::new(workers.min(most), demand.wall_s - waited_s, UNCERTAINTY_MOST, cores)]
}

/// How what is waited for usually behaves: files are read and written one at a time, servers answer everybody at once.
fn usual(record: &Record) -> Queue {
    let to_files = writes_files(record);
    let from_files = if has_one_kind(record) { to_files } else { !to_files };
    Queue::new(1.0, |wait| if wait == Wait::Source { from_files } else { to_files })
}

fn writes_files(record: &Record) -> bool {
    record.header.sessions_max.is_none() && record.header.sink_is_local != Some(false)
}

fn has_one_kind(record: &Record) -> bool {
    record.header.source_kind == record.header.sink_kind
}

/// Whether all that is asked is asked of the source, which is a server: files answer nothing.
fn asks_source_alone(record: &Record) -> bool {
    writes_files(record) && !has_one_kind(record)
}

/// The cores of all levels: competing load was the same all the time, or came and went.
fn mean_cores(measured: &[Measured]) -> Cores {
    let mean = |of: fn(&Cores) -> f64| {
        measured.iter().map(|level| of(&level.cores)).sum::<f64>() / measured.len() as f64
    };
    Cores {
        allowed: mean(|cores| cores.allowed),
        own_max: mean(|cores| cores.own_max),
        all: mean(|cores| cores.all),
        competing_cores: mean(|cores| cores.competing_cores),
        system_share: mean(|cores| cores.system_share),
    }
}

fn ceilings(record: &Record, observed: &Observed) -> Ceilings {
    Ceilings {
        sessions: sessions_workers(record),
        memory: memory_workers(record, observed),
        auto: auto_workers_max(record.header.machine.cores_allowed),
    }
}

/// The workers that there is memory for: as many as the policy said, where it said so, or as many as samples say.
fn memory_workers(record: &Record, observed: &Observed) -> Option<usize> {
    let by_memory = |decision: &&Decision| decision.held_back_by == Some(WorkerCeiling::Memory);
    let decided = record.decisions.iter().rev().find(by_memory).map(|decision| decision.workers);
    decided.into_iter().chain(observed.memory_workers(&record.header.machine)).min()
}

/// The workers that there are sessions for.
pub(super) fn sessions_workers(record: &Record) -> Option<usize> {
    record.header.sessions_max.map(|sessions| workers_with_sessions(sessions as usize))
}

/// The rows of each partition of the whole job: those written as they were begun, then the others, which are not known,
/// as many as they have on average.
fn rows(record: &Record, mean: f64) -> Vec<f64> {
    let mut begun: Vec<(u64, f64)> = written(record).map(|end| (end.begun_ms, end.rows as f64)).collect();
    begun.sort_by_key(|(begun_ms, _)| *begun_ms);
    let all = (record.header.partitions as usize).max(begun.len());
    let unknown = std::iter::repeat_n(mean, all - begun.len());
    begun.iter().map(|(_, rows)| *rows).chain(unknown).collect()
}

/// The share of the time for round trips and the commit that a partition costs whatever its size, by how these times
/// grew with the rows.
fn fixed_share(record: &Record, demand: &Demand) -> f64 {
    let asked_us = |end: &PartitionEnd| {
        const FIXED: [Activity; 6] = [
            Activity::Querying,
            Activity::Deleting,
            Activity::Keying,
            Activity::Analyzing,
            Activity::Committing,
            Activity::Vacuuming,
        ];
        FIXED.into_iter().map(|activity| end.wall_us.get(activity)).sum::<u64>() as f64
    };
    let mean_us = written(record).map(asked_us).sum::<f64>() / demand.partitions as f64;
    let about = written(record).map(|end| (end.rows as f64 - demand.rows, asked_us(end) - mean_us));
    let (covariance, variance) = about.fold((0.0, 0.0), |(xy, xx), (x, y)| (xy + x * y, xx + x * x));
    if variance <= 0.0 || mean_us <= 0.0 {
        return 1.0;
    }
    (1.0 - covariance / variance * demand.rows / mean_us).clamp(0.0, 1.0)
}

/// When the last partition was begun that nobody else held: from then on workers leave.
fn last_begun_s(record: &Record) -> f64 {
    let held = held(record);
    let free = record.partitions.iter().filter(|end| !held.contains(&end.partition));
    free.map(|end| end.begun_ms).max().unwrap_or(0) as f64 / 1e3
}

/// The partitions that others held: that said so, or failed while sessions of this run waited for the locks of others.
pub(super) fn held(record: &Record) -> HashSet<&Partition> {
    let stores = record.samples.iter().filter_map(|sample| sample.store.as_ref());
    let locked = stores.into_iter().any(|store| !store.lock_holders.is_empty());
    let is_held = |end: &&PartitionEnd| {
        let is_locked = locked || end.locked_by.is_some();
        end.outcome == PartitionOutcome::Held || is_locked && end.outcome == PartitionOutcome::Failed
    };
    record.partitions.iter().filter(is_held).map(|end| &end.partition).collect()
}

/// How long, at the end, the run had nothing else to do than partitions that others held.
fn held_s(record: &Record, took_s: f64) -> f64 {
    let held = held(record);
    let free = record.partitions.iter().filter(|end| !held.contains(&end.partition));
    let work = Demand::from_ends(
        written(record).filter(|end| held.contains(&end.partition)),
        RoundTripTimes::from_record(record),
    );
    match free.map(|end| end.at_ms).max() {
        Some(last_ms) if !held.is_empty() => {
            let work_s = work.map_or(0.0, |demand| demand.wall_s - demand.waiting_s);
            (took_s - last_ms as f64 / 1e3 - work_s).max(0.0)
        }
        _ => 0.0,
    }
}
