//! The source tables: their types, whether they can be read, and their rows in each planned period.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use rollfit_job::config::Series;
use rollfit_job::few::few;
use rollfit_job::period::Period;
use rollfit_job::store::{SeriesOfKey, StoreError};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use tokio_postgres::types::Type;

use super::rights::{Lacking, Rights};
use super::{Examination, Findings, Problem};
use crate::PostgresStore;
use crate::connection::answer_row::first_value;
use crate::connection::session::{Session, SqlParameter};
use crate::ddl::optional_index;
use crate::import::source_table::RATE_INDEX;
use crate::names::TableName;
use crate::source::SeriesTable;
use crate::source::followable::IndexedTable;
use crate::tables::table::{Column, Table, describe};

/// A table that series are read from.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct SourceTableReport {
    /// The key.
    pub(crate) key: String,
    /// The series.
    pub(crate) series: String,
    /// The name, with its schema.
    pub(crate) table: String,
    /// The column that tells keys apart and its type, if the table has the rows of several keys; none if it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_column: Option<String>,
    /// The time column and its type; none if it is missing.
    pub(crate) time: Option<String>,
    /// The value column and its type; none if it is missing.
    pub(crate) value: Option<String>,
    /// The rows of each planned period; none if they cannot be counted.
    pub(crate) periods: Option<Vec<CountedPeriod>>,
}

/// The rows of a period. In documents the period is called by its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CountedPeriod {
    /// The period.
    pub(crate) period: Period,
    /// How many.
    pub(crate) rows: u64,
}

impl Serialize for CountedPeriod {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("CountedPeriod", 2)?;
        fields.serialize_field(self.period.unit().noun(), &self.period)?;
        fields.serialize_field("rows", &self.rows)?;
        fields.end()
    }
}

/// What is known about a key before its tables are examined.
struct OfKey<'a> {
    key: &'a str,
    periods: Vec<Period>,
    tables: &'a HashMap<String, Table>,
}

/// Findings about all tables together.
#[derive(Default)]
struct Together {
    lacking: Lacking,
    without_index: BTreeSet<String>,
    /// What tables of several keys lack to find the rows of one.
    without_key_index: BTreeSet<String>,
    /// Statements by which tables of closes no longer demand a rate index.
    statements: BTreeSet<String>,
}

impl PostgresStore {
    pub(super) fn examine_sources(
        &self,
        examination: &Examination<'_>,
        rights: &Rights,
        findings: &mut Findings,
    ) -> Result<Vec<SourceTableReport>, StoreError> {
        let name =
            |key: &String| self.series.iter().map(|series| series.table.for_key(key)).collect::<Vec<_>>();
        let names: Vec<String> = examination.keys.iter().flat_map(name).collect();
        let tables = self.in_snapshot(|session| describe(session, &self.schema, &names))?;
        let mut periods_of_keys: HashMap<&str, Vec<Period>> = HashMap::new();
        for partition in examination.partitions {
            periods_of_keys.entry(&partition.key).or_default().push(partition.period);
        }
        let mut together = Together::default();
        let mut sources = Vec::new();
        let indexed = self.indexed_long_tables(examination, findings)?;
        for key in examination.keys {
            let periods = periods_of_keys.remove(key.as_str()).unwrap_or_default();
            let of_key = OfKey { key, periods, tables: &tables };
            together.statements.extend(optional_index::alter_sql(&self.series, key, &tables));
            let lacking =
                self.series.iter().map(|series| self.lacks_key_index(&indexed, &series.of_key(key)));
            together.without_key_index.extend(lacking.flatten());
            let first = sources.len();
            for series in &self.series {
                sources.push(self.examine_source(&of_key, series, rights, &mut together, findings)?);
            }
            report_without_rows(key, &sources[first..], findings);
        }
        together.report(&rights.role, findings);
        Ok(sources)
    }

