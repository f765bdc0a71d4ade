//! Months without a row in any series, inside the months of a key and at their ends: what each command calls them, and what becomes of them
//! where rows are required.

use std::fs;

use crate::sandbox::Sandbox;

const REQUIRED: [(&str, &str); 1] = [("ROLLFIT_RUN__REQUIRE_ROWS", "true")];

impl Sandbox {
    /// A source with rows in January and March, and a job of all keys.
    fn with_a_gap() -> Self {
        let sandbox = Self::imported(&["eurusd"], &["2017-01", "2017-03"]);
        let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
        let text =
            text.replace(r#"["eurusd"]"#, r#""all""#).replace(r#"from = "2017-01""#, r#"from = "first""#);
        sandbox.write("rollfit.toml", text.replace(r#"to = "2017-03""#, r#"to = "latest""#));
        sandbox
    }
}

#[test]
fn a_gap_in_the_months_of_a_key_is_part_of_the_job_and_empty() {
    let sandbox = Sandbox::with_a_gap();
    sandbox.run(&["plan"]).exits(0).says(&["3 partitions: 2 missing, 1 empty", "eurusd 2017-02"]);
    sandbox.run(&["run"]).exits(0).says(&["2 written, 0 already done, 1 empty", "eurusd 2017-02"]);
    sandbox.run(&["verify"]).exits(0).says(&["2 verified", "1 empty"]);
    let outside = sandbox.run(&["plan", "--only", "eurusd:2017-05"]).exits(2);
    outside.says(&["`eurusd:2017-05` selects nothing: this job has 2017-01 to 2017-03 of eurusd"]);
    sandbox.run(&["check"]).exits(1).says(&["WARNING coverage: the source has no rows in eurusd 2017-02\n"]);
}

#[test]
fn a_gap_fails_where_rows_are_required_and_check_reports_it() {
    let sandbox = Sandbox::with_a_gap();
    let words =
        ["eurusd 2017-02", "the month has no rows in `m1_eurusd` and `bqx_eurusd`, and require_rows = true"];
    sandbox.run_with(&REQUIRED, &["plan"]).exits(1).says(&words);
    sandbox.run_with(&REQUIRED, &["run"]).exits(1).says(&words).says(&["2 written", "1 failed"]);
    let words = "PROBLEM coverage: the source has no rows in eurusd 2017-02, and require_rows = true";
    sandbox.run_with(&REQUIRED, &["check"]).exits(2).says(&[words]);
    // Before the first month with rows, and after the last one.
    sandbox.configure(&["eurusd"], "2016-12", "2017-04");
    let check = sandbox.run_with(&REQUIRED, &["check"]).exits(2);
    for month in ["2016-12", "2017-02", "2017-04"] {
        assert!(check.stdout.lines().next().unwrap().contains(&format!("eurusd {month}")), "{check}");
    }
    let check = sandbox.run(&["check"]).exits(1);
    assert!(!check.stdout.contains("2016-12") && !check.stdout.contains("2017-04"), "{check}");
}

#[test]
fn no_command_counts_empty_months_as_missing() {
    let sandbox = Sandbox::with_a_gap();
    sandbox
        .run(&["status", "--store"])
        .exits(0)
        .says(&["3 partitions: 0 done, 2 missing, 1 empty, 0 of another"]);
    sandbox.run(&["doctor"]).exits(0).says(&["3 partitions, 2 without features, 1 empty: about"]);
    sandbox.run(&["run", "--quiet"]).exits(0);
    sandbox
        .run(&["status", "--store"])
        .exits(0)
        .says(&["2 done, 0 missing, 1 empty", "ETA 0 s: nothing is missing"]);
    sandbox.run(&["doctor"]).exits(0).says(&["3 partitions, 0 without features, 1 empty: about"]);
    sandbox.run(&["adopt"]).exits(0).says(&["2 already ours", "0 without features, 1 empty"]);
    let status = sandbox.run(&["status", "--store", "--json"]).exits(0).json();
    assert_eq!((&status["store"]["missing"], &status["store"]["empty"]), (&0.into(), &1.into()));
    let adopted = sandbox.run(&["adopt", "--json"]).exits(0).json();
    assert_eq!((&adopted["absent"], &adopted["empty"]), (&0.into(), &1.into()));
    // Where rows are required there are none.
    sandbox.run_with(&REQUIRED, &["status", "--store"]).exits(0).says(&["2 done, 1 missing, 0 of another"]);
    sandbox.run_with(&REQUIRED, &["doctor"]).says(&["3 partitions, 1 without features: about"]);
}
