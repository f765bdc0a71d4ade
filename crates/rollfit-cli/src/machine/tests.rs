//! Machines made of files: of either version of control groups, of both, in containers, without limits, without files, and
//! with nonsense in them.

use std::time::Duration;

use rollfit_job::watch::{Machine, MachineLimits, MachineSample};

use super::cgroup::ControlGroups;
use super::files::Files;
use super::linux::Linux;
use super::reading::Reading;
use super::watched::Watched;

pub(super) const GB: u64 = 1 << 30;
pub(super) const UNIFIED: &str = "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
pub(super) const SEPARATE: &str = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
    35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

/// A machine of four cores and 16 GB, without control groups.
pub(super) struct Fixture(pub(super) tempfile::TempDir);

impl Fixture {
    fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn new() -> Self {
        Self::empty()
            .with("/proc/self/cgroup", "")
            .with("/proc/self/mountinfo", "")
            .with("/proc/self/status", "Name:\trollfit\nCpus_allowed_list:\t0-3\n")
            .with("/proc/self/statm", "765 417 390 5 0 123 0\n")
            .with("/proc/self/io", "read_bytes: 1000\nwrite_bytes: 2000\n")
            .with("/proc/self/task/7/schedstat", "1 1000000000 1\n")
            .with("/proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n")
            .with("/proc/loadavg", "1.50 0.20 0.10 1/104 7\n")
            .with("/proc/stat", "cpu  100 0 100 1000 50 0 0 10 0 0\ncpu0 25 0 25 250 12 0 0 2 0 0\n")
            .with("/proc/pressure/cpu", "some avg10=0.00 total=1000000\nfull avg10=0.00 total=0\n")
            .with("/proc/pressure/io", "some avg10=0.00 total=2000000\nfull avg10=0.00 total=0\n")
            .with("/proc/pressure/memory", "some avg10=0.00 total=3000000\nfull avg10=0.00 total=0\n")
            .with("/sys/devices/system/cpu/online", "0-3\n")
    }

    pub(super) fn with(self, path: &str, text: &str) -> Self {
        let file = self.0.path().join(&path[1..]);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
        self
    }

    pub(super) fn without(self, path: &str) -> Self {
        std::fs::remove_file(self.0.path().join(&path[1..])).unwrap();
        self
    }

    pub(super) fn in_groups(self, cgroup: &str, mounts: &str) -> Self {
        self.with("/proc/self/cgroup", cgroup).with("/proc/self/mountinfo", mounts)
    }

    pub(super) fn limits(&self) -> MachineLimits {
        Linux::below(self.0.path()).limits()
    }

    pub(super) fn read(&self, at_ms: u64, own_ms: u64) -> Reading {
        let files = Files::below(self.0.path());
        let groups = ControlGroups::of_this_process(&files);
        let times = (Duration::from_millis(at_ms), Duration::from_millis(own_ms));
        Reading::from_files(&files, &groups, &Watched::default(), times)
    }

    fn free_memory_bytes(&self) -> Option<u64> {
        self.read(1, 0).since(&self.read(0, 0)).free_memory_bytes
    }
}

