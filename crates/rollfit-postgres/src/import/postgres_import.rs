//! [`PostgresImport`]: imports the bars of any number of keys into the source tables `m1_{key}` and `bqx_{key}` of a
//! schema, all or none.
//!
//! Invariants: one import is one transaction, and one at a time in a schema. Readers are never blocked; other writers
//! of a table wait. The tables depend only on the set of bars and the base date; rows that are correct already are
//! not touched, so importing the same bars again changes nothing.

use std::time::Duration;

use rollfit_job::config::{RowSecurity, StoreConfig};
use rollfit_job::runners::RunnerName;
use rollfit_job::store::{BarsImport, Fault, StoreError};
use tokio_postgres::types::Type;

use crate::connection::answer_row::first_value;
use crate::connection::fault::{is_lock_timeout, server_error};
use crate::connection::holders::{Holder, LOCK_KEY};
use crate::connection::pool::{Pool, PooledSession};
use crate::connection::session::{Mode, TransactionSettings};
use crate::failpoint;
use crate::import::bases::{self, BASES};
use crate::import::further_columns::{self, COLUMNS};
use crate::import::source_table::{BQX, M1, SourceTable, StoredRows, WantedRows};
use crate::names::{NAME_BYTES_MAX, TableName, quoted};
use crate::tables::rights::{READ_AND_WRITE, check_create, check_table};
use crate::tables::table::{RelationKind, Table, describe};
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
    /// The list of further columns.
    columns: TableName,
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
        let runner = RunnerName { definition: None, ..RunnerName::of_this_process("", None) };
        let pool = Pool::connect(place, Purpose::Write, &SETTINGS, &runner)?;
        let (session, schema) = patiently(|| {
            let (mut session, schema) =
                pool.first_session(|session| server::schema(session, place.schema.as_deref()))?;
            session.begin(Mode::Write, &SETTINGS);
            Ok((session, schema))
        })?;
        let place = format!("{} schema {schema}", pool.describe());
        let bases = TableName::new(&schema, BASES);
        let columns = TableName::new(&schema, COLUMNS);
        let mut import = Self { session, place, schema, bases, columns, options, ended: false };
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
        let holder = Holder::find(&mut self.session, lock, tables, &[])?;
        Ok(holder.map_or_else(|| "another session".to_owned(), |holder| holder.to_string()))
    }

    /// Returns both tables of a key, locked, and the base that an import wrote. Creates missing tables, and `brought`
    /// columns.
    fn tables(
        &mut self,
        key: &str,
        brought: &[String],
    ) -> Result<([SourceTable; 2], Option<Base>), StoreError> {
        let names = table_names(key).map(|name| self.table(&name));
        let [m1, bqx] = &names;
        self.provide(&self.bases.clone(), &bases::create_sql(&self.bases))?;
        let is_new =
            [self.provide(m1, &M1.create_sql(m1, brought))?, self.provide(bqx, &BQX.create_sql(bqx, &[]))?];
        self.lock(&names)?;
        let base = bases::read(&mut self.session, &self.bases, key)?;
        let m1 = self.with_columns(&names, brought, base.is_some())?;
        let further = self.further_columns(key, &m1, brought, is_new[0])?;
        let tables = [
            SourceTable::new(&m1, &M1, &further, is_new[0])?,
            SourceTable::new(&self.described(bqx)?, &BQX, &[], is_new[1])?,
        ];
        if base.is_none() {
            self.check_imported(&names)?;
        }
        Ok((tables, base))
    }

    /// Returns `m1_{key}` with the columns that the import brings. Adds the missing ones.
    fn with_columns(
        &mut self,
        names: &[TableName; 2],
        brought: &[String],
        is_imported: bool,
    ) -> Result<Table, StoreError> {
        let table = self.described(&names[0])?;
        let missing = further_columns::missing(&table, brought)?;
        if missing.is_empty() || matches!(table.kind, RelationKind::Other(_)) {
            return Ok(table);
        }
        if !is_imported {
            self.check_imported(names)?;
        }
        let sql = further_columns::add_sql(&mut self.session, &table, &missing, is_imported)?;
        let doing = format!("add columns to {}", table.name);
        match self.session.try_execute(&doing, &sql)? {
            Ok(()) => self.described(&names[0]),
            Err(error) if is_lock_timeout(&error) => Err(self.cannot_add(&table)?),
            Err(error) => Err(server_error(&doing, error)),
        }
    }

    /// Another session uses the table to which columns are added.
    fn cannot_add(&mut self, table: &Table) -> Result<StoreError, StoreError> {
        self.session.roll_back();
        self.ended = true;
        let user = Holder::user_of(&mut self.session, table.oid)?;
        let user = user.map_or_else(|| "another session".to_owned(), |user| user.to_string());
        Ok(StoreError::new(
            Fault::Transient,
            format!(
                "{user} uses {}, to which this import adds columns; import again when it is done",
                table.name
            ),
        ))
    }

    /// Returns the further columns that this import writes: those that it brings, and with --replace those that others
    /// brought, which a bar loses with its close. Notes the first in the list.
    fn further_columns(
        &mut self,
        key: &str,
        table: &Table,
        brought: &[String],
        is_new: bool,
    ) -> Result<Vec<String>, StoreError> {
        let list = self.columns.clone();
        if !brought.is_empty() {
            self.provide(&list, &further_columns::create_sql(&list))?;
        } else if !(is_new || self.options.replace) || !self.exists(&list, &["SELECT"])? {
            return Ok(Vec::new());
        }
        let mut known = further_columns::read(&mut self.session, &list, key)?;
        if is_new && !known.is_empty() {
            self.exists(&list, &READ_AND_WRITE)?;
            further_columns::clear(&mut self.session, &list, key)?;
            known.clear();
        }
        if brought.iter().any(|name| !known.contains(name)) {
            further_columns::write(&mut self.session, &list, key, brought)?;
        }
        let mut written = brought.to_vec();
        if self.options.replace {
            let is_left = |name: &String| {
                table.column(name).is_some_and(|column| !column.generated) && !brought.contains(name)
            };
            written.extend(known.into_iter().filter(is_left));
            written.sort_unstable();
        }
        Ok(written)
    }

    /// Creates the table if it is missing, and returns whether it did. An existing table must be readable and
    /// writable.
    fn provide(&mut self, name: &TableName, create_sql: &str) -> Result<bool, StoreError> {
        if self.exists(name, &READ_AND_WRITE)? {
            return Ok(false);
        }
        check_create(&mut self.session, name)?;
        self.session.execute(&format!("create {name}"), create_sql)?;
        Ok(true)
    }

    /// Returns whether the table exists. If so, the role must have these rights.
    fn exists(&mut self, name: &TableName, privileges: &[&str]) -> Result<bool, StoreError> {
        let known = describe(&mut self.session, &self.schema, std::slice::from_ref(&name.name))?;
        let Some(table) = known.get(&name.name) else { return Ok(false) };
        if let Some(policies) = &table.policies {
            return Err(policies.refused(name));
        }
        check_table(&mut self.session, table, privileges)?;
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

    /// Checks that tables without a base have no rows: another program wrote them.
    fn check_imported(&mut self, tables: &[TableName; 2]) -> Result<(), StoreError> {
        for name in tables {
            let sql = format!("SELECT EXISTS (SELECT FROM {})", name.sql());
            let rows = self.session.rows(&format!("read {name}"), &sql, &[])?;
            if first_value(&rows)?.unwrap_or(false) {
                return Err(not_imported(name));
            }
        }
        Ok(())
    }

    fn write_m1(
        &mut self,
        table: &SourceTable,
        rows: &StoredRows,
        update: &KeyUpdate,
    ) -> Result<bool, StoreError> {
        // The rate index alone may be rounded: it follows from the closes.
        const RATE_INDEX: usize = 1;
        let rate_index = update.rate_index(0..update.closes.len());
        let mut columns = vec![update.closes.as_slice(), &rate_index];
        columns.extend(update.columns.iter().map(|column| column.values.as_slice()));
        let wanted = WantedRows { instants_us: &update.instants_us, columns: &columns };
        let mut exact = (0..columns.len()).filter(|&column| column != RATE_INDEX);
        exact.try_for_each(|column| table.check_holds(column, &wanted))?;
        table.update(&mut self.session, rows, &wanted)
    }

    fn write_bqx(&mut self, table: &SourceTable, update: &KeyUpdate) -> Result<bool, StoreError> {
        let rows = table.read(&mut self.session)?;
        let returns = update.returns(0..update.closes.len());
        let columns = [returns.as_slice()];
        let instants_us = &update.instants_us[update.first_return()..];
        table.update(&mut self.session, &rows, &WantedRows { instants_us, columns: &columns })
    }

    /// Qualifies a name with the schema of this import.
    fn table(&self, name: &str) -> TableName {
        TableName::new(&self.schema, name)
    }
}

