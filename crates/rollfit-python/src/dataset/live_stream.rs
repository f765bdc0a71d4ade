//! [`LiveStream`]: the features of a key's next rows, one row at a time, with the bits that a run would store.

use std::sync::{Arc, Mutex};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use rollfit::{Metric, Stream};
use rollfit_cli::OpenStores;
use rollfit_job::config::{Boundary, JobConfig, Series};
use rollfit_job::live_tail::LiveTail;
use rollfit_job::lock::lock;
use rollfit_job::month::display_instant;
use rollfit_job::partition::Partition;
use rollfit_job::patience::patiently;
use rollfit_job::period::{Period, PeriodUnit};
use rollfit_job::stored_features::StoredState;

use super::explanation::receipt_dict;
use super::failure::ReadFailure;
use super::instant::{datetime, instant_us};
use super::selection::unknown;
use crate::interruptible::interruptible;

/// A column's name and its value.
type NamedValue<'a> = (&'a str, f64);

/// The features of a key's next rows: push a row's values, get its features.
///
/// Made by `Dataset.live`. It has seen the last rows of the source that the job's windows reach, joined as a run joins them, so that
/// each push gives the bits that the next run stores for that row. (A store whose columns are narrower than doubles rounds them.)
#[pyclass(frozen, module = "rollfit")]
pub(crate) struct LiveStream {
    key: String,
    boundary: Boundary,
    by: PeriodUnit,
    series: Vec<String>,
    /// The names of the features of all series, in order.
    columns: Vec<Py<PyString>>,
    /// Those of included columns, which are given with a row.
    included: Vec<String>,
    seeded_rows: usize,
    seeded_from: Vec<StoredState>,
    state: Mutex<LiveState>,
}

/// What pushes change.
struct LiveState {
    series: Vec<LiveSeries>,
    last_us: Option<i64>,
    /// Whether a row came without its instant after the last one that had one.
    is_time_unknown: bool,
}

struct LiveSeries {
    stream: Stream,
    metrics: Vec<Metric>,
}

impl LiveSeries {
    /// Adds a value, and the features that follow.
    fn push(&mut self, value: f64, features: &mut Vec<Option<f64>>) {
        for fit in self.stream.push(value) {
            let value = |metric: &Metric| fit.as_ref().and_then(|fit| metric.value(fit));
            features.extend(self.metrics.iter().map(value));
        }
    }
}

impl LiveStream {
    /// Reads the last rows of a key before an instant, and what is stored of their partitions.
    pub(super) fn new(
        py: Python<'_>,
        stores: &Arc<OpenStores>,
        key: String,
        until_us: Option<i64>,
    ) -> PyResult<Self> {
        let config = &stores.config;
        let (stores, of_key) = (stores.clone(), key.clone());
        let (tail, seeded_from) = interruptible(py, move || {
            let read = || LiveTail::read(stores.source.as_ref(), &stores.config, &of_key, until_us);
            let tail = patiently(read)?;
            let seeded_from = stored_states(&stores, &of_key, &tail)?;
            Ok::<_, ReadFailure>((tail, seeded_from))
        })??;
        let series = config.series.iter().zip(&tail.columns).map(|(series, values)| LiveSeries {
            stream: Stream::seeded(&series.window_rows(), values),
            metrics: series.metrics.clone(),
        });
        let state = LiveState {
            series: series.collect(),
            last_us: tail.instants_us.last().copied(),
            is_time_unknown: false,
        };
        Ok(Self {
            key,
            boundary: config.boundary,
            by: config.by,
            series: series_names(config),
            columns: computed_names(config).map(|name| PyString::new(py, name).unbind()).collect(),
            included: config.series.iter().flat_map(|series| series.included_columns().to_vec()).collect(),
            seeded_rows: tail.instants_us.len(),
            seeded_from,
            state: Mutex::new(state),
        })
    }

