//! Made-up records of runs: any number of partitions on any number of workers.

use std::collections::BTreeMap;

use rollfit_job::activity::{Activity, Times, Trips};
use rollfit_job::config::{Origin, Setting};
use rollfit_job::partition::Partition;
use rollfit_job::record::{
    Decision, Event, FORMAT, Header, PartitionEnd, PartitionOutcome, Record, Retry, RunEnd, Sample,
    Unavailable,
};
use rollfit_job::watch::{MachineLimits, MachineSample, Totals};

const KEYS: [&str; 4] = ["eurusd", "gbpusd", "usdjpy", "audnzd"];

/// A run that finished: the third partition is nine times as large as others, the last one failed.
pub fn made(partitions: u64, workers: usize) -> Record {
    let ends = ends(partitions, workers);
    let at_ms = ends.iter().map(|end| end.at_ms).max().unwrap_or(0);
    let totals = totals(&ends, partitions, at_ms);
    Record {
        header: Header {
            partitions,
            settings: vec![setting("run.workers", &workers.to_string())],
            ..header()
        },
        samples: samples(&ends, partitions, workers, at_ms),
        retries: vec![Retry {
            at_ms: 300,
            partition: ends[0].partition.clone(),
            worker: 0,
            attempt: 1,
            cause: "the connection was reset".to_owned(),
            pause_ms: 100,
        }],
        decisions: vec![Decision {
            at_ms: 0,
            was: 0,
            workers,
            reason: format!("workers = {workers}"),
            held_back_by: None,
            rows_per_s: None,
        }],
        unavailable: vec![Unavailable {
            at_ms: 1000,
            what: "pressure".to_owned(),
            cause: "/proc/pressure/cpu: no such file".to_owned(),
        }],
        end: Some(RunEnd { at_ms, totals, interrupted: false }),
        partitions: ends,
        changes: Vec::new(),
        remaining: Vec::new(),
        was_killed: false,
    }
}

/// The header of a made-up run into files, on a machine with 8 cores. Tests replace the fields that they care about.
pub fn header() -> Header {
    Header {
        format: FORMAT,
        version: "0.1.0".to_owned(),
        run: "20261122T184510Z-4711".to_owned(),
        started: "2026-11-22T18:45:10Z".to_owned(),
        host: "loader-3".to_owned(),
        pid: 4711,
        config: "/srv/fx/rollfit.toml".to_owned(),
        job: "7c1f".to_owned(),
        source: "/srv/fx/sources".to_owned(),
        sink: "/srv/fx/features".to_owned(),
        source_kind: "parquet".to_owned(),
        sink_kind: "parquet".to_owned(),
        sink_is_local: Some(true),
        partitions: 0,
        features: 180,
        fits: 12,
        kernel: "AVX2".to_owned(),
        machine: MachineLimits {
            cores: Some(8),
            cores_allowed: Some(8.0),
            memory_bytes: Some(32_000_000_000),
            ..MachineLimits::default()
        },
        ..Header::default()
    }
}

/// A setting on a line of the configuration file.
pub fn setting(name: &str, value: &str) -> Setting {
    Setting { name: name.to_owned(), value: Some(value.to_owned()), origin: Origin::Line(31) }
}

/// The partition with this number: four keys, twelve months a key, then the next year.
pub fn partition(number: u64) -> Partition {
    let month = format!("{}-{:02}", 2000 + number / 48 % 999, number / 4 % 12 + 1);
    Partition::new(KEYS[number as usize % KEYS.len()].to_owned(), month.parse().unwrap())
}

/// Partitions one after the other on each worker.
fn ends(partitions: u64, workers: usize) -> Vec<PartitionEnd> {
    let mut free_ms = vec![0; workers];
    let mut ends: Vec<PartitionEnd> = (0..partitions)
        .map(|number| {
            let worker = number as usize % workers;
            let end = end(number, worker, free_ms[worker], number + 1 == partitions);
            free_ms[worker] = end.at_ms + 5;
            end
        })
        .collect();
    ends.sort_by_key(|end| end.at_ms);
    ends
}

