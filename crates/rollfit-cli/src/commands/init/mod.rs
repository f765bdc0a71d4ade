//! `rollfit init`: looks at a store or at files, and writes a configuration that fits them.
//!
//! Invariants: a file that is there is never replaced. What is written was planned before, unless it is for files that are still to be
//! imported, or the template. No password is written.

mod bar_files;
mod config_text;
mod file_trial;
mod init_source;
mod key_pattern;
mod long_job;
mod proposal;
mod proposal_trial;
mod usable_table;

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use rollfit_job::config::{EXAMPLE, Pattern, StoreConfig};
use rollfit_job::few::few;
use rollfit_job::patience::patiently;
use rollfit_job::period::PeriodUnit;
use rollfit_job::store::{StoreKind, SurveyedTable};

use self::bar_files::{BarFiles, shell_word};
use self::config_text::{ConfigText, StoreLines, comment};
use self::init_source::InitSource;
use self::proposal::{NoProposal, Proposal};
use self::proposal_trial::{ProposalTrial, stored_unit};
use self::usable_table::HOLDS_FEATURES;
use crate::args::{GlobalArguments, InitArguments};
use crate::config_path::{CONFIG_NAME, ConfigPath};
use crate::exit::{Exit, Failure};
use crate::format::plural;
use crate::paths::full;
use crate::{logging, output, stores};

/// The store that bar files are imported into, beside the configuration.
const NEW_STORE: &str = "store";

/// What is to be written, and said of it.
#[derive(Default)]
struct Draft {
    text: String,
    /// What was found, as a clause; empty for the template.
    found: String,
    /// The commands that come next.
    next: Vec<String>,
    /// What else is to be known, as sentences.
    notes: Vec<String>,
    series: Vec<String>,
    keys: Vec<String>,
}

#[derive(serde::Serialize)]
struct InitDocument<'a> {
    /// The file that was written; none where it was only printed.
    config: Option<&'a Path>,
    found: &'a str,
    series: &'a [String],
    keys: &'a [String],
    notes: &'a [String],
    next: &'a [String],
    /// The configuration, where it was not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

pub(super) fn run(global: &GlobalArguments, arguments: &InitArguments) -> Result<Exit, Failure> {
    let path = target(arguments);
    let is_printed = arguments.stdout || path == Path::new("-");
    if !is_printed && path.symlink_metadata().is_ok() {
        return Err(Failure::usage(format!(
            "{} already exists and is left as it is; --config names another file, --stdout prints",
            path.display()
        )));
    }
    let draft = Draft::new(arguments)?;
    draft.notes.iter().for_each(|note| logging::warn(note));
    if !is_printed {
        write_new(path, &draft.text)?;
        if let Some(above) = ConfigPath::above_here().filter(|_| arguments.config.config.is_none()) {
            logging::info(&format!("commands here use it from now on, no longer {}", above.display()));
        }
    }
    let document = InitDocument {
        config: (!is_printed).then_some(path),
        found: &draft.found,
        series: &draft.series,
        keys: &draft.keys,
        notes: &draft.notes,
        next: &draft.next,
        text: is_printed.then_some(draft.text.as_str()),
    };
    output::document(global.json, &document, |document| match document.text {
        Some(text) => Ok(output::lines(text.trim_end())?),
        None if global.quiet => Ok(()),
        None => draft.print(path),
    })?;
    Ok(Exit::Done)
}

/// Where it is to be written: here, even if there is a configuration above, which is another job's.
fn target(arguments: &InitArguments) -> &Path {
    arguments.config.config.as_deref().unwrap_or(Path::new(CONFIG_NAME))
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let written = OpenOptions::new().write(true).create_new(true).open(path);
    written.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        let dir = path.parent().filter(|_| error.kind() == ErrorKind::NotFound);
        let advice = dir.map(|dir| {
            format!("; create the directory first: mkdir -p {}", shell_word(&dir.to_string_lossy()))
        });
        Failure::usage(format!("cannot write {}: {error}{}", path.display(), advice.unwrap_or_default()))
    })
}

