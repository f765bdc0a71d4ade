//! [`WireFault`]: what a server sent that no server sends, or that the settings do not accept.

use std::error::Error;
use std::io;

/// Why a connection is given up. No text contains anything that the server said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireFault {
    /// The server does without TLS.
    #[error("the server offers no TLS")]
    NoTls,
    /// The server answered the request for TLS with an error. Nothing encrypts it, so it may be anybody's.
    #[error(
        "the server answers the request for TLS with an error, which is not shown because anybody on the way may have \
         written it: look into the server's log"
    )]
    ErrorBeforeTls,
    /// The server answers with a text instead of a message, as one does that cannot start a process for the session.
    #[error("the server cannot start a session: look into its log for why")]
    NoSession,
    /// The server breaks the protocol.
    #[error("the server {0}: this is not a PostgreSQL server, or something on the way changes what it sends")]
    Protocol(String),
    /// The server logs in, or asks for a login, in a way that the settings or this client do not accept.
    #[error("{0}")]
    Method(String),
    /// The server asks for the password as text, and anybody who answers or listens could read it.
    #[error("{0}")]
    ClearPassword(&'static str),
}

impl WireFault {
    /// Finds the fault among the causes of an error.
    pub(crate) fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        std::iter::successors(Some(error), |&error| error.source()).find_map(|cause| {
            let io_error = cause.downcast_ref::<io::Error>();
            io_error.and_then(io::Error::get_ref).and_then(|inner| inner.downcast_ref::<Self>())
        })
    }
}

impl From<WireFault> for io::Error {
    fn from(fault: WireFault) -> Self {
        Self::new(io::ErrorKind::InvalidData, fault)
    }
}

/// Returns what the server did if this side ended a connection because of it: a message that cannot come, is too long or cannot be
/// read. None if the server ended it, or the network.
pub fn server_fault(error: &tokio_postgres::Error) -> Option<String> {
    /// Messages of tokio-postgres for kinds of errors that only their message tells apart.
    const UNREADABLE: [&str; 2] = ["error parsing response from server", "unexpected message from server"];
    let text = error.to_string();
    let is_unreadable = UNREADABLE.iter().any(|message| text.starts_with(message));
    let unreadable = || WireFault::Protocol("sent a message that cannot be read, or not now".to_owned());
    let fault = WireFault::find(error).cloned().or_else(|| is_unreadable.then(unreadable));
    fault.map(|fault| fault.to_string())
}
