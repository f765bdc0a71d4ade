//! Turns what tokio-postgres and rustls say into what is wrong and what to do.

use std::error::Error;
use std::io;
use std::net::IpAddr;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError};

use crate::connect_error::ConnectError;
use crate::tls_options::{Roots, TlsOptions, Verification};
use crate::wire_fault::WireFault;

/// Messages of tokio-postgres for kinds of errors that only their message tells apart.
const TLS: &str = "error performing TLS handshake";
const PASSWORD_MISSING: &str = "password missing";

/// The last year in which certificates can end.
const YEAR_MAX: u64 = 9999;

/// The error of an attempt; `warning` says why a password file is not used.
pub(crate) fn failure(
    at: String,
    source: tokio_postgres::Error,
    tls: &TlsOptions,
    warning: Option<&str>,
) -> ConnectError {
    if let Some(fault) = WireFault::find(&source) {
        return wire_failure(at, fault, tls);
    }
    if let Some(why) = tls_fault(&source, tls) {
        return ConnectError::Tls { at, why };
    }
    match source.source().is_some_and(|cause| cause.to_string() == PASSWORD_MISSING) {
        true => ConnectError::NoPassword { at, warning: warning.map(str::to_owned) },
        false => ConnectError::Connection { at, source },
    }
}

/// The error of what the server did.
fn wire_failure(at: String, fault: &WireFault, tls: &TlsOptions) -> ConnectError {
    let why = fault.to_string();
    match fault {
        WireFault::NoTls => {
            let mode = tls.mode.name();
            ConnectError::Tls {
                at,
                why: format!("{why} and sslmode={mode} asks for it: turn on `ssl` on the server"),
            }
        }
        WireFault::ErrorBeforeTls => ConnectError::NoSession { at, why, is_before_tls: true },
        WireFault::NoSession => ConnectError::NoSession { at, why, is_before_tls: false },
        WireFault::Protocol(_) => ConnectError::Protocol { at, why },
        WireFault::Method(_) => ConnectError::Authentication { at, why },
        WireFault::ClearPassword(_) => ConnectError::ClearPassword { at, why },
    }
}

/// What is wrong with TLS, if TLS is what is wrong. A handshake that the network broke off says nothing about TLS.
fn tls_fault(error: &tokio_postgres::Error, tls: &TlsOptions) -> Option<String> {
    let cause = error.source()?;
    match (rustls_error(error), cause.downcast_ref::<io::Error>()) {
        (Some(error), _) => Some(explain(error, tls)),
        (None, Some(cause)) if cause.kind() != io::ErrorKind::InvalidInput => None,
        (None, _) if error.to_string() == TLS => Some(format!("the TLS handshake cannot start: {cause}")),
        (None, _) => None,
    }
}

/// The error of rustls that caused this one.
fn rustls_error(error: &tokio_postgres::Error) -> Option<&rustls::Error> {
    let io_error = error.source()?.downcast_ref::<io::Error>()?;
    io_error.get_ref()?.downcast_ref()
}

fn explain(error: &rustls::Error, tls: &TlsOptions) -> String {
    match error {
        rustls::Error::InvalidCertificate(fault) => explain_certificate(fault, tls),
        rustls::Error::AlertReceived(alert) => explain_alert(*alert),
        error => format!("the TLS handshake failed: {error}"),
    }
}

