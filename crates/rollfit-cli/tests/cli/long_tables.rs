//! Long tables of a directory: rows of several keys in one file, told apart by a column, or files in directories of their keys.
//! Whichever way the rows lie, each key gets what it would get from a table of its own.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Date32Array, DurationMicrosecondArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use crate::bars::{bars, write_parquet};
use crate::sandbox::{Answer, Sandbox};
use crate::tree::Tree;

/// A file's name, its rows, how many make a row group, and whether it has the column of keys.
type LongFile<'a> = (&'a str, &'a [LongRow], usize, bool);

/// What makes a row wrong.
type Spoil<'a> = &'a dyn Fn(&mut Vec<LongRow>, usize);

const KEYS: [&str; 3] = ["BTC-USD", "eurusd", "usdjpy"];
const MONTHS: [&str; 2] = ["2017-01", "2017-02"];

/// A row of a long table: its key, instant and two values.
#[derive(Clone, Debug)]
struct LongRow {
    key: Option<String>,
    instant_us: i64,
    close: f64,
    range: f64,
}

fn rows_of(key: &str, month: &str) -> Vec<LongRow> {
    let row = |(instant_us, close): (i64, f64)| LongRow {
        key: Some(key.to_owned()),
        instant_us,
        close,
        range: (close * 1e5) % 17.0,
    };
    bars(key, month).into_iter().map(row).collect()
}

/// All rows, key by key.
fn by_key() -> Vec<LongRow> {
    KEYS.iter().flat_map(|key| MONTHS.iter().flat_map(|month| rows_of(key, month))).collect()
}

/// All rows, as a recorder of all keys writes them.
fn by_time() -> Vec<LongRow> {
    let mut rows = by_key();
    rows.sort_by_key(|row| row.instant_us);
    rows
}

/// Writes rows as a file with row groups of `group_rows`, with a key column where `has_key`.
fn write_long(path: &Path, rows: &[LongRow], group_rows: usize, has_key: bool) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    if has_key {
        let keys: StringArray = rows.iter().map(|row| row.key.as_deref()).collect();
        columns.push(("symbol", Arc::new(keys)));
    }
    let instants: Vec<i64> = rows.iter().map(|row| row.instant_us).collect();
    columns.push(("time", Arc::new(TimestampMicrosecondArray::from(instants))));
    columns.push(("close", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.close)))));
    columns.push(("range", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.range)))));
    // A nullable key, whatever the first rows hold.
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, name == "symbol")),
    )
    .unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group_rows)).build();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// The configuration of a job whose series are in one table, which `table` says.
fn config(keys: &str, table: &str) -> String {
    format!(
        r#"[store]
url = "parquet:fx"
[partitions]
keys = {keys}
from = "first"
to = "latest"
[series.idx]
{table}
time = "time"
value = "close"
[series.bqx]
{table}
time = "time"
value = "range"
[windows]
w15 = 15
w90 = 90
[run]
workers = 2
boundary = "carry"
"#
    )
}

const LONG: &str = "table = \"bars\"\nkey_column = \"symbol\"";

/// A store with a long table of these files.
fn long(files: &[LongFile<'_>]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, rows, group_rows, has_key) in files {
        write_long(&sandbox.path(format!("fx/sources/bars/{name}")), rows, *group_rows, *has_key);
    }
    sandbox.write("rollfit.toml", config("\"all\"", LONG));
    sandbox
}

/// The features of three tables of one key.
fn features_of_three_tables() -> Tree {
    let sandbox = Sandbox::new();
    for key in KEYS {
        let rows: Vec<LongRow> = MONTHS.iter().flat_map(|month| rows_of(key, month)).collect();
        write_long(&sandbox.path(format!("fx/sources/bars_{key}/all.parquet")), &rows, 1000, false);
    }
    sandbox.write("rollfit.toml", config("\"all\"", "table = \"bars_{key}\""));
    sandbox.run(&["run"]).exits(0).says(&["6 written"]);
    Tree::read(&sandbox.path("fx/features"))
}

