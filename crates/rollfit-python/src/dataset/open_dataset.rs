//! [`Dataset`]: the features of a job, opened by its configuration.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rollfit_cli::OpenStores;
use rollfit_job::config::Boundary;
use rollfit_job::explanation::{Explained, FeatureOfJob, explain};
use rollfit_job::month::display_instant;
use rollfit_job::partition::Partition;
use rollfit_job::patience::patiently;
use rollfit_job::plan::assess;
use rollfit_job::selection::Selection;
use rollfit_job::state::State;
use rollfit_job::stored_features::StoredState;

use super::batches::{KEY_COLUMN, features_schema, table_of};
use super::explanation::FeatureExplanation;
use super::failure::ReadFailure;
use super::instant::instant_us;
use super::live_stream::LiveStream;
use super::partitions::{in_turns, look, read};
use super::request::{ReadArguments, ReadRequest, known_keys, planned};
use super::scan::FeatureScan;
use super::selection::unknown;
use crate::error::from_failure;
use crate::interruptible::interruptible;

/// The features of a job, in the store where `rollfit run` keeps them. Made by `rollfit.open`; may be used from several threads.
///
/// Nothing is cached: each call sees the store as it is. Its connections are closed when the object is deleted.
#[pyclass(frozen, module = "rollfit")]
pub(crate) struct Dataset {
    stores: Arc<OpenStores>,
    config: String,
}

/// Open the features of a job by its configuration, to read them.
///
/// The configuration is that of the command, ROLLFIT_ variables of the environment included; so are passwords and `password_command`.
/// Without `config` it is `ROLLFIT_CONFIG` of the environment, or the nearest `rollfit.toml`, in the working directory or above it. It is read once: later changes of it, of the
/// environment or of the working directory change no Dataset. Nothing is written, so a read-only standby will do.
#[pyfunction]
#[pyo3(signature = (config=None))]
pub(crate) fn open(py: Python<'_>, config: Option<PathBuf>) -> PyResult<Dataset> {
    let config =
        config.map_or_else(OpenStores::usual_config, Ok).map_err(|failure| from_failure(&failure))?;
    let name = config.display().to_string();
    let opened = interruptible(py, move || OpenStores::open(config))?;
    let stores = opened.map_err(|failure| from_failure(&failure))?;
    Ok(Dataset { stores: Arc::new(stores), config: name })
}

impl Dataset {
    fn request(&self, py: Python<'_>, arguments: &ReadArguments<'_, '_>) -> PyResult<Arc<ReadRequest>> {
        ReadRequest::new(py, &self.stores, &self.config, arguments).map(Arc::new)
    }

    /// Asks the stores, until Ctrl-C.
    fn ask<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&OpenStores) -> Result<T, ReadFailure> + Send + 'static,
    ) -> PyResult<T> {
        let stores = self.stores.clone();
        Ok(interruptible(py, move || work(&stores))??)
    }

    /// A key of the job.
    fn check_key(&self, py: Python<'_>, key: &str) -> PyResult<()> {
        let known = self.ask(py, known_keys)?;
        if known.iter().any(|known| known == key) { Ok(()) } else { Err(unknown("key", key, &known)) }
    }

    /// Something of each series, by the names of the series.
    fn of_series<'py, T: IntoPyObject<'py>>(
        &self,
        py: Python<'py>,
        what: impl Fn(&rollfit_job::config::Series) -> PyResult<T>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for series in &self.stores.config.series {
            dict.set_item(&series.name, what(series)?)?;
        }
        Ok(dict)
    }
}

