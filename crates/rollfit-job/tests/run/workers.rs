//! How many workers there are, in what order partitions are begun, and how fast they write.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use rollfit_job::activity::Activity;
use rollfit_job::config::Workers;
use rollfit_job::run::RunOptions;
use rollfit_job::watch::{Machine, MachineLimits, MachineSample};
use rollfit_testkit::market::partition;

use crate::bench::{Bench, MONTHS, Record, outcomes};

/// A machine of one core that gives up some of its memory, which is enough for one worker, when it is told to.
struct Shrinking {
    is_short: Arc<AtomicBool>,
}

impl Machine for Shrinking {
    fn limits(&self) -> MachineLimits {
        MachineLimits { cores: Some(1), cores_allowed: Some(1.0), ..MachineLimits::default() }
    }

    fn sample(&self) -> MachineSample {
        let free = if self.is_short.load(Ordering::SeqCst) { 1 } else { 1 << 40 };
        MachineSample { free_memory_bytes: Some(free), own_memory_bytes: Some(0), ..MachineSample::default() }
    }
}

/// Where partitions wait for a number of workers to be decided.
#[derive(Default)]
struct Gate {
    decided: Mutex<Vec<usize>>,
    changed: Condvar,
}

impl Gate {
    fn decide(&self, workers: usize) {
        self.decided.lock().unwrap().push(workers);
        self.changed.notify_all();
    }

    /// Waits until so many decisions were made.
    fn pass(&self, decisions: usize) {
        let decided = self.decided.lock().unwrap();
        drop(self.changed.wait_while(decided, |decided| decided.len() < decisions).unwrap());
    }
}

#[test]
fn workers_started_and_retired_while_it_runs_lose_no_partition_and_change_no_bit() {
    let keys: Vec<String> = (0..20).map(|at| format!("k{at:02}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let alone = Bench::new(&[], &keys, &MONTHS, 50);
    alone.run();

    let mut bench = Bench::new(&[], &keys, &MONTHS, 50);
    bench.workers = Workers::Between(1, 8);
    let is_short = Arc::new(AtomicBool::new(false));
    bench.machine = Box::new(Shrinking { is_short: Arc::clone(&is_short) });
    let (gate, begun) = (Arc::new(Gate::default()), AtomicUsize::new(0));
    let at_source = Arc::clone(&gate);
    // One worker does 40; then as many as are decided, until they are back at one with partitions in progress.
    bench.source.fault = Some(Box::new(move |_| {
        match begun.fetch_add(1, Ordering::SeqCst) {
            0..40 => {}
            40..45 => at_source.pass(2),
            _ => at_source.pass(3),
        }
        Ok(())
    }));
    let record = Record {
        on_decision: Some(Box::new(move |&workers| {
            is_short.store(workers > 1, Ordering::SeqCst);
            gate.decide(workers);
        })),
        ..Record::default()
    };
    let report = bench.run_with(&RunOptions::default(), &record);
    assert_eq!(outcomes(&report), vec!["written"; 60]);
    assert_eq!(*record.decided.lock().unwrap(), [1, 2, 1]);
    assert_eq!(report.workers_max, 2);
    assert!(bench.sink.all() == alone.sink.all());
}

#[test]
fn the_largest_partitions_are_begun_first_where_that_is_wanted() {
    let begun = |order: &str, hide: Option<&str>| {
        let mut bench = Bench::new(&[("RUN__ORDER", order)], &["a", "b", "c", "d"], &[], 0);
        // Without a share they would begin anywhere.
        bench.config.run.shard = Some("0/1".parse().unwrap());
        for (key, rows) in [("a", 20), ("b", 40), ("c", 10), ("d", 30)] {
            bench.source.fill(&partition(key, MONTHS[0]), rows);
        }
        let partitions = bench.partitions();
        if let Some(table) = hide {
            bench.source.tables.remove(table);
        }
        let record = Record::default();
        rollfit_job::run::run(&bench.job(), &partitions, &RunOptions::default(), &bench.stop, &record);
        record.ended.lock().unwrap().iter().map(|name| name[..1].to_owned()).collect::<String>()
    };
    assert_eq!(begun("plan", None), "abcd");
    assert_eq!(begun("spread", None), "abcd");
    assert_eq!(begun("largest-first", None), "bdac");
    assert_eq!(begun("largest-first", Some("m1_b")), "dbac", "one that cannot be asked keeps its place");
}

#[test]
fn each_run_begins_elsewhere_and_goes_on_in_the_order_of_the_plan() {
    let keys: Vec<String> = (0..40).map(|at| format!("k{at:02}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let mut firsts = std::collections::BTreeSet::new();
    for order in ["spread", "spread", "spread", "spread", "largest-first", "largest-first"] {
        let bench = Bench::new(&[("RUN__ORDER", order)], &keys, &MONTHS[..1], 5);
        let record = Record::default();
        bench.run_with(&RunOptions::default(), &record);
        let begun: Vec<String> = record.ended.lock().unwrap().iter().map(|name| name[..3].to_owned()).collect();
        let first = keys.iter().position(|key| *key == begun[0]).unwrap();
        let mut wanted = keys.clone();
        wanted.rotate_left(first);
        assert_eq!(begun, wanted, "{order}");
        firsts.insert(first);
    }
    assert!(firsts.len() > 1, "six of forty in the same place: {firsts:?}");
}

#[test]
fn a_run_that_may_write_next_to_nothing_holds_itself_back_and_still_heeds_a_stop() {
    let limits = [("RUN__STORE_WRITE_MB_PER_S_MAX", "0.000001"), ("RUN__CPU_MAX", "0.000001")];
    for limit in limits {
        let bench = Bench::new(&[limit], &["a"], &MONTHS, 2000);
        let stop = bench.stop.clone();
        let record = Record {
            on_sample: Some(Box::new(move |moment| {
                if moment.lanes.iter().any(|lane| lane.activity == Activity::Throttled) {
                    stop.abandon();
                }
            })),
            ..Record::default()
        };
        assert_eq!(outcomes(&bench.run_with(&RunOptions::default(), &record)), ["abandoned"]);
        assert!(bench.sink.all().is_empty());
    }
}

#[test]
fn a_store_that_panics_when_it_is_asked_again_fails_its_partition_and_ends_the_run() {
    let mut bench = Bench::new(&[("RUN__LOCK_WAIT_S", "30")], &["a"], &MONTHS[..2], 20);
    bench.sink.held.lock().unwrap().insert("a/2017-01".to_owned(), 1);
    let looks = AtomicUsize::new(0);
    bench.sink.look_fault = Some(Box::new(move |partition| {
        let is_again = partition.to_string() == "a 2017-01" && looks.fetch_add(1, Ordering::SeqCst) > 0;
        assert!(!is_again, "a defect");
        Ok(())
    }));
    let found = outcomes(&bench.run());
    assert!(found[0].starts_with("failed: a bug in rollfit"), "{found:?}");
    assert_eq!(found[1], "written");
}
