//! [`RevocationLists`]: the certificates that their CAs have revoked, from `sslcrl` and `sslcrldir`.

use std::cmp::Reverse;
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

    /// Reads the lists. None, if there are none to be read. Those that are valid longest come first: of several lists of one CA the
    /// verifier asks only the first whether it has expired.
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
        lists.sort_by_key(|list| Reverse(next_update(list)));
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

/// Returns when a list is to be renewed, as `YYYYMMDDHHMMSSZ`. `None` if it cannot be read: the verifier says why.
fn next_update(list: &[u8]) -> Option<Vec<u8>> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let (_, signed) = der_item(list)?.0;
    let (_, mut fields) = der_item(signed)?.0;
    let mut times = Vec::new();
    while times.len() < 2 {
        let ((tag, value), rest) = der_item(fields)?;
        match tag {
            UTC_TIME if value >= b"50".as_slice() => times.push([b"19", value].concat()),
            UTC_TIME => times.push([b"20", value].concat()),
            GENERALIZED_TIME => times.push(value.to_owned()),
            _ => {}
        }
        fields = rest;
    }
    times.pop()
}

/// A tag and its value.
type DerItem<'a> = (u8, &'a [u8]);

/// Splits the first item from DER bytes.
fn der_item(bytes: &[u8]) -> Option<(DerItem<'_>, &[u8])> {
    let (&[tag, length], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match length.checked_sub(0x80) {
        None => (usize::from(length), rest),
        Some(count) => {
            let (digits, rest) = rest.split_at_checked(usize::from(count))?;
            let number = digits
                .iter()
                .try_fold(0_usize, |number, digit| Some(number.checked_mul(256)? + usize::from(*digit)));
            (number?, rest)
        }
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some(((tag, value), rest))
}

fn no_list(parameter: &str, path: &Path) -> ConnectError {
    ConnectError::configuration(format!(
        "{parameter}: {} holds no revocation list in PEM form",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted_server::TestAuthority;

    #[test]
    fn the_next_update_of_a_list_is_read_in_both_forms_of_time() {
        let authority = TestAuthority::new("ours");
        let list = |year| {
            let pem = authority.revocation_list(false, year);
            CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap()
        };
        for year in [2002, 2049, 2050, 2100] {
            assert_eq!(next_update(&list(year)), Some(format!("{year}0101000000Z").into_bytes()));
        }
        // Whatever bytes it is made of, a list does no more than come last.
        let list = list(2100);
        for end in 0..list.len() {
            let _ = next_update(&list[..end]);
        }
        for length in [b"\x80".as_slice(), b"\xff", b"\x88\xff\xff\xff\xff\xff\xff\xff\xff", b"\x01"] {
            assert_eq!(next_update(&[b"\x30", length].concat()), None);
        }
    }
}
