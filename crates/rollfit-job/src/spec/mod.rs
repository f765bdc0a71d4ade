//! [`Spec`]: what a job is, read from TOML and the environment and checked for sense before anything is opened.

mod config;
mod origin;
mod pattern;
mod stores;

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use rollfit::{Metric, Window};

use self::config::{Config, NumberOrWord, OneOrMany, Override, SeriesConfig};
pub use self::origin::{Origin, Origins, Setting};
pub use self::pattern::{Pattern, PatternError};
use self::stores::resolve_stores;
pub use self::stores::{Compression, NumberType, Place, RowSecurity, SinkSpec};
use crate::foreign;
use crate::month::Month;
use crate::partition::{Partition, check_key};
use crate::store::SeriesOfKey;

/// The name of the time column of every features table.
pub const TIME_COLUMN: &str = "ts_utc";

/// The reference workload's configuration, commented; `rollfit init` writes it.
pub const EXAMPLE: &str = include_str!("example.toml");

/// What a job computes, from where, to where, and how it runs.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Where series come from.
    pub source: Place,
    /// Where features go, and how.
    pub sink: SinkSpec,
    /// Which keys.
    pub keys: Keys,
    /// The first month; none for the first that has rows.
    pub from: Option<Month>,
    /// The last month, included; none for the latest that has rows.
    pub to: Option<Month>,
    /// The series in configured order, which is the order of the features.
    pub series: Vec<Series>,
    /// Where windows may reach.
    pub boundary: Boundary,
    /// How the job runs.
    pub run: RunSpec,
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

/// How many workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// As many as turn out best.
    Auto,
    /// This many.
    Fixed(usize),
    /// As many as turn out best, of so many at least and so many at most.
    Between(usize, usize),
}

/// In which order partitions are begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Key by key, month by month.
    Plan,
    /// Those with the most rows first, lest one is left at the end for one worker alone.
    LargestFirst,
}

/// How a job runs.
#[derive(Clone, Copy, Debug)]
pub struct RunSpec {
    /// How many partitions are worked on at once.
    pub workers: Workers,
    /// How often a partition is tried when its faults are transient.
    pub attempts: u32,
    /// How long to go on trying while nothing succeeds.
    pub retry_for: Duration,
    /// How long to wait for partitions that another runner holds.
    pub lock_wait: Duration,
    /// How long the store may take for one statement.
    pub statement_timeout: Duration,
    /// How long a claim may stand still before it is taken for abandoned.
    pub idle_timeout: Duration,
    /// The most sessions with one store; none for what the store allows.
    pub store_sessions_max: Option<usize>,
    /// The most that is written to the store, in millions of bytes a second; none for what the store takes.
    pub store_write_mb_per_s_max: Option<f64>,
    /// The most cores that this process keeps busy; none for those there are.
    pub cpu_max: Option<f64>,
    /// In which order partitions are begun.
    pub order: Order,
    /// A changed input with a smaller share of the receipt's rows than this is `shrunk`.
    pub shrunk_rows_min: f64,
    /// A changed input of whose rows the join loses a larger share than this is `shrunk`.
    pub join_loss_max: f64,
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

/// One input column and the features made of it.
#[derive(Clone, Debug)]
pub struct Series {
    /// The name in feature columns, `idx`.
    pub name: String,
    /// The source table of a key.
    pub table: Pattern,
    /// The time column of that table.
    pub time: String,
    /// The value column of that table.
    pub value: String,
    /// The features table of a partition, where the store has tables.
    pub features: Pattern,
    /// The partitioned table that it is a part of, if it is one.
    pub parent: Option<Pattern>,
    /// The windows in configured order.
    pub windows: Vec<LabelledWindow>,
    /// The metrics of every window, in the order of the catalogue.
    pub metrics: Vec<Metric>,
    /// The feature columns: windows in configured order, within a window the metrics.
    pub columns: Vec<String>,
}

/// A window with its name in feature columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledWindow {
    /// The name, `w15`.
    pub label: String,
    /// The number of rows.
    pub window: Window,
}

