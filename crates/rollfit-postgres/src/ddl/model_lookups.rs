//! [`ModelLookups`]: what the catalogue says of the tables that missing ones are made like, each asked once in a transaction, and most
//! of it together.

use std::collections::{BTreeSet, HashMap};

use rollfit_job::partition::Partition;
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::PostgresStore;
use crate::connection::answer_row::AnswerRow;
use crate::connection::session::{Session, SqlParameter, Step};
use crate::names::{TableName, quoted};
use crate::partitioning::siblings::Siblings;
use crate::tables::table::{LOOK_UP, Table, describe, describe_sql, tables_from};

/// The owner of a table, and who else may use it.
#[derive(Clone, Default)]
pub(crate) struct Access {
    /// None for the role that creates the table.
    pub(crate) owner: Option<String>,
    pub(crate) grants: Vec<Grant>,
}

/// A right that a role has on a table.
#[derive(Clone)]
pub(crate) struct Grant {
    /// None for everybody.
    role: Option<String>,
    /// In SQL.
    pub(crate) to: String,
    pub(crate) privilege: String,
    pub(crate) with_grant_option: bool,
}

/// The owners and grants of the tables of the schema $1 with the names $2: a row for each grant, and one for a table without any.
const ACCESS: &str = "
    SELECT c.oid, pg_get_userbyid(c.relowner)::text,
           CASE WHEN a.grantee = 0 THEN NULL ELSE pg_get_userbyid(a.grantee)::text END,
           a.privilege_type, a.is_grantable
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN LATERAL aclexplode(c.relacl) a ON a.grantee <> c.relowner
    WHERE n.nspname = $1 AND c.relname = ANY($2)
    ORDER BY 1, 3, 4";

impl Access {
    /// Returns who owns a table or view and may use it, if it exists.
    ///
    /// # Errors
    /// When the query fails.
    pub(crate) fn find(session: &mut Session, name: &TableName) -> Result<Option<Self>, StoreError> {
        let names = vec![name.name.clone()];
        let parameters: [SqlParameter<'_>; 2] = [(&name.schema, Type::TEXT), (&names, Type::TEXT_ARRAY)];
        let rows = session.rows(&format!("look up who may use {name}"), ACCESS, &parameters)?;
        Ok(Self::by_table(&rows)?.into_values().next())
    }

    /// The rights to read alone.
    pub(crate) fn reading_only(self) -> Self {
        Self { owner: None, ..self.without_writing() }
    }

    /// The owner, and the rights to read.
    pub(crate) fn without_writing(mut self) -> Self {
        self.grants.retain(|grant| grant.privilege == "SELECT");
        self
    }

    /// The same without rights of these, as [`Access::reader_names`] names them.
    pub(crate) fn without(mut self, names: &[String]) -> Self {
        self.grants.retain(|grant| !names.iter().any(|name| name == grant.name()));
        self
    }

    /// Who may read, in SQL.
    pub(crate) fn readers(&self) -> impl Iterator<Item = &str> {
        self.reading().map(|grant| grant.to.as_str())
    }

    /// Who may read, as the server names them when it is asked about rights.
    pub(crate) fn reader_names(&self) -> impl Iterator<Item = &str> {
        self.reading().map(Grant::name)
    }

    fn reading(&self) -> impl Iterator<Item = &Grant> {
        self.grants.iter().filter(|grant| grant.privilege == "SELECT")
    }

    /// Returns the access of each table in the answer to [`ACCESS`], by oid.
    fn by_table(rows: &[AnswerRow]) -> Result<HashMap<u32, Self>, StoreError> {
        let mut access: HashMap<u32, Self> = HashMap::new();
        for row in rows {
            let known = access.entry(row.get(0)?).or_default();
            known.owner = row.get(1)?;
            known.grants.extend(Grant::from_row(row)?);
        }
        Ok(access)
    }
}

impl Grant {
    /// Its role, as the server names it when it is asked about rights.
    fn name(&self) -> &str {
        self.role.as_deref().unwrap_or("public")
    }

