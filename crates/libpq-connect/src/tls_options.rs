//! [`TlsOptions`]: `sslmode` and the other TLS parameters, for rustls. Certificates are read for each connection, because they may have
//! been renewed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio_postgres::config::SslMode as Encryption;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::connect_error::ConnectError;
use crate::environment::Environment;
use crate::revocation::RevocationLists;
use crate::settings::Settings;
use crate::verifier::{self, CertificateName};

/// The value of `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

const MODES: [(&str, SslMode); 6] = [
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

impl SslMode {
    /// Returns the word for the mode.
    pub(crate) fn name(self) -> &'static str {
        MODES.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }
}

/// Which CA certificates are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Roots {
    /// Those that the system trusts.
    System,
    /// Those in a file.
    File(PathBuf),
}

/// What is verified of a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    /// Nothing: the connection is encrypted, but the server may be anyone.
    Nothing,
    /// That one of these CAs issued it.
    Issuer(Roots),
    /// The same, and that it is for the host.
    IssuerAndName(Roots),
}

/// The client certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ClientIdentity {
    certificate: PathBuf,
    key: PathBuf,
}

/// How to use TLS.
#[derive(Clone, Debug)]
pub(crate) struct TlsOptions {
    pub(crate) mode: SslMode,
    pub(crate) verification: Verification,
    revocation: RevocationLists,
    identity: Option<ClientIdentity>,
    versions: Vec<&'static SupportedProtocolVersion>,
    sends_sni: bool,
}

impl TlsOptions {
    /// Reads the TLS parameters.
    ///
    /// # Errors
    /// When parameters contradict each other, or certificates are to be verified and no CA is given.
    pub(crate) fn new(settings: &Settings, environment: &Environment) -> Result<Self, ConnectError> {
        let mode = mode(settings)?;
        Ok(Self {
            mode,
            verification: verification(mode, settings, environment)?,
            revocation: RevocationLists::from_settings(settings, environment),
            identity: identity(settings, environment),
            versions: versions(settings)?,
            sends_sni: settings.choice("sslsni", &[("1", true), ("0", false)])?.unwrap_or(true),
        })
    }

    /// Returns options without TLS, for Unix sockets.
    pub(crate) fn none() -> Self {
        Self {
            mode: SslMode::Disable,
            verification: Verification::Nothing,
            revocation: RevocationLists::default(),
            identity: None,
            versions: Vec::new(),
            sends_sni: false,
        }
    }

    /// Returns whether to try with or without TLS, in order.
    pub(crate) fn encryptions(&self) -> &'static [Encryption] {
        match self.mode {
            SslMode::Disable => &[Encryption::Disable],
            SslMode::Allow => &[Encryption::Disable, Encryption::Require],
            SslMode::Prefer => &[Encryption::Prefer, Encryption::Disable],
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[Encryption::Require],
        }
    }

    /// Returns what the user should know: revocation lists that are given and not used.
    pub(crate) fn warning(&self) -> Option<String> {
        let is_unused = self.verification == Verification::Nothing && self.revocation.is_given();
        is_unused.then(|| {
            format!(
                "sslcrl and sslcrldir have no effect: sslmode={} does not verify the server's certificate",
                self.mode.name()
            )
        })
    }

    /// Reads the certificates. `None` without TLS.
    ///
    /// # Errors
    /// When a file cannot be read or contains something else.
    pub(crate) fn load(&self) -> Result<Option<MakeRustlsConnect>, ConnectError> {
        if self.mode == SslMode::Disable {
            return Ok(None);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = match &self.verification {
            Verification::Nothing => verifier::accept_any(&provider),
            Verification::Issuer(roots) => self.verifier(roots, CertificateName::Any, &provider)?,
            Verification::IssuerAndName(roots) => self.verifier(roots, CertificateName::OfHost, &provider)?,
        };
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&self.versions);
        let builder = builder.map_err(|error| unusable("the TLS versions", error))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &self.identity {
            Some(identity) => {
                let (chain, key) = identity.load()?;
                builder.with_client_auth_cert(chain, key).map_err(|error| identity.unusable(error))?
            }
            None => builder.with_no_client_auth(),
        };
        config.enable_sni = self.sends_sni;
        Ok(Some(MakeRustlsConnect::new(config)))
    }

    fn verifier(
        &self,
        roots: &Roots,
        name: CertificateName,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, ConnectError> {
        verifier::verify_issuer(load_roots(roots)?, &self.revocation.load()?, name, provider)
    }
}

fn mode(settings: &Settings) -> Result<SslMode, ConnectError> {
    let required = settings.get("requiressl").is_some_and(|value| value.starts_with('1'));
    let system = settings.get("sslrootcert") == Some("system");
    match settings.choice("sslmode", &MODES)? {
        Some(mode) if system && mode != SslMode::VerifyFull => {
            Err(settings.error("sslmode", "is too weak for sslrootcert=system: write sslmode=verify-full"))
        }
        Some(mode) => Ok(mode),
        None if system => Ok(SslMode::VerifyFull),
        None if required => Ok(SslMode::Require),
        None => Ok(SslMode::Prefer),
    }
}

