//! Tables as the server's catalogues describe them: [`Table`] and its columns.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rollfit_job::few::few;
use rollfit_job::nearest::did_you_mean;
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::connection::answer_row::AnswerRow;
use crate::connection::session::{Session, SqlParameter, TransactionSettings};
use crate::names::TableName;
use crate::tables::applied_policies::{self, AppliedPolicies};

/// A table, or another relation with its name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    pub(crate) name: TableName,
    pub(crate) oid: u32,
    pub(crate) kind: RelationKind,
    /// Whether the role may read its rows.
    pub(crate) readable: bool,
    /// The policies that apply to the role, if any.
    pub(crate) policies: Option<AppliedPolicies>,
    /// The columns, in the table's order.
    pub(crate) columns: Vec<Column>,
    /// Its attachment, if it is a partition of another table.
    pub(crate) attachment: Option<Attachment>,
    /// The tables that inherit from a plain table, in SQL.
    pub(crate) children: Vec<String>,
}

/// How a table is attached to a partitioned one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attachment {
    pub(crate) parent: TableName,
    pub(crate) parent_oid: u32,
    /// Whether the parent is itself a partition.
    pub(crate) is_nested: bool,
    /// How the parent is partitioned, `RANGE (ts_utc)`.
    pub(crate) key: String,
    /// The partition bound, as the server writes it in UTC.
    pub(crate) bound: String,
    /// Whether a DETACH CONCURRENTLY was started and not finished.
    pub(crate) is_detaching: bool,
}

/// The kind of a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RelationKind {
    /// A table with rows of its own.
    Plain,
    /// A partitioned table, whose rows are in its partitions.
    Partitioned,
    /// A readable relation that is no table, and what it is.
    Other(&'static str),
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The type as the server writes it, `numeric(12,6)`.
    pub(crate) type_name: String,
    pub(crate) type_oid: u32,
    pub(crate) modifier: i32,
    pub(crate) not_null: bool,
    /// The expression of its default.
    pub(crate) default: Option<String>,
    /// Whether the server generates its values.
    pub(crate) generated: bool,
    /// The labels of its type, if that is an enum; empty otherwise.
    pub(crate) labels: Vec<String>,
    /// Whether its collation takes texts of different bytes for equal.
    pub(crate) merges_texts: bool,
}

impl Table {
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Returns the column that a setting names, told as "`time` of series `idx`".
    ///
    /// # Errors
    /// When there is none, with the one that may be meant.
    pub(crate) fn needed_column(&self, setting: &str, name: &str) -> Result<&Column, StoreError> {
        let names = || self.columns.iter().map(|column| column.name.as_str());
        self.column(name).ok_or_else(|| {
            StoreError::permanent(format!(
                "{} has no column {name}; {}correct {setting} (its columns: {})",
                self.name,
                did_you_mean(name, names()),
                few(names())
            ))
        })
    }
}

/// The first number that the server gives to what users define, such as types and collations.
const USER_DEFINED: u32 = 16_384;

