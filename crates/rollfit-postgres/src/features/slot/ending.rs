//! How the transaction of a partition ends: the COMMIT, and the VACUUM after it.

use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::connection::answer_row::first_value;
use crate::connection::session::Session;
use crate::failpoint;
use crate::names::TableName;
use crate::tables::rights::MAY_MAINTAIN;

/// Commits the transaction of a partition.
pub(in crate::features) fn commit(session: &mut Session) -> Result<(), StoreError> {
    const DOING: &str =
        "commit (if only the answer was lost, the receipt is stored and the next run skips the partition)";
    failpoint::reach("commit-sent");
    session.execute(DOING, "COMMIT")?;
    failpoint::reach("commit-answered");
    Ok(())
}

/// Vacuums a table. Returns `false` if the role may not: the server itself only warns then.
pub(super) fn vacuum(session: &mut Session, name: &TableName) -> Result<bool, StoreError> {
    let doing = format!("vacuum {name}");
    let may_vacuum =
        format!("SELECT {MAY_MAINTAIN} FROM pg_catalog.pg_class c WHERE c.oid = to_regclass($1)");
    let rows = session.rows(&doing, &may_vacuum, &[(&name.sql(), Type::TEXT)])?;
    if !first_value(&rows)?.unwrap_or(false) {
        return Ok(false);
    }
    session.execute(&doing, &format!("VACUUM (SKIP_LOCKED, TRUNCATE false) {}", name.sql()))?;
    Ok(true)
}
