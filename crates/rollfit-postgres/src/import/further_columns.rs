//! Further columns of bars in `m1_{key}`: names that the server keeps, columns that are missing, and `rollfit_columns`, the list of
//! those that imports have written.
//!
//! Invariants: a column that no import wrote is never changed. A table is altered only if imports write it, the role owns
//! it, and nothing depends on which columns it has.

use rollfit_job::import::{NewBars, check_case, check_columns};
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::connection::answer_row::first_value;
use crate::connection::session::{Session, SqlParameter};
use crate::names::{NAME_BYTES_MAX, TableName, quoted};
use crate::tables::defect::{Defect, Wrong};
use crate::tables::table::{RelationKind, Table};

/// The name of the list, in the schema of the bars.
pub(crate) const COLUMNS: &str = "rollfit_columns";

/// The columns that every table has.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// Returns the names of the further columns of `bars`, sorted.
///
/// # Errors
/// When the server cannot have a column of such a name.
pub(crate) fn names(bars: &dyn NewBars) -> Result<Vec<String>, StoreError> {
    check_columns(bars)?;
    let mut names: Vec<String> = bars.columns().iter().map(|column| column.name.clone()).collect();
    names.sort_unstable();
    names.iter().try_for_each(|name| {
        let why = match name.len() {
            _ if SYSTEM_COLUMNS.contains(&name.as_str()) => "PostgreSQL has a column of this name in each table".into(),
            bytes if bytes > NAME_BYTES_MAX => {
                format!("its name has {bytes} bytes, but PostgreSQL keeps {NAME_BYTES_MAX}")
            }
            _ => return Ok(()),
        };
        Err(StoreError::permanent(format!(
            "the column `{name}` cannot be imported: {why}; rename it in the file, or leave it out of --columns"
        )))
    })?;
    Ok(names)
}

/// Returns which of the columns `table` lacks.
///
/// # Errors
/// When the server generates the values of one, or a missing one differs from another column only in case.
pub(crate) fn missing(table: &Table, names: &[String]) -> Result<Vec<String>, StoreError> {
    let mut missing = Vec::new();
    for name in names {
        match table.column(name) {
            None => {
                check_case(name, table.columns.iter().map(|column| column.name.as_str()))?;
                missing.push(name.clone());
            }
            Some(column) if column.generated => {
                return Err(StoreError::permanent(format!(
                    "{}: the server generates the values of column {name}; leave it out of --columns",
                    table.name
                )));
            }
            Some(_) => {}
        }
    }
    Ok(missing)
}

/// Returns the statement that adds columns to a table.
///
/// # Errors
/// When it is not for an import to alter the table. The error has the statement.
pub(crate) fn add_sql(
    session: &mut Session,
    table: &Table,
    missing: &[String],
    is_imported: bool,
) -> Result<String, StoreError> {
    let is_alone = table.attachment.is_none() && table.children.is_empty();
    let is_table = matches!(table.kind, RelationKind::Plain | RelationKind::Partitioned);
    if !(is_imported && is_alone && is_table && is_owned(session, table)?) {
        let columns = missing.iter().map(|name| (name.clone(), "double precision".to_owned())).collect();
        return Err(Defect::new(table, Wrong::Missing(columns)).problem(session)?.into());
    }
    let additions: Vec<String> =
        missing.iter().map(|name| format!("ADD COLUMN {} double precision", quoted(name))).collect();
    let sql = format!("ALTER TABLE {} {}", table.name.sql(), additions.join(", "));
    let dependents = dependents(session, table)?;
    if dependents.is_empty() {
        return Ok(sql);
    }
    Err(StoreError::permanent(format!(
        "{}: column {} is missing, and {} may depend on which columns there are; if not, run {sql}",
        table.name,
        missing.join(", "),
        dependents.join(", ")
    )))
}

fn is_owned(session: &mut Session, table: &Table) -> Result<bool, StoreError> {
    const QUESTION: &str = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_catalog.pg_class WHERE oid = $1";
    let rows = session.rows("look up rights", QUESTION, &[(&table.oid, Type::OID)])?;
    Ok(first_value(&rows)?.unwrap_or(false))
}

/// Returns what a further column can break: users of the table's row type, such as functions that return it, and
/// subscribers.
fn dependents(session: &mut Session, table: &Table) -> Result<Vec<String>, StoreError> {
    const QUESTION: &str = "
        SELECT pg_describe_object(d.classid, d.objid, d.objsubid)
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_type t ON t.oid = c.reltype
        JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_type'::regclass
            AND d.refobjid IN (t.oid, t.typarray) AND d.deptype = 'n'
        WHERE c.oid = $1
        UNION
        SELECT 'publication ' || p.pubname FROM pg_catalog.pg_publication_tables p
        WHERE p.schemaname = $2 AND p.tablename = $3
        ORDER BY 1";
    let TableName { schema, name } = &table.name;
    let parameters: [SqlParameter<'_>; 3] =
        [(&table.oid, Type::OID), (schema, Type::TEXT), (name, Type::TEXT)];
    let rows = session.rows(&format!("look up what depends on {}", table.name), QUESTION, &parameters)?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// The statement that creates the list.
pub(crate) fn create_sql(list: &TableName) -> String {
    format!(
        "CREATE TABLE {} (\n    key text NOT NULL,\n    name text NOT NULL,\n    PRIMARY KEY (key, name)\n)",
        list.sql()
    )
}

/// Returns the columns of a key that imports have written.
pub(crate) fn read(session: &mut Session, list: &TableName, key: &str) -> Result<Vec<String>, StoreError> {
    let sql = format!("SELECT name FROM {} WHERE key = $1 ORDER BY name", list.sql());
    let rows = session.rows(&format!("read {list}"), &sql, &[(&key, Type::TEXT)])?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Adds columns of a key to the list.
pub(crate) fn write(
    session: &mut Session,
    list: &TableName,
    key: &str,
    names: &[String],
) -> Result<(), StoreError> {
    let sql = format!("INSERT INTO {} (key, name) SELECT $1, unnest($2) ON CONFLICT DO NOTHING", list.sql());
    session.rows(&format!("write {list}"), &sql, &[(&key, Type::TEXT), (&names, Type::TEXT_ARRAY)])?;
    Ok(())
}

/// Removes the columns of a key from the list, because its table is new.
pub(crate) fn clear(session: &mut Session, list: &TableName, key: &str) -> Result<(), StoreError> {
    let sql = format!("DELETE FROM {} WHERE key = $1", list.sql());
    session.rows(&format!("write {list}"), &sql, &[(&key, Type::TEXT)])?;
    Ok(())
}