#[pymethods]
impl Dataset {
    /// Read stored features: a Table of `key`, `ts_utc` and the features, sorted by key and time.
    ///
    /// keys: a key, several, or patterns such as "eur*"; None for all keys of the job.
    /// start, end: a month "2017-01", a date, an instant "2017-01-04T10:31Z", or a datetime; without a zone it is UTC. `start` is
    ///     included and `end` is not: start="2017-01", end="2017-03" reads January and February. A month or a date means its first instant.
    /// columns: a feature, several, or patterns such as "r2_*"; None for all. `ds.columns` lists them.
    /// missing: "error", or "skip" to read what is there if partitions have no features yet.
    /// stale: "error", or "allow" to read what is stored without a look at the source, which may have changed since.
    ///
    /// `ts_utc` are UTC instants in microseconds, features are doubles with the stored bits, and no value is NULL. All of a
    /// partition is checked against its receipt, whichever columns are asked for. What is missing, older than its source, of
    /// another definition or damaged is an error that names the partitions and what to do. Each partition is read as one commit left it.
    #[pyo3(signature = (keys=None, start=None, end=None, columns=None, *, missing="error", stale="error"))]
    #[allow(clippy::too_many_arguments)] // Python's keywords.
    fn features(
        &self,
        py: Python<'_>,
        keys: Option<&Bound<'_, PyAny>>,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        columns: Option<&Bound<'_, PyAny>>,
        missing: &str,
        stale: &str,
    ) -> PyResult<Py<PyAny>> {
        let request = self.request(py, &ReadArguments { keys, start, end, columns, missing, stale })?;
        let readable = look(py, &self.stores, &request)?;
        let shared = (self.stores.clone(), request.clone());
        let work = move |stored: &StoredState| read(&shared.0, &shared.1, stored);
        let batches = in_turns(py, &self.stores, readable, work)?;
        let batches = batches.into_iter().flatten().filter(|batch| batch.num_rows() > 0).collect();
        table_of(py, features_schema(&request.names), batches)
    }

    /// As `features`, read one partition at a time while it is consumed: a FeatureScan, for more rows than fit into memory.
    #[pyo3(signature = (keys=None, start=None, end=None, columns=None, *, missing="error", stale="error"))]
    #[allow(clippy::too_many_arguments)] // Python's keywords.
    fn scan(
        &self,
        py: Python<'_>,
        keys: Option<&Bound<'_, PyAny>>,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        columns: Option<&Bound<'_, PyAny>>,
        missing: &str,
        stale: &str,
    ) -> PyResult<FeatureScan> {
        let request = self.request(py, &ReadArguments { keys, start, end, columns, missing, stale })?;
        let readable = look(py, &self.stores, &request)?;
        Ok(FeatureScan::new(self.stores.clone(), request, readable))
    }

    /// A LiveStream of a key: push the next row's values, get its features with the bits that the next run stores.
    ///
    /// It is seeded with the last rows of the source, joined as a run joins them, as many as the longest window has.
    /// until: only rows before this instant are seen, to replay what came after; without a zone it is UTC.
    #[pyo3(signature = (key, *, until=None))]
    fn live(&self, py: Python<'_>, key: String, until: Option<&Bound<'_, PyAny>>) -> PyResult<LiveStream> {
        self.check_key(py, &key)?;
        LiveStream::new(py, &self.stores, key, until.map(instant_us).transpose()?)
    }

    /// Explain one stored feature: receipt, stored and recomputed value, the window's inputs, the cause of a NULL, the promised accuracy.
    ///
    /// time: the row's instant; without a zone it is UTC. An instant without a row is an error that names the rows next to it.
    fn why(
        &self,
        py: Python<'_>,
        key: String,
        time: &Bound<'_, PyAny>,
        column: &str,
    ) -> PyResult<FeatureExplanation> {
        self.check_key(py, &key)?;
        let config = &self.stores.config;
        let columns = self.columns();
        let mut included =
            config.series.iter().flat_map(|series| series.included_columns().iter().zip(&series.include));
        if let Some((_, input)) = included.find(|(name, _)| *name == column) {
            return Err(PyValueError::new_err(format!(
                "{column} is not computed: it is the column `{input}` of the source table, included as it is at each instant"
            )));
        }
        let number = columns.iter().position(|known| known == column);
        let feature = number.and_then(|number| FeatureOfJob::new(config, number));
        let feature = feature.ok_or_else(|| unknown("column", column, &columns))?;
        let series = config.series[feature.series].name.clone();
        let instant_us = instant_us(time)?;
        let period =
            config.by.period_at_us(instant_us).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let partition = Partition::new(key, period);
        let key = partition.key.clone();
        let explained = self.ask(py, move |stores| {
            let (source, sink) = (stores.source.as_ref(), stores.sink.as_ref());
            let explain = || explain(&stores.config, (source, sink), &partition, instant_us, feature.clone());
            Ok(patiently(explain)?)
        })?;
        match explained {
            Explained::Row(explained) => Ok(FeatureExplanation::new(*explained, series)),
            Explained::NoRow { before_us, after_us } => Err(no_row(&key, instant_us, before_us, after_us)),
        }
    }

