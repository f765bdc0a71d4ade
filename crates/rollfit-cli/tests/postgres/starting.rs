//! A server that gives no session now, or takes away the first one, is waited for by every command; where it stays so, the
//! store is unreachable. What will not pass fails at once.

use std::time::{Duration, Instant};

use crate::faults::{Fault, When};
use crate::proxy::Proxy;
use crate::workload::Workload;

const WAITS: &str = "waiting up to 10 s for the store";

/// Statements of a store that is being opened, of a plan, and of a doctor.
fn looks_up_the_schema(statement: &str) -> bool {
    statement.contains("current_schema()")
}

fn lists_tables(statement: &str) -> bool {
    statement.contains("c.reltuples > 0")
}

fn looks_at_the_server(statement: &str) -> bool {
    statement.contains("pg_stat_ssl")
}

#[test]
fn a_session_that_ends_while_a_store_is_opened_is_replaced() {
    let workload = Workload::one();
    let proxy = Proxy::before(&workload.database.server().socket());
    let url = proxy.url(workload.database.name());
    let cases: [(&[&str], When, Fault); 6] = [
        (&["plan"], When::ToClient(1), Fault::Cut),
        (&["plan"], When::ToClient(1), Fault::Reset),
        (&["status"], When::Comes(looks_up_the_schema), Fault::Reset),
        (&["doctor"], When::Comes(looks_up_the_schema), Fault::Cut),
        (&["doctor"], When::Comes(looks_at_the_server), Fault::Reset),
        (&["run"], When::Sent(lists_tables), Fault::Reset),
    ];
    for (command, when, fault) in cases {
        proxy.arm(when, fault);
        let answer = workload.run_with(&[("ROLLFIT_STORE__URL", &url)], command).exits(0).says(&[WAITS]);
        proxy.wait_until_struck();
        assert_eq!(answer.stderr.matches(WAITS).count(), 1, "{answer}");
    }
}

#[test]
fn an_import_waits_for_its_first_session() {
    let workload = Workload::one();
    let proxy = Proxy::before(&workload.database.server().socket());
    workload.database.sql("drop table m1_eurusd; drop table bqx_eurusd");
    proxy.arm(When::Comes(looks_up_the_schema), Fault::Cut);
    let file = workload.sandbox.bars_file("eurusd", "2017-01");
    let url = proxy.url(workload.database.name());
    let arguments = ["import", "--format", "csv", "--into", &url, file.to_str().unwrap()];
    workload.run(&arguments).exits(0).says(&[WAITS]);
}

#[test]
fn a_server_without_room_is_waited_for_and_in_the_end_unreachable() {
    let workload = Workload::one();
    let role = workload.as_new_role("crowd");
    workload.database.sql(&format!(
        "alter role {role} connection limit 0; grant select on all tables in schema public to {role}"
    ));
    let started = Instant::now();
    workload.run(&["plan"]).exits(3).says(&[WAITS, "too many connections"]);
    assert!(started.elapsed() >= Duration::from_secs(8));
    let planning = workload.command(&[], &["plan"]);
    let planning = std::thread::spawn(move || crate::sandbox::Answer::from_command(planning));
    std::thread::sleep(Duration::from_millis(300));
    workload.database.sql(&format!("alter role {role} connection limit 5"));
    planning.join().unwrap().exits(0).says(&[WAITS]);
}

#[test]
fn what_will_not_pass_fails_at_once() {
    let workload = Workload::one();
    let no_server = "postgres://postgres@127.0.0.1:1/fx".to_owned();
    let no_database = workload.database.server().url("nowhere");
    for url in [no_server, no_database] {
        let answer = workload.run_with(&[("ROLLFIT_STORE__URL", &url)], &["plan"]).exits(3);
        assert!(!answer.stderr.contains("waiting"), "{answer}");
    }
}
