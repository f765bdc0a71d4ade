//! Every statement that is printed works when it is executed, and the run after it succeeds: at the parent where the table
//! is a partition, with the types of its neighbours, with views taken out of the way and put back.

use crate::placement::{printed, remedies};
use crate::workload::Workload;

const BQX: &str = "reg_bqx_eurusd_2017_01";

/// One partition, done and emptied again, changed by these statements.
fn changed(changes: &str) -> Workload<'static> {
    let workload = Workload::one();
    workload.done();
    workload.database.sql(&format!(
        "truncate reg_rate_eurusd_2017_01, {BQX}, rollfit_receipts; {}",
        changes.replace("BQX", BQX)
    ));
    workload
}

/// Executes what a run prints; the run after it succeeds.
#[track_caller]
fn is_put_right(workload: &Workload<'_>, words: &[&str]) {
    let answer = workload.run(&["run"]).exits(1).says(words);
    let line = answer.stdout.lines().find(|line| line.contains(": failed: ")).unwrap().to_owned();
    let statements = printed(&line);
    assert!(!statements.is_empty(), "{answer}");
    workload.database.sql(&statements.join(";\n"));
    workload.done();
    workload.run(&["verify", "--quiet"]).exits(0);
}

#[test]
fn columns_are_added_with_the_types_of_their_neighbours() {
    let workload = changed(
        "alter table BQX alter a1_bqx_w15 type numeric(20,8), drop b_bqx_w15, alter r2_bqx_agg type real,
         drop rmse_bqx_agg",
    );
    is_put_right(&workload, &["2 columns are missing, the first is b_bqx_w15 (numeric(20,8))"]);
    let types = format!(
        "select string_agg(format_type(atttypid, atttypmod), ' ' order by attname) from pg_attribute
         where attrelid = '{BQX}'::regclass and attname in ('b_bqx_w15', 'rmse_bqx_agg')"
    );
    assert_eq!(workload.database.one::<String>(&types), "numeric(20,8) real");
}

#[test]
fn what_partitions_lack_is_added_at_their_parent_and_printed_once() {
    let workload = Workload::small();
    workload.replace_in_configuration("[series.bqx]", "parent = \"reg_rate_{key}\"\n\n[series.bqx]");
    workload
        .database
        .sql(&workload.run(&["schema"]).exits(0).stdout.replace("double precision", "numeric(24,12)"));
    workload.database.sql(
        "alter table reg_rate_eurusd drop r2_idx_w15, drop a2_idx_agg;
         alter table reg_rate_eurusd add note text not null",
    );
    let wanted = "ALTER TABLE \"public\".\"reg_rate_eurusd\" ADD COLUMN \"r2_idx_w15\" numeric(24,12), \
                  ADD COLUMN \"a2_idx_agg\" numeric(24,12)";
    for command in ["plan", "run"] {
        let answer = workload.run(&[command]).exits(1).says(&["2 columns are missing"]);
        assert_eq!(answer.stdout.matches(wanted).count(), 1, "{answer}");
        assert_eq!(answer.stdout.matches("also fixes this table").count(), 1, "{answer}");
    }
    let found = workload.doctor(1);
    assert_eq!(remedies(&found), [wanted]);
    workload.database.sql(wanted);
    let found = workload.doctor(1);
    assert_eq!(
        remedies(&found),
        ["ALTER TABLE \"public\".\"reg_rate_eurusd\" ALTER COLUMN \"note\" DROP NOT NULL"]
    );
    workload.database.sql(&remedies(&found).join(";"));
    workload.done();
}

#[test]
fn columns_of_wrong_types_are_altered_under_views_of_views() {
    let workload = changed(
        "alter table BQX alter a2_bqx_agg type text, alter r2_bqx_agg type bigint using 0,
             alter a2_bqx_agg set default 'none', alter r2_bqx_w15 type boolean using true;
         create role reader_of_views; create view first_view with (security_barrier) as
             select ts_utc, a2_bqx_agg, 'a  b' as words from BQX;
         create view \"Second\" as select * from first_view where a2_bqx_agg is not null;
         grant select on \"Second\" to reader_of_views",
    );
    is_put_right(
        &workload,
        &["r2_bqx_w15 is boolean", "expected double precision, numeric or real (and 2 more columns)"],
    );
    let views = "select string_agg(concat_ws(' ', relname, reloptions, relacl::text like '%reader_of_views%'), ', ' order by relname)
                 from pg_class where relkind = 'v' and relnamespace = 'public'::regnamespace";
    assert_eq!(workload.database.one::<String>(views), "Second t, first_view {security_barrier=true}");
    assert_eq!(workload.database.one::<String>("select distinct words from \"Second\""), "a  b");
    workload.database.sql("drop owned by reader_of_views; drop role reader_of_views");
}

