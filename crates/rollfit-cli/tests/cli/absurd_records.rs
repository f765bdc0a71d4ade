//! Records are input: whatever their numbers, `analyze` and `status` answer soon, with a report or with what is wrong.

use std::fs;
use std::time::{Duration, Instant};

use rollfit_job::record::Record;
use rollfit_testkit::record::{lines, made};
use serde_json::{Value, json};

use crate::sandbox::{Answer, Sandbox};

/// The paths of all numbers in a document.
fn numbers(value: &Value, path: &str) -> Vec<String> {
    match value {
        Value::Number(_) => vec![path.to_owned()],
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(at, item)| numbers(item, &format!("{path}/{at}"))).collect()
        }
        Value::Object(fields) => {
            fields.iter().flat_map(|(name, field)| numbers(field, &format!("{path}/{name}"))).collect()
        }
        _ => Vec::new(),
    }
}

/// A record, one document a line.
fn documents(record: Record) -> Vec<Value> {
    lines(record).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(documents: &[Value]) -> String {
    documents.iter().map(|line| format!("{line}\n")).collect()
}

/// Every report of a record; each ends soon.
#[track_caller]
fn reports(sandbox: &Sandbox, record: &str) -> Vec<Answer> {
    const SOON: Duration = Duration::from_secs(60);
    let began = Instant::now();
    let files = ["analyze", record, "--html", "page.html", "--trace", "trace.json"];
    let answers = [&files[..], &["analyze", record, "--markdown"], &["status", record]]
        .map(|arguments| sandbox.run(arguments));
    assert!(began.elapsed() < SOON);
    answers.into()
}

#[test]
fn numbers_that_no_run_reaches_are_named_with_their_line() {
    let sandbox = Sandbox::new();
    for (line, pointer, number) in [
        (0, "/partitions", json!(4_294_967_295_u64)),
        (0, "/machine/cores", json!(u64::MAX)),
        (2, "/pause_ms", json!(-1)),
        (4, "/worker", json!(4_294_967_295_u64)),
        (4, "/wall_us/sending", json!(u64::MAX)),
    ] {
        let mut documents = documents(made(8, 2));
        documents.retain(|line| line["event"] != "sample");
        // The first is the run, then a decision, what was unavailable, a retry, the partitions.
        let at = if line == 2 { 3 } else { line };
        *documents[at].pointer_mut(pointer).unwrap() = number;
        sandbox.write("record.jsonl", text(&documents));
        let (place, name) = (format!("line {}", at + 1), pointer.rsplit('/').next().unwrap());
        for answer in reports(&sandbox, "./record.jsonl") {
            answer.exits(1).says(&[&place, &format!("`{name}` is ")]);
        }
    }
}

#[test]
fn any_number_anywhere_leads_to_a_report_or_a_message() {
    let sandbox = Sandbox::new();
    let whole = documents(made(9, 3));
    let places: Vec<(usize, String)> = whole
        .iter()
        .enumerate()
        .flat_map(|(at, line)| numbers(line, "").into_iter().map(move |pointer| (at, pointer)))
        .collect();
    let absurd = [json!(0), json!(1e308), json!(u64::MAX), json!(1e-308), json!(999_999), json!(4095)];
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..40 {
        let mut changed = whole.clone();
        for _ in 0..1 + round % 4 {
            let (at, pointer) = &places[random.usize(..places.len())];
            *changed[*at].pointer_mut(pointer).unwrap() = absurd[random.usize(..absurd.len())].clone();
        }
        sandbox.write("record.jsonl", text(&changed));
        for answer in reports(&sandbox, "./record.jsonl") {
            assert!(matches!(answer.status.code(), Some(0 | 1)), "{answer}\n{}", text(&changed));
            assert!(!answer.stderr.contains("panicked"), "{answer}");
        }
    }
}

#[test]
fn a_run_of_very_many_partitions_and_workers_is_reported_soon() {
    let sandbox = Sandbox::new();
    let mut documents = documents(made(200, 8));
    documents[0]["partitions"] = json!(20_000);
    let last = documents.iter().rposition(|line| line["event"] == "partition").unwrap();
    documents[last]["worker"] = json!(4095);
    sandbox.write("record.jsonl", text(&documents));
    for answer in reports(&sandbox, "./record.jsonl") {
        answer.exits(0);
    }
}

#[test]
fn a_line_or_a_record_without_end_is_an_error() {
    let sandbox = Sandbox::new();
    let mut long = lines(made(2, 1));
    long.push_str(&"x".repeat(2 << 20));
    sandbox.write("record.jsonl", &long);
    for answer in reports(&sandbox, "./record.jsonl") {
        answer.exits(1).says(&["has more than 1048576 bytes"]);
    }
    for answer in reports(&sandbox, "/dev/zero") {
        answer.exits(1).says(&["is not a run record"]);
    }
    let deep = format!("{}{}\n", lines(made(2, 1)), "[".repeat(500_000));
    sandbox.write("record.jsonl", deep);
    for answer in reports(&sandbox, "./record.jsonl") {
        answer.exits(1).says(&["is invalid"]);
    }
    fs::remove_file(sandbox.path("record.jsonl")).unwrap();
}
