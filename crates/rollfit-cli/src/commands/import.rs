//! `rollfit import`: files of bars into the source tables of a store, all or none.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;

use rollfit_bars::{
    BarFile, FileReport, InputFiles, KeyBars, MergeReport, OtherColumns, PassedOver, ReadOptions, merge,
};
use rollfit_job::config::StoreConfig;
use rollfit_job::import::{BarsOptions, KeyReport};
use rollfit_job::store::{BarsImport, StoreError};

use crate::args::{GlobalArguments, ImportArguments};
use crate::config_path::ConfigPath;
use crate::exit::{Exit, Failure};
use crate::{format, logging, open, output, stores};

/// What an import did, as it is printed.
#[derive(serde::Serialize)]
pub(super) struct ImportDocument {
    files: Vec<FileSummary>,
    keys: Vec<KeyLine>,
    /// What the directories hold that was not read.
    passed_over: Vec<PassedOverLine>,
}

#[derive(serde::Serialize)]
struct PassedOverLine {
    path: String,
    reason: PassedOver,
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
    output::result(global, Exit::Done, &document, ImportDocument::print)?;
    Ok(Exit::Done)
}

/// Imports without printing the result.
pub(super) fn import(arguments: &ImportArguments) -> Result<ImportDocument, Failure> {
    let read_options = read_options(arguments);
    let inputs = InputFiles::find(&arguments.files, &read_options)?;
    let store = target(arguments)?;
    let kind = stores::kind_of(&store)?;
    if let Some(key) = &read_options.key {
        kind.check_import_keys(&[key])?;
    }
    announce(&inputs);
    let files = read_files(&inputs.files, &read_options)?;
    let lines = files.iter().map(describe).collect();
    let options = BarsOptions {
        base_from_us: arguments.base_date.map(|date| date.instant_us),
        rebase: arguments.rebase,
        replace: arguments.replace,
    };
    let merged = merge(files, arguments.lenient)?;
    kind.check_import_keys(&merged.keys().map(String::as_str).collect::<Vec<_>>())?;
    let import = stores::opened(kind.import_into(&store, options))?;
    let keys = store_bars(import, &merged)?;
    let passed_over = inputs.passed_over.iter().map(PassedOverLine::new).collect();
    Ok(ImportDocument { files: lines, keys, passed_over })
}

/// The store to import into: that of the options, or of the configuration.
fn target(arguments: &ImportArguments) -> Result<StoreConfig, Failure> {
    let Some(url) = &arguments.into else { return configured_target(arguments) };
    let mut store = StoreConfig::new(url.clone());
    let kind = stores::kind_of(&store)?;
    let given = [("--schema", &arguments.schema), ("--password-command", &arguments.password_command)];
    if let Some((option, _)) = given.iter().find(|(_, value)| value.is_some() && !kind.has_tables()) {
        return Err(Failure::usage(format!(
            "{option}: {} stores have no schemas and no passwords; leave it out",
            kind.name()
        )));
    }
    store.schema.clone_from(&arguments.schema);
    store.password_command.clone_from(&arguments.password_command);
    Ok(store)
}

fn configured_target(arguments: &ImportArguments) -> Result<StoreConfig, Failure> {
    let given = [
        ("--schema", "schema", &arguments.schema),
        ("--password-command", "password_command", &arguments.password_command),
    ];
    if let Some((option, setting, _)) = given.iter().find(|(.., value)| value.is_some()) {
        return Err(Failure::usage(format!(
            "{option} belongs to --into STORE; without --into the configuration decides: set {setting} in its [source] or \
             [store]"
        )));
    }
    let store = open::source_store(&arguments.config).map_err(|failure| {
        failure.before("import needs a store: give --into STORE, or the configuration's [source] or [store]")
    })?;
    let kind = stores::kind_of(&store)?.name();
    let config = ConfigPath::find(arguments.config.config.as_deref())?.path;
    logging::info(&format!("importing into the {kind} store of {}", config.display()));
    Ok(store)
}

