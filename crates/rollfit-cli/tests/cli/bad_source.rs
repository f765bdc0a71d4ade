//! Bad sources: what is missing, broken or out of order is named with its file, and no features are written from it.

use std::fs;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
    TimestampNanosecondArray,
};

use crate::bars::{SourceRows, bars, write_parquet};
use crate::sandbox::Sandbox;
use crate::tree::Tree;

const M1: &str = "fx/sources/m1_eurusd";

/// A store with a month of bars and a month of hand-made rows after it in both tables.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    sandbox.drop_in("eurusd", "2017-02.parquet", &february());
    sandbox.configure(&["eurusd"], "2017-01", "2017-02");
    sandbox
}

fn february() -> SourceRows {
    SourceRows::of_month("2017-02", 500, 60)
}

/// Checks that a run fails February with `parts` in the message, writes January where it can, and that the plan says
/// the same. `good` says how many partitions are not affected.
#[track_caller]
fn fails(sandbox: &Sandbox, good: usize, parts: &[&str]) {
    let sources = Tree::read(&sandbox.path("fx/sources"));
    let run = sandbox.run(&["run"]).exits(1).says(parts);
    assert!(run.stdout.contains(&format!("{good} written")), "{run}");
    assert!(!run.stderr.contains("defect of rollfit"), "{run}");
    assert!(!sandbox.path("fx/features/key=eurusd/month=2017-02").exists());
    assert_eq!(sandbox.part("eurusd", "2017-01").exists(), good == 1);
    sandbox.run(&["plan"]).exits(1).says(parts);
    assert!(sources.differences(&Tree::read(&sandbox.path("fx/sources"))).is_empty());
}

fn instants(rows: &SourceRows) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(rows.instants_us.clone()))
}

#[test]
fn a_missing_table_is_named_with_its_series() {
    let sandbox = sandbox();
    fs::rename(sandbox.path("fx/sources/bqx_eurusd"), sandbox.path("elsewhere")).unwrap();
    fails(&sandbox, 0, &["table fx/sources/bqx_eurusd does not exist", "series `bqx`", "import its bars"]);
    let open = [("ROLLFIT_PARTITIONS__KEYS", "all")];
    let no_key = sandbox.run_with(&open, &["run"]).exits(2);
    no_key.says(&["no key with tables `m1_{key}` and `bqx_{key}`", "import some bars"]);
}

#[test]
fn a_missing_column_is_named_with_those_that_are_there() {
    let sandbox = sandbox();
    february().write(&sandbox.path(M1).join("2017-02.parquet"), "time", "rate");
    fails(&sandbox, 1, &["2017-02.parquet: column `rate_index` does not exist; the columns are time, rate"]);
    february().write(&sandbox.path(M1).join("2017-02.parquet"), "stamp", "rate_index");
    sandbox
        .run(&["run"])
        .exits(1)
        .says(&["2017-02.parquet: column `time` does not exist; the columns are stamp, rate_index"]);
}

#[test]
fn a_column_that_is_no_number_is_refused() {
    let sandbox = sandbox();
    let text: ArrayRef = Arc::new(StringArray::from(vec!["1.5"; 500]));
    let columns = vec![("time", instants(&february())), ("rate_index", text)];
    write_parquet(&sandbox.path(M1).join("2017-02.parquet"), columns);
    fails(&sandbox, 1, &["2017-02.parquet: column `rate_index` is Utf8, not a number", "`value`"]);
}

#[test]
fn a_time_column_that_is_no_timestamp_is_refused() {
    let sandbox = sandbox();
    let whole: ArrayRef = Arc::new(Int64Array::from(february().instants_us));
    let values: ArrayRef = Arc::new(Float64Array::from(february().values));
    let columns = vec![("time", whole), ("rate_index", values)];
    write_parquet(&sandbox.path(M1).join("2017-02.parquet"), columns);
    // Which month such a file is about cannot be told: it fails both.
    fails(&sandbox, 0, &["2017-02.parquet: column `time` is Int64, not a timestamp", "`time`"]);
}

