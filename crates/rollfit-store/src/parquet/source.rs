//! The source: series read from `sources/TABLE/*.parquet`.

use std::ops::Range;
use std::path::Path;

use rollfit_job::month::Month;
use rollfit_job::partition::{Partition, check_key};
use rollfit_job::spec::Series;
use rollfit_job::store::{Rows, Snapshot, Source, StoreError};

use super::ParquetStore;
use super::fault::file_error;
use super::sources_lock::SourcesView;
use super::table::{OpenTable, TableFile, table_files};

impl ParquetStore {
    /// Opens the files of a series' table of which `wanted` wants the span of instants.
    fn open_table(
        &self,
        series: &Series,
        key: &str,
        wanted: impl Fn((i64, i64)) -> bool,
    ) -> Result<Vec<TableFile>, StoreError> {
        let dir = self.sources_dir.join(series.table.for_key(key));
        let paths = table_files(&dir)?.ok_or_else(|| missing_table(&dir, series))?;
        let mut files = Vec::new();
        for path in paths {
            let file = self.index.open(&path, &series.time)?;
            if file.span_us().is_some_and(&wanted) {
                files.push(file);
            }
        }
        Ok(files)
    }
}

fn missing_table(dir: &Path, series: &Series) -> StoreError {
    StoreError::permanent(format!(
        "there is no table {}: import its bars, put Parquet files there, or correct `table` of series `{}`",
        dir.display(),
        series.name
    ))
}

impl Source for ParquetStore {
    fn keys(&self, series: &[Series]) -> Result<Vec<String>, StoreError> {
        let entries = match std::fs::read_dir(&self.sources_dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(file_error("list", &self.sources_dir, error)),
        };
        let mut tables = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| file_error("list", &self.sources_dir, error))?;
            tables.extend(entry.file_name().into_string());
        }
        let Some((first, others)) = series.split_first() else { return Ok(Vec::new()) };
        let mut keys: Vec<String> = tables.iter().filter_map(|table| first.table.key_of(table)).collect();
        keys.retain(|key| {
            check_key(key).is_ok() && others.iter().all(|other| tables.contains(&other.table.for_key(key)))
        });
        keys.sort();
        Ok(keys)
    }

    fn months(&self, series: &Series, key: &str) -> Result<Option<(Month, Month)>, StoreError> {
        let _view = SourcesView::open(&self.sources_dir, self.files.as_ref())?;
        let files = self.open_table(series, key, |_| true)?;
        let spans: Vec<(i64, i64)> = files.iter().filter_map(TableFile::span_us).collect();
        let month = |instant: Option<i64>| {
            instant
                .map(Month::of_instant_us)
                .transpose()
                .map_err(|error| StoreError::permanent(error.to_string()))
        };
        let first = month(spans.iter().map(|span| span.0).min())?;
        let last = month(spans.iter().map(|span| span.1).max())?;
        Ok(first.zip(last))
    }

    fn estimate_rows(&self, series: &Series, partition: &Partition) -> Result<u64, StoreError> {
        let span_us = partition.month.span_us();
        let _view = SourcesView::open(&self.sources_dir, self.files.as_ref())?;
        let files = self.open_table(series, &partition.key, |(first, last)| {
            first < span_us.end && last >= span_us.start
        })?;
        Ok(files.iter().map(|file| file.estimate_rows(&span_us)).sum())
    }

    fn snapshot(
        &self,
        series: &[Series],
        partition: &Partition,
        lookback: bool,
    ) -> Result<Box<dyn Snapshot>, StoreError> {
        let span_us = partition.month.span_us();
        let wanted = |(first, last): (i64, i64)| first < span_us.end && (lookback || last >= span_us.start);
        let _view = SourcesView::open(&self.sources_dir, self.files.as_ref())?;
        let open = |series: &Series| {
            Ok(OpenTable {
                files: self.open_table(series, &partition.key, wanted)?,
                time: series.time.clone(),
                value: series.value.clone(),
            })
        };
        Ok(Box::new(OpenSeries { tables: series.iter().map(open).collect::<Result<_, StoreError>>()? }))
    }
}

/// The open files of a partition's series: an import that replaces them does not reach these.
struct OpenSeries {
    tables: Vec<OpenTable>,
}

impl Snapshot for OpenSeries {
    fn rows(&mut self, series: usize, span_us: Range<i64>) -> Result<Rows, StoreError> {
        self.tables[series].rows(span_us)
    }

    fn rows_before(&mut self, series: usize, instant_us: i64, count: usize) -> Result<Rows, StoreError> {
        self.tables[series].rows_before(instant_us, count)
    }
}
