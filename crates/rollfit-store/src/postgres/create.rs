//! Tables that are not there yet: [`Creation`], the statements that make a features table like its siblings, before and
//! after its rows are loaded.
//!
//! A new table is like its parent or, where it has none, like the latest table of the same series: same columns and
//! types, same owner, same grants. Where there is nothing to be like, it has our columns and the configured type.

use std::collections::HashMap;

use rollfit_job::partition::Partition;
use rollfit_job::spec::{Series, TIME_COLUMN};
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use super::PostgresStore;
use super::column_type::NumberColumn;
use super::instant::TimeType;
use super::leaf::Leaf;
use super::names::{TableName, quoted};
use super::session::Session;
use super::tables::{self, Kind, Table, describe};

/// The statements that make one features table.
#[derive(Clone, Debug)]
pub(crate) struct Creation {
    /// Before the rows are loaded.
    pub(crate) before: Vec<String>,
    /// After: the key is faster built at once, and a parent is locked for a shorter time.
    pub(crate) after: Vec<String>,
    /// The table as it will be.
    pub(crate) leaf: Leaf,
    /// Whether it becomes a part of another table.
    pub(crate) has_parent: bool,
}

/// What a new table is like.
struct Model {
    table: Table,
    owner: String,
    grants: Vec<Grant>,
}

struct Grant {
    to: String,
    privilege: String,
    with_grant_option: bool,
}

impl PostgresStore {
    /// How to make the features table of a series of a partition.
    pub(super) fn creation(
        &self,
        session: &mut Session,
        series: &Series,
        partition: &Partition,
    ) -> Result<Creation, StoreError> {
        let name = self.table(&series.features_table(partition));
        let parent = series.parent_table(partition).map(|parent| self.table(&parent));
        let known = match &parent {
            Some(parent) => describe(session, &self.schema, std::slice::from_ref(&parent.name))?,
            None => HashMap::new(),
        };
        let parent_found = parent.as_ref().and_then(|parent| known.get(&parent.name));
        if let Some(table) = parent_found {
            check_parent(table, series)?;
        }
        let model = match parent_found {
            Some(table) => Some(self.model(session, table.clone())?),
            None => self.sibling(session, series, partition)?,
        };
        let mut creation = self.statements(&name, series, model.as_ref())?;
        if let Some(parent) = &parent {
            if parent_found.is_none() {
                let columns = columns_sql(series, &creation.leaf);
                creation.before.splice(0..0, self.parent_statements(parent, &columns, model.as_ref()));
            }
            creation.after.push(attach_sql(parent, &creation.leaf, partition));
            creation.has_parent = true;
        }
        Ok(creation)
    }

    /// The latest table of the same series, of the same key if there is one.
    fn sibling(
        &self,
        session: &mut Session,
        series: &Series,
        partition: &Partition,
    ) -> Result<Option<Model>, StoreError> {
        let names = tables::names(session, &self.schema)?;
        let siblings = names.iter().filter_map(|name| Some((series.partition_of(name)?, name)));
        let nearest = siblings.max_by_key(|(other, _)| (other.key == partition.key, other.month));
        let Some((_, name)) = nearest else { return Ok(None) };
        let table = describe(session, &self.schema, std::slice::from_ref(name))?.remove(name);
        // A table that could not be written itself is no model for another.
        let table = table.filter(|table| Leaf::new(table, series).is_ok());
        table.map(|table| self.model(session, table)).transpose()
    }

