//! The PostgreSQL store (also Aurora and RDS): the users' source tables, a features table for each series of a
//! partition, and the tables `rollfit_receipts` and `rollfit_definitions`.
//!
//! One partition is one transaction: lock, inspect, DELETE, COPY, receipt, COMMIT; or, where rows are added: lock, look,
//! INSERT, receipt, COMMIT. A worker has one session at a time.

mod advice;
mod connection;
mod copy;
mod ddl;
mod doctor;
mod failpoint;
mod features;
mod import;
mod kind;
mod names;
mod partitioning;
mod source;
mod switch;
mod tables;
mod views;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rollfit_job::config::{JobConfig, Series, StoreConfig};
use rollfit_job::patience::patiently;
use rollfit_job::period::PeriodUnit;
use rollfit_job::receipt::Definition;
use rollfit_job::runners::RunnerName;
use rollfit_job::store::{Purpose, ServerProcess, StoreError};

use crate::connection::holders::StalledSessions;
use crate::connection::pool::{Pool, PooledSession};
use crate::connection::server_metrics::MetricsCommand;
use crate::connection::session::{Mode, Session, TransactionSettings};
use crate::connection::session_budget::session_budget;
use crate::connection::{monitor, server};
use crate::copy::number_column::NumberColumn;
use crate::features::expected::Expectations;
use crate::names::TableName;
use crate::partitioning::catalog::Catalog;
use crate::source::described_tables::DescribedTables;
use crate::source::heads::SeenHeads;
use crate::source::known_bases::KnownBases;
use crate::source::long_tables::LongTables;
use crate::tables::capacity::check_schemas;
use crate::tables::definitions::{DEFINITIONS, HashedDefinition, KnownDefinitions};
use crate::tables::receipts::{self, RECEIPTS};
use crate::tables::row_security::Accepting;
use crate::tables::stored_receipt::{Definitions, ReceiptTables};
use crate::tables::table::{Table, describe};
use crate::views::Views;

pub use self::connection::session_budget::{RunnerSessions, SessionBudget};
pub use self::kind::Postgres;

/// How long to wait for a lock that is held briefly. Just longer than the second after which the server cancels an
/// automatic VACUUM that others wait for.
const LOCK_TIMEOUT: Duration = Duration::from_millis(1500);

/// A schema of a database, as source, sink or both of one job.
pub struct PostgresStore {
    opened_at: Instant,
    pool: Arc<Pool>,
    purpose: Purpose,
    budget: SessionBudget,
    is_local: Option<bool>,
    /// The process that serves the only session there will be, where this is known.
    server_process: Option<ServerProcess>,
    /// What says how busy the server is, where that is configured.
    metrics_command: Option<MetricsCommand>,
    schema: String,
    receipts: TableName,
    definitions: TableName,
    /// What this job computes.
    definition: HashedDefinition,
    /// Definitions that were read.
    known_definitions: KnownDefinitions,
    /// How long the periods of its partitions are.
    by: PeriodUnit,
    /// The series as they are stored, see [`Series::as_stored`].
    series: Vec<Series>,
    /// The series as readers of features see them.
    feature_series: Vec<Series>,
    /// How readers see features, where fits are stored.
    views: Option<Views>,
    numbers: NumberColumn,
    settings: TransactionSettings,
    stalled_sessions: StalledSessions,
    catalog: Catalog,
    source_tables: DescribedTables,
    known_bases: KnownBases,
    seen_heads: SeenHeads,
    long_tables: LongTables,
    /// Tables that partitions share and that are known to exist.
    shared_tables: Mutex<HashSet<TableName>>,
    /// The shared tables that were missing.
    missed_parents: Mutex<HashSet<TableName>>,
    /// What looks at partitions have found.
    expectations: Expectations,
    /// The size of the server's pages, where it was asked.
    page_bytes: OnceLock<u64>,
    receipts_hidden: AtomicBool,
    vacuum_refused: AtomicBool,
    /// Whether the role may not run DO blocks.
    blocks_refused: AtomicBool,
}

impl PostgresStore {
    /// Opens the store at `store` for the job `config`. Writes nothing.
    ///
    /// # Errors
    /// When the URL is invalid, the server is unreachable or too old, or the schema does not exist.
    pub fn open(store: &StoreConfig, config: &JobConfig, purpose: Purpose) -> Result<Self, StoreError> {
        let settings = TransactionSettings {
            statement: config.run.statement_timeout,
            lock: LOCK_TIMEOUT,
            idle: config.run.idle_timeout,
            row_security: store.row_security,
        };
        let definition = HashedDefinition::new(&Definition::from_config(config))?;
        let runner = RunnerName::of_this_process(&definition.hash, config.run.shard);
        let pool = Pool::connect(store, purpose, &settings, &runner)?;
        let open = || Self::open_with(Arc::clone(&pool), store, config, (purpose, settings, &definition));
        let store = patiently(open)?;
        pool.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(store)
    }

