//! The table of bases, `rollfit_bases`: one row per imported key, written in the transaction that writes its bars.

use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::connection::session::{Session, SqlParameter};
use crate::copy::instant::ServerInstant;
use crate::names::TableName;
use rollfit_job::import::Base;

/// The name of the table, in the schema of the bars.
pub(crate) const BASES: &str = "rollfit_bases";

/// The statement that creates the table.
pub(crate) fn create_sql(table: &TableName) -> String {
    format!(
        "CREATE TABLE {} (\n    \
             key text PRIMARY KEY,\n    \
             from_at timestamptz,\n    \
             instant timestamptz NOT NULL,\n    \
             close double precision NOT NULL\n\
         )",
        table.sql()
    )
}

/// Returns the base of a key, if an import wrote one.
pub(crate) fn read(session: &mut Session, table: &TableName, key: &str) -> Result<Option<Base>, StoreError> {
    let sql = format!("SELECT from_at, instant, close FROM {} WHERE key = $1", table.sql());
    let rows = session.rows(&format!("read {table}"), &sql, &[(&key, Type::TEXT)])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let from_us = row.get::<_, Option<ServerInstant>>(0)?.and_then(ServerInstant::us);
    let (instant_us, close) = (row.get::<_, ServerInstant>(1)?.us(), row.get(2)?);
    Ok(instant_us.map(|instant_us| Base { from_us, instant_us, close }))
}

/// Replaces the base of a key.
pub(crate) fn write(
    session: &mut Session,
    table: &TableName,
    key: &str,
    base: &Base,
) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO {} (key, from_at, instant, close) VALUES ($1, $2, $3, $4) ON CONFLICT (key) DO UPDATE \
         SET from_at = excluded.from_at, instant = excluded.instant, close = excluded.close",
        table.sql()
    );
    let from = base.from_us.and_then(ServerInstant::of_us);
    let instant = ServerInstant::of_us(base.instant_us);
    let parameters: [SqlParameter<'_>; 4] = [
        (&key, Type::TEXT),
        (&from, Type::TIMESTAMPTZ),
        (&instant, Type::TIMESTAMPTZ),
        (&base.close, Type::FLOAT8),
    ];
    session.rows(&format!("write {table}"), &sql, &parameters)?;
    Ok(())
}
