//! [`JobConfig`]: what a job is, read from TOML and the environment and checked for sense before anything is opened.

mod check;
mod config_file;
mod derivation;
mod error;
mod include;
mod layout;
mod outputs;
mod pattern;
mod period_bounds;
mod run;
mod series;
mod server;
mod setting;
mod stored_series;
mod stores;
mod variables;

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

pub use self::check::CheckConfig;
use self::check::resolve_check;
use self::config_file::{ConfigFile, OneOrMany, Override};
pub use self::derivation::{Derivation, Formula};
pub use self::error::ConfigError;
pub use self::layout::Layout;
pub use self::pattern::{KeyBehind, Pattern, PatternError};
use self::period_bounds::{resolve_bounds, resolve_by};
use self::run::resolve_run;
pub use self::run::{Order, RunConfig, Workers};
use self::series::resolve_series;
pub use self::series::{LabelledWindow, Series};
pub use self::server::ServerConfig;
pub use self::setting::{Origin, Origins, Setting};
pub use self::stored_series::{FIT_NUMBERS, FIT_PREFIX};
use self::stores::resolve_stores;
pub use self::stores::{Compression, DirectIo, NumberType, RowSecurity, SinkConfig, StoreConfig};
pub use self::variables::{nearest_variable, sets_key};
use crate::key::check_key;
use crate::month::Month;
use crate::period::{Period, PeriodUnit};

/// The name of the time column of every features table.
pub const TIME_COLUMN: &str = "ts_utc";

/// The reference workload's configuration, commented; `rollfit init` writes it.
pub const EXAMPLE: &str = include_str!("example.toml");

/// The most bytes of a configuration: a million keys need 10 MB.
pub const CONFIG_BYTES_MAX: usize = 16 << 20;

/// What a job computes, from where, to where, and how it runs.
#[derive(Clone, Debug)]
pub struct JobConfig {
    /// Where series come from.
    pub source: StoreConfig,
    /// Where features go, and how.
    pub sink: SinkConfig,
    /// Which keys.
    pub keys: Keys,
    /// How long the periods of its partitions are.
    pub by: PeriodUnit,
    /// The first month, which a period begins with; none for the first that has rows.
    pub from: Option<Month>,
    /// The last month, included, which a period ends with; none for the latest that has rows.
    pub to: Option<Month>,
    /// The series in configured order, which is the order of the features.
    pub series: Vec<Series>,
    /// Where windows may reach.
    pub boundary: Boundary,
    /// How the job runs.
    pub run: RunConfig,
    /// The limits of a check.
    pub check: CheckConfig,
    /// Where the settings of `run` came from.
    pub origins: Origins,
}

/// The keys of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Every key that the source has tables for.
    All,
    /// These.
    Listed(Vec<String>),
}

/// Where a window may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Boundary {
    /// Never into the partition before.
    Reset,
    /// Into the rows before, across any gap.
    Carry,
}

impl JobConfig {
    /// Reads a configuration; each variable `ROLLFIT_SECTION__KEY` replaces or adds the value at that place.
    ///
    /// # Errors
    /// [`ConfigError`] with place and remedy, when the text is not TOML, a key is unknown or missing, or a value makes
    /// no sense.
    pub fn parse(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::parse_in(Path::new(""), text, variables)
    }

    /// As [`JobConfig::parse`], for a text whose relative paths start from `dir`.
    ///
    /// # Errors
    /// As [`JobConfig::parse`].
    pub fn parse_in(
        dir: &Path,
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        if text.len() > CONFIG_BYTES_MAX {
            return Err(ConfigError::too_long());
        }
        let overrides = Override::all(variables);
        let origins = Origins::parse(text, &overrides);
        let file = ConfigFile::parse(text, &overrides)?.within(dir, &overrides);
        Self::resolve(file).map(|config| Self { origins, ..config }).map_err(|error| match ConfigFile::parse(
            text,
            &[],
        )
        .and_then(Self::resolve)
        {
            Err(in_text) if in_text == error => error,
            _ => error.with_note(&Override::note(&overrides)),
        })
    }

