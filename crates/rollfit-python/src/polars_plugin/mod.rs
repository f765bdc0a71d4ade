//! The expression `pl.col("close").rollfit.rolling(...)` as a plugin of Polars: a struct column of metrics, in the library
//! that Python has loaded already. `_polars.py` makes the expression.
//!
//! Its arguments are the values and, where windows begin anew with each key, a number for each row that changes when the key
//! does, and the number of the first run of rows whose key had rows before (NULL: none).

mod abi;
mod key_starts;
mod kwargs;
mod values;

use arrow_array::{Array, ArrayRef, StructArray};
use arrow_schema::{DataType, Field, Fields};

use self::key_starts::key_starts;
pub(crate) use self::kwargs::_polars_kwargs;
use crate::compute::{Features, NoMemory, Series};
use crate::spec::FeatureSpec;

/// A column that Polars hands over.
struct PluginSeries {
    field: Field,
    chunks: Vec<ArrayRef>,
}

/// The type of what [`rolling`] gives for columns of these types.
fn rolling_field(inputs: &[Field], kwargs: &[u8]) -> Result<Field, String> {
    let spec = kwargs::parse(kwargs)?;
    let values = inputs.first().ok_or(NO_COLUMN)?;
    values::check_type(values)?;
    Ok(Field::new(values.name(), DataType::Struct(fields(&spec)), true))
}

/// Computes the struct column.
fn rolling(inputs: &[PluginSeries], kwargs: &[u8]) -> Result<(Field, StructArray), String> {
    let spec = kwargs::parse(kwargs)?;
    let (series, key) = inputs.split_first().ok_or(NO_COLUMN)?;
    let rows = series.chunks.iter().map(Array::len).sum();
    let starts = match key {
        [] => Vec::new(),
        [ids, returned] => key_starts(rows, &ids.chunks, &returned.chunks)?,
        _ => {
            return Err("by: this expression was not made by this version of rollfit; make it again with it"
                .to_owned());
        }
    };
    let values = values::values(series)?;
    let series_values = Series { values: &values, lookback_rows: 0, starts: &starts };
    let features = Features::compute(&series_values, &spec, None, None);
    let features = features.map_err(|NoMemory { rows, columns }| {
        format!("there is no memory for {rows} rows x {columns} columns: ask for fewer metrics or windows")
    })?;
    let fields = fields(&spec);
    let field = Field::new(series.field.name(), DataType::Struct(fields.clone()), true);
    let array = StructArray::try_new_with_length(fields, features.arrays(), None, rows)
        .map_err(|error| error.to_string())?;
    Ok((field, array))
}

const NO_COLUMN: &str = "there is no column to compute from";

fn fields(spec: &FeatureSpec) -> Fields {
    spec.column_names().into_iter().map(|name| Field::new(name, DataType::Float64, true)).collect()
}
