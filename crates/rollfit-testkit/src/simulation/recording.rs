//! [`Recorder`]: the record of a simulated run, as a real run writes it.

use rollfit_job::activity::{Activity, Times, Trips};
use rollfit_job::config::{Origin, Setting, Workers};
use rollfit_job::partition::Partition;
use rollfit_job::record::{Decision, Header, PartitionEnd, PartitionOutcome, Record, Retry, RunEnd, Sample};
use rollfit_job::store::{StoreSample, StoreWait, WaitKind};
use rollfit_job::watch::{MachineLimits, MachineSample, Moment, Totals};

use super::load::{Load, Speeds};
use super::plan::Need;
use super::world::World;

/// What is kept of a run.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) record: Record,
    base_bytes: u64,
    load_average: f64,
    since: Passed,
    working_left: f64,
    /// What the last sample counted from.
    last_at_s: f64,
    last_bytes: u64,
}

/// One byte in this many is the allocator's own.
const ALLOCATOR: u64 = 6;

/// Seconds since the last sample, times how many.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    own: f64,
    others: f64,
    /// Cores that the store's server kept busy for this run, wherever it is, and for all runners.
    working: f64,
    server: f64,
    /// Whether the quota was used up, and what the store's device was busy with.
    at_quota: f64,
    disk: f64,
    waiting: f64,
    squeezed: f64,
    runnable: f64,
}

/// What other runners keep busy at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Neighbours {
    /// Cores of this machine, and how many of their threads want one.
    pub(crate) own: f64,
    pub(crate) own_threads: f64,
    /// Cores of the store's server, and how many of its threads want one.
    pub(crate) server: f64,
    pub(crate) server_threads: f64,
}

/// The partition of a number: twelve months a key.
pub(crate) fn partition(number: usize) -> Partition {
    let (key, month) = (number / 12, number % 12 + 1);
    Partition::new(format!("k{key:03}"), format!("2017-{month:02}").parse().unwrap())
}

impl Recorder {
    pub(crate) fn new(world: &World, workers: Workers, base_bytes: u64) -> Self {
        let header = header(world, workers);
        let record = Record { header, ..Record::default() };
        let since = Passed::default();
        Self {
            record,
            base_bytes,
            load_average: 0.0,
            since,
            working_left: 0.0,
            last_at_s: 0.0,
            last_bytes: 0,
        }
    }

    /// The machine before the run.
    pub(crate) fn quiet_machine(&self, world: &World) -> MachineSample {
        let machine = &world.machine;
        MachineSample {
            own_cores: Some(0.0),
            others_cores: Some(machine.competing.at(0).min(machine.cores as f64)),
            waiting_threads: Some(0.0),
            load: Some(machine.competing.at(0)),
            own_memory_bytes: Some(self.base_bytes),
            free_memory_bytes: Some(free_bytes(world, 0, self.base_bytes)),
            ..MachineSample::default()
        }
    }

    pub(crate) fn decided(&mut self, decision: Decision) {
        self.record.decisions.push(decision);
    }

    pub(crate) fn failed(&mut self, now_s: f64, worker: usize, number: usize, attempt: u32, pause_s: f64) {
        self.record.retries.push(Retry {
            at_ms: ms(now_s),
            partition: partition(number),
            worker,
            attempt,
            cause: "the connection was lost".to_owned(),
            pause_ms: ms(pause_s),
        });
    }

    pub(crate) fn ended(
        &mut self,
        now_s: f64,
        number: usize,
        outcome: PartitionOutcome,
        rows: u64,
        bytes: u64,
    ) -> &mut PartitionEnd {
        let cause = (outcome == PartitionOutcome::Held).then(|| "another runner has it".to_owned());
        self.record.partitions.push(PartitionEnd {
            at_ms: ms(now_s),
            begun_ms: 0,
            partition: partition(number),
            worker: 0,
            attempt: 1,
            outcome,
            cause,
            rows,
            bytes,
            wall_us: Times::default(),
            cpu_us: Times::default(),
            trips: Trips::default(),
            locked_by: None,
            source_reads: None,
            seen_held: false,
        });
        self.record.partitions.last_mut().unwrap()
    }

