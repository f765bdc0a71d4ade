//! `rollfit check`: each thing that it looks at, with the neighbouring case that is none, and what monitors rely on: exit codes, one line
//! a check with the worst first, and UNKNOWN on stdout for whatever could not be checked.

use std::fs;

use serde_json::Value;

use crate::bars::{SourceRows, bars};
use crate::sandbox::{Answer, Sandbox};
use crate::tree::Tree;
use crate::verify::rewrite;

const MONTHS: [&str; 3] = ["2017-01", "2017-02", "2017-03"];
/// The last bar of March is of 22:00.
const LAST: &str = "2017-03-31T22:00:00Z";

impl Sandbox {
    /// Checks at a moment, with 5 minutes of lag.
    fn check_at(&self, now: &str) -> Answer {
        self.run(&["check", "--max-lag", "5m", "--now", now])
    }

    fn checks(&self, options: &[&str]) -> Value {
        let answer = self.run(&[&["check", "--json"][..], options].concat());
        let document = answer.json();
        let code = match document["status"].as_str().unwrap() {
            "ok" => 0,
            "warning" => 1,
            "problem" => 2,
            _ => 3,
        };
        assert_eq!(answer.status.code(), Some(code), "{answer}");
        document
    }

    fn configure_check(&self, from: &str, to: &str, check: &str) {
        self.configure(&["eurusd"], from, to);
        let text = fs::read_to_string(self.path("rollfit.toml")).unwrap();
        self.write("rollfit.toml", format!("{text}\n[check]\n{check}\n"));
    }
}

/// The first word of the line about a check.
#[track_caller]
fn status<'a>(answer: &'a Answer, check: &str) -> &'a str {
    let line =
        answer.stdout.lines().skip(1).find(|line| line.split(' ').nth(1) == Some(&format!("{check}:")));
    line.unwrap_or_else(|| panic!("no line about {check}\n{answer}")).split(' ').next().unwrap()
}

/// The facts found of a check.
fn facts(document: &Value, check: &str) -> Vec<Value> {
    let checks = document["checks"].as_array().unwrap();
    let found = checks.iter().find(|line| line["check"] == check).unwrap();
    found["findings"].as_array().unwrap().clone()
}

/// The kinds of facts found of a check, with their month.
fn kinds(document: &Value, check: &str) -> Vec<String> {
    let kind = |fact: &Value| {
        let [name, month] = ["fact", "month"].map(|field| fact[field].as_str().unwrap_or("-").to_owned());
        format!("{name} {month}")
    };
    facts(document, check).iter().map(kind).collect()
}

#[test]
fn a_job_that_is_done_is_ok_in_one_line_a_check_and_nothing_is_written() {
    let sandbox = Sandbox::done(&["eurusd", "usdjpy"], &MONTHS);
    let before = Tree::read(&sandbox.path("fx"));
    let answer = sandbox.run(&["check"]).exits(0);
    assert_eq!(
        answer.stdout.lines().next(),
        Some(&*format!("OK: 2 keys, 6 partitions, features until {LAST}"))
    );
    assert_eq!((answer.stdout.lines().count(), answer.stderr.as_str()), (8, ""));
    assert!(answer.stdout.lines().all(|line| line.starts_with("OK")), "{answer}");
    // Of a key's first month 15 of 372 rows have no return yet: none of them is lost.
    answer.says(&["OK rows: as many rows as receipts say in 4 of 6 partitions", "OK freshness: not checked"]);
    let silent = sandbox.run(&["check", "-q"]).exits(0);
    assert_eq!((silent.stdout.as_str(), silent.stderr.as_str()), ("", ""));
    sandbox.run(&["check", "--counts"]).exits(0).says(&["in 6 of 6 partitions"]);
    sandbox.check_at("2017-03-31T22:05:00Z").exits(0).says(&["OK freshness: no row of 2 keys", "OK source"]);
    let document = sandbox.checks(&["--only", "usdjpy"]);
    assert_eq!((&document["keys"], &document["partitions"]), (&1.into(), &3.into()));
    assert_eq!(document["checks"].as_array().unwrap().len(), 7);
    before.is_untouched(&sandbox.path("fx"));
}

