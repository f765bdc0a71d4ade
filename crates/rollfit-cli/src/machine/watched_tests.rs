//! Servers and disks made of files: processes that come and go, numbers that somebody else has, quotas of either version, devices.

use std::time::Duration;

use rollfit_job::store::ServerProcess;
use rollfit_job::watch::Machine;

use super::cgroup::ControlGroups;
use super::files::Files;
use super::linux::Linux;
use super::proc;
use super::reading::Reading;
use super::tests::{Fixture, GB, SEPARATE, UNIFIED};
use super::watched::Watched;

/// What the server of [`Fixture::with_server`] says of its session, whose clock is a little late.
const SESSION: ServerProcess = ServerProcess {
    pid: 101,
    started_us: 1_009_000_000_000 + 700_000,
    server_started_us: 1_000_050_000_000 + 1_200_000,
};

impl Fixture {
    fn read_with(&self, watched: &Watched, at_ms: u64) -> Reading {
        let files = Files::below(self.0.path());
        let groups = ControlGroups::of_this_process(&files);
        Reading::from_files(&files, &groups, watched, (Duration::from_millis(at_ms), Duration::ZERO))
    }

    /// A process with this parent that started `started` ticks after the machine; its ticks, and those of its children that have ended.
    fn with_process(self, pid: u32, parent: u32, started: u64, (own, ended): (u64, u64)) -> Self {
        let text = format!(
            "{pid} (postgres: a (b) {pid}) S {parent} 1 1 0 -1 4194560 9 9 9 9 {own} 0 {ended} 0 20 0 1 0 {started} 1 1\n"
        );
        self.with(&format!("/proc/{pid}/stat"), &text)
    }

    /// A server: process 100 with the processes 101, a session, and 102, beside 103, which is of somebody else.
    fn with_server(self) -> Self {
        self.with("/proc/stat", "cpu  100 0 100 1000 50 0 0 10 0 0\nbtime 1000000\n")
            .with_process(100, 1, 5000, (10, 500))
            .with_process(101, 100, 900_000, (200, 0))
            .with_process(102, 100, 5001, (300, 7))
            .with_process(103, 1, 5000, (9999, 9999))
            .with("/proc/100/task/100/children", "101 102 \n")
    }

    fn ends(self, pid: u32) -> Self {
        std::fs::remove_dir_all(self.0.path().join(format!("proc/{pid}"))).unwrap();
        self
    }

    fn watch(&self, watched: &mut Watched, process: &ServerProcess) -> Result<bool, String> {
        watched.watch_server(&Files::below(self.0.path()), process)
    }

    /// Watches the server of its session, which has to be taken.
    fn watching(&self) -> Watched {
        let mut watched = Watched::default();
        assert_eq!(self.watch(&mut watched, &SESSION), Ok(true));
        watched
    }

    fn server_cores(&self, watched: &Watched, before: &Reading, at_ms: u64) -> (Option<f64>, Reading) {
        let reading = self.read_with(watched, at_ms).after(before);
        (reading.since(before).server_cores, reading)
    }
}

#[test]
fn the_time_of_a_server_is_that_of_all_its_processes_also_of_those_that_end() {
    let fixture = Fixture::new().with_server();
    let watched = fixture.watching();
    let before = fixture.read_with(&watched, 1000);
    assert_eq!(before.since(&before).server_cores, None);
    // 10 + 500 ticks, 200 and 300 + 7 at first; each gets some more in two seconds.
    let fixture = fixture
        .with_process(100, 1, 5000, (20, 500))
        .with_process(101, 100, 900_000, (290, 0))
        .with_process(102, 100, 5001, (350, 57));
    let (cores, before) = fixture.server_cores(&watched, &before, 3000);
    assert_eq!(cores, Some(1.0));
    // A session ends, with 10 ticks more: its time goes to its parent. Another begins.
    let fixture = fixture
        .with_process(100, 1, 5000, (20, 800))
        .ends(101)
        .with_process(104, 100, 990_000, (90, 0))
        .with("/proc/100/task/100/children", "102 104");
    let (cores, before) = fixture.server_cores(&watched, &before, 4000);
    assert_eq!(cores, Some(1.0));
    // One that the parent has not seen the end of is missed, and comes back: it counts once.
    let fixture = fixture.ends(104);
    let (missed, before) = fixture.server_cores(&watched, &before, 5000);
    let fixture = fixture.with_process(100, 1, 5000, (20, 900));
    let (found, before) = fixture.server_cores(&watched, &before, 6000);
    assert_eq!((missed, found), (Some(0.0), Some(0.1)));
    assert_eq!(fixture.server_cores(&watched, &before, 7000).0, Some(0.0));
}

