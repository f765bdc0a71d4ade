//! Records of several runners, joined: what adds up does, what is one server's does not, and what went wrong shows.

#![allow(clippy::unwrap_used)] // A failed helper fails its test.

use rollfit_analysis::{JoinError, JoinedLimit, JoinedRuns, MoreUnknown, RunnerDigest, SlowReason, TimeUse};
use rollfit_job::config::Workers;
use rollfit_job::record::{PartitionEnd, PartitionOutcome, Record};
use rollfit_testkit::record::{made, partition};
use rollfit_testkit::simulation::{Over, World, simulate};

/// One of `count` runners: the partitions of its own, on a host of its own, begun at a second of the same minute.
fn runner(index: u32, count: u32, second: u32, record: Record) -> Record {
    let mut record = record;
    let own = record.partitions.len() as u64;
    record.header.run = format!("20261122T1845{second:02}Z-{index}");
    record.header.started = format!("2026-11-22T18:45:{second:02}.000Z");
    record.header.host = format!("loader-{index}");
    record.header.pid = 100 + index;
    record.header.shard = Some(format!("{index}/{count}"));
    for (at, end) in record.partitions.iter_mut().enumerate() {
        end.partition = partition(u64::from(index) * 10_000 + at as u64);
    }
    record.header.partitions = own;
    record
}

fn made_runner(index: u32, second: u32) -> Record {
    runner(index, 4, second, made(100, 4))
}

fn joined(records: &[Record]) -> JoinedRuns {
    JoinedRuns::new(records.iter().map(RunnerDigest::new).collect()).unwrap()
}

fn ended_s(record: &Record) -> f64 {
    record.end.as_ref().unwrap().at_ms as f64 / 1e3
}

#[test]
fn the_whole_is_from_the_first_start_to_the_last_end_and_its_figures_are_sums() {
    let records = [made_runner(1, 10), made_runner(0, 0)];
    let joined = joined(&records);
    let took_s = 10.0 + ended_s(&records[0]);
    assert!((joined.whole.took_s - took_s).abs() < 1e-6, "{:?}", joined.whole);
    let rows: u64 = records.iter().flat_map(|record| &record.partitions).map(|end| end.rows).sum();
    assert_eq!((joined.whole.partitions, joined.whole.rows, joined.whole.workers), (198, rows, 8));
    let order: Vec<(&str, f64)> =
        joined.runners.iter().map(|line| (line.host.as_str(), line.began_s)).collect();
    assert_eq!(order, [("loader-0", 0.0), ("loader-1", 10.0)]);
    let shares: f64 = joined.worker_time.iter().map(|share| share.share).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{:?}", joined.worker_time);
    let all_s: f64 = joined.worker_time.iter().map(|share| share.wall_s).sum();
    assert!((all_s / (8.0 * took_s) - 1.0).abs() < 0.01, "{all_s} of {took_s} s on 8 workers");
    let over_time = &joined.timeline;
    let step_s = over_time[0].at_s;
    let written: f64 = over_time.iter().map(|point| point.rows_per_s * step_s).sum();
    assert!((written / rows as f64 - 1.0).abs() < 0.02, "{written} rows over time, {rows} in all");
    assert!(over_time.iter().all(|point| point.runners <= 2.0 + 1e-9));
}

#[test]
fn a_record_given_twice_counts_once_and_the_longer_of_two_copies_counts() {
    let whole = made_runner(0, 0);
    let mut earlier = Record { end: None, ..whole.clone() };
    earlier.partitions.truncate(10);
    earlier.samples.truncate(1);
    for records in
        [[whole.clone(), whole.clone()], [earlier.clone(), whole.clone()], [whole.clone(), earlier]]
    {
        let joined = joined(&records);
        assert_eq!((joined.runners.len(), joined.whole.partitions), (1, 99));
    }
}

#[test]
fn records_of_other_jobs_and_records_without_a_start_are_named() {
    let digest = |change: &dyn Fn(&mut Record)| {
        let mut other = made_runner(1, 0);
        change(&mut other);
        JoinedRuns::new(vec![RunnerDigest::new(&made_runner(0, 0)), RunnerDigest::new(&other)])
    };
    let runs = ["20261122T184500Z-0", "20261122T184500Z-1"].map(str::to_owned);
    let sink = || "/srv/fx/features".to_owned();
    let other_sink = digest(&|record| record.header.sink = "/elsewhere".to_owned());
    let sinks = [sink(), "/elsewhere".to_owned()];
    assert_eq!(other_sink, Err(JoinError::OtherJob { runs: runs.clone(), sinks }));
    let other_job = digest(&|record| record.header.job = "beef".to_owned());
    assert_eq!(other_job, Err(JoinError::OtherJob { runs: runs.clone(), sinks: [sink(), sink()] }));
    let no_start = digest(&|record| record.header.started = "yesterday".to_owned());
    let [_, run] = runs;
    assert_eq!(no_start, Err(JoinError::NoStart { run, started: "yesterday".to_owned() }));
    assert_eq!(JoinedRuns::new(Vec::new()), Err(JoinError::None));
}

