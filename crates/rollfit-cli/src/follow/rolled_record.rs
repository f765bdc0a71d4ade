//! [`RolledRecord`]: the record of a follower, a new file each day or where one has become large, so that what is kept of one that
//! never ends is bounded.
//!
//! Invariants: each file is a whole record that names the one before and says who is behind; a new one is there before the old one ends. Where none can be
//! made, the old one is continued, up to twice its limit.

use std::time::{Duration, Instant};

use rollfit_job::record::{Event, FollowChange, FollowChangeKind, Header, RunEnd, Sample};
use rollfit_job::watch::{Moment, Totals};

use crate::live::Live;
use crate::logging;
use crate::record::Recorder;
use crate::record::events::millis;
use crate::state_dir::StateDir;

/// When a record is followed by another.
#[derive(Clone, Copy, Debug)]
pub(super) struct RollLimits {
    pub(super) age: Duration,
    pub(super) bytes: u64,
    /// How long until another attempt where no new record can be made.
    pub(super) pause: Duration,
}

impl RollLimits {
    /// What a follower has.
    pub(super) const DAILY: RollLimits =
        RollLimits { age: Duration::from_secs(24 * 3600), bytes: 4_000_000, pause: Duration::from_secs(600) };
}

/// How often the record says how the follower is, and what was added since.
const SAMPLE_PERIOD: Duration = Duration::from_secs(60);
/// What may wait for a disk that has no room.
const WAITING_BYTES_MAX: usize = 1_000_000;

/// Writes the records of a follower, one after the other.
pub(super) struct RolledRecord {
    state: StateDir,
    limits: RollLimits,
    header: Header,
    recorder: Recorder,
    /// Since when the present file is written, and how many there were before.
    started: Instant,
    number: usize,
    /// What was done before it.
    before: Totals,
    /// No other file is tried before.
    next_roll: Option<Instant>,
    sampled: Option<Instant>,
    /// Rows added since the last sample.
    appended: FollowChange,
}

impl RolledRecord {
    /// Starts the first record of the follower that this header describes, after the run called so. If that fails it warns, and
    /// tries again when another record would follow.
    pub(super) fn begin(state: StateDir, header: Header, limits: RollLimits) -> Self {
        let mut record = Self {
            state,
            limits,
            header,
            recorder: Recorder::without_record(),
            started: Instant::now(),
            number: 0,
            before: Totals::default(),
            next_roll: None,
            sampled: None,
            appended: FollowChange::default(),
        };
        if let Err(error) = record.start_file() {
            logging::warn(&format!("rollfit follows without a record: {error}"));
        }
        record
    }

    /// Makes the next file and takes it for the record. Its name begins with its own time, as those of all records.
    fn start_file(&mut self) -> Result<Recorder, String> {
        let (now, number) = (jiff::Timestamp::now(), self.number + 1);
        let header = Header {
            run: format!("{}-{}-f{number}", now.strftime("%Y%m%dT%H%M%SZ"), std::process::id()),
            follows: Some(self.header.run.clone()),
            started: now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            ..self.header.clone()
        };
        let recorder = Recorder::try_begin(&self.state, &header)?;
        (self.header, self.number, self.started, self.sampled) = (header, number, Instant::now(), None);
        Ok(std::mem::replace(&mut self.recorder, recorder))
    }

    /// Adds what changed. Additions are summed up until the next sample.
    pub(super) fn add(&mut self, change: FollowChange) {
        if change.what == FollowChangeKind::Appended {
            self.appended.times += change.times;
            self.appended.rows += change.rows;
            self.appended.bytes += change.bytes;
        } else {
            let at_ms = millis(self.started.elapsed());
            self.write_event(&Event::Change(Box::new(FollowChange { at_ms, ..change })));
        }
    }

    /// Takes the follower as it is now, with what it has done since it began: writes the live file, and the record as far as it
    /// is due. A record that begins now repeats `standing`, what was told and is still so.
    pub(super) fn update(&mut self, live: &Live, standing: &[FollowChange]) {
        let totals = live.moment.totals;
        if self.sampled.is_none_or(|sampled| sampled.elapsed() >= SAMPLE_PERIOD) {
            self.sample(&live.moment);
        }
        if self.is_full() {
            self.roll(&live.moment, standing);
        }
        let mut live = live.clone();
        live.moment.at = self.started.elapsed();
        live.moment.totals = self.since(totals);
        self.recorder.write(&live);
    }