#[test]
fn without_a_list_of_children_all_processes_are_looked_through() {
    let fixture = Fixture::new().with_server().without("/proc/100/task/100/children");
    let watched = fixture.watching();
    let before = fixture.read_with(&watched, 0);
    // Neither the process of somebody else counts, nor this one, which may have lost its parent.
    let fixture = fixture
        .with_process(102, 100, 5001, (350, 7))
        .with_process(103, 1, 5000, (99_999, 0))
        .with_process(std::process::id(), 100, 5001, (99_999, 0));
    assert_eq!(fixture.server_cores(&watched, &before, 1000).0, Some(0.5));
}

#[test]
fn a_process_with_the_number_of_a_servers_is_the_servers_only_where_parent_and_starts_agree() {
    let fixture = Fixture::new().with_server();
    let refused = |fixture: &Fixture, process: &ServerProcess, why: &str| {
        let mut watched = Watched::default();
        let error = fixture.watch(&mut watched, process).unwrap_err();
        assert!(error.contains(why), "{error}");
        assert_eq!(fixture.read_with(&watched, 0).server, None);
    };
    const S: i64 = 1_000_000;
    let at = |started_us, server_started_us| ServerProcess { started_us, server_started_us, ..SESSION };
    let (session, server) = (SESSION.started_us, SESSION.server_started_us);
    for taken in [at(session + 2 * S, server + 8 * S), at(session - 2 * S, server - 2 * S)] {
        assert_eq!(fixture.watch(&mut Watched::default(), &taken), Ok(true), "{taken:?}");
    }
    refused(&fixture, &at(session + 4 * S, server), "process 101 of the server started at another time");
    refused(&fixture, &at(session - 4 * S, server), "started at another time");
    refused(&fixture, &at(session, server + 30 * S), "has a parent that started at another time");
    refused(&fixture, &at(session, server - 4 * S), "has a parent that started at another time");
    // In another container, or of another user where those are hidden.
    refused(&fixture, &ServerProcess { pid: 77, ..SESSION }, "process 77 of the server is not here");
    // A kernel's process, and the first of a container.
    let fixture = fixture.with_process(101, 0, 900_000, (0, 0));
    refused(&fixture, &SESSION, "has no parent here");
    // A process of somebody else that has the number and the time.
    let fixture = fixture.with_process(101, 103, 900_000, (0, 0)).with_process(103, 1, 700_000, (0, 0));
    refused(&fixture, &SESSION, "has a parent that started at another time");
    for (nonsense, path) in [("", "/proc/101/stat"), ("cpu 1\n", "/proc/stat")] {
        let fixture = Fixture::new().with_server().with(path, nonsense);
        refused(&fixture, &SESSION, &format!("{path} has an unexpected format"));
    }
}

