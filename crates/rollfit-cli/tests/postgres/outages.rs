//! What happens to servers and to the way to them while a run is at work: it waits, tries again, tells it once and counts
//! it, and ends with what an undisturbed run gives.

use std::fmt::Write;

use postgres::error::SqlState;
use postgres::{Client, NoTls};
use serde_json::Value;

use crate::checker::Undisturbed;
use crate::faults::{Fault, When, is_commit};
use crate::pooler::Pooler;
use crate::proxy::Proxy;
use crate::running::Running;
use crate::server::{Server, Shutdown};
use crate::sql::connect;
use crate::workload::{SMALL, WIDE, Workload};

/// Moments of the first and of the second partition.
const MOMENTS: [&str; 6] = [
    "locked",
    "first-copy-byte",
    "between-tables:2",
    "middle-of-table-2:5",
    "receipt-written",
    "commit-sent:2",
];

/// The shortest waits that the configuration allows.
const SHORT: [(&str, &str); 2] =
    [("ROLLFIT_RUN__STATEMENT_TIMEOUT_S", "1"), ("ROLLFIT_RUN__IDLE_TIMEOUT_S", "1")];

/// With one session nobody watches the server: bytes that are counted are those of the partitions.
const NO_MONITOR: [(&str, &str); 1] = [("ROLLFIT_RUN__STORE_SESSIONS_MAX", "1")];

/// Where the store is instead.
fn at(url: &str) -> [(&str, &str); 1] {
    [("ROLLFIT_STORE__URL", url)]
}

#[track_caller]
fn retries_of(running: Running) -> u64 {
    let summary: Value = running.finish().exits(0).json();
    summary["retries"].as_u64().unwrap()
}

fn end_sessions_of_rollfit(workload: &Workload<'_>) -> i64 {
    workload.database.one(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity
         where application_name like 'rollfit %' and datname = current_database()",
    )
}

/// Restarts the server at several moments of a run, each time with all its work before it.
fn outlives_a_restart(shutdown: Shutdown) {
    let server = Server::start();
    let workload = Workload::on(&server, SMALL);
    for moment in MOMENTS {
        let stopped = workload.stopped_at(moment, &[], &[]);
        server.restart(shutdown);
        assert_eq!(retries_of(stopped.go_on()), 1, "{moment}");
        workload.is_as_undisturbed();
        workload.forget();
    }
}

#[test]
fn a_crash_of_the_server_is_outlived() {
    outlives_a_restart(Shutdown::Immediate);
}

#[test]
fn a_restart_of_the_server_is_outlived() {
    outlives_a_restart(Shutdown::Fast);
}

#[test]
fn a_server_that_is_away_is_waited_for_and_told_of_once() {
    let server = Server::start();
    let workload = Workload::on(&server, SMALL);
    let stopped = workload.stopped_at("middle-of-table-1:2", &[], &["--workers", "2"]);
    server.stop(Shutdown::Immediate);
    let mut running = stopped.go_on();
    (0..5).for_each(|_| drop(running.wait_for_stage("retry")));
    server.start_again();
    let answer = running.finish().exits(0);
    assert!(answer.json()["retries"].as_u64().unwrap() >= 5);
    let serious = answer.stderr.lines().filter(|line| line.contains("WARN") && line.contains("retry"));
    assert_eq!(serious.count(), 1, "{answer}");
    workload.is_as_undisturbed();
}

#[test]
fn a_server_that_stays_away_is_given_up_once_and_not_once_a_partition() {
    let server = Server::start();
    let workload = Workload::on(&server, WIDE);
    let stopped = workload.stopped_at("receipt-written", &[("ROLLFIT_RUN__RETRY_FOR_S", "1")], &[]);
    server.stop(Shutdown::Immediate);
    let summary = stopped.go_on().finish().exits(1).json();
    assert_eq!(summary["failed"].as_array().unwrap().len(), 6);
    // Some four in the second that it may take, and none for the other partitions.
    let retries = summary["retries"].as_u64().unwrap();
    assert!((1..=8).contains(&retries), "{retries} retries");
    server.start_again();
    workload.done();
    workload.is_as_undisturbed();
}

