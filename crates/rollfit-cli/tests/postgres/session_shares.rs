//! Runners share the sessions that a server can spare: each has its part, who starts late gets in, and who stays gets what the others leave.

use rollfit_job::error_chain;
use rollfit_job::store::{Sink, Source, StoreMonitor, StoreSample};

use crate::opened::{Opened, first_partition, sample_until};
use crate::server::Server;
use crate::workload::{ONE, Workload};

/// Twelve connections, of which two stay free.
fn small_server() -> Server {
    Server::with(&[("max_connections", "12"), ("superuser_reserved_connections", "0")])
}

fn sessions(opened: &Opened) -> usize {
    opened.store.sessions().unwrap().0
}

/// Waits until the monitor tells of so many other runners.
#[track_caller]
fn sees(monitor: &mut Box<dyn StoreMonitor>, others: u32) -> StoreSample {
    let sample = || monitor.sample().map_err(|error| error_chain(&error));
    sample_until(sample, |sample| sample.other_runners == Some(others))
}

#[test]
fn who_starts_late_has_its_share_and_the_early_one_gives_up_what_is_too_much() {
    let server = small_server();
    let workload = Workload::on(&server, ONE);
    let early = Opened::as_runner(&workload, Some("rollfit 1@a 1a2b3c4d"));
    let alone = sessions(&early);
    assert!((8..=10).contains(&alone), "{:?}", early.store.sessions());
    let mut early_monitor = early.store.monitor().unwrap();
    let snapshot = |opened: &'_ Opened| {
        drop(
            opened
                .store
                .snapshot(&opened.config.series_of_key("eurusd"), first_partition().period, 0)
                .unwrap(),
        );
    };
    // It opens all that it may have, and keeps them.
    let held: Vec<_> = (0..alone)
        .map(|_| {
            early.store.snapshot(&early.config.series_of_key("eurusd"), first_partition().period, 0).unwrap()
        })
        .collect();
    let late = Opened::as_runner(&workload, Some("rollfit 1@b 1a2b3c4d"));
    let (share, told) = late.store.sessions().unwrap();
    assert!(share >= alone / 2 - 1 && share < alone, "{told}");
    assert!(told.contains("for 2 runners"), "{told}");
    snapshot(&late);
    let mut late_monitor = late.store.monitor().unwrap();
    assert_eq!(sees(&mut late_monitor, 1).other_runners, Some(1));
    drop(held);
    let seen = sees(&mut early_monitor, 1);
    let now = usize::try_from(seen.own_sessions_max.unwrap()).unwrap();
    assert!(now < alone && now + share <= alone + 1, "{seen:?} beside {share} of {alone}");
    assert!(usize::try_from(seen.own_sessions).unwrap() < alone);
    // What is idle beyond the share is closed, and the late one can have all of its own, of which one is the monitor's.
    let sample = || late_monitor.sample().map_err(|error| error_chain(&error));
    sample_until(sample, |sample| sample.sessions.unwrap() as usize + share <= 11);
    let more: Vec<_> = (1..share)
        .map(|_| {
            late.store.snapshot(&late.config.series_of_key("eurusd"), first_partition().period, 0).unwrap()
        })
        .collect();
    sees(&mut late_monitor, 1);
    drop(more);
    drop((late_monitor, late));
    let restored = sees(&mut early_monitor, 0);
    assert_eq!(restored.own_sessions_max, u32::try_from(alone).ok());
}

#[test]
fn a_configured_number_is_a_most_for_each_process() {
    let workload = Workload::one();
    let ours = Opened::at(&workload, &workload.database.url(), &[("RUN__STORE_SESSIONS_MAX", "2")]);
    let _other = Opened::as_runner(&workload, Some("rollfit 1@b 1a2b3c4d"));
    let mut monitor = ours.store.monitor().unwrap();
    let seen = sample_until(
        || monitor.sample().map_err(|error| error_chain(&error)),
        |sample| sample.other_runners.is_some_and(|others| others >= 1),
    );
    assert_eq!(seen.own_sessions_max, Some(2));
}

#[test]
fn two_runners_of_one_name_are_not_taken_for_one() {
    let server = small_server();
    let workload = Workload::on(&server, ONE);
    let [ours, namesake] = [(); 2].map(|()| Opened::as_runner(&workload, None));
    let _snapshot = namesake
        .store
        .snapshot(&namesake.config.series_of_key("eurusd"), first_partition().period, 0)
        .unwrap();
    let mut monitor = ours.store.monitor().unwrap();
    let seen = monitor.sample().unwrap();
    assert_eq!(seen.own_sessions, 0, "{seen:?}");
    assert!(ours.store.session_budget().sessions > usize::try_from(seen.own_sessions_max.unwrap()).unwrap());
}

#[test]
fn many_runners_on_a_small_server_work_with_a_session_each() {
    let server = small_server();
    let workload = Workload::on(&server, crate::workload::WIDE);
    let running: Vec<_> = (0..6).map(|_| workload.start(&[], &["--workers", "2"])).collect();
    let answers: Vec<_> = running.into_iter().map(|running| running.finish().exits(0)).collect();
    let written: u64 = answers.iter().map(|answer| answer.json()["written"].as_u64().unwrap()).sum();
    assert_eq!(written, 6);
    workload.is_as_undisturbed();
}
