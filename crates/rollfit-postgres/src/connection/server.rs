//! The server as a whole: whether it is supported, where the tables are, and whether it runs on this machine.

use std::net::IpAddr;

use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::connection::session::Session;
use crate::names::quoted;

/// The first version that reports the progress of a COPY, which a runner needs to detect that another one is stuck.
const VERSION_MIN: i32 = 140_000;
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