    /// Time passes.
    pub(crate) fn pass(
        &mut self,
        took_s: f64,
        load: Load,
        speeds: &Speeds,
        world: &World,
        neighbours: Neighbours,
    ) {
        let own = load.own as f64 * speeds.of(Need::Core);
        let working = load.server as f64 * speeds.of(Need::ServerCore);
        self.since.working += took_s * working;
        self.since.server += took_s * (working + neighbours.server);
        let is_here = f64::from(world.store.is_local);
        let server_threads = is_here * (load.server as f64 + neighbours.server_threads);
        let server = is_here * (working + neighbours.server);
        let competing = world.machine.competing.at(self.last_at_s as u64);
        let waiting = load.own as f64 - own;
        self.since.own += took_s * own;
        self.since.others += took_s * (server + speeds.competing + neighbours.own);
        self.since.waiting += took_s * waiting;
        self.since.squeezed += took_s * f64::from(waiting > 0.01);
        self.since.runnable +=
            took_s * (load.own as f64 + neighbours.own_threads + server_threads + competing);
        let allowed = world.machine.cores_allowed.unwrap_or(f64::INFINITY);
        self.since.at_quota += took_s * f64::from(own > allowed - 1e-6);
        let bandwidth = world.store.bytes_per_s.at(self.last_at_s as u64);
        let sending = load.senders as f64 * speeds.of(Need::Send) / bandwidth;
        self.since.disk += took_s * sending.max(f64::from(load.commits > 0)).min(1.0);
    }

    /// Keeps a moment of the run, once machine and store are added to it.
    pub(crate) fn sample(
        &mut self,
        world: &World,
        second: u64,
        sessions: usize,
        mut moment: Moment,
    ) -> Moment {
        let now_s = moment.at.as_secs_f64();
        let took_s = (now_s - self.last_at_s).max(1e-3);
        // A look at sessions gives whole numbers, which are right on average.
        let wanted = self.since.working / took_s + self.working_left;
        let working = wanted.max(0.0).round() as u32;
        self.working_left = wanted - f64::from(working);
        let (bytes_per_s, server_cores) =
            ((moment.totals.bytes - self.last_bytes) as f64 / took_s, self.since.server / took_s);
        moment.machine = self.machine(world, second, took_s, bytes_per_s, &moment);
        moment.store = world.store.is_server.then(|| StoreSample {
            working,
            server_cpu_share: world
                .store
                .server_cores
                .filter(|_| world.store.tells_cpu)
                .map(|cores| (server_cores / cores).min(1.0)),
            log_bytes_per_s: Some(bytes_per_s),
            ..store(world, sessions, &moment)
        });
        (self.last_at_s, self.last_bytes) = (now_s, moment.totals.bytes);
        self.record.samples.push(Sample::from_moment(&moment));
        moment
    }

    fn machine(
        &mut self,
        world: &World,
        second: u64,
        took_s: f64,
        bytes_per_s: f64,
        moment: &Moment,
    ) -> MachineSample {
        let since = std::mem::take(&mut self.since);
        let fade = (-took_s / 60.0).exp();
        self.load_average = self.load_average * fade + since.runnable / took_s * (1.0 - fade);
        let held: u64 = moment.lanes.iter().map(|lane| lane.memory_bytes).sum();
        let own_bytes = self.base_bytes + held + held / ALLOCATOR;
        let has_server = world.store.is_server && world.store.is_local;
        let has_disk = world.store.is_local;
        MachineSample {
            own_cores: Some(since.own / took_s),
            others_cores: Some(since.others / took_s),
            server_cores: has_server.then_some(since.server / took_s),
            quota_reached: world.machine.cores_allowed.map(|_| (since.at_quota / took_s).min(1.0)),
            stolen_cores: Some(0.0),
            waiting_threads: Some(since.waiting / took_s),
            load: Some(self.load_average),
            cpu_pressure: Some((since.squeezed / took_s).min(1.0)),
            own_memory_bytes: Some(own_bytes),
            free_memory_bytes: Some(free_bytes(world, second, own_bytes)),
            machine_free_memory_bytes: Some(free_bytes(world, second, own_bytes)),
            disk_busy: has_disk.then_some((since.disk / took_s).min(1.0)),
            disk_read_bytes_per_s: has_disk.then_some(0.0),
            disk_written_bytes_per_s: has_disk.then_some(bytes_per_s),
            ..MachineSample::default()
        }
    }

