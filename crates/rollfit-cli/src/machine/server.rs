//! [`Server`]: the processes of the sink's server on this machine, and the processor time of all of them.
//!
//! Invariants: a process is the server's only where number, parent and both times of start agree with what the server says; one of
//! another machine or container may have the same number. The time of a server never falls: what a process has used goes to its parent
//! when it ends.

use rollfit_job::store::ServerProcess;

use super::files::{Files, ReadResult};
use super::proc::{self, ProcessStat};

/// How much later than the system a process may note its start. The system's own time is as exact as the second in which it started.
const START_MAX_S: f64 = 3.0;
/// The same of the server's first process, which reads its configuration and libraries before.
const SERVER_START_MAX_S: f64 = 10.0;
/// How much earlier: clocks are adjusted.
const EARLIER_MAX_S: f64 = 2.0;
/// How often processes are read again where one ended meanwhile.
const READS_MAX: usize = 3;

/// A server whose processes are known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Server {
    /// The first process, the parent of all others.
    first: u32,
    /// When it started, in ticks after the machine.
    started: u64,
    /// The same as the server says it.
    server_started_us: i64,
}

/// The processor time of a server's processes up to now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ServerTime {
    /// When it was read, in seconds of the caller's clock.
    pub(super) at_s: f64,
    first: u32,
    started: u64,
    ticks: u64,
}

impl Server {
    /// Finds the server of a process.
    ///
    /// # Errors
    /// Why it is not one of this machine for certain.
    pub(super) fn find(files: &Files, process: &ServerProcess) -> ReadResult<Self> {
        let elsewhere = |what: &str| {
            format!(
                "process {} of the server {what}: it is on another machine or in another container, or its processes are hidden from this \
                 user; server_cores and server_metrics_command beside its url say how busy it is",
                process.pid
            )
        };
        let stat = |pid: u32| files.find(&stat_path(pid), ProcessStat::parse);
        let Some(session) = stat(process.pid)? else { return Err(elsewhere("is not here")) };
        let Some(first) = stat(session.parent)? else { return Err(elsewhere("has no parent here")) };
        let boot_s = files.see("/proc/stat", proc::boot_s)? as f64;
        let later_s = |stat: &ProcessStat, told_us: i64| {
            told_us as f64 / 1e6 - boot_s - stat.started as f64 / ticks_per_second()
        };
        let agrees = |later_s: f64, max_s: f64| (-EARLIER_MAX_S..=max_s).contains(&later_s);
        if !agrees(later_s(&session, process.started_us), START_MAX_S) {
            return Err(elsewhere("started at another time than the one here"));
        }
        if !agrees(later_s(&first, process.server_started_us), SERVER_START_MAX_S) {
            return Err(elsewhere("has a parent that started at another time than the one here"));
        }
        Ok(Self {
            first: session.parent,
            started: first.started,
            server_started_us: process.server_started_us,
        })
    }

    /// Whether this is the server of a process, and still there.
    pub(super) fn is_of(&self, files: &Files, process: &ServerProcess) -> bool {
        self.server_started_us == process.server_started_us && self.first_process(files).is_ok()
    }

    /// The directory that the server works in, its data: a link to it.
    pub(super) fn dir(&self) -> String {
        format!("/proc/{}/cwd", self.first)
    }

    /// The processor time of all its processes.
    ///
    /// # Errors
    /// When the server has ended, or its processes cannot be read.
    pub(super) fn time(&self, files: &Files, at_s: f64) -> ReadResult<ServerTime> {
        let mut first = self.first_process(files)?;
        let mut ticks = 0;
        for _ in 0..READS_MAX {
            let (children, is_list) = self.children(files)?;
            // One that has ended since is in what the first process says next.
            let living = children.into_iter().filter_map(|pid| self.child(files, pid));
            let living: u64 = living.map(|child| child.ticks()).sum();
            ticks = first.ticks().saturating_add(living);
            let after = self.first_process(files)?;
            if after.of_ended_children == first.of_ended_children || !is_list {
                break;
            }
            first = after;
        }
        Ok(ServerTime { at_s, first: self.first, started: self.started, ticks })
    }

    fn first_process(&self, files: &Files) -> ReadResult<ProcessStat> {
        let stat = files.see(&stat_path(self.first), ProcessStat::parse)?;
        match stat.started == self.started {
            true => Ok(stat),
            false => Err(format!("process {} is another one now", self.first)),
        }
    }

    fn child(&self, files: &Files, pid: u32) -> Option<ProcessStat> {
        let stat = files.see(&stat_path(pid), ProcessStat::parse).ok()?;
        // Where the server is the first process of a container, it is the parent of all that have lost theirs.
        Some(stat).filter(|stat| stat.parent == self.first && pid != std::process::id())
    }

    /// The processes that may be its children, and whether the system has a list of them. Where it has none they are all there are, which
    /// are many to read.
    fn children(&self, files: &Files) -> ReadResult<(Vec<u32>, bool)> {
        let pids = |text: &str| text.split_ascii_whitespace().map(|pid| pid.parse().ok()).collect();
        let path = format!("/proc/{0}/task/{0}/children", self.first);
        match files.find(&path, pids)? {
            Some(children) => Ok((children, true)),
            None => Ok((files.names("/proc")?.iter().filter_map(|name| name.parse().ok()).collect(), false)),
        }
    }
}

impl ServerTime {
    /// How many cores the server kept busy since; none where that was another server, or no time has passed.
    pub(super) fn cores_since(&self, before: &Self) -> Option<f64> {
        let seconds = self.at_s - before.at_s;
        let is_same = (self.first, self.started) == (before.first, before.started);
        let ticks = self.ticks.saturating_sub(before.ticks) as f64;
        (is_same && seconds > 0.0).then(|| ticks / ticks_per_second() / seconds)
    }

    /// The same, where one that ended was missed: its time comes back with its parent's, and must not count twice.
    pub(super) fn no_less_than(self, before: &Self) -> Self {
        let is_same = (self.first, self.started) == (before.first, before.started);
        if is_same { Self { ticks: self.ticks.max(before.ticks), ..self } } else { self }
    }
}

fn stat_path(pid: u32) -> String {
    format!("/proc/{pid}/stat")
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}
