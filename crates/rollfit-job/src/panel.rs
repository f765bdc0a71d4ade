//! [`Panel`]: the series of a partition, joined on the instant.

use std::ops::Range;

use crate::config::{JobConfig, Series};
use crate::join_loss::{JoinLoss, Sides};
use crate::partition::Partition;
use crate::pending::{Pending, PendingSearch};
use crate::store::{Fault, SeriesRows, Snapshot, Source, StoreError};

/// The joined rows of a partition, with those before it that its windows may reach.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    /// Microseconds since 1970, UTC, rising.
    pub instants_us: Vec<i64>,
    /// The values of each series, as long as `instants_us`; NaN where there is none. Then those of the included columns, which have
    /// none before the partition: they are not stored there.
    pub columns: Vec<Vec<f64>>,
    /// How many of the rows lie before the partition.
    pub lookback_rows: usize,
    /// For each series the partition's rows that another series lacks, and that are therefore not in the panel; without those
    /// that are pending.
    pub lost_rows: Vec<u64>,
    /// The partition's last rows that another series lacks and may still get.
    pub pending: Option<Pending>,
    /// What the join loses, where that is more than `join_loss_max`.
    pub join_loss: Option<JoinLoss>,
}

impl Panel {
    /// Reads a partition from one snapshot of the source.
    ///
    /// # Errors
    /// Those of the source.
    pub fn read(source: &dyn Source, config: &JobConfig, partition: &Partition) -> Result<Self, StoreError> {
        let read = PanelRead::new(source, config, partition, false)?;
        Ok(read.into_panel(source, config, partition))
    }

    /// As [`Panel::read`], with the rows of each series, then of each included column, that it was joined from: all of the partition, and
    /// those before it from the first one on that is in the panel.
    pub(crate) fn read_with_rows(
        source: &dyn Source,
        config: &JobConfig,
        partition: &Partition,
    ) -> Result<(Self, Vec<SeriesRows>), StoreError> {
        let mut read = PanelRead::new(source, config, partition, true)?;
        let rows = std::mem::take(&mut read.rows);
        Ok((read.into_panel(source, config, partition), rows))
    }

    /// As [`Panel::read`], but instead of the join loss what it is computed from, where series differ: not everybody needs it.
    pub(crate) fn read_with_sides(
        source: &dyn Source,
        config: &JobConfig,
        partition: &Partition,
    ) -> Result<(Self, Option<Sides>), StoreError> {
        let PanelRead { panel, sides, .. } = PanelRead::new(source, config, partition, false)?;
        Ok((panel, sides))
    }

    /// The rows of the partition itself.
    pub fn rows(&self) -> usize {
        self.instants_us.len() - self.lookback_rows
    }

    /// For each series the partition's rows that another series lacks, pending or not.
    pub fn unjoined_rows(&self) -> Vec<u64> {
        let pending = |at| self.pending.as_ref().map_or(0, |pending| pending.rows[at]);
        self.lost_rows.iter().enumerate().map(|(at, lost)| lost + pending(at)).collect()
    }

    /// Whether all there is of the partition are its first rows, each in some series, and those of the others may still come.
    pub fn waits_for_rows(&self) -> bool {
        let has_lost = self.lost_rows.iter().any(|&lost| lost > 0);
        self.rows() == 0 && !has_lost && self.pending.as_ref().is_some_and(|pending| pending.is_current)
    }

    /// The memory that it takes.
    pub fn memory_bytes(&self) -> u64 {
        (self.instants_us.capacity() + self.columns.iter().map(Vec::capacity).sum::<usize>()) as u64 * 8
    }

    /// Adds rows after those there are; the first ones are taken without a copy.
    fn take(&mut self, joined: Joined) {
        if self.instants_us.is_empty() {
            self.instants_us = joined.instants_us;
            self.columns = joined.columns;
            return;
        }
        self.instants_us.extend(joined.instants_us);
        for (column, more) in self.columns.iter_mut().zip(joined.columns) {
            column.extend(more);
        }
    }
}

