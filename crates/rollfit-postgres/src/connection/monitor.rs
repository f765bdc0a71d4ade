//! [`PostgresMonitor`]: queries the server once a second during a run for the activity of this process's sessions, and how many runners
//! share the server, which sets the budget of the pool.
//!
//! It uses an idle session of the pool, so it never takes one from a worker, never shares a partition's transaction,
//! and stays within the budget. Its own session is not counted. After failures it waits longer and longer, up to half
//! a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollfit_job::config::RowSecurity;
use rollfit_job::store::{Fault, StoreError};
use rollfit_job::store::{ServerProcess, StoreMonitor, StoreSample, StoreWait, WaitKind};
use tokio_postgres::types::Type;

use crate::connection::answer_row::{AnswerRow, first_value};
use crate::connection::holders::Holder;
use crate::connection::pool::{Pool, PooledSession};
use crate::connection::server_metrics::{MetricsCommand, ServerMetrics};
use crate::connection::session::{Mode, Request, Session, TransactionSettings};
use crate::connection::session_budget::{IS_OWN, SessionBudget, budget_request};

/// How long to wait for a worker to return a session.
const SPARE_WAIT: Duration = Duration::from_millis(500);
/// The time limit for an answer, on the server and here.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);
const REPLY_TIMEOUT: Duration = Duration::from_secs(3);
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How many sessions there are, and those of this process.
fn sessions_request(processes: &Vec<i32>) -> Request<'_> {
    let sql = format!(
        "SELECT current_setting('application_name'),
                (SELECT count(*) FROM pg_catalog.pg_stat_activity
                 WHERE coalesce(backend_type, 'client backend') = 'client backend' AND datid IS NOT NULL
                     AND usesysid IS NOT NULL)::int,
                a.pid, a.state = 'active', a.wait_event_type, a.wait_event, p.bytes_processed, pg_backend_pid()
         FROM (SELECT) t
         LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid <> pg_backend_pid() AND ({IS_OWN})
         LEFT JOIN pg_catalog.pg_stat_progress_copy p ON p.pid = a.pid"
    );
    Request::query("query the server's sessions", sql, vec![(processes, Type::INT4_ARRAY)])
}

