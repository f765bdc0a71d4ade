//! [`Settings`]: the parameters from the URL, the service file and the environment, in this order of precedence, each with its origin
//! for messages.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::connect_error::ConnectError;
use crate::environment::Environment;
use crate::parameter::{ConnectParameter, PARAMETERS, Support};
use crate::service;
use crate::url::UrlParameters;

/// Whether the value of a parameter names a file.
fn is_path(parameter: &str, value: &str) -> bool {
    match parameter {
        "sslrootcert" => value != "system",
        "sslcert" | "sslkey" | "sslcrl" | "sslcrldir" | "passfile" => true,
        _ => false,
    }
}

/// Where a value comes from.
#[derive(Clone)]
enum SettingOrigin {
    Url,
    Service(PathBuf),
    Variable(&'static str),
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("in the URL"),
            Self::Service(path) => write!(f, "in the service file {}", path.display()),
            Self::Variable(name) => write!(f, "in {name}"),
        }
    }
}

/// Values by parameter. Not printable: they may be secrets.
pub(crate) struct Settings {
    values: BTreeMap<&'static str, (String, SettingOrigin)>,
}

impl Settings {
    /// Collects the parameters from everywhere.
    ///
    /// # Errors
    /// When the service does not exist, or a parameter or its value is not supported.
    pub(crate) fn collect(url: UrlParameters, environment: &Environment) -> Result<Self, ConnectError> {
        let mut settings = Self { values: BTreeMap::new() };
        // Within a URL the last value counts, elsewhere the first.
        for (parameter, value) in url {
            let value = match is_path(parameter.name, &value) {
                true => environment.path_in_url(parameter.name, value)?,
                false => value,
            };
            settings.values.insert(parameter.name, (value, SettingOrigin::Url));
        }
        settings.add_service(environment)?;
        settings.add_variables(environment);
        settings.check()?;
        Ok(settings)
    }

    fn add_service(&mut self, environment: &Environment) -> Result<(), ConnectError> {
        let name = self.get("service").or_else(|| environment.variable("PGSERVICE")).map(str::to_owned);
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            let service = service::find(&name, environment)?;
            for (parameter, value) in service.given {
                self.add(parameter, value, SettingOrigin::Service(service.path.clone()));
            }
        }
        Ok(())
    }

    fn add_variables(&mut self, environment: &Environment) {
        for parameter in &PARAMETERS {
            let set =
                parameter.variable.and_then(|name| environment.variable(name).map(|value| (name, value)));
            if let Some((name, value)) = set {
                self.add(parameter, value.to_owned(), SettingOrigin::Variable(name));
            }
        }
    }

    fn add(&mut self, parameter: &ConnectParameter, value: String, origin: SettingOrigin) {
        self.values.entry(parameter.name).or_insert((value, origin));
    }

    fn check(&self) -> Result<(), ConnectError> {
        for parameter in &PARAMETERS {
            if let (Support::Only(accepted, why), Some(value)) =
                (&parameter.support, self.get(parameter.name))
                && !accepted.contains(&value)
            {
                return Err(self.error(parameter.name, &format!("is not supported: {why}")));
            }
        }
        Ok(())
    }

    /// Returns which parameters are ignored, and why.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let ignored = PARAMETERS.iter().filter_map(|parameter| match parameter.support {
            Support::Ignored(why) => self.get(parameter.name).map(|_| (parameter.name, why)),
            _ => None,
        });
        ignored.map(|(name, why)| format!("{} is ignored: {why}", self.name_and_origin(name))).collect()
    }

    /// Returns the value of a parameter. An empty value means the default, whatever has lower precedence.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Returns whether the URL itself sets the parameter.
    pub(crate) fn is_in_url(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some((value, SettingOrigin::Url)) if !value.is_empty())
    }

    /// Returns the items of a list. Items may be empty.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        self.get(name).map(|value| value.split(',').map(str::trim).collect()).unwrap_or_default()
    }

    /// Returns the meaning of a value that is one of several words.
    ///
    /// # Errors
    /// When it is another word.
    pub(crate) fn choice<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, ConnectError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value));
        let all = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        match found {
            Some((_, meaning)) => Ok(Some(*meaning)),
            None => Err(self.error(name, &format!("is `{value}`: choose one of {}", all()))),
        }
    }

    /// Returns a whole number. Negative ones are 0, which means the same to libpq.
    ///
    /// # Errors
    /// When it is not a number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u32>, ConnectError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.trim().parse::<i32>() {
            Ok(number) => Ok(Some(u32::try_from(number).unwrap_or(0))),
            Err(_) => Err(self.error(name, "is not a whole number")),
        }
    }

    /// Returns an error about a parameter.
    pub(crate) fn error(&self, name: &str, why: &str) -> ConnectError {
        ConnectError::configuration(format!("{} {why}", self.name_and_origin(name)))
    }

    /// Returns a parameter's name and where it is set.
    fn name_and_origin(&self, name: &str) -> String {
        match self.values.get(name) {
            Some((_, origin)) => format!("{name} {origin}"),
            None => name.to_owned(),
        }
    }
}
