//! Creates missing tables: [`Creation`] holds the statements that create a features table like its siblings, before
//! and after its rows are loaded.
//!
//! A new table has the columns of its parent or, without a parent, of its nearest sibling: the latest table of the
//! same series, of the same key if there is one. It has the owner and grants of the sibling or, if its parent has no
//! other partition, of the parent. Without a model it has rollfit's columns with the configured type; a table of fits has
//! doubles, and instants as the features tables that its view stands for.

use std::time::Duration;

use rollfit_job::config::{Layout, Series, TIME_COLUMN};
use rollfit_job::partition::Partition;
use rollfit_job::store::StoreError;

use crate::PostgresStore;
use crate::connection::session::Session;
use crate::copy::instant::TimeType;
use crate::copy::number_column::NumberColumn;
use crate::ddl::model_lookups::{Access, Grant, ModelLookups};
use crate::names::{TableName, quoted};
use crate::partitioning::catalog::FRESH_FOR;
use crate::partitioning::parent::check_parent;
use crate::partitioning::partition_sql::{attach_sql, like_sql};
use crate::partitioning::siblings::Siblings;
use crate::tables::leaf::{Leaf, in_runs, time_column};
use crate::tables::table::{RelationKind, Table, describe};

/// How old a list of tables may be that lacks a model.
const NEARLY_NOW: Duration = Duration::from_secs(1);

/// The statements that create one features table.
#[derive(Clone, Debug)]
pub(crate) struct Creation {
    /// Its parent, if that is missing too, and the statements that create it.
    pub(crate) parent: Option<(TableName, Vec<String>)>,
    /// The statement that creates the table, without its key.
    pub(crate) create: String,
    /// Statements after the rows are loaded: the key is built faster at once, and a parent is locked for a shorter
    /// time.
    pub(crate) after: Vec<String>,
    /// The table as it will be.
    pub(crate) leaf: Leaf,
    /// Whether it becomes a partition of another table.
    pub(crate) has_parent: bool,
}

impl Creation {
    /// Returns the statements before the rows are loaded.
    pub(crate) fn before(&self) -> impl Iterator<Item = &String> {
        self.parent.iter().flat_map(|(_, statements)| statements).chain([&self.create])
    }
}

/// The model for missing features tables of a series and a key.
pub(crate) struct Model {
    /// The table whose columns are used; none without a model.
    pub(crate) like: Option<Table>,
    /// How a table without one stores instants.
    time: TimeType,
    access: Access,
    pub(crate) parent: Option<ParentModel>,
}

/// The parent of a new table.
pub(crate) struct ParentModel {
    pub(crate) name: TableName,
    pub(crate) is_there: bool,
    /// Its future owner and grants, if it is missing.
    access: Access,
}

impl PostgresStore {
    /// Returns how to create the features table of a series of a partition.
    ///
    /// # Errors
    /// When its siblings recently became partitions of a parent that is not configured.
    pub(crate) fn creation(
        &self,
        session: &mut Session,
        series: &Series,
        partition: &Partition,
        lookups: &mut ModelLookups,
    ) -> Result<Creation, StoreError> {
        let model = self.model_with(session, series, partition, lookups)?;
        if model.parent.is_none() && model.like.as_ref().is_some_and(|like| like.attachment.is_some()) {
            self.check_siblings(session, series, partition)?;
        }
        self.creation_like(&model, series, partition)
    }

    /// Returns the model for a new table of a series and a key.
    pub(crate) fn model(
        &self,
        session: &mut Session,
        series: &Series,
        partition: &Partition,
    ) -> Result<Model, StoreError> {
        self.model_with(session, series, partition, &mut ModelLookups::default())
    }

