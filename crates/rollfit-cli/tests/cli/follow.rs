//! `run --follow`: the features of rows follow as they are imported, until a signal; what it reports meanwhile and leaves behind;
//! and what it does not start with.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rollfit_job::partition::Partition;
use rollfit_job::record::{Event, FollowChange, FollowChangeKind, Header, Record, RunEnd};
use rollfit_job::watch::Totals;
use serde_json::{Value, json};

use crate::bars::{bars, csv};
use crate::features::Columns;
use crate::metrics_file::samples;
use crate::record::{documented, read, records};
use crate::running::{Running, signal};
use crate::sandbox::Sandbox;
use crate::tree::leftovers;

const MONTH: &str = "2017-01";

/// A sandbox whose source has the first rows of a month of each key, and whose job has no last month.
fn open_month(keys: &[&str], rows: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    for key in keys {
        add(&sandbox, key, MONTH, 0..rows);
    }
    sandbox.configure(keys, MONTH, "latest");
    sandbox
}

/// Imports some bars of a month.
#[track_caller]
fn add(sandbox: &Sandbox, key: &str, month: &str, rows: std::ops::Range<usize>) {
    let file = format!("{key}-{month}-{}.csv", rows.start);
    sandbox.write(&file, csv(&bars(key, month)[rows]));
    sandbox.run(&["import", "--format", "csv", "--into", "parquet:fx", "--key", key, &file]).exits(0);
}

/// Starts a follower, and waits until it follows.
fn follow(sandbox: &Sandbox, more: &[&str]) -> Running {
    let arguments = ["run", "--follow", "--poll-interval", "20ms", "--json", "--log-format", "json"];
    let mut running = Running::start(sandbox.command(&[&arguments[..], more].concat()));
    running.wait_for_words("following ");
    running
}

/// Stops a follower; returns its document.
#[track_caller]
fn stop(running: Running, code: i32) -> Value {
    signal(&running, "TERM");
    running.finish().exits(code).json()
}

