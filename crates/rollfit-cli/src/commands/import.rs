//! `rollfit import`: files of bars into the source tables of a store, all or none.

use std::path::{Path, PathBuf};

use rollfit_store::import::{BarFile, FileReport, MergeReport, ReadOptions, merge, read_file};
use rollfit_store::parquet::{BarsImport, BarsOptions, KeyReport, RealFiles};

use crate::args::{GlobalArguments, ImportArguments};
use crate::exit::{Exit, Failure};
use crate::open::Address;
use crate::{logging, open, output};

/// What an import did, as it is printed.
#[derive(serde::Serialize)]
pub(super) struct ImportDocument {
    files: Vec<FileLine>,
    keys: Vec<KeyLine>,
}

#[derive(serde::Serialize)]
struct FileLine {
    path: String,
    key: String,
    #[serde(flatten)]
    report: FileReport,
}

#[derive(serde::Serialize)]
struct KeyLine {
    #[serde(flatten)]
    report: KeyReport,
    between_files: MergeReport,
}

pub(super) fn run(global: &GlobalArguments, arguments: &ImportArguments) -> Result<Exit, Failure> {
    let document = import(arguments)?;
    if global.json {
        output::json(&document)?;
    } else {
        document.print()?;
    }
    Ok(Exit::Done)
}

/// Imports, and prints nothing.
pub(super) fn import(arguments: &ImportArguments) -> Result<ImportDocument, Failure> {
    let Address::Parquet(dir) = open::address(&arguments.into)? else {
        return Err(Failure::usage("import into PostgreSQL is not there yet"));
    };
    let files = read_files(arguments)?;
    let lines = files.iter().map(describe).collect();
    let options = BarsOptions {
        base_from_us: arguments.base_date.map(|date| date.instant_us),
        rebase: arguments.rebase,
        replace: arguments.replace,
    };
    let keys = store_bars(&dir, options, files, arguments.lenient)?;
    Ok(ImportDocument { files: lines, keys })
}

fn read_files(arguments: &ImportArguments) -> Result<Vec<BarFile>, Failure> {
    let mut options = ReadOptions::new(arguments.format);
    options.key.clone_from(&arguments.key);
    options.zone.clone_from(&arguments.timezone);
    options.columns.time.clone_from(&arguments.time_column);
    options.columns.close.clone_from(&arguments.close_column);
    options.columns.delimiter = arguments.delimiter;
    options.lenient = arguments.lenient;
    let read = |path: &PathBuf| {
        let file = read_file(path, &options)?;
        logging::info(&format!(
            "read {}: {} bars of {}",
            path.display(),
            output::count(file.bars.len() as u64),
            file.key
        ));
        Ok(file)
    };
    arguments.files.iter().map(read).collect()
}

/// Reads, checks and stages every key, then makes them visible at once.
fn store_bars(
    dir: &Path,
    options: BarsOptions,
    files: Vec<BarFile>,
    lenient: bool,
) -> Result<Vec<KeyLine>, Failure> {
    let merged = merge(files, lenient)?;
    let mut import = BarsImport::begin(dir, options, &RealFiles)?;
    let mut keys = Vec::new();
    for (key, bars) in &merged {
        keys.push(KeyLine { report: import.add(key, bars)?, between_files: bars.report() });
    }
    import.commit()?;
    Ok(keys)
}

fn describe(file: &BarFile) -> FileLine {
    FileLine { path: file.path.display().to_string(), key: file.key.clone(), report: file.report.clone() }
}

impl ImportDocument {
    pub(super) fn print(&self) -> Result<(), Failure> {
        let repeats: u64 = self.files.iter().map(|file| file.report.repeats_dropped).sum::<u64>()
            + self.keys.iter().map(|key| key.between_files.repeats_dropped).sum::<u64>();
        for file in self.files.iter().filter(|file| file.report.dropped_total() > 0) {
            let causes =
                file.report.dropped.iter().map(|(cause, rows)| format!("{} {cause}", output::count(*rows)));
            output::line(&format!("{}: dropped {}", file.path, causes.collect::<Vec<_>>().join(", ")))?;
        }
        let rows: Vec<Vec<String>> = self.keys.iter().map(KeyLine::cells).collect();
        output::table(&["key", "added", "unchanged", "replaced", "total", "first", "last", "base"], &rows)?;
        let bars: u64 = self.keys.iter().map(|key| key.report.total).sum();
        output::line(&format!(
            "\n{} of {}, {} bars in the store; {} repeated rows dropped",
            output::plural(self.files.len(), "file"),
            output::plural(self.keys.len(), "key"),
            output::count(bars),
            output::count(repeats)
        ))?;
        Ok(())
    }
}

impl KeyLine {
    fn cells(&self) -> Vec<String> {
        let report = &self.report;
        let counts = [report.added, report.unchanged, report.replaced, report.total].map(output::count);
        let texts = [report.first.clone(), report.last.clone(), report.base.close.to_string()];
        std::iter::once(report.key.clone()).chain(counts).chain(texts).collect()
    }
}
