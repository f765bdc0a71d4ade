//! Partitions that are quarters, years or all rows of a key, in tables: bounds below a parent, receipts and their columns, rows added to
//! a year, fits, and features by months in the same schema, which are never taken for others.

use serde_json::Value;

use rollfit_job::config::Layout;

use crate::checker::Contents;
use crate::server::shared;
use crate::workload::{Shape, Workload};

/// Three months around the turn of a year.
const WINTER: Shape = Shape { keys: &["eurusd"], months: &["2016-11", "2016-12", "2017-01", "2017-02"] };
const EARLY: &str = "2017-02-28 20:00";
const END: &str = "2017-02-28 23:30";

/// A workload by a unit, with windows that reach into the partitions before.
fn workload(by: &str, parent: bool) -> Workload<'static> {
    let workload = Workload::on(shared(), WINTER);
    set_unit(&workload, by);
    if parent {
        for (series, table) in [("idx", "rate"), ("bqx", "bqx")] {
            workload.reconfigure(|text| {
                text.replace(
                    &format!("[series.{series}]"),
                    &format!("[series.{series}]\nparent = \"parent_{table}_{{key}}\""),
                )
            });
        }
    }
    workload
}

fn set_unit(workload: &Workload<'_>, by: &str) {
    let placeholders = match by {
        "month" => "_{yyyy}_{mm}",
        "quarter" => "_{yyyy}_q{q}",
        "year" => "_{yyyy}",
        _ => "",
    };
    workload.configure("");
    workload.reconfigure(|text| {
        text.replace(
            "from = \"2016-11\"\nto = \"2017-02\"",
            &format!("by = \"{by}\"\nfrom = \"first\"\nto = \"latest\""),
        )
        .replace("_{yyyy}_{mm}", placeholders)
        .replace("\"reset\"", "\"carry\"")
    });
}