/// A configuration that cannot be used: what, where, and what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SpecError {
    message: String,
}

impl SpecError {
    /// The message is one line and safe to print, whatever names the text and the environment have.
    fn new(message: impl Into<String>) -> Self {
        Self { message: foreign::message(&message.into()).into_owned() }
    }

    fn with_note(mut self, note: &str) -> Self {
        self.message = format!("{}\n({})", self.message.trim_end(), foreign::message(note));
        self
    }

    /// An error of the TOML reader; names the nearest known key where one is unknown.
    /// It tells the line and not what stands there, which may be a secret.
    fn toml(text: &str, error: &toml::de::Error) -> Self {
        let place = error.span().map(|span| place_in(text, span.start)).unwrap_or_default();
        let message = format!("{place}{}", in_plain_words(error.message().replace('\n', ": ")));
        let mut spec_error = Self::new(message.trim_end());
        if let Some(known) = nearest_key(error.message()) {
            spec_error.message.push_str(&format!("\ndid you mean `{known}`?"));
        }
        spec_error
    }
}

/// The place of a byte, as people count.
fn place_in(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    let shown = text.lines().nth(line - 1).map(without_value).unwrap_or_default();
    format!("TOML parse error at line {line}, column {column}{shown}: ")
}

/// A section, or the key of a line: what stands after it may be a secret.
fn without_value(line: &str) -> String {
    match line.split_once('=') {
        Some((key, _)) => format!(" (`{} = ...`)", key.trim()),
        None if line.starts_with('[') => format!(" (`{}`)", line.trim()),
        None => String::new(),
    }
}

/// What values are called by those who write them.
fn in_plain_words(message: String) -> String {
    const WORDS: [(&str, &str); 3] = [
        ("expected i64", "expected a whole number"),
        ("expected u32", "expected a whole number"),
        ("expected f64", "expected a number"),
    ];
    WORDS.into_iter().fold(message, |message, (theirs, ours)| message.replace(theirs, ours))
}

/// From "unknown field `a`, expected one of `b`, `c`" the expected name nearest to the unknown one.
fn nearest_key(message: &str) -> Option<String> {
    let names: Vec<&str> = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2).collect();
    let (unknown, known) = names.split_first()?;
    nearest(unknown, known.iter().copied()).map(str::to_owned)
}

/// The name most like `wanted`, if one is alike at all.
fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

impl Spec {
    /// Every series of one key.
    pub fn series_of_key<'a>(&'a self, key: &'a str) -> Vec<SeriesOfKey<'a>> {
        self.series.iter().map(|series| series.of_key(key)).collect()
    }

