//! The states of a partition, what a run does about each, and how each is replaced, forced or dropped.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, TimestampMicrosecondArray};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;

use crate::bars::{SourceRows, bars, write_parquet};
use crate::sandbox::{Answer, Sandbox};
use crate::tree::Tree;

const MONTHS: [&str; 2] = ["2017-01", "2017-02"];
const CARRY: [(&str, &str); 1] = [("ROLLFIT_RUN__BOUNDARY", "carry")];

/// The state and cause that the plan gives for a month of `eurusd`.
fn planned(sandbox: &Sandbox, month: &str) -> (String, String) {
    planned_with(sandbox, &[], month)
}

fn planned_with(sandbox: &Sandbox, variables: &[(&str, &str)], month: &str) -> (String, String) {
    let plan = sandbox.run_with(variables, &["plan", "--json", "--only", &format!("eurusd:{month}")]).json();
    let text = |field: &str| plan["partitions"][0][field].as_str().unwrap_or("none").to_owned();
    (text("state"), text("cause"))
}

/// Checks that a run leaves a month alone in this state, for this cause, and does not touch its files.
#[track_caller]
fn is_left_alone(sandbox: &Sandbox, variables: &[(&str, &str)], state: &str, cause: &str) {
    let before = Tree::read(&sandbox.path("fx"));
    let (planned_state, planned_cause) = planned_with(sandbox, variables, "2017-01");
    assert_eq!(planned_state, state);
    assert!(planned_cause.contains(cause), "{planned_cause}");
    let run = sandbox.run_with(variables, &["run", "--json", "--only", "eurusd:2017-01"]).exits(4).json();
    let left = &run["skipped"][0];
    assert_eq!((&left["state"], &left["cause"]), (&state.into(), &planned_cause.into()));
    before.is_untouched(&sandbox.path("fx"));
    let text = sandbox.run_with(variables, &["run", "--only", "eurusd:2017-01"]).exits(4);
    let way_out = if state == "blocked" { "--replace does not help" } else { &format!("--replace {state}") };
    text.says(&[state, cause, way_out]);
}

/// Checks that `--replace` of this state, and of no other, writes the month, and that it is done then.
#[track_caller]
fn is_replaced_only_by_name(sandbox: &Sandbox, variables: &[(&str, &str)], state: &str) {
    let only = ["run", "--json", "--only", "eurusd:2017-01", "--replace"];
    for other in ["definition-changed", "foreign", "shrunk"].into_iter().filter(|other| *other != state) {
        sandbox.run_with(variables, &[&only[..], &[other]].concat()).exits(4);
    }
    let run = sandbox.run_with(variables, &[&only[..], &[state]].concat()).exits(0).json();
    assert_eq!(run["written"], 1);
    assert_eq!(planned_with(sandbox, variables, "2017-01").0, "done");
    sandbox.run_with(variables, &["verify", "--only", "eurusd:2017-01"]).exits(0);
}

/// A store with a hand-made source of 1000 rows, done.
fn hand_made() -> (Sandbox, SourceRows) {
    let sandbox = Sandbox::new();
    let rows = SourceRows::of_month("2017-01", 1000, 60);
    sandbox.drop_in("eurusd", "mine.parquet", &rows);
    sandbox.configure(&["eurusd"], "2017-01", "2017-01");
    sandbox.run(&["run"]).exits(0);
    (sandbox, rows)
}

#[test]
fn missing_partitions_are_written() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    assert_eq!(planned(&sandbox, "2017-01"), ("missing".to_owned(), "no features yet".to_owned()));
    sandbox.run(&["run"]).exits(0).says(&["was missing"]);
    assert_eq!(planned(&sandbox, "2017-01").0, "done");
}

