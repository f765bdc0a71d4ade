//! Three ways to verify a server's certificate: not at all, its issuer, its issuer and name.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::connect_error::ConnectError;

type Verifier = Arc<dyn ServerCertVerifier>;

/// Accepts any certificate.
pub(crate) fn accept_any(provider: &CryptoProvider) -> Verifier {
    Arc::new(AnyCertificate { algorithms: provider.signature_verification_algorithms })
}

/// Whether a certificate must be for the host that is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateName {
    Any,
    OfHost,
}

/// Accepts certificates that one of the roots issued and that no list revokes.
///
/// # Errors
/// When the roots or a list cannot be used.
pub(crate) fn verify_issuer(
    roots: RootCertStore,
    revocation_lists: &[CertificateRevocationListDer<'static>],
    name: CertificateName,
    provider: &Arc<CryptoProvider>,
) -> Result<Verifier, ConnectError> {
    let roots = Arc::new(roots);
    let builder = || WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider));
    // As with libpq, there must be a list for each CA of the chain, and it must not have expired.
    let complete = builder().with_crls(revocation_lists.to_vec()).enforce_revocation_expiration();
    let complete: Verifier = complete.build().map_err(unusable)?;
    // Of several lists of one CA, only one is looked into above.
    let of_list = |list: &CertificateRevocationListDer<'static>| {
        let verifier = builder().with_crls([list.clone()]).allow_unknown_revocation_status().build();
        verifier.map(|verifier| verifier as Verifier).map_err(unusable)
    };
    let mut verifiers = vec![complete];
    if revocation_lists.len() > 1 {
        for list in revocation_lists {
            verifiers.push(of_list(list)?);
        }
    }
    Ok(Arc::new(AllAgree { verifiers, name }))
}

fn unusable(error: VerifierBuilderError) -> ConnectError {
    match error {
        VerifierBuilderError::InvalidCrl(error) => ConnectError::configuration_because(
            "a revocation list (sslcrl, sslcrldir) cannot be used",
            io::Error::other(format!("{error:?}")),
        ),
        error => ConnectError::configuration_because("sslrootcert cannot be used", error),
    }
}

/// Accepts what each of several verifiers accepts.
#[derive(Debug)]
struct AllAgree {
    verifiers: Vec<Verifier>,
    name: CertificateName,
}

impl AllAgree {
    /// The one that verifies most. Signatures are the same for all.
    fn first(&self) -> &Verifier {
        &self.verifiers[0]
    }
}

impl ServerCertVerifier for AllAgree {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        for verifier in &self.verifiers {
            match verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
                // The name is verified last, so that everything else is right then.
                Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
                    if self.name == CertificateName::Any => {}
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.first().verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.first().verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.first().supported_verify_schemes()
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