/// Says what directories hold besides, and that it waits for a person to type.
fn announce(inputs: &InputFiles) {
    const SHOWN: usize = 5;
    for path in &inputs.repeated {
        logging::info(&format!("{}: named more than once, read once", path.display()));
    }
    if !inputs.passed_over.is_empty() {
        let names = inputs.passed_over.iter().take(SHOWN);
        let names: Vec<String> = names.map(|(path, why)| format!("{} ({why})", path.display())).collect();
        let more = match inputs.passed_over.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {} more", format::count(more as u64)),
        };
        let names = names.join(", ");
        logging::warn(&format!("passed over in directories: {names}{more}; name a file itself to import it"));
    }
    let waits = inputs.files.iter().any(|path| path.as_os_str() == InputFiles::STANDARD_INPUT);
    if waits && std::io::stdin().is_terminal() {
        logging::info("reading bars from the terminal; press Ctrl-D on an empty line to end them");
    }
}

fn read_options(arguments: &ImportArguments) -> ReadOptions {
    let mut options = ReadOptions::new(arguments.format);
    options.key.clone_from(&arguments.key);
    options.key_from_name = arguments.key_from_name;
    options.key_column.clone_from(&arguments.key_column);
    options.columns.others = match arguments.columns.as_slice() {
        [] => OtherColumns::None,
        [all] if all == "all" => OtherColumns::All,
        names => OtherColumns::Named(names.to_vec()),
    };
    options.zone.clone_from(&arguments.timezone);
    options.columns.time.clone_from(&arguments.time_column);
    options.columns.date.clone_from(&arguments.date_column);
    options.columns.close.clone_from(&arguments.close_column);
    options.columns.delimiter = arguments.delimiter;
    options.lenient = arguments.lenient;
    options.skip_lines = arguments.skip_lines;
    options
}

fn read_files(paths: &[PathBuf], options: &ReadOptions) -> Result<Vec<BarFile>, Failure> {
    let files = rollfit_bars::read_files(paths, options, |files| {
        let Some(first) = files.first() else { return };
        let path = first.path.display();
        let bars = format::plural(files.iter().map(|file| file.bars.len()).sum(), "bar");
        let keys = if files.len() == 1 { first.key.clone() } else { format::plural(files.len(), "key") };
        let is_reversed = files.iter().any(|file| file.report.newest_first);
        let order = if is_reversed { ", newest first, reversed" } else { "" };
        logging::info(&format!("read {path}: {bars} of {keys}{order}"));
        for warning in files.iter().flat_map(|file| &file.report.warnings) {
            logging::warn(&format!("{path}: {warning}"));
        }
    });
    Ok(files?)
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

impl PassedOverLine {
    fn new((path, reason): &(PathBuf, PassedOver)) -> Self {
        Self { path: path.display().to_string(), reason: *reason }
    }
}

impl ImportDocument {
    /// How many files were read: one of many keys is listed once a key.
    fn file_count(&self) -> usize {
        self.files.chunk_by(|file, next| file.path == next.path).count()
    }

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
        for KeyReport { key, filled, .. } in self.keys.iter().map(|key| &key.report) {
            if *filled > 0 {
                let bars = if *filled == 1 { "stored bar" } else { "stored bars" };
                output::line(&format!("{key}: filled columns of {} {bars}", format::count(*filled)))?;
            }
        }
        let rows: Vec<Vec<String>> = self.keys.iter().map(KeyLine::cells).collect();
        output::table(&["key", "added", "unchanged", "replaced", "total", "first", "last", "base"], &rows)?;
        let bars: u64 = self.keys.iter().map(|key| key.report.total).sum();
        output::line(&format!(
            "\n{} of {}, {} bars in the store; {} repeated rows dropped",
            format::plural(self.file_count(), "file"),
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