/// Describes the tables of the schema $1 with the names $2, one row per column. The OFFSET makes the server look up policies once per table.
pub(crate) fn describe_sql() -> String {
    format!(
        "SELECT c.relname::text, c.oid, c.relkind::text, a.attname::text, format_type(a.atttypid, a.atttypmod),
                a.atttypid, a.atttypmod, a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
                a.attgenerated <> '' OR a.attidentity <> '', c.is_readable, c.role, c.policies, c.hides_nothing,
                pn.nspname::text AS parent_schema, p.relname::text AS parent, p.oid AS parent_oid,
                p.relispartition AS parent_is_partition, pg_get_partkeydef(p.oid) AS parent_key,
                pg_get_expr(c.relpartbound, c.oid) AS bound, i.inhdetachpending AS is_detaching,
                CASE WHEN c.relkind = 'r' AND c.relhassubclass THEN ARRAY(
                    SELECT format('%I.%I', xn.nspname, x.relname) FROM pg_catalog.pg_inherits xi
                    JOIN pg_catalog.pg_class x ON x.oid = xi.inhrelid
                    JOIN pg_catalog.pg_namespace xn ON xn.oid = x.relnamespace
                    WHERE xi.inhparent = c.oid ORDER BY 1) END AS children,
                CASE WHEN a.atttypid >= {USER_DEFINED} THEN ARRAY(
                    SELECT e.enumlabel::text FROM pg_catalog.pg_enum e
                    WHERE e.enumtypid = a.atttypid ORDER BY e.enumsortorder) END AS labels,
                CASE WHEN a.attcollation >= {USER_DEFINED} THEN EXISTS (
                    SELECT FROM pg_catalog.pg_collation l
                    WHERE l.oid = a.attcollation AND NOT l.collisdeterministic) ELSE false END AS merges_texts
         FROM (SELECT c.oid, c.relname, c.relkind, c.relpartbound, c.relispartition, c.relhassubclass,
                      has_table_privilege(c.oid, 'SELECT'), {}
               FROM pg_catalog.pg_class c
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = $1 AND c.relname = ANY($2) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') OFFSET 0)
             c (oid, relname, relkind, relpartbound, relispartition, relhassubclass, is_readable, role, policies,
                hides_nothing)
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
         LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid AND c.relispartition
         LEFT JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
         LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
         ORDER BY c.relname, a.attnum",
        applied_policies::columns()
    )
}

pub(crate) const LOOK_UP: &str = "look up tables";

/// Returns the tables of a schema that have one of these names, by name.
pub(crate) fn describe(
    session: &mut Session,
    schema: &str,
    names: &[String],
) -> Result<HashMap<String, Table>, StoreError> {
    let parameters: [SqlParameter<'_>; 2] = [(&schema, Type::TEXT), (&names, Type::TEXT_ARRAY)];
    tables_from(schema, session.rows(LOOK_UP, &describe_sql(), &parameters)?)
}

/// As [`describe`], in a transaction of its own and one round trip.
pub(crate) fn describe_at_once(
    session: &mut Session,
    settings: &TransactionSettings,
    schema: &str,
    names: &[String],
) -> Result<HashMap<String, Table>, StoreError> {
    let parameters: [SqlParameter<'_>; 2] = [(&schema, Type::TEXT), (&names, Type::TEXT_ARRAY)];
    tables_from(schema, session.rows_at_once(settings, LOOK_UP, &describe_sql(), &parameters)?)
}

/// Returns the tables that the rows of [`describe_sql`] describe, by name.
pub(crate) fn tables_from(schema: &str, rows: Vec<AnswerRow>) -> Result<HashMap<String, Table>, StoreError> {
    let mut tables: HashMap<String, Table> = HashMap::new();
    for row in rows {
        let name: String = row.get(0)?;
        let table = match tables.entry(name) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let table = Table::from_row(schema, new.key(), &row)?;
                new.insert(table)
            }
        };
        table.columns.extend(Column::from_row(&row)?);
    }
    Ok(tables)
}

impl Table {
    /// Its first row, without the columns.
    fn from_row(schema: &str, name: &str, row: &AnswerRow) -> Result<Self, StoreError> {
        Ok(Self {
            name: TableName::new(schema, name),
            oid: row.get(1)?,
            kind: RelationKind::from_relkind(row.get(2)?),
            readable: row.get(10)?,
            policies: AppliedPolicies::from_row(row, 11)?,
            columns: Vec::new(),
            attachment: Attachment::from_row(row)?,
            children: row.get::<_, Option<Vec<String>>>("children")?.unwrap_or_default(),
        })
    }
}

impl Column {
    /// None in the row of a table without columns.
    fn from_row(row: &AnswerRow) -> Result<Option<Self>, StoreError> {
        let Some(name) = row.get(3)? else { return Ok(None) };
        Ok(Some(Self {
            name,
            type_name: row.get(4)?,
            type_oid: row.get(5)?,
            modifier: row.get(6)?,
            not_null: row.get(7)?,
            default: row.get(8)?,
            generated: row.get(9)?,
            labels: row.get::<_, Option<Vec<String>>>("labels")?.unwrap_or_default(),
            merges_texts: row.get("merges_texts")?,
        }))
    }
}

impl Attachment {
    fn from_row(row: &AnswerRow) -> Result<Option<Self>, StoreError> {
        let Some(schema) = row.get("parent_schema")? else { return Ok(None) };
        Ok(Some(Self {
            parent: TableName::new(schema, row.get("parent")?),
            parent_oid: row.get("parent_oid")?,
            is_nested: row.get("parent_is_partition")?,
            key: row.get("parent_key")?,
            bound: row.get("bound")?,
            is_detaching: row.get("is_detaching")?,
        }))
    }
}

/// Checks that a table stored all rows that were written to it.
pub(crate) fn check_taken(table: &TableName, taken: u64, rows: u64) -> Result<(), StoreError> {
    if taken == rows {
        return Ok(());
    }
    Err(StoreError::permanent(format!(
        "{table} stored {taken} of {rows} rows: a trigger or rule suppresses the others; disable or drop it"
    )))
}

impl RelationKind {
    fn from_relkind(relkind: &str) -> Self {
        match relkind {
            "r" => Self::Plain,
            "p" => Self::Partitioned,
            "v" => Self::Other("a view"),
            "m" => Self::Other("a materialized view"),
            _ => Self::Other("a foreign table"),
        }
    }
}

/// Returns the names of the tables and other readable relations of a schema, sorted.
pub(crate) fn names(session: &mut Session, schema: &str) -> Result<Vec<String>, StoreError> {
    const NAMES: &str = "
        SELECT c.relname::text FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1";
    let rows = session.rows("list tables", NAMES, &[(&schema, Type::TEXT)])?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Returns the names of the tables of a schema that have storage for rows, sorted. The size is queried only for
/// tables that were never analyzed, because the query waits for exclusive locks.
pub(crate) fn names_with_rows(session: &mut Session, schema: &str) -> Result<Vec<String>, StoreError> {
    const NAMES: &str = "
        SELECT c.relname::text FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relkind = 'r'
            AND CASE WHEN c.reltuples > 0 THEN true ELSE pg_relation_size(c.oid) > 0 END ORDER BY 1";
    let rows = session.rows("list tables", NAMES, &[(&schema, Type::TEXT)])?;
    rows.iter().map(|row| row.get(0)).collect()
}