#[test]
fn a_server_that_is_started_again_is_counted_anew() {
    let fixture = Fixture::new().with_server();
    let mut watched = fixture.watching();
    assert_eq!(fixture.watch(&mut watched, &SESSION), Ok(false));
    // Another session of the same server.
    let other = ServerProcess { pid: 102, started_us: 1_000_050_500_000, ..SESSION };
    assert_eq!(fixture.watch(&mut watched, &other), Ok(false));
    let before = fixture.read_with(&watched, 0);
    let fixture = fixture.ends(100).ends(101).ends(102);
    let (cores, before) = fixture.server_cores(&watched, &before, 1000);
    assert_eq!((cores, before.server), (None, None));
    // Its number may be that of the next server, or of anybody.
    let fixture = fixture.with_process(100, 1, 980_000, (5, 0)).with_process(101, 100, 990_000, (5, 0));
    assert_eq!(fixture.read_with(&watched, 2000).server, None);
    let next =
        ServerProcess { pid: 101, started_us: 1_009_900_000_000, server_started_us: 1_009_800_000_000 };
    assert_eq!(fixture.watch(&mut watched, &next), Ok(true));
    let (cores, before) = fixture.server_cores(&watched, &before, 3000);
    assert_eq!(cores, None);
    let fixture = fixture.with_process(101, 100, 990_000, (55, 0));
    assert_eq!(fixture.server_cores(&watched, &before, 4000).0, Some(0.5));
}

#[test]
fn a_quota_counts_the_periods_in_which_it_was_used_up() {
    let two = |periods: u64, used_up: u64| {
        format!("usage_usec 5\nnr_periods {periods}\nnr_throttled {used_up}\nthrottled_usec 77\n")
    };
    let fixture = Fixture::new()
        .in_groups("0::/outer/inner\n", UNIFIED)
        .with("/sys/fs/cgroup/outer/cpu.max", "150000 100000\n")
        .with("/sys/fs/cgroup/outer/cpu.stat", &two(100, 90))
        .with("/sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n")
        .with("/sys/fs/cgroup/outer/inner/cpu.stat", &two(0, 0));
    let before = fixture.read(0, 0);
    let reached = |fixture: &Fixture| fixture.read(1000, 0).since(&before).quota_reached;
    assert_eq!(reached(&fixture), Some(0.0));
    let fixture = fixture.with("/sys/fs/cgroup/outer/cpu.stat", &two(110, 95));
    assert_eq!(reached(&fixture), Some(0.5));
    // The tightest of several counts, and what counts backwards is of a new group.
    let fixture = fixture.with("/sys/fs/cgroup/outer/inner/cpu.max", "100000 100000\n");
    let before = fixture.read(0, 0);
    let fixture = fixture.with("/sys/fs/cgroup/outer/inner/cpu.stat", &two(10, 9));
    assert_eq!(fixture.read(1000, 0).since(&before).quota_reached, Some(0.9));
    let fixture = fixture.with("/sys/fs/cgroup/outer/cpu.stat", &two(0, 0));
    assert_eq!(fixture.read(1000, 0).since(&before).quota_reached, Some(0.9));
    let fixture = fixture.with("/sys/fs/cgroup/outer/cpu.stat", "usage_usec 5\n");
    let unavailable = fixture.limits().unavailable;
    assert!(unavailable.iter().any(|cause| cause.contains("/outer/cpu.stat")), "{unavailable:?}");
    let without = Fixture::new().in_groups("0::/\n", UNIFIED).with("/sys/fs/cgroup/cpu.stat", &two(9, 9));
    assert_eq!(without.read(1, 0).since(&without.read(0, 0)).quota_reached, None);
}

#[test]
fn a_quota_of_version_1_counts_as_well() {
    let group = "/sys/fs/cgroup/cpu,cpuacct/a";
    let fixture = Fixture::new()
        .in_groups("4:cpu,cpuacct:/a\n", SEPARATE)
        .with(&format!("{group}/cpu.cfs_quota_us"), "50000\n")
        .with(&format!("{group}/cpu.cfs_period_us"), "100000\n")
        .with(&format!("{group}/cpu.stat"), "nr_periods 20\nnr_throttled 4\nthrottled_time 9\n");
    let before = fixture.read(0, 0);
    let fixture =
        fixture.with(&format!("{group}/cpu.stat"), "nr_periods 30\nnr_throttled 14\nthrottled_time 99\n");
    assert_eq!(fixture.read(1000, 0).since(&before).quota_reached, Some(1.0));
    let fixture = fixture.with(&format!("{group}/cpu.cfs_quota_us"), "-1\n");
    assert_eq!(fixture.read(1000, 0).since(&before).quota_reached, None);
}

