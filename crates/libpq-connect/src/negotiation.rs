//! [`Negotiation`]: asks the server for TLS as `sslmode` says, and puts the guard on what comes of it.
//!
//! tokio-postgres sees one kind of connection only, so its options ask for TLS at once: what it takes for the
//! handshake is all of this.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::config::SslMode as Encryption;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::clear_text::ClearText;
use crate::guarded_stream::{ByteStream, Channel, GuardedStream};
use crate::login::Login;
use crate::message_guard::MessageGuard;
use crate::require_auth::RequireAuth;
use crate::wait_point::WaitPoint;
use crate::wire_fault::WireFault;

/// The length of the message and the number that asks for TLS.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// What is settled for one connection before it is opened.
#[derive(Clone)]
pub(crate) struct Negotiation {
    pub(crate) tls: Option<MakeRustlsConnect>,
    pub(crate) encryption: Encryption,
    /// The host, for its certificate.
    pub(crate) host_name: String,
    pub(crate) require_auth: RequireAuth,
    /// Who could read a password sent as text, with TLS and without.
    pub(crate) clear_text_encrypted: ClearText,
    pub(crate) clear_text_plain: ClearText,
    pub(crate) row_bytes_max: Option<u64>,
    pub(crate) wait_point: WaitPoint,
}

impl Negotiation {
    async fn run<S: ByteStream>(self, stream: S) -> io::Result<GuardedStream<S>> {
        let channel = self.channel(stream).await?;
        let clear_text = match channel {
            Channel::Plain(_) => self.clear_text_plain,
            Channel::Encrypted(_) => self.clear_text_encrypted,
        };
        let login = Login::new(self.require_auth, clear_text);
        Ok(GuardedStream::new(channel, MessageGuard::new(login, self.wait_point, self.row_bytes_max)))
    }

    async fn channel<S: ByteStream>(&self, mut stream: S) -> io::Result<Channel<S>> {
        let Some(tls) = self.tls.as_ref().filter(|_| self.encryption != Encryption::Disable) else {
            return Ok(Channel::Plain(stream));
        };
        self.wait_point.set("the answer to the request for TLS");
        if !accepts_tls(&mut stream).await? {
            return match self.encryption {
                Encryption::Prefer => Ok(Channel::Plain(stream)),
                _ => Err(WireFault::NoTls.into()),
            };
        }
        self.wait_point.set("the TLS handshake");
        let Ok(connect) = MakeTlsConnect::<S>::make_tls_connect(&mut tls.clone(), &self.host_name);
        Ok(Channel::Encrypted(Box::new(connect.connect(stream).await?)))
    }
}

/// Asks for TLS. Returns the server's answer, which is one byte. Whatever follows it in plain text before the handshake was not
/// sent by the server that will hold the key, and an error text in its place could be anybody's.
async fn accepts_tls<S: ByteStream>(stream: &mut S) -> io::Result<bool> {
    stream.write_all(&SSL_REQUEST).await?;
    stream.flush().await?;
    let mut answer = [0; 2];
    match (stream.read(&mut answer).await?, answer[0]) {
        (0, _) => Err(io::ErrorKind::UnexpectedEof.into()),
        (1, b'S') => Ok(true),
        (1, b'N') => Ok(false),
        (_, b'E') => Err(WireFault::ErrorBeforeTls.into()),
        (_, b'S' | b'N') => {
            Err(WireFault::Protocol("sent plain text behind its answer to the request for TLS".to_owned())
                .into())
        }
        _ => {
            Err(WireFault::Protocol("answers the request for TLS with neither yes nor no".to_owned()).into())
        }
    }
}

impl<S: ByteStream> MakeTlsConnect<S> for Negotiation {
    type Stream = GuardedStream<S>;
    type TlsConnect = Self;
    type Error = Infallible;

    fn make_tls_connect(&mut self, _: &str) -> Result<Self, Infallible> {
        Ok(self.clone())
    }
}

impl<S: ByteStream> TlsConnect<S> for Negotiation {
    type Stream = GuardedStream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<GuardedStream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(self.run(stream))
    }
}
