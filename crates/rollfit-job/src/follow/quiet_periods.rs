//! [`QuietPeriods`]: the periods of a followed key that aren't open and must not be forgotten: the last one that was closed, and those
//! between open ones. One bar with a wrong instant far ahead neither ends a period nor hides what comes before it.
//!
//! Invariants: a period from the last closed one on, up to the newest open one, is open or counted here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::held_rows::REREAD_ROWS;
use super::open_partition::is_store_lost;
use crate::period::Period;
use crate::store::{SeriesOfKey, SeriesRows, Source, StoreError};

/// How often they are counted.
const COUNT_EVERY: Duration = Duration::from_secs(60);

/// How many rows such periods had.
#[derive(Debug, Default)]
pub(super) struct QuietPeriods {
    /// Of each series; periods that aren't here had none.
    rows: BTreeMap<Period, Vec<u64>>,
    count_at: Duration,
}

impl QuietPeriods {
    /// Notes that a period is closed that had so many rows of each series. Those before it aren't counted any more.
    pub(super) fn close(&mut self, period: Period, rows: Vec<u64>) {
        self.rows = self.rows.split_off(&period);
        self.note(period, rows);
    }

    /// Notes how many rows of each series a period has, none of them joined.
    pub(super) fn note(&mut self, period: Period, rows: Vec<u64>) {
        self.rows.insert(period, rows);
    }

    /// Whether it is time to count those that are between the `open` periods, rising, or before `closed_until`.
    pub(super) fn is_due(&self, open: &[Period], closed_until: Period, now: Duration) -> bool {
        now >= self.count_at && !self.stretches(open, closed_until).is_empty()
    }

    /// Counts them. Returns those that have other rows than they had, where some may be joined, and how many of each series.
    ///
    /// # Errors
    /// Where the source cannot be reached.
    pub(super) fn changed(
        &self,
        (source, series): (&dyn Source, &[SeriesOfKey<'_>]),
        (open, closed_until): (&[Period], Period),
    ) -> Result<Vec<(Period, Vec<u64>)>, StoreError> {
        let mut changed = Vec::new();
        for (first, last) in self.stretches(open, closed_until) {
            let mut next = Some(last);
            while let Some(period) = next.filter(|period| *period >= first) {
                let (rows, before) = match count(source, series, period) {
                    // Why a key cannot be read is reported for its open periods. These are counted again later.
                    Err(error) if !is_store_lost(&error) => break,
                    counted => counted?,
                };
                next = before;
                let had = self.rows.get(&period);
                let is_same = had.map_or_else(|| rows.iter().all(|rows| *rows == 0), |had| *had == rows);
                if !is_same && (had.is_some() || rows.iter().all(|rows| *rows > 0)) {
                    changed.push((period, rows));
                }
            }
        }
        changed.sort_unstable();
        Ok(changed)
    }

    /// Notes how many rows periods have that have changed. All are counted again a while later.
    pub(super) fn note_all(&mut self, changed: Vec<(Period, Vec<u64>)>, now: Duration) {
        self.rows.extend(changed);
        self.count_at = now + COUNT_EVERY;
    }

    /// The first and the last period of each stretch of them.
    fn stretches(&self, open: &[Period], closed_until: Period) -> Vec<(Period, Period)> {
        let first = self.rows.first_key_value().map_or(closed_until, |(first, _)| closed_until.min(*first));
        let mut stretches = Vec::new();
        let mut next = first;
        for period in open.iter().copied().chain([closed_until]) {
            if let Some(last) = period.previous().filter(|last| *last >= next) {
                stretches.push((next, last));
            }
            next = next.max(if period == closed_until { period } else { period.next().unwrap_or(period) });
        }
        stretches
    }
}

/// Returns how many rows of each series a period has, and the last period before it that has rows of any series.
fn count(
    source: &dyn Source,
    series: &[SeriesOfKey<'_>],
    period: Period,
) -> Result<(Vec<u64>, Option<Period>), StoreError> {
    let mut snapshot = source.snapshot(series, period, 1)?;
    let mut rows = Vec::with_capacity(series.len());
    let mut before_us: Option<i64> = None;
    for at in 0..series.len() {
        rows.push(snapshot.count(at, period.span_us())?);
        let before = snapshot.rows_before(at, period.span_us().start, 1)?;
        before_us = before_us.max(before.instants_us.last().copied());
    }
    Ok((rows, before_us.and_then(|us| period.unit().period_at_us(us).ok())))
}

/// Whether the last rows of each series show that a period is over: some are in the period after it, or many are later. One row far ahead
/// may have a wrong instant.
pub(super) fn is_followed(period: Period, latest: &[SeriesRows]) -> bool {
    let end_us = period.span_us().end;
    let next_end_us = period.next().map_or(end_us, |next| next.span_us().end);
    let is_followed = |rows: &SeriesRows| {
        let later = &rows.instants_us[rows.instants_us.partition_point(|&us| us < end_us)..];
        later.len() >= REREAD_ROWS || later.first().is_some_and(|&us| us < next_end_us)
    };
    !latest.is_empty() && latest.iter().all(is_followed)
}