#[test]
fn a_writer_whose_session_is_ended_writes_again() {
    let workload = Workload::small();
    for moment in MOMENTS {
        let stopped = workload.stopped_at(moment, &[], &[]);
        assert!(end_sessions_of_rollfit(&workload) >= 1);
        assert_eq!(retries_of(stopped.go_on()), 1, "{moment}");
        workload.is_as_undisturbed();
        workload.forget();
    }
}

/// Has a fault strike a run's connection; the summary.
#[track_caller]
fn struck(workload: &Workload<'_>, when: When, fault: Fault, variables: &[(&str, &str)]) -> Value {
    let proxy = Proxy::before(&workload.database.server().socket());
    proxy.arm(when, fault);
    let url = proxy.url(workload.database.name());
    let running = workload.start(&[&at(&url)[..], variables].concat(), &[]);
    proxy.wait_until_struck();
    running.finish().exits(0).json()
}

#[test]
fn connections_that_break_while_rows_are_on_their_way_are_made_anew() {
    for fault in [Fault::Cut, Fault::Reset] {
        let moments = [When::ToClient(50_000), When::ToServer(200_000), When::ToServer(4_000_000)];
        for when in moments {
            let workload = Workload::small();
            let summary = struck(&workload, when, fault, &NO_MONITOR);
            assert_eq!((&summary["written"], &summary["retries"]), (&2.into(), &1.into()), "{summary}");
            workload.is_as_undisturbed();
        }
    }
}

#[test]
fn a_commit_of_which_nothing_was_heard_happens_once() {
    // Whether it had happened before the connection broke.
    let cases = [
        (When::Comes(is_commit), Fault::Cut, Some(false)),
        (When::Comes(is_commit), Fault::Reset, Some(false)),
        (When::Sent(is_commit), Fault::Cut, None),
        (When::Sent(is_commit), Fault::Reset, None),
        (When::Answered(is_commit), Fault::Cut, Some(true)),
        (When::Answered(is_commit), Fault::Reset, Some(true)),
    ];
    for (when, fault, had_happened) in cases {
        let workload = Workload::small();
        let summary = struck(&workload, when, fault, &[]);
        let found_done = summary["already_done"] == 1;
        assert!(had_happened.is_none_or(|happened| happened == found_done), "{summary}");
        assert_eq!(summary["retries"], 1, "{summary}");
        workload.is_as_undisturbed();
    }
}

#[test]
fn a_commit_of_changed_features_of_which_nothing_was_heard_happens_once() {
    let workload = Workload::small();
    workload.done();
    workload.change_sources();
    struck(&workload, When::Answered(is_commit), Fault::Reset, &[]);
    workload.is(&Undisturbed::small().changed);
}

#[test]
fn a_commit_whose_answer_never_comes_is_not_waited_for_for_ever() {
    let workload = Workload::small();
    let summary = struck(&workload, When::Answered(is_commit), Fault::Stall, &SHORT);
    assert_eq!((&summary["written"], &summary["already_done"]), (&1.into(), &1.into()), "{summary}");
    workload.is_as_undisturbed();
}

#[test]
fn a_connection_that_stalls_in_mid_copy_is_given_up_and_what_it_holds_is_freed() {
    let workload = Workload::small();
    let summary = struck(&workload, When::ToServer(2_000_000), Fault::Stall, &SHORT);
    assert_eq!(summary["written"], 2, "{summary}");
    workload.is_as_undisturbed();
}

#[test]
fn a_full_disk_is_waited_for() {
    let Some(server) = Server::with_small_disk(24) else { return };
    let workload = Workload::on(&server, SMALL);
    workload.database.fill_disk();
    let mut running = workload.start(&[], &[]);
    let told = running.wait_for_stage("retry");
    assert!(told["message"].as_str().unwrap().contains("53100"), "{told}");
    running.wait_for_stage("retry");
    workload.database.sql("drop table ballast");
    assert!(retries_of(running) >= 2);
    workload.is_as_undisturbed();
}

/// Has each statement that writes a table's rows do this first.
fn before_rows_come(workload: &Workload<'_>, table: &str, action: &str) {
    workload.database.sql(&format!(
        "create function act() returns trigger language plpgsql as $$ begin {action}; return null; end $$;
         create trigger act before insert on {table} for each statement execute function act()"
    ));
}

