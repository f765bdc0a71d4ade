//! [`ImportError`]: everything that can stop an import, as what is wrong, where, and what to do.
//!
//! What the system said is the source of an error, for callers that print the chain; all else is in its message.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::file_line::FileLine;
use super::row_fault::RowFault;

/// Why an import stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file that is missing or closed to us.
    #[error("{}: cannot be opened", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory where a file is wanted.
    #[error("{}: is a directory; name the files in it", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// A directory without a file that is read.
    #[error(
        "{}: the directory has no file to import: with --format {format} those end in .{endings}; name a file with \
         another ending itself",
        path.display()
    )]
    NoFiles {
        /// The directory.
        path: PathBuf,
        /// The format.
        format: &'static str,
        /// How the names of its files end.
        endings: String,
    },
    /// Bytes that cannot be read or unpacked.
    #[error("{}: cannot be read to its end; it may be incomplete", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system or the decompressor said.
        source: io::Error,
    },
    /// A file without a single character.
    #[error("{}: the file is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A file with a header, or columns, but no row.
    #[error("{}: the file has columns but no rows", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
    },
    /// Lenient reading that kept nothing.
    #[error("none of the {rows} rows could be read; the first error: {first}")]
    NothingReadable {
        /// Rows read.
        rows: u64,
        /// What was wrong with the first of them.
        first: Box<ImportError>,
    },
    /// A zip without exactly one data file.
    #[error("{}: {why}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
    /// Bytes of another kind than the format says.
    #[error("{}: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
    /// Columns that cannot be found.
    #[error("{}: {why}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
    /// A row that is not a bar.
    #[error("{place}: {fault}: `{shown}`{}{}", hint_text(*hint), advice_text(advice.as_deref()))]
    Row {
        /// Where.
        place: FileLine,
        /// What is wrong with it.
        fault: RowFault,
        /// The row, shortened.
        shown: String,
        /// The format that the row seems to have instead.
        hint: Option<&'static str>,
        /// What else to do, such as to skip lines above the table.
        advice: Option<Box<str>>,
    },
    /// A local time without a zone.
    #[error(
        "{place}: neither the file nor the format states the time zone, and rollfit does not guess it; \
         give it, e.g. --timezone UTC; others are +02:00, America/New_York, America/New_York+07:00 and histdata: \
         `{shown}`"
    )]
    NoZone {
        /// Where.
        place: FileLine,
        /// The row, shortened.
        shown: String,
    },
    /// A zone option that the bytes deny.
    #[error(
        "{place}: the file states its own offset from UTC, {stated}, which contradicts --timezone {zone}; omit \
         --timezone: `{shown}`"
    )]
    ZoneContradiction {
        /// Where.
        place: FileLine,
        /// The zone of the option.
        zone: String,
        /// The offset in the bytes.
        stated: String,
        /// The row, shortened.
        shown: String,
    },
    /// A zone in the header that a row denies.
    #[error(
        "{place}: the offset from UTC is {found} here, but the header names the zone of the times, and {zone} is at \
         {expected} then; correct the header or the times: `{shown}`"
    )]
    HeaderContradiction {
        /// Where.
        place: FileLine,
        /// The zone of the header.
        zone: Box<str>,
        /// Its offset at the instant of the row.
        expected: Box<str>,
        /// The offset in the row.
        found: Box<str>,
        /// The row, shortened.
        shown: String,
    },
    /// Two rows of one instant with different closes.
    #[error(
        "{place}: the bar of {} has close {close} here and {earlier_close} at {earlier}; correct the files, or use \
         --lenient to keep the earlier one",
        instant_text(*instant_us)
    )]
    Contradiction {
        /// The later row.
        place: FileLine,
        /// Its close.
        close: f64,
        /// The earlier row.
        earlier: FileLine,
        /// Its close.
        earlier_close: f64,
        /// The instant of both.
        instant_us: i64,
    },
    /// Two rows of one instant and close with different values of a further column.
    #[error(
        "{place}: the bar of {} has `{column}` {value} here and {earlier_value} at {earlier}; correct the files, keep other \
         columns with --columns, or use --lenient to keep the earlier one",
        instant_text(*instant_us)
    )]
    ColumnContradiction {
        /// The later row.
        place: FileLine,
        /// The column.
        column: String,
        /// Its value there.
        value: f64,
        /// The earlier row.
        earlier: Box<FileLine>,
        /// Its value there.
        earlier_value: f64,
        /// The instant of both.
        instant_us: i64,
    },
    /// A value of the key column that is no key, or clashes with another.
    #[error("{place}: {why}")]
    RowKey {
        /// Where.
        place: FileLine,
        /// What is wrong and what to do.
        why: String,
    },
    /// A file that is newest first up to a row.
    #[error(
        "{place}: the file is newest first up to here and jumps forward from {} to {}; sort it by time",
        instant_text(*from_us),
        instant_text(*to_us)
    )]
    JumpForward {
        /// Where.
        place: FileLine,
        /// The instant of the row before.
        from_us: i64,
        /// The instant of the row.
        to_us: i64,
    },
    /// Two instruments in one file.
    #[error(
        "{place}: the column `{column}` is `{value}` here and `{earlier_value}` at {earlier}: a file holds one \
         instrument, also with --lenient; if the column says the key of each row, use --key-column {column}; if it holds \
         something else, rename it (add a header if the file has none)"
    )]
    Instruments {
        /// The later row.
        place: FileLine,
        /// The name of the column, or its number from 1.
        column: String,
        /// Its value there, shortened.
        value: String,
        /// The first row.
        earlier: Box<FileLine>,
        /// Its value there, shortened.
        earlier_value: Box<str>,
    },
    /// A key from the path that a column of the file denies.
    #[error(
        "{}: the path says the key `{key}`, but the column `{column}` says `{value}`; give the right one with --key",
        path.display()
    )]
    KeyContradiction {
        /// The file.
        path: PathBuf,
        /// The key of the path.
        key: String,
        /// The name of the column.
        column: String,
        /// Its value, shortened.
        value: String,
    },
    /// Two files of one key with the symbols of two instruments.
    #[error(
        "{}: the symbol is `{symbol}` here and `{earlier_symbol}` in {}, but both files go to the key `{key}`; import \
         each instrument with its own --key",
        path.display(),
        earlier.display()
    )]
    TwoSymbols {
        /// The later file.
        path: PathBuf,
        /// Its symbol, shortened.
        symbol: String,
        /// The earlier file.
        earlier: PathBuf,
        /// Its symbol, shortened.
        earlier_symbol: Box<str>,
        /// The key of both.
        key: String,
    },
    /// All bars on a day that means "no date".
    #[error(
        "{}: all times are {day}: they look like times of day without a date, or epochs in another unit; \
         write date and time in full",
        path.display()
    )]
    NoDates {
        /// The file.
        path: PathBuf,
        /// When.
        day: &'static str,
    },
    /// A row older than the one before it, and not a repetition.
    #[error(
        "{place}: the time jumps back from {} to {}, and the row repeats no earlier one; sort the file by time, or use \
         --lenient to drop such rows",
        instant_text(*from_us),
        instant_text(*to_us)
    )]
    JumpBack {
        /// Where.
        place: FileLine,
        /// The newest instant read before.
        from_us: i64,
        /// The instant of the row.
        to_us: i64,
    },
    /// A key that is not one.
    #[error("{origin}: {why}")]
    Key {
        /// Where it was found.
        origin: String,
        /// What is wrong with it and what to do.
        why: String,
    },
    /// A path without a key.
    #[error(
        "{}: cannot tell the key from the path; use --key, e.g. --key eurusd, --key-from-name if each file is called like its key, \
         or a key=... directory",
        path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A format that does not exist.
    #[error("format `{name}` does not exist; {hint}choose one of {known}")]
    UnknownFormat {
        /// The name given.
        name: String,
        /// What was probably meant, or nothing.
        hint: String,
        /// The names of all formats.
        known: String,
    },
    /// A zone that does not exist.
    #[error(
        "time zone `{name}` does not exist; give an IANA name (America/New_York), UTC, an offset (+02:00), an IANA \
         name plus hours (America/New_York+07:00), or histdata"
    )]
    UnknownZone {
        /// The name given.
        name: String,
    },
    /// Options that do not go together.
    #[error("{why}")]
    Options {
        /// What is wrong and what to do.
        why: String,
    },
    /// A Parquet file that cannot be read.
    #[error("{}: is not a readable Parquet file: {why}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        why: String,
    },
}

impl ImportError {
    /// A file without a line after those that are skipped.
    pub(crate) fn empty(path: &Path, skipped: usize) -> Self {
        let path = path.to_path_buf();
        if skipped == 0 {
            return Self::Empty { path };
        }
        Self::Content { path, why: format!("has no lines after those of --skip-lines {skipped}") }
    }
}

fn hint_text(hint: Option<&str>) -> String {
    hint.map_or_else(String::new, |format| {
        format!("; this looks like the format {format}: try --format {format}")
    })
}

fn advice_text(advice: Option<&str>) -> String {
    advice.map_or_else(String::new, |advice| format!("; {advice}"))
}

/// The instant as users read it.
fn instant_text(instant_us: i64) -> String {
    Timestamp::from_microsecond(instant_us)
        .map_or_else(|_| format!("{instant_us} us"), |instant| instant.to_string())
}