    /// None in the row of a table without grants.
    fn from_row(row: &AnswerRow) -> Result<Option<Self>, StoreError> {
        let Some(privilege) = row.get(3)? else { return Ok(None) };
        let role: Option<String> = row.get(2)?;
        let to = role.as_deref().map_or("PUBLIC".to_owned(), quoted);
        Ok(Some(Self { role, to, privilege, with_grant_option: row.get(4)? }))
    }
}

/// What was looked up so far.
#[derive(Default)]
pub(crate) struct ModelLookups {
    /// Those of the key.
    siblings: Option<Siblings>,
    /// None for names that no table has.
    tables: HashMap<String, Option<Table>>,
    access: HashMap<u32, Access>,
}

impl ModelLookups {
    /// With the tables of the key, where a look has them.
    pub(crate) fn new(siblings: Option<Siblings>) -> Self {
        Self { siblings, ..Self::default() }
    }

    /// Returns the tables of a key as they are now.
    pub(crate) fn siblings(
        &mut self,
        store: &PostgresStore,
        session: &mut Session,
        key: &str,
    ) -> Result<&Siblings, StoreError> {
        match self.siblings.take() {
            Some(siblings) => Ok(self.siblings.insert(siblings)),
            None => Ok(self.siblings.insert(store.siblings_of_key(session, key)?)),
        }
    }

    /// Returns the table with a name.
    pub(crate) fn table(
        &mut self,
        store: &PostgresStore,
        session: &mut Session,
        name: &str,
    ) -> Result<Option<Table>, StoreError> {
        if let Some(table) = self.tables.get(name) {
            return Ok(table.clone());
        }
        let table = describe(session, &store.schema, &[name.to_owned()])?.remove(name);
        self.tables.insert(name.to_owned(), table.clone());
        Ok(table)
    }

    /// Returns who owns a table and who may use it.
    pub(crate) fn access(
        &mut self,
        session: &mut Session,
        table: Option<&Table>,
    ) -> Result<Access, StoreError> {
        let Some(table) = table else { return Ok(Access::default()) };
        if !self.access.contains_key(&table.oid) {
            let names = vec![table.name.name.clone()];
            let parameters: [SqlParameter<'_>; 2] =
                [(&table.name.schema, Type::TEXT), (&names, Type::TEXT_ARRAY)];
            let rows = session.rows(&format!("look up who may use {}", table.name), ACCESS, &parameters)?;
            self.access.extend(Access::by_table(&rows)?);
        }
        Ok(self.access.get(&table.oid).cloned().unwrap_or_default())
    }

    /// Looks up together what the models of the missing tables of a partition will be asked for.
    pub(crate) fn look_ahead(
        &mut self,
        store: &PostgresStore,
        session: &mut Session,
        partition: &Partition,
        missing: &[usize],
    ) -> Result<(), StoreError> {
        self.siblings(store, session, &partition.key)?;
        let mut names: BTreeSet<String> = BTreeSet::new();
        for at in missing {
            let series = &store.series[*at];
            let own = self.siblings.as_ref().and_then(|siblings| siblings.nearest(*at, &partition.key));
            names.extend(own.map(|sibling| sibling.name.clone()));
            names.extend(series.parent_table(partition));
        }
        let names: Vec<String> = names.into_iter().filter(|name| !self.tables.contains_key(name)).collect();
        if names.is_empty() {
            return Ok(());
        }
        let named =
            || -> Vec<SqlParameter<'_>> { vec![(&store.schema, Type::TEXT), (&names, Type::TEXT_ARRAY)] };
        let steps = [
            Step::query(LOOK_UP, describe_sql(), named()),
            Step::query("look up who may use tables", ACCESS, named()),
        ];
        let answers = session
            .try_batch("look up the tables that missing ones are made like", &steps)?
            .map_err(crate::connection::session::RefusedStep::into_error)?;
        let mut answers = answers.into_iter();
        let mut found = tables_from(&store.schema, answers.next().unwrap_or_default())?;
        self.access.extend(Access::by_table(&answers.next().unwrap_or_default())?);
        for name in &names {
            self.tables.insert(name.clone(), found.remove(name));
        }
        Ok(())
    }
}
