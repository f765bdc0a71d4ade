//! Finds who holds a partition, and since when, and ends holders that are stuck.
//!
//! A runner that stops in mid-COPY, such as a closed laptop, holds its lock forever: the server waits for its next
//! bytes, and neither `statement_timeout` nor `idle_in_transaction_session_timeout` covers that. So a session that
//! waits for the partition checks: a rollfit session of the same role that made no progress for as long as a claim
//! may be idle is ended. Its uncommitted work is rolled back, and it gets an error when it continues.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rollfit_job::lock::lock;
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::connection::answer_row::AnswerRow;
use crate::connection::session::{Session, SqlParameter, Step};
use crate::connection::session_budget::IS_OWN;

/// The name of the lock of an output, as the server computes it from the parameter $1.
pub(crate) const LOCK_KEY: &str = "hashtextextended('rollfit ' || $1, 0)";

/// The columns queried about a holder: `a` is its session, `p` its COPY.
const COLUMNS: &str = "
    a.pid, coalesce(a.application_name, ''), a.usename::text,
    CASE WHEN a.backend_start IS NULL THEN 'host hidden'
         ELSE coalesce('host ' || host(a.client_addr), 'local client') END,
    CASE WHEN a.backend_start IS NULL THEN 'hidden' ELSE coalesce(
        to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), 'an unknown time') END,
    a.state = 'active' AND a.wait_event = 'ClientRead' AND a.usename = current_user
        AND a.application_name LIKE 'rollfit %',
    concat_ws(' ', a.backend_start, a.query_start, p.bytes_processed)";

/// How long sessions that hold partitions have made no progress.
pub(crate) struct StalledSessions {
    patience: Duration,
    seen: Mutex<HashMap<i32, (String, Instant)>>,
}

/// A session that holds what another wants.
pub(crate) struct Holder {
    pid: i32,
    name: String,
    /// None for a process of the server itself.
    role: Option<String>,
    /// The server shows it, like the time, only to members of the role and of `pg_read_all_stats`.
    host: String,
    since: String,
    /// Whether it waits for its client and may be ended by this role.
    is_waiting_for_its_client: bool,
    /// Changes whenever it makes progress.
    progress: String,
}

/// What a holder keeps others from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HolderGrip {
    /// From having the partition, or from looking at its tables.
    Exclusive,
    /// From writing its tables.
    Writing,
}

/// Describes the session, for messages.
impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = if self.name.is_empty() { "another session" } else { &self.name };
        let role = self.role.as_deref().map(|role| format!("role {role}, ")).unwrap_or_default();
        write!(f, "{name} ({role}server process {}, {}, since {})", self.pid, self.host, self.since)
    }
}

