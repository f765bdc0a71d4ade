//! `rollfit runs`, names of runs that are mistyped, and which run is the newest.

use std::fs;

use rollfit_job::record::{PartitionOutcome, Record};
use serde_json::Value;

use crate::sandbox::Sandbox;

/// The record of a run of this configuration that began at this minute of an hour.
fn made(minute: usize, config: &str) -> Record {
    let record = rollfit_testkit::record::made(4, 2);
    let mut header = record.header.clone();
    header.run = format!("20261129T10{minute:02}00Z-{}", 100 + minute);
    header.started = format!("2026-11-29T10:{minute:02}:00.000Z");
    config.clone_into(&mut header.config);
    Record { header, ..record }
}

/// The same run, had it failed in every partition.
fn failed(minute: usize) -> Record {
    let mut record = made(minute, "/jobs/a.toml");
    for end in &mut record.partitions {
        (end.outcome, end.rows, end.bytes) = (PartitionOutcome::Failed, 0, 0);
        end.cause = Some("the disk is full".to_owned());
    }
    if let Some(end) = &mut record.end {
        (end.totals.written, end.totals.failed, end.totals.rows) = (0, 4, 0);
    }
    record
}

fn names(document: &Value) -> Vec<&str> {
    document["runs"].as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap()).collect()
}

#[test]
fn runs_are_listed_with_the_newest_first() {
    let sandbox = Sandbox::new();
    sandbox.run(&["runs"]).exits(0).says(&["no run has left a record", "state/runs"]);
    assert_eq!(sandbox.run(&["runs", "--json"]).exits(0).json()["runs"], Value::Array(Vec::new()));
    for minute in [7, 3, 5] {
        sandbox.keep(made(minute, "/jobs/a.toml"));
    }
    sandbox.keep(Record { end: None, ..made(9, "/jobs/b.toml") });
    let listed = sandbox.run(&["runs"]).exits(0);
    let lines: Vec<&str> = listed.stdout.lines().collect();
    let heading: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(heading, ["run", "started", "state", "took", "written", "failed", "rows"]);
    let runs: Vec<&str> = lines[1..].iter().map(|line| line.split("  ").next().unwrap()).collect();
    let all =
        ["20261129T100900Z-109", "20261129T100700Z-107", "20261129T100500Z-105", "20261129T100300Z-103"];
    assert_eq!(runs, all);
    assert!(lines[1].contains("killed") && lines[2].contains("finished"), "{listed}");

    let document = sandbox.run(&["runs", "--json"]).exits(0).json();
    assert_eq!(names(&document), all);
    let run = &document["runs"][1];
    assert_eq!((&run["state"], &run["written"], &run["failed"]), (&"finished".into(), &3.into(), &1.into()));
    assert!(run["rows"].as_u64() > Some(0) && run["took_s"].as_f64() > Some(0.0), "{run}");
    let of_a = sandbox.run(&["runs", "--json", "--config", "/jobs/a.toml"]).exits(0).json();
    assert_eq!(names(&of_a), all[1..]);
}

#[test]
fn only_the_newest_twenty_are_listed_unless_all_are_wanted() {
    let sandbox = Sandbox::new();
    (10..31).for_each(|minute| sandbox.keep(made(minute, "/jobs/a.toml")));
    let listed = sandbox.run(&["runs"]).exits(0).says(&["20261129T103000Z-130", "--all lists all"]);
    assert_eq!(listed.stdout.lines().count(), 1 + 20 + 1);
    assert_eq!(sandbox.run(&["runs", "--all"]).exits(0).stdout.lines().count(), 1 + 21);
    let document = sandbox.run(&["runs", "--json"]).exits(0).json();
    assert_eq!((names(&document).len(), &document["has_more"]), (20, &true.into()));
}

