//! What a store tells of the runners that are at work on it: names, sessions, partitions; and of its clock and its place.

use std::time::{SystemTime, UNIX_EPOCH};

use rollfit_job::partition::Partition;
use rollfit_job::runners::{RunnerName, StoreRunner};
use rollfit_job::store::{Purpose, Sink};

use crate::opened::{Opened, first_partition};
use crate::server::Setup;
use crate::workload::{ONE, Workload};

const FAR: &str = "rollfit 7@far 1a2b3c4d 3/8";

fn runner<'a>(runners: &'a [StoreRunner], name: &str) -> &'a StoreRunner {
    runners.iter().find(|runner| runner.name.to_string() == name).unwrap_or_else(|| panic!("{runners:?}"))
}

#[test]
fn runners_are_told_with_the_partitions_that_they_have() {
    let workload = Workload::one();
    let (ours, other) = (Opened::as_runner(&workload, None), Opened::as_runner(&workload, Some(FAR)));
    let partitions: Vec<Partition> = (0..20_000)
        .map(|n| Partition::new(format!("k{n}"), "2017-01".parse().unwrap()))
        .chain([first_partition()])
        .collect();
    let mut slot = other.claim(&first_partition());
    other.write(slot.as_mut(), &first_partition(), 20_000);
    let before = ours.store.round_trips();
    let runners = ours.store.runners(&partitions).unwrap();
    assert!(ours.store.round_trips() - before <= 1);
    assert_eq!(runners.len(), 2, "{runners:?}");
    let far = runner(&runners, FAR);
    assert_eq!((far.sessions, far.address.as_deref(), far.held.len()), (Some(1), None, 1), "{far:?}");
    let held = &far.held[0];
    assert_eq!(held.partition, first_partition());
    assert!(held.bytes > Some(0) && held.since_us >= far.since_us && far.since_us.is_some(), "{far:?}");
    let this = runners.iter().find(|runner| runner.name.pid == std::process::id()).unwrap();
    assert!(this.held.is_empty() && this.name.definition.is_some(), "{this:?}");
    drop(slot);
    let runners = ours.store.runners(&partitions).unwrap();
    assert!(runner(&runners, FAR).held.is_empty());
}

#[test]
fn runners_of_another_role_are_told_as_far_as_they_are_shown() {
    let workload = Workload::one();
    let role = workload.as_new_role("onlooker");
    let url = workload.database.url().replace("//postgres@", &format!("//{role}@"));
    let ours = Opened::at(&workload, &url, &[]);
    let other = Opened::as_runner(&workload, Some(FAR));
    let _slot = other.claim(&first_partition());
    let runners = ours.store.runners(&[first_partition()]).unwrap();
    let far = runner(&runners, FAR);
    assert_eq!((far.sessions, far.since_us, far.held.len()), (Some(1), None, 1), "{far:?}");
    assert_eq!((far.held[0].since_us, far.held[0].bytes), (None, None));
}

#[test]
fn who_only_reads_is_no_runner() {
    let workload = Workload::one();
    let _reader = Opened::under_own_name(&workload, Purpose::Read);
    assert!(workload.database.one::<bool>(
        "select exists (select from pg_stat_activity where application_name like 'rollfit reader %'
             and datname = current_database())"
    ));
    let _source = Opened::under_own_name(&workload, Purpose::Source);
    let ours = Opened::as_runner(&workload, Some(FAR));
    let names: Vec<String> =
        ours.store.runners(&[]).unwrap().iter().map(|runner| runner.name.to_string()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().any(|name| name == FAR), "{names:?}");
}

#[test]
fn receipts_say_which_runner_wrote_them() {
    let workload = Workload::one();
    workload.done();
    let name: String = workload.database.one("select written_by from rollfit_receipts");
    let runner = RunnerName::parse(&name).unwrap_or_else(|| panic!("{name}"));
    let hash: String = workload.database.one("select hash from rollfit_definitions");
    let definition = runner.definition.unwrap_or_else(|| panic!("{name}"));
    assert!(
        hash.starts_with(&definition) && definition.len() == RunnerName::DEFINITION_CHARS,
        "{name} {hash}"
    );
}

#[test]
fn the_clock_of_the_server_is_told() {
    let workload = Workload::one();
    let opened = Opened::open(&workload);
    let now = || i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap();
    let before = now();
    let told = Sink::clock_us(&opened.store).unwrap().unwrap();
    let after = now();
    // The server is on this machine. What is not known is how the time was spent on the ways there and back.
    assert!((before..=after + (after - before)).contains(&told), "{before} {told} {after}");
}

#[test]
fn addresses_that_lead_elsewhere_on_each_machine_are_told() {
    let server = Setup::default().over_tcp().access(&["host all all 127.0.0.1/32 trust"]).start();
    let workload = Workload::on(&server, ONE);
    let name = workload.database.name();
    for (url, what) in [
        (server.url(name), "a Unix socket"),
        (server.tcp_url("127.0.0.1", name), "localhost"),
        (server.tcp_url("localhost", name), "localhost"),
    ] {
        let told = format!(
            "the store is on {what}, which is another server on each machine; use a host name that all machines reach"
        );
        assert_eq!(Opened::at(&workload, &url, &[]).store.only_here(), Some(told), "{url}");
    }
    // An address for a name, as a tunnel has it.
    let elsewhere = server.tcp_url("db.example", name);
    let join = if elsewhere.contains('?') { '&' } else { '?' };
    let tunnel = format!("{elsewhere}{join}hostaddr=127.0.0.1");
    assert!(Opened::at(&workload, &tunnel, &[]).store.only_here().is_some());
}