#[test]
fn a_source_without_new_rows_is_told_from_features_that_are_late() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    let answer = sandbox.check_at("2017-03-31T22:06:00Z").exits(2);
    assert_eq!((status(&answer, "source"), status(&answer, "freshness")), ("PROBLEM", "OK"));
    assert!(
        answer.stdout.starts_with("PROBLEM: source: eurusd without new rows in idx, bqx for 6.0 min"),
        "{answer}"
    );
    assert_eq!(
        kinds(&sandbox.checks(&["--max-lag", "6m", "--now", "2017-03-31T22:06:00Z"]), "source"),
        [""; 0]
    );

    // Another month of bars, for which there are no features yet. The first is of midnight.
    sandbox.import(&["eurusd"], &["2017-04"]);
    sandbox.configure(&["eurusd"], "2017-01", "latest");
    let answer = sandbox.check_at("2017-04-01T00:04:00Z").exits(0);
    assert_eq!((status(&answer, "source"), status(&answer, "freshness")), ("OK", "OK"));
    let answer = sandbox.check_at("2017-04-01T02:06:00Z").exits(2);
    assert_eq!((status(&answer, "source"), status(&answer, "freshness")), ("OK", "PROBLEM"));
    answer.says(&["eurusd without features for 2.1 h (from 2017-04-01T00:00:00Z on)"]);
    // Without a limit it is a month that may have begun.
    let answer = sandbox.run(&["check"]).exits(1);
    assert_eq!((status(&answer, "coverage"), status(&answer, "freshness")), ("WARNING", "OK"));
    answer.says(&["WARNING: coverage: no features in eurusd 2017-04"]);
    // A job that ends before.
    sandbox.configure(&["eurusd"], "2017-01", "2017-03");
    sandbox
        .check_at("2017-04-01T00:04:00Z")
        .exits(2)
        .says(&["PROBLEM source: the months of eurusd are over"]);
    sandbox.configure(&["eurusd"], "2017-01", "latest");
    let only = ["check", "--max-lag", "5m", "--now", "2017-04-01T00:04:00Z", "--only", "eurusd:2017-03"];
    sandbox.run(&only).exits(2).says(&["are over"]);
    // The clock is behind by days.
    sandbox.check_at("2017-03-28T00:00:00Z").exits(1).says(&["WARNING freshness", "instants to come", LAST]);
    sandbox.check_at("2017-03-31T21:00:00Z").exits(0);
}

#[test]
fn the_series_that_ends_is_named_and_so_are_series_that_never_meet() {
    let rows = SourceRows::of_month("2017-01", 1000, 60);
    let sandbox = Sandbox::new();
    sandbox.drop_in("eurusd", "mine.parquet", &rows.filtered(|row| row < 500));
    sandbox.configure(&["eurusd"], "2017-01", "latest");
    sandbox.run(&["run"]).exits(0);
    let idx = sandbox.path("fx/sources/m1_eurusd/mine.parquet");
    rows.write(&idx, "time", "rate_index");
    // The last joined minute is of 08:19, the last one of the other series of 16:39.
    let document = sandbox.checks(&["--max-lag", "5m", "--now", "2017-01-01T16:40:00Z"]);
    let [stale] = facts(&document, "source").try_into().unwrap();
    assert_eq!((&stale["fact"], &stale["series"]), (&"source-stale".into(), &"bqx".into()));
    // Months to come that are selected aren't over.
    let later = ["--max-lag", "5m", "--now", "2017-02-03T00:00:00Z", "--only", "eurusd:..2099-12"];
    let facts_later = facts(&sandbox.checks(&later), "source");
    assert_eq!(facts_later.len(), 2);
    assert!(facts_later.iter().all(|finding| finding["fact"] == "source-stale"), "{facts_later:?}");
    assert_eq!(stale["lag_s"].as_f64(), Some(501.0 * 60.0));
    assert_eq!(kinds(&document, "freshness"), [""; 0]);

    let mut shifted = rows.clone();
    shifted.instants_us.iter_mut().skip(500).for_each(|instant_us| *instant_us += 1_000_000);
    shifted.write(&sandbox.path("fx/sources/bqx_eurusd/mine.parquet"), "ts_utc", "w15_bqx_return");
    let answer = sandbox.check_at("2017-01-01T16:40:00Z").exits(2);
    answer.says(&["PROBLEM source: no instant is in every series of eurusd since 2017-01-01T08:19:00Z"]);
}

