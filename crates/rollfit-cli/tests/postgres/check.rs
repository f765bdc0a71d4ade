//! `rollfit check` on a server: rows are counted in the tables, receipts that can't be read make nothing OK, nor does a server that is gone.

use crate::server::{Server, Shutdown};
use crate::workload::{SMALL, Workload};

const RATE: &str = "reg_rate_eurusd_2017_02";

#[test]
fn rows_that_others_took_away_are_found_in_the_newest_months_and_with_counts_in_all() {
    let workload = Workload::wide();
    workload.done();
    workload.run(&["check", "--counts"]).exits(0).says(&["OK rows: as many rows as receipts say in 6 of 6"]);
    workload.run(&["check"]).exits(0).says(&["in 4 of 6 partitions"]);
    let delete = |table: &str| {
        workload
            .database
            .sql(&format!("delete from {table} where ts_utc = (select max(ts_utc) from {table})"));
    };
    delete("reg_bqx_usdjpy_2017_01");
    workload.run(&["check"]).exits(0);
    let words =
        "reg_rate_usdjpy_2017_01 has 1,488, public.reg_bqx_usdjpy_2017_01 has 1,487, the receipt 1,488";
    workload.run(&["check", "--counts"]).exits(2).says(&["PROBLEM rows: usdjpy 2017-01", words]);
    // Where policies are, partitions are looked at one by one.
    delete(RATE);
    workload.database.sql(&format!("alter table {RATE} enable row level security"));
    workload.run(&["check"]).exits(2).says(&["PROBLEM rows: eurusd 2017-02"]);
}

#[test]
fn tables_that_are_gone_or_empty_or_of_somebody_else_are_told_apart() {
    let workload = Workload::wide();
    workload.done();
    workload.database.sql(
        "drop table reg_bqx_eurusd_2017_01;
         truncate reg_bqx_usdjpy_2017_01;
         alter table reg_rate_usdjpy_2017_02 drop r2_idx_agg;
         delete from rollfit_receipts where key = 'eurusd' and month = '2017-03-01';
         truncate reg_rate_eurusd_2017_02, reg_bqx_eurusd_2017_02",
    );
    let found = |document: &serde_json::Value, check: &str| -> Vec<String> {
        let checks = document["checks"].as_array().unwrap();
        let line = checks.iter().find(|line| line["check"] == check).unwrap();
        let findings = line["findings"].as_array().unwrap().iter();
        let texts = findings.map(|fact| format!("{} {} {}", fact["key"], fact["month"], fact["fact"]));
        texts.map(|text| text.replace('"', "")).collect()
    };
    let receipts =
        ["eurusd 2017-01 void", "eurusd 2017-03 foreign", "usdjpy 2017-01 void", "usdjpy 2017-02 void"];
    let document = workload.run(&["check", "--json"]).exits(2).json();
    assert_eq!(found(&document, "receipts"), receipts, "{document}");
    assert_eq!(found(&document, "coverage"), ["eurusd 2017-02 missing"], "{document}");
    workload.database.sql("delete from bqx_eurusd where ts_utc >= '2017-02-01' and ts_utc < '2017-03-01'");
    let document = workload.run(&["check", "--json"]).exits(2).json();
    assert_eq!(found(&document, "coverage"), ["eurusd 2017-02 source-gap"], "{document}");
}

#[test]
fn features_that_a_run_has_not_added_yet_are_late_and_closes_alone_are_not() {
    let workload = Workload::one();
    workload.done();
    workload.replace_in_configuration("to = \"2017-01\"", "to = \"latest\"");
    let check = |now: &str| workload.run(&["check", "--max-lag", "10m", "--now", now]);
    check("2017-01-31T23:40:00Z").exits(0);
    check("2017-01-31T23:41:00Z").exits(2).says(&["PROBLEM source: eurusd without new rows in idx, bqx"]);
    workload.database.sql("insert into m1_eurusd values ('2017-02-01 00:00', 100)");
    check("2017-02-01 00:05:00Z")
        .exits(2)
        .says(&["PROBLEM source: eurusd without new rows in bqx for 35.0 min"]);
    workload.database.sql("insert into bqx_eurusd values ('2017-02-01 00:00+00', 1)");
    check("2017-02-01 00:05:00Z").exits(0);
    let late = check("2017-02-01 00:11:00Z").exits(2);
    late.says(&[
        "PROBLEM freshness: eurusd without features for 11.0 min (from 2017-02-01T00:00:00Z on)",
        "OK source",
    ]);
    workload.done();
    check("2017-02-01 00:10:00Z").exits(0);
}

#[test]
fn a_role_that_sees_no_receipts_and_a_server_that_is_gone_are_unknown() {
    let server = Server::start();
    let workload = Workload::on(&server, SMALL);
    workload.done();
    let role = workload.as_new_role("monitor");
    workload
        .run(&["check"])
        .exits(3)
        .says(&["UNKNOWN: the role may not read public.rollfit_receipts", "GRANT SELECT"]);
    workload.database.sql(&format!("grant select on all tables in schema public to {role}"));
    workload.run(&["check"]).exits(0);
    workload.database.sql(&format!("revoke select on {RATE} from {role}"));
    workload.run(&["check"]).exits(3).says(&["UNKNOWN receipts: cannot check eurusd 2017-02"]);
    workload.database.sql(&format!("grant select on {RATE} to {role}"));

    server.stop(Shutdown::Immediate);
    let answer = workload.run(&["check"]).exits(3);
    assert!(answer.stdout.starts_with("UNKNOWN: "), "{answer}");
    server.start_again();
}