/// A panel as it is read, with what can be found out only then.
struct PanelRead {
    panel: Panel,
    /// What the join loss is computed from, where series differ.
    sides: Option<Sides>,
    /// See [`Panel::read_with_rows`]; empty where nobody wants them.
    rows: Vec<SeriesRows>,
}

impl PanelRead {
    fn new(
        source: &dyn Source,
        config: &JobConfig,
        partition: &Partition,
        keeps_rows: bool,
    ) -> Result<Self, StoreError> {
        let wanted_rows = config.lookback_rows();
        let mut snapshot =
            source.snapshot(&config.inputs_of_key(&partition.key), partition.period, wanted_rows)?;
        let span_us = partition.period.span_us();
        let start_us = span_us.start;
        let inputs = config.series.len() + config.included_count();
        let mut month: Vec<SeriesRows> =
            (0..inputs).map(|at| snapshot.rows(at, span_us.clone())).collect::<Result<_, _>>()?;
        let mut rows = if keeps_rows { month.clone() } else { Vec::new() };
        let included = month.split_off(config.series.len());
        let read_rows: Vec<usize> = month.iter().map(|rows| rows.instants_us.len()).collect();
        let differing_us = differing_instants(&month);
        let mut joined = join(month);
        joined.include(partition, included)?;
        let sides = differing_us.map(|instants_us| Sides {
            instants_us,
            joined_us: joined.instants_us.clone(),
            pending_us: Vec::new(),
        });
        let (sides, pending) = find_pending(sides, snapshot.as_mut(), config, span_us)?;
        let pending_rows = |at| pending.as_ref().map_or(0, |pending: &Pending| pending.rows[at]);
        let lost = |(at, rows): (usize, &usize)| (rows - joined.instants_us.len()) as u64 - pending_rows(at);
        let lost_rows = read_rows.iter().enumerate().map(lost).collect();
        let mut panel = Panel { lost_rows, pending, ..Panel::default() };
        if wanted_rows > 0 && !joined.instants_us.is_empty() {
            let (mut before, mut lookback) =
                read_lookback(snapshot.as_mut(), &config.series, start_us, wanted_rows)?;
            lookback.columns.resize_with(inputs, || vec![f64::NAN; lookback.instants_us.len()]);
            if let Some(&first_us) = lookback.instants_us.first().filter(|_| keeps_rows) {
                for (at, series) in config.including_series().enumerate() {
                    let count = before[series].instants_us.len();
                    before.push(snapshot.rows_before(config.series.len() + at, start_us, count)?);
                }
                rows.iter_mut().zip(before).for_each(|(rows, before)| put_before(rows, before, first_us));
            }
            panel.take(lookback);
            panel.lookback_rows = panel.instants_us.len();
        }
        panel.take(joined);
        Ok(Self { panel, sides, rows })
    }

    fn into_panel(self, source: &dyn Source, config: &JobConfig, partition: &Partition) -> Panel {
        let join_loss = self.sides.and_then(|sides| sides.join_loss(source, config, partition));
        Panel { join_loss, ..self.panel }
    }
}

/// Puts the rows from `first_us` on that are before them before the rows of a series.
fn put_before(rows: &mut SeriesRows, before: SeriesRows, first_us: i64) {
    let first = before.instants_us.partition_point(|&us| us < first_us);
    rows.instants_us.splice(0..0, before.instants_us.into_iter().skip(first));
    rows.values.splice(0..0, before.values.into_iter().skip(first));
}

