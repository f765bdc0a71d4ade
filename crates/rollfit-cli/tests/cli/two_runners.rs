//! Two runners on one store: no partition is written twice at once, neither waits for ever, both end well.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use serde_json::Value;

use crate::running::Running;
use crate::sandbox::Sandbox;
use crate::tree::{Tree, leftovers};

const KEYS: [&str; 2] = ["eurusd", "usdjpy"];
const MONTHS: [&str; 3] = ["2017-01", "2017-02", "2017-03"];

fn start(sandbox: &Sandbox, arguments: &[&str]) -> Running {
    Running::start(sandbox.command(&[&["run", "--json", "--log-format", "json"], arguments].concat()))
}

/// Holds a partition as another runner would, until it is dropped.
pub(crate) fn hold(sandbox: &Sandbox, month: &str) -> File {
    let path = sandbox.part("eurusd", month).with_file_name(".lock");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = File::create(path).unwrap();
    file.lock().unwrap();
    file.write_all(b"process 1 on elsewhere").unwrap();
    file
}

#[test]
fn two_runners_share_the_work_and_both_end_well() {
    let undisturbed = Sandbox::done(&KEYS, &MONTHS);
    let sandbox = Sandbox::imported(&KEYS, &MONTHS);
    let runners = [start(&sandbox, &[]), start(&sandbox, &[])];
    let summaries: Vec<Value> = runners.into_iter().map(|running| running.finish().exits(0).json()).collect();
    let sum = |field: &str| summaries.iter().map(|summary| summary[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("written"), 6, "each partition was written once");
    assert_eq!(sum("already_done") + sum("written_by_others"), 6, "and found done once");
    let [wanted, found] = [undisturbed, sandbox].map(|sandbox| {
        assert!(leftovers(&sandbox.path("fx/features")).is_empty());
        Tree::read(&sandbox.path("fx/features"))
    });
    assert!(wanted.has_the_files_of(&found));
}

#[test]
fn two_runners_that_both_rewrite_take_turns() {
    let sandbox = Sandbox::done(&KEYS, &MONTHS);
    let before = Tree::read(&sandbox.path("fx/features"));
    let runners = [start(&sandbox, &["--force"]), start(&sandbox, &["--force"])];
    let mut written = 0;
    for running in runners {
        let summary = running.finish().exits(0).json();
        let count = |field: &str| summary[field].as_u64().unwrap();
        assert_eq!(count("written") + count("written_by_others"), 6, "{summary}");
        written += count("written");
    }
    assert!((6..=12).contains(&written), "each was written again, once or by both: {written}");
    assert!(before.has_the_files_of(&Tree::read(&sandbox.path("fx/features"))));
}

#[test]
fn a_held_partition_is_waited_for_while_the_others_are_done() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    let lock = hold(&sandbox, "2017-01");
    let mut running = start(&sandbox, &["--workers", "1"]);
    let held = running.wait_for_stage("held");
    assert_eq!(held["partition"], "eurusd 2017-01");
    running.wait_for(|message| message["stage"] == "written" && message["partition"] == "eurusd 2017-03");
    std::thread::sleep(Duration::from_millis(500));
    assert!(!sandbox.part("eurusd", "2017-01").exists());
    // Unlocked first: a process that another test is starting may still share the file.
    lock.unlock().unwrap();
    drop(lock);
    assert_eq!(running.finish().exits(0).json()["written"], 3);
    assert!(leftovers(&sandbox.path("fx/features")).is_empty());
}

#[test]
fn nobody_waits_longer_than_lock_wait() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    let _lock = hold(&sandbox, "2017-02");
    let run = sandbox.run_with(&[("ROLLFIT_RUN__LOCK_WAIT_S", "0")], &["run", "--json"]).exits(1).json();
    assert_eq!(run["written"], 2);
    let failed = &run["failed"][0];
    assert_eq!((&failed["state"], &failed["partition"]["month"]), (&"held".into(), &"2017-02".into()));
    assert_eq!(
        failed["cause"],
        "still in use by process 1 on elsewhere, which has locked fx/features/key=eurusd/month=2017-02/.lock"
    );
    sandbox.run(&["drop", "eurusd:2017-02"]).exits(1);
}

#[test]
fn a_partition_in_the_hands_of_a_runner_is_not_dropped() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    let lock = hold(&sandbox, "2017-02");
    sandbox.run(&["drop", "eurusd:2017-02"]).exits(1).says(&[
        "in use by process 1 on elsewhere, which has locked ",
        "month=2017-02/.lock; try again later",
    ]);
    assert!(sandbox.part("eurusd", "2017-02").exists());
    // Unlocked first: a process that another test is starting may still share the file.
    lock.unlock().unwrap();
    drop(lock);
    sandbox.run(&["drop", "eurusd:2017-02"]).exits(0);
}

#[test]
fn two_imports_do_not_mix() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let mut lock = File::create(sandbox.path("fx/sources/.import.lock")).unwrap();
    lock.lock().unwrap();
    lock.write_all(b"process 1 on elsewhere").unwrap();
    let before = Tree::read(&sandbox.path("fx/sources"));
    let file = sandbox.bars_file("eurusd", "2017-02").display().to_string();
    let import = ["import", "--format", "csv", "--into", "parquet:fx", &file];
    sandbox.run(&import).exits(1).says(&[
        "process 1 on elsewhere is importing into fx",
        "it has locked fx/sources/.import.lock",
        "wait",
    ]);
    before.is_untouched(&sandbox.path("fx/sources"));
    // Unlocked first: a process that another test is starting may still share the file.
    lock.unlock().unwrap();
    drop(lock);
    sandbox.run(&import).exits(0);
}

#[test]
fn an_import_during_a_run_leaves_partitions_that_a_further_run_puts_right() {
    let sandbox = Sandbox::imported(&KEYS, &MONTHS);
    let mut running = start(&sandbox, &["--workers", "1"]);
    running.wait_for_stage("write");
    let changed: Vec<(i64, f64)> =
        crate::bars::bars("usdjpy", "2017-02").iter().map(|bar| (bar.0, 1.5)).collect();
    sandbox.import_changed("usdjpy", &changed);
    running.finish().exits(0);
    sandbox.run(&["run"]).exits(0);
    sandbox.run(&["verify"]).exits(0).says(&["6 verified"]);
}
