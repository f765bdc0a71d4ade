//! Readers while partitions are replaced: none is blocked, each sees all of the old or all of the new, and the tables do
//! not grow with each replacement.

use std::sync::atomic::{AtomicBool, Ordering};

use postgres::{Client, IsolationLevel};

use crate::checker::Undisturbed;
use crate::server::Server;
use crate::workload::{SMALL, Workload};

/// The sums of both tables of a partition, which tell the old features from the new.
const BOTH: &str = "
    select (select count(*) || ' ' || sum(b_idx_w15) from reg_rate_eurusd_2017_01),
           (select count(*) || ' ' || sum(b_bqx_w15) from reg_bqx_eurusd_2017_01)";

fn both(client: &mut impl postgres::GenericClient) -> [String; 2] {
    let row = client.query_one(BOTH, &[]).unwrap();
    [row.get(0), row.get(1)]
}

#[test]
fn a_transaction_that_began_before_sees_the_old_rows_of_both_tables_to_its_end() {
    let workload = Workload::changed();
    let mut client = workload.database.connect();
    let old = both(&mut client);
    let mut reader =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().unwrap();
    // The snapshot is taken with the first statement; neither table has been touched.
    reader.execute("select 1", &[]).unwrap();
    workload.done();
    assert_eq!(both(&mut reader), old);
    reader.commit().unwrap();
    assert_ne!(both(&mut client), old);
    workload.is(&Undisturbed::small().changed);
}

#[test]
fn a_reader_that_keeps_the_tables_open_does_not_hold_up_a_replacement() {
    let workload = Workload::changed();
    let mut client = workload.database.connect();
    let mut reader = client.transaction().unwrap();
    let portals = ["rate", "bqx"].map(|series| {
        let query = format!("select ts_utc::text from reg_{series}_eurusd_2017_01 order by ts_utc");
        let portal = reader.bind(&query, &[]).unwrap();
        assert_eq!(reader.query_portal(&portal, 10).unwrap().len(), 10);
        portal
    });
    let impatient = [("ROLLFIT_RUN__LOCK_WAIT_S", "0")];
    workload.run_with(&impatient, &["run"]).exits(0).says(&["2 written"]);
    for portal in &portals {
        assert_eq!(reader.query_portal(portal, 0).unwrap().len(), 1478, "the rest of the old rows");
    }
    drop(reader);
    workload.is(&Undisturbed::small().changed);
}

/// Reads both tables again and again, each time as somebody new, until it is told to stop; how often.
fn read_until(workload: &Workload<'_>, stop: &AtomicBool, seen: &[[String; 2]; 2]) -> usize {
    let mut reads = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut client: Client = workload.database.connect();
        // Only waiting for locks counts: a busy machine is no fault of a replacement.
        client.batch_execute("set lock_timeout = '100ms'").unwrap();
        let found = both(&mut client);
        assert!(seen.contains(&found), "{found:?} is neither the old nor the new: {seen:?}");
        reads += 1;
    }
    reads
}

#[test]
fn readers_who_come_meanwhile_wait_for_no_lock_and_see_all_of_the_old_or_all_of_the_new() {
    let workload = Workload::changed();
    let old = both(&mut workload.database.connect());
    workload.done();
    let seen = [old, both(&mut workload.database.connect())];
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers = [0; 2].map(|_| scope.spawn(|| read_until(&workload, &stop, &seen)));
        let replaced = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..5 {
                workload.change_sources();
                workload.done();
            }
        }));
        stop.store(true, Ordering::Relaxed);
        replaced.unwrap();
        readers.into_iter().for_each(|reader| assert!(reader.join().unwrap() > 0));
    });
    workload.is_as_undisturbed();
}

#[test]
fn a_reader_sees_the_old_rows_until_the_commit() {
    let workload = Workload::changed();
    let old = both(&mut workload.database.connect());
    for moment in ["deleted", "between-tables", "receipt-written"] {
        let stopped = workload.stopped_at(moment, &[], &["--only", "eurusd:2017-01"]);
        let mut reader = workload.database.connect();
        reader.batch_execute("set lock_timeout = '100ms'").unwrap();
        assert_eq!(both(&mut reader), old, "{moment}");
        drop(stopped);
        assert_eq!(workload.left_over_sessions(), Vec::<String>::new());
    }
    workload.done();
    workload.is(&Undisturbed::small().changed);
}

#[test]
fn ten_replacements_leave_a_table_little_more_than_twice_as_large() {
    let workload = Workload::small();
    workload.done();
    let size = |table: &String| workload.database.one::<i64>(&format!("select pg_relation_size('{table}')"));
    let fresh: Vec<i64> = workload.tables().iter().map(size).collect();
    for _ in 0..5 {
        workload.run(&["run", "--force"]).exits(0);
        workload.change_sources();
        workload.done();
        workload.change_sources();
    }
    for (table, fresh) in workload.tables().iter().zip(fresh) {
        let (now, most) = (size(table), fresh * 22 / 10);
        assert!(now <= most, "{table} has {now} bytes, {fresh} when it was fresh");
    }
}

/// A role that may write the tables of a workload and owns none of them, and the way in for it.
fn guest(server: &Server, workload: &Workload<'_>) -> String {
    let (role, database) = (format!("guest_of_{}", workload.database.name()), workload.database.name());
    server.sql(&format!("create role {role} login"));
    workload
        .database
        .sql(&format!("grant select, insert, update, delete on all tables in schema public to {role}"));
    server.url(database).replace("postgres@", &format!("{role}@"))
}

#[test]
fn whoever_may_not_vacuum_replaces_all_the_same_and_is_told_once() {
    let server = Server::start();
    let workload = Workload::on(&server, SMALL);
    workload.done();
    workload.change_sources();
    let url = guest(&server, &workload);
    let answer = workload.run_with(&[("ROLLFIT_STORE__URL", &url)], &["run"]).exits(0);
    assert_eq!(answer.stderr.matches("may not VACUUM").count(), 1, "{answer}");
    workload.is(&Undisturbed::small().changed);
    // A nightly job with only the documented rights stays silent.
    workload.change_sources();
    let answer = workload.run_with(&[("ROLLFIT_STORE__URL", &url)], &["run", "-q"]).exits(0);
    assert_eq!((answer.stdout.as_str(), answer.stderr.as_str()), ("", ""), "{answer}");
    // The server is not asked for what it would only warn of.
    assert!(!server.log().contains("WARNING"), "{}", server.log());
    // The owner of the database may do it in every table of it.
    let (database, role) = (workload.database.name(), format!("guest_of_{}", workload.database.name()));
    server.sql(&format!("alter database {database} owner to {role}"));
    workload.change_sources();
    let answer = workload.run_with(&[("ROLLFIT_STORE__URL", &url)], &["run"]).exits(0);
    assert!(!answer.stderr.contains("may not VACUUM"), "{answer}");
    assert!(!server.log().contains("WARNING"), "{}", server.log());
}
