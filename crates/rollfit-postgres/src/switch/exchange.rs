//! [`Exchange`]: a view, the table of fits that it reads, and the deployed tables whose place it takes.

use rollfit_job::few::few;
use rollfit_job::store::StoreError;

use super::relation::{Reader, Readers, Relation};
use super::script::Script;
use crate::names::TableName;

/// What a view is switched with.
pub(super) struct Exchange {
    pub(super) view: Relation,
    pub(super) fits: Relation,
    /// The deployed tables that it takes the place of, by name: the one that has its name, or those of its partitions.
    pub(super) tables: Vec<Replaced>,
}

/// A deployed table, and the table that has its fits.
pub(super) struct Replaced {
    pub(super) table: Relation,
    pub(super) fits: TableName,
}

impl Exchange {
    /// Checks that the tables of one view agree in who may read them, because the view has one owner and one set of readers.
    ///
    /// # Errors
    /// When they do not; names what differs.
    pub(super) fn check_agreement(&self) -> Result<(), StoreError> {
        let Some((first, others)) = self.tables.split_first() else { return Ok(()) };
        let first = &first.table;
        let differing = others.iter().find_map(|other| {
            let other = &other.table;
            let what = if first.owner != other.owner {
                format!("their owner ({} and {})", first.owner, other.owner)
            } else if first.readers != other.readers {
                format!("their readers ({} and {})", names_of(&first.readers), names_of(&other.readers))
            } else if !first.policies.hide_the_same(&other.policies) {
                "their row-level security".to_owned()
            } else {
                return None;
            };
            Some((&other.name, what))
        });
        let Some((other, what)) = differing else { return Ok(()) };
        Err(StoreError::permanent(format!(
            "not ready to switch: {} takes the place of {} tables, and {} and {other} differ in {what}; make them the same, or \
             configure no parent",
            self.view.name,
            self.tables.len(),
            first.name
        )))
    }

    /// Gives the view the owner and the readers of the deployed tables, and lets these read what the view reads. Returns
    /// them.
    pub(super) fn share(&self, script: &mut Script, schema: &str) -> Vec<Reader> {
        let Some(Replaced { table: deployed, .. }) = self.tables.last() else { return Vec::new() };
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

fn names_of(readers: &Readers) -> String {
    if readers.is_empty() {
        return "none".to_owned();
    }
    few(readers.iter().map(|(reader, &grantable)| {
        let option = if grantable { " WITH GRANT OPTION" } else { "" };
        format!("{}{option}", reader.name())
    }))
}
