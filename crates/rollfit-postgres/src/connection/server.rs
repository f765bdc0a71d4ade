//! The server as a whole: whether it is supported, where the tables are, and how many sessions it can spare.

use std::net::IpAddr;

use rollfit_job::store::{Fault, StoreError};
use tokio_postgres::types::Type;

use crate::connection::session::Session;
use crate::names::quoted;

/// The first version that reports the progress of a COPY, which a runner needs to detect that another one is stuck.
const VERSION_MIN: i32 = 140_000;
/// Sessions reserved for others beyond their current ones.
const HEADROOM: i64 = 2;
/// The default maximum number of sessions. It does not depend on cores: far from a server, a worker mostly waits for
/// it.
const DEFAULT_MAX: i64 = 32;

/// Returns the schema of the tables: `wanted`, or the first one that exists in search_path.
///
/// # Errors
/// When it does not exist, or the server is too old.
pub(crate) fn schema(session: &mut Session, wanted: Option<&str>) -> Result<String, StoreError> {
    const QUESTION: &str = "
        SELECT current_setting('server_version_num')::int, current_setting('server_version'),
               current_schema()::text, EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)";
    let name = wanted.unwrap_or_default();
    let rows = session.rows("look up the schema", QUESTION, &[(&name, Type::TEXT)])?;
    let row = rows.first().ok_or_else(|| StoreError::permanent("the server did not answer"))?;
    if row.get::<_, i32>(0)? < VERSION_MIN {
        let version: String = row.get(1)?;
        return Err(StoreError::permanent(format!(
            "the server is PostgreSQL {version}; rollfit needs 14 or later"
        )));
    }
    match wanted {
        Some(name) if row.get(3)? => Ok(name.to_owned()),
        Some(name) => Err(StoreError::permanent(format!(
            "schema {name} does not exist or the role cannot see it; run CREATE SCHEMA {}",
            quoted(name)
        ))),
        None => row.get::<_, Option<String>>(2)?.ok_or_else(|| {
            StoreError::permanent(
                "no schema of search_path exists, or the role may use none of them; set `schema` beside `url`, or \
                 GRANT USAGE ON SCHEMA ... TO the role",
            )
        }),
    }
}

/// The limits on the number of sessions.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SessionBudget {
    /// The maximum number of sessions that this process opens.
    pub sessions: usize,
    /// `max_connections` without those reserved for superusers and reserved roles.
    pub server_max: i64,
    /// Current sessions of others.
    pub others: i64,
    /// The limit of the role minus its current sessions; none without a limit.
    pub role_left: Option<i64>,
    /// The limit of the database minus its current sessions; none without a limit.
    pub database_left: Option<i64>,
    /// The default maximum.
    pub default_max: i64,
    /// The configured maximum, if any.
    pub configured_max: Option<usize>,
}

impl SessionBudget {
    /// Formats the maximum number of sessions and how it was computed.
    pub fn arithmetic(&self) -> String {
        let wanted = match self.configured_max {
            Some(sessions) => format!("{sessions} configured"),
            None => format!("{} by default", self.default_max),
        };
        let (server_max, others) = (self.server_max, self.others);
        let spare = format!(
            "{} spare ({server_max} connections - {others} others - {HEADROOM} headroom)",
            server_max.saturating_sub(others).saturating_sub(HEADROOM)
        );
        let limit = |left: Option<i64>, whose: &str| left.map(|left| format!("{left} left to the {whose}"));
        let limits = [limit(self.role_left, "role"), limit(self.database_left, "database")];
        let terms: Vec<String> = [wanted, spare].into_iter().chain(limits.into_iter().flatten()).collect();
        format!("{}, the lowest of {}", self.sessions, terms.join(", "))
    }
}

/// The kind of another role's session may be hidden. It then counts as a client if it has a database.
const BUDGET: &str = "
    SELECT current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
               - coalesce(current_setting('reserved_connections', true), '0')::bigint,
           (SELECT count(*) FROM pg_catalog.pg_stat_activity
            WHERE coalesce(backend_type, 'client backend') = 'client backend' AND datid IS NOT NULL AND usesysid IS NOT NULL
                AND pid <> pg_backend_pid()),
           (SELECT nullif(rolconnlimit, -1)::bigint - (SELECT count(*) FROM pg_catalog.pg_stat_activity
                WHERE usesysid = r.oid AND pid <> pg_backend_pid())
            FROM pg_catalog.pg_roles r WHERE rolname = session_user),
           (SELECT nullif(datconnlimit, -1)::bigint - (SELECT count(*) FROM pg_catalog.pg_stat_activity
                WHERE datid = d.oid AND coalesce(backend_type, 'client backend') = 'client backend'
                    AND usesysid IS NOT NULL AND pid <> pg_backend_pid())
            FROM pg_catalog.pg_database d WHERE datname = current_database())";

/// Returns how many sessions the server can spare: never more than `configured`, at least one.
///
/// # Errors
/// When the query fails.
pub(crate) fn session_budget(
    session: &mut Session,
    configured: Option<usize>,
) -> Result<SessionBudget, StoreError> {
    let rows = session.rows("query the server's connection limits", BUDGET, &[])?;
    let row = rows.first().ok_or_else(|| StoreError::new(Fault::Transient, "the server did not answer"))?;
    let (server_max, others): (i64, i64) = (row.get(0)?, row.get(1)?);
    let (role_left, database_left): (Option<i64>, Option<i64>) = (row.get(2)?, row.get(3)?);
    let wanted = configured.map_or(DEFAULT_MAX, |sessions| sessions as i64);
    let spare = [Some(server_max.saturating_sub(others).saturating_sub(HEADROOM)), role_left, database_left];
    let sessions = spare.into_iter().flatten().fold(wanted, i64::min).max(1);
    Ok(SessionBudget {
        sessions: usize::try_from(sessions).unwrap_or(1),
        server_max,
        others,
        role_left,
        database_left,
        default_max: DEFAULT_MAX,
        configured_max: configured,
    })
}

/// Returns whether the server runs on this machine; none if unknown. `leads_here` means that the connection uses a
/// socket or the loopback address, which may still lead through a tunnel or into a container.
///
/// # Errors
/// When the query fails.
pub(crate) fn is_local(session: &mut Session, leads_here: bool) -> Result<Option<bool>, StoreError> {
    const QUESTION: &str = "SELECT pg_backend_pid(), host(inet_server_addr())";
    let rows = session.rows("query the server's address", QUESTION, &[])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let address: Option<IpAddr> = row.get::<_, Option<String>>(1)?.and_then(|text| text.parse().ok());
    let is_seen = leads_here && is_server_process(row.get(0)?) || address.is_some_and(is_own_address);
    let is_elsewhere = !leads_here && address.is_some_and(|address| !address.is_loopback());
    Ok(if is_seen { Some(true) } else { is_elsewhere.then_some(false) })
}

/// Returns whether a process of this machine is a server's.
fn is_server_process(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("postgres"))
}

/// Returns whether a network address other than loopback belongs to this machine.
fn is_own_address(address: IpAddr) -> bool {
    !address.is_loopback() && std::net::UdpSocket::bind((address, 0)).is_ok()
}
