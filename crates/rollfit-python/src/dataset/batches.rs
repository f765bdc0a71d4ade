//! Features as Arrow record batches, and these as what Python gets.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use pyo3::prelude::*;
use rollfit_job::config::TIME_COLUMN;
use rollfit_job::stored_features::StoredFeatures;

use crate::table::Table;

/// The name of the column that says which key a row belongs to.
pub(super) const KEY_COLUMN: &str = "key";

/// Hands batches of one schema to Python.
pub(super) fn table_of(py: Python<'_>, schema: SchemaRef, batches: Vec<RecordBatch>) -> PyResult<Py<PyAny>> {
    Ok(Py::new(py, Table::from_batches(schema, batches))?.into_any())
}

/// Instants in UTC.
fn instants_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The schema of features: key, instant, and the columns.
pub(super) fn features_schema(columns: &[String]) -> SchemaRef {
    let feature = |name: &String| Field::new(name, DataType::Float64, true);
    let mut fields =
        vec![Field::new(KEY_COLUMN, DataType::Utf8, false), Field::new(TIME_COLUMN, instants_type(), false)];
    fields.extend(columns.iter().map(feature));
    Arc::new(Schema::new(fields))
}

/// The rows of a key within a span.
pub(super) fn features_batch(
    schema: SchemaRef,
    key: &str,
    features: StoredFeatures,
    span_us: &Range<i64>,
) -> Result<RecordBatch, ArrowError> {
    let StoredFeatures { instants_us, columns, .. } = features;
    let first = instants_us.partition_point(|&us| us < span_us.start);
    let end = instants_us.partition_point(|&us| us < span_us.end).max(first);
    let keys = StringArray::from_iter_values(std::iter::repeat_n(key, end - first));
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(keys), instants(instants_us).slice(first, end - first)];
    arrays.extend(columns.into_iter().map(|column| values(column).slice(first, end - first)));
    RecordBatch::try_new(schema, arrays)
}

/// Instants in microseconds since 1970 as a column.
pub(super) fn instants(instants_us: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(instants_us).with_timezone("UTC"))
}

/// Values as a column; NaN is NULL.
pub(super) fn values(values: Vec<f64>) -> ArrayRef {
    let is_there = BooleanBuffer::collect_bool(values.len(), |row| !values[row].is_nan());
    let nulls = Some(NullBuffer::new(is_there)).filter(|nulls| nulls.null_count() > 0);
    Arc::new(Float64Array::new(values.into(), nulls))
}

/// The schema of the window's inputs of an explanation.
pub(super) fn inputs_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(TIME_COLUMN, instants_type(), false),
        Field::new("value", DataType::Float64, true),
    ]))
}
