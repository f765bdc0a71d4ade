//! Series derived from closes: every command gives what it gives for the series that an import makes of them, and a key whose base is
//! not certain is refused.

use std::fs;

use serde_json::{Value, json};

use crate::bars::{SourceRows, bars, csv};
use crate::features::Columns;
use crate::sandbox::Sandbox;
use crate::tree::Tree;

const KEYS: [&str; 2] = ["eurusd", "usdjpy"];
const MONTHS: [&str; 3] = ["2017-01", "2017-02", "2017-03"];

/// The variables by which the configured series are derived from `table`, and others.
fn derived<'a>(table: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let series = [
        ("ROLLFIT_SERIES__IDX__TABLE", table),
        ("ROLLFIT_SERIES__IDX__VALUE", "close"),
        ("ROLLFIT_SERIES__IDX__DERIVE", "rate_index"),
        ("ROLLFIT_SERIES__BQX__TABLE", table),
        ("ROLLFIT_SERIES__BQX__TIME", "time"),
        ("ROLLFIT_SERIES__BQX__VALUE", "close"),
        ("ROLLFIT_SERIES__BQX__DERIVE", "backward_return(15)"),
    ];
    [&series, more].concat()
}

/// The variables by which all keys and months of the store are meant.
const OPEN: [(&str, &str); 3] = [
    ("ROLLFIT_PARTITIONS__KEYS", "all"),
    ("ROLLFIT_PARTITIONS__FROM", "first"),
    ("ROLLFIT_PARTITIONS__TO", "latest"),
];

fn states(plan: &Value) -> Vec<(String, String)> {
    let state = |line: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&line["partition"]["month"]), text(&line["state"]))
    };
    plan["partitions"].as_array().unwrap().iter().map(state).collect()
}

/// The closes of a key in a month, as a user would drop them in.
fn closes(key: &str, month: &str) -> SourceRows {
    let bars = bars(key, month);
    SourceRows {
        instants_us: bars.iter().map(|bar| bar.0).collect(),
        values: bars.iter().map(|bar| bar.1).collect(),
    }
}

#[test]
fn features_receipts_and_files_are_those_of_the_imported_series() {
    for boundary in ["reset", "carry"] {
        let carried = ("ROLLFIT_RUN__BOUNDARY", boundary);
        let sandbox = Sandbox::imported(&KEYS, &MONTHS);
        let imported = sandbox.run_with(&[carried], &["run", "--json"]).exits(0).json();
        let derived_here = derived("m1_{key}", &[carried]);
        let before = Tree::read(&sandbox.path("fx"));
        let again = sandbox.run_with(&derived_here, &["run", "--json"]).exits(0).json();
        assert_eq!((&again["written"], &again["already_done"]), (&json!(0), &json!(6)), "{boundary}");
        for command in ["verify", "compare"] {
            sandbox.run_with(&derived_here, &[command, "--quiet"]).exits(0);
        }
        before.is_untouched(&sandbox.path("fx"));
        // Another job over the closes alone, and the same files.
        let named = derived("m1_{key}", &[carried, ("ROLLFIT_STORE__NAME", "live")]);
        for table in KEYS {
            fs::remove_dir_all(sandbox.path(format!("fx/sources/bqx_{table}"))).unwrap();
        }
        let run = sandbox.run_with(&[&named[..], &OPEN].concat(), &["run", "--json"]).exits(0).json();
        assert_eq!((&run["written"], &run["rows"]), (&json!(6), &imported["rows"]), "{boundary}");
        let [imported, live] = ["fx/features", "fx/features.live"].map(|dir| Tree::read(&sandbox.path(dir)));
        assert!(imported.has_the_files_of(&live) && live.has_the_files_of(&imported), "{boundary}");
    }
}

#[test]
fn the_doctor_and_a_selection_take_derived_series() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS[..2]);
    let derived = derived("m1_{key}", &[]);
    sandbox.run_with(&derived, &["doctor"]).exits(0);
    sandbox.run_with(&derived, &["run", "--only", "eurusd:2017-02", "--quiet"]).exits(0);
    assert!(!sandbox.part("eurusd", "2017-01").exists());
    let columns = Columns::read(&sandbox.part("eurusd", "2017-02"));
    assert_eq!(columns.instants_us.len(), bars("eurusd", "2017-02").len());
}