    fn model_with(
        &self,
        session: &mut Session,
        series: &Series,
        partition: &Partition,
        lookups: &mut ModelLookups,
    ) -> Result<Model, StoreError> {
        let sibling = self.sibling(session, series, &partition.key, lookups)?;
        let sibling_table = sibling.as_ref().map(|(_, table)| table);
        let Some(name) = series.parent_table(partition) else {
            let access = lookups.access(session, sibling_table)?;
            let like = sibling.map(|(_, table)| table);
            let time = self.time_without(session, like.as_ref(), series, partition)?;
            return Ok(Model { like, time, access, parent: None });
        };
        let name = self.table(&name);
        if let Some(table) = self.partitioned(session, series, &name, lookups)? {
            // The parent is a better model than another key's table.
            let was_missing = self.was_missing(&name);
            let is_nearer = |other: &Partition| other.key == partition.key || was_missing;
            let nearest = sibling.filter(|(other, _)| is_nearer(other)).map(|(_, table)| table);
            let access = lookups.access(session, Some(nearest.as_ref().unwrap_or(&table)))?;
            let parent = ParentModel { name, is_there: true, access: Access::default() };
            return Ok(Model { like: Some(table), time: TimeType::Naive, access, parent: Some(parent) });
        }
        let access = lookups.access(session, sibling_table)?;
        let others_parent = match sibling.as_ref().and_then(|(other, _)| series.parent_table(other)) {
            Some(parent) => self.partitioned(session, series, &self.table(&parent), lookups)?,
            None => None,
        };
        let like = others_parent.or(sibling.map(|(_, table)| table));
        let parent = ParentModel { name, is_there: false, access: lookups.access(session, like.as_ref())? };
        let time = self.time_without(session, like.as_ref(), series, partition)?;
        Ok(Model { like, time, access, parent: Some(parent) })
    }

    /// Returns how a table without a model stores instants: as the features that its view takes the place of, if it is a
    /// table of fits and there are such features.
    fn time_without(
        &self,
        session: &mut Session,
        model: Option<&Table>,
        series: &Series,
        partition: &Partition,
    ) -> Result<TimeType, StoreError> {
        let replaced = self.feature_series.iter().find(|known| known.name == series.name);
        let Some(replaced) = replaced.filter(|_| model.is_none() && series.layout() == Layout::Fits) else {
            return Ok(TimeType::Naive);
        };
        let names = [replaced.parent_table(partition), Some(replaced.features_table(partition))];
        let names: Vec<String> = names.into_iter().flatten().collect();
        let mut tables = describe(session, &self.schema, &names)?;
        if tables.is_empty() {
            let others = Siblings::find(session, &self.schema, &self.feature_series, None)?;
            let at = self.feature_series.iter().position(|known| known.name == series.name);
            if let Some(other) = at.and_then(|at| others.nearest(at, &partition.key)) {
                tables = describe(session, &self.schema, std::slice::from_ref(&other.name))?;
            }
        }
        let mut by_name = names.iter().filter_map(|name| tables.get(name)).chain(tables.values());
        Ok(by_name.find_map(|table| time_column(table, TIME_COLUMN).ok()).unwrap_or(TimeType::Naive))
    }

    /// Returns a partitioned table by its name, if it exists.
    fn partitioned(
        &self,
        session: &mut Session,
        series: &Series,
        name: &TableName,
        lookups: &mut ModelLookups,
    ) -> Result<Option<Table>, StoreError> {
        let table = lookups.table(self, session, &name.name)?;
        if let Some(table) = &table {
            check_parent(table, series)?;
        }
        Ok(table)
    }

    /// Returns the latest table of the same series, of the same key if there is one.
    fn sibling(
        &self,
        session: &mut Session,
        series: &Series,
        key: &str,
        lookups: &mut ModelLookups,
    ) -> Result<Option<(Partition, Table)>, StoreError> {
        // A key has few tables; those of all keys are listed once for many partitions.
        let own = self.nearest(lookups.siblings(self, session, key)?, series, key);
        let mut found = self.model_named(session, own, lookups)?;
        // No table, or one that is gone by now: the list may be older than the tables.
        for age_max in [FRESH_FOR, NEARLY_NOW] {
            if found.is_none() {
                let known = self.siblings_within(session, age_max)?;
                found = self.model_named(session, self.nearest(&known, series, key), lookups)?;
            }
        }
        // A table that cannot be written is not a model.
        Ok(found.filter(|(_, table)| Leaf::new(table, series).is_ok()))
    }

    /// Returns the nearest of `siblings`, with its partition.
    fn nearest(&self, siblings: &Siblings, series: &Series, key: &str) -> Option<(Partition, String)> {
        let at = self.series.iter().position(|known| known.name == series.name)?;
        let sibling = siblings.nearest(at, key)?;
        Some((sibling.partition_of(key), sibling.name.clone()))
    }