#[test]
fn a_changed_close_rewrites_the_partitions_it_reaches_and_no_other() {
    let months = ["2017-01", "2017-02", "2017-03"];
    let sandbox = Sandbox::done(&["eurusd"], &months);
    let parts = months.map(|month| sandbox.part("eurusd", month));
    let before = parts.each_ref().map(|part| fs::read(part).unwrap());
    let middle = bars("eurusd", "2017-02")[100].0;
    sandbox.import_changed("eurusd", &[(middle, 1.5)]);
    assert_eq!(planned(&sandbox, "2017-01").0, "done");
    let (state, cause) = planned(&sandbox, "2017-02");
    assert_eq!(
        (state.as_str(), cause.as_str()),
        ("input-changed", "the source has other values or instants now")
    );

    let run = sandbox.run(&["run", "--json"]).exits(0).json();
    assert_eq!((&run["written"], &run["already_done"]), (&1.into(), &2.into()));
    let after = parts.each_ref().map(|part| fs::read(part).unwrap());
    assert_eq!([0, 1, 2].map(|at| before[at] == after[at]), [true, false, true]);
    sandbox.run(&["verify"]).exits(0);
}

#[test]
fn a_close_at_the_end_of_a_month_changes_the_next_through_its_returns() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01", "2017-02", "2017-03"]);
    let last = bars("eurusd", "2017-02").last().unwrap().0;
    sandbox.import_changed("eurusd", &[(last, 1.5)]);
    let state = |month| planned(&sandbox, month).0;
    assert_eq!(["2017-01", "2017-02", "2017-03"].map(state), ["done", "input-changed", "input-changed"]);
}

#[test]
fn rows_that_were_never_joined_are_not_lost_by_a_change() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    // Of a key's first month 15 rows, here 4%, have no backward return.
    sandbox.import_changed("eurusd", &[(bars("eurusd", "2017-01")[100].0, 1.5)]);
    assert_eq!(planned(&sandbox, "2017-01").0, "input-changed");
    sandbox.run(&["run"]).exits(0);
}

#[test]
fn rows_added_to_the_end_of_a_month_make_it_grow_and_others_are_an_input_change() {
    let (sandbox, rows) = hand_made();
    let more = SourceRows::of_month("2017-01", 1010, 60).filtered(|row| row >= rows.values.len());
    sandbox.drop_in("eurusd", "more.parquet", &more);
    let line = &sandbox.run(&["plan", "--json"]).json()["partitions"][0];
    assert_eq!(
        (&line["state"], &line["adds_rows"], &line["rows"]),
        (&"grown".into(), &10.into(), &1010.into())
    );
    assert_eq!(line["cause"], "10 new rows after 2017-01-01T16:39:00Z");
    sandbox.run(&["verify"]).exits(1).says(&["the source has new rows since the features were stored"]);
    // A file is written as a whole.
    sandbox.run(&["run"]).exits(0).says(&["written (was grown), 1,010 rows"]);
    sandbox.run(&["verify"]).exits(0).says(&["1,010 rows"]);

    sandbox.drop_in("eurusd", "mine.parquet", &rows.filtered(|row| row != 5));
    let (state, cause) = planned(&sandbox, "2017-01");
    assert_eq!(state, "input-changed");
    assert!(cause.contains("1010 rows and has 1009 now"), "{cause}");
}

#[test]
fn another_definition_is_left_alone_until_replaced() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    is_left_alone(&sandbox, &CARRY, "definition-changed", "boundary reset became carry");
    let window = [("ROLLFIT_WINDOWS__W15", "16")];
    is_left_alone(&sandbox, &window, "definition-changed", "windows of series idx: without 15 and with 16");
    let metrics = [("ROLLFIT_FEATURES__METRICS", "[\"r2\", \"a2\"]")];
    is_left_alone(&sandbox, &metrics, "definition-changed", "metrics of series idx: without a1");
    let column = [("ROLLFIT_FEATURES__COLUMN", "{series}_{window}_{metric}")];
    is_left_alone(&sandbox, &column, "definition-changed", "column names");
    is_replaced_only_by_name(&sandbox, &window, "definition-changed");
    assert_eq!(planned(&sandbox, "2017-01").0, "definition-changed");
}

