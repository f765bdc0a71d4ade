//! One thing at a time is made slow, for real: the network, the source, the commit, locks, sessions, attempts. The first finding of
//! `rollfit analyze` names it. What is injected costs many times what the work itself does, of which there is little, so that
//! a busy machine cannot hide it. As many workers as partitions where more workers would hide it. The arithmetic of the gains, and the causes
//! that take a whole machine, are tested on a simulated one, where time is exact.

use std::time::Duration;

use serde_json::Value;

use crate::network_conditions::NetworkConditions;
use crate::proxy::Proxy;
use crate::sandbox::Answer;
use crate::sql::connect;
use crate::workload::Workload;

const KEYS_AND_MONTHS: [(&str, &str); 2] = [("eurusd", "2017_01"), ("usdjpy", "2017_03")];

/// One window: what it computes is over in a moment, also on a machine that is busy. With more lines in `[run]`.
fn workload(run: &str) -> Workload<'static> {
    let workload = Workload::wide();
    workload.configure(run);
    workload.reconfigure(|text| {
        let (head, windows) = text.split_once("w30 = 30").unwrap();
        let (_, run) = windows.split_once("[run]").unwrap();
        format!("{head}\n[run]{run}")
    });
    workload
}

/// The causes that the analysis of the last run names, the costliest first.
#[track_caller]
fn causes(workload: &Workload<'_>, run: Answer) -> Vec<String> {
    println!("{run}");
    let analysis = analysis(workload);
    println!("{}", analysis["finding"]);
    let bottlenecks = analysis["bottlenecks"].as_array().unwrap().clone();
    bottlenecks.iter().map(|found| found["cause"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn analysis(workload: &Workload<'_>) -> Value {
    workload.run(&["analyze", "--json"]).exits(0).json()
}

#[track_caller]
fn first_cause(workload: &Workload<'_>, run: Answer) -> String {
    causes(workload, run).into_iter().next().unwrap_or_else(|| "none".to_owned())
}

/// A run through a network.
#[track_caller]
fn through(workload: &Workload<'_>, conditions: NetworkConditions, arguments: &[&str]) -> Answer {
    let proxy = Proxy::with_conditions(&workload.database.server().socket(), conditions);
    let url = proxy.url(workload.database.name());
    let arguments = [&["run", "--quiet"], arguments].concat();
    workload.run_with(&[("ROLLFIT_STORE__URL", &url)], &arguments)
}

#[test]
fn a_store_far_away_is_named() {
    let workload = workload("");
    let run =
        through(&workload, NetworkConditions::far(Duration::from_millis(120)), &["--workers", "6"]).exits(0);
    assert_eq!(first_cause(&workload, run), "store-latency");
}

#[test]
fn a_narrow_way_to_the_store_is_named() {
    let workload = workload("");
    let run = through(&workload, NetworkConditions::narrow(0.5e6), &["--workers", "2"]).exits(0);
    assert_eq!(first_cause(&workload, run), "store-bandwidth");
}

/// Statements that are all as slow, so that none of them is the cause.
const ALL_SLOW: [(&str, Duration); 5] = [
    ("COPY", Duration::from_millis(80)),
    ("ALTER TABLE", Duration::from_millis(160)),
    ("ANALYZE", Duration::from_millis(160)),
    ("INSERT", Duration::from_millis(160)),
    ("COMMIT", Duration::from_millis(160)),
];

#[test]
fn too_few_sessions_are_named() {
    let workload = workload("store_sessions_max = 1");
    let run = through(&workload, NetworkConditions::slow_at(&ALL_SLOW), &["--workers", "3"]).exits(0);
    assert_eq!(first_cause(&workload, run), "sessions");
    // Without a session to ask, its processes say how busy the server is.
    let server = &analysis(&workload)["resources"]["store"];
    assert_eq!(server["basis"], "processes");
    assert!(server["cores"].as_f64().is_some(), "{server}");
}

#[test]
fn a_limit_of_the_configuration_is_named_with_its_line() {
    let workload = workload("store_write_mb_per_s_max = 0.5");
    let run = workload.run(&["run", "--quiet", "--workers", "2"]).exits(0);
    assert_eq!(first_cause(&workload, run), "own-limit");
    let text = std::fs::read_to_string(workload.sandbox.path("rollfit.toml")).unwrap();
    let line = text.lines().position(|line| line.starts_with("store_write_mb")).unwrap() + 1;
    let setting = &analysis(&workload)["bottlenecks"][0]["setting"];
    assert_eq!(setting["name"], "run.store_write_mb_per_s_max");
    assert_eq!(setting["origin"]["line"], line);
}

#[test]
fn a_slow_source_is_named() {
    let workload = workload("");
    for key in workload.shape.keys {
        workload.database.sql(&format!(
            "alter table m1_{key} rename to bars_{key};
             create view m1_{key} as select bars.* from (select pg_sleep(2)) pause, bars_{key} bars"
        ));
    }
    let run = workload.run(&["run", "--quiet", "--workers", "2"]).exits(0);
    assert_eq!(first_cause(&workload, run), "source-read");
}

/// Has something happen when a receipt is committed.
fn when_receipts_are_written(workload: &Workload<'_>, body: &str, timing: &str) {
    workload.run(&["run", "--quiet", "--only", "eurusd:2017-01"]).exits(0);
    workload.database.sql(&format!(
        "create sequence written; grant usage on written to public;
         create function at_a_receipt() returns trigger language plpgsql as $$ begin {body} return null; end $$;
         create constraint trigger at_a_receipt after insert or update on rollfit_receipts {timing}
         for each row execute function at_a_receipt()"
    ));
}

#[test]
fn slow_commits_are_named() {
    let workload = workload("");
    when_receipts_are_written(&workload, "perform pg_sleep(2);", "deferrable initially deferred");
    let run = workload.run(&["run", "--quiet", "--workers", "2"]).exits(0);
    assert_eq!(first_cause(&workload, run), "commit");
}

#[test]
fn attempts_that_fail_are_named() {
    let workload = workload("");
    let fail = "if abs(nextval('written') - 13) < 12 then
                    raise exception 'not this time' using errcode = '40001'; end if;";
    when_receipts_are_written(&workload, fail, "");
    let run = workload.run(&["run", "--quiet", "--workers", "6"]).exits(0);
    assert_eq!(first_cause(&workload, run), "retries");
}

#[test]
fn a_lock_that_somebody_else_holds_is_named_with_its_holder() {
    let workload = workload("lock_wait_s = 4\nattempts = 4");
    workload.run(&["run", "--quiet"]).exits(0);
    let mut other = connect(&workload.database.url());
    let tables = KEYS_AND_MONTHS.map(|(key, month)| format!("reg_rate_{key}_{month}")).join(", ");
    other
        .batch_execute(&format!("set application_name = 'nightly report'; begin; lock table {tables}"))
        .unwrap();
    let run = workload.run(&["run", "--quiet", "--force", "--workers", "2"]).exits(1);
    assert_eq!(first_cause(&workload, run), "locks");
    let evidence = analysis(&workload)["bottlenecks"][0]["evidence"].to_string();
    assert!(evidence.contains("nightly report"), "{evidence}");
}