/// Refuses the first `times` statements that write a table's rows with this code, each after the work before it.
fn refuse(workload: &Workload<'_>, table: &str, code: &str, times: u32) {
    workload.database.sql("create sequence refusals");
    let refuse = format!("raise exception 'refused' using errcode = '{code}'");
    before_rows_come(workload, table, &format!("if nextval('refusals') <= {times} then {refuse}; end if"));
}

fn no_longer(workload: &Workload<'_>) {
    workload.database.sql("drop function act cascade; drop sequence if exists refusals");
}

#[test]
fn a_deadlock_is_tried_again_told_once_and_counted() {
    let workload = Workload::small();
    workload.done();
    refuse(&workload, "reg_bqx_eurusd_2017_01", "40P01", 3);
    let answer = workload
        .run(&["run", "--force"])
        .exits(0)
        .says(&["3 attempts hit transient errors and were retried"]);
    assert_eq!(answer.stderr.matches("retrying in").count(), 1, "{answer}");
    assert!(
        answer.stderr.contains("write public.reg_bqx_eurusd_2017_01: refused (SQLSTATE 40P01)"),
        "{answer}"
    );
    no_longer(&workload);
    workload.is_as_undisturbed();
}

#[test]
fn a_refusal_that_will_not_pass_fails_its_partition_and_no_other() {
    let workload = Workload::small();
    workload.done();
    workload.change_sources();
    refuse(&workload, "reg_bqx_eurusd_2017_01", "23514", 1);
    let answer = workload.run(&["run"]).exits(1).says(&["1 written", "1 failed", "SQLSTATE 23514"]);
    assert!(!answer.stdout.contains("transient error"), "{answer}");
    no_longer(&workload);
    workload.done();
    workload.is(&Undisturbed::small().changed);
}

#[test]
fn a_statement_that_takes_too_long_is_tried_twice_and_no_more() {
    let workload = Workload::small();
    workload.done();
    before_rows_come(&workload, "reg_rate_eurusd_2017_02", "perform pg_sleep(60)");
    let answer = workload.run_with(&SHORT, &["run", "--force", "--json"]).exits(1);
    let summary = answer.json();
    assert_eq!((&summary["written"], &summary["retries"]), (&1.into(), &1.into()), "{summary}");
    answer.says(&["SQLSTATE 57014", "statement_timeout_s", "somebody cancelled it"]);
    no_longer(&workload);
    workload.is_as_undisturbed();
}

#[test]
fn a_table_that_nobody_may_look_at_for_a_while_is_waited_for() {
    let workload = Workload::small();
    workload.done();
    workload.change_sources();
    let mut session = workload.database.connect();
    session.batch_execute("begin; lock table reg_bqx_eurusd_2017_01 in access exclusive mode").unwrap();
    let mut running = workload.start(&[], &[]);
    let told = running.wait_for_stage("held");
    assert_eq!(told["partition"], "eurusd 2017-01", "{told}");
    session.batch_execute("rollback").unwrap();
    assert_eq!(retries_of(running), 0);
    workload.is(&Undisturbed::small().changed);
}

