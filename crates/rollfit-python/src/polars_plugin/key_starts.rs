//! [`key_starts`]: the rows at which windows begin anew.

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

/// The rows, but for the first one, that have another of the `ids` than the row before. `returned` begins with the number of the
/// first run of rows whose key had rows before, NULL if there is none.
pub(super) fn key_starts(rows: usize, ids: &[ArrayRef], returned: &[ArrayRef]) -> Result<Vec<usize>, String> {
    let mut starts = Vec::new();
    let (mut row, mut last) = (0, None);
    for chunk in ids {
        match chunk.data_type() {
            DataType::UInt32 => {
                let ids = chunk.as_primitive::<UInt32Type>().values().iter().map(|&id| u64::from(id));
                add_starts(&mut starts, &mut row, &mut last, ids);
            }
            DataType::UInt64 => {
                let ids = chunk.as_primitive::<UInt64Type>().values().iter().copied();
                add_starts(&mut starts, &mut row, &mut last, ids);
            }
            kind => return Err(format!("by: the numbers of runs are of type {kind}")),
        }
    }
    if row != rows {
        return Err(format!(
            "by: the key has {row} rows and the column {rows}; both must come from one frame"
        ));
    }
    match first(returned)? {
        None => Ok(starts),
        Some(run) => {
            let start = usize::try_from(run).ok().and_then(|run| starts.get(run.checked_sub(1)?));
            Err(format!(
                "by: the key of row {} (counted from 0) has rows before, with other keys between them; sort by the key, and \
                 by time within it",
                start.copied().unwrap_or_default()
            ))
        }
    }
}

fn add_starts(
    starts: &mut Vec<usize>,
    row: &mut usize,
    last: &mut Option<u64>,
    ids: impl Iterator<Item = u64>,
) {
    for id in ids {
        if last.is_some_and(|last| last != id) {
            starts.push(*row);
        }
        *last = Some(id);
        *row += 1;
    }
}

/// The first value of a column of numbers.
fn first(chunks: &[ArrayRef]) -> Result<Option<u64>, String> {
    let Some(chunk) = chunks.iter().find(|chunk| !chunk.is_empty()) else {
        return Ok(None);
    };
    match chunk.data_type() {
        DataType::UInt32 => Ok(chunk.as_primitive::<UInt32Type>().iter().next().flatten().map(u64::from)),
        DataType::UInt64 => Ok(chunk.as_primitive::<UInt64Type>().iter().next().flatten()),
        kind => Err(format!("by: the number of a run is of type {kind}")),
    }
}
