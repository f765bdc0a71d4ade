//! Import: the tables depend on the bars alone, all files of a command or none, and no bar is changed unasked.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bars::{bars, bars_every, csv};
use crate::features::Columns;
use crate::sandbox::{Answer, Sandbox};
use crate::tree::{Tree, leftovers};

const YEAR: [&str; 12] = [
    "2017-01", "2017-02", "2017-03", "2017-04", "2017-05", "2017-06", "2017-07", "2017-08", "2017-09",
    "2017-10", "2017-11", "2017-12",
];

/// Imports files into `fx`, with options before them.
fn import(sandbox: &Sandbox, options: &[&str], files: &[PathBuf]) -> Answer {
    let mut arguments = ["import", "--format", "csv", "--into", "parquet:fx"].map(PathBuf::from).to_vec();
    arguments.extend(options.iter().map(PathBuf::from));
    arguments.extend_from_slice(files);
    sandbox.run(&arguments)
}

fn year_files(sandbox: &Sandbox) -> Vec<PathBuf> {
    YEAR.iter().map(|month| sandbox.bars_file("eurusd", month)).collect()
}

/// The tables of a store into which twelve files were imported in order, in one command.
fn tables_in_order(options: &[&str]) -> Tree {
    let sandbox = Sandbox::new();
    import(&sandbox, options, &year_files(&sandbox)).exits(0);
    Tree::read(&sandbox.path("fx/sources"))
}

#[track_caller]
fn has_tables(sandbox: &Sandbox, wanted: &Tree) {
    let differences = wanted.differences(&Tree::read(&sandbox.path("fx/sources")));
    assert!(differences.is_empty(), "{differences:?}");
}

fn shuffled<T: Clone>(items: &[T], seed: u64) -> Vec<T> {
    let mut items = items.to_vec();
    fastrand::Rng::with_seed(seed).shuffle(&mut items);
    items
}

#[test]
fn twelve_months_in_any_order_in_one_command_give_the_same_bytes() {
    let wanted = tables_in_order(&[]);
    for seed in 0..3 {
        let sandbox = Sandbox::new();
        import(&sandbox, &[], &shuffled(&year_files(&sandbox), seed)).exits(0);
        has_tables(&sandbox, &wanted);
    }
}

#[test]
fn twelve_months_in_any_order_in_several_commands_give_the_same_bytes() {
    let base = ["--base-date", "2017-02-15"];
    for options in [&[][..], &base] {
        let wanted = tables_in_order(options);
        let sandbox = Sandbox::new();
        let first: Vec<PathBuf> = vec![sandbox.bars_file("eurusd", "2017-08")];
        import(&sandbox, options, &first).exits(0);
        for files in shuffled(&year_files(&sandbox), 7).chunks(5) {
            import(&sandbox, &[&["--rebase"], options].concat(), files).exits(0);
        }
        has_tables(&sandbox, &wanted);
    }
}

#[test]
fn later_months_need_no_rebase_and_keep_the_base_date_of_the_store() {
    let options = ["--base-date", "2017-01-10"];
    let wanted = tables_in_order(&options);
    let sandbox = Sandbox::new();
    let files = year_files(&sandbox);
    import(&sandbox, &options, &files[..1]).exits(0);
    for files in shuffled(&files[1..], 3).chunks(4) {
        import(&sandbox, &[], files).exits(0);
    }
    has_tables(&sandbox, &wanted);
}

