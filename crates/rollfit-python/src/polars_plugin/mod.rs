//! The expression `pl.col("close").rollfit.rolling(...)` as a plugin of Polars: a struct column of metrics, in the library
//! that Python has loaded already. `_polars.py` makes the expression.
//!
//! Its arguments are the values and, where windows begin anew with each key, a number for each row that changes when the key
//! does, and the number of the first run of rows whose key had rows before (0: none).

mod abi;
mod features;
mod key_runs;
mod kwargs;

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, StructArray};
use arrow_schema::{DataType, Field, Fields};

use self::key_runs::KeyRuns;
pub(crate) use self::kwargs::_polars_kwargs;
use crate::spec::FeatureSpec;

/// A column that Polars hands over.
struct PluginSeries {
    field: Field,
    chunks: Vec<ArrayRef>,
}

/// The type of what [`rolling`] gives for columns of these types.
fn rolling_field(inputs: &[Field], kwargs: &[u8]) -> Result<Field, String> {
    let spec = kwargs::parse(kwargs)?;
    let values = inputs.first().ok_or("there is no column to compute from")?;
    check_type(values)?;
    Ok(Field::new(values.name(), DataType::Struct(fields(&spec)), true))
}

/// Computes the struct column.
fn rolling(inputs: Vec<PluginSeries>, kwargs: &[u8]) -> Result<(Field, StructArray), String> {
    let spec = kwargs::parse(kwargs)?;
    let mut inputs = inputs.into_iter();
    let series = inputs.next().ok_or("there is no column to compute from")?;
    let rows = series.chunks.iter().map(|chunk| chunk.len()).sum();
    let runs = match (inputs.next(), inputs.next()) {
        (Some(ids), Some(returned)) => KeyRuns::new(rows, &ids.chunks, &returned.chunks)?,
        _ => KeyRuns::from_one(rows),
    };
    let columns = features::compute(&values(&series)?, &runs, &spec)?;
    let fields = fields(&spec);
    let field = Field::new(series.field.name(), DataType::Struct(fields.clone()), true);
    let array =
        StructArray::try_new_with_length(fields, columns, None, rows).map_err(|error| error.to_string())?;
    Ok((field, array))
}

fn fields(spec: &FeatureSpec) -> Fields {
    spec.column_names().into_iter().map(|name| Field::new(name, DataType::Float64, true)).collect()
}

fn check_type(field: &Field) -> Result<(), String> {
    match field.data_type() {
        DataType::Null => Ok(()),
        kind if kind.is_integer() || matches!(kind, DataType::Float32 | DataType::Float64) => Ok(()),
        kind => Err(format!(
            "column {:?} is of type {kind}, and rolling takes floats and integers; cast it to Float64 if it holds numbers",
            field.name()
        )),
    }
}

/// The values of a column, NaN for NULL: its own memory where that is doubles without NULLs in one piece.
fn values(series: &PluginSeries) -> Result<Cow<'_, [f64]>, String> {
    check_type(&series.field)?;
    if let [chunk] = &series.chunks[..]
        && let Some(doubles) = chunk.as_primitive_opt::<Float64Type>()
        && doubles.null_count() == 0
    {
        return Ok(Cow::Borrowed(doubles.values()));
    }
    let mut values = Vec::with_capacity(series.chunks.iter().map(|chunk| chunk.len()).sum());
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
