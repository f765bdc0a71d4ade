//! `rollfit.Stream`: features of values that arrive one at a time or in batches, the same bits as `rollfit.rolling`.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBool, PyDict, PyFloat, PyString, PyType};

use crate::block::Block;
use crate::buffer::RowBuffer;
use crate::compute::{Features, NoMemory, Series};
use crate::input::InputColumn;
use crate::spec::{FeatureSpec, type_name};
use crate::table::{Table, no_memory};

/// Features of values as they arrive, the same bits as `rollfit.rolling` over all of them. It may be used from several threads: each
/// call is one step.
///
/// windows, metrics, name: as in `rollfit.rolling`.
#[pyclass(frozen, module = "rollfit")]
pub(crate) struct Stream {
    spec: FeatureSpec,
    names: Vec<Py<PyString>>,
    state: Mutex<StreamState>,
}

/// The values so far, as far as later windows reach.
struct StreamState {
    stream: rollfit::Stream,
    /// The latest values, one less than the longest window.
    latest: VecDeque<f64>,
    latest_rows: usize,
}

impl StreamState {
    fn new(spec: &FeatureSpec) -> Self {
        let latest_rows = spec.lookback_rows();
        let stream = rollfit::Stream::new(&spec.window_sizes());
        Self { stream, latest: VecDeque::with_capacity(latest_rows + 1), latest_rows }
    }

    fn push(&mut self, value: f64) -> &[Option<rollfit::Fit>] {
        self.latest.push_back(value);
        if self.latest.len() > self.latest_rows {
            self.latest.pop_front();
        }
        self.stream.push(value)
    }

    /// Pushes `values`; returns their features.
    fn push_many(
        &mut self,
        values: &[f64],
        spec: &FeatureSpec,
        block: Option<Block>,
    ) -> Result<Features, NoMemory> {
        let rows = self.latest.len() + values.len();
        let no_memory = NoMemory { rows: values.len(), columns: spec.column_count() };
        let mut all = Vec::new();
        all.try_reserve_exact(rows).map_err(|_| no_memory)?;
        all.extend(&self.latest);
        all.extend_from_slice(values);
        let series = Series { values: &all, lookback_rows: self.latest.len(), starts: &[] };
        let features = Features::compute(&series, spec, None, block)?;
        if values.len() > self.latest_rows {
            // As good as all of them: no window reaches further back.
            self.stream = rollfit::Stream::seeded(&spec.window_sizes(), &all);
            self.latest.clear();
            self.latest.extend(&values[values.len() - self.latest_rows..]);
        } else {
            values.iter().for_each(|value| {
                self.push(*value);
            });
        }
        Ok(features)
    }
}

impl Stream {
    fn from_spec(py: Python<'_>, spec: FeatureSpec) -> Self {
        let names = spec.column_names().iter().map(|name| PyString::new(py, name).unbind()).collect();
        Self { state: Mutex::new(StreamState::new(&spec)), names, spec }
    }

    /// The state, for this call alone. Whoever waits for it lets others run.
    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, StreamState> {
        self.state.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }

    /// Pushes `values` with the GIL released; returns their features.
    fn compute(&self, py: Python<'_>, values: &[f64], block: Option<Block>) -> PyResult<Features> {
        let computed = py.detach(|| {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.push_many(values, &self.spec, block)
        });
        computed.map_err(no_memory)
    }
}

#[pymethods]
impl Stream {
    #[new]
    #[pyo3(signature = (windows, metrics=None, name=None))]
    fn new(
        windows: &Bound<'_, PyAny>,
        metrics: Option<&Bound<'_, PyAny>>,
        name: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        Ok(Self::from_spec(windows.py(), FeatureSpec::from_python(windows, metrics, name)?))
    }

    /// A stream that has already seen `history`, one column of numbers, oldest first, as in `rollfit.rolling`. Only as many of its last
    /// values as the longest window has matter.
    #[classmethod]
    #[pyo3(signature = (history, windows, metrics=None, name=None))]
    fn seeded(
        cls: &Bound<'_, PyType>,
        history: &Bound<'_, PyAny>,
        windows: &Bound<'_, PyAny>,
        metrics: Option<&Bound<'_, PyAny>>,
        name: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let py = cls.py();
        let stream = Self::from_spec(py, FeatureSpec::from_python(windows, metrics, name)?);
        let history = InputColumn::from_python(history)?;
        py.detach(|| {
            let mut state = stream.state.lock().unwrap_or_else(PoisonError::into_inner);
            let needed_rows = (state.latest_rows + 1).min(history.len());
            for value in &history[history.len() - needed_rows..] {
                state.push(*value);
            }
        });
        Ok(stream)
    }

