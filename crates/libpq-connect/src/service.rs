//! [`Service`]: a section of `pg_service.conf`, in the user's file or the machine's.

use std::io;
use std::path::{Path, PathBuf};

use crate::connect_error::ConnectError;
use crate::environment::Environment;
use crate::parameter::{self, ConnectParameter};

/// The parameters of a service and the file they are in.
pub(crate) struct Service {
    pub(crate) path: PathBuf,
    pub(crate) given: Vec<(&'static ConnectParameter, String)>,
}

/// Finds a service as libpq does: in the file that `PGSERVICEFILE` names or `~/.pg_service.conf`, then in the machine's file. Only
/// the first file that has the section counts.
///
/// # Errors
/// When no file has it, or a file cannot be read or parsed.
pub(crate) fn find(name: &str, environment: &Environment) -> Result<Service, ConnectError> {
    for path in files(environment) {
        if let Some(given) = in_file(&path, name)? {
            return Ok(Service { path, given });
        }
    }
    Err(ConnectError::configuration(format!(
        "there is no service `{name}`: write a section [{name}] into ~/.pg_service.conf or the file that \
         PGSERVICEFILE names"
    )))
}

fn files(environment: &Environment) -> Vec<PathBuf> {
    let named = environment.variable("PGSERVICEFILE").map(PathBuf::from);
    let own = named.or_else(|| environment.existing_home_file(".pg_service.conf"));
    let system = environment.system_dirs().into_iter().map(|dir| dir.join("pg_service.conf"));
    own.into_iter().chain(system.filter(|path| path.exists())).collect()
}

fn in_file(
    path: &Path,
    name: &str,
) -> Result<Option<Vec<(&'static ConnectParameter, String)>>, ConnectError> {
    let text = read(path)?;
    let lines = text.lines().map(str::trim).enumerate();
    let header = format!("[{name}]");
    let mut section = lines.skip_while(|(_, line)| *line != header).peekable();
    if section.next().is_none() {
        return Ok(None);
    }
    section
        .take_while(|(_, line)| !line.starts_with('['))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(index, line)| setting(line).map_err(|why| malformed(path, index + 1, &why)))
        .collect::<Result<_, _>>()
        .map(Some)
}

fn read(path: &Path) -> Result<String, ConnectError> {
    std::fs::read_to_string(path).map_err(|error: io::Error| {
        let message = format!("cannot read the service file {}", path.display());
        ConnectError::configuration_because(message, error)
    })
}

/// Returns the parameter and value of a line. Errors do not repeat the line: it may contain a password.
fn setting(line: &str) -> Result<(&'static ConnectParameter, String), String> {
    let (name, value) = line.split_once('=').ok_or("is not of the form name=value")?;
    match parameter::find(name) {
        _ if name.starts_with("ldap") => Err("asks for LDAP, which is not supported".to_owned()),
        Some(parameter) if parameter.name == "service" => Err("names another service".to_owned()),
        Some(parameter) => Ok((parameter, value.to_owned())),
        None => Err(format!("sets a parameter that does not exist{}", parameter::suggestion(name))),
    }
}

fn malformed(path: &Path, line: usize, why: &str) -> ConnectError {
    ConnectError::configuration(format!("line {line} of the service file {} {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "# ours\n\n[other]\nhost=elsewhere\n\n[fx]\n  host=db.example  \n# a remark\nport=5433\n\
                       password=pass=word\n[last]\nhost=h\n";

    fn home(own: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(".pg_service.conf"), own).unwrap();
        home
    }

    fn found(name: &str, environment: &Environment) -> Vec<(&'static str, String)> {
        let service = find(name, environment).unwrap();
        service.given.into_iter().map(|(parameter, value)| (parameter.name, value)).collect()
    }

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let home = home(OWN);
        let found = found("fx", &Environment::from_variables(home.path(), &[]));
        let wanted = [("host", "db.example"), ("port", "5433"), ("password", "pass=word")];
        assert_eq!(found, wanted.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn the_machines_file_has_what_the_users_lacks() {
        let home = home(OWN);
        for (dir, variables) in
            [("system", vec![]), ("conf", vec![("PGSYSCONFDIR", home.path().join("conf"))])]
        {
            std::fs::create_dir(home.path().join(dir)).unwrap();
            let text = format!("[fx]\nhost=never\n[shared]\nhost={dir}\n");
            std::fs::write(home.path().join(dir).join("pg_service.conf"), text).unwrap();
            let variables: Vec<_> =
                variables.iter().map(|(name, dir)| (*name, dir.to_str().unwrap())).collect();
            let environment = Environment::from_variables(home.path(), &variables);
            assert_eq!(found("shared", &environment), [("host", dir.to_owned())]);
            assert_eq!(found("fx", &environment)[0], ("host", "db.example".to_owned()));
        }
    }

    #[test]
    fn a_named_file_replaces_the_users_own() {
        let home = home(OWN);
        let other = home.path().join("other.conf");
        std::fs::write(&other, "[fx]\nhost=named\n").unwrap();
        let environment =
            Environment::from_variables(home.path(), &[("PGSERVICEFILE", other.to_str().unwrap())]);
        assert_eq!(found("fx", &environment), [("host", "named".to_owned())]);
        assert!(find("last", &environment).is_err());
        std::fs::remove_file(&other).unwrap();
        let error = find("fx", &environment).err().unwrap();
        assert!(error.to_string().contains("other.conf"), "{error}");
    }

    #[test]
    fn a_wrong_line_is_reported_by_its_number_and_not_repeated() {
        let faults = ["hunter2", "pasword=hunter2", "hunter2=x", "service=hunter2", "ldap://hunter2=x"];
        for fault in faults {
            let home = home(&format!("[fx]\nhost=h\n{fault}\n"));
            let error = find("fx", &Environment::from_variables(home.path(), &[])).err().unwrap();
            assert!(error.to_string().contains("line 3"), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
