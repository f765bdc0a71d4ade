//! [`ConnectError`]: why there is no connection, and whether another host could have given one. No message holds a
//! password, a URL, a password command or its output.

use std::error::Error;
use std::io;
use std::time::Duration;

use tokio_postgres::error::SqlState;

/// What led to an error, where the system or a library said it.
type Cause = Box<dyn Error + Send + Sync>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConnectError {
    /// What the user wrote, in the URL or around it, cannot be used.
    #[error("{message}")]
    Configuration {
        /// What is wrong, where, and what to do.
        message: String,
        /// What the system said.
        source: Option<Cause>,
    },
    /// The password command gave no password.
    #[error("the password command {why}")]
    PasswordCommand {
        /// What it did instead, and what to do.
        why: String,
        /// What the system said.
        source: Option<io::Error>,
    },
    /// The server wants a password and there is none.
    #[error(
        "cannot connect to {at}: the server asks for a password; give PGPASSWORD, a line in ~/.pgpass or a password \
         command{note}"
    )]
    NoPassword {
        /// The user, host and database.
        at: String,
        /// Why a file that may hold one was passed over.
        note: String,
    },
    /// A host's name stands for no address.
    #[error("cannot connect to {at}: the host's name cannot be resolved")]
    Name {
        /// The user, host and database.
        at: String,
        /// What the system said.
        source: io::Error,
    },
    /// No answer in time.
    #[error("cannot connect to {at}: no answer within {} s (connect_timeout)", limit.as_secs_f64())]
    TimedOut {
        /// The user, host and database.
        at: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The two sides cannot agree on TLS, or the server's certificate does not pass.
    #[error("cannot connect to {at}: {why}")]
    Tls {
        /// The user, host and database.
        at: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// A server of another kind than `target_session_attrs` asks for.
    #[error("cannot use {at}: target_session_attrs={wanted}, and this server {is}")]
    Role {
        /// The user, host and database.
        at: String,
        /// What was asked for.
        wanted: &'static str,
        /// What was found.
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
    /// Several hosts, and none of them would do.
    #[error("none of {} attempts led to a connection: {}", failures.len(), told(failures))]
    Hosts {
        /// What was wrong with each, in the order they were tried.
        failures: Vec<ConnectError>,
    },
}

impl ConnectError {
    /// Something that the user wrote and that cannot be used.
    pub(super) fn configuration(message: impl Into<String>) -> Self {
        Self::Configuration { message: message.into(), source: None }
    }

    /// The same, with what the system or a library said about it.
    pub(super) fn configuration_because(message: impl Into<String>, source: impl Into<Cause>) -> Self {
        Self::Configuration { message: message.into(), source: Some(source.into()) }
    }

    /// The failures of all hosts as one.
    pub(super) fn of_hosts(mut failures: Vec<Self>) -> Self {
        match (failures.len(), failures.pop()) {
            (1, Some(only)) => only,
            (_, last) => Self::Hosts { failures: failures.into_iter().chain(last).collect() },
        }
    }

    /// The server's code for the refusal, if it was the server that refused.
    pub(crate) fn sqlstate(&self) -> Option<&SqlState> {
        match self {
            Self::Connection { source, .. } => source.code(),
            Self::Hosts { failures } => failures.iter().rev().find_map(Self::sqlstate),
            _ => None,
        }
    }

    /// Whether a server is there that gives no connection now: it starts, stops, is full, or ended the session.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Connection { source, .. } => is_passing(source),
            Self::Hosts { failures } => failures.iter().any(Self::may_pass),
            _ => false,
        }
    }

    /// Whether it is no use to ask another host: the answer is about us, not about the host.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Configuration { .. } | Self::PasswordCommand { .. } => true,
            Self::NoPassword { .. } | Self::Tls { .. } => true,
            Self::Connection { source, .. } => is_refusal(source),
            Self::Name { .. } | Self::TimedOut { .. } | Self::Role { .. } | Self::Hosts { .. } => false,
        }
    }

    /// Whether the same server may agree to a connection with, or without, TLS.
    pub(super) fn is_about_encryption(&self) -> bool {
        let no_entry = Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
        matches!(self, Self::Tls { .. }) || self.sqlstate() == no_entry
    }
}

/// Whether the server answered, and the answer was no. One that is only starting or stopping has not answered yet.
fn is_refusal(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(code) => *code != SqlState::CANNOT_CONNECT_NOW,
        None => super::explain::is_about_authentication(error),
    }
}

fn is_passing(error: &tokio_postgres::Error) -> bool {
    const CODES: [&str; 10] =
        ["53200", "53300", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "08001", "08006"];
    if let Some(code) = error.code() {
        return CODES.contains(&code.code());
    }
    // A server that closes the connection in the midst of a message.
    const BROKEN_OFF: &str = "error communicating with the server";
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    let is_broken_off = cause.is_some_and(|cause| is_broken_off(cause.kind()));
    error.is_closed() || is_broken_off || error.to_string().starts_with(BROKEN_OFF)
}

fn is_broken_off(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

fn told(failures: &[ConnectError]) -> String {
    failures.iter().map(|failure| causes(failure).join(": ")).collect::<Vec<_>>().join("; ")
}

fn causes(error: &ConnectError) -> Vec<String> {
    let chain = std::iter::successors(Some(error as &dyn Error), |&error| error.source());
    chain.map(ToString::to_string).collect()
}