#[test]
fn runs_one_after_the_other_have_a_gap_and_say_nothing_of_more_machines() {
    let joined = joined(&[made_runner(0, 0), made_runner(1, 50)]);
    let [gap] = joined.gaps[..] else { panic!("{:?}", joined.gaps) };
    assert!((gap.from_s + gap.lasted_s - 50.0).abs() < 1e-6, "{gap:?}");
    assert_eq!((joined.more.unknown, joined.more.lines.len()), (Some(MoreUnknown::NotTogether), 0));
    assert!(
        matches!(joined.finding, JoinedLimit::LateStart { .. } | JoinedLimit::Imbalance { .. }),
        "{:?}",
        joined.finding
    );
}

#[test]
fn reads_beyond_partitions_are_counted_and_partitions_seen_held_once() {
    let (first, mut second) = (made_runner(0, 0), made_runner(1, 0));
    second.partitions[0].partition = first.partitions[0].partition.clone();
    let held = PartitionEnd {
        outcome: PartitionOutcome::Held,
        rows: 0,
        bytes: 0,
        wall_us: Default::default(),
        partition: first.partitions[1].partition.clone(),
        ..second.partitions[1].clone()
    };
    second.partitions.extend([held.clone(), held]);
    let twice = joined(&[first, second]).duplicates;
    assert_eq!((twice.source_reads, twice.partitions_read, twice.reads_beyond()), (200, 199, 1));
    assert_eq!((twice.seen_held, twice.written_twice), (1, 1));
}

#[test]
fn a_look_whether_the_source_is_in_use_is_no_read_and_a_runner_says_what_it_saw_held() {
    let (first, mut second) = (made_runner(0, 0), made_runner(1, 0));
    let looked_at = PartitionEnd {
        outcome: PartitionOutcome::Done,
        rows: 0,
        bytes: 0,
        partition: first.partitions[0].partition.clone(),
        source_reads: Some(0),
        ..second.partitions[0].clone()
    };
    let lost_race = PartitionEnd { source_reads: Some(2), seen_held: true, ..second.partitions[1].clone() };
    second.partitions[1] = lost_race;
    second.partitions.push(looked_at);
    let twice = joined(&[first, second]).duplicates;
    assert_eq!((twice.source_reads, twice.partitions_read, twice.seen_held), (201, 200, 1));
}

#[test]
fn the_time_that_a_killed_runner_is_missing_is_not_left_over() {
    let mut records = [made_runner(0, 0), made_runner(1, 0)];
    records[0].end = None;
    records[0].was_killed = true;
    records[0].partitions.truncate(8);
    records[0].samples.truncate(1);
    let joined = joined(&records);
    let imbalance = joined.imbalance.unwrap();
    assert!(imbalance.idle_share < 0.01, "{imbalance:?}");
    assert!((0.3..0.5).contains(&imbalance.no_end_share), "{imbalance:?}");
    assert_eq!(joined.finding, JoinedLimit::Killed { share: imbalance.no_end_share });
}

#[test]
fn what_a_killed_runner_left_is_told_and_who_did_it() {
    let mut killed = made_runner(0, 0);
    killed.end = None;
    killed.was_killed = true;
    killed.partitions.truncate(40);
    let at_ms = killed.partitions.iter().map(|end| end.at_ms).max().unwrap();
    killed.samples.retain(|sample| sample.at_ms <= at_ms);
    let lost = partition(77);
    let mut helper = made_runner(1, 0);
    let last = helper.partitions.last().unwrap().clone();
    let seen = PartitionEnd {
        outcome: PartitionOutcome::Held,
        partition: lost.clone(),
        locked_by: Some("rollfit 100@loader-0 1a2b3c4d 0/4".to_owned()),
        rows: 0,
        ..last.clone()
    };
    let helped = PartitionEnd {
        outcome: PartitionOutcome::Written,
        partition: lost.clone(),
        begun_ms: last.at_ms + 60_000,
        at_ms: last.at_ms + 61_000,
        rows: 1000,
        ..last
    };
    helper.end.as_mut().unwrap().at_ms = helped.at_ms;
    helper.partitions.extend([seen, helped]);
    let joined = joined(&[killed, helper]);
    let [told] = &joined.killed[..] else { panic!("{:?}", joined.killed) };
    assert_eq!((told.host.as_str(), told.in_progress, told.left), ("loader-0", 4, Some(60)));
    let [seen] = &told.seen[..] else { panic!("{told:?}") };
    assert_eq!((&seen.partition, seen.by_host.as_str()), (&lost, "loader-1"));
    assert_eq!(joined.imbalance.unwrap().helped, Some(1));
}

