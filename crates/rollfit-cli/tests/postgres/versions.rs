//! Tables that other versions of rollfit wrote: every command leaves those of a later one as they are, and those of an earlier
//! definition are adopted where their rows agree.

use rollfit_job::config::JobConfig;
use rollfit_job::receipt::Definition;
use serde_json::{Value, json};

use crate::workload::Workload;

const RATE: &str = "reg_rate_eurusd_2017_01";

/// Every row of a table.
fn contents(workload: &Workload<'_>, table: &str) -> String {
    workload.database.one(&format!("select md5(string_agg(t::text, ' ' order by t::text)) from {table} t"))
}

#[test]
fn no_command_touches_what_a_later_version_wrote() {
    let workload = Workload::one();
    workload.done();
    workload
        .database
        .sql("update rollfit_receipts set receipt = receipt || '{\"format\": 4, \"stored\": 7}'");
    let words = "written by a later version of rollfit (receipt format 4); use that version";
    let before = [RATE, "rollfit_receipts"].map(|table| contents(&workload, table));
    let plan = workload.run(&["plan", "--json"]).exits(0).json();
    assert_eq!(
        (&plan["partitions"][0]["state"], &plan["partitions"][0]["cause"]),
        (&"newer".into(), &words.into())
    );
    for options in [&[][..], &["--force"], &["--replace", "foreign", "--replace", "definition-changed"]] {
        workload.run(&[&["run"][..], options].concat()).exits(4).says(&["1 skipped", "newer", words]);
    }
    for command in ["verify", "compare", "adopt"] {
        workload.run(&[command]).exits(4).says(&["1 newer", words]);
    }
    workload.run(&["drop", "eurusd:2017-01"]).exits(1).says(&["was not dropped", words]);
    workload.doctor_says(0).says(&["rows of a later version of rollfit in 1 partition"]);
    assert_eq!([RATE, "rollfit_receipts"].map(|table| contents(&workload, table)), before);
    // It may keep its rows elsewhere: that these tables are empty does not make them ours.
    workload.database.sql(&format!("delete from {RATE}; delete from reg_bqx_eurusd_2017_01"));
    workload.run(&["run", "--force"]).exits(4).says(&[words]);
}

/// The input digest of definition 2, as docs/format.md describes it.
fn digest_of_definition_2(workload: &Workload<'_>) -> String {
    let sql = "select (extract(epoch from time) * 1e6)::bigint, rate_index, w15_bqx_return
               from m1_eurusd join bqx_eurusd on ts_utc = time at time zone 'UTC' order by 1";
    let rows = workload.database.connect().query(sql, &[]).unwrap();
    let mut words = vec![0, rows.len() as u64];
    words.extend(rows.iter().map(|row| row.get::<_, i64>(0).cast_unsigned()));
    for column in [1, 2] {
        words.push(rows.len() as u64);
        words.extend(rows.iter().map(|row| row.get::<_, f64>(column).to_bits()));
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    blake3::hash(&bytes).to_hex().to_string()
}

/// Makes the receipt of the only partition one that definition 2 wrote.
fn receipt_of_definition_2(workload: &Workload<'_>) -> Value {
    let text = std::fs::read_to_string(workload.sandbox.path("rollfit.toml")).unwrap();
    let config = JobConfig::parse(&text, []).unwrap();
    let definition = Definition { version: 2, ..Definition::from_config(&config) };
    let receipt: String = workload.database.one("select receipt::text from rollfit_receipts");
    let mut receipt: Value = serde_json::from_str(&receipt).unwrap();
    receipt["definition"] = json!(definition);
    receipt["input"]["digest"] = digest_of_definition_2(workload).into();
    receipt
}

fn set_receipt(workload: &Workload<'_>, receipt: &Value) {
    workload.database.sql(&format!("update rollfit_receipts set receipt = $json${receipt}$json$"));
}

#[test]
fn tables_of_an_earlier_definition_are_adopted_where_they_agree() {
    let workload = Workload::one();
    workload.done();
    let (of_run, rows) =
        (contents(&workload, "(select receipt from rollfit_receipts)"), contents(&workload, RATE));
    let earlier = receipt_of_definition_2(&workload);
    set_receipt(&workload, &earlier);
    let plan = workload.run(&["plan"]).exits(0);
    plan.says(&["1 definition-changed", "1 partition of definition 2, now 3: `rollfit adopt`"]);
    workload.run(&["run"]).exits(4).says(&["1 partition of definition 2, now 3"]);
    workload
        .database
        .sql("update rollfit_receipts set written_at = '2020-02-03', written_by = 'rollfit 7@then'");
    workload.run(&["adopt"]).exits(0).says(&["0 adopted, 0 already ours", "1 moved to definition 3"]);
    let origin = || {
        let sql = "select written_by || ' ' || date_part('year', written_at) from rollfit_receipts";
        workload.database.one::<String>(sql)
    };
    assert_eq!(origin(), "rollfit 7@then 2020", "the run that wrote the rows");
    assert_eq!(workload.done()["already_done"], 1);
    assert_eq!(contents(&workload, "(select receipt from rollfit_receipts)"), of_run, "the receipt of a run");
    assert_eq!(contents(&workload, RATE), rows);

    let changes = [
        (format!("update {RATE} set r2_idx_w60 = r2_idx_w60 / 2 where r2_idx_w60 is not null"), "different"),
        (format!("delete from {RATE} where ts_utc = '2017-01-09 03:30'"), "different"),
        (
            "update m1_eurusd set rate_index = 99 where time = '2017-01-09 03:30'".to_owned(),
            "the source has changed since the features were stored; `rollfit run --replace definition-changed --only \
             eurusd:2017-01` rewrites the partition",
        ),
    ];
    for (change, words) in changes {
        set_receipt(&workload, &earlier);
        let rows = contents(&workload, RATE);
        workload.run(&["adopt"]).exits(0);
        set_receipt(&workload, &earlier);
        workload.database.sql(&change);
        let changed = contents(&workload, RATE);
        workload.run(&["adopt"]).exits(4).says(&[words]);
        assert_eq!(contents(&workload, RATE), changed);
        let plan = workload.run(&["plan", "--json"]).json();
        assert_eq!(plan["partitions"][0]["state"], "definition-changed");
        assert_eq!(plan["new_definition"].is_null(), words.starts_with("the source"), "{plan}");
        workload.run(&["run", "--replace", "definition-changed"]).exits(0);
        assert!(contents(&workload, RATE) == rows || words.starts_with("the source"));
        assert!(!origin().starts_with("rollfit 7@then"), "{}", origin());
    }
    // Rows without a receipt name nobody.
    workload.database.sql("delete from rollfit_receipts");
    workload.run(&["adopt"]).exits(0).says(&["1 adopted"]);
    assert!(origin().starts_with("rollfit ") && !origin().contains("@then"), "{}", origin());
    let verified = workload.run(&["verify"]).exits(0);
    verified.says(&["0 rows, 0 cells compared bit for bit", "cells of adopted partitions compared only"]);
}
