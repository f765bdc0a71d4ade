//! Both boundary modes: `reset` never reaches into the month before, `carry` does, across gaps and before the first
//! configured month.

use std::fs;

use crate::bars::SourceRows;
use crate::features::{Columns, kernel_features, same_bits};
use crate::sandbox::Sandbox;

const CARRY: [(&str, &str); 1] = [("ROLLFIT_RUN__BOUNDARY", "carry")];

/// Checks that the features of `month` are those that the kernel gives at its rows over the joined rows of `months`.
#[track_caller]
fn features_are_of_one_series(sandbox: &Sandbox, months: &[&str], month: &str) {
    let joined = sandbox.joined("eurusd", months);
    let stored = Columns::read(&sandbox.part("eurusd", month));
    let first = joined.instants_us.binary_search(&stored.instants_us[0]).unwrap();
    let rows = first..first + stored.instants_us.len();
    assert_eq!(joined.instants_us[rows.clone()], stored.instants_us);
    let computed = [kernel_features(&joined.idx), kernel_features(&joined.bqx)].concat();
    for ((name, ours), theirs) in stored.names.iter().zip(&stored.values).zip(&computed) {
        assert!(same_bits(ours, &theirs[rows.clone()]), "{name} in {month}");
    }
}

fn first_features(sandbox: &Sandbox, month: &str) -> Vec<f64> {
    Columns::read(&sandbox.part("eurusd", month)).values.iter().map(|column| column[0]).collect()
}

#[test]
fn reset_warms_up_in_every_month() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01", "2017-02"]);
    assert!(first_features(&sandbox, "2017-02").iter().all(|value| value.is_nan()));
    features_are_of_one_series(&sandbox, &["2017-02"], "2017-02");
}

#[test]
fn carry_gives_the_features_of_the_whole_series() {
    let months = ["2017-01", "2017-02", "2017-03"];
    let sandbox = Sandbox::imported(&["eurusd"], &months);
    sandbox.run_with(&CARRY, &["run"]).exits(0);
    for month in months {
        features_are_of_one_series(&sandbox, &months, month);
    }
    assert!(first_features(&sandbox, "2017-01").iter().all(|value| value.is_nan()), "warm-up once per key");
    assert!(first_features(&sandbox, "2017-02").iter().all(|value| value.is_finite()));
    sandbox.run_with(&CARRY, &["verify"]).exits(0);
}

#[test]
fn carry_finds_its_lookback_across_a_gap_and_before_the_first_month() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2016-10", "2017-03"]);
    sandbox.configure(&["eurusd"], "2017-03", "2017-03");
    let run = sandbox.run_with(&CARRY, &["run", "--json"]).exits(0).json();
    assert_eq!((&run["written"], &run["no_value"]["warmup"]), (&1.into(), &0.into()));
    assert!(first_features(&sandbox, "2017-03").iter().all(|value| value.is_finite()));
    features_are_of_one_series(&sandbox, &["2016-10", "2017-03"], "2017-03");
    sandbox.run_with(&CARRY, &["verify"]).exits(0);
}

#[test]
fn carry_counts_its_lookback_in_joined_rows() {
    let sandbox = Sandbox::new();
    let december = SourceRows::of_month("2016-12", 1200, 60);
    sandbox.drop_in("eurusd", "2016-12.parquet", &december);
    sandbox.drop_in("eurusd", "2017-01.parquet", &SourceRows::of_month("2017-01", 300, 60));
    let sparse = december.filtered(|row| row % 10 == 0);
    let bqx = sandbox.path("fx/sources/bqx_eurusd/2016-12.parquet");
    sparse.write(&bqx, "ts_utc", "w15_bqx_return");
    sandbox.configure(&["eurusd"], "2017-01", "2017-01");
    let run = sandbox.run_with(&CARRY, &["run", "--json"]).exits(0).json();
    assert_eq!(run["no_value"]["warmup"], 0, "89 of the 120 rows that both tables have");
    features_are_of_one_series(&sandbox, &["2016-12", "2017-01"], "2017-01");
}

#[test]
fn a_change_of_the_lookback_alone_is_an_input_change() {
    let months = ["2017-01", "2017-02", "2017-03"];
    let sandbox = Sandbox::imported(&["eurusd"], &months);
    sandbox.run_with(&CARRY, &["run"]).exits(0);
    let before = fs::read(sandbox.part("eurusd", "2017-03")).unwrap();
    let row_in_reach = crate::bars::bars("eurusd", "2017-02").iter().rev().nth(50).unwrap().0;
    sandbox.import_changed("eurusd", &[(row_in_reach, 1.5)]);
    let run = sandbox.run_with(&CARRY, &["run", "--json"]).exits(0).json();
    assert_eq!((&run["written"], &run["already_done"]), (&2.into(), &1.into()));
    assert_ne!(fs::read(sandbox.part("eurusd", "2017-03")).unwrap(), before);
    features_are_of_one_series(&sandbox, &months, "2017-03");
}
