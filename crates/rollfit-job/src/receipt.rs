//! [`Receipt`]: the record, committed with a partition's features, that it is done and from what. Nothing in it that is
//! compared depends on time, host or run.

use std::collections::HashSet;
use std::convert::identity;
use std::fmt::Display;
use std::hash::Hash;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::{Boundary, FIT_NUMBERS, JobConfig, Layout, RowSecurity, Series};
use crate::few::few;
use crate::period::PeriodUnit;

/// The version of what a stored bit means. Changes whenever one stored bit can.
pub const DEFINITION_VERSION: u32 = 3;

/// The record that a partition is done.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Receipt {
    /// The output it belongs to, see [`Sink::output`](crate::store::Sink::output). Found with another it is void.
    pub output: String,
    /// What was computed: the same of all receipts of a job, and long.
    #[serde(deserialize_with = "deserialize_shared")]
    pub definition: Arc<Definition>,
    /// From what.
    pub input: Input,
    /// What was stored.
    pub stored: Stored,
}

impl Receipt {
    /// The format that it needs, where that isn't the first one: programs that know no layout, or no other periods than months, would use
    /// its rows wrongly.
    fn format(&self) -> Option<u32> {
        match (self.definition.period, self.definition.layout) {
            (PeriodUnit::Month, Layout::Metrics) => None,
            (PeriodUnit::Month, Layout::Fits) => Some(2),
            _ => Some(3),
        }
    }
}

impl Serialize for Receipt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            format: Option<u32>,
            output: &'a str,
            definition: &'a Definition,
            input: &'a Input,
            stored: &'a Stored,
        }
        let Self { output, definition, input, stored } = self;
        Fields { format: self.format(), output, definition, input, stored }.serialize(serializer)
    }
}

fn deserialize_shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Definition>, D::Error> {
    Definition::deserialize(deserializer).map(Arc::new)
}

/// What was computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// See [`DEFINITION_VERSION`].
    pub version: u32,
    /// Where windows may reach.
    pub boundary: Boundary,
    /// The series in order.
    pub series: Vec<SeriesDefinition>,
    /// Which stores were allowed to hide rows.
    #[serde(default, skip_serializing_if = "AppliedRowSecurity::is_nowhere")]
    pub row_security: AppliedRowSecurity,
    /// What is kept of each fit.
    #[serde(default, skip_serializing_if = "Layout::is_metrics")]
    pub layout: Layout,
    /// How long periods are.
    #[serde(default, skip_serializing_if = "PeriodUnit::is_month")]
    pub period: PeriodUnit,
}

/// The stores in which row-level security of the server applies, as the configuration accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedRowSecurity {
    /// Where series come from.
    pub source: bool,
    /// Where features go.
    pub sink: bool,
}

impl AppliedRowSecurity {
    fn from_config(config: &JobConfig) -> Self {
        let applies = |row_security| row_security == RowSecurity::Apply;
        Self { source: applies(config.source.row_security), sink: applies(config.sink.store.row_security) }
    }

    /// Whether it applies to neither, as it does unless the configuration says so.
    fn is_nowhere(&self) -> bool {
        *self == Self::default()
    }
}

/// For people: where it applies.
impl std::fmt::Display for AppliedRowSecurity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match (self.source, self.sink) {
            (false, false) => "nowhere",
            (true, false) => "to the source",
            (false, true) => "to the sink",
            (true, true) => "to source and sink",
        })
    }
}

/// What was computed of one series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesDefinition {
    /// The name.
    pub name: String,
    /// The windows' lengths in rows, in order.
    pub windows: Vec<usize>,
    /// The metrics of each window, in order.
    pub metrics: Vec<String>,
    /// The feature columns, in order; the last ones are those of `include`.
    pub columns: Vec<String>,
    /// The columns of the source table that are stored beside the features, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// The columns of the fits, in order, where these are stored and features are computed on read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fit_columns: Vec<String>,
}

/// What the features were computed from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Joined rows of the partition.
    pub rows: u64,
    /// Joined rows before it that its windows reached.
    pub lookback_rows: u64,
    /// The first instant used, lookback included, in microseconds since 1970.
    pub first_us: Option<i64>,
    /// The last instant used.
    pub last_us: Option<i64>,
    /// Of the instants and exact values of all joined rows used, lookback included.
    pub digest: String,
    /// For each series the rows that another series lacks.
    pub lost_rows: Vec<u64>,
}

