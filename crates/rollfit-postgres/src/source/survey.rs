//! [`survey`]: the tables of a schema that series could be read from, before there is a job.

use std::time::Duration;

use rollfit_job::config::{RowSecurity, StoreConfig};
use rollfit_job::patience::patiently;
use rollfit_job::runners::RunnerName;
use rollfit_job::store::{ColumnKind, Purpose, StoreError, SurveyedColumn, SurveyedTable};
use tokio_postgres::types::Type;

use crate::LOCK_TIMEOUT;
use crate::connection::answer_row::AnswerRow;
use crate::connection::pool::Pool;
use crate::connection::server;
use crate::connection::session::{Session, TransactionSettings};
use crate::copy::decode::NumberFormat;
use crate::copy::instant::TimeType;

/// The most tables that are looked at: a schema of a job has a table of features for each partition.
const TABLES_MAX: usize = 20_000;

/// The tables of a schema with their columns. Left out are those that rollfit keeps for itself, and partitions of tables: a table that is
/// partitioned by a list of keys has the rows of all of them.
const TABLES: &str = "
    SELECT c.relname::text, has_table_privilege(c.oid, 'SELECT'),
           array_agg(a.attname::text ORDER BY a.attnum), array_agg(a.atttypid ORDER BY a.attnum),
           array_agg(a.atttypmod ORDER BY a.attnum),
           array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT starts_with(c.relname, 'rollfit_')
        AND NOT c.relispartition
    GROUP BY c.oid, c.relname ORDER BY c.relname LIMIT $2";

const SETTINGS: TransactionSettings = TransactionSettings {
    statement: Duration::from_secs(60),
    lock: LOCK_TIMEOUT,
    idle: Duration::from_secs(30),
    // No row is read.
    row_security: RowSecurity::Refuse,
};

/// The schemas that have tables which the role may see, but for one and those of the system.
const OTHER_SCHEMAS: &str = "
    SELECT DISTINCT n.nspname::text
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> $1 AND n.nspname <> 'information_schema'
        AND NOT starts_with(n.nspname, 'pg_') AND has_schema_privilege(n.oid, 'USAGE')
    ORDER BY 1 LIMIT 100";

/// The schemas with tables besides the one at `store`, sorted by name.
///
/// # Errors
/// As [`survey`].
pub(crate) fn other_schemas(store: &StoreConfig) -> Result<Vec<String>, StoreError> {
    let rows = in_session(store, |session, schema| {
        session.rows("list schemas", OTHER_SCHEMAS, &[(&schema, Type::TEXT)])
    })?;
    rows.1.iter().map(|row| row.get(0)).collect()
}

/// The tables of the schema at `store`, sorted by name. Reads no rows.
///
/// # Errors
/// When the server is unreachable or too old, or the schema does not exist or has too many tables.
pub(crate) fn survey(store: &StoreConfig) -> Result<Vec<SurveyedTable>, StoreError> {
    let (schema, rows) = in_session(store, |session, schema| {
        let limit = TABLES_MAX as i64 + 1;
        session.rows("list tables", TABLES, &[(&schema, Type::TEXT), (&limit, Type::INT8)])
    })?;
    if rows.len() > TABLES_MAX {
        return Err(StoreError::permanent(format!(
            "schema {schema} has more than {TABLES_MAX} tables: name another schema, or write the configuration by hand"
        )));
    }
    let mut tables = rows.iter().map(surveyed).collect::<Result<Vec<_>, _>>()?;
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tables)
}

/// The schema at `store`, and what `ask` gets on a session of its own.
fn in_session<T>(
    store: &StoreConfig,
    ask: impl Fn(&mut Session, &String) -> Result<T, StoreError>,
) -> Result<(String, T), StoreError> {
    let runner = RunnerName { definition: None, ..RunnerName::of_this_process("", None) };
    let pool = Pool::connect(store, Purpose::Read, &SETTINGS, &runner)?;
    let (_, found) = patiently(|| {
        pool.first_session(|session| {
            let schema = server::schema(session, store.schema.as_deref())?;
            let answer = ask(session, &schema)?;
            Ok((schema, answer))
        })
    })?;
    Ok(found)
}

fn surveyed(row: &AnswerRow) -> Result<SurveyedTable, StoreError> {
    let (names, types): (Vec<String>, Vec<u32>) = (row.get(2)?, row.get(3)?);
    let (modifiers, type_names): (Vec<i32>, Vec<String>) = (row.get(4)?, row.get(5)?);
    let columns = names.into_iter().zip(types).zip(modifiers).zip(type_names);
    let columns = columns.map(|(((name, type_oid), modifier), type_name)| {
        let kind = kind_of(type_oid, modifier);
        SurveyedColumn { name, kind, type_name }
    });
    let is_readable: bool = row.get(1)?;
    let problem = (!is_readable).then(|| "the role may not read it".to_owned());
    Ok(SurveyedTable { name: row.get(0)?, columns: columns.collect(), problem })
}

fn kind_of(type_oid: u32, modifier: i32) -> ColumnKind {
    let is_number = || match Type::from_oid(type_oid) {
        Some(Type::INT2 | Type::INT4 | Type::INT8) => true,
        Some(kind) => NumberFormat::from_type(&kind).is_some(),
        None => false,
    };
    match TimeType::from_oid(type_oid, modifier) {
        Some(kind) => ColumnKind::Time { has_zone: kind == TimeType::Zoned },
        None if is_number() => ColumnKind::Number,
        None => ColumnKind::Other,
    }
}
