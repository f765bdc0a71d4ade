//! [`Reading`]: all figures of a machine at one time. Two of them make a [`MachineSample`]: what counts up becomes a
//! rate.

use std::collections::HashMap;
use std::time::Duration;

use rollfit_job::watch::MachineSample;

use super::cgroup::{ControlGroups, QuotaPeriods};
use super::files::{Files, ReadResult};
use super::proc::{self, DeviceStat, DiskBytes, Ticks};
use super::server::ServerTime;
use super::watched::Watched;

/// The figures of a machine at one time.
pub(super) struct Reading {
    /// Since some moment, the same for all readings.
    pub(super) at: Duration,
    /// The processor time that this process has used.
    pub(super) own_cpu: Duration,
    ticks: ReadResult<Ticks>,
    waited_ns: ReadResult<HashMap<String, u64>>,
    cpu_pressure_us: ReadResult<u64>,
    io_pressure_us: ReadResult<u64>,
    memory_pressure_us: ReadResult<u64>,
    disk_bytes: ReadResult<DiskBytes>,
    load: ReadResult<f64>,
    own_memory_bytes: ReadResult<u64>,
    free_memory_bytes: ReadResult<u64>,
    machine_free_memory_bytes: ReadResult<u64>,
    quotas: ReadResult<Vec<QuotaPeriods>>,
    device: Option<ReadResult<DeviceStat>>,
    pub(super) server: Option<ServerTime>,
}

impl Reading {
    pub(super) fn from_files(
        files: &Files,
        groups: &ReadResult<ControlGroups>,
        watched: &Watched,
        (at, own_cpu): (Duration, Duration),
    ) -> Self {
        let page_bytes = rustix::param::page_size() as u64;
        Self {
            at,
            own_cpu,
            ticks: files.see("/proc/stat", proc::ticks),
            waited_ns: waited_ns(files),
            cpu_pressure_us: pressure_us(files, groups, "cpu"),
            // Disks are shared with the store, which is in another group.
            io_pressure_us: files.see("/proc/pressure/io", proc::pressure_us),
            memory_pressure_us: pressure_us(files, groups, "memory"),
            disk_bytes: files.see("/proc/self/io", proc::disk_bytes),
            load: files.see("/proc/loadavg", proc::load),
            own_memory_bytes: files
                .see("/proc/self/statm", |text| proc::resident_pages(text)?.checked_mul(page_bytes)),
            free_memory_bytes: free_memory_bytes(files, groups),
            machine_free_memory_bytes: machine_free_memory_bytes(files),
            quotas: groups.as_ref().map_err(Clone::clone).and_then(|groups| groups.quota_periods(files)),
            device: watched.device_stat(files),
            server: watched.server_time(files, at.as_secs_f64()),
        }
    }

    /// This reading, after another one.
    pub(super) fn after(self, before: &Reading) -> Self {
        let server = self.server.map(|now| before.server.map_or(now, |then| now.no_less_than(&then)));
        Self { server, ..self }
    }

    /// How busy the machine was between another reading and this one.
    pub(super) fn since(&self, before: &Reading) -> MachineSample {
        let seconds = (self.at.saturating_sub(before.at)).as_secs_f64().max(1e-6);
        let own_cores = self.own_cpu.saturating_sub(before.own_cpu).as_secs_f64() / seconds;
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        let counted = |now: &ReadResult<u64>, then: &ReadResult<u64>| {
            Some(rate(*now.as_ref().ok()?, *then.as_ref().ok()?))
        };
        let share_of_time = |now, then| counted(now, then).map(|us_per_s| (us_per_s / 1e6).min(1.0));
        let ticks = both(&self.ticks, &before.ticks);
        let cores = |now, then| rate(now, then) / rustix::param::clock_ticks_per_second() as f64;
        let disk = both(&self.disk_bytes, &before.disk_bytes);
        let device = self.device.as_ref().zip(before.device.as_ref()).and_then(|(now, then)| both(now, then));
        MachineSample {
            own_cores: Some(own_cores),
            // The two clocks differ by a tick or so.
            others_cores: ticks.map(|(now, then)| (cores(now.busy, then.busy) - own_cores).max(0.0)),
            stolen_cores: ticks.map(|(now, then)| cores(now.stolen, then.stolen)),
            waiting_threads: both(&self.waited_ns, &before.waited_ns)
                .map(|(now, then)| waited_since(now, then) as f64 / 1e9 / seconds),
            load: self.load.as_ref().ok().copied(),
            cpu_pressure: share_of_time(&self.cpu_pressure_us, &before.cpu_pressure_us),
            io_pressure: share_of_time(&self.io_pressure_us, &before.io_pressure_us),
            memory_pressure: share_of_time(&self.memory_pressure_us, &before.memory_pressure_us),
            own_memory_bytes: self.own_memory_bytes.as_ref().ok().copied(),
            free_memory_bytes: self.free_memory_bytes.as_ref().ok().copied(),
            server_cores: self
                .server
                .as_ref()
                .zip(before.server.as_ref())
                .and_then(|(now, then)| now.cores_since(then)),
            quota_reached: both(&self.quotas, &before.quotas)
                .and_then(|(now, then)| quota_reached(now, then)),
            machine_free_memory_bytes: self.machine_free_memory_bytes.as_ref().ok().copied(),
            disk_busy: device.map(|(now, then)| (rate(now.busy_ms, then.busy_ms) / 1e3).min(1.0)),
            disk_read_bytes_per_s: device.map(|(now, then)| rate(now.read_bytes, then.read_bytes)),
            disk_written_bytes_per_s: device.map(|(now, then)| rate(now.written_bytes, then.written_bytes)),
            read_bytes_per_s: disk.map(|(now, then)| rate(now.read, then.read)),
            written_bytes_per_s: disk.map(|(now, then)| rate(now.written, then.written)),
        }
    }

