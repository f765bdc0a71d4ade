//! [`PostgresImport`]: imports the bars of any number of keys into the source tables `m1_{key}` and `bqx_{key}` of a
//! schema, all or none.
//!
//! Invariants: one import is one transaction, and one at a time in a schema. Readers are never blocked; other writers
//! of a table wait. The tables depend only on the set of bars and the base date; rows that are correct already are
//! not touched, so importing the same bars again changes nothing.

use std::time::Duration;

use rollfit_job::config::{RowSecurity, StoreConfig};
use rollfit_job::store::{BarsImport, Fault, StoreError};
use tokio_postgres::types::Type;

use crate::connection::answer_row::first_value;
use crate::connection::fault::{is_lock_timeout, server_error};
use crate::connection::holders::{Holder, LOCK_KEY};
use crate::connection::pool::{Pool, PooledSession};
use crate::connection::session::{Mode, TransactionSettings};
use crate::failpoint;
use crate::import::bases::{self, BASES};
use crate::import::source_table::{BQX, M1, SourceLayout, SourceTable, StoredRows, WantedRows};
use crate::names::{TableName, check_length, quoted};
use crate::tables::rights::{READ_AND_WRITE, check_create, check_table};
use crate::tables::table::{Table, describe};
use crate::{LOCK_TIMEOUT, Purpose, connection::server};
use rollfit_job::import::{
    Bar, BarsOptions, Base, KeyReport, KeyUpdate, NewBars, StoredBars, import_going_on, not_as_imported,
    not_imported,
};
use rollfit_job::patience::patiently;

/// A key has some hundred thousand rows: a statement that takes longer than minutes is stuck. Between two statements,
/// at most the rows of one key are computed.
const SETTINGS: TransactionSettings = TransactionSettings {
    statement: Duration::from_secs(300),
    lock: LOCK_TIMEOUT,
    idle: Duration::from_secs(600),
    // An import computes from all bars of a table, so none may be hidden.
    row_security: RowSecurity::Refuse,
};

/// An import in progress. If dropped without [`PostgresImport::commit`], it changes nothing.
pub(crate) struct PostgresImport {
    session: PooledSession,
    /// Server, database and schema, for messages.
    place: String,
    schema: String,
    bases: TableName,
    options: BarsOptions,
    ended: bool,
}

impl PostgresImport {
    /// Starts an import into the schema at `place`. Writes nothing yet.
    ///
    /// # Errors
    /// When the URL is invalid, the server is unreachable or too old, the schema does not exist, or another import is
    /// in progress there.
    pub(crate) fn begin(place: &StoreConfig, options: BarsOptions) -> Result<Self, StoreError> {
        let pool = Pool::connect(place, Purpose::Write, &SETTINGS)?;
        let (session, schema) = patiently(|| {
            let mut session = pool.first_session()?;
            let schema = server::schema(&mut session, place.schema.as_deref())?;
            session.begin(Mode::Write, &SETTINGS)?;
            Ok((session, schema))
        })?;
        let place = format!("{} schema {schema}", pool.describe());
        let bases = TableName::new(&schema, BASES);
        let mut import = Self { session, place, schema, bases, options, ended: false };
        import.keep_others_out()?;
        failpoint::reach("import-locked");
        Ok(import)
    }

    /// Takes the lock that every import into the schema takes.
    fn keep_others_out(&mut self) -> Result<(), StoreError> {
        let lock = format!("import into {}", quoted(&self.schema));
        let sql = format!("SELECT pg_try_advisory_xact_lock({LOCK_KEY})");
        let rows = self.session.rows("lock the import", &sql, &[(&lock, Type::TEXT)])?;
        if first_value(&rows)?.unwrap_or(false) {
            return Ok(());
        }
        let holder = self.holder(&lock, &[])?;
        Err(import_going_on(holder, &self.place))
    }

    /// Returns who holds the lock or one of these tables, for messages.
    fn holder(&mut self, lock: &str, tables: &[u32]) -> Result<String, StoreError> {
        let holder = Holder::find(&mut self.session, lock, tables)?;
        Ok(holder.map_or_else(|| "another session".to_owned(), |holder| holder.to_string()))
    }

