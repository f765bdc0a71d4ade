//! Crashes: killed at any moment, as often as it may be, the same command finishes the work, and ends with the files
//! that an undisturbed run gives.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::bars::{bars_every, csv};
use crate::sandbox::Sandbox;
use crate::tree::{Tree, leftovers};

const KEYS: [&str; 2] = ["eurusd", "usdjpy"];
const MONTHS: [&str; 3] = ["2017-01", "2017-02", "2017-03"];
const KILLS: usize = 10;

/// A job of six partitions of some 9000 rows.
fn imported() -> Sandbox {
    let sandbox = Sandbox::new();
    let mut arguments = ["import", "--format", "csv", "--into", "parquet:fx"].map(str::to_owned).to_vec();
    for (key, month) in KEYS.iter().flat_map(|key| MONTHS.map(|month| (key, month))) {
        let name = format!("bars/key={key}/{month}.csv");
        sandbox.write(&name, csv(&bars_every(key, month, 300)));
        arguments.push(name);
    }
    sandbox.run(&arguments).exits(0);
    sandbox.configure(&KEYS, MONTHS[0], MONTHS[2]);
    sandbox
}

/// The features of an undisturbed run, and how long it took.
fn undisturbed() -> (Tree, Duration) {
    let sandbox = imported();
    let started = Instant::now();
    sandbox.run(&["run"]).exits(0);
    let took = started.elapsed();
    (Tree::read(&sandbox.path("fx/features")), took)
}

/// Starts a command and kills it after a time. Returns whether it was still at work then.
fn kill_after(sandbox: &Sandbox, arguments: &[&str], time: Duration) -> bool {
    let mut command = sandbox.command(&[arguments, &["--quiet"]].concat());
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap().signal().is_some()
}

/// Checks that whatever file is in place is complete: its rows have the checksum of its receipt.
#[track_caller]
fn every_file_in_place_is_whole(sandbox: &Sandbox) {
    let answer = sandbox.run(&["verify", "--quick", "--json"]);
    let verified = answer.json();
    let count = |verdict: &str| verified[verdict].as_u64().unwrap();
    assert_eq!(count("equal") + count("absent"), 6, "{verified}");
    answer.exits(if count("absent") > 0 { 4 } else { 0 });
}

#[track_caller]
fn ends_as_undisturbed(sandbox: &Sandbox, wanted: &Tree) {
    sandbox.run(&["run"]).exits(0);
    let features = sandbox.path("fx/features");
    let differences = wanted.differences(&Tree::read(&features));
    assert!(differences.is_empty(), "{differences:?}");
    assert_eq!(leftovers(&features), Vec::<std::path::PathBuf>::new());
    sandbox.run(&["verify", "--sample", "20"]).exits(0);
    let before = Tree::read(&sandbox.path("fx"));
    sandbox.run(&["run"]).exits(0).says(&["0 written, 6 already done"]);
    before.is_untouched(&sandbox.path("fx"));
}

#[test]
fn killed_at_ten_random_moments_the_same_command_finishes_the_work() {
    let (wanted, took) = undisturbed();
    let sandbox = imported();
    let mut random = fastrand::Rng::with_seed(3);
    let mut killed_at_work = 0;
    for kill in 0..KILLS {
        // Short lives at first, so that there is work left to be killed in.
        let longest = took.mul_f64((kill + 3) as f64 / (KILLS + 3) as f64);
        killed_at_work += u32::from(kill_after(&sandbox, &["run"], longest.mul_f64(random.f64())));
        every_file_in_place_is_whole(&sandbox);
    }
    assert!(killed_at_work > 2, "{killed_at_work} of {KILLS} kills came before the end");
    ends_as_undisturbed(&sandbox, &wanted);
}

#[test]
fn killed_while_it_rewrites_a_run_leaves_the_old_features_or_the_new() {
    let (wanted, took) = undisturbed();
    let sandbox = imported();
    sandbox.run(&["run", "--quiet"]).exits(0);
    let mut random = fastrand::Rng::with_seed(4);
    let mut killed_at_work = 0;
    for _ in 0..KILLS {
        killed_at_work += u32::from(kill_after(&sandbox, &["run", "--force"], took.mul_f64(random.f64())));
        every_file_in_place_is_whole(&sandbox);
        let old_or_new = Tree::read(&sandbox.path("fx/features"));
        let differences = wanted.differences(&old_or_new);
        assert!(differences.iter().all(|path| path.contains("/.")), "{differences:?}");
    }
    assert!(killed_at_work > 2, "{killed_at_work} of {KILLS} kills came before the end");
    ends_as_undisturbed(&sandbox, &wanted);
}

#[test]
fn killed_in_the_last_moments_of_a_run_nothing_is_lost() {
    let (wanted, took) = undisturbed();
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..3 {
        let sandbox = imported();
        kill_after(&sandbox, &["run"], took.mul_f64(0.7 + 0.3 * random.f64()));
        every_file_in_place_is_whole(&sandbox);
        ends_as_undisturbed(&sandbox, &wanted);
    }
}

#[test]
fn what_a_killed_run_left_is_removed_also_where_there_is_nothing_to_do() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    let before = Tree::read(&sandbox.path("fx/features"));
    for left in [".part.tmp", ".lock"] {
        sandbox.write(format!("fx/features/key=eurusd/month=2017-01/{left}"), "what a killed run left");
    }
    sandbox.run(&["plan"]).exits(0).says(&["1 done"]);
    sandbox.run(&["verify"]).exits(0);
    sandbox.run(&["run"]).exits(0).says(&["0 written, 1 already done"]);
    let differences = before.differences(&Tree::read(&sandbox.path("fx/features")));
    assert!(differences.is_empty(), "{differences:?}");
}
