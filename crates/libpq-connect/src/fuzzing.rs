//! [`server_bytes`]: any bytes in place of a server, for fuzz targets and a test.

use std::future::Future;

use tokio::io::AsyncWriteExt;
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode as Encryption, SslNegotiation};

use crate::clear_text::ClearText;
use crate::negotiation::Negotiation;
use crate::require_auth::RequireAuth;
use crate::wait_point::WaitPoint;

/// More bytes than a run of a fuzzer sends, so that all are there before the first is read.
const SENT_BYTES_MAX: usize = 1 << 20;

/// Connects to a server that sends these bytes and then closes the connection, and asks it a query of each kind. Returns whether it let
/// the client in. The bytes begin with the answer to the login.
#[doc(hidden)]
pub fn server_bytes(bytes: &[u8]) -> bool {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return false };
    runtime.block_on(async {
        let (stream, mut server) = tokio::io::duplex(SENT_BYTES_MAX);
        let bytes = &bytes[..bytes.len().min(SENT_BYTES_MAX)];
        // The client has not begun, so that nothing can fail.
        let _ = server.write_all(bytes).await;
        // Half of it closes: what the client writes is not read, and does not fail either.
        let _ = server.shutdown().await;
        let negotiation = Negotiation {
            tls: None,
            encryption: Encryption::Disable,
            host_name: "localhost".to_owned(),
            require_auth: RequireAuth::any(),
            clear_text_encrypted: ClearText::Accepted,
            clear_text_plain: ClearText::Accepted,
            row_bytes_max: Some(SENT_BYTES_MAX as u64),
            wait_point: WaitPoint::new("the connection"),
        };
        let mut config = Config::new();
        config.user("user").password("password").ssl_mode(Encryption::Require);
        config.ssl_negotiation(SslNegotiation::Direct);
        let Ok((client, connection)) = config.connect_raw(stream, negotiation).await else { return false };
        let ask = async {
            let _ = client.simple_query("SELECT").await;
            let _ = client.query_typed("SELECT", &[]).await;
            let _ = client.copy_out("COPY t TO STDOUT").await.map(drop);
        };
        end_of_both(ask, connection).await;
        true
    })
}

/// Waits until one side has ended: the client has what it asked for, or the connection is closed.
async fn end_of_both<T>(ask: impl Future<Output = ()>, connection: impl Future<Output = T>) {
    let (mut ask, mut connection) = (std::pin::pin!(ask), std::pin::pin!(connection));
    std::future::poll_fn(|context| {
        let is_closed = connection.as_mut().poll(context).is_ready();
        let is_answered = ask.as_mut().poll(context).is_ready();
        if is_closed || is_answered { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted_server::{message, notice, parameter, ready, request, session_start};

    /// Messages of a server, of which random bytes are changed, left out or repeated.
    #[test]
    fn any_bytes_end_a_connection_and_nothing_else() {
        let mut random = fastrand::Rng::with_seed(20_170_101);
        let login = [request(0, b""), session_start()].concat();
        assert!(server_bytes(&login));
        let messages = [
            login.clone(),
            request(10, b"SCRAM-SHA-256\0\0"),
            request(3, b""),
            notice("n"),
            parameter("a", "b"),
            message(b'T', b"\0\x01a\0\0\0\0\0\0\0\0\0\0\x19\0\x04\xff\xff\xff\xff\0\0"),
            message(b'D', b"\0\x01\0\0\0\x01x"),
            message(b'C', b"SELECT 1\0"),
            message(b't', b"\0\0"),
            message(b'H', b"\0\0\0"),
            message(b'd', b"x"),
            [message(b'1', b""), message(b'2', b""), message(b'n', b""), message(b'c', b""), ready()]
                .concat(),
        ];
        let mut let_in = 0;
        for _ in 0..20_000 {
            let mut bytes = if random.bool() { login.clone() } else { Vec::new() };
            for _ in 0..random.usize(1..8) {
                bytes.extend(&messages[random.usize(..messages.len())]);
            }
            for _ in 0..random.usize(..4) {
                let at = random.usize(..bytes.len());
                bytes[at] = if random.bool() { random.u8(..) } else { 0 };
            }
            bytes.truncate(random.usize(bytes.len() / 2..=bytes.len()));
            let_in += usize::from(server_bytes(&bytes));
        }
        assert!(let_in > 2_500, "{let_in}");
    }
}