    /// Reads a configuration; each variable `ROLLFIT_SECTION__KEY` replaces or adds the value at that place.
    ///
    /// # Errors
    /// [`SpecError`] with place and remedy, when the text is not TOML, a key is unknown or missing, or a value makes
    /// no sense.
    pub fn parse(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SpecError> {
        Self::parse_in(Path::new(""), text, variables)
    }

    /// As [`Spec::parse`], for a text whose relative paths start from `dir`.
    ///
    /// # Errors
    /// As [`Spec::parse`].
    pub fn parse_in(
        dir: &Path,
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SpecError> {
        let overrides = Override::all(variables);
        let origins = Origins::of(text, &overrides);
        let config = Config::parse(text, &overrides)?.within(dir, &overrides);
        Self::resolve(config).map(|spec| Self { origins, ..spec }).map_err(|error| {
            match Config::parse(text, &[]).and_then(Self::resolve) {
                Err(in_text) if in_text.message == error.message => error,
                _ => error.with_note(&Override::note(&overrides)),
            }
        })
    }

    fn resolve(config: Config) -> Result<Self, SpecError> {
        let series = resolve_series(&config)?;
        let from = month_or_word(&config.partitions.from, "from", "first")?;
        let to = month_or_word(&config.partitions.to, "to", "latest")?;
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            return Err(SpecError::new(format!("[partitions] from = \"{from}\" is after to = \"{to}\"")));
        }
        let (source, sink) = resolve_stores(&config)?;
        let keys = resolve_keys(&config.partitions.keys)?;
        check_tables(&keys, &series)?;
        Ok(Self {
            keys,
            boundary: resolve_boundary(&config.run.boundary)?,
            run: resolve_run(&config)?,
            source,
            sink,
            from,
            to,
            series,
            origins: Origins::default(),
        })
    }

    /// The rows that a partition's windows need before its first row: none under `reset`.
    pub fn lookback_rows(&self) -> usize {
        let windows = self.series.iter().flat_map(|series| &series.windows);
        match self.boundary {
            Boundary::Reset => 0,
            Boundary::Carry => windows.map(|labelled| labelled.window.rows() - 1).max().unwrap_or(0),
        }
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

    /// Checks that no two outputs of `partitions` have the same name.
    ///
    /// # Errors
    /// [`SpecError`] naming the two and their patterns.
    pub fn check_outputs<'a>(
        &self,
        partitions: impl Iterator<Item = &'a Partition>,
    ) -> Result<(), SpecError> {
        let mut owners: HashMap<String, String> = HashMap::new();
        for partition in partitions {
            for series in &self.series {
                let owner = format!("{partition} of series `{}`", series.name);
                let table = series.features_table(partition);
                if let Some(other) = owners.insert(table.clone(), owner.clone()) {
                    return Err(SpecError::new(format!(
                        "[series.{}] features = \"{}\": {other} and {owner} would both be written to `{table}`; \
                         use {{key}}, {{yyyy}} and {{mm}} to tell them apart",
                        series.name, series.features
                    )));
                }
            }
        }
        Ok(())
    }
}

impl Series {
    /// The series of one key.
    pub fn of_key<'a>(&'a self, key: &'a str) -> SeriesOfKey<'a> {
        SeriesOfKey {
            name: &self.name,
            table: self.table.for_key(key),
            key,
            time: &self.time,
            value: &self.value,
        }
    }

    /// The name of the features table of a partition.
    pub fn features_table(&self, partition: &Partition) -> String {
        let (yyyy, mm) = (partition.period.month().yyyy(), partition.period.month().mm());
        self.features.expand(&[("key", &partition.key), ("yyyy", &yyyy), ("mm", &mm)])
    }

    /// The name of the partitioned table that a partition's features table is a part of, if there is one.
    pub fn parent_table(&self, partition: &Partition) -> Option<String> {
        let values = [("key", partition.key.as_str()), ("yyyy", &partition.period.month().yyyy())];
        self.parent.as_ref().map(|parent| parent.expand(&values))
    }

    /// The partition whose features table is called `name`, if the pattern tells.
    pub fn partition_of(&self, name: &str) -> Option<Partition> {
        let values = self.features.values_of(name, &[("key", None), ("yyyy", Some(4)), ("mm", Some(2))])?;
        let [key, yyyy, mm] = values.try_into().ok()?;
        check_key(&key).ok()?;
        Some(Partition::new(key, format!("{yyyy}-{mm}").parse().ok()?))
    }

    /// As [`Series::partition_of`]; a name in which the key has no place is that of a table of `key`.
    pub fn partition_named(&self, name: &str, key: &str) -> Option<Partition> {
        if self.features.has_key() {
            return self.partition_of(name);
        }
        let values = self.features.values_of(name, &[("yyyy", Some(4)), ("mm", Some(2))])?;
        let [yyyy, mm] = values.try_into().ok()?;
        Some(Partition::new(key.to_owned(), format!("{yyyy}-{mm}").parse().ok()?))
    }