fn table_names(key: &str) -> [String; 2] {
    [&M1, &BQX].map(|layout| format!("{}{key}", layout.prefix))
}

/// Checks that the server keeps the whole names of both tables of a key.
///
/// # Errors
/// When it does not; the error names the key and says how long it may be.
pub(crate) fn check_table_names(key: &str) -> Result<(), StoreError> {
    let longest = table_names(key).into_iter().max_by_key(String::len).unwrap_or_default();
    if longest.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    let room = NAME_BYTES_MAX - (longest.len() - key.len());
    Err(StoreError::permanent(format!(
        "the key `{key}` is too long for PostgreSQL: the name of its table `{longest}` has {} bytes, and the server keeps \
         {NAME_BYTES_MAX}; use a key of at most {room} characters",
        longest.len()
    )))
}

impl BarsImport for PostgresImport {
    fn add(&mut self, key: &str, bars: &dyn NewBars) -> Result<KeyReport, StoreError> {
        check_table_names(key)?;
        let brought = further_columns::names(bars)?;
        let ([m1, bqx], known) = self.tables(key, &brought)?;
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
fn stored_bars<'a>(
    table: &SourceTable,
    rows: &'a StoredRows,
    base: Option<Base>,
) -> Result<StoredBars<'a>, StoreError> {
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
    let values = &rows.columns[rows.columns.len() - table.further().len()..];
    for (name, values) in table.further().iter().zip(values) {
        stored.push_column(name, values);
    }
    Ok(stored)
}