/// Checks that the tables hold what they should.
#[track_caller]
fn is_as(workload: &Workload<'_>, wanted: &Contents) {
    let differences = Contents::from_database(&workload.database).differences(wanted);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// A number over all rows of features, in the order of time: the same for the same rows.
fn rows_of(workload: &Workload<'_>) -> String {
    let tables = workload.database.texts(
        "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'public' and c.relkind = 'r' and c.relname like 'reg_rate%'",
    );
    let all: Vec<String> = tables
        .into_iter()
        .map(|row| {
            format!(
                "select ts_utc, a1_idx_w15, r2_idx_agg, prediction_idx_w60 from {}",
                row[0].as_ref().unwrap()
            )
        })
        .collect();
    let all = all.join(" union all ");
    workload.database.one(&format!("select md5(string_agg(t::text, ';' order by ts_utc)) from ({all}) t"))
}

fn receipts(workload: &Workload<'_>) -> Vec<String> {
    let rows = workload.database.texts(
        "select key || ' ' || month || ' ' || coalesce(period, 'NULL') || ' ' || coalesce(receipt ->> 'format', '-')
         from rollfit_receipts order by month",
    );
    rows.into_iter().map(|row| row[0].clone().unwrap()).collect()
}

#[test]
fn all_units_have_the_same_rows_and_receipts_say_which_periods_they_are_of() {
    let mut rows = Vec::new();
    for (by, expected) in [
        (
            "month",
            vec![
                "eurusd 2016-11-01 NULL -",
                "eurusd 2016-12-01 NULL -",
                "eurusd 2017-01-01 NULL -",
                "eurusd 2017-02-01 NULL -",
            ],
        ),
        ("quarter", vec!["eurusd 2016-10-01 quarter 3", "eurusd 2017-01-01 quarter 3"]),
        ("year", vec!["eurusd 2016-01-01 year 3", "eurusd 2017-01-01 year 3"]),
        ("all", vec!["eurusd 0001-01-01 all 3"]),
    ] {
        let workload = workload(by, false);
        workload.done();
        assert_eq!(receipts(&workload), expected, "{by}");
        rows.push(rows_of(&workload));
        let before = Contents::from_database(&workload.database);
        let again = workload.done();
        assert_eq!((&again["written"], &again["already_done"]), (&0.into(), &(expected.len()).into()));
        is_as(&workload, &before);
        workload.run(&["verify", "--quiet"]).exits(0);
        workload.run(&["doctor"]).exits(0);
        workload.run(&["status", "--store"]).exits(0).says(&["0 missing", "0 foreign"]);
    }
    assert!(rows.windows(2).all(|pair| pair[0] == pair[1]), "{rows:?}");
}

#[test]
fn leaves_have_the_bounds_of_their_periods_and_others_are_in_the_way() {
    let workload = workload("quarter", true);
    workload.done();
    let bounds = workload.database.texts(
        "select pg_get_expr(relpartbound, oid) from pg_class where relname like 'reg_rate_eurusd_%' and relispartition and relkind = 'r' order by relname",
    );
    let bounds: Vec<String> = bounds.into_iter().map(|row| row[0].clone().unwrap()).collect();
    assert!(
        bounds[0].contains("'2016-10-01 00:00:00") && bounds[0].contains("'2017-01-01 00:00:00"),
        "{bounds:?}"
    );
    assert!(bounds[1].contains("'2017-04-01 00:00:00"), "{bounds:?}");
    assert_eq!(workload.done()["written"], 0);
    // By months below the same parent each row would be there twice.
    set_unit(&workload, "month");
    for (series, table) in [("idx", "rate"), ("bqx", "bqx")] {
        workload.reconfigure(|text| {
            text.replace(
                &format!("[series.{series}]"),
                &format!("[series.{series}]\nparent = \"parent_{table}_{{key}}\""),
            )
        });
    }
    let plan = workload.run(&["plan"]);
    assert_ne!(plan.status.code(), Some(0), "{plan}");
    plan.says(&["is in the way of 2016-11"]);
}

#[test]
fn rows_are_added_to_a_year_and_to_all_rows() {
    for (by, table) in [("year", "reg_rate_eurusd_2017"), ("all", "reg_rate_eurusd")] {
        let workload = workload(by, false);
        workload.cut_sources(EARLY);
        workload.done();
        let wanted = workload_of_all(by);
        let writers =
            || -> i64 { workload.database.one(&format!("select count(distinct xmin::text) from {table}")) };
        for (times, until) in [(1, "2017-02-28 21:00"), (2, END)] {
            workload.grow_sources(until);
            let plan = workload.run(&["plan", "--json"]).exits(0).json();
            assert!(plan.to_string().contains("\"grown\""), "{plan}");
            assert_eq!(workload.done()["written"], 1);
            assert_eq!(writers(), 1 + times, "{by}: rows that are there are not written again");
        }
        is_as(&workload, &wanted);
        workload.run(&["verify", "--quiet"]).exits(0);
    }
}

fn workload_of_all(by: &str) -> Contents {
    let workload = workload(by, false);
    workload.done();
    Contents::from_database(&workload.database)
}

#[test]
fn features_by_months_are_not_those_of_other_keys_where_one_table_has_all_rows() {
    let workload = workload("month", false);
    workload.done();
    set_unit(&workload, "all");
    workload.reconfigure(|text| text.replace("keys = [\"eurusd\"]", "keys = \"all\""));
    let plan = workload.run(&["plan", "--json"]).exits(0).json();
    let keys: Vec<&Value> =
        plan["partitions"].as_array().unwrap().iter().map(|line| &line["partition"]["key"]).collect();
    assert_eq!(keys, ["eurusd"], "{plan}");
    assert_eq!(workload.done()["written"], 1);
    assert_eq!(receipts(&workload).len(), 5);
    workload.run(&["drop", "eurusd:all"]).exits(0).says(&["dropped eurusd all"]);
    assert_eq!(receipts(&workload).len(), 4);
}

#[test]
fn fits_and_their_views_are_of_a_year_too() {
    let workload = workload("year", false);
    let text = |text: String| text.replace("[partitions]", "layout = \"fits\"\n\n[partitions]");
    workload.reconfigure(text);
    let workload = Workload { layout: Layout::Fits, ..workload };
    workload.done();
    assert_eq!(receipts(&workload), ["eurusd 2016-01-01 year 3", "eurusd 2017-01-01 year 3"]);
    assert!(workload.database.one::<i64>("select count(r2_idx_agg) from reg_rate_eurusd_2017") > 2000);
    assert_eq!(workload.done()["written"], 0);
    workload.run(&["verify", "--quiet"]).exits(0);
    workload.run(&["schema"]).exits(0).says(&["nothing is missing"]);
    let ahead = workload.run(&["schema", "--months-ahead", "12"]).exits(0).stdout;
    assert!(ahead.contains("reg_rate_eurusd_2018") && !ahead.contains("reg_rate_eurusd_2019"), "{ahead}");
}