#[test]
fn closes_of_no_import_need_a_configured_base() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS[..2]);
    sandbox.run(&["run", "--quiet"]).exits(0);
    for month in &MONTHS[..2] {
        let path = sandbox.path(format!("fx/sources/closes_eurusd/{month}.parquet"));
        closes("eurusd", month).write(&path, "time", "close");
    }
    let unknown = derived("closes_{key}", &[]);
    let said = ["closes_eurusd", "no import has stored a base for eurusd", "set `base` in [series.idx]"];
    for command in ["plan", "run", "doctor"] {
        sandbox.run_with(&unknown, &[command]).exits(1).says(&said);
    }
    let base = bars("eurusd", MONTHS[0])[0].1.to_string();
    let bases = [("ROLLFIT_SERIES__IDX__BASE", &base[..]), ("ROLLFIT_SERIES__BQX__BASE", &base[..])];
    let known = derived("closes_{key}", &bases);
    sandbox.run_with(&known, &["doctor"]).exits(0);
    let plan = sandbox.run_with(&known, &["plan", "--json"]).exits(0).json();
    assert!(states(&plan).iter().all(|(_, state)| state == "done"), "{plan}");
    // The base of an import may be configured too, as it is.
    sandbox.run_with(&derived("m1_{key}", &bases), &["verify", "--quick", "--quiet"]).exits(0);
    let other = derived("m1_{key}", &[("ROLLFIT_SERIES__BQX__BASE", "1.5")]);
    let said = ["base = 1.5 in [series.bqx]", &format!("stored the base {base} for eurusd"), "remove `base`"];
    for command in ["plan", "run", "doctor"] {
        sandbox.run_with(&other, &[command]).exits(1).says(&said);
    }
}

#[test]
fn a_file_of_closes_beside_those_of_an_import_is_of_its_base() {
    let live = Sandbox::imported(&["eurusd"], &MONTHS[..2]);
    closes("eurusd", MONTHS[2]).write(&live.path("fx/sources/m1_eurusd/2017-03.parquet"), "time", "close");
    let derived = derived("m1_{key}", &OPEN);
    live.run_with(&derived, &["run", "--quiet"]).exits(0);
    let imported = Sandbox::done(&["eurusd"], &MONTHS);
    let [live, imported] = [live, imported].map(|sandbox| Tree::read(&sandbox.path("fx/features")));
    assert!(live.has_the_files_of(&imported) && imported.has_the_files_of(&live));
}

#[test]
fn another_base_is_another_input() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS[..1]);
    let derived = derived("m1_{key}", &[]);
    sandbox.run_with(&derived, &["run", "--quiet"]).exits(0);
    let file = sandbox.bars_file("eurusd", MONTHS[0]).display().to_string();
    let into = ["import", "--format", "csv", "--into", "parquet:fx", "--rebase", "--base-date", "2017-01-20"];
    sandbox.run(&[&into[..], &[&file]].concat()).exits(0);
    let plan = sandbox.run_with(&derived, &["plan", "--json"]).exits(0).json();
    assert_eq!(states(&plan), [("2017-01".to_owned(), "input-changed".to_owned())]);
}

#[test]
fn a_first_month_of_few_rows_is_planned_as_the_import_has_it() {
    let sandbox = Sandbox::new();
    let mut few = bars("eurusd", "2016-12");
    few.drain(..few.len() - 10);
    let path = sandbox.write("bars/key=eurusd/2016-12.csv", csv(&few));
    sandbox.import(&["eurusd"], &MONTHS[..2]);
    let into = ["import", "--format", "csv", "--into", "parquet:fx", "--rebase"];
    sandbox.run(&[&into[..], &[path.to_str().unwrap()]].concat()).exits(0);
    sandbox.configure(&["eurusd"], "2017-01", "2017-02");
    sandbox.run(&["run", "--quiet"]).exits(0);
    let again = sandbox.run_with(&derived("m1_{key}", &[]), &["run", "--json"]).exits(0).json();
    assert_eq!(again["already_done"], 2);
    // The returns first: their months are those that are planned.
    let returns = [
        ("ROLLFIT_SERIES__IDX__VALUE", "close"),
        ("ROLLFIT_SERIES__IDX__DERIVE", "backward_return(15)"),
        ("ROLLFIT_STORE__NAME", "returns"),
    ];
    let plan = sandbox.run_with(&[&returns[..], &OPEN].concat(), &["plan", "--json"]).exits(0).json();
    let missing = |month: &str| (month.to_owned(), "missing".to_owned());
    assert_eq!(states(&plan), [missing("2017-01"), missing("2017-02")]);
}

#[test]
fn what_is_wrong_in_the_configuration_is_told_before_anything_is_opened() {
    let sandbox = Sandbox::new();
    sandbox.configure(&["eurusd"], "2017-01", "2017-01");
    let run = |variable: &str, value: &str| sandbox.run_with(&[(variable, value)], &["plan"]).exits(2);
    run("ROLLFIT_SERIES__BQX__DERIVE", "backwards_return(15)").says(&[
        "[series.bqx] derive",
        "did you mean \"backward_return(15)\"?",
        "known are \"rate_index\"",
    ]);
    run("ROLLFIT_SERIES__IDX__BASE", "1.05")
        .says(&["[series.idx] base = 1.05", "only a derived series has a base"]);
}