#[test]
fn closed_hours_count_for_nothing() {
    let sandbox = Sandbox::done(&["eurusd"], &["2016-12"]);
    // The last bar is of Saturday 22:00, at the end of a year.
    let check = |check: &str, now: &str| {
        sandbox.configure_check("2016-12", "latest", check);
        sandbox.run(&["check", "--now", now])
    };
    let weekend = "max_lag_s = 300\nclosed = [\"Fri 17:00 - Sun 17:00\", \"2017-01-02\"]\ntimezone = \"America/New_York\"";
    // New York's Monday, a holiday, ends at 05:00; Sunday's seven open hours come before it.
    check(weekend, "2017-01-01T22:05:00Z").exits(0);
    check(weekend, "2017-01-01T22:06:00Z").exits(2).says(&["without new rows", "6.0 min"]);
    let longer = weekend.replace("Sun 17:00", "Sun 24:00");
    check(&longer, "2017-01-03T05:05:00Z").exits(0);
    check(&longer, "2017-01-03T05:06:00Z").exits(2).says(&["6.0 min"]);
    check("max_lag_s = 300\nclosed = \"Fri 17:00 - Sun 17:00\"", "2017-01-01T17:06:00Z").exits(2);
    check("max_lag_s = 300", "2016-12-31T22:06:00Z").exits(2);
    // The command line comes before the configuration.
    sandbox.run(&["check", "--max-lag", "7m", "--now", "2016-12-31T22:06:00Z"]).exits(0);

    for (wrong, words) in [
        ("timezone = \"Europe/Atlantis\"", "time zone `Europe/Atlantis` does not exist"),
        ("closed = [\"00:00 - 24:00\"]", "the whole week"),
        ("closed = 5", "expected closed hours"),
        ("max_lags = 5", "did you mean `max_lag_s`?"),
        ("max_lag_s = -1", "[check] max_lag_s = -1"),
    ] {
        let answer = check(wrong, "2017-01-01T00:00:00Z").exits(3).says(&[words]);
        assert!(answer.stdout.starts_with("UNKNOWN: ") && answer.stdout.lines().count() == 1, "{answer}");
    }
}

#[test]
fn months_without_features_are_missing_where_the_source_has_rows() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    fs::remove_file(sandbox.part("eurusd", "2017-02")).unwrap();
    let answer = sandbox.run(&["check"]).exits(2);
    assert!(answer.stdout.starts_with("PROBLEM: coverage: no features in eurusd 2017-02"), "{answer}");
    assert_eq!(kinds(&sandbox.checks(&[]), "coverage"), ["missing 2017-02"]);
    // Months before the first row and after the last one aren't missing.
    sandbox.run(&["run"]).exits(0);
    sandbox.configure(&["eurusd"], "2016-10", "2017-06");
    sandbox.run(&["check"]).exits(0);
    // A month that the source lacks isn't one that a run could write.
    let gap = Sandbox::imported(&["eurusd"], &["2017-01", "2017-03"]);
    gap.run(&["run"]).exits(0).says(&["1 empty"]);
    gap.run(&["check"]).exits(1).says(&["WARNING coverage: the source has no rows in eurusd 2017-02"]);
    // Of a key that is listed, and of which there is nothing at all, no month is planned.
    gap.configure(&["eurusd", "usdjpy"], "2017-03", "latest");
    gap.import(&["usdjpy"], &["2017-01"]);
    fs::remove_dir_all(gap.path("fx/sources/m1_usdjpy")).unwrap();
    gap.run(&["check"]).exits(3).says(&["UNKNOWN", "m1_usdjpy"]);
    SourceRows::of_month("2017-01", 0, 60).write(
        &gap.path("fx/sources/m1_usdjpy/a.parquet"),
        "time",
        "rate_index",
    );
    gap.run(&["check"]).exits(2).says(&["PROBLEM coverage: usdjpy without any features"]);
    gap.run(&["check", "--only", "eurusd"]).exits(0);
}

