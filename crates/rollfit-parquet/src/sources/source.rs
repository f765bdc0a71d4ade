//! The source: series read from `sources/TABLE/*.parquet`.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rollfit_job::config::Series;
use rollfit_job::key::KeysByCase;
use rollfit_job::month::Month;
use rollfit_job::period::Period;
use rollfit_job::store::{
    ClosesBefore, LatestQuery, LatestRows, SeriesHead, SeriesKind, SeriesOfKey, SeriesRows, Snapshot, Source,
    StoreError,
};

use crate::fault::file_error;
use crate::names::{check_length, check_path};
use crate::sources::file_spans::FileSpans;
use crate::sources::long::{LongSeries, LongTable};
use crate::sources::open_table::OpenTable;
use crate::sources::series_table::{SeriesListing, SeriesTable};
use crate::sources::sources_reader::ImportWait;
use crate::{NAME, ParquetStore};
use rollfit_job::keys::warn_of_empty;

/// Rows before a partition that are opened at once for every row of lookback: enough unless the join loses most.
const EARLIER_ROWS_PER_LOOKBACK_ROW: usize = 4;

impl ParquetStore {
    /// Where the rows of a series are.
    fn series_listing(&self, series: &SeriesOfKey<'_>) -> Result<SeriesListing, StoreError> {
        let dir = self.sources_dir.join(&series.table);
        let listing = match self.long_table_of(series) {
            None => self.index.files(&dir, series.time)?.map(|files| SeriesListing { files, split: None }),
            Some(long) => {
                let rows = long.rows_of(series.key)?;
                rows.map(|(files, split)| SeriesListing { files: Arc::new(files), split })
            }
        };
        listing.ok_or_else(|| missing_table(&dir, series))
    }

    /// The long table of a series; none where its table has the rows of one key.
    pub(super) fn long_table_of(&self, series: &SeriesOfKey<'_>) -> Option<Arc<LongTable>> {
        let SeriesOfKey { ref table, time, value, .. } = *series;
        Some(self.long_table(LongSeries { table, key_column: series.key_column?, time, value }))
    }

    fn long_table(&self, series: LongSeries<'_>) -> Arc<LongTable> {
        self.long.table(series, &self.series, (&self.sources_dir, &self.index))
    }

    /// The files of a series' table that have rows of its key, all of them checked.
    pub(crate) fn checked_files(&self, series: &SeriesOfKey<'_>) -> Result<Vec<FileSpans>, StoreError> {
        let files = self.series_listing(series)?.files;
        files.iter().try_for_each(|file| self.index.check(file, series.time))?;
        let mut files = files.to_vec();
        if let Some(long) = self.long_table_of(series) {
            files.extend(long.mixed_files()?);
        }
        Ok(files)
    }

    /// As [`Self::series_listing`], all of it of one import.
    fn settled_listing(
        &self,
        series: &SeriesOfKey<'_>,
        wait: ImportWait,
    ) -> Result<SeriesListing, StoreError> {
        self.reader.read(&[&series.table], wait, || self.series_listing(series), |_| Ok(true))
    }

    /// Opens the files of a series' table that a span needs, and for a lookback the last ones before it. Checks the others
    /// too: one damaged file of a table is the fault of all its months.
    fn open_table(
        &self,
        series: &SeriesOfKey<'_>,
        span_us: &Range<i64>,
        lookback_rows: usize,
    ) -> Result<SeriesTable, StoreError> {
        let SeriesListing { files: listed, split } = self.series_listing(series)?;
        let (time, value) = (series.time.to_owned(), series.value.to_owned());
        let mut table = OpenTable::new(self.index.clone(), listed.clone(), time, value);
        let is_needed = |file: &FileSpans| {
            file.span_us().is_some_and(|(first, last)| first < span_us.end && last >= span_us.start)
        };
        for file in listed.iter() {
            if is_needed(file) {
                table.open(file)?;
                continue;
            }
            self.index.check(file, series.time)?;
            if lookback_rows > 0 && file.span_us().is_some_and(|(_, last)| last < span_us.start) {
                table.add_earlier(file.clone());
            }
        }
        table.open_earlier(EARLIER_ROWS_PER_LOOKBACK_ROW * lookback_rows)?;
        SeriesTable::open(series, table, split)
    }

