//! [`Trigger`]: a user's trigger or rule on a table, which may suppress, change or add rows of a statement.

use rollfit_job::activity::{Activity, during};
use rollfit_job::few::few;
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::connection::answer_row::AnswerRow;
use crate::connection::session::{Request, Session};
use crate::names::TableName;

/// The triggers and rules that INSERT, UPDATE or DELETE run on a table or its partitions, including those inherited
/// from a partitioned parent, without the server's own for foreign keys and deferred unique constraints.
const TRIGGERS: &str = "
    SELECT DISTINCT asked.schema, asked.name, found.what || ' ' || found.name
    FROM (SELECT t.tgrelid AS oid, 'trigger' AS what, t.tgname AS name
          FROM pg_catalog.pg_trigger t LEFT JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint
          WHERE t.tgenabled <> 'D' AND t.tgtype & 28 <> 0 AND (k.oid IS NULL OR k.contype = 't')
          UNION ALL
          SELECT r.ev_class, 'rule', r.rulename FROM pg_catalog.pg_rewrite r
          WHERE r.ev_enabled <> 'D' AND r.ev_type IN ('2', '3', '4')) found
    JOIN (SELECT n.nspname::text, c.relname::text, part.oid
          FROM unnest($1, $2) AS named (schema, name)
          JOIN pg_catalog.pg_namespace n ON n.nspname = named.schema
          JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = named.name
          CROSS JOIN LATERAL (
              SELECT c.oid UNION SELECT relid::oid FROM pg_catalog.pg_partition_tree(c.oid)) AS part (oid))
        AS asked (schema, name, oid) ON asked.oid = found.oid
    ORDER BY 3, 1, 2";

/// A trigger or rule that is not disabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trigger {
    pub(crate) table: TableName,
    /// Its kind and name: `trigger audit`, `rule keep`.
    pub(crate) name: String,
}

/// The query for the triggers and rules of tables.
pub(crate) struct TriggerQuery<'a> {
    schemas: Vec<&'a str>,
    names: Vec<&'a str>,
}

impl<'a> TriggerQuery<'a> {
    /// Of the existing tables among `tables`.
    pub(crate) fn new(tables: impl IntoIterator<Item = &'a TableName>) -> Self {
        let (schemas, names) =
            tables.into_iter().map(|table| (table.schema.as_str(), table.name.as_str())).unzip();
        Self { schemas, names }
    }

    pub(crate) fn request(&self) -> Request<'_> {
        let parameters = vec![(&self.schemas as _, Type::TEXT_ARRAY), (&self.names as _, Type::TEXT_ARRAY)];
        Request::query("look up triggers and rules", TRIGGERS, parameters)
    }
}

impl Trigger {
    /// Returns the triggers and rules of the existing tables among `tables`.
    pub(crate) fn on<'a>(
        session: &mut Session,
        tables: impl IntoIterator<Item = &'a TableName>,
    ) -> Result<Vec<Self>, StoreError> {
        Self::from_rows(&session.at_once(vec![TriggerQuery::new(tables).request()]).rows()?)
    }

    /// Returns those in the answer to a [`TriggerQuery`].
    pub(crate) fn from_rows(rows: &[AnswerRow]) -> Result<Vec<Self>, StoreError> {
        let trigger =
            |row: &AnswerRow| Ok(Self { table: TableName::new(row.get(0)?, row.get(1)?), name: row.get(2)? });
        rows.iter().map(trigger).collect()
    }

    /// Returns the `triggers` of a table, for messages.
    pub(crate) fn names(triggers: &[Self], table: &TableName) -> String {
        let names: Vec<&str> = triggers
            .iter()
            .filter(|trigger| trigger.table == *table)
            .map(|trigger| trigger.name.as_str())
            .collect();
        if names.is_empty() { "no trigger or rule".to_owned() } else { few(names) }
    }
}

/// Runs deferred triggers now, and later ones immediately.
pub(crate) fn run_deferred(session: &mut Session) -> Result<(), StoreError> {
    const DOING: &str = "run deferred triggers and constraints";
    // COMMIT would do it.
    during(Activity::Committing, || session.execute(DOING, "SET CONSTRAINTS ALL IMMEDIATE"))
}
