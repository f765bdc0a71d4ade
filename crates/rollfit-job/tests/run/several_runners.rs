//! Several runners at once on one store, in any interleaving: every partition is written once, and no source is read for nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rollfit_job::Job;
use rollfit_job::config::Workers;
use rollfit_job::run::{Outcome, RunOptions, RunReport, run};
use rollfit_job::stop_signal::StopSignal;

use crate::bench::{Bench, MONTHS, Record, name};

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// One of the runners of a round.
struct OneOf {
    shard: Option<String>,
    workers: usize,
    /// After how long it gives up.
    dies_after: Option<Duration>,
}

/// A bench whose store and source keep every runner waiting for a moment of any length, and at first until so many have begun.
fn jittering(seed: u64, runners: usize) -> Bench {
    let values = [("RUN__ORDER", "spread"), ("RUN__LOCK_WAIT_S", "30")];
    let mut bench = Bench::new(&values, &KEYS, &MONTHS, 30);
    let steps = AtomicU64::new(0);
    let pause = Arc::new(move || {
        let step = steps.fetch_add(1, Ordering::Relaxed);
        let us = fastrand::Rng::with_seed(seed ^ (step << 20)).u64(0..600);
        std::thread::sleep(Duration::from_micros(us));
    });
    let at_source = Arc::clone(&pause);
    bench.source.fault = Some(Box::new(move |_| {
        at_source();
        Ok(())
    }));
    let begun = Arc::new(AtomicUsize::new(0));
    let at_marks = Arc::clone(&begun);
    bench.sink.marks_fault = Some(Box::new(move |_| {
        at_marks.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }));
    bench.sink.before_step = Some(Box::new(move || {
        while begun.load(Ordering::SeqCst) < runners {
            std::thread::yield_now();
        }
        pause();
    }));
    bench
}

fn run_all(bench: &Bench, runners: &[OneOf]) -> Vec<RunReport> {
    let partitions = bench.partitions();
    std::thread::scope(|scope| {
        let threads: Vec<_> = runners
            .iter()
            .map(|runner| {
                let partitions = &partitions;
                scope.spawn(move || {
                    let mut config = bench.config.clone();
                    config.run.shard = runner.shard.as_ref().map(|shard| shard.parse().unwrap());
                    let job = Job { config: &config, workers: Workers::Fixed(runner.workers), ..bench.job() };
                    let stop = StopSignal::default();
                    if let Some(after) = runner.dies_after {
                        let stop = stop.clone();
                        scope.spawn(move || {
                            std::thread::sleep(after);
                            stop.abandon();
                        });
                    }
                    run(&job, partitions, &RunOptions::default(), &stop, &Record::default())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// How all partitions ended that a runner came to, of whatever share.
fn ends(report: &RunReport) -> impl Iterator<Item = &Outcome> {
    let helped = report.other_shares.iter().flat_map(|others| &others.helped);
    report.outcomes.iter().chain(helped).map(|(_, outcome)| outcome)
}

#[test]
fn runners_write_every_partition_once_and_read_no_source_for_nothing() {
    let alone = Bench::new(&[], &KEYS, &MONTHS, 30);
    alone.run();
    let mut seen_held = 0;
    for seed in 0..14 {
        let mut random = fastrand::Rng::with_seed(seed);
        let count = random.usize(2..=5);
        let bench = jittering(seed, count);
        let is_shared = random.bool();
        let runners: Vec<OneOf> = (0..count)
            .map(|index| OneOf {
                // One share more than there are runners: nobody has the last.
                shard: is_shared.then(|| format!("{index}/{}", count + 1)),
                workers: random.usize(1..=2),
                dies_after: None,
            })
            .collect();
        let reports = run_all(&bench, &runners);
        let partitions = bench.partitions();
        assert!(bench.sink.all() == alone.sink.all(), "{seed}: all of it, with the same bits");
        assert!(partitions.iter().all(|partition| bench.sink.commits_of(partition) == 1), "{seed}");
        let sum = |count: fn(&RunReport) -> u64| reports.iter().map(count).sum::<u64>();
        let [reads, seen] = [sum(|report| report.source_reads), sum(|report| report.seen_held)];
        let names: Vec<String> = reports.iter().flat_map(ends).map(name).collect();
        let of = |wanted: &str| names.iter().filter(|name| *name == wanted).count();
        // A runner that begins after another's commit compares what is there with the source.
        let there_before = of("already done");
        let reads_max = (partitions.len() + there_before) as u64 + seen;
        assert!(reads <= reads_max, "{seed}: {reads} reads, {seen} seen held, {there_before} there before");
        assert_eq!(of("written"), partitions.len(), "{seed}");
        assert_eq!(of("written") + of("written by another") + there_before, names.len(), "{seed}: {names:?}");
        seen_held += seen;
    }
    assert!(seen_held > 0, "they met");
}

#[test]
fn what_runners_that_die_have_not_done_is_done_by_the_rest() {
    let alone = Bench::new(&[], &KEYS, &MONTHS, 30);
    alone.run();
    for seed in 0..10 {
        // Some are gone before they begin.
        let bench = jittering(seed, 0);
        let mut random = fastrand::Rng::with_seed(seed);
        let count = random.usize(2..=4);
        let is_shared = random.bool();
        let runners: Vec<OneOf> = (0..count)
            .map(|index| OneOf {
                shard: is_shared.then(|| format!("{index}/{count}")),
                workers: 1,
                dies_after: (index > 0).then(|| Duration::from_micros(random.u64(0..20_000))),
            })
            .collect();
        let reports = run_all(&bench, &runners);
        assert!(bench.sink.all() == alone.sink.all(), "{seed}");
        assert!(bench.partitions().iter().all(|partition| bench.sink.commits_of(partition) == 1), "{seed}");
        assert!(bench.sink.claimed.lock().unwrap().is_empty());
        let of_the_first: Vec<String> = ends(&reports[0]).map(name).collect();
        let is_fine = |name: &String| {
            ["written", "written by another", "already done", "unchecked"].contains(&name.as_str())
        };
        assert!(of_the_first.iter().all(is_fine), "{seed}: {of_the_first:?}");
    }
}
