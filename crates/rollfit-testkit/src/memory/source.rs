//! [`MemorySource`]: source tables in memory that fail on demand, record the requests, and can change while they are read.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rollfit_job::month::Month;
use rollfit_job::partition::Partition;
use rollfit_job::period::Period;
use rollfit_job::store::{
    ClosesBefore, Fault, LATEST_ROWS_MAX, LatestQuery, LatestRows, SeriesHead, SeriesKind, SeriesOfKey,
    SeriesRows, Snapshot, Source, StoreError,
};

use super::PlantedFault;
use crate::market::MINUTE_US;

/// Tables by name.
#[derive(Default)]
pub struct MemorySource {
    /// The rows of each table, but for those changed by [`MemorySource::change`].
    pub tables: BTreeMap<String, SeriesRows>,
    /// The bases that imports stored, by table.
    pub bases: BTreeMap<String, f64>,
    /// The rows of tables that were changed while others may have been reading; none of those that were removed.
    changed: Mutex<BTreeMap<String, Option<SeriesRows>>>,
    /// Whether a transaction that is writing to the tables is not over.
    pub has_writers: Arc<AtomicBool>,
    /// Whether the store gives no connection.
    pub is_away: Arc<AtomicBool>,
    /// Whether the store doesn't let its tables be listed.
    pub is_unlisted: AtomicBool,
    /// How often it gave none.
    pub refusals: Arc<AtomicUsize>,
    /// The tables that cannot be asked cheaply.
    pub unindexed: Mutex<BTreeSet<String>>,
    /// How often each table was asked for its last row.
    pub heads_asked: Mutex<BTreeMap<String, usize>>,
    /// What a snapshot of a partition meets.
    pub fault: Option<PlantedFault>,
    /// The lookback that each snapshot was announced, by partition.
    pub announced: Mutex<Vec<(String, usize)>>,
    /// The counts of rows before that were asked for.
    pub asked_before: Arc<Mutex<Vec<usize>>>,
    /// How often rows of a span were asked for.
    pub rows_asked: Arc<Mutex<usize>>,
}

impl MemorySource {
    /// Adds `rows` minutes from the start of a partition on to both tables of its key.
    pub fn fill(&mut self, partition: &Partition, rows: usize) {
        let start_us = partition.period.span_us().start;
        for (salt, table) in [(1, "m1"), (2, "bqx")] {
            let table = self.tables.entry(format!("{table}_{}", partition.key)).or_default();
            for row in 0..rows as i64 {
                let instant_us = start_us + row * MINUTE_US;
                table.instants_us.push(instant_us);
                table.values.push(100.0 + ((instant_us / MINUTE_US * 7919 * salt) % 101) as f64 / 64.0);
            }
        }
    }

    /// Returns a table, which there must be, to be changed.
    pub fn table(&mut self, name: &str) -> &mut SeriesRows {
        self.tables.get_mut(name).unwrap()
    }

    /// Keeps the rows whose number `keep` says so.
    pub fn retain(&mut self, table: &str, keep: impl Fn(usize) -> bool) {
        let table = self.table(table);
        let kept: Vec<usize> = (0..table.values.len()).filter(|&row| keep(row)).collect();
        table.instants_us = kept.iter().map(|&row| table.instants_us[row]).collect();
        table.values = kept.iter().map(|&row| table.values[row]).collect();
    }

    /// Changes a table, or makes it, while others may be reading: one change is seen as a whole.
    pub fn change<T>(&self, name: &str, change: impl FnOnce(&mut SeriesRows) -> T) -> T {
        let mut changed = self.changed.lock().unwrap();
        let before = || self.tables.get(name).cloned().unwrap_or_default();
        change(changed.entry(name.to_owned()).or_insert_with(|| Some(before())).get_or_insert_default())
    }

    /// Removes a table while others may be reading. Returns its rows.
    pub fn remove_table(&self, name: &str) -> SeriesRows {
        let rows = self.change(name, std::mem::take);
        self.changed.lock().unwrap().insert(name.to_owned(), None);
        rows
    }

    /// Adds a row to a table, where it belongs, while others may be reading.
    pub fn insert(&self, name: &str, instant_us: i64, value: f64) {
        self.change(name, |rows| {
            let at = rows.instants_us.partition_point(|&other| other < instant_us);
            rows.instants_us.insert(at, instant_us);
            rows.values.insert(at, value);
        });
    }

