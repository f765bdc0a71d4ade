//! The runners that are at work in the database, with the partitions that each has; and the server's clock.
//!
//! Invariants: no lock is taken. What of the sessions of other roles is hidden is not known, and is no error.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rollfit_job::partition::Partition;
use rollfit_job::runners::{HeldPartition, RunnerName, StoreRunner};
use rollfit_job::store::{Fault, StoreError};
use tokio_postgres::types::Type;

use crate::PostgresStore;
use crate::connection::answer_row::{AnswerRow, first_value};
use crate::connection::session::{Mode, Request};

/// The sessions of runners, and what they do. Times are in microseconds since 1970.
const SESSIONS: &str = "
    SELECT a.pid, a.application_name, host(a.client_addr), a.usename::text,
           (extract(epoch FROM a.backend_start) * 1000000)::bigint, (extract(epoch FROM a.xact_start) * 1000000)::bigint,
           p.bytes_processed
    FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_stat_progress_copy p
        ON p.pid = a.pid AND p.command = 'COPY FROM'
    WHERE a.datname = current_database() AND a.application_name LIKE 'rollfit %'
    ORDER BY a.application_name, a.pid";

/// Which sessions have the lock of one of the outputs `$1`, and of which. The keys are those of [`LOCK_KEY`](crate::connection::holders::LOCK_KEY).
const CLAIMS: &str = "
    SELECT l.pid, o.at
    FROM pg_catalog.pg_locks l
    JOIN (SELECT hashtextextended('rollfit ' || output, 0) AS key, at
          FROM unnest($1) WITH ORDINALITY o (output, at)) o ON o.key = (l.classid::bigint << 32 | l.objid::bigint)
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND l.pid IS NOT NULL
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    ORDER BY o.at";

/// How often the clock is asked for at most: the quickest answer says most exactly when it was.
const CLOCK_TRIES: usize = 3;
/// An answer that comes as quickly says it exactly enough: clocks that are set over the network are not much closer.
const QUICK_ANSWER: Duration = Duration::from_millis(100);

/// What tells a runner from others of the same name: its address and role.
type RunnerIdentity = (String, Option<String>, Option<String>);

impl PostgresStore {
    /// See [`Sink::runners`](rollfit_job::store::Sink::runners): those in this database, for which schema they work is not known. Of partitions
    /// only those are another's that it has claimed in this schema.
    pub(super) fn runners_with(&self, partitions: &[Partition]) -> Result<Vec<StoreRunner>, StoreError> {
        let outputs: Vec<String> = partitions.iter().map(|partition| self.output_of(partition)).collect();
        let mut session = self.pool.session()?;
        session.begin(Mode::Monitor, &self.settings);
        let mut answers = session.at_once(vec![
            Request::query("find out which runners are at work", SESSIONS, Vec::new()),
            Request::query("find out who has which partitions", CLAIMS, vec![(&outputs, Type::TEXT_ARRAY)]),
        ]);
        let sessions = answers.rows()?;
        let claims = answers.rows()?;
        session.roll_back();
        let mut claimed: HashMap<i32, Vec<&Partition>> = HashMap::new();
        for row in &claims {
            let (pid, at): (i32, i64) = (row.get(0)?, row.get(1)?);
            let partition = usize::try_from(at - 1).ok().and_then(|at| partitions.get(at));
            claimed.entry(pid).or_default().extend(partition);
        }
        join_sessions(&sessions, &claimed)
    }

    /// See [`Sink::clock_us`](rollfit_job::store::Sink::clock_us): the time at which the answer arrives.
    pub(super) fn server_clock_us(&self) -> Result<Option<i64>, StoreError> {
        const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let mut session = self.pool.session()?;
        let mut quickest = None;
        for _ in 0..CLOCK_TRIES {
            let asked = Instant::now();
            let rows = session.rows("ask for the time", CLOCK, &[])?;
            let (answered, took) = (Instant::now(), asked.elapsed());
            let told: i64 = first_value(&rows)?
                .ok_or_else(|| StoreError::new(Fault::Transient, "the server did not answer"))?;
            if quickest.is_none_or(|(_, _, shortest)| took < shortest) {
                quickest = Some((told, answered, took));
            }
            if took <= QUICK_ANSWER {
                break;
            }
        }
        let now = |(told, answered, took): (i64, Instant, Duration)| {
            let since = took / 2 + answered.elapsed();
            told.saturating_add(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
        };
        Ok(quickest.map(now))
    }
}

/// Makes runners of sessions: those with one name, address and role are one process.
fn join_sessions(
    sessions: &[AnswerRow],
    claimed: &HashMap<i32, Vec<&Partition>>,
) -> Result<Vec<StoreRunner>, StoreError> {
    let mut runners: Vec<(RunnerIdentity, StoreRunner)> = Vec::new();
    for row in sessions {
        let identity: RunnerIdentity = (row.get(1)?, row.get(2)?, row.get(3)?);
        let Some(name) = RunnerName::parse(&identity.0) else { continue };
        let (pid, started_us): (i32, Option<i64>) = (row.get(0)?, row.get(4)?);
        let (since_us, bytes): (Option<i64>, Option<i64>) = (row.get(5)?, row.get(6)?);
        let at = runners.iter().position(|(known, _)| *known == identity).unwrap_or_else(|| {
            let address = identity.1.clone();
            let runner =
                StoreRunner { name, address, sessions: Some(0), since_us: started_us, held: Vec::new() };
            runners.push((identity, runner));
            runners.len() - 1
        });
        let runner = &mut runners[at].1;
        runner.sessions = runner.sessions.map(|sessions| sessions + 1);
        runner.since_us = [runner.since_us, started_us].into_iter().flatten().min();
        let held = |partition: &&Partition| HeldPartition {
            partition: (*partition).clone(),
            since_us,
            bytes: bytes.map(i64::unsigned_abs),
        };
        runner.held.extend(claimed.get(&pid).into_iter().flatten().map(held));
    }
    Ok(runners.into_iter().map(|(_, runner)| runner).collect())
}
