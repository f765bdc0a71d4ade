//! [`TableProblem`]: what is wrong with a table, with the statements that fix it.

use rollfit_job::foreign::MESSAGE_CHARS_MAX;
use rollfit_job::store::{Fault, StoreError};

use crate::names::TableName;

/// What is wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableProblem {
    pub(crate) table: TableName,
    pub(crate) kind: ProblemKind,
    /// What is wrong, and what to do if no statement fixes it.
    pub(crate) what: String,
    /// The table that the statements change: the table itself or its parent.
    pub(crate) at: TableName,
    /// The statements, in the order of execution.
    pub(crate) statements: Vec<String>,
    /// Another table for which the same statements are already printed.
    pub(crate) printed_for: Option<TableName>,
    /// Those of further tables of the same partition.
    pub(crate) further: Vec<TableProblem>,
}

/// Groups problems that are fixed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ProblemKind {
    /// Columns are missing or wrong.
    Columns,
    /// It is attached to the wrong parent, or to none.
    Placement,
    /// It is missing, and would not become a partition of its siblings' parent.
    Siblings,
    /// Its bounds are not its month.
    Bounds,
    /// It is missing, and another partition is in the way.
    InTheWay,
    /// Other tables inherit from it.
    Children,
}

impl TableProblem {
    /// Returns a problem whose statements change only the table itself.
    pub(crate) fn new(table: &TableName, kind: ProblemKind, what: impl Into<String>) -> Self {
        Self {
            table: table.clone(),
            kind,
            what: what.into(),
            at: table.clone(),
            statements: Vec::new(),
            printed_for: None,
            further: Vec::new(),
        }
    }

    /// Returns whether the statements are too long for a message, which would truncate them.
    pub(crate) fn is_long(&self) -> bool {
        self.chars() > MESSAGE_CHARS_MAX
    }

    fn chars(&self) -> usize {
        let statements = self.statements.iter().map(|statement| statement.chars().count() + 2);
        let further = self.further.iter().map(Self::chars);
        self.what.chars().count() + statements.sum::<usize>() + further.sum::<usize>()
    }

    /// Returns it and those of further tables, each alone.
    pub(crate) fn each(mut self) -> Vec<Self> {
        let further = std::mem::take(&mut self.further);
        std::iter::once(self).chain(further).collect()
    }

    /// Returns the problem without statements, because an obstacle must be removed first.
    pub(crate) fn after(self, obstacle: &str) -> Self {
        let what = format!("{}; before that, {obstacle}", self.what);
        Self { what, statements: Vec::new(), ..self }
    }

    /// Returns the problem, fixed by these statements about the table `at`.
    pub(crate) fn with_statements(self, at: &TableName, statements: Vec<String>) -> Self {
        Self { at: at.clone(), statements, ..self }
    }
}

impl std::fmt::Display for TableProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        if !self.further.is_empty() && self.is_long() {
            for other in &self.further {
                write!(f, "; {}: {}", other.table, other.what)?;
            }
            return f.write_str("; `rollfit doctor` prints the statements that fix them");
        }
        match &self.printed_for {
            _ if self.statements.is_empty() => {}
            _ if self.is_long() => f.write_str("; `rollfit doctor` prints the statements that fix it")?,
            Some(other) => write!(f, "; the ALTER TABLE printed for {other} also fixes this table")?,
            None => write!(f, "; {}", self.statements.join("; "))?,
        }
        for other in &self.further {
            write!(f, "; {}: {other}", other.table)?;
        }
        Ok(())
    }
}

impl std::error::Error for TableProblem {}

impl From<TableProblem> for StoreError {
    fn from(problem: TableProblem) -> Self {
        Self::caused_by(Fault::Permanent, problem.table.to_string(), problem)
    }
}
