//! The catalogue of libpq's connection parameters: their names, the variables that stand for them, and what becomes of
//! each here. Nothing that bears on security is passed over in silence.

/// One parameter, as URLs and service files name it.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) variable: Option<&'static str>,
    pub(super) support: Support,
}

/// What becomes of a parameter that is given.
pub(super) enum Support {
    /// It is followed.
    Followed,
    /// It changes nothing that this program does.
    Idle,
    /// It is not followed, and the user hears why.
    Ignored(&'static str),
    /// Only these values can be followed, and the user hears why.
    Only(&'static [&'static str], &'static str),
}

use Support::{Followed, Idle, Ignored, Only};

const NO_KERBEROS: &str = "Kerberos is not supported";
const NO_REVOCATION_LISTS: &str = "revocation lists are not supported";

/// All of them.
pub(super) static PARAMETERS: [Parameter; 42] = [
    parameter("host", Some("PGHOST"), Followed),
    parameter("hostaddr", Some("PGHOSTADDR"), Followed),
    parameter("port", Some("PGPORT"), Followed),
    parameter("dbname", Some("PGDATABASE"), Followed),
    parameter("user", Some("PGUSER"), Followed),
    parameter("password", Some("PGPASSWORD"), Followed),
    parameter("passfile", Some("PGPASSFILE"), Followed),
    parameter("service", Some("PGSERVICE"), Followed),
    parameter("options", Some("PGOPTIONS"), Followed),
    parameter("application_name", Some("PGAPPNAME"), Followed),
    parameter("fallback_application_name", None, Followed),
    parameter("connect_timeout", Some("PGCONNECT_TIMEOUT"), Followed),
    parameter("target_session_attrs", Some("PGTARGETSESSIONATTRS"), Followed),
    parameter("load_balance_hosts", Some("PGLOADBALANCEHOSTS"), Followed),
    parameter("channel_binding", Some("PGCHANNELBINDING"), Followed),
    parameter("keepalives", None, Followed),
    parameter("keepalives_idle", None, Followed),
    parameter("keepalives_interval", None, Followed),
    parameter("keepalives_count", None, Followed),
    parameter("tcp_user_timeout", None, Followed),
    parameter("sslmode", Some("PGSSLMODE"), Followed),
    parameter("requiressl", Some("PGREQUIRESSL"), Followed),
    parameter("sslrootcert", Some("PGSSLROOTCERT"), Followed),
    parameter("sslcert", Some("PGSSLCERT"), Followed),
    parameter("sslkey", Some("PGSSLKEY"), Followed),
    parameter("sslsni", Some("PGSSLSNI"), Followed),
    parameter("ssl_min_protocol_version", Some("PGSSLMINPROTOCOLVERSION"), Followed),
    parameter("ssl_max_protocol_version", Some("PGSSLMAXPROTOCOLVERSION"), Followed),
    parameter(
        "sslcertmode",
        Some("PGSSLCERTMODE"),
        Only(&["allow", "disable"], "whether the server asked for a certificate is not looked at"),
    ),
    parameter(
        "sslnegotiation",
        Some("PGSSLNEGOTIATION"),
        Only(&["postgres"], "TLS is always negotiated first"),
    ),
    parameter("sslcrl", Some("PGSSLCRL"), Only(&[], NO_REVOCATION_LISTS)),
    parameter("sslcrldir", Some("PGSSLCRLDIR"), Only(&[], NO_REVOCATION_LISTS)),
    parameter("sslpassword", None, Only(&[], "encrypted client keys are not supported: decrypt the key")),
    parameter("requirepeer", Some("PGREQUIREPEER"), Only(&[], "the owner of a socket is not looked at")),
    parameter(
        "require_auth",
        Some("PGREQUIREAUTH"),
        Only(&[], "the way to authenticate is the server's choice"),
    ),
    parameter("replication", None, Only(&["false", "off", "no", "0"], "this is no replication client")),
    parameter("gssencmode", Some("PGGSSENCMODE"), Only(&["disable", "prefer"], NO_KERBEROS)),
    parameter("gssdelegation", Some("PGGSSDELEGATION"), Ignored(NO_KERBEROS)),
    parameter("krbsrvname", Some("PGKRBSRVNAME"), Ignored(NO_KERBEROS)),
    parameter("gsslib", Some("PGGSSLIB"), Ignored(NO_KERBEROS)),
    parameter("client_encoding", Some("PGCLIENTENCODING"), Idle),
    parameter("sslcompression", Some("PGSSLCOMPRESSION"), Idle),
];

const fn parameter(name: &'static str, variable: Option<&'static str>, support: Support) -> Parameter {
    Parameter { name, variable, support }
}

/// The parameter of that name.
pub(super) fn find(name: &str) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|parameter| parameter.name == name)
}

/// "did you mean ...?", where a known name is much like this one.
pub(super) fn suggestion(name: &str) -> String {
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
    fn every_parameter_and_variable_is_there_once() {
        for (index, parameter) in PARAMETERS.iter().enumerate() {
            let rest = &PARAMETERS[index + 1..];
            assert!(rest.iter().all(|other| other.name != parameter.name), "{}", parameter.name);
            let taken = |other: &Parameter| other.variable.is_some() && other.variable == parameter.variable;
            assert!(!rest.iter().any(taken), "{}", parameter.name);
        }
    }

    #[test]
    fn a_mistyped_name_is_told_the_nearest_one() {
        assert_eq!(suggestion("ssl_mode"), ": did you mean `sslmode`?");
        assert_eq!(suggestion("aplication_name"), ": did you mean `application_name`?");
        assert_eq!(suggestion("qqq"), "");
    }
}
