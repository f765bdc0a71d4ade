//! [`Leaf`]: the existing features table of one series of one partition, checked against what is to be written there.
//!
//! Invariants: an existing table is never altered. Whatever it lacks is an error with the statement that adds it.

use rollfit_job::config::{FIT_PREFIX, Layout, Series, TIME_COLUMN};
use rollfit_job::receipt::ColumnTypes;
use tokio_postgres::types::Type;

use crate::copy::instant::TimeType;
use crate::copy::number_column::NumberColumn;
use crate::names::TableName;
use crate::tables::defect::{Conversion, Defect, Wrong, WrongColumn};
use crate::tables::table::{Column, RelationKind, Table};

/// A features table that can be written.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) name: TableName,
    /// What its columns are of.
    pub(crate) layout: Layout,
    pub(crate) time: TimeType,
    /// The types of the series' columns, in the series' order.
    pub(crate) features: Vec<NumberColumn>,
    /// The types of the time column and of the feature columns, as the server writes them.
    pub(crate) types: ColumnTypes,
    /// Columns of other programs.
    pub(crate) others: Vec<Column>,
}

impl Leaf {
    /// Checks the table for a series.
    ///
    /// # Errors
    /// When it is not a table with rows of its own, or a column is missing or cannot hold the values.
    pub(crate) fn new(table: &Table, series: &Series) -> Result<Self, Defect> {
        if let Some(what) = not_a_leaf(table, series) {
            return Err(Defect::new(table, Wrong::Table(what)));
        }
        let time = time_column(table, TIME_COLUMN)?;
        let features = number_columns(table, &series.columns, Numbers::from_layout(series.layout()))?;
        let is_ours = |column: &Column| column.name == TIME_COLUMN || series.columns.contains(&column.name);
        let others: Vec<Column> = table.columns.iter().filter(|column| !is_ours(column)).cloned().collect();
        let wanting: Vec<String> =
            others.iter().filter(|other| other.needs_a_value()).map(|other| other.name.clone()).collect();
        if !wanting.is_empty() {
            return Err(Defect::new(table, Wrong::NeedsValues(wanting)));
        }
        let ours = std::iter::once(TIME_COLUMN).chain(series.columns.iter().map(String::as_str));
        let types = in_runs(ours.filter_map(|name| table.column(name)).map(|column| &column.type_name));
        Ok(Self { name: table.name.clone(), layout: series.layout(), time, features, types, others })
    }
}

impl Leaf {
    /// Returns the approximate bytes that COPY sends for a row.
    pub(crate) fn row_bytes(&self) -> u64 {
        const HEADER_AND_INSTANT: u64 = 2 + 12;
        HEADER_AND_INSTANT + self.features.iter().map(|column| column.field_bytes()).sum::<u64>()
    }
}

impl Leaf {
    /// Returns the fewest bytes that the server needs for a row without one of its features: the first value that is
    /// missing costs a bit for each column.
    pub(crate) fn stored_row_bytes_min(&self) -> u64 {
        const HEADER: u64 = 23;
        const INSTANT: u64 = 8;
        let columns = 1 + self.features.len() + self.others.len();
        let header = (HEADER + columns.div_ceil(8) as u64).next_multiple_of(8);
        let present = self.features.iter().skip(1).map(|column| column.stored_bytes_min());
        header + INSTANT + present.sum::<u64>()
    }
}

/// Returns why a relation holds no rows of its own, and what belongs there.
fn not_a_leaf(table: &Table, series: &Series) -> Option<String> {
    let (what, hint) = match table.kind {
        RelationKind::Plain => return None,
        RelationKind::Partitioned => ("a partitioned table".to_owned(), ""),
        RelationKind::Other(what) => {
            (format!("not a table but {what}"), "; if it shows fits, set layout = \"fits\"")
        }
    };
    let (name, unit) = (&series.name, series.by.noun());
    Some(match series.layout() {
        Layout::Metrics => format!(
            "it is {what}; `features` of series `{name}` must name the table that holds the rows of one key and {unit}{hint}"
        ),
        Layout::Fits => format!(
            "it is {what}; layout = \"fits\" keeps the rows of one key and {unit} in a table named `{FIT_PREFIX}` and then as \
             `features` of series `{name}` says; rename it or drop it"
        ),
    })
}

/// Returns names with the number of times that each is repeated in a row.
pub(crate) fn in_runs(names: impl IntoIterator<Item = impl AsRef<str>>) -> ColumnTypes {
    let mut runs = ColumnTypes::new();
    for name in names {
        match runs.last_mut().filter(|(last, _)| last == name.as_ref()) {
            Some((_, count)) => *count += 1,
            None => runs.push((name.as_ref().to_owned(), 1)),
        }
    }
    runs
}

