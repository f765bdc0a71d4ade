//! Reads whole files into bars, the way of their format.

mod advice;
mod certain_row;
mod layout;
mod parquet_bars;
mod parquet_columns;
mod parquet_times;
mod text_bars;
mod text_blocks;
mod text_keys;
mod text_lines;
mod text_rows;

use std::path::Path;

use crate::cores::Cores;
use crate::error::ImportError;
use crate::formats::RowRules;
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
