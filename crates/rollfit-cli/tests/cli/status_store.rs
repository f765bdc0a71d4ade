//! `rollfit status --store`: who works on a store, and how far the job is, seen from anywhere, without a record and without reading a source.

use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::running::{Running, signal};
use crate::sandbox::Sandbox;
use crate::signals::SlowJob;
use crate::tree::Tree;

const KEYS: [&str; 2] = ["eurusd", "usdjpy"];
const MONTHS: [&str; 3] = ["2017-01", "2017-02", "2017-03"];

/// Holds a partition as another runner would, with this note, until it is dropped.
fn hold(sandbox: &Sandbox, key: &str, month: &str, note: &str) -> File {
    let path = sandbox.part(key, month).with_file_name(".lock");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = File::create(path).unwrap();
    file.lock().unwrap();
    file.write_all(note.as_bytes()).unwrap();
    file
}

/// A status from another machine: there is no record here.
fn elsewhere(sandbox: &Sandbox) -> Value {
    let state = sandbox.path("elsewhere").display().to_string();
    let told = sandbox.run_with(&[("ROLLFIT_STATE_DIR", &state)], &["status", "--store", "--json"]).exits(0);
    told.json()["store"].clone()
}

/// Makes it look as if the partitions had been committed so many seconds ago.
fn committed(sandbox: &Sandbox, ages_s: &[(&str, &str, u64)]) {
    for (key, month, age_s) in ages_s {
        let part = File::options().write(true).open(sandbox.part(key, month)).unwrap();
        part.set_modified(SystemTime::now() - Duration::from_secs(*age_s)).unwrap();
    }
}

/// A store with two keys of three months, of which all but the last are done.
fn nearly_done() -> Sandbox {
    let sandbox = Sandbox::done(&KEYS, &MONTHS);
    sandbox.run(&["drop", "usdjpy:2017-03"]).exits(0);
    sandbox
}

#[test]
fn runners_on_all_machines_are_shown_with_what_they_have() {
    let sandbox = Sandbox::imported(&KEYS, &MONTHS);
    let lock = hold(&sandbox, "eurusd", "2017-03", "rollfit 4711@worker-3 3/8");
    let mut running =
        Running::start(sandbox.command(&["run", "--json", "--log-format", "json", "--workers", "1"]));
    for _ in 1..KEYS.len() * MONTHS.len() {
        running.wait_for_stage("written");
    }
    let store = elsewhere(&sandbox);
    let counts = ["partitions", "done", "missing", "unread"].map(|field| store[field].as_u64().unwrap());
    assert_eq!(counts, [6, 5, 1, 0]);
    let runner = &store["runners"][0];
    assert_eq!((&runner["host"], &runner["pid"]), (&"worker-3".into(), &4711.into()));
    assert_eq!((&runner["shard"], &runner["is_other_definition"]), (&"3/8".into(), &false.into()));
    assert_eq!(runner["held"][0]["partition"]["month"], "2017-03");
    assert_eq!((&runner["held"][0]["is_long"], &store["is_at_work"]), (&false.into(), &true.into()));
    assert!(runner["held"][0]["held_s"].as_f64().unwrap() < 600.0);
    assert!(
        store["rows"].as_u64().unwrap() > 0 && store["pace"]["rows_per_s"].as_f64().unwrap() > 0.0,
        "{store}"
    );
    sandbox.run(&["status", "--store"]).exits(0).says(&[
        "6 partitions: 5 done, 1 missing, 0 of another definition",
        "1 runner has 1 partition; last commit ",
        "rollfit 4711@worker-3, shard 3/8: eurusd 2017-03 for ",
        "; ETA ",
    ]);
    // Unlocked first: a process that another test is starting may still share the file.
    lock.unlock().unwrap();
    running.finish().exits(0);
    assert_eq!(elsewhere(&sandbox)["runners"], Value::Array(Vec::new()));
    sandbox.run(&["status", "--store"]).exits(0).says(&["6 done, 0 missing", "ETA 0 s: nothing is missing"]);
}

#[test]
fn a_runner_that_works_is_seen_by_its_own_name() {
    let job = SlowJob::with_windows(600);
    let mut running = job.start(&["run"]);
    running.wait_for_stage("write");
    // Between two partitions it has none.
    let store =
        (0..100).map(|_| elsewhere(&job.sandbox)).find(|store| !store["runners"][0].is_null()).unwrap();
    let runner = &store["runners"][0];
    assert_eq!((&runner["pid"], &runner["is_other_definition"]), (&running.id().into(), &false.into()));
    assert!(runner["definition"].as_str().unwrap().len() == 8 && runner["shard"].is_null(), "{runner}");
    signal(&running, "KILL");
    running.finish();
    assert_eq!(elsewhere(&job.sandbox)["runners"], Value::Array(Vec::new()), "its locks are gone with it");
}

#[test]
fn the_eta_follows_from_when_the_last_partitions_were_committed() {
    let sandbox = nearly_done();
    let (key, others) = (KEYS[0], KEYS[1]);
    let ages = [
        (key, MONTHS[0], 7200),
        (key, MONTHS[1], 120),
        (key, MONTHS[2], 90),
        (others, MONTHS[0], 60),
        (others, MONTHS[1], 30),
    ];
    committed(&sandbox, &ages);
    let _lock = hold(&sandbox, others, MONTHS[2], "rollfit 4711@worker-3");
    let store = elsewhere(&sandbox);
    let eta = |name: &str| store["remaining_s"][name].as_f64().unwrap();
    // Since the work began again, 120 s ago, three partitions were committed: one takes 40 s.
    assert_eq!(store["pace"]["commits"], 3);
    assert!((38.0..60.0).contains(&eta("expected_s")), "{store}");
    assert!(eta("low_s") < 25.0 && eta("high_s") > 200.0, "three say little: {store}");
    sandbox.run(&["status", "--store"]).exits(0).says(&["3 partitions in the last 2.", "; ETA 4"]);
}

