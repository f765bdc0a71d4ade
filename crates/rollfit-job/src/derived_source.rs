//! [`DerivedSource`]: series that follow from closes, for whoever asks a source for series.
//!
//! Invariants: its series have the bits of those that an import makes of the same closes. A key's first rows, before which a backward
//! return has too few, are none of the series, whatever period or span is asked for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::config::{Derivation, Formula, JobConfig, Series};
use crate::derived_snapshot::{DerivedSnapshot, base_of, derive, derived_rows};
use crate::month::Month;
use crate::period::Period;
use crate::store::{
    LatestQuery, LatestRows, SeriesHead, SeriesKind, SeriesOfKey, SeriesRows, Snapshot, Source, StoreError,
    starts_in,
};

/// A source some of whose series are derived from closes of another source.
pub struct DerivedSource {
    closes: Arc<dyn Source>,
}

impl DerivedSource {
    /// A source that derives series from those of `closes`.
    pub fn new(closes: Arc<dyn Source>) -> Self {
        Self { closes }
    }

    /// `source`, or a derived source where one of `series` is derived.
    pub fn wrap(source: Arc<dyn Source>, series: &[Series]) -> Arc<dyn Source> {
        if series.iter().any(|series| series.derivation.is_some()) {
            Arc::new(Self::new(source))
        } else {
            source
        }
    }

    /// Checks that the bases of a key's derived series are known, in a snapshot of `period`. What else is wrong with the
    /// source is not looked for.
    ///
    /// # Errors
    /// As [`Source::snapshot`] of these series.
    pub fn check_bases(&self, config: &JobConfig, key: &str, period: Period) -> Result<(), StoreError> {
        let mut series = config.series_of_key(key);
        series.retain(|series| matches!(series.kind, SeriesKind::Derived(_)));
        let (closes, places) = distinct(&series);
        match self.closes.snapshot(&closes, period, 0) {
            Ok(snapshot) => DerivedSnapshot::new(snapshot, &series, &places).map(drop),
            Err(_) => Ok(()),
        }
    }

    /// Whether a series has rows before the end of a month.
    fn has_rows_through(
        &self,
        series: &SeriesOfKey<'_>,
        month: Month,
        lookback_rows: usize,
    ) -> Result<bool, StoreError> {
        let closes = [stored_series(series)];
        let mut snapshot = self.closes.snapshot(&closes, month.into(), lookback_rows + 1)?;
        let rows = snapshot.rows_before(0, month.span_us().end, lookback_rows + 1)?;
        Ok(rows.instants_us.len() > lookback_rows)
    }

    /// The first month, from `first` to `last`, by whose end a series has rows; none where there is none.
    fn first_month(
        &self,
        series: &SeriesOfKey<'_>,
        (first, last): (Month, Month),
        lookback_rows: usize,
    ) -> Result<Option<Month>, StoreError> {
        let has_rows = |month| self.has_rows_through(series, month, lookback_rows);
        if has_rows(first)? {
            return Ok(Some(first));
        }
        if first == last || !has_rows(last)? {
            return Ok(None);
        }
        // By the end of the month `none` there are none, by the end of `some` there are.
        let months: Vec<Month> = first.through(last).collect();
        let (mut none, mut some) = (0, months.len() - 1);
        while some - none > 1 {
            let middle = none + (some - none) / 2;
            let bound = if has_rows(months[middle])? { &mut some } else { &mut none };
            *bound = middle;
        }
        Ok(Some(months[some]))
    }
}

/// A series as the source beneath is asked for it.
fn stored_series<'a>(series: &SeriesOfKey<'a>) -> SeriesOfKey<'a> {
    let kind = match series.kind {
        SeriesKind::Derived(Derivation { formula, .. }) => {
            SeriesKind::Closes { lookback_rows: formula.lookback_rows() }
        }
        kind => kind,
    };
    SeriesOfKey { kind, ..series.clone() }
}

