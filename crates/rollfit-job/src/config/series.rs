//! [`Series`]: an input column and the features made of it, from `[series.NAME]`, `[windows]` and `[features]`.

use std::collections::HashMap;

use rollfit::{Metric, Window};

use super::config_file::{ConfigFile, SeriesSection};
use super::derivation::{Derivation, resolve_derivation};
use super::include::{Included, included_columns, resolve_include};
use super::stored_series::{FIT_NUMBERS, check_fit_columns, fit_columns};
use super::{ConfigError, Layout, Pattern, PatternError, TIME_COLUMN};
use crate::key::check_key;
use crate::nearest::did_you_mean;
use crate::partition::Partition;
use crate::period::PeriodUnit;

/// One input column and the features made of it.
#[derive(Clone, Debug)]
pub struct Series {
    /// The name in feature columns, `idx`.
    pub name: String,
    /// How long the periods of its partitions are.
    pub by: PeriodUnit,
    /// The source table of a key.
    pub table: Pattern,
    /// The column of that table that tells its keys apart, where one table has the rows of several keys.
    pub key_column: Option<String>,
    /// The time column of that table.
    pub time: String,
    /// The value column of that table.
    pub value: String,
    /// How the values follow from that column, which holds closes; none where it holds the values.
    pub derivation: Option<Derivation>,
    /// The features table of a partition; none where none is named, which serves stores without tables.
    pub features: Option<Pattern>,
    /// The partitioned table that it is a part of, if it is one.
    pub parent: Option<Pattern>,
    /// The windows in configured order.
    pub windows: Vec<LabelledWindow>,
    /// The metrics of every window, in the order of the catalogue.
    pub metrics: Vec<Metric>,
    /// The columns of its source table that are stored beside the features, in configured order.
    pub include: Vec<String>,
    /// The feature columns: windows in configured order, within a window the metrics; then those that are included.
    pub columns: Vec<String>,
    /// The columns of the fits that they follow from, and those that are included, where a store keeps these; none where it keeps
    /// features.
    pub fit_columns: Vec<String>,
}

/// A window with its name in feature columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledWindow {
    /// The name, `w15`.
    pub label: String,
    /// The number of rows.
    pub window: Window,
}

impl Series {
    /// The name of the features table of a partition; empty where none is named.
    pub fn features_table(&self, partition: &Partition) -> String {
        self.features.as_ref().map_or_else(String::new, |features| expand(features, partition))
    }

    /// The name of the partitioned table that a partition's features table is a part of, if there is one.
    pub fn parent_table(&self, partition: &Partition) -> Option<String> {
        self.parent.as_ref().map(|parent| expand(parent, partition))
    }

    /// The partition whose features table is called `name`, if the name matches the pattern.
    pub fn partition_of(&self, name: &str) -> Option<Partition> {
        let mut values = self.values_of(name, &[("key", None)])?;
        let period = self.by.with_placeholders(&values.split_off(1))?;
        let key = values.pop()?;
        check_key(&key).ok()?;
        Some(Partition::new(key, period))
    }

    /// As [`Series::partition_of`]; a name in which the key has no place is that of a table of `key`.
    pub fn partition_named(&self, name: &str, key: &str) -> Option<Partition> {
        if self.features.as_ref()?.has_key() {
            return self.partition_of(name);
        }
        let values = self.values_of(name, &[])?;
        Some(Partition::new(key.to_owned(), self.by.with_placeholders(&values)?))
    }

    /// The values of some placeholders and of those of a period in the name of a features table.
    fn values_of(&self, name: &str, first: &[(&str, Option<usize>)]) -> Option<Vec<String>> {
        let of_period = self.by.placeholders().iter().map(|&(name, digits)| (name, Some(digits)));
        let placeholders: Vec<(&str, Option<usize>)> = first.iter().copied().chain(of_period).collect();
        self.features.as_ref()?.values_of(name, &placeholders)
    }

    /// Whether its source tells keys apart, by the names of tables or by a column.
    pub fn tells_keys(&self) -> bool {
        self.table.has_key() || self.key_column.is_some()
    }

    /// The windows without their labels.
    pub fn window_rows(&self) -> Vec<Window> {
        self.windows.iter().map(|labelled| labelled.window).collect()
    }
}

/// The name that a pattern gives a table of a partition.
fn expand(pattern: &Pattern, partition: &Partition) -> String {
    let of_period = partition.period.placeholders();
    let of_period = of_period.iter().map(|(name, value)| (*name, value.as_str()));
    let values: Vec<(&str, &str)> = of_period.chain([("key", partition.key.as_str())]).collect();
    pattern.expand(&values)
}

/// The most feature columns of a job. Each costs a run some 40 kB of memory a worker.
const FEATURES_MAX: usize = 1_000_000;
/// The most bytes of a column's name. Stores may hold fewer.
pub(super) const COLUMN_BYTES_MAX: usize = 255;