impl Column {
    fn needs_a_value(&self) -> bool {
        self.not_null && self.default.is_none() && !self.generated
    }

    /// Returns which numbers it can hold, if these are among those that are wanted.
    fn as_number(&self, wanted: Numbers) -> Option<NumberColumn> {
        let number = NumberColumn::from_oid(self.type_oid, self.modifier);
        number.filter(|number| wanted == Numbers::Any || *number == NumberColumn::Double)
    }

    /// Returns the expression of the column's default values; none if it is unknown, because the server computes a
    /// new value each time.
    pub(crate) fn usual_value(&self) -> Option<&str> {
        match &self.default {
            _ if self.generated => None,
            None => Some("NULL"),
            // A function call: now(), nextval('...').
            Some(default) if default.contains('(') || default.starts_with("CURRENT") => None,
            Some(default) => Some(default),
        }
    }
}

/// Returns how the time column of a table stores instants.
pub(crate) fn time_column(table: &Table, name: &str) -> Result<TimeType, Defect> {
    let Some(column) = table.column(name) else {
        return Err(Defect::new(table, Wrong::Missing(vec![(name.to_owned(), "timestamp".to_owned())])));
    };
    TimeType::from_oid(column.type_oid, column.modifier).ok_or_else(|| {
        let wanted = "timestamp or timestamp with time zone";
        let wrong = WrongColumn { column: column.clone(), conversion: into_instant(column) };
        Defect::new(table, Wrong::Types { wanted, columns: vec![wrong] })
    })
}

/// The numbers that columns may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Doubles, decimals and singles.
    Any,
    /// Doubles only: features that follow from rounded fits would have other bits.
    Doubles,
}

impl Numbers {
    fn from_layout(layout: Layout) -> Self {
        match layout {
            Layout::Metrics => Self::Any,
            Layout::Fits => Self::Doubles,
        }
    }

    /// Returns the types, for messages.
    const fn types(self) -> &'static str {
        match self {
            Self::Any => "double precision, numeric or real",
            Self::Doubles => "double precision in a table of fits",
        }
    }
}

/// Returns what the number columns of a table can hold.
pub(crate) fn number_columns(
    table: &Table,
    names: &[String],
    wanted: Numbers,
) -> Result<Vec<NumberColumn>, Defect> {
    let near = |at: usize| neighbours_type(table, names, at, wanted);
    let absent = names.iter().enumerate().filter(|(_, name)| table.column(name).is_none());
    let absent: Vec<(String, String)> = absent.map(|(at, name)| (name.clone(), near(at))).collect();
    if !absent.is_empty() {
        return Err(Defect::new(table, Wrong::Missing(absent)));
    }
    let columns: Vec<&Column> = names.iter().filter_map(|name| table.column(name)).collect();
    let is_wrong = |(_, column): &(usize, &&Column)| column.as_number(wanted).is_none();
    let wrong = |(at, column): (usize, &&Column)| WrongColumn {
        column: (*column).clone(),
        conversion: into_number(column, near(at)),
    };
    let wrongs: Vec<WrongColumn> = columns.iter().enumerate().filter(is_wrong).map(wrong).collect();
    if wrongs.is_empty() {
        return Ok(columns.into_iter().filter_map(|column| column.as_number(wanted)).collect());
    }
    Err(Defect::new(table, Wrong::Types { wanted: wanted.types(), columns: wrongs }))
}

/// Returns the type of the nearest number column before the one at `at`, or after it.
fn neighbours_type(table: &Table, names: &[String], at: usize, wanted: Numbers) -> String {
    let is_number = |name: &String| table.column(name).filter(|column| column.as_number(wanted).is_some());
    let (before, after) = names.split_at(at);
    let nearest = before.iter().rev().chain(after).find_map(is_number);
    nearest.map_or_else(|| NumberColumn::Double.sql(), |column| column.type_name.clone())
}

/// Returns how a column is converted to instants, if the conversion is unambiguous.
fn into_instant(column: &Column) -> Conversion {
    let sql_type = match Type::from_oid(column.type_oid) {
        Some(Type::DATE | Type::TIMESTAMP) => "timestamp",
        Some(Type::TIMESTAMPTZ) => "timestamptz",
        _ => return Conversion::Beside("timestamp".to_owned()),
    };
    Conversion::Cast(sql_type.to_owned())
}

/// Returns how a column is converted to numbers.
fn into_number(column: &Column, sql_type: String) -> Conversion {
    let has_cast = matches!(
        Type::from_oid(column.type_oid),
        Some(
            Type::INT2
                | Type::INT4
                | Type::INT8
                | Type::FLOAT4
                | Type::NUMERIC
                | Type::TEXT
                | Type::VARCHAR
                | Type::BPCHAR
        )
    );
    if has_cast { Conversion::Cast(sql_type) } else { Conversion::Beside(sql_type) }
}
