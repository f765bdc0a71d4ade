//! The rights of the role on the schema and its tables, and the statements that grant the missing ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rollfit_job::config::RowSecurity;
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use super::{Examination, Findings};
use crate::PostgresStore;
use crate::connection::answer_row::AnswerRow;
use crate::connection::session::{Session, SqlParameter};
use crate::names::{TableName, quoted};
use crate::tables::applied_policies::{self, AppliedPolicies};

/// The rights that are queried for every table.
const ASKED: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// The rights of the role on a schema.
pub(super) struct Rights {
    pub(super) role: String,
    schema: String,
    /// Whether it may use the schema.
    pub(super) may_use: bool,
    /// Whether it may create tables there.
    pub(super) may_create: bool,
    /// How to treat policies that apply to the role.
    row_security: RowSecurity,
    tables: HashMap<String, TableRights>,
}

/// The rights of the role on a table, and its catalogue data.
pub(super) struct TableRights {
    pub(super) owner: String,
    /// Whether the role is the owner or a member of it.
    pub(super) is_owner: bool,
    held: Vec<String>,
    /// The server's estimate; none if it has none.
    pub(super) estimated_rows: Option<u64>,
    /// The policies that apply to the role, if any.
    pub(super) policies: Option<AppliedPolicies>,
}

impl TableRights {
    fn from_row(row: &AnswerRow) -> Result<Self, StoreError> {
        Ok(Self {
            owner: row.get(1)?,
            is_owner: row.get(2)?,
            held: row.get(3)?,
            estimated_rows: row.get::<_, Option<f64>>(4)?.map(|rows| rows as u64),
            policies: AppliedPolicies::from_row(row, 5)?,
        })
    }

    /// Returns the rights of `wanted` that the role lacks.
    pub(super) fn lacks(&self, wanted: &[&'static str]) -> Vec<&'static str> {
        wanted.iter().copied().filter(|right| !self.held.iter().any(|held| held == right)).collect()
    }
}

impl PostgresStore {
    pub(super) fn rights(&self, examination: &Examination<'_>) -> Result<Rights, StoreError> {
        let names: Vec<String> = self.names_of_interest(examination).into_iter().collect();
        self.in_snapshot(|session| {
            let (role, may_use, may_create) = self.rights_on_schema(session)?;
            let tables = self.rights_on_tables(session, &names)?;
            let (schema, row_security) = (self.schema.clone(), self.settings.row_security);
            Ok(Rights { role, schema, may_use, may_create, row_security, tables })
        })
    }

    /// The tables that a job reads and writes, and those that can be models for new ones.
    fn names_of_interest(&self, examination: &Examination<'_>) -> BTreeSet<String> {
        let sources = examination
            .keys
            .iter()
            .flat_map(|key| self.series.iter().map(|series| series.table.for_key(key)));
        let targets = examination.partitions.iter().flat_map(|partition| {
            self.series.iter().flat_map(move |series| {
                [Some(series.features_table(partition)), series.parent_table(partition)]
            })
        });
        let ours = [self.receipts.name.clone(), self.definitions.name.clone()];
        sources.chain(targets.flatten()).chain(ours).collect()
    }

    fn rights_on_schema(&self, session: &mut Session) -> Result<(String, bool, bool), StoreError> {
        const QUESTION: &str = "
            SELECT current_user::text, has_schema_privilege(oid, 'USAGE'), has_schema_privilege(oid, 'CREATE')
            FROM pg_catalog.pg_namespace WHERE nspname = $1";
        let rows = session.rows("look up the role's rights", QUESTION, &[(&self.schema, Type::TEXT)])?;
        let gone = || StoreError::permanent(format!("the schema {} no longer exists", self.schema));
        let row = rows.first().ok_or_else(gone)?;
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    }

    /// Returns the rights on tables of the schema by name.
    pub(super) fn rights_on_tables(
        &self,
        session: &mut Session,
        names: &[String],
    ) -> Result<HashMap<String, TableRights>, StoreError> {
        let question = format!(
            "SELECT c.relname::text, pg_get_userbyid(c.relowner)::text,
                   pg_has_role(c.relowner, 'USAGE'),
                   ARRAY(SELECT p FROM unnest($3) p WHERE has_table_privilege(c.oid, p)),
                   nullif(greatest(c.reltuples, 0), 0)::float8, {}
            FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = $1 AND c.relname = ANY($2) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
            applied_policies::columns()
        );
        let asked = ASKED.to_vec();
        let parameters: [SqlParameter<'_>; 3] =
            [(&self.schema, Type::TEXT), (&names, Type::TEXT_ARRAY), (&asked, Type::TEXT_ARRAY)];
        let rows = session.rows("look up the role's rights", &question, &parameters)?;
        rows.iter().map(|row| Ok((row.get(0)?, TableRights::from_row(row)?))).collect()
    }
}

impl Rights {
    pub(super) fn table(&self, name: &str) -> Option<&TableRights> {
        self.tables.get(name)
    }

    /// Returns whether the rows of a table can be read.
    pub(super) fn may_read(&self, name: &str) -> bool {
        let holds_right = self.table(name).is_some_and(|table| table.lacks(&["SELECT"]).is_empty());
        self.may_use && holds_right && !self.is_refused(name)
    }

    /// Returns whether policies apply to the role on a table and are not accepted.
    pub(super) fn is_refused(&self, name: &str) -> bool {
        let has_policies = self.table(name).is_some_and(|table| table.policies.is_some());
        has_policies && self.row_security == RowSecurity::Refuse
    }

    pub(super) fn check_schema(&self, findings: &mut Findings) {
        if !self.may_use {
            findings.problem(
                format!("the role {} may not use the schema {}", self.role, self.schema),
                vec![format!("GRANT USAGE ON SCHEMA {} TO {}", quoted(&self.schema), quoted(&self.role))],
            );
        }
    }
}

/// Rights on tables that the role lacks, grouped by key.
#[derive(Default)]
pub(super) struct Lacking {
    tables: BTreeMap<(String, Vec<&'static str>), Vec<TableName>>,
}

impl Lacking {
    /// Notes the missing rights on a table of `key`, if any.
    pub(super) fn add(&mut self, key: &str, rights: Vec<&'static str>, table: TableName) {
        if !rights.is_empty() {
            let lacking = self.tables.entry((key.to_owned(), rights)).or_default();
            if !lacking.contains(&table) {
                lacking.push(table);
            }
        }
    }

    pub(super) fn report(self, role: &str, findings: &mut Findings) {
        for ((key, rights), tables) in self.tables {
            let rights = rights.join(", ");
            let names = tables.iter().map(TableName::sql).collect::<Vec<_>>().join(", ");
            let about = if key.is_empty() { String::new() } else { format!("{key}: ") };
            findings.problem(
                format!("{about}the role {role} lacks {rights} on {}", names_text(&tables)),
                vec![format!("GRANT {rights} ON {names} TO {}", quoted(role))],
            );
        }
    }
}

/// Formats table names: all of a few, the first and last of many.
pub(super) fn names_text(tables: &[TableName]) -> String {
    const FEW: usize = 3;
    match tables {
        [first, .., last] if tables.len() > FEW => format!("{} tables, {first} to {last}", tables.len()),
        few => few.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "),
    }
}