#[track_caller]
fn has_features(sandbox: &Sandbox, wanted: &Tree) -> Answer {
    let answer = sandbox.run(&["run"]).exits(0).says(&["6 written"]);
    let found = Tree::read(&sandbox.path("fx/features"));
    assert_eq!(wanted.differences(&found), Vec::<String>::new());
    answer
}

#[test]
fn features_and_receipts_are_those_of_tables_of_one_key_however_the_rows_lie() {
    let wanted = features_of_three_tables();
    let (all, sorted) = (by_time(), by_key());
    let middle = all.len() / 2;
    let mixed: Vec<Sandbox> = vec![
        long(&[("all.parquet", &all, 100_000, true)]),
        long(&[("all.parquet", &all, 100, true)]),
        long(&[("a.parquet", &all[..middle], 500, true), ("b.parquet", &all[middle..], 500, true)]),
        // The later file has the earlier name.
        long(&[("b.parquet", &all[..middle], 500, true), ("a.parquet", &all[middle..], 500, true)]),
        long(&[("all.parquet", &sorted, 50, true)]),
        long(&[("year=2017/all.parquet", &sorted, 100_000, true)]),
    ];
    for sandbox in &mixed {
        let answer = has_features(sandbox, &wanted);
        assert!(!answer.stderr.contains("not read"), "{answer}");
    }
    let sandbox = &mixed[0];
    let before = Tree::read(&sandbox.path("fx"));
    sandbox.run(&["run"]).exits(0).says(&["6 already done"]);
    sandbox.run(&["verify"]).exits(0).says(&["6 verified"]);
    sandbox.run(&["doctor"]).exits(0);
    before.is_untouched(&sandbox.path("fx"));
    fs::remove_dir_all(sandbox.path("fx/features")).unwrap();
    sandbox.write("rollfit.toml", config(&format!("{KEYS:?}"), LONG));
    has_features(sandbox, &wanted);
}

