//! Reads whole files into bars, the way of their format.

mod advice;
mod certain_row;
mod layout;
mod parquet_bars;
mod parquet_columns;
mod parquet_times;
mod text_bars;
mod text_blocks;
mod text_lines;
mod text_rows;

use std::path::Path;

use crate::cores::Cores;
use crate::error::ImportError;
use crate::formats::{Format, RowRules};
use crate::read_options::ReadOptions;
use crate::rows::collector::Collected;

/// Reads one file.
pub(crate) fn read(path: &Path, options: &ReadOptions, cores: &Cores) -> Result<Vec<Collected>, ImportError> {
    match &options.format.rules().rows {
        RowRules::Text(rules) => {
            text_bars::read(path, options, rules, cores).map_err(|error| advice::advised(error, options))
        }
        RowRules::Parquet => parquet_bars::read(path, options),
    }
}

/// The format that a file looks like. Serves advice only: no file is read in a format that the user did not name.
#[must_use]
pub fn recognized_format(path: &Path) -> Option<Format> {
    advice::format_of(path)
}