    /// What could not be read, and why.
    pub(super) fn unavailable(&self) -> Vec<String> {
        fn why<'a, T>(what: &'a str, seen: &'a ReadResult<T>) -> Option<String> {
            seen.as_ref().err().map(|cause| format!("{what}: {cause}"))
        }
        let causes = [
            why("cores kept busy by others", &self.ticks),
            why("threads that wait for a core", &self.waited_ns),
            why("the load average", &self.load),
            why("the time that tasks wait for cores", &self.cpu_pressure_us),
            why("the time that tasks wait for disks", &self.io_pressure_us),
            why("the time that tasks wait for memory", &self.memory_pressure_us),
            why("the memory of this process", &self.own_memory_bytes),
            why("the memory that is free", &self.free_memory_bytes),
            why("the bytes read from disks and written to them", &self.disk_bytes),
            why("how often a quota of processor time was used up", &self.quotas),
            self.device.as_ref().and_then(|device| why("how busy the store's disk is", device)),
        ];
        causes.into_iter().flatten().collect()
    }
}

fn both<'a, T>(now: &'a ReadResult<T>, then: &'a ReadResult<T>) -> Option<(&'a T, &'a T)> {
    now.as_ref().ok().zip(then.as_ref().ok())
}

/// For how long each thread of this process has waited for a core.
fn waited_ns(files: &Files) -> ReadResult<HashMap<String, u64>> {
    const TASKS: &str = "/proc/self/task";
    let mut waited_ns = HashMap::new();
    let mut cause = None;
    for thread in files.names(TASKS)? {
        match files.see(&format!("{TASKS}/{thread}/schedstat"), proc::waited_ns) {
            Ok(ns) => {
                waited_ns.insert(thread, ns);
            }
            // It may have ended since it was listed.
            Err(error) => cause = Some(error),
        }
    }
    match cause {
        Some(cause) if waited_ns.is_empty() => Err(cause),
        _ => Ok(waited_ns),
    }
}

/// How long threads waited between two readings. One that was not there before began since; one that waited less than
/// before is another, with the number of one that has ended.
fn waited_since(now: &HashMap<String, u64>, then: &HashMap<String, u64>) -> u64 {
    let waited =
        |(thread, &ns): (&String, &u64)| ns.checked_sub(*then.get(thread).unwrap_or(&0)).unwrap_or(ns);
    now.iter().map(waited).sum()
}

/// For how long tasks have waited: those of this process's group if it has them, otherwise those of the machine.
fn pressure_us(files: &Files, groups: &ReadResult<ControlGroups>, resource: &str) -> ReadResult<u64> {
    let own = match groups {
        Ok(groups) => groups.own(files, &format!("{resource}.pressure"), proc::pressure_us),
        Err(_) => Ok(None),
    };
    match own {
        Ok(Some(us)) => Ok(us),
        _ => files.see(&format!("/proc/pressure/{resource}"), proc::pressure_us),
    }
}

/// The largest share of the periods of a group's quota in which it was used up; none where no group has one.
fn quota_reached(now: &[QuotaPeriods], then: &[QuotaPeriods]) -> Option<f64> {
    let share = |now: &QuotaPeriods| {
        let then = then.iter().find(|then| then.dir == now.dir)?;
        let periods = now.periods.saturating_sub(then.periods);
        let used_up = now.used_up.saturating_sub(then.used_up);
        // A period without work is not counted.
        Some(if periods == 0 { 0.0 } else { (used_up as f64 / periods as f64).min(1.0) })
    };
    now.iter().filter_map(share).reduce(f64::max)
}

fn machine_free_memory_bytes(files: &Files) -> ReadResult<u64> {
    files.see("/proc/meminfo", |text| proc::memory_bytes(text, "MemAvailable"))
}

/// The memory that can still be had: the least of what the machine and the control groups leave.
fn free_memory_bytes(files: &Files, groups: &ReadResult<ControlGroups>) -> ReadResult<u64> {
    let machine = machine_free_memory_bytes(files)?;
    let group = groups.as_ref().map_err(Clone::clone)?.free_memory_bytes(files)?;
    Ok(group.map_or(machine, |group| group.min(machine)))
}
