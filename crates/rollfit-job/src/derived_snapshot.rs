//! [`DerivedSnapshot`]: one view of several series of which some follow from closes.

use std::ops::Range;

use crate::config::{Derivation, Formula};
use crate::import::series::{backward_returns, rate_index};
use crate::store::{SeriesKind, SeriesOfKey, SeriesRows, Snapshot, StoreError};

/// A view of several series; those that are derived are computed from closes of the view beneath.
pub(crate) struct DerivedSnapshot {
    stored: Box<dyn Snapshot>,
    series: Vec<SeriesPlace>,
    /// The closes read last of a column that several series are derived from.
    recent: Option<RecentCloses>,
}

/// Where a series comes from.
#[derive(Clone, Copy)]
struct SeriesPlace {
    /// Its number, or that of its closes, in the view beneath.
    at: usize,
    /// What is computed, relative to which base; none where the values are stored.
    derived: Option<(Formula, f64)>,
    /// Whether another series is derived from the same closes.
    is_shared: bool,
}

impl SeriesPlace {
    /// The closes before a row that its value needs.
    fn lookback_rows(self) -> usize {
        self.derived.map_or(0, |(formula, _)| formula.lookback_rows())
    }
}

struct RecentCloses {
    at: usize,
    span_us: Range<i64>,
    closes: SeriesRows,
}

