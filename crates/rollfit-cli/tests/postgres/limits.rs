//! What a server's tables cannot hold is refused before anything is computed or made: names of other schemas, names that
//! are taken or too long, too many columns, rows wider than a page.

use crate::workload::Workload;

const RATE: &str = "features = \"reg_rate_{key}_{yyyy}_{mm}\"";

/// The names of all relations outside of the catalogues.
fn relations(workload: &Workload<'_>) -> String {
    workload.database.one(
        "select string_agg(relnamespace::regnamespace || '.' || relname, ' ' order by 1) from pg_class
         where relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema', 'pg_toast')",
    )
}

/// Refuses a configuration in which `to` takes the place of `from`, whatever the command.
fn refused(workload: &Workload<'_>, from: &str, to: &str, parts: &[&str]) {
    let before = relations(workload);
    let text = std::fs::read_to_string(workload.sandbox.path("rollfit.toml")).unwrap();
    workload.replace_in_configuration(from, to);
    for command in [&["plan"][..], &["run"], &["schema"], &["doctor"], &["verify"]] {
        workload.run(command).exits(2).says(parts);
    }
    workload.reconfigure(|_| text.clone());
    assert_eq!(relations(workload), before);
}

#[test]
fn a_pattern_names_tables_of_one_schema() {
    let workload = Workload::one();
    workload.database.sql("create schema other; create table other.m1_eurusd (like m1_eurusd)");
    let table = "table = \"m1_{key}\"";
    let told = ["without its schema", "remove `other.`", "set schema = \"other\""];
    refused(&workload, table, "table = \"other.m1_{key}\"", &told);
    refused(&workload, table, "table = '\"other\".\"m1_{key}\"'", &told);
    refused(&workload, RATE, "features = \"other.reg_{key}_{yyyy}_{mm}\"", &told);
    refused(&workload, RATE, &format!("parent = \"other.reg_{{key}}\"\n{RATE}"), &told);
    // Where there is no such schema, a dot is a character like any other.
    workload.database.sql("alter table m1_eurusd rename to \"another.m1_eurusd\"");
    workload.replace_in_configuration(table, "table = \"another.m1_{key}\"");
    workload.replace_in_configuration(RATE, "features = \"a.b/../c_{key}_{yyyy}_{mm}\"");
    workload.done();
    assert_eq!(workload.database.one::<i64>("select count(*) from public.\"a.b/../c_eurusd_2017_01\""), 1488);
}

#[test]
fn names_that_are_taken_are_no_outputs() {
    let workload = Workload::one();
    let features = |name: &str| format!("features = \"{name}\"");
    for ours in ["rollfit_receipts", "rollfit_definitions", "rollfit_bases"] {
        refused(&workload, RATE, &features(ours), &[ours, "keeps for itself"]);
        refused(
            &workload,
            RATE,
            &format!("parent = \"{ours}\"\n{RATE}"),
            &["parent", ours, "keeps for itself"],
        );
    }
    refused(&workload, RATE, &features("m1_{key}"), &["`m1_eurusd`", "a source table of series `idx`"]);
    refused(&workload, RATE, &features("bqx_{key}"), &["`bqx_eurusd`", "a source table of series `bqx`"]);
    refused(
        &workload,
        RATE,
        &format!("parent = \"reg_rate_{{key}}_{{yyyy}}_01\"\n{RATE}"),
        &["`reg_rate_eurusd_2017_01`", "the `parent` of series `idx`"],
    );
    let column = "\n[features]\ncolumn = \"{window}\"\nmetrics = [\"r2\"]\n\n[run]";
    workload.replace_in_configuration("\n[run]", column);
    workload.replace_in_configuration("[series.bqx]", "column = \"{window}_idx\"\n[series.bqx]");
    refused(&workload, "w15 = 15", "xmin = 15", &["[series.bqx] column", "a column `xmin` of its own"]);
    workload.done();
}

#[test]
fn source_tables_of_too_long_names_are_refused_though_the_server_would_cut_them() {
    let workload = Workload::one();
    // The server cuts the longer name to this one.
    let cut = format!("{}eurus", "x".repeat(58));
    workload.database.sql(&format!("alter table m1_eurusd rename to {cut}"));
    let pattern = format!("table = \"{}{{key}}\"", "x".repeat(58));
    refused(&workload, "table = \"m1_{key}\"", &pattern, &["[series.idx] table", "64 bytes", "keeps 63"]);
    workload.replace_in_configuration("table = \"m1_{key}\"", &format!("table = \"{cut}\""));
    workload.done();
}

/// A job with `count` windows whose only features are `metrics`.
fn with_windows(workload: &Workload<'_>, count: usize, metrics: &str) {
    workload.reconfigure(|text| {
        let (before, after) = text.split_once("[windows]").unwrap();
        let after = &after[after.find("\n[run]").unwrap()..];
        let windows: String = (0..count).map(|at| format!("v{at} = {}\n", at + 3)).collect();
        format!("{before}[windows]\n{windows}\n[features]\nmetrics = {metrics}\n{after}")
    });
}

#[test]
fn more_columns_than_a_table_has_are_refused_by_every_command() {
    let workload = Workload::one();
    with_windows(&workload, 1600, "[\"r2\"]");
    let told = ["[series.idx]: 1600 windows x 1 metrics = 1600 columns", "at most 1600, ts_utc included"];
    refused(&workload, "[partitions]", "numbers = \"real\"\n[partitions]", &told);
    with_windows(&workload, 1599, "[\"r2\"]");
    workload.replace_in_configuration("[partitions]", "numbers = \"real\"\n[partitions]");
    workload.done();
}

#[test]
fn a_row_wider_than_a_page_is_refused_before_its_table_is_made() {
    let workload = Workload::one();
    let before = relations(&workload);
    with_windows(&workload, 1002, "[\"r2\"]");
    for command in ["plan", "run", "schema", "doctor"] {
        let refused = workload.run(&[command]).exits(1);
        refused.says(&["reg_rate_eurusd_2017_01", "a row of 1002 features has 8168 bytes", "room for 8160"]);
    }
    assert_eq!(workload.database.one::<i64>("select count(*) from pg_class where relname like 'reg\\_%'"), 0);
    assert_eq!(before.matches("reg_").count(), 0);
    with_windows(&workload, 1001, "[\"r2\"]");
    workload.done();
}

#[test]
fn a_new_table_is_like_the_latest_of_its_key_and_not_like_one_of_a_longer_key() {
    let workload = Workload::small();
    workload.run(&["run", "--only", "eurusd:2017-01"]).exits(0);
    // A later table of a key that begins like ours.
    workload.database.sql(
        "create table reg_rate_eurusd_x_2018_01 (like reg_rate_eurusd_2017_01);
         alter table reg_rate_eurusd_x_2018_01 alter r2_idx_w15 type numeric;
         alter table reg_rate_eurusd_2017_01 alter r2_idx_w15 type real",
    );
    workload.run(&["run", "--only", "eurusd:2017-02"]).exits(0);
    let kind = "select format_type(atttypid, atttypmod) from pg_attribute
                where attrelid = 'reg_rate_eurusd_2017_02'::regclass and attname = 'r2_idx_w15'";
    assert_eq!(workload.database.one::<String>(kind), "real");
}
