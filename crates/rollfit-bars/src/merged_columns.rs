//! [`MergedColumns`]: the further columns of the files of a key, joined as their bars are.
//!
//! A bar has no value in a column that its file lacks, and no value agrees with any: it is filled from a file that has one.

use std::ops::Range;

use rollfit_job::import::BarColumn;

use crate::rows::values::{agree, fill};

/// The columns of any of the files, in the order in which they appear.
pub(crate) struct MergedColumns {
    merged: Vec<BarColumn>,
    /// Of each file, its values of each merged column, if it has that.
    files: Vec<Vec<Option<Vec<f64>>>>,
}

impl MergedColumns {
    /// Takes the columns of each file.
    pub(crate) fn new(files: impl Iterator<Item = Vec<BarColumn>>) -> Self {
        let mut columns = Self { merged: Vec::new(), files: Vec::new() };
        files.for_each(|file| columns.add(file));
        let count = columns.merged.len();
        columns.files.iter_mut().for_each(|file| file.resize(count, None));
        columns
    }

    fn add(&mut self, file: Vec<BarColumn>) {
        let mut values = vec![None; self.merged.len()];
        for column in file {
            match self.merged.iter().position(|merged| merged.name == column.name) {
                Some(at) => values[at] = Some(column.values),
                None => {
                    self.merged.push(BarColumn { name: column.name, values: Vec::new() });
                    values.push(Some(column.values));
                }
            }
        }
        self.files.push(values);
    }

    /// Takes over bars of a file.
    pub(crate) fn take(&mut self, file: usize, bars: Range<usize>) {
        for (merged, values) in self.merged.iter_mut().zip(&self.files[file]) {
            match values {
                Some(values) => merged.values.extend_from_slice(&values[bars.clone()]),
                None => merged.values.resize(merged.values.len() + bars.len(), f64::NAN),
            }
        }
    }

    /// Fills the merged bar at `index` with the values of a file's bar that is the same; the column, the value of the file
    /// and that of the merged bar where they differ.
    pub(crate) fn repeat(&mut self, file: usize, bar: usize, index: usize) -> Result<(), (String, f64, f64)> {
        let of_file =
            || self.files[file].iter().map(|values| values.as_ref().map_or(f64::NAN, |values| values[bar]));
        for (merged, value) in self.merged.iter().zip(of_file()) {
            if !agree(merged.values[index], value) {
                return Err((merged.name.clone(), value, merged.values[index]));
            }
        }
        for (merged, values) in self.merged.iter_mut().zip(&self.files[file]) {
            if let Some(values) = values {
                fill(&mut merged.values[index], values[bar]);
            }
        }
        Ok(())
    }

    /// The columns, with a value per merged bar.
    pub(crate) fn into_columns(self) -> Vec<BarColumn> {
        self.merged
    }
}