#[test]
fn hive_directories_are_read_beside_files_of_many_keys() {
    let wanted = features_of_three_tables();
    let of = |key: &str| MONTHS.iter().flat_map(|month| rows_of(key, month)).collect::<Vec<_>>();
    let [btc, eur, jpy] = KEYS.map(of);
    let split = rows_of(KEYS[1], MONTHS[0]).len();
    let files: [&[LongFile<'_>]; 4] = [
        &[
            ("symbol=BTC%2DUSD/a.parquet", &btc, 100, false),
            ("symbol=eurusd/a.parquet", &eur, 100, true),
            ("symbol=usdjpy/month=2017-01/a.parquet", &jpy, 100, false),
        ],
        &[
            ("year=2017/symbol=BTC-USD/a.parquet", &btc, 100, false),
            ("year=2017/symbol=eurusd/a.parquet", &eur[..split], 100, false),
            ("year=2018/symbol=eurusd/b.parquet", &eur[split..], 100, false),
            ("symbol=usdjpy/a.parquet", &jpy, 100, false),
        ],
        &[
            ("symbol=eurusd/a.parquet", &eur[..split], 100, false),
            ("recent.parquet", &[&btc[..], &eur[split..], &jpy[..]].concat(), 100, true),
        ],
        &[
            ("symbol=eurusd/a.parquet", &eur[10..20], 100, false),
            ("rest.parquet", &[&btc[..], &eur[..10], &eur[20..], &jpy[..]].concat(), 100_000, true),
        ],
    ];
    for files in files {
        let sandbox = long(files);
        let answer = has_features(&sandbox, &wanted);
        assert!(!answer.stderr.contains("not read"), "{answer}");
        sandbox.run(&["run"]).exits(0).says(&["6 already done"]);
    }
    let sandbox = long(files[2]);
    write_long(&sandbox.path("fx/sources/bars/other/a.parquet"), &eur, 100, true);
    write_long(
        &sandbox.path("fx/sources/bars/symbol=__HIVE_DEFAULT_PARTITION__/a.parquet"),
        &eur,
        100,
        false,
    );
    sandbox.run(&["plan"]).exits(0).says(&[
        "bars: 1 of its files are not read: other/a.parquet",
        "the files in directories of symbol = NULL belong to no key",
    ]);
    write_long(&sandbox.path("fx/sources/bars/symbol=eurusd/b.parquet"), &eur[split..split + 1], 100, false);
    sandbox.run(&["run"]).exits(1).says(&[
        "eurusd 2017-02",
        "occurs twice, in a file of the key's own directory and in a file of many keys",
        "5 written",
    ]);
}

#[test]
fn a_file_that_disagrees_with_its_directory_is_an_error_of_that_key() {
    let (mut eur, jpy) = (rows_of("eurusd", MONTHS[0]), rows_of("usdjpy", MONTHS[0]));
    for wrong in [Some("gbpusd".to_owned()), None] {
        let said =
            wrong.as_ref().map_or("has NULL in column `symbol`", |_| "has `gbpusd` in column `symbol`");
        eur[200].key = wrong;
        let sandbox = long(&[
            ("symbol=eurusd/a.parquet", &eur, 100, true),
            ("symbol=usdjpy/a.parquet", &jpy, 100, true),
        ]);
        sandbox.run(&["run"]).exits(1).says(&[
            "symbol=eurusd/a.parquet: its directory says symbol=eurusd",
            said,
            "1 written",
        ]);
        assert!(!sandbox.path("fx/features/key=eurusd").exists());
    }
}

#[test]
fn a_changed_key_is_computed_again_alone() {
    for group_rows in [50, 100_000] {
        let mut rows = by_key();
        let sandbox = long(&[("all.parquet", &rows, group_rows, true)]);
        sandbox.run(&["run"]).exits(0).says(&["6 written"]);
        let before = Tree::read(&sandbox.path("fx/features"));
        let changed = rows.iter_mut().rfind(|row| row.key.as_deref() == Some("eurusd")).unwrap();
        changed.close += 0.01;
        write_long(&sandbox.path("fx/sources/bars/all.parquet"), &rows, group_rows, true);
        sandbox.run(&["run"]).exits(0).says(&["1 written", "5 already done"]);
        let changes = before.differences(&Tree::read(&sandbox.path("fx/features")));
        assert_eq!(changes, ["key=eurusd/month=2017-02/part.parquet"]);
    }
}

#[test]
fn rows_without_a_key_are_counted_and_told() {
    let wanted = features_of_three_tables();
    let mut rows = by_time();
    for at in [700, 300, 3] {
        let row = LongRow { key: None, ..rows[at].clone() };
        rows.insert(at, row);
    }
    let sandbox = long(&[("all.parquet", &rows, 100, true)]);
    has_features(&sandbox, &wanted).says(&[
        "bars: column `symbol` is NULL in 3 rows, which belong to no key and are not read: 3 of",
        "bars/all.parquet",
    ]);
}

#[test]
fn a_listed_key_that_the_table_does_not_have_fails_with_the_nearest_one() {
    let rows = by_time();
    let sandbox = long(&[("all.parquet", &rows, 100, true)]);
    sandbox.write("rollfit.toml", config("[\"eurusd\", \"usdjyp\"]", LONG));
    sandbox.run(&["run"]).exits(1).says(&[
        "has no row of key `usdjyp` in column `symbol`; did you mean `usdjpy`? its keys are BTC-USD, eurusd, usdjpy",
        "2 written",
    ]);
    assert!(!sandbox.path("fx/features/key=usdjyp").exists());
    fs::remove_dir_all(sandbox.path("fx/sources/bars")).unwrap();
    for keys in ["\"all\"", "[\"eurusd\"]"] {
        sandbox.write("rollfit.toml", config(keys, LONG));
        sandbox.run(&["plan"]).exits(1).says(&["sources/bars does not exist"]);
    }
}

#[test]
fn what_is_no_key_is_passed_over_and_keys_that_differ_in_case_are_refused() {
    let mut rows = by_time();
    let renamed = |key: &str| {
        rows_of("eurusd", MONTHS[0])
            .into_iter()
            .map(move |row| LongRow { key: Some(key.to_owned()), ..row })
            .collect::<Vec<_>>()
    };
    rows.extend(renamed("EUR/USD"));
    let sandbox = long(&[("all.parquet", &rows, 100, true)]);
    sandbox.run(&["run"]).exits(0).says(&[
        "keys = \"all\" skips 1 key of the source: EUR/USD in bars (`EUR/USD` is not a key",
        "6 written",
    ]);
    rows.extend(renamed("EurUsd"));
    let sandbox = long(&[("all.parquet", &rows, 100, true)]);
    sandbox.run(&["run"]).exits(2).says(&["the keys `EurUsd` and `eurusd` differ only in case"]);
    assert!(!sandbox.path("fx/features").exists());
}

#[test]
fn a_key_whose_instants_do_not_rise_fails_alone() {
    let swapped = |rows: &mut Vec<LongRow>, at: usize| rows.swap(at, at + 3);
    let twice = |rows: &mut Vec<LongRow>, at: usize| rows[at + 3].instant_us = rows[at].instant_us;
    let spoils: [(Spoil<'_>, &str); 2] = [(&swapped, "comes after"), (&twice, "occurs twice")];
    for (spoil, said) in spoils {
        let mut rows = by_time();
        let at = rows.iter().skip(100).position(|row| row.key.as_deref() == Some("eurusd")).unwrap() + 100;
        spoil(&mut rows, at);
        let sandbox = long(&[("all.parquet", &rows, 100_000, true)]);
        sandbox.run(&["run"]).exits(1).says(&["all.parquet: key `eurusd`: ", said, "4 written"]);
        assert!(!sandbox.path("fx/features/key=eurusd").exists());
    }
    let (all, once) = (by_time(), rows_of("eurusd", MONTHS[1]));
    let sandbox = long(&[("a.parquet", &all, 100, true), ("b.parquet", &once[5..6], 100, true)]);
    sandbox.run(&["run"]).exits(1).says(&["b.parquet: key `eurusd`", "4 written"]);
}

#[test]
fn keys_may_be_whole_numbers_and_not_other_numbers() {
    let january = rows_of("x", MONTHS[0]);
    let write = |sandbox: &Sandbox, keys: ArrayRef| {
        let instants: Vec<i64> = january.iter().map(|row| row.instant_us).collect();
        let closes = Float64Array::from_iter_values(january.iter().map(|row| row.close));
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("symbol", keys),
            ("time", Arc::new(TimestampMicrosecondArray::from(instants))),
            ("close", Arc::new(closes.clone())),
            ("range", Arc::new(closes)),
        ];
        write_parquet(&sandbox.path("fx/sources/bars/a.parquet"), columns);
    };
    let sandbox = long(&[]);
    let numbers = (0..january.len() as i64).map(|row| 7203 + row % 2);
    write(&sandbox, Arc::new(Int64Array::from_iter_values(numbers)));
    sandbox.run(&["run"]).exits(0).says(&["2 written"]);
    assert!(sandbox.part("7203", MONTHS[0]).is_file() && sandbox.part("7204", MONTHS[0]).is_file());
    let sandbox = long(&[]);
    write(&sandbox, Arc::new(Float64Array::from(vec![1.5; january.len()])));
    sandbox
        .run(&["plan"])
        .exits(1)
        .says(&["column `symbol` is Float64, and a key is text or a whole number"]);
}

#[test]
fn an_instant_that_no_period_holds_is_told_with_its_column() {
    for (instant_us, said) in [
        (253_402_214_400_000_000, "253402214400000000 us since 1970"),
        (-62_135_596_800_000_001, "0000-12-31T23:59:59.999999Z"),
    ] {
        let mut rows = by_time();
        let at = if instant_us < 0 { 0 } else { rows.len() };
        rows.insert(at, LongRow { instant_us, ..rows[0].clone() });
        let sandbox = long(&[("all.parquet", &rows, 100_000, true)]);
        sandbox.run(&["plan"]).exits(1).says(&[
            "all.parquet: column `time` has the instant",
            said,
            "correct the time",
        ]);
    }
}

#[test]
fn durations_are_no_numbers_to_include() {
    let rows = rows_of("eurusd", MONTHS[0]);
    let closes = || Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.close))) as ArrayRef;
    let instants: Vec<i64> = rows.iter().map(|row| row.instant_us).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("symbol", Arc::new(StringArray::from(vec!["eurusd"; rows.len()]))),
        ("time", Arc::new(TimestampMicrosecondArray::from(instants))),
        ("close", closes()),
        ("range", closes()),
        ("wait", Arc::new(DurationMicrosecondArray::from(vec![7; rows.len()]))),
    ];
    let sandbox = long(&[]);
    write_parquet(&sandbox.path("fx/sources/bars/a.parquet"), columns);
    sandbox.write("rollfit.toml", config("\"all\"", LONG) + "[features]\ninclude = [\"idx.wait\"]\n");
    sandbox.run(&["run"]).exits(1).says(&["column `wait` is a duration, not a number"]);
}