/// What was stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Rows of features.
    pub rows: u64,
    /// Of instants and features, in no order of rows; sixteen hexadecimal digits.
    pub checksum: String,
    /// Features without a value, by cause.
    pub no_value: NoValue,
    /// Whether somebody else wrote the rows, and they were compared with what the kernel gives instead of being replaced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// The column types of each series' table, where the store has types. Without them nothing can be added in a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<ColumnTypes>>,
}

impl Stored {
    /// What is stored once `added` has come to it; none where these cannot be the numbers of stored rows.
    pub fn plus(&self, added: &Self) -> Option<Self> {
        Some(Self {
            rows: self.rows.checked_add(added.rows)?,
            checksum: format!("{:016x}", self.checksum_sum()?.wrapping_add(added.checksum_sum()?)),
            no_value: self.no_value.checked_add(&added.no_value)?,
            adopted: self.adopted,
            types: self.types.clone(),
        })
    }

    /// The checksum as the sum that it is; none where it cannot be one.
    fn checksum_sum(&self) -> Option<u64> {
        let is_sum = self.checksum.len() == 16 && self.checksum.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_sum.then(|| u64::from_str_radix(&self.checksum, 16).ok())?
    }
}

/// The types of a table's columns in order, the time column first: a name, and how many columns in a row have it.
pub type ColumnTypes = Vec<(String, u64)>;

/// Features without a value, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoValue {
    /// The window reaches before the first row it may use.
    pub warmup: u64,
    /// The window holds a value that is missing, not finite, or beyond 1e100.
    pub input: u64,
    /// The formula's value is not finite.
    pub undefined: u64,
    /// Finite, but the column's type cannot hold it.
    pub column: u64,
    /// Values of included columns: the source has none either.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub included: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl NoValue {
    /// Features without a value, whatever the cause.
    pub fn total(&self) -> u64 {
        self.warmup + self.input + self.undefined + self.column + self.included
    }

    /// As [`NoValue::total`], of counts that somebody else may have written.
    pub(crate) fn checked_total(&self) -> Option<u64> {
        [self.warmup, self.input, self.undefined, self.column, self.included]
            .iter()
            .try_fold(0, |sum: u64, &n| sum.checked_add(n))
    }

    /// The counts of both; none where they are beyond all numbers.
    fn checked_add(&self, other: &Self) -> Option<Self> {
        Some(Self {
            warmup: self.warmup.checked_add(other.warmup)?,
            input: self.input.checked_add(other.input)?,
            undefined: self.undefined.checked_add(other.undefined)?,
            column: self.column.checked_add(other.column)?,
            included: self.included.checked_add(other.included)?,
        })
    }

    /// Adds the counts of another.
    pub fn add(&mut self, other: &Self) {
        self.warmup += other.warmup;
        self.input += other.input;
        self.undefined += other.undefined;
        self.column += other.column;
        self.included += other.included;
    }
}

impl Definition {
    /// What `config` computes.
    pub fn from_config(config: &JobConfig) -> Self {
        Self {
            version: DEFINITION_VERSION,
            boundary: config.boundary,
            series: config.series.iter().map(SeriesDefinition::from_series).collect(),
            row_security: AppliedRowSecurity::from_config(config),
            layout: config.sink.layout,
            period: config.by,
        }
    }

    /// Whether each series has the columns of fits that its windows need, or none in the layout of metrics.
    pub(crate) fn has_columns_of_layout(&self) -> bool {
        self.series.iter().all(|series| match self.layout {
            Layout::Metrics => series.fit_columns.is_empty(),
            Layout::Fits => {
                !series.windows.is_empty()
                    && series.fit_columns.len()
                        == FIT_NUMBERS.len() * series.windows.len() + 1 + series.include.len()
            }
        })
    }