    fn resolve(file: ConfigFile) -> Result<Self, ConfigError> {
        let (source, sink) = resolve_stores(&file)?;
        let by = resolve_by(&file.partitions)?;
        let series = resolve_series(&file, by, sink.layout)?;
        let (from, to) = resolve_bounds(&file.partitions, by)?;
        let keys = resolve_keys(&file.partitions.keys)?;
        check_tables(&keys, &series)?;
        Ok(Self {
            keys,
            boundary: resolve_boundary(&file.run.boundary)?,
            run: resolve_run(&file)?,
            check: resolve_check(&file)?,
            source,
            sink,
            by,
            from,
            to,
            series,
            origins: Origins::default(),
        })
    }

    /// Whether a period is one of those from the first to the last.
    pub fn has_period(&self, period: Period) -> bool {
        period.unit() == self.by
            && self.from.is_none_or(|from| from <= period.first_month())
            && self.to.is_none_or(|to| period.last_month() <= to)
    }

    /// The rows that a partition's windows need before its first row: none under `reset`.
    pub fn lookback_rows(&self) -> usize {
        match self.boundary {
            Boundary::Reset => 0,
            Boundary::Carry => self.longest_window_rows().saturating_sub(1),
        }
    }

    /// The rows of the longest window of any series.
    pub fn longest_window_rows(&self) -> usize {
        let windows = self.series.iter().flat_map(|series| &series.windows);
        windows.map(|labelled| labelled.window.rows()).max().unwrap_or(0)
    }

    /// The number of feature columns of all series.
    pub fn feature_count(&self) -> usize {
        self.series.iter().map(|series| series.columns.len()).sum()
    }

    /// The names of the feature columns of every series, in order.
    pub fn feature_names(&self) -> impl Iterator<Item = &str> {
        self.series.iter().flat_map(|series| series.columns.iter().map(String::as_str))
    }

    /// The series whose feature columns are the `count` from `first_column` on.
    pub fn series_of(&self, first_column: usize, count: usize) -> Range<usize> {
        let columns_before = |at: usize| self.series[..at].iter().map(|s| s.columns.len()).sum::<usize>();
        let at_column = |column: usize| {
            (0..self.series.len()).find(|&at| columns_before(at) >= column).unwrap_or(self.series.len())
        };
        at_column(first_column)..at_column(first_column + count)
    }
}

fn resolve_keys(keys: &OneOrMany) -> Result<Keys, ConfigError> {
    let listed = match keys {
        OneOrMany::One(word) if word == "all" => return Ok(Keys::All),
        // A list in an environment variable is easier to write without brackets.
        OneOrMany::One(keys) => keys.split(',').map(|key| key.trim().to_owned()).collect(),
        OneOrMany::Many(keys) => keys.clone(),
    };
    if listed.is_empty() {
        return Err(ConfigError::new("[partitions] keys is empty: list keys, or write \"all\""));
    }
    let mut seen = HashSet::new();
    for key in &listed {
        check_key(key).map_err(|error| ConfigError::new(format!("[partitions] keys: {error}")))?;
        if !seen.insert(key) {
            return Err(ConfigError::new(format!("[partitions] keys: `{key}` is listed twice")));
        }
    }
    Ok(Keys::Listed(listed))
}

/// Several keys need at least one table with `{key}` in its name; other tables may serve them all.
fn check_tables(keys: &Keys, series: &[Series]) -> Result<(), ConfigError> {
    match (keys, series.first()) {
        (Keys::Listed(keys), Some(first)) if keys.len() > 1 && !series.iter().any(Series::tells_keys) => {
            Err(ConfigError::new(format!(
                "[series.{}] table = \"{}\": no table has {{key}} or a key_column, so all {} keys of [partitions] would get the \
                 features of the same rows; put {{key}} where their names differ, name the column that tells keys apart, or list one key",
                first.name,
                first.table,
                keys.len()
            )))
        }
        _ => Ok(()),
    }
}

fn resolve_boundary(text: &str) -> Result<Boundary, ConfigError> {
    match text {
        "reset" => Ok(Boundary::Reset),
        "carry" => Ok(Boundary::Carry),
        _ => Err(ConfigError::new(format!("[run] boundary = \"{text}\": write \"reset\" or \"carry\""))),
    }
}

impl std::fmt::Display for Boundary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Boundary::Reset => "reset",
            Boundary::Carry => "carry",
        })
    }
}

#[cfg(test)]
mod layout_tests;
#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unnamed_tests;
