//! `rollfit analyze --probe` on a server: what is measured is told, the database is as it was, and what a role may not do, or
//! a server that is not there, is said.

use serde_json::Value;

use crate::running::{Running, signal};
use crate::server::{Server, Setup, Shutdown};
use crate::workload::{SMALL, Workload};

const PROBE: [&str; 3] = ["analyze", "--probe", "--json"];

/// Everything in the database that is a table, an index or a row of a receipt, and all that was stored.
fn contents(workload: &Workload<'_>) -> Vec<Vec<Option<String>>> {
    let mut contents = workload.database.texts("select oid, relname, relfilenode from pg_class order by oid");
    contents.extend(workload.database.texts("select count(*), sum(rate_index) from m1_eurusd"));
    contents
}

#[track_caller]
fn figure(document: &Value, pointer: &str) -> f64 {
    let figure = document.pointer(pointer).and_then(Value::as_f64);
    figure.filter(|figure| *figure > 0.0).unwrap_or_else(|| panic!("{pointer}: {figure:?} in {document:#}"))
}

#[test]
fn a_server_is_measured_and_the_database_is_as_it_was() {
    let workload = Workload::small();
    let before = contents(&workload);
    let document = workload.run(&PROBE).exits(0).json();
    assert_eq!(contents(&workload), before);
    for pointer in [
        "/store/round_trip_us",
        "/store/connect_us",
        "/store/commit_us",
        "/store/alone/rows_per_s",
        "/store/together/rows_per_s",
        "/reading/us_per_row",
        "/job/rows",
        "/outlook/job_s/expected",
        "/outlook/scaling/1/rows_per_s/expected",
    ] {
        figure(&document, pointer);
    }
    assert_eq!(
        (&document["job"]["sink_kind"], &document["job"]["sink_is_local"]),
        (&"postgres".into(), &true.into())
    );
    assert_eq!(document["notes"], Value::Array(Vec::new()));
    let said = workload.run(&["analyze", "--probe"]).exits(0);
    said.says(&["The whole job would take", "writing, 1 session", "a question to the store"]);
}

#[test]
fn a_role_without_the_right_to_make_tables_is_told_what_could_not_be_measured() {
    let workload = Workload::small();
    let database = workload.database.name().to_owned();
    workload.database.sql("revoke create on schema public from public");
    workload.database.sql(&format!("revoke temporary on database {database} from public"));
    let role = workload.as_new_role("visitor");
    workload.database.sql(&format!("grant select on all tables in schema public to {role}"));
    let document = workload.run(&PROBE).exits(0).json();
    assert!(
        document["notes"].to_string().contains("permission denied to create temporary tables"),
        "{document:#}"
    );
    assert!(document["store"].is_null() && document["outlook"].is_null(), "{document:#}");
    figure(&document, "/reading/us_per_row");
    figure(&document, "/computing/alone/rows_per_s");

    workload.database.sql(&format!("grant temporary on database {database} to {role}"));
    let document = workload.run(&PROBE).exits(0).json();
    assert!(document["store"]["notes"].to_string().contains("not logged"), "{document:#}");
    figure(&document, "/outlook/job_s/expected");
}

#[test]
fn a_server_that_is_not_there_is_unreachable() {
    let server = Server::start();
    let workload = Workload::on(&server, SMALL);
    server.stop(Shutdown::Fast);
    let answer = workload.run(&PROBE).exits(3);
    assert!(answer.stdout.is_empty(), "{answer}");
}

#[test]
fn an_interrupted_probe_leaves_no_table_behind() {
    let server = Setup::default().start();
    let workload = Workload::on(&server, SMALL);
    let before = contents(&workload);
    let running = Running::start(workload.command(&[], &PROBE));
    let is_copying = || workload.database.one::<i64>("select count(*) from pg_stat_progress_copy") > 0;
    while !is_copying() {
        std::thread::yield_now();
    }
    signal(&running, "INT");
    let answer = running.finish();
    assert_ne!(answer.status.code(), Some(0), "{answer}");
    let others = "select count(*) from pg_stat_activity where application_name like 'rollfit%'";
    while workload.database.one::<i64>(others) > 0 {
        std::thread::yield_now();
    }
    assert_eq!(contents(&workload), before);
}
