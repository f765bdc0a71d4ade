//! `rollfit analyze RECORD...`: the records of several machines together, in every form; records that cannot be joined are named; one
//! record, given once or twice, is analyzed as it always was.

use std::collections::BTreeSet;
use std::fs;

use rollfit_job::record::Record;
use rollfit_testkit::record::{lines, made, partition};
use serde_json::Value;

use crate::sandbox::{Answer, Sandbox};

/// The record of one of several runners, each with partitions of its own.
fn runner(index: u64) -> Record {
    let mut record = made(60, 3);
    record.header.run = format!("20261122T184510Z-{index}");
    record.header.host = format!("loader-{index}");
    record.header.started = format!("2026-11-22T18:45:{:02}.000Z", 10 + index);
    record.header.shard = Some(format!("{index}/4"));
    for (at, end) in record.partitions.iter_mut().enumerate() {
        end.partition = partition(10_000 * index + at as u64);
    }
    record.header.partitions = 60;
    record
}

/// A sandbox with the records of several runners, and their files.
fn with(count: u64) -> (Sandbox, Vec<String>) {
    let sandbox = Sandbox::new();
    let file = |index| {
        let name = format!("records/{index}.jsonl");
        sandbox.write(&name, lines(runner(index)));
        name
    };
    let files = (0..count).map(file).collect();
    (sandbox, files)
}

