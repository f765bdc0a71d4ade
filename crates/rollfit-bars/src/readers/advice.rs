//! What to do about a text file that cannot be read as its options say: lines to skip above the table, the columns of rows
//! without a header, or another format. Only what was tried on the first rows is advised.

use std::io::Read;
use std::path::Path;

use super::layout::Layout;
use crate::archive;
use crate::error::{ImportError, shown};
use crate::formats::{ColumnRules, Format, RowRules};
use crate::read_options::ReadOptions;
use crate::rows::price::price;
use crate::table::column_indexes::enumerated;
use crate::table::column_names::{CLOSE_NAMES, first_of, normal};
use crate::table::column_options::ColumnOptions;
use crate::table::delimiter;
use crate::table::fields::Fields;
use crate::time::stamp_reader::{DatesAlone, StampReader, StampRules};

/// How much of a file is looked at.
const HEAD_BYTES: u64 = 64 * 1024;
const HEAD_LINES: usize = 200;
/// Rows that have to be readable for an advice to be given.
const ROWS_TRIED: usize = 3;

/// Returns the error with what else to do, where the file begins with something that can be recognised.
pub(super) fn advised(error: ImportError, options: &ReadOptions) -> ImportError {
    match error {
        ImportError::NothingReadable { rows, first } => {
            ImportError::NothingReadable { rows, first: Box::new(advised(*first, options)) }
        }
        ImportError::Columns { path, why } => match Finding::in_file(&path, options, 0) {
            Some(Finding::Kind(why)) => ImportError::Content { path, why: why.to_owned() },
            Some(Finding::Start(advice)) => ImportError::Columns { path, why: format!("{why}; {advice}") },
            _ => ImportError::Columns { path, why },
        },
        ImportError::Content { path, why } => match Finding::in_file(&path, options, 0) {
            Some(Finding::Start(advice)) => ImportError::Content { path, why: format!("{why}; {advice}") },
            _ => ImportError::Content { path, why },
        },
        ImportError::Row { place, fault, shown, hint, advice: None } => {
            let (hint, advice) = match Finding::in_file(&place.path, options, place.number) {
                Some(Finding::Kind(why)) => {
                    return ImportError::Content { path: place.path, why: why.to_owned() };
                }
                Some(Finding::Start(advice)) => (None, Some(advice.into_boxed_str())),
                Some(Finding::Encoding(advice)) => (hint, Some(advice.into_boxed_str())),
                None => (hint, None),
            };
            ImportError::Row { place, fault, shown, hint, advice }
        }
        other => other,
    }
}

/// Returns the format that a file looks like by its first line that is not blank; none where it looks like none, or cannot be read.
pub(super) fn format_of(path: &Path) -> Option<Format> {
    let head = Head::open(path)?;
    Format::from_first_line(&head.lines.first()?.text)
}

/// What the beginning of a file shows.
enum Finding {
    /// It is another kind of file.
    Kind(&'static str),
    /// The table begins at a later line: options with which its first rows can be read.
    Start(String),
    /// The text is UTF-16: how to look at the line.
    Encoding(String),
}

/// A line that is not blank, with its number.
struct HeadLine {
    number: usize,
    text: String,
}

impl Finding {
    /// Looks at a file that was refused at a line, or before any was read, 0.
    fn in_file(path: &Path, options: &ReadOptions, refused_at: u64) -> Option<Self> {
        let head = Head::open(path)?;
        Self::in_lines(&head.lines, options, refused_at).or_else(|| head.how_to_see(refused_at))
    }