    /// As [`Self::open_table`] for several series, all of one moment.
    fn open_series(
        &self,
        series: &[SeriesOfKey<'_>],
        span_us: &Range<i64>,
        lookback_rows: usize,
    ) -> Result<OpenSeries, StoreError> {
        let open = || {
            let tables = series.iter().map(|series| self.open_table(series, span_us, lookback_rows));
            tables.collect::<Result<Vec<_>, _>>()
        };
        // Listed once more: an import of an earlier version changes no generation.
        let is_current = |tables: &Vec<SeriesTable>| {
            let mut tables = series.iter().zip(tables);
            tables
                .try_fold(true, |all, (series, table)| Ok(all && table.is_of(&self.series_listing(series)?)))
        };
        let tables = self.reader.read(&table_names(series), ImportWait::Full, open, is_current)?;
        Ok(OpenSeries { tables })
    }
}

fn table_names<'a>(series: &'a [SeriesOfKey<'_>]) -> Vec<&'a str> {
    series.iter().map(|series| series.table.as_str()).collect()
}

pub(super) fn missing_table(dir: &Path, series: &SeriesOfKey<'_>) -> StoreError {
    let others = [series.key.to_ascii_lowercase(), series.key.to_ascii_uppercase()];
    let is_there = |key: &String| {
        series.key_column.is_none() && dir.with_file_name(series.table.replace(series.key, key)).is_dir()
    };
    let hint = others.iter().find(|key| is_there(key));
    let hint = hint.map_or_else(String::new, |key| format!("; there is one of the key `{key}`: case counts"));
    StoreError::permanent(format!(
        "table {} does not exist; import its bars, put Parquet files there, or correct `table` of series `{}`{hint}",
        dir.display(),
        series.name
    ))
}

impl Source for ParquetStore {
    fn check_keys(&self, keys: &[String]) -> Result<(), StoreError> {
        KeysByCase::check(keys.iter().map(String::as_str))
            .map_err(|clash| StoreError::permanent(format!("{clash}; rename one in its tables")))
    }

    fn tables(&self) -> Result<BTreeSet<String>, StoreError> {
        let entries = match std::fs::read_dir(&self.sources_dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(error) => return Err(file_error("list", &self.sources_dir, error)),
        };
        let mut tables = BTreeSet::new();
        for entry in entries {
            let entry = entry.map_err(|error| file_error("list", &self.sources_dir, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') {
                tables.insert(name);
            }
        }
        Ok(tables)
    }

    fn keys_in(&self, series: &Series) -> Result<BTreeSet<String>, StoreError> {
        let of_series = series.of_key("");
        let Some(long) = self.long_table_of(&of_series) else { return Ok(BTreeSet::new()) };
        let keys = || long.keys();
        let found = self.reader.read(&[&of_series.table], ImportWait::Full, keys, |_| Ok(true))?;
        found.ok_or_else(|| missing_table(&self.sources_dir.join(&of_series.table), &of_series))
    }

    fn months(&self, series: &SeriesOfKey<'_>) -> Result<Option<(Month, Month)>, StoreError> {
        let spans = self.settled_listing(series, ImportWait::Full)?.spans_us();
        if spans.is_empty() {
            warn_of_empty(self.sources_dir.join(&series.table).display(), series.key);
        }
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

    fn estimate_rows(&self, series: &SeriesOfKey<'_>, period: Period) -> Result<u64, StoreError> {
        Ok(self.settled_listing(series, ImportWait::Brief)?.estimate_rows(&period.span_us()))
    }

    fn gaps(&self, series: &SeriesOfKey<'_>, first: Month, last: Month) -> Result<Vec<Month>, StoreError> {
        let listing = self.settled_listing(series, ImportWait::Brief)?;
        let is_gap = |month: &Month| listing.estimate_rows(&month.span_us()) == 0;
        Ok(first.through(last).filter(is_gap).collect())
    }

    fn snapshot(
        &self,
        series: &[SeriesOfKey<'_>],
        period: Period,
        lookback_rows: usize,
    ) -> Result<Box<dyn Snapshot>, StoreError> {
        series.iter().try_for_each(SeriesOfKey::check_stored)?;
        Ok(Box::new(self.open_series(series, &period.span_us(), lookback_rows)?))
    }

    fn heads(&self, series: &[SeriesOfKey<'_>]) -> Result<Vec<Result<SeriesHead, StoreError>>, StoreError> {
        self.file_stamps(series)
    }

    fn latest(&self, series: &[SeriesOfKey<'_>], query: LatestQuery) -> Result<LatestRows, StoreError> {
        series.iter().try_for_each(SeriesOfKey::check_stored)?;
        let counted_us = query.count_from_us.unwrap_or(query.from_us)..query.from_us;
        let span_us = counted_us.start.min(query.from_us)..i64::MAX;
        let lookback_rows = series.iter().map(lookback_rows_of).max().unwrap_or(0);
        let mut open = self.open_series(series, &span_us, lookback_rows)?;
        let mut latest =
            LatestRows { counts: query.count_from_us.map(|_| Vec::new()), ..LatestRows::default() };
        for (at, series) in series.iter().enumerate() {
            let mut rows = open.rows_before(at, query.from_us, lookback_rows_of(series))?;
            rows.append(open.rows(at, query.from_us..i64::MAX)?);
            latest.rows.push(rows);
            if let Some(counts) = &mut latest.counts {
                counts.push(open.count(at, counted_us.clone())?);
            }
            latest.closes.push(open.closes_before(at, series, query.count_from_us)?);
        }
        Ok(latest)
    }

    fn check_followable(&self, series: &[SeriesOfKey<'_>]) -> Result<(), StoreError> {
        self.check_size_to_follow(series)?;
        self.heads(series)?.into_iter().try_for_each(|head| head.map(drop))
    }

    fn holder(&self, series: &[SeriesOfKey<'_>]) -> Result<Option<String>, StoreError> {
        self.reader.holder(&table_names(series))
    }

    fn check_name(&self, series: &SeriesOfKey<'_>) -> Result<(), StoreError> {
        let what = || format!("[series.{}] table of key {}", series.name, series.key);
        check_length(&what(), &series.table)?;
        check_path(&what(), &self.sources_dir.join(&series.table))
    }

    fn kind(&self) -> &'static str {
        NAME
    }

    fn place(&self) -> String {
        self.sources_dir.display().to_string()
    }
}

/// The rows that closes look back; 0 for other series.
fn lookback_rows_of(series: &SeriesOfKey<'_>) -> usize {
    match series.kind {
        SeriesKind::Closes { lookback_rows } => lookback_rows,
        SeriesKind::Stored | SeriesKind::Derived(_) | SeriesKind::Included => 0,
    }
}

/// The open files of several series: an import that replaces them does not reach these.
struct OpenSeries {
    tables: Vec<SeriesTable>,
}

impl OpenSeries {
    /// What else is wanted of closes; nothing of other series.
    fn closes_before(
        &mut self,
        at: usize,
        series: &SeriesOfKey<'_>,
        counted_from_us: Option<i64>,
    ) -> Result<ClosesBefore, StoreError> {
        let SeriesKind::Closes { lookback_rows } = series.kind else { return Ok(ClosesBefore::default()) };
        let rows = match counted_from_us {
            Some(from_us) => self.rows_before(at, from_us, lookback_rows)?.instants_us.len(),
            None => 0,
        };
        Ok(ClosesBefore { base: self.base(at)?, rows_before_counted: rows as u64 })
    }
}

impl Snapshot for OpenSeries {
    fn rows(&mut self, series: usize, span_us: Range<i64>) -> Result<SeriesRows, StoreError> {
        self.tables[series].rows(span_us)
    }

    fn rows_before(
        &mut self,
        series: usize,
        instant_us: i64,
        count: usize,
    ) -> Result<SeriesRows, StoreError> {
        self.tables[series].rows_before(instant_us, count)
    }

    fn base(&mut self, series: usize) -> Result<Option<f64>, StoreError> {
        self.tables[series].files.base()
    }

    fn count(&mut self, series: usize, span_us: Range<i64>) -> Result<u64, StoreError> {
        self.tables[series].count(&span_us)
    }

    fn last_us(&mut self, series: usize) -> Result<Option<i64>, StoreError> {
        Ok(self.tables[series].last_us())
    }
}
