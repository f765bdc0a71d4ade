//! [`InputColumn`]: the values of one series, from whatever Python holds them in.
//!
//! Arrow arrays come by the PyCapsule interface and are not copied where they are doubles without a NULL: Arrow memory never
//! changes. Buffers do change, so they are copied while the GIL is held. A number that no double equals becomes the nearest one, as
//! everywhere in rollfit; NULL becomes NaN, which is "no value".

use std::ops::Deref;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Field};
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyImportError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyByteArray, PyBytes, PyCapsule, PyDict, PyFrozenSet, PyList, PyMemoryView, PySet, PyString, PyTuple,
};
use pyo3_arrow::{PyArray, PyArrayReader};

use crate::buffer::{is_moved_out, read_mask, read_numbers, room_for};
use crate::spec::type_name;

/// The values of one series, oldest first; NaN where there is none.
#[derive(Clone, Debug)]
pub(crate) enum InputColumn {
    /// Converted or copied.
    Owned(Vec<f64>),
    /// Memory of an Arrow array.
    Arrow(ScalarBuffer<f64>),
}

impl Deref for InputColumn {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        match self {
            Self::Owned(values) => values,
            Self::Arrow(values) => values,
        }
    }
}

impl InputColumn {
    /// The values of an object with `__arrow_c_array__`, `__arrow_c_stream__`, the buffer protocol or `__array__`.
    ///
    /// # Errors
    /// TypeError for what holds no numbers, ValueError for what holds more than one column.
    pub(crate) fn from_python(values: &Bound<'_, PyAny>) -> PyResult<Self> {
        refuse_others(values)?;
        let py = values.py();
        if let Some(array) = pandas_array(values)? {
            return Self::from_buffer(&array);
        }
        if values.hasattr(intern!(py, "__arrow_c_array__"))? {
            return Self::from_capsules(&values.call_method0(intern!(py, "__arrow_c_array__"))?);
        }
        if values.hasattr(intern!(py, "__arrow_c_stream__"))? {
            return match values.extract::<PyArrayReader>() {
                Ok(reader) => Self::from_stream(reader, values),
                // pandas needs pyarrow for this, which knows no sparse columns; it has another way.
                Err(error) if error.is_instance_of::<PyImportError>(py) || is_of_pandas(values)? => {
                    let array = values.call_method0(intern!(py, "to_numpy")).map_err(|_| error)?;
                    Self::from_buffer(&array)
                }
                Err(error) => Err(readable(error)),
            };
        }
        Self::from_buffer(values)
    }

    /// The values of what `__arrow_c_array__` returned.
    fn from_capsules(pair: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (schema, array): (Bound<'_, PyCapsule>, Bound<'_, PyCapsule>) = pair
            .extract()
            .map_err(|_| PyTypeError::new_err("__arrow_c_array__ of values must return two capsules"))?;
        if is_moved_out(&array)? {
            return Err(PyValueError::new_err(
                "__arrow_c_array__ of values returned an array that is used up already: it must return a new one each time",
            ));
        }
        let (array, field) = PyArray::from_arrow_pycapsule(&schema, &array).map_err(readable)?.into_inner();
        check_extension(&field)?;
        Self::from_chunks(vec![array])
    }

    /// The values of a stream that `values` gave.
    fn from_stream(reader: PyArrayReader, values: &Bound<'_, PyAny>) -> PyResult<Self> {
        let field = reader.field_ref().map_err(readable)?;
        check_extension(&field)?;
        // Polars gives columns without a type a buffer, which Arrow's rules don't allow.
        if field.data_type() == &DataType::Null && values.hasattr(intern!(values.py(), "__len__"))? {
            return no_values(values.len()?);
        }
        let chunks = reader.into_reader()?.collect::<Result<Vec<_>, _>>();
        Self::from_chunks(chunks.map_err(|error| {
            readable(PyValueError::new_err(without_traceback(&error.to_string()).to_owned()))
        })?)
    }

    /// The values of `chunks`, one after the other.
    pub(crate) fn from_chunks(chunks: Vec<ArrayRef>) -> PyResult<Self> {
        let mut columns = chunks.iter().map(Self::from_array).collect::<PyResult<Vec<_>>>()?;
        columns.retain(|column| !column.is_empty());
        Ok(match columns.len() {
            0 => Self::Owned(Vec::new()),
            1 => columns.swap_remove(0),
            _ => Self::Owned(concat(&columns)?),
        })
    }

