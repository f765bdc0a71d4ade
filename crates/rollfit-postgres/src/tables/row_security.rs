//! [`Accepting`]: whether the configuration accepts that policies hide rows of a table.
//!
//! Invariants: a table whose policies apply is not read or written unless the configuration accepts it; the server
//! itself refuses what these checks miss, because each transaction sets `row_security`. A table is never written
//! while policies may hide its rows: rows that a DELETE does not see would stay beside the new ones.

use rollfit_job::config::RowSecurity;
use rollfit_job::store::StoreError;

use crate::PostgresStore;
use crate::tables::table::Table;

/// The parts of a configuration that can accept policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepting {
    Source,
    Sink,
}

impl Accepting {
    /// Returns how to accept policies, for messages.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Self::Source => "or accept what is hidden with row_security = \"apply\" in [source] or [store]",
            Self::Sink => "or accept what is hidden with row_security = \"apply\" in [sink] or [store]",
        }
    }
}

impl PostgresStore {
    /// Checks that no policy hides rows of a table, unless the configuration accepts it.
    pub(crate) fn check_row_security(&self, table: &Table, accepting: Accepting) -> Result<(), StoreError> {
        match (&table.policies, self.settings.row_security) {
            (Some(policies), RowSecurity::Refuse) => {
                let refused = policies.refused(&table.name);
                Err(StoreError::permanent(format!("{refused}, {}", accepting.setting())))
            }
            _ => Ok(()),
        }
    }
}