    /// The windows without their labels.
    pub fn window_rows(&self) -> Vec<Window> {
        self.windows.iter().map(|labelled| labelled.window).collect()
    }
}

fn resolve_series(config: &Config) -> Result<Vec<Series>, SpecError> {
    if config.series.is_empty() {
        return Err(SpecError::new("there is no [series.NAME] section: a job needs at least one series"));
    }
    let series: Vec<Series> = config
        .series
        .iter()
        .map(|(name, series)| one_series(name, series, config))
        .collect::<Result<_, _>>()?;
    let mut owners: HashMap<&str, &str> = HashMap::from([(TIME_COLUMN, "the time column")]);
    for (name, column) in
        series.iter().flat_map(|s| s.columns.iter().map(|column| (s.name.as_str(), column.as_str())))
    {
        if let Some(other) = owners.insert(column, name) {
            return Err(SpecError::new(format!(
                "[series.{name}] column: two features would be called `{column}` (the other belongs to {other}); \
                 use {{metric}}, {{series}} and {{window}} to tell them apart"
            )));
        }
    }
    Ok(series)
}

fn one_series(name: &str, series: &SeriesConfig, config: &Config) -> Result<Series, SpecError> {
    let at = |key: &str, error: PatternError| SpecError::new(format!("[series.{name}] {key} = {error}"));
    let labels = series.windows.as_ref().or(config.windows.as_ref()).ok_or_else(|| {
        SpecError::new(format!("series `{name}` has no windows: add a [windows] section, such as w15 = 15"))
    })?;
    let section =
        if series.windows.is_some() { format!("[series.{name}.windows]") } else { "[windows]".to_owned() };
    let windows = resolve_windows(labels, &section)?;
    let metrics = resolve_metrics(series.metrics.as_ref().or(config.features.metrics.as_ref()), name)?;
    let column = series.column.as_deref().or(config.features.column.as_deref());
    let column =
        Pattern::parse(column.unwrap_or("{metric}_{series}_{window}"), &["metric", "series", "window"])
            .map_err(|error| at("column", error))?;
    Ok(Series {
        name: name.to_owned(),
        table: Pattern::parse(&series.table, &["key"]).map_err(|error| at("table", error))?,
        time: series.time.clone(),
        value: series.value.clone(),
        features: Pattern::parse(&series.features, &["key", "yyyy", "mm"])
            .map_err(|error| at("features", error))?,
        parent: series
            .parent
            .as_ref()
            .map(|parent| Pattern::parse(parent, &["key", "yyyy"]).map_err(|error| at("parent", error)))
            .transpose()?,
        columns: feature_columns(name, &windows, &metrics, &column),
        windows,
        metrics,
    })
}

fn feature_columns(
    series: &str,
    windows: &[LabelledWindow],
    metrics: &[Metric],
    column: &Pattern,
) -> Vec<String> {
    let name = |window: &LabelledWindow, metric: &Metric| {
        column.expand(&[("metric", metric.name()), ("series", series), ("window", &window.label)])
    };
    windows.iter().flat_map(|window| metrics.iter().map(move |metric| name(window, metric))).collect()
}

fn resolve_windows(
    labels: &indexmap::IndexMap<String, i64>,
    section: &str,
) -> Result<Vec<LabelledWindow>, SpecError> {
    if labels.is_empty() {
        return Err(SpecError::new(format!("{section} is empty: add one, such as w15 = 15")));
    }
    let mut windows: Vec<LabelledWindow> = Vec::new();
    for (label, &rows) in labels {
        let window = usize::try_from(rows).ok().and_then(|rows| Window::new(rows).ok()).ok_or_else(|| {
            SpecError::new(format!(
                "{section} {label} = {rows}: a window has {} to {} rows",
                Window::MIN_ROWS,
                Window::MAX_ROWS
            ))
        })?;
        if let Some(other) = windows.iter().find(|other| other.window == window) {
            return Err(SpecError::new(format!(
                "{section} {label} = {rows}: `{}` has {rows} rows too; remove one of them",
                other.label
            )));
        }
        windows.push(LabelledWindow { label: label.clone(), window });
    }
    Ok(windows)
}

/// The metrics named, in the order of the catalogue, or those stored by default.
fn resolve_metrics(names: Option<&Vec<String>>, series: &str) -> Result<Vec<Metric>, SpecError> {
    let Some(names) = names else { return Ok(Metric::STORED.to_vec()) };
    let known = || Metric::ALL.iter().map(|metric| metric.name());
    for name in names {
        if Metric::named(name).is_none() {
            let hint =
                nearest(name, known()).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
            let all = known().collect::<Vec<_>>().join(", ");
            return Err(SpecError::new(format!(
                "series `{series}`: unknown metric `{name}`; {hint}known are {all}"
            )));
        }
    }
    let metrics: Vec<Metric> =
        Metric::ALL.iter().copied().filter(|metric| names.iter().any(|name| name == metric.name())).collect();
    if metrics.is_empty() {
        return Err(SpecError::new(format!("series `{series}`: metrics is empty; name at least one")));
    }
    if metrics.len() < names.len() {
        return Err(SpecError::new(format!("series `{series}`: a metric is named twice")));
    }
    Ok(metrics)
}

fn resolve_keys(keys: &OneOrMany) -> Result<Keys, SpecError> {
    let listed = match keys {
        OneOrMany::One(word) if word == "all" => return Ok(Keys::All),
        // A list in an environment variable is easier to write without brackets.
        OneOrMany::One(keys) => keys.split(',').map(|key| key.trim().to_owned()).collect(),
        OneOrMany::Many(keys) => keys.clone(),
    };
    if listed.is_empty() {
        return Err(SpecError::new("[partitions] keys is empty: list keys, or write \"all\""));
    }
    for (at, key) in listed.iter().enumerate() {
        check_key(key).map_err(|error| SpecError::new(format!("[partitions] keys: {error}")))?;
        if listed[..at].contains(key) {
            return Err(SpecError::new(format!("[partitions] keys: `{key}` is listed twice")));
        }
    }
    Ok(Keys::Listed(listed))
}

/// Several keys need a table that tells them apart; one table beside it may serve them all.
fn check_tables(keys: &Keys, series: &[Series]) -> Result<(), SpecError> {
    match (keys, series.first()) {
        (Keys::Listed(keys), Some(first))
            if keys.len() > 1 && !series.iter().any(|series| series.table.has_key()) =>
        {
            Err(SpecError::new(format!(
                "[series.{}] table = \"{}\": no table has {{key}}, so all {} keys of [partitions] would get the features \
                 of the same rows; put {{key}} where their names differ, or list one key",
                first.name,
                first.table,
                keys.len()
            )))
        }
        _ => Ok(()),
    }
}

fn month_or_word(text: &str, key: &str, word: &str) -> Result<Option<Month>, SpecError> {
    if text == word {
        return Ok(None);
    }
    let month = text
        .parse()
        .map_err(|error| SpecError::new(format!("[partitions] {key}: {error}, or \"{word}\"")))?;
    Ok(Some(month))
}

fn resolve_boundary(text: &str) -> Result<Boundary, SpecError> {
    match text {
        "reset" => Ok(Boundary::Reset),
        "carry" => Ok(Boundary::Carry),
        _ => Err(SpecError::new(format!("[run] boundary = \"{text}\": write \"reset\" or \"carry\""))),
    }
}

fn resolve_run(config: &Config) -> Result<RunSpec, SpecError> {
    let run = &config.run;
    let share = |key: &str, value: f64| {
        let error = || SpecError::new(format!("[run] {key} = {value}: a share lies between 0 and 1"));
        if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(error()) }
    };
    let seconds = |key: &str, value: f64| {
        Duration::try_from_secs_f64(value)
            .map_err(|_| SpecError::new(format!("[run] {key} = {value}: give seconds, 0 or more")))
    };
    let timeout = |key: &str, value: f64| {
        let error =
            || SpecError::new(format!("[run] {key} = {value}: give seconds, at least 1 and at most 86400"));
        if (1.0..=86_400.0).contains(&value) { seconds(key, value) } else { Err(error()) }
    };
    let limit = |key: &str, value: Option<f64>, unit: &str| match value {
        Some(value) if !(value > 0.0 && value.is_finite()) => Err(SpecError::new(format!(
            "[run] {key} = {value}: give {unit}, more than 0; leave it out for no limit"
        ))),
        value => Ok(value),
    };
    if run.store_sessions_max == Some(0) {
        return Err(SpecError::new("[run] store_sessions_max = 0: at least one session is needed"));
    }
    if run.attempts == 0 {
        return Err(SpecError::new("[run] attempts = 0: a partition must be tried at least once"));
    }
    Ok(RunSpec {
        workers: resolve_workers(&run.workers)?,
        attempts: run.attempts,
        retry_for: seconds("retry_for_s", run.retry_for_s)?,
        lock_wait: seconds("lock_wait_s", run.lock_wait_s)?,
        statement_timeout: timeout("statement_timeout_s", run.statement_timeout_s)?,
        idle_timeout: timeout("idle_timeout_s", run.idle_timeout_s)?,
        store_sessions_max: run.store_sessions_max,
        store_write_mb_per_s_max: limit(
            "store_write_mb_per_s_max",
            run.store_write_mb_per_s_max,
            "millions of bytes a second",
        )?,
        cpu_max: limit("cpu_max", run.cpu_max, "cores")?,
        order: resolve_order(&run.order)?,
        shrunk_rows_min: share("shrunk_rows_min", run.shrunk_rows_min)?,
        join_loss_max: share("join_loss_max", run.join_loss_max)?,
    })
}

