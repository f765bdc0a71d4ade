//! The switch from tables of features to views of fits: the views of another schema get the names that readers use, and the
//! tables that had them others.
//!
//! Invariants: nothing is executed. Everything is read in one snapshot; where the catalogue changes before the statements are
//! executed, they fail as a whole. The reverse restores names, schemas, owners and grants.

mod names;
mod notes;
mod relation;
mod script;

use std::collections::{BTreeSet, HashMap, HashSet};

use rollfit_job::config::Series;
use rollfit_job::few::few_and;
use rollfit_job::partition::Partition;
use rollfit_job::store::{StoreError, Switch};

use self::names::TakenNames;
use self::notes::Notes;
use self::relation::{Reader, Relation, TableBelow, dependents, functions_without_right, relations};
use self::relation::{tables_below, taken_names};
use self::script::Script;
use crate::PostgresStore;
use crate::connection::session::Session;
use crate::names::{TableName, quoted};
use crate::tables::table;

/// A view of the job: its name, and the table of fits that it reads.
struct ViewNames {
    view: String,
    fits: String,
}

/// What a view is switched with.
struct Exchange {
    view: Relation,
    fits: Relation,
    /// The table that has the name now, or the latest of the tables that the view stands for.
    deployed: Option<Relation>,
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
            session.execute("set the search path", "SET LOCAL search_path = ''")?;
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
        let renamed = deployed.tables(&self.schema);
        let mut taken = TakenNames::new(taken_names(session, &self.schema)?);
        let mut script = Script::default();
        for (name, _) in &renamed {
            script.rename(name, &taken.take_for(&name.name));
        }
        exchanges.iter().for_each(|exchange| script.set_schema(&exchange.view.name, &self.schema));
        let mut readers = BTreeSet::new();
        for exchange in &exchanges {
            readers.extend(exchange.share(&mut script, &self.schema));
        }
        let readers: Vec<Reader> = readers.into_iter().collect();
        for (reader, functions) in functions_without_right(session, &self.schema, &readers)? {
            script.let_call(&functions, &reader);
        }
        let oids: Vec<u32> = renamed.iter().map(|(_, oid)| *oid).collect();
        let mut notes = Notes::new(&exchanges, &deployed, &self.schema);
        notes.add_dependents(&dependents(session, &oids)?);
        notes.add_left(&self.tables_left(session, partitions, &renamed)?);
        Ok(script.into_switch(notes.into_sentences()))
    }

    /// Returns the names of the views of `partitions`, each once, as a run makes them.
    fn views_to_move(&self, partitions: &[Partition]) -> Vec<ViewNames> {
        let mut seen = HashSet::new();
        let names = |(series, partition): (&Series, &Partition)| ViewNames {
            view: series.parent_table(partition).unwrap_or_else(|| series.features_table(partition)),
            fits: series.stored_parent(partition).unwrap_or_else(|| series.stored_table(partition)),
        };
        let of_partition = |partition| self.feature_series.iter().map(move |series| (series, partition));
        let names = partitions.iter().flat_map(of_partition).map(names);
        names.filter(|names| seen.insert(names.view.clone())).collect()
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
            let exchange =
                Exchange { deployed: self.counterpart(&names.view, partitions, deployed), view, fits };
            exchange.check_row_security()?;
            exchanges.push(exchange);
        }
        Ok(exchanges)
    }

    /// Returns the deployed table whose owner and grants a view gets.
    fn counterpart(&self, view: &str, partitions: &[Partition], deployed: &Deployed) -> Option<Relation> {
        let latest = || {
            let leaves = self.feature_series.iter().flat_map(|series| {
                let below =
                    |partition: &&Partition| series.parent_table(partition).is_some_and(|name| name == view);
                partitions.iter().filter(below).map(|partition| series.features_table(partition))
            });
            leaves.filter_map(|leaf| deployed.named.get(&leaf)).max_by(|a, b| a.name.name.cmp(&b.name.name))
        };
        deployed.named.get(view).or_else(latest).filter(|found| found.is_table()).cloned()
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

impl Exchange {
    /// Refuses to show rows that policies of the deployed table hide from some of its readers.
    fn check_row_security(&self) -> Result<(), StoreError> {
        let Some(deployed) = self.deployed.as_ref().filter(|deployed| deployed.has_row_security) else {
            return Ok(());
        };
        if self.fits.has_row_security {
            return Ok(());
        }
        Err(StoreError::permanent(format!(
            "not ready to switch: {} has row-level security and {} has none, so the view would show what the policies hide; create \
             the same policies on {1} and ALTER TABLE {} ENABLE ROW LEVEL SECURITY",
            deployed.name,
            self.fits.name,
            self.fits.name.sql()
        )))
    }

    /// Gives the view the owner and the readers of the deployed table, and lets these read what the view reads. Returns
    /// them.
    fn share(&self, script: &mut Script, schema: &str) -> Vec<Reader> {
        let Some(deployed) = &self.deployed else { return Vec::new() };
        let view = TableName::new(schema, &self.view.name.name);
        let mut readers = deployed.readers.clone();
        if self.view.owner != deployed.owner {
            script.set_owner(&view, (&self.view.owner, &deployed.owner), &self.view.readers);
            readers.entry(Reader::role(&self.view.owner)).or_default();
        }
        let mut has = self.view.readers.clone();
        // The new owner's grant is gone with the change of owner.
        has.remove(&Reader::role(&deployed.owner));
        for (reader, &grantable) in &readers {
            if *reader != Reader::role(&deployed.owner) {
                script.let_read(&view, reader, grantable, &has);
            }
        }
        // The view's owner reads the table on servers without `security_invoker`, and everybody else on those with it.
        readers.entry(Reader::role(&deployed.owner)).or_default();
        for (reader, &grantable) in &readers {
            if *reader != Reader::role(&self.fits.owner) {
                script.let_read(&self.fits.name, reader, grantable, &self.fits.readers);
            }
        }
        readers.into_keys().collect()
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
