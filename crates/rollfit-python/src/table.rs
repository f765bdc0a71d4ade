//! [`Table`]: columns for Python, which Arrow's readers take without a copy.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StructArray};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef};
use pyo3::exceptions::{PyKeyError, PyMemoryError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyString, PyTuple};
use pyo3_arrow::ffi::{ArrayIterator, to_array_pycapsules, to_schema_pycapsule, to_stream_pycapsule};

use crate::block::Block;
use crate::column::Column;
use crate::compute::{Features, NoMemory, NullCounts};
use crate::nearest_names::suggestion;
use crate::spec::{FeatureSpec, type_name};

/// Columns of equal length, read-only.
///
/// Polars, pyarrow, pandas, DuckDB, DataFusion and everything else that reads the Arrow PyCapsule interface takes a table without a copy
/// (`pl.DataFrame(t)`, `pa.table(t)`, `pd.DataFrame.from_arrow(t)`, `duckdb.sql("from t")`), and none of them need be installed. The
/// memory lives as long as anything made of it.
#[pyclass(frozen, mapping, module = "rollfit")]
pub(crate) struct Table {
    /// None while somebody writes into its memory.
    content: Mutex<Option<Content>>,
}

/// What is in a table.
struct Content {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// Why values are NULL, column by column, where it is known.
    null_counts: Option<Vec<NullCounts>>,
    /// The features whose memory may be written again.
    features: Option<Features>,
}

impl Content {
    fn from_features(schema: SchemaRef, features: Features) -> Result<Self, ArrowError> {
        let options = RecordBatchOptions::new().with_row_count(Some(features.rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), features.arrays(), &options)?;
        let null_counts = Some(features.null_counts());
        Ok(Self { schema, batches: vec![batch], null_counts, features: Some(features) })
    }

    fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The rows as one batch, copied where there are several.
    fn whole(&self) -> Result<RecordBatch, ArrowError> {
        match self.batches.as_slice() {
            [batch] => Ok(batch.clone()),
            batches => arrow_select::concat::concat_batches(&self.schema, batches),
        }
    }

    /// A column as one array, copied where there are several batches.
    fn column(&self, at: usize) -> Result<ArrayRef, ArrowError> {
        match self.batches.as_slice() {
            [batch] => Ok(Arc::clone(batch.column(at))),
            [] => Ok(arrow_array::new_empty_array(self.schema.field(at).data_type())),
            batches => {
                let arrays: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(at).as_ref()).collect();
                arrow_select::concat::concat(&arrays)
            }
        }
    }
}

impl Table {
    /// The rows of `batches`, which have this schema.
    pub(crate) fn from_batches(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self::new(Content { schema, batches, null_counts: None, features: None })
    }

    /// Computed features.
    pub(crate) fn from_features(spec: &FeatureSpec, features: Features) -> PyResult<Self> {
        Ok(Self::new(Content::from_features(schema(spec), features).map_err(arrow_error)?))
    }

    fn new(content: Content) -> Self {
        Self { content: Mutex::new(Some(content)) }
    }

    /// Takes the memory out, for features of `spec` over `rows` rows, which [`Table::put`] brings.
    ///
    /// # Errors
    /// ValueError where the table has another shape, or anybody else still has some of its memory; then it stays as it is.
    pub(crate) fn take_block(&self, spec: &FeatureSpec, rows: usize) -> PyResult<Block> {
        let mut place = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let content = place.take().ok_or_else(being_written)?;
        let (is_rows, is_columns) = (content.rows(), content.schema.fields().len());
        let is_same = is_rows == rows && is_columns == spec.column_count();
        let Content { schema, batches, null_counts, features } = content;
        let features = match features {
            Some(features) if is_same && features.len() == Features::block_len(rows, spec) => features,
            features => {
                *place = Some(Content { schema, batches, null_counts, features });
                return Err(PyValueError::new_err(format!(
                    "out has {is_rows} rows x {is_columns} columns, and {rows} x {} of the same kind are needed: pass a table that \
                     the same call has returned, or leave out=",
                    spec.column_count()
                )));
            }
        };
        drop(batches);
        features.into_block().map_err(|features| {
            *place = Content::from_features(schema, features).ok();
            PyValueError::new_err(
                "out is still used by a column, DataFrame or array that was made of it: delete that first, or leave out=",
            )
        })
    }