/// Finds the rows of the partition that are pending, which no side counts as its own.
fn find_pending(
    sides: Option<Sides>,
    snapshot: &mut dyn Snapshot,
    config: &JobConfig,
    span_us: Range<i64>,
) -> Result<(Option<Sides>, Option<Pending>), StoreError> {
    let Some(sides) = sides else { return Ok((None, None)) };
    let search = PendingSearch {
        series_us: &sides.instants_us,
        joined_last_us: sides.joined_us.last().copied(),
        span_us,
        pair_wait: config.run.pair_wait,
    };
    let (mut pending, pending_us) = search.find(snapshot)?.unzip();
    if let Some(pending) = &mut pending
        && sides.joined_us.is_empty()
    {
        // A derived series has no rows before its closes have enough.
        let mut lasts_us = Vec::new();
        for (at, series) in config.series.iter().enumerate() {
            let last_us = snapshot.last_us(at)?;
            lasts_us.extend((last_us.is_some() || series.derivation.is_none()).then_some(last_us));
        }
        let is_derived_late = lasts_us.len() < config.series.len();
        pending.is_current = (is_derived_late || pending.is_young()) && search.is_current(&lasts_us);
    }
    Ok((Some(Sides { pending_us: pending_us.unwrap_or_default(), ..sides }), pending))
}

/// The last `wanted_rows` joined rows before `start_us`, after the rows that were joined. A join can lose rows, so it asks for more
/// until it has enough or there are none left.
pub(crate) fn read_lookback(
    snapshot: &mut dyn Snapshot,
    series: &[Series],
    start_us: i64,
    wanted_rows: usize,
) -> Result<(Vec<SeriesRows>, Joined), StoreError> {
    let mut asked_rows = wanted_rows;
    loop {
        let before: Vec<SeriesRows> = (0..series.len())
            .map(|at| snapshot.rows_before(at, start_us, asked_rows))
            .collect::<Result<_, _>>()?;
        let exhausted = nothing_to_add(&before, asked_rows);
        let joined = join(before.clone());
        if joined.instants_us.len() >= wanted_rows || exhausted {
            return Ok((before, joined.keep_last(wanted_rows)));
        }
        asked_rows *= 2;
    }
}

/// Whether asking for more than `asked_rows` could not add to the join: a series that gave all it has starts where
/// every other one was already read.
fn nothing_to_add(before: &[SeriesRows], asked_rows: usize) -> bool {
    let first = |rows: &SeriesRows| rows.instants_us.first().copied().unwrap_or(i64::MAX);
    let gave_all = |rows: &SeriesRows| rows.instants_us.len() < asked_rows;
    let reached = |instant_us: i64| before.iter().all(|rows| gave_all(rows) || first(rows) <= instant_us);
    before.iter().any(|rows| gave_all(rows) && reached(first(rows)))
}

/// The instants of each series, where they are not the same.
fn differing_instants(series: &[SeriesRows]) -> Option<Vec<Vec<i64>>> {
    let differs = series.iter().any(|rows| rows.instants_us != series[0].instants_us);
    differs.then(|| series.iter().map(|rows| rows.instants_us.clone()).collect())
}

/// Rows that every series has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Joined {
    pub(crate) instants_us: Vec<i64>,
    pub(crate) columns: Vec<Vec<f64>>,
}

impl Joined {
    /// Adds included columns: their values at the instants of the rows. Their tables have all of these, being those of the series.
    fn include(&mut self, partition: &Partition, included: Vec<SeriesRows>) -> Result<(), StoreError> {
        for rows in included {
            let is_same = rows.instants_us == self.instants_us;
            let column = if is_same { Some(rows.values) } else { values_at(&rows, &self.instants_us) };
            self.columns.push(column.ok_or_else(|| {
                StoreError::new(
                    Fault::Transient,
                    format!("{partition}: the source changed while it was read"),
                )
            })?);
        }
        Ok(())
    }

    pub(crate) fn keep_last(mut self, rows: usize) -> Self {
        let excess = self.instants_us.len().saturating_sub(rows);
        self.instants_us.drain(..excess);
        for column in &mut self.columns {
            column.drain(..excess);
        }
        self
    }
}

/// The values at rising instants; none where one is missing.
fn values_at(rows: &SeriesRows, instants_us: &[i64]) -> Option<Vec<f64>> {
    let mut known = rows.instants_us.iter().zip(&rows.values);
    let mut value = |&wanted_us: &i64| {
        let (_, &value) = known.find(|&(&us, _)| us >= wanted_us).filter(|&(&us, _)| us == wanted_us)?;
        Some(value)
    };
    instants_us.iter().map(&mut value).collect()
}

