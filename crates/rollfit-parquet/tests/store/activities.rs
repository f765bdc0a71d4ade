//! Where the time of a partition goes in the Parquet store: every stage of its commit is told apart, and nothing is left out
//! or counted twice.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rollfit_job::Job;
use rollfit_job::activity::{Activity, Times};
use rollfit_job::config::Workers;
use rollfit_job::plan::partitions;
use rollfit_job::run::{Observer, Outcome, RunOptions, Spent, Try, run};
use rollfit_job::selection::Selection;
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::watch::Unseen;
use rollfit_parquet::{FileSystem, OsFileSystem, ParquetStore, RawFile};

use crate::support::market::{all_bars, config, import};

/// Keeps how each partition spent its time.
#[derive(Default)]
struct Clerk(Mutex<Vec<Spent>>);

impl Observer for Clerk {
    fn ended(&self, _at: Try<'_>, outcome: &Outcome, spent: &Spent) {
        assert!(matches!(outcome, Outcome::Written { .. }), "{outcome:?}");
        self.0.lock().unwrap().push(spent.clone());
    }
}

/// Runs the job on one worker; how its partitions spent their time.
fn spent(dir: &Path, files: Box<dyn FileSystem>) -> Vec<Spent> {
    let config = config();
    import(dir, &all_bars(3000, 1), &OsFileSystem).unwrap();
    let store = ParquetStore::open_with(dir, &config, files).unwrap();
    let planned = partitions(&config, &store, &store, &Selection::default()).unwrap();
    let job =
        Job { config: &config, source: &store, sink: &store, workers: Workers::Fixed(1), machine: &Unseen };
    let clerk = Clerk::default();
    run(&job, &planned, &RunOptions::default(), &StopSignal::default(), &clerk);
    clerk.0.into_inner().unwrap()
}

fn total(spent: &[Spent]) -> Times {
    spent.iter().fold(Times::default(), |mut sum, spent| {
        sum.add_all(&spent.wall);
        sum
    })
}

#[test]
fn the_activities_of_partitions_fill_their_time_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let spent = spent(dir.path(), Box::new(OsFileSystem));
    let begun_to_ended: Duration = spent.iter().map(|spent| spent.ended - spent.begun).sum();
    let wall = Duration::from_micros(total(&spent).total_us());
    let rounding = Duration::from_micros(1);
    assert!(wall + rounding >= begun_to_ended, "{wall:?} of {begun_to_ended:?}");
    assert!(wall <= spent.last().unwrap().ended, "{wall:?} of {:?}", spent.last());
    for (activity, us) in Activity::ALL.map(|activity| (activity, total(&spent).get(activity))) {
        use Activity::{Analyzing, Connecting, Deleting, Keying, Pausing, Throttled, Vacuuming, Waiting};
        let does_nothing = [Waiting, Connecting, Throttled, Pausing, Deleting, Keying, Analyzing, Vacuuming];
        assert_eq!(us == 0, does_nothing.contains(&activity), "{activity:?}: {us} us");
    }
}

/// A disk that is slow to take bytes, to make them durable, or both.
struct SlowDisk {
    write: Duration,
    sync: Duration,
}

struct SlowFile {
    file: Box<dyn RawFile>,
    write: Duration,
    sync: Duration,
}

impl FileSystem for SlowDisk {
    fn create(&self, path: &Path) -> std::io::Result<Box<dyn RawFile>> {
        let file = OsFileSystem.create(path)?;
        Ok(Box::new(SlowFile { file, write: self.write, sync: self.sync }))
    }

    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        OsFileSystem.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> std::io::Result<()> {
        OsFileSystem.sync_dir(path)
    }

    fn remove(&self, path: &Path) -> std::io::Result<()> {
        OsFileSystem.remove(path)
    }
}

impl RawFile for SlowFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> std::io::Result<usize> {
        std::thread::sleep(self.write);
        self.file.write_at(bytes, offset)
    }

    fn reserve(&mut self, bytes: u64) -> std::io::Result<()> {
        std::thread::sleep(self.write);
        self.file.reserve(bytes)
    }

    fn set_len(&mut self, bytes: u64) -> std::io::Result<()> {
        self.file.set_len(bytes)
    }

    fn id(&self) -> std::io::Result<(u64, u64)> {
        self.file.id()
    }

    fn direct_alignment(&self) -> Option<usize> {
        self.file.direct_alignment()
    }

    fn set_direct(&mut self, is_direct: bool) -> std::io::Result<()> {
        self.file.set_direct(is_direct)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        std::thread::sleep(self.sync);
        self.file.sync()
    }
}

#[test]
fn what_the_disk_takes_is_told_apart_from_the_work_of_encoding() {
    const SLOW: Duration = Duration::from_millis(10);
    let least_us = |activity, write, sync| {
        let dir = tempfile::tempdir().unwrap();
        let spent = spent(dir.path(), Box::new(SlowDisk { write, sync }));
        let slow_us = spent.len() as u64 * SLOW.as_micros() as u64;
        assert!(total(&spent).get(activity) >= slow_us, "{activity:?}: {spent:?}");
    };
    least_us(Activity::Sending, SLOW, Duration::ZERO);
    least_us(Activity::Committing, Duration::ZERO, SLOW);
}
