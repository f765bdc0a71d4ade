//! [`RequireAuth`]: the parameter `require_auth`, the ways to log in that a server may ask for.

use crate::connect_error::ConnectError;
use crate::settings::Settings;

/// A way in which a server lets a client log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthMethod {
    Password,
    Md5,
    Gss,
    Sspi,
    ScramSha256,
    /// The server asks for nothing.
    None,
}

const METHODS: [(&str, AuthMethod); 6] = [
    ("password", AuthMethod::Password),
    ("md5", AuthMethod::Md5),
    ("gss", AuthMethod::Gss),
    ("sspi", AuthMethod::Sspi),
    ("scram-sha-256", AuthMethod::ScramSha256),
    ("none", AuthMethod::None),
];

impl AuthMethod {
    /// Returns what a server that uses the method does, for messages.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Password => "asks for the password in clear text",
            Self::Md5 => "asks for the password as MD5 hash",
            Self::Gss => "asks for Kerberos (GSSAPI)",
            Self::Sspi => "asks for SSPI",
            Self::ScramSha256 => "asks for SCRAM",
            Self::None => "accepts the connection without a login",
        }
    }
}

/// Which methods are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequireAuth {
    text: String,
    methods: Vec<AuthMethod>,
    /// Whether the methods are those that are not accepted.
    is_negated: bool,
}

impl RequireAuth {
    /// Returns the rule that accepts every method, as without the parameter.
    pub(crate) fn any() -> Self {
        Self { text: String::new(), methods: Vec::new(), is_negated: true }
    }

    /// Reads the parameter: a list of methods, or one of methods that each follow a `!`.
    ///
    /// # Errors
    /// When a method is unknown or listed twice, or the list mixes both forms.
    pub(crate) fn from_settings(settings: &Settings) -> Result<Self, ConnectError> {
        const NAME: &str = "require_auth";
        let Some(text) = settings.get(NAME) else { return Ok(Self::any()) };
        let mut rule = Self { text: text.to_owned(), methods: Vec::new(), is_negated: text.starts_with('!') };
        for item in text.split(',').map(str::trim) {
            let name = item.strip_prefix('!').unwrap_or(item);
            let Some((_, method)) = METHODS.iter().find(|(known, _)| *known == name) else {
                let known = METHODS.map(|(known, _)| known).join(", ");
                return Err(settings.error(NAME, &format!("names `{name}`: choose from {known}")));
            };
            if item.starts_with('!') != rule.is_negated {
                return Err(settings.error(NAME, "mixes methods with and without `!`: write one form only"));
            }
            if rule.methods.contains(method) {
                return Err(settings.error(NAME, &format!("lists `{name}` twice")));
            }
            rule.methods.push(*method);
        }
        Ok(rule)
    }

    /// Returns whether the server may use a method.
    pub(crate) fn permits(&self, method: AuthMethod) -> bool {
        self.methods.contains(&method) != self.is_negated
    }

    /// Returns whether the list names the method as one to accept.
    pub(crate) fn names(&self, method: AuthMethod) -> bool {
        !self.is_negated && self.methods.contains(&method)
    }

    /// Returns the parameter as it was given, for messages.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}