    /// Returns the tables with rows beneath those of several keys.
    fn indexed_long_tables(
        &self,
        examination: &Examination<'_>,
        findings: &mut Findings,
    ) -> Result<Vec<IndexedTable>, StoreError> {
        let Some(key) = examination.keys.first() else { return Ok(Vec::new()) };
        let long = self.series.iter().filter(|series| series.key_column.is_some());
        let long: Vec<SeriesOfKey<'_>> = long.map(|series| series.of_key(key)).collect();
        if long.is_empty() {
            return Ok(Vec::new());
        }
        Ok(findings.found_out(self.indexed_tables(&long))?.unwrap_or_default())
    }

    fn examine_source(
        &self,
        of_key: &OfKey<'_>,
        series: &Series,
        rights: &Rights,
        together: &mut Together,
        findings: &mut Findings,
    ) -> Result<SourceTableReport, StoreError> {
        let name = series.table.for_key(of_key.key);
        let found = of_key.tables.get(&name);
        let column = |name: &str| found.and_then(|table| table.column(name)).map(report);
        let mut source = SourceTableReport {
            key: of_key.key.to_owned(),
            series: series.name.clone(),
            table: self.table(&name).to_string(),
            key_column: series.key_column.as_deref().and_then(column),
            time: column(&series.time),
            value: column(&series.value),
            periods: None,
        };
        let asked = series.of_key(of_key.key);
        let table = found
            .map_or_else(|| Err(self.missing(&name, asked.name)), |table| SeriesTable::new(table, &asked));
        let Some(table) = findings.found_out(table)? else { return Ok(source) };
        let included = series.included_of_key(of_key.key);
        let included =
            found.iter().flat_map(|table| included.iter().map(|column| SeriesTable::new(table, column)));
        for column in included {
            findings.found_out(column)?;
        }
        let has_right = rights.table(&name).is_some_and(|held| held.lacks(&["SELECT"]).is_empty());
        if !has_right && !self.may_read_columns(&name, series)? {
            let key = if series.key_column.is_some() { "" } else { of_key.key };
            together.lacking.add(key, vec!["SELECT"], table.name);
        } else if rights.may_use && !rights.is_refused(&name) && !of_key.periods.is_empty() {
            let counted = self.in_snapshot(|session| count(session, &table, &series.time, &of_key.periods));
            if let Some(counted) = findings.found_out(counted)? {
                let lacks_index = !counted.has_index && series.key_column.is_none();
                together.without_index.extend(lacks_index.then(|| source.table.clone()));
                source.periods = Some(counted.report(&table, findings));
            }
        }
        Ok(source)
    }

