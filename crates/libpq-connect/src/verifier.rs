//! Three ways to verify a server's certificate: not at all, its issuer, its issuer and name.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::connect_error::ConnectError;

type Verifier = Arc<dyn ServerCertVerifier>;

/// Accepts any certificate.
pub(crate) fn accept_any(provider: &CryptoProvider) -> Verifier {
    Arc::new(AnyCertificate { algorithms: provider.signature_verification_algorithms })
}

/// Accepts certificates that one of the roots issued, for any host.
///
/// # Errors
/// When the roots cannot be used.
pub(crate) fn verify_issuer(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Verifier, ConnectError> {
    Ok(Arc::new(AnyName { complete: verify_issuer_and_name(roots, provider)? }))
}

/// Accepts certificates that one of the roots issued for the host.
///
/// # Errors
/// When the roots cannot be used.
pub(crate) fn verify_issuer_and_name(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Verifier, ConnectError> {
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    match builder.build() {
        Ok(verifier) => Ok(verifier),
        Err(error) => Err(ConnectError::configuration_because("sslrootcert cannot be used", error)),
    }
}

/// Accepts a wrong name. The name is verified last, so that everything else is right then.
#[derive(Debug)]
struct AnyName {
    complete: Verifier,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        match self.complete.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.complete.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.complete.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.complete.supported_verify_schemes()
    }
}

/// Verifies only that the server has the key of its certificate.
#[derive(Debug)]
struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        accept_unreadable(verify_tls12_signature(message, cert, dss, &self.algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        accept_unreadable(verify_tls13_signature(message, cert, dss, &self.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Accepts the signature of a certificate of X.509 version 1, which rustls cannot read. Many how-tos make such ones. Since nothing in
/// the certificate is verified, the signature adds nothing.
fn accept_unreadable(
    verdict: Result<HandshakeSignatureValid, Error>,
) -> Result<HandshakeSignatureValid, Error> {
    match verdict {
        Err(Error::InvalidCertificate(CertificateError::Other(_) | CertificateError::BadEncoding)) => {
            Ok(HandshakeSignatureValid::assertion())
        }
        verdict => verdict,
    }
}
