//! From file paths to validated one-minute bars per key, before any store sees them.
//!
//! [`read_file`] turns one file into a [`BarFile`]: bars sorted by instant, each instant once, every
//! dropped row counted. [`merge()`] joins the files of one command into one [`KeyBars`] per key, which still
//! knows the file and line of every bar. What becomes of them in a store is [`rollfit_job::import`]'s business.
//!
//! What holds for every bar that leaves this crate:
//!
//! * its instant is a whole number of microseconds, UTC, and its zone was stated by the user, the bytes or
//!   the format, never guessed;
//! * its close is finite and above zero;
//! * rows are the same bar when instant and close are equal. Other columns are not imported and not compared.
//!
//! Anything else is an [`ImportError`], or, when [`ReadOptions::lenient`] is set, a row dropped and counted.
//! Nothing here writes, and no input makes it panic.

mod archive;
mod certain_row;
mod collect;
mod column_names;
mod epoch;
mod error;
mod fields;
mod format;
mod gzip;
mod instruments;
mod key;
mod layout;
mod merge;
mod origin;
mod parquet_bars;
mod price;
mod report;
mod shown;
mod stamp;
mod text;
mod time_columns;
mod time_fields;
mod when;
mod zip_entry;
mod zone;

use std::path::{Path, PathBuf};

pub use epoch::{EpochUnit, NumberKind};
pub use error::{ImportError, Place, RowFault, Unit};
pub use format::Format;
pub use merge::{KeyBars, MergeReport, merge};
pub use origin::Lines;
pub use report::{Cause, FileReport};
use rollfit_job::import::Bar;
pub use zone::{LocalFault, Zone};

/// Which columns to read, for the formats `csv` and `parquet`. What is `None` is found by the header.
///
/// In `csv` a column is a name of the header, or a number counted from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CsvColumns {
    /// The column of the time stamp.
    pub time: Option<String>,
    /// The column of the close.
    pub close: Option<String>,
    /// The character between two fields; only in `csv`.
    pub delimiter: Option<char>,
    /// The column of the date, where the time column holds times of day only; not in `parquet`.
    pub date: Option<String>,
}

/// How to read the files of one command.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadOptions {
    /// The format of every file.
    pub format: Format,
    /// The key of every file; without it, each path has to tell.
    pub key: Option<String>,
    /// The zone of local times; without it, the bytes or the format have to tell.
    pub zone: Option<Zone>,
    /// Named columns and delimiter.
    pub columns: CsvColumns,
    /// Drop and count bad rows instead of stopping at the first.
    pub lenient: bool,
}

impl ReadOptions {
    /// Strict reading of `format`, everything else left to be found in the path and the bytes.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format, key: None, zone: None, columns: CsvColumns::default(), lenient: false }
    }
}

/// What one file held.
#[derive(Debug, Clone, PartialEq)]
pub struct BarFile {
    /// The file as it was named.
    pub path: PathBuf,
    /// The key its bars belong to.
    pub key: String,
    /// The bars, sorted by instant, each instant once, never empty.
    pub bars: Vec<Bar>,
    /// The line (in Parquet: row) each bar came from, in the order of `bars`.
    pub lines: Lines,
    /// What was read, kept and dropped.
    pub report: FileReport,
    /// The column that holds the symbol of the instrument, and the symbol, where the file has one.
    pub symbol: Option<(String, String)>,
}

impl BarFile {
    /// Where the bar at `index` was read.
    #[must_use]
    pub fn place(&self, index: usize) -> Place {
        Place::new(&self.path, self.report.unit, self.lines.line(index))
    }
}

/// Reads one file, checks every row and puts the bars into order.
///
/// # Errors
/// The first thing that is wrong with the path, the options, the layout or, unless lenient, a row.
pub fn read_file(path: &Path, options: &ReadOptions) -> Result<BarFile, ImportError> {
    check_columns(options)?;
    let collected = match options.format {
        Format::Parquet => parquet_bars::read(path, options)?,
        _ => text::read(path, options)?,
    };
    let key = key::of(path, collected.entry.as_deref(), options.key.as_deref())?;
    let symbol = collected.symbol.clone();
    let (bars, lines, mut report) = collected.into_parts();
    check_dates(path, &bars)?;
    if let Some((column, value)) = symbol.as_ref().filter(|(_, value)| !may_be_same(&key, value)) {
        let (path, column) = (path.to_path_buf(), column.clone());
        let value = shown::shown(value.as_bytes());
        if options.key.is_none() {
            return Err(ImportError::KeyContradiction { path, key, column, value });
        }
        report.warnings.push(format!("the column `{column}` says `{value}`, and --key says {key}"));
    }
    Ok(BarFile { path: path.to_path_buf(), key, bars, lines, report, symbol })
}

/// Whether two symbols, or a symbol and a key, may mean one instrument: `EUR/USD` is `eurusd`, `EURUSD.fx` may be.
fn may_be_same(key: &str, symbol: &str) -> bool {
    let plain = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    let (key, symbol) = (plain(key), plain(symbol));
    key.contains(&symbol) || symbol.contains(&key)
}

const DAY_US: i64 = 86_400_000_000;

/// Days on which spreadsheets and databases put times of day without a date, and where epochs of a wrong unit lie.
const NO_DATES: [(std::ops::Range<i64>, &str); 2] = [
    (-2_209_161_600_000_000..-2_208_902_400_000_000, "between 1899-12-30 and 1900-01-01"),
    (0..2_678_400_000_000, "in January 1970"),
];

fn check_dates(path: &Path, bars: &[Bar]) -> Result<(), ImportError> {
    let (Some(first), Some(last)) = (bars.first(), bars.last()) else { return Ok(()) };
    let within =
        |days: &std::ops::Range<i64>| days.contains(&first.instant_us) && days.contains(&last.instant_us);
    let day_apart = |pair: &[Bar]| (pair[1].instant_us - pair[0].instant_us) % DAY_US == 0;
    let is_daily = bars.len() > 1 && bars.windows(2).all(day_apart);
    match NO_DATES.iter().find(|(days, _)| within(days) && !is_daily) {
        Some((_, day)) => Err(ImportError::NoDates { path: path.to_path_buf(), day }),
        None => Ok(()),
    }
}

fn check_columns(options: &ReadOptions) -> Result<(), ImportError> {
    let columns = &options.columns;
    let named = columns.time.is_some() || columns.close.is_some() || columns.date.is_some();
    match options.format {
        Format::Csv => Ok(()),
        Format::Parquet if columns.delimiter.is_none() && columns.date.is_none() => Ok(()),
        _ if !named && columns.delimiter.is_none() => Ok(()),
        format => Err(ImportError::Options {
            why: format!("the format {format} has fixed columns: leave the column options out, or use csv"),
        }),
    }
}