    /// Brings new features.
    pub(crate) fn put(&self, spec: &FeatureSpec, features: Features) -> PyResult<()> {
        let content = Content::from_features(schema(spec), features).map_err(arrow_error)?;
        *self.content.lock().unwrap_or_else(PoisonError::into_inner) = Some(content);
        Ok(())
    }

    /// Asks the content, which calls nothing of Python meanwhile.
    fn read<T>(&self, question: impl FnOnce(&Content) -> T) -> PyResult<T> {
        let content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        content.as_ref().map(question).ok_or_else(being_written)
    }

    /// The column called `name`.
    fn find(&self, name: &str) -> PyResult<Column> {
        let found = self.read(|content| {
            let found = content.schema.fields().find(name).map(|(at, field)| (at, Arc::clone(field)));
            found.map_or_else(
                || Err(unknown_column(name, &content.schema)),
                |(at, field)| {
                    let array = content.column(at).map_err(arrow_error)?;
                    Ok((field, array, content.null_counts.as_ref().map(|counts| counts[at])))
                },
            )
        })?;
        let (field, array, null_counts) = found?;
        Ok(Column::new(field, array, null_counts))
    }
}

#[pymethods]
impl Table {
    /// The names of the columns, in order.
    #[getter]
    fn column_names(&self) -> PyResult<Vec<String>> {
        self.read(|content| content.schema.fields().iter().map(|field| field.name().clone()).collect())
    }

    /// The number of rows.
    #[getter]
    fn num_rows(&self) -> PyResult<usize> {
        self.read(Content::rows)
    }

    /// The number of columns.
    #[getter]
    fn num_columns(&self) -> PyResult<usize> {
        self.read(|content| content.schema.fields().len())
    }

