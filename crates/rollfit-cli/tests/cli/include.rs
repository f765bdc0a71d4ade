//! Inputs beside features in files: each has the source's value at its instant, counts in receipts as features do, and whoever
//! changes one, in the source, the list or the file, is noticed.

use std::process::Command;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray, TimestampMicrosecondArray};
use serde_json::{Value, json};

use crate::bars::{SourceRows, write_parquet};
use crate::features::{Columns, same_bits};
use crate::hive::python;
use crate::sandbox::Sandbox;
use crate::tree::Tree;

const INCLUDE: (&str, &str) =
    ("ROLLFIT_FEATURES__INCLUDE", r#"["idx.close", "idx.rate_index", "bqx.w15_bqx_return"]"#);
const CLOSE: (&str, &str) = ("ROLLFIT_FEATURES__INCLUDE", r#"["idx.close"]"#);
const MONTHS: [&str; 2] = ["2017-01", "2017-02"];

fn states(plan: &Value) -> Vec<(&str, &str)> {
    let lines = plan["partitions"].as_array().unwrap().iter();
    lines.map(|line| (line["state"].as_str().unwrap(), line["cause"].as_str().unwrap())).collect()
}

/// A sandbox whose source tables a user has dropped in: every seventh close is NULL.
fn dropped_in(month: &str, rows: usize) -> (Sandbox, SourceRows) {
    let sandbox = Sandbox::new();
    sandbox.configure(&["eurusd"], month, month);
    let rows = SourceRows::of_month(month, rows, 60);
    sandbox.drop_in("eurusd", "a.parquet", &rows);
    closes(&sandbox, &rows, |row| Some(row as f64 / 8.0).filter(|_| row % 7 != 3));
    (sandbox, rows)
}

/// Gives the first table closes beside its rates, and a column of texts.
fn closes(sandbox: &Sandbox, rows: &SourceRows, close: impl Fn(usize) -> Option<f64>) {
    let count = rows.values.len();
    let columns: [(&str, ArrayRef); 4] = [
        ("time", Arc::new(TimestampMicrosecondArray::from(rows.instants_us.clone()))),
        ("rate_index", Arc::new(Float64Array::from(rows.values.clone()))),
        ("close", Arc::new((0..count).map(close).collect::<Float64Array>())),
        ("venue", Arc::new(StringArray::from(vec!["x"; count]))),
    ];
    write_parquet(&sandbox.path("fx/sources/m1_eurusd/a.parquet"), columns.to_vec());
}

#[test]
fn an_included_column_has_the_sources_bits_in_every_row() {
    for boundary in ["reset", "carry"] {
        let variables = [INCLUDE, ("ROLLFIT_RUN__BOUNDARY", boundary)];
        let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
        sandbox.run_with(&variables, &["run", "--quiet"]).exits(0);
        for month in MONTHS {
            let stored = Columns::read(&sandbox.part("eurusd", month));
            let source = Columns::read(&sandbox.path(format!("fx/sources/m1_eurusd/{month}.parquet")));
            let joined = sandbox.joined("eurusd", &[month]);
            assert_eq!(stored.instants_us, joined.instants_us);
            assert_eq!(stored.names[90..92], ["close_idx", "rate_index_idx"]);
            assert_eq!(stored.names[182..], ["w15_bqx_return_bqx"]);
            assert!(same_bits(stored.column("rate_index_idx"), &joined.idx), "{month}");
            assert!(same_bits(stored.column("w15_bqx_return_bqx"), &joined.bqx), "{month}");
            let close = |us| source.column("close")[source.instants_us.binary_search(us).unwrap()];
            let closes: Vec<f64> = joined.instants_us.iter().map(close).collect();
            assert!(same_bits(stored.column("close_idx"), &closes), "{month}");
        }
        let before = Tree::read(&sandbox.path("fx"));
        let again = sandbox.run_with(&variables, &["run", "--json"]).exits(0).json();
        assert_eq!((&again["written"], &again["already_done"]), (&json!(0), &json!(2)));
        sandbox.run_with(&variables, &["verify", "--quiet"]).exits(0);
        sandbox.run_with(&variables, &["compare", "--quiet"]).exits(0);
        before.is_untouched(&sandbox.path("fx"));
    }
}

#[test]
fn features_are_the_same_with_and_without_included_columns() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS[..1]);
    sandbox.run(&["run", "--quiet"]).exits(0);
    let without = Columns::read(&sandbox.part("eurusd", MONTHS[0]));
    let plan = sandbox.run_with(&[CLOSE], &["plan", "--json"]).json();
    let changed = ("definition-changed", "include of series idx: with close");
    assert_eq!(states(&plan)[0], changed);
    sandbox.run_with(&[CLOSE], &["run", "--quiet"]).exits(4);
    sandbox.run_with(&[CLOSE], &["run", "--quiet", "--replace", "definition-changed"]).exits(0);
    let with = Columns::read(&sandbox.part("eurusd", MONTHS[0]));
    assert_eq!(with.values.len(), without.values.len() + 1);
    for name in &without.names {
        assert!(same_bits(with.column(name), without.column(name)), "{name}");
    }
    let plan = sandbox.run(&["plan", "--json"]).json();
    assert_eq!(states(&plan)[0].1, "include of series idx: without close");
}

