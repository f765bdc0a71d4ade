//! `rollfit init` on a table of several keys: it proposes the column that tells them apart, be it in the files or in the names of
//! directories, and what it writes is planned and runs.

use std::fs;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray, TimestampMicrosecondArray};
use serde_json::json;

use crate::bars::{SourceRows, write_parquet};
use crate::sandbox::Sandbox;

const KEYS: [&str; 3] = ["EURUSD", "GBPUSD", "USDJPY"];

/// A file with 300 rows of each of `keys`, sorted by time; without the column of keys where there is one alone.
fn bars(sandbox: &Sandbox, path: &str, keys: &[&str]) {
    let month = SourceRows::of_month("2017-02", 300, 600);
    let each = |values: &mut dyn Iterator<Item = (i64, f64)>| values.collect::<Vec<_>>();
    let rows = each(&mut month.instants_us.iter().copied().zip(month.values.iter().copied()));
    let rows: Vec<(i64, f64, &str)> =
        rows.iter().flat_map(|&(at_us, value)| keys.iter().map(move |key| (at_us, value, *key))).collect();
    let instants: Vec<i64> = rows.iter().map(|row| row.0).collect();
    let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(instants).with_timezone("UTC"));
    let close: ArrayRef = Arc::new(Float64Array::from(rows.iter().map(|row| row.1).collect::<Vec<_>>()));
    let symbol: ArrayRef = Arc::new(StringArray::from(rows.iter().map(|row| row.2).collect::<Vec<_>>()));
    let mut columns = vec![("ts", time), ("close", close)];
    if keys.len() > 1 {
        columns.push(("symbol", symbol));
    }
    write_parquet(&sandbox.path(path), columns);
}

#[test]
fn a_table_of_several_keys_is_a_job_of_all_of_them() {
    let sandbox = Sandbox::new();
    bars(&sandbox, "a/sources/bars/a.parquet", &KEYS);
    for key in KEYS {
        bars(&sandbox, &format!("b/sources/bars/symbol={key}/a.parquet"), &[key]);
    }
    for store in ["a", "b"] {
        let found = sandbox.run(&["init", store, "--json"]).exits(0).json();
        assert_eq!((&found["keys"], &found["series"]), (&json!(KEYS), &json!(["close"])), "{found}");
        let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
        for line in [r#"keys = "all""#, r#"table = "bars""#, r#"key_column = "symbol""#] {
            assert!(text.contains(line), "{line}: {text}");
        }
        sandbox.run(&["plan"]).exits(0).says(&["3 missing"]);
        sandbox.run(&["run", "--quiet"]).exits(0);
        sandbox.run(&["verify"]).exits(0).says(&["3 verified"]);
        fs::remove_file(sandbox.path("rollfit.toml")).unwrap();
    }
}
