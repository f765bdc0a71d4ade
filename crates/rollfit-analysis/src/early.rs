//! [`Early`]: what the samples of a run say before its partitions do: none was written yet, or too few, or it was killed.
//!
//! Invariants: nothing here is a prediction but `eta_s`, which is a wide range, and none where rows do not allow one.

use rollfit_job::activity::Activity;
use rollfit_job::config::Workers;
use rollfit_job::record::{PartitionOutcome, Record, Sample};
use rollfit_job::workers::auto_workers_max;
use serde::{Deserialize, Serialize};

use super::demand::written;
use super::estimate::Estimate;
use super::observed::Observed;
use super::run_facts::{sessions_workers, took_s, unended, workers_set};
use super::run_progress::RunProgress;
use super::server_cpu::ServerCpuBasis;
use super::step_series::{unfinished, unfinished_count};

/// What samples say of a run that estimates nothing. Cores are means, and none where unknown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Early {
    /// How long the run has been watched, in seconds.
    pub seconds: f64,
    /// The samples.
    pub samples: usize,
    /// The workers in the last sample that had some, and what sets their number: `auto`, a number or a range.
    pub workers: usize,
    /// See [`Early::workers`].
    pub workers_set: String,
    /// How many workers the machine and the store allow.
    pub allowed: WorkersAllowed,
    /// What is in progress.
    pub in_progress: WorkInProgress,
    /// Rows handed to the sink a second, of partitions in progress too; none before the first.
    pub rows_per_s: Option<f64>,
    /// Bytes handed to the sink a second.
    pub bytes_per_s: Option<f64>,
    /// What workers that had a partition did, by the samples, the most frequent first.
    pub activities: Vec<SampledActivity>,
    /// Cores kept busy by this process.
    pub own_cores: Option<f64>,
    /// By the sink's server, wherever it is.
    pub server_cores: Option<f64>,
    /// How that is known.
    pub server_basis: ServerCpuBasis,
    /// By others on this machine, the server apart.
    pub others_cores: Option<f64>,
    /// Those of this machine that nobody used.
    pub idle_cores: Option<f64>,
    /// The most memory that this process held, and the least that it could hold.
    pub memory_bytes_max: Option<u64>,
    /// See [`Early::memory_bytes_max`].
    pub room_bytes: Option<f64>,
    /// How long the whole run will still take if the rest goes as the rows so far: a wide range.
    pub eta_s: Option<Estimate>,
}

/// How many workers there can be, by what limits them; none where it does not, or is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkersAllowed {
    /// The cores that this process may use.
    pub cores: Option<f64>,
    /// The workers that there is memory for, by what one holds now.
    pub memory: Option<usize>,
    /// The workers that there are sessions for.
    pub sessions: Option<usize>,
    /// The partitions of the run.
    pub partitions: u64,
    /// The most that `workers = "auto"` tries.
    pub auto: usize,
}

/// The partitions in progress at the last sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkInProgress {
    /// How many.
    pub partitions: usize,
    /// For how long, on average, in seconds.
    pub age_s: f64,
    /// Their rows handed to the sink.
    pub rows: u64,
    /// All rows of those whose rows are known; none where they are of none.
    pub rows_all: Option<u64>,
}

/// How often workers were seen doing something.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampledActivity {
    /// What.
    pub activity: Activity,
    /// The share of the samples' workers that did it, 0 to 1.
    pub share: f64,
}

impl Early {
    /// What the samples of a record say; none where there was nothing to do.
    pub(super) fn from_record(record: &Record) -> Option<Self> {
        let observed = &Observed::new(record);
        let is_work = |outcome| !matches!(outcome, PartitionOutcome::Done | PartitionOutcome::LeftAlone);
        let progress = RunProgress::from_record(record);
        if progress.left == 0 && !record.partitions.iter().any(|end| is_work(end.outcome)) {
            return None;
        }
        let last = record.samples.last();
        let rate = |of: fn(&Sample) -> u64| {
            let seconds = last.map_or(0.0, |sample| sample.at_ms as f64 / 1e3);
            let count = last.map_or(0, of);
            (count > 0 && seconds > 0.0).then(|| count as f64 / seconds)
        };
        let in_progress = in_progress(record);
        let rows_per_s = rate(|sample| sample.totals.rows);
        let others = observed.competing.is_some().then_some(observed.competing_mean);
        let mut early = Self {
            seconds: took_s(record),
            samples: record.samples.len(),
            workers: record
                .samples
                .iter()
                .rev()
                .map(|sample| sample.workers)
                .find(|workers| *workers > 0)
                .unwrap_or(0),
            workers_set: workers_set(record).to_string(),
            allowed: allowed(record, observed),
            in_progress,
            rows_per_s,
            bytes_per_s: rate(|sample| sample.totals.bytes),
            activities: activities(record),
            own_cores: observed.own_cores,
            server_cores: observed.server.cores_busy,
            server_basis: observed.server.basis,
            others_cores: others,
            idle_cores: idle_cores(record, observed),
            memory_bytes_max: observed.memory_bytes_max,
            room_bytes: observed.room_bytes,
            eta_s: None,
        };
        early.eta_s = eta_s(record, &early, unended(record));
        Some(early)
    }
}