    /// How many values of all columns are NULL, by cause: `warmup` (the window reaches before the first row), `input` (the window holds
    /// a value that is missing, not finite or beyond 1e100), `undefined` (the formula has no finite value). A column's own are
    /// `t["r2_w15"].null_counts`. A table read from a store has `unknown` in their place.
    #[getter]
    fn null_counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (by_cause, total) = self.read(|content| {
            let by_cause =
                content.null_counts.as_ref().map(|counts| counts.iter().copied().sum::<NullCounts>());
            let columns = content.batches.iter().flat_map(RecordBatch::columns);
            (by_cause, columns.map(Array::null_count).sum::<usize>())
        })?;
        null_counts_dict(py, by_cause, total)
    }

    /// A column as a one-dimensional numpy array: float64 without a copy, read-only, NaN for NULL. Needs numpy.
    fn to_numpy<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        Bound::new(py, self.find(name)?)?.call_method0("to_numpy")
    }

    fn __len__(&self) -> PyResult<usize> {
        self.num_rows()
    }

    fn __getitem__(&self, name: &Bound<'_, PyAny>) -> PyResult<Column> {
        match name.cast::<PyString>() {
            Ok(name) => self.find(&name.to_string_lossy()),
            Err(_) => Err(PyTypeError::new_err(format!(
                "a column is found by its name, not by {}: t[\"r2_w15\"]; t.column_names lists them",
                type_name(name)
            ))),
        }
    }

    fn __contains__(&self, name: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(name) = name.cast::<PyString>() else { return Ok(false) };
        let name = name.to_string_lossy();
        self.read(|content| content.schema.fields().find(&name).is_some())
    }

    fn __iter__<'py>(slf: PyRef<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let names = slf.column_names()?;
        Ok(names.into_pyobject(slf.py())?.into_any().try_iter()?.into_any())
    }

    /// A table is no array: numpy and pandas would make one of the names.
    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__(&self, dtype: Option<Bound<'_, PyAny>>, copy: Option<bool>) -> PyResult<Py<PyAny>> {
        let _ = (dtype, copy);
        Err(PyTypeError::new_err(
            "a table is several columns, not one array: take one, as in t[\"r2_w15\"], or make a DataFrame with polars.DataFrame(t), \
             pyarrow.table(t) or pandas.DataFrame.from_arrow(t)",
        ))
    }

    fn __repr__(&self) -> PyResult<String> {
        self.read(|content| {
            let names: Vec<&str> =
                content.schema.fields().iter().map(|field| field.name().as_str()).collect();
            let shown = match names.as_slice() {
                [first, second, .., last] if names.len() > 5 => format!("{first}, {second}, ..., {last}"),
                names => names.join(", "),
            };
            format!("<rollfit.Table: {} rows x {} columns: {shown}>", content.rows(), names.len())
        })
    }

    /// The columns as a stream of Arrow struct arrays, for readers of the PyCapsule interface.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let (schema, batches) =
            self.read(|content| (Arc::clone(&content.schema), content.batches.clone()))?;
        let field = Arc::new(struct_field(&schema));
        let arrays = batches.into_iter().map(|batch| Ok(Arc::new(StructArray::from(batch)) as ArrayRef));
        Ok(to_stream_pycapsule(py, Box::new(ArrayIterator::new(arrays, field)), requested_schema)?)
    }

    /// The columns as one Arrow struct array, for readers of the PyCapsule interface.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let batch = self.read(Content::whole)?.map_err(arrow_error)?;
        let field = Arc::new(struct_field(&batch.schema()));
        Ok(to_array_pycapsules(py, field, &StructArray::from(batch), requested_schema)?)
    }

    /// The names and types of the columns, for readers of the PyCapsule interface.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = self.read(|content| Arc::clone(&content.schema))?;
        Ok(to_schema_pycapsule(py, schema.as_ref())?)
    }
}

/// The columns of `spec`.
fn schema(spec: &FeatureSpec) -> SchemaRef {
    let fields: Fields =
        spec.column_names().into_iter().map(|name| Field::new(name, DataType::Float64, true)).collect();
    Arc::new(Schema::new(fields))
}

/// The columns as the fields of one array.
fn struct_field(schema: &Schema) -> Field {
    Field::new_struct("", schema.fields().clone(), false).with_metadata(schema.metadata().clone())
}

/// NULL counts for Python.
pub(crate) fn null_counts_dict(
    py: Python<'_>,
    by_cause: Option<NullCounts>,
    total: usize,
) -> PyResult<Bound<'_, PyDict>> {
    let counts = PyDict::new(py);
    match by_cause {
        Some(NullCounts { warmup, input, undefined }) => {
            counts.set_item("warmup", warmup)?;
            counts.set_item("input", input)?;
            counts.set_item("undefined", undefined)?;
        }
        None => counts.set_item("unknown", total)?,
    }
    Ok(counts)
}

fn unknown_column(name: &str, schema: &Schema) -> PyErr {
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let hint = suggestion(name, names).unwrap_or_else(|| "t.column_names lists them".to_owned());
    PyKeyError::new_err(format!("there is no column {name:?}: {hint}"))
}

fn being_written() -> PyErr {
    PyValueError::new_err(
        "the table is being written: a call with out= works on it, or was stopped by an error",
    )
}

/// What Arrow refuses, which nothing of ours should be.
pub(crate) fn arrow_error(error: ArrowError) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

/// What to say where there is no memory.
pub(crate) fn no_memory(NoMemory { rows, columns }: NoMemory) -> PyErr {
    PyMemoryError::new_err(format!(
        "there is no memory for {rows} rows x {columns} columns: ask for fewer metrics or windows, or for parts of the series"
    ))
}