    /// What differs in another definition, for people; none where nothing does.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let version = (self.version != other.version)
            .then(|| format!("definition version {} became {}", self.version, other.version));
        match (version, self.difference_within_version(other)) {
            (Some(version), Some(difference)) => Some(format!("{version}, and {difference}")),
            (version, difference) => version.or(difference),
        }
    }

    /// Whether it is what an earlier version of rollfit computed of the same job.
    pub fn is_earlier_version_of(&self, other: &Self) -> bool {
        self.version < other.version && self.difference_within_version(other).is_none()
    }

    fn difference_within_version(&self, other: &Self) -> Option<String> {
        if self.period != other.period {
            return Some(format!("partitions by {} became by {}", self.period, other.period));
        }
        if self.boundary != other.boundary {
            return Some(format!("boundary {} became {}", self.boundary, other.boundary));
        }
        if self.row_security != other.row_security {
            return Some(format!(
                "row-level security applied {} and applies {} now (`row_security`)",
                self.row_security, other.row_security
            ));
        }
        if self.layout != other.layout {
            return Some(format!("layout {} became {}", self.layout, other.layout));
        }
        let names = |definition: &Self| definition.series.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        if names(self) != names(other) {
            return Some(format!("series {}", became(&names(self), &names(other), identity)));
        }
        self.series.iter().zip(&other.series).find_map(|(ours, theirs)| ours.difference(theirs))
    }
}

impl SeriesDefinition {
    fn from_series(series: &Series) -> Self {
        Self {
            name: series.name.clone(),
            windows: series.windows.iter().map(|labelled| labelled.window.rows()).collect(),
            metrics: series.metrics.iter().map(|metric| metric.name().to_owned()).collect(),
            columns: series.columns.clone(),
            include: series.include.clone(),
            fit_columns: series.fit_columns.clone(),
        }
    }

    /// The columns that the store keeps.
    pub fn stored_columns(&self) -> &[String] {
        if self.fit_columns.is_empty() { &self.columns } else { &self.fit_columns }
    }

    fn difference(&self, other: &Self) -> Option<String> {
        let bracketed = |list: String| format!("[{list}]");
        if self.windows != other.windows {
            Some(self.list_difference("windows", &self.windows, &other.windows, bracketed))
        } else if self.metrics != other.metrics {
            Some(self.list_difference("metrics", &self.metrics, &other.metrics, identity))
        } else if self.include != other.include {
            Some(self.list_difference("include", &self.include, &other.include, bracketed))
        } else if self.columns != other.columns || self.fit_columns != other.fit_columns {
            Some(format!("column names changed of series {}", self.name))
        } else {
            None
        }
    }

    /// How a list of this series differs in another definition: both lists, or what is gone and new where that is shorter.
    fn list_difference<T: Display + Eq + Hash>(
        &self,
        what: &str,
        ours: &[T],
        theirs: &[T],
        shown: impl Fn(String) -> String,
    ) -> String {
        let whole = format!("{what} {} of series {}", became(ours, theirs, shown), self.name);
        let short =
            gone_and_new(ours, theirs).map(|change| format!("{what} of series {}: {change}", self.name));
        short.filter(|short| short.len() < whole.len()).unwrap_or(whole)
    }
}

/// `without a, b and with c`; none where what both lists have is in another order.
fn gone_and_new<T: Display + Eq + Hash>(ours: &[T], theirs: &[T]) -> Option<String> {
    let (in_ours, in_theirs): (HashSet<&T>, HashSet<&T>) = (ours.iter().collect(), theirs.iter().collect());
    let (kept, gone): (Vec<&T>, Vec<&T>) = ours.iter().partition(|entry| in_theirs.contains(entry));
    let (same, new): (Vec<&T>, Vec<&T>) = theirs.iter().partition(|entry| in_ours.contains(entry));
    let part = |word: &str, list: &[&T]| (!list.is_empty()).then(|| format!("{word} {}", few(list)));
    let parts: Vec<String> = [part("without", &gone), part("with", &new)].into_iter().flatten().collect();
    (kept == same && !parts.is_empty()).then(|| parts.join(" and "))
}