    /// The values of an Arrow array.
    ///
    /// # Errors
    /// As for [`InputColumn::from_python`].
    pub(crate) fn from_array(array: &ArrayRef) -> PyResult<Self> {
        match array.data_type() {
            DataType::Null => return no_values(array.len()),
            DataType::Dictionary(..) => return Self::from_dictionary(array),
            DataType::Float64 if array.null_count() == 0 => {
                return Ok(Self::Arrow(array.as_primitive::<Float64Type>().values().clone()));
            }
            _ => {}
        }
        let doubles = rollfit_files::numbers::doubles(array).ok_or_else(|| refused(array.data_type()))?;
        let Some(nulls) = doubles.nulls() else { return Ok(Self::Arrow(doubles.values().clone())) };
        let value = |(value, is_there): (&f64, bool)| if is_there { *value } else { f64::NAN };
        Ok(Self::Owned(doubles.values().iter().zip(nulls).map(value).collect()))
    }

    fn from_dictionary(array: &ArrayRef) -> PyResult<Self> {
        let Some(dictionary) = array.as_any_dictionary_opt() else { return Err(refused(array.data_type())) };
        let values = Self::from_array(dictionary.values())?;
        if values.is_empty() {
            return Ok(Self::Owned(vec![f64::NAN; array.len()]));
        }
        let keys = dictionary.normalized_keys();
        let value = |(row, key): (usize, &usize)| match dictionary.keys().is_null(row) {
            true => f64::NAN,
            false => values[*key],
        };
        Ok(Self::Owned(keys.iter().enumerate().map(value).collect()))
    }

    /// A copy of a buffer's numbers, NaN where they are masked.
    fn from_buffer(values: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = values.py();
        let (buffer, array) = match buffer_of(values) {
            Ok(buffer) => (buffer, values.clone()),
            Err(_) => {
                let array = as_array(values)?;
                let buffer = buffer_of(&array).map_err(|_| no_numbers(&array))?;
                (buffer, array)
            }
        };
        let mut numbers = read_numbers(&buffer, &array)?;
        buffer.release(py);
        // numpy.ma: what the buffer holds where the mask is set is no value.
        if values.hasattr(intern!(py, "mask"))? && values.hasattr(intern!(py, "filled"))? {
            let mask = values.getattr(intern!(py, "mask"))?;
            let masked = match has_no_dimension(&mask) {
                true => vec![mask.is_truthy()?; numbers.len()],
                false => read_mask(&buffer_of(&mask)?, &mask, numbers.len())?,
            };
            numbers.iter_mut().zip(masked).for_each(|(number, is_masked)| {
                if is_masked {
                    *number = f64::NAN;
                }
            });
        }
        Ok(Self::Owned(numbers))
    }
}

/// The values of all columns, one after the other.
fn concat(columns: &[InputColumn]) -> PyResult<Vec<f64>> {
    let mut values = room_for(columns.iter().map(|column| column.len()).sum())?;
    columns.iter().for_each(|column| values.extend_from_slice(column));
    Ok(values)
}

/// A column of `rows` NULLs.
fn no_values(rows: usize) -> PyResult<InputColumn> {
    let mut values = room_for(rows)?;
    values.resize(rows, f64::NAN);
    Ok(InputColumn::Owned(values))
}

/// Refuses types that only their owner understands: pandas' periods come as integers, booleans of one byte as numbers.
fn check_extension(field: &Field) -> PyResult<()> {
    match field.extension_type_name() {
        None => Ok(()),
        Some(name) => Err(PyTypeError::new_err(format!(
            "values must be numbers, and this column holds the extension type {name}: cast it to Float64 first"
        ))),
    }
}

/// An error of Arrow's reader, where it says that Arrow has no such type in words that help.
fn readable(error: PyErr) -> PyErr {
    let text = error.to_string();
    match text.split_once("The datatype ") {
        Some((_, rest)) if rest.contains("not supported") => PyTypeError::new_err(format!(
            "values must be numbers, and this column holds a type that Arrow has not, {}: cast it to Float64 first",
            rest.split(" is ").next().unwrap_or_default().replace("\"\"", "\"")
        )),
        _ => error,
    }
}

/// What a stream said, without the traceback that one written in Python adds.
fn without_traceback(text: &str) -> &str {
    text.split_once(" Detail: Python exception").map_or(text, |(what, _)| what)
}

