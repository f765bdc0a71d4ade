//! [`Notes`]: what whoever executes a switch has to know: what follows the old tables, what is not copied, what differs.

use std::collections::BTreeMap;

use rollfit_job::few::{few, few_and};

use super::Deployed;
use super::exchange::Exchange;
use super::relation::Relation;

/// What is noted of tables, by what it is.
#[derive(Default)]
pub(super) struct Notes {
    /// Tables by what is to be said of them.
    of_tables: BTreeMap<String, Vec<String>>,
    sentences: Vec<String>,
}

impl Notes {
    pub(super) fn new(exchanges: &[Exchange], deployed: &Deployed, schema: &str) -> Self {
        let mut notes = Self::default();
        for exchange in exchanges {
            exchange.tables.iter().for_each(|replaced| notes.add_exchange(exchange, &replaced.table));
        }
        let renamed = deployed.tables(schema);
        let is_renamed = |parent: u32| renamed.iter().any(|(_, oid)| *oid == parent);
        for table in deployed.named.values() {
            if let Some((_, parent)) = table.parent.as_ref().filter(|(parent, _)| !is_renamed(*parent)) {
                notes.add(
                    format!("remain partitions of {parent}, whose readers still see them"),
                    &table.name.name,
                );
            }
        }
        for table in deployed.below.iter().filter(|table| table.name.schema != schema) {
            notes.add("partitions in other schemas keep their names:".to_owned(), &table.name.to_string());
        }
        notes
    }

    fn add(&mut self, what: String, table: &str) {
        self.of_tables.entry(what).or_default().push(table.to_owned());
    }

    fn add_exchange(&mut self, exchange: &Exchange, deployed: &Relation) {
        let name = &deployed.name.name;
        let of_view: BTreeMap<&str, &str> =
            exchange.view.columns.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
        let lost: Vec<&str> = deployed
            .columns
            .iter()
            .map(|(column, _)| column.as_str())
            .filter(|column| !of_view.contains_key(column))
            .collect();
        if !lost.is_empty() {
            self.add(format!("the views lack the columns {} of", few(lost)), name);
        }
        let changed: Vec<String> = deployed
            .columns
            .iter()
            .filter_map(|(column, kind)| {
                let new = of_view.get(column.as_str()).filter(|new| *new != kind)?;
                Some(format!("{column} is {new} in the view and was {kind}"))
            })
            .collect();
        if !changed.is_empty() {
            self.add(format!("types change ({}) for readers of", few(changed)), name);
        }
        if deployed.policies.is_on && !deployed.policies.is_forced && deployed.owner != exchange.fits.owner {
            let owners = format!("{}, not {}", exchange.fits.owner, deployed.owner);
            self.add(
                format!("policies do not hold for the owner of a table, which is now {owners}, of"),
                name,
            );
        }
        if !deployed.other_grants.is_empty() {
            let grants = few(&deployed.other_grants);
            self.add(format!("grants are not copied ({grants}), because views are only read, of"), name);
        }
        if !deployed.column_readers.is_empty() {
            let roles = few(&deployed.column_readers);
            self.add(
                format!("grants on columns are not copied (to {roles}), because a feature needs several columns of a fit, of"),
                name,
            );
        }
    }

    /// Notes a deployed table that has fewer rows than its fits, with how many.
    pub(super) fn add_more_rows(&mut self, table: &str) {
        self.add("readers find more rows than in".to_owned(), table);
    }

    /// Notes what goes on reading, or referring to, the tables that are renamed.
    pub(super) fn add_dependents(&mut self, dependents: &[String]) {
        if !dependents.is_empty() {
            self.sentences.push(format!(
                "what refers to the renamed tables stays with them: {}; create it again for the views where it should follow",
                few(dependents)
            ));
        }
    }

    /// Notes tables of features of other partitions.
    pub(super) fn add_left(&mut self, tables: &[String]) {
        if !tables.is_empty() {
            self.sentences.push(format!(
                "tables of other partitions keep their names and rows: {}; widen [partitions] to switch them too",
                few(tables)
            ));
        }
    }

    pub(super) fn into_sentences(self) -> Vec<String> {
        let of_tables = self.of_tables.into_iter().map(|(what, mut tables)| {
            tables.sort();
            tables.dedup();
            format!("{what} {}", few_and(&tables))
        });
        of_tables.chain(self.sentences).collect()
    }
}