impl Draft {
    fn new(arguments: &InitArguments) -> Result<Self, Failure> {
        if arguments.template {
            return Ok(Self::template(Vec::new()));
        }
        if !arguments.sources.is_empty() {
            return match InitSource::named(arguments)? {
                InitSource::Store(store) => Self::of_store(&store, arguments),
                InitSource::Files(paths) => Self::of_files(&paths, arguments),
                InitSource::Nothing(notes) => Err(Failure::usage(notes.join("; "))),
            };
        }
        let is_asked = given_options(arguments).iter().any(|(_, is_given)| *is_given);
        let found = match InitSource::in_working_dir()? {
            InitSource::Store(store) => Self::of_store(&store, arguments),
            InitSource::Files(paths) => Self::of_files(&paths, arguments),
            InitSource::Nothing(notes) if is_asked => Err(Failure::usage(notes.join("; "))),
            InitSource::Nothing(notes) => Ok(Self::template(notes)),
        };
        // Nobody asked for what is there: the template serves as well.
        if is_asked {
            found
        } else {
            Ok(found.unwrap_or_else(|failure| Self::template(failure.lines().to_vec())))
        }
    }

    /// The commented example, with what was looked at above it.
    fn template(notes: Vec<String>) -> Self {
        let mut text = String::new();
        if !notes.is_empty() {
            let lines = ["`rollfit init` found no series to write down:"]
                .into_iter()
                .chain(notes.iter().map(String::as_str));
            text = lines.map(|line| comment(&line.replace('=', ":")) + "\n").collect();
            text.push('\n');
        }
        text += EXAMPLE;
        let next = vec!["rollfit plan".to_owned()];
        Self { text, next, notes, ..Self::default() }
    }

    /// A configuration for the tables of a store, which was planned.
    fn of_store(store: &StoreConfig, arguments: &InitArguments) -> Result<Self, Failure> {
        let kind = stores::kind_of(store)?;
        if !kind.has_tables() {
            refuse_options(
                arguments,
                &DATABASE_OPTIONS,
                &format!("{} stores have no schemas and no passwords", kind.name()),
            )?;
        }
        let tables = stores::opened(patiently(|| kind.survey(store)))?;
        let names: Vec<String> = tables.iter().map(|table| table.name.clone()).collect();
        let tables = named_tables(tables, &arguments.tables)?;
        let url = stores::opened(kind.url_without_passwords(&store.url))?;
        let shown = url.clone();
        let proposal = Proposal::new(&tables, &names, !arguments.tables.is_empty())
            .map_err(|none| no_series(&shown, &none, elsewhere(kind, store)))?;
        let lines = StoreLines {
            has_password: url != store.url,
            url: within(&url, target(arguments)),
            schema: store.schema.clone(),
            password_command: store.password_command.clone(),
            has_tables: kind.has_tables(),
        };
        let heading = vec![format!(
            "Written by `rollfit init` for {} of {shown}.",
            plural(proposal.tables, "source table")
        )];
        let by = PeriodUnit::default();
        let mut text = ConfigText { store: &lines, proposal: &proposal, by, few_rows: None, heading };
        let trial = tried(&mut text, store).map_err(|failure| failure.after(&format!("{shown}:")))?;
        if trial.rows == 0 {
            return Err(never_joined(&shown, &trial));
        }
        Ok(Self::of_proposal(text.text(), &proposal, &trial, &shown, arguments))
    }

    /// What is said of a configuration for the tables of the store `shown`, which was planned.
    fn of_proposal(
        text: String,
        proposal: &Proposal,
        trial: &ProposalTrial,
        shown: &str,
        arguments: &InitArguments,
    ) -> Self {
        let series: Vec<String> = proposal.series.iter().map(|series| series.name.clone()).collect();
        // Those of a long table are known now.
        let keys = if proposal.keys.is_empty() { &trial.keys } else { &proposal.keys };
        let found = format!(
            "{} series ({}) of {} ({}) in {shown}; {}, {}",
            series.len(),
            few(&series),
            plural(keys.len(), "key"),
            few(keys),
            plural(trial.partitions, "partition"),
            trial.periods()
        );
        Self {
            text,
            found,
            next: vec![after_config("rollfit plan", arguments)],
            notes: notes(proposal, trial),
            series,
            keys: keys.clone(),
        }
    }