/// Waits until a partition has so many rows of features.
#[track_caller]
fn wait_for_rows(sandbox: &Sandbox, key: &str, month: &str, rows: usize) {
    let (part, started) = (sandbox.part(key, month), Instant::now());
    let stored = || if part.exists() { Columns::read(&part).instants_us.len() } else { 0 };
    while stored() != rows {
        assert!(started.elapsed() < Duration::from_secs(60), "{key} {month} has {} rows", stored());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The records of followers, the oldest first.
fn followers(sandbox: &Sandbox) -> Vec<(PathBuf, Record)> {
    let records = records(sandbox).into_iter().map(|path| (path.clone(), read(&path)));
    records.filter(|(_, record)| record.header.follows.is_some()).collect()
}

#[test]
fn features_follow_the_rows_of_a_month_and_of_the_next_one() {
    let sandbox = open_month(&["eurusd", "usdjpy"], 200);
    let running = follow(&sandbox, &[]);
    add(&sandbox, "eurusd", MONTH, 200..203);
    wait_for_rows(&sandbox, "eurusd", MONTH, 203 - 15);
    add(&sandbox, "usdjpy", MONTH, 200..372);
    wait_for_rows(&sandbox, "usdjpy", MONTH, 372 - 15);
    add(&sandbox, "usdjpy", "2017-02", 0..7);
    add(&sandbox, "eurusd", "2017-02", 0..9);
    wait_for_rows(&sandbox, "usdjpy", "2017-02", 7);
    wait_for_rows(&sandbox, "eurusd", "2017-02", 9);
    let document = stop(running, 0);
    assert_eq!((&document["written"], &document["interrupted"]), (&json!(2), &json!(false)));
    let follow = &document["follow"];
    let added = follow["appended_rows"].as_u64().unwrap();
    let written = follow["rewritten"].as_u64().unwrap();
    assert!(added > 0 || written > 0, "{follow}");
    assert_eq!(follow["keys"].as_array().unwrap().len(), 2);
    assert_eq!(follow["keys"][0]["lag_s"], 0.0);
    assert_eq!((&follow["partitions_behind"], &follow["store_lost"]), (&json!(0), &Value::Null));
    // What a run makes of the same source is what is there.
    sandbox.run(&["verify"]).exits(0);
    let again = sandbox.run(&["run", "--json"]).exits(0).json();
    assert_eq!((&again["written"], &again["already_done"]), (&json!(0), &json!(4)));
    assert!(leftovers(&sandbox.path("fx/features")).is_empty());
}

#[test]
fn a_correction_is_followed_as_well() {
    let sandbox = open_month(&["eurusd"], 200);
    let mut running = follow(&sandbox, &[]);
    let (instant_us, close) = bars("eurusd", MONTH)[190];
    sandbox.import_changed("eurusd", &[(instant_us, close + 0.01)]);
    running.wait_for(|line| {
        line["stage"] == "written" && line["message"].as_str().unwrap().contains("input-changed")
    });
    stop(running, 0);
    sandbox.run(&["verify"]).exits(0);
}

#[test]
fn a_follower_is_seen_from_another_process_and_its_record_says_what_it_did() {
    let sandbox = open_month(&["eurusd"], 200);
    let mut running = follow(&sandbox, &["--metrics-file", "rollfit.prom"]);
    add(&sandbox, "eurusd", MONTH, 200..203);
    running.wait_for(|line| ["appended", "written"].contains(&line["stage"].as_str().unwrap()));
    let started = Instant::now();
    let run = loop {
        let status = sandbox.run(&["status", "--json"]).exits(0).json();
        let run = status["runs"][0].clone();
        if run["totals"]["rows"].as_u64() > Some(0) {
            break run;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{status}");
    };
    assert_eq!((&run["state"], &run["header"]["pid"]), (&json!("running"), &json!(running.id())));
    assert_eq!(run["follow"]["keys"][0]["key"], "eurusd");
    let features = Columns::read(&sandbox.part("eurusd", MONTH)).instants_us;
    let last = rollfit_job::month::display_instant(*features.last().unwrap());
    let told = sandbox.run(&["status"]).exits(0);
    let told = told.says(&["following, process", "follows 1 key for", "no lag", "features to", &last]);
    assert!(!told.stdout.contains("ETA"), "{told}");
    stop(running, 0);

    sandbox.run(&["status"]).exits(0).says(&["finished, process", "0 partitions behind", "took"]);
    let [(path, record)] = &followers(&sandbox)[..] else { panic!() };
    let all = records(&sandbox);
    let run = read(all.iter().find(|other| *other != path).unwrap());
    assert_eq!(record.header.follows, Some(run.header.run));
    let whats: Vec<FollowChangeKind> = record.changes.iter().map(|change| change.what).collect();
    assert!(whats.contains(&FollowChangeKind::Appended) || whats.contains(&FollowChangeKind::Rewritten));
    assert!(!record.end.as_ref().unwrap().interrupted);
    is_documented(&fs::read_to_string(path).unwrap());
    has_figures_of_keys(&sandbox);
}

/// Checks that the page on formats has every field of a record.
#[track_caller]
fn is_documented(record: &str) {
    let documented = documented();
    for line in record.lines() {
        let line: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
        let event = line["event"].as_str().unwrap();
        let row = documented.lines().find(|row| row.starts_with(&format!("| `{event}` |"))).unwrap();
        for field in line.keys().filter(|field| !matches!(field.as_str(), "event" | "at_ms")) {
            assert!(row.contains(&format!("`{field}`")), "{field} of {event} is not documented");
        }
        if let Some(what) = line.get("what") {
            assert!(row.contains(&format!("`{}`", what.as_str().unwrap())), "{what} is not documented");
        }
    }
}

/// Checks the metrics file of a follower that has ended.
#[track_caller]
fn has_figures_of_keys(sandbox: &Sandbox) {
    let samples = samples(&fs::read_to_string(sandbox.path("rollfit.prom")).unwrap());
    assert_eq!(samples["rollfit_lag_seconds{key=\"eurusd\"}"], 0.0);
    let since = ["rollfit_appends_total", "rollfit_partitions_rewritten_total"].map(|name| samples[name]);
    assert!(since[0] + since[1] > 0.0, "{since:?}");
    // The run before wrote the partition once.
    assert_eq!(samples["rollfit_partitions_written_total"], 1.0 + since[1]);
    assert_eq!((samples["rollfit_keys_followed"], samples["rollfit_partitions_behind"]), (1.0, 0.0));
    assert_eq!(samples["rollfit_run_running"], 0.0);
    assert!(samples["rollfit_source_asked_time_seconds"] > samples["rollfit_run_start_time_seconds"]);
    let documented = documented();
    for series in samples.keys() {
        let name = series.split('{').next().unwrap();
        assert!(documented.contains(&format!("`{name}`")), "{name} is not documented");
    }
}

#[test]
fn an_analysis_is_of_runs_and_not_of_followers() {
    let sandbox = open_month(&["eurusd"], 200);
    stop(follow(&sandbox, &[]), 0);
    let [(_, follower)] = &followers(&sandbox)[..] else { panic!() };
    let run = follower.header.follows.clone().unwrap();
    let analysis = sandbox.run(&["analyze", "--json"]).exits(0).json();
    assert_eq!(analysis["header"]["run"], run);
    sandbox.run(&["analyze", &follower.header.run]).exits(2).says(&["of a follower", "rollfit status"]);
    // The next run is estimated from the run, too.
    add(&sandbox, "eurusd", MONTH, 200..203);
    sandbox.run(&["plan"]).exits(0);
}

#[test]
fn whoever_watches_a_follower_goes_on_with_its_next_record() {
    let sandbox = Sandbox::new();
    let record = |number: u32| Record {
        header: Header {
            run: format!("20260101T000000Z-7-f{number}"),
            follows: Some(format!("20260101T000000Z-7-f{}", number - 1)),
            ..rollfit_testkit::record::header()
        },
        ..Record::default()
    };
    let path = |number: u32| sandbox.path(format!("state/runs/20260101T000000Z-7-f{number}.jsonl"));
    let lock = |number: u32| {
        sandbox.keep(record(number));
        let file = File::options().append(true).open(path(number)).unwrap();
        file.lock().unwrap();
        file
    };
    let mut first = lock(1);
    let mut command = sandbox.command(&["status", "--watch", "--json"]);
    let mut watching = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines().map(|line| {
        let run = serde_json::from_str::<Value>(&line.unwrap()).unwrap()["runs"][0].clone();
        (run["run"].as_str().unwrap().to_owned(), run["state"].as_str().unwrap().to_owned())
    });
    let named = |number: u32, state: &str| (record(number).header.run, state.to_owned());
    assert_eq!(lines.next(), Some(named(1, "running")));
    let second = lock(2);
    let end = Event::End(RunEnd { at_ms: 1, totals: Totals::default(), interrupted: false });
    first.write_all((serde_json::to_string(&end).unwrap() + "\n").as_bytes()).unwrap();
    drop(first);
    let next = lines.find(|line| *line != named(1, "running"));
    assert_eq!(next, Some(named(2, "running")));
    drop(second);
    assert_eq!(lines.last(), Some(named(2, "killed")));
    assert!(watching.wait().unwrap().success());
}

#[test]
fn a_run_that_found_everything_done_is_seen_until_its_follower_is() {
    let sandbox = open_month(&["eurusd"], 200);
    sandbox.run(&["run", "--quiet"]).exits(0);
    records(&sandbox).iter().for_each(|path| fs::remove_file(path).unwrap());
    // Its summary waits for a reader: between the end of the run and the start of the follower.
    let (reader, mut full) = std::io::pipe().unwrap();
    let stdout = full.try_clone().unwrap();
    let fill = std::thread::spawn(move || while full.write_all(&[b'\n'; 4096]).is_ok() {});
    std::thread::sleep(Duration::from_millis(50));
    let mut command = sandbox.command(&["run", "--follow", "--log-format", "json"]);
    let mut child = command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    drop(command);
    let messages = BufReader::new(child.stderr.take().unwrap()).lines();
    let done = messages.map(Result::unwrap).find(|line| line.contains("nothing to do"));
    assert!(done.is_some());
    std::thread::sleep(Duration::from_millis(200));
    let status = sandbox.run(&["status", "--json"]).exits(0).json();
    assert_eq!(status["runs"][0]["state"], "running", "{status}");
    drop(reader);
    fill.join().unwrap();
    let started = Instant::now();
    while records(&sandbox).iter().all(|path| !path.to_string_lossy().contains("-f1")) {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(100));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(records(&sandbox).len(), followers(&sandbox).len(), "the run did nothing");
}

#[test]
fn whoever_watches_a_run_goes_on_with_its_follower() {
    let sandbox = Sandbox::new();
    let keep = |run: &str, follows: Option<&str>| {
        let follows = follows.map(str::to_owned);
        let header = Header { run: run.to_owned(), follows, ..rollfit_testkit::record::header() };
        sandbox.keep(Record { header, ..Record::default() });
        let path = sandbox.path(format!("state/runs/{run}.jsonl"));
        let file = File::options().append(true).open(&path).unwrap();
        file.lock().unwrap();
        (path, file)
    };
    let (path, run) = keep("20260101T000000Z-7", None);
    let mut command = sandbox.command(&["status", "--watch", "--json"]);
    let mut watching = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines().map(|line| {
        let runs = serde_json::from_str::<Value>(&line.unwrap()).unwrap()["runs"].clone();
        let names = runs.as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned());
        names.collect::<Vec<String>>()
    });
    assert_eq!(lines.next().unwrap(), ["20260101T000000Z-7"]);
    // It found everything done; its follower is at its second record already.
    keep("20260101T000001Z-7-f1", Some("20260101T000000Z-7"));
    let (_, follower) = keep("20260101T000002Z-7-f2", Some("20260101T000001Z-7-f1"));
    fs::remove_file(path).unwrap();
    drop(run);
    let next = lines.find(|names| *names != ["20260101T000000Z-7"]);
    assert_eq!(next.unwrap(), ["20260101T000002Z-7-f2"]);
    drop(follower);
    assert_eq!(lines.last().unwrap(), ["20260101T000002Z-7-f2"]);
    assert!(watching.wait().unwrap().success());
}

#[test]
fn a_run_that_no_follower_came_after_is_watched_to_its_end() {
    let sandbox = Sandbox::new();
    let record = |run: &str, follows: &str| Record {
        header: Header {
            run: run.to_owned(),
            follows: Some(follows.to_owned()),
            ..rollfit_testkit::record::header()
        },
        ..Record::default()
    };
    // Strange records that name each other, and one of another run.
    sandbox.keep(record("20260101T000000Z-7", "20260101T000001Z-7-f1"));
    sandbox.keep(record("20260101T000001Z-7-f1", "20260101T000000Z-7"));
    sandbox.keep(record("20260101T000001Z-8-f1", "20260101T000000Z-8"));
    let path = sandbox.path("state/runs/20260101T000001Z-7-f1.jsonl");
    let file = File::options().append(true).open(&path).unwrap();
    file.lock().unwrap();
    let mut command = sandbox.command(&["status", "--watch", "--json"]);
    let mut watching = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().contains("\"running\""));
    drop(file);
    let last: Value = serde_json::from_str(&lines.last().unwrap()).unwrap();
    assert_eq!(last["runs"].as_array().unwrap().len(), 1);
    assert_eq!(last["runs"][0]["state"], "killed");
    assert!(watching.wait().unwrap().success());
}

#[test]
fn a_record_says_which_partitions_and_keys_were_behind_at_last() {
    let sandbox = Sandbox::new();
    let change = |what, key: Option<&str>, cause: &str| FollowChange {
        what,
        key: key.map(str::to_owned),
        partition: key.is_none().then(|| Partition::new("usdjpy".to_owned(), MONTH.parse().unwrap())),
        cause: Some(cause.to_owned()),
        ..FollowChange::default()
    };
    let header = Header {
        run: "20260101T000000Z-7-f1".to_owned(),
        follows: Some("20260101T000000Z-7".to_owned()),
        ..rollfit_testkit::record::header()
    };
    let changes = vec![
        change(FollowChangeKind::Waiting, Some("eurusd"), "there is no table"),
        change(FollowChangeKind::Waiting, Some("gbpusd"), "there is no index"),
        change(FollowChangeKind::Behind, None, "no room"),
        change(FollowChangeKind::CaughtUp, Some("eurusd"), ""),
    ];
    sandbox.keep(Record { header, changes, ..Record::default() });
    let status = sandbox.run(&["status"]).exits(0);
    let status = status.says(&["  usdjpy 2017-01: behind: no room", "  gbpusd: behind: there is no index"]);
    assert!(!status.stdout.contains("eurusd"), "{status}");
    let status = sandbox.run(&["status", "--json"]).exits(0).json();
    assert_eq!(status["runs"][0]["waiting"], json!([{ "key": "gbpusd", "cause": "there is no index" }]));
}

#[test]
fn a_follower_that_was_killed_is_said_to_be_and_the_next_one_continues() {
    let sandbox = open_month(&["eurusd"], 200);
    let running = follow(&sandbox, &[]);
    signal(&running, "KILL");
    running.finish();
    add(&sandbox, "eurusd", MONTH, 200..201);
    sandbox.run(&["status"]).exits(0).says(&["killed", "until its last update"]);
    stop(follow(&sandbox, &[]), 0);
    assert_eq!(Columns::read(&sandbox.part("eurusd", MONTH)).instants_us.len(), 201 - 15);
    sandbox.run(&["verify"]).exits(0);
}

#[test]
fn a_signal_during_the_first_run_ends_it_as_one_of_any_run() {
    let job = crate::signals::SlowJob::new();
    let mut running = job.start(&["run", "--follow"]);
    running.wait_for_stage("write");
    signal(&running, "INT");
    let document = running.finish().exits(130).json();
    assert_eq!((&document["interrupted"], &document["follow"]), (&json!(true), &Value::Null));
    assert!(followers(&job.sandbox).is_empty());
}

#[test]
fn what_the_first_run_skips_or_fails_does_not_keep_open_months_from_being_followed() {
    let sandbox = open_month(&["eurusd", "usdjpy"], 372);
    add(&sandbox, "eurusd", "2017-02", 0..200);
    sandbox.write("fx/features/key=eurusd/month=2017-01/part.parquet", "strange");
    sandbox.write("rollfit.toml", crate::bars::config(&["eurusd"], MONTH, "latest"));
    let running = follow(&sandbox, &[]);
    add(&sandbox, "eurusd", "2017-02", 200..203);
    wait_for_rows(&sandbox, "eurusd", "2017-02", 203);
    let document = stop(running, 4);
    assert_eq!(document["skipped"][0]["state"], "foreign");
}

#[test]
fn features_of_another_definition_keep_it_from_starting_unless_they_are_replaced() {
    let sandbox = open_month(&["eurusd"], 200);
    let carry = [("ROLLFIT_RUN__BOUNDARY", "carry")];
    sandbox.run_with(&carry, &["run", "--quiet"]).exits(0);
    let part = fs::read(sandbox.part("eurusd", MONTH)).unwrap();
    let refused = sandbox.run(&["run", "--follow"]).exits(4);
    refused.says(&[
        "1 partition is of another definition",
        "carry became reset",
        "--replace definition-changed",
    ]);
    assert_eq!(fs::read(sandbox.part("eurusd", MONTH)).unwrap(), part);
    stop(follow(&sandbox, &["--replace", "definition-changed"]), 0);
    sandbox.run(&["verify"]).exits(0);
}

#[test]
fn what_cannot_be_followed_is_refused_with_what_to_do() {
    let sandbox = open_month(&["eurusd"], 200);
    let refused = |arguments: &[&str], says: &[&str]| {
        sandbox.run(&[&["run"], arguments].concat()).exits(2).says(says);
    };
    refused(&["--follow", "--force"], &["--force", "run once with --force"]);
    refused(&["--follow", "--trace", "t.json"], &["--trace"]);
    refused(&["--poll-interval", "1s"], &["--follow"]);
    refused(&["--follow", "--poll-interval", "5"], &["`5` has no unit"]);
    refused(&["--follow", "--poll-interval", "1ms"], &["10ms or more"]);
    add(&sandbox, "eurusd", "2017-02", 0..7);
    refused(
        &["--follow", "--only", "eurusd:2017-01"],
        &["no month is open: eurusd has rows in 2017-02", "--only eurusd"],
    );
    sandbox.configure(&["eurusd"], MONTH, MONTH);
    refused(&["--follow"], &["no month is open", "to = \"latest\""]);
    assert!(!sandbox.path("fx/features").exists() && !sandbox.path("t.json").exists());
}

#[test]
fn months_that_have_not_begun_are_no_failures_and_are_followed_when_they_begin() {
    let sandbox = open_month(&["eurusd"], 372);
    sandbox.configure(&["eurusd"], MONTH, "2017-03");
    let running = follow(&sandbox, &[]);
    add(&sandbox, "eurusd", "2017-02", 0..20);
    wait_for_rows(&sandbox, "eurusd", "2017-02", 20);
    let document = stop(running, 0);
    assert_eq!((&document["partitions"], &document["failed"]), (&json!(1), &json!([])));
}
