//! [`Column`]: a column of a table for Python, lent as an Arrow array and, where it holds doubles, as a buffer.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array};
use arrow_schema::{DataType, FieldRef, TimeUnit};
use pyo3::exceptions::{PyBufferError, PyIndexError, PyTypeError, PyValueError};
use pyo3::ffi::Py_buffer;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyDict, PyList, PyTuple};
use pyo3_arrow::ffi::{ArrayIterator, to_array_pycapsules, to_schema_pycapsule, to_stream_pycapsule};

use crate::buffer::{LentShape, lend_doubles};
use crate::compute::NullCounts;
use crate::spec::type_name;
use crate::table::null_counts_dict;

/// One column of a table, read-only.
///
/// `numpy.asarray(column)`, `memoryview(column)` and the readers of the Arrow PyCapsule interface take it without a copy. In a buffer
/// NULL is NaN.
#[pyclass(frozen, module = "rollfit")]
pub(crate) struct Column {
    field: FieldRef,
    array: ArrayRef,
    null_counts: Option<NullCounts>,
    /// Lent together with the values.
    shape: LentShape,
}

impl Column {
    /// A column whose NULLs have these causes, where they are known.
    pub(crate) fn new(field: FieldRef, array: ArrayRef, null_counts: Option<NullCounts>) -> Self {
        let array = with_nan_for_null(array);
        let shape = LentShape::new(array.len());
        Self { field, array, null_counts, shape }
    }

    /// The values, NaN for NULL; none in a column of another type.
    fn doubles(&self) -> Option<&[f64]> {
        self.array.as_primitive_opt::<Float64Type>().map(|array| &**array.values())
    }
}

#[pymethods]
impl Column {
    /// The column's name.
    #[getter]
    fn name(&self) -> &str {
        self.field.name()
    }

    /// How many values are NULL.
    #[getter]
    fn null_count(&self) -> usize {
        self.array.null_count()
    }

