//! [`Explanation`]: why a feature has the value that is stored, or none: what it was computed from, what is computed now, and what is promised
//! of it.

use rollfit::bounds::{Bounds, ErrorRange};
use rollfit::{Metric, is_usable};

use crate::config::{JobConfig, LabelledWindow};
use crate::live_tail::LiveTail;
use crate::panel::Panel;
use crate::partition::Partition;
use crate::store::{Sink, Source, StoreError};
use crate::stored_features::{StoredFeatures, StoredState};

/// How often a partition is looked at that somebody keeps changing.
const LOOKS: usize = 5;

/// One feature of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureOfJob {
    /// The column.
    pub column: String,
    /// Its number among those of the job.
    pub number: usize,
    /// The number of its series.
    pub series: usize,
    /// Its window.
    pub window: LabelledWindow,
    /// Its metric.
    pub metric: Metric,
}

impl FeatureOfJob {
    /// The feature with this number; none where the job has fewer, and for an included column, which nothing is computed of.
    pub fn new(config: &JobConfig, number: usize) -> Option<Self> {
        let mut first = 0;
        for (at, series) in config.series.iter().enumerate() {
            let Some(column) = series.columns.get(number - first) else {
                first += series.columns.len();
                continue;
            };
            let metrics = series.metrics.len();
            return Some(Self {
                column: column.clone(),
                number,
                series: at,
                window: series.windows.get((number - first) / metrics)?.clone(),
                metric: series.metrics[(number - first) % metrics],
            });
        }
        None
    }
}

/// Why a feature has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoValueCause {
    /// The window is not full: fewer rows than it needs may be used.
    WarmUp {
        /// The rows that there are.
        rows: usize,
    },
    /// Rows of the window have no usable value.
    Input {
        /// Their places in the window, from 0.
        rows: Vec<usize>,
    },
    /// The formula's value is not finite.
    Undefined,
    /// The column of the store cannot hold the value.
    Column,
}

/// What is stored of a feature in one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StoredValue {
    /// Nothing that could be read: the state of the partition says why.
    Unreadable,
    /// The partition has features, and no such row.
    NoRow,
    /// The value; NaN for NULL.
    Value(f64),
}

/// One feature of one row, explained.
pub struct Explanation {
    /// The feature.
    pub feature: FeatureOfJob,
    /// Microseconds since 1970, UTC.
    pub instant_us: i64,
    /// What is stored of the partition.
    pub stored: StoredState,
    /// What is stored of the feature.
    pub stored_value: StoredValue,
    /// What the source gives now, as the store's column holds it; NaN for no value, none where the source has no such row.
    pub computed: Option<f64>,
    /// The instants of the window's rows, or of those before the row that there are.
    pub instants_us: Vec<i64>,
    /// The values of the series at these instants; NaN where there is none.
    pub values: Vec<f64>,
    /// Why nothing is computed.
    pub no_value: Option<NoValueCause>,
    /// The exact value, with what is promised around it; none where there is no value or nothing is promised.
    pub promised: Option<ErrorRange>,
    /// The error of what is computed in units of its bound, where there is one.
    pub error_in_bounds: Option<f64>,
}

/// What there is at an instant.
pub enum Explained {
    /// A row.
    Row(Box<Explanation>),
    /// No row, neither in the source nor in the store; the instants of the rows next to it.
    NoRow {
        /// The last one before.
        before_us: Option<i64>,
        /// The first one after, in this period or the next.
        after_us: Option<i64>,
    },
}

/// Explains a feature of the row at an instant, which lies in `partition`.
///
/// # Errors
/// Those of source and sink; [`StoreError::is_damage`] where the stored rows are not those that were written.
pub fn explain(
    config: &JobConfig,
    (source, sink): (&dyn Source, &dyn Sink),
    partition: &Partition,
    instant_us: i64,
    feature: FeatureOfJob,
) -> Result<Explained, StoreError> {
    for _ in 0..LOOKS {
        // Before the source is read, so that no receipt is of a newer one.
        let found = sink.found(partition)?;
        let panel = Panel::read(source, config, partition)?;
        let stored = StoredState::from_panel(config, Some(&panel), partition, found);
        let columns = [feature.number];
        let features = match &stored.receipt {
            Some(receipt) if is_readable(config, receipt) => {
                match StoredFeatures::read(config, sink, partition, receipt, &columns)? {
                    Some(features) => Some(features),
                    None => continue,
                }
            }
            _ => None,
        };
        let at = panel.instants_us.binary_search(&instant_us).ok().filter(|&at| at >= panel.lookback_rows);
        let stored_value = stored_value(features.as_ref(), instant_us);
        if at.is_none() && !matches!(stored_value, StoredValue::Value(_)) {
            return next_to(config, source, &panel, partition, instant_us);
        }
        let mut explanation = Explanation {
            feature,
            instant_us,
            stored,
            stored_value,
            computed: None,
            instants_us: Vec::new(),
            values: Vec::new(),
            no_value: None,
            promised: None,
            error_in_bounds: None,
        };
        if let Some(at) = at {
            explanation.compute(&panel, at, features.as_ref());
        }
        return Ok(Explained::Row(Box::new(explanation)));
    }
    Err(StoreError::permanent(format!("{partition}: another runner keeps changing it; try again later")))
}