#[test]
fn instants_finer_than_a_microsecond_are_refused() {
    let sandbox = sandbox();
    let mut nanoseconds: Vec<i64> = february().instants_us.iter().map(|us| us * 1000).collect();
    nanoseconds[2] += 1;
    let time: ArrayRef = Arc::new(TimestampNanosecondArray::from(nanoseconds));
    let values: ArrayRef = Arc::new(Float64Array::from(february().values));
    write_parquet(&sandbox.path(M1).join("2017-02.parquet"), vec![("time", time), ("rate_index", values)]);
    fails(&sandbox, 1, &["2017-02.parquet: row 3", "microsecond"]);
}

#[test]
fn a_month_without_rows_that_are_required_is_told_and_the_others_are_done() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    sandbox.configure(&["eurusd"], "2017-01", "2017-02");
    let tables = "the month has no rows in `m1_eurusd` and `bqx_eurusd`, and require_rows = true";
    let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    sandbox.write("rollfit.toml", format!("{text}require_rows = true\n"));
    fails(&sandbox, 1, &["eurusd 2017-02", tables, "import it, or leave it out of [partitions]"]);
}

#[test]
fn a_truncated_file_is_named_wherever_it_is_cut() {
    let sandbox = sandbox();
    let path = sandbox.path(M1).join("2017-02.parquet");
    let whole = fs::read(&path).unwrap();
    for bytes in [0, 3, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..bytes]).unwrap();
        sandbox.run(&["run"]).exits(1).says(&["2017-02.parquet is not a readable Parquet file", "truncated"]);
        assert!(!sandbox.path("fx/features/key=eurusd/month=2017-02").exists());
    }
    fs::write(&path, &whole).unwrap();
    sandbox.run(&["run"]).exits(0);
}

#[test]
fn a_file_that_is_something_else_is_named() {
    let sandbox = sandbox();
    sandbox.write(format!("{M1}/notes.parquet"), "time,close\n2017-01-01,1.0\n".repeat(100));
    fails(&sandbox, 0, &["notes.parquet is not a readable Parquet file", "move it elsewhere"]);
    fs::remove_file(sandbox.path(M1).join("notes.parquet")).unwrap();
    sandbox.write(format!("{M1}/notes.txt"), "what does not end in .parquet is not read");
    sandbox.write(format!("{M1}/.hidden.parquet"), "nor what is hidden");
    sandbox.run(&["run"]).exits(0);
}

#[test]
fn unsorted_rows_are_refused_with_file_and_instants() {
    let sandbox = sandbox();
    let mut rows = february();
    rows.instants_us.swap(10, 11);
    rows.write(&sandbox.path(M1).join("2017-02.parquet"), "time", "rate_index");
    let order = "2017-02-01T00:10:00Z comes after 2017-02-01T00:11:00Z";
    fails(&sandbox, 1, &["2017-02.parquet: column `time`", order, "sort the source table by time"]);
}

#[test]
fn an_instant_twice_is_refused_within_and_across_files() {
    let sandbox = sandbox();
    let mut rows = february();
    rows.instants_us[11] = rows.instants_us[10];
    rows.write(&sandbox.path(M1).join("2017-02.parquet"), "time", "rate_index");
    fails(&sandbox, 1, &["2017-02.parquet: column `time`", "2017-02-01T00:10:00Z occurs twice"]);

    february().write(&sandbox.path(M1).join("2017-02.parquet"), "time", "rate_index");
    let again = february().filtered(|row| row == 499);
    again.write(&sandbox.path(M1).join("again.parquet"), "time", "rate_index");
    sandbox
        .run(&["run"])
        .exits(1)
        .says(&["again.parquet: column `time`", "2017-02-01T08:19:00Z occurs twice"]);
    assert!(!sandbox.path("fx/features/key=eurusd/month=2017-02").exists());
}