#[test]
fn the_same_bars_again_write_nothing() {
    let sandbox = Sandbox::new();
    let files = [sandbox.bars_file("eurusd", "2017-01"), sandbox.bars_file("eurusd", "2017-02")];
    import(&sandbox, &[], &files).exits(0);
    let before = Tree::read(&sandbox.path("fx/sources"));
    let overlap = sandbox.write("overlap.csv", csv(&bars("eurusd", "2017-02")[50..90]));
    let again =
        import(&sandbox, &["--json", "--key", "eurusd"], &[overlap, files[0].clone()]).exits(0).json();
    let rows = 40 + bars("eurusd", "2017-01").len();
    let report = &again["keys"][0];
    assert_eq!((&report["added"], &report["unchanged"]), (&json!(0), &json!(rows)));
    assert_eq!(report["files_written"], 0);
    has_tables(&sandbox, &before);
    let written = before.changes(&Tree::read(&sandbox.path("fx/sources")));
    assert!(written.iter().all(|path| !path.ends_with(".parquet")), "{written:?}");
}

#[test]
fn another_close_is_an_error_until_replace_is_given() {
    let sandbox = Sandbox::new();
    import(&sandbox, &[], &[sandbox.bars_file("eurusd", "2017-01")]).exits(0);
    let before = Tree::read(&sandbox.path("fx"));
    let mut changed = bars("eurusd", "2017-01");
    let stored = changed[5].1;
    changed[5].1 = 1.5;
    let file = sandbox.write("changed.csv", csv(&changed));
    let differs = import(&sandbox, &["--key", "eurusd"], std::slice::from_ref(&file)).exits(1);
    let closes = format!("is 1.5 there and {stored} in the store");
    differs.says(&["changed.csv:7", "eurusd at 2017-01-01T10:00:00Z", &closes, "--replace"]);
    assert!(before.has_the_files_of(&Tree::read(&sandbox.path("fx"))));

    let replaced = import(&sandbox, &["--key", "eurusd", "--replace", "--json"], &[file]).exits(0).json();
    assert_eq!((&replaced["keys"][0]["replaced"], &replaced["keys"][0]["added"]), (&json!(1), &json!(0)));
    let m1 = Columns::read(&sandbox.path("fx/sources/m1_eurusd/2017-01.parquet"));
    assert_eq!(m1.column("close")[5], 1.5);
}

#[test]
fn a_base_that_would_change_is_an_error_until_rebase_is_given() {
    let sandbox = Sandbox::new();
    import(&sandbox, &[], &[sandbox.bars_file("eurusd", "2017-02")]).exits(0);
    let before = Tree::read(&sandbox.path("fx"));
    let [january, february] = ["2017-01", "2017-02"].map(|month| bars("eurusd", month)[0].1);
    assert_ne!(january, february);
    let earlier = [sandbox.bars_file("eurusd", "2017-01")];
    let change =
        format!("from the close {february} at 2017-02-01T00:00:00Z to {january} at 2017-01-01T00:00:00Z");
    import(&sandbox, &[], &earlier).exits(1).says(&[
        "the base of eurusd",
        &change,
        "--rebase",
        "--base-date",
    ]);
    assert!(before.has_the_files_of(&Tree::read(&sandbox.path("fx"))));
    import(&sandbox, &["--base-date", "2017-02-01"], &earlier).exits(0);
    assert_eq!(base_close(&sandbox, &[]), json!(february));
    assert_eq!(base_close(&sandbox, &["--base-date", "2017-01-01", "--rebase"]), json!(january));
}

/// The base that an import of what is there reports.
fn base_close(sandbox: &Sandbox, options: &[&str]) -> Value {
    let files = [sandbox.bars_file("eurusd", "2017-01")];
    let report = import(sandbox, &[&["--json"], options].concat(), &files).exits(0).json();
    report["keys"][0]["base"]["close"].clone()
}