    fn in_lines(lines: &[HeadLine], options: &ReadOptions, refused_at: u64) -> Option<Self> {
        let lines = &lines[lines.partition_point(|line| line.number <= options.skip_lines)..];
        if is_readable(lines, options) {
            return None;
        }
        if let Some(kind) = kind(&lines.first()?.text) {
            return Some(Self::Kind(kind));
        }
        let start = table_start(lines, options)?;
        let is_advice = start.at > 0 && !was_read(lines, options, refused_at) && start.is_below(lines);
        is_advice.then(|| Self::Start(start.advice(lines, options)))
    }
}

/// Whether a row was read before the line that was refused.
fn was_read(lines: &[HeadLine], options: &ReadOptions, refused_at: u64) -> bool {
    let RowRules::Text(rules) = &options.format.rules().rows else { return false };
    let first = lines.first().map(|line| Layout::from_first_line(options, rules, &line.text));
    let has_header = first.is_some_and(|layout| layout.is_ok_and(|layout| layout.has_header));
    let read = lines.iter().take_while(|line| (line.number as u64) < refused_at).count();
    read > usize::from(has_header)
}

/// The beginning of a file.
struct Head {
    lines: Vec<HeadLine>,
    /// What `iconv` calls the encoding, where it is not UTF-8.
    encoding: Option<&'static str>,
}

impl Head {
    /// Reads a file again; none if that cannot be done, as with a pipe.
    fn open(path: &Path) -> Option<Self> {
        let is_file = std::fs::metadata(path).is_ok_and(|found| found.is_file());
        let opened = is_file.then(|| archive::open(path).ok())??;
        let mut bytes = Vec::new();
        // An error after some bytes leaves these.
        let _ = opened.reader.take(HEAD_BYTES).read_to_end(&mut bytes);
        Some(Self { lines: head_lines(&bytes), encoding: opened.encoding })
    }

    /// The command that shows a line which the usual tools cannot.
    fn how_to_see(&self, line: u64) -> Option<Finding> {
        let encoding = self.encoding.filter(|_| line > 0)?;
        Some(Finding::Encoding(format!(
            "the file is {encoding}; to see the line: iconv -f {encoding} -t UTF-8 FILE | sed -n {line}p"
        )))
    }
}

fn head_lines(bytes: &[u8]) -> Vec<HeadLine> {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    lines.take(HEAD_LINES).map(|(at, line)| HeadLine { number: at + 1, text: line.to_owned() }).collect()
}

/// Kinds of files that are no tables of bars.
fn kind(line: &str) -> Option<&'static str> {
    let start: String = line.trim_start().chars().take(9).flat_map(char::to_lowercase).collect();
    if ["<!doctype", "<html", "<?xml"].iter().any(|tag| start.starts_with(tag)) {
        return Some("is a web page or XML, not a table; download the file again, or convert it to CSV");
    }
    if start.starts_with(['{', '[']) {
        return Some("is JSON, not a table; convert it to CSV with a header line");
    }
    Format::ticks(line)
}

/// Where the table seems to begin, and the options with which it can be read.
struct TableStart {
    /// The index of its first line.
    at: usize,
    options: ReadOptions,
}

fn table_start(lines: &[HeadLine], options: &ReadOptions) -> Option<TableStart> {
    let starts = |options: &ReadOptions| (0..lines.len()).find(|at| is_readable(&lines[*at..], options));
    let start = |options: ReadOptions| Some(TableStart { at: starts(&options)?, options });
    if let Some(start) = start(options.clone()) {
        return Some(start);
    }
    let others = Format::ALL.into_iter().filter(|format| *format != options.format);
    let of_vendors = others.filter(|format| *format != Format::Csv);
    let named = |format| ReadOptions { format, columns: ColumnOptions::default(), ..options.clone() };
    let numbered = || numbered_columns(lines, options);
    of_vendors.chain([Format::Csv]).find_map(|format| start(named(format))).or_else(numbered)
}

/// Whether the first rows of a table that begins with these lines can be read.
fn is_readable(lines: &[HeadLine], options: &ReadOptions) -> bool {
    let RowRules::Text(rules) = &options.format.rules().rows else { return false };
    let Some(first) = lines.first() else { return false };
    let Ok(layout) = Layout::from_first_line(options, rules, &first.text) else { return false };
    let is_free = matches!(rules.columns, ColumnRules::Free);
    // The columns of a vendor are only those of its own rows.
    if !(is_free || layout.has_header || (options.format.rules().looks_like)(&first.text)) {
        return false;
    }
    let rows = &lines[usize::from(layout.has_header)..];
    let (mut stamps, mut dates) = (layout.stamp_reader(), DatesAlone::default());
    let mut is_bar = |line: &HeadLine| {
        let row = layout.split(&line.text).ok();
        row.is_some_and(|row| stamps.read(&mut dates, row.date, row.time).is_ok() && price(row.close).is_ok())
    };
    !rows.is_empty() && rows.iter().take(ROWS_TRIED).all(&mut is_bar)
}