pub(super) fn resolve_series(
    file: &ConfigFile,
    by: PeriodUnit,
    layout: Layout,
) -> Result<Vec<Series>, ConfigError> {
    if file.series.is_empty() {
        return Err(ConfigError::new("there is no [series.NAME] section: a job needs at least one series"));
    }
    let mut left = FEATURES_MAX;
    let mut included = resolve_include(&file.features.include, &file.series)?;
    let series: Vec<Series> = file
        .series
        .iter()
        .map(|(name, series)| one_series(name, series, file, (by, layout, &mut left), &mut included))
        .collect::<Result<_, _>>()?;
    check_names(&series)?;
    check_fit_columns(&series)?;
    Ok(series)
}

/// Checks that each feature column of a job has a name of its own.
fn check_names(all: &[Series]) -> Result<(), ConfigError> {
    let mut names = ColumnNames::new();
    let columns = all.iter().flat_map(|series| series.columns.iter().map(move |column| (series, column)));
    for (series @ Series { name, .. }, column) in columns {
        let Some(same) = names.add(column, name) else { continue };
        series.check_not_included(column, &same)?;
        return Err(ConfigError::new(match same.differs_in_case(column) {
            false => format!(
                "[series.{name}] column: two features would be called `{column}` (the other belongs to {}); \
                 use {{metric}}, {{series}} and {{window}} to tell them apart",
                same.owner
            ),
            true => format!("[series.{name}] column: the features {}", same.case_clash(column)),
        }));
    }
    Ok(())
}

/// The columns of a job by their names in small letters: readers such as DuckDB take two that differ only in case for one.
pub(super) struct ColumnNames<'a>(HashMap<String, SameColumn<'a>>);

/// A column that has the name of another one, in whatever case, and whose it is.
#[derive(Clone, Copy)]
pub(super) struct SameColumn<'a> {
    name: &'a str,
    pub(super) owner: &'a str,
}

impl<'a> ColumnNames<'a> {
    pub(super) fn new() -> Self {
        let time = SameColumn { name: TIME_COLUMN, owner: "the time column" };
        Self(HashMap::from([(TIME_COLUMN.to_ascii_lowercase(), time)]))
    }

    /// Adds a column; returns the one that has its name already.
    pub(super) fn add(&mut self, name: &'a str, owner: &'a str) -> Option<SameColumn<'a>> {
        self.0.insert(name.to_ascii_lowercase(), SameColumn { name, owner })
    }
}

impl SameColumn<'_> {
    pub(super) fn differs_in_case(&self, column: &str) -> bool {
        self.name != column
    }

    /// What to say of two columns that differ only in case.
    pub(super) fn case_clash(&self, column: &str) -> String {
        format!(
            "`{column}` and `{}` (of {}) differ only in case, and readers such as DuckDB take them for one column; rename a series, a \
             window or a column so that their names differ in more",
            self.name, self.owner
        )
    }
}

/// A series with periods of the unit `by`, whose feature columns are taken from the `left` ones that the job may still have.
fn one_series(
    name: &str,
    series: &SeriesSection,
    file: &ConfigFile,
    (by, layout, left): (PeriodUnit, Layout, &mut usize),
    included: &mut Included<'_>,
) -> Result<Series, ConfigError> {
    let include = included.remove(name).unwrap_or_default();
    let included = included_columns(name, &include)?;
    let at = |key: &str, error: PatternError| ConfigError::new(format!("[series.{name}] {key} = {error}"));
    let labels = series.windows.as_ref().or(file.windows.as_ref()).ok_or_else(|| {
        ConfigError::new(format!("series `{name}` has no windows: add a [windows] section, such as w15 = 15"))
    })?;
    let section =
        if series.windows.is_some() { format!("[series.{name}.windows]") } else { "[windows]".to_owned() };
    let windows = resolve_windows(labels, &section)?;
    let metrics = resolve_metrics(series.metrics.as_ref().or(file.features.metrics.as_ref()), name)?;
    let column = series.column.as_deref().or(file.features.column.as_deref());
    let column =
        Pattern::parse(column.unwrap_or("{metric}_{series}_{window}"), &["metric", "series", "window"])
            .map_err(|error| at("column", error))?;
    // In the layout of fits there are columns of both.
    let (count, what) = match layout {
        Layout::Fits if metrics.len() < FIT_NUMBERS.len() => (FIT_NUMBERS.len(), "numbers of fits"),
        Layout::Fits | Layout::Metrics => (metrics.len(), "metrics"),
    };
    *left = left.checked_sub(windows.len() * count + include.len()).ok_or_else(|| {
        ConfigError::new(format!(
            "[series.{name}]: {} windows x {count} {what} are too many: all series together have at most \
             {FEATURES_MAX} such columns; use fewer windows or name the `metrics`",
            windows.len()
        ))
    })?;
    let fit_columns = match layout {
        Layout::Metrics => Vec::new(),
        Layout::Fits => [fit_columns(name, &windows, &column)?, included.clone()].concat(),
    };
    Ok(Series {
        name: name.to_owned(),
        by,
        table: source_table(name, series)?,
        key_column: series.key_column.clone(),
        time: series.time.clone(),
        value: series.value.clone(),
        derivation: resolve_derivation(name, series)?,
        features: table_pattern(name, by, ("features", series.features.as_ref()))?,
        parent: table_pattern(name, by, ("parent", series.parent.as_ref()))?,
        columns: [feature_columns(name, &windows, &metrics, &column)?, included].concat(),
        include,
        fit_columns,
        windows,
        metrics,
    })
}

