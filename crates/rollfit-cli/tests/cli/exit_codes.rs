//! The exit codes, each as its contract says: 0 done, 1 failed or different, 2 usage or configuration, 3 store
//! unreachable, 4 left alone, 130 interrupted.

use std::fs;

use crate::running::signal;
use crate::sandbox::Sandbox;
use crate::signals::SlowJob;

#[test]
fn exit_0_when_all_is_done() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    sandbox.run(&["plan"]).exits(0);
    sandbox.run(&["run"]).exits(0);
    sandbox.run(&["run"]).exits(0);
    sandbox.run(&["verify"]).exits(0);
    sandbox.run(&["metrics"]).exits(0);
    sandbox.run(&["--help"]).exits(0).says(&["Exit codes:\n  0    Done"]);
    sandbox.run(&["--version"]).exits(0);
}

#[test]
fn exit_1_when_a_partition_fails_and_the_others_are_done() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01", "2017-02", "2017-03"]);
    fs::remove_file(sandbox.path("fx/sources/m1_eurusd/2017-02.parquet")).unwrap();
    let run = sandbox.run(&["run", "--json"]).exits(1).json();
    assert_eq!((&run["written"], &run["failed"][0]["partition"]["month"]), (&2.into(), &"2017-02".into()));
    assert!(sandbox.part("eurusd", "2017-01").exists() && sandbox.part("eurusd", "2017-03").exists());
    sandbox.run(&["plan"]).exits(1).says(&["eurusd 2017-02  failed", "0 rows in `m1_eurusd` and"]);
}

#[test]
fn exit_1_counts_more_than_left_alone() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01", "2017-02"]);
    sandbox.write("fx/features/key=eurusd/month=2017-01/part.parquet", "strange");
    fs::remove_file(sandbox.path("fx/sources/bqx_eurusd/2017-02.parquet")).unwrap();
    sandbox.run(&["run"]).exits(1).says(&["1 skipped, 1 failed"]);
}

#[test]
fn exit_1_when_verify_finds_a_difference() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    sandbox.import_changed("eurusd", &[(1_484_000_000_000_000 / 7_200_000_000 * 7_200_000_000, 1.5)]);
    sandbox.run(&["verify"]).exits(1).says(&["the source has changed since"]);
}

#[test]
fn exit_2_when_the_command_line_or_configuration_is_wrong() {
    let sandbox = Sandbox::new();
    sandbox.run(&["rum"]).exits(2).says(&["rum", "run"]);
    sandbox.run(&["run", "--replace", "done"]).exits(2).says(&["`done` cannot be replaced", "shrunk"]);
    sandbox.run(&["run", "--workers", "0"]).exits(2).says(&["`0` is not a number of workers"]);
    sandbox.run(&["run"]).exits(2).says(&["configuration rollfit.toml does not exist", "rollfit init"]);
    sandbox
        .run(&["import", "--format", "excel", "--into", "parquet:fx", "a.csv"])
        .exits(2)
        .says(&["`excel`"]);
}

#[test]
fn exit_2_when_the_configuration_names_a_directory_that_does_not_exist() {
    let sandbox = Sandbox::new();
    sandbox.configure(&["eurusd"], "2017-01", "2017-01");
    for verb in ["plan", "run", "verify"] {
        sandbox.run(&[verb]).exits(2).says(&["cannot open the store fx", "rollfit import --into"]);
    }
    sandbox.run(&["drop", "eurusd:2017-01"]).exits(2);
    assert!(!sandbox.path("fx").exists());
    sandbox.write("fx", "a file");
    sandbox.run(&["run"]).exits(2).says(&["cannot open the store fx"]);
}

#[test]
fn exit_3_when_the_store_cannot_be_reached() {
    let sandbox = Sandbox::new();
    sandbox.configure(&["eurusd"], "2017-01", "2017-01");
    let nowhere = [("ROLLFIT_STORE__URL", "postgres://127.0.0.1:1/none?connect_timeout=2")];
    for verb in ["plan", "run"] {
        sandbox.run_with(&nowhere, &[verb]).exits(3).says(&["127.0.0.1"]);
    }
}

#[test]
fn exit_4_when_nothing_failed_and_something_was_left_alone() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01", "2017-02"]);
    sandbox.write("fx/features/key=eurusd/month=2017-01/part.parquet", "strange");
    let run = sandbox.run(&["run", "--json"]).exits(4).json();
    assert_eq!((&run["written"], &run["skipped"][0]["state"]), (&1.into(), &"foreign".into()));
}

#[test]
fn exit_130_when_a_signal_came_first() {
    let job = SlowJob::new();
    let mut running = job.start(&["run"]);
    running.wait_for_stage("write");
    signal(&running, "INT");
    running.finish().exits(130);
}
