//! [`Pool::connect`]: opens the sessions of a store from its configuration.

use std::sync::Arc;
use std::time::Duration;

use libpq_connect::{ConnectOptions, Environment};
use rollfit_job::config::StoreConfig;
use rollfit_job::store::{Fault, Purpose, StoreError};

use crate::connection::fault::not_connected;
use crate::connection::pool::Pool;
use crate::connection::session::TransactionSettings;

/// How much longer than the server's own timeout to wait for an answer.
const REPLY_GRACE: Duration = Duration::from_secs(15);

/// More than the catalogue of any database and all receipts. Series and features are read by COPY, which this does not limit.
const ROW_BYTES_MAX: u64 = 256 << 20;

/// The maximum length of an `application_name` that the server keeps.
const APPLICATION_NAME_BYTES_MAX: usize = 63;

impl Pool {
    /// Returns the pool for the configured server. Opens no session yet.
    pub(crate) fn connect(
        store: &StoreConfig,
        purpose: Purpose,
        settings: &TransactionSettings,
    ) -> Result<Arc<Self>, StoreError> {
        let mut environment = Environment::from_process()
            .with_url_dir(&store.url_dir)
            .with_fallback_application_name(application_name());
        if let Some(command) = &store.password_command {
            environment = environment.with_password_command(command, &store.password_command_dir);
        }
        let mut options = ConnectOptions::parse(&store.url, &environment)
            .map_err(|error| not_connected(&error, Fault::Permanent))?;
        if purpose == Purpose::Write {
            options.default_to_read_write();
        }
        Ok(Self::new(options.with_row_bytes_max(ROW_BYTES_MAX), settings.statement + REPLY_GRACE))
    }
}

/// `rollfit PID@HOST`, so that the process can be identified in the server's list of sessions.
fn application_name() -> String {
    let system = rustix::system::uname();
    let mut name = format!("rollfit {}@{}", std::process::id(), system.nodename().to_string_lossy());
    name.truncate(name.floor_char_boundary(APPLICATION_NAME_BYTES_MAX));
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_carry_the_process_in_their_name() {
        let name = application_name();
        assert!(name.starts_with(&format!("rollfit {}@", std::process::id())), "{name}");
        assert!(name.len() <= APPLICATION_NAME_BYTES_MAX);
    }
}