#[test]
fn a_strange_file_is_foreign_and_left_alone_until_replaced() {
    let strange = |path: &Path| {
        let instants: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1, 2]));
        let values: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0]));
        write_parquet(path, vec![("ts_utc", instants), ("close", values)]);
    };
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let part = sandbox.part("eurusd", "2017-01");
    strange(&part);
    is_left_alone(&sandbox, &[], "foreign", "has no valid rollfit receipt");
    sandbox.run(&["verify"]).exits(1).says(&["1 mismatch", "has no valid rollfit receipt"]);
    fs::write(&part, "not Parquet at all").unwrap();
    is_left_alone(&sandbox, &[], "foreign", "has no valid rollfit receipt");
    is_replaced_only_by_name(&sandbox, &[], "foreign");
}

#[test]
fn the_rows_of_a_partition_that_is_done_are_said_once() {
    let sandbox = Sandbox::done(&["eurusd", "usdjpy"], &["2017-01"]);
    for (option, count) in [("--all", 2), ("--force", 1)] {
        let answer = sandbox.run(&["plan", option]).exits(0);
        let lines: Vec<&str> = answer.stdout.lines().filter(|line| line.contains(" 2017-01 ")).collect();
        assert!(lines.len() == count && lines.iter().all(|line| line.ends_with(" -")), "{answer}");
    }
    // The store's figures are those of what was asked for.
    let doctor = sandbox.run(&["doctor", "--json", "--only", "usdjpy"]).exits(0).stdout;
    assert!(doctor.contains("\"partitions\": 1") && !doctor.contains("eurusd"), "{doctor}");
    let error = ["--stop-within", "x", "`x` is not a number of seconds: write a whole number, such as 30"];
    sandbox.run(&["run", "--stop-within", "x"]).exits(2).says(&error);
}

#[test]
fn a_strangers_file_beside_ours_is_never_removed() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    sandbox.write("fx/features/key=eurusd/month=2017-01/other.parquet", "a stranger's");
    is_left_alone(&sandbox, &[], "blocked", "other.parquet was not written by rollfit");
    let before = Tree::read(&sandbox.path("fx/features"));
    for options in [&["--replace", "foreign"][..], &["--force"]] {
        let words = ["1 blocked", "other.parquet", "move it elsewhere"];
        sandbox.run(&[&["plan"], options].concat()).exits(0).says(&words);
        sandbox.run(&[&["run"], options].concat()).exits(4).says(&words[1..]);
    }
    sandbox.run(&["adopt"]).exits(4).says(&["1 not adopted", "other.parquet", "move it elsewhere"]);
    sandbox.run(&["verify"]).exits(1).says(&["0 mismatches", "1 blocked", "other.parquet"]);
    sandbox.run(&["compare"]).exits(1).says(&["0 failed", "1 blocked", "other.parquet"]);
    sandbox.run(&["doctor"]).exits(1).says(&["other.parquet", "move it elsewhere"]);
    sandbox.run(&["check"]).exits(2).says(&[
        "PROBLEM receipts: eurusd 2017-01",
        "other.parquet",
        "move it elsewhere",
    ]);
    sandbox.run(&["status", "--store"]).exits(0).says(&["1 foreign"]);
    sandbox.run(&["drop", "eurusd:2017-01"]).exits(1).says(&["other.parquet", "was not dropped"]);
    assert!(before.has_the_files_of(&Tree::read(&sandbox.path("fx/features"))));
}

#[test]
fn lost_rows_are_shrunk_and_left_alone_until_replaced() {
    let (sandbox, rows) = hand_made();
    sandbox.drop_in("eurusd", "mine.parquet", &rows.filtered(|row| row >= 10));
    assert_eq!(planned(&sandbox, "2017-01").0, "input-changed", "99% of the rows are there");
    sandbox.drop_in("eurusd", "mine.parquet", &rows.filtered(|row| row >= 11));
    is_left_alone(&sandbox, &[], "shrunk", "1000 rows and has 989 now");
    let threshold = [("ROLLFIT_RUN__SHRUNK_ROWS_MIN", "0.9")];
    assert_eq!(planned_with(&sandbox, &threshold, "2017-01").0, "input-changed");
    is_replaced_only_by_name(&sandbox, &[], "shrunk");
}

