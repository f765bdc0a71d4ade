//! Keys that a job on all keys does not read are named, once.

use crate::workload::Workload;

#[test]
fn tables_that_make_up_no_key_are_named_once_and_the_others_are_computed() {
    let workload = Workload::small();
    workload.database.sql(
        "create table m1_gbpusd (time timestamp, rate_index float8);
         create view bqx_usdjpy as select now() as ts_utc, 1.0::float8 as w15_bqx_return;
         create table \"m1_eur usd\" (); create table notes ()",
    );
    workload.reconfigure(|text| text.replace(r#"["eurusd"]"#, r#""all""#));
    for command in [&["plan"][..], &["run"], &["doctor"]] {
        let answer = workload.run(command).exits(0).says(&[
            "3 tables of the source",
            "m1_gbpusd (table bqx_gbpusd does not exist)",
            "bqx_usdjpy (table m1_usdjpy does not exist)",
            "m1_eur usd (`eur usd` is not a key",
        ]);
        assert_eq!(answer.stderr.matches("keys = \"all\" skips").count(), 1, "{answer}");
    }
    workload.database.sql("create table bqx_gbpusd (ts_utc timestamptz, w15_bqx_return float8)");
    workload.run(&["plan"]).exits(0).says(&["2 tables", "m1_gbpusd has no rows"]);
    workload.database.sql("drop view bqx_usdjpy; drop table m1_gbpusd, bqx_gbpusd, \"m1_eur usd\", notes");
    workload.is_as_undisturbed();
}
