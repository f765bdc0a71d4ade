//! [`Live`]: how a run is now, for this process's terminal and, through a file, for other processes; [`Tracker`] makes it of
//! one moment after the other.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use rollfit_analysis::{Estimate, EtaEstimator};
use rollfit_files::regular_file;
use rollfit_job::record::typed;
use rollfit_job::watch::Moment;
use serde::{Deserialize, Serialize};

use crate::follow::FollowState;
use crate::state_dir::live_path;

/// The form of live files. Only the version that wrote one reads it.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How a run is now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Live {
    /// The version of rollfit.
    pub(crate) version: String,
    pub(crate) moment: Moment,
    /// Rows handed over per second, over the last ten seconds.
    pub(crate) rows_per_s: f64,
    /// Bytes handed over per second, over the last ten seconds.
    pub(crate) bytes_per_s: f64,
    /// The cores that each worker keeps busy, 1 for a whole one.
    pub(crate) worker_cores: BTreeMap<usize, f64>,
    /// How long the run will still take; none while that is unknown.
    pub(crate) remaining_s: Option<Estimate>,
    /// Whether the number of workers is still being found, and there is enough left for that to change how long it takes.
    #[serde(default)]
    pub(crate) is_tuning_workers: bool,
    /// How far each key is, where the run follows its source.
    #[serde(default)]
    pub(crate) follow: Option<FollowState>,
}

/// Follows a run.
#[derive(Default)]
pub(crate) struct Tracker {
    seen: VecDeque<Moment>,
    eta: EtaEstimator,
}

impl Tracker {
    /// The run as it is at `moment`, later than those before.
    pub(crate) fn follow(&mut self, moment: &Moment) -> Live {
        /// Rates are averages over this time.
        const RECENT: Duration = Duration::from_secs(10);
        self.eta.observe(moment);
        if self.seen.is_empty() {
            self.seen.push_back(Moment::default());
        }
        while self.seen.len() > 1 && moment.at - self.seen[1].at >= RECENT {
            self.seen.pop_front();
        }
        let (earlier, last) = (&self.seen[0], &self.seen[self.seen.len() - 1]);
        let seconds = (moment.at - earlier.at).as_secs_f64().max(1e-3);
        let live = Live {
            version: VERSION.to_owned(),
            rows_per_s: (moment.totals.rows - earlier.totals.rows) as f64 / seconds,
            bytes_per_s: (moment.totals.bytes - earlier.totals.bytes) as f64 / seconds,
            worker_cores: worker_cores(last, moment),
            remaining_s: self.eta.eta_s(),
            is_tuning_workers: is_tuning_workers(moment),
            moment: moment.clone(),
            follow: None,
        };
        self.seen.push_back(moment.clone());
        live
    }
}

/// Near its end a run keeps the workers that it has.
fn is_tuning_workers(moment: &Moment) -> bool {
    const ROUNDS: u64 = 3;
    let left = moment.totals.partitions.saturating_sub(moment.totals.ended);
    moment.is_searching && left > ROUNDS * moment.lanes.len() as u64
}

/// The cores that each worker kept busy between two moments. One that is new has worked for less.
fn worker_cores(last: &Moment, now: &Moment) -> BTreeMap<usize, f64> {
    let us = (now.at - last.at).as_micros().max(1) as f64;
    let before = |worker: usize| last.lanes.iter().find(|lane| lane.worker == worker);
    let cores = now.lanes.iter().map(|lane| {
        // A worker that was retired and started again counts from nothing.
        let earlier_us = before(lane.worker).map_or(0, |before| before.cpu_us);
        let used_us = lane.cpu_us.checked_sub(earlier_us).unwrap_or(lane.cpu_us);
        (lane.worker, used_us as f64 / us)
    });
    cores.collect()
}

/// Reads the present state of a record's run; none if its process wrote none, or is of another version.
pub(crate) fn read(record: &Path) -> Option<Live> {
    const BYTES_MAX: u64 = 16 << 20;
    let mut text = Vec::new();
    regular_file::open(&live_path(record)).ok()?.take(BYTES_MAX).read_to_end(&mut text).ok()?;
    let live: Live = typed(&text).ok()?;
    (live.version == VERSION).then_some(live)
}

