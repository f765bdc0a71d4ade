//! The probe beside a run: it sees what the server does for this process and who is in the way, with as few rights and
//! sessions as there may be, and is in nobody's way itself.

use std::sync::atomic::{AtomicBool, Ordering};

use rollfit_job::error_chain;
use rollfit_job::store::Purpose;
use rollfit_job::store::{Claim, Sink, Source, Write};
use rollfit_job::store::{StoreMonitor, StoreSample, WaitKind};

use crate::opened::{Opened, first_partition, sample_until};
use crate::pooler::Pooler;
use crate::server::{Server, Setup, Shutdown};
use crate::workload::{ONE, Workload};

fn sample(monitor: &mut Box<dyn StoreMonitor>) -> Result<StoreSample, String> {
    monitor.sample().map_err(|error| error_chain(&error))
}

fn waits_for(sample: &StoreSample, kind: WaitKind, event: &str) -> bool {
    sample.waits.iter().any(|wait| wait.kind == kind && wait.event == event)
}

#[test]
fn the_probe_sees_what_sessions_of_this_process_wait_for_and_not_itself() {
    let workload = Workload::one();
    let opened = Opened::open(&workload);
    let mut monitor = opened.store.monitor().unwrap();
    let idle = sample(&mut monitor).unwrap();
    assert_eq!((idle.own_sessions, idle.working, idle.waits.len(), idle.copied_bytes), (0, 0, 0, Some(0)));
    assert!(idle.sessions.unwrap() >= 1 && idle.sessions_max.unwrap() > idle.sessions.unwrap(), "{idle:?}");
    let partition = first_partition();
    let mut slot = opened.claim(&partition);
    opened.write(slot.as_mut(), &partition, 5000);
    let copying = sample_until(
        || sample(&mut monitor),
        |sample| waits_for(sample, WaitKind::Client, "Client:ClientRead"),
    );
    assert_eq!((copying.own_sessions, copying.working, copying.waits.len()), (1, 0, 1), "{copying:?}");
    assert!(copying.copied_bytes > Some(0), "{copying:?}");
    assert!(copying.log_bytes_per_s.is_some() && copying.lock_holders.is_empty(), "{copying:?}");
    drop(slot);
}

#[test]
fn whoever_holds_a_lock_that_a_worker_waits_for_is_named() {
    let workload = Workload::one();
    workload.done();
    let opened = Opened::open(&workload);
    let mut monitor = opened.store.monitor().unwrap();
    let mut job = workload.database.connect();
    job.batch_execute("set application_name = 'the old job'; begin; delete from reg_rate_eurusd_2017_01")
        .unwrap();
    let is_over = AtomicBool::new(false);
    let wait_for_it = || {
        while !is_over.load(Ordering::Relaxed) {
            assert!(matches!(opened.store.claim(&first_partition(), Write::Replace), Ok(Claim::Held(_))));
        }
    };
    std::thread::scope(|scope| {
        let waiting = scope.spawn(wait_for_it);
        let is_named =
            |sample: &StoreSample| sample.lock_holders.iter().any(|holder| holder.contains("the old job"));
        let blocked = sample_until(
            || sample(&mut monitor),
            |sample| waits_for(sample, WaitKind::Lock, "Lock:relation") && is_named(sample),
        );
        assert_eq!(blocked.working, 0, "{blocked:?}");
        is_over.store(true, Ordering::Relaxed);
        waiting.join().unwrap();
        // Who was met a moment ago is still told of, though nobody waits for a lock any more.
        assert!(is_named(&sample(&mut monitor).unwrap()));
        sample_until(|| sample(&mut monitor), |sample| sample.lock_holders.is_empty());
    });
}

#[test]
fn a_role_that_may_not_look_at_others_sees_its_own_sessions() {
    let workload = Workload::one();
    let role = workload.as_new_role("watcher");
    workload.database.sql(&format!("grant select on m1_eurusd, bqx_eurusd to {role}"));
    let url = workload.database.url().replace("//postgres@", &format!("//{role}@"));
    let opened = Opened::at(&workload, &url, &[]);
    let mut monitor = opened.store.monitor().unwrap();
    let snapshot =
        opened.store.snapshot(&opened.config.series_of_key("eurusd"), first_partition().period, 0).unwrap();
    let seen = sample(&mut monitor).unwrap();
    assert_eq!(seen.own_sessions, 1);
    assert!(seen.sessions >= Some(2), "{seen:?}");
    drop(snapshot);
}

#[test]
fn the_probe_takes_no_session_that_a_worker_could_have() {
    // Beside other runners one session is kept for it.
    let server = Server::start();
    let workload = Workload::on(&server, ONE);
    let budget =
        |sessions| Opened::at(&workload, &workload.database.url(), &[("RUN__STORE_SESSIONS_MAX", sessions)]);
    assert!(budget("1").store.monitor().is_none());
    let opened = budget("2");
    let told = opened.store.sessions().unwrap();
    assert!(told.0 == 2 && told.1.contains("2 configured"), "{told:?}");
    let mut monitor = opened.store.monitor().unwrap();
    let snapshot = || {
        opened.store.snapshot(&opened.config.series_of_key("eurusd"), first_partition().period, 0).unwrap()
    };
    let snapshots = [snapshot(), snapshot()];
    let error = sample(&mut monitor).unwrap_err();
    assert!(error.contains("store_sessions_max"), "{error}");
    drop(snapshots);
    assert!(sample(&mut monitor).is_ok(), "asked again at once");
    let _snapshots = [snapshot(), snapshot()];
}

