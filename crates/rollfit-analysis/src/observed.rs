//! [`Observed`]: how busy machine and store were while the run went on, from its samples.
//!
//! Invariants: what no sample holds is `None`.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use super::server_cpu::ServerCpu;
use super::step_series::StepSeries;
use super::work::Cores;
use rollfit_job::record::{Record, Sample};
use rollfit_job::store::WaitKind;
use rollfit_job::watch::MachineLimits;
use rollfit_job::workers::{ALLOCATOR, memory_reserve_bytes};

/// Sessions that waited within the store, on average.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitShare {
    /// For what kind of thing.
    pub wait: WaitKind,
    /// What the store calls it.
    pub event: String,
    /// How many.
    pub sessions: f64,
}

/// How busy machine and store were. Means are those of the whole run.
#[derive(Debug, Default)]
pub(super) struct Observed {
    pub(super) own_cores: Option<f64>,
    /// Cores kept busy by others, the store's server included.
    pub(super) others_cores: Option<f64>,
    /// The processor time of the sink's server, and how it is known.
    pub(super) server: ServerCpu,
    /// Cores kept busy by those who have nothing to do with the run; over time, and on average.
    pub(super) competing: Option<StepSeries>,
    pub(super) competing_mean: f64,
    pub(super) stolen_cores: Option<f64>,
    /// The share of the periods of its quota in which this process's control group had used it up; none where it has none.
    pub(super) quota_reached: Option<f64>,
    pub(super) waiting_threads: Option<f64>,
    pub(super) load: Option<f64>,
    /// The most cores that others can have wanted, by how the load average moved; none where that is not known.
    pub(super) competing_wanted_max: Option<f64>,
    pub(super) cpu_pressure: Option<f64>,
    pub(super) io_pressure: Option<f64>,
    pub(super) memory_pressure: Option<f64>,
    pub(super) read_bytes_per_s: Option<f64>,
    pub(super) written_bytes_per_s: Option<f64>,
    /// Of the device of the store: the share of the time that it was busy, and what everybody read and wrote.
    pub(super) disk_busy: Option<f64>,
    pub(super) disk_read_bytes_per_s: Option<f64>,
    pub(super) disk_written_bytes_per_s: Option<f64>,
    /// What this process holds without workers, and what a worker holds.
    pub(super) base_bytes: Option<f64>,
    pub(super) worker_bytes: Option<f64>,
    /// The most that this process held.
    pub(super) memory_bytes_max: Option<u64>,
    /// The least memory of the machine that nobody had taken, whatever a control group allows.
    pub(super) machine_free_bytes: Option<u64>,
    /// The least that it could have held.
    pub(super) room_bytes: Option<f64>,
    /// The most sessions of this process, and of everybody, and what the store allows everybody.
    pub(super) own_sessions: Option<u32>,
    pub(super) sessions: Option<u32>,
    pub(super) sessions_max: Option<u32>,
    /// How many sessions waited within the store for what, on average.
    pub(super) waits: BTreeMap<(WaitKind, String), f64>,
    pub(super) lock_holders: BTreeSet<String>,
}

/// The most runners that were at work on the store beside that of the record; none where no sample says.
pub(super) fn other_runners(record: &Record) -> Option<u32> {
    record.samples.iter().filter_map(|sample| sample.store.as_ref()?.other_runners).max()
}

impl Observed {
    pub(super) fn new(record: &Record) -> Self {
        let mean =
            |of: fn(&Sample) -> Option<f64>| Some(StepSeries::sampled(record, of)?.mean(0.0, last_s(record)));
        let mut observed = Self {
            own_cores: mean(|sample| sample.machine.own_cores),
            others_cores: mean(|sample| sample.machine.others_cores),
            server: ServerCpu::new(record),
            stolen_cores: mean(|sample| sample.machine.stolen_cores),
            quota_reached: mean(|sample| sample.machine.quota_reached),
            waiting_threads: mean(|sample| sample.machine.waiting_threads),
            load: record.samples.iter().filter_map(|sample| sample.machine.load).reduce(f64::max),
            cpu_pressure: mean(|sample| sample.machine.cpu_pressure),
            io_pressure: mean(|sample| sample.machine.io_pressure),
            memory_pressure: mean(|sample| sample.machine.memory_pressure),
            read_bytes_per_s: mean(|sample| sample.machine.read_bytes_per_s),
            written_bytes_per_s: mean(|sample| sample.machine.written_bytes_per_s),
            disk_busy: mean(|sample| sample.machine.disk_busy),
            disk_read_bytes_per_s: mean(|sample| sample.machine.disk_read_bytes_per_s),
            disk_written_bytes_per_s: mean(|sample| sample.machine.disk_written_bytes_per_s),
            ..Self::default()
        };
        observed.look_at_memory(record);
        observed.look_at_store(record);
        observed.competing = StepSeries::sampled(record, |sample| observed.server.competing(sample));
        let competing = observed.competing.as_ref();
        observed.competing_mean = competing.map_or(0.0, |course| course.mean(0.0, last_s(record)).max(0.0));
        let wanted = competing_wanted_max(&record.samples, &observed.server);
        observed.competing_wanted_max = wanted.map(|wanted| wanted.max(observed.competing_mean));
        observed
    }

