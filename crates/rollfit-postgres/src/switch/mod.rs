//! The switch from tables of features to views of fits: the views of another schema get the names that readers use, and the
//! tables that had them others.
//!
//! Invariants: nothing is executed. Everything is read in one snapshot. The statements look again once they hold the locks: where
//! tables, views, grants or policies have changed since, or rows would be lost, they fail as a whole. The reverse restores
//! names, schemas, owners and grants.

mod exchange;
mod guard;
mod names;
mod notes;
mod relation;
mod row_security;
mod rows;
mod script;

use std::collections::{BTreeSet, HashMap, HashSet};

use rollfit_job::config::Series;
use rollfit_job::few::few_and;
use rollfit_job::partition::Partition;
use rollfit_job::store::{StoreError, Switch};

use self::exchange::{Exchange, Replaced};
use self::guard::Guard;
use self::names::TakenNames;
use self::notes::Notes;
use self::relation::{Reader, Relation, TableBelow, dependents, functions_without_right, relations};
use self::relation::{tables_below, taken_names};
use self::rows::check_rows;
use self::script::Script;
use crate::PostgresStore;
use crate::connection::session::Session;
use crate::names::{TableName, quoted};
use crate::tables::table;
use crate::views::Views;

/// A view of the job: its name, and the table of fits that it reads.
struct ViewNames {
    view: String,
    fits: String,
    /// The names of the tables of features of its partitions, with those of the tables of fits.
    leaves: Vec<(String, String)>,
}

/// The deployed tables.
struct Deployed {
    /// Those with names of views or of partitions.
    named: HashMap<String, Relation>,
    below: Vec<TableBelow>,
}

impl PostgresStore {
    /// Returns the statements that move the views of `partitions` from `views_schema` into the schema of this store.
    ///
    /// # Errors
    /// When that is not possible or would hide rows; the error says why.
    pub(crate) fn switch_from(
        &self,
        partitions: &[Partition],
        views_schema: &str,
    ) -> Result<Switch, StoreError> {
        if views_schema == self.schema {
            return Err(StoreError::permanent(format!(
                "nothing to switch: the views are made in {}, the schema of the tables; set views_schema to another schema",
                self.schema
            )));
        }
        self.in_snapshot(|session| {
            // Rows that policies hide from this role must not go uncounted.
            let settings =
                "SET LOCAL search_path = ''; SET LOCAL timezone = 'UTC'; SET LOCAL row_security = off";
            session.execute("set up the session", settings)?;
            self.switch_in(session, partitions, views_schema)
        })
    }

    fn switch_in(
        &self,
        session: &mut Session,
        partitions: &[Partition],
        views_schema: &str,
    ) -> Result<Switch, StoreError> {
        let deployed = self.deployed(session, partitions)?;
        let exchanges = self.exchanges(session, partitions, views_schema, &deployed)?;
        self.check_rows_elsewhere(session, partitions, &deployed)?;
        let mut notes = Notes::new(&exchanges, &deployed, &self.schema);
        check_rows(session, &exchanges, &mut notes)?;
        let renamed = deployed.tables(&self.schema);
        let mut taken = TakenNames::new(taken_names(session, &self.schema)?);
        let guard = Guard::look(session, &exchanges, &renamed, &deployed.below)?;
        let mut script = Script::new(guard.statements());
        for (name, _) in &renamed {
            script.rename(name, &taken.take_for(&name.name));
        }
        exchanges.iter().for_each(|exchange| script.set_schema(&exchange.view.name, &self.schema));
        let mut readers = BTreeSet::new();
        for exchange in &exchanges {
            readers.extend(exchange.share(&mut script, &self.schema));
        }
        let readers: Vec<Reader> = readers.into_iter().collect();
        let functions = self.views.as_ref().map(Views::function_signatures).unwrap_or_default();
        for (reader, functions) in functions_without_right(session, &self.schema, &functions, &readers)? {
            script.let_call(&functions, &reader);
        }
        let oids: Vec<u32> = renamed.iter().map(|(_, oid)| *oid).collect();
        notes.add_dependents(&dependents(session, &oids)?);
        notes.add_left(&self.tables_left(session, partitions, &renamed)?);
        Ok(script.into_switch(notes.into_sentences()))
    }