#[test]
fn dates_are_midnights() {
    let days = 17_167..17_257;
    let closes = || {
        Arc::new(Float64Array::from_iter_values((0..180).map(|row| 1.0 + f64::from(row % 13)))) as ArrayRef
    };
    let features = |time: ArrayRef| {
        let sandbox = long(&[]);
        let keys: StringArray = (0..180).map(|row| Some(["a", "b"][row % 2])).collect();
        let columns: Vec<(&str, ArrayRef)> =
            vec![("symbol", Arc::new(keys)), ("time", time), ("close", closes()), ("range", closes())];
        write_parquet(&sandbox.path("fx/sources/bars/a.parquet"), columns);
        sandbox.run(&["run"]).exits(0).says(&["6 written"]);
        sandbox.run(&["verify"]).exits(0).says(&["6 verified"]);
        Tree::read(&sandbox.path("fx/features"))
    };
    let twice = || days.clone().flat_map(|day| [day, day]);
    let dates = features(Arc::new(Date32Array::from_iter_values(twice())));
    let instants = twice().map(|day| i64::from(day) * 86_400_000_000);
    let times = features(Arc::new(TimestampMicrosecondArray::from_iter_values(instants)));
    assert_eq!(times.differences(&dates), Vec::<String>::new());
}

#[test]
fn series_are_derived_from_the_closes_of_a_long_table() {
    let rows = by_time();
    let sandbox = long(&[("all.parquet", &rows, 500, true)]);
    let derived = "\nderive = \"rate_index\"\nbase = 1.05";
    let config = |keys: &str, table: &str| config(keys, &format!("{table}{derived}"));
    sandbox.write("rollfit.toml", config("\"all\"", LONG));
    sandbox.run(&["run"]).exits(0).says(&["6 written"]);
    let apart = Sandbox::new();
    for key in KEYS {
        let rows: Vec<LongRow> = MONTHS.iter().flat_map(|month| rows_of(key, month)).collect();
        write_long(&apart.path(format!("fx/sources/bars_{key}/all.parquet")), &rows, 1000, false);
    }
    apart.write("rollfit.toml", config("\"all\"", "table = \"bars_{key}\""));
    apart.run(&["run"]).exits(0).says(&["6 written"]);
    let wanted = Tree::read(&apart.path("fx/features"));
    assert_eq!(wanted.differences(&Tree::read(&sandbox.path("fx/features"))), Vec::<String>::new());
}
