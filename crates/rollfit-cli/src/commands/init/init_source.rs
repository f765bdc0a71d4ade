//! [`InitSource`]: what `init` is to look at: a store, or files that are no store yet; named, or found in the working directory.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use rollfit_bars::{Format, recognized_format};
use rollfit_job::config::StoreConfig;
use rollfit_job::few::few;

use crate::args::InitArguments;
use crate::exit::Failure;
use crate::stores;

/// The directory of a store that has source tables.
const SOURCES: &str = "sources";
/// The most entries of the working directory that are looked at: it may be anything.
const ENTRIES_MAX: usize = 2000;

/// What is looked at.
pub(super) enum InitSource {
    /// A store, of this URL as it is typed.
    Store(StoreConfig),
    /// Files to be imported, and directories of them.
    Files(Vec<PathBuf>),
    /// Nothing of use, with what there is instead, as sentences.
    Nothing(Vec<String>),
}

impl InitSource {
    /// What the arguments mean.
    ///
    /// # Errors
    /// When they mean a store and something else, a kind of store that does not exist, or a path that can't be read.
    pub(super) fn named(arguments: &InitArguments) -> Result<Self, Failure> {
        let [only] = arguments.sources.as_slice() else { return Self::files(&arguments.sources) };
        if let Some(url) = only.to_str().filter(|text| is_url(text)) {
            let mut store = StoreConfig::new(url);
            store.schema.clone_from(&arguments.schema);
            store.password_command.clone_from(&arguments.password_command);
            stores::kind_of(&store)?;
            return Ok(Self::Store(store));
        }
        let status = fs::metadata(only).map_err(|error| unreadable(only, &error))?;
        if !status.is_dir() {
            return Self::files(&arguments.sources);
        }
        fs::read_dir(only).map_err(|error| unreadable(only, &error))?;
        match stores_in(only).as_slice() {
            [] => Self::files(&arguments.sources),
            [dir] => Ok(Self::Store(StoreConfig::new(url_of(dir)?))),
            several => Err(Failure::usage(format!(
                "{} has several stores; name one of {}",
                only.display(),
                few(several.iter().map(|dir| dir.display()))
            ))),
        }
    }

    fn files(paths: &[PathBuf]) -> Result<Self, Failure> {
        if let Some(url) = paths.iter().find_map(|path| path.to_str().filter(|text| is_url(text))) {
            let (scheme, _) = url.split_once(':').unwrap_or_default();
            return Err(Failure::usage(format!(
                "a store ({scheme}:...) is looked at alone; name nothing beside it"
            )));
        }
        for path in paths {
            fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        }
        Ok(Self::Files(paths.to_vec()))
    }

    /// What the working directory has.
    pub(super) fn in_working_dir() -> Result<Self, Failure> {
        let here = Path::new(".");
        let entries = match fs::read_dir(here) {
            Ok(entries) => entries,
            Err(error) => {
                return Ok(Self::Nothing(vec![format!("the working directory can't be listed: {error}")]));
            }
        };
        match stores_in(here).as_slice() {
            [] => {}
            [dir] => return Ok(Self::Store(StoreConfig::new(url_of(dir)?))),
            several => {
                let names = few(several.iter().map(|dir| dir.display()));
                let why = format!(
                    "the working directory has several stores: {names}; name one: rollfit init DIRECTORY"
                );
                return Ok(Self::Nothing(vec![why]));
            }
        }
        let names = entries.take(ENTRIES_MAX).flatten().map(|entry| PathBuf::from(entry.file_name()));
        let mut files: Vec<PathBuf> = names.filter(|path| may_hold_bars(path)).collect();
        files.sort();
        files.retain(|path| recognized_format(path).is_some());
        if files.is_empty() {
            let why = "the working directory has no store (a directory with sources/ in it) and no bar files";
            return Ok(Self::Nothing(vec![why.to_owned()]));
        }
        Ok(Self::Files(files))
    }
}

/// Whether an argument is a URL and no path: what begins with a scheme of two letters or more, or may have a password in it, and is no file.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte);
    let is_scheme = scheme.len() > 1 && scheme.bytes().all(is_of_scheme);
    let may_hold_password = text.contains("//") && rest.contains('@');
    (is_scheme || may_hold_password) && !Path::new(text).exists()
}

/// The directory itself if it is a store, else those in it that are, sorted.
fn stores_in(dir: &Path) -> Vec<PathBuf> {
    let is_store = |dir: &Path| dir.join(SOURCES).is_dir();
    if is_store(dir) {
        return vec![dir.to_owned()];
    }
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let paths = entries
        .take(ENTRIES_MAX)
        .flatten()
        .map(|entry| if dir == Path::new(".") { entry.file_name().into() } else { entry.path() });
    let mut found: Vec<PathBuf> = paths.filter(|path| is_store(path)).collect();
    found.sort();
    found
}

/// The URL of a directory, as it is typed.
fn url_of(dir: &Path) -> Result<String, Failure> {
    let text = dir.to_str().ok_or_else(|| {
        Failure::usage(format!(
            "{}: the name is not UTF-8, which a configuration has to be; rename it",
            dir.display()
        ))
    })?;
    let begins = text.starts_with('.') || text.starts_with('/');
    Ok(if begins { format!("parquet:{text}") } else { format!("parquet:./{text}") })
}

fn may_hold_bars(path: &Path) -> bool {
    let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
    let is_hidden = path.to_string_lossy().starts_with(['.', '_']);
    !is_hidden
        && path.is_file()
        && Format::ALL.iter().any(|format| format.endings().contains(&ending.as_str()))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot read {}: {error}; name a store, a directory or bar files", path.display()))
}
