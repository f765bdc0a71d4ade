//! What a role or database has as defaults for its transactions changes nothing: not what a run sees, nor how it ends.

use std::time::{Duration, Instant};

use crate::checker::Undisturbed;
use crate::workload::Workload;

/// Makes a setting the default of all sessions to come in the workload's database.
fn by_default(workload: &Workload<'_>, setting: &str) {
    workload.database.sql(&format!("alter database {} set {setting}", workload.database.name()));
}

fn wait_until(is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn rows_that_were_committed_while_a_run_waited_for_its_lock_are_replaced_too() {
    for level in ["serializable", "repeatable read"] {
        let workload = Workload::small();
        workload.done();
        workload.change_sources();
        // Without a key, rows that the run does not see would stay beside its own.
        let table = "reg_rate_eurusd_2017_01";
        workload.database.sql(&format!("alter table {table} drop constraint {table}_pkey"));
        by_default(&workload, &format!("default_transaction_isolation = '{level}'"));
        let mut other = workload.database.connect();
        other.batch_execute(&format!("begin; insert into {table} values ('2017-01-09 01:23:45')")).unwrap();
        let running = workload.start(&[], &["--only", "eurusd:2017-01"]);
        wait_until(|| workload.database.one("select exists (select from pg_locks where not granted)"));
        other.batch_execute("commit").unwrap();
        running.finish().exits(0);
        assert_eq!(
            workload.database.one::<i64>(&format!("select count(*) from {table}")),
            31 * 48,
            "{level}"
        );
    }
}

#[test]
fn two_runners_of_a_serializable_role_share_the_work() {
    let workload = Workload::wide();
    by_default(&workload, "default_transaction_isolation = 'serializable'");
    let runners = [0; 2].map(|_| workload.start(&[], &["--workers", "2"]));
    let summaries = runners.map(|running| running.finish().exits(0).json());
    let sum = |field: &str| summaries.iter().map(|summary| summary[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("written"), sum("already_done") + sum("written_by_others")), (6, 6), "{summaries:?}");
    assert!(summaries.iter().all(|summary| summary["retries"] == 0), "{summaries:?}");
    workload.is_as_undisturbed();
}

#[test]
fn timeouts_of_the_role_do_not_end_a_run() {
    let workload = Workload::small();
    by_default(&workload, "idle_in_transaction_session_timeout = '30ms'");
    by_default(&workload, "statement_timeout = '500ms'");
    by_default(&workload, "row_security = off");
    assert_eq!(workload.done()["retries"], 0);
    workload.change_sources();
    assert_eq!(workload.done()["retries"], 0);
    workload.is(&Undisturbed::small().changed);
}
