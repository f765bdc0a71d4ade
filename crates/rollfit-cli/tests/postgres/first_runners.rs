//! Several first runners at once: each table that they share is made once, and none of them has a word to say about it.

use serde_json::Value;

use crate::workload::Workload;

#[test]
fn first_runners_make_receipts_and_parents_once_and_in_silence() {
    let workload = Workload::small();
    for series in ["rate", "bqx"] {
        let features = format!("features = \"reg_{series}_{{key}}_{{yyyy}}_{{mm}}\"");
        let with_parent = format!("{features}\nparent = \"reg_{series}_{{key}}\"");
        workload.replace_in_configuration(&features, &with_parent);
    }
    for _ in 0..3 {
        let runners: Vec<_> = (0..8).map(|_| workload.start(&[], &["--workers", "2"])).collect();
        let answers: Vec<_> = runners.into_iter().map(|running| running.finish().exits(0)).collect();
        let summaries: Vec<Value> = answers.iter().map(|answer| answer.json()).collect();
        let written: u64 = summaries.iter().map(|summary| summary["written"].as_u64().unwrap()).sum();
        assert_eq!(written, 2);
        for answer in &answers {
            assert!(!answer.to_string().contains("WARN"), "{answer}");
            assert_eq!(answer.json()["retries"], 0, "{answer}");
        }
        let parents = "select string_agg(inhparent::regclass::text, ' ' order by inhparent::regclass::text) from pg_inherits
                       join pg_class c on c.oid = inhrelid where c.relkind = 'r'";
        let parents: String = workload.database.one(parents);
        assert_eq!(parents, "reg_bqx_eurusd reg_bqx_eurusd reg_rate_eurusd reg_rate_eurusd");
        workload.forget();
        workload.database.sql("drop table reg_rate_eurusd; drop table reg_bqx_eurusd");
    }
}
