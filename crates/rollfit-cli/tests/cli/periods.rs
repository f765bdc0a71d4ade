//! Partitions that are quarters, years or all rows of a key: the same features as by months, paths and receipts, resuming, growing,
//! selecting, dropping, and what is refused so that no reader finds rows twice.

use std::fs::{self, File};
use std::path::PathBuf;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rollfit_job::month::Month;
use serde_json::{Value, json};

use crate::bars::SourceRows;
use crate::features::{Columns, kernel_features, same_bits};
use crate::record::records;
use crate::sandbox::Sandbox;
use crate::tree::Tree;

const DAY_US: i64 = 86_400_000_000;
const UNITS: [&str; 4] = ["month", "quarter", "year", "all"];

/// Bars of working days from a month on: a value each.
fn daily(first: &str, days: i64) -> SourceRows {
    let start_us = first.parse::<Month>().unwrap().span_us().start;
    let instants_us: Vec<i64> =
        (0..days).filter(|day| day % 7 < 5).map(|day| start_us + day * DAY_US).collect();
    let mut random = fastrand::Rng::with_seed(9);
    let values = instants_us.iter().map(|_| 100.0 + f64::from(random.i32(-40..=40)) / 64.0).collect();
    SourceRows { instants_us, values }
}

/// A sandbox with daily bars from June 1968 to February 1971, and no configuration.
fn with_daily_bars() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.drop_in("eurusd", "daily.parquet", &daily("1968-06", 1000));
    sandbox
}

/// Configures a job of all that there is, with windows that reach into the partitions before.
fn configure(sandbox: &Sandbox, by: &str, boundary: &str) {
    let placeholders = match by {
        "month" => "_{yyyy}_{mm}",
        "quarter" => "_{yyyy}_q{q}",
        "year" => "_{yyyy}",
        _ => "",
    };
    let text = crate::bars::config(&["eurusd"], "first", "latest")
        .replace("[partitions]\n", &format!("[partitions]\nby = \"{by}\"\n"))
        .replace("_{yyyy}_{mm}", placeholders)
        .replace("\"reset\"", &format!("\"{boundary}\""));
    sandbox.write("rollfit.toml", text);
}

/// A sandbox with daily bars whose job is done.
fn done(by: &str) -> Sandbox {
    let sandbox = with_daily_bars();
    configure(&sandbox, by, "carry");
    sandbox.run(&["run", "--quiet"]).exits(0);
    sandbox
}

