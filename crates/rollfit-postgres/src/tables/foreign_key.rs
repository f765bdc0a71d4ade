//! [`ForeignKey`]: a foreign key that deletes or changes rows of another table when rows of ours are deleted. NO
//! ACTION and RESTRICT are not included: there the server itself refuses the delete.

use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::connection::answer_row::{AnswerRow, first_value};
use crate::connection::session::{Session, SqlParameter};
use crate::names::{TableName, quoted};

/// Returns the query of the keys with an action that refer to one of the tables with the oids `asked`, an array in SQL, to an ancestor or
/// to a partition of it. The copies that the server keeps for partitions have a parent key, which is listed instead. A table that is
/// referred to has triggers of the server's own: without any, the constraints of the whole database need not be read.
pub(crate) fn keys_sql(asked: &str) -> String {
    format!(
        "WITH referenced AS MATERIALIZED (
             SELECT asked.oid AS asked, near.oid FROM unnest({asked}) AS asked (oid)
             CROSS JOIN LATERAL (
                 SELECT asked.oid
                 UNION SELECT relid::oid FROM pg_catalog.pg_partition_ancestors(asked.oid)
                 UNION SELECT relid::oid FROM pg_catalog.pg_partition_tree(asked.oid)) AS near (oid))
         SELECT k.conname::text, n.nspname::text, c.relname::text, c.relkind = 'p', k.confdeltype::text,
                current_user::text, has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'SELECT'),
                row_security_active(c.oid),
                (SELECT string_agg(format('referenced.%I OPERATOR(%I.%s) referring.%I',
                                          theirs.attname, s.nspname, o.oprname, ours.attname), ' AND ')
                 FROM unnest(k.confkey, k.conkey, k.conpfeqop) AS pair (theirs, ours, operator)
                 JOIN pg_catalog.pg_attribute theirs ON theirs.attrelid = k.confrelid AND theirs.attnum = pair.theirs
                 JOIN pg_catalog.pg_attribute ours ON ours.attrelid = k.conrelid AND ours.attnum = pair.ours
                 JOIN pg_catalog.pg_operator o ON o.oid = pair.operator
                 JOIN pg_catalog.pg_namespace s ON s.oid = o.oprnamespace),
                referenced.asked, c.oid
         FROM pg_catalog.pg_constraint k
         JOIN referenced ON referenced.oid = k.confrelid
         JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confdeltype IN ('c', 'n', 'd')
             AND EXISTS (SELECT FROM referenced r JOIN pg_catalog.pg_class t ON t.oid = r.oid WHERE t.relhastriggers)
         ORDER BY 2, 3, 1"
    )
}

/// A foreign key with ON DELETE CASCADE, SET NULL or SET DEFAULT.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ForeignKey {
    constraint: String,
    /// The table whose rows refer to ours.
    pub(crate) referring: TableName,
    pub(crate) referring_oid: u32,
    is_partitioned: bool,
    /// The table of ours.
    pub(crate) referenced_oid: u32,
    action: Action,
    /// The SQL condition for a row `referring` to refer to a row `referenced`.
    condition: String,
    /// Why not all referring rows can be read, and the remedy.
    unreadable: Option<String>,
}

/// The action of a foreign key on rows that refer to deleted ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Cascade,
    SetNull,
    SetDefault,
}

/// Rows of ours that will be deleted.
#[derive(Clone, Copy)]
pub(crate) struct DoomedRows<'a> {
    pub(crate) table: &'a TableName,
    /// Which rows of `referenced`, in SQL, with parameters from $2 on.
    pub(crate) condition: &'a str,
    pub(crate) parameters: &'a [SqlParameter<'a>],
}

impl ForeignKey {
    /// Returns the keys with an action that refer to tables.
    pub(crate) fn onto(session: &mut Session, tables: &[u32]) -> Result<Vec<Self>, StoreError> {
        let rows = session.rows("look up foreign keys", &keys_sql("$1"), &[(&tables, Type::OID_ARRAY)])?;
        Self::from_rows(&rows)
    }

    /// Returns the keys in the answer to [`keys_sql`].
    pub(crate) fn from_rows(rows: &[AnswerRow]) -> Result<Vec<Self>, StoreError> {
        rows.iter().map(Self::from_row).collect()
    }

    fn from_row(row: &AnswerRow) -> Result<Self, StoreError> {
        let referring = TableName::new(row.get(1)?, row.get(2)?);
        let unreadable = unreadable(&referring, row.get(5)?, [row.get(6)?, row.get(7)?, row.get(8)?]);
        Ok(Self {
            constraint: row.get(0)?,
            referring,
            referring_oid: row.get(11)?,
            is_partitioned: row.get(3)?,
            referenced_oid: row.get(10)?,
            action: Action::from_code(row.get(4)?),
            condition: row.get::<_, Option<String>>(9)?.unwrap_or_else(|| "true".to_owned()),
            unreadable,
        })
    }

    /// Returns why rows may not be deleted, by the first key that refers to the table with this oid and forbids it.
    pub(crate) fn first_obstacle(
        session: &mut Session,
        oid: u32,
        doomed: DoomedRows<'_>,
    ) -> Result<Option<String>, StoreError> {
        for key in Self::onto(session, &[oid])? {
            if let Some(obstacle) = key.obstacle(session, doomed, &[])? {
                return Ok(Some(obstacle));
            }
        }
        Ok(None)
    }

