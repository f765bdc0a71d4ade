//! Where the password comes from: the URL, a command that is run at each connect, what libpq would find, or nowhere.
//! Nothing here can be printed, and of the command neither its text nor what it writes is ever told.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};

use super::error::ConnectError;
use super::passfile::{PassFile, Wanted};

/// How long a password command may take.
pub(super) const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// No password is longer; tokens of cloud providers have about 2 KiB.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024;

/// Where to get the password.
#[derive(Clone)]
pub(super) enum PasswordSource {
    /// It was given.
    Given(String),
    /// The first line that a command writes which is run in this directory; empty for the working directory.
    Command { command: String, dir: PathBuf },
    /// This file, if it has a line for the host.
    File(PathBuf),
    /// There is none.
    Nowhere,
}

/// What was got, for one connect.
pub(super) enum Password {
    /// The same for every host.
    Same(Vec<u8>),
    /// What the file has for each host.
    InFile(PassFile),
    /// None.
    Missing,
}

impl PasswordSource {
    /// Gets the password anew: it may have changed since the last connect.
    ///
    /// # Errors
    /// When the command gives none.
    pub(super) async fn fetch(&self) -> Result<Password, ConnectError> {
        Ok(match self {
            Self::Given(password) => Password::Same(password.clone().into_bytes()),
            Self::Command { command, dir } => Password::Same(run(command, dir, COMMAND_LIMIT).await?),
            Self::File(path) => Password::InFile(PassFile::read(path)),
            Self::Nowhere => Password::Missing,
        })
    }
}

impl Password {
    /// The password for a host.
    pub(super) fn of(&self, wanted: Wanted<'_>) -> Option<Vec<u8>> {
        match self {
            Self::Same(password) => Some(password.clone()),
            Self::InFile(file) => file.password(wanted),
            Self::Missing => None,
        }
    }

    /// Why a file that may hold one was passed over.
    pub(super) fn note(&self) -> Option<&str> {
        match self {
            Self::InFile(file) => file.note(),
            Self::Same(_) | Self::Missing => None,
        }
    }
}

/// The first line that a shell command writes, if it ends well and in time.
async fn run(command: &str, dir: &Path, limit: Duration) -> Result<Vec<u8>, ConnectError> {
    let mut shell = spawn(command, dir)?;
    let end = match tokio::time::timeout(limit, finish(&mut shell)).await {
        Ok(end) => end,
        Err(_) => Err(fault(format!("took longer than {} s and was stopped", limit.as_secs_f64()))),
    };
    // Whatever it started goes with it; after a good end there is nothing left to stop.
    stop(&shell);
    password_of(end?)
}

/// Starts a group of processes of its own, so that all of it can be stopped.
fn spawn(command: &str, dir: &Path) -> Result<Child, ConnectError> {
    let mut shell = Command::new("sh");
    if !dir.as_os_str().is_empty() {
        shell.current_dir(dir);
    }
    shell.arg("-c").arg(command).process_group(0).kill_on_drop(true);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    shell.spawn().map_err(|source| not_run(source, "cannot be started: there must be a `sh` on the PATH"))
}

async fn finish(shell: &mut Child) -> Result<(ExitStatus, Vec<u8>), ConnectError> {
    let output = match shell.stdout.take() {
        Some(stdout) => read(stdout).await?,
        None => Vec::new(),
    };
    let status = shell.wait().await.map_err(|source| not_run(source, "cannot be waited for"))?;
    Ok((status, output))
}

async fn read(stdout: ChildStdout) -> Result<Vec<u8>, ConnectError> {
    let mut output = Vec::new();
    let mut limited = stdout.take(OUTPUT_BYTES_MAX + 1);
    limited.read_to_end(&mut output).await.map_err(|source| not_run(source, "cannot be read from"))?;
    match output.len() as u64 > OUTPUT_BYTES_MAX {
        true => Err(fault("writes more than 64 KiB: it must write the password and nothing else".to_owned())),
        false => Ok(output),
    }
}

fn stop(shell: &Child) {
    let group = shell.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(group) = group {
        // It may have ended just now.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn password_of((status, output): (ExitStatus, Vec<u8>)) -> Result<Vec<u8>, ConnectError> {
    if !status.success() {
        return Err(fault(format!("failed ({status}): run it by hand to see why")));
    }
    let line = output.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match line.strip_suffix(b"\r").unwrap_or(line) {
        [] => Err(fault("wrote nothing on its first line: it must write the password there".to_owned())),
        password => Ok(password.to_vec()),
    }
}

fn fault(why: String) -> ConnectError {
    ConnectError::PasswordCommand { why, source: None }
}

fn not_run(source: std::io::Error, why: &str) -> ConnectError {
    ConnectError::PasswordCommand { why: why.to_owned(), source: Some(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMPLE: Duration = Duration::from_secs(600);

    fn run_command(command: &str, limit: Duration) -> Result<Vec<u8>, ConnectError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(command, Path::new(""), limit))
    }

    fn message_of(command: &str, limit: Duration) -> String {
        let error = run_command(command, limit).unwrap_err();
        let message = format!("{error} {error:?}");
        assert!(!message.contains("hunter2"), "{message}");
        message
    }

    #[test]
    fn the_first_line_is_the_password() {
        assert_eq!(run_command("echo 'pass word'; echo more", AMPLE).unwrap(), b"pass word");
        assert_eq!(run_command("printf 'crlf\\r\\n'", AMPLE).unwrap(), b"crlf");
        assert_eq!(run_command("printf unended", AMPLE).unwrap(), b"unended");
        assert_eq!(run_command("printf '\\377\\n'", AMPLE).unwrap(), [0xff]);
    }

    #[test]
    fn the_command_is_run_at_each_connect() {
        let dir = tempfile::tempdir().unwrap();
        let command = "echo x >> count; wc -l < count".to_owned();
        let source = PasswordSource::Command { command, dir: dir.path().to_owned() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for round in 1..=2 {
            let Password::Same(password) = runtime.block_on(source.fetch()).unwrap() else { panic!() };
            assert_eq!(String::from_utf8(password).unwrap().trim(), round.to_string());
        }
    }

    #[test]
    fn a_failing_command_tells_its_exit_status_and_nothing_it_wrote() {
        let message = message_of("echo hunter2; echo hunter2 >&2; exit 3", AMPLE);
        assert!(message.contains("exit status: 3"), "{message}");
        assert!(message_of("hunter2-is-no-command", AMPLE).contains("exit status: 127"));
        assert!(message_of("kill -9 $$; echo hunter2", AMPLE).contains("signal: 9"));
    }

    #[test]
    fn an_empty_first_line_is_no_password() {
        for command in ["true", "echo; echo hunter2", "printf '\\r\\nhunter2'"] {
            assert!(message_of(command, AMPLE).contains("first line"), "{command}");
        }
    }

    #[test]
    fn a_command_that_writes_without_end_is_stopped() {
        assert!(message_of("yes hunter2", AMPLE).contains("64 KiB"));
    }

    /// The pipe that the command inherits is at its end only when all that the command started has ended.
    #[test]
    fn a_command_that_hangs_is_stopped_with_all_it_started() {
        use std::io::Read;
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut written = String::new();
                std::fs::File::open(pipe).unwrap().read_to_string(&mut written).unwrap();
                written
            }
        });
        let command = format!("exec 3> {}; echo started >&3; sleep 3600 | cat; echo hunter2", pipe.display());
        assert!(message_of(&command, Duration::from_secs(1)).contains("longer than 1 s"));
        assert_eq!(reader.join().unwrap(), "started\n");
    }
}
