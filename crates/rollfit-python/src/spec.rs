//! [`FeatureSpec`]: which features are computed, from Python's `windows`, `metrics` and `name`.

use std::collections::HashSet;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyDict, PyFrozenSet, PyMapping, PySet, PyString};
use rollfit::{Metric, ParseMetricError, Window};

/// The windows, metrics and names of features. There is at least one window and one metric, and no two columns share a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FeatureSpec {
    /// The windows with their labels, in the order of the columns.
    pub(crate) windows: Vec<(String, Window)>,
    /// The metrics of each window, in the order of the columns.
    pub(crate) metrics: Vec<Metric>,
    /// The series' name in the columns' names.
    pub(crate) name: Option<String>,
}

impl FeatureSpec {
    /// From the arguments that `rolling`, `Stream` and the Polars expression share.
    ///
    /// # Errors
    /// TypeError for arguments of another type, ValueError for windows and metrics that there are not.
    pub(crate) fn from_python(
        windows: &Bound<'_, PyAny>,
        metrics: Option<&Bound<'_, PyAny>>,
        name: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let name = name.map(parse_name).transpose()?;
        let metrics = metrics.map_or_else(|| Ok(Metric::STORED.to_vec()), parse_metrics)?;
        let spec = Self { windows: parse_windows(windows)?, metrics, name };
        let mut names = HashSet::new();
        let twice = spec.column_names().into_iter().find(|name| !names.insert(name.clone()));
        match twice {
            Some(name) => Err(PyValueError::new_err(format!(
                "two columns would be called {name:?}: give each window a label of its own, and each metric once"
            ))),
            None => Ok(spec),
        }
    }

    /// The number of columns.
    pub(crate) fn column_count(&self) -> usize {
        self.windows.len() * self.metrics.len()
    }

    /// The names of the columns, window by window.
    pub(crate) fn column_names(&self) -> Vec<String> {
        let named = |(label, _): &(String, Window), metric: &Metric| match &self.name {
            Some(name) => format!("{metric}_{name}_{label}"),
            None => format!("{metric}_{label}"),
        };
        let windows = self.windows.iter();
        windows.flat_map(|window| self.metrics.iter().map(move |metric| named(window, metric))).collect()
    }

    /// The windows without their labels.
    pub(crate) fn window_sizes(&self) -> Vec<Window> {
        self.windows.iter().map(|(_, window)| *window).collect()
    }

    /// The rows before a row that its longest window uses.
    pub(crate) fn lookback_rows(&self) -> usize {
        self.windows.iter().map(|(_, window)| window.rows() - 1).max().unwrap_or(0)
    }
}

/// The type of `object`, as people call it.
pub(crate) fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string())
}

fn parse_name(name: &Bound<'_, PyAny>) -> PyResult<String> {
    match name.cast::<PyString>() {
        Ok(name) if name.is_empty()? => {
            Err(PyValueError::new_err("name is empty: leave it out, or name the series, as in name=\"idx\""))
        }
        Ok(name) => parse_text(name, "name"),
        Err(_) => {
            Err(PyTypeError::new_err(format!("name must be a string, not {}: name=\"idx\"", type_name(name))))
        }
    }
}

/// A part of a column's name: Arrow's names are UTF-8 and end at the first NUL.
fn parse_text(text: &Bound<'_, PyString>, what: &str) -> PyResult<String> {
    match text.to_cow() {
        Ok(text) if !text.contains('\0') => Ok(text.into_owned()),
        Ok(_) => Err(PyValueError::new_err(format!("{what} holds a NUL character: use letters and digits"))),
        Err(_) => {
            Err(PyValueError::new_err(format!("{what} holds half a surrogate pair: use letters and digits")))
        }
    }
}

