//! [`BarFile`]: the bars of one file, and [`read_file`], which reads and checks them.

use std::path::{Path, PathBuf};

use rollfit_job::import::{Bar, BarColumn};

use crate::cores::{Cores, Pieces, in_order};
use crate::error::{FileLine, ImportError, shown};
use crate::file_key::{file_key, key_of_name};
use crate::read_options::ReadOptions;
use crate::readers;
use crate::rows::collector::Collected;
use crate::rows::file_report::FileReport;
use crate::rows::lines::Lines;

/// What one file held.
#[derive(Debug, Clone, PartialEq)]
pub struct BarFile {
    /// The file as it was named.
    pub path: PathBuf,
    /// The key its bars belong to.
    pub key: String,
    /// The bars, sorted by instant, each instant once, never empty.
    pub bars: Vec<Bar>,
    /// The further columns, with a value per bar each.
    pub columns: Vec<BarColumn>,
    /// The line (in Parquet: row) each bar came from, in the order of `bars`.
    pub lines: Lines,
    /// What was read, kept and dropped.
    pub report: FileReport,
    /// The column that holds the symbol of the instrument, and the symbol, where the file has one.
    pub symbol: Option<(String, String)>,
}

impl BarFile {
    /// The line that the bar at `index` was read from.
    #[must_use]
    pub fn file_line(&self, index: usize) -> FileLine {
        FileLine::new(&self.path, self.report.unit, self.lines.line(index))
    }
}

/// Reads a file of one key, checks every row and puts the bars into order.
///
/// # Errors
/// The first thing that is wrong with the path, the options, the layout or, unless lenient, a row; [`ReadOptions::key_column`],
/// with which a file has several keys.
pub fn read_file(path: &Path, options: &ReadOptions) -> Result<BarFile, ImportError> {
    let several = || ImportError::Options { why: "a file with --key-column has several keys".to_owned() };
    let mut files = read_keys(path, options, &Cores::of_process())?;
    files.pop().filter(|_| options.key_column.is_none()).ok_or_else(several)
}

/// Reads the files of one command on all cores, each checked and put into order by itself: a [`BarFile`] per file, or per key
/// in it where the rows say their keys. `each` sees those of a file, in the order of `paths`, as soon as all before are read.
///
/// # Errors
/// The first thing that is wrong, in the order of `paths`.
pub fn read_files(
    paths: &[PathBuf],
    options: &ReadOptions,
    each: impl FnMut(&[BarFile]),
) -> Result<Vec<BarFile>, ImportError> {
    let cores = Cores::of_process();
    let mut files = Files { cores: &cores, left: paths.iter(), read: Vec::new(), each };
    in_order(&mut files, &cores, || |path: &PathBuf| read_keys(path, options, &cores))?;
    Ok(files.read)
}

/// Files that are read side by side.
struct Files<'a, E> {
    cores: &'a Cores,
    left: std::slice::Iter<'a, PathBuf>,
    read: Vec<BarFile>,
    each: E,
}

impl<'a, E: FnMut(&[BarFile])> Pieces for Files<'a, E> {
    type Piece = &'a PathBuf;
    type Done = Result<Vec<BarFile>, ImportError>;
    type Error = ImportError;

    fn next(&mut self) -> Result<Option<&'a PathBuf>, ImportError> {
        Ok(self.left.next())
    }

    fn is_steady(&self) -> bool {
        true
    }

    fn take(&mut self, done: Self::Done) -> Result<(), ImportError> {
        // Files behind the first that fails are not read to their ends.
        let files = done.inspect_err(|_| self.cores.stop())?;
        (self.each)(&files);
        self.read.extend(files);
        Ok(())
    }
}

/// Reads one file, a [`BarFile`] per key.
fn read_keys(path: &Path, options: &ReadOptions, cores: &Cores) -> Result<Vec<BarFile>, ImportError> {
    options.check()?;
    let collected = readers::read(path, options, cores)?;
    collected.into_iter().map(|collected| bar_file(path, options, collected)).collect()
}

/// The bars of one key, if nothing about all of them is wrong.
fn bar_file(path: &Path, options: &ReadOptions, mut collected: Collected) -> Result<BarFile, ImportError> {
    let key = match collected.key.take() {
        Some(key) => key,
        None if options.key_from_name => key_of_name(path)?,
        None => file_key(path, collected.entry.as_deref(), options.key.as_deref())?,
    };
    let symbol = collected.symbol.clone();
    let columns = collected.take_columns();
    let (bars, lines, mut report) = collected.into_parts();
    check_dates(path, &bars)?;
    if let Some((column, value)) = symbol.as_ref().filter(|(_, value)| !may_be_same(&key, value)) {
        let (path, column) = (path.to_path_buf(), column.clone());
        let value = shown(value.as_bytes());
        if options.key.is_none() {
            return Err(ImportError::KeyContradiction { path, key, column, value });
        }
        report.warnings.push(format!("the column `{column}` says `{value}`, but --key says {key}"));
    }
    Ok(BarFile { path: path.to_path_buf(), key, bars, columns, lines, report, symbol })
}

/// Whether two symbols, or a symbol and a key, may mean one instrument: `EUR/USD` is `eurusd`, `EURUSD.fx` may be.
pub(crate) fn may_be_same(key: &str, symbol: &str) -> bool {
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