    /// Ends the record.
    pub(super) fn finish(mut self, moment: &Moment) {
        self.sample(moment);
        let end = self.end(moment.totals);
        self.recorder.add(&end);
        self.recorder.finish(true);
    }

    fn is_full(&self) -> bool {
        let (written_bytes, _) = self.recorder.bytes();
        let is_full = self.started.elapsed() >= self.limits.age || written_bytes >= self.limits.bytes;
        is_full && self.next_roll.is_none_or(|next| Instant::now() >= next)
    }

    /// Goes on in another file. The old one ends once that is there.
    fn roll(&mut self, moment: &Moment, standing: &[FollowChange]) {
        self.sample(moment);
        let end = self.end(moment.totals);
        match self.start_file() {
            Ok(old) => {
                old.add(&end);
                old.finish(true);
                self.before = moment.totals;
                self.next_roll = None;
                standing.iter().for_each(|change| self.add(change.clone()));
                self.state.prune();
            }
            // Told when the first one could not be made, or when the disk is full.
            Err(_) => self.next_roll = Some(Instant::now() + self.limits.pause),
        }
    }

    fn end(&self, totals: Totals) -> Event {
        let at_ms = millis(self.started.elapsed());
        Event::End(RunEnd { at_ms, totals: self.since(totals), interrupted: false })
    }

    /// Writes what was added since the last sample, and another one.
    fn sample(&mut self, moment: &Moment) {
        let at_ms = millis(self.started.elapsed());
        let appended = std::mem::take(&mut self.appended);
        if appended.times > 0 {
            let what = FollowChangeKind::Appended;
            self.write_event(&Event::Change(Box::new(FollowChange { at_ms, what, ..appended })));
        }
        let sample = Sample { at_ms, totals: self.since(moment.totals), ..Sample::from_moment(moment) };
        self.write_event(&Event::Sample(Box::new(sample)));
        self.sampled = Some(Instant::now());
    }

    /// Adds a line, unless there is too much already.
    fn write_event(&self, event: &Event) {
        let (written_bytes, waiting_bytes) = self.recorder.bytes();
        if waiting_bytes < WAITING_BYTES_MAX && written_bytes < 2 * self.limits.bytes {
            self.recorder.add(event);
        }
    }