/// The series to ask the source beneath for, those of the same closes once, and which of them each of `series` is of.
fn distinct<'a>(series: &[SeriesOfKey<'a>]) -> (Vec<SeriesOfKey<'a>>, Vec<usize>) {
    let mut distinct: Vec<SeriesOfKey<'a>> = Vec::new();
    let mut closes = HashMap::new();
    let mut places = Vec::new();
    for wanted in series.iter().map(stored_series) {
        let SeriesKind::Closes { lookback_rows } = wanted.kind else {
            places.push(distinct.len());
            distinct.push(wanted);
            continue;
        };
        // Heads are asked of all keys at once: in a table of several keys each has closes of its own.
        let of_key = wanted.key_column.map(|column| (column, wanted.key));
        let column = (wanted.table.clone(), of_key, wanted.time, wanted.value);
        let at = *closes.entry(column).or_insert(distinct.len());
        places.push(at);
        match distinct.get_mut(at) {
            Some(known) => known.look_back(lookback_rows),
            None => distinct.push(wanted),
        }
    }
    (distinct, places)
}

impl SeriesOfKey<'_> {
    /// Makes closes look back as far as others of the same column, too.
    fn look_back(&mut self, rows: usize) {
        if let SeriesKind::Closes { lookback_rows } = &mut self.kind {
            *lookback_rows = rows.max(*lookback_rows);
        }
    }
}

/// The rows before a row that its value needs.
fn lookback_rows_of(series: &SeriesOfKey<'_>) -> usize {
    match series.kind {
        SeriesKind::Derived(Derivation { formula, .. }) => formula.lookback_rows(),
        SeriesKind::Stored | SeriesKind::Closes { .. } | SeriesKind::Included => 0,
    }
}

/// The rows from an instant on, and as many before as a formula looks back.
fn reaching_back(mut closes: SeriesRows, from_us: i64, formula: Formula) -> SeriesRows {
    let before = closes.instants_us.partition_point(|&instant_us| instant_us < from_us);
    let excess = before.saturating_sub(formula.lookback_rows());
    closes.instants_us.drain(..excess);
    closes.values.drain(..excess);
    closes
}

impl Source for DerivedSource {
    fn keys_in(&self, series: &Series) -> Result<BTreeSet<String>, StoreError> {
        self.closes.keys_in(series)
    }

    fn tables(&self) -> Result<BTreeSet<String>, StoreError> {
        self.closes.tables()
    }

    fn check_keys(&self, keys: &[String]) -> Result<(), StoreError> {
        self.closes.check_keys(keys)
    }

    /// Where the rows of its first month cannot be read, it is taken to have some: its partition fails then.
    fn months(&self, series: &SeriesOfKey<'_>) -> Result<Option<(Month, Month)>, StoreError> {
        let months = self.closes.months(&stored_series(series))?;
        let lookback_rows = lookback_rows_of(series);
        let Some((first, last)) = months.filter(|_| lookback_rows > 0) else { return Ok(months) };
        if self.closes.estimate_rows(&stored_series(series), first.into())? > lookback_rows as u64 {
            return Ok(months);
        }
        match self.first_month(series, (first, last), lookback_rows) {
            Ok(first) => Ok(first.map(|first| (first, last))),
            Err(error) if error.is_unconnected() => Err(error),
            Err(_) => Ok(months),
        }
    }

