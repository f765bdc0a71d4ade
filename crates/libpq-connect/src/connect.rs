//! [`ConnectOptions::connect`]: one connection, to the first host that will do.

use tokio_postgres::Client;

use crate::connect_error::ConnectError;
use crate::connect_options::ConnectOptions;
use crate::host_attempt::{ConnectionTask, HostAttempt};
use crate::role::Role;

impl ConnectOptions {
    /// Connects to the first host that accepts the connection and is of the kind that `target_session_attrs` asks for.
    ///
    /// # Errors
    /// When the password or a certificate cannot be read, or no host will do.
    pub async fn connect(&self) -> Result<(Client, ConnectionTask), ConnectError> {
        let tls = self.tls.load()?;
        let password = self.password.fetch().await?;
        let mut failures = Vec::new();
        for role in self.role.unwrap_or(Role::Any).rounds() {
            for host in self.in_order(self.hosts.iter().collect()) {
                let attempt =
                    HostAttempt { options: self, tls: tls.as_ref(), password: &password, host, role: *role };
                match attempt.run().await {
                    Err(error) if !error.is_final() => failures.push(error),
                    end => return end,
                }
            }
        }
        Err(ConnectError::from_failures(failures))
    }
}