    /// A configuration for what an import of these files will make.
    fn of_files(paths: &[PathBuf], arguments: &InitArguments) -> Result<Self, Failure> {
        refuse_options(arguments, &["--table"], "bar files have no tables")?;
        refuse_options(arguments, &DATABASE_OPTIONS, "bar files have no schemas and no passwords")?;
        let config = target(arguments);
        let beside =
            config.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let into = format!("parquet:{}", beside.join(NEW_STORE).display());
        let bars = BarFiles::new(paths, &into)?;
        let proposal = BarFiles::proposal();
        let store = StoreLines { url: format!("parquet:./{NEW_STORE}"), ..StoreLines::default() };
        let mut heading = vec!["Written by `rollfit init` for what this import will make:".to_owned()];
        heading.extend(bars.commands.iter().map(|command| format!("  {command}")));
        let by = by_of_rows(bars.few_rows);
        let text =
            ConfigText { store: &store, proposal: &proposal, by, few_rows: bars.few_rows, heading }.text();
        let mut next = bars.commands;
        next.push(after_config("rollfit plan", arguments));
        let series = proposal.series.iter().map(|series| series.name.clone()).collect();
        let found = format!("bars in the format {}, still to be imported", bars.formats);
        Ok(Self { text, found, next, notes: bars.notes, series, keys: Vec::new() })
    }

    fn print(&self, path: &Path) -> Result<(), Failure> {
        if self.found.is_empty() {
            let then = self.next.join("; ");
            return Ok(output::line(&format!(
                "wrote {}: edit it, then `{then}` shows what it means",
                path.display()
            ))?);
        }
        output::line(&format!("wrote {}: {}", path.display(), self.found))?;
        for (at, command) in self.next.iter().enumerate() {
            let label = if at == 0 { "next" } else { "then" };
            let blanks = bar_files::blanks(command);
            let blanks = if blanks.is_empty() { blanks } else { format!(" ({blanks})") };
            output::line(&format!("{label}{blanks}: {command}"))?;
        }
        Ok(())
    }
}

/// Tries a proposal out: by the unit of the features that are there, else by one that a month's rows suffice for.
fn tried(text: &mut ConfigText, store: &StoreConfig) -> Result<ProposalTrial, Failure> {
    let stored = stored_unit(&text.text(), store)?;
    text.by = stored.unwrap_or_default();
    let trial = ProposalTrial::new(&text.text(), store)?;
    text.few_rows = trial.few_rows().filter(|_| trial.rows > 0);
    if text.few_rows.is_none() {
        return Ok(trial);
    }
    text.by = stored.unwrap_or(by_of_rows(text.few_rows));
    ProposalTrial::new(&text.text(), store)
}

/// How long partitions are, by the rows of a month where they are few: a year of daily bars is a small file.
fn by_of_rows(few_rows: Option<u64>) -> PeriodUnit {
    if few_rows.is_some() { PeriodUnit::Year } else { PeriodUnit::Month }
}

/// The options that only a store in a database understands.
const DATABASE_OPTIONS: [&str; 2] = ["--schema", "--password-command"];