#[test]
fn lost_rows_and_another_definition_have_both_to_be_named() {
    let (sandbox, rows) = hand_made();
    sandbox.drop_in("eurusd", "mine.parquet", &rows.filtered(|row| row >= 500));
    is_left_alone(&sandbox, &CARRY, "shrunk", "has 500 now; and boundary reset became carry");
    for state in ["shrunk", "definition-changed"] {
        sandbox.run_with(&CARRY, &["run", "--replace", state]).exits(4);
    }
    let both = ["run", "--replace", "shrunk", "--replace", "definition-changed"];
    sandbox.run_with(&CARRY, &both).exits(0).says(&["1 written"]);
}

#[test]
fn rows_lost_in_the_join_are_shrunk() {
    let (sandbox, rows) = hand_made();
    let write = |name: &str, series: &SourceRows| {
        let (table, value) = if name == "m1" { ("time", "rate_index") } else { ("ts_utc", "w15_bqx_return") };
        series.write(&sandbox.path(format!("fx/sources/{name}_eurusd/mine.parquet")), table, value);
    };
    // So many rows more of one series, the other one past them by a row of its own.
    let later = |kept: usize, changed: f64| {
        let mut more = SourceRows::of_month("2017-01", 1000 + kept, 60);
        more.values[..1000].clone_from_slice(&rows.values);
        more.values[500] += changed;
        write("m1", &more);
    };
    let mut passed = SourceRows::of_month("2017-01", 1020, 60).filtered(|row| row < 1000 || row == 1019);
    passed.values[..1000].clone_from_slice(&rows.values);
    write("bqx", &passed);
    later(11, 0.0);
    assert_eq!(planned(&sandbox, "2017-01").0, "done", "the joined rows are the same");
    later(10, 1.0);
    assert_eq!(planned(&sandbox, "2017-01").0, "input-changed");
    later(11, 1.0);
    is_left_alone(&sandbox, &[], "shrunk", "join");
    let threshold = [("ROLLFIT_RUN__JOIN_LOSS_MAX", "0.5")];
    assert_eq!(planned_with(&sandbox, &threshold, "2017-01").0, "input-changed");
    is_replaced_only_by_name(&sandbox, &[], "shrunk");
}

#[test]
fn the_last_rows_of_one_series_are_pending_until_the_other_has_passed_them() {
    let (sandbox, rows) = hand_made();
    let mut ahead = SourceRows::of_month("2017-01", 1100, 60);
    ahead.values[..1000].clone_from_slice(&rows.values);
    ahead.write(&sandbox.path("fx/sources/m1_eurusd/mine.parquet"), "time", "rate_index");
    let line = &sandbox.run(&["plan", "--json"]).exits(0).json()["partitions"][0];
    assert_eq!((&line["state"], &line["join_loss"]), (&"done".into(), &Value::Null));
    assert_eq!(line["pending"]["rows"], serde_json::json!([100, 0]));
    sandbox
        .run(&["plan"])
        .exits(0)
        .says(&["100 pending rows, the oldest of 2017-01-01T16:40:00Z, 1.6 h before the last row"]);
    let before = Tree::read(&sandbox.path("fx"));
    sandbox.run(&["run"]).exits(0).says(&["0 written, 1 already done"]);
    before.is_untouched(&sandbox.path("fx"));
}

#[test]
fn an_emptied_source_never_empties_the_features() {
    let (sandbox, rows) = hand_made();
    let next_month = SourceRows::of_month("2017-02", 100, 60);
    sandbox.drop_in("eurusd", "mine.parquet", &next_month);
    let emptied = sandbox.run(&["run", "--replace", "shrunk", "--only", "eurusd:2017-01"]).exits(4);
    emptied.says(&["1000 rows and is empty now", "`rollfit drop eurusd:2017-01` removes the features"]);
    let before = Tree::read(&sandbox.path("fx"));
    sandbox.run(&["run", "--replace", "shrunk", "--force"]).exits(4);
    before.is_untouched(&sandbox.path("fx"));
    sandbox.drop_in("eurusd", "mine.parquet", &rows);
    assert_eq!(planned(&sandbox, "2017-01").0, "done");
}