#[test]
fn clocks_that_contradict_each_other_are_told() {
    let (first, mut second) = (made_runner(0, 0), made_runner(1, 0));
    let written = first.partitions.last().unwrap().clone();
    let before = first.partitions.iter().rev().find(|end| end.outcome == PartitionOutcome::Written).unwrap();
    let done = PartitionEnd {
        outcome: PartitionOutcome::Done,
        partition: before.partition.clone(),
        begun_ms: 1,
        at_ms: 2,
        rows: 0,
        wall_us: Default::default(),
        ..written
    };
    let at_least_s = (before.at_ms - 2) as f64 / 1e3;
    assert!(joined(&[first.clone(), second.clone()]).clocks.is_empty());
    second.partitions.insert(0, done);
    let clocks = joined(&[first, second]).clocks;
    let [pair] = &clocks[..] else { panic!("{clocks:?}") };
    assert_eq!((pair.ahead.as_str(), pair.behind.as_str()), ("loader-0", "loader-1"));
    assert!((pair.at_least_s - at_least_s).abs() < 1e-6, "{pair:?}, {at_least_s}");
}

#[test]
fn a_host_on_which_rows_take_longer_is_named_with_why() {
    let mut slow = made_runner(2, 0);
    slow.header.kernel = "baseline".to_owned();
    for end in &mut slow.partitions {
        let computing = rollfit_job::activity::Activity::Computing;
        let more_us = 2 * end.wall_us.total_us();
        end.wall_us.add(computing, more_us);
        end.cpu_us.add(computing, more_us);
    }
    let joined = joined(&[made_runner(0, 0), made_runner(1, 0), slow]);
    let [slower] = &joined.slower[..] else { panic!("{:?}", joined.slower) };
    assert_eq!(slower.host, "loader-2");
    assert!(slower.times > 2.0, "{slower:?}");
    let is_path =
        |reason: &SlowReason| matches!(reason, SlowReason::CpuPath { here, .. } if here == "baseline");
    assert!(slower.reasons.iter().any(is_path), "{slower:?}");
}

#[test]
fn the_cores_of_one_server_are_not_added_up() {
    let busy = |index| {
        let mut record = made_runner(index, 0);
        (record.header.sessions_max, record.header.server_cores) = (Some(50), Some(8.0));
        record.header.sink_is_local = Some(false);
        for sample in &mut record.samples {
            let store = rollfit_job::store::StoreSample {
                server_cpu_share: Some(0.95),
                ..rollfit_job::store::StoreSample::default()
            };
            sample.store = Some(store);
        }
        record
    };
    let joined = joined(&[busy(0), busy(1), busy(2)]);
    assert!((joined.server.cores_busy.unwrap() - 7.6).abs() < 1e-6, "{:?}", joined.server);
    assert!(matches!(joined.finding, JoinedLimit::ServerCores { .. }), "{:?}", joined.finding);
    let most = joined.more.lines.last().unwrap();
    assert_eq!(most.machines, 6);
    assert!(most.gain.high < 1.25, "a server that is full lets no more through: {most:?}");
    assert!(!most.server_unseen);
}

/// A runner on a machine of its own, of a store that gives all of them the same.
fn simulated(index: u32, partitions: usize) -> Record {
    let mut world = World { seed: u64::from(index) + 1, ..World::default() };
    world.job.partitions = partitions;
    world.machine.cores = 4;
    world.machine.competing = Over::always(0.0);
    (world.store.server_cores, world.store.tells_cpu) = (Some(64.0), true);
    runner(index, 8, 0, simulate(&world, Workers::Fixed(4)).record)
}

#[test]
fn twice_the_machines_take_what_was_told_where_they_share_nothing_that_is_full() {
    let two = joined(&[simulated(0, 200), simulated(1, 200)]);
    let [.., line] = two.more.lines[..] else { panic!("{:?}", two.more) };
    assert_eq!(line.machines, 4);
    let four: Vec<Record> = (0..4).map(|index| simulated(index, 100)).collect();
    let took_s = joined(&four).whole.took_s;
    let told = line.job_s;
    assert!(told.low <= took_s && took_s <= told.high, "{took_s} s, {told:?} was told");
    assert!((told.expected / took_s - 1.0).abs() < 0.15, "{took_s} s, {told:?} was told");
}

#[test]
fn a_store_that_no_record_shows_leaves_the_ends_of_the_range() {
    let unseen = |index| {
        let mut record = simulated(index, 100);
        record.header.server_cores = None;
        record
    };
    let joined = joined(&[unseen(0), unseen(1)]);
    assert!(joined.server.is_unseen());
    let line = joined.more.lines.last().unwrap();
    assert!(line.server_unseen && (line.gain.low - 1.0).abs() < 0.05, "{line:?}");
}

#[test]
fn records_of_runners_that_wrote_nothing_are_joined_too() {
    let nothing = |index| {
        let mut record = made_runner(index, 0);
        record.partitions.clear();
        record.samples.clear();
        record.end = None;
        record
    };
    let joined = joined(&[nothing(0), nothing(1)]);
    assert_eq!(joined.finding, JoinedLimit::NothingWritten);
    assert_eq!(joined.more.unknown, Some(MoreUnknown::FewPartitions));
    assert!(joined.worker_time.iter().all(|share| share.what != TimeUse::Processor));
}
