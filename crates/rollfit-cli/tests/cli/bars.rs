//! Data for tests: bars as CSV to import, and source tables as users drop them in; and the configuration for them.

use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, TimestampMicrosecondArray};
use parquet::arrow::ArrowWriter;
use rollfit_job::month::{Month, display_instant};

use crate::sandbox::Sandbox;

/// Two hours: a month of such bars has some 370 rows, and a year of them imports in a moment.
pub(crate) const STEP_S: i64 = 7200;

/// The bars of a key in a month, the same at every call: instants in microseconds and closes.
pub(crate) fn bars(key: &str, month: &str) -> Vec<(i64, f64)> {
    bars_every(key, month, STEP_S)
}

/// As [`bars`], so many seconds apart.
pub(crate) fn bars_every(key: &str, month: &str, step_s: i64) -> Vec<(i64, f64)> {
    let seed = key
        .bytes()
        .chain(month.bytes())
        .fold(11, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut ticks = 105_000;
    let span_us = month.parse::<Month>().unwrap().span_us();
    let instants = span_us.step_by(usize::try_from(step_s * 1_000_000).unwrap());
    let mut bar = |instant_us| {
        ticks += random.i32(-40..=40);
        (instant_us, f64::from(ticks) / 1e5)
    };
    instants.map(&mut bar).collect()
}

/// Bars as a CSV with header.
pub(crate) fn csv(bars: &[(i64, f64)]) -> String {
    let mut text = String::from("time,close\n");
    for (instant_us, close) in bars {
        writeln!(text, "{},{close}", display_instant(*instant_us)).unwrap();
    }
    text
}

impl Sandbox {
    /// Writes the bars of a key in a month to a file that tells its key.
    pub(crate) fn bars_file(&self, key: &str, month: &str) -> PathBuf {
        self.write(format!("bars/key={key}/{month}.csv"), csv(&bars(key, month)))
    }

    /// Imports months of keys into `fx`.
    #[track_caller]
    pub(crate) fn import(&self, keys: &[&str], months: &[&str]) {
        let mut arguments = ["import", "--format", "csv", "--into", "parquet:fx"].map(PathBuf::from).to_vec();
        for key in keys {
            arguments.extend(months.iter().map(|month| self.bars_file(key, month)));
        }
        self.run(&arguments).exits(0);
    }

    /// Imports other closes than those in the store for some bars of a key.
    #[track_caller]
    pub(crate) fn import_changed(&self, key: &str, bars: &[(i64, f64)]) {
        self.write("changed.csv", csv(bars));
        let into = ["--into", "parquet:fx", "--key", key, "--replace", "changed.csv"];
        self.run(&[&["import", "--format", "csv"], &into[..]].concat()).exits(0);
    }

    /// Writes `rollfit.toml` for keys and months, with the reference workload's series and windows.
    pub(crate) fn configure(&self, keys: &[&str], from: &str, to: &str) {
        self.write("rollfit.toml", config(keys, from, to));
    }

    /// A sandbox with imported bars and a configuration for all of them.
    pub(crate) fn imported(keys: &[&str], months: &[&str]) -> Self {
        let sandbox = Self::new();
        sandbox.import(keys, months);
        sandbox.configure(keys, months[0], months[months.len() - 1]);
        sandbox
    }

    /// As [`Sandbox::imported`], and run.
    pub(crate) fn done(keys: &[&str], months: &[&str]) -> Self {
        let sandbox = Self::imported(keys, months);
        sandbox.run(&["run", "--quiet"]).exits(0);
        sandbox
    }

    /// Makes both source tables of a key by hand, as a user would drop them in.
    pub(crate) fn drop_in(&self, key: &str, file: &str, rows: &SourceRows) {
        rows.write(&self.path(format!("fx/sources/m1_{key}/{file}")), "time", "rate_index");
        rows.write(&self.path(format!("fx/sources/bqx_{key}/{file}")), "ts_utc", "w15_bqx_return");
    }
}

/// The configuration of the reference workload for some keys and months, its store in `fx`.
pub(crate) fn config(keys: &[&str], from: &str, to: &str) -> String {
    format!(
        r#"[store]
url = "parquet:fx"

[partitions]
keys = {keys:?}
from = "{from}"
to = "{to}"

[series.idx]
table = "m1_{{key}}"
time = "time"
value = "rate_index"
features = "reg_rate_{{key}}_{{yyyy}}_{{mm}}"

[series.bqx]
table = "bqx_{{key}}"
time = "ts_utc"
value = "w15_bqx_return"
features = "reg_bqx_{{key}}_{{yyyy}}_{{mm}}"

[windows]
w15 = 15
w30 = 30
w45 = 45
w60 = 60
w75 = 75
agg = 90

[run]
workers = 2
boundary = "reset"
"#
    )
}

/// Rows of a source table that no import made.
#[derive(Clone)]
pub(crate) struct SourceRows {
    pub(crate) instants_us: Vec<i64>,
    pub(crate) values: Vec<f64>,
}

impl SourceRows {
    /// `rows` rows from the start of a month on, `step_s` apart.
    pub(crate) fn of_month(month: &str, rows: usize, step_s: i64) -> Self {
        let start_us = month.parse::<Month>().unwrap().span_us().start;
        let mut random = fastrand::Rng::with_seed(5);
        Self {
            instants_us: (0..rows as i64).map(|row| start_us + row * step_s * 1_000_000).collect(),
            values: (0..rows).map(|_| 100.0 + random.f64()).collect(),
        }
    }

    /// Only the rows whose number `keep` likes.
    pub(crate) fn filtered(&self, keep: impl Fn(usize) -> bool) -> Self {
        let kept = |row: &usize| keep(*row);
        Self {
            instants_us: (0..self.values.len()).filter(kept).map(|row| self.instants_us[row]).collect(),
            values: (0..self.values.len()).filter(kept).map(|row| self.values[row]).collect(),
        }
    }

    /// Writes them as a Parquet file with these column names.
    pub(crate) fn write(&self, path: &Path, time: &str, value: &str) {
        let instants = TimestampMicrosecondArray::from(self.instants_us.clone());
        let values = Float64Array::from(self.values.clone());
        write_parquet(path, vec![(time, Arc::new(instants)), (value, Arc::new(values))]);
    }
}

/// Writes columns as a Parquet file.
pub(crate) fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}
