//! [`BasesTable`]: where the bases are that imports stored, which series derived from closes are relative to; [`KnownBases`]: whether
//! there is such a table, so that a follower need not ask each second.
//!
//! Invariants: the base of a key is of its table `m1_{key}`, and of no other.

use std::sync::Mutex;

use rollfit_job::lock::lock;
use rollfit_job::store::{SeriesKind, SeriesOfKey, StoreError};

use crate::PostgresStore;
use crate::connection::session::Session;
use crate::import::bases::BASES;
use crate::import::source_table::M1;
use crate::names::{TableName, literal};
use crate::source::SeriesTable;
use crate::tables::row_security::Accepting;
use crate::tables::table::{Table, describe, describe_at_once};

/// The table of bases.
#[derive(Clone)]
pub(crate) struct BasesTable {
    name: TableName,
    /// Why it must not be read.
    refusal: Option<String>,
}

/// The table of bases as the server described it last; the inner option is none if there was no such table.
#[derive(Default)]
pub(crate) struct KnownBases(Mutex<Option<Option<BasesTable>>>);

impl KnownBases {
    /// Has the table described again when it is needed next.
    pub(super) fn forget(&self) {
        *lock(&self.0) = None;
    }
}

impl BasesTable {
    /// Returns the table if it may be read.
    pub(super) fn checked(&self) -> Result<&TableName, StoreError> {
        match &self.refusal {
            Some(refusal) => Err(StoreError::permanent(refusal)),
            None => Ok(&self.name),
        }
    }

    /// Returns a query for the base of a key.
    pub(super) fn base_sql(&self, key: &str) -> Result<String, StoreError> {
        Ok(format!("SELECT close::float8 FROM {} WHERE key = {}", self.checked()?.sql(), literal(key)))
    }
}

/// Returns the key whose import may have written a series, if that is one of closes.
pub(super) fn imported_key<'a>(series: &SeriesOfKey<'a>) -> Option<&'a str> {
    // An import writes no table of several keys.
    let is_imported = series.key_column.is_none() && M1.is_of(&series.table, series.key);
    (is_closes(series) && is_imported).then_some(series.key)
}

fn is_closes(series: &SeriesOfKey<'_>) -> bool {
    matches!(series.kind, SeriesKind::Closes { .. })
}

impl PostgresStore {
    /// Returns the tables of several series, and that of their bases.
    pub(super) fn open_tables(
        &self,
        session: &mut Session,
        series: &[SeriesOfKey<'_>],
    ) -> Result<(Vec<SeriesTable>, Option<BasesTable>), StoreError> {
        let has_closes = series.iter().any(is_closes);
        let mut names: Vec<String> = series.iter().map(|series| series.table.clone()).collect();
        names.extend(has_closes.then(|| BASES.to_owned()));
        let found = describe(session, &self.schema, &names)?;
        let bases = has_closes.then(|| self.note_bases(found.get(BASES))).flatten();
        Ok((self.tables_among(&found, series)?, bases))
    }

    /// Returns the table of bases, described if it isn't known, if one of the series is one of closes.
    pub(super) fn described_bases(
        &self,
        series: &[SeriesOfKey<'_>],
    ) -> Result<Option<BasesTable>, StoreError> {
        if !series.iter().any(|series| imported_key(series).is_some()) {
            return Ok(None);
        }
        let known = lock(&self.known_bases.0).clone();
        // A right that was missing may have been granted.
        let is_usable =
            |bases: &Option<BasesTable>| bases.as_ref().is_none_or(|bases| bases.refusal.is_none());
        if let Some(bases) = known.filter(is_usable) {
            return Ok(bases);
        }
        let mut session = self.pool.session()?;
        let found = describe_at_once(&mut session, &self.settings, &self.schema, &[BASES.to_owned()])?;
        Ok(self.note_bases(found.get(BASES)))
    }

    fn note_bases(&self, found: Option<&Table>) -> Option<BasesTable> {
        let bases = found.map(|bases| BasesTable {
            name: bases.name.clone(),
            refusal: self.check_bases_table(bases).err().map(|error| error.to_string()),
        });
        *lock(&self.known_bases.0) = Some(bases.clone());
        bases
    }

    /// Checks that the role sees every row of the table of bases.
    fn check_bases_table(&self, bases: &Table) -> Result<(), StoreError> {
        if bases.readable {
            return self.check_row_security(bases, Accepting::Source);
        }
        Err(StoreError::permanent(format!(
            "the role may not read {}, which has the bases of derived series; have the owner GRANT SELECT ON {} to the role",
            bases.name,
            bases.name.sql()
        )))
    }
}
