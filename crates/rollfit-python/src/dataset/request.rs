//! [`ReadRequest`]: which features are asked for, and what may become of partitions that are not as they should be.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rollfit_cli::OpenStores;
use rollfit_job::config::Keys;
use rollfit_job::keys::FoundKeys;
use rollfit_job::month::display_instant;
use rollfit_job::partition::Partition;
use rollfit_job::patience::patiently;
use rollfit_job::plan::{PlanError, partitions};
use rollfit_job::selection::Selection;
use rollfit_job::selector::Selector;

use super::batches::KEY_COLUMN;
use super::failure::ReadFailure;
use super::instant::instant_us;
use super::selection::{names, select};
use crate::interruptible::interruptible;

/// The arguments of a reading, as Python has them.
pub(super) struct ReadArguments<'a, 'py> {
    pub(super) keys: Option<&'a Bound<'py, PyAny>>,
    pub(super) start: Option<&'a Bound<'py, PyAny>>,
    pub(super) end: Option<&'a Bound<'py, PyAny>>,
    pub(super) columns: Option<&'a Bound<'py, PyAny>>,
    pub(super) missing: &'a str,
    pub(super) stale: &'a str,
}

/// Features that are asked for.
pub(super) struct ReadRequest {
    /// The partitions that the span touches, by key and month.
    pub(super) partitions: Vec<Partition>,
    pub(super) span_us: Range<i64>,
    /// The features by their numbers among those of the job, and their names.
    pub(super) columns: Vec<usize>,
    pub(super) names: Vec<String>,
    /// Whether partitions without features are passed over.
    pub(super) skips_missing: bool,
    /// Whether the source may have changed since features were stored.
    pub(super) allows_stale: bool,
    /// The configuration, for messages.
    pub(super) config: String,
}

impl ReadRequest {
    /// Checks the arguments, and finds the partitions.
    ///
    /// # Errors
    /// `ValueError` and `TypeError` for arguments without sense; those of the stores.
    pub(super) fn new(
        py: Python<'_>,
        stores: &Arc<OpenStores>,
        config: &str,
        arguments: &ReadArguments<'_, '_>,
    ) -> PyResult<Self> {
        let skips_missing = option("missing", arguments.missing, "skip")?;
        let allows_stale = option("stale", arguments.stale, "allow")?;
        let span_us = span_us(arguments.start, arguments.end)?;
        let known: Vec<String> = stores.config.feature_names().map(str::to_owned).collect();
        let columns = match arguments.columns {
            Some(columns) => select("column", &names("columns", columns)?, &known)?,
            None => (0..known.len()).collect(),
        };
        let selectors = match arguments.keys {
            Some(keys) => {
                let wanted = names("keys", keys)?;
                let of_job = stores.clone();
                let known = interruptible(py, move || known_keys(&of_job))??;
                let selected = select("key", &wanted, &known)?;
                selected.into_iter().map(|at| Selector::from_key(&known[at])).collect()
            }
            None => Selection::default(),
        };
        let of_job = stores.clone();
        let partitions = interruptible(py, move || planned(&of_job, &selectors))??;
        let partitions = within(partitions, &span_us)?;
        let names: Vec<String> = columns.iter().map(|&at| known[at].clone()).collect();
        if names.iter().any(|name| name == KEY_COLUMN) {
            return Err(PyValueError::new_err(format!(
                "the feature \"{KEY_COLUMN}\" has the name of the column of keys; leave it out of columns, or change `column` in the configuration"
            )));
        }
        let config = config.to_owned();
        Ok(Self { partitions, span_us, columns, names, skips_missing, allows_stale, config })
    }
}

/// Whether an option has its other value; `error` is the first.
fn option(name: &str, value: &str, other: &str) -> PyResult<bool> {
    match value {
        "error" => Ok(false),
        value if value == other => Ok(true),
        _ => Err(PyValueError::new_err(format!("{name}=\"{value}\": pass \"error\" or \"{other}\""))),
    }
}

/// The instants from `start` on, up to `end` and without it.
fn span_us(start: Option<&Bound<'_, PyAny>>, end: Option<&Bound<'_, PyAny>>) -> PyResult<Range<i64>> {
    let start_us = start.map(instant_us).transpose()?;
    let end_us = end.map(instant_us).transpose()?;
    if let (Some(start_us), Some(end_us)) = (start_us, end_us)
        && start_us >= end_us
    {
        return Err(PyValueError::new_err(format!(
            "start = {} is not before end = {}; end is the first instant that is not read: for January 2017 pass \
             start=\"2017-01\", end=\"2017-02\"",
            display_instant(start_us),
            display_instant(end_us)
        )));
    }
    Ok(start_us.unwrap_or(i64::MIN)..end_us.unwrap_or(i64::MAX))
}

/// The keys of the job, sorted: those of the configuration, or those that its stores have.
pub(super) fn known_keys(stores: &OpenStores) -> Result<Vec<String>, ReadFailure> {
    let keys: BTreeSet<String> = match &stores.config.keys {
        Keys::Listed(keys) => keys.iter().cloned().collect(),
        Keys::All => {
            let found = patiently(|| FoundKeys::list(stores.source.as_ref(), &stores.config.series))?;
            let stored = patiently(|| stores.sink.partitions())?;
            found.keys.into_iter().chain(stored.into_iter().map(|partition| partition.key)).collect()
        }
    };
    Ok(keys.into_iter().collect())
}

/// The partitions of the job, by key and month.
pub(super) fn planned(stores: &OpenStores, only: &Selection) -> Result<Vec<Partition>, ReadFailure> {
    let list = || partitions(&stores.config, stores.source.as_ref(), stores.sink.as_ref(), only);
    let mut planned = patiently(|| match list() {
        Err(PlanError::Store(error)) => Err(error),
        other => Ok(other),
    })??;
    planned.sort();
    Ok(planned)
}

fn within(mut partitions: Vec<Partition>, span_us: &Range<i64>) -> PyResult<Vec<Partition>> {
    let months = |partitions: &[Partition]| {
        let months = partitions.iter().map(|partition| partition.period);
        months.clone().min().zip(months.max())
    };
    let all = months(&partitions);
    partitions.retain(|partition| {
        let of_partition = partition.period.span_us();
        of_partition.start < span_us.end && span_us.start < of_partition.end
    });
    if partitions.is_empty() {
        let has = all.map(|(first, last)| format!("; it has {first} to {last}")).unwrap_or_default();
        return Err(PyValueError::new_err(format!("the job has no partition between start and end{has}")));
    }
    Ok(partitions)
}