/// The directories of a key's partitions in a job's directory, in the order of time.
fn partitions(sandbox: &Sandbox) -> Vec<String> {
    let dirs = fs::read_dir(sandbox.path("fx/features/key=eurusd")).unwrap();
    let mut names: Vec<String> = dirs.map(|dir| dir.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn part(sandbox: &Sandbox, partition: &str) -> PathBuf {
    sandbox.path(format!("fx/features/key=eurusd/{partition}/part.parquet"))
}

/// The features of all partitions, one after the other.
fn features(sandbox: &Sandbox) -> Columns {
    let mut all = Columns::default();
    for partition in partitions(sandbox) {
        let of_one = Columns::read(&part(sandbox, &partition));
        all.values.resize(of_one.names.len(), Vec::new());
        all.names = of_one.names;
        all.instants_us.extend(of_one.instants_us);
        all.values.iter_mut().zip(of_one.values).for_each(|(all, of_one)| all.extend(of_one));
    }
    all
}

fn receipt(sandbox: &Sandbox, partition: &str) -> Value {
    let file = File::open(part(sandbox, partition)).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let footer = reader.metadata().file_metadata().key_value_metadata().unwrap().clone();
    let receipt = footer.into_iter().find(|entry| entry.key == "rollfit.receipt").unwrap();
    serde_json::from_str(&receipt.value.unwrap()).unwrap()
}

/// What a document lists, `1969-Q4 done`.
fn states(plan: &Value) -> Vec<String> {
    let of_one = |line: &Value| {
        let partition = &line["partition"];
        let mut given =
            ["month", "quarter", "year", "period"].into_iter().filter_map(|unit| partition[unit].as_str());
        let period = given.next().unwrap();
        assert_eq!(given.next(), None, "a partition has one of the four fields");
        format!("{period} {}", line["state"].as_str().unwrap())
    };
    plan["partitions"].as_array().unwrap().iter().map(of_one).collect()
}

#[test]
fn every_unit_gives_the_features_of_one_series_and_a_second_run_writes_nothing() {
    let rows = daily("1968-06", 1000);
    let computed = kernel_features(&rows.values);
    let expected = [computed.clone(), computed].concat();
    for by in UNITS {
        let sandbox = done(by);
        let stored = features(&sandbox);
        assert_eq!(stored.instants_us, rows.instants_us, "{by}");
        for ((name, ours), theirs) in stored.names.iter().zip(&stored.values).zip(&expected) {
            assert!(same_bits(ours, theirs), "{name} by {by}");
        }
        sandbox.run(&["verify"]).exits(0).says(&["0 mismatches"]);
        let before = Tree::read(&sandbox.path("fx"));
        let again = sandbox.run(&["run", "--json"]).exits(0).json();
        assert_eq!(again["written"], 0, "{by}");
        before.is_untouched(&sandbox.path("fx"));
        sandbox.run(&["check", "--now", "1971-03-01T00:00:00Z"]).exits(0);
        sandbox.run(&["status", "--store"]).exits(0).says(&["0 missing"]);
        sandbox.run(&["doctor"]).exits(0);
    }
}

#[test]
fn paths_and_receipts_name_the_unit() {
    for (by, first, last, count) in [
        ("month", "month=1968-06", "month=1971-02", 33),
        ("quarter", "quarter=1968-Q2", "quarter=1971-Q1", 12),
        ("year", "year=1968", "year=1971", 4),
        ("all", "period=all", "period=all", 1),
    ] {
        let sandbox = done(by);
        let names = partitions(&sandbox);
        assert_eq!((names[0].as_str(), names[names.len() - 1].as_str(), names.len()), (first, last, count));
        let receipt = receipt(&sandbox, last);
        assert_eq!(receipt["output"], format!("key=eurusd/{last}"));
        let (format, period) = if by == "month" { (Value::Null, Value::Null) } else { (json!(3), json!(by)) };
        assert_eq!((&receipt["format"], &receipt["definition"]["period"]), (&format, &period), "{by}");
    }
}

#[test]
fn reset_starts_windows_anew_in_each_period() {
    let sandbox = with_daily_bars();
    for (by, warmups) in [("quarter", 12), ("year", 4), ("all", 1)] {
        configure(&sandbox, by, "reset");
        let run = sandbox.run_with(&[("ROLLFIT_STORE__NAME", by)], &["run", "--json"]).exits(0).json();
        // 23 rows of the last quarter and year; windows of 15 to 90 rows, two series of 15 metrics.
        let whole: i64 = [14, 29, 44, 59, 74, 89].iter().sum();
        let warmup = run["no_value"]["warmup"].as_i64().unwrap();
        assert!(warmup <= warmups * whole * 30 && warmup > (warmups - 1) * 14 * 30, "{by}: {warmup}");
        assert_eq!(by == "all", warmup == whole * 30, "{by}: {warmup}");
    }
}

#[test]
fn a_later_bar_changes_the_last_period_alone() {
    for (by, last) in [("quarter", "1971-Q1"), ("year", "1971"), ("all", "all")] {
        let sandbox = done(by);
        sandbox.drop_in("eurusd", "daily.parquet", &daily("1968-06", 1005));
        let plan = states(&sandbox.run(&["plan", "--json"]).exits(0).json());
        let (grown, others): (Vec<_>, Vec<_>) = plan.iter().partition(|line| line.ends_with(" grown"));
        assert_eq!(grown, [&format!("{last} grown")], "{by}");
        assert!(others.iter().all(|line| line.ends_with(" done")), "{others:?}");
        let run = sandbox.run(&["run", "--json"]).exits(0).json();
        assert_eq!((&run["written"], &run["failed"]), (&1.into(), &json!([])), "{by}");
        assert_eq!(features(&sandbox).instants_us, daily("1968-06", 1005).instants_us);
        sandbox.run(&["verify"]).exits(0);
    }
}

#[test]
fn features_by_other_periods_are_never_put_beside_those_that_are_there() {
    let sandbox = done("year");
    let before = Tree::read(&sandbox.path("fx"));
    configure(&sandbox, "quarter", "carry");
    for arguments in
        [&["plan"][..], &["run"], &["run", "--force"], &["verify"], &["run", "--only", "eurusd:1969-Q1"]]
    {
        sandbox.run(arguments).exits(2).says(&[
            "fx/features/key=eurusd/year=19",
            "has features by year, and [partitions] has by = \"quarter\"",
            "would get rows twice",
            "rollfit drop '*'",
        ]);
    }
    before.is_untouched(&sandbox.path("fx"));
    // What the message says: a name, or to drop them first.
    sandbox.run_with(&[("ROLLFIT_STORE__NAME", "quarters")], &["run"]).exits(0).says(&["12 written"]);
    sandbox.run(&["drop", "*", "--yes"]).exits(0).says(&["dropped eurusd 1968", "dropped eurusd 1971"]);
    sandbox.run(&["run"]).exits(0).says(&["12 written"]);
    assert!(partitions(&sandbox).iter().all(|name| name.starts_with("quarter=")));
}

#[test]
fn features_by_another_unit_are_dropped_as_they_are_written() {
    let sandbox = done("quarter");
    configure(&sandbox, "year", "carry");
    let there = "features by quarter are there, such as eurusd 19";
    sandbox.run(&["drop", "gbpusd"]).exits(1).says(&["matches `gbpusd`", there]);
    sandbox.run(&["drop", "eurusd:1969-02"]).exits(2).says(&["1969-02 is only a part of 1969"]);
    sandbox.run(&["drop", "eurusd:1969"]).exits(2).says(&["add --yes", "4 partitions"]);
    assert_eq!(partitions(&sandbox).len(), 12);
    sandbox.run(&["drop", "eurusd:1969-Q1"]).exits(0).says(&["dropped eurusd 1969-Q1"]);
    let dropped = sandbox.run(&["drop", "eurusd:1969", "--yes"]).exits(0);
    dropped.says(&["dropped eurusd 1969-Q2", "dropped eurusd 1969-Q4"]);
    sandbox.run(&["plan"]).exits(2).says(&["has features by quarter"]);
    sandbox.run(&["drop", "*", "--yes"]).exits(0);
    sandbox.run(&["run"]).exits(0).says(&["4 written"]);
}

#[test]
fn a_switch_to_another_unit_loses_nothing_silently() {
    for (old, new, partitions_of_old) in [("quarter", "year", 12), ("year", "month", 4), ("month", "all", 33)]
    {
        let sandbox = done(old);
        configure(&sandbox, new, "carry");
        let config = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
        let switch = |code: i32, parts: &[&str]| {
            sandbox.run(&["switch", "next", "--yes"]).exits(code).says(parts);
        };
        // Fewer keys: those of `gbpusd` are in place of those that readers have.
        sandbox.drop_in("gbpusd", "daily.parquet", &daily("1968-06", 1000));
        sandbox.write("rollfit.toml", config.replace("eurusd", "gbpusd"));
        sandbox.run(&["run", "--name", "next", "--quiet"]).exits(0);
        let lost = format!("readers of fx/features would lose {partitions_of_old} partitions");
        switch(1, &[&lost, "lacks or has only in part: eurusd ", "add --incomplete"]);
        sandbox.run(&["drop", "*", "--name", "next", "--yes"]).exits(0);
        // Fewer periods.
        if new != "all" {
            sandbox.write("rollfit.toml", config.replace("\"first\"", "\"1970\""));
            sandbox.run(&["run", "--name", "next", "--quiet"]).exits(0);
            let first = if old == "year" { "eurusd 1968" } else { "eurusd 1968-Q2" };
            switch(1, &["readers of fx/features would lose", first, "add --incomplete"]);
        }
        // All of them, and what is in their place now is dropped by the printed command.
        sandbox.write("rollfit.toml", &config);
        sandbox.run(&["run", "--name", "next", "--quiet"]).exits(0);
        switch(0, &["switched: ", "rollfit drop '*' --name next"]);
        sandbox.run(&["plan", "--name", "next"]).exits(2).says(&["rollfit drop '*'"]);
        sandbox.run(&["drop", "*", "--name", "next", "--yes"]).exits(0);
        sandbox.run(&["plan", "--name", "next"]).exits(0);
        assert_eq!(features(&sandbox).instants_us, daily("1968-06", 1000).instants_us);
    }
}

#[test]
fn rows_that_the_source_has_lost_meanwhile_keep_a_switch_to_another_unit_back() {
    let sandbox = done("month");
    configure(&sandbox, "year", "carry");
    let rows = daily("1968-06", 1000);
    let gap = "1969-07".parse::<Month>().unwrap().span_us();
    sandbox.drop_in("eurusd", "daily.parquet", &rows.filtered(|row| !gap.contains(&rows.instants_us[row])));
    sandbox.run(&["run", "--name", "next", "--quiet"]).exits(0);
    let lost = "would lose 12 partitions, which fx/features.next lacks or has only in part: eurusd 1969-01";
    sandbox.run(&["switch", "next", "--yes"]).exits(1).says(&[lost]);
    sandbox.run(&["switch", "next", "--yes", "--incomplete"]).exits(0);
}

#[test]
fn init_keeps_the_unit_of_features_that_are_there() {
    for by in UNITS {
        let sandbox = done(by);
        fs::remove_file(sandbox.path("rollfit.toml")).unwrap();
        sandbox.run(&["init", "fx"]).exits(0);
        let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
        assert_eq!(text.contains(&format!("by = \"{by}\"")), by != "month", "{text}");
        assert!(!text.contains("by = \"year\"") || by == "year", "{text}");
        assert_eq!(text.contains("boundary = \"carry\""), by != "all", "{text}");
        sandbox.run(&["plan"]).exits(0);
    }
}

#[test]
fn periods_are_selected_as_they_are_written_and_never_in_part() {
    let sandbox = done("quarter");
    let selected = |arguments: &[&str]| {
        let plan = sandbox.run(&[&["plan", "--json"], arguments].concat()).exits(0).json();
        states(&plan).iter().map(|line| line.replace(" done", "")).collect::<Vec<_>>()
    };
    assert_eq!(selected(&["--only", "eurusd:1969-Q2"]), ["1969-Q2"]);
    assert_eq!(selected(&["--only", ":1969-Q4..1970-Q1"]), ["1969-Q4", "1970-Q1"]);
    assert_eq!(selected(&["--only", "eurusd:1968"]), ["1968-Q2", "1968-Q3", "1968-Q4"]);
    assert_eq!(selected(&["--only", "*:*-Q1", "--from", "1970"]), ["1970-Q1", "1971-Q1"]);
    assert_eq!(selected(&["--from", "1970-07", "--to", "1970-09"]), ["1970-Q3"]);
    for (arguments, part) in [
        (&["--only", "eurusd:1969-02"][..], "`eurusd:1969-02`: 1969-02 is only a part of 1969-Q1"),
        (&["--from", "1969-02"], "`--from 1969-02`: 1969-02 is only a part of 1969-Q1, and by = \"quarter\""),
        (&["--only", "eurusd:1969-0?"], "matches no quarter of this job: they are written as 2017-Q1"),
        (&["--only", "eurusd:1999"], "this job has 1968-Q2 to 1971-Q1 of eurusd"),
    ] {
        for command in ["plan", "run", "verify", "check"] {
            let exit = if command == "check" { 3 } else { 2 };
            sandbox.run(&[&[command], arguments].concat()).exits(exit).says(&[part]);
        }
    }
    sandbox.run(&["drop", "eurusd:1969-02"]).exits(2).says(&["write 1969-Q1"]);
    sandbox.run(&["drop", "eurusd:1969"]).exits(2).says(&["add --yes", "KEY:2017-Q1"]);
    sandbox.run(&["drop", "eurusd:1969-Q1"]).exits(0).says(&["dropped eurusd 1969-Q1"]);
    assert_eq!(sandbox.run(&["run", "--json"]).exits(0).json()["written"], 1);
    let sandbox = done("all");
    sandbox.run(&["plan", "--only", "eurusd:1969"]).exits(2).says(&["each key has one partition"]);
    sandbox.run(&["drop", "eurusd:all"]).exits(0).says(&["dropped eurusd all"]);
}

#[test]
fn bounds_and_patterns_have_to_fit_the_unit() {
    let sandbox = with_daily_bars();
    let refused = |change: (&str, &str), parts: &[&str]| {
        configure(&sandbox, "year", "reset");
        let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
        sandbox.write("rollfit.toml", text.replace(change.0, change.1));
        sandbox.run(&["plan"]).exits(2).says(parts);
    };
    refused(("by = \"year\"", "by = \"yaer\""), &["[partitions] by = \"yaer\": did you mean `year`?"]);
    refused(
        ("\"first\"", "\"1969-02\""),
        &["[partitions] from: 1969-02 is only a part of 1969", "write 1969"],
    );
    refused(("\"latest\"", "\"1969-Q3\""), &["[partitions] to: 1969-Q3 is only a part of 1969"]);
    refused(("rate_{key}_{yyyy}", "rate_{key}_{yyyy}_{mm}"), &["unknown placeholder {mm}", "by = \"year\""]);
    refused(("rate_{key}_{yyyy}", "rate_{key}"), &["would both be written to", "use {key} and {yyyy}"]);
}

#[test]
fn a_missing_period_is_found_and_one_with_a_gap_is_not() {
    let sandbox = with_daily_bars();
    let rows = daily("1968-06", 1000);
    // No bars in July 1969, and none from January to March 1970.
    let gap = |from: &str, to: &str| {
        let month = |text: &str| text.parse::<Month>().unwrap().span_us();
        month(from).start..month(to).end
    };
    let gaps = [gap("1969-07", "1969-07"), gap("1970-01", "1970-03")];
    let kept = rows.filtered(|row| !gaps.iter().any(|gap| gap.contains(&rows.instants_us[row])));
    sandbox.drop_in("eurusd", "daily.parquet", &kept);
    configure(&sandbox, "quarter", "carry");
    sandbox.run_with(&[("ROLLFIT_PARTITIONS__KEYS", "all")], &["run"]).exits(0).says(&["11 written"]);
    // With listed keys each quarter is planned, and the one without rows is empty.
    let plan = states(&sandbox.run(&["plan", "--json"]).exits(0).json());
    assert_eq!(plan.iter().filter(|line| line.ends_with(" empty")).collect::<Vec<_>>(), ["1970-Q1 empty"]);
    sandbox.run(&["drop", "eurusd:1969-Q2"]).exits(0);
    let check = sandbox.run(&["check", "--json", "--now", "1971-03-01T00:00:00Z"]);
    let check = check.json();
    let findings: Vec<&Value> = check["checks"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|check| check["findings"].as_array().unwrap())
        .collect();
    let missing = findings.iter().find(|finding| finding["fact"] == "missing").unwrap();
    assert_eq!((&missing["quarter"], missing.get("month")), (&json!("1969-Q2"), None), "{check}");
    assert!(
        findings.iter().any(|finding| finding["fact"] == "source-gap" && finding["quarter"] == "1970-Q1"),
        "{check}"
    );
}

#[test]
fn records_of_other_periods_have_a_format_of_their_own_and_are_analyzed() {
    for (by, format) in [("month", 3), ("year", 4)] {
        let sandbox = done(by);
        let record = fs::read_to_string(records(&sandbox).pop().unwrap()).unwrap();
        let header: Value = serde_json::from_str(record.lines().next().unwrap()).unwrap();
        assert_eq!(header["format"], format);
        let partition = record.lines().find(|line| line.contains("\"event\":\"partition\"")).unwrap();
        let partition: Value = serde_json::from_str(partition).unwrap();
        assert!(partition["partition"][by].is_string(), "{partition}");
        sandbox.run(&["analyze"]).exits(0);
        sandbox.run(&["status"]).exits(0).says(&["finished"]);
        sandbox.run(&["runs"]).exits(0);
    }
}
