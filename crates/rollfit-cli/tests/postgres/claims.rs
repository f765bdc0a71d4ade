//! What changes between the look before a partition is read and its claim: the claim, which is sent by what that look has found, sees it.

use crate::checker::Undisturbed;
use crate::sandbox::Answer;
use crate::workload::Workload;

const RATE: &str = "reg_rate_eurusd_2017_01";
const BQX: &str = "reg_bqx_eurusd_2017_01";

/// A run of partitions that are to be replaced, which is stopped before its first claim until others have done something.
#[track_caller]
fn claimed_after(workload: &Workload<'_>, changes: &str) -> Answer {
    let stopped = workload.stopped_at("connected", &[], &[]);
    workload.database.sql(changes);
    stopped.go_on().finish()
}

#[test]
fn a_table_that_goes_before_the_claim_is_not_taken_for_one_that_is_there() {
    let workload = Workload::changed();
    let summary = claimed_after(&workload, &format!("drop table {BQX}")).exits(4).json();
    assert_eq!((&summary["written"], &summary["skipped"][0]["state"]), (&1.into(), &"foreign".into()));
    workload.run(&["run", "--quiet", "--replace", "foreign"]).exits(0);
    workload.is(&Undisturbed::small().changed);
}

#[test]
fn a_table_that_comes_before_the_claim_is_looked_at_too() {
    let workload = Workload::small();
    let summary = claimed_after(&workload, &format!("create table {RATE} (ts_utc timestamp primary key)"))
        .exits(1)
        .json();
    assert!(summary["failed"][0]["cause"].as_str().unwrap().contains("columns are missing"), "{summary}");
    workload.database.sql(&format!("drop table {RATE}"));
    workload.done();
    // One that holds rows of others by then is not taken for an empty one.
    workload.database.sql(&format!("alter table {RATE} rename to saved; delete from {BQX}"));
    let change = format!("alter table saved rename to {RATE}; delete from rollfit_receipts");
    let summary = claimed_after(&workload, &change).exits(4).json();
    assert_eq!(summary["skipped"][0]["state"], "foreign", "{summary}");
    workload.run(&["run", "--quiet", "--replace", "foreign"]).exits(0);
    workload.is_as_undisturbed();
}

#[test]
fn rows_that_come_to_refer_to_a_partition_before_its_claim_block_it() {
    let workload = Workload::changed();
    let labels = format!(
        "create table labels (ts timestamp constraint labels_key references {RATE} on delete cascade);
         insert into labels select min(ts_utc) from {RATE}"
    );
    let summary = claimed_after(&workload, &labels).exits(4).json();
    assert_eq!((&summary["written"], &summary["skipped"][0]["state"]), (&1.into(), &"blocked".into()));
    assert_eq!(workload.database.one::<i64>("select count(*) from labels"), 1);
    // Where they go before the claim, they are in nobody's way.
    workload.database.sql("truncate labels");
    let summary = claimed_after(&workload, "drop table labels").exits(0).json();
    assert_eq!(summary["written"], 1, "{summary}");
    workload.is(&Undisturbed::small().changed);
}

#[test]
fn a_column_or_a_policy_that_comes_before_the_claim_is_told_as_ever() {
    for (change, words, undone) in [
        (
            format!("alter table {RATE} rename r2_idx_w15 to other"),
            &["column r2_idx_w15 (double precision) is missing"][..],
            format!("alter table {RATE} rename other to r2_idx_w15"),
        ),
        (
            format!("alter table {RATE} rename ts_utc to at"),
            &["column ts_utc (timestamp) is missing"],
            format!("alter table {RATE} rename at to ts_utc"),
        ),
        (
            format!("create table child () inherits ({BQX})"),
            &["inherits from it", "NO INHERIT"],
            "drop table child".to_owned(),
        ),
    ] {
        let workload = Workload::changed();
        let summary = claimed_after(&workload, &change).exits(1).json();
        let cause = summary["failed"][0]["cause"].as_str().unwrap();
        assert!(words.iter().all(|word| cause.contains(word)), "{change}: {cause}");
        assert_eq!(summary["written"], 1, "{change}");
        workload.database.sql(&undone);
        workload.done();
        workload.is(&Undisturbed::small().changed);
    }
}

/// Locks that depend on the claim take a DO block.
#[test]
fn without_plpgsql_partitions_are_claimed_step_by_step() {
    let workload = Workload::changed();
    workload.database.sql("drop extension plpgsql");
    workload.done();
    workload.cut_sources("2017-02-28 20:00");
    workload.run(&["run", "--quiet", "--replace", "shrunk"]).exits(0);
    workload.grow_sources("infinity");
    workload.run(&["run", "--quiet"]).exits(0);
    workload.run(&["verify", "--quiet"]).exits(0);
}