    /// The names of the features, in order.
    #[getter]
    fn columns(&self, py: Python<'_>) -> Vec<Py<PyString>> {
        self.names.iter().map(|name| name.clone_ref(py)).collect()
    }

    /// Adds the next value (None or NaN where it is missing). Returns the features of its row: a dict of the columns' names and floats,
    /// None where there is no value.
    fn push<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
        let value = parse_value(value)?;
        let mut features = Vec::with_capacity(self.names.len());
        {
            let mut state = self.lock(py);
            for fit in state.push(value) {
                let metrics = self.spec.metrics.iter();
                features.extend(metrics.map(|metric| fit.as_ref().and_then(|fit| metric.value(fit))));
            }
        }
        let row = PyDict::new(py);
        for (name, feature) in self.names.iter().zip(features) {
            row.set_item(name, feature)?;
        }
        Ok(row)
    }

    /// Adds one column of N values, oldest first, as in `rollfit.rolling`. Returns their features, a Table of N rows.
    fn push_many(&self, py: Python<'_>, values: &Bound<'_, PyAny>) -> PyResult<Table> {
        let values = InputColumn::from_python(values)?;
        Table::from_features(&self.spec, self.compute(py, &values, None)?)
    }

    /// As `push_many`, into memory that exists: `out` is a float64 array of N rows and as many columns as `columns` names, in any
    /// memory order, which gets NaN where there is no value; or a Table of N rows that `push_many` returned and nothing else uses any more.
    fn push_into(&self, py: Python<'_>, values: &Bound<'_, PyAny>, out: &Bound<'_, PyAny>) -> PyResult<()> {
        let values = InputColumn::from_python(values)?;
        if let Ok(table) = out.cast::<Table>() {
            let block = table.get().take_block(&self.spec, values.len())?;
            return table.get().put(&self.spec, self.compute(py, &values, Some(block))?);
        }
        let shape = (values.len(), self.names.len());
        let target = RowBuffer::new(out, shape)?;
        let features = self.compute(py, &values, None)?;
        target.write(py, |row, column| features.value(row, column));
        Ok(())
    }

    /// Forgets every value.
    fn reset(&self, py: Python<'_>) {
        let mut state = self.lock(py);
        state.stream.reset();
        state.latest.clear();
    }

    fn __repr__(&self) -> String {
        let windows: Vec<&str> = self.spec.windows.iter().map(|(label, _)| label.as_str()).collect();
        let (windows, columns) = (windows.join(", "), self.names.len());
        format!("<rollfit.Stream: windows {windows}; {columns} columns>")
    }
}

/// A number, or NaN for None.
fn parse_value(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    if let Ok(number) = value.cast_exact::<PyFloat>() {
        return number.extract();
    }
    if value.is_none() {
        return Ok(f64::NAN);
    }
    let refused = || {
        let kind = type_name(value);
        PyTypeError::new_err(format!(
            "a value must be a number or None, not {kind}: push_many takes a column of them"
        ))
    };
    // A text has no `__float__`; an array of one number has one, and is no number.
    let is_number = !value.is_instance_of::<PyBool>()
        && !value.hasattr(intern!(value.py(), "__len__")).unwrap_or(true)
        || value.getattr(intern!(value.py(), "ndim")).is_ok_and(|ndim| ndim.eq(0).unwrap_or(false));
    if !is_number || !is_real(value) {
        return Err(refused());
    }
    value.extract().map_err(|error: PyErr| match error.is_instance_of::<PyOverflowError>(value.py()) {
        true => PyValueError::new_err("a value is beyond the largest double: pass a number up to 1e100"),
        false => refused(),
    })
}

/// Whether it is none of numpy's booleans and complex numbers, which have `__float__`: of the latter the imaginary part would be lost.
fn is_real(value: &Bound<'_, PyAny>) -> bool {
    let kind = value.getattr(intern!(value.py(), "dtype")).and_then(|dtype| dtype.getattr("kind"));
    !kind.and_then(|kind| kind.extract::<char>()).is_ok_and(|kind| matches!(kind, 'b' | 'c'))
}