#[test]
fn where_nobody_is_at_work_no_eta_is_told_and_watching_ends() {
    let sandbox = nearly_done();
    let all: Vec<_> = KEYS.iter().flat_map(|key| MONTHS.map(|month| (*key, month, 7200))).collect();
    committed(&sandbox, &all[..5]);
    let before = Tree::read(&sandbox.path("fx"));
    sandbox.run(&["status", "--store"]).exits(0).says(&[
        "5 done, 1 missing",
        "ETA not known: nobody works on it",
        "no runner is at work; last commit 2.0 h ago",
    ]);
    before.is_untouched(&sandbox.path("fx"));
    // Whoever watches before the first runner has a partition waits for one; where nothing is missing there is none to wait for.
    sandbox.run(&["run"]).exits(0);
    committed(&sandbox, &all);
    let before_watch = Tree::read(&sandbox.path("fx"));
    sandbox
        .run(&["status", "--store", "--watch"])
        .exits(0)
        .says(&["6 done, 0 missing", "nothing is missing"]);
    let json = sandbox.run(&["status", "--store", "--watch", "--json"]).exits(0).json();
    assert_eq!((&json["store"]["is_at_work"], &json["store"]["remaining_s"]), (&false.into(), &Value::Null));
    before_watch.is_untouched(&sandbox.path("fx"));
}

#[test]
fn what_a_run_would_not_write_is_not_called_done() {
    let sandbox = Sandbox::done(&KEYS, &MONTHS);
    let told = sandbox.run_with(&[("ROLLFIT_WINDOWS__W15", "16")], &["status", "--store"]).exits(0);
    assert!(!told.stdout.contains("ETA"), "{told}");
    told.says(&[
        "0 done, 0 missing, 6 of another definition",
        "nothing is missing; 6 partitions are of another definition",
    ]);
}

#[test]
fn one_odd_partition_is_unreadable_and_hides_no_other() {
    let sandbox = nearly_done();
    fs::create_dir_all(sandbox.part("usdjpy", "2017-03").with_file_name(".lock")).unwrap();
    let _lock = hold(&sandbox, "usdjpy", "2017-02", "rollfit 4711@worker-3");
    sandbox.run(&["status", "--store"]).exits(0).says(&[
        "5 done, 0 missing, 0 of another definition, 0 foreign, 0 newer, 1 unreadable",
        "nothing is missing; 1 partition is unreadable",
        "rollfit 4711@worker-3: usdjpy 2017-02",
    ]);
}

#[test]
fn watching_shows_the_job_until_the_last_runner_has_ended() {
    let sandbox = nearly_done();
    let all: Vec<_> = KEYS.iter().flat_map(|key| MONTHS.map(|month| (*key, month, 7200))).collect();
    committed(&sandbox, &all[..5]);
    let mut command = sandbox.command(&["status", "--store", "--watch", "--json"]);
    let mut watching = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(watching.stdout.take().unwrap()));
    let mut next = || -> Option<Value> { Some(serde_json::from_str(&lines.next()?.unwrap()).unwrap()) };
    // It was begun before the runner had a partition.
    assert_eq!(next().unwrap()["store"]["is_at_work"], false);
    let lock = hold(&sandbox, "usdjpy", "2017-03", "rollfit 4711@worker-3");
    let seen = std::iter::from_fn(&mut next).find(|seen| seen["store"]["is_at_work"] == true).unwrap();
    assert_eq!(seen["store"]["runners"][0]["pid"], 4711);
    lock.unlock().unwrap();
    let last = std::iter::from_fn(&mut next).last().unwrap();
    assert_eq!(last["store"]["runners"], Value::Array(Vec::new()));
    assert!(watching.wait().unwrap().success());
}

#[test]
fn a_partition_that_is_held_for_long_and_a_clock_that_is_ahead_are_told() {
    let sandbox = nearly_done();
    let lock = hold(&sandbox, "usdjpy", "2017-03", "process 12 on worker-9");
    lock.set_modified(SystemTime::now() - Duration::from_secs(40 * 60)).unwrap();
    let part = File::options().write(true).open(sandbox.part("eurusd", "2017-01")).unwrap();
    part.set_modified(SystemTime::now() + Duration::from_secs(300)).unwrap();
    let store = elsewhere(&sandbox);
    assert_eq!(
        (&store["runners"][0]["held"][0]["is_long"], &store["remaining_s"]),
        (&true.into(), &Value::Null)
    );
    assert!(store["clock_ahead_s"].as_f64().unwrap() > 200.0);
    sandbox.run(&["status", "--store"]).exits(0).says(&[
        "warning: rollfit 12@worker-9 has had usdjpy 2017-03 for 40.",
        "ETA not known: all that is missing has been held for too long",
        "check that it is alive; a partition is free as soon as its process ends",
        "warning: the last commit is ",
        "in the future: set the clocks of all machines",
    ]);
}

#[test]
fn a_store_is_not_one_run() {
    let sandbox = Sandbox::new();
    sandbox.run(&["status", "--store", "2017"]).exits(2).says(&["cannot be used with"]);
    sandbox.run(&["status", "--store"]).exits(2).says(&["configuration rollfit.toml does not exist"]);
}
