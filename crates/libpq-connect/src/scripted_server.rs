//! A server for tests that sends what a test wants, message by message, and certificates for one that speaks TLS.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Serves each connection with `script`, at `address`. Returns the port.
pub(crate) fn serve_at(address: &str, script: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = Arc::new(script);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, script) = (stream.unwrap(), Arc::clone(&script));
            std::thread::spawn(move || script(stream));
        }
    });
    port
}

pub(crate) fn serve(script: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    serve_at("127.0.0.1", script)
}

/// One message.
pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag], &length[..], body].concat()
}

/// A message of which only the type and the length come.
pub(crate) fn header(tag: u8, length: u32) -> Vec<u8> {
    [&[tag], &length.to_be_bytes()[..]].concat()
}

/// An authentication request.
pub(crate) fn request(code: u32, more: &[u8]) -> Vec<u8> {
    message(b'R', &[&code.to_be_bytes(), more].concat())
}

pub(crate) fn parameter(name: &str, value: &str) -> Vec<u8> {
    message(b'S', format!("{name}\0{value}\0").as_bytes())
}

pub(crate) fn notice(text: &str) -> Vec<u8> {
    message(b'N', format!("SNOTICE\0VNOTICE\0C00000\0M{text}\0\0").as_bytes())
}

pub(crate) fn error(text: &str) -> Vec<u8> {
    message(b'E', format!("SFATAL\0VFATAL\0C28000\0M{text}\0\0").as_bytes())
}

/// The start of a session after a login.
pub(crate) fn session_start() -> Vec<u8> {
    [parameter("server_version", "15.0"), message(b'K', &[0; 8]), ready()].concat()
}

pub(crate) fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

/// Reads a message without a type: the request for TLS, or the start of a connection.
pub(crate) fn read_untyped(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

/// Reads a message with a type. `None` once the client has gone.
pub(crate) fn read_typed(stream: &mut impl Read) -> Option<(u8, Vec<u8>)> {
    let mut tag = [0];
    stream.read_exact(&mut tag).ok()?;
    Some((tag[0], read_untyped(stream)?))
}

/// Sends, whether or not the client still listens, and waits until it has gone.
pub(crate) fn send_and_wait(stream: &mut (impl Read + Write), bytes: &[u8]) {
    let _ = stream.write_all(bytes).and_then(|()| stream.flush());
    let _ = std::io::copy(stream, &mut std::io::sink());
}

/// An authority with a server certificate for `localhost` and 127.0.0.1.
pub(crate) struct TestAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    key: KeyPair,
    certificate: rcgen::Certificate,
}

/// The number of the server's certificate.
const SERIAL: u64 = 77;

impl TestAuthority {
    pub(crate) fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let hosts = ["localhost", "127.0.0.1"].map(str::to_owned).to_vec();
        let mut parameters = CertificateParams::new(hosts).unwrap();
        parameters.serial_number = Some(SerialNumber::from(SERIAL));
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &issuer).unwrap();
        Self { issuer, key, certificate }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A revocation list with the server's certificate or without, to be renewed in this year.
    pub(crate) fn revocation_list(&self, revokes_server: bool, next_year: i32) -> String {
        let revoked = |serial| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2001, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2001, 1, 1),
            next_update: date_time_ymd(next_year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked(if revokes_server { SERIAL } else { SERIAL + 1 })],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// A server that agrees to TLS, shakes hands and then runs `script`. It drops clients that do not trust it.
    pub(crate) fn serve(
        &self,
        script: impl Fn(StreamOwned<ServerConnection, TcpStream>) + Send + Sync + 'static,
    ) -> u16 {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        serve(move |mut stream| {
            read_untyped(&mut stream);
            stream.write_all(b"S").unwrap();
            script(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream));
        })
    }
}
