//! [`ServerCpu`]: the processor time of the sink's server, wherever it is, and how that is known.
//!
//! Invariants: what is not known is none. A guess says that it is one.

use rollfit_job::record::{PartitionEnd, PartitionOutcome, Record, Sample};
use serde::{Deserialize, Serialize};

use super::demand::written;
use super::step_series::{StepSeries, unfinished};
use rollfit_job::activity::Activity;

/// How the processor time of the sink's server is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerCpuBasis {
    /// The sink is a directory.
    NoServer,
    /// All processes of the server, which is on this machine.
    Processes,
    /// `server_metrics_command`, times `server_cores`.
    Command,
    /// A guess from sessions that looked busy, of a server on this machine whose processes could not be told from others.
    Sessions,
    /// It is not visible from here.
    #[default]
    Unknown,
}

/// The processor time of the sink's server.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ServerCpu {
    pub(super) basis: ServerCpuBasis,
    /// Whether it takes that time from the cores of this machine.
    pub(super) is_local: bool,
    /// The cores that it has; none where unknown.
    pub(super) cores: Option<f64>,
    /// The cores that it kept busy, on average.
    pub(super) cores_busy: Option<f64>,
    /// Its processor time for a written partition, what it did for others at the time included; none where unknown, and where none was
    /// written.
    pub(super) partition_s: Option<f64>,
}

impl ServerCpuBasis {
    /// How it is known in a record.
    fn from_record(record: &Record) -> Self {
        let header = &record.header;
        let has = |of: &dyn Fn(&Sample) -> bool| record.samples.iter().any(of);
        let is_local = header.sink_is_local == Some(true);
        if header.sessions_max.is_none() && !has(&|sample| sample.store.is_some()) {
            Self::NoServer
        } else if is_local && has(&|sample| sample.machine.server_cores.is_some()) {
            Self::Processes
        } else if header.server_cores.is_some() && has(&|sample| cpu_share(sample).is_some()) {
            Self::Command
        } else if is_local && has(&|sample| sample.store.is_some()) {
            Self::Sessions
        } else {
            Self::Unknown
        }
    }
}

impl ServerCpu {
    pub(super) fn new(record: &Record) -> Self {
        let header = &record.header;
        let basis = ServerCpuBasis::from_record(record);
        let is_local = header.sink_is_local == Some(true) && basis != ServerCpuBasis::NoServer;
        let own_machine = header.machine.cores.map(|cores| cores as f64).filter(|_| is_local);
        let server = Self {
            basis,
            is_local,
            cores: header.server_cores.or(own_machine),
            cores_busy: None,
            partition_s: None,
        };
        let course = StepSeries::sampled(record, |sample| server.busy(sample));
        let last_s = record.samples.last().map_or(0.0, |sample| sample.at_ms as f64 / 1e3);
        let cores_busy = course.map(|course| course.mean(0.0, last_s));
        // A count of sessions says no more than that others were busy.
        let others = StepSeries::sampled(record, |sample| sample.machine.others_cores);
        let most = others.filter(|_| is_local).map_or(f64::INFINITY, |others| others.mean(0.0, last_s));
        let cores_busy = cores_busy.map(|cores| cores.min(most));
        let partition_s = cores_busy.and_then(|cores| Some(cores * last_s * written_share(record, last_s)?));
        Self { cores_busy, partition_s, ..server }
    }

    /// The cores that it kept busy in a sample.
    pub(super) fn busy(&self, sample: &Sample) -> Option<f64> {
        match self.basis {
            ServerCpuBasis::Processes => sample.machine.server_cores,
            ServerCpuBasis::Command => Some(cpu_share(sample)? * self.cores?),
            ServerCpuBasis::Sessions => Some(f64::from(sample.store.as_ref()?.working)),
            ServerCpuBasis::NoServer | ServerCpuBasis::Unknown => None,
        }
    }

    /// What others kept busy of this machine in a sample, the server apart where it is on it.
    pub(super) fn competing(&self, sample: &Sample) -> Option<f64> {
        let others = sample.machine.others_cores?;
        match self.basis {
            ServerCpuBasis::Processes => Some(others - self.busy(sample)?),
            // A look at sessions is right on average only: less than nothing now and then evens out.
            ServerCpuBasis::Sessions => Some(others - self.busy(sample).unwrap_or(0.0)),
            ServerCpuBasis::Command if self.is_local => Some(others - self.busy(sample)?),
            _ => Some(others),
        }
    }

    /// Whether it takes cores of this machine and these were measured.
    pub(super) fn is_seen_here(&self) -> bool {
        self.is_local && matches!(self.basis, ServerCpuBasis::Processes | ServerCpuBasis::Command)
    }

    /// Its processor time for a partition on this machine; 0 where it has none here.
    pub(super) fn local_partition_s(&self) -> f64 {
        self.partition_s.filter(|_| self.is_local).unwrap_or(0.0)
    }
}

fn cpu_share(sample: &Sample) -> Option<f64> {
    sample.store.as_ref()?.server_cpu_share
}