    /// Closes are asked once for all series that are derived from them.
    fn start_in(&self, series: &[SeriesOfKey<'_>], period: Period) -> Vec<bool> {
        let (closes, places) = distinct(series);
        let closes_start = self.closes.start_in(&closes, period);
        // A series does not start before its closes.
        let starts = |(series, at): (&SeriesOfKey<'_>, usize)| {
            closes_start[at]
                || lookback_rows_of(series) > 0
                    && self.months(series).is_ok_and(|months| starts_in(months, period))
        };
        series.iter().zip(places).map(starts).collect()
    }

    /// Exact where there are few.
    fn estimate_rows(&self, series: &SeriesOfKey<'_>, period: Period) -> Result<u64, StoreError> {
        let rows = self.closes.estimate_rows(&stored_series(series), period)?;
        if rows == 0 || rows > lookback_rows_of(series) as u64 {
            return Ok(rows);
        }
        let lookback_rows = lookback_rows_of(series);
        let closes = [stored_series(series)];
        let mut snapshot = self.closes.snapshot(&closes, period, lookback_rows)?;
        derived_rows(snapshot.as_mut(), 0, &period.span_us(), lookback_rows)
    }

    fn gaps(&self, series: &SeriesOfKey<'_>, first: Month, last: Month) -> Result<Vec<Month>, StoreError> {
        let mut gaps = self.closes.gaps(&stored_series(series), first, last)?;
        if lookback_rows_of(series) == 0 {
            return Ok(gaps);
        }
        let first_with_rows = match self.months(series) {
            Ok(months) => months.map(|(first, _)| first),
            Err(error) if error.is_unconnected() => return Err(error),
            Err(_) => return Ok(gaps),
        };
        let is_early = |month: &Month| first_with_rows.is_none_or(|with_rows| *month < with_rows);
        gaps.retain(|month| !is_early(month));
        Ok(first.through(last).take_while(is_early).chain(gaps).collect())
    }

    fn snapshot(
        &self,
        series: &[SeriesOfKey<'_>],
        period: Period,
        lookback_rows: usize,
    ) -> Result<Box<dyn Snapshot>, StoreError> {
        let further_rows = series.iter().map(lookback_rows_of).max().unwrap_or(0);
        let (closes, places) = distinct(series);
        let snapshot = self.closes.snapshot(&closes, period, lookback_rows + further_rows)?;
        Ok(Box::new(DerivedSnapshot::new(snapshot, series, &places)?))
    }

    /// The heads of the closes: they change with the series.
    fn heads(&self, series: &[SeriesOfKey<'_>]) -> Result<Vec<Result<SeriesHead, StoreError>>, StoreError> {
        let (closes, places) = distinct(series);
        let heads = self.closes.heads(&closes)?;
        let head = |at: usize| match &heads[at] {
            Ok(head) => Ok(head.clone()),
            Err(error) => Err(StoreError::new(error.fault(), error.to_string())),
        };
        Ok(places.into_iter().map(head).collect())
    }

    fn latest(&self, series: &[SeriesOfKey<'_>], query: LatestQuery) -> Result<LatestRows, StoreError> {
        let (closes, places) = distinct(series);
        let latest = self.closes.latest(&closes, query)?;
        let mut derived =
            LatestRows { is_cut: latest.is_cut, has_writers: latest.has_writers, ..LatestRows::default() };
        derived.counts = latest.counts.as_ref().map(|_| Vec::new());
        for (series, at) in series.iter().zip(places) {
            let before = latest.closes.get(at).cloned().unwrap_or_default();
            if let (Some(counts), Some(of_closes)) = (&mut derived.counts, &latest.counts) {
                let missing_rows =
                    (lookback_rows_of(series) as u64).saturating_sub(before.rows_before_counted);
                counts.push(of_closes[at].saturating_sub(missing_rows));
            }
            let rows = latest.rows[at].clone();
            derived.rows.push(match series.kind {
                SeriesKind::Derived(derivation) => {
                    let base = base_of(series, derivation, before.base)?;
                    derive(reaching_back(rows, query.from_us, derivation.formula), derivation.formula, base)
                }
                SeriesKind::Stored | SeriesKind::Closes { .. } | SeriesKind::Included => rows,
            });
        }
        Ok(derived)
    }

    fn check_followable(&self, series: &[SeriesOfKey<'_>]) -> Result<(), StoreError> {
        self.closes.check_followable(&distinct(series).0)
    }

    fn holder(&self, series: &[SeriesOfKey<'_>]) -> Result<Option<String>, StoreError> {
        self.closes.holder(&distinct(series).0)
    }

    fn check_name(&self, series: &SeriesOfKey<'_>) -> Result<(), StoreError> {
        self.closes.check_name(&stored_series(series))
    }

    fn kind(&self) -> &'static str {
        self.closes.kind()
    }

    fn place(&self) -> String {
        self.closes.place()
    }
}