    /// What was done since this file was begun.
    fn since(&self, totals: Totals) -> Totals {
        Totals {
            written: totals.written - self.before.written,
            rows: totals.rows - self.before.rows,
            bytes: totals.bytes - self.before.bytes,
            ..totals
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rollfit_job::partition::Partition;
    use rollfit_job::record::{FORMAT, Record};

    use super::*;
    use crate::state_dir::{is_running, live_path, read};

    const OFTEN: RollLimits = RollLimits { age: Duration::ZERO, bytes: 1_000_000, pause: Duration::ZERO };
    const NEVER: RollLimits =
        RollLimits { age: Duration::MAX, bytes: 1_000_000, pause: Duration::from_secs(600) };

    fn begin(dir: &Path, limits: RollLimits) -> RolledRecord {
        let header = Header { format: FORMAT, run: "20170101T000000Z-7".to_owned(), ..Header::default() };
        RolledRecord::begin(StateDir::at(dir), header, limits)
    }

    fn live(rows: u64) -> Live {
        let totals = Totals { rows, ..Totals::default() };
        Live { moment: Moment { totals, ..Moment::default() }, ..Live::default() }
    }

    fn appended(rows: u64) -> FollowChange {
        FollowChange { what: FollowChangeKind::Appended, times: 1, rows, ..FollowChange::default() }
    }

    /// The records of a directory, in the order in which they follow one another.
    fn records(dir: &Path) -> Vec<Record> {
        let mut records: Vec<Record> =
            StateDir::at(dir).runs().iter().map(|run| read(&run.path).unwrap()).collect();
        let number = |record: &Record| record.header.run.rsplit_once("-f").unwrap().1.parse::<u32>().unwrap();
        records.sort_by_key(number);
        records
    }

    #[test]
    fn a_record_is_followed_by_another_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = begin(dir.path(), OFTEN);
        for rows in [3, 5, 12] {
            record.add(appended(rows));
            record.update(&live(rows), &[]);
        }
        record.finish(&live(20).moment);
        let records = records(dir.path());
        assert_eq!(records.len(), 4);
        let mut before = "20170101T000000Z-7";
        for record in &records {
            assert_eq!(record.header.follows.as_deref(), Some(before));
            before = &record.header.run;
        }
        let done: Vec<u64> = records.iter().map(|record| record.end.as_ref().unwrap().totals.rows).collect();
        assert_eq!(done, [3, 2, 7, 8], "each says what was done since the one before");
        let added: Vec<u64> =
            records.iter().map(|record| record.changes.iter().map(|c| c.rows).sum()).collect();
        assert_eq!(added, [3, 5, 12, 0]);
        let files = fs::read_dir(dir.path().join("runs")).unwrap().count();
        assert_eq!(files, 4, "nothing else is left");
    }

    #[test]
    fn a_record_repeats_what_still_is_so_when_it_begins() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = begin(dir.path(), OFTEN);
        let what = FollowChangeKind::Behind;
        let partition = Some(Partition::new("eurusd".to_owned(), "2017-01".parse().unwrap()));
        let behind = FollowChange { what, partition, ..FollowChange::default() };
        record.add(behind.clone());
        record.update(&live(0), std::slice::from_ref(&behind));
        record.update(&live(0), std::slice::from_ref(&behind));
        record.add(FollowChange { what: FollowChangeKind::CaughtUp, ..behind.clone() });
        record.update(&live(0), &[]);
        record.finish(&Moment::default());
        let whats: Vec<Vec<FollowChangeKind>> = records(dir.path())
            .iter()
            .map(|record| record.changes.iter().map(|change| change.what).collect())
            .collect();
        let caught_up = FollowChangeKind::CaughtUp;
        assert_eq!(whats, [vec![what], vec![what], vec![what, caught_up], vec![]]);
    }

    #[test]
    fn additions_are_summed_up_and_other_changes_are_kept_one_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = begin(dir.path(), NEVER);
        record.update(&live(0), &[]);
        for _ in 0..10_000 {
            record.add(appended(1));
        }
        record.update(&live(0), &[]);
        let partition = Some(Partition::new("eurusd".to_owned(), "2017-01".parse().unwrap()));
        record.add(FollowChange { what: FollowChangeKind::Behind, partition, ..FollowChange::default() });
        let path = StateDir::at(dir.path()).runs()[0].path.clone();
        assert!(is_running(&path) && live_path(&path).exists());
        record.finish(&Moment::default());
        assert!(!is_running(&path) && !live_path(&path).exists());
        let record = read(&path).unwrap();
        let whats: Vec<FollowChangeKind> = record.changes.iter().map(|change| change.what).collect();
        assert_eq!(whats, [FollowChangeKind::Behind, FollowChangeKind::Appended]);
        assert_eq!((record.changes[1].times, record.changes[1].rows), (10_000, 10_000));
        assert_eq!(record.samples.len(), 2);
    }

    #[test]
    fn where_no_other_record_can_be_made_the_old_one_goes_on_and_stays_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = begin(dir.path(), RollLimits { bytes: 2000, ..OFTEN });
        let runs = dir.path().join("runs");
        let (path, elsewhere) = (StateDir::at(dir.path()).runs()[0].path.clone(), dir.path().join("away"));
        // A file in the place of the directory: no other record can be made, and the open one is continued.
        fs::rename(&runs, &elsewhere).unwrap();
        fs::write(&runs, "").unwrap();
        for _ in 0..100 {
            record.add(FollowChange { what: FollowChangeKind::StoreBack, ..FollowChange::default() });
            record.update(&live(7), &[]);
        }
        fs::remove_file(&runs).unwrap();
        fs::rename(&elsewhere, &runs).unwrap();
        let bytes = fs::metadata(&path).unwrap().len();
        assert!((2000..5000).contains(&bytes), "{bytes}");
        record.update(&live(7), &[]);
        record.finish(&live(9).moment);
        let records = records(dir.path());
        assert_eq!(records.len(), 2);
        let rows = |at: usize| records[at].end.as_ref().unwrap().totals.rows;
        assert_eq!((rows(0), rows(1)), (7, 2));
    }
}
