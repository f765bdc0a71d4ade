//! [`ConnectError`]: why there is no connection, and whether another host or a later attempt could succeed.

use std::error::Error;
use std::io;
use std::time::Duration;

use tokio_postgres::error::SqlState;

/// What the system or a library said.
type Source = Box<dyn Error + Send + Sync>;

/// Why there is no connection. No message contains a password, the URL, a password command or its output.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// A setting cannot be used: in the URL, the service file, a variable, or a file that they name.
    #[error("{message}")]
    Configuration {
        /// What is wrong, where, and what to do.
        message: String,
        /// What the system or a library said.
        source: Option<Source>,
    },
    /// The password command returned no password.
    #[error("the password command {why}")]
    PasswordCommand {
        /// What it did instead, and what to do.
        why: String,
        /// What the system said.
        source: Option<io::Error>,
    },
    /// The server asks for a password and there is none.
    #[error(
        "cannot connect to {at}: the server asks for a password; give PGPASSWORD, a line in ~/.pgpass or a password \
         command{}",
        warning.as_ref().map(|warning| format!(" ({warning})")).unwrap_or_default()
    )]
    NoPassword {
        /// The user, host and database.
        at: String,
        /// Why the password file is not used, if it is not.
        warning: Option<String>,
    },
    /// The host's name has no address.
    #[error("cannot connect to {at}: the host's name cannot be resolved")]
    UnknownHost {
        /// The user, host and database.
        at: String,
        /// What the system said.
        source: io::Error,
    },
    /// The server did not answer in time.
    #[error("cannot connect to {at}: no answer within {} s (connect_timeout) while waiting for {waited_for}", limit.as_secs_f64())]
    TimedOut {
        /// The user, host and database.
        at: String,
        /// The time limit.
        limit: Duration,
        /// What had not come by then.
        waited_for: &'static str,
    },
    /// The socket in a directory cannot be connected to.
    #[error("cannot connect to {at}: error connecting to server")]
    NoSocket {
        /// The user, host and database.
        at: String,
        /// What the system said.
        source: io::Error,
    },
    /// The server has no session to give now: it sends a text in place of a message.
    #[error("cannot connect to {at}: {why}")]
    NoSession {
        /// The user, host and database.
        at: String,
        /// What it did and what to do.
        why: String,
        /// Whether that was its answer to the request for TLS.
        is_before_tls: bool,
    },
    /// The server breaks the protocol.
    #[error("cannot connect to {at}: {why}")]
    Protocol {
        /// The user, host and database.
        at: String,
        /// What it did.
        why: String,
    },
    /// The server asks for a login, or offers one, that `require_auth` or this client does not accept.
    #[error("cannot connect to {at}: {why}")]
    Authentication {
        /// The user, host and database.
        at: String,
        /// What it asks for and what to do.
        why: String,
    },
    /// The server asks for the password in clear text, and others than the server that is meant could read it.
    #[error("cannot connect to {at}: {why}")]
    ClearPassword {
        /// The user, host and database.
        at: String,
        /// Who could read it and what to do.
        why: String,
    },
    /// The two sides cannot agree on TLS, or a certificate is not accepted.
    #[error("cannot connect to {at}: {why}")]
    Tls {
        /// The user, host and database.
        at: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// The server is not of the kind that `target_session_attrs` asks for.
    #[error("cannot use {at}: target_session_attrs={wanted}, and this server {is}")]
    WrongRole {
        /// The user, host and database.
        at: String,
        /// The value of `target_session_attrs`.
        wanted: &'static str,
        /// What the server is instead.
        is: &'static str,
    },
    /// The connection broke, or the server refused it.
    #[error("cannot connect to {at}")]
    Connection {
        /// The user, host and database.
        at: String,
        /// What the system or the server said.
        source: tokio_postgres::Error,
    },
    /// Several attempts failed, for several hosts or addresses.
    #[error("all {} connection attempts failed: {}", failures.len(), describe(failures))]
    AllFailed {
        /// The error of each attempt, in order.
        failures: Vec<ConnectError>,
    },
}

