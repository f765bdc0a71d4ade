//! `rollfit plan` says how long the job should take at the rate of the last run of the same job, and no record makes it fail.

use std::fs;

use rollfit_job::record::{Record, RunEnd};
use rollfit_testkit::record::lines;
use serde_json::Value;

use crate::record::{read, records};
use crate::running::{Running, signal};
use crate::sandbox::Sandbox;
use crate::tree::Tree;
use crate::two_runners::hold;

const MONTHS: [&str; 3] = ["2017-01", "2017-02", "2017-03"];

/// A job of three partitions, the first of which is written.
fn begun() -> Sandbox {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    sandbox.run(&["run", "--only", "eurusd:2017-01"]).exits(0);
    sandbox
}

/// The record of the newest run.
fn newest(sandbox: &Sandbox) -> Record {
    read(records(sandbox).last().unwrap())
}

/// The estimate of a plan.
#[track_caller]
fn estimate(sandbox: &Sandbox, variables: &[(&str, &str)]) -> Value {
    let plan = sandbox.run_with(variables, &["plan", "--json"]).exits(0).json();
    plan.get("estimate").unwrap().clone()
}

#[test]
fn a_plan_says_how_long_it_takes_at_the_rate_of_the_last_run() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    let is_silent = |sandbox: &Sandbox| {
        assert!(estimate(sandbox, &[]).is_null());
        assert!(!sandbox.run(&["plan"]).exits(0).stdout.contains("estimate"));
    };
    is_silent(&sandbox);
    sandbox.run(&["run", "--only", "eurusd:2017-01"]).exits(0);
    let before = Tree::read(sandbox.dir());
    let plan = sandbox.run(&["plan", "--json"]).exits(0).json();
    let number = |value: &Value| value.as_f64().unwrap();
    // The partition that is done does not count.
    let rows = number(&plan["partitions"][1]["rows"]) + number(&plan["partitions"][2]["rows"]);
    let estimate = &plan["estimate"];
    let Record { header, end, .. } = newest(&sandbox);
    let end = end.unwrap();
    assert_eq!(
        (estimate["run"].as_str(), estimate["started"].as_str()),
        (Some(&*header.run), Some(&*header.started))
    );
    assert_eq!(estimate["workers"], 1);
    let rows_per_s = end.totals.rows as f64 / (end.at_ms as f64 / 1e3);
    assert!((number(&estimate["rows_per_s"]) / rows_per_s - 1.0).abs() < 1e-9, "{plan:#}");
    assert!((number(&estimate["seconds"]) * rows_per_s / rows - 1.0).abs() < 1e-9, "{plan:#}");

    let began = format!("rows/s with 1 worker, {} {} UTC)", &header.started[..10], &header.started[11..16]);
    let said = sandbox.run(&["plan"]).exits(0).says(&[&began]);
    assert!(said.stdout.lines().last().unwrap().starts_with("estimate: about "), "{said}");
    before.is_untouched(sandbox.dir());
    sandbox.run(&["run"]).exits(0);
    is_silent(&sandbox);
}

#[test]
fn a_run_of_another_job_says_nothing_about_this_one() {
    let sandbox = begun();
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
fn the_newest_run_that_wrote_something_counts_and_what_cannot_be_read_is_skipped() {
    let sandbox = begun();
    let first = newest(&sandbox);
    let keep = |name: &str, record: Record| sandbox.write(format!("state/runs/{name}.jsonl"), lines(record));
    let mut idle = first.clone();
    idle.partitions[0].outcome = rollfit_job::record::PartitionOutcome::Failed;
    keep("29990101T000000Z-1", idle);
    let mut absurd = first.clone();
    absurd.partitions[0].rows = u64::MAX;
    keep("29990101T000000Z-2", absurd);
    sandbox.write("state/runs/29990101T000000Z-3.jsonl", [0xff; 100]);
    assert_eq!(estimate(&sandbox, &[])["run"], *first.header.run);

    let mut interrupted = first.clone();
    interrupted.header.run = "interrupted".to_owned();
    interrupted.header.started = "some day".to_owned();
    interrupted.end = first.end.map(|end| RunEnd { at_ms: 0, interrupted: true, ..end });
    keep("29990101T000000Z-4", interrupted);
    assert_eq!(estimate(&sandbox, &[])["run"], "interrupted");
    sandbox.run(&["plan"]).exits(0).says(&["estimate: about ", "with 1 worker, some day)"]);

    fs::remove_dir_all(sandbox.path("state/runs")).unwrap();
    sandbox.write("state/runs", "a file");
    assert!(estimate(&sandbox, &[]).is_null());
}

#[test]
fn a_run_counts_once_it_has_ended_even_if_it_was_killed() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    let lock = hold(&sandbox, "2017-02");
    let mut running = Running::start(sandbox.command(&["run", "--log-format", "json"]));
    running.wait_for_stage("held");
    // The run waits for the partition that is held.
    while records(&sandbox).iter().all(|record| read(record).partitions.len() < 3) {
        std::thread::yield_now();
    }
    assert!(estimate(&sandbox, &[]).is_null());
    signal(&running, "KILL");
    running.finish();
    lock.unlock().unwrap();
    assert_eq!(estimate(&sandbox, &[])["run"], *newest(&sandbox).header.run);
}