/// The process of this session, when it started, and when the server did, in microseconds since 1970.
const STARTED: &str = "
    SELECT pid, (extract(epoch FROM backend_start) * 1000000)::bigint,
           (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint
    FROM pg_catalog.pg_stat_activity WHERE pid = pg_backend_pid()";

/// How much the server has written to its log. A standby writes none.
const LOG_POSITION: &str = "
    SELECT CASE WHEN NOT pg_is_in_recovery() THEN (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8 END";

/// See the module.
pub(crate) struct PostgresMonitor {
    pool: Arc<Pool>,
    configured_max: Option<usize>,
    metrics: Option<ServerMetrics>,
    server: ServerIdentity,
    log: Log,
    pause: Option<Pause>,
}

/// What is known of the process that serves the session.
enum ServerIdentity {
    /// What the server said last; none before the first answer.
    Known(Option<ServerProcess>),
    /// The server is on another machine, or does not say.
    Hidden,
}

/// What is known about the server's log.
enum Log {
    /// Its bytes, and when they were read; none before the first answer.
    At(Option<(f64, Instant)>),
    /// The server does not report it, or not to this role.
    Hidden,
}

/// How long to pause queries, and why.
struct Pause {
    cause: String,
    until: Instant,
    length: Duration,
}

impl PostgresMonitor {
    /// `is_elsewhere` where the server is on another machine for certain.
    pub(crate) fn new(
        (pool, configured_max): (Arc<Pool>, Option<usize>),
        metrics: Option<&MetricsCommand>,
        is_elsewhere: bool,
    ) -> Self {
        let server = if is_elsewhere { ServerIdentity::Hidden } else { ServerIdentity::Known(None) };
        let metrics = metrics.map(MetricsCommand::start);
        Self { pool, configured_max, metrics, server, log: Log::At(None), pause: None }
    }

    fn ask(&mut self, session: &mut PooledSession) -> Result<StoreSample, StoreError> {
        monitoring(session, STATEMENT_TIMEOUT, |session| self.inspect(session))
    }

    fn inspect(&mut self, session: &mut Session) -> Result<StoreSample, StoreError> {
        let processes = self.pool.processes();
        let mut answers = session.at_once(vec![sessions_request(&processes), budget_request(&processes)]);
        let rows = answers.rows()?;
        let first =
            rows.first().ok_or_else(|| StoreError::new(Fault::Transient, "the server did not answer"))?;
        self.check_name(first.get(0)?)?;
        let budget = SessionBudget::from_rows(&answers.rows()?, self.configured_max)?;
        self.pool.set_budget(&budget);
        let own = rows.iter().map(OwnSession::from_row).filter_map(Result::transpose);
        let own: Vec<OwnSession> = own.collect::<Result<_, _>>()?;
        let lock_holders = self.lock_holders(session, &own)?;
        // Last, because a refusal ends the transaction.
        let log_bytes_per_s = match self.server.ask(session, first.get(7)?)? {
            true => self.log.bytes_per_s(session)?,
            false => None,
        };
        let is_working = |session: &&OwnSession| session.is_active && session.wait.is_none();
        Ok(StoreSample {
            own_sessions: count(own.iter()),
            sessions: first.get::<_, i32>(1)?.try_into().ok(),
            sessions_max: budget.server_max.try_into().ok(),
            working: count(own.iter().filter(is_working)),
            server_cpu_share: None,
            other_runners: Some(budget.other_processes),
            own_sessions_max: budget.sessions.try_into().ok(),
            waits: waits(&own),
            lock_holders,
            copied_bytes: Some(own.iter().fold(0, |sum, session| session.copied_bytes.saturating_add(sum))),
            log_bytes_per_s,
        })
    }

    /// A pooler may hide our name. Its sessions that work for us cannot be identified then.
    fn check_name(&self, seen: &str) -> Result<(), StoreError> {
        let ours = self.pool.application_name();
        if seen.is_empty() || ours.is_ascii() && !ours.starts_with(seen) {
            return Err(StoreError::permanent(format!(
                "the server knows this process as `{seen}`, not as `{ours}`: behind a pooler rollfit cannot tell which sessions are its own"
            )));
        }
        Ok(())
    }

    /// Returns who blocks sessions, and who held a partition that a worker wanted.
    fn lock_holders(&self, session: &mut Session, own: &[OwnSession]) -> Result<Vec<String>, StoreError> {
        let is_waiting =
            |session: &&OwnSession| session.wait.as_ref().is_some_and(|(kind, _)| *kind == WaitKind::Lock);
        let waiting: Vec<i32> = own.iter().filter(is_waiting).map(|session| session.pid).collect();
        let mut holders: BTreeSet<String> = self.pool.seen_holders().recent().into_iter().collect();
        if !waiting.is_empty() {
            holders.extend(Holder::blocking(session, &waiting)?);
        }
        Ok(holders.into_iter().collect())
    }
}

/// Asks about the server in a transaction that changes nothing, of which no statement takes longer than `limit`.
pub(super) fn monitoring<T>(
    session: &mut Session,
    limit: Duration,
    ask: impl FnOnce(&mut Session) -> T,
) -> T {
    let settings = TransactionSettings {
        statement: limit,
        lock: limit,
        idle: 2 * limit,
        row_security: RowSecurity::Refuse,
    };
    session.begin(Mode::Monitor, &settings);
    let answer = ask(session);
    session.roll_back();
    answer
}

impl StoreMonitor for PostgresMonitor {
    fn sample(&mut self) -> Result<StoreSample, StoreError> {
        if let Some(pause) = self.pause.as_ref().filter(|pause| Instant::now() < pause.until) {
            return Err(StoreError::new(Fault::Transient, pause.cause.clone()));
        }
        let sample = match self.pool.spare_session(SPARE_WAIT, REPLY_TIMEOUT) {
            Ok(Some(mut session)) => self.ask(&mut session),
            Ok(None) => return Err(all_at_work()),
            Err(error) => Err(error),
        };
        self.pause = sample.as_ref().err().map(|error| Pause::after(self.pause.as_ref(), error));
        if let (Err(_), ServerIdentity::Known(process)) = (&sample, &mut self.server) {
            // The next server may have a process of the same number.
            *process = None;
        }
        sample
    }

    fn server_cpu_share(&self) -> Option<Result<f64, String>> {
        self.metrics.as_ref()?.share()
    }

    fn has_server_metrics(&self) -> bool {
        self.metrics.is_some()
    }

    fn server_process(&self) -> Option<ServerProcess> {
        match &self.server {
            ServerIdentity::Known(process) => process.clone(),
            ServerIdentity::Hidden => None,
        }
    }
}

fn all_at_work() -> StoreError {
    StoreError::new(
        Fault::Transient,
        "all sessions of this process are busy, so none is left to monitor the server; raise store_sessions_max in [run]",
    )
}

impl Pause {
    /// Returns a pause twice as long as the last one.
    fn after(last: Option<&Pause>, error: &StoreError) -> Self {
        let length = last.map_or(PAUSE_FIRST, |last| (2 * last.length).min(PAUSE_MAX));
        Self { cause: rollfit_job::error_chain(error), until: Instant::now() + length, length }
    }
}

impl ServerIdentity {
    /// Asks where another process than the last one serves this session: the server may have been restarted. Returns whether the
    /// transaction can still be used.
    fn ask(&mut self, session: &mut Session, pid: i32) -> Result<bool, StoreError> {
        let Self::Known(known) = self else { return Ok(true) };
        if known.as_ref().is_some_and(|process| u32::try_from(pid) == Ok(process.pid)) {
            return Ok(true);
        }
        match server_process(session) {
            Ok(process) => *known = process,
            Err(error) if error.fault() == Fault::Permanent => {
                *self = Self::Hidden;
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}

/// The process that serves this session; none where the server does not tell.
///
/// # Errors
/// When the query fails.
fn server_process(session: &mut Session) -> Result<Option<ServerProcess>, StoreError> {
    let rows = session.rows("query when the server started", STARTED, &[])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (pid, started): (Option<i32>, (Option<i64>, Option<i64>)) = (row.get(0)?, (row.get(1)?, row.get(2)?));
    let (Some(Ok(pid)), (Some(started_us), Some(server_started_us))) = (pid.map(u32::try_from), started)
    else {
        return Ok(None);
    };
    Ok(Some(ServerProcess { pid, started_us, server_started_us }))
}

/// The same; none also where the server refuses to tell.
///
/// # Errors
/// When the query fails for now.
pub(crate) fn server_process_if_told(session: &mut Session) -> Result<Option<ServerProcess>, StoreError> {
    match server_process(session) {
        Err(error) if error.fault() == Fault::Permanent => Ok(None),
        answer => answer,
    }
}

impl Log {
    fn bytes_per_s(&mut self, session: &mut Session) -> Result<Option<f64>, StoreError> {
        let Self::At(before) = self else { return Ok(None) };
        let rows = match session.rows("query the size of the server's log", LOG_POSITION, &[]) {
            Ok(rows) => rows,
            Err(error) if error.fault() == Fault::Permanent => {
                *self = Self::Hidden;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let now = first_value::<Option<f64>>(&rows)?.flatten().map(|bytes| (bytes, Instant::now()));
        let rate = before.zip(now).map(|((was, then), (is, now))| (is - was) / (now - then).as_secs_f64());
        *before = now;
        // After a failover, the log of another server counts.
        Ok(rate.filter(|rate| rate.is_finite() && *rate >= 0.0))
    }
}

/// A session of this process other than the monitor's.
struct OwnSession {
    pid: i32,
    is_active: bool,
    /// What it waits for, with the server's name `TYPE:EVENT`; none if it does not wait.
    wait: Option<(WaitKind, String)>,
    copied_bytes: u64,
}

impl OwnSession {
    fn from_row(row: &AnswerRow) -> Result<Option<Self>, StoreError> {
        let Some(pid) = row.get(2)? else { return Ok(None) };
        Ok(Some(Self {
            pid,
            is_active: row.get::<_, Option<bool>>(3)?.unwrap_or(false),
            wait: row.get::<_, Option<&str>>(4)?.zip(row.get::<_, Option<&str>>(5)?).map(wait),
            copied_bytes: row.get::<_, Option<i64>>(6)?.map_or(0, i64::unsigned_abs),
        }))
    }
}

/// Classifies a wait event by its type.
fn wait((category, event): (&str, &str)) -> (WaitKind, String) {
    let kind = match category {
        "Lock" => WaitKind::Lock,
        // `WALWrite`: another session is syncing the log.
        "IO" if event.ends_with("Sync") => WaitKind::Sync,
        "LWLock" if event == "WALWrite" => WaitKind::Sync,
        "IO" => WaitKind::Disk,
        "Client" => WaitKind::Client,
        "LWLock" | "BufferPin" | "IPC" | "Activity" => WaitKind::Internal,
        _ => WaitKind::Other,
    };
    (kind, format!("{category}:{event}"))
}

/// Counts what the active sessions wait for.
fn waits(own: &[OwnSession]) -> Vec<StoreWait> {
    let mut waits: BTreeMap<&(WaitKind, String), u32> = BTreeMap::new();
    for wait in own.iter().filter(|session| session.is_active).filter_map(|session| session.wait.as_ref()) {
        *waits.entry(wait).or_default() += 1;
    }
    let wait = |((kind, event), sessions): (&(WaitKind, String), u32)| StoreWait {
        kind: *kind,
        event: event.clone(),
        sessions,
    };
    waits.into_iter().map(wait).collect()
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}
