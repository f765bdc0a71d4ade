//! Two writers at once: two runners, or a runner and a job of somebody else. No partition is written by two of them,
//! neither waits for ever for the other, and one that stands still is not waited for at all.

use postgres::Client;
use serde_json::Value;

use crate::checker::Undisturbed;
use crate::workload::Workload;

/// The shortest time that a claim may stand still.
const IMPATIENT: [(&str, &str); 1] = [("ROLLFIT_RUN__IDLE_TIMEOUT_S", "1")];

fn sum(summaries: &[Value], field: &str) -> u64 {
    summaries.iter().map(|summary| summary[field].as_u64().unwrap()).sum()
}

/// Two runs at once; their summaries.
#[track_caller]
fn two_at_once(workload: &Workload<'_>, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["--workers", "2"], arguments].concat();
    let runners = [0; 2].map(|_| workload.start(&[], &arguments));
    runners.into_iter().map(|running| running.finish().exits(0).json()).collect()
}

/// The partitions that runners found done, whoever had done them and when.
fn found_done(summaries: &[Value]) -> u64 {
    sum(summaries, "already_done") + sum(summaries, "written_by_others")
}

#[test]
fn two_runners_share_the_work_and_both_end_well() {
    let workload = Workload::wide();
    let summaries = two_at_once(&workload, &[]);
    assert_eq!(sum(&summaries, "written"), 6, "each partition was written once");
    assert_eq!(found_done(&summaries), 6, "and found done once");
    workload.is_as_undisturbed();
}

#[test]
fn two_runners_share_what_has_changed() {
    let workload = Workload::wide();
    workload.done();
    workload.change_sources();
    let summaries = two_at_once(&workload, &[]);
    assert_eq!((sum(&summaries, "written"), found_done(&summaries)), (6, 6));
    workload.is(&Undisturbed::wide().changed);
}

#[test]
fn two_runners_that_both_rewrite_take_turns() {
    let workload = Workload::wide();
    workload.done();
    let summaries = two_at_once(&workload, &["--force"]);
    assert_eq!(sum(&summaries, "written") + sum(&summaries, "written_by_others"), 12);
    workload.is_as_undisturbed();
}

/// A job of somebody else in the midst of its work on a table.
fn old_job(workload: &Workload<'_>, statement: &str) -> Client {
    let mut session = workload.database.connect();
    session.batch_execute(&format!("set application_name = 'the old job'; begin; {statement}")).unwrap();
    session
}

#[test]
fn a_table_in_the_hands_of_another_job_is_waited_for_while_the_others_are_done() {
    for statement in [
        "delete from reg_rate_eurusd_2017_01",
        "insert into reg_bqx_eurusd_2017_01 values ('2017-01-09 01:23:45')",
    ] {
        let workload = Workload::changed();
        let mut job = old_job(&workload, statement);
        let mut running = workload.start(&[], &[]);
        let told = running.wait_for_stage("held");
        assert_eq!(told["partition"], "eurusd 2017-01");
        running.wait_for(|message| message["stage"] == "written" && message["partition"] == "eurusd 2017-02");
        job.batch_execute("rollback").unwrap();
        assert_eq!(running.finish().exits(0).json()["written"], 2);
        workload.is(&Undisturbed::small().changed);
    }
}

#[test]
fn whoever_holds_a_partition_for_longer_is_named() {
    let workload = Workload::changed();
    let mut job = old_job(&workload, "delete from reg_bqx_eurusd_2017_01");
    let query =
        "select pg_backend_pid(), to_char(now() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    let row = job.query_one(query, &[]).unwrap();
    let (process, since): (i32, String) = (row.get(0), row.get(1));
    let patience = [("ROLLFIT_RUN__LOCK_WAIT_S", "1")];
    let summary = workload.run_with(&patience, &["run", "--json"]).exits(1).json();
    assert_eq!(summary["written"], 1, "{summary}");
    let failed = &summary["failed"][0];
    assert_eq!((&failed["state"], &failed["partition"]["month"]), (&"held".into(), &"2017-01".into()));
    let wanted = format!(
        "still in use by the old job (role postgres, server process {process}, local client, since {since})"
    );
    assert_eq!(failed["cause"], wanted);
    job.batch_execute("rollback").unwrap();
    workload.done();
    workload.is(&Undisturbed::small().changed);
}

#[test]
fn a_job_of_somebody_else_is_never_ended_however_long_it_stands_still() {
    let workload = Workload::changed();
    let mut job = old_job(&workload, "delete from reg_bqx_eurusd_2017_01");
    let variables = [&IMPATIENT[..], &[("ROLLFIT_RUN__LOCK_WAIT_S", "4")]].concat();
    workload.run_with(&variables, &["run"]).exits(1).says(&["the old job"]);
    job.batch_execute("rollback").unwrap();
}

/// Stops a runner at a moment, lets another do all the work, and the first go on.
#[track_caller]
fn overtaken_at(moment: &str) {
    let workload = Workload::small();
    let stopped = workload.stopped_at(moment, &IMPATIENT, &[]);
    let summary = workload.run_with(&IMPATIENT, &["run", "--json"]).exits(0).json();
    assert_eq!(summary["written"], 2, "{moment}: {summary}");
    workload.is_as_undisturbed();
    let overtaken = stopped.go_on().finish().exits(0).json();
    assert_eq!(
        (&overtaken["written"], found_done(std::slice::from_ref(&overtaken))),
        (&0.into(), 2),
        "{overtaken}"
    );
    workload.is_as_undisturbed();
}

#[test]
fn a_runner_that_stands_still_in_mid_copy_is_overtaken_and_writes_nothing_more() {
    ["middle-of-table-1:2", "middle-of-table-2:2"].into_iter().for_each(overtaken_at);
}

#[test]
fn a_runner_that_stands_still_between_statements_is_overtaken_and_writes_nothing_more() {
    ["connected", "locked", "deleted", "receipt-written", "commit-sent"].into_iter().for_each(overtaken_at);
}

#[test]
fn a_runner_that_stands_still_after_its_commit_is_in_nobodys_way() {
    for moment in ["commit-answered", "vacuumed"] {
        let workload = Workload::small();
        let stopped = workload.stopped_at(moment, &[], &[]);
        let summary = workload.run(&["run", "--json"]).exits(0).json();
        assert_eq!(
            (&summary["written"], found_done(std::slice::from_ref(&summary))),
            (&1.into(), 1),
            "{summary}"
        );
        let summary = stopped.go_on().finish().exits(0).json();
        assert_eq!(
            (&summary["written"], found_done(std::slice::from_ref(&summary))),
            (&1.into(), 1),
            "{summary}"
        );
        workload.is_as_undisturbed();
    }
}