    pub(crate) fn end(mut self, now_s: f64, totals: Totals) -> Record {
        self.record.end = Some(RunEnd { at_ms: ms(now_s), totals, interrupted: false });
        self.record
    }
}

fn free_bytes(world: &World, second: u64, own_bytes: u64) -> u64 {
    let taken = world.machine.memory_of_others.at(second) + own_bytes;
    world.machine.memory_bytes.saturating_sub(taken)
}

fn store(world: &World, sessions: usize, moment: &Moment) -> StoreSample {
    let count = |activity| moment.lanes.iter().filter(|lane| lane.activity == activity).count() as u32;
    let is_locked = world.store.locked_share > 0.0 && count(Activity::Waiting) > 0;
    let waits = [
        (WaitKind::Client, "Client:ClientRead", count(Activity::Computing) + count(Activity::Encoding)),
        (WaitKind::Disk, "IO:DataFileExtend", count(Activity::Sending)),
        (WaitKind::Sync, "IO:WALSync", count(Activity::Committing)),
        (WaitKind::Lock, "Lock:transactionid", if is_locked { count(Activity::Waiting) } else { 0 }),
    ];
    StoreSample {
        own_sessions: sessions as u32 + 1,
        sessions: Some(sessions as u32 + 4),
        sessions_max: world.store.sessions_max.map(|most| most as u32 + 3),
        waits: waits
            .into_iter()
            .filter(|(_, _, sessions)| *sessions > 0)
            .map(|(kind, event, sessions)| StoreWait { kind, event: event.to_owned(), sessions })
            .collect(),
        lock_holders: if is_locked { vec!["a session of `psql`".to_owned()] } else { Vec::new() },
        ..StoreSample::default()
    }
}

fn header(world: &World, workers: Workers) -> Header {
    let machine = &world.machine;
    let kind = if world.store.is_server { "postgres" } else { "parquet" };
    Header {
        source_kind: kind.to_owned(),
        sink_kind: kind.to_owned(),
        sink_is_local: Some(world.store.is_local),
        server_cores: server_cores(world),
        partitions: world.job.partitions as u64,
        features: world.job.bytes_per_row / 8,
        fits: world.job.bytes_per_row / 120,
        machine: MachineLimits {
            cores: Some(machine.cores),
            cores_allowed: machine.cores_allowed.or(Some(machine.cores as f64)),
            memory_bytes: Some(machine.memory_bytes),
            memory_allowed_bytes: None,
            unavailable: Vec::new(),
        },
        sessions_max: world.store.sessions_max.map(|most| most as u64),
        sessions_why: world.store.sessions_max.map(|most| format!("the store allows {most} sessions")),
        settings: settings(world, workers),
        ..crate::record::header()
    }
}

fn server_cores(world: &World) -> Option<f64> {
    let store = &world.store;
    let here = store.is_local.then_some(world.machine.cores as f64);
    here.or(store.server_cores.filter(|_| store.tells_cpu)).filter(|_| store.is_server)
}

fn settings(world: &World, workers: Workers) -> Vec<Setting> {
    let order = if world.job.largest_first { "largest-first" } else { "plan" };
    let number = |value: Option<f64>| value.map(|value| value.to_string());
    let settings = [
        ("workers", Some(workers.to_string())),
        ("order", Some(order.to_owned())),
        ("cpu_max", number(world.limits.cpu_max)),
        ("store_sessions_max", None),
        ("store_write_mb_per_s_max", number(world.limits.store_write_mb_per_s_max)),
        ("attempts", Some("10".to_owned())),
        ("retry_for_s", Some("120".to_owned())),
        ("lock_wait_s", Some("60".to_owned())),
    ];
    let origin = |value: &Option<String>| if value.is_some() { Origin::Line(30) } else { Origin::Default };
    let setting = |(key, value): (&str, Option<String>)| Setting {
        name: format!("run.{key}"),
        origin: origin(&value),
        value,
    };
    settings.into_iter().map(setting).collect()
}

fn ms(seconds: f64) -> u64 {
    (seconds * 1e3).round() as u64
}