/// Opens sessions until the server has room for no more.
fn fill_with_sessions(url: &str) -> Vec<Client> {
    let mut sessions = Vec::new();
    loop {
        match Client::connect(url, NoTls) {
            Ok(session) => sessions.push(session),
            Err(error) if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) => return sessions,
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// A server that takes five connections, no more and none of them special.
fn of_five_connections() -> Server {
    Server::with(&[("max_connections", "5"), ("superuser_reserved_connections", "0")])
}

#[test]
fn a_server_of_five_connections_is_enough_for_any_number_of_workers() {
    let server = of_five_connections();
    let workload = Workload::on(&server, WIDE);
    let answer = workload.run_with(&[("ROLLFIT_RUN__STORE_SESSIONS_MAX", "16")], &["run", "--workers", "16"]);
    let answer = answer.exits(0);
    assert!(!answer.stderr.contains("no room"), "it asked for more than the server can spare: {answer}");
    workload.is_as_undisturbed();
}

#[test]
fn a_server_that_others_fill_up_is_used_with_fewer_sessions() {
    let server = of_five_connections();
    let workload = Workload::on(&server, WIDE);
    let stopped = workload.stopped_at("connected", &[], &["--workers", "4"]);
    let sessions = fill_with_sessions(&workload.database.url());
    let answer = stopped.go_on().finish().exits(0);
    assert_eq!(answer.json()["failed"], Value::Array(Vec::new()), "{answer}");
    drop(sessions);
    workload.is_as_undisturbed();
}

#[test]
fn poolers_that_lend_connections_by_the_transaction_do_no_harm() {
    let workload = Workload::wide();
    let pooler = Pooler::before(workload.database.server(), 3);
    let url = pooler.url(workload.database.name());
    for arguments in [&["run"][..], &["run", "--force"], &["run", "--force"]] {
        let workers = [arguments, &["--json", "--workers", "4"]].concat();
        let summary = workload.run_with(&at(&url), &workers).exits(0).json();
        assert_eq!(summary["written"], 6, "{summary}");
    }
    workload.run_with(&at(&url), &["verify", "--quiet"]).exits(0);
    workload.is_as_undisturbed();
}

#[test]
fn two_runners_behind_one_pooler_do_not_trip_over_each_others_statements() {
    let workload = Workload::wide();
    workload.done();
    let pooler = Pooler::before(workload.database.server(), 3);
    let url = pooler.url(workload.database.name());
    for _ in 0..2 {
        let runners = [0; 2].map(|_| workload.start(&at(&url), &["--force", "--workers", "4"]));
        let reports = runners.map(|running| running.finish().exits(0).json());
        for report in &reports {
            let [written, by_others] =
                ["written", "written_by_others"].map(|count| report[count].as_u64().unwrap());
            assert_eq!(written + by_others, 6, "{report}");
        }
    }
    workload.is_as_undisturbed();
}

#[test]
fn a_standby_that_answers_first_is_passed_over() {
    let server = Server::start();
    let workload = Workload::on(&server, SMALL);
    let standby = server.standby();
    standby.catches_up_with(&server);
    let url = standby.url_before(&server, workload.database.name());
    workload.run_with(&at(&url), &["run"]).exits(0);
    workload.is_as_undisturbed();
    // To read from, it will do.
    standby.catches_up_with(&server);
    server.stop(Shutdown::Fast);
    let plan = workload.run_with(&at(&url), &["plan", "--json"]).exits(0).json();
    assert_eq!(plan["partitions"][1]["state"], "done", "{plan}");
    server.start_again();
}

#[test]
fn a_run_moves_over_to_the_standby_that_takes_over() {
    let server = Server::start();
    let workload = Workload::on(&server, SMALL);
    let standby = server.standby();
    let url = server.url_before(&standby, workload.database.name());
    let stopped = workload.stopped_at("middle-of-table-2:5", &at(&url), &[]);
    standby.catches_up_with(&server);
    server.stop(Shutdown::Immediate);
    standby.promote();
    let summary = stopped.go_on().finish().exits(0).json();
    assert_eq!((&summary["written"], &summary["retries"]), (&2.into(), &1.into()), "{summary}");
    let query = "select string_agg(rows::text, ' ' order by month) from rollfit_receipts";
    let rows: String = connect(&standby.url(workload.database.name())).query_one(query, &[]).unwrap().get(0);
    assert_eq!(rows, "1488 1344");
    let checked = workload.run_with(&at(&standby.url(workload.database.name())), &["verify", "--quiet"]);
    checked.exits(0);
}

#[test]
fn nothing_that_is_told_of_an_outage_holds_a_secret() {
    let server = Server::start();
    let workload = Workload::on(&server, SMALL);
    let url = workload.database.url().replace("//postgres@", "//postgres:hunter2@");
    let stopped = workload.stopped_at("locked", &at(&url), &[]);
    server.stop(Shutdown::Immediate);
    let mut running = stopped.go_on();
    let mut told = String::new();
    (0..2).for_each(|_| write!(told, "{}", running.wait_for_stage("retry")).unwrap());
    server.start_again();
    let answer = running.finish().exits(0);
    assert!(!format!("{told}{answer}").contains("hunter2"));
}