    /// Returns why this key forbids deleting rows, with the remedies; none if no row refers to them. Rows of the
    /// tables `ours` do not count, because they are deleted as well.
    pub(crate) fn obstacle(
        &self,
        session: &mut Session,
        doomed: DoomedRows<'_>,
        ours: &[u32],
    ) -> Result<Option<String>, StoreError> {
        let refers = match &self.unreadable {
            None => self.refers(session, doomed, ours)?,
            Some(_) => true,
        };
        Ok(refers.then(|| self.obstacle_of_rows()))
    }

    /// Returns why this key forbids deleting rows that others refer to, or may refer to, with the remedies.
    fn obstacle_of_rows(&self) -> String {
        let (table, key) = (&self.referring, format!("{} ({})", self.constraint, self.action.sql()));
        if let Some(cause) = &self.unreadable {
            return format!("{table} may refer to its rows by the foreign key {key}, and {cause}");
        }
        format!(
            "rows of {table} refer to its rows by the foreign key {key} and {}; delete or move them, or have the owner \
             ALTER TABLE {} DROP CONSTRAINT {} (a key with ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED in its place \
             lets rows of the same instants be replaced)",
            self.action.consequence(),
            table.sql(),
            quoted(&self.constraint)
        )
    }

    /// Returns why this key forbids deleting all rows of its table, if rows refer to them by it.
    pub(crate) fn obstacle_if(&self, refers: bool) -> Option<String> {
        refers.then(|| self.obstacle_of_rows())
    }

    fn refers(
        &self,
        session: &mut Session,
        doomed: DoomedRows<'_>,
        ours: &[u32],
    ) -> Result<bool, StoreError> {
        let (doing, sql) = self.query_of(doomed);
        let mut parameters: Vec<SqlParameter<'_>> = vec![(&ours, Type::OID_ARRAY)];
        parameters.extend(doomed.parameters.iter().cloned());
        Self::refers_from(&session.rows(&doing, &sql, &parameters)?)
    }

    /// Returns what the query for rows that refer to doomed ones does, and its SQL. $1 are the tables whose rows do not count.
    fn query_of(&self, doomed: DoomedRows<'_>) -> (String, String) {
        // Children do not inherit the key of a plain table.
        let only = if self.is_partitioned { "" } else { "ONLY " };
        let sql = format!(
            "SELECT EXISTS (SELECT FROM {only}{} referring JOIN {} referenced ON {} \
             WHERE referring.tableoid <> ALL ($1) AND {})",
            self.referring.sql(),
            doomed.table.sql(),
            self.condition,
            doomed.condition
        );
        (format!("find rows of {} that refer to {}", self.referring, doomed.table), sql)
    }

    /// Returns what the query for rows that refer to any row of the key's table does, one of `tables` with these oids, and its SQL. None if
    /// it is none of them, or not all referring rows can be read.
    pub(crate) fn referring_query(&self, oids: &[u32], tables: &[TableName]) -> Option<(String, String)> {
        let (_, table) = oids.iter().zip(tables).find(|(oid, _)| **oid == self.referenced_oid)?;
        let is_readable = self.unreadable.is_none();
        is_readable.then(|| self.query_of(DoomedRows { table, condition: "true", parameters: &[] }))
    }

    /// Returns whether rows refer, in the answer to such a query.
    pub(crate) fn refers_from(rows: &[AnswerRow]) -> Result<bool, StoreError> {
        Ok(first_value(rows)?.unwrap_or(true))
    }
}

impl Action {
    fn from_code(code: &str) -> Self {
        match code {
            "c" => Self::Cascade,
            "n" => Self::SetNull,
            _ => Self::SetDefault,
        }
    }

    fn sql(self) -> &'static str {
        match self {
            Self::Cascade => "ON DELETE CASCADE",
            Self::SetNull => "ON DELETE SET NULL",
            Self::SetDefault => "ON DELETE SET DEFAULT",
        }
    }

    fn consequence(self) -> &'static str {
        match self {
            Self::Cascade => "would be deleted with them",
            Self::SetNull | Self::SetDefault => "would lose their references with them",
        }
    }
}

/// Returns why a role cannot read every row of a table, from whether it `may_use` its schema, `may_read` it, and
/// policies filter it.
fn unreadable(table: &TableName, role: &str, [may_use, may_read, is_filtered]: [bool; 3]) -> Option<String> {
    let cannot = format!("the role {role} cannot read all of {table}");
    if !may_use {
        return Some(format!(
            "{cannot}: GRANT USAGE ON SCHEMA {} TO {}",
            quoted(&table.schema),
            quoted(role)
        ));
    }
    if !may_read {
        return Some(format!("{cannot}: GRANT SELECT ON {} TO {}", table.sql(), quoted(role)));
    }
    is_filtered.then(|| {
        format!("{cannot}, because row-level security policies hide rows: use a role with BYPASSRLS, or drop the key")
    })
}

/// Refuses to delete rows of the table with this oid if rows of other tables refer to them, and prevents new
/// references.
///
/// # Errors
/// When a row refers or may refer to them, or another session is about to add one.
pub(crate) fn check_unreferenced(
    session: &mut Session,
    oid: u32,
    doomed: DoomedRows<'_>,
) -> Result<(), StoreError> {
    let (keys, table) = (ForeignKey::onto(session, &[oid])?, doomed.table);
    if keys.is_empty() {
        return Ok(());
    }
    session.execute(&format!("lock {table}"), &format!("LOCK TABLE {} IN EXCLUSIVE MODE", table.sql()))?;
    for key in keys {
        if let Some(obstacle) = key.obstacle(session, doomed, &[])? {
            return Err(StoreError::permanent(format!("cannot delete rows of {table}: {obstacle}")));
        }
    }
    Ok(())
}
