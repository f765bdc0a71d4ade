//! [`QuietMonths`]: the months of a followed key that aren't open and must not be forgotten: the last one that was closed, and those
//! between open ones. One bar with a wrong instant far ahead neither ends a month nor hides what comes before it.
//!
//! Invariants: a month from the last closed one on, up to the newest open one, is open or counted here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::held_rows::REREAD_ROWS;
use super::open_partition::is_store_lost;
use crate::month::Month;
use crate::store::{SeriesOfKey, SeriesRows, Source, StoreError};

/// How often they are counted.
const COUNT_EVERY: Duration = Duration::from_secs(60);

/// How many rows such months had.
#[derive(Debug, Default)]
pub(super) struct QuietMonths {
    /// Of each series; months that aren't here had none.
    rows: BTreeMap<Month, Vec<u64>>,
    count_at: Duration,
}

impl QuietMonths {
    /// Notes that a month is closed that had so many rows of each series. Those before it aren't counted any more.
    pub(super) fn close(&mut self, month: Month, rows: Vec<u64>) {
        self.rows = self.rows.split_off(&month);
        self.note(month, rows);
    }

    /// Notes how many rows of each series a month has, none of them joined.
    pub(super) fn note(&mut self, month: Month, rows: Vec<u64>) {
        self.rows.insert(month, rows);
    }

    /// Whether it is time to count those that are between the `open` months, rising, or before `closed_until`.
    pub(super) fn is_due(&self, open: &[Month], closed_until: Month, now: Duration) -> bool {
        now >= self.count_at && !self.stretches(open, closed_until).is_empty()
    }

    /// Counts them. Returns those that have other rows than they had, where some may be joined, and how many of each series.
    ///
    /// # Errors
    /// Where the source cannot be reached.
    pub(super) fn changed(
        &self,
        (source, series): (&dyn Source, &[SeriesOfKey<'_>]),
        (open, closed_until): (&[Month], Month),
    ) -> Result<Vec<(Month, Vec<u64>)>, StoreError> {
        let mut changed = Vec::new();
        for (first, last) in self.stretches(open, closed_until) {
            let mut next = Some(last);
            while let Some(month) = next.filter(|month| *month >= first) {
                let (rows, before) = match count(source, series, month) {
                    // Why a key cannot be read is reported for its open months. These are counted again later.
                    Err(error) if !is_store_lost(&error) => break,
                    counted => counted?,
                };
                next = before;
                let had = self.rows.get(&month);
                let is_same = had.map_or_else(|| rows.iter().all(|rows| *rows == 0), |had| *had == rows);
                if !is_same && (had.is_some() || rows.iter().all(|rows| *rows > 0)) {
                    changed.push((month, rows));
                }
            }
        }
        changed.sort_unstable();
        Ok(changed)
    }

    /// Notes how many rows months have that have changed. All are counted again a while later.
    pub(super) fn note_all(&mut self, changed: Vec<(Month, Vec<u64>)>, now: Duration) {
        self.rows.extend(changed);
        self.count_at = now + COUNT_EVERY;
    }

    /// The first and the last month of each stretch of them.
    fn stretches(&self, open: &[Month], closed_until: Month) -> Vec<(Month, Month)> {
        let first = self.rows.first_key_value().map_or(closed_until, |(first, _)| closed_until.min(*first));
        let mut stretches = Vec::new();
        let mut next = first;
        for month in open.iter().copied().chain([closed_until]) {
            if let Some(last) = month.previous().filter(|last| *last >= next) {
                stretches.push((next, last));
            }
            next = next.max(if month == closed_until { month } else { month.next() });
        }
        stretches
    }
}

/// Returns how many rows of each series a month has, and the last month before it that has rows of any series.
fn count(
    source: &dyn Source,
    series: &[SeriesOfKey<'_>],
    month: Month,
) -> Result<(Vec<u64>, Option<Month>), StoreError> {
    let mut snapshot = source.snapshot(series, month.into(), 1)?;
    let mut rows = Vec::with_capacity(series.len());
    let mut before_us: Option<i64> = None;
    for at in 0..series.len() {
        rows.push(snapshot.count(at, month.span_us())?);
        let before = snapshot.rows_before(at, month.span_us().start, 1)?;
        before_us = before_us.max(before.instants_us.last().copied());
    }
    Ok((rows, before_us.and_then(|us| Month::of_instant_us(us).ok())))
}

/// Whether the last rows of each series show that a month is over: some are in the month after it, or many are later. One row far ahead
/// may have a wrong instant.
pub(super) fn is_followed(month: Month, latest: &[SeriesRows]) -> bool {
    let (end_us, next_end_us) = (month.span_us().end, month.next().span_us().end);
    let is_followed = |rows: &SeriesRows| {
        let later = &rows.instants_us[rows.instants_us.partition_point(|&us| us < end_us)..];
        later.len() >= REREAD_ROWS || later.first().is_some_and(|&us| us < next_end_us)
    };
    !latest.is_empty() && latest.iter().all(is_followed)
}
