//! Checks the rights of the role before they are needed. An error contains the missing GRANT.

use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::connection::answer_row::AnswerRow;
use crate::connection::session::{Session, SqlParameter};
use crate::names::{TableName, quoted};
use crate::tables::table::Table;

/// The rights for keeping the rows of a table up to date.
pub(crate) const READ_AND_WRITE: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// Whether the role may VACUUM and ANALYZE the table `c` of `pg_class`, in SQL.
pub(crate) const MAY_MAINTAIN: &str = "
    (pg_has_role(c.relowner, 'USAGE')
     OR pg_has_role((SELECT datdba FROM pg_catalog.pg_database WHERE datname = current_database()), 'USAGE')
     OR CASE WHEN current_setting('server_version_num')::int < 170000 THEN false
             ELSE has_table_privilege(c.oid, 'MAINTAIN') END)";

/// For each of the tables $1, in SQL, whether the role may VACUUM and ANALYZE it.
pub(crate) fn may_maintain_sql() -> String {
    format!(
        "SELECT coalesce((SELECT {MAY_MAINTAIN} FROM pg_catalog.pg_class c WHERE c.oid = to_regclass(asked.name)), false) \
         FROM unnest($1) WITH ORDINALITY AS asked (name, at) ORDER BY asked.at"
    )
}

/// Checks that the role may create `table` in its schema.
pub(crate) fn check_create(session: &mut Session, table: &TableName) -> Result<(), StoreError> {
    const QUESTION: &str = "SELECT current_user::text, has_schema_privilege($1, 'CREATE')";
    let rows = session.rows("look up rights", QUESTION, &[(&table.schema, Type::TEXT)])?;
    match rows.first() {
        Some(row) if !row.get::<_, bool>(1)? => {
            let role: String = row.get(0)?;
            Err(StoreError::permanent(format!(
                "cannot create {table}: the role {role} may not create tables in the schema {}; \
                 GRANT CREATE ON SCHEMA {} TO {}",
                table.schema,
                quoted(&table.schema),
                quoted(&role)
            )))
        }
        _ => Ok(()),
    }
}

/// Checks that the role may do all of `privileges` with a table.
pub(crate) fn check_table(
    session: &mut Session,
    table: &Table,
    privileges: &[&str],
) -> Result<(), StoreError> {
    const QUESTION: &str = "
        SELECT current_user::text, array(SELECT p FROM unnest($2) p WHERE NOT has_table_privilege($1::oid, p))";
    let parameters: [SqlParameter<'_>; 2] = [(&table.oid, Type::OID), (&privileges, Type::TEXT_ARRAY)];
    let rows = session.rows("look up rights", QUESTION, &parameters)?;
    let Some(row) = rows.first() else { return Ok(()) };
    let (role, missing): (String, Vec<String>) = (row.get(0)?, row.get(1)?);
    if missing.is_empty() {
        return Ok(());
    }
    let (missing, name) = (missing.join(", "), &table.name);
    Err(StoreError::permanent(format!(
        "cannot write {name}: the role {role} may not {missing}; GRANT {missing} ON {} TO {}",
        name.sql(),
        quoted(&role)
    )))
}

/// What the query of [`TEMPORARY`] does, for messages.
pub(crate) const LOOK_UP_RIGHTS: &str = "look up rights";

/// Whether the role may create temporary tables, with its name and that of the database.
pub(crate) const TEMPORARY: &str = "
    SELECT current_user::text, current_database()::text, has_database_privilege(current_database(), 'TEMPORARY')";

/// Checks by the answer to [`TEMPORARY`] that the role may create temporary tables.
pub(crate) fn check_temporary(rows: &[AnswerRow]) -> Result<(), StoreError> {
    match rows.first() {
        Some(row) if !row.get::<_, bool>(2)? => {
            let (role, database): (String, String) = (row.get(0)?, row.get(1)?);
            Err(StoreError::permanent(format!(
                "cannot stage rows: the role {role} may not create temporary tables; GRANT TEMPORARY ON DATABASE {} TO {}",
                quoted(&database),
                quoted(&role)
            )))
        }
        _ => Ok(()),
    }
}
