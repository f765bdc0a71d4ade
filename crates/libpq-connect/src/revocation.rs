//! [`RevocationLists`]: the certificates that their CAs have revoked, from `sslcrl` and `sslcrldir`.

use std::fs;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::{self, PemObject};

use crate::connect_error::ConnectError;
use crate::environment::Environment;
use crate::settings::Settings;
use crate::tls_options::unreadable;

type Lists = Vec<CertificateRevocationListDer<'static>>;

/// Where revocation lists are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RevocationLists {
    file: Option<PathBuf>,
    dir: Option<PathBuf>,
    /// Whether the settings name them, rather than libpq's default.
    is_given: bool,
}

impl RevocationLists {
    /// Returns what the settings name, or libpq's default file if it exists.
    pub(crate) fn from_settings(settings: &Settings, environment: &Environment) -> Self {
        let path = |name: &str| settings.get(name).map(PathBuf::from);
        let (file, dir) = (path("sslcrl"), path("sslcrldir"));
        match file.is_some() || dir.is_some() {
            true => Self { file, dir, is_given: true },
            false => {
                let file = environment.existing_home_file(".postgresql/root.crl");
                Self { file, dir: None, is_given: false }
            }
        }
    }

    /// Returns whether the settings name any.
    pub(crate) fn is_given(&self) -> bool {
        self.is_given
    }

    /// Reads the lists. None, if there are none to be read.
    ///
    /// # Errors
    /// When a file cannot be read, or holds no list: every certificate would pass.
    pub(crate) fn load(&self) -> Result<Lists, ConnectError> {
        let mut lists = Lists::new();
        if let Some(file) = &self.file {
            lists.extend(read("sslcrl", file)?);
        }
        if let Some(dir) = &self.dir {
            lists.extend(read_dir(dir)?);
        }
        Ok(lists)
    }
}

fn read(parameter: &str, path: &Path) -> Result<Lists, ConnectError> {
    let read = CertificateRevocationListDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| match error {
            pem::Error::Io(error) => unreadable(parameter, path, error),
            _ => no_list(parameter, path),
        })?;
    if read.is_empty() { Err(no_list(parameter, path)) } else { Ok(read) }
}

/// Reads the files that `openssl rehash` makes, named like `5ed36f99.r0`.
fn read_dir(dir: &Path) -> Result<Lists, ConnectError> {
    const NAME: &str = "sslcrldir";
    let entries = fs::read_dir(dir).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| unreadable(NAME, dir, error))?;
    let is_list = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        extension.strip_prefix('r').is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let mut lists = Lists::new();
    for path in entries.into_iter().map(|entry| entry.path()).filter(is_list) {
        lists.extend(read(NAME, &path)?);
    }
    match lists.is_empty() {
        true => Err(ConnectError::configuration(format!(
            "{NAME}: {} holds no revocation list: put lists there and run `openssl rehash`",
            dir.display()
        ))),
        false => Ok(lists),
    }
}

fn no_list(parameter: &str, path: &Path) -> ConnectError {
    ConnectError::configuration(format!(
        "{parameter}: {} holds no revocation list in PEM form",
        path.display()
    ))
}