fn allowed(record: &Record, observed: &Observed) -> WorkersAllowed {
    let machine = &record.header.machine;
    WorkersAllowed {
        cores: machine.cores_allowed.or(machine.cores.map(|cores| cores as f64)),
        memory: observed.memory_workers(machine),
        sessions: sessions_workers(record),
        partitions: record.header.partitions,
        auto: auto_workers_max(machine.cores_allowed),
    }
}

fn idle_cores(record: &Record, observed: &Observed) -> Option<f64> {
    let all = record.header.machine.cores? as f64;
    let busy = observed.own_cores? + observed.others_cores? + observed.stolen_cores.unwrap_or(0.0);
    Some((all - busy).max(0.0))
}

fn in_progress(record: &Record) -> WorkInProgress {
    let Some(last) = record.samples.last().filter(|_| record.end.is_none()) else {
        return WorkInProgress::default();
    };
    let partitions = unfinished_count(record);
    // Samples of earlier versions do not say for how long.
    let begun = unfinished(record).map(|(_, begun_ms)| last.at_ms.saturating_sub(begun_ms)).sum();
    let age_ms = if last.in_hand_ms > 0 { last.in_hand_ms } else { begun };
    let rows_all = (last.rows_in_hand > 0).then_some(last.rows_in_hand);
    // Rows of attempts that failed were handed over too.
    let rows = last.totals.rows.saturating_sub(rows_committed(record)).min(rows_all.unwrap_or(u64::MAX));
    WorkInProgress { partitions, age_s: age_ms as f64 / 1e3 / partitions.max(1) as f64, rows, rows_all }
}

/// What was committed by the last sample.
fn rows_committed(record: &Record) -> u64 {
    let last = record.samples.last();
    let by_ends = || {
        written(record)
            .filter(|end| last.is_some_and(|last| end.at_ms <= last.at_ms))
            .map(|end| end.rows)
            .sum()
    };
    last.map(|last| last.totals.rows_committed).filter(|rows| *rows > 0).unwrap_or_else(by_ends)
}

fn activities(record: &Record) -> Vec<SampledActivity> {
    let seen = |activity: Activity| -> u64 {
        let samples = record.samples.iter();
        samples
            .filter_map(|sample| sample.activities.get(activity.name()))
            .map(|count| u64::from(*count))
            .sum()
    };
    let all = Activity::ALL.into_iter().map(seen).sum::<u64>().max(1) as f64;
    let share = |activity| SampledActivity { activity, share: seen(activity) as f64 / all };
    let mut shares: Vec<_> =
        Activity::ALL.into_iter().map(share).filter(|sampled| sampled.share > 0.0).collect();
    shares.sort_by(|a, b| b.share.total_cmp(&a.share));
    shares
}

