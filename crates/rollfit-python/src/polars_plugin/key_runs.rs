//! [`KeyRuns`]: the rows of each key, which windows do not leave.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

/// Where runs of rows of one key end.
pub(super) struct KeyRuns {
    ends: Vec<usize>,
}

impl KeyRuns {
    /// All rows in one run.
    pub(super) fn from_one(rows: usize) -> Self {
        Self { ends: if rows == 0 { Vec::new() } else { vec![rows] } }
    }

    /// The runs of equal `ids`, one a row. `returned` begins with the number of the first run whose key had rows before, or 0.
    pub(super) fn new(rows: usize, ids: &[ArrayRef], returned: &[ArrayRef]) -> Result<Self, String> {
        let mut ends = Vec::new();
        let (mut row, mut last) = (0, None);
        for chunk in ids {
            match chunk.data_type() {
                DataType::UInt32 => {
                    let ids = chunk.as_primitive::<UInt32Type>().values().iter().map(|&id| u64::from(id));
                    (row, last) = add_ends(&mut ends, row, last, ids);
                }
                DataType::UInt64 => {
                    let ids = chunk.as_primitive::<UInt64Type>().values().iter().copied();
                    (row, last) = add_ends(&mut ends, row, last, ids);
                }
                kind => return Err(format!("by: the numbers of runs are of type {kind}")),
            }
        }
        if row != rows {
            return Err(format!(
                "by: the key has {row} rows and the column {rows}; both must come from one frame"
            ));
        }
        if rows > 0 {
            ends.push(rows);
        }
        let runs = Self { ends };
        match first(returned).unwrap_or(0) {
            0 => Ok(runs),
            run => Err(format!(
                "by: the key of row {} has rows before, with other keys between them; sort by the key first, and by time within it",
                usize::try_from(run).ok().and_then(|run| runs.ends.get(run - 1)).copied().unwrap_or_default()
            )),
        }
    }

    /// The rows of each run, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Range<usize>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| start..end)
    }
}

/// Notes each row whose id is not that of the row before; returns the number of rows so far and the last id.
fn add_ends(
    ends: &mut Vec<usize>,
    mut row: usize,
    mut last: Option<u64>,
    ids: impl Iterator<Item = u64>,
) -> (usize, Option<u64>) {
    for id in ids {
        if last.is_some_and(|last| last != id) {
            ends.push(row);
        }
        last = Some(id);
        row += 1;
    }
    (row, last)
}

/// The first value of a column of numbers.
fn first(chunks: &[ArrayRef]) -> Option<u64> {
    let chunk = chunks.iter().find(|chunk| !chunk.is_empty())?;
    match chunk.data_type() {
        DataType::UInt32 => chunk.as_primitive::<UInt32Type>().iter().next()?.map(u64::from),
        DataType::UInt64 => chunk.as_primitive::<UInt64Type>().iter().next()?,
        _ => None,
    }
}
