//! From what tokio-postgres and rustls say to what the user can do.

use std::error::Error;
use std::io;
use std::net::IpAddr;

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError};

use super::error::ConnectError;
use super::tls::{Roots, TlsOptions, Verification};

/// The words of tokio-postgres for kinds of errors that it does not tell apart otherwise.
const TLS: &str = "error performing TLS handshake";
const AUTHENTICATION: &str = "authentication error";
const NO_TLS: &str = "server does not support TLS";
const PASSWORD_MISSING: &str = "password missing";

/// An attempt's failure; `note` says why a file that may hold the password was passed over.
pub(super) fn failure(
    at: String,
    source: tokio_postgres::Error,
    tls: &TlsOptions,
    note: Option<&str>,
) -> ConnectError {
    if let Some(why) = tls_fault(&source, tls) {
        return ConnectError::Tls { at, why };
    }
    match source.source().is_some_and(|cause| cause.to_string() == PASSWORD_MISSING) {
        true => {
            ConnectError::NoPassword { at, note: note.map(|note| format!(" ({note})")).unwrap_or_default() }
        }
        false => ConnectError::Connection { at, source },
    }
}

/// Whether the two sides could not agree on who is who.
pub(super) fn is_about_authentication(error: &tokio_postgres::Error) -> bool {
    error.to_string() == AUTHENTICATION
}

/// What is wrong with TLS, if that is what is wrong: a handshake that broke off in the network says nothing about it.
fn tls_fault(error: &tokio_postgres::Error, tls: &TlsOptions) -> Option<String> {
    let cause = error.source()?;
    match (beneath(error), cause.downcast_ref::<io::Error>()) {
        (Some(beneath), _) => Some(explain(beneath, tls)),
        (None, Some(cause)) if cause.kind() != io::ErrorKind::InvalidInput => None,
        (None, _) if error.to_string() == TLS => Some(no_handshake(&cause.to_string(), tls)),
        (None, _) => None,
    }
}

fn no_handshake(cause: &str, tls: &TlsOptions) -> String {
    let mode = tls.mode.name();
    match cause {
        NO_TLS => format!("the server offers no TLS and sslmode={mode} asks for it: turn `ssl` on there"),
        cause => format!("the TLS handshake cannot begin: {cause}"),
    }
}

/// The error of rustls that led to this one.
fn beneath(error: &tokio_postgres::Error) -> Option<&rustls::Error> {
    let io_error = error.source()?.downcast_ref::<io::Error>()?;
    io_error.get_ref()?.downcast_ref()
}

fn explain(error: &rustls::Error, tls: &TlsOptions) -> String {
    match error {
        rustls::Error::InvalidCertificate(fault) => explain_certificate(fault, tls),
        rustls::Error::AlertReceived(alert) => explain_alert(*alert),
        error => format!("the server's TLS does not go with ours: {error}"),
    }
}

fn explain_certificate(fault: &CertificateError, tls: &TlsOptions) -> String {
    match fault {
        CertificateError::NotValidForNameContext { expected, presented } => {
            wrong_name(&expected.to_str(), presented)
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the server's certificate expired on {}: it must be renewed there", day(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the server's certificate is valid from {} on: compare the clocks", day(*not_before))
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => unknown_issuer(tls),
        CertificateError::InvalidPurposeContext { .. } | CertificateError::InvalidPurpose => {
            "the server's certificate is not one for servers".to_owned()
        }
        CertificateError::Other(other) => format!(
            "the server's certificate cannot be used ({}): it must be of X.509 version 3 and issued by a CA, not be \
             the CA's own",
            other.0
        ),
        fault => format!("the server's certificate cannot be used: {fault}"),
    }
}

/// The names in a certificate come as `DnsName("a.example")` or `IpAddress(10.0.0.1)`.
fn wrong_name(expected: &str, presented: &[String]) -> String {
    if presented.is_empty() {
        return format!(
            "the server's certificate names no host, and should be for {expected}: a common name alone does not \
             count, it needs a subjectAltName"
        );
    }
    let names: Vec<String> = presented.iter().map(|name| bare(name)).collect();
    format!(
        "the server's certificate is for {}, not {expected}: connect by the name it is for, or have one issued for \
         {expected}",
        names.join(", ")
    )
}

fn bare(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    let address = inner.parse::<IpAddr>().map(|address| address.to_string());
    address.unwrap_or_else(|_| inner.trim_matches('"').to_owned())
}

fn unknown_issuer(tls: &TlsOptions) -> String {
    let place = match &tls.verification {
        Verification::Issuer(Roots::File(path)) | Verification::IssuerAndName(Roots::File(path)) => {
            format!("the certificates in {}", path.display())
        }
        _ => "the certificates that the system trusts".to_owned(),
    };
    format!(
        "the server's certificate was not issued by any of {place}: give the certificate of the server's CA with \
         sslrootcert"
    )
}

fn explain_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "the server asks for a client certificate: give sslcert and sslkey".to_owned()
        }
        AlertDescription::UnknownCA | AlertDescription::BadCertificate | AlertDescription::DecryptError => {
            "the server does not accept our client certificate (sslcert)".to_owned()
        }
        AlertDescription::CertificateExpired => "our client certificate (sslcert) has expired".to_owned(),
        AlertDescription::ProtocolVersion => "the server offers no TLS version that is still safe".to_owned(),
        alert => format!("the server ended the TLS connection ({alert:?})"),
    }
}

fn day(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).ok();
    let timestamp = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    timestamp
        .map_or_else(|| "a day far away".to_owned(), |timestamp| timestamp.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rustls::pki_types::ServerName;

    use super::*;

    fn words(fault: CertificateError) -> String {
        let verification = Verification::IssuerAndName(Roots::File(PathBuf::from("/ca.pem")));
        let mut tls = TlsOptions::none();
        tls.verification = verification;
        explain(&rustls::Error::InvalidCertificate(fault), &tls)
    }

    fn time(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
    }

    #[test]
    fn a_wrong_name_is_told_with_the_names_in_the_certificate() {
        let expected = ServerName::try_from("localhost").unwrap();
        let presented = ["DnsName(\"other.example\")", "IpAddress(0::1)"].map(str::to_owned).to_vec();
        let told = words(CertificateError::NotValidForNameContext { expected: expected.clone(), presented });
        assert!(
            told.starts_with("the server's certificate is for other.example, ::1, not localhost: "),
            "{told}"
        );
        let told = words(CertificateError::NotValidForNameContext { expected, presented: Vec::new() });
        assert!(told.contains("names no host") && told.contains("subjectAltName"), "{told}");
    }

    #[test]
    fn a_certificate_out_of_its_time_is_told_with_the_day() {
        let told = words(CertificateError::ExpiredContext { time: time(9), not_after: time(86_400) });
        assert!(told.contains("expired on 1970-01-02"), "{told}");
        let told = words(CertificateError::NotValidYetContext { time: time(9), not_before: time(86_400) });
        assert!(told.contains("valid from 1970-01-02 on"), "{told}");
        let far = UnixTime::since_unix_epoch(std::time::Duration::MAX);
        assert!(words(CertificateError::ExpiredContext { time: far, not_after: far }).contains("far away"));
    }

    #[test]
    fn an_unknown_issuer_is_told_with_the_file_that_lacks_it_and_the_parameter() {
        let told = words(CertificateError::UnknownIssuer);
        assert!(told.contains("/ca.pem") && told.contains("sslrootcert"), "{told}");
    }
}
