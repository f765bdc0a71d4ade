//! Other readers: DuckDB and Polars take the features directory as one Hive table; they and pyarrow find UTC instants and
//! further columns in source tables. They are those of the Python that `ROLLFIT_PYTHON` names.

use std::process::Command;

use rollfit_job::config::StoreConfig;
use rollfit_job::import::{Bar, BarsOptions};
use rollfit_job::store::StoreKind;
use rollfit_parquet::Parquet;
use rollfit_testkit::bars::TestBars;
use serde_json::Value;

use crate::bars::bars;
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
pub(crate) fn python(module: &str) -> Option<String> {
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

/// The first month has no volume at all, the second has one bar without.
const SOURCES_IN_DUCKDB: &str = r#"
import duckdb, json, sys
duckdb.sql("set TimeZone = 'America/New_York'")
table = f'''read_parquet('{sys.argv[1]}/sources/m1_eurusd/*.parquet')'''
rows = duckdb.sql(f'select epoch_us(time), close, volume, typeof(time) from {table} order by time').fetchall()
print(json.dumps([list(row) for row in rows]))
"#;

const SOURCES_IN_POLARS: &str = r"
import json, sys, polars as pl
table = pl.read_parquet(f'{sys.argv[1]}/sources/m1_eurusd/*.parquet').sort('time')
assert table.schema['time'] == pl.Datetime('us', 'UTC')
rows = table.select(pl.col('time').dt.epoch('us'), 'close', 'volume', kind = pl.lit('TIMESTAMP WITH TIME ZONE'))
print(json.dumps([list(row) for row in rows.rows()]))
";

/// The reader that pandas uses.
const SOURCES_IN_PYARROW: &str = r"
import json, sys, pyarrow as pa, pyarrow.dataset as ds
table = ds.dataset(f'{sys.argv[1]}/sources/m1_eurusd').to_table().sort_by('time')
assert table.schema.field('time').type == pa.timestamp('us', 'UTC')
rows = zip(table['time'].cast(pa.int64()).to_pylist(), table['close'].to_pylist(), table['volume'].to_pylist())
print(json.dumps([[*row, 'TIMESTAMP WITH TIME ZONE'] for row in rows]))
";

/// Checks the instants, the closes and a further column of imported bars.
#[test]
fn other_readers_find_utc_instants_and_further_columns_in_source_tables() {
    let sandbox = Sandbox::new();
    let mut months = MONTHS.map(|month| bars("eurusd", month)[..4].to_vec()).concat();
    let volume = [f64::NAN, f64::NAN, f64::NAN, f64::NAN, 1.5, f64::NAN, -0.0, 1e300];
    let imported = TestBars {
        bars: months.iter().map(|&(instant_us, close)| Bar { instant_us, close }).collect(),
        ..TestBars::default()
    };
    let store = StoreConfig::new(format!("parquet:{}", sandbox.path("fx").display()));
    let mut import = Parquet.import_into(&store, BarsOptions::default()).unwrap();
    import.add("eurusd", &imported.with("volume", &volume)).unwrap();
    import.commit().unwrap();
    let row = |((instant_us, close), volume): ((i64, f64), f64)| {
        serde_json::json!([instant_us, close, volume, "TIMESTAMP WITH TIME ZONE"])
    };
    let wanted: Vec<Value> = months.drain(..).zip(volume).map(row).collect();
    let scripts =
        [("duckdb", SOURCES_IN_DUCKDB), ("polars", SOURCES_IN_POLARS), ("pyarrow", SOURCES_IN_PYARROW)];
    for (module, script) in scripts {
        let Some(python) = python(module) else { continue };
        let mut command = Command::new(python);
        command.args(["-c", script]).arg(sandbox.path("fx"));
        assert_eq!(Answer::from_command(command).exits(0).json(), Value::from(wanted.clone()), "{module}");
    }
}

/// All values of a file as each reader finds them, with the checksums of the pages where a reader checks them.
const EVERY_READER: &str = r"
import json, sys, duckdb, polars as pl, pyarrow.parquet as pq
file = sys.argv[1]
table = pq.read_table(file, partitioning = None, page_checksum_verification = True)
lazily = pl.scan_parquet(file, hive_partitioning = False).filter(pl.col('ts_utc').is_not_null()).collect()
read = {
    'duckdb': duckdb.sql(f'select * from read_parquet({file!r}, hive_partitioning = false)').to_arrow_table(),
    'polars': pl.read_parquet(file, hive_partitioning = False).to_arrow(),
    'polars, lazily': lazily.to_arrow(),
}
def bits(column):
    return [None if value is None else value.hex() for value in column.to_pylist()]
for name, other in read.items():
    assert other.column_names == table.column_names, name
    for column in table.column_names[1:]:
        assert bits(other[column]) == bits(table[column]), (name, column)
print(json.dumps({'rows': table.num_rows, 'nulls': [table[name].null_count for name in table.column_names]}))
";

#[test]
fn every_reader_finds_the_same_bits_in_every_compression() {
    let Some(python) = python("duckdb, polars, pyarrow") else { return };
    let sandbox = Sandbox::done(&KEYS[..1], &MONTHS[..1]);
    let part = sandbox.part(KEYS[0], MONTHS[0]);
    for compression in ["none", "lz4", "zstd"] {
        sandbox.run_with(&[("ROLLFIT_STORE__COMPRESSION", compression)], &["run", "--force"]).exits(0);
        let mut command = Command::new(&python);
        command.args(["-c", EVERY_READER]).arg(&part);
        let said = Answer::from_command(command).exits(0).json();
        let stored = Columns::read(&part);
        let nulls = stored.values.iter().map(|column| column.iter().filter(|value| value.is_nan()).count());
        let wanted: Vec<usize> = std::iter::once(0).chain(nulls).collect();
        assert_eq!(said["rows"], stored.instants_us.len(), "{compression}");
        assert_eq!(said["nulls"], Value::from(wanted), "{compression}");
    }
}
