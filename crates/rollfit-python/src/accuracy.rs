//! `rollfit.fit`, `rollfit.bounds` and `rollfit.METRICS`: one window's metrics, what is promised of them, and the catalogue.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMappingProxy};
use rollfit::Metric;
use rollfit::bounds::Bounds;
use rollfit::reference::{DoubleDouble, Number};

use crate::input::InputColumn;
use crate::spec::parse_metric;

/// Fits a parabola to one window.
///
/// values: the window's values, oldest first: one column of 3 to 1,048,576 numbers, as in `rollfit.rolling`.
///
/// Returns a dict of every metric of `METRICS` and its value, None where there is none: in all of them if a value is missing, not finite
/// or beyond 1e100. The same bits as `rollfit.rolling` gives at the window's last row.
#[pyfunction]
pub(crate) fn fit<'py>(py: Python<'py>, values: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let values = InputColumn::from_python(values)?;
    let fit =
        py.detach(|| rollfit::fit(&values)).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let metrics = PyDict::new(py);
    for metric in Metric::ALL {
        metrics.set_item(metric.name(), fit.as_ref().and_then(|fit| metric.value(fit)))?;
    }
    Ok(metrics)
}

/// Returns what rollfit promises of the metrics of one window: the range that each lies in.
///
/// values: the window's values, oldest first: one column of 3 to 1,048,576 numbers, as in `rollfit.rolling`.
/// metric: the name of a metric; left out, all of them.
///
/// Returns `(low, high)`, or a dict of metrics and such pairs, in the metric's unit. The exact value, computed with about 31 digits, lies
/// between them, and so does every value that rollfit computes. With R the spread of the values and M the largest magnitude: `a2`
/// and `a1` within 1e-13*R; `b` and `prediction` within 4 ulp of M plus 1e-13*R; `rmse` within 1e-12 of itself plus 4e-15*R; `r2` within 1e-12;
/// every other metric within what its formula makes of these, plus 8 ulp of its largest term. None where nothing is promised: the window
/// has no fit, a denominator's range holds 0, or the window has more than 10,000 rows or a spread above 0 and below 1e-100.
#[pyfunction]
#[pyo3(signature = (values, metric=None))]
pub(crate) fn bounds<'py>(
    py: Python<'py>,
    values: &Bound<'py, PyAny>,
    metric: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let metric = metric.map(parse_metric).transpose()?;
    let values = InputColumn::from_python(values)?;
    let bounds = py
        .detach(|| Bounds::from_values(&values))
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    if let Some(metric) = metric {
        return Ok(range(&bounds, metric).into_pyobject(py)?.into_any());
    }
    let ranges = PyDict::new(py);
    for metric in Metric::ALL {
        ranges.set_item(metric.name(), range(&bounds, *metric))?;
    }
    Ok(ranges.into_any())
}

/// The promised range in doubles, rounded outwards.
fn range(bounds: &Bounds, metric: Metric) -> Option<(f64, f64)> {
    let range = bounds.range(metric)?;
    let (low, high) = (range.low.to_f64(), range.high.to_f64());
    let low = if range.low < DoubleDouble::from_f64(low) { low.next_down() } else { low };
    let high = if DoubleDouble::from_f64(high) < range.high { high.next_up() } else { high };
    Some((low, high))
}

/// The catalogue: for each metric's name its `unit` ("y" for that of the series, "x" for standard deviations of the row number, "1" for pure
/// numbers), its `formula`, and whether it is `stored` where no metrics are named.
pub(crate) fn metrics(py: Python<'_>) -> PyResult<Bound<'_, PyMappingProxy>> {
    let metrics = PyDict::new(py);
    for metric in Metric::ALL {
        let entry = PyDict::new(py);
        entry.set_item("unit", metric.unit().to_string())?;
        entry.set_item("formula", metric.formula())?;
        entry.set_item("stored", Metric::STORED.contains(metric))?;
        metrics.set_item(metric.name(), entry)?;
    }
    Ok(PyMappingProxy::new(py, metrics.as_mapping()))
}