    /// The tables of several series, all of one moment.
    fn read<T>(
        &self,
        series: &[SeriesOfKey<'_>],
        read: impl Fn(&SeriesRows) -> T,
    ) -> Vec<Result<T, StoreError>> {
        let changed = self.changed.lock().unwrap();
        let table = |series: &SeriesOfKey<'_>| {
            let name = &series.table;
            let rows = changed.get(name).map_or_else(|| self.tables.get(name), Option::as_ref);
            rows.map(&read).ok_or_else(|| StoreError::permanent(format!("there is no table {name}")))
        };
        series.iter().map(table).collect()
    }

    fn connect(&self) -> Result<(), StoreError> {
        if !self.is_away.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.refusals.fetch_add(1, Ordering::Relaxed);
        Err(StoreError::unconnected(Fault::Transient, "no connection"))
    }

    fn base_of(&self, series: &SeriesOfKey<'_>) -> Option<f64> {
        self.bases.get(&series.table).copied()
    }

    fn read_one<T>(
        &self,
        series: &SeriesOfKey<'_>,
        read: impl Fn(&SeriesRows) -> T,
    ) -> Result<T, StoreError> {
        self.read(std::slice::from_ref(series), read).remove(0)
    }
}

/// The rows that closes look back.
fn looked_back(series: &SeriesOfKey<'_>) -> Option<usize> {
    match series.kind {
        SeriesKind::Closes { lookback_rows } => Some(lookback_rows),
        _ => None,
    }
}

/// The rows within a span.
fn within(rows: &SeriesRows, span_us: Range<i64>) -> SeriesRows {
    let at = |instant_us| rows.instants_us.partition_point(|&other| other < instant_us);
    cut(rows, at(span_us.start)..at(span_us.end))
}

fn cut(rows: &SeriesRows, range: Range<usize>) -> SeriesRows {
    SeriesRows { instants_us: rows.instants_us[range.clone()].to_vec(), values: rows.values[range].to_vec() }
}

impl Source for MemorySource {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn tables(&self) -> Result<BTreeSet<String>, StoreError> {
        self.connect()?;
        if self.is_unlisted.load(Ordering::Relaxed) {
            return Err(StoreError::permanent("no right to list"));
        }
        let changed = self.changed.lock().unwrap();
        let is_there = |name: &&String| changed.get(*name).is_none_or(Option::is_some);
        Ok(self.tables.keys().chain(changed.keys()).filter(is_there).cloned().collect())
    }

    /// As in a file system that ignores case.
    fn check_keys(&self, keys: &[String]) -> Result<(), StoreError> {
        let mut known = BTreeSet::new();
        match keys.iter().find(|key| !known.insert(key.to_lowercase())) {
            Some(key) => Err(StoreError::permanent(format!("another key differs from {key} only in case"))),
            None => Ok(()),
        }
    }

    fn months(&self, series: &SeriesOfKey<'_>) -> Result<Option<(Month, Month)>, StoreError> {
        let month = |instant: Option<&i64>| instant.map(|&instant| Month::of_instant_us(instant).unwrap());
        self.read_one(series, |rows| month(rows.instants_us.first()).zip(month(rows.instants_us.last())))
    }

    fn estimate_rows(&self, series: &SeriesOfKey<'_>, period: Period) -> Result<u64, StoreError> {
        let span_us = period.span_us();
        self.read_one(series, |rows| within(rows, span_us.clone()).values.len() as u64)
    }