    /// Returns the names of the views of `partitions`, each once, as a run makes them.
    fn views_to_move(&self, partitions: &[Partition]) -> Vec<ViewNames> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut views: Vec<ViewNames> = Vec::new();
        for partition in partitions {
            for series in &self.feature_series {
                let leaf = (series.features_table(partition), series.stored_table(partition));
                let view = series.parent_table(partition).unwrap_or_else(|| leaf.0.clone());
                let place = *places.entry(view.clone()).or_insert(views.len());
                if place == views.len() {
                    let fits = series.stored_parent(partition).unwrap_or_else(|| leaf.1.clone());
                    views.push(ViewNames { view, fits, leaves: Vec::new() });
                }
                views[place].leaves.push(leaf);
            }
        }
        views
    }

    fn deployed(&self, session: &mut Session, partitions: &[Partition]) -> Result<Deployed, StoreError> {
        let of_partition =
            |partition| self.feature_series.iter().map(move |series| series.features_table(partition));
        let mut names: Vec<String> = partitions.iter().flat_map(of_partition).collect();
        names.extend(self.views_to_move(partitions).into_iter().map(|names| names.view));
        let named = relations(session, &self.schema, &names)?;
        let tables: Vec<u32> =
            named.values().filter(|found| found.is_table()).map(|found| found.oid).collect();
        Ok(Deployed { below: tables_below(session, &tables)?, named })
    }

    /// Returns each view with what it is switched with.
    ///
    /// # Errors
    /// When one is missing, or its name belongs to something that is no table.
    fn exchanges(
        &self,
        session: &mut Session,
        partitions: &[Partition],
        views_schema: &str,
        deployed: &Deployed,
    ) -> Result<Vec<Exchange>, StoreError> {
        let names = self.views_to_move(partitions);
        let views: Vec<String> = names.iter().map(|names| names.view.clone()).collect();
        let fits: Vec<String> = names.iter().map(|names| names.fits.clone()).collect();
        let mut views = relations(session, views_schema, &views)?;
        let mut fits = relations(session, &self.schema, &fits)?;
        check_views(&names, &views, deployed, views_schema, &self.schema)?;
        let mut exchanges = Vec::new();
        for names in names {
            let (Some(view), Some(fits)) = (views.remove(&names.view), fits.remove(&names.fits)) else {
                return Err(StoreError::permanent(format!(
                    "not ready to switch: the table {} is missing; run `rollfit run`",
                    TableName::new(&self.schema, &names.fits)
                )));
            };
            let exchange = Exchange { tables: self.replaced(&names, deployed), view, fits };
            exchange.check_agreement()?;
            exchange.check_row_security()?;
            exchanges.push(exchange);
        }
        Ok(exchanges)
    }

    /// Returns the deployed tables that a view takes the place of, by name: the one of its name and those of its partitions,
    /// without those that are read through another one.
    fn replaced(&self, names: &ViewNames, deployed: &Deployed) -> Vec<Replaced> {
        let is_below = |table: &Relation| deployed.below.iter().any(|below| below.oid == table.oid);
        let of_view = std::iter::once((&names.view, &names.fits));
        let leaves =
            names.leaves.iter().filter(|(leaf, _)| *leaf != names.view).map(|(leaf, fits)| (leaf, fits));
        let mut replaced: Vec<Replaced> = of_view
            .chain(leaves)
            .filter_map(|(name, fits)| {
                let table = deployed.named.get(name).filter(|found| found.is_table())?;
                let is_other = *name != names.view && is_below(table);
                let fits = TableName::new(&self.schema, fits);
                (!is_other).then(|| Replaced { table: table.clone(), fits })
            })
            .collect();
        replaced.sort_by(|one, other| one.table.name.name.cmp(&other.table.name.name));
        replaced
    }

    /// Checks that no rows are left that readers of a parent see now and would not see through its view.
    fn check_rows_elsewhere(
        &self,
        session: &mut Session,
        partitions: &[Partition],
        deployed: &Deployed,
    ) -> Result<(), StoreError> {
        let done: HashSet<String> = partitions
            .iter()
            .flat_map(|partition| self.feature_series.iter().map(|series| series.features_table(partition)))
            .collect();
        let mut hidden = Vec::new();
        let elsewhere =
            deployed.below.iter().filter(|table| !table.is_partitioned && !done.contains(&table.name.name));
        for table in elsewhere {
            let doing = format!("look for rows in {}", table.name);
            let rows = session.rows(&doing, &format!("SELECT FROM {} LIMIT 1", table.name.sql()), &[])?;
            hidden.extend((!rows.is_empty()).then(|| table.name.to_string()));
        }
        if hidden.is_empty() {
            return Ok(());
        }
        Err(StoreError::permanent(format!(
            "not ready to switch: readers would lose the rows of {}, of which there are no fits; widen [partitions] and run \
             `rollfit run`, or detach what nobody needs",
            few_and(&hidden)
        )))
    }

    /// Returns the tables of features of other partitions, which keep their names.
    fn tables_left(
        &self,
        session: &mut Session,
        partitions: &[Partition],
        renamed: &[(TableName, u32)],
    ) -> Result<Vec<String>, StoreError> {
        let planned: HashSet<&Partition> = partitions.iter().collect();
        let is_left = |name: &String| {
            let other =
                |series: &Series| series.partition_of(name).is_some_and(|found| !planned.contains(&found));
            self.feature_series.iter().any(other) && !renamed.iter().any(|(table, _)| table.name == *name)
        };
        Ok(table::names(session, &self.schema)?.into_iter().filter(is_left).collect())
    }
}