    fn look_at_memory(&mut self, record: &Record) {
        let known = || {
            let sample = |sample: &Sample| {
                let own = sample.machine.own_memory_bytes? as f64;
                Some((own, ALLOCATOR * sample.workers_memory_bytes as f64, sample.workers as f64))
            };
            record.samples.iter().filter_map(sample)
        };
        self.memory_bytes_max =
            record.samples.iter().filter_map(|sample| sample.machine.own_memory_bytes).max();
        let mut bases: Vec<f64> = known().map(|(own, workers, _)| (own - workers).max(0.0)).collect();
        bases.sort_by(f64::total_cmp);
        self.base_bytes = bases.get(bases.len() / 2).copied();
        self.worker_bytes = known()
            .filter(|(_, held, workers)| *held > 0.0 && *workers > 0.0)
            .map(|(_, held, workers)| held / workers)
            .reduce(f64::max);
        self.machine_free_bytes =
            record.samples.iter().filter_map(|sample| sample.machine.machine_free_memory_bytes).min();
        let room = |sample: &Sample| {
            Some((sample.machine.own_memory_bytes? + sample.machine.free_memory_bytes?) as f64)
        };
        // Pages of files that this process maps count as its own, and as free.
        let MachineLimits { memory_bytes, memory_allowed_bytes, .. } = record.header.machine;
        let allowed = [memory_bytes, memory_allowed_bytes].into_iter().flatten().map(|bytes| bytes as f64);
        self.room_bytes = record.samples.iter().filter_map(room).reduce(f64::min);
        self.room_bytes = self.room_bytes.map(|room| allowed.fold(room, f64::min));
    }

    fn look_at_store(&mut self, record: &Record) {
        let stores: Vec<_> = record.samples.iter().filter_map(|sample| sample.store.as_ref()).collect();
        self.own_sessions = stores.iter().map(|store| store.own_sessions).max();
        self.sessions = stores.iter().filter_map(|store| store.sessions).max();
        self.sessions_max = stores.iter().filter_map(|store| store.sessions_max).max();
        // Before workers have sessions none of them can wait.
        let with_sessions = stores.iter().filter(|store| store.own_sessions > 0);
        let looks = with_sessions.clone().count() as f64;
        for store in with_sessions {
            self.lock_holders.extend(store.lock_holders.iter().cloned());
            for wait in &store.waits {
                let sessions = self.waits.entry((wait.kind, wait.event.clone())).or_default();
                *sessions += f64::from(wait.sessions) / looks;
            }
        }
    }

    /// How many workers memory has room for, with some of it left alone as the policy leaves it; none where that is not
    /// known.
    pub(super) fn memory_workers(&self, limits: &MachineLimits) -> Option<usize> {
        let room = self.room_bytes? - self.base_bytes? - memory_reserve_bytes(limits) as f64;
        Some((room / self.worker_bytes?).floor().max(1.0) as usize)
    }

    /// The sessions that waited for this, on average.
    pub(super) fn sessions_waiting(&self, wait: WaitKind) -> f64 {
        let waits = self.waits.iter().filter(|((kind, _), _)| *kind == wait);
        waits.map(|(_, sessions)| sessions).sum()
    }

    /// The cores there are for a run beside processes that kept `competing` cores busy while its own work took `stretch` times as
    /// long as alone.
    pub(super) fn cores(&self, record: &Record, competing: f64, stretch: f64) -> Cores {
        // Work in short bursts waits for a core longer than its share of them explains.
        let most = self.competing_wanted_max.map_or(f64::INFINITY, |most| most / competing.max(1e-9));
        let stretch = stretch.min(most.max(1.0));
        Cores::new(&record.header.machine, self.stolen_cores.unwrap_or(0.0), competing, stretch)
    }
}

/// The most cores that others can have wanted at any time, by how the load average moved, which counts this process too, and forgets what was
/// as minutes pass. Who waits for a disk is counted as well: it is an upper bound. None where samples are too few to say.
fn competing_wanted_max(samples: &[Sample], server: &ServerCpu) -> Option<f64> {
    const LOAD_S: f64 = 60.0;
    const WINDOW_MS: u64 = 20_000;
    let mut most: Option<f64> = None;
    let mut from = 0;
    for to in 1..samples.len() {
        let lasted_ms = samples[to].at_ms.saturating_sub(samples[from].at_ms);
        if lasted_ms < WINDOW_MS {
            continue;
        }
        let kept = (-(lasted_ms as f64) / 1e3 / LOAD_S).exp();
        let runnable = (samples[to].machine.load? - samples[from].machine.load? * kept) / (1.0 - kept);
        let ours: f64 = samples[from + 1..=to].iter().map(|sample| wanted_by_run(sample, server)).sum();
        let others = runnable - ours / (to - from) as f64;
        most = Some(most.map_or(others, |most| most.max(others)));
        from = to;
    }
    most
}

/// The cores that this process wanted, with its server on this machine.
fn wanted_by_run(sample: &Sample, server: &ServerCpu) -> f64 {
    let machine = &sample.machine;
    let server = server.busy(sample).filter(|_| server.is_seen_here()).unwrap_or(0.0);
    machine.own_cores.unwrap_or(0.0) + machine.waiting_threads.unwrap_or(0.0) + server
}

fn last_s(record: &Record) -> f64 {
    record.samples.last().map_or(0.0, |sample| sample.at_ms as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollfit_job::store::{StoreSample, StoreWait};
    use rollfit_testkit::record::made;

    #[test]
    fn looks_at_a_store_before_workers_have_sessions_say_nothing_of_what_these_wait_for() {
        let mut record = made(40, 2);
        let begin = record.samples.len() / 2;
        for (at, sample) in record.samples.iter_mut().enumerate() {
            let wait = StoreWait { kind: WaitKind::Sync, event: "IO:WALSync".to_owned(), sessions: 2 };
            let syncing = StoreSample { own_sessions: 3, waits: vec![wait], ..StoreSample::default() };
            sample.store = Some(if at < begin { StoreSample::default() } else { syncing });
        }
        assert!(begin > 0);
        let syncing = Observed::new(&record).sessions_waiting(WaitKind::Sync);
        assert!((syncing - 2.0).abs() < 1e-9, "{syncing}");
    }
}