#[test]
fn without_limits_the_whole_machine_is_there_and_nothing_is_unavailable() {
    let free = MachineLimits { cores: Some(4), memory_bytes: Some(16 * GB), ..MachineLimits::default() };
    assert_eq!(Fixture::new().limits(), free);
    let unlimited = Fixture::new()
        .in_groups("0::/job\n", UNIFIED)
        .with("/sys/fs/cgroup/job/cpu.max", "max 100000\n")
        .with("/sys/fs/cgroup/job/memory.max", "max\n")
        .with("/sys/fs/cgroup/job/memory.high", "max\n");
    assert_eq!(unlimited.limits(), free);
    let unlimited = Fixture::new()
        .in_groups("4:cpu,cpuacct:/\n5:memory:/\n", SEPARATE)
        .with("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
        .with("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_eq!(unlimited.limits(), free);
}

#[test]
fn every_group_above_this_process_limits_it_and_the_least_counts() {
    let nested = Fixture::new()
        .in_groups("0::/outer/inner\n", UNIFIED)
        .with("/sys/fs/cgroup/outer/cpu.max", "150000 100000\n")
        .with("/sys/fs/cgroup/outer/inner/cpu.max", "300000 100000\n")
        .with("/sys/fs/cgroup/outer/cpu.stat", "nr_periods 0\nnr_throttled 0\n")
        .with("/sys/fs/cgroup/outer/inner/cpu.stat", "nr_periods 0\nnr_throttled 0\n")
        .with("/sys/fs/cgroup/outer/memory.max", "max\n")
        .with("/sys/fs/cgroup/outer/memory.high", &(3 * GB).to_string())
        .with("/sys/fs/cgroup/outer/inner/memory.max", &(4 * GB).to_string());
    // The group above with a limit also has to tell how much of it is used.
    let nested = nested
        .with("/sys/fs/cgroup/outer/memory.current", &(2 * GB).to_string())
        .with("/sys/fs/cgroup/outer/memory.stat", &format!("anon 5\ninactive_file {GB}\n"))
        .with("/sys/fs/cgroup/outer/inner/memory.current", &(2 * GB).to_string())
        .with("/sys/fs/cgroup/outer/inner/memory.stat", "inactive_file 0\n");
    let limits = nested.limits();
    assert_eq!((limits.cores_allowed, limits.memory_allowed_bytes), (Some(1.5), Some(3 * GB)));
    assert_eq!(limits.unavailable, Vec::<String>::new());
    assert_eq!(nested.free_memory_bytes(), Some(2 * GB));
}

#[test]
fn groups_of_version_1_limit_as_well() {
    let fixture = Fixture::new()
        .in_groups("4:cpu,cpuacct:/a/b\n5:memory:/a\n1:name=systemd:/\n", SEPARATE)
        .with("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n")
        .with("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n")
        .with("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n")
        .with("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", &(2 * GB).to_string())
        .with("/sys/fs/cgroup/memory/a/memory.usage_in_bytes", &GB.to_string())
        .with("/sys/fs/cgroup/memory/a/memory.stat", "inactive_file 1\ntotal_inactive_file 1024\n")
        .with("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    let limits = fixture.limits();
    assert_eq!((limits.cores_allowed, limits.memory_allowed_bytes), (Some(0.5), Some(2 * GB)));
    assert_eq!(fixture.free_memory_bytes(), Some(GB + 1024));
}

#[test]
fn a_controller_that_version_1_has_not_is_looked_for_in_version_2() {
    let mounts = SEPARATE.lines().next().unwrap().to_owned()
        + "\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    let fixture = Fixture::new()
        .in_groups("4:cpu,cpuacct:/a\n0::/b\n", &mounts)
        .with("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "200000\n")
        .with("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n")
        .with("/sys/fs/cgroup/unified/b/cpu.max", "100000 100000\n")
        .with("/sys/fs/cgroup/unified/b/memory.max", &GB.to_string());
    let limits = fixture.limits();
    assert_eq!((limits.cores_allowed, limits.memory_allowed_bytes), (Some(2.0), Some(GB)));
}

#[test]
fn a_container_is_limited_by_the_group_it_sees_as_the_highest() {
    let fixture = Fixture::new()
        .in_groups("0::/docker/abc\n", "41 31 0:38 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n")
        .with("/sys/fs/cgroup/cpu.max", "250000 100000\n")
        .with("/sys/fs/cgroup/memory.max", &GB.to_string());
    let limits = fixture.limits();
    assert_eq!((limits.cores_allowed, limits.memory_allowed_bytes), (Some(2.5), Some(GB)));
}

#[test]
fn affinity_limits_where_it_leaves_fewer_cores_than_a_quota() {
    let fixture = Fixture::new()
        .with("/proc/self/status", "Cpus_allowed_list:\t1,3\n")
        .in_groups("0::/\n", UNIFIED)
        .with("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    assert_eq!(fixture.limits().cores_allowed, Some(2.0));
}

#[test]
fn what_is_absent_is_none_and_named_once_with_the_reason() {
    let nothing = Fixture::empty();
    let limits = nothing.limits();
    assert_eq!(limits, MachineLimits { unavailable: limits.unavailable.clone(), ..MachineLimits::default() });
    let sample = Linux::below(nothing.0.path()).sample();
    assert!(sample.own_cores.is_some());
    assert_eq!(sample, MachineSample { own_cores: sample.own_cores, ..MachineSample::default() });

    let without_pressure = Fixture::new().without("/proc/pressure/io");
    let [only] = without_pressure.limits().unavailable.try_into().unwrap();
    assert!(only.starts_with("the time that tasks wait for disks: cannot read /proc/pressure/io"), "{only}");
    assert_eq!(without_pressure.read(1, 0).since(&without_pressure.read(0, 0)).io_pressure, None);
}

#[test]
fn nonsense_is_none_and_named_with_its_file() {
    const FILES: [&str; 13] = [
        "/proc/self/status",
        "/proc/self/statm",
        "/proc/self/io",
        "/proc/self/task/7/schedstat",
        "/proc/meminfo",
        "/proc/loadavg",
        "/proc/stat",
        "/proc/pressure/cpu",
        "/proc/pressure/io",
        "/proc/pressure/memory",
        "/sys/fs/cgroup/cpu.max",
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory.high",
    ];
    for path in FILES {
        for nonsense in ["", "hello\n", "-1 -1 -1\n", "99999999999999999999999999\n", "\u{fffd}\0\n"] {
            let fixture = Fixture::new().in_groups("0::/\n", UNIFIED).with(path, nonsense);
            let unavailable = fixture.limits().unavailable;
            assert!(
                unavailable.iter().any(|cause| cause.contains(path)),
                "{path} {nonsense:?}: {unavailable:?}"
            );
            fixture.read(1, 0).since(&fixture.read(0, 0));
        }
    }
}

#[test]
fn what_counts_up_becomes_a_rate() {
    let fixture = Fixture::new();
    let before = fixture.read(1000, 500);
    let fixture = fixture
        .with("/proc/stat", "cpu  400 0 200 1500 90 0 0 60 0 0\n")
        .with("/proc/self/io", "read_bytes: 5000\nwrite_bytes: 2000\n")
        .with("/proc/self/task/7/schedstat", "1 2000000000 1\n")
        .with("/proc/self/task/8/schedstat", "1 2000000000 1\n")
        .with("/proc/pressure/cpu", "some avg10=0.00 total=2000000\n")
        .with("/proc/pressure/io", "some avg10=0.00 total=99000000\n");
    let sample = fixture.read(3000, 1500).since(&before);
    // Four seconds of processor time in two, one of them ours.
    assert_eq!(
        (sample.own_cores, sample.others_cores, sample.stolen_cores),
        (Some(0.5), Some(1.5), Some(0.25))
    );
    assert_eq!((sample.waiting_threads, sample.load), (Some(1.5), Some(1.5)));
    assert_eq!((sample.cpu_pressure, sample.io_pressure), (Some(0.5), Some(1.0)));
    assert_eq!((sample.memory_pressure, sample.free_memory_bytes), (Some(0.0), Some(8 * GB)));
    assert_eq!((sample.read_bytes_per_s, sample.written_bytes_per_s), (Some(2000.0), Some(0.0)));
}

#[test]
fn counters_that_run_backwards_and_threads_that_are_replaced_make_no_rate_below_zero() {
    let fixture = Fixture::new();
    let before = fixture.read(1000, 500);
    let fixture = fixture
        .with("/proc/stat", "cpu  1 0 1 1 1 0 0 1 0 0\n")
        .with("/proc/self/task/7/schedstat", "1 500000000 1\n");
    let sample = fixture.read(2000, 400).since(&before);
    assert_eq!(
        (sample.own_cores, sample.others_cores, sample.stolen_cores),
        (Some(0.0), Some(0.0), Some(0.0))
    );
    assert_eq!(sample.waiting_threads, Some(0.5));
}

#[test]
fn the_pressure_is_that_of_the_own_group_where_it_is_told() {
    let fixture = Fixture::new()
        .in_groups("0::/job\n", UNIFIED)
        .with("/sys/fs/cgroup/job/cpu.pressure", "some avg10=0.00 total=10\n");
    let before = fixture.read(0, 0);
    let fixture = fixture
        .with("/sys/fs/cgroup/job/cpu.pressure", "some avg10=0.00 total=250010\n")
        .with("/proc/pressure/cpu", "some avg10=0.00 total=9000000\n");
    assert_eq!(fixture.read(1000, 0).since(&before).cpu_pressure, Some(0.25));
}

#[test]
fn the_first_sample_is_of_the_moment_before_and_not_of_the_minute_before() {
    let fixture = Fixture::new().with("/proc/loadavg", "9.00 9.00 9.00 1/104 7\n");
    let sample = Linux::below(fixture.0.path()).sample();
    assert_eq!((sample.others_cores, sample.load), (Some(0.0), Some(9.0)));
    let machine = Linux::below(fixture.0.path());
    let busy =
        fixture.with("/proc/stat", "cpu  1000 0 100 1000 50 0 0 10 0 0\ncpu0 25 0 25 250 12 0 0 2 0 0\n");
    assert!(machine.sample().others_cores.is_some_and(|others| others > 3.0));
    // What was busy while a job was planned is looked at once more.
    let machine = Linux::below(busy.0.path());
    let busy = busy.with("/proc/stat", "cpu  9000 0 100 1000 50 0 0 10 0 0\ncpu0 25 0 25 250 12 0 0 2 0 0\n");
    std::thread::sleep(Duration::from_millis(250));
    assert_eq!(machine.sample().others_cores, Some(0.0));
    drop(busy);
}

#[test]
fn samples_of_this_machine_are_possible_whoever_asks_and_how_often() {
    let machine = Linux::below("/");
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(machine.limits().cores.is_none_or(|all| all >= cores));
    let ask = || {
        for _ in 0..3 {
            let sample = machine.sample();
            let own = sample.own_cores.unwrap();
            assert!((0.0..=cores as f64 + 1.0).contains(&own), "{own}");
            assert!(sample.cpu_pressure.is_none_or(|share| (0.0..=1.0).contains(&share)));
            assert!(sample.own_memory_bytes.is_none_or(|bytes| bytes > 0));
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(ask))));
    // Asked again at once, the same is told: rates over no time would be noise.
    assert_eq!(machine.sample(), machine.sample());
}