/// What no column is, with a word of help.
fn refuse_others(values: &Bound<'_, PyAny>) -> PyResult<()> {
    let kind = type_name(values);
    if values.is_instance_of::<PyList>() || values.is_instance_of::<PyTuple>() {
        return Err(PyTypeError::new_err(format!(
            "values must be an array or a column, not a {kind}: pass numpy.asarray(values, dtype=\"float64\"), \
             array.array(\"d\", values) or a column of a DataFrame"
        )));
    }
    let is_text = values.is_instance_of::<PyString>()
        || values.is_instance_of::<PyBytes>()
        || values.is_instance_of::<PyByteArray>();
    let is_collection = values.is_instance_of::<PyDict>()
        || values.is_instance_of::<PySet>()
        || values.is_instance_of::<PyFrozenSet>();
    if is_text || is_collection {
        return Err(PyTypeError::new_err(format!(
            "values must be an array or a column of numbers, not {kind}: pass df[\"close\"] or a numpy array"
        )));
    }
    if matches!(kind.as_str(), "DataFrame" | "LazyFrame" | "Table" | "RecordBatch" | "DuckDBPyRelation") {
        return Err(PyValueError::new_err(format!(
            "values is a {kind}: pass one column, as in df[\"close\"]"
        )));
    }
    if kind == "Expr" {
        return Err(PyTypeError::new_err(
            "values is an expression: use pl.col(\"close\").rollfit.rolling(...), or pass a Series",
        ));
    }
    Ok(())
}

/// The numpy array of a pandas object that holds one, which needs neither pyarrow nor a conversion.
fn pandas_array<'py>(values: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = values.py();
    if !is_of_pandas(values)? || !values.hasattr(intern!(py, "dtype"))? {
        return Ok(None);
    }
    let dtype = values.getattr(intern!(py, "dtype"))?;
    match module_of(&dtype)?.starts_with("numpy") {
        true => values.call_method0(intern!(py, "to_numpy")).map(Some),
        false => Ok(None),
    }
}

/// Whether it is an object of pandas.
fn is_of_pandas(values: &Bound<'_, PyAny>) -> PyResult<bool> {
    let module = module_of(values)?;
    Ok(module == "pandas" || module.starts_with("pandas."))
}

/// The module of an object's type.
fn module_of(object: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(object.get_type().module()?.to_string_lossy().into_owned())
}

/// The buffer of an object; a memoryview adds the strides that those of ctypes leave out.
fn buffer_of(values: &Bound<'_, PyAny>) -> PyResult<PyUntypedBuffer> {
    PyUntypedBuffer::get(values).or_else(|_| PyUntypedBuffer::get(PyMemoryView::from(values)?.as_any()))
}

/// What `__array__` gives.
fn as_array<'py>(values: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = values.py();
    match values.hasattr(intern!(py, "__array__"))? && !values.hasattr(intern!(py, "__array_interface__"))? {
        true => values.call_method0(intern!(py, "__array__")),
        false => Err(no_numbers(values)),
    }
}

/// Whether it is one of numpy's single values.
fn has_no_dimension(values: &Bound<'_, PyAny>) -> bool {
    values.getattr(intern!(values.py(), "ndim")).is_ok_and(|ndim| ndim.eq(0).unwrap_or(false))
}

/// What to say of an object that shows no numbers.
fn no_numbers(values: &Bound<'_, PyAny>) -> PyErr {
    let kind = type_name(values);
    if has_no_dimension(values) {
        return PyValueError::new_err(format!(
            "values is a single number ({kind}): pass one column, as in df[\"close\"]"
        ));
    }
    let dtype = values.getattr(intern!(values.py(), "dtype")).map(|dtype| dtype.to_string());
    // The attribute of a class, or the types of several columns, say nothing in one line.
    let is_short = |dtype: &String| dtype.len() <= 40 && !dtype.contains(['\n', '<']);
    let dtype = dtype.ok().filter(is_short).map(|dtype| format!(" of {dtype}"));
    PyTypeError::new_err(format!(
        "values must be an array or a column of numbers, not {kind}{}: pass df[\"close\"] or a numpy array",
        dtype.unwrap_or_default()
    ))
}

/// What to say of an Arrow type that is no number.
fn refused(data_type: &DataType) -> PyErr {
    use DataType as T;
    let what = match data_type {
        T::Struct(fields) => {
            let columns = fields.len();
            let noun = if columns == 1 { "column in a table or struct" } else { "columns" };
            return PyValueError::new_err(format!(
                "values holds {columns} {noun}: pass one column, as in df[\"close\"]"
            ));
        }
        T::List(_) | T::LargeList(_) | T::FixedSizeList(..) | T::ListView(_) | T::LargeListView(_) => {
            return PyValueError::new_err(
                "values holds lists: pass one column of numbers, as in df[\"close\"]",
            );
        }
        T::Utf8 | T::LargeUtf8 | T::Utf8View => "strings".to_owned(),
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => "bytes".to_owned(),
        T::Boolean => "booleans".to_owned(),
        T::Date32 | T::Date64 => "dates".to_owned(),
        T::Timestamp(..) | T::Time32(_) | T::Time64(_) => "times".to_owned(),
        T::Duration(_) | T::Interval(_) => "durations".to_owned(),
        other => format!("the Arrow type {other}"),
    };
    PyTypeError::new_err(format!(
        "values must be numbers, and this column holds {what}: cast it to Float64 first"
    ))
}