impl Deployed {
    /// Returns the tables of a schema that get other names, each once.
    fn tables(&self, schema: &str) -> Vec<(TableName, u32)> {
        let named = self.named.values().filter(|found| found.is_table());
        let named = named.map(|found| (found.name.clone(), found.oid));
        let below = self.below.iter().filter(|table| table.name.schema == schema);
        let mut tables: Vec<(TableName, u32)> =
            named.chain(below.map(|table| (table.name.clone(), table.oid))).collect();
        tables.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        tables.dedup_by_key(|(_, oid)| *oid);
        tables
    }
}

/// Checks that every view is there, and that what has its name in the schema of the tables can be renamed.
fn check_views(
    names: &[ViewNames],
    views: &HashMap<String, Relation>,
    deployed: &Deployed,
    views_schema: &str,
    schema: &str,
) -> Result<(), StoreError> {
    let not_table =
        |names: &&ViewNames| deployed.named.get(&names.view).is_some_and(|found| !found.is_table());
    let missing: Vec<String> =
        names.iter().map(|names| &names.view).filter(|view| !views.contains_key(*view)).cloned().collect();
    let not_tables: Vec<String> = names.iter().filter(not_table).map(|names| names.view.clone()).collect();
    if names.is_empty() {
        return Err(StoreError::permanent("nothing to switch: the job has no partitions"));
    }
    if missing.len() == names.len() && not_tables.len() == names.len() {
        return Err(StoreError::permanent(format!(
            "nothing to switch: the views are in {schema} already; take views_schema = \"{views_schema}\" out of the configuration. \
             The way back was printed with the switch"
        )));
    }
    if !missing.is_empty() {
        return Err(StoreError::permanent(format!(
            "not ready to switch: {views_schema} lacks {} of {} views: {}; `rollfit run` makes them",
            missing.len(),
            names.len(),
            few_and(&missing)
        )));
    }
    if let Some(view) = views.values().find(|view| view.kind != "v") {
        return Err(StoreError::permanent(format!("not ready to switch: {} is not a view", view.name)));
    }
    if !not_tables.is_empty() {
        return Err(StoreError::permanent(format!(
            "not ready to switch: {} in {} should be tables and are views or something else: rename or drop them",
            few_and(&not_tables),
            quoted(schema)
        )));
    }
    Ok(())
}