    /// Returns both tables of a key, locked. Creates the missing ones.
    fn tables(&mut self, key: &str) -> Result<[SourceTable; 2], StoreError> {
        let names = [&M1, &BQX].map(|layout| self.table(&format!("{}{key}", layout.prefix)));
        names.iter().try_for_each(|name| check_length("key", &name.name))?;
        let [m1, bqx] = &names;
        self.provide(&self.bases.clone(), &bases::create_sql(&self.bases))?;
        let are_new = [self.provide(m1, &M1.create_sql(m1))?, self.provide(bqx, &BQX.create_sql(bqx))?];
        self.lock(&names)?;
        let mut table = |at: usize, layout: &'static SourceLayout| {
            SourceTable::new(&self.described(&names[at])?, layout, are_new[at])
        };
        Ok([table(0, &M1)?, table(1, &BQX)?])
    }

    /// Creates the table if it is missing, and returns whether it did. An existing table must be readable and
    /// writable.
    fn provide(&mut self, name: &TableName, create_sql: &str) -> Result<bool, StoreError> {
        let known = describe(&mut self.session, &self.schema, std::slice::from_ref(&name.name))?;
        if let Some(table) = known.get(&name.name) {
            if let Some(policies) = &table.policies {
                return Err(policies.refused(name));
            }
            check_table(&mut self.session, table, &READ_AND_WRITE)?;
            return Ok(false);
        }
        check_create(&mut self.session, name)?;
        self.session.execute(&format!("create {name}"), create_sql)?;
        Ok(true)
    }

    /// Locks other writers out of the tables. Readers are not blocked.
    fn lock(&mut self, names: &[TableName; 2]) -> Result<(), StoreError> {
        let [m1, bqx] = names;
        let doing = format!("lock {m1} and {bqx}");
        let sql = format!("LOCK TABLE {}, {} IN SHARE ROW EXCLUSIVE MODE", m1.sql(), bqx.sql());
        match self.session.try_execute(&doing, &sql)? {
            Ok(()) => Ok(()),
            Err(error) if is_lock_timeout(&error) => Err(self.locked_out(names)?),
            Err(error) => Err(server_error(&doing, error)),
        }
    }

    /// Another session holds one of the tables.
    fn locked_out(&mut self, names: &[TableName; 2]) -> Result<StoreError, StoreError> {
        self.session.roll_back();
        self.ended = true;
        let tables =
            describe(&mut self.session, &self.schema, &names.each_ref().map(|name| name.name.clone()))?;
        let oids: Vec<u32> = tables.values().map(|table| table.oid).collect();
        let holder = self.holder("", &oids)?;
        let [m1, bqx] = names;
        Ok(StoreError::new(
            Fault::Transient,
            format!("{holder} is writing {m1} or {bqx}; import again when it is done"),
        ))
    }

    fn described(&mut self, name: &TableName) -> Result<Table, StoreError> {
        let mut found = describe(&mut self.session, &self.schema, std::slice::from_ref(&name.name))?;
        found.remove(&name.name).ok_or_else(|| {
            StoreError::new(Fault::Transient, format!("{name} was dropped during the import; import again"))
        })
    }

    /// Returns the base of a key that an import wrote. Rows without a base were written by another program.
    fn known_base(&mut self, key: &str, tables: [&SourceTable; 2]) -> Result<Option<Base>, StoreError> {
        let known = bases::read(&mut self.session, &self.bases, key)?;
        if known.is_some() {
            return Ok(known);
        }
        for SourceTable { name, .. } in tables {
            let sql = format!("SELECT EXISTS (SELECT FROM {})", name.sql());
            let rows = self.session.rows(&format!("read {name}"), &sql, &[])?;
            if first_value(&rows)?.unwrap_or(false) {
                return Err(not_imported(name));
            }
        }
        Ok(None)
    }

    fn write_m1(
        &mut self,
        table: &SourceTable,
        rows: &StoredRows,
        update: &KeyUpdate,
    ) -> Result<bool, StoreError> {
        const CLOSE: usize = 0;
        let columns = [update.closes.as_slice(), &update.rate_index];
        let wanted = WantedRows { instants_us: &update.instants_us, columns: &columns };
        table.check_holds(CLOSE, &wanted)?;
        table.update(&mut self.session, rows, &wanted)
    }

    fn write_bqx(&mut self, table: &SourceTable, update: &KeyUpdate) -> Result<bool, StoreError> {
        let rows = table.read(&mut self.session)?;
        let columns = [update.returns.as_slice()];
        let instants_us = &update.instants_us[update.first_return()..];
        table.update(&mut self.session, &rows, &WantedRows { instants_us, columns: &columns })
    }

    /// Qualifies a name with the schema of this import.
    fn table(&self, name: &str) -> TableName {
        TableName::new(&self.schema, name)
    }
}

impl BarsImport for PostgresImport {
    fn add(&mut self, key: &str, bars: &dyn NewBars) -> Result<KeyReport, StoreError> {
        let [m1, bqx] = self.tables(key)?;
        let known = self.known_base(key, [&m1, &bqx])?;
        let rows = m1.read(&mut self.session)?;
        let stored = stored_bars(&m1, &rows, known)?;
        let update = KeyUpdate::new(key, stored, bars, &self.options)?;
        let m1_changed = self.write_m1(&m1, &rows, &update)?;
        drop(rows);
        let bqx_changed = self.write_bqx(&bqx, &update)?;
        if known != Some(update.base) {
            bases::write(&mut self.session, &self.bases, key, &update.base)?;
        }
        Ok(update.report(usize::from(m1_changed) + usize::from(bqx_changed)))
    }

    fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        failpoint::reach("import-commit-sent");
        let doing = "commit (if only the answer was lost, importing again changes nothing)";
        let committed = self.session.execute(doing, "COMMIT");
        self.ended = committed.is_ok();
        failpoint::reach("import-commit-answered");
        committed
    }
}

impl Drop for PostgresImport {
    fn drop(&mut self) {
        if !self.ended {
            self.session.roll_back();
        }
    }
}

/// Returns the bars of a table. Without bars there is no base either.
fn stored_bars(table: &SourceTable, rows: &StoredRows, base: Option<Base>) -> Result<StoredBars, StoreError> {
    let mut stored = StoredBars::with_base(base.filter(|_| !rows.instants.is_empty()));
    for (instant, &close) in rows.instants.iter().zip(&rows.columns[0]) {
        let Some(instant_us) = instant.us() else {
            return Err(not_as_imported(&table.name, format!("a bar is at {instant}")));
        };
        if close.is_nan() {
            return Err(not_as_imported(&table.name, format!("the bar at {instant} has no close")));
        }
        stored.push(&table.name, Bar { instant_us, close })?;
    }
    Ok(stored)
}
