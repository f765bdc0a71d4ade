//! [`ReadOptions`]: how to read the files of one command.

use crate::error::ImportError;
use crate::formats::{Format, NamedColumns, RowRules};
use crate::table::column_options::ColumnOptions;
use crate::time::zone::Zone;

/// How to read the files of one command.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadOptions {
    /// The format of every file.
    pub format: Format,
    /// The key of every file; without it, each path has to tell.
    pub key: Option<String>,
    /// Whether the name of each file, without its ending, is its key.
    pub key_from_name: bool,
    /// The column of each file that says the key of a row, by its name or, in `csv` without a header, its number.
    pub key_column: Option<String>,
    /// The zone of local times; without it, the bytes or the format have to tell.
    pub zone: Option<Zone>,
    /// Named columns and delimiter.
    pub columns: ColumnOptions,
    /// Drop and count bad rows instead of stopping at the first.
    pub lenient: bool,
    /// Lines above the table, which are not read; only in text.
    pub skip_lines: usize,
}

impl ReadOptions {
    /// Strict reading of `format`, everything else left to be found in the path and the bytes.
    #[must_use]
    pub fn new(format: Format) -> Self {
        let columns = ColumnOptions::default();
        Self {
            format,
            key: None,
            key_from_name: false,
            key_column: None,
            zone: None,
            columns,
            lenient: false,
            skip_lines: 0,
        }
    }

    /// Refuses options that the format does not have.
    pub(crate) fn check(&self) -> Result<(), ImportError> {
        let format = self.format;
        if self.key.is_some() && self.key_column.is_some() {
            let why = "--key and --key-column contradict each other: omit one of them".to_owned();
            return Err(ImportError::Options { why });
        }
        if self.key_from_name && (self.key.is_some() || self.key_column.is_some()) {
            let why = "--key-from-name goes with neither --key nor --key-column: omit one of them".to_owned();
            return Err(ImportError::Options { why });
        }
        if self.skip_lines > 0 && matches!(format.rules().rows, RowRules::Parquet) {
            let why = format!("the format {format} has no lines; omit --skip-lines");
            return Err(ImportError::Options { why });
        }
        self.check_columns()
    }

    fn check_columns(&self) -> Result<(), ImportError> {
        let ColumnOptions { time, close, delimiter, date, .. } = &self.columns;
        let is_allowed = match self.format.rules().named_columns() {
            NamedColumns::All => true,
            NamedColumns::Columns => delimiter.is_none(),
            NamedColumns::None => {
                [time, close, date].iter().all(|name| name.is_none()) && delimiter.is_none()
            }
        };
        if is_allowed {
            return Ok(());
        }
        let format = self.format;
        let why = format!("the format {format} has fixed columns; omit the column options, or use csv");
        Err(ImportError::Options { why })
    }
}