#[test]
fn what_no_statement_changes_is_told_without_one() {
    let workload = changed(
        "alter table BQX alter a2_bqx_agg type text; create materialized view kept as select a2_bqx_agg from BQX",
    );
    let answer = workload.run(&["run"]).exits(1).says(&["materialized view", "kept uses it", "drop that"]);
    assert!(printed(&answer.stdout).is_empty(), "{answer}");
    workload.database.sql("drop materialized view kept");
    is_put_right(&workload, &["a2_bqx_agg is text"]);

    let workload = changed(
        "alter table BQX drop constraint reg_bqx_eurusd_2017_01_pkey, add symbol text, add primary key (symbol, ts_utc)",
    );
    let answer = workload.run(&["run"]).exits(1).says(&[
        "column symbol",
        "in the primary key",
        "give symbol a default",
    ]);
    assert!(printed(&answer.stdout).is_empty(), "{answer}");
    workload.database.sql(&format!("alter table {BQX} alter symbol set default 'eurusd'"));
    workload.done();
}

#[test]
fn statements_too_long_for_a_message_are_printed_whole_by_doctor_alone() {
    let workload = changed("drop table BQX; create table BQX (ts_utc timestamp primary key)");
    for command in ["plan", "run"] {
        let answer =
            workload.run(&[command]).exits(1).says(&["90 columns are missing", "`rollfit doctor` prints"]);
        assert!(!answer.to_string().contains("[...]") && printed(&answer.stdout).is_empty(), "{answer}");
    }
    let statements = remedies(&workload.doctor(1));
    assert_eq!(statements.len(), 1);
    workload.database.sql(&statements.join(";"));
    workload.done();
}

#[test]
fn no_statement_is_printed_that_would_fail_or_lose_what_hangs_on_a_view() {
    const IN_THE_WAY: [(&str, &str, &str); 4] = [
        ("alter table BQX add twice text generated always as (a2_bqx_agg || a2_bqx_agg) stored", "column twice", ""),
        (
            "create function most() returns text language sql begin atomic select max(a2_bqx_agg) from BQX; end",
            "most()",
            "drop function most()",
        ),
        (
            "create view shown as select a2_bqx_agg from BQX; create trigger into_it instead of insert on shown for each row
             execute function nothing()",
            "view",
            "drop view shown",
        ),
        (
            "create view shown as select a2_bqx_agg from BQX; grant select (a2_bqx_agg) on shown to public",
            "view",
            "drop view shown",
        ),
    ];
    let workload = changed(
        "alter table BQX alter a2_bqx_agg type text;
         create function nothing() returns trigger language plpgsql as 'begin return null; end'",
    );
    for (made, named, undone) in IN_THE_WAY {
        workload.database.sql(&made.replace("BQX", BQX));
        let answer = workload.run(&["plan"]).exits(1).says(&["a2_bqx_agg is text", named, "uses it"]);
        assert!(printed(&answer.stdout).is_empty(), "{answer}");
        let undone =
            if undone.is_empty() { format!("alter table {BQX} drop twice") } else { undone.to_owned() };
        workload.database.sql(&undone);
    }
    is_put_right(&workload, &["a2_bqx_agg is text"]);
}

#[test]
fn rows_without_an_instant_are_an_error_and_stay() {
    let workload = changed("alter table BQX drop ts_utc; insert into BQX (a2_bqx_agg) values (1)");
    let answer = workload.run(&["run"]).exits(1).says(&["column ts_utc (timestamp) is missing"]);
    workload.database.sql(&printed(&answer.stdout).join(";"));
    workload.run(&["run"]).exits(1).says(&[BQX, "holds rows whose ts_utc is NULL"]);
    workload.database.sql(&format!("delete from {BQX}"));
    workload.done();
}

#[test]
fn bytes_are_estimated_from_the_types_of_the_tables() {
    let bytes = |workload: &Workload<'_>| -> Vec<u64> {
        let plan = workload.run(&["plan", "--json"]).exits(0).json();
        let partitions = plan["partitions"].as_array().unwrap();
        partitions.iter().map(|line| line["write_bytes"].as_u64().unwrap()).collect()
    };
    let workload = Workload::small();
    let doubles = bytes(&workload);
    assert_eq!(doubles, [1488 * 2 * (14 + 90 * 12), 1344 * 2 * (14 + 90 * 12)]);
    let schema = workload.run(&["schema", "--only", "eurusd:2017-01"]).exits(0).stdout;
    workload.database.sql(&schema.replace("double precision", "numeric(12,6)"));
    // The second month's tables will be like the first month's.
    let decimals = [1488 * 2 * (14 + 90 * 18), 1344 * 2 * (14 + 90 * 18)];
    assert_eq!(bytes(&workload), decimals);
    assert_eq!(workload.doctor(0).0["work"]["write_bytes"], decimals.iter().sum::<u64>());
    let written = workload.done()["bytes"].as_u64().unwrap();
    let estimated: u64 = decimals.iter().sum();
    assert!(written.abs_diff(estimated) < estimated / 5, "{written} {estimated}");
}