    /// The value of each series, in order, and those of included columns that are given.
    fn values(
        &self,
        row: &Bound<'_, PyTuple>,
        named: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<(Vec<f64>, Vec<NamedValue<'_>>)> {
        let usage = || match self.series.as_slice() {
            [one] => PyTypeError::new_err(format!("push one value, or {one}=value")),
            several => PyTypeError::new_err(format!(
                "push one value of each series: {}",
                several.iter().map(|name| format!("{name}=value")).collect::<Vec<_>>().join(", ")
            )),
        };
        let named = named.filter(|named| !named.is_empty());
        let by_name = match (row.len(), named) {
            (0, Some(named)) => named.clone(),
            (1, None) => match row.get_item(0)?.cast_into::<PyDict>() {
                Ok(named) => named,
                Err(error) if self.series.len() == 1 => {
                    return Ok((vec![number(&self.series[0], &error.into_inner())?], Vec::new()));
                }
                Err(_) => return Err(usage()),
            },
            _ => return Err(usage()),
        };
        for name in by_name.keys() {
            let name: String = name.extract()?;
            if !self.series.contains(&name) && !self.included.contains(&name) {
                return Err(unknown("series", &name, &[&self.series[..], &self.included].concat()));
            }
        }
        let value = |name: &String| number(name, &by_name.get_item(name)?.ok_or_else(usage)?);
        let values = self.series.iter().map(value).collect::<PyResult<_>>()?;
        let mut included = Vec::new();
        for name in &self.included {
            if let Some(value) = by_name.get_item(name)? {
                included.push((name.as_str(), number(name, &value)?));
            }
        }
        Ok((values, included))
    }
}

/// A value of a series; None and NaN are no value.
fn number(series: &str, value: &Bound<'_, PyAny>) -> PyResult<f64> {
    if value.is_none() {
        return Ok(f64::NAN);
    }
    value
        .extract()
        .map_err(|error: PyErr| PyTypeError::new_err(format!("{series}: {}", error.value(value.py()))))
}

/// The names of the columns that are computed, in order.
fn computed_names(config: &JobConfig) -> impl Iterator<Item = &str> {
    let computed = |series: &'_ Series| series.columns.len() - series.included_columns().len();
    config.series.iter().flat_map(move |series| series.columns[..computed(series)].iter().map(String::as_str))
}

fn series_names(config: &JobConfig) -> Vec<String> {
    config.series.iter().map(|series| series.name.clone()).collect()
}

/// What is stored of the partitions that the rows lie in. The source is compared with the last one alone: the others may be many.
fn stored_states(stores: &OpenStores, key: &str, tail: &LiveTail) -> Result<Vec<StoredState>, ReadFailure> {
    let by = stores.config.by;
    let mut periods: Vec<Period> =
        tail.instants_us.iter().filter_map(|&us| by.period_at_us(us).ok()).collect();
    periods.dedup();
    let last = periods.last().copied();
    let mut states = Vec::new();
    for period in periods {
        let partition = Partition::new(key, period);
        let found = stores.sink.found(&partition)?;
        let source = Some(stores.source.as_ref()).filter(|_| Some(period) == last);
        states.push(StoredState::new(&stores.config, source, &partition, found)?);
    }
    Ok(states)
}

impl LiveState {
    /// Checks a row's instant, and forgets the rows before it where windows do not reach them.
    fn begin_row(&mut self, (boundary, by): (Boundary, PeriodUnit), time_us: Option<i64>) -> PyResult<()> {
        let Some(time_us) = time_us else {
            if boundary == Boundary::Reset {
                return Err(PyValueError::new_err(format!(
                    "time is missing: boundary = \"reset\" starts windows anew in each {}, so push(..., time=...) is needed",
                    by.noun()
                )));
            }
            self.is_time_unknown = true;
            return Ok(());
        };
        let period = by.period_at_us(time_us).map_err(|error| PyValueError::new_err(error.to_string()))?;
        if let Some(last_us) = self.last_us {
            if time_us <= last_us {
                return Err(PyValueError::new_err(format!(
                    "time = {} is not after the last row, {}; a row that is late or corrected needs a new `live` once it is in the source",
                    display_instant(time_us),
                    display_instant(last_us)
                )));
            }
            if boundary == Boundary::Reset && by.period_at_us(last_us).is_ok_and(|last| last != period) {
                self.series.iter_mut().for_each(|series| series.stream.reset());
            }
        }
        (self.last_us, self.is_time_unknown) = (Some(time_us), false);
        Ok(())
    }
}

#[pymethods]
impl LiveStream {
    /// Add the key's next row; returns its features as a dict of column name -> float or None.
    ///
    /// With one series: `push(1.08)`. With several: `push(idx=1.08, bqx=0.2)` or `push({"idx": 1.08, "bqx": 0.2})`. A series that the job
    /// derives from closes takes its own value, not the close. An included column is in the result if it is given: `push(idx=100.2,
    /// close_idx=1.08)`. None or NaN is a row without a value, as NULL in the source is. `time` is
    /// the row's instant (without a zone: UTC). It must be after `last_time`; the boundary "reset" needs it, since windows start anew in
    /// each month, or other period of the job.
    #[pyo3(signature = (*row, time=None, **values))]
    fn push<'py>(
        &self,
        py: Python<'py>,
        row: &Bound<'py, PyTuple>,
        time: Option<&Bound<'py, PyAny>>,
        values: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (values, included) = self.values(row, values)?;
        let time_us = time.map(instant_us).transpose()?;
        let mut features = Vec::with_capacity(self.columns.len());
        {
            let mut state = lock(&self.state);
            state.begin_row((self.boundary, self.by), time_us)?;
            for (series, value) in state.series.iter_mut().zip(values) {
                series.push(value, &mut features);
            }
        }
        let row = PyDict::new(py);
        for (column, feature) in self.columns.iter().zip(features) {
            row.set_item(column, feature)?;
        }
        for (column, value) in included {
            row.set_item(column, Some(value + 0.0).filter(|value| value.is_finite()))?;
        }
        Ok(row)
    }

