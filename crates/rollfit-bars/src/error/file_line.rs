//! [`FileLine`]: where in a file a row is.

use std::fmt;
use std::path::{Path, PathBuf};

/// What the rows of a file are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowUnit {
    /// Lines of text, the header included, from 1.
    #[default]
    Line,
    /// Rows of a Parquet file, from 1.
    Row,
}

/// A line of a text file or a row of a Parquet file. Prints as `FILE:LINE` or `FILE: row ROW`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLine {
    /// The file as it was named.
    pub path: PathBuf,
    /// What `number` counts.
    pub unit: RowUnit,
    /// Line or row, from 1.
    pub number: u64,
}

impl FileLine {
    pub(crate) fn new(path: &Path, unit: RowUnit, number: u64) -> Self {
        Self { path: path.to_path_buf(), unit, number }
    }
}

impl fmt::Display for FileLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, number) = (self.path.display(), self.number);
        match self.unit {
            RowUnit::Line => write!(formatter, "{path}:{number}"),
            RowUnit::Row => write!(formatter, "{path}: row {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_print_as_editors_read_them() {
        assert_eq!(FileLine::new(Path::new("a/b.csv"), RowUnit::Line, 7).to_string(), "a/b.csv:7");
        assert_eq!(FileLine::new(Path::new("b.parquet"), RowUnit::Row, 7).to_string(), "b.parquet: row 7");
    }
}
