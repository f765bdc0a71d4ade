//! The server and the connection to it: version, role, TLS, round-trip time and bandwidth.

use std::time::{Duration, Instant};

use rollfit_job::store::{Fault, StoreError};
use tokio_postgres::types::Type;

use crate::PostgresStore;
use crate::connection::answer_row::first_value;
use crate::connection::session::Session;

const ROUND_TRIPS: usize = 21;
/// How much older than this store a server process may seem and still be its own.
const AGE_TOLERANCE: Duration = Duration::from_secs(1);
const PROBE_BYTES_MIN: usize = 256 << 10;
const PROBE_BYTES_MAX: usize = 16 << 20;
/// A transfer of this duration is long enough to measure a rate.
const PROBE_TIME: Duration = Duration::from_millis(100);

/// The server and the connection to it.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct ServerConnection {
    /// As the server writes it, `15.8 (Debian 15.8-1)`.
    pub(crate) version: String,
    /// The role whose rights count.
    pub(crate) role: String,
    /// Whether the role may do everything.
    pub(crate) is_superuser: bool,
    /// How the connection is encrypted; none if it is not.
    pub(crate) tls: Option<Tls>,
    /// Whether the server is a read-only standby.
    pub(crate) is_standby: bool,
    /// Whether a pooler was detected. One may exist without being detected.
    pub(crate) has_pooler: bool,
    /// The median round-trip time.
    pub(crate) round_trip_ms: f64,
    /// The bandwidth to the server over one connection, for bytes that it does not store.
    pub(crate) upload_bytes_per_second: f64,
}

/// How a connection is encrypted, as the server sees it.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Tls {
    /// `TLSv1.3`.
    pub(crate) version: String,
    /// `TLS_AES_256_GCM_SHA384`.
    pub(crate) cipher: String,
}

/// The process that serves a session, and its age.
struct Backend {
    pid: i32,
    age: Duration,
}

impl PostgresStore {
    pub(super) fn examine_connection(&self) -> Result<ServerConnection, StoreError> {
        const QUESTION: &str = "
            SELECT current_setting('server_version'), current_user::text, current_setting('is_superuser') = 'on',
                   pg_is_in_recovery(), s.version, s.cipher
            FROM (SELECT) t LEFT JOIN pg_catalog.pg_stat_ssl s ON s.pid = pg_backend_pid() AND s.ssl";
        let mut session = self.pool.session()?;
        let rows = session.rows("query the server", QUESTION, &[])?;
        let row = rows.first().ok_or_else(no_answer)?;
        let (round_trip, has_pooler) = self.round_trip(&mut session)?;
        let tls = row.get::<_, Option<String>>(4)?.zip(row.get(5)?);
        Ok(ServerConnection {
            version: row.get(0)?,
            role: row.get(1)?,
            is_superuser: row.get(2)?,
            is_standby: row.get(3)?,
            tls: tls.map(|(version, cipher)| Tls { version, cipher }),
            has_pooler,
            round_trip_ms: 1e3 * round_trip.as_secs_f64(),
            upload_bytes_per_second: upload_rate(&mut session, round_trip)?,
        })
    }

    /// Returns the median of some round trips, and whether one server process, at most as old as this store, served
    /// them all.
    fn round_trip(&self, session: &mut Session) -> Result<(Duration, bool), StoreError> {
        let first = Backend::from_session(session)?;
        let mut has_pooler = first.age > self.opened_at.elapsed() + AGE_TOLERANCE;
        let mut times = Vec::new();
        for _ in 0..ROUND_TRIPS {
            let began = Instant::now();
            let rows = session.rows("measure a round trip", "SELECT pg_backend_pid()", &[])?;
            times.push(began.elapsed());
            has_pooler |= first_value(&rows)? != Some(first.pid);
        }
        times.sort();
        Ok((times[ROUND_TRIPS / 2], has_pooler))
    }
}

impl Backend {
    fn from_session(session: &mut Session) -> Result<Self, StoreError> {
        const QUESTION: &str = "
            SELECT pid, extract(epoch FROM clock_timestamp() - backend_start)::float8
            FROM pg_catalog.pg_stat_activity WHERE pid = pg_backend_pid()";
        let rows = session.rows("query the server process", QUESTION, &[])?;
        let row = rows.first().ok_or_else(no_answer)?;
        let age_s = row.get::<_, f64>(1)?.max(0.0);
        Ok(Self { pid: row.get(0)?, age: Duration::try_from_secs_f64(age_s).unwrap_or_default() })
    }
}

/// Sends growing transfers until one takes long enough. The server counts the bytes and discards them.
fn upload_rate(session: &mut Session, round_trip: Duration) -> Result<f64, StoreError> {
    let mut bytes = PROBE_BYTES_MIN;
    loop {
        let payload = vec![0_u8; bytes];
        let began = Instant::now();
        session.rows(
            "measure the bandwidth to the server",
            "SELECT octet_length($1)",
            &[(&payload, Type::BYTEA)],
        )?;
        let took = began.elapsed();
        if took >= PROBE_TIME || bytes >= PROBE_BYTES_MAX {
            let on_the_way = took.saturating_sub(round_trip).max(Duration::from_micros(1));
            return Ok(bytes as f64 / on_the_way.as_secs_f64());
        }
        bytes *= 2;
    }
}

fn no_answer() -> StoreError {
    StoreError::new(Fault::Transient, "the server did not answer")
}