#[test]
fn a_device_is_busy_as_long_as_the_system_says_and_one_that_is_not_listed_is_named() {
    let disks = |busy_ms: u64, read: u64, written: u64| {
        format!(
            "   8  0 sda 9 0 9 9 9 0 9 9 0 9 9\n   8  17 sdb1 1 0 {read} 1 1 0 {written} 1 0 {busy_ms} 1\n"
        )
    };
    let fixture = Fixture::new().with("/proc/diskstats", &disks(1000, 10, 20));
    let mut watched = Watched::default();
    watched.watch_device(rustix::fs::makedev(8, 17));
    let before = fixture.read_with(&watched, 0);
    let fixture = fixture.with("/proc/diskstats", &disks(2500, 10, 60));
    let sample = fixture.read_with(&watched, 2000).since(&before);
    assert_eq!(
        (sample.disk_busy, sample.disk_read_bytes_per_s, sample.disk_written_bytes_per_s),
        (Some(0.75), Some(0.0), Some(40.0 * 512.0 / 2.0))
    );
    assert_eq!(sample.machine_free_memory_bytes, Some(8 * GB));
    // In memory, in layers or over a network.
    watched.watch_device(rustix::fs::makedev(0, 45));
    let [only] = fixture.read_with(&watched, 0).unavailable().try_into().unwrap();
    assert!(only.starts_with("how busy the store's disk is: the store is on device 0:45"), "{only}");
    let fixture = fixture.without("/proc/diskstats");
    let [only] = fixture.read_with(&watched, 0).unavailable().try_into().unwrap();
    assert!(only.contains("cannot read /proc/diskstats"), "{only}");
    assert_eq!(fixture.read(0, 0).unavailable(), Vec::<String>::new());
}

#[test]
fn a_server_on_this_machine_brings_the_device_of_its_data_where_that_can_be_seen() {
    let data = tempfile::tempdir().unwrap();
    let device = rustix::fs::stat(data.path()).unwrap().st_dev;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let line = format!("{major} {minor} disk 1 0 10 1 1 0 20 1 0 500 1\n");
    let fixture = Fixture::new().with_server().with("/proc/diskstats", &line);
    assert_eq!(fixture.watching().device_stat(&Files::below(fixture.0.path())), None);
    std::os::unix::fs::symlink(data.path(), fixture.0.path().join("proc/100/cwd")).unwrap();
    let stat = fixture.watching().device_stat(&Files::below(fixture.0.path())).unwrap().unwrap();
    assert_eq!((stat.busy_ms, stat.read_bytes), (500, 5120));
}

/// The child of this test is its session, and this test its server.
#[test]
fn the_processes_of_this_machine_are_found_like_those_of_a_server() {
    let mut child = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
    let started_us = |pid: u32| {
        let files = Files::below("/");
        let stat = files.see(&format!("/proc/{pid}/stat"), proc::ProcessStat::parse).unwrap();
        let boot_s = files.see("/proc/stat", proc::boot_s).unwrap();
        (boot_s * 1_000_000 + stat.started * 10_000) as i64
    };
    let process = ServerProcess {
        pid: child.id(),
        started_us: started_us(child.id()),
        server_started_us: started_us(std::process::id()),
    };
    let machine = Linux::below("/");
    let found = machine.watch_server(&process);
    machine.sample();
    let busy = (0..40).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        machine.sample().server_cores.filter(|&cores| cores > 0.0)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(found, Ok(()));
    assert!(busy.is_some_and(|cores| cores < 4.0), "{busy:?}");
    std::thread::sleep(Duration::from_millis(60));
    let gone = ServerProcess { server_started_us: 1, ..process };
    assert!(machine.watch_server(&gone).is_err());
    assert_eq!(machine.sample().server_cores, None);
}