#[test]
fn a_probe_outlives_a_restart_of_the_server() {
    let server = Server::start();
    let workload = Workload::on(&server, ONE);
    let opened = Opened::open(&workload);
    let mut monitor = opened.store.monitor().unwrap();
    assert!(sample(&mut monitor).is_ok());
    server.stop(Shutdown::Immediate);
    let error = sample(&mut monitor).unwrap_err();
    assert!(error.contains("the server") || error.contains("connect"), "{error}");
    assert_eq!(sample(&mut monitor).unwrap_err(), error, "not asked again at once");
    server.start_again();
    sample_until(|| sample(&mut monitor), |sample| sample.sessions >= Some(1));
}

#[test]
fn behind_a_pooler_the_probe_sees_as_much_and_its_wait_is_short() {
    let server = Server::start();
    let workload = Workload::on(&server, ONE);
    let pooler = Pooler::before(&server, 2);
    let opened = Opened::at(&workload, &pooler.url(workload.database.name()), &[]);
    let mut monitor = opened.store.monitor().unwrap();
    let partition = first_partition();
    let mut slot = opened.claim(&partition);
    opened.write(slot.as_mut(), &partition, 5000);
    sample_until(
        || sample(&mut monitor),
        |sample| sample.waits.iter().any(|wait| wait.event == "Client:ClientRead" && wait.sessions == 1),
    );
    // Now the pooler has no connection left to ask through.
    let snapshot =
        opened.store.snapshot(&opened.config.series_of_key(&partition.key), partition.period, 0).unwrap();
    let error = sample(&mut monitor).unwrap_err();
    assert!(error.contains("no answer within 3 s") || error.contains("has not answered for 3 s"), "{error}");
    drop(snapshot);
    opened.write(slot.as_mut(), &partition, 10);
    sample_until(|| sample(&mut monitor), |sample| sample.own_sessions >= 1);
}

#[test]
fn a_standby_is_looked_at_and_tells_nothing_of_its_log() {
    let primary = Server::start();
    let workload = Workload::on(&primary, ONE);
    let standby = primary.standby();
    standby.catches_up_with(&primary);
    let opened = Opened::with_purpose(&workload, &standby.url(workload.database.name()), &[], Purpose::Read);
    let mut monitor = opened.store.monitor().unwrap();
    for _ in 0..2 {
        let seen = sample(&mut monitor).unwrap();
        assert_eq!((seen.own_sessions, seen.log_bytes_per_s), (0, None));
    }
}

#[test]
fn a_server_that_hides_its_log_is_still_looked_at() {
    let server = Server::start();
    let workload = Workload::on(&server, ONE);
    workload.database.sql("revoke execute on function pg_current_wal_insert_lsn() from public");
    let role = workload.as_new_role("watcher");
    let url = workload.database.url().replace("//postgres@", &format!("//{role}@"));
    let opened = Opened::at(&workload, &url, &[]);
    let mut monitor = opened.store.monitor().unwrap();
    for _ in 0..2 {
        assert_eq!(sample(&mut monitor).unwrap().log_bytes_per_s, None);
    }
    assert!(monitor.server_process().is_some());
    // Of one that hides when it started, its log is still looked at.
    workload.database.sql(
        "revoke execute on function pg_postmaster_start_time() from public;
         grant execute on function pg_current_wal_insert_lsn() to public",
    );
    let opened = Opened::at(&workload, &url, &[]);
    let mut monitor = opened.store.monitor().unwrap();
    let log: Vec<bool> = (0..3).map(|_| sample(&mut monitor).unwrap().log_bytes_per_s.is_some()).collect();
    assert_eq!((log, monitor.server_process()), (vec![false, false, true], None));
}

#[test]
fn a_store_tells_where_it_works() {
    let server = Setup::default().over_tcp().access(&["host all all 127.0.0.1/32 trust"]).start();
    let workload = Workload::on(&server, ONE);
    let name = workload.database.name();
    for url in [server.url(name), server.tcp_url("localhost", name)] {
        let opened = Opened::at(&workload, &url, &[]);
        assert_eq!(opened.store.is_local(), Some(true), "{url}");
        assert_eq!(Sink::kind(&opened.store), "postgres");
        assert_eq!(Source::place(&opened.store), Sink::place(&opened.store));
    }
    let opened = Opened::open(&workload);
    let mut monitor = opened.store.monitor().unwrap();
    assert_eq!(monitor.server_process(), None);
    sample(&mut monitor).unwrap();
    let process = monitor.server_process().unwrap();
    let first = || std::fs::read_to_string(server.data().join("postmaster.pid")).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap();
    let parent = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(1).unwrap();
    assert_eq!(first().lines().next(), Some(parent));
    assert!(process.server_started_us < process.started_us, "{process:?}");
    sample(&mut monitor).unwrap();
    assert_eq!(monitor.server_process(), Some(process.clone()));
    server.restart(Shutdown::Fast);
    sample_until(|| sample(&mut monitor), |_| true);
    assert!(monitor.server_process().unwrap().server_started_us > process.started_us);
}
