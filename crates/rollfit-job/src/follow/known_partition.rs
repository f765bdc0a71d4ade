//! [`KnownPartition`]: what a follower knows of a partition whose features are those of its rows.
//!
//! Invariants: all of it is of one receipt, the one that the sink had when it was last looked at. The receipt after rows were added is,
//! byte for byte, the one of a run over all rows.

use super::held_rows::HeldRows;
use crate::addition::Addition;
use crate::config::JobConfig;
use crate::input_digest::InputDigest;
use crate::panel::{Joined, Panel, join};
use crate::partition::Partition;
use crate::pending::PendingSearch;
use crate::receipt::{Input, Receipt};
use crate::store::SeriesRows;

/// A partition whose features are those of its rows.
#[derive(Debug)]
pub(super) struct KnownPartition {
    receipt: Box<Receipt>,
    /// Of all joined rows.
    digest: InputDigest,
    held: HeldRows,
    /// The last joined rows, as many as the windows of the next one reach.
    tail: Joined,
    /// How many rows of each series come before the partition, from the first on that its windows reach.
    lookback_counts: Vec<u64>,
}

/// Rows to be added, and what is known once they are.
#[derive(Debug)]
pub(super) struct NewRows {
    pub(super) addition: Addition,
    digest: InputDigest,
}

/// What a look at the last rows says of a known partition.
#[derive(Debug)]
pub(super) enum Growth {
    /// No instant more is joined.
    None,
    /// Some are.
    New(Box<NewRows>),
    /// No row can follow this receipt: the partition has to be written again.
    Rewrite,
}

impl KnownPartition {
    /// What is known after a check: the receipt, the panel that it is of, and all rows that the panel was joined from. None where the
    /// receipt is of something else.
    pub(super) fn new(
        config: &JobConfig,
        partition: &Partition,
        receipt: Box<Receipt>,
        panel: &Panel,
        rows: Vec<SeriesRows>,
    ) -> Option<Self> {
        let (first_us, last_us) =
            panel.instants_us.first().copied().zip(panel.instants_us.last().copied())?;
        let mut digest = InputDigest::new(panel.columns.len(), panel.lookback_rows as u64);
        digest.push_rows(&panel.instants_us, &slices(&panel.columns));
        if receipt.input.rows != panel.rows() as u64 || receipt.input.digest != digest.finish() {
            return None;
        }
        let span_us = partition.period.span_us();
        let before = |rows: &SeriesRows| rows.instants_us.partition_point(|&us| us < span_us.start) as u64;
        let lookback_counts = rows.iter().take(config.series.len()).map(before).collect();
        let held = HeldRows::new(first_us.min(span_us.start)..span_us.end, rows, last_us);
        let tail = Joined { instants_us: panel.instants_us.clone(), columns: panel.columns.clone() };
        Some(Self { receipt, digest, held, tail: reach(config, tail), lookback_counts })
    }

    /// The last rows of each series.
    pub(super) fn held(&self) -> &HeldRows {
        &self.held
    }

    /// The last instant that has features.
    pub(super) fn last_us(&self) -> Option<i64> {
        self.receipt.input.last_us
    }

    /// The first instant of the held rows that wait for another series, where `lasts_us` are the last instants of each.
    pub(super) fn pending_us(
        &self,
        config: &JobConfig,
        partition: &Partition,
        lasts_us: &[Option<i64>],
    ) -> Option<i64> {
        let series_us = &self.held.unjoined_us()[..lasts_us.len()];
        let search = PendingSearch {
            series_us,
            joined_last_us: self.last_us(),
            span_us: partition.period.span_us(),
            pair_wait: config.run.pair_wait,
        };
        search.find_with(lasts_us).map(|(pending, _)| pending.oldest_us)
    }

    /// How many rows of each series are in the partition.
    pub(super) fn series_rows(&self) -> Vec<u64> {
        let counts = self.held.counts(self.held.span_us().end).into_iter().zip(&self.lookback_counts);
        counts.map(|(count, lookback)| count.saturating_sub(*lookback)).collect()
    }

    /// What there is to add, where the rows `latest` don't differ from those held. `lasts_us` are the last instants of each series,
    /// in any partition.
    pub(super) fn growth(
        &self,
        config: &JobConfig,
        partition: &Partition,
        latest: &[SeriesRows],
        lasts_us: &[Option<i64>],
    ) -> Growth {
        let unjoined = self.held.unjoined(latest);
        let series = unjoined.iter().take(lasts_us.len());
        let series_us: Vec<Vec<i64>> = series.map(|rows| rows.instants_us.clone()).collect();
        let joined = join(unjoined);
        let Some(&last_us) = joined.instants_us.last() else { return Growth::None };
        let mut digest = self.digest.clone();
        digest.push_rows(&joined.instants_us, &slices(&joined.columns));
        let rows = self.receipt.input.rows + joined.instants_us.len() as u64;
        let search = PendingSearch {
            series_us: &series_us,
            joined_last_us: Some(last_us),
            span_us: partition.period.span_us(),
            pair_wait: config.run.pair_wait,
        };
        let pending = search.find_with(lasts_us).map(|(pending, _)| pending);
        let pending_rows = |at| pending.as_ref().map_or(0, |pending| pending.rows[at]);
        let lost = |(at, (count, lookback)): (usize, (u64, &u64))| {
            count.saturating_sub(lookback + rows + pending_rows(at))
        };
        let counts = self.held.counts_with(latest).into_iter().zip(&self.lookback_counts);
        let lost_rows: Vec<u64> = counts.enumerate().map(lost).collect();
        let before = self.receipt.input.clone();
        let input = Input {
            rows,
            last_us: Some(last_us),
            digest: digest.finish(),
            lost_rows: lost_rows.clone(),
            ..before
        };
        match Addition::new((*self.receipt).clone(), self.panel(joined, lost_rows), input) {
            Some(addition) => Growth::New(Box::new(NewRows { addition, digest })),
            None => Growth::Rewrite,
        }
    }

    /// New rows after those that their windows reach.
    fn panel(&self, joined: Joined, lost_rows: Vec<u64>) -> Panel {
        let mut rows = self.tail.clone();
        let lookback_rows = rows.instants_us.len();
        rows.instants_us.extend(joined.instants_us);
        for (column, more) in rows.columns.iter_mut().zip(joined.columns) {
            column.extend(more);
        }
        let Joined { instants_us, columns } = rows;
        Panel { instants_us, columns, lookback_rows, lost_rows, ..Panel::default() }
    }

    /// Goes on from the receipt of all rows, once the new ones were added.
    pub(super) fn advance(&mut self, config: &JobConfig, receipt: Box<Receipt>, news: NewRows) {
        let Panel { instants_us, columns, .. } = news.addition.rows;
        self.tail = reach(config, Joined { instants_us, columns });
        self.receipt = receipt;
        self.digest = news.digest;
    }

    /// Remembers the rows `latest`, once all that is joined of them has features.
    pub(super) fn take(&mut self, latest: &[SeriesRows]) {
        if let Some(last_us) = self.last_us() {
            self.held.take(latest, last_us);
        }
    }
}

/// The last rows, as many as the windows of the next one reach.
fn reach(config: &JobConfig, rows: Joined) -> Joined {
    rows.keep_last(config.longest_window_rows().saturating_sub(1))
}

fn slices(columns: &[Vec<f64>]) -> Vec<&[f64]> {
    columns.iter().map(Vec::as_slice).collect()
}