fn verification(
    mode: SslMode,
    settings: &Settings,
    environment: &Environment,
) -> Result<Verification, ConnectError> {
    let roots = || roots(settings, environment);
    Ok(match mode {
        SslMode::Disable | SslMode::Allow | SslMode::Prefer => Verification::Nothing,
        SslMode::Require => roots().map_or(Verification::Nothing, Verification::Issuer),
        SslMode::VerifyCa => Verification::Issuer(roots().ok_or_else(|| no_roots(mode))?),
        SslMode::VerifyFull => Verification::IssuerAndName(roots().ok_or_else(|| no_roots(mode))?),
    })
}

fn roots(settings: &Settings, environment: &Environment) -> Option<Roots> {
    match settings.get("sslrootcert") {
        Some("system") => Some(Roots::System),
        Some(path) => Some(Roots::File(PathBuf::from(path))),
        None => environment.existing_home_file(".postgresql/root.crt").map(Roots::File),
    }
}

fn no_roots(mode: SslMode) -> ConnectError {
    ConnectError::configuration(format!(
        "sslmode={} needs a CA certificate: give sslrootcert=FILE with the certificate of the \
         server's CA, or sslrootcert=system for those that the system trusts",
        mode.name()
    ))
}

fn versions(settings: &Settings) -> Result<Vec<&'static SupportedProtocolVersion>, ConnectError> {
    const LOWEST: [(&str, u8); 4] = [("TLSv1.2", 2), ("TLSv1.3", 3), ("TLSv1", 2), ("TLSv1.1", 2)];
    let lowest = settings.choice("ssl_min_protocol_version", &LOWEST)?.unwrap_or(2);
    let highest = settings.choice("ssl_max_protocol_version", &LOWEST[..2])?.unwrap_or(3);
    if lowest > highest {
        return Err(settings.error("ssl_min_protocol_version", "is above ssl_max_protocol_version"));
    }
    let all = [(3, &TLS13), (2, &TLS12)];
    Ok(all.into_iter().filter(|(number, _)| (lowest..=highest).contains(number)).map(|(_, v)| v).collect())
}

/// The client certificate that the settings name, or libpq's default files.
fn identity(settings: &Settings, environment: &Environment) -> Option<ClientIdentity> {
    if settings.get("sslcertmode") == Some("disable") {
        return None;
    }
    let named = |name: &str| settings.get(name).map(PathBuf::from);
    let certificate =
        named("sslcert").or_else(|| environment.existing_home_file(".postgresql/postgresql.crt"))?;
    let key = named("sslkey").or_else(|| environment.home_file(".postgresql/postgresql.key"))?;
    Some(ClientIdentity { certificate, key })
}

impl ClientIdentity {
    fn load(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), ConnectError> {
        let chain = read_certificates("sslcert", &self.certificate)?;
        check_private(&self.key)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| match error {
            pem::Error::Io(error) => unreadable("sslkey", &self.key, error),
            // Other errors contain a part of the key.
            _ => ConnectError::configuration(format!(
                "sslkey: {} holds no private key in PEM form without a password",
                self.key.display()
            )),
        })?;
        Ok((chain, key))
    }

    fn unusable(&self, error: rustls::Error) -> ConnectError {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        unusable(&format!("the certificate {certificate} with the key {key}"), error)
    }
}

/// Only the owner may read the key; if root owns it, a group may read it too.
fn check_private(key: &Path) -> Result<(), ConnectError> {
    let metadata = fs::metadata(key).map_err(|error| unreadable("sslkey", key, error))?;
    let others = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    match metadata.mode() & others {
        0 => Ok(()),
        _ => Err(ConnectError::configuration(format!(
            "sslkey: {} can be read or changed by others: give it the mode 0600",
            key.display()
        ))),
    }
}

fn load_roots(roots: &Roots) -> Result<RootCertStore, ConnectError> {
    let (certificates, place) = match roots {
        Roots::System => (rustls_native_certs::load_native_certs().certs, "the system".to_owned()),
        Roots::File(path) => (read_certificates("sslrootcert", path)?, path.display().to_string()),
    };
    let mut store = RootCertStore::empty();
    match store.add_parsable_certificates(certificates) {
        (0, _) => Err(ConnectError::configuration(format!("sslrootcert: {place} has no usable certificate"))),
        _ => Ok(store),
    }
}

fn read_certificates(parameter: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| match error {
        pem::Error::Io(error) => unreadable(parameter, path, error),
        error => not_pem(parameter, path, Some(error)),
    })?;
    if certificates.is_empty() { Err(not_pem(parameter, path, None)) } else { Ok(certificates) }
}

pub(crate) fn unreadable(parameter: &str, path: &Path, error: std::io::Error) -> ConnectError {
    ConnectError::configuration_because(format!("{parameter}: cannot read {}", path.display()), error)
}

fn not_pem(parameter: &str, path: &Path, error: Option<pem::Error>) -> ConnectError {
    let message = format!("{parameter}: {} holds no certificates in PEM form", path.display());
    match error {
        Some(error) => ConnectError::configuration_because(message, error),
        None => ConnectError::configuration(message),
    }
}

fn unusable(what: &str, error: rustls::Error) -> ConnectError {
    ConnectError::configuration_because(format!("{what} cannot be used for TLS"), error)
}
