//! [`GuardedStream`]: a connection, encrypted or not, of which the client library sees only what its [`MessageGuard`] lets through.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::message_guard::MessageGuard;

/// A socket.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> ByteStream for S {}

/// A socket with TLS.
type Encrypted<S> = <MakeRustlsConnect as MakeTlsConnect<S>>::Stream;

/// A socket with or without TLS.
pub(crate) enum Channel<S: ByteStream> {
    Plain(S),
    Encrypted(Box<Encrypted<S>>),
}

/// See the module.
pub(crate) struct GuardedStream<S: ByteStream> {
    channel: Channel<S>,
    guard: MessageGuard,
    /// Whether the guard has refused what the server sent.
    is_refused: bool,
}

impl<S: ByteStream> GuardedStream<S> {
    pub(crate) fn new(channel: Channel<S>, guard: MessageGuard) -> Self {
        Self { channel, guard, is_refused: false }
    }
}

impl<S: ByteStream> AsyncRead for GuardedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.is_refused {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let known_bytes = buf.filled().len();
        ready!(match &mut this.channel {
            Channel::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Channel::Encrypted(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        })?;
        let inspected = this.guard.inspect(&buf.filled()[known_bytes..]);
        this.is_refused = inspected.is_err();
        Poll::Ready(inspected.map_err(io::Error::from))
    }
}

impl<S: ByteStream> AsyncWrite for GuardedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.channel {
            Channel::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Channel::Encrypted(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.channel {
            Channel::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Channel::Encrypted(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.channel {
            Channel::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Channel::Encrypted(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

impl<S: ByteStream> TlsStream for GuardedStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.channel {
            Channel::Plain(_) => ChannelBinding::none(),
            Channel::Encrypted(stream) => stream.channel_binding(),
        }
    }
}
