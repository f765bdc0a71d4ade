//! Source tables of a Parquet store, as users and strangers drop them in.

use rollfit_job::config::JobConfig;
use rollfit_job::error_chain;
use rollfit_job::month::Month;
use rollfit_job::store::{SeriesRows, Source, StoreError};
use rollfit_parquet::ParquetStore;

use crate::Seed;
use crate::parquet_file::{assembled, kinds, taken_apart};
use crate::scratch::in_scratch;

const CONFIG: &str = r#"
[store]
url = "parquet:."
[partitions]
keys = ["k"]
from = "first"
to = "latest"
[series.y]
table = "t_{key}"
time = "time"
value = "close"
features = "f_{key}_{yyyy}_{mm}"
[windows]
w3 = 3
"#;

/// The second half of the input is a second file of the table.
const TWO_FILES: u8 = 1;
const CHECKSUMS: u8 = 2;

pub(crate) fn hold(bytes: &[u8]) {
    let Some((flags, rest)) = bytes.split_first() else { return };
    let config = JobConfig::parse(CONFIG, []).unwrap();
    let with_checksums = flags & CHECKSUMS != 0;
    in_scratch(|scratch| {
        let file = assembled(rest, with_checksums);
        scratch.write("sources/t_k/a.parquet", &file);
        let second = scratch.path().join("sources/t_k/b.parquet");
        if flags & TWO_FILES == 0 {
            let _ = std::fs::remove_file(second);
        } else {
            std::fs::write(second, &file).unwrap();
        }
        let store = ParquetStore::open(scratch.path(), &config).unwrap();
        if let Err(error) = read(&store, &config, "k") {
            assert!(!error_chain(&error).is_empty());
        }
    });
}

/// Reads the rows of a key in every way.
pub(crate) fn read(store: &ParquetStore, config: &JobConfig, key: &str) -> Result<(), StoreError> {
    let series = config.series_of_key(key);
    let months = store.months(&series[0])?;
    let Some((first, last)) = months else { return Ok(()) };
    assert!(first <= last);
    let known: Month = "2017-01".parse().unwrap();
    for month in [first, last, known] {
        let period = month.into();
        store.estimate_rows(&series[0], period)?;
        for lookback in [0, 2] {
            let mut snapshot = store.snapshot(&series, period, lookback)?;
            check(&snapshot.rows(0, period.span_us())?);
            let before = snapshot.rows_before(0, period.span_us().end, 3)?;
            check(&before);
            assert!(before.instants_us.len() <= 3);
        }
    }
    Ok(())
}

fn check(rows: &SeriesRows) {
    assert_eq!(rows.instants_us.len(), rows.values.len());
    assert!(rows.instants_us.windows(2).all(|pair| pair[0] < pair[1]), "each instant once, sorted");
}

pub(crate) fn seeds() -> Vec<Seed> {
    let seed = |(at, (name, file)): (usize, (String, Vec<u8>))| {
        (name, [&[u8::from(at == 3)], &taken_apart(&file)[..]].concat())
    };
    kinds().into_iter().enumerate().map(seed).collect()
}