    /// How many values are NULL, by cause, as in `Table.null_counts`.
    #[getter]
    fn null_counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        null_counts_dict(py, self.null_counts, self.array.null_count())
    }

    /// The column as a one-dimensional numpy array: float64 without a copy, read-only, NaN for NULL; instants as datetime64[us] in
    /// UTC; text as objects. Needs numpy.
    fn to_numpy<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let numpy = py.import(intern!(py, "numpy"))?;
        let column = slf.get();
        if column.doubles().is_some() {
            return numpy.call_method1(intern!(py, "asarray"), (slf,));
        }
        if let DataType::Timestamp(TimeUnit::Microsecond, _) = column.array.data_type() {
            let instants = column.array.as_primitive::<TimestampMicrosecondType>();
            // The least number is numpy's "not a time".
            let ticks: Int64Array = instants.iter().map(|tick| Some(tick.unwrap_or(i64::MIN))).collect();
            let bytes = PyBytes::new(py, ticks.values().inner());
            return numpy.call_method1(intern!(py, "frombuffer"), (bytes, "datetime64[us]"));
        }
        let texts = PyList::new(py, texts(&column.array)?)?;
        numpy.call_method1(intern!(py, "array"), (texts, "object"))
    }

    /// What numpy asks for where it can't take the buffer.
    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(
        slf: &Bound<'py, Self>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let lent = Self::to_numpy(slf)?;
        let array = match dtype {
            Some(dtype) => {
                let numpy = py.import(intern!(py, "numpy"))?;
                numpy.call_method1(intern!(py, "asarray"), (&lent, dtype))?
            }
            None => lent.clone(),
        };
        let is_lent = slf.get().doubles().is_some() && array.is(&lent);
        match copy {
            Some(true) if is_lent => array.call_method0(intern!(py, "copy")),
            Some(false) if !is_lent => Err(PyValueError::new_err(
                "this column can't be had in that type without a copy: leave out copy=False",
            )),
            _ => Ok(array),
        }
    }

    fn __len__(&self) -> usize {
        self.array.len()
    }

    /// The values, None where they are NULL.
    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let builtins = py.import(intern!(py, "builtins"))?;
        let rows = builtins.call_method1(intern!(py, "range"), (slf.len()?,))?;
        builtins.call_method1(intern!(py, "map"), (slf.getattr(intern!(py, "__getitem__"))?, rows))
    }

    fn __getitem__<'py>(&self, py: Python<'py>, row: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let row: isize = row.extract().map_err(|_| {
            PyTypeError::new_err(format!(
                "a column is indexed by one row number, not by {}: numpy.asarray(column) takes slices and masks",
                type_name(row)
            ))
        })?;
        let rows = self.array.len();
        let at = if row < 0 { row.checked_add_unsigned(rows) } else { Some(row) };
        let Some(at) = at.and_then(|at| usize::try_from(at).ok()).filter(|at| *at < rows) else {
            return Err(PyIndexError::new_err(format!("there is no row {row}: the column has {rows}")));
        };
        match self.doubles() {
            _ if self.array.is_null(at) => Ok(py.None().into_bound(py)),
            Some(values) => Ok(values[at].into_pyobject(py)?.into_any()),
            None => {
                let one = Self::new(Arc::clone(&self.field), self.array.slice(at, 1), None);
                Self::to_numpy(&Bound::new(py, one)?)?.get_item(0)
            }
        }
    }

    fn __repr__(&self) -> String {
        let Self { field, array, .. } = self;
        let (name, rows, nulls) = (field.name(), array.len(), array.null_count());
        format!("<rollfit.Column {name}: {rows} rows of {}, {nulls} NULL>", array.data_type())
    }

    /// The column as an Arrow array, for readers of the PyCapsule interface.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        Ok(to_array_pycapsules(py, Arc::clone(&self.field), &self.array, requested_schema)?)
    }

    /// The column as a stream of one Arrow array, for readers of the PyCapsule interface.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let arrays = ArrayIterator::new([Ok(Arc::clone(&self.array))], Arc::clone(&self.field));
        Ok(to_stream_pycapsule(py, Box::new(arrays), requested_schema)?)
    }

    /// The column's name and type, for readers of the PyCapsule interface.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(to_schema_pycapsule(py, self.field.as_ref())?)
    }

    /// # Safety
    /// Python calls it, with a view that may be filled.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut Py_buffer, flags: c_int) -> PyResult<()> {
        let column = slf.get();
        let Some(values) = column.doubles() else {
            return Err(PyBufferError::new_err(format!(
                "only float64 columns are buffers, and this one holds {}",
                column.array.data_type()
            )));
        };
        // SAFETY: Python's view; the values and the shape belong to the frozen column, which lives as long as `slf`.
        unsafe { lend_doubles(view, flags, slf.clone().into_any(), values, &column.shape) }
    }
}

/// The column with NaN wherever it is NULL; other types stay as they are.
fn with_nan_for_null(array: ArrayRef) -> ArrayRef {
    let Some(doubles) = array.as_primitive_opt::<Float64Type>() else { return array };
    let Some(nulls) = doubles.nulls() else { return array };
    if doubles.values().iter().zip(nulls).all(|(value, is_there)| is_there || value.is_nan()) {
        return array;
    }
    let value = |(value, is_there): (&f64, bool)| if is_there { *value } else { f64::NAN };
    let values = doubles.values().iter().zip(nulls).map(value).collect::<Vec<f64>>();
    Arc::new(Float64Array::new(values.into(), Some(nulls.clone())))
}

/// The values of a column of text.
fn texts(array: &ArrayRef) -> PyResult<Vec<Option<String>>> {
    if let Some(texts) = array.as_string_opt::<i32>() {
        return Ok(texts.iter().map(|text| text.map(str::to_owned)).collect());
    }
    if let Some(dictionary) = array.as_any_dictionary_opt() {
        let values = texts_of_values(dictionary.values())?;
        let keys = if values.is_empty() { vec![0; array.len()] } else { dictionary.normalized_keys() };
        let text = |(row, key): (usize, &usize)| match dictionary.keys().is_null(row) {
            true => None,
            false => values.get(*key).cloned().flatten(),
        };
        return Ok(keys.iter().enumerate().map(text).collect());
    }
    Err(PyTypeError::new_err(format!(
        "numpy has no type for {}: read the column with Polars or pyarrow",
        array.data_type()
    )))
}

fn texts_of_values(values: &ArrayRef) -> PyResult<Vec<Option<String>>> {
    match values.data_type() {
        DataType::Dictionary(..) => Err(PyTypeError::new_err("a dictionary of dictionaries has no text")),
        _ => texts(values),
    }
}
