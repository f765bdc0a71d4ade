//! What others hold while a partition is claimed: they are named, whatever it is that they hold, and the log of the server does not tell of
//! every attempt.

use rollfit_job::config::Layout;
use rollfit_job::store::{Claim, Sink, Write};

use crate::opened::{Opened, first_partition};
use crate::server::{Server, shared};
use crate::workload::{ONE, SMALL, Workload};

const RATE: &str = "reg_rate_eurusd_2017_01";
const BQX: &str = "reg_bqx_eurusd_2017_01";

/// Lines of a log, of those with any of these words.
fn lines(log: &str, words: &[&str]) -> Vec<String> {
    let has_one = |line: &&str| words.iter().any(|word| line.contains(word));
    log.lines().filter(has_one).map(str::to_owned).collect()
}

#[test]
fn a_table_that_is_waited_for_leaves_no_error_in_the_servers_log() {
    let server = Server::start();
    let workload = Workload::on(&server, ONE);
    workload.done();
    workload.change_sources();
    let stopped = workload.stopped_at("connected", &[("ROLLFIT_RUN__LOCK_WAIT_S", "1")], &[]);
    let (mut job, before) = (workload.database.connect(), server.log().len());
    job.batch_execute(&format!(
        "set application_name = 'the old job'; begin; lock table {BQX} in row exclusive mode"
    ))
    .unwrap();
    let summary = stopped.go_on().finish().exits(1).json();
    let cause = summary["failed"][0]["cause"].as_str().unwrap();
    assert!(cause.starts_with("still in use by the old job"), "{summary}");
    let told = lines(&server.log().split_off(before), &["ERROR", "WARNING"]);
    assert!(told.is_empty(), "{told:?}");
    job.batch_execute("rollback").unwrap();
    workload.done();
    workload.run(&["verify", "--quiet"]).exits(0);
}

#[test]
fn a_role_that_may_not_run_blocks_is_refused_once() {
    let server = Server::start();
    let workload = Workload::on(&server, SMALL);
    workload.done();
    workload.change_sources();
    let role = workload.as_new_role("plain");
    workload.database.sql(&format!(
        "grant all on all tables in schema public to {role}; revoke usage on language plpgsql from public"
    ));
    let before = server.log().len();
    assert_eq!(workload.run(&["run", "--json"]).exits(0).json()["written"], 2);
    workload.cut_sources("2017-02-28 20:00");
    workload.run(&["run", "--quiet", "--replace", "shrunk"]).exits(0);
    workload.grow_sources("infinity");
    workload.run(&["run", "--quiet"]).exits(0);
    let told = lines(&server.log().split_off(before), &["ERROR", "WARNING"]);
    let refusals = told.iter().filter(|line| line.contains("permission denied for language")).count();
    assert_eq!(refusals, 3, "once a run: {told:?}");
    // A missing right on a table is no reason to do without blocks: it is reported as before.
    workload.database.sql(&format!(
        "grant usage on language plpgsql to public; revoke insert, update, delete on {RATE} from {role}"
    ));
    let answer = workload.run(&["run", "--force"]).exits(1).to_string();
    assert!(answer.contains("permission denied for table") && answer.contains(RATE), "{answer}");
}

#[test]
fn whoever_has_the_receipts_or_their_definitions_is_named() {
    let workload = Workload::on(shared(), ONE);
    workload.done();
    let (opened, partition) = (Opened::open(&workload), first_partition());
    let claimed = || match opened.store.claim(&partition, Write::Replace).unwrap() {
        Claim::Taken(_) => "taken".to_owned(),
        Claim::Held(holder) => holder,
        Claim::Rewrite(why) => why,
    };
    // What a store asks once is asked.
    assert_eq!(claimed(), "taken");
    for (statement, wanted) in [
        ("lock table rollfit_receipts in access exclusive mode", "the old job (role postgres"),
        ("lock table rollfit_definitions in access exclusive mode", "the old job (role postgres"),
        ("lock table rollfit_receipts in exclusive mode", "taken"),
        ("select from rollfit_receipts", "taken"),
    ] {
        let mut job = workload.database.connect();
        job.batch_execute(&format!("set application_name = 'the old job'; begin; {statement}")).unwrap();
        let held = claimed();
        assert!(held.starts_with(wanted), "{statement}: {held}");
        job.batch_execute("rollback").unwrap();
        assert_eq!(claimed(), "taken", "{statement}");
    }
}

#[test]
fn a_view_that_goes_while_it_is_looked_at_is_made_again() {
    let workload = Workload::on(shared(), ONE).in_layout(Layout::Fits);
    workload.done();
    for arguments in [&[][..], &["--force"]] {
        let mut session = workload.database.connect();
        session.batch_execute(&format!("begin; drop view {RATE}")).unwrap();
        let running = workload.start(&[], arguments);
        let waiting = "select count(*) from pg_stat_activity
                       where wait_event_type = 'Lock' and application_name like 'rollfit %' and datname = current_database()";
        while workload.database.one::<i64>(waiting) == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        session.batch_execute("commit").unwrap();
        running.finish().exits(0);
        assert_eq!(workload.database.one::<String>(&format!("select '{RATE}'::regclass::text")), RATE);
        workload.run(&["verify", "--quiet"]).exits(0);
    }
}

#[test]
fn the_first_claim_of_a_store_does_not_wait_for_receipts_without_a_limit() {
    let workload = Workload::on(shared(), ONE);
    workload.done();
    let opened = Opened::open(&workload);
    let mut holder = workload.database.connect();
    holder.batch_execute("begin; lock table rollfit_receipts in access exclusive mode").unwrap();
    let refused = opened.store.claim(&first_partition(), Write::Replace).err().unwrap();
    assert!(refused.to_string().contains("55P03"), "{refused}");
    holder.batch_execute("rollback").unwrap();
    assert!(matches!(opened.store.claim(&first_partition(), Write::Replace).unwrap(), Claim::Taken(_)));
}

#[test]
fn who_keeps_a_features_table_from_being_looked_at_is_named() {
    let workload = Workload::one();
    workload.done();
    workload.configure("lock_wait_s = 1");
    let mut holder = workload.database.connect();
    holder
        .batch_execute(&format!(
            "set application_name = 'the old job'; begin; lock table {RATE} in access exclusive mode"
        ))
        .unwrap();
    let summary = workload.run(&["run", "--json"]).exits(1).json();
    let cause = summary["failed"][0]["cause"].as_str().unwrap();
    assert!(cause.contains("still in use by the old job (role"), "{cause}");
    holder.batch_execute("rollback").unwrap();
    workload.done();
}
