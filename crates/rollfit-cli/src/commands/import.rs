//! `rollfit import`: files of bars into the source tables of a store, all or none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rollfit_bars::{BarFile, FileReport, KeyBars, MergeReport, ReadOptions, merge, read_file};
use rollfit_job::config::StoreConfig;
use rollfit_job::import::{BarsOptions, KeyReport};
use rollfit_job::store::{BarsImport, StoreError};

use crate::args::{GlobalArguments, ImportArguments};
use crate::exit::{Exit, Failure};
use crate::{format, logging, output, stores};

/// What an import did, as it is printed.
#[derive(serde::Serialize)]
pub(super) struct ImportDocument {
    files: Vec<FileSummary>,
    keys: Vec<KeyLine>,
}

#[derive(serde::Serialize)]
struct FileSummary {
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
    output::document(global.json, &document, ImportDocument::print)?;
    Ok(Exit::Done)
}

/// Imports without printing the result.
pub(super) fn import(arguments: &ImportArguments) -> Result<ImportDocument, Failure> {
    let mut store = StoreConfig::new(arguments.into.clone());
    let kind = stores::kind_of(&store)?;
    if arguments.schema.is_some() && !kind.has_tables() {
        return Err(Failure::usage(format!(
            "--schema: {} stores have no schemas; leave it out",
            kind.name()
        )));
    }
    store.schema.clone_from(&arguments.schema);
    let files = read_files(arguments)?;
    let lines = files.iter().map(describe).collect();
    let options = BarsOptions {
        base_from_us: arguments.base_date.map(|date| date.instant_us),
        rebase: arguments.rebase,
        replace: arguments.replace,
    };
    let merged = merge(files, arguments.lenient)?;
    let import = stores::opened(kind.import_into(&store, options))?;
    let keys = store_bars(import, &merged)?;
    Ok(ImportDocument { files: lines, keys })
}

fn read_files(arguments: &ImportArguments) -> Result<Vec<BarFile>, Failure> {
    let mut options = ReadOptions::new(arguments.format);
    options.key.clone_from(&arguments.key);
    options.zone.clone_from(&arguments.timezone);
    options.columns.time.clone_from(&arguments.time_column);
    options.columns.date.clone_from(&arguments.date_column);
    options.columns.close.clone_from(&arguments.close_column);
    options.columns.delimiter = arguments.delimiter;
    options.lenient = arguments.lenient;
    options.skip_lines = arguments.skip_lines;
    let read = |path: &PathBuf| {
        let file = read_file(path, &options)?;
        let order = if file.report.newest_first { ", newest first, reversed" } else { "" };
        logging::info(&format!(
            "read {}: {} bars of {}{order}",
            path.display(),
            format::count(file.bars.len() as u64),
            file.key
        ));
        for warning in &file.report.warnings {
            logging::warn(&format!("{}: {warning}", path.display()));
        }
        Ok(file)
    };
    arguments.files.iter().map(read).collect()
}

/// Checks and writes every key, then makes them visible at once.
fn store_bars(
    mut import: Box<dyn BarsImport>,
    merged: &BTreeMap<String, KeyBars>,
) -> Result<Vec<KeyLine>, StoreError> {
    let line = |(key, bars): (&String, &KeyBars)| {
        Ok(KeyLine { report: import.add(key, bars)?, between_files: bars.report() })
    };
    let keys = merged.iter().map(line).collect::<Result<_, StoreError>>()?;
    import.commit()?;
    Ok(keys)
}

fn describe(file: &BarFile) -> FileSummary {
    FileSummary { path: file.path.display().to_string(), key: file.key.clone(), report: file.report.clone() }
}

impl ImportDocument {
    pub(super) fn print(&self) -> Result<(), Failure> {
        let repeats: u64 = self.files.iter().map(|file| file.report.repeats_dropped).sum::<u64>()
            + self.keys.iter().map(|key| key.between_files.repeats_dropped).sum::<u64>();
        for file in self.files.iter().filter(|file| file.report.newest_first) {
            output::line(&format!("{}: newest first, reversed", file.path))?;
        }
        for file in self.files.iter().filter(|file| file.report.dropped_total() > 0) {
            let causes =
                file.report.dropped.iter().map(|(cause, rows)| format!("{} {cause}", format::count(*rows)));
            output::line(&format!("{}: dropped {}", file.path, causes.collect::<Vec<_>>().join(", ")))?;
        }
        for key in self.keys.iter().filter(|key| key.between_files.contradictions_dropped > 0) {
            let count = key.between_files.contradictions_dropped;
            let rows = if count == 1 { "row that contradicts" } else { "rows that contradict" };
            output::line(&format!(
                "{}: dropped {} {rows} an earlier file",
                key.report.key,
                format::count(count)
            ))?;
        }
        let rows: Vec<Vec<String>> = self.keys.iter().map(KeyLine::cells).collect();
        output::table(&["key", "added", "unchanged", "replaced", "total", "first", "last", "base"], &rows)?;
        let bars: u64 = self.keys.iter().map(|key| key.report.total).sum();
        output::line(&format!(
            "\n{} of {}, {} bars in the store; {} repeated rows dropped",
            format::plural(self.files.len(), "file"),
            format::plural(self.keys.len(), "key"),
            format::count(bars),
            format::count(repeats)
        ))?;
        Ok(())
    }
}

impl KeyLine {
    fn cells(&self) -> Vec<String> {
        let report = &self.report;
        let counts = [report.added, report.unchanged, report.replaced, report.total].map(format::count);
        let texts = [report.first.clone(), report.last.clone(), report.base.close.to_string()];
        std::iter::once(report.key.clone()).chain(counts).chain(texts).collect()
    }
}