/// The rows left over the rows a second so far. What comes after a partition's rows is not known yet, some stores count the rows when
/// half of their bytes have been handed over, and workers may become more: that makes the range.
fn eta_s(record: &Record, early: &Early, left: u64) -> Option<Estimate> {
    const SLOWER: f64 = 2.5;
    const FASTER: f64 = 1.25;
    record.end.is_none().then_some(())?;
    let in_progress = &early.in_progress;
    let (count, rows) = written(record).fold((0, 0), |(count, rows), end| (count + 1, rows + end.rows));
    let known = record.samples.last().map_or(0, |last| last.known_in_hand as usize);
    let (count, rows) = (count + known, rows + in_progress.rows_all.unwrap_or(0));
    let rows_each = (count > 0).then(|| rows as f64 / count as f64)?;
    let left_s = (left as f64 * rows_each - in_progress.rows as f64).max(0.0) / early.rows_per_s?;
    let grow = match workers_set(record) {
        Workers::Fixed(_) => 1.0,
        _ => (early.allowed.cores.unwrap_or(1.0) / early.workers.max(1) as f64).max(1.0),
    };
    let (low, high) = (left_s / FASTER / grow, left_s * SLOWER);
    Some(Estimate { low, expected: (low * high).sqrt(), high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollfit_testkit::record::made;

    /// A run of 336 partitions in the middle of its first: one worker has handed over half of 40,000 rows in 20 s.
    fn first_partition() -> Record {
        let mut record = Record { end: None, partitions: Vec::new(), ..made(336, 1) };
        record.header.partitions = 336;
        record.samples.truncate(20);
        for (sample, second) in record.samples.iter_mut().zip(1..) {
            sample.at_ms = 1000 * second;
            (sample.totals.ended, sample.totals.written, sample.totals.rows_committed) = (0, 0, 0);
            (sample.totals.rows, sample.rows_in_hand, sample.known_in_hand) = (1000 * second, 40_000, 1);
            sample.in_hand_ms = sample.at_ms;
        }
        record
    }

    #[test]
    fn before_the_first_partition_is_written_samples_say_how_far_it_is() {
        let early = Early::from_record(&first_partition()).unwrap();
        let told = WorkInProgress { partitions: 1, age_s: 20.0, rows: 20_000, rows_all: Some(40_000) };
        assert_eq!(early.in_progress, told);
        assert_eq!((early.workers, early.workers_set.as_str(), early.rows_per_s), (1, "1", Some(1000.0)));
        assert_eq!((early.allowed.cores, early.allowed.partitions), (Some(8.0), 336));
        assert!(early.allowed.memory > Some(100), "{early:?}");
        assert!((early.idle_cores.unwrap() - (8.0 - 0.58 - 0.4)).abs() < 1e-9, "{early:?}");
        assert_eq!((early.activities[0].activity, early.activities[0].share), (Activity::Sending, 1.0));
        const LEFT_S: f64 = 336.0 * 40.0 - 20.0;
        let eta_s = early.eta_s.unwrap();
        assert!(
            eta_s.low < LEFT_S && eta_s.high > 2.0 * LEFT_S && (eta_s.high - 2.5 * LEFT_S).abs() < 1e-6,
            "{eta_s:?}"
        );
    }

    #[test]
    fn partitions_that_are_still_read_are_as_large_as_those_that_are_known() {
        let mut record = first_partition();
        for sample in &mut record.samples {
            sample.activities.insert(Activity::Reading.name().to_owned(), 3);
        }
        let early = Early::from_record(&record).unwrap();
        assert_eq!((early.in_progress.partitions, early.in_progress.rows_all), (4, Some(40_000)));
        assert!((early.eta_s.unwrap().high - 2.5 * (336.0 * 40.0 - 20.0)).abs() < 1e-6, "{early:?}");
        record.header.settings = vec![rollfit_testkit::record::setting("run.workers", "auto")];
        let grows = Early::from_record(&record).unwrap().eta_s.unwrap();
        assert!(grows.low < 0.2 * early.eta_s.unwrap().low, "{grows:?}");
    }

    #[test]
    fn without_rows_and_after_the_end_there_is_no_time_left_to_tell() {
        let mut record = first_partition();
        record.samples.iter_mut().for_each(|sample| (sample.rows_in_hand, sample.known_in_hand) = (0, 0));
        assert_eq!(Early::from_record(&record).unwrap().eta_s, None);
        let none = Record { samples: Vec::new(), ..first_partition() };
        let early = Early::from_record(&none).unwrap();
        assert_eq!((early.samples, early.own_cores, early.rows_per_s, early.eta_s), (0, None, None, None));
        let failed = Record { end: made(336, 1).end, ..first_partition() };
        let early = Early::from_record(&failed).unwrap();
        assert_eq!((early.in_progress, early.eta_s), (WorkInProgress::default(), None));
    }

    #[test]
    fn where_there_was_nothing_to_do_there_is_nothing_to_say() {
        let mut record = made(3, 1);
        record.partitions.iter_mut().for_each(|end| end.outcome = PartitionOutcome::Done);
        record.end.as_mut().unwrap().totals.failed = 0;
        assert_eq!(Early::from_record(&record), None);
        record.partitions[0].outcome = PartitionOutcome::Failed;
        assert!(Early::from_record(&record).is_some());
    }
}