/// Whether the rows of a receipt are features of the job.
fn is_readable(config: &JobConfig, receipt: &crate::receipt::Receipt) -> bool {
    receipt.definition.difference(&crate::receipt::Definition::from_config(config)).is_none()
}

fn stored_value(features: Option<&StoredFeatures>, instant_us: i64) -> StoredValue {
    let Some(features) = features else { return StoredValue::Unreadable };
    let at = features.instants_us.binary_search(&instant_us);
    let value = at.ok().and_then(|at| features.columns.first()?.get(at));
    value.map_or(StoredValue::NoRow, |&value| StoredValue::Value(value))
}

/// The rows next to an instant that has none.
fn next_to(
    config: &JobConfig,
    source: &dyn Source,
    panel: &Panel,
    partition: &Partition,
    instant_us: i64,
) -> Result<Explained, StoreError> {
    let before = LiveTail::read(source, config, &partition.key, Some(instant_us))?;
    let later = panel.instants_us.iter().copied().find(|&us| us > instant_us);
    let after_us = match (later, partition.period.next()) {
        (None, Some(next)) => {
            let panel = Panel::read(source, config, &Partition::new(partition.key.clone(), next))?;
            panel.instants_us.get(panel.lookback_rows).copied()
        }
        (later, _) => later,
    };
    Ok(Explained::NoRow { before_us: before.instants_us.last().copied(), after_us })
}

impl Explanation {
    /// Computes the feature of a row of the panel, from the values of its window alone.
    fn compute(&mut self, panel: &Panel, at: usize, stored: Option<&StoredFeatures>) {
        let window = self.feature.window.window;
        let first = (at + 1).saturating_sub(window.rows());
        let values = &panel.columns[self.feature.series][first..=at];
        self.instants_us = panel.instants_us[first..=at].to_vec();
        self.values = values.to_vec();
        if values.len() < window.rows() {
            self.computed = Some(f64::NAN);
            self.no_value = Some(NoValueCause::WarmUp { rows: values.len() });
            return;
        }
        let unusable: Vec<usize> = (0..values.len()).filter(|&row| !is_usable(values[row])).collect();
        if !unusable.is_empty() {
            self.computed = Some(f64::NAN);
            self.no_value = Some(NoValueCause::Input { rows: unusable });
            return;
        }
        let fit = rollfit::fit(values).ok().flatten();
        let value = fit.and_then(|fit| self.feature.metric.value(&fit));
        self.bound(values, value);
        let mut held = [value.unwrap_or(f64::NAN)];
        if let Some(rounding) = stored.and_then(|stored| stored.rounding.as_ref()) {
            rounding.round(self.feature.number, &mut held);
        }
        self.computed = Some(held[0]);
        self.no_value = match value {
            None => Some(NoValueCause::Undefined),
            Some(_) if held[0].is_nan() => Some(NoValueCause::Column),
            Some(_) => None,
        };
    }

    fn bound(&mut self, values: &[f64], value: Option<f64>) {
        let Ok(bounds) = Bounds::from_values(values) else { return };
        self.promised = bounds.range(self.feature.metric);
        self.error_in_bounds = value.and_then(|value| bounds.error(self.feature.metric, value).units());
    }

    /// Whether the stored bits are those that are computed now; none where one of the two is not there.
    pub fn is_same_bits(&self) -> Option<bool> {
        let (StoredValue::Value(stored), Some(computed)) = (self.stored_value, self.computed) else {
            return None;
        };
        Some(stored.to_bits() == computed.to_bits() || stored.is_nan() && computed.is_nan())
    }
}
