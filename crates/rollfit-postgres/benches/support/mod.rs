//! What both benchmarks need: series in memory, tables as files and back.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::Path;

use postgres::Client;
use rollfit_job::config::{JobConfig, Series};
use rollfit_job::month::Month;
use rollfit_job::partition::Partition;
use rollfit_job::period::Period;
use rollfit_job::run::Observer;
use rollfit_job::store::{SeriesOfKey, SeriesRows, Snapshot, Source, StoreError};
use rollfit_parquet::ParquetStore;

/// Writes what COPY gives for a table into a file.
pub(crate) fn dump(client: &mut Client, table: &str, path: &Path) {
    let mut file = File::create(path).unwrap();
    let sql = format!("COPY {table} TO STDOUT (FORMAT binary)");
    std::io::copy(&mut client.copy_out(&sql).unwrap(), &mut file).unwrap();
}

/// Loads such a file. `options` come after the format.
pub(crate) fn load(client: &mut Client, table: &str, options: &str, path: &Path) {
    let mut copy = client.copy_in(&format!("COPY {table} FROM STDIN (FORMAT binary{options})")).unwrap();
    let mut file = File::open(path).unwrap();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let bytes = file.read(&mut buffer).unwrap();
        if bytes == 0 {
            break;
        }
        copy.write_all(&buffer[..bytes]).unwrap();
    }
    copy.finish().unwrap();
}

/// The rows of a series in a month.
pub(crate) fn read(parquet: &ParquetStore, series: &Series, key: &str, month: Month) -> SeriesRows {
    let mut snapshot = parquet.snapshot(&[series.of_key(key)], month.into(), 0).unwrap();
    snapshot.rows(0, month.span_us()).unwrap()
}

/// The series of a block, in memory.
pub(crate) struct MemorySource {
    rows: HashMap<(String, Partition), SeriesRows>,
}

impl MemorySource {
    /// Reads the series of `block`.
    pub(crate) fn load(parquet: &ParquetStore, config: &JobConfig, block: &[Partition]) -> Self {
        let entry = |partition: &Partition, series: &Series| {
            (
                (series.name.clone(), partition.clone()),
                read(parquet, series, &partition.key, partition.period.first_month()),
            )
        };
        let rows = block
            .iter()
            .flat_map(|partition| config.series.iter().map(move |series| entry(partition, series)));
        Self { rows: rows.collect() }
    }
}

impl Source for MemorySource {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn tables(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(BTreeSet::new())
    }

    fn months(&self, _: &SeriesOfKey<'_>) -> Result<Option<(Month, Month)>, StoreError> {
        Ok(None)
    }

    fn estimate_rows(&self, _: &SeriesOfKey<'_>, _: Period) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn snapshot(
        &self,
        series: &[SeriesOfKey<'_>],
        period: Period,
        _: usize,
    ) -> Result<Box<dyn Snapshot>, StoreError> {
        let rows = |series: &SeriesOfKey<'_>| {
            self.rows[&(series.name.to_owned(), Partition::new(series.key, period))].clone()
        };
        Ok(Box::new(MemorySnapshot(series.iter().map(rows).collect())))
    }
}

struct MemorySnapshot(Vec<SeriesRows>);

impl Snapshot for MemorySnapshot {
    fn rows(&mut self, series: usize, _: Range<i64>) -> Result<SeriesRows, StoreError> {
        Ok(std::mem::take(&mut self.0[series]))
    }

    fn rows_before(&mut self, _: usize, _: i64, _: usize) -> Result<SeriesRows, StoreError> {
        Ok(SeriesRows::default())
    }
}

/// Hears nothing.
pub(crate) struct Quiet;

impl Observer for Quiet {}

/// The middle one.
pub(crate) fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
