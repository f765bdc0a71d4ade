//! Several first runners at once: each table and view that they share is made once, and none of them has a word to say about it.

use rollfit_job::config::Layout;
use serde_json::Value;

use crate::many_runners::written;
use crate::server::shared;
use crate::views::DROP_VIEWS;
use crate::workload::{SMALL, Workload};

const RUNNERS: usize = 8;

/// A job whose tables have parents.
fn workload(layout: Layout) -> Workload<'static> {
    let workload = Workload::on(shared(), SMALL).in_layout(layout);
    for series in ["rate", "bqx"] {
        let features = format!("features = \"reg_{series}_{{key}}_{{yyyy}}_{{mm}}\"");
        let with_parent = format!("{features}\nparent = \"reg_{series}_{{key}}\"");
        workload.replace_in_configuration(&features, &with_parent);
    }
    workload
}

/// All runners at once on a database in which nothing is.
#[track_caller]
fn start_on_nothing(workload: &Workload<'_>, is_sharded: bool) {
    let start = |at: usize| {
        let shard = format!("{at}/{RUNNERS}");
        let share: &[&str] = if is_sharded { &["--shard", &shard] } else { &[] };
        workload.start(&[], &[&["--workers", "2"], share].concat())
    };
    let runners: Vec<_> = (0..RUNNERS).map(start).collect();
    let answers: Vec<_> = runners.into_iter().map(|running| running.finish().exits(0)).collect();
    let summaries: Vec<Value> = answers.iter().map(|answer| answer.json()).collect();
    assert_eq!(written(&summaries), 2);
    for answer in &answers {
        assert!(!answer.to_string().contains("WARN"), "{answer}");
        assert_eq!(answer.json()["retries"], 0, "{answer}");
    }
    let [rate, bqx] = ["reg_rate_eurusd", "reg_bqx_eurusd"].map(|name| workload.table(name));
    let parents = "select string_agg(inhparent::regclass::text, ' ' order by inhparent::regclass::text) from pg_inherits
                   join pg_class c on c.oid = inhrelid where c.relkind = 'r'";
    assert_eq!(workload.database.one::<String>(parents), format!("{bqx} {bqx} {rate} {rate}"));
    let views = "select count(*) from pg_class where relkind = 'v' and relname like 'reg\\_%'";
    let wanted = if workload.layout == Layout::Fits { 2 } else { 0 };
    assert_eq!(workload.database.one::<i64>(views), wanted);
    workload.database.sql(DROP_VIEWS);
    workload.forget();
    workload.database.sql(&format!("drop table {rate}; drop table {bqx}"));
}

#[test]
fn first_runners_make_receipts_and_parents_once_and_in_silence() {
    let workload = workload(Layout::Metrics);
    (0..3).for_each(|_| start_on_nothing(&workload, false));
    (0..2).for_each(|_| start_on_nothing(&workload, true));
}

#[test]
fn first_runners_make_views_once_and_in_silence() {
    let workload = workload(Layout::Fits);
    (0..3).for_each(|_| start_on_nothing(&workload, false));
    (0..2).for_each(|_| start_on_nothing(&workload, true));
}
