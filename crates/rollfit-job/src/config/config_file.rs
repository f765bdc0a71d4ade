//! The configuration as written: TOML and the environment, before anything is checked for sense. Parsing does no I/O.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ConfigError;
use crate::few::few;

/// A TOML document with every known key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigFile {
    pub(super) store: Option<StoreSection>,
    pub(super) source: Option<SourceSection>,
    pub(super) sink: Option<StoreSection>,
    pub(super) partitions: PartitionsSection,
    pub(super) series: IndexMap<String, SeriesSection>,
    pub(super) windows: Option<IndexMap<String, i64>>,
    #[serde(default)]
    pub(super) features: FeaturesSection,
    #[serde(default)]
    pub(super) run: RunSection,
    #[serde(default)]
    pub(super) check: CheckSection,
}

/// The sections of a document that say where series are. Others are left unread.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct SourceSections {
    pub(super) store: Option<StoreSection>,
    pub(super) source: Option<SourceSection>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreSection {
    pub(super) url: String,
    pub(super) schema: Option<String>,
    pub(super) password_command: Option<String>,
    pub(super) row_security: Option<String>,
    pub(super) server_cores: Option<f64>,
    pub(super) server_metrics_command: Option<String>,
    pub(super) name: Option<String>,
    #[serde(default = "defaults::compression")]
    pub(super) compression: String,
    #[serde(default = "defaults::direct_io")]
    pub(super) direct_io: String,
    #[serde(default = "defaults::numbers")]
    pub(super) numbers: String,
    #[serde(default = "defaults::layout")]
    pub(super) layout: String,
    pub(super) views_schema: Option<String>,
    #[serde(skip)]
    pub(super) dirs: Dirs,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceSection {
    pub(super) url: String,
    pub(super) schema: Option<String>,
    pub(super) password_command: Option<String>,
    pub(super) row_security: Option<String>,
    #[serde(skip)]
    pub(super) dirs: Dirs,
}

/// What relative paths start from, see [`StoreConfig`](super::StoreConfig).
#[derive(Clone, Debug, Default)]
pub(super) struct Dirs {
    pub(super) url: PathBuf,
    pub(super) password_command: PathBuf,
    pub(super) server_metrics_command: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartitionsSection {
    pub(super) keys: OneOrMany,
    pub(super) by: Option<String>,
    pub(super) from: String,
    pub(super) to: String,
}

/// `"all"`, one key, or a list of keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected \"all\" or a list of keys, such as [\"eurusd\", \"gbpusd\"]")]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeriesSection {
    pub(super) table: String,
    pub(super) key_column: Option<String>,
    pub(super) time: String,
    pub(super) value: String,
    pub(super) derive: Option<String>,
    pub(super) base: Option<f64>,
    pub(super) features: Option<String>,
    pub(super) parent: Option<String>,
    pub(super) windows: Option<IndexMap<String, i64>>,
    pub(super) metrics: Option<Vec<String>>,
    pub(super) column: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeaturesSection {
    pub(super) metrics: Option<Vec<String>>,
    pub(super) column: Option<String>,
    #[serde(default)]
    pub(super) include: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RunSection {
    pub(super) workers: NumberOrWord,
    pub(super) boundary: String,
    pub(super) attempts: u32,
    pub(super) retry_for_s: f64,
    pub(super) lock_wait_s: f64,
    pub(super) statement_timeout_s: f64,
    pub(super) idle_timeout_s: f64,
    pub(super) store_sessions_max: Option<usize>,
    pub(super) store_write_mb_per_s_max: Option<f64>,
    pub(super) cpu_max: Option<f64>,
    pub(super) order: String,
    pub(super) shrunk_rows_min: f64,
    pub(super) join_loss_max: f64,
    pub(super) require_rows: bool,
    pub(super) pair_wait_s: f64,
    pub(super) settle_s: f64,
    pub(super) recheck_every_s: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CheckSection {
    pub(super) max_lag_s: Option<f64>,
    pub(super) closed: OneOrManyHours,
    pub(super) timezone: String,
    pub(super) no_value_rise_max: f64,
    pub(super) no_value_months: usize,
    pub(super) source_rows_min: f64,
}

/// Closed hours, or a list of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected closed hours, such as [\"Fri 21:00 - Sun 21:00\", \"2026-12-25\"]")]
pub(super) enum OneOrManyHours {
    One(String),
    Many(Vec<String>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected \"auto\", a number of workers, or a range such as \"2..16\"")]
pub(super) enum NumberOrWord {
    Number(i64),
    Word(String),
}

mod defaults {
    pub(super) fn compression() -> String {
        "lz4".to_owned()
    }

    pub(super) fn direct_io() -> String {
        "auto".to_owned()
    }

    pub(super) fn layout() -> String {
        "metrics".to_owned()
    }

    pub(super) fn numbers() -> String {
        "double precision".to_owned()
    }
}

impl Default for RunSection {
    fn default() -> Self {
        Self {
            workers: NumberOrWord::Word("auto".to_owned()),
            boundary: "reset".to_owned(),
            attempts: 10,
            retry_for_s: 120.0,
            lock_wait_s: 60.0,
            statement_timeout_s: 300.0,
            idle_timeout_s: 30.0,
            store_sessions_max: None,
            store_write_mb_per_s_max: None,
            cpu_max: None,
            order: "spread".to_owned(),
            shrunk_rows_min: 0.99,
            join_loss_max: 0.01,
            require_rows: false,
            pair_wait_s: 60.0,
            settle_s: 3600.0,
            recheck_every_s: 3600.0,
        }
    }
}

impl Default for CheckSection {
    fn default() -> Self {
        Self {
            max_lag_s: None,
            closed: OneOrManyHours::Many(Vec::new()),
            timezone: "UTC".to_owned(),
            no_value_rise_max: 0.01,
            no_value_months: 12,
            source_rows_min: 0.9,
        }
    }
}

/// Reads a document, or the sections of one; each of `overrides` replaces or adds the value at its place.
pub(super) fn parse_document<T: DeserializeOwned>(
    text: &str,
    overrides: &[Override],
) -> Result<T, ConfigError> {
    if overrides.is_empty() {
        return toml::from_str(text).map_err(|error| ConfigError::toml(text, &error));
    }
    let mut table: toml::Table = toml::from_str(text).map_err(|error| ConfigError::toml(text, &error))?;
    for given in overrides {
        given.apply(&mut table)?;
    }
    table.try_into().map_err(|error: toml::de::Error| match toml::from_str::<T>(text) {
        // The text alone is wrong in the same way, and has lines.
        Err(in_text) if in_text.message() == error.message() => ConfigError::toml(text, &in_text),
        _ => ConfigError::toml("", &error).with_note(&Override::note(overrides)),
    })
}

impl Dirs {
    /// Paths of the text start from `dir`, those of `overrides` from the working directory.
    fn new(section: &str, dir: &Path, overrides: &[Override]) -> Self {
        let dir_of = |key: &str| {
            let is_given = overrides.iter().any(|given| given.key_in(section) == Some(key));
            if is_given { PathBuf::new() } else { dir.to_owned() }
        };
        Self {
            url: dir_of("url"),
            password_command: dir_of("password_command"),
            server_metrics_command: dir_of("server_metrics_command"),
        }
    }
}

impl ConfigFile {
    /// Reads a document; each of `overrides` replaces or adds the value at its place.
    pub(super) fn parse(text: &str, overrides: &[Override]) -> Result<Self, ConfigError> {
        parse_document(text, overrides)
    }

    /// The same, where the paths of the text start from `dir`; those of `overrides` start from the working directory.
    pub(super) fn within(mut self, dir: &Path, overrides: &[Override]) -> Self {
        for (section, store) in [("store", &mut self.store), ("sink", &mut self.sink)] {
            store.iter_mut().for_each(|store| store.dirs = Dirs::new(section, dir, overrides));
        }
        self.source.iter_mut().for_each(|source| source.dirs = Dirs::new("source", dir, overrides));
        self
    }
}

impl SourceSections {
    /// Reads the sections of a document, as [`ConfigFile::parse`] and [`ConfigFile::within`] read all of it.
    pub(super) fn parse(dir: &Path, text: &str, overrides: &[Override]) -> Result<Self, ConfigError> {
        let mut sections: Self = parse_document(text, overrides)?;
        sections.store.iter_mut().for_each(|store| store.dirs = Dirs::new("store", dir, overrides));
        sections.source.iter_mut().for_each(|source| source.dirs = Dirs::new("source", dir, overrides));
        Ok(sections)
    }
}

/// A value given by an environment variable.
pub(super) struct Override {
    variable: String,
    path: Vec<String>,
    value: toml::Value,
}

impl Override {
    /// Those among `variables`, in the order of their names: the environment has none.
    pub(super) fn all(variables: impl IntoIterator<Item = (String, String)>) -> Vec<Self> {
        let mut overrides: Vec<Self> =
            variables.into_iter().filter_map(|(name, value)| Self::new(name, value)).collect();
        overrides.sort_by(|a, b| a.variable.cmp(&b.variable));
        overrides
    }

    /// What to say where they may be what is wrong.
    pub(super) fn note(overrides: &[Self]) -> String {
        format!("with {} from the environment", few(overrides.iter().map(|given| &given.variable)))
    }

    /// The variables meant are those with a double underscore after the prefix, and ROLLFIT_WINDOWS, a table whose order
    /// is the order of the columns; others have other uses.
    fn new(variable: String, value: String) -> Option<Self> {
        let path = variable.strip_prefix("ROLLFIT_")?;
        let path: Vec<String> = path.split("__").map(str::to_lowercase).collect();
        let whole_section = path.len() == 1 && path[0] == "windows";
        (path.len() >= 2 || whole_section).then(|| Self { variable, path, value: toml_value(&value) })
    }

    pub(super) fn variable(&self) -> &str {
        &self.variable
    }

    /// The key that it sets, where that is one of `section`.
    pub(super) fn key_in(&self, section: &str) -> Option<&str> {
        match self.path.as_slice() {
            [first, key] if first == section => Some(key),
            _ => None,
        }
    }

    fn apply(&self, table: &mut toml::Table) -> Result<(), ConfigError> {
        let Some((key, sections)) = self.path.split_last() else { return Ok(()) };
        let mut table = table;
        for section in sections {
            let section = spelled_in(table, section);
            let entry = table.entry(section.clone()).or_insert_with(|| toml::Table::new().into());
            table = entry.as_table_mut().ok_or_else(|| {
                ConfigError::new(format!("{}: `{section}` is a value, not a section", self.variable))
            })?;
        }
        table.insert(spelled_in(table, key), self.value.clone());
        Ok(())
    }
}

/// A name as the table spells it; names of variables ignore case.
fn spelled_in(table: &toml::Table, name: &str) -> String {
    table.keys().find(|known| known.eq_ignore_ascii_case(name)).cloned().unwrap_or_else(|| name.to_owned())
}

/// A variable's text as the TOML value it spells, or as a plain string.
fn toml_value(text: &str) -> toml::Value {
    let document = format!("value = {text}");
    match toml::from_str::<toml::Table>(&document) {
        Ok(mut table) if table.len() == 1 => table.remove("value").unwrap_or_else(|| text.into()),
        _ => text.into(),
    }
}