#[test]
fn the_index_and_the_returns_are_as_defined() {
    let sandbox = Sandbox::new();
    import(&sandbox, &[], &[sandbox.bars_file("eurusd", "2017-01")]).exits(0);
    let closes: Vec<f64> = bars("eurusd", "2017-01").iter().map(|bar| bar.1).collect();
    let index: Vec<f64> = closes.iter().map(|close| (100.0 * close) / closes[0]).collect();
    let m1 = Columns::read(&sandbox.path("fx/sources/m1_eurusd/2017-01.parquet"));
    assert_eq!((m1.column("close"), m1.column("rate_index")), (&closes[..], &index[..]));
    let bqx = Columns::read(&sandbox.path("fx/sources/bqx_eurusd/2017-01.parquet"));
    assert_eq!(bqx.instants_us, m1.instants_us[15..], "a key's first 15 rows have no row");
    for (row, value) in bqx.column("w15_bqx_return").iter().enumerate() {
        let at = row + 15;
        let sum = (1..=15).fold(0.0, |sum, k| sum + (index[at - k] - index[at]));
        assert_eq!(*value, sum / index[at], "row {at}");
    }
}

#[test]
fn fifteen_bars_have_no_returns() {
    let sandbox = Sandbox::new();
    let all = bars("eurusd", "2017-01");
    let file = sandbox.write("few.csv", csv(&all[..15]));
    import(&sandbox, &["--key", "eurusd"], &[file]).exits(0);
    assert_eq!(Columns::read(&sandbox.path("fx/sources/m1_eurusd/2017-01.parquet")).instants_us.len(), 15);
    assert!(!sandbox.path("fx/sources/bqx_eurusd/2017-01.parquet").exists());
    sandbox.configure(&["eurusd"], "2017-01", "2017-01");
    sandbox.run(&["run"]).exits(1).says(&["eurusd 2017-01", "bqx_eurusd"]);
    let file = sandbox.write("more.csv", csv(&all[15..17]));
    import(&sandbox, &["--key", "eurusd"], &[file]).exits(0);
    let bqx = Columns::read(&sandbox.path("fx/sources/bqx_eurusd/2017-01.parquet"));
    assert_eq!(bqx.instants_us, [all[15].0, all[16].0]);
}

#[test]
fn the_files_of_a_command_are_imported_all_or_none() {
    let sandbox = Sandbox::new();
    let good = [sandbox.bars_file("eurusd", "2017-01"), sandbox.bars_file("usdjpy", "2017-01")];
    let bad = sandbox.write(
        "bars/key=gbpusd/bad.csv",
        "time,close\n2017-01-02T00:00:00Z,1.2\n2017-01-03T00:00:00Z,oops\n",
    );
    let files = [good[0].clone(), bad.clone(), good[1].clone()];
    import(&sandbox, &[], &files).exits(1).says(&["bad.csv:3", "the close is not a number", "oops"]);
    assert!(!sandbox.path("fx").exists());

    import(&sandbox, &[], &good[..1]).exits(0);
    let before = Tree::read(&sandbox.path("fx"));
    import(&sandbox, &[], &files).exits(1);
    before.is_untouched(&sandbox.path("fx"));
    // A key that is found to contradict the store takes those staged before it along.
    let mut other = bars("usdjpy", "2017-01");
    import(&sandbox, &[], &good[1..]).exits(0);
    other[3].1 = 2.0;
    let other = sandbox.write("bars/key=usdjpy/other.csv", csv(&other));
    let before = Tree::read(&sandbox.path("fx"));
    let new = sandbox.bars_file("audusd", "2017-01");
    import(&sandbox, &[], &[new, other]).exits(1).says(&["other.csv:5", "--replace"]);
    let differences = before.differences(&Tree::read(&sandbox.path("fx")));
    assert!(differences.is_empty(), "{differences:?}");
}

#[test]
fn lenient_import_drops_bad_rows_and_counts_them_by_cause() {
    let sandbox = Sandbox::new();
    let mut text = csv(&bars("eurusd", "2017-01")[..30]);
    let last = text.lines().last().unwrap().to_owned();
    text.push_str(&format!("{last}\nnot a row\n2017-01-09T00:00:00Z,-1\n2017-01-09T02:00:00Z,\n"));
    let file = [sandbox.write("bad.csv", text)];
    import(&sandbox, &["--key", "eurusd"], &file).exits(1).says(&["bad.csv:33", "not a row"]);
    let lenient = import(&sandbox, &["--key", "eurusd", "--lenient", "--json"], &file).exits(0).json();
    let report = &lenient["files"][0];
    assert_eq!((&report["rows_kept"], &report["repeats_dropped"]), (&json!(30), &json!(1)));
    assert_eq!(report["dropped"], json!({"unparsable": 2, "price": 1}));
    let text = import(&sandbox, &["--key", "eurusd", "--lenient"], &file).exits(0);
    text.says(&["bad.csv: dropped", "1 repeated row"]);
}

