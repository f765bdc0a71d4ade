//! `rollfit.rolling`: a column in, a table of features out.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::compute::{Features, Series};
use crate::input::InputColumn;
use crate::spec::{FeatureSpec, type_name};
use crate::table::{Table, no_memory};

/// Fits a parabola to the last rows of a column at every row, for each window, and returns metrics of the fits as columns.
///
/// values: one column of numbers, oldest first, N rows: anything with the Arrow PyCapsule interface (Polars, pyarrow, pandas 3) or the
///     buffer protocol (numpy, array.array). Float64 Arrow arrays without NULL are not copied. NULL and NaN are "no value".
/// windows: a list of row counts, which names them `w15`, `w90`, or a dict of labels and row counts. 3 to 1,048,576 rows.
/// metrics: names of `rollfit.METRICS`; left out, the ones that are stored by default.
/// name: the series' name in the columns' names: `{metric}_{name}_{label}`; left out, `{metric}_{label}`.
/// threads: how many threads share the work, at most 64; left out, one for up to 100,000 rows, else one for each core and 50,000 rows. The bits
///     don't depend on it.
/// out: a table that an earlier call with as many rows, windows and metrics returned, and that nothing else uses any more: its memory is
///     written again, and it is returned.
///
/// Returns a Table of N rows: window by window, and within a window metric by metric. A value is NULL where the window isn't full or
/// holds a value that is missing, not finite or beyond 1e100, and where the formula has no finite value. Units are those of `METRICS`.
///
/// The same bits come out however the column is cut into chunks, and of Stream, the Polars expression and `rollfit run`. The GIL is
/// released while they are computed. Memory: 8 bytes a value; up to 64 MB of a freed table stay reserved for the next one.
#[pyfunction]
#[pyo3(signature = (values, windows, metrics=None, name=None, *, threads=None, out=None))]
pub(crate) fn rolling(
    py: Python<'_>,
    values: &Bound<'_, PyAny>,
    windows: &Bound<'_, PyAny>,
    metrics: Option<&Bound<'_, PyAny>>,
    name: Option<&Bound<'_, PyAny>>,
    threads: Option<&Bound<'_, PyAny>>,
    out: Option<&Bound<'_, PyAny>>,
) -> PyResult<Py<Table>> {
    let spec = FeatureSpec::from_python(windows, metrics, name)?;
    let threads = threads.map(parse_threads).transpose()?;
    let out = out.map(parse_out).transpose()?;
    let column = InputColumn::from_python(values)?;
    let rows = column.len();
    if rows == 0 {
        return Err(PyValueError::new_err("values is empty: there is no row to fit"));
    }
    if column.iter().all(|value| value.is_nan()) {
        return Err(PyValueError::new_err(format!("values has no value: all {rows} are NULL or NaN")));
    }
    let block = out.map(|out| out.get().take_block(&spec, rows)).transpose()?;
    let computed = py.detach(|| {
        let series = Series { values: &column, lookback_rows: 0, starts: &[] };
        Features::compute(&series, &spec, threads, block)
    });
    let features = computed.map_err(no_memory)?;
    match out {
        Some(out) => {
            out.get().put(&spec, features)?;
            Ok(out.clone().unbind())
        }
        None => Py::new(py, Table::from_features(&spec, features)?),
    }
}

/// How many threads to use.
fn parse_threads(threads: &Bound<'_, PyAny>) -> PyResult<usize> {
    let index =
        if threads.is_instance_of::<PyBool>() { None } else { threads.call_method0("__index__").ok() };
    let Some(index) = index else {
        let kind = type_name(threads);
        return Err(PyTypeError::new_err(format!("threads must be a whole number, not {kind}: threads=2")));
    };
    if index.lt(1)? {
        return Err(PyValueError::new_err(format!(
            "threads must be at least 1, not {index}: leave it out for as many as are worth it"
        )));
    }
    // A number that is too large is more than are used anyway.
    Ok(index.extract().unwrap_or(usize::MAX))
}

/// The table to write to.
fn parse_out<'a, 'py>(out: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, Table>> {
    out.cast::<Table>().map_err(|_| {
        PyTypeError::new_err(format!(
            "out must be a rollfit.Table that an earlier call returned, not {}: leave it out for a new one",
            type_name(out)
        ))
    })
}