/// The age of the state that a record's process wrote last, in seconds; none if it wrote none.
pub(crate) fn silent_s(record: &Path) -> Option<u64> {
    let written = fs::metadata(live_path(record)).and_then(|live| live.modified()).ok()?;
    written.elapsed().ok().map(|ago| ago.as_secs())
}

#[cfg(test)]
mod tests {
    use rollfit_job::activity::{Activity, LaneState};
    use rollfit_job::watch::Totals;

    use super::*;

    fn lane(worker: usize, cpu_us: u64) -> LaneState {
        let (activity, partition) = (Activity::Reading, None);
        LaneState { worker, activity, partition, since_ms: 0, cpu_us, memory_bytes: 0, rows: 0, thread: 0 }
    }

    fn moment(at_s: u64, rows: u64, lanes: Vec<LaneState>) -> Moment {
        let totals = Totals { rows, bytes: 2 * rows, ..Totals::default() };
        Moment { at: Duration::from_secs(at_s), totals, lanes, ..Moment::default() }
    }

    #[test]
    fn a_torn_live_file_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let record = dir.path().join("run.jsonl");
        let live = Live { version: VERSION.to_owned(), ..Live::default() };
        let whole = serde_json::to_vec(&live).unwrap();
        for end in 0..whole.len() {
            let zeros = [&whole[..end], &vec![0; whole.len() - end]].concat();
            for torn in [&whole[..end], &zeros] {
                fs::write(live_path(&record), torn).unwrap();
                assert_eq!(read(&record), None, "{end}");
            }
        }
        fs::write(live_path(&record), whole).unwrap();
        assert_eq!(read(&record), Some(live));
    }

    #[test]
    fn the_first_seconds_count_from_the_beginning() {
        let mut tracker = Tracker::default();
        tracker.follow(&moment(1, 3000, Vec::new()));
        assert_eq!(tracker.follow(&moment(2, 3000, Vec::new())).rows_per_s, 1500.0);
    }

    #[test]
    fn the_number_of_workers_is_not_looked_for_until_the_very_end() {
        let totals = |ended| Totals { partitions: 100, ended, ..Totals::default() };
        let lanes = vec![lane(0, 0), lane(1, 0)];
        let searching =
            |ended| Moment { is_searching: true, totals: totals(ended), ..moment(1, 0, lanes.clone()) };
        assert!(Tracker::default().follow(&searching(90)).is_tuning_workers);
        assert!(!Tracker::default().follow(&searching(95)).is_tuning_workers);
        assert!(!Tracker::default().follow(&moment(1, 0, Vec::new())).is_tuning_workers);
    }

    #[test]
    fn rates_are_those_of_the_last_seconds_not_of_the_whole_run() {
        let mut tracker = Tracker::default();
        for at_s in 1..=100 {
            tracker.follow(&moment(at_s, 1000 * at_s, Vec::new()));
        }
        let mut live = Live::default();
        for at_s in 101..=120 {
            live = tracker.follow(&moment(at_s, 100_000 + 10 * (at_s - 100), Vec::new()));
        }
        assert_eq!((live.rows_per_s, live.bytes_per_s), (10.0, 20.0));
    }

    #[test]
    fn a_workers_share_of_a_core_is_that_since_the_moment_before() {
        let mut tracker = Tracker::default();
        tracker.follow(&moment(1, 0, vec![lane(0, 900_000)]));
        let live = tracker.follow(&moment(2, 0, vec![lane(0, 1_400_000), lane(1, 250_000)]));
        assert_eq!(live.worker_cores, BTreeMap::from([(0, 0.5), (1, 0.25)]));
        let live = tracker.follow(&moment(3, 0, vec![lane(0, 100_000)]));
        assert_eq!(live.worker_cores, BTreeMap::from([(0, 0.1)]), "started again, it counts from nothing");
    }
}
