//! [`Leaf`]: the features table of one series of one partition, as found and held against what is to be written there.
//!
//! Holds true: an existing table is never altered. What it lacks is told with the statement that would add it.

use rollfit_job::spec::{Series, TIME_COLUMN};
use rollfit_job::store::StoreError;

use super::column_type::NumberColumn;
use super::instant::TimeType;
use super::names::{TableName, quoted};
use super::tables::{Column, Kind, Table};

/// A features table that can be written.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) name: TableName,
    pub(crate) time: TimeType,
    /// The types of the series' feature columns, in the series' order.
    pub(crate) features: Vec<NumberColumn>,
    /// Columns that are not ours.
    pub(crate) others: Vec<Column>,
}

impl Leaf {
    /// The table for a series.
    ///
    /// # Errors
    /// When it is not a table with rows of its own, or a column is missing or cannot hold what belongs there.
    pub(crate) fn new(table: &Table, series: &Series) -> Result<Self, StoreError> {
        let name = &table.name;
        if table.kind != Kind::Plain {
            let what = if table.kind == Kind::Partitioned { "a partitioned table" } else { "not a table" };
            return Err(StoreError::permanent(format!(
                "{name} is {what}: `features` of series `{}` must name the table that holds the rows of one key and month",
                series.name
            )));
        }
        let time = time_column(table, TIME_COLUMN)?;
        let features = number_columns(table, &series.columns)?;
        let is_ours = |column: &Column| column.name == TIME_COLUMN || series.columns.contains(&column.name);
        let others: Vec<Column> = table.columns.iter().filter(|column| !is_ours(column)).cloned().collect();
        if let Some(other) = others.iter().find(|other| other.needs_a_value()) {
            return Err(StoreError::permanent(format!(
                "{name}: the column {} is not ours, takes no NULL and has no default, so that no row can be written; \
                 ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL",
                other.name,
                name.sql(),
                quoted(&other.name)
            )));
        }
        Ok(Self { name: name.clone(), time, features, others })
    }
}

impl Column {
    fn needs_a_value(&self) -> bool {
        self.not_null && self.default.is_none() && !self.generated
    }

    /// The expression that the column's values have unless somebody gave them others; none where it cannot be told,
    /// because the server makes a new value each time.
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

/// How the time column of a table keeps instants.
pub(crate) fn time_column(table: &Table, name: &str) -> Result<TimeType, StoreError> {
    const WANTED: &str = "timestamp or timestamp with time zone";
    let Some(column) = table.column(name) else {
        return Err(missing(table, &[name.to_owned()], "timestamp NOT NULL PRIMARY KEY"));
    };
    TimeType::of(column.type_oid, column.modifier)
        .ok_or_else(|| wrong_type(table, column, WANTED, "timestamp"))
}

/// What columns of numbers of a table can hold.
pub(crate) fn number_columns(table: &Table, names: &[String]) -> Result<Vec<NumberColumn>, StoreError> {
    const WANTED: &str = "double precision, numeric or real";
    let absent: Vec<String> = names.iter().filter(|name| table.column(name).is_none()).cloned().collect();
    if !absent.is_empty() {
        return Err(missing(table, &absent, &NumberColumn::Double.sql()));
    }
    let columns = names.iter().filter_map(|name| table.column(name));
    columns
        .map(|column| {
            NumberColumn::of(column)
                .ok_or_else(|| wrong_type(table, column, WANTED, &NumberColumn::Double.sql()))
        })
        .collect()
}

fn missing(table: &Table, columns: &[String], sql_type: &str) -> StoreError {
    let name = &table.name;
    let additions: Vec<String> =
        columns.iter().map(|column| format!("ADD COLUMN {} {sql_type}", quoted(column))).collect();
    let wanted = match columns {
        [column] => format!("no column {column} ({sql_type} wanted)"),
        [first, ..] => format!("{} columns missing, {first} ({sql_type} wanted) the first", columns.len()),
        [] => String::new(),
    };
    StoreError::permanent(format!("{name} has {wanted}; ALTER TABLE {} {}", name.sql(), additions.join(", ")))
}

fn wrong_type(table: &Table, column: &Column, wanted: &str, sql_type: &str) -> StoreError {
    let (name, quoted) = (&table.name, quoted(&column.name));
    StoreError::permanent(format!(
        "{name}: the column {} is {}, wanted is {wanted}; ALTER TABLE {} ALTER COLUMN {quoted} TYPE {sql_type} \
         USING {quoted}::{sql_type}",
        column.name,
        column.type_name,
        name.sql()
    ))
}