fn end(number: u64, worker: usize, begun_ms: u64, fails: bool) -> PartitionEnd {
    let size = if number == 2 { 90 } else { 10 + number % 7 };
    let (mut wall_us, mut cpu_us) = (Times::default(), Times::default());
    let parts = [
        (Activity::Querying, 4, 1),
        (Activity::Reading, 12, 9),
        (Activity::Computing, 15, 14),
        (Activity::Encoding, 31, 30),
        (Activity::Sending, 20, 3),
        (Activity::Committing, 18, 1),
    ];
    for (activity, wall, cpu) in parts {
        wall_us.add(activity, wall * size * 500);
        cpu_us.add(activity, cpu * size * 500);
    }
    PartitionEnd {
        at_ms: begun_ms + wall_us.total_us() / 1000,
        begun_ms,
        partition: partition(number),
        worker,
        attempt: 1,
        outcome: if fails { PartitionOutcome::Failed } else { PartitionOutcome::Written },
        cause: fails.then(|| "the disk is full".to_owned()),
        rows: if fails { 0 } else { size * 3001 },
        bytes: if fails { 0 } else { size * 3001 * 1133 },
        wall_us,
        cpu_us,
        trips: Trips::default(),
        locked_by: None,
        source_reads: None,
        seen_held: false,
    }
}

/// A partition of 1000 rows written to a store 50 ms away, from a source 10 ms away: in two questions, a key and a commit.
pub fn far_partition(number: u64, worker: usize) -> PartitionEnd {
    let mut end = end(number, worker, 0, false);
    (end.wall_us, end.cpu_us) = (Times::default(), Times::default());
    let parts = [
        (Activity::Querying, 120_000, 2),
        (Activity::Reading, 100_000, 3),
        (Activity::Computing, 200_000, 0),
        (Activity::Keying, 150_000, 1),
        (Activity::Committing, 51_000, 1),
    ];
    for (activity, wall_us, trips) in parts {
        end.wall_us.add(activity, wall_us);
        end.trips.count.add(activity, trips);
    }
    end.cpu_us.add(Activity::Computing, 200_000);
    (end.trips.source_us, end.trips.sink_us) = (Some(10_000), Some(50_000));
    PartitionEnd { at_ms: end.wall_us.total_us() / 1000, rows: 1000, bytes: 1_440_000, ..end }
}

fn totals(ends: &[PartitionEnd], partitions: u64, at_ms: u64) -> Totals {
    let ended = || ends.iter().filter(|end| end.at_ms <= at_ms);
    let written = ended().filter(|end| end.outcome == PartitionOutcome::Written).count() as u64;
    Totals {
        partitions,
        ended: ended().count() as u64,
        written,
        failed: ended().count() as u64 - written,
        retries: 1,
        rows: ended().map(|end| end.rows).sum(),
        rows_committed: ended().map(|end| end.rows).sum(),
        bytes: ended().map(|end| end.bytes).sum(),
    }
}

/// As many as a run of hours has.
fn samples(ends: &[PartitionEnd], partitions: u64, workers: usize, end_ms: u64) -> Vec<Sample> {
    let period_ms = (end_ms / 600).max(1000);
    (1..=end_ms.div_ceil(period_ms))
        .map(|number| {
            let at_ms = (number * period_ms).min(end_ms);
            Sample {
                at_ms,
                workers,
                activities: BTreeMap::from([(Activity::Sending.name().to_owned(), workers as u32)]),
                totals: totals(ends, partitions, at_ms),
                in_hand_ms: 0,
                rows_in_hand: 0,
                known_in_hand: 0,
                largest_in_hand_rows: 0,
                largest_in_hand_ms: 0,
                workers_memory_bytes: workers as u64 * 50_000_000,
                machine: machine(workers),
                store: None,
            }
        })
        .collect()
}

fn machine(workers: usize) -> MachineSample {
    MachineSample {
        own_cores: Some(0.58 * workers as f64),
        others_cores: Some(0.4),
        load: Some(0.7 * workers as f64),
        own_memory_bytes: Some(workers as u64 * 50_000_000 + 40_000_000),
        free_memory_bytes: Some(20_000_000_000),
        ..MachineSample::default()
    }
}

/// A record as the lines of its file.
pub fn lines(record: Record) -> String {
    let Record {
        header, partitions, retries, decisions, samples, unavailable, changes, remaining, end, ..
    } = record;
    let header = Event::Run(Box::new(header));
    let events = (decisions.into_iter().map(Event::Decision))
        .chain(unavailable.into_iter().map(Event::Unavailable))
        .chain(retries.into_iter().map(Event::Retry))
        .chain(samples.into_iter().map(|sample| Event::Sample(Box::new(sample))))
        .chain(partitions.into_iter().map(|end| Event::Partition(Box::new(end))))
        .chain(changes.into_iter().map(|change| Event::Change(Box::new(change))))
        .chain((!remaining.is_empty()).then_some(Event::Remaining { only: remaining }))
        .chain(end.map(Event::End));
    let line = |event: Event| serde_json::to_string(&event).unwrap() + "\n";
    std::iter::once(header).chain(events).map(line).collect()
}