/// What a written partition is of all that workers did until `last_s`, by time: attempts that came to nothing and partitions
/// in progress kept the server busy too. Waits for a lock, of which there is nothing else where others held a partition, did not.
fn written_share(record: &Record, last_s: f64) -> Option<f64> {
    let worked_s = |end: &PartitionEnd| {
        let idle_us = end.wall_us.get(Activity::Waiting) + end.wall_us.get(Activity::Pausing);
        let is_held = end.outcome == PartitionOutcome::Held;
        if is_held { 0.0 } else { end.wall_us.total_us().saturating_sub(idle_us) as f64 / 1e6 }
    };
    let written_s: f64 = written(record).map(worked_s).sum();
    let ended_s: f64 = record.partitions.iter().map(worked_s).sum();
    let open_s: f64 = unfinished(record).map(|(_, begun_ms)| (last_s - begun_ms as f64 / 1e3).max(0.0)).sum();
    let count = written(record).count() as f64;
    (written_s > 0.0).then(|| written_s / (ended_s + open_s) / count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollfit_job::store::StoreSample;
    use rollfit_testkit::record::made;

    /// Four partitions on two workers, into a server.
    fn into_server(is_local: bool, change: impl Fn(&mut Sample)) -> Record {
        let mut record = made(4, 2);
        (record.header.sink_is_local, record.header.sessions_max) = (Some(is_local), Some(17));
        for sample in &mut record.samples {
            sample.store = Some(StoreSample { working: 3, ..StoreSample::default() });
            sample.machine.others_cores = Some(2.0);
            change(sample);
        }
        record
    }

    #[test]
    fn processes_of_a_server_on_this_machine_are_its_processor_time_and_others_are_the_rest() {
        let server = ServerCpu::new(&into_server(true, |sample| sample.machine.server_cores = Some(1.5)));
        assert_eq!((server.basis, server.cores_busy), (ServerCpuBasis::Processes, Some(1.5)));
        assert_eq!(server.cores, Some(8.0));
        let sample = into_server(true, |sample| sample.machine.server_cores = Some(1.5)).samples[0].clone();
        assert_eq!(server.competing(&sample), Some(0.5));
        assert!(server.local_partition_s() > 0.0);
    }

    #[test]
    fn where_its_processes_cannot_be_told_busy_sessions_are_a_guess_no_greater_than_all_others() {
        let server = ServerCpu::new(&into_server(true, |_| ()));
        assert_eq!((server.basis, server.cores_busy), (ServerCpuBasis::Sessions, Some(2.0)));
    }

    #[test]
    fn a_server_elsewhere_is_known_by_its_metrics_alone_and_takes_no_core_from_here() {
        let unknown = ServerCpu::new(&into_server(false, |_| ()));
        assert_eq!((unknown.basis, unknown.cores_busy), (ServerCpuBasis::Unknown, None));
        let told = |cores| {
            let mut record = into_server(false, |sample| {
                sample.store = Some(StoreSample { server_cpu_share: Some(0.25), ..StoreSample::default() });
            });
            record.header.server_cores = cores;
            (ServerCpu::new(&record), record)
        };
        let (server, record) = told(Some(16.0));
        assert_eq!((server.basis, server.cores_busy), (ServerCpuBasis::Command, Some(4.0)));
        assert_eq!((server.local_partition_s(), server.competing(&record.samples[0])), (0.0, Some(2.0)));
        assert!(server.partition_s > Some(0.0));
        assert_eq!(told(None).0.basis, ServerCpuBasis::Unknown, "a share of an unknown number");
    }

    #[test]
    fn metrics_of_a_server_on_this_machine_are_no_competing_load() {
        let mut record = into_server(true, |sample| {
            sample.store = Some(StoreSample { server_cpu_share: Some(0.125), ..StoreSample::default() });
        });
        record.header.server_cores = Some(8.0);
        let server = ServerCpu::new(&record);
        assert_eq!(
            (server.basis, server.competing(&record.samples[0])),
            (ServerCpuBasis::Command, Some(1.0))
        );
        assert!(server.local_partition_s() > 0.0);
    }

    #[test]
    fn a_directory_has_no_server() {
        let server = ServerCpu::new(&made(4, 2));
        assert_eq!((server.basis, server.partition_s), (ServerCpuBasis::NoServer, None));
        assert!(!server.is_local && server.cores.is_none(), "{server:?}");
    }

    #[test]
    fn partitions_that_others_held_had_none_of_the_server() {
        let free = into_server(true, |sample| sample.machine.server_cores = Some(1.0));
        let mut held = free.clone();
        // One is turned away, and written when it is free: the time until then is in its waits and not between its begin and its end.
        let last = held.partitions.last().unwrap().clone();
        held.partitions.push(PartitionEnd { outcome: PartitionOutcome::Held, ..last });
        held.partitions[0].wall_us.add(Activity::Waiting, 60_000_000);
        let partition_s = |record: &Record| ServerCpu::new(record).partition_s.unwrap();
        assert!((partition_s(&held) / partition_s(&free) - 1.0).abs() < 1e-9, "{}", partition_s(&held));
    }

    #[test]
    fn partitions_in_progress_had_their_share_of_the_server() {
        let full = into_server(true, |sample| sample.machine.server_cores = Some(1.0));
        let mut open = Record { end: None, ..full.clone() };
        open.partitions.truncate(2);
        let last_s = open.samples.last().unwrap().at_ms as f64 / 1e3;
        let each_s = ServerCpu::new(&open).partition_s.unwrap();
        assert!(each_s > 0.0 && each_s < last_s / 2.0, "{each_s} of {last_s}");
    }
}