    fn model(&self, session: &mut Session, table: Table) -> Result<Model, StoreError> {
        const OWNER: &str = "
            SELECT pg_get_userbyid(relowner)::text, relowner = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)
            FROM pg_catalog.pg_class WHERE oid = $1";
        const GRANTS: &str = "
            SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE pg_get_userbyid(a.grantee)::text END,
                   a.privilege_type, a.is_grantable
            FROM pg_catalog.pg_class c, aclexplode(c.relacl) a
            WHERE c.oid = $1 AND a.grantee <> c.relowner ORDER BY 1, 2";
        let doing = format!("look up who may use {}", table.name);
        let rows = session.rows(&doing, OWNER, &[(&table.oid, Type::OID)])?;
        let owner: String = match rows.first() {
            Some(row) if !row.get::<_, bool>(1) => row.get(0),
            _ => String::new(),
        };
        let rows = session.rows(&doing, GRANTS, &[(&table.oid, Type::OID)])?;
        let grants = rows.iter().map(|row| Grant {
            to: row.get::<_, Option<String>>(0).map_or("PUBLIC".to_owned(), |role| quoted(&role)),
            privilege: row.get(1),
            with_grant_option: row.get(2),
        });
        Ok(Model { owner, grants: grants.collect(), table })
    }

    fn statements(
        &self,
        name: &TableName,
        series: &Series,
        model: Option<&Model>,
    ) -> Result<Creation, StoreError> {
        let sql = name.sql();
        let (create, leaf) = match model {
            Some(model) => {
                let leaf = Leaf::new(
                    &Table { name: name.clone(), kind: Kind::Plain, ..model.table.clone() },
                    series,
                )?;
                (like_sql(name, &model.table.name), leaf)
            }
            None => {
                let leaf = self.plain_leaf(name, series);
                (format!("CREATE TABLE {sql} (\n    {}\n)", columns_sql(series, &leaf)), leaf)
            }
        };
        // What is LIKE a table takes NOT NULL from it, but not the key.
        let mut after = vec![format!("ALTER TABLE {sql} ADD PRIMARY KEY ({})", quoted(TIME_COLUMN))];
        after.extend(model.map(|model| model.grants_sql(&sql)).unwrap_or_default());
        Ok(Creation { before: vec![create], after, leaf, has_parent: false })
    }

    fn plain_leaf(&self, name: &TableName, series: &Series) -> Leaf {
        Leaf {
            name: name.clone(),
            time: TimeType::Naive,
            features: vec![self.numbers; series.columns.len()],
            others: Vec::new(),
        }
    }

    fn parent_statements(&self, parent: &TableName, columns: &str, model: Option<&Model>) -> Vec<String> {
        let time = quoted(TIME_COLUMN);
        let sql = parent.sql();
        let mut statements = vec![format!(
            "CREATE TABLE IF NOT EXISTS {sql} (\n    {columns},\n    PRIMARY KEY ({time})\n) PARTITION BY RANGE ({time})"
        )];
        statements.extend(model.map(|model| model.grants_sql(&sql)).unwrap_or_default());
        statements
    }
}

impl Model {
    /// Grants first: whoever gives a table away may not grant on it any more.
    fn grants_sql(&self, table: &str) -> Vec<String> {
        let grant = |grant: &Grant| {
            let option = if grant.with_grant_option { " WITH GRANT OPTION" } else { "" };
            format!("GRANT {} ON {table} TO {}{option}", grant.privilege, grant.to)
        };
        let mut statements: Vec<String> = self.grants.iter().map(grant).collect();
        if !self.owner.is_empty() {
            statements.push(format!("ALTER TABLE {table} OWNER TO {}", quoted(&self.owner)));
        }
        statements
    }
}

fn like_sql(name: &TableName, model: &TableName) -> String {
    const INCLUDED: &str =
        "INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING IDENTITY INCLUDING STORAGE";
    format!("CREATE TABLE {} (LIKE {} {INCLUDED})", name.sql(), model.sql())
}

fn columns_sql(series: &Series, leaf: &Leaf) -> String {
    let time = leaf.time.sql();
    let features = series.columns.iter().zip(&leaf.features);
    let features =
        features.map(|(column, number)| format!("{} {}", quoted(column), NumberColumn::sql(*number)));
    let columns: Vec<String> =
        std::iter::once(format!("{} {time} NOT NULL", quoted(TIME_COLUMN))).chain(features).collect();
    columns.join(",\n    ")
}

fn attach_sql(parent: &TableName, leaf: &Leaf, partition: &Partition) -> String {
    let span_us = partition.month.span_us();
    format!(
        "ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})",
        parent.sql(),
        leaf.name.sql(),
        leaf.time.literal(span_us.start),
        leaf.time.literal(span_us.end)
    )
}

fn check_parent(table: &Table, series: &Series) -> Result<(), StoreError> {
    if table.kind == Kind::Partitioned {
        return Ok(());
    }
    Err(StoreError::permanent(format!(
        "{} is not a partitioned table: `parent` of series `{}` must name one PARTITION BY RANGE ({TIME_COLUMN})",
        table.name, series.name
    )))
}
