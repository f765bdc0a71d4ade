//! [`Trial`]: how fast one session or file took rows, and what several of them at once make together.

use std::time::Duration;

use rollfit_job::speed::WriteSpeed;
use rollfit_job::store::{FeatureTile, StoreError};

use crate::stopwatch::{Lap, micros};

/// The bytes that one session or file is given at most: about a partition's.
pub(crate) const BYTES_MAX: u64 = 96 << 20;

/// What handing over rows took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trial {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// Encoding and handing over.
    pub(crate) written: Lap,
    /// What makes it whole after the last row.
    pub(crate) completed: Duration,
}

/// The speed of trials that went on at the same time.
pub(crate) fn speed(trials: &[Trial]) -> WriteSpeed {
    let rows: u64 = trials.iter().map(|trial| trial.rows).sum();
    let per_s = |count: fn(&Trial) -> u64| -> f64 {
        trials.iter().map(|trial| count(trial) as f64 / trial.written.wall.as_secs_f64().max(1e-9)).sum()
    };
    let per_row =
        |time: fn(&Trial) -> Duration| micros(trials.iter().map(time).sum::<Duration>()) / rows.max(1) as f64;
    WriteSpeed {
        sessions: trials.len(),
        rows,
        rows_per_s: per_s(|trial| trial.rows),
        bytes_per_s: per_s(|trial| trial.bytes),
        cpu_us_per_row: per_row(|trial| trial.written.cpu),
        complete_us_per_row: per_row(|trial| trial.completed),
    }
}

/// Checks that there is a tile of rows for every group of columns.
pub(crate) fn check_tiles(tiles: &[FeatureTile<'_>], columns: &[usize]) -> Result<(), StoreError> {
    let fits = |(tile, &columns): (&FeatureTile<'_>, &usize)| {
        tile.rows() == tiles[0].rows() && tile.rows() > 0 && tile.columns().count() == columns
    };
    if tiles.len() == columns.len() && tiles.iter().zip(columns).all(fits) {
        return Ok(());
    }
    Err(StoreError::permanent("to measure a store, a tile of rows is needed for every group of its columns"))
}

/// The instants of a tile that is handed over once more: each time after those of the time before.
pub(crate) fn later_instants(tile: FeatureTile<'_>, times: u64, instants_us: &mut Vec<i64>) {
    let [Some(first), Some(last)] = [tile.instants_us.first(), tile.instants_us.last()] else { return };
    let step_us = (last - first) / (tile.rows() as i64 - 1).max(1);
    let shift_us = times as i64 * (last - first + step_us.max(1));
    instants_us.clear();
    instants_us.extend(tile.instants_us.iter().map(|instant_us| instant_us + shift_us));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_go_on_rising_from_one_time_to_the_next() {
        let tile = FeatureTile { instants_us: &[60, 120, 180], first_column: 0, values: &[] };
        let mut all = Vec::new();
        for times in 0..3 {
            let mut instants_us = Vec::new();
            later_instants(tile, times, &mut instants_us);
            all.extend(instants_us);
        }
        assert_eq!(all, (1..=9).map(|minute| 60 * minute).collect::<Vec<_>>());
    }

    #[test]
    fn several_at_once_add_up_and_a_row_costs_each_of_them_its_own_time() {
        let lap = Lap { wall: Duration::from_secs(2), cpu: Duration::from_secs(1) };
        let trial =
            Trial { rows: 1_000_000, bytes: 8_000_000, written: lap, completed: Duration::from_secs(3) };
        let both = speed(&[trial, trial]);
        assert_eq!((both.sessions, both.rows), (2, 2_000_000));
        assert_eq!((both.rows_per_s, both.bytes_per_s), (1e6, 8e6));
        assert_eq!((both.cpu_us_per_row, both.complete_us_per_row), (1.0, 3.0));
    }

    #[test]
    fn tiles_that_do_not_fit_are_refused() {
        let tile = FeatureTile { instants_us: &[1, 2], first_column: 0, values: &[0.0; 4] };
        assert!(check_tiles(&[tile], &[2]).is_ok());
        for columns in [&[2, 2][..], &[3], &[]] {
            assert!(check_tiles(&[tile], columns).is_err(), "{columns:?}");
        }
        assert!(check_tiles(&[FeatureTile { instants_us: &[], ..tile }], &[2]).is_err());
    }
}