fn explain_certificate(fault: &CertificateError, tls: &TlsOptions) -> String {
    match fault {
        CertificateError::NotValidForNameContext { expected, presented } => {
            wrong_name(&expected.to_str(), presented)
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            format!(
                "the server's certificate expired on {}: it must be renewed on the server",
                date(*not_after)
            )
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the server's certificate is not valid before {}: compare the clocks", date(*not_before))
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => unknown_issuer(tls),
        CertificateError::Revoked => {
            "the server's certificate has been revoked (sslcrl): it must be replaced on the server".to_owned()
        }
        CertificateError::UnknownRevocationStatus => {
            "no revocation list covers the server's certificate: give the list of each CA of its chain with sslcrl or \
             sslcrldir"
                .to_owned()
        }
        CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => {
            "the revocation list of the server's CA has expired: get the present one from the CA (sslcrl)".to_owned()
        }
        CertificateError::InvalidPurposeContext { .. } | CertificateError::InvalidPurpose => {
            "the server's certificate is not meant for servers".to_owned()
        }
        CertificateError::Other(other) => format!(
            "the server's certificate cannot be used ({}): it must be of X.509 version 3 and issued by a CA, not \
             the certificate of the CA itself",
            other.0
        ),
        fault => format!("the server's certificate cannot be used: {fault}"),
    }
}

/// The names in a certificate come as `DnsName("a.example")` or `IpAddress(10.0.0.1)`.
fn wrong_name(expected: &str, presented: &[String]) -> String {
    if presented.is_empty() {
        return format!(
            "the server's certificate names no host, and should be for {expected}: it needs a subjectAltName, a \
             common name is not enough"
        );
    }
    let names: Vec<String> = presented.iter().map(|name| bare(name)).collect();
    format!(
        "the server's certificate is for {}, not {expected}: connect by a name in the certificate, or have one issued \
         for {expected}",
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
        AlertDescription::ProtocolVersion => {
            "the server offers no TLS version that is allowed (TLS 1.2 or 1.3)".to_owned()
        }
        alert => format!("the server ended the TLS connection ({alert:?})"),
    }
}

/// The date in UTC.
fn date(time: UnixTime) -> String {
    let mut days = time.as_secs() / 86_400;
    let mut year = 1970;
    while days >= days_in_year(year) {
        days -= days_in_year(year);
        year += 1;
        if year > YEAR_MAX {
            return format!("a day after {YEAR_MAX}");
        }
    }
    let mut month = 0;
    while days >= days_in_month(year, month) {
        days -= days_in_month(year, month);
        month += 1;
    }
    format!("{year}-{:02}-{:02}", month + 1, days + 1)
}

fn days_in_year(year: u64) -> u64 {
    (0..12).map(|month| days_in_month(year, month)).sum()
}

/// The days of a month, where 0 is January.
fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        1 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
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
    fn a_wrong_name_is_reported_with_the_names_in_the_certificate() {
        let expected = ServerName::try_from("localhost").unwrap();
        let presented = ["DnsName(\"other.example\")", "IpAddress(0::1)"].map(str::to_owned).to_vec();
        let text = words(CertificateError::NotValidForNameContext { expected: expected.clone(), presented });
        assert!(
            text.starts_with("the server's certificate is for other.example, ::1, not localhost: "),
            "{text}"
        );
        let text = words(CertificateError::NotValidForNameContext { expected, presented: Vec::new() });
        assert!(text.contains("names no host") && text.contains("subjectAltName"), "{text}");
    }

    #[test]
    fn an_expired_certificate_is_reported_with_its_date() {
        let text = words(CertificateError::ExpiredContext { time: time(9), not_after: time(86_400) });
        assert!(text.contains("expired on 1970-01-02"), "{text}");
        let text = words(CertificateError::NotValidYetContext { time: time(9), not_before: time(86_400) });
        assert!(text.contains("not valid before 1970-01-02"), "{text}");
        let far = UnixTime::since_unix_epoch(std::time::Duration::MAX);
        assert!(words(CertificateError::ExpiredContext { time: far, not_after: far }).contains("after 9999"));
        for (seconds, day) in
            [(951_782_400, "2000-02-29"), (1_798_675_199, "2026-12-30"), (4_107_542_400, "2100-03-01")]
        {
            assert_eq!(date(time(seconds)), day);
        }
    }

    #[test]
    fn an_unknown_issuer_is_reported_with_the_file_and_the_parameter() {
        let text = words(CertificateError::UnknownIssuer);
        assert!(text.contains("/ca.pem") && text.contains("sslrootcert"), "{text}");
    }
}
