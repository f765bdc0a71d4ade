//! libpq's connection parameters: their names, their variables, and whether they are supported. None that matters to security is
//! ignored.

/// One parameter, under its name in URLs and service files.
pub(crate) struct ConnectParameter {
    pub(crate) name: &'static str,
    pub(crate) variable: Option<&'static str>,
    pub(crate) support: Support,
}

/// What happens to a parameter that is set.
pub(crate) enum Support {
    /// It is supported.
    Supported,
    /// It is accepted and has no effect.
    NoEffect,
    /// It is ignored, with a warning that says why.
    Ignored(&'static str),
    /// Other values than these are errors that say why.
    Only(&'static [&'static str], &'static str),
}

use Support::{Ignored, NoEffect, Only, Supported};

const NO_KERBEROS: &str = "Kerberos is not supported";

/// All parameters.
pub(crate) static PARAMETERS: [ConnectParameter; 42] = [
    parameter("host", Some("PGHOST"), Supported),
    parameter("hostaddr", Some("PGHOSTADDR"), Supported),
    parameter("port", Some("PGPORT"), Supported),
    parameter("dbname", Some("PGDATABASE"), Supported),
    parameter("user", Some("PGUSER"), Supported),
    parameter("password", Some("PGPASSWORD"), Supported),
    parameter("passfile", Some("PGPASSFILE"), Supported),
    parameter("service", Some("PGSERVICE"), Supported),
    parameter("options", Some("PGOPTIONS"), Supported),
    parameter("application_name", Some("PGAPPNAME"), Supported),
    parameter("fallback_application_name", None, Supported),
    parameter("connect_timeout", Some("PGCONNECT_TIMEOUT"), Supported),
    parameter("target_session_attrs", Some("PGTARGETSESSIONATTRS"), Supported),
    parameter("load_balance_hosts", Some("PGLOADBALANCEHOSTS"), Supported),
    parameter("channel_binding", Some("PGCHANNELBINDING"), Supported),
    parameter("keepalives", None, Supported),
    parameter("keepalives_idle", None, Supported),
    parameter("keepalives_interval", None, Supported),
    parameter("keepalives_count", None, Supported),
    parameter("tcp_user_timeout", None, Supported),
    parameter("sslmode", Some("PGSSLMODE"), Supported),
    parameter("requiressl", Some("PGREQUIRESSL"), Supported),
    parameter("sslrootcert", Some("PGSSLROOTCERT"), Supported),
    parameter("sslcert", Some("PGSSLCERT"), Supported),
    parameter("sslkey", Some("PGSSLKEY"), Supported),
    parameter("sslsni", Some("PGSSLSNI"), Supported),
    parameter("ssl_min_protocol_version", Some("PGSSLMINPROTOCOLVERSION"), Supported),
    parameter("ssl_max_protocol_version", Some("PGSSLMAXPROTOCOLVERSION"), Supported),
    parameter(
        "sslcertmode",
        Some("PGSSLCERTMODE"),
        Only(&["allow", "disable"], "this client does not check whether the server asks for a certificate"),
    ),
    parameter("sslnegotiation", Some("PGSSLNEGOTIATION"), Only(&["postgres"], "direct TLS is not supported")),
    parameter("sslcrl", Some("PGSSLCRL"), Supported),
    parameter("sslcrldir", Some("PGSSLCRLDIR"), Supported),
    parameter("sslpassword", None, Only(&[], "encrypted client keys are not supported: decrypt the key")),
    parameter("requirepeer", Some("PGREQUIREPEER"), Only(&[], "the owner of a socket is not checked")),
    parameter("require_auth", Some("PGREQUIREAUTH"), Supported),
    parameter(
        "replication",
        None,
        Only(&["false", "off", "no", "0"], "replication connections are not supported"),
    ),
    parameter("gssencmode", Some("PGGSSENCMODE"), Only(&["disable", "prefer"], NO_KERBEROS)),
    parameter("gssdelegation", Some("PGGSSDELEGATION"), Ignored(NO_KERBEROS)),
    parameter("krbsrvname", Some("PGKRBSRVNAME"), Ignored(NO_KERBEROS)),
    parameter("gsslib", Some("PGGSSLIB"), Ignored(NO_KERBEROS)),
    parameter("client_encoding", Some("PGCLIENTENCODING"), NoEffect),
    parameter("sslcompression", Some("PGSSLCOMPRESSION"), NoEffect),
];

const fn parameter(name: &'static str, variable: Option<&'static str>, support: Support) -> ConnectParameter {
    ConnectParameter { name, variable, support }
}

/// Returns the parameter of this name.
pub(crate) fn find(name: &str) -> Option<&'static ConnectParameter> {
    PARAMETERS.iter().find(|parameter| parameter.name == name)
}

/// Returns ": did you mean ...?" with the most similar name, or nothing if none is similar.
pub(crate) fn suggestion(name: &str) -> String {
    PARAMETERS
        .iter()
        .map(|parameter| (strsim::jaro_winkler(name, parameter.name), parameter.name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| format!(": did you mean `{known}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_and_variable_is_listed_once() {
        for (index, parameter) in PARAMETERS.iter().enumerate() {
            let rest = &PARAMETERS[index + 1..];
            assert!(rest.iter().all(|other| other.name != parameter.name), "{}", parameter.name);
            let taken =
                |other: &ConnectParameter| other.variable.is_some() && other.variable == parameter.variable;
            assert!(!rest.iter().any(taken), "{}", parameter.name);
        }
    }

    #[test]
    fn the_readme_lists_every_parameter() {
        let readme = include_str!("../README.md");
        for parameter in &PARAMETERS {
            assert!(readme.contains(&format!("`{}`", parameter.name)), "{}", parameter.name);
        }
    }

    #[test]
    fn a_mistyped_name_gets_a_suggestion() {
        assert_eq!(suggestion("ssl_mode"), ": did you mean `sslmode`?");
        assert_eq!(suggestion("aplication_name"), ": did you mean `application_name`?");
        assert_eq!(suggestion("qqq"), "");
    }
}
