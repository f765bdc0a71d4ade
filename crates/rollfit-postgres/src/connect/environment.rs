//! What surrounds the process and matters to a connection: variables, home, the user's name, and the directories that
//! PostgreSQL's packages agree on. Gathered once, and replaceable, so that tests change no process.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Where servers put their sockets: Debian's habit and PostgreSQL's own.
const SOCKET_DIRS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// Where `pg_service.conf` of the whole machine is, unless `PGSYSCONFDIR` says so: Debian's place and Red Hat's.
const SYSTEM_DIRS: [&str; 2] = ["/etc/postgresql-common", "/etc/sysconfig/pgsql"];

/// A view of the surroundings. It holds `PGPASSWORD`: it cannot be printed.
pub(crate) struct Environment {
    variables: HashMap<String, String>,
    home: Option<PathBuf>,
    user: Option<String>,
    socket_dirs: Vec<PathBuf>,
    system_dirs: Vec<PathBuf>,
    url_dir: PathBuf,
    command_dir: PathBuf,
}

impl Environment {
    /// The surroundings of this process, for a URL whose relative paths start from `url_dir`, and a password command that is
    /// run in `command_dir`. Variables that are not UTF-8 are as good as unset.
    pub(crate) fn of_process(url_dir: &Path, command_dir: &Path) -> Self {
        let pairs = std::env::vars_os();
        Self {
            variables: pairs.filter_map(|(k, v)| k.into_string().ok().zip(v.into_string().ok())).collect(),
            home: std::env::home_dir().filter(|home| !home.as_os_str().is_empty()),
            user: whoami::username().ok(),
            socket_dirs: SOCKET_DIRS.map(PathBuf::from).to_vec(),
            system_dirs: SYSTEM_DIRS.map(PathBuf::from).to_vec(),
            url_dir: url_dir.to_owned(),
            command_dir: command_dir.to_owned(),
        }
    }

    /// A path that the URL names. Variables and service files name paths from the working directory, as libpq has it.
    pub(super) fn path_in_url(&self, path: String) -> String {
        // The directory has to be text to be where the value was; where it is not, the path stays relative.
        match self.url_dir.join(&path).into_os_string().into_string() {
            Ok(joined) if !path.is_empty() => joined,
            _ => path,
        }
    }

    /// Where the password command is run; empty for the working directory.
    pub(super) fn command_dir(&self) -> &Path {
        &self.command_dir
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The name that the system knows the user by.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// A file that belongs in the user's home.
    pub(super) fn home_file(&self, name: &str) -> Option<PathBuf> {
        self.home.as_ref().map(|home| home.join(name))
    }

    /// The same, if it is there.
    pub(super) fn existing_home_file(&self, name: &str) -> Option<PathBuf> {
        self.home_file(name).filter(|path| path.exists())
    }

    /// Where local servers put their sockets.
    pub(super) fn socket_dirs(&self) -> &[PathBuf] {
        &self.socket_dirs
    }

    /// Where the machine's own configuration may be.
    pub(super) fn system_dirs(&self) -> Vec<PathBuf> {
        match self.variable("PGSYSCONFDIR") {
            Some(dir) => vec![PathBuf::from(dir)],
            None => self.system_dirs.clone(),
        }
    }
}

#[cfg(test)]
impl Environment {
    /// Surroundings in which only `home` and these variables exist.
    pub(super) fn of_test(home: &std::path::Path, variables: &[(&str, &str)]) -> Self {
        Self {
            variables: variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
            home: Some(home.to_owned()),
            user: Some("osuser".to_owned()),
            socket_dirs: vec![home.join("sockets")],
            system_dirs: vec![home.join("system")],
            url_dir: PathBuf::new(),
            command_dir: PathBuf::new(),
        }
    }

    /// The same, where relative paths of the URL start from `url_dir`.
    pub(super) fn with_url_dir(self, url_dir: &std::path::Path) -> Self {
        Self { url_dir: url_dir.to_owned(), ..self }
    }
}