#[test]
fn a_close_that_changes_makes_its_month_input_changed_and_no_other() {
    let (sandbox, rows) = dropped_in("2017-01", 400);
    let later = SourceRows::of_month("2017-02", 200, 60);
    let both = SourceRows {
        instants_us: [rows.instants_us, later.instants_us].concat(),
        values: [rows.values, later.values].concat(),
    };
    sandbox.configure(&["eurusd"], "2017-01", "2017-02");
    sandbox.drop_in("eurusd", "a.parquet", &both);
    let of = |changed: usize| {
        move |row: usize| Some(row as f64 + if row == changed { 0.5 } else { 0.0 }).filter(|_| row % 7 != 3)
    };
    closes(&sandbox, &both, of(usize::MAX));
    let variables = [CLOSE, ("ROLLFIT_RUN__BOUNDARY", "carry")];
    let run = sandbox.run_with(&variables, &["run", "--json"]).exits(0).json();
    assert_eq!(run["no_value"]["included"], 86);
    let stored = Columns::read(&sandbox.part("eurusd", "2017-01"));
    let close = stored.column("close_idx");
    assert!(close[3].is_nan() && close[0] == 0.0 && close[1] == 1.0 && close.len() == 400);
    closes(&sandbox, &both, of(399));
    let plan = sandbox.run_with(&variables, &["plan", "--json"]).exits(0).json();
    let found: Vec<&str> = states(&plan).iter().map(|(state, _)| *state).collect();
    assert_eq!(
        found,
        ["input-changed", "done"],
        "windows reach into the month before, included columns do not"
    );
    sandbox.run_with(&variables, &["verify"]).exits(1).says(&["the source has changed"]);
    let run = sandbox.run_with(&variables, &["run", "--json"]).exits(0).json();
    assert_eq!(run["written"], 1);
    assert_eq!(Columns::read(&sandbox.part("eurusd", "2017-01")).column("close_idx")[399], 399.5);
    sandbox.run_with(&variables, &["verify", "--quiet"]).exits(0);
}

#[test]
fn rows_that_come_later_bring_their_closes() {
    let (sandbox, rows) = dropped_in("2017-01", 400);
    let close = |row: usize| Some(row as f64 / 8.0).filter(|_| row % 7 != 3);
    let first = rows.filtered(|row| row < 300);
    sandbox.drop_in("eurusd", "a.parquet", &first);
    closes(&sandbox, &first, close);
    sandbox.run_with(&[CLOSE], &["run", "--quiet"]).exits(0);
    sandbox.drop_in("eurusd", "a.parquet", &rows);
    closes(&sandbox, &rows, close);
    let plan = sandbox.run_with(&[CLOSE], &["plan", "--json"]).exits(0).json();
    assert_eq!(states(&plan)[0].0, "grown");
    sandbox.run_with(&[CLOSE], &["run", "--quiet"]).exits(0);
    let grown = Tree::read(&sandbox.path("fx/features"));
    sandbox.run_with(&[CLOSE], &["run", "--quiet", "--force"]).exits(0);
    assert!(grown.has_the_files_of(&Tree::read(&sandbox.path("fx/features"))));
}

#[test]
fn a_derived_series_includes_the_closes_that_it_follows_from() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    let derived = [
        ("ROLLFIT_SERIES__IDX__VALUE", "close"),
        ("ROLLFIT_SERIES__IDX__DERIVE", "rate_index"),
        ("ROLLFIT_SERIES__BQX__TABLE", "m1_{key}"),
        ("ROLLFIT_SERIES__BQX__TIME", "time"),
        ("ROLLFIT_SERIES__BQX__VALUE", "close"),
        ("ROLLFIT_SERIES__BQX__DERIVE", "backward_return(15)"),
        ("ROLLFIT_FEATURES__INCLUDE", r#"["bqx.close"]"#),
    ];
    sandbox.run_with(&derived, &["run", "--quiet"]).exits(0);
    for month in MONTHS {
        let stored = Columns::read(&sandbox.part("eurusd", month));
        let source = Columns::read(&sandbox.path(format!("fx/sources/m1_eurusd/{month}.parquet")));
        let skipped = source.instants_us.len() - stored.instants_us.len();
        assert_eq!(skipped, if month == MONTHS[0] { 15 } else { 0 });
        assert!(same_bits(stored.column("close_bqx"), &source.column("close")[skipped..]), "{month}");
    }
    sandbox.run_with(&derived, &["verify", "--quiet"]).exits(0);
}

#[test]
fn columns_that_cannot_be_included_are_named() {
    let (sandbox, _) = dropped_in("2017-01", 200);
    let run = |include: &str| sandbox.run_with(&[("ROLLFIT_FEATURES__INCLUDE", include)], &["run"]);
    run(r#"["idx.clos"]"#).exits(1).says(&["column `clos` does not exist", "did you mean `close`?"]);
    run(r#"["idx.venue"]"#).exits(1).says(&["column `venue` is Utf8, not a number", "`include`"]);
    run(r#"["close"]"#).exits(2).says(&["[features] include: \"close\": write SERIES.COLUMN"]);
}

#[test]
fn duckdb_reads_closes_beside_features() {
    let Some(python) = python("duckdb") else { return };
    let (sandbox, _) = dropped_in("2017-01", 400);
    sandbox.run_with(&[CLOSE], &["run", "--quiet"]).exits(0);
    let script = "import duckdb, sys\nprint(duckdb.sql(f\"select count(*), count(close_idx), sum(close_idx), typeof(any_value(close_idx)) from read_parquet('{sys.argv[1]}/**/*.parquet')\").fetchall()[0])";
    let output = Command::new(python).args(["-c", script]).arg(sandbox.path("fx/features")).output().unwrap();
    let sum: f64 = (0..400).filter(|row| row % 7 != 3).map(|row| f64::from(row) / 8.0).sum();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(printed.trim(), format!("(400, 343, {sum:?}, 'DOUBLE')"), "{output:?}");
}
