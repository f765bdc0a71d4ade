//! `rollfit init` on a schema: the series that its tables are, whatever types and names they have and whatever else is there; what it
//! writes is planned without an error, and holds no password.

use std::fs;

use serde_json::{Value, json};

use crate::sandbox::Sandbox;
use crate::sql::Database;
use crate::workload::Workload;

/// Three hundred instants.
const INSTANTS: &str = "generate_series('2017-01-02'::timestamp, '2017-01-02'::timestamp + interval '299 minutes', '1 minute') t";

/// What `init` found in a database, and the configuration, which is planned.
#[track_caller]
fn planned(sandbox: &Sandbox, url: &str, options: &[&str]) -> (Value, String) {
    let found = sandbox.run(&[&["init", url, "--json"], options].concat()).exits(0).json();
    let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    let plan = sandbox.run(&["plan", "--json"]).exits(0).json();
    assert!(!plan["partitions"].as_array().unwrap().is_empty(), "{plan}");
    (found, text)
}

#[test]
fn the_two_series_of_a_schema_are_found_planned_and_run_beside_their_features() {
    let workload = Workload::wide();
    fs::remove_file(workload.sandbox.path("rollfit.toml")).unwrap();
    let url = workload.database.url();
    let (found, text) = planned(&workload.sandbox, &url, &[]);
    assert_eq!((&found["keys"], &found["series"]), (&json!(["eurusd", "usdjpy"]), &json!(["idx", "bqx"])));
    for line in [r#"keys = "all""#, r#"table = "m1_{key}""#, r#"features = "reg_rate_{key}_{yyyy}_{mm}""#] {
        assert!(text.contains(line), "{line}: {text}");
    }
    workload.sandbox.run(&["run", "--quiet"]).exits(0);
    // The features that are there now are no series.
    fs::remove_file(workload.sandbox.path("rollfit.toml")).unwrap();
    let (again, text_again) = planned(&workload.sandbox, &url, &[]);
    assert_eq!((&again["notes"], text_again), (&found["notes"], text));
}

#[test]
fn numeric_columns_odd_names_and_unrelated_tables_are_taken_as_they_are() {
    let (sandbox, database) = (Sandbox::new(), Database::fresh());
    for key in ["AAPL", "BRK.B"] {
        database.sql(&format!(
            "create table \"Px of {key}\" (id bigint, \"At '\"\"\" timestamptz primary key, \"Last #1\" numeric(12, 4), note text);
             insert into \"Px of {key}\" select 1, t at time zone 'UTC', 100 + extract(minute from t) from {INSTANTS}"
        ));
    }
    database.sql(
        "create table users (id int primary key, name text, created_at timestamptz);
         create table orders (id int, user_id int, created_at timestamptz, amount numeric);
         create table events (happened timestamptz, weight real)",
    );
    let (found, text) = planned(&sandbox, &database.url(), &[]);
    assert_eq!((&found["keys"], &found["series"]), (&json!(["AAPL", "BRK.B"]), &json!(["last__1"])));
    assert!(text.contains(r#"table = "Px of {key}""#) && text.contains(r#"time = "At '\"""#), "{text}");
    assert!(found["notes"][0].as_str().unwrap().contains("left out 3 tables"), "{found}");
    sandbox.run(&["run", "--quiet"]).exits(0);
}

#[test]
fn one_table_has_a_listed_key_and_a_schema_is_kept() {
    let (sandbox, database) = (Sandbox::new(), Database::fresh());
    database.sql(&format!(
        "create schema \"my s\"; create table \"my s\".ticks (ts timestamp primary key, bid real, ask real);
         insert into \"my s\".ticks select t, 1.5, 2 from {INSTANTS}"
    ));
    let (found, text) = planned(&sandbox, &database.url(), &["--schema", "my s"]);
    assert_eq!((&found["keys"], &found["series"]), (&json!(["ticks"]), &json!(["bid", "ask"])));
    for line in [
        r#"keys = ["ticks"]"#,
        r#"schema = "my s""#,
        "taken as UTC",
        r#"features = "reg_bid_{key}_{yyyy}_{mm}""#,
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    sandbox.run(&["run", "--quiet"]).exits(0);
}

#[test]
fn what_gives_no_series_is_said_with_the_reason_for_each_table() {
    let (sandbox, database) = (Sandbox::new(), Database::fresh());
    let url = database.url();
    sandbox.run(&["init", &url]).exits(2).says(&["there are no tables", "--template"]);
    database.sql("create schema market; create table market.a (ts timestamptz, x real)");
    sandbox.run(&["init", &url]).exits(2).says(&["there are no tables", "which --schema names: market"]);
    database.sql("create table users (id int, name text); create table log (ts bigint, level real)");
    let none = sandbox.run(&["init", &url]).exits(2);
    none.says(&["log (its column ts is bigint, not a timestamp)", "users (it has no timestamp)"]);
    database.sql("create table a (ts timestamptz, x real); create table b (at timestamptz, y real)");
    sandbox.run(&["init", &url]).exits(2).says(&["do not belong together", "a (has ts, x)", "b (has at, y)"]);
    // A table without rows has no month.
    sandbox.run(&["init", &url, "--table", "a"]).exits(2).says(&["has rows"]);
    // Rows of several instruments in one table are not one series.
    database.sql("insert into a values ('2017-01-02Z', 1), ('2017-01-02Z', 2)");
    sandbox.run(&["init", &url, "--table", "a"]).exits(2).says(&["in two rows"]);
    assert!(!sandbox.path("rollfit.toml").exists());
}

#[test]
fn a_password_is_used_and_not_written() {
    let workload = Workload::one();
    let url = workload.database.url().replacen("postgres@", "postgres:s3cret%2F1@", 1);
    assert!(url.contains("s3cret"), "{url}");
    fs::remove_file(workload.sandbox.path("rollfit.toml")).unwrap();
    let wrote = workload.sandbox.run(&["init", &url]).exits(0);
    let text = fs::read_to_string(workload.sandbox.path("rollfit.toml")).unwrap();
    assert!(text.contains("~/.pgpass") && text.contains("postgres@"), "{text}");
    assert!(![&text, &wrote.stdout, &wrote.stderr].iter().any(|said| said.contains("s3cret")), "{wrote}");
    workload.sandbox.run(&["plan"]).exits(0);
}

#[test]
fn tables_need_names_for_features_and_the_message_has_one() {
    let workload = Workload::one();
    workload.reconfigure(|text| {
        text.lines().filter(|line| !line.starts_with("features = ")).collect::<Vec<_>>().join("\n")
    });
    let refused = workload.sandbox.run(&["plan"]).exits(2);
    refused.says(&["[series.idx] has no `features`", r#"features = "reg_idx_{key}_{yyyy}_{mm}""#]);
}