#[test]
fn a_damaged_record_is_listed_and_passed_over_and_what_is_none_is_not() {
    let sandbox = Sandbox::new();
    [3, 5].into_iter().for_each(|minute| sandbox.keep(made(minute, "/jobs/a.toml")));
    let path = sandbox.path("state/runs/20261129T100500Z-105.jsonl");
    let damaged = fs::read_to_string(&path).unwrap().replacen("\"outcome\"", "\"outcame\"", 1);
    fs::write(&path, damaged).unwrap();
    sandbox.write("state/runs/20261129T110000Z-9.jsonl", "");
    sandbox.write("state/runs/20261129T120000Z-9.jsonl", "\u{0}".repeat(100));
    sandbox.write("state/runs/notes.jsonl", "{\"event\":\"shopping\"}\n");
    sandbox.write("state/runs/20261129T130000Z-9.jsonl/part", "a directory");
    let document = sandbox.run(&["runs", "--json"]).exits(0).json();
    assert_eq!(names(&document), ["20261129T120000Z-9", "20261129T100500Z-105", "20261129T100300Z-103"]);
    for at in [0, 1] {
        let run = &document["runs"][at];
        assert_eq!((&run["state"], &run["rows"]), (&"damaged".into(), &Value::Null), "{run}");
    }
    sandbox.run(&["runs"]).exits(0).says(&["damaged"]);
    // The newest that can be read is the newest, and the others are named.
    for command in ["status", "analyze"] {
        let newest = sandbox.run(&[command]).exits(0).says(&["20261129T100300Z-103"]);
        for damaged in ["20261129T120000Z-9.jsonl", "20261129T100500Z-105.jsonl"] {
            let is_named = |line: &str| line.starts_with("warning: ") && line.contains(damaged);
            assert!(newest.stderr.lines().any(is_named), "{newest}");
        }
        sandbox.run(&[command, "20261129T100500Z-105"]).exits(1).says(&["the record is damaged"]);
    }
    // Where none can be read that is the error.
    fs::remove_file(sandbox.path("state/runs/20261129T100300Z-103.jsonl")).unwrap();
    for command in ["status", "analyze"] {
        sandbox.run(&[command]).exits(1).says(&["20261129T120000Z-9.jsonl", "is not a run record"]);
    }
}

#[test]
fn a_mistyped_name_is_answered_with_the_nearest_one() {
    let sandbox = Sandbox::new();
    [3, 5].into_iter().for_each(|minute| sandbox.keep(made(minute, "/jobs/a.toml")));
    for command in ["status", "analyze"] {
        let answer = sandbox.run(&[command, "20261129T100300Z-104"]).exits(2);
        answer.says(&[
            "no run called `20261129T100300Z-104`",
            "did you mean `20261129T100300Z-103`? ",
            "`rollfit runs`",
        ]);
        let strange = sandbox.run(&[command, "x"]).exits(2).says(&["`rollfit runs` lists the runs"]);
        assert!(!strange.stderr.contains("did you mean"), "{strange}");
        let long = sandbox.run(&[command, &"2".repeat(20_000)]).exits(2);
        assert!(long.stderr.len() < 1000, "{}", long.stderr.len());
    }
}

#[test]
fn a_run_that_wrote_nothing_is_not_the_newest_to_analyze() {
    let sandbox = Sandbox::new();
    sandbox.keep(made(3, "/jobs/a.toml"));
    sandbox.keep(failed(5));
    sandbox.run(&["analyze"]).exits(0).says(&["20261129T100300Z-103"]);
    sandbox.run(&["analyze", "20261129T100500Z-105"]).exits(0).says(&["20261129T100500Z-105"]);
    // How it ended is a result all the same.
    sandbox.run(&["status"]).exits(0).says(&["20261129T100500Z-105: finished", "0 written, 4 failed"]);
    fs::remove_file(sandbox.path("state/runs/20261129T100300Z-103.jsonl")).unwrap();
    sandbox
        .run(&["analyze"])
        .exits(2)
        .says(&["no run has written anything", "`rollfit status 20261129T100500Z-105`"]);
}