/// The columns by number of the first line that holds a time; that of the close if one line above it names one column so.
fn numbered_columns(lines: &[HeadLine], options: &ReadOptions) -> Option<TableStart> {
    let has_time = |line: &HeadLine| time_columns(&cells(line, options));
    let (at, (date, time)) = lines.iter().enumerate().find_map(|(at, line)| Some((at, has_time(line)?)))?;
    let names_close = |line: &HeadLine| {
        let names: Vec<String> = cells(line, options).iter().map(|name| normal(name)).collect();
        first_of(&names, &CLOSE_NAMES).ok()?
    };
    let mut named = lines[..at].iter().filter_map(names_close);
    let close = named.find(|close| *close != time && Some(*close) != date);
    let number = |column: usize| (column + 1).to_string();
    let columns = ColumnOptions {
        others: options.columns.others.clone(),
        time: Some(number(time)),
        date: date.map(number),
        close: close.map(number),
        delimiter: options.columns.delimiter,
    };
    let options = ReadOptions { format: Format::Csv, columns, ..options.clone() };
    let is_advice = match close {
        Some(_) => is_readable(&lines[at..], &options),
        // Right below a header, its names serve.
        None => at > 1 && cells(&lines[at], &options).len() > 1,
    };
    is_advice.then_some(TableStart { at, options })
}

/// The fields of a line, between the delimiter of the user or that which it has most often.
fn cells<'a>(line: &'a HeadLine, options: &ReadOptions) -> Vec<&'a str> {
    let delimiter = match options.columns.delimiter {
        Some(given) => delimiter::checked(given).ok(),
        None => delimiter::most_frequent(delimiter::USUAL, &line.text),
    };
    delimiter.map_or_else(Vec::new, |delimiter| Fields::new(&line.text, delimiter).collect())
}

/// The columns of a row that hold the date, if it has its own, and the time.
fn time_columns(cells: &[&str]) -> Option<(Option<usize>, usize)> {
    let rules = StampRules { epochs: true, ..StampRules::default() };
    let reads = |date: Option<&str>, time: &str| {
        StampReader::new(rules).read(&mut DatesAlone::default(), date, time).is_ok()
    };
    let beside = |at: usize| {
        let (date, time) = (cells.get(at)?, cells.get(at + 1)?);
        (time.contains(':') && reads(None, date) && reads(Some(date), time)).then_some((Some(at), at + 1))
    };
    let alone = |at: usize| reads(None, cells[at]).then_some((None, at));
    (0..cells.len()).find_map(|at| beside(at).or_else(|| alone(at)))
}

impl TableStart {
    /// Whether no line above the table has its time where the first row has it: that line would be a row.
    fn is_below(&self, lines: &[HeadLine]) -> bool {
        let (above, table) = lines.split_at(self.at);
        let time = |line: &HeadLine| time_columns(&cells(line, &self.options));
        let first = table.iter().take(2).find_map(time);
        !above.iter().any(|line| time(line).is_some_and(|found| Some(found) == first))
    }

    fn advice(&self, lines: &[HeadLine], given: &ReadOptions) -> String {
        let line = &lines[self.at];
        let mut advice = format!(
            "the table seems to begin at line {} (`{}`): try --skip-lines {}",
            line.number,
            shown(line.text.as_bytes()),
            line.number - 1
        );
        if self.options.format != given.format {
            advice += &format!(" --format {}", self.options.format);
        }
        let ColumnOptions { time, close, date, .. } = &self.options.columns;
        let names = [("--date-column", date), ("--time-column", time), ("--close-column", close)];
        for (option, column) in names.iter().filter(|_| self.options.columns != given.columns) {
            if let Some(column) = column {
                advice += &format!(" {option} {column}");
            }
        }
        if close.is_none() && time.is_some() && given.columns.time != *time {
            let columns = enumerated(&cells(line, &self.options));
            advice += &format!(" --close-column N, the number of the close: {columns}");
        }
        advice
    }
}