/// The options that say what of a store is meant, each with whether it is given.
fn given_options(arguments: &InitArguments) -> [(&'static str, bool); 3] {
    [
        ("--table", !arguments.tables.is_empty()),
        ("--schema", arguments.schema.is_some()),
        ("--password-command", arguments.password_command.is_some()),
    ]
}

/// Refuses each of `options` that is given, for nothing of it would be seen in the configuration.
fn refuse_options(arguments: &InitArguments, options: &[&str], why: &str) -> Result<(), Failure> {
    match given_options(arguments).iter().find(|(option, is_given)| *is_given && options.contains(option)) {
        Some((option, _)) => Err(Failure::usage(format!("{option}: {why}; leave it out"))),
        None => Ok(()),
    }
}

/// Where else tables are, if the store has other schemas with some.
fn elsewhere(kind: &dyn StoreKind, store: &StoreConfig) -> Option<String> {
    let schemas = kind.other_schemas(store).unwrap_or_default();
    (!schemas.is_empty())
        .then(|| format!("there are tables in other schemas, which --schema names: {}", few(schemas)))
}

/// The tables that `--table` names, or all.
fn named_tables(mut tables: Vec<SurveyedTable>, named: &[String]) -> Result<Vec<SurveyedTable>, Failure> {
    if named.is_empty() {
        return Ok(tables);
    }
    let patterns: Vec<(&String, Option<Pattern>)> =
        named.iter().map(|text| (text, Pattern::parse(text, &["key"]).ok())).collect();
    let fits = |(text, pattern): &(&String, Option<Pattern>), name: &String| {
        *text == name || pattern.as_ref().is_some_and(|pattern| pattern.key_of(name).is_some())
    };
    if let Some((text, _)) =
        patterns.iter().find(|pattern| !tables.iter().any(|table| fits(pattern, &table.name)))
    {
        let names = few(tables.iter().map(|table| &table.name));
        return Err(Failure::usage(format!("--table {text}: the store has no such table; it has {names}")));
    }
    tables.retain(|table| patterns.iter().any(|pattern| fits(pattern, &table.name)));
    Ok(tables)
}

/// What to say of series that have no instant in common, as far as was looked.
fn never_joined(store: &str, trial: &ProposalTrial) -> Failure {
    let others = match trial.tried - 1 {
        0 => String::new(),
        others => format!(", nor of {},", plural(others, "other partition")),
    };
    Failure::usage(format!(
        "{store}: no instant of {}{others} is in every series; name the tables that belong together with --table",
        trial.read
    ))
}

/// Why a store gives no series, with its tables.
fn no_series(store: &str, none: &NoProposal, elsewhere: Option<String>) -> Failure {
    let described = none.tables.iter().map(|(name, what)| format!("{name} ({what})"));
    let tables = if none.tables.is_empty() { String::new() } else { format!(": {}", few(described)) };
    let failure = Failure::usage(format!("{store}: {}{tables}", none.why)).with_note(
        "a series needs a timestamp and a column of numbers; --table NAME, or a pattern such as m1_{key}, says which tables \
         are meant; `rollfit init --template` writes a configuration to fill in",
    );
    elsewhere.iter().fold(failure, |failure, note| failure.with_note(note))
}

/// What a reader of the configuration should know.
fn notes(proposal: &Proposal, trial: &ProposalTrial) -> Vec<String> {
    let mut notes = Vec::new();
    // Those of features are expected beside their sources.
    let left_out: Vec<String> = proposal
        .left_out
        .iter()
        .filter(|(_, why)| why != HOLDS_FEATURES)
        .map(|(name, why)| format!("{name} ({why})"))
        .collect();
    if !left_out.is_empty() {
        notes.push(format!("left out {}: {}", plural(left_out.len(), "table"), few(&left_out)));
    }
    // Several series may be of one table.
    let mut naive: Vec<&String> =
        proposal.series.iter().filter(|series| !series.is_utc).map(|series| &series.table).collect();
    let mut seen = HashSet::new();
    naive.retain(|table| seen.insert(*table));
    if !naive.is_empty() {
        notes.push(format!("the times in {} have no time zone and are taken as UTC", few(naive)));
    }
    notes.extend(trial.join_loss.as_ref().map(|loss| format!("{}: {loss}", trial.read)));
    notes
}

/// A URL as the configuration has it: one that is relative starts from there.
fn within(url: &str, config: &Path) -> String {
    let is_here = config.parent().is_none_or(|parent| parent.as_os_str().is_empty());
    match url.strip_prefix("parquet:").map(Path::new) {
        Some(dir) if !is_here && dir.is_relative() => format!("parquet:{}", full(dir).display()),
        _ => url.to_owned(),
    }
}

/// A command for the configuration that is written.
fn after_config(command: &str, arguments: &InitArguments) -> String {
    let config = target(arguments);
    let is_usual = config == Path::new(CONFIG_NAME) || config == Path::new("-");
    if is_usual {
        command.to_owned()
    } else {
        format!("{command} --config {}", shell_word(&config.to_string_lossy()))
    }
}