    fn snapshot(
        &self,
        series: &[SeriesOfKey<'_>],
        period: Period,
        lookback_rows: usize,
    ) -> Result<Box<dyn Snapshot>, StoreError> {
        self.connect()?;
        let partition = &Partition::new(series[0].key, period);
        self.announced.lock().unwrap().push((partition.to_string(), lookback_rows));
        self.fault.as_ref().map_or(Ok(()), |fault| fault(partition))?;
        series.iter().try_for_each(SeriesOfKey::check_stored)?;
        Ok(Box::new(MemorySnapshot {
            tables: self.read(series, SeriesRows::clone).into_iter().collect::<Result<_, _>>()?,
            bases: series.iter().map(|series| self.base_of(series)).collect(),
            asked_before: self.asked_before.clone(),
            rows_asked: self.rows_asked.clone(),
            has_writers: self.has_writers.clone(),
        }))
    }

    fn heads(&self, series: &[SeriesOfKey<'_>]) -> Result<Vec<Result<SeriesHead, StoreError>>, StoreError> {
        self.connect()?;
        for series in series {
            *self.heads_asked.lock().unwrap().entry(series.table.clone()).or_default() += 1;
        }
        let last = |rows: &SeriesRows| SeriesHead { last_us: rows.instants_us.last().copied(), stamp: 0 };
        Ok(self.read(series, last))
    }

    fn check_followable(&self, series: &[SeriesOfKey<'_>]) -> Result<(), StoreError> {
        self.connect()?;
        self.read(series, |_| ()).into_iter().collect::<Result<(), _>>()?;
        let unindexed = self.unindexed.lock().unwrap();
        match series.iter().find(|series| unindexed.contains(&series.table)) {
            Some(series) => Err(StoreError::permanent(format!("{} has no index", series.table))),
            None => Ok(()),
        }
    }

    fn latest(&self, series: &[SeriesOfKey<'_>], query: LatestQuery) -> Result<LatestRows, StoreError> {
        self.connect()?;
        series.iter().try_for_each(SeriesOfKey::check_stored)?;
        let rows = self.read(series, SeriesRows::clone).into_iter().collect::<Result<Vec<_>, _>>()?;
        let count = |rows: &SeriesRows, from_us| within(rows, from_us..query.from_us).values.len() as u64;
        let count_from = |rows: &SeriesRows, from_us| within(rows, from_us..i64::MAX).values.len();
        let counts = |from_us| rows.iter().map(|rows| count(rows, from_us)).collect();
        let latest = |(series, rows): (&SeriesOfKey<'_>, &SeriesRows)| {
            let first = rows.instants_us.partition_point(|&other| other < query.from_us);
            let end = rows.values.len().min(first + LATEST_ROWS_MAX);
            cut(rows, first.saturating_sub(looked_back(series).unwrap_or(0))..end)
        };
        let before = |(series, rows): (&SeriesOfKey<'_>, &SeriesRows)| {
            let before = |from_us| within(rows, i64::MIN..from_us).values.len();
            let rows = query.count_from_us.map_or(0, before).min(looked_back(series)?);
            Some(ClosesBefore { base: self.base_of(series), rows_before_counted: rows as u64 })
        };
        let each = || series.iter().zip(&rows);
        Ok(LatestRows {
            counts: query.count_from_us.map(counts),
            rows: each().map(latest).collect(),
            is_cut: rows.iter().any(|rows| count_from(rows, query.from_us) >= LATEST_ROWS_MAX),
            has_writers: self.has_writers.load(Ordering::Relaxed),
            closes: each().map(|each| before(each).unwrap_or_default()).collect(),
        })
    }
}

struct MemorySnapshot {
    tables: Vec<SeriesRows>,
    bases: Vec<Option<f64>>,
    asked_before: Arc<Mutex<Vec<usize>>>,
    rows_asked: Arc<Mutex<usize>>,
    has_writers: Arc<AtomicBool>,
}

impl Snapshot for MemorySnapshot {
    fn rows(&mut self, series: usize, span_us: Range<i64>) -> Result<SeriesRows, StoreError> {
        *self.rows_asked.lock().unwrap() += 1;
        Ok(within(&self.tables[series], span_us))
    }

    fn has_writers(&mut self) -> Result<bool, StoreError> {
        Ok(self.has_writers.load(Ordering::Relaxed))
    }

    fn rows_before(
        &mut self,
        series: usize,
        instant_us: i64,
        count: usize,
    ) -> Result<SeriesRows, StoreError> {
        self.asked_before.lock().unwrap().push(count);
        let table = &self.tables[series];
        let end = table.instants_us.partition_point(|&other| other < instant_us);
        Ok(cut(table, end.saturating_sub(count)..end))
    }

    fn base(&mut self, series: usize) -> Result<Option<f64>, StoreError> {
        Ok(self.bases[series])
    }
}