impl Holder {
    /// Returns who holds the lock of an output, or one of `tables`, or keeps rows of the tables `shared` from being changed or read;
    /// none if no session does.
    pub(crate) fn find(
        session: &mut Session,
        output: &str,
        tables: &[u32],
        shared: &[u32],
    ) -> Result<Option<Self>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}
             FROM pg_catalog.pg_locks l
             JOIN pg_catalog.pg_stat_activity a USING (pid)
             LEFT JOIN pg_catalog.pg_stat_progress_copy p USING (pid)
             WHERE l.granted AND l.pid <> pg_backend_pid()
               AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
               AND (l.locktype = 'advisory' AND l.objsubid = 1
                        AND (l.classid::bigint << 32 | l.objid::bigint) = {LOCK_KEY}
                    OR l.locktype = 'relation' AND l.relation = ANY($2)
                        AND l.mode <> 'AccessShareLock'
                    OR l.locktype = 'relation' AND l.relation = ANY($3)
                        AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))
             ORDER BY l.locktype, l.mode = 'RowShareLock', l.mode <> 'AccessExclusiveLock' LIMIT 1"
        );
        let parameters: [SqlParameter<'_>; 3] =
            [(&output, Type::TEXT), (&tables, Type::OID_ARRAY), (&shared, Type::OID_ARRAY)];
        let rows = session.rows("find out who holds the partition", &sql, &parameters)?;
        rows.first().map(Self::from_row).transpose()
    }

    /// Returns the query of who has an output or its tables, for a look: as [`Holder::find`], but of tables only whoever writes them or keeps
    /// others from reading them. Readers are in nobody's way, nor is an automatic VACUUM, which ends for a claim. The locks are asked for as they are, because a try to take
    /// one would make a claim in vain that another runner sends at that moment.
    pub(crate) fn look<'a>(output: &'a String, schema: &'a String, tables: &'a Vec<String>) -> Step<'a> {
        let sql = format!(
            "SELECT {COLUMNS}, l.locktype = 'advisory', l.mode = 'AccessExclusiveLock'
             FROM pg_catalog.pg_locks l
             JOIN pg_catalog.pg_stat_activity a USING (pid)
             LEFT JOIN pg_catalog.pg_stat_progress_copy p USING (pid)
             WHERE l.granted AND l.pid <> pg_backend_pid()
               AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
               AND (l.locktype = 'advisory' AND l.objsubid = 1
                        AND (l.classid::bigint << 32 | l.objid::bigint) = {LOCK_KEY}
                    OR l.locktype = 'relation'
                        AND (l.mode IN ('RowExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
                             OR l.mode = 'ShareUpdateExclusiveLock' AND a.usesysid IS NOT NULL)
                        AND l.relation IN (SELECT c.oid FROM pg_catalog.pg_class c
                                           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                                           WHERE n.nspname = $2 AND c.relname = ANY($3)))
             ORDER BY l.locktype <> 'advisory', l.mode <> 'AccessExclusiveLock' LIMIT 1"
        );
        let parameters =
            vec![(output as _, Type::TEXT), (schema as _, Type::TEXT), (tables as _, Type::TEXT_ARRAY)];
        Step::query("find out who has the partition", sql, parameters)
    }

    /// Takes the answer to [`Holder::look`].
    ///
    /// # Errors
    /// When it has another form.
    pub(crate) fn looked(rows: &[AnswerRow]) -> Result<Option<(Self, HolderGrip)>, StoreError> {
        let Some(row) = rows.first() else { return Ok(None) };
        let grip = match (row.get(7)?, row.get(8)?) {
            (true, _) | (_, true) => HolderGrip::Exclusive,
            _ => HolderGrip::Writing,
        };
        Ok(Some((Self::from_row(row)?, grip)))
    }

    /// Returns who uses a table, readers included; none if no session does.
    pub(crate) fn user_of(session: &mut Session, table: u32) -> Result<Option<Self>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}
             FROM pg_catalog.pg_locks l
             JOIN pg_catalog.pg_stat_activity a USING (pid)
             LEFT JOIN pg_catalog.pg_stat_progress_copy p USING (pid)
             WHERE l.granted AND l.pid <> pg_backend_pid() AND l.locktype = 'relation' AND l.relation = $1
               AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
             ORDER BY a.xact_start LIMIT 1"
        );
        let rows = session.rows("find out who uses the table", &sql, &[(&table, Type::OID)])?;
        rows.first().map(Self::from_row).transpose()
    }

    /// Returns who holds the locks that these server processes wait for, for messages.
    pub(crate) fn blocking(session: &mut Session, waiting: &[i32]) -> Result<Vec<String>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}
             FROM (SELECT DISTINCT unnest(pg_blocking_pids(waiting)) AS pid FROM unnest($1) waiting) b
             JOIN pg_catalog.pg_stat_activity a USING (pid)
             LEFT JOIN pg_catalog.pg_stat_progress_copy p USING (pid)"
        );
        let rows = session.rows("find out who holds the locks", &sql, &[(&waiting, Type::INT4_ARRAY)])?;
        rows.iter().map(|row| Ok(Self::from_row(row)?.to_string())).collect()
    }

    /// Returns who holds a lock that one of these sessions, by their server processes, waits for with a statement that begins so; none if no
    /// session does, or it waits for something else.
    pub(crate) fn blocking_statement(
        session: &mut Session,
        processes: &Vec<i32>,
        begin: &str,
    ) -> Result<Option<Self>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}
             FROM (SELECT DISTINCT unnest(pg_blocking_pids(a.pid)) AS pid FROM pg_catalog.pg_stat_activity a
                   WHERE a.wait_event_type = 'Lock' AND a.pid <> pg_backend_pid() AND ({IS_OWN})
                     AND left(a.query, char_length($2)) = $2) b
             JOIN pg_catalog.pg_stat_activity a USING (pid)
             LEFT JOIN pg_catalog.pg_stat_progress_copy p USING (pid)
             ORDER BY a.wait_event_type IS NOT DISTINCT FROM 'Lock', a.xact_start LIMIT 1"
        );
        let parameters: [SqlParameter<'_>; 2] = [(processes, Type::INT4_ARRAY), (&begin, Type::TEXT)];
        let rows = session.rows("find out who holds the lock", &sql, &parameters)?;
        rows.first().map(Self::from_row).transpose()
    }

    fn from_row(row: &AnswerRow) -> Result<Self, StoreError> {
        Ok(Self {
            pid: row.get(0)?,
            name: row.get(1)?,
            role: row.get(2)?,
            host: row.get(3)?,
            since: row.get(4)?,
            is_waiting_for_its_client: row.get::<_, Option<bool>>(5)?.unwrap_or(false),
            progress: row.get(6)?,
        })
    }
}

/// The recent holders of partitions and locks that a worker wanted.
#[derive(Debug, Default)]
pub(crate) struct SeenHolders(Mutex<HashMap<String, Instant>>);

impl SeenHolders {
    /// How long a holder is remembered. Workers check several times in that time.
    const REMEMBERED_FOR: Duration = Duration::from_secs(2);

    pub(crate) fn record_holder(&self, holder: &str) {
        let mut seen_holders = lock(&self.0);
        seen_holders.retain(|_, at| at.elapsed() < Self::REMEMBERED_FOR);
        seen_holders.insert(holder.to_owned(), Instant::now());
    }

    pub(crate) fn recent(&self) -> Vec<String> {
        let mut seen_holders = lock(&self.0);
        seen_holders.retain(|_, at| at.elapsed() < Self::REMEMBERED_FOR);
        seen_holders.keys().cloned().collect()
    }
}

impl StalledSessions {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, seen: Mutex::default() }
    }

    /// Ends the session of a holder that made no progress for too long.
    pub(crate) fn end_if_stuck(&self, session: &mut Session, holder: &Holder) {
        if !holder.is_waiting_for_its_client || !self.is_stuck(holder) {
            return;
        }
        const END: &str = "
            SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
            WHERE pid = $1 AND application_name LIKE 'rollfit %' AND usename = current_user";
        if session.rows("end a session that is stuck", END, &[(&holder.pid, Type::INT4)]).is_ok() {
            tracing::warn!(
                "{holder} has not moved for {:.0} s and was ended; its uncommitted work is rolled back",
                self.patience.as_secs_f64()
            );
        }
    }

    /// Returns whether a holder has made no progress for too long.
    fn is_stuck(&self, holder: &Holder) -> bool {
        let mut seen = lock(&self.seen);
        let (progress, since) =
            seen.entry(holder.pid).or_insert_with(|| (holder.progress.clone(), Instant::now()));
        if *progress != holder.progress {
            (*progress, *since) = (holder.progress.clone(), Instant::now());
        }
        since.elapsed() >= self.patience
    }
}
