//! The values of a column that Polars hands over, as doubles.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_schema::{DataType, Field};

use super::PluginSeries;

/// Refuses columns of other types than floats and integers.
pub(super) fn check_type(field: &Field) -> Result<(), String> {
    match field.data_type() {
        DataType::Null => Ok(()),
        kind if kind.is_integer() || matches!(kind, DataType::Float32 | DataType::Float64) => Ok(()),
        kind => {
            let kind = match kind {
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "String".to_owned(),
                kind => kind.to_string(),
            };
            Err(format!(
                "column {:?} is of type {kind}, and rolling takes floats and integers; cast it to Float64 if it holds numbers",
                field.name()
            ))
        }
    }
}

/// The values of a column, NaN for NULL: its own memory where that is doubles without NULLs in one piece.
pub(super) fn values(series: &PluginSeries) -> Result<Cow<'_, [f64]>, String> {
    check_type(&series.field)?;
    if let [chunk] = &series.chunks[..]
        && let Some(doubles) = chunk.as_primitive_opt::<Float64Type>()
        && doubles.null_count() == 0
    {
        return Ok(Cow::Borrowed(doubles.values()));
    }
    let mut values = Vec::with_capacity(series.chunks.iter().map(Array::len).sum());
    for chunk in &series.chunks {
        append(&mut values, chunk).map_err(|error| format!("column {:?}: {error}", series.field.name()))?;
    }
    Ok(Cow::Owned(values))
}

fn append(values: &mut Vec<f64>, chunk: &dyn Array) -> Result<(), String> {
    match chunk.data_type() {
        DataType::Null => values.resize(values.len() + chunk.len(), f64::NAN),
        DataType::Float64 => append_as::<Float64Type>(values, chunk, |value| value),
        DataType::Float32 => append_as::<Float32Type>(values, chunk, f64::from),
        DataType::Int8 => append_as::<Int8Type>(values, chunk, f64::from),
        DataType::Int16 => append_as::<Int16Type>(values, chunk, f64::from),
        DataType::Int32 => append_as::<Int32Type>(values, chunk, f64::from),
        DataType::UInt8 => append_as::<UInt8Type>(values, chunk, f64::from),
        DataType::UInt16 => append_as::<UInt16Type>(values, chunk, f64::from),
        DataType::UInt32 => append_as::<UInt32Type>(values, chunk, f64::from),
        DataType::Int64 => {
            let largest = largest(chunk.as_primitive::<Int64Type>().iter().flatten().map(i64::unsigned_abs));
            check_exact(largest)?;
            append_as::<Int64Type>(values, chunk, |value| value as f64);
        }
        DataType::UInt64 => {
            check_exact(largest(chunk.as_primitive::<UInt64Type>().iter().flatten()))?;
            append_as::<UInt64Type>(values, chunk, |value| value as f64);
        }
        kind => return Err(format!("is of type {kind}")),
    }
    Ok(())
}

fn append_as<T: ArrowPrimitiveType>(
    values: &mut Vec<f64>,
    chunk: &dyn Array,
    double: impl Fn(T::Native) -> f64,
) {
    let chunk = chunk.as_primitive::<T>();
    if chunk.null_count() == 0 {
        values.extend(chunk.values().iter().map(|&value| double(value)));
    } else {
        values.extend(chunk.iter().map(|value| value.map_or(f64::NAN, &double)));
    }
}

fn largest(values: impl Iterator<Item = u64>) -> u64 {
    values.max().unwrap_or(0)
}

/// Refuses integers that a double cannot hold.
fn check_exact(largest: u64) -> Result<(), String> {
    if largest > 1 << f64::MANTISSA_DIGITS {
        return Err(format!(
            "the integer {largest} has no exact double (they end at 2^53); cast it to Float64 to accept that"
        ));
    }
    Ok(())
}