    /// Returns whether the role may read the columns of a series, even if not the whole table.
    fn may_read_columns(&self, name: &str, series: &Series) -> Result<bool, StoreError> {
        const QUESTION: &str = "
            SELECT bool_and(has_column_privilege(c.oid, a.attnum, 'SELECT')) FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
            WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = ANY($3)";
        let read = [&series.time, &series.value].into_iter();
        let columns: Vec<&String> = read.chain(&series.key_column).chain(&series.include).collect();
        let parameters: [SqlParameter<'_>; 3] =
            [(&self.schema, Type::TEXT), (&name, Type::TEXT), (&columns, Type::TEXT_ARRAY)];
        self.in_snapshot(|session| {
            let rows = session.rows("look up the role's rights", QUESTION, &parameters)?;
            Ok(first_value::<Option<bool>>(&rows)?.flatten().unwrap_or(false))
        })
    }
}

impl Together {
    fn report(self, role: &str, findings: &mut Findings) {
        self.lacking.report(role, findings);
        if !self.statements.is_empty() {
            findings.note(format!(
                "rows of closes alone cannot be inserted: column {RATE_INDEX} is NOT NULL, although derived series do not read it; \
                 run {}",
                few(&self.statements)
            ));
        }
        if let Some(first) = self.without_index.first() {
            findings.note(format!(
                "no index starts with the time column of {} source tables, such as {first}; each partition reads the whole table",
                self.without_index.len()
            ));
        }
        findings.notes.extend(self.without_key_index);
    }
}

/// The rows of a table in the planned periods.
struct Counted {
    periods: Vec<CountedPeriod>,
    /// Rows whose instant is infinite. They make every partition of the key fail.
    infinite: u64,
    /// Whether the rows of a month can be found without reading the others.
    has_index: bool,
}

fn count(
    session: &mut Session,
    table: &SeriesTable,
    time_column: &str,
    periods: &[Period],
) -> Result<Counted, StoreError> {
    let time = &table.time;
    let rows = table.rows_where(&table.span_condition(&span_us(periods)));
    let sql = format!(
        "SELECT CASE WHEN isfinite({time}) THEN to_char({time}, 'YYYY-MM') END, count(*) FROM {rows} GROUP BY 1"
    );
    let rows = session.rows(&format!("count the rows of {}", table.place()), &sql, &[])?;
    let mut counted: BTreeMap<Period, u64> = periods.iter().map(|period| (*period, 0)).collect();
    let mut infinite = 0;
    for row in &rows {
        let (month, rows): (Option<String>, i64) = (row.get(0)?, row.get(1)?);
        let Some(month) = month else {
            infinite += rows.unsigned_abs();
            continue;
        };
        let period =
            month.parse().ok().zip(periods.first()).map(|(month, first)| first.unit().period_of(month));
        if let Some(sum) = period.and_then(|period| counted.get_mut(&period)) {
            *sum += rows.unsigned_abs();
        }
    }
    let counted = counted.into_iter().map(|(period, rows)| CountedPeriod { period, rows });
    let has_index = has_index(session, &table.name, time_column)?;
    Ok(Counted { periods: counted.collect(), infinite, has_index })
}

/// Whether an index starts with the time column. Views count as indexed.
fn has_index(session: &mut Session, table: &TableName, time: &str) -> Result<bool, StoreError> {
    const QUESTION: &str = "
        SELECT c.relkind NOT IN ('r', 'p') OR EXISTS (
            SELECT FROM pg_catalog.pg_index i
            JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
            WHERE i.indrelid = c.oid AND i.indisvalid AND a.attname = $3)
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = $2";
    let parameters: [SqlParameter<'_>; 3] =
        [(&table.schema, Type::TEXT), (&table.name, Type::TEXT), (&time, Type::TEXT)];
    let rows = session.rows("look up indexes", QUESTION, &parameters)?;
    Ok(first_value(&rows)?.unwrap_or(true))
}

/// From the first to the last of some periods.
fn span_us(periods: &[Period]) -> Range<i64> {
    let spans = || periods.iter().map(|period| period.span_us());
    let start = spans().map(|span| span.start).min().unwrap_or_default();
    start..spans().map(|span| span.end).max().unwrap_or(start)
}

impl Counted {
    fn report(self, table: &SeriesTable, findings: &mut Findings) -> Vec<CountedPeriod> {
        if self.infinite > 0 {
            findings.problem_once(Problem::new(format!(
                "{}: {} is infinite in {} rows; instants must be finite",
                table.place(),
                table.time,
                self.infinite
            )));
        }
        self.periods
    }
}

/// Reports the periods that only some series of a key have rows in, which is a problem, and those that none has.
fn report_without_rows(key: &str, sources: &[SourceTableReport], findings: &mut Findings) {
    let without_rows = |source: &SourceTableReport| -> BTreeSet<Period> {
        let periods = source.periods.iter().flatten().filter(|counted| counted.rows == 0);
        periods.map(|counted| counted.period).collect()
    };
    let in_all = sources.iter().map(without_rows).reduce(|all, other| &all & &other).unwrap_or_default();
    for source in sources {
        let lacking: Vec<Period> = without_rows(source).difference(&in_all).copied().collect();
        if !lacking.is_empty() {
            findings.problem_once(Problem::new(format!(
                "{key}: {} has no rows in {}; import them, or leave them out of [partitions]",
                source.table,
                few(&lacking)
            )));
        }
    }
    if !in_all.is_empty() {
        findings.note(format!("{key}: no series has a row in {}", few(&in_all)));
    }
}

fn report(column: &Column) -> String {
    format!("{} {}", column.name, column.type_name)
}