fn parse_windows(windows: &Bound<'_, PyAny>) -> PyResult<Vec<(String, Window)>> {
    let parsed = if windows.is_instance_of::<PyDict>() || windows.cast::<PyMapping>().is_ok() {
        let items = windows.cast::<PyMapping>()?.items()?;
        items.iter().map(|item| parse_labelled(&item)).collect::<PyResult<Vec<_>>>()?
    } else {
        let rows = elements(windows, "windows", "[15, 90] or {\"w15\": 15, \"agg\": 90}")?;
        rows.iter().map(|rows| parse_rows(rows, None)).collect::<PyResult<Vec<_>>>()?
    };
    match parsed.is_empty() {
        true => Err(PyValueError::new_err("windows is empty: give at least one, as in windows=[15, 90]")),
        false => Ok(parsed),
    }
}

/// A label and its number of rows.
fn parse_labelled(item: &Bound<'_, PyAny>) -> PyResult<(String, Window)> {
    let (label, rows): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
    match label.cast::<PyString>() {
        Ok(text) if text.is_empty()? => {
            Err(PyValueError::new_err("a window's label is empty: name each, as in windows={\"w15\": 15}"))
        }
        Ok(text) => parse_rows(&rows, Some(parse_text(text, "a window's label")?)),
        Err(_) => Err(PyTypeError::new_err(format!(
            "the labels of windows must be strings, not {}: windows={{\"w15\": 15}}",
            type_name(&label)
        ))),
    }
}

/// A window of `rows` rows, called `label` or after its rows.
fn parse_rows(rows: &Bound<'_, PyAny>, label: Option<String>) -> PyResult<(String, Window)> {
    let named = label.as_ref().map_or_else(String::new, |label| format!(" {label:?}"));
    // A bool is an int in Python, and an argument in the wrong place here.
    let index = if rows.is_instance_of::<PyBool>() { None } else { rows.call_method0("__index__").ok() };
    let Some(index) = index else {
        let kind = type_name(rows);
        return Err(PyTypeError::new_err(format!(
            "window{named} must be a whole number of rows, not {kind}: windows=[15, 90]"
        )));
    };
    let refused = || {
        PyValueError::new_err(format!(
            "window{named} of {index} rows cannot be fitted: give {} to {} rows",
            Window::MIN_ROWS,
            Window::MAX_ROWS
        ))
    };
    let window = index.extract::<usize>().ok().and_then(|rows| Window::new(rows).ok()).ok_or_else(refused)?;
    Ok((label.unwrap_or_else(|| format!("w{}", window.rows())), window))
}

fn parse_metrics(metrics: &Bound<'_, PyAny>) -> PyResult<Vec<Metric>> {
    let names = elements(metrics, "metrics", "[\"r2\", \"prediction\"]")?;
    if names.is_empty() {
        return Err(PyValueError::new_err(
            "metrics is empty: name at least one, or leave it out for the ones stored by default",
        ));
    }
    names.iter().map(parse_metric).collect()
}

/// The metric of this name.
pub(crate) fn parse_metric(name: &Bound<'_, PyAny>) -> PyResult<Metric> {
    let Ok(text) = name.cast::<PyString>() else {
        let kind = type_name(name);
        return Err(PyTypeError::new_err(format!(
            "a metric must be a name, not {kind}: metrics=[\"r2\", \"prediction\"]"
        )));
    };
    let text = text.to_string_lossy();
    text.parse().map_err(|error: ParseMetricError| PyValueError::new_err(error.to_string()))
}

/// The elements of an ordered collection that is not text.
fn elements<'py>(
    list: &Bound<'py, PyAny>,
    argument: &str,
    example: &str,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let is_text = list.is_instance_of::<PyString>()
        || list.is_instance_of::<PyBytes>()
        || list.is_instance_of::<PyByteArray>();
    let is_unordered = list.is_instance_of::<PySet>() || list.is_instance_of::<PyFrozenSet>();
    match list.try_iter() {
        Ok(iterator) if !is_text && !is_unordered => iterator.collect(),
        _ => Err(PyTypeError::new_err(format!(
            "{argument} must be a list, not {}: {argument}={example}",
            type_name(list)
        ))),
    }
}
