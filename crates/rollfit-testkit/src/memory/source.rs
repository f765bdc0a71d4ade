//! [`MemorySource`]: source tables in memory that fail on demand and record the requests.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use rollfit_job::month::Month;
use rollfit_job::partition::Partition;
use rollfit_job::period::Period;
use rollfit_job::store::{SeriesOfKey, SeriesRows, Snapshot, Source, StoreError};

use super::PlantedFault;
use crate::market::MINUTE_US;

/// Tables by name.
#[derive(Default)]
pub struct MemorySource {
    /// The rows of each table.
    pub tables: BTreeMap<String, SeriesRows>,
    /// The bases that imports stored, by table.
    pub bases: BTreeMap<String, f64>,
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

    fn rows(&self, series: &SeriesOfKey<'_>) -> Result<&SeriesRows, StoreError> {
        let name = &series.table;
        self.tables.get(name).ok_or_else(|| StoreError::permanent(format!("there is no table {name}")))
    }
}

fn cut(rows: &SeriesRows, range: Range<usize>) -> SeriesRows {
    SeriesRows { instants_us: rows.instants_us[range.clone()].to_vec(), values: rows.values[range].to_vec() }
}

impl Source for MemorySource {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn tables(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(self.tables.keys().cloned().collect())
    }

    fn months(&self, series: &SeriesOfKey<'_>) -> Result<Option<(Month, Month)>, StoreError> {
        let instants = &self.rows(series)?.instants_us;
        let month = |instant: Option<&i64>| instant.map(|&instant| Month::of_instant_us(instant).unwrap());
        Ok(month(instants.first()).zip(month(instants.last())))
    }

    fn estimate_rows(&self, series: &SeriesOfKey<'_>, period: Period) -> Result<u64, StoreError> {
        let span_us = period.span_us();
        let instants = &self.rows(series)?.instants_us;
        Ok(instants.iter().filter(|instant| span_us.contains(instant)).count() as u64)
    }

    fn snapshot(
        &self,
        series: &[SeriesOfKey<'_>],
        period: Period,
        lookback_rows: usize,
    ) -> Result<Box<dyn Snapshot>, StoreError> {
        let partition = &Partition::new(series[0].key, period);
        self.announced.lock().unwrap().push((partition.to_string(), lookback_rows));
        self.fault.as_ref().map_or(Ok(()), |fault| fault(partition))?;
        series.iter().try_for_each(SeriesOfKey::check_stored)?;
        let table = |series: &SeriesOfKey<'_>| self.rows(series).cloned();
        Ok(Box::new(MemorySnapshot {
            tables: series.iter().map(table).collect::<Result<_, _>>()?,
            bases: series.iter().map(|series| self.bases.get(&series.table).copied()).collect(),
            asked_before: self.asked_before.clone(),
            rows_asked: self.rows_asked.clone(),
        }))
    }
}

struct MemorySnapshot {
    tables: Vec<SeriesRows>,
    bases: Vec<Option<f64>>,
    asked_before: Arc<Mutex<Vec<usize>>>,
    rows_asked: Arc<Mutex<usize>>,
}

impl Snapshot for MemorySnapshot {
    fn rows(&mut self, series: usize, span_us: Range<i64>) -> Result<SeriesRows, StoreError> {
        *self.rows_asked.lock().unwrap() += 1;
        let table = &self.tables[series];
        let at = |instant_us| table.instants_us.partition_point(|&other| other < instant_us);
        Ok(cut(table, at(span_us.start)..at(span_us.end)))
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