fn resolve_workers(workers: &NumberOrWord) -> Result<Workers, SpecError> {
    match workers {
        NumberOrWord::Word(word) => {
            word.parse().map_err(|error| SpecError::new(format!("[run] workers: {error}")))
        }
        NumberOrWord::Number(number) => {
            number.to_string().parse().map_err(|error| SpecError::new(format!("[run] workers: {error}")))
        }
    }
}

fn resolve_order(text: &str) -> Result<Order, SpecError> {
    match text {
        "plan" => Ok(Order::Plan),
        "largest-first" => Ok(Order::LargestFirst),
        _ => Err(SpecError::new(format!("[run] order = \"{text}\": write \"plan\" or \"largest-first\""))),
    }
}

impl std::fmt::Display for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Order::Plan => "plan",
            Order::LargestFirst => "largest-first",
        })
    }
}

impl std::str::FromStr for Workers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const MOST: usize = 1024;
        let count = |text: &str| text.trim().parse().ok().filter(|count| (1..=MOST).contains(count));
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let range = text.split_once("..").and_then(|(least, most)| count(least).zip(count(most)));
        match (count(text), range) {
            (Some(count), _) => Ok(Self::Fixed(count)),
            (_, Some((least, most))) if least <= most => Ok(Self::Between(least, most)),
            (_, Some((least, most))) => {
                Err(format!("`{text}` is no range, {least} is more than {most}: write \"{most}..{least}\""))
            }
            _ => Err(format!(
                "`{text}` is not a number of workers: write \"auto\", 1 to {MOST}, or a range such as \"2..16\""
            )),
        }
    }
}

impl std::fmt::Display for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Workers::Auto => f.pad("auto"),
            Workers::Fixed(count) => f.pad(&count.to_string()),
            Workers::Between(least, most) => f.pad(&format!("{least}..{most}")),
        }
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
mod tests;