impl DerivedSnapshot {
    /// A view of `series`; `places` has the number of each, or of its closes, in `stored`.
    ///
    /// # Errors
    /// When a base is not known, or another than the configured one is stored.
    pub(crate) fn new(
        mut stored: Box<dyn Snapshot>,
        series: &[SeriesOfKey<'_>],
        places: &[usize],
    ) -> Result<Self, StoreError> {
        let mut bases: Vec<Option<Option<f64>>> = vec![None; series.len()];
        let mut of_series = Vec::new();
        for (series, &at) in series.iter().zip(places) {
            let derived = match series.kind {
                SeriesKind::Derived(derivation) => {
                    let base = match bases[at] {
                        Some(base) => base,
                        None => *bases[at].insert(stored.base(at)?),
                    };
                    Some((derivation.formula, base_of(series, derivation, base)?))
                }
                SeriesKind::Stored | SeriesKind::Closes { .. } | SeriesKind::Included => None,
            };
            let is_shared = places.iter().filter(|&&other| other == at).count() > 1;
            of_series.push(SeriesPlace { at, derived, is_shared });
        }
        Ok(Self { stored, series: of_series, recent: None })
    }

    /// The closes within a span, from memory where another series was derived from them just before.
    fn closes(&mut self, at: usize, is_shared: bool, span_us: Range<i64>) -> Result<SeriesRows, StoreError> {
        let recent = self.recent.take();
        if let Some(recent) = recent.filter(|recent| recent.at == at && recent.span_us == span_us) {
            return Ok(recent.closes);
        }
        let closes = self.stored.rows(at, span_us.clone())?;
        if is_shared {
            self.recent = Some(RecentCloses { at, span_us, closes: closes.clone() });
        }
        Ok(closes)
    }
}

/// The base of a derived series, of which `stored` was stored with its closes.
pub(crate) fn base_of(
    series: &SeriesOfKey<'_>,
    derivation: Derivation,
    stored: Option<f64>,
) -> Result<f64, StoreError> {
    let (name, key, table) = (series.name, series.key, &series.table);
    let wrong = |what: String| Err(StoreError::permanent(format!("{table}: {what}")));
    match (derivation.base, stored) {
        (_, Some(stored)) if !is_close(stored) => wrong(format!(
            "the base that is stored for {key} is {stored}, which no import writes; import its bars again with --rebase"
        )),
        (Some(configured), Some(stored)) if configured != stored => wrong(format!(
            "base = {configured} in [series.{name}], but an import stored the base {stored} for {key}; remove `base` to use the \
             stored one, or import the bars again with --rebase and the --base-date of the other"
        )),
        (Some(base), _) | (None, Some(base)) => Ok(base),
        (None, None) => wrong(format!(
            "series `{name}` is derived, but no import has stored a base for {key}; set `base` in [series.{name}], or import \
             the bars of {key}"
        )),
    }
}

/// Whether it can be a close: others have no rate index.
fn is_close(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

/// The rows that follow from closes: none for the first ones, as many as the formula looks back.
pub(crate) fn derive(closes: SeriesRows, formula: Formula, base: f64) -> SeriesRows {
    let index = |&close: &f64| if is_close(close) { rate_index(close, base) } else { f64::NAN };
    let rate_index: Vec<f64> = closes.values.iter().map(index).collect();
    let mut instants_us = closes.instants_us;
    match formula {
        Formula::RateIndex => SeriesRows { instants_us, values: rate_index },
        Formula::BackwardReturn(rows) => {
            instants_us.drain(..rows.min(instants_us.len()));
            SeriesRows { instants_us, values: backward_returns(&rate_index, rows) }
        }
    }
}

/// How many rows within `span_us` a series has that needs `lookback_rows` closes before each.
pub(crate) fn derived_rows(
    closes: &mut dyn Snapshot,
    at: usize,
    span_us: &Range<i64>,
    lookback_rows: usize,
) -> Result<u64, StoreError> {
    let rows = closes.count(at, span_us.clone())?;
    if rows == 0 || lookback_rows == 0 {
        return Ok(rows);
    }
    let before = closes.rows_before(at, span_us.start, lookback_rows)?.instants_us.len();
    Ok(rows.saturating_sub((lookback_rows - before) as u64))
}

impl Snapshot for DerivedSnapshot {
    fn rows(&mut self, series: usize, span_us: Range<i64>) -> Result<SeriesRows, StoreError> {
        let SeriesPlace { at, derived, is_shared } = self.series[series];
        let Some((formula, base)) = derived else { return self.stored.rows(at, span_us) };
        let start_us = span_us.start;
        let mut closes = self.closes(at, is_shared, span_us)?;
        if formula.lookback_rows() > 0 && !closes.instants_us.is_empty() {
            let mut before = self.stored.rows_before(at, start_us, formula.lookback_rows())?;
            before.append(closes);
            closes = before;
        }
        Ok(derive(closes, formula, base))
    }

    fn rows_before(
        &mut self,
        series: usize,
        instant_us: i64,
        count: usize,
    ) -> Result<SeriesRows, StoreError> {
        let place = self.series[series];
        let asked_rows = count.saturating_add(place.lookback_rows());
        let rows = self.stored.rows_before(place.at, instant_us, asked_rows)?;
        Ok(match place.derived {
            Some((formula, base)) => derive(rows, formula, base),
            None => rows,
        })
    }

    fn base(&mut self, series: usize) -> Result<Option<f64>, StoreError> {
        let SeriesPlace { at, derived, .. } = self.series[series];
        derived.map_or_else(|| self.stored.base(at), |(_, base)| Ok(Some(base)))
    }

    fn count(&mut self, series: usize, span_us: Range<i64>) -> Result<u64, StoreError> {
        let place = self.series[series];
        derived_rows(self.stored.as_mut(), place.at, &span_us, place.lookback_rows())
    }

    fn last_us(&mut self, series: usize) -> Result<Option<i64>, StoreError> {
        let place = self.series[series];
        let last_us = self.stored.last_us(place.at)?;
        let (Some(instant_us), 1..) = (last_us, place.lookback_rows()) else { return Ok(last_us) };
        let before = self.stored.rows_before(place.at, instant_us, place.lookback_rows())?;
        Ok(last_us.filter(|_| before.instants_us.len() == place.lookback_rows()))
    }

    fn has_writers(&mut self) -> Result<bool, StoreError> {
        self.stored.has_writers()
    }
}
