//! The programs of PostgreSQL and pgbouncer: where they are, and as whom they run. Both refuse to serve under root, so a
//! privileged test runs them as another user and gives that user the files they need.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::sandbox::is_privileged;

const MISSING: &str = "PostgreSQL's server programs are not installed: apt-get install postgresql-15 pgbouncer, or run \
                       ./test.sh --install as root";

/// Where a program of PostgreSQL is.
pub(crate) fn postgres_program(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| holding("initdb", server_directories())).join(name)
}

/// Where pgbouncer is.
pub(crate) fn pgbouncer_program() -> PathBuf {
    let directories = [vec![PathBuf::from("/usr/sbin")], search_path()].concat();
    holding("pgbouncer", directories).join("pgbouncer")
}

fn holding(program: &str, directories: Vec<PathBuf>) -> PathBuf {
    let holds = |directory: &PathBuf| directory.join(program).exists();
    directories.into_iter().find(holds).unwrap_or_else(|| panic!("{MISSING}"))
}

/// Where the server's programs may be, the likeliest place first.
fn server_directories() -> Vec<PathBuf> {
    let told = Command::new("pg_config").arg("--bindir").output();
    let told = told.map(|output| String::from_utf8(output.stdout).unwrap()).unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut packaged: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    packaged.sort();
    packaged.reverse();
    [vec![PathBuf::from(told.trim())], packaged, search_path()].concat()
}

fn search_path() -> Vec<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect()
}

/// The user and group to serve as, where the test is privileged.
pub(crate) fn server_user() -> Option<(u32, u32)> {
    static USER: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    *USER.get_or_init(|| is_privileged().then(unprivileged_user))
}

/// One whom the password file knows, as initdb wants it: `postgres`, else `nobody`, else whoever is not root.
fn unprivileged_user() -> (u32, u32) {
    let text = fs::read_to_string("/etc/passwd").unwrap();
    let users: Vec<Vec<&str>> = text.lines().map(|line| line.split(':').collect()).collect();
    let named = |name: &str| users.iter().find(|user| user[0] == name);
    let other = users.iter().find(|user| user[2] != "0");
    let user = named("postgres").or(named("nobody")).or(other).unwrap();
    (user[2].parse().unwrap(), user[3].parse().unwrap())
}

/// A command of that user, with nothing of the test's own environment but the search path.
pub(crate) fn as_server_user(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C");
    command.current_dir("/").stdin(Stdio::null());
    if let Some((uid, gid)) = server_user() {
        command.uid(uid).gid(gid);
    }
    command
}

/// Runs a command to its end, which must be a good one.
#[track_caller]
pub(crate) fn finish(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

/// A new directory of that user, which everybody may enter. Whoever asks for it removes it.
pub(crate) fn server_directory() -> PathBuf {
    let directory = TempDir::with_prefix("rollfit-postgres-").unwrap().keep();
    set_owner_and_mode(&directory, 0o755);
    directory
}

/// Writes a file of that user.
pub(crate) fn write_for_server(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    set_owner_and_mode(path, mode);
}

fn set_owner_and_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    if let Some((uid, gid)) = server_user() {
        lchown(path, Some(uid), Some(gid)).unwrap();
    }
}
