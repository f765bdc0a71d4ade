//! [`Settings`]: what the URL, the service file and the environment say, in this order of precedence. Each value keeps
//! where it came from, for messages.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::environment::Environment;
use super::error::ConnectError;
use super::parameter::{PARAMETERS, Parameter, Support};
use super::service;
use super::url::Given;

/// Whether the value of a parameter names a file.
fn is_path(parameter: &str, value: &str) -> bool {
    match parameter {
        "sslrootcert" => value != "system",
        "sslcert" | "sslkey" | "passfile" => true,
        _ => false,
    }
}

/// Where a value was said.
#[derive(Clone)]
enum Origin {
    Url,
    Service(PathBuf),
    Variable(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("in the URL"),
            Self::Service(path) => write!(f, "in the service file {}", path.display()),
            Self::Variable(name) => write!(f, "in {name}"),
        }
    }
}

/// Values by parameter. They may be secrets: they cannot be printed.
pub(super) struct Settings {
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl Settings {
    /// Puts together what was said in all places.
    ///
    /// # Errors
    /// When the service does not exist, or a parameter asks for what cannot be had.
    pub(super) fn collect(url: Given, environment: &Environment) -> Result<Self, ConnectError> {
        let mut settings = Self { values: BTreeMap::new() };
        // Within a URL the last word counts, elsewhere the first.
        for (parameter, value) in url {
            let value = if is_path(parameter.name, &value) { environment.path_in_url(value) } else { value };
            settings.values.insert(parameter.name, (value, Origin::Url));
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
                self.add(parameter, value, Origin::Service(service.path.clone()));
            }
        }
        Ok(())
    }

    fn add_variables(&mut self, environment: &Environment) {
        for parameter in &PARAMETERS {
            let said =
                parameter.variable.and_then(|name| environment.variable(name).map(|value| (name, value)));
            if let Some((name, value)) = said {
                self.add(parameter, value.to_owned(), Origin::Variable(name));
            }
        }
    }

    fn add(&mut self, parameter: &Parameter, value: String, origin: Origin) {
        self.values.entry(parameter.name).or_insert((value, origin));
    }

    fn check(&self) -> Result<(), ConnectError> {
        for parameter in &PARAMETERS {
            if let (Support::Only(accepted, why), Some(value)) =
                (&parameter.support, self.get(parameter.name))
                && !accepted.contains(&value)
            {
                return Err(self.fault(parameter.name, &format!("cannot be followed: {why}")));
            }
        }
        Ok(())
    }

    /// What was said without effect, and why.
    pub(super) fn notes(&self) -> Vec<String> {
        let ignored = PARAMETERS.iter().filter_map(|parameter| match parameter.support {
            Support::Ignored(why) => self.get(parameter.name).map(|_| (parameter.name, why)),
            _ => None,
        });
        ignored.map(|(name, why)| format!("{} is ignored: {why}", self.place(name))).collect()
    }

    /// The value of a parameter. An empty one hides those of lesser precedence, and means the default.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether the URL itself says this.
    pub(super) fn is_in_url(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some((value, Origin::Url)) if !value.is_empty())
    }

    /// The items of a list, which may be empty ones.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        self.get(name).map(|value| value.split(',').map(str::trim).collect()).unwrap_or_default()
    }

    /// One of several words.
    ///
    /// # Errors
    /// When it is another word.
    pub(super) fn choice<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, ConnectError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value));
        let all = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        match found {
            Some((_, meaning)) => Ok(Some(*meaning)),
            None => Err(self.fault(name, &format!("is `{value}`: choose one of {}", all()))),
        }
    }

    /// A whole number; none and less mean the same to libpq, and are 0 here.
    ///
    /// # Errors
    /// When it is no number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u32>, ConnectError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.trim().parse::<i32>() {
            Ok(number) => Ok(Some(u32::try_from(number).unwrap_or(0))),
            Err(_) => Err(self.fault(name, "is not a whole number")),
        }
    }

    /// An error about a parameter.
    pub(super) fn fault(&self, name: &str, why: &str) -> ConnectError {
        ConnectError::configuration(format!("{} {why}", self.place(name)))
    }

    /// A parameter and where it was said.
    fn place(&self, name: &str) -> String {
        match self.values.get(name) {
            Some((_, origin)) => format!("{name} {origin}"),
            None => name.to_owned(),
        }
    }
}
