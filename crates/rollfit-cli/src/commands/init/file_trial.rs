//! [`FileTrial`]: a file read as the import that is proposed will read it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rollfit_bars::{BarFile, Format, ImportError, ReadOptions, Zone, read_files};
use rollfit_job::month::Month;

use super::config_text::LONGEST_WINDOW_ROWS;

/// A file whose rows are closer than this is taken for a short piece of a month that has enough of them.
const FEW_ROWS_STEP_US: i64 = 3_600_000_000;

/// What the import of a file needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FileTrial {
    pub(super) needs_key: bool,
    pub(super) needs_zone: bool,
    /// The column that says the key of each row, where it has several.
    pub(super) key_column: Option<String>,
    /// The rows of a month, where they are too few for the longest window.
    pub(super) few_rows: Option<u64>,
}

impl FileTrial {
    /// Reads a file, and again with each option that it turns out to need.
    ///
    /// # Errors
    /// What no option helps against.
    pub(super) fn new(file: &Path, format: Format) -> Result<Self, ImportError> {
        let (mut options, mut trial) = (ReadOptions::new(format), Self::default());
        let paths: [PathBuf; 1] = [file.to_owned()];
        loop {
            match read_files(&paths, &options, |_| ()) {
                Ok(files) => {
                    trial.few_rows = few_rows(&files);
                    return Ok(trial);
                }
                Err(ImportError::NoKey { .. }) if !trial.needs_key => {
                    trial.needs_key = true;
                    options.key = Some("key".to_owned());
                }
                Err(ImportError::Instruments { column, .. }) if trial.key_column.is_none() => {
                    (options.key, options.key_column) = (None, Some(column.clone()));
                    trial.key_column = Some(column);
                }
                Err(ImportError::NoZone { .. }) if !trial.needs_zone => {
                    trial.needs_zone = true;
                    options.zone = "UTC".parse::<Zone>().ok();
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The rows of the fullest month of the fullest file, where they are fewer than the longest window has and hours apart.
fn few_rows(files: &[BarFile]) -> Option<u64> {
    let bars = &files.iter().max_by_key(|file| file.bars.len())?.bars;
    let mut steps: Vec<i64> = bars.windows(2).map(|pair| pair[1].instant_us - pair[0].instant_us).collect();
    steps.sort_unstable();
    let typical_us = *steps.get(steps.len() / 2)?;
    let mut of_month: BTreeMap<Month, u64> = BTreeMap::new();
    for bar in bars {
        *of_month.entry(Month::of_instant_us(bar.instant_us).ok()?).or_default() += 1;
    }
    let most = of_month.into_values().max()?;
    (most < LONGEST_WINDOW_ROWS && typical_us > FEW_ROWS_STEP_US).then_some(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(text: &str) -> Result<FileTrial, ImportError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bars.csv");
        std::fs::write(&path, text).unwrap();
        FileTrial::new(&path, Format::Csv)
    }

    /// A file with a row at each of these times of January and February 2017.
    fn rows(step_us: i64, count: i64) -> String {
        let instant =
            |row: i64| jiff::Timestamp::from_microsecond(1_483_228_800_000_000 + row * step_us).unwrap();
        let lines = (0..count).map(|row| format!("{},1.{row}\n", instant(row)));
        std::iter::once("time,close\n".to_owned()).chain(lines).collect()
    }

    #[test]
    fn months_of_daily_bars_have_few_rows_and_a_short_piece_of_minutes_has_not() {
        let few = |step_us: i64, count: i64| trial(&rows(step_us, count)).unwrap().few_rows;
        let hour_us = 3_600_000_000;
        assert_eq!((few(24 * hour_us, 50), few(24 * hour_us, 3)), (Some(31), Some(3)));
        assert_eq!((few(8 * hour_us, 93), few(4 * hour_us, 200)), (None, None));
        assert_eq!((few(60_000_000, 5), few(60_000_000, 1)), (None, None));
    }

    #[test]
    fn what_a_file_needs_is_found_out_one_after_the_other() {
        let found = trial("time,close,symbol\n2017-01-03 00:00,1.2,A\n2017-01-03 00:00,1.3,B\n").unwrap();
        assert_eq!((found.key_column.as_deref(), found.needs_zone), (Some("symbol"), true));
        assert!(trial("time,close\n2017-01-03T00:00Z,1.2\n").unwrap().needs_key);
        assert!(trial("time,close\n2017-01-03T00:00Z,x\n").is_err());
    }
}