impl ConnectError {
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::Configuration { message: message.into(), source: None }
    }

    pub(crate) fn configuration_because(message: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Configuration { message: message.into(), source: Some(source.into()) }
    }

    /// Makes one error of the failures of all hosts.
    pub(crate) fn from_failures(mut failures: Vec<Self>) -> Self {
        match (failures.len(), failures.pop()) {
            (1, Some(only)) => only,
            (_, last) => Self::AllFailed { failures: failures.into_iter().chain(last).collect() },
        }
    }

    /// Returns the server's code if the server refused the connection.
    pub fn sqlstate(&self) -> Option<&SqlState> {
        match self {
            Self::Connection { source, .. } => source.code(),
            Self::AllFailed { failures } => failures.iter().rev().find_map(Self::sqlstate),
            _ => None,
        }
    }

    /// Returns whether a server exists and gives no connection at the moment: it is starting, stopping or full, or ended the session.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connection { source, .. } => is_transient(source) || is_server_full(source),
            Self::NoSocket { source, .. } => is_broken_off(source.kind()),
            Self::NoSession { .. } => true,
            Self::AllFailed { failures } => failures.iter().any(Self::is_transient),
            _ => false,
        }
    }

    /// Returns whether the server, or the pooler before it, has no room for another connection.
    pub fn is_server_full(&self) -> bool {
        match self {
            Self::Connection { source, .. } => is_server_full(source),
            Self::AllFailed { failures } => failures.iter().any(Self::is_server_full),
            _ => false,
        }
    }

    /// Returns whether one side does not accept the login of the other: the user, the password, or how it is asked for.
    pub fn is_login_refused(&self) -> bool {
        let is_refused_here = matches!(self, Self::Authentication { .. } | Self::ClearPassword { .. });
        is_refused_here || self.sqlstate().is_some_and(|code| code.code().starts_with("28"))
    }

    /// Returns whether another host need not be tried: the error is about this side, not about the host.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Configuration { .. } | Self::PasswordCommand { .. } => true,
            Self::NoPassword { .. } | Self::Tls { .. } => true,
            Self::Authentication { .. } | Self::ClearPassword { .. } => true,
            Self::Connection { source, .. } => is_refusal(source),
            Self::UnknownHost { .. } | Self::TimedOut { .. } => false,
            Self::NoSocket { .. } | Self::NoSession { .. } | Self::Protocol { .. } => false,
            Self::WrongRole { .. } | Self::AllFailed { .. } => false,
        }
    }

    /// Returns whether the same server may accept a connection with, or without, TLS.
    pub(crate) fn is_about_encryption(&self) -> bool {
        let no_entry = Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
        let is_before_tls = matches!(self, Self::NoSession { is_before_tls: true, .. });
        is_before_tls || matches!(self, Self::Tls { .. }) || self.sqlstate() == no_entry
    }
}

/// Whether the server answered, and the answer was no. A server that is starting or stopping has not answered yet.
fn is_refusal(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(code) => *code != SqlState::CANNOT_CONNECT_NOW,
        None => is_about_authentication(error),
    }
}

/// Whether authentication failed on this side: the server did not refuse it. Only the message of tokio-postgres says so.
fn is_about_authentication(error: &tokio_postgres::Error) -> bool {
    const AUTHENTICATION: &str = "authentication error";
    error.to_string() == AUTHENTICATION
}

fn is_server_full(error: &tokio_postgres::Error) -> bool {
    // Poolers say it in words only.
    const POOLER_FULL: &str = "no more connections allowed";
    error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS)
        || error.as_db_error().is_some_and(|refusal| refusal.message().contains(POOLER_FULL))
}

fn is_transient(error: &tokio_postgres::Error) -> bool {
    const CODES: [&str; 10] =
        ["53200", "53300", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "08001", "08006"];
    if let Some(code) = error.code() {
        return CODES.contains(&code.code());
    }
    // A server that closes the connection in the middle of a message.
    const BROKEN_OFF: &str = "error communicating with the server";
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    let is_broken_off = cause.is_some_and(|cause| is_broken_off(cause.kind()));
    error.is_closed() || is_broken_off || error.to_string().starts_with(BROKEN_OFF)
}

fn is_broken_off(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

fn describe(failures: &[ConnectError]) -> String {
    failures.iter().map(|failure| causes(failure).join(": ")).collect::<Vec<_>>().join("; ")
}

fn causes(error: &ConnectError) -> Vec<String> {
    let chain = std::iter::successors(Some(error as &dyn Error), |&error| error.source());
    chain.map(ToString::to_string).collect()
}
