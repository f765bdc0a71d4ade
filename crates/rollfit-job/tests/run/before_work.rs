//! What a runner learns of a store before it works on it.

use std::time::{SystemTime, UNIX_EPOCH};

use rollfit_job::canonical_json::definition_hash;
use rollfit_job::config::JobConfig;
use rollfit_job::receipt::Definition;
use rollfit_job::runners::{BeforeWork, HeldPartition, RunnerName, StoreRunner, check_before_work};
use rollfit_testkit::market::{config, partition};

use crate::bench::{Bench, MONTHS, transient};

fn hash(config: &JobConfig) -> String {
    definition_hash(&serde_json::to_value(Definition::from_config(config)).unwrap())
}

fn runner(name: RunnerName) -> StoreRunner {
    StoreRunner { name, address: None, sessions: None, since_us: None, held: Vec::new() }
}

fn check(bench: &Bench) -> BeforeWork {
    check_before_work(&bench.job(), &bench.partitions()).unwrap()
}

#[test]
fn other_runners_are_told_from_this_one_and_by_what_they_compute() {
    let bench = Bench::new(&[], &["a"], &MONTHS, 20);
    assert_eq!(check(&bench), BeforeWork::default());
    let own = RunnerName::of_this_process(&hash(&bench.config), None);
    let same = RunnerName { pid: own.pid + 1, ..own.clone() };
    let elsewhere = RunnerName { host: "elsewhere".to_owned(), definition: None, ..own.clone() };
    let otherwise = RunnerName { definition: Some("00000000".to_owned()), ..same.clone() };
    let held = vec![HeldPartition { partition: partition("a", MONTHS[1]), since_us: Some(1), bytes: None }];
    let otherwise = StoreRunner { held, ..runner(otherwise) };
    // The end of a host's name may be cut.
    let cut = RunnerName { host: own.host[..own.host.len() - 1].to_owned(), ..own.clone() };
    *bench.sink.runners.lock().unwrap() =
        vec![runner(own), runner(same.clone()), runner(elsewhere.clone()), otherwise.clone(), runner(cut)];
    let found = check(&bench);
    assert_eq!(found.others, [runner(same), runner(elsewhere), otherwise.clone()]);
    assert_eq!(found.other_definitions, [otherwise]);
}

#[test]
fn a_runner_of_the_same_process_and_host_in_another_container_is_another() {
    let bench = Bench::new(&[], &["a"], &MONTHS, 20);
    let own = RunnerName::of_this_process(&hash(&bench.config), None);
    let other = RunnerName { definition: Some("00000000".to_owned()), ..own.clone() };
    let share = RunnerName { shard: Some("1/2".parse().unwrap()), ..own.clone() };
    let held = vec![HeldPartition { partition: partition("a", MONTHS[1]), since_us: None, bytes: None }];
    let working = StoreRunner { held, ..runner(own.clone()) };
    let others = vec![runner(other.clone()), runner(share), working];
    bench.sink.runners.lock().unwrap().clone_from(&others);
    bench.sink.runners.lock().unwrap().push(runner(own));
    let found = check(&bench);
    assert_eq!(found.others, others);
    assert_eq!(found.other_definitions, [runner(other)]);
}

#[test]
fn receipts_of_another_definition_are_found_in_a_sample_of_the_whole_job() {
    let keys: Vec<String> = (0..60).map(|at| format!("k{at:02}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let mut bench = Bench::new(&[], &keys, &MONTHS, 3);
    assert_eq!(check(&bench).stored_otherwise, None, "nothing is stored");
    bench.run();
    bench.source.fault = Some(Box::new(|_| panic!("no source is read")));
    assert_eq!(check(&bench).stored_otherwise, None);
    // The last third is of another definition.
    let other = Bench { config: config(&[("WINDOWS__W5", "7")]), ..Bench::new(&[], &keys, &MONTHS, 3) };
    other.run();
    for partition in bench.partitions().split_off(120) {
        bench.sink.put(&partition, other.sink.stored(&partition));
    }
    assert_eq!(check(&bench).stored_otherwise, None, "a runner alone comes across each of them");
    let own = RunnerName::of_this_process(&hash(&bench.config), None);
    let elsewhere = RunnerName { host: "elsewhere".to_owned(), ..own };
    *bench.sink.runners.lock().unwrap() = vec![runner(elsewhere)];
    let found = check(&bench).stored_otherwise.unwrap();
    assert_eq!(found.checked, 64);
    assert!((20..=23).contains(&found.differ), "{found:?}");
    assert!(found.partition.key.as_str() >= "k40" && found.difference.contains('7'), "{found:?}");

    bench.sink.marks_fault = Some(Box::new(|_| Err(transient())));
    assert!(check_before_work(&bench.job(), &bench.partitions()).is_err());
}

#[test]
fn the_clock_of_the_store_is_compared_with_ones_own() {
    let mut bench = Bench::new(&[], &["a"], &MONTHS, 20);
    bench.sink.only_here = Some("localhost is another server on each machine".to_owned());
    let now_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64;
    for ahead_s in [-3600_i64, 3600] {
        bench.sink.clock_us = Some(now_us + ahead_s * 1_000_000);
        let found = check(&bench);
        let ahead_us = found.clock_ahead_us.unwrap();
        assert!((ahead_us - ahead_s * 1_000_000).abs() < 600_000_000, "{ahead_us}");
        assert_eq!(found.only_here, bench.sink.only_here);
    }
}
