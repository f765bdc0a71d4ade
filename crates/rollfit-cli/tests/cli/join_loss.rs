//! The plan of a first run, and the run itself, say what the join of a partition loses; rows that no series can have yet are no
//! loss.

use serde_json::Value;

use crate::bars::SourceRows;
use crate::sandbox::{Answer, Sandbox};

const MONTHS: [&str; 2] = ["2017-01", "2017-02"];
const ROWS: usize = 1000;

/// A store whose `m1_eurusd` has 1000 rows in each of two months and `bqx_eurusd` those that `keep` likes, counted through
/// both.
fn store(keep: impl Fn(usize) -> bool) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.configure(&["eurusd"], MONTHS[0], MONTHS[1]);
    for (at, month) in MONTHS.iter().enumerate() {
        let rows = SourceRows::of_month(month, ROWS, 60);
        rows.write(&sandbox.path(format!("fx/sources/m1_eurusd/{month}.parquet")), "time", "rate_index");
        let kept = rows.filtered(|row| keep(at * ROWS + row));
        let path = sandbox.path(format!("fx/sources/bqx_eurusd/{month}.parquet"));
        if !kept.values.is_empty() {
            kept.write(&path, "ts_utc", "w15_bqx_return");
        }
    }
    sandbox
}

/// What the plan says of the join of each month.
fn planned(sandbox: &Sandbox) -> [Value; 2] {
    let plan = sandbox.run(&["plan", "--json"]).json();
    [0, 1].map(|month| plan["partitions"][month]["join_loss"].clone())
}

fn warnings(answer: &Answer) -> usize {
    answer.stderr.matches("the join loses").count()
}