#[test]
fn a_long_gap_of_the_source_is_told_from_months_that_were_not_computed() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2015-06", "2015-07", "2017-01", "2017-02"]);
    sandbox.run(&["run"]).exits(0).says(&["17 empty"]);
    let gaps = |document: &Value| kinds(document, "coverage");
    let document = sandbox.checks(&[]);
    let found = gaps(&document);
    assert_eq!((found.len(), document["status"].as_str()), (17, Some("warning")), "{document}");
    assert!(found.iter().all(|fact| fact.starts_with("source-gap 201")), "{document}");
    // A month on the far side of the gap, and one beyond the last twelve.
    fs::remove_file(sandbox.part("eurusd", "2015-07")).unwrap();
    let document = sandbox.checks(&[]);
    let found = gaps(&document);
    assert_eq!((found.len(), document["status"].as_str()), (18, Some("problem")), "{document}");
    assert_eq!(found.iter().filter(|fact| *fact == "missing 2015-07").count(), 1, "{document}");
}

#[test]
fn rows_that_came_in_before_the_last_one_are_missed_and_a_month_may_grow() {
    let rows = SourceRows::of_month("2017-01", 1000, 60);
    let sandbox = Sandbox::new();
    sandbox.drop_in("eurusd", "mine.parquet", &rows.filtered(|row| (200..500).contains(&row)));
    sandbox.configure(&["eurusd"], "2017-01", "2017-01");
    sandbox.run(&["run"]).exits(0);
    sandbox.drop_in("eurusd", "mine.parquet", &rows.filtered(|row| row >= 180));
    sandbox.run(&["check"]).exits(0);
    sandbox.drop_in("eurusd", "mine.parquet", &rows);
    sandbox.run(&["check"]).exits(1).says(&["computed from 300 of the 500 rows that series idx has now"]);
    sandbox.run_with(&[("ROLLFIT_CHECK__SOURCE_ROWS_MIN", "0.5")], &["check"]).exits(0);
}

#[test]
fn months_whose_source_has_lost_rows_are_warned_of_as_a_run_skips_them() {
    let rows = SourceRows::of_month("2017-01", 1000, 60);
    let sandbox = Sandbox::new();
    sandbox.drop_in("eurusd", "mine.parquet", &rows);
    sandbox.configure(&["eurusd"], "2017-01", "2017-01");
    sandbox.run(&["run"]).exits(0);
    // As many as a run takes for a change.
    sandbox.drop_in("eurusd", "mine.parquet", &rows.filtered(|row| row >= 10));
    sandbox.run(&["check"]).exits(0);
    sandbox.drop_in("eurusd", "mine.parquet", &rows.filtered(|row| row >= 11));
    sandbox.run(&["run"]).exits(4);
    let words = "WARNING coverage: the source has lost rows of eurusd 2017-01 (features of 1,000 rows, 989 are left); a run skips them";
    sandbox.run(&["check"]).exits(1).says(&[words]);
    assert_eq!(kinds(&sandbox.checks(&[]), "coverage"), ["source-shrunk 2017-01"]);
    // One series is enough.
    sandbox.drop_in("eurusd", "mine.parquet", &rows);
    rows.filtered(|row| row >= 500).write(
        &sandbox.path("fx/sources/bqx_eurusd/mine.parquet"),
        "ts_utc",
        "w15_bqx_return",
    );
    sandbox.run(&["check"]).exits(1).says(&["of eurusd 2017-01 (features of 1,000 rows, 500 are left)"]);
}

