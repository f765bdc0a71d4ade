//! [`Script`]: statements, each beside the one that undoes it.

use rollfit_job::store::Switch;

use super::relation::{Reader, Readers};
use crate::names::{TableName, quoted};

/// How long the transaction waits for each lock. Readers of a table wait behind it.
const LOCK_TIMEOUT: &str = "3s";

/// Statements in order, with the way back.
pub(super) struct Script {
    /// What is checked first.
    guard: Vec<String>,
    steps: Vec<(Option<String>, Option<String>)>,
}

impl Script {
    pub(super) fn new(guard: Vec<String>) -> Self {
        Self { guard, steps: Vec::new() }
    }

    fn step(&mut self, statement: String, back: String) {
        self.steps.push((Some(statement), Some(back)));
    }

    /// Renames a table.
    pub(super) fn rename(&mut self, table: &TableName, to: &str) {
        let renamed = TableName::new(&table.schema, to);
        self.step(
            format!("ALTER TABLE {} RENAME TO {}", table.sql(), quoted(to)),
            format!("ALTER TABLE {} RENAME TO {}", renamed.sql(), quoted(&table.name)),
        );
    }

    /// Moves a view to another schema.
    pub(super) fn set_schema(&mut self, view: &TableName, schema: &str) {
        let moved = TableName::new(schema, &view.name);
        self.step(
            format!("ALTER VIEW {} SET SCHEMA {}", view.sql(), quoted(schema)),
            format!("ALTER VIEW {} SET SCHEMA {}", moved.sql(), quoted(&view.schema)),
        );
    }

    /// Gives a view, whose readers are these, to another owner.
    pub(super) fn set_owner(&mut self, view: &TableName, (from, to): (&str, &str), readers: &Readers) {
        let view = view.sql();
        // A grant to the new owner is gone afterwards: owners need none.
        if let Some(&grantable) = readers.get(&Reader::role(to)) {
            self.steps.push((None, Some(grant(&view, &Reader::role(to), grantable))));
        }
        self.step(
            format!("ALTER VIEW {view} OWNER TO {}", quoted(to)),
            format!("ALTER VIEW {view} OWNER TO {}", quoted(from)),
        );
    }

    /// Lets a role read a relation that has these readers.
    pub(super) fn let_read(&mut self, relation: &TableName, reader: &Reader, grantable: bool, has: &Readers) {
        let table = relation.sql();
        let back = match has.get(reader) {
            Some(&known) if known || !grantable => return,
            Some(_) => format!("REVOKE GRANT OPTION FOR SELECT ON {table} FROM {} CASCADE", reader.sql()),
            None if grantable => format!("REVOKE SELECT ON {table} FROM {} CASCADE", reader.sql()),
            None => format!("REVOKE SELECT ON {table} FROM {}", reader.sql()),
        };
        self.step(grant(&table, reader, grantable), back);
    }

    /// Lets a role, as GRANT has it, call functions.
    pub(super) fn let_call(&mut self, functions: &str, reader: &str) {
        self.step(
            format!("GRANT EXECUTE ON FUNCTION {functions} TO {reader}"),
            format!("REVOKE EXECUTE ON FUNCTION {functions} FROM {reader}"),
        );
    }

    /// Returns both transactions.
    pub(super) fn into_switch(self, notes: Vec<String>) -> Switch {
        let (statements, back): (Vec<_>, Vec<_>) = self.steps.into_iter().unzip();
        Switch {
            statements: transaction(self.guard.into_iter().chain(statements.into_iter().flatten())),
            back: transaction(back.into_iter().rev().flatten()),
            notes,
        }
    }
}

fn grant(table: &str, reader: &Reader, grantable: bool) -> String {
    let option = if grantable { " WITH GRANT OPTION" } else { "" };
    format!("GRANT SELECT ON {table} TO {}{option}", reader.sql())
}

fn transaction(statements: impl Iterator<Item = String>) -> Vec<String> {
    let first = [
        "BEGIN ISOLATION LEVEL READ COMMITTED".to_owned(),
        format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"),
    ];
    first.into_iter().chain(statements).chain(["COMMIT".to_owned()]).collect()
}
