//! [`Environment`]: everything around the URL that decides how to connect. Read once, and replaceable in tests.

use std::collections::HashMap;
#[cfg(test)]
use std::path::Path;
use std::path::PathBuf;

use crate::connect_error::ConnectError;
use crate::password_source::PasswordSource;

/// Where servers put their sockets: the default of distributions, and PostgreSQL's own.
const SOCKET_DIRS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// Where the `pg_service.conf` of the machine is without `PGSYSCONFDIR`: on Debian and on Red Hat.
const SYSTEM_DIRS: [&str; 2] = ["/etc/postgresql-common", "/etc/sysconfig/pgsql"];

/// The environment variables, home directory and user name of the process, and what the program adds to them.
///
/// It may contain passwords, so it does not implement `Debug`.
pub struct Environment {
    variables: HashMap<String, String>,
    home: Option<PathBuf>,
    user: Option<String>,
    socket_dirs: Vec<PathBuf>,
    system_dirs: Vec<PathBuf>,
    url_dir: PathBuf,
    password_command: Option<PasswordSource>,
    fallback_application_name: Option<String>,
}

impl Environment {
    /// Reads the environment of this process. Variables that are not UTF-8 count as unset.
    pub fn from_process() -> Self {
        let pairs = std::env::vars_os();
        Self {
            variables: pairs.filter_map(|(k, v)| k.into_string().ok().zip(v.into_string().ok())).collect(),
            home: std::env::home_dir().filter(|home| !home.as_os_str().is_empty()),
            user: whoami::username().ok(),
            socket_dirs: SOCKET_DIRS.map(PathBuf::from).to_vec(),
            system_dirs: SYSTEM_DIRS.map(PathBuf::from).to_vec(),
            url_dir: PathBuf::new(),
            password_command: None,
            fallback_application_name: None,
        }
    }

    /// Resolves relative paths in the URL (`sslrootcert`, `sslcert`, `sslkey`, `sslcrl`, `sslcrldir`, `passfile`) against this directory instead of the
    /// working directory. Paths in variables and service files stay relative to the working directory, as with libpq. In the URL `~/` is the
    /// user's home: a shell does not replace it there.
    pub fn with_url_dir(self, dir: impl Into<PathBuf>) -> Self {
        Self { url_dir: dir.into(), ..self }
    }

    /// Sets a shell command whose first line of output is the password, for example a token of a cloud provider. It runs in `dir`
    /// (empty: the working directory) for each connection, at most 30 s. Only a password in the URL goes before it.
    pub fn with_password_command(self, command: impl Into<String>, dir: impl Into<PathBuf>) -> Self {
        let command = PasswordSource::Command { command: command.into(), dir: dir.into() };
        Self { password_command: Some(command), ..self }
    }

    /// Sets what the server shows as `application_name` unless the user says something else.
    pub fn with_fallback_application_name(self, name: impl Into<String>) -> Self {
        Self { fallback_application_name: Some(name.into()), ..self }
    }

    /// Returns a path of the URL as it is to be opened.
    ///
    /// # Errors
    /// When it is in a home directory that is not known.
    pub(crate) fn path_in_url(&self, parameter: &str, path: String) -> Result<String, ConnectError> {
        let refused =
            |why| Err(ConnectError::configuration(format!("{parameter} in the URL is `{path}`: {why}")));
        let (dir, rest) = match (path.strip_prefix('~'), self.home.as_deref()) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                (home, rest.trim_start_matches('/'))
            }
            (Some(rest), None) if rest.is_empty() || rest.starts_with('/') => {
                return refused("HOME is not set; write the whole path");
            }
            (Some(_), _) => {
                return refused("write the whole path; ~/ is your own home, and no other is known");
            }
            (None, _) => (self.url_dir.as_path(), path.as_str()),
        };
        // Settings are text. If the directory is not, the path stays relative.
        match dir.join(rest).into_os_string().into_string() {
            Ok(joined) if !path.is_empty() => Ok(joined),
            _ => Ok(path),
        }
    }

    pub(crate) fn password_command(&self) -> Option<&PasswordSource> {
        self.password_command.as_ref()
    }

    pub(crate) fn fallback_application_name(&self) -> Option<&str> {
        self.fallback_application_name.as_deref()
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Returns the user's name on this system.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Returns the path of a file in the user's home, whether it exists or not.
    pub(crate) fn home_file(&self, name: &str) -> Option<PathBuf> {
        self.home.as_ref().map(|home| home.join(name))
    }

    /// Returns the path of a file in the user's home if it exists.
    pub(crate) fn existing_home_file(&self, name: &str) -> Option<PathBuf> {
        self.home_file(name).filter(|path| path.exists())
    }

    /// Returns the directories in which local servers may have their sockets. The first that exists counts.
    pub(crate) fn socket_dirs(&self) -> &[PathBuf] {
        &self.socket_dirs
    }

    /// Returns the directories that may have the machine's `pg_service.conf`.
    pub(crate) fn system_dirs(&self) -> Vec<PathBuf> {
        match self.variable("PGSYSCONFDIR") {
            Some(dir) => vec![PathBuf::from(dir)],
            None => self.system_dirs.clone(),
        }
    }
}

#[cfg(test)]
impl Environment {
    /// An environment with nothing but `home` and these variables.
    pub(crate) fn from_variables(home: &Path, variables: &[(&str, &str)]) -> Self {
        Self {
            variables: variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
            home: Some(home.to_owned()),
            user: Some("osuser".to_owned()),
            socket_dirs: ["sockets", "tmp"].map(|dir| home.join(dir)).to_vec(),
            system_dirs: vec![home.join("system")],
            url_dir: PathBuf::new(),
            password_command: None,
            fallback_application_name: None,
        }
    }
}