#[test]
fn a_killed_import_leaves_nothing_that_the_next_does_not_put_right() {
    let months = &YEAR[..4];
    let keys = ["eurusd", "usdjpy", "gbpusd"];
    let files = |sandbox: &Sandbox| -> Vec<PathBuf> {
        let file = |key: &str, month: &str| csv(&bars_every(key, month, 300));
        let name = |key: &str, month: &str| format!("bars/key={key}/{month}.csv");
        let pairs = keys.iter().flat_map(|key| months.iter().map(move |month| (*key, *month)));
        pairs.map(|(key, month)| sandbox.write(name(key, month), file(key, month))).collect()
    };
    let undisturbed = Sandbox::new();
    let inputs = files(&undisturbed);
    let started = Instant::now();
    import(&undisturbed, &[], &inputs).exits(0);
    let took = started.elapsed();
    let wanted = Tree::read(&undisturbed.path("fx/sources"));

    let sandbox = Sandbox::new();
    let mut arguments = ["import", "--format", "csv", "--into", "parquet:fx"].map(PathBuf::from).to_vec();
    arguments.extend(files(&sandbox));
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..8 {
        if round % 4 == 0 {
            let _ = fs::remove_dir_all(sandbox.path("fx"));
        }
        let mut child = sandbox.command(&arguments).arg("--quiet").stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_secs_f64(took.as_secs_f64() * random.f64()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    sandbox.run(&arguments).exits(0);
    has_tables(&sandbox, &wanted);
    let left = leftovers(&sandbox.path("fx"));
    let stays = |path: &PathBuf| path.ends_with(".lock") || path.ends_with(".generation");
    assert!(left.iter().all(stays), "{left:?}");
}

#[test]
fn the_key_is_asked_for_where_the_path_does_not_tell_it() {
    let sandbox = Sandbox::new();
    let file = [sandbox.write("bars.csv", csv(&bars("eurusd", "2017-01")))];
    import(&sandbox, &[], &file).exits(2).says(&["bars.csv", "--key eurusd"]);
    let naive = sandbox.write("naive.csv", "time,close\n2017-01-02 00:00:00,1.2\n");
    import(&sandbox, &["--key", "eurusd"], std::slice::from_ref(&naive))
        .exits(2)
        .says(&["naive.csv:2", "--timezone"]);
    import(&sandbox, &["--key", "eurusd", "--timezone", "+02:00"], &[naive]).exits(0);
    let m1 = Columns::read(&sandbox.path("fx/sources/m1_eurusd/2017-01.parquet"));
    assert_eq!(m1.instants_us, [1_483_308_000_000_000]);
}

#[test]
fn tables_that_no_import_wrote_are_not_added_to() {
    let sandbox = Sandbox::new();
    let rows = crate::bars::SourceRows::of_month("2017-01", 100, 60);
    rows.write(&sandbox.path("fx/sources/m1_eurusd/mine.parquet"), "time", "close");
    let before = Tree::read(&sandbox.path("fx/sources/m1_eurusd"));
    let file = sandbox.bars_file("eurusd", "2017-02");
    import(&sandbox, &[], &[file])
        .exits(1)
        .says(&["mine.parquet was not written by `rollfit import`", "another"]);
    assert!(before.has_the_files_of(&Tree::read(&sandbox.path("fx/sources/m1_eurusd"))));
}