#[test]
fn an_emptied_month_is_warned_of_however_old_and_a_smaller_one_where_all_are_counted() {
    let sandbox = Sandbox::done(&["eurusd"], &["2016-12", "2017-01", "2017-02", "2017-03"]);
    let file = |table: &str| sandbox.path(format!("fx/sources/{table}_eurusd/2017-01.parquet"));
    let whole = ["m1", "bqx"].map(|table| fs::read(file(table)).unwrap());
    ["m1", "bqx"].into_iter().for_each(|table| fs::remove_file(file(table)).unwrap());
    sandbox.run(&["run"]).exits(4).says(&["shrunk"]);
    sandbox.run(&["check"]).exits(1).says(&["lost rows of eurusd 2017-01 (", ", 0 are left)"]);
    for (table, bytes) in ["m1", "bqx"].into_iter().zip(whole) {
        fs::write(file(table), bytes).unwrap();
    }
    sandbox.run(&["check"]).exits(0);
    SourceRows::of_month("2017-01", 100, 60).write(&file("m1"), "time", "rate_index");
    sandbox.run(&["check"]).exits(0);
    sandbox.run(&["check", "--counts"]).exits(1).says(&["lost rows of eurusd 2017-01 (", ", 100 are left)"]);
}

#[test]
fn what_receipts_record_is_held_against_limits_and_earlier_months() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    let set = |month: &str, part: &str, field: &str, value: Value| {
        rewrite(&sandbox, month, |_| (), |receipt| receipt[part][field] = value);
    };
    let no_value =
        |input: u64| serde_json::json!({"warmup": 9360, "input": input, "undefined": 0, "column": 0});
    // March has 372 x 180 features, 57,600 of them after the warm-up.
    set("2017-03", "stored", "no_value", no_value(600));
    assert_eq!(kinds(&sandbox.checks(&[]), "no-value"), ["more-without-value 2017-03"]);
    sandbox.run(&["check"]).exits(1).says(&["WARNING: no-value: eurusd 2017-03 with 1.0 % of the features"]);
    sandbox.run_with(&[("ROLLFIT_CHECK__NO_VALUE_RISE_MAX", "0.02")], &["check"]).exits(0);
    set("2017-02", "stored", "no_value", no_value(600));
    sandbox.run(&["check"]).exits(0);
    sandbox.run_with(&[("ROLLFIT_CHECK__NO_VALUE_MONTHS", "1")], &["check"]).exits(0);

    set("2017-02", "input", "lost_rows", serde_json::json!([3, 0]));
    sandbox.run(&["check"]).exits(0);
    set("2017-02", "input", "lost_rows", serde_json::json!([4, 0]));
    sandbox
        .run(&["check"])
        .exits(1)
        .says(&["WARNING join-loss: eurusd 2017-02 without 4 rows (1.2 %) of series idx"]);
    sandbox.run_with(&[("ROLLFIT_RUN__JOIN_LOSS_MAX", "0.02")], &["check"]).exits(0);
}

#[test]
fn a_first_month_that_loses_rows_of_its_own_is_a_join_loss() {
    let rows = SourceRows::of_month("2017-01", 1000, 60);
    let sandbox = Sandbox::new();
    sandbox.drop_in("eurusd", "mine.parquet", &rows);
    let bqx = sandbox.path("fx/sources/bqx_eurusd/mine.parquet");
    rows.filtered(|row| row % 20 != 1).write(&bqx, "ts_utc", "w15_bqx_return");
    sandbox.configure(&["eurusd"], "2017-01", "2017-01");
    sandbox.run(&["run"]).exits(0);
    sandbox
        .run(&["check"])
        .exits(1)
        .says(&["WARNING join-loss: eurusd 2017-01 without 50 rows (5.0 %) of series idx"]);
}