/// The pattern of the source tables of a series. The key is told by the name of a table or by a column of it.
fn source_table(name: &str, series: &SeriesSection) -> Result<Pattern, ConfigError> {
    let table = Pattern::parse(&series.table, &["key"])
        .map_err(|error| ConfigError::new(format!("[series.{name}] table = {error}")))?;
    match &series.key_column {
        Some(column) if table.has_key() => Err(ConfigError::new(format!(
            "[series.{name}] table = \"{table}\" has {{key}}, and key_column = \"{column}\" tells keys too: keep one of them"
        ))),
        Some(column) if column.is_empty() || column.contains('\0') => {
            Err(ConfigError::new(format!("[series.{name}] key_column: {column:?} is no name of a column")))
        }
        _ => Ok(table),
    }
}

/// The pattern of the tables of a series, or of their parents, which have no further placeholder of a period than the year.
fn table_pattern(
    name: &str,
    by: PeriodUnit,
    (key, text): (&str, Option<&String>),
) -> Result<Option<Pattern>, ConfigError> {
    let of_period = by.placeholders().iter().map(|(placeholder, _)| *placeholder);
    let of_period = of_period.filter(|placeholder| key == "features" || *placeholder == "yyyy");
    let known: Vec<&str> = std::iter::once("key").chain(of_period).collect();
    let unit = if by.is_month() { String::new() } else { format!(" (with by = \"{by}\" in [partitions])") };
    let pattern = text.map(|text| Pattern::parse(text, &known)).transpose();
    pattern.map_err(|error| ConfigError::new(format!("[series.{name}] {key} = {error}{unit}")))
}

fn feature_columns(
    series: &str,
    windows: &[LabelledWindow],
    metrics: &[Metric],
    column: &Pattern,
) -> Result<Vec<String>, ConfigError> {
    let name = |window: &LabelledWindow, metric: &Metric| {
        let name = column.expand(&[("metric", metric.name()), ("series", series), ("window", &window.label)]);
        check_column(series, column, &name).map(|()| name)
    };
    windows.iter().flat_map(|window| metrics.iter().map(move |metric| name(window, metric))).collect()
}

/// Checks that a column can have its name.
pub(super) fn check_column(series: &str, pattern: &Pattern, name: &str) -> Result<(), ConfigError> {
    let why = match name.len() {
        0 => "a feature would have no name; give the window a label".to_owned(),
        bytes if bytes > COLUMN_BYTES_MAX => {
            format!("`{name}` has {bytes} bytes; a column name has at most {COLUMN_BYTES_MAX}")
        }
        _ if name.contains('\0') => format!("`{name}`: a name cannot hold a zero byte"),
        _ => return Ok(()),
    };
    Err(ConfigError::new(format!("[series.{series}] column = \"{pattern}\": {why}")))
}

fn resolve_windows(
    labels: &indexmap::IndexMap<String, i64>,
    section: &str,
) -> Result<Vec<LabelledWindow>, ConfigError> {
    if labels.is_empty() {
        return Err(ConfigError::new(format!("{section} is empty: add one, such as w15 = 15")));
    }
    let mut windows: Vec<LabelledWindow> = Vec::new();
    let mut labels_of = HashMap::new();
    for (label, &rows) in labels {
        let window = usize::try_from(rows).ok().and_then(|rows| Window::new(rows).ok()).ok_or_else(|| {
            ConfigError::new(format!(
                "{section} {label} = {rows}: a window has {} to {} rows",
                Window::MIN_ROWS,
                Window::MAX_ROWS
            ))
        })?;
        if let Some(other) = labels_of.insert(rows, label) {
            return Err(ConfigError::new(format!(
                "{section} {label} = {rows}: `{other}` has {rows} rows too; remove one of them"
            )));
        }
        windows.push(LabelledWindow { label: label.clone(), window });
    }
    Ok(windows)
}

/// The metrics named, in the order of the catalogue, or those stored by default.
fn resolve_metrics(names: Option<&Vec<String>>, series: &str) -> Result<Vec<Metric>, ConfigError> {
    let Some(names) = names else { return Ok(Metric::STORED.to_vec()) };
    let known = || Metric::ALL.iter().map(|metric| metric.name());
    for name in names {
        if name.parse::<Metric>().is_err() {
            let hint = did_you_mean(name, known());
            let all = known().collect::<Vec<_>>().join(", ");
            return Err(ConfigError::new(format!(
                "series `{series}`: unknown metric `{name}`; {hint}known are {all}"
            )));
        }
    }
    let metrics: Vec<Metric> =
        Metric::ALL.iter().copied().filter(|metric| names.iter().any(|name| name == metric.name())).collect();
    if metrics.is_empty() {
        return Err(ConfigError::new(format!("series `{series}`: metrics is empty; name at least one")));
    }
    if metrics.len() < names.len() {
        return Err(ConfigError::new(format!("series `{series}`: a metric is named twice")));
    }
    Ok(metrics)
}