#[test]
fn files_of_one_table_may_follow_each_other_under_any_name() {
    let sandbox = sandbox();
    let half = |first: bool| february().filtered(|row| (row < 250) == first);
    fs::remove_file(sandbox.path(M1).join("2017-02.parquet")).unwrap();
    half(false).write(&sandbox.path(M1).join("a.parquet"), "time", "rate_index");
    half(true).write(&sandbox.path(M1).join("b.parquet"), "time", "rate_index");
    sandbox.run(&["run"]).exits(0);
    sandbox.run(&["verify"]).exits(0).says(&["2 verified"]);
}

#[test]
fn any_numeric_column_is_read_and_its_nulls_are_inputs_without_a_value() {
    let sandbox = sandbox();
    let scaled = |value: &f64| (value * 1e4).round() as i128;
    let mut decimals: Vec<Option<i128>> = february().values.iter().map(|value| Some(scaled(value))).collect();
    decimals[300] = None;
    let decimals: ArrayRef =
        Arc::new(Decimal128Array::from(decimals).with_precision_and_scale(20, 4).unwrap());
    let columns = vec![("time", instants(&february())), ("rate_index", decimals)];
    write_parquet(&sandbox.path(M1).join("2017-02.parquet"), columns);
    let run = sandbox.run(&["run", "--json", "--only", "eurusd:2017-02"]).exits(0).json();
    let windows: u64 = [15, 30, 45, 60, 75, 90].iter().sum();
    assert_eq!(run["no_value"]["input"], windows * 15);
    sandbox.run(&["verify", "--only", "eurusd:2017-02"]).exits(0);
}

#[test]
fn truncated_features_are_foreign_and_never_believed() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    let part = sandbox.part("eurusd", "2017-01");
    let whole = fs::read(&part).unwrap();
    for bytes in [0, 10, whole.len() / 2] {
        fs::write(&part, &whole[..bytes]).unwrap();
        sandbox.run(&["run"]).exits(4).says(&["foreign", "part.parquet has no valid rollfit receipt"]);
        assert_eq!(fs::metadata(&part).unwrap().len(), bytes as u64);
    }
    sandbox.run(&["run", "--replace", "foreign"]).exits(0);
    assert_eq!(fs::read(&part).unwrap(), whole);
    // What is left of its footer still names its writer.
    fs::write(&part, &whole[..whole.len() - 1]).unwrap();
    sandbox.run(&["run"]).exits(1).says(&["part.parquet is damaged: its footer cannot be read", "--force"]);
    sandbox.run(&["run", "--force"]).exits(0);
    assert_eq!(fs::read(&part).unwrap(), whole);
}

#[test]
fn an_import_refuses_what_it_cannot_read() {
    let sandbox = Sandbox::new();
    let import = |format: &str, file: &str| {
        sandbox.run(&["import", "--format", format, "--key", "eurusd", "--into", "parquet:fx", file])
    };
    import("csv", "nowhere.csv").exits(1).says(&["nowhere.csv: cannot be opened", "No such file"]);
    sandbox.write("empty.csv", "");
    import("csv", "empty.csv").exits(1).says(&["empty.csv: the file is empty"]);
    sandbox.write("header.csv", "time,close\n");
    import("csv", "header.csv").exits(1).says(&["header.csv: the file has columns but no rows"]);
    sandbox.write("price.csv", "time,close\n2017-01-01T00:00:00Z,0\n");
    import("csv", "price.csv").exits(1).says(&["price.csv:2", "above zero"]);
    sandbox.write("columns.csv", "when,what\n2017-01-01T00:00:00Z,1\n");
    import("csv", "columns.csv").exits(2).says(&["columns.csv", "--time-column"]);
    sandbox.write("text.parquet", crate::bars::csv(&bars("eurusd", "2017-01")));
    import("parquet", "text.parquet").exits(1).says(&["text.parquet"]);
    std::fs::create_dir(sandbox.path("void")).unwrap();
    import("csv", "void").exits(1).says(&["void: the directory has no file to import"]);
    assert!(!sandbox.path("fx").exists());
}
