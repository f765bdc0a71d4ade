//! Where a configuration is: the file that is named, or the nearest `rollfit.toml` in the working directory and those above it.
//!
//! Searched is as git does: not beyond the file system, and a file above the working directory has to be the user's own or root's. A
//! configuration names commands that are run, and on a shared machine anybody can put one into `/tmp`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Once;

use crate::exit::Failure;
use crate::logging;

/// The name of a configuration that is not named.
pub(crate) const CONFIG_NAME: &str = "rollfit.toml";

/// The configuration of a command.
#[derive(Clone, Debug)]
pub(crate) struct ConfigPath {
    /// Where it is; the name in the working directory where there is none.
    pub(crate) path: PathBuf,
    /// Where it was searched in vain: the working directory, and the last one above it.
    searched: Option<(PathBuf, PathBuf)>,
}

impl ConfigPath {
    /// The file that is named, as it is, else the nearest one. One above the working directory is said in a message, once a process.
    ///
    /// # Errors
    /// When the nearest one is another user's.
    pub(crate) fn find(named: Option<&Path>) -> Result<Self, Failure> {
        static SAID: Once = Once::new();
        if let Some(path) = named {
            return Ok(Self { path: path.to_owned(), searched: None });
        }
        let found = Self::search()?;
        if found.path.is_absolute() {
            SAID.call_once(|| logging::info(&format!("using the configuration {}", found.path.display())));
        }
        Ok(found)
    }

    /// The configuration above the working directory, which one in it would come before.
    pub(crate) fn above_here() -> Option<PathBuf> {
        nearest_above(&std::env::current_dir().ok()?).0
    }

    /// The configuration whose runs are meant: the one that is named, else the nearest one; none where there is none.
    ///
    /// # Errors
    /// When the nearest one is another user's.
    pub(crate) fn of_runs(named: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
        let found = Self::find(named)?.path;
        Ok((named.is_some() || fs::symlink_metadata(&found).is_ok()).then_some(found))
    }

    fn search() -> Result<Self, Failure> {
        let here = PathBuf::from(CONFIG_NAME);
        // A directory that has been removed has nothing above it.
        let Ok(dir) = std::env::current_dir() else { return Ok(Self { path: here, searched: None }) };
        if fs::symlink_metadata(&here).is_ok() {
            return Ok(Self { path: here, searched: None });
        }
        match nearest_above(&dir) {
            (Some(path), _) => {
                check_owner(&path)?;
                Ok(Self { path, searched: None })
            }
            (None, last) => Ok(Self { path: here, searched: Some((dir, last)) }),
        }
    }

    /// What to say where there is no such file.
    pub(crate) fn missing(&self) -> Failure {
        let place = match &self.searched {
            Some((dir, last)) if dir == last => format!(" in {}", dir.display()),
            Some((dir, last)) => format!(" in {} and above it, up to {}", dir.display(), last.display()),
            None => String::new(),
        };
        Failure::usage(format!(
            "configuration {} does not exist{place}; `rollfit init` writes one, --config names another",
            self.path.display()
        ))
    }
}

/// The configuration nearest above a directory that has none; and the last directory that was looked into.
fn nearest_above(dir: &Path) -> (Option<PathBuf>, PathBuf) {
    let device = |dir: &Path| fs::metadata(dir).ok().map(|status| status.dev());
    let here = device(dir);
    let mut last = dir;
    for above in dir.ancestors().skip(1).take_while(|above| device(above) == here) {
        last = above;
        let path = above.join(CONFIG_NAME);
        if fs::symlink_metadata(&path).is_ok() {
            return (Some(path), last.to_owned());
        }
    }
    (None, last.to_owned())
}

/// Refuses a file that somebody else has put there, or a link of theirs.
fn check_owner(path: &Path) -> Result<(), Failure> {
    let user = rustix::process::geteuid().as_raw();
    let owners = [fs::symlink_metadata(path), fs::metadata(path)];
    let stranger = owners.iter().flatten().map(MetadataExt::uid).find(|&owner| owner != user && owner != 0);
    match stranger {
        Some(owner) => Err(Failure::usage(format!(
            "the nearest configuration, {}, belongs to another user (uid {owner}), and a configuration can run commands; if you trust \
             it, name it with --config {}",
            path.display(),
            path.display()
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_above_is_found_and_else_the_last_directory_is_known() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b/c");
        fs::create_dir_all(&deep).unwrap();
        for dir in [root.path().to_owned(), root.path().join("a/b")] {
            fs::write(dir.join(CONFIG_NAME), "").unwrap();
            let found = deep.ancestors().skip(1).find(|above| above.join(CONFIG_NAME).exists()).unwrap();
            assert_eq!(nearest_above(&deep).0, Some(found.join(CONFIG_NAME)));
            assert_eq!(found, dir);
        }
        assert_eq!(nearest_above(Path::new("/")), (None, PathBuf::from("/")));
    }
}