#[test]
fn other_rows_than_the_receipt_says_are_a_problem() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    let lose_a_row = |month: &str| {
        let drop = |columns: &mut crate::features::Columns| {
            columns.instants_us.pop();
            columns.values.iter_mut().for_each(|values| values.truncate(values.len() - 1));
        };
        rewrite(&sandbox, month, drop, |_| ());
    };
    // Not one of the newest two.
    lose_a_row("2017-01");
    sandbox.run(&["check"]).exits(0);
    let words = "eurusd 2017-01 with other rows than the receipts say (key=eurusd/month=2017-01 has 356, the receipt 357)";
    sandbox.run(&["check", "--counts"]).exits(2).says(&["PROBLEM rows", words]);
    lose_a_row("2017-02");
    sandbox.run(&["check"]).exits(2).says(&["PROBLEM rows: eurusd 2017-02"]);
}

#[test]
fn what_no_receipt_vouches_for_is_told_by_kind() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    let receipts = |options: &[&str]| kinds(&sandbox.checks(options), "receipts");
    // A definition of another kind, one of a later version, and a receipt of another output.
    rewrite(&sandbox, "2017-01", |_| (), |receipt| receipt["definition"]["version"] = 2.into());
    rewrite(&sandbox, "2017-02", |_| (), |receipt| receipt["definition"]["version"] = 99.into());
    assert_eq!(receipts(&[]), ["definition-changed 2017-01", "newer 2017-02"]);
    sandbox.run(&["check"]).exits(1).says(&["definition version 2 became 3", "use that version"]);
    rewrite(&sandbox, "2017-02", |_| (), |receipt| receipt["output"] = "elsewhere".into());
    rewrite(&sandbox, "2017-03", |_| (), |receipt| receipt["output"] = "elsewhere".into());
    let words = "eurusd 2017-03 with a receipt that contradicts what is stored";
    sandbox.run(&["check"]).exits(2).says(&["PROBLEM receipts", words]);
    // It isn't known where features end of which nobody knows from what they are.
    let answer = sandbox.check_at("2017-03-31T22:01:00Z").exits(2);
    assert_eq!(status(&answer, "freshness"), "UNKNOWN");

    let rows = SourceRows::of_month("2017-03", 5, 60);
    rows.write(&sandbox.part("eurusd", "2017-03"), "ts_utc", "a");
    let only = ["--only", "eurusd:2017-03"];
    assert_eq!(receipts(&only), ["foreign 2017-03"]);
    sandbox.run(&["check", only[0], only[1]]).exits(1).says(&["WARNING receipts", "no receipt vouches for"]);
    // A stranger beside rows of ours is read with them.
    sandbox.run(&["run", "--force", "--replace", "foreign"]);
    sandbox.run(&["check", only[0], only[1]]).exits(0);
    let dir = sandbox.part("eurusd", "2017-03");
    fs::copy(&dir, dir.with_file_name("copy.parquet")).unwrap();
    assert_eq!(receipts(&only), ["blocked 2017-03"]);
    fs::remove_file(dir.with_file_name("copy.parquet")).unwrap();
    // One byte of the footer.
    let mut bytes = fs::read(&dir).unwrap();
    let at = bytes.len() - 100;
    bytes[at] ^= 1;
    fs::write(&dir, bytes).unwrap();
    assert_eq!(receipts(&only), ["damaged 2017-03"]);
    fs::remove_file(&dir).unwrap();
    fs::create_dir(&dir).unwrap();
    sandbox
        .run(&["check", only[0], only[1]])
        .exits(3)
        .says(&["UNKNOWN receipts: cannot check eurusd 2017-03"]);
}