/// Two lists that differ: whole where they are short, else from the first entry that is not the same.
fn became<T: PartialEq + Display>(ours: &[T], theirs: &[T], shown: impl Fn(String) -> String) -> String {
    /// No fewer than there are metrics.
    const WHOLE_MAX: usize = 24;
    if ours.len().max(theirs.len()) <= WHOLE_MAX {
        let whole = |list: &[T]| shown(list.iter().map(T::to_string).collect::<Vec<_>>().join(", "));
        return format!("{} became {}", whole(ours), whole(theirs));
    }
    let same = ours.iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count();
    let rest = |list: &[T]| if list.len() == same { "nothing".to_owned() } else { shown(few(&list[same..])) };
    format!("from number {} on: {} became {}", same + 1, rest(ours), rest(theirs))
}

impl Input {
    /// The largest share of its rows that a series lost in the join.
    pub fn join_loss(&self) -> f64 {
        // Somebody else may have written the numbers of a receipt: their sum may be none.
        let share = |&lost: &u64| lost as f64 / (self.rows as f64 + lost as f64).max(1.0);
        self.lost_rows.iter().map(share).fold(0.0, f64::max)
    }

    /// Whether it is of the same joined rows as another. What the join lost is no part of them: no feature depends on it, and
    /// the last rows of a series count as lost only some time after they came.
    pub fn is_same_rows(&self, other: &Self) -> bool {
        let rows = |input: &Self| (input.rows, input.lookback_rows, input.first_us, input.last_us);
        rows(self) == rows(other) && self.digest == other.digest
    }

    /// Whether a series has lost more rows since an earlier one.
    pub fn has_lost_more_than(&self, earlier: &Self) -> bool {
        let before = |at: usize| earlier.lost_rows.get(at).copied().unwrap_or(0);
        self.lost_rows.iter().enumerate().any(|(at, &lost)| lost > before(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(windows: std::ops::Range<usize>) -> Definition {
        let series = SeriesDefinition {
            name: "idx".to_owned(),
            windows: windows.collect(),
            metrics: vec!["r2".to_owned()],
            columns: Vec::new(),
            include: Vec::new(),
            fit_columns: Vec::new(),
        };
        let row_security = AppliedRowSecurity::default();
        Definition {
            version: DEFINITION_VERSION,
            boundary: Boundary::Reset,
            series: vec![series],
            row_security,
            layout: Layout::Metrics,
            period: PeriodUnit::Month,
        }
    }

    #[test]
    fn only_the_version_makes_an_earlier_version_and_no_difference_hides_another() {
        let [now, mut earlier, mut later] = [definition(3..5), definition(3..5), definition(3..5)];
        (earlier.version, later.version) = (2, DEFINITION_VERSION + 1);
        assert!(earlier.is_earlier_version_of(&now));
        for other in [&now, &later, &definition(4..6)] {
            assert!(!other.is_earlier_version_of(&now));
        }
        assert_eq!(earlier.difference(&now).unwrap(), "definition version 2 became 3");
        earlier.boundary = Boundary::Carry;
        assert!(!earlier.is_earlier_version_of(&now));
        assert_eq!(
            earlier.difference(&now).unwrap(),
            "definition version 2 became 3, and boundary carry became reset"
        );
    }

    #[test]
    fn a_difference_of_lists_has_both_or_what_is_gone_and_new_where_that_is_shorter() {
        let difference = |ours, theirs| definition(ours).difference(&definition(theirs)).unwrap();
        assert_eq!(difference(3..5, 4..6), "windows [3, 4] became [4, 5] of series idx");
        assert_eq!(
            difference(3..10_003, 3..20_003),
            "windows of series idx: with 10003, 10004, 10005, 10006, 10007, 10008, 10009, 10010, 10011, 10012 and 9990 more"
        );
        let series = |metrics: &[&str]| SeriesDefinition {
            metrics: metrics.iter().map(|&metric| metric.to_owned()).collect(),
            ..definition(3..5).series.remove(0)
        };
        let difference = |ours, theirs| series(ours).difference(&series(theirs)).unwrap();
        let all: &[&str] = &["a2", "a1", "a0", "r2", "rmse", "residual_mean"];
        assert_eq!(difference(all, &all[..5]), "metrics of series idx: without residual_mean");
        assert_eq!(difference(&all[1..4], all), "metrics of series idx: with a2, rmse, residual_mean");
        assert_eq!(difference(&["a2", "r2"], &["r2", "a2"]), "metrics a2, r2 became r2, a2 of series idx");
    }
}
