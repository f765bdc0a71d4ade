//! The speed of a directory without a run: plausible, and nothing stays behind.

#![allow(clippy::unwrap_used)] // A failed helper fails its test.

mod support;

use std::time::Duration;

use rollfit_job::error_chain;
use rollfit_job::store::{FeatureTile, Sink};
use rollfit_store::parquet::{ParquetStore, RealFiles};

use support::market::{MINUTE_US, all_bars, import, run_undisturbed, spec};
use support::script::{ENOSPC, Fate, Script};
use support::{assert_says, tree};

const ROWS: usize = 4096;

#[test]
fn a_directory_is_measured_and_nothing_stays_behind() {
    let dir = tempfile::tempdir().unwrap();
    import(dir.path(), &all_bars(100, 1), &RealFiles).unwrap();
    let spec = spec();
    let instants_us: Vec<i64> = (0..ROWS as i64).map(|row| row * MINUTE_US).collect();
    let values: Vec<f64> = (0..ROWS * spec.feature_count()).map(|_| fastrand::f64()).collect();
    let tile = FeatureTile { instants_us: &instants_us, first_column: 0, values: &values };
    let store = ParquetStore::open(dir.path(), &spec).unwrap();
    for has_features in [false, true] {
        let before = tree(dir.path());
        let speed = store.measure(&[tile], Duration::from_millis(300)).unwrap();
        assert_eq!(tree(dir.path()), before, "{has_features}");
        for write in [Some(&speed.alone), speed.together.as_ref()].into_iter().flatten() {
            assert!(write.rows >= ROWS as u64 && write.cpu_us_per_row > 0.0, "{write:?}");
            // Noise does not compress, and the same noise again is no other row group's business.
            let row_bytes = write.bytes_per_s / write.rows_per_s;
            assert!(row_bytes > 6.0 * spec.feature_count() as f64, "{write:?}");
        }
        assert!(speed.commit_us > 0.0 && speed.connect_us.is_none(), "{speed:?}");
        run_undisturbed(dir.path());
    }
}

#[test]
fn a_full_disk_is_told_and_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec();
    let tile = FeatureTile {
        instants_us: &[0, MINUTE_US],
        first_column: 0,
        values: &vec![0.5; 2 * spec.feature_count()],
    };
    for operation in 0..4 {
        let files = Script::new(dir.path(), Fate::FailAt(operation, ENOSPC));
        let store = ParquetStore::open_with(dir.path(), &spec, Box::new(files)).unwrap();
        let error = store.measure(&[tile], Duration::from_millis(1)).unwrap_err();
        assert_says(&error_chain(&error), &["measure", "No space left"]);
        assert!(tree(dir.path()).is_empty(), "{operation}");
    }
}
