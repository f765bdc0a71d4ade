//! What a store keeps of a series: its features, or the fits that they follow from, in tables whose names begin with
//! [`FIT_PREFIX`].

use super::series::{ColumnNames, check_column};
use super::{ConfigError, JobConfig, KeyBehind, LabelledWindow, Layout, Pattern, Series};
use crate::partition::Partition;

/// What the names of tables of fits begin with; the rest is the name that readers of features use.
pub const FIT_PREFIX: &str = "fit_";

/// The numbers of a fit that each window has columns of, in their order. The sixth, `y_last`, is the same for every window.
pub const FIT_NUMBERS: [&str; 5] = ["a2", "a1", "b", "ss_res", "ss_tot"];

impl Series {
    /// Which numbers a store keeps of it.
    pub fn layout(&self) -> Layout {
        if self.fit_columns.is_empty() { Layout::Metrics } else { Layout::Fits }
    }

    /// The columns that a store keeps: the features, or the numbers of each window's fit, then `y_last`; then those that are
    /// included.
    pub fn stored_columns(&self) -> &[String] {
        match self.layout() {
            Layout::Metrics => &self.columns,
            Layout::Fits => &self.fit_columns,
        }
    }

    /// The name of the table that holds the rows of a partition.
    pub fn stored_table(&self, partition: &Partition) -> String {
        self.stored_name(self.features_table(partition))
    }

    /// The name of the partitioned table that it is a part of, if it is one.
    pub fn stored_parent(&self, partition: &Partition) -> Option<String> {
        self.parent_table(partition).map(|parent| self.stored_name(parent))
    }

    fn stored_name(&self, name: String) -> String {
        match self.layout() {
            // As stored, it has them already.
            Layout::Fits if self.columns != self.fit_columns => format!("{FIT_PREFIX}{name}"),
            Layout::Metrics | Layout::Fits => name,
        }
    }

    /// The partition whose rows the table `name` holds, if the name matches the pattern.
    pub fn partition_stored_in(&self, name: &str) -> Option<Partition> {
        match self.layout() {
            Layout::Metrics => self.partition_of(name),
            Layout::Fits => self.partition_of(name.strip_prefix(FIT_PREFIX)?),
        }
    }

    /// Whether `name` is that of a table of fits, or of one that such tables are parts of: never that of a source table.
    pub(crate) fn is_fit_table(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(FIT_PREFIX) else { return false };
        let mut patterns = self.features.iter().chain(&self.parent);
        self.layout() == Layout::Fits && patterns.any(|pattern| pattern.key_behind(rest) != KeyBehind::Nobody)
    }

    /// The window, counted from 0, whose newest values `y_last` has: the shortest one, which has a fit wherever another has one.
    pub fn y_last_window(&self) -> usize {
        let windows = self.windows.iter().enumerate();
        windows.min_by_key(|(_, labelled)| labelled.window.rows()).map_or(0, |(at, _)| at)
    }

    /// The series as a store of tables keeps it: a series whose features tables and columns are those that hold its rows. Its
    /// layout stays the same, and so does what it gives for the names of its tables here.
    pub fn as_stored(&self) -> Self {
        match self.layout() {
            Layout::Fits if self.columns != self.fit_columns => Self {
                features: self.features.as_ref().map(|features| features.with_prefix(FIT_PREFIX)),
                parent: self.parent.as_ref().map(|parent| parent.with_prefix(FIT_PREFIX)),
                columns: self.fit_columns.clone(),
                ..self.clone()
            },
            Layout::Metrics | Layout::Fits => self.clone(),
        }
    }
}

impl JobConfig {
    /// The names of the columns that the store keeps of every series, in order.
    pub fn stored_names(&self) -> impl Iterator<Item = &str> {
        self.series.iter().flat_map(|series| series.stored_columns().iter().map(String::as_str))
    }

    /// The number of columns that the store keeps of all series.
    pub fn stored_column_count(&self) -> usize {
        self.series.iter().map(|series| series.stored_columns().len()).sum()
    }
}

/// The columns of the fits of a series: those of each window in configured order, named as its features are, then `y_last`.
pub(super) fn fit_columns(
    series: &str,
    windows: &[LabelledWindow],
    column: &Pattern,
) -> Result<Vec<String>, ConfigError> {
    let name = |window: &LabelledWindow, number: &str| {
        column.expand(&[("metric", number), ("series", series), ("window", &window.label)])
    };
    let of_windows =
        windows.iter().flat_map(|window| FIT_NUMBERS.iter().map(move |number| name(window, number)));
    let columns: Vec<String> = of_windows.chain([format!("y_last_{series}")]).collect();
    columns.iter().try_for_each(|name| check_column(series, column, name))?;
    Ok(columns)
}

/// Checks that each column of the fits of a job has a name of its own.
pub(super) fn check_fit_columns(all: &[Series]) -> Result<(), ConfigError> {
    let mut names = ColumnNames::new();
    let columns = all.iter().flat_map(|series| series.fit_columns.iter().map(move |column| (series, column)));
    for (series @ Series { name, .. }, column) in columns {
        let Some(same) = names.add(column, name) else { continue };
        series.check_not_included(column, &same)?;
        return Err(ConfigError::new(match same.differs_in_case(column) {
            false => format!(
                "[series.{name}] column: layout = \"fits\" would call two columns of its tables `{column}` (the other belongs \
                 to {}); use {{metric}}, {{series}} and {{window}} to tell them apart",
                same.owner
            ),
            true => {
                format!("[series.{name}] column: layout = \"fits\": the columns {}", same.case_clash(column))
            }
        }));
    }
    Ok(())
}