    /// Returns the table of a sibling, if it exists.
    fn model_named(
        &self,
        session: &mut Session,
        sibling: Option<(Partition, String)>,
        lookups: &mut ModelLookups,
    ) -> Result<Option<(Partition, Table)>, StoreError> {
        let Some((partition, name)) = sibling else { return Ok(None) };
        Ok(lookups.table(self, session, &name)?.map(|table| (partition, table)))
    }

    /// Returns how to create the features table of a partition like `model`.
    pub(crate) fn creation_like(
        &self,
        model: &Model,
        series: &Series,
        partition: &Partition,
    ) -> Result<Creation, StoreError> {
        let name = self.table(&series.features_table(partition));
        let leaf = self.leaf_like(model, series, &name)?;
        let columns = model.columns_sql(series, &leaf);
        // LIKE copies NOT NULL, but not the key.
        let mut after = vec![format!("ALTER TABLE {} ADD PRIMARY KEY ({})", name.sql(), quoted(TIME_COLUMN))];
        after.extend(model.access.sql(&name));
        let attach = |parent: &ParentModel| attach_sql(&parent.name, &leaf.name, leaf.time, partition);
        after.extend(model.parent.iter().map(attach));
        let missing_parent = model.parent.as_ref().filter(|parent| !parent.is_there);
        Ok(Creation {
            parent: missing_parent.map(|parent| (parent.name.clone(), parent.sql(&columns))),
            create: format!("CREATE TABLE {} (\n    {columns}\n)", name.sql()),
            after,
            leaf,
            has_parent: model.parent.is_some(),
        })
    }

    /// Returns a table of a series without a model.
    pub(crate) fn new_leaf(&self, series: &Series, time: TimeType) -> Leaf {
        let layout = series.layout();
        let numbers = if layout == Layout::Fits { NumberColumn::Double } else { self.numbers };
        let features = vec![numbers; series.columns.len()];
        let numbers = features.iter().map(|number| number.sql());
        let types = in_runs(std::iter::once(time.full_name().to_owned()).chain(numbers));
        Leaf { name: self.table(&series.name), layout, time, features, types, others: Vec::new() }
    }

    pub(crate) fn leaf_like(
        &self,
        model: &Model,
        series: &Series,
        name: &TableName,
    ) -> Result<Leaf, StoreError> {
        let Some(like) = &model.like else {
            return Ok(Leaf { name: name.clone(), ..self.new_leaf(series, model.time) });
        };
        let leaf = Leaf::new(&Table { kind: RelationKind::Plain, ..like.clone() }, series)?;
        Ok(Leaf { name: name.clone(), ..leaf })
    }
}

impl Model {
    /// Returns a model with the columns of `like`, without owner, grants and parent.
    pub(crate) fn like(like: Option<Table>) -> Self {
        Self { like, time: TimeType::Naive, access: Access::default(), parent: None }
    }

    /// Returns the roles that new tables are given to.
    pub(crate) fn owners(&self) -> impl Iterator<Item = &str> {
        let missing_parent = self.parent.iter().filter(|parent| !parent.is_there);
        let access = missing_parent.map(|parent| &parent.access).chain([&self.access]);
        access.filter_map(|access| access.owner.as_deref())
    }

    /// Returns the columns of a CREATE TABLE.
    fn columns_sql(&self, series: &Series, leaf: &Leaf) -> String {
        self.like.as_ref().map_or_else(|| columns_sql(series, leaf), like_sql)
    }
}

impl ParentModel {
    fn sql(&self, columns: &str) -> Vec<String> {
        let (table, time) = (self.name.sql(), quoted(TIME_COLUMN));
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {table} (\n    {columns},\n    PRIMARY KEY ({time})\n) PARTITION BY RANGE ({time})"
        );
        std::iter::once(create).chain(self.access.sql(&self.name)).collect()
    }
}

impl Access {
    /// Grants first: after giving a table away, the role may no longer grant on it.
    pub(crate) fn sql(&self, table: &TableName) -> Vec<String> {
        let table = table.sql();
        let grant = |grant: &Grant| {
            let option = if grant.with_grant_option { " WITH GRANT OPTION" } else { "" };
            format!("GRANT {} ON {table} TO {}{option}", grant.privilege, grant.to)
        };
        let owner = self.owner.iter().map(|owner| format!("ALTER TABLE {table} OWNER TO {}", quoted(owner)));
        self.grants.iter().map(grant).chain(owner).collect()
    }
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