    /// The job's partitions: a Table of `key`, `month` (or `quarter`, `year`, `period`), `state`, `rows` (joined rows of the source) and `cause`, as `rollfit plan` shows
    /// them. Reads the source.
    fn partitions(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let plan =
            self.ask(py, |stores| Ok(assess(&stores.job(), &planned(stores, &Selection::default())?)))?;
        let text = |name: &str, is_nullable| Field::new(name, DataType::Utf8, is_nullable);
        let schema = Arc::new(Schema::new(vec![
            text(KEY_COLUMN, false),
            text(self.stores.config.by.noun(), false),
            text("state", true),
            Field::new("rows", DataType::Int64, false),
            text("cause", false),
        ]));
        let strings = |texts: Vec<String>| Arc::new(StringArray::from(texts)) as ArrayRef;
        let states: StringArray = plan.iter().map(|line| line.state.map(State::name)).collect();
        let rows: Int64Array = plan.iter().map(|line| i64::try_from(line.rows).ok()).collect();
        let columns = vec![
            strings(plan.iter().map(|line| line.partition.key.clone()).collect()),
            strings(plan.iter().map(|line| line.partition.period.to_string()).collect()),
            Arc::new(states) as ArrayRef,
            Arc::new(rows),
            strings(plan.iter().map(|line| line.cause.clone()).collect()),
        ];
        let batch = RecordBatch::try_new(schema.clone(), columns)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        table_of(py, schema, vec![batch])
    }

    /// The keys of the job, sorted.
    #[getter]
    fn keys(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.ask(py, known_keys)
    }

    /// The names of the features, in the order of the store.
    #[getter]
    fn columns(&self) -> Vec<String> {
        self.stores.config.feature_names().map(str::to_owned).collect()
    }

    /// The names of the series.
    #[getter]
    fn series(&self) -> Vec<String> {
        self.stores.config.series.iter().map(|series| series.name.clone()).collect()
    }

    /// The windows of each series: a dict of series -> dict of label -> rows.
    #[getter]
    fn windows<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.of_series(py, |series| {
            let windows = PyDict::new(py);
            for labelled in &series.windows {
                windows.set_item(&labelled.label, labelled.window.rows())?;
            }
            Ok(windows)
        })
    }

    /// The metrics of each series: a dict of series -> list of names.
    #[getter]
    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.of_series(py, |series| Ok(series.metrics.iter().map(|metric| metric.name()).collect::<Vec<_>>()))
    }

    /// Where windows may reach: "reset" (never into the month before) or "carry".
    #[getter]
    fn boundary(&self) -> String {
        self.stores.config.boundary.to_string()
    }

    fn __repr__(&self) -> String {
        let config = &self.stores.config;
        let boundary = match config.boundary {
            Boundary::Reset => "reset",
            Boundary::Carry => "carry",
        };
        format!(
            "<rollfit.Dataset {}: {} features of {} in {}, boundary {boundary}>",
            self.config,
            config.feature_count(),
            self.series().join(", "),
            self.stores.sink.place()
        )
    }
}

/// `ValueError` for an instant that has no row.
fn no_row(key: &str, instant_us: i64, before_us: Option<i64>, after_us: Option<i64>) -> PyErr {
    let next_to_it = match (before_us.map(display_instant), after_us.map(display_instant)) {
        (Some(before), Some(after)) => format!("the rows next to it are at {before} and {after}"),
        (Some(before), None) => format!("the last row before it is at {before}"),
        (None, Some(after)) => format!("the first row after it is at {after}"),
        (None, None) => "there is no row near it".to_owned(),
    };
    PyValueError::new_err(format!("{key} has no row at {}; {next_to_it}", display_instant(instant_us)))
}
