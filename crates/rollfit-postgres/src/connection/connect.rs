//! [`Pool::connect`]: opens the sessions of a store from its configuration.

use std::sync::Arc;
use std::time::Duration;

use libpq_connect::{ConnectOptions, Environment};
use rollfit_job::config::StoreConfig;
use rollfit_job::runners::RunnerName;
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
    /// Returns the pool for the configured server, whose sessions have the name of the runner, or of a reader, unless the user gives them another.
    /// Opens no session yet.
    pub(crate) fn connect(
        store: &StoreConfig,
        purpose: Purpose,
        settings: &TransactionSettings,
        runner: &RunnerName,
    ) -> Result<Arc<Self>, StoreError> {
        let name = match purpose {
            Purpose::Read => runner.reader_within(APPLICATION_NAME_BYTES_MAX),
            Purpose::Source | Purpose::Write => runner.within(APPLICATION_NAME_BYTES_MAX),
        };
        let mut environment =
            Environment::from_process().with_url_dir(&store.url_dir).with_fallback_application_name(name);
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
