//! Other readers: DuckDB and Polars take the features directory as one Hive table. They are those of the Python that
//! `ROLLFIT_PYTHON` names.

use std::process::Command;

use serde_json::Value;

use crate::features::{Columns, WINDOWS};
use crate::sandbox::{Answer, Sandbox};

const KEYS: [&str; 2] = ["eurusd", "usdjpy"];
const MONTHS: [&str; 2] = ["2017-01", "2017-02"];

/// Rows, months and keys; the NULLs of the longest window; one value of one row, as text of its bits.
const DUCKDB: &str = r"
import duckdb, json, struct, sys
table = f'''read_parquet('{sys.argv[1]}/**/*.parquet', hive_partitioning = true, hive_types_autocast = false)'''
counts = duckdb.sql(f'''select key, month, count(*), count(r2_idx_agg), count(r2_bqx_w15), max(typeof(ts_utc))
                        from {table} group by 1, 2 order by 1, 2''').fetchall()
value = duckdb.sql(f'''select prediction_idx_w60 from {table} where key = 'usdjpy' and month = '2017-02'
                       order by ts_utc offset 200 limit 1''').fetchall()[0][0]
print(json.dumps({'counts': counts, 'value': struct.pack('>d', value).hex()}))
";

const POLARS: &str = r"
import json, struct, sys, polars as pl
table = pl.scan_parquet(f'{sys.argv[1]}/**/*.parquet', hive_partitioning = True, try_parse_hive_dates = False)
counts = (table.group_by('key', 'month').agg(rows = pl.len(), agg = pl.col('r2_idx_agg').count(),
          w15 = pl.col('r2_bqx_w15').count(), kind = pl.lit('TIMESTAMP WITH TIME ZONE'))
          .sort('key', 'month').collect())
assert str(table.collect_schema()['ts_utc']).startswith('Datetime') and 'UTC' in str(table.collect_schema()['ts_utc'])
value = (table.filter((pl.col('key') == 'usdjpy') & (pl.col('month') == '2017-02')).sort('ts_utc')
         .select('prediction_idx_w60').collect().item(200, 0))
print(json.dumps({'counts': [list(row) for row in counts.rows()], 'value': struct.pack('>d', value).hex()}))
";

/// The Python with the readers, or none, said aloud.
fn python(module: &str) -> Option<String> {
    let python = std::env::var("ROLLFIT_PYTHON").ok();
    let has = |python: &String| {
        let import = Command::new(python).args(["-c", &format!("import {module}")]).output();
        import.is_ok_and(|output| output.status.success())
    };
    let found = python.filter(has);
    if found.is_none() {
        println!("skipped: ROLLFIT_PYTHON names no Python with {module}");
    }
    found
}

/// Checks what a script says of a store of ours.
fn reads_one_hive_table(module: &str, script: &str) {
    let Some(python) = python(module) else { return };
    let sandbox = Sandbox::done(&KEYS, &MONTHS);
    // What a killed run leaves must not disturb readers.
    sandbox.write("fx/features/key=eurusd/month=2017-01/.part.tmp", "unfinished");
    sandbox.write("fx/features/key=eurusd/month=2017-01/.lock", "process 1 on elsewhere");
    let mut command = Command::new(python);
    command.args(["-c", script]).arg(sandbox.path("fx/features"));
    let said: Value = Answer::from_command(command).exits(0).json();

    let mut wanted = Vec::new();
    for (key, month) in KEYS.iter().flat_map(|key| MONTHS.map(|month| (*key, month))) {
        let rows = sandbox.joined(key, &[month]).instants_us.len();
        let full = |window: usize| rows - (WINDOWS[window].1 - 1);
        let kind = "TIMESTAMP WITH TIME ZONE";
        wanted.push(serde_json::json!([key, month, rows, full(5), full(0), kind]));
    }
    assert_eq!(said["counts"], Value::from(wanted));
    let stored = Columns::read(&sandbox.part("usdjpy", "2017-02")).column("prediction_idx_w60")[200];
    assert_eq!(said["value"], format!("{:016x}", stored.to_bits()));
}

#[test]
fn duckdb_reads_the_features_as_one_hive_table() {
    reads_one_hive_table("duckdb", DUCKDB);
}

#[test]
fn polars_reads_the_features_as_one_hive_table() {
    reads_one_hive_table("polars", POLARS);
}