#[test]
fn a_receipt_copied_to_another_month_is_void() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    let [january, february] = MONTHS.map(|month| sandbox.part("eurusd", month));
    fs::copy(february, january).unwrap();
    is_left_alone(&sandbox, &[], "foreign", "it belongs to the output key=eurusd/month=2017-02");
    is_replaced_only_by_name(&sandbox, &[], "foreign");
}

#[test]
fn a_receipt_in_a_file_with_other_columns_is_void() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    let part = sandbox.part("eurusd", "2017-01");
    let metadata = SerializedFileReader::new(fs::File::open(&part).unwrap()).unwrap().metadata().clone();
    let entries = metadata.file_metadata().key_value_metadata().unwrap().clone();
    let receipt = entries.iter().find(|entry| entry.key == "rollfit.receipt").unwrap();
    write_with_receipt(&part, receipt.clone());
    is_left_alone(&sandbox, &[], "foreign", "columns differ from those of the receipt");
}

fn write_with_receipt(part: &Path, receipt: KeyValue) {
    let instants: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1]));
    let values: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    let columns = vec![("ts_utc", instants), ("a2_idx_w15", values)];
    let batch = arrow_array::RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(part).unwrap(), batch.schema(), None).unwrap();
    writer.append_key_value_metadata(receipt);
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn a_removed_file_takes_its_receipt_with_it() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    fs::remove_file(sandbox.part("eurusd", "2017-01")).unwrap();
    assert_eq!(planned(&sandbox, "2017-01").0, "missing");
}

#[test]
fn force_writes_the_same_bytes_again_and_only_what_is_done() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    sandbox.write("fx/features/key=eurusd/month=2017-02/part.parquet", "strange");
    let before = Tree::read(&sandbox.path("fx/features"));
    let run: Value = sandbox.run(&["run", "--force", "--json"]).exits(4).json();
    assert_eq!((&run["written"], &run["skipped"][0]["state"]), (&1.into(), &"foreign".into()));
    let after = Tree::read(&sandbox.path("fx/features"));
    assert!(before.has_the_files_of(&after));
    assert!(before.changes(&after).contains(&"key=eurusd/month=2017-01/part.parquet".to_owned()));
}

#[test]
fn drop_removes_features_and_receipt_and_nothing_else() {
    let sandbox = Sandbox::done(&["eurusd", "usdjpy"], &MONTHS);
    let drop = sandbox.run(&["drop", "eurusd:2017-01", "usdjpy:2017-01", "usdjpy:2017-02"]).exits(0);
    assert_eq!(drop.stdout, "dropped eurusd 2017-01\ndropped usdjpy 2017-01\ndropped usdjpy 2017-02\n");
    assert!(!sandbox.path("fx/features/key=eurusd/month=2017-01").exists());
    assert!(!sandbox.path("fx/features/key=usdjpy").exists(), "no empty directory stays");
    assert!(sandbox.part("eurusd", "2017-02").exists());
    assert_eq!(planned(&sandbox, "2017-01").0, "missing");
}

#[test]
fn drop_refuses_what_is_not_ours_and_what_is_not_there() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    let refuses = |partition: &str| -> Answer { sandbox.run(&["drop", "eurusd:2017-02", partition]) };
    refuses("eurusd:2018-01").exits(1).says(&["eurusd 2018-01 has no features to drop"]);
    refuses("eurusd").exits(2).says(&["add --yes", "2 partitions"]);
    sandbox.write("fx/features/key=eurusd/month=2017-01/part.parquet", "strange");
    refuses("eurusd:2017-01").exits(1).says(&["was not dropped", "part.parquet", "by hand"]);
    assert!(sandbox.part("eurusd", "2017-02").exists(), "nothing is dropped where one is refused");
}
