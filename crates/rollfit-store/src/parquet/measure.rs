//! The speed of a directory without a run: files with the columns of a partition's, written, made durable and removed, one
//! and several at once.
//!
//! Holds true: what is written has no name, so that it goes with the process, even one that is killed; the empty file of a
//! commit has one that no reader takes for data.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rollfit_job::speed::StoreSpeed;
use rollfit_job::store::{FeatureTile, StoreError};

use super::ParquetStore;
use super::encode::FeatureWriter;
use super::fault::{file_error, parquet_error};
use super::files::refuse_linked_dirs;
use crate::stopwatch::{Stopwatch, micros};
use crate::trial::{BYTES_MAX, Trial, check_tiles, later_instants, speed};

/// The most files at once.
const FILES_MAX: usize = 4;
/// The share of the time in which rows are written, to one file and to several; the rest is for the disk to keep them.
const WRITE_SHARE: f64 = 0.3;

impl ParquetStore {
    pub(super) fn measure_speed(
        &self,
        tiles: &[FeatureTile<'_>],
        time_max: Duration,
    ) -> Result<StoreSpeed, StoreError> {
        check_tiles(tiles, &[self.columns.len()])?;
        let write_max = time_max.mul_f64(WRITE_SHARE);
        let (alone, commit) = self.trial(tiles[0], write_max)?;
        let files = std::thread::available_parallelism().map_or(1, NonZero::get).min(FILES_MAX);
        let together = if files > 1 { self.trials(files, tiles[0], write_max)? } else { Vec::new() };
        Ok(StoreSpeed {
            alone: speed(&[alone]),
            together: (!together.is_empty()).then(|| speed(&together)),
            commit_us: micros(commit),
            ..StoreSpeed::default()
        })
    }

    fn trials(
        &self,
        files: usize,
        tile: FeatureTile<'_>,
        write_max: Duration,
    ) -> Result<Vec<Trial>, StoreError> {
        let trial = || self.trial(tile, write_max).map(|(trial, _)| trial);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..files).map(|_| scope.spawn(trial)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(died()))).collect()
        })
    }

    /// Writes a file until the time is over or it is as large as a partition's; how long a commit then takes.
    fn trial(&self, tile: FeatureTile<'_>, write_max: Duration) -> Result<(Trial, Duration), StoreError> {
        let dir = self.features_dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(&self.dir);
        refuse_linked_dirs(&self.dir, dir)?;
        let trial = self.write(&Leftover::new(dir).0, tile, write_max)?;
        Ok((trial, self.time_of_commit(dir)?))
    }

    /// How long it takes to put an empty file in place.
    fn time_of_commit(&self, dir: &Path) -> Result<Duration, StoreError> {
        let (file, renamed) = (Leftover::new(dir), Leftover::new(dir));
        self.files.create(&file.0).map_err(|error| file_error("create", &file.0, error))?;
        let stopwatch = Stopwatch::start();
        self.files
            .rename(&file.0, &renamed.0)
            .map_err(|error| file_error("put in place", &renamed.0, error))?;
        self.files.sync_dir(dir).map_err(|error| file_error("sync", dir, error))?;
        Ok(stopwatch.wall())
    }

    fn write(&self, path: &Path, tile: FeatureTile<'_>, time_max: Duration) -> Result<Trial, StoreError> {
        let wrong = |error| parquet_error("write", path, error);
        let output = self.files.create(path).map_err(|error| file_error("create", path, error))?;
        // Without a name its bytes go with this process, however that ends.
        self.files.remove(path).map_err(|error| file_error("remove", path, error))?;
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let stopwatch = Stopwatch::start();
        let mut writer = FeatureWriter::new(output, &columns, self.compression).map_err(wrong)?;
        let (mut trial, mut instants_us, end) = (Trial::default(), Vec::new(), Instant::now() + time_max);
        while trial.rows == 0 || writer.bytes_written() < BYTES_MAX && Instant::now() < end {
            later_instants(tile, trial.rows / tile.rows() as u64, &mut instants_us);
            writer.write(FeatureTile { instants_us: &instants_us, ..tile }).map_err(wrong)?;
            // The same values again in one row group would be compressed to nothing.
            writer.end_row_group().map_err(wrong)?;
            trial.rows += tile.rows() as u64;
        }
        trial.bytes = writer.finish("rollfit.measure", String::new()).map_err(wrong)?;
        trial.written = stopwatch.lap();
        let stopwatch = Stopwatch::start();
        writer.output().sync().map_err(|error| file_error("sync", path, error))?;
        trial.completed = stopwatch.wall();
        Ok(trial)
    }
}

/// A file that goes away, if it is there.
struct Leftover(PathBuf);

impl Leftover {
    /// A new name in a directory.
    fn new(dir: &Path) -> Self {
        Self(dir.join(format!(".measure.{:016x}.tmp", fastrand::u64(..))))
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn died() -> StoreError {
    StoreError::permanent("a defect of rollfit stopped the measurement, please report it")
}
