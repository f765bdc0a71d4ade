//! Three ways to look at a server's certificate: not at all, at its issuer, at its issuer and name.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::error::ConnectError;

type Verifier = Arc<dyn ServerCertVerifier>;

/// Takes any certificate.
pub(super) fn of_nothing(provider: &CryptoProvider) -> Verifier {
    Arc::new(Nothing { algorithms: provider.signature_verification_algorithms })
}

/// Takes certificates that the roots issued, whatever their name.
///
/// # Errors
/// When the roots cannot be used.
pub(super) fn of_issuer(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Verifier, ConnectError> {
    Ok(Arc::new(Issuer { complete: of_issuer_and_name(roots, provider)? }))
}

/// Takes certificates that the roots issued for the host.
///
/// # Errors
/// When the roots cannot be used.
pub(super) fn of_issuer_and_name(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Verifier, ConnectError> {
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    match builder.build() {
        Ok(verifier) => Ok(verifier),
        Err(error) => Err(ConnectError::configuration_because("sslrootcert cannot be used", error)),
    }
}

/// Looks at the chain and the name, and forgives the name: it is looked at last.
#[derive(Debug)]
struct Issuer {
    complete: Verifier,
}

impl ServerCertVerifier for Issuer {
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

/// Looks only whether the server has the key of the certificate that it shows.
#[derive(Debug)]
struct Nothing {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Nothing {
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
        forgive_unreadable(verify_tls12_signature(message, cert, dss, &self.algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        forgive_unreadable(verify_tls13_signature(message, cert, dss, &self.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A certificate of X.509's first version, as many a how-to makes, cannot be read by rustls. Whose certificate it is was
/// not asked, so that nothing is lost with its signature.
fn forgive_unreadable(
    verdict: Result<HandshakeSignatureValid, Error>,
) -> Result<HandshakeSignatureValid, Error> {
    match verdict {
        Err(Error::InvalidCertificate(CertificateError::Other(_) | CertificateError::BadEncoding)) => {
            Ok(HandshakeSignatureValid::assertion())
        }
        verdict => verdict,
    }
}
