//! `rollfit plan` says how long the job should take at the rate of the last run of the same job that says something, and no
//! record makes it fail.

use std::fs;

use rollfit_job::record::{Record, RunEnd};
use rollfit_testkit::record::lines;
use serde_json::Value;

use crate::record::{read, records};
use crate::sandbox::Sandbox;
use crate::tree::Tree;

const MONTHS: [&str; 3] = ["2017-01", "2017-02", "2017-03"];

/// A job of three partitions, the first of which is written.
fn begun() -> Sandbox {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    sandbox.run(&["run", "--only", "eurusd:2017-01"]).exits(0);
    sandbox
}

/// A run of the job in a sandbox that took long enough to say something, with this name.
fn long(sandbox: &Sandbox, name: &str) -> Record {
    let mut record = rollfit_testkit::record::made(40, 4);
    record.header.job = read(&records(sandbox)[0]).header.job;
    record.header.run = name.to_owned();
    record
}

/// The estimate of a plan.
#[track_caller]
fn estimate(sandbox: &Sandbox, variables: &[(&str, &str)]) -> Value {
    let plan = sandbox.run_with(variables, &["plan", "--json"]).exits(0).json();
    plan.get("estimate").unwrap().clone()
}

#[test]
fn a_plan_says_how_long_it_takes_at_the_rate_of_the_last_run_that_says_something() {
    let sandbox = begun();
    // The run that there is was over in a moment.
    assert!(estimate(&sandbox, &[]).is_null());
    assert!(!sandbox.run(&["plan"]).exits(0).stdout.contains("estimate"));
    let record = long(&sandbox, "20250101T000000Z-1");
    sandbox.keep(record.clone());
    let before = Tree::read(sandbox.dir());
    let plan = sandbox.run(&["plan", "--json"]).exits(0).json();
    let number = |value: &Value| value.as_f64().unwrap();
    // The partition that is done does not count.
    let rows = number(&plan["partitions"][1]["rows"]) + number(&plan["partitions"][2]["rows"]);
    let estimate_of_plan = &plan["estimate"];
    assert_eq!(estimate_of_plan["run"], "20250101T000000Z-1");
    assert_eq!(estimate_of_plan["workers"], 4);
    let written: u64 = record.partitions.iter().map(|end| end.rows).sum();
    let rows_per_s = written as f64 / (record.end.unwrap().at_ms as f64 / 1e3);
    assert!((number(&estimate_of_plan["rows_per_s"]) / rows_per_s - 1.0).abs() < 1e-9, "{plan:#}");
    assert!((number(&estimate_of_plan["seconds"]) * rows_per_s / rows - 1.0).abs() < 1e-9, "{plan:#}");

    let said = sandbox.run(&["plan"]).exits(0).says(&["rows/s with 4 workers, 2026-11-22 18:45 UTC)"]);
    assert!(said.stdout.lines().last().unwrap().starts_with("estimate: about "), "{said}");
    before.is_untouched(sandbox.dir());
    sandbox.run(&["run"]).exits(0);
    assert!(estimate(&sandbox, &[]).is_null(), "there is nothing to write");
}

#[test]
fn a_run_of_another_job_says_nothing_about_this_one() {
    let sandbox = begun();
    sandbox.keep(long(&sandbox, "20250101T000000Z-1"));
    fs::create_dir(sandbox.path("elsewhere")).unwrap();
    assert!(estimate(&sandbox, &[("ROLLFIT_RUN__WORKERS", "1")]).is_object());
    for variables in [
        &[("ROLLFIT_WINDOWS__W15", "16")][..],
        &[("ROLLFIT_FEATURES__METRICS", r#"["r2"]"#)],
        &[("ROLLFIT_SERIES__IDX__VALUE", "close")],
        &[("ROLLFIT_SINK__URL", "parquet:fx"), ("ROLLFIT_SINK__NAME", "other")],
        &[("ROLLFIT_SINK__URL", "parquet:elsewhere")],
    ] {
        assert!(estimate(&sandbox, variables).is_null(), "{variables:?}");
    }
}

#[test]
fn the_newest_run_that_says_something_counts_and_what_cannot_be_read_is_skipped() {
    let sandbox = begun();
    let first = long(&sandbox, "20250101T000000Z-1");
    sandbox.keep(first.clone());
    let keep = |name: &str, record: Record| sandbox.write(format!("state/runs/{name}.jsonl"), lines(record));
    let mut idle = first.clone();
    for end in &mut idle.partitions {
        end.outcome = rollfit_job::record::PartitionOutcome::Failed;
    }
    keep("29990101T000000Z-1", idle);
    let mut absurd = first.clone();
    absurd.partitions[0].rows = u64::MAX;
    keep("29990101T000000Z-2", absurd);
    keep("29990101T000000Z-3", Record { end: None, ..first.clone() });
    sandbox.write("state/runs/29990101T000000Z-4.jsonl", [0xff; 100]);
    assert_eq!(
        estimate(&sandbox, &[])["run"],
        *first.header.run,
        "others failed, are damaged, or were killed"
    );

    let mut interrupted = first.clone();
    interrupted.header.run = "interrupted".to_owned();
    interrupted.header.started = "some day".to_owned();
    interrupted.end = first.end.map(|end| RunEnd { at_ms: 0, interrupted: true, ..end });
    keep("29990101T000000Z-5", interrupted);
    assert_eq!(estimate(&sandbox, &[])["run"], "interrupted");
    sandbox.run(&["plan"]).exits(0).says(&["estimate: about ", "with 4 workers, some day)"]);

    fs::remove_dir_all(sandbox.path("state/runs")).unwrap();
    sandbox.write("state/runs", "a file");
    assert!(estimate(&sandbox, &[]).is_null());
}

#[test]
fn a_run_in_progress_does_not_count() {
    let sandbox = begun();
    let record = Record { end: None, ..long(&sandbox, "20250101T000000Z-1") };
    sandbox.keep(record);
    let path = sandbox.path("state/runs/20250101T000000Z-1.jsonl");
    let writer = fs::File::open(path).unwrap();
    writer.lock().unwrap();
    assert!(estimate(&sandbox, &[]).is_null());
    writer.unlock().unwrap();
}