/// The rows of several series that all of them have.
pub(crate) fn join(series: Vec<SeriesRows>) -> Joined {
    let Some((first, others)) = series.split_first() else { return Joined::default() };
    if others.iter().all(|other| other.instants_us == first.instants_us) {
        let mut joined = Joined::default();
        for rows in series {
            joined.instants_us = rows.instants_us;
            joined.columns.push(rows.values);
        }
        return joined;
    }
    let mut joined = Joined { instants_us: Vec::new(), columns: vec![Vec::new(); series.len()] };
    let mut at = vec![0; series.len()];
    for &instant_us in &series[0].instants_us {
        for (rows, at) in series.iter().zip(&mut at) {
            while rows.instants_us.get(*at).is_some_and(|&other| other < instant_us) {
                *at += 1;
            }
        }
        if series.iter().zip(&at).all(|(rows, &at)| rows.instants_us.get(at) == Some(&instant_us)) {
            joined.instants_us.push(instant_us);
            for ((column, rows), &at) in joined.columns.iter_mut().zip(&series).zip(&at) {
                column.push(rows.values[at]);
            }
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(instants_us: &[i64]) -> SeriesRows {
        SeriesRows {
            instants_us: instants_us.to_vec(),
            values: instants_us.iter().map(|&us| us as f64).collect(),
        }
    }

    #[test]
    fn the_join_keeps_what_every_series_has() {
        let joined = join(vec![rows(&[1, 2, 3, 5, 8]), rows(&[2, 4, 5, 8, 9])]);
        assert_eq!(joined.instants_us, [2, 5, 8]);
        assert_eq!(joined.columns, [[2.0, 5.0, 8.0], [2.0, 5.0, 8.0]]);
        assert!(join(vec![rows(&[1, 2]), rows(&[])]).instants_us.is_empty());
    }

    #[test]
    fn an_included_column_has_the_values_of_the_joined_instants() {
        let with = |instants_us: &[i64]| {
            let mut joined = join(vec![rows(&[1, 2, 3, 5, 8]), rows(&[2, 5, 8])]);
            let partition = Partition::new("eurusd", "2017-01".parse().unwrap());
            joined.include(&partition, vec![rows(instants_us)]).map(|()| joined.columns)
        };
        let expected = vec![vec![2.0, 5.0, 8.0]; 3];
        assert_eq!(with(&[0, 1, 2, 3, 5, 8, 9]).unwrap(), expected);
        assert_eq!(with(&[2, 5, 8]).unwrap(), expected);
        assert_eq!(with(&[2, 5]).unwrap_err().fault(), Fault::Transient);
    }

    struct Losing;

    impl Snapshot for Losing {
        fn rows(&mut self, _: usize, _: Range<i64>) -> Result<SeriesRows, StoreError> {
            Ok(SeriesRows::default())
        }

        /// Series 0 has every instant, series 1 every tenth.
        fn rows_before(
            &mut self,
            series: usize,
            instant_us: i64,
            count: usize,
        ) -> Result<SeriesRows, StoreError> {
            let step = if series == 0 { 1 } else { 10 };
            let mut instants: Vec<i64> =
                (0..instant_us).rev().filter(|us| us % step == 0).take(count).collect();
            instants.reverse();
            Ok(self::rows(&instants))
        }
    }

    #[test]
    fn the_lookback_is_counted_in_joined_rows() {
        let config = JobConfig::parse(crate::config::EXAMPLE, []).unwrap();
        let (_, joined) = read_lookback(&mut Losing, &config.series, 1000, 7).unwrap();
        assert_eq!(joined.instants_us, [930, 940, 950, 960, 970, 980, 990]);
        let (_, all) = read_lookback(&mut Losing, &config.series, 50, 7).unwrap();
        assert_eq!(all.instants_us, [0, 10, 20, 30, 40]);
    }
}