    /// Opens the store behind a pool that has no session yet.
    fn open_with(
        pool: Arc<Pool>,
        store: &StoreConfig,
        config: &JobConfig,
        (purpose, settings, definition): (Purpose, TransactionSettings, &HashedDefinition),
    ) -> Result<Self, StoreError> {
        let opened_at = Instant::now();
        let (session, (schema, budget, is_local, server_process)) = pool.first_session(|session| {
            let schema = server::schema(session, store.schema.as_deref())?;
            check_schemas(session, store, config)?;
            if let Some(views_schema) =
                config.sink.views_schema.as_deref().filter(|_| config.sink.store == *store)
            {
                server::schema(session, Some(views_schema))?;
            }
            let budget = session_budget(session, config.run.store_sessions_max)?;
            let is_local = server::is_local(session, pool.leads_here())?;
            // Where there is a monitor, it asks for this itself.
            let is_asked = !budget.may_grow() && is_local != Some(false);
            let server_process = if is_asked { monitor::server_process_if_told(session)? } else { None };
            Ok((schema, budget, is_local, server_process))
        })?;
        pool.set_budget(&budget);
        drop(session);
        Ok(Self {
            opened_at,
            receipts: TableName::new(&schema, RECEIPTS),
            definitions: TableName::new(&schema, DEFINITIONS),
            definition: definition.clone(),
            known_definitions: KnownDefinitions::default(),
            views: Views::from_config(config, &schema),
            schema,
            pool,
            purpose,
            budget,
            is_local,
            server_process,
            metrics_command: metrics_command(config),
            by: config.by,
            series: config.series.iter().map(Series::as_stored).collect(),
            feature_series: config.series.clone(),
            numbers: config.sink.numbers.into(),
            settings,
            stalled_sessions: StalledSessions::new(config.run.idle_timeout),
            catalog: Catalog::default(),
            source_tables: DescribedTables::default(),
            known_bases: KnownBases::default(),
            seen_heads: SeenHeads::default(),
            long_tables: LongTables::default(),
            shared_tables: Mutex::default(),
            missed_parents: Mutex::default(),
            expectations: Expectations::default(),
            page_bytes: OnceLock::new(),
            receipts_hidden: AtomicBool::new(false),
            vacuum_refused: AtomicBool::new(false),
            blocks_refused: AtomicBool::new(false),
        })
    }

    /// Returns the maximum number of sessions open at once, and why.
    pub fn session_budget(&self) -> &SessionBudget {
        &self.budget
    }

    /// Returns how often its sessions have waited for an answer of the server so far.
    pub fn round_trips(&self) -> u64 {
        self.pool.round_trips()
    }

    /// Returns what the last round trips were for, the latest last.
    #[cfg(feature = "failpoints")]
    pub fn last_round_trips(&self) -> Vec<String> {
        self.pool.last_round_trips()
    }

    /// Returns a session in a read-only transaction with one snapshot of the store.
    fn snapshot_session(&self) -> Result<PooledSession, StoreError> {
        let mut session = self.pool.session()?;
        session.begin(Mode::Snapshot, &self.settings);
        Ok(session)
    }

    /// Queries one snapshot of the store.
    fn in_snapshot<T>(
        &self,
        ask: impl FnOnce(&mut Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut session = self.snapshot_session()?;
        let answer = ask(&mut session);
        session.roll_back();
        answer
    }

    /// Returns the tables of receipts, among tables of the schema by name; none if there are no receipts, or the role
    /// may not read them. Reading works without this right: all features then count as foreign. Writing needs it, and
    /// fails with the server's error.
    ///
    /// # Errors
    /// When policies may hide some.
    fn receipt_tables(
        &self,
        tables: &HashMap<String, Table>,
    ) -> Result<Option<ReceiptTables<'_>>, StoreError> {
        let Some(receipts) = tables.get(&self.receipts.name) else { return Ok(None) };
        if !self.is_readable(receipts)? {
            return Ok(None);
        }
        let definitions = match tables.get(&self.definitions.name) {
            None => Definitions::Missing(&self.definitions),
            Some(table) if self.is_readable(table)? => Definitions::Readable(&self.definitions),
            Some(_) => Definitions::Unreadable(&self.definitions),
        };
        Ok(Some(ReceiptTables {
            receipts: &self.receipts,
            has_digest: receipts.column("digest").is_some(),
            definitions,
            known: &self.known_definitions,
        }))
    }

    /// Checks that the receipts are of a version that can be written.
    ///
    /// # Errors
    /// With the next step if they are of an earlier one.
    fn check_receipts_version(&self) -> Result<(), StoreError> {
        let names = std::slice::from_ref(&self.receipts.name);
        let tables = self.in_snapshot(|session| describe(session, &self.schema, names))?;
        tables.get(&self.receipts.name).map_or(Ok(()), receipts::check_version)
    }

    /// Returns whether a table of receipts or definitions can be read, and warns once if not.
    fn is_readable(&self, table: &Table) -> Result<bool, StoreError> {
        let hidden = self.purpose != Purpose::Write && !table.readable;
        if hidden && !self.receipts_hidden.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the role may not read {}, so rollfit cannot tell which features it wrote; have the owner GRANT SELECT ON {} to the role",
                table.name,
                table.name.sql()
            );
        }
        if !hidden {
            self.check_row_security(table, Accepting::Sink)?;
        }
        Ok(!hidden)
    }

    /// Returns where the store is, for messages.
    fn describe(&self) -> String {
        format!("{} schema {}", self.pool.describe(), self.schema)
    }

    /// Qualifies a name with the schema of this store.
    fn table(&self, name: &str) -> TableName {
        TableName::new(&self.schema, name)
    }
}

fn metrics_command(config: &JobConfig) -> Option<MetricsCommand> {
    let server = &config.sink.server;
    Some(MetricsCommand::new(server.metrics_command.clone()?, server.metrics_command_dir.clone()))
}