fn analyze(sandbox: &Sandbox, files: &[String], options: &[&str]) -> Answer {
    let files = files.iter().map(String::as_str);
    sandbox.run(&["analyze"].into_iter().chain(files).chain(options.iter().copied()).collect::<Vec<_>>())
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn several_records_are_one_whole_in_every_form() {
    let (sandbox, files) = with(4);
    let json = analyze(&sandbox, &files, &["--json"]).exits(0).json();
    let rows: u64 = (0..4).flat_map(|index| runner(index).partitions).map(|end| end.rows).sum();
    assert_eq!((&json["whole"]["rows"], &json["whole"]["partitions"]), (&rows.into(), &(4 * 59).into()));
    let hosts: Vec<&str> =
        json["runners"].as_array().unwrap().iter().map(|line| line["host"].as_str().unwrap()).collect();
    assert_eq!(hosts, ["loader-0", "loader-1", "loader-2", "loader-3"]);

    let text = analyze(&sandbox, &files, &[]).exits(0);
    assert!(text.stdout.lines().all(|line| line.chars().count() <= 100), "{text}");
    let told = in_one_line(&text.stdout);
    for part in
        ["4 runners on 4 hosts: 236 partitions", "loader-3 (3/4) ended last", "none was read twice", "clocks"]
    {
        assert!(told.contains(part), "{part} is not in {text}");
    }
    let markdown = analyze(&sandbox, &files, &["--markdown"]).exits(0);
    assert!(markdown.stdout.starts_with("## ") && markdown.stdout.contains("loader-2"), "{markdown}");

    analyze(&sandbox, &files, &["--html", "page.html", "--trace", "trace.json"])
        .exits(0)
        .says(&["wrote page.html"]);
    let page = fs::read_to_string(sandbox.path("page.html")).unwrap();
    assert!(page.len() < 1_000_000 && page.contains("Runners by host"));
    let trace: Value = serde_json::from_slice(&fs::read(sandbox.path("trace.json")).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let processes: BTreeSet<u64> = events.iter().map(|event| event["pid"].as_u64().unwrap()).collect();
    assert_eq!(processes, (1..=4).collect());
    let first_us = |process: u64| {
        let of_process = events.iter().filter(|event| event["pid"] == process);
        of_process.filter_map(|event| event["ts"].as_u64()).min().unwrap()
    };
    assert_eq!(first_us(4) - first_us(1), 3_000_000, "each runner begins when it began");
}

#[test]
fn one_record_once_or_twice_is_analyzed_as_it_always_was() {
    let (sandbox, files) = with(1);
    let name = runner(0).header.run;
    sandbox.keep(runner(0));
    for options in [&[][..], &["--json"], &["--markdown"]] {
        let alone = analyze(&sandbox, &files, options).exits(0);
        let twice = analyze(&sandbox, &[files[0].clone(), files[0].clone()], options).exits(0);
        let copied = analyze(&sandbox, &[files[0].clone(), name.clone()], options).exits(0);
        assert_eq!(alone.stdout, twice.stdout);
        assert_eq!(alone.stdout, copied.stdout);
        assert!(alone.stderr.is_empty(), "{alone}");
        assert!(copied.stderr.contains("2 records are of the same run"), "{copied}");
    }
}

#[test]
fn records_that_cannot_be_joined_are_named() {
    let (sandbox, mut files) = with(2);
    let mut change = |change: &dyn Fn(&mut Record)| {
        let mut other = runner(2);
        change(&mut other);
        sandbox.write("records/2.jsonl", lines(other));
        files.truncate(2);
        files.push("records/2.jsonl".to_owned());
        analyze(&sandbox, &files, &[]).exits(2)
    };
    let runs = ["20261122T184510Z-0", "20261122T184510Z-2"];
    change(&|record| record.header.job = "beef".to_owned())
        .says(&runs)
        .says(&["different jobs", "/srv/fx/features"]);
    change(&|record| record.header.sink = "/elsewhere".to_owned())
        .says(&runs)
        .says(&["one writes to", "/elsewhere"]);
    change(&|record| record.header.started = "soon".to_owned()).says(&[runs[1], "`soon`"]);
    change(&|record| record.header.follows = Some("before".to_owned())).says(&[runs[1], "follower"]);
    sandbox.write("records/none.jsonl", "hello\n");
    files.truncate(2);
    files.push("records/none.jsonl".to_owned());
    analyze(&sandbox, &files, &[]).exits(1).says(&["records/none.jsonl", "is not a run record"]);
}

#[test]
fn hostile_records_lead_to_a_report_or_a_message_and_stay_text() {
    let (sandbox, files) = with(3);
    let whole: Vec<Value> =
        lines(runner(1)).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut random = fastrand::Rng::with_seed(11);
    let absurd: [f64; 5] = [0.0, 1e308, 1e-308, 999_999.0, 4095.0];
    for _ in 0..12 {
        let mut changed = whole.clone();
        for _ in 0..6 {
            let line = random.usize(..changed.len());
            let Some(fields) = changed[line].as_object_mut() else { continue };
            let numbers: Vec<String> =
                fields.iter().filter(|(_, value)| value.is_number()).map(|(name, _)| name.clone()).collect();
            if let Some(name) = random.choice(&numbers) {
                let number = absurd[random.usize(..absurd.len())];
                let whole = Value::from(number as u64);
                fields[name] = if number.fract() == 0.0 { whole } else { number.into() };
            }
        }
        changed[0]["host"] = "</script><script>alert(1)</script>\u{1b}[2J".into();
        sandbox.write("records/1.jsonl", changed.iter().map(|line| format!("{line}\n")).collect::<String>());
        for options in [&["--html", "page.html", "--trace", "trace.json"][..], &["--json"], &[]] {
            let answer = analyze(&sandbox, &files, options);
            assert!(matches!(answer.status.code(), Some(0 | 1)), "{answer}");
            assert!(!answer.stderr.contains("panicked") && !answer.stdout.contains('\u{1b}'), "{answer}");
        }
    }
    let page = fs::read_to_string(sandbox.path("page.html")).unwrap();
    assert_eq!(page.matches("<script").count(), 2, "the data and ours");
}

#[test]
fn the_records_of_real_runs_are_joined() {
    let sandbox = Sandbox::imported(&["eurusd", "usdjpy"], &["2017-01", "2017-02"]);
    for (key, state) in [("eurusd", "a"), ("usdjpy", "b")] {
        let state = sandbox.path(state);
        sandbox.run_with(&[("ROLLFIT_STATE_DIR", state.to_str().unwrap())], &["run", "--only", key]).exits(0);
    }
    let record = |state: &str| {
        let runs = fs::read_dir(sandbox.path(state).join("runs")).unwrap();
        let is_record = |path: &std::path::PathBuf| path.extension().is_some_and(|ending| ending == "jsonl");
        runs.map(|run| run.unwrap().path()).find(is_record).unwrap().display().to_string()
    };
    let files = [record("a"), record("b")];
    let json = analyze(&sandbox, &files, &["--json"]).exits(0).json();
    assert_eq!((&json["whole"]["partitions"], &json["duplicates"]["source_reads"]), (&4.into(), &4.into()));
    assert_eq!(json["hosts"].as_array().unwrap().len(), 1);
    analyze(&sandbox, &files, &[]).exits(0).says(&["2 runners on 1 host"]);
}