    /// The key.
    #[getter]
    fn key(&self) -> &str {
        &self.key
    }

    /// The names of the series, in the order of the configuration.
    #[getter]
    fn series(&self) -> Vec<String> {
        self.series.clone()
    }

    /// The instant of the last row (UTC); None if there is no row yet, or the last one was pushed without a time.
    #[getter]
    fn last_time<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let known = {
            let state = lock(&self.state);
            state.last_us.filter(|_| !state.is_time_unknown)
        };
        known.map(|us| datetime(py, us)).transpose()
    }

    /// How many joined rows of the source it had seen before the first push: at most as many as the longest window has.
    #[getter]
    fn seeded_rows(&self) -> usize {
        self.seeded_rows
    }

    /// The partitions of the rows that it was seeded with: a list of dicts with `partition`, `state`, `cause` and `receipt`.
    ///
    /// The rows come from the source. A partition that is not "done" says that what is stored of it is not of these rows.
    #[getter]
    fn seeded_from<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for StoredState { partition, assessment, receipt } in &self.seeded_from {
            let entry = PyDict::new(py);
            entry.set_item("partition", partition.to_string())?;
            entry.set_item("state", assessment.state.name())?;
            entry.set_item("cause", &assessment.cause)?;
            entry.set_item("receipt", receipt_dict(py, receipt.as_deref())?)?;
            list.append(entry)?;
        }
        Ok(list)
    }

    fn __repr__(&self) -> String {
        let state = lock(&self.state);
        let last = match state.last_us.filter(|_| !state.is_time_unknown) {
            Some(us) => format!("last row {}", display_instant(us)),
            None => "time of the last row unknown".to_owned(),
        };
        let from = self
            .seeded_from
            .iter()
            .map(|stored| format!("{} ({})", stored.partition.period, stored.assessment.state));
        let from = from.collect::<Vec<_>>().join(", ");
        let from = if from.is_empty() { "nothing".to_owned() } else { from };
        format!("<rollfit.LiveStream {}: {last}, seeded with {} rows of {from}>", self.key, self.seeded_rows)
    }
}