#[cfg(test)]
mod tests {
    use super::super::run::simulate;
    use super::super::world::Over;
    use super::*;

    /// A short run with a fixed number of workers.
    fn run(workers: usize, change: impl Fn(&mut World)) -> Record {
        let mut world = World::default();
        world.job.partitions = 40;
        change(&mut world);
        simulate(&world, Workers::Fixed(workers)).record
    }

    /// The mean of a figure of the samples.
    fn mean(record: &Record, of: fn(&MachineSample) -> Option<f64>) -> Option<f64> {
        let known: Vec<f64> = record.samples.iter().filter_map(|sample| of(&sample.machine)).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }

    #[test]
    fn a_server_on_this_machine_takes_its_time_from_the_same_cores() {
        let saturated = run(4, |world| {
            world.machine.cores = 2;
            (world.store.is_local, world.store.cpu_us_per_byte) = (true, 0.02);
        });
        let server = mean(&saturated, |machine| machine.server_cores).unwrap();
        let own = mean(&saturated, |machine| machine.own_cores).unwrap();
        assert!(server > 0.5 && (own + server - 2.0).abs() < 0.1, "{own} {server}");
        let elsewhere = run(4, |world| world.store.cpu_us_per_byte = 0.02);
        assert_eq!(mean(&elsewhere, |machine| machine.server_cores), None);
    }

    #[test]
    fn a_quota_is_reached_where_workers_want_more() {
        let reached = |workers| {
            let record = run(workers, |world| world.machine.cores_allowed = Some(1.5));
            mean(&record, |machine| machine.quota_reached).unwrap()
        };
        assert!(reached(4) > 0.9 && reached(1) < 0.1, "{} {}", reached(4), reached(1));
        assert_eq!(mean(&run(4, |_| ()), |machine| machine.quota_reached), None);
    }

    #[test]
    fn round_trips_of_a_far_store_are_counted_and_take_most_of_its_time() {
        let record = run(2, |world| {
            world.store.question_ms = 50.0;
            (world.store.keying_ms, world.store.vacuuming_ms) = (1.0, 1.0);
            world.machine.competing = Over::always(3.0);
        });
        let end = &record.partitions[3];
        let count = |activity| end.trips.count.get(activity);
        assert_eq!(
            (count(Activity::Querying), count(Activity::Keying), count(Activity::Committing)),
            (6, 1, 1)
        );
        assert_eq!((count(Activity::Deleting), end.trips.sink_us), (0, Some(50_000)));
        let asked_us = end.wall_us.get(Activity::Querying);
        assert_eq!(asked_us, 300_000);
        let near_files = run(2, |world| (world.store.is_server, world.store.is_local) = (false, true));
        assert!(near_files.partitions.iter().all(|end| end.trips.is_none()));
    }

    #[test]
    fn a_server_elsewhere_tells_how_busy_it_is_and_slows_down_where_it_is_full() {
        let took_ms = |cores, tells_cpu| {
            let record = run(8, |world| {
                (world.store.cpu_us_per_byte, world.store.server_cores) = (0.1, Some(cores));
                world.store.tells_cpu = tells_cpu;
            });
            let shares = record.samples.iter().filter_map(|sample| sample.store.as_ref()?.server_cpu_share);
            (record.end.as_ref().unwrap().at_ms, shares.reduce(f64::max), record.header.server_cores)
        };
        let (full, wide) = (took_ms(1.0, true), took_ms(16.0, true));
        assert!(full.0 > 2 * wide.0 && full.1 > Some(0.95) && wide.1 < Some(0.6), "{full:?} {wide:?}");
        assert_eq!((took_ms(1.0, false).1, took_ms(1.0, false).2), (None, None));
    }

    #[test]
    fn rows_are_committed_with_their_partition_and_what_is_in_hand_has_an_age() {
        let record = run(4, |_| ());
        let rows: u64 = record.partitions.iter().map(|end| end.rows).sum();
        assert_eq!(record.end.as_ref().unwrap().totals.rows_committed, rows);
        let middle = &record.samples[record.samples.len() / 2];
        assert!(middle.totals.rows >= middle.totals.rows_committed && middle.in_hand_ms > 0, "{middle:?}");
    }
}