#[test]
fn a_loss_above_the_threshold_is_planned_and_warned_of_once() {
    let sandbox = store(|row| !(500..511).contains(&row) && !(1500..1510).contains(&row));
    let sentence = "the join loses 11 of 1,000 rows (1.1 %) of series idx, which series bqx lacks";
    let plan = sandbox.run(&["plan"]).exits(0).says(&[&format!("no features yet; {sentence}")]);
    assert_eq!(plan.stdout.matches("the join loses").count(), 1, "{plan}");
    let [january, february] = planned(&sandbox);
    assert_eq!(january.to_string(), r#"{"series":"idx","lost_rows":11,"rows":1000,"lacking":["bqx"]}"#);
    assert!(february.is_null());
    let run = sandbox.run(&["run", "--json", "--quiet"]).exits(0);
    assert_eq!(warnings(&run), 1, "{run}");
    let losses = run.json()["join_losses"].clone();
    assert_eq!((&losses[0]["lost_rows"], &losses[0]["partition"]["month"]), (&11.into(), &"2017-01".into()));
    assert!(losses[1].is_null());
    run.says(&[&format!("warning: eurusd 2017-01: {sentence}")]);
    // The receipt knows of it from now on.
    assert_eq!(warnings(&sandbox.run(&["run", "--force"]).exits(0)), 0);
    assert_eq!(planned(&sandbox), [Value::Null, Value::Null]);
}

#[test]
fn the_threshold_is_configuration() {
    let sandbox = store(|row| row % 2 == 0);
    let half = [("ROLLFIT_RUN__JOIN_LOSS_MAX", "0.5")];
    assert_eq!(warnings(&sandbox.run_with(&half, &["run"]).exits(0)), 0);
}

#[test]
fn rows_before_the_other_series_begins_are_no_loss() {
    let late = store(|row| row >= 300);
    assert_eq!(planned(&late), [Value::Null, Value::Null]);
    assert_eq!(warnings(&late.run(&["run"]).exits(0)), 0);
    // Where it has begun before the month, they are.
    let gap = store(|row| !(1000..1300).contains(&row));
    let [january, february] = planned(&gap);
    assert!(january.is_null());
    assert_eq!((&february["lost_rows"], &february["rows"]), (&300.into(), &1000.into()));
    // Of a late series, what is lost after its beginning counts, and nothing before.
    let both = store(|row| row >= 300 && !(400..420).contains(&row));
    let [january, _] = planned(&both);
    assert_eq!((&january["lost_rows"], &january["rows"]), (&20.into(), &700.into()));
}

#[test]
fn values_that_are_missing_are_no_rows_that_are_missing() {
    let sandbox = store(|_| true);
    let mut rows = SourceRows::of_month(MONTHS[0], ROWS, 60);
    rows.values[100..900].fill(f64::NAN);
    rows.write(&sandbox.path("fx/sources/bqx_eurusd/2017-01.parquet"), "ts_utc", "w15_bqx_return");
    assert_eq!(planned(&sandbox), [Value::Null, Value::Null]);
}

#[test]
fn of_several_series_those_that_lack_rows_are_named() {
    let sandbox = store(|row| row % 10 != 0);
    let text = std::fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    let third = "[series.third]\ntable = \"third_{key}\"\ntime = \"time\"\nvalue = \"x\"\n\
                 features = \"reg_third_{key}_{yyyy}_{mm}\"\n\n[windows]";
    sandbox.write("rollfit.toml", text.replace("[windows]", third));
    for month in MONTHS {
        let rows = SourceRows::of_month(month, ROWS, 60).filtered(|row| row % 10 != 1);
        rows.write(&sandbox.path(format!("fx/sources/third_eurusd/{month}.parquet")), "time", "x");
    }
    sandbox
        .run(&["plan"])
        .exits(0)
        .says(&["the join loses 200 of 1,000 rows (20.0 %) of series idx, which series bqx and third lack"]);
}

#[test]
fn rows_that_wait_for_a_series_that_ended_are_told_from_an_hour_on() {
    let sandbox = store(|row| row < ROWS + 100);
    let sentence = "900 rows wait for series bqx, the oldest since 2017-02-01T01:40:00Z (15.0 h)";
    let run = sandbox
        .run(&["run"])
        .exits(0)
        .says(&[&format!("eurusd 2017-02: {sentence}"), "2 written, 0 already done, 0 skipped"]);
    assert!(run.stderr.contains(sentence) && run.stdout.contains(sentence), "{run}");
    let again = sandbox.run(&["run", "--json", "--quiet"]).exits(0).json();
    let pending = r#"[{"partition":{"key":"eurusd","month":"2017-02"},"rows":900,"lacking":["bqx"],"#;
    assert!(again["pending"].to_string().starts_with(pending), "{again}");
    assert_eq!((&again["already_done"], &again["waiting"]), (&2.into(), &0.into()));
    sandbox.run(&["run"]).exits(0).says(&[&format!("  eurusd 2017-02: {sentence}"), "2 already done"]);
    // A feed that is less than an hour behind.
    let sandbox = store(|row| row < ROWS + 941);
    let run = sandbox.run(&["run"]).exits(0);
    assert!(!run.to_string().contains(" for series "), "{run}");
    assert_eq!(sandbox.run(&["run", "--json"]).json()["pending"], Value::Array(Vec::new()));
}

#[test]
fn a_month_without_joined_rows_waits_a_week_and_is_not_already_done() {
    let sandbox = Sandbox::new();
    sandbox.configure(&["eurusd"], MONTHS[0], MONTHS[1]);
    // To the end of January, without the last hours.
    sandbox.drop_in("eurusd", "2017-01.parquet", &SourceRows::of_month(MONTHS[0], ROWS, 2600));
    let february = sandbox.path("fx/sources/m1_eurusd/2017-02.parquet");
    SourceRows::of_month(MONTHS[1], 2, 60).write(&february, "time", "rate_index");
    let run = sandbox.run(&["run"]).exits(0).says(&["1 written, 0 already done, 1 waiting, 0 skipped"]);
    let sentence =
        "eurusd 2017-02: 2 rows wait for series bqx, the oldest since 2017-02-01T00:00:00Z (1.0 min)";
    assert!(run.stdout.contains(sentence), "{run}");
    let again = sandbox.run(&["run", "--json"]).exits(0).json();
    assert_eq!((&again["already_done"], &again["waiting"]), (&1.into(), &1.into()));
    assert_eq!(again["pending"][0]["rows"], 2);
    SourceRows::of_month(MONTHS[1], ROWS, 700).write(&february, "time", "rate_index");
    let words = "1000 rows in `m1_eurusd` and 0 rows in `bqx_eurusd`";
    sandbox.run(&["run"]).exits(1).says(&[words, "0 written, 1 already done, 0 skipped, 1 failed"]);
}

#[test]
fn a_month_that_only_one_series_has_is_told_as_that() {
    let sandbox = store(|row| row < ROWS);
    let words =
        ["no instant of the month is in every series", "1000 rows in `m1_eurusd` and 0 rows in `bqx_eurusd`"];
    sandbox.run(&["plan"]).exits(1).says(&words);
    sandbox.run(&["run"]).exits(1).says(&words);
}
