//! [`BarFile`]: the bars of one file, and [`read_file`], which reads and checks them.

use std::path::{Path, PathBuf};

use rollfit_job::import::Bar;

use crate::cores::Cores;
use crate::error::{FileLine, ImportError, shown};
use crate::file_key::file_key;
use crate::read_options::ReadOptions;
use crate::readers;
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

/// Reads one file, checks every row and puts the bars into order.
///
/// # Errors
/// The first thing that is wrong with the path, the options, the layout or, unless lenient, a row.
pub fn read_file(path: &Path, options: &ReadOptions) -> Result<BarFile, ImportError> {
    options.check()?;
    let collected = readers::read(path, options, &Cores::of_process())?;
    let key = file_key(path, collected.entry.as_deref(), options.key.as_deref())?;
    let symbol = collected.symbol.clone();
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
    Ok(BarFile { path: path.to_path_buf(), key, bars, lines, report, symbol })
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