#[test]
fn whatever_keeps_a_check_from_being_made_is_unknown_on_stdout() {
    let sandbox = Sandbox::new();
    let unknown = |arguments: &[&str], words: &str| {
        let answer = sandbox.run(arguments).exits(3);
        let line = answer.stdout.lines().next().unwrap_or_default();
        assert!(line.starts_with("UNKNOWN: ") && line.contains(words), "{answer}");
        assert_eq!(answer.stdout.lines().count(), 1, "{answer}");
    };
    unknown(&["check"], "does not exist");
    unknown(&["--log-format", "json", "check", "--bogus"], "unexpected argument");
    unknown(&["check", "--max-lag", "5"], "such as 90s, 5m");
    unknown(&["check", "--only", "../x"], "is not a key");
    sandbox.configure(&["eurusd"], "2017-01", "latest");
    unknown(&["check"], "cannot open the store");
    sandbox.write("rollfit.toml", "[store]\nurl = 5");
    unknown(&["check"], "url");
    let document = sandbox.run(&["check", "--json", "--bogus"]).exits(3).json();
    assert_eq!((&document["status"], &document["checks"]), (&"unknown".into(), &serde_json::json!([])));
    // Other commands keep their codes, and help is no failure.
    sandbox.run(&["plan", "--bogus"]).exits(2);
    sandbox.run(&["check", "--help"]).exits(0).says(&["3 something could not be checked"]);

    // A store without anything.
    fs::create_dir_all(sandbox.path("fx/sources")).unwrap();
    sandbox.configure(&["eurusd"], "2017-01", "2017-01");
    sandbox.run(&["check"]).exits(3).says(&["m1_eurusd does not exist"]);
    let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    sandbox.write("rollfit.toml", text.replace("[\"eurusd\"]", "\"all\""));
    unknown(&["check"], "no key with tables");
    // With rows, and no features at all.
    sandbox.import(&["eurusd"], &["2017-01"]);
    sandbox.run(&["check"]).exits(1).says(&["WARNING coverage: no features in eurusd 2017-01"]);
    sandbox
        .check_at("2017-01-31T22:00:00Z")
        .exits(2)
        .says(&["PROBLEM freshness: eurusd without any features"]);
}

#[test]
fn of_many_keys_the_first_are_named_and_a_bar_is_none_of_ours() {
    let keys: Vec<String> = (0..40).map(|at| format!("key{at:02}")).collect();
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    sandbox.configure(&keys, "2017-01", "2017-02");
    for key in &keys {
        for table in ["m1", "bqx"] {
            let (from, to) = (format!("fx/sources/{table}_eurusd"), format!("fx/sources/{table}_{key}"));
            copy_dir(&sandbox, &from, &to);
        }
    }
    let answer = sandbox.check_at("2017-01-31T22:00:00Z").exits(2);
    answer.says(&["PROBLEM: freshness: key00, key01, key02 and 37 more without any features"]);
    sandbox.run(&["check", "--json"]).json();
    let answer = sandbox.run(&["check", "--only", "a|b"]).exits(3);
    assert!(!answer.stdout.contains('|') && answer.stdout.contains("a/b"), "{answer}");
    assert!(bars("eurusd", "2017-01").len() > 300);
}

fn copy_dir(sandbox: &Sandbox, from: &str, to: &str) {
    fs::create_dir_all(sandbox.path(to)).unwrap();
    for entry in fs::read_dir(sandbox.path(from)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), sandbox.path(to).join(entry.file_name())).unwrap();
    }
}

#[test]
fn directories_beside_the_partitions_are_named_since_readers_get_their_rows() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS[..1]);
    let part = sandbox.part("eurusd", MONTHS[0]);
    for dir in ["key=eurusd/month=2017-1", "KEY=eurusd/month=2017-01"] {
        let dir = sandbox.path("fx/features").join(dir);
        fs::create_dir_all(&dir).unwrap();
        fs::copy(&part, dir.join("part.parquet")).unwrap();
    }
    let document = sandbox.checks(&[]);
    assert_eq!(kinds(&document, "receipts"), ["blocked -", "blocked -"]);
    let said = ["key=eurusd/month=2017-1", "KEY=eurusd"];
    sandbox.run(&["check"]).exits(2).says(&["readers of fx/features/*/*/*.parquet get its rows"]);
    sandbox.run(&["doctor"]).exits(1).says(&said);
    sandbox.run(&["plan"]).exits(0).says(&said);
    sandbox.run(&["run"]).exits(0).says(&said).says(&["1 already done"]);
}
