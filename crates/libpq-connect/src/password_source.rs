//! [`PasswordSource`]: where the password comes from. Nothing here is printable, and no error contains a password command or its
//! output.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};

use crate::connect_error::ConnectError;
use crate::pass_file::{PassFile, PassFileKey};

/// How long a password command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// More than any password: tokens of cloud providers have about 2 KiB.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024;

/// Where to get the password for each connection.
#[derive(Clone)]
pub(crate) enum PasswordSource {
    /// The settings contain it.
    Given(String),
    /// The first line of output of a shell command run in this directory; empty means the working directory.
    Command { command: String, dir: PathBuf },
    /// A password file, if it has a line for the host.
    File(PathBuf),
    /// There is none.
    Nowhere,
}

/// The password or passwords for one call of `connect`.
pub(crate) enum Password {
    /// The same for every host.
    Same(Vec<u8>),
    /// What the password file has for each host.
    InFile(PassFile),
    /// None.
    Missing,
}

impl PasswordSource {
    /// Fetches the password. It may have changed since the last call.
    ///
    /// # Errors
    /// When the command returns none.
    pub(crate) async fn fetch(&self) -> Result<Password, ConnectError> {
        Ok(match self {
            Self::Given(password) => Password::Same(password.clone().into_bytes()),
            Self::Command { command, dir } => Password::Same(run(command, dir, COMMAND_TIMEOUT).await?),
            Self::File(path) => Password::InFile(PassFile::read(path)),
            Self::Nowhere => Password::Missing,
        })
    }
}

impl Password {
    /// Returns the password for a host.
    pub(crate) fn for_host(&self, key: PassFileKey<'_>) -> Option<Vec<u8>> {
        match self {
            Self::Same(password) => Some(password.clone()),
            Self::InFile(file) => file.password(key),
            Self::Missing => None,
        }
    }

    /// Returns why the password file is not used, if it is not.
    pub(crate) fn warning(&self) -> Option<&str> {
        match self {
            Self::InFile(file) => file.warning(),
            Self::Same(_) | Self::Missing => None,
        }
    }
}

/// Returns the first line of a shell command's output if it succeeds in time.
async fn run(command: &str, dir: &Path, timeout: Duration) -> Result<Vec<u8>, ConnectError> {
    let mut shell = spawn(command, dir)?;
    let end = match tokio::time::timeout(timeout, finish(&mut shell)).await {
        Ok(end) => end,
        Err(_) => Err(error(format!("took longer than {} s and was stopped", timeout.as_secs_f64()))),
    };
    // Also stops what the command started.
    stop(&shell);
    first_line(end?)
}

/// Starts the shell in a process group of its own, so that everything it starts can be stopped.
fn spawn(command: &str, dir: &Path) -> Result<Child, ConnectError> {
    let mut shell = Command::new("sh");
    if !dir.as_os_str().is_empty() {
        shell.current_dir(dir);
    }
    shell.arg("-c").arg(command).process_group(0).kill_on_drop(true);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    shell.spawn().map_err(|source| not_run(source, "cannot be started: `sh` must be on the PATH"))
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
        true => Err(error("writes more than 64 KiB: it must write the password and nothing else".to_owned())),
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

fn first_line((status, output): (ExitStatus, Vec<u8>)) -> Result<Vec<u8>, ConnectError> {
    if !status.success() {
        return Err(error(format!("failed ({status}): run it by hand to see why")));
    }
    let line = output.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match line.strip_suffix(b"\r").unwrap_or(line) {
        [] => Err(error("wrote nothing on its first line: it must write the password there".to_owned())),
        password => Ok(password.to_vec()),
    }
}

fn error(why: String) -> ConnectError {
    ConnectError::PasswordCommand { why, source: None }
}

fn not_run(source: std::io::Error, why: &str) -> ConnectError {
    ConnectError::PasswordCommand { why: why.to_owned(), source: Some(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(600);

    fn run_command(command: &str, timeout: Duration) -> Result<Vec<u8>, ConnectError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(command, Path::new(""), timeout))
    }

    fn message_of(command: &str, timeout: Duration) -> String {
        let error = run_command(command, timeout).unwrap_err();
        let message = format!("{error} {error:?}");
        assert!(!message.contains("hunter2"), "{message}");
        message
    }

    #[test]
    fn the_first_line_is_the_password() {
        assert_eq!(run_command("echo 'pass word'; echo more", TIMEOUT).unwrap(), b"pass word");
        assert_eq!(run_command("printf 'crlf\\r\\n'", TIMEOUT).unwrap(), b"crlf");
        assert_eq!(run_command("printf unended", TIMEOUT).unwrap(), b"unended");
        assert_eq!(run_command("printf '\\377\\n'", TIMEOUT).unwrap(), [0xff]);
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
    fn a_failing_command_is_reported_with_its_exit_status_and_nothing_it_wrote() {
        let message = message_of("echo hunter2; echo hunter2 >&2; exit 3", TIMEOUT);
        assert!(message.contains("exit status: 3"), "{message}");
        assert!(message_of("hunter2-is-no-command", TIMEOUT).contains("exit status: 127"));
        assert!(message_of("kill -9 $$; echo hunter2", TIMEOUT).contains("signal: 9"));
    }

    #[test]
    fn an_empty_first_line_is_no_password() {
        for command in ["true", "echo; echo hunter2", "printf '\\r\\nhunter2'"] {
            assert!(message_of(command, TIMEOUT).contains("first line"), "{command}");
        }
    }

    #[test]
    fn a_command_that_writes_without_end_is_stopped() {
        assert!(message_of("yes hunter2", TIMEOUT).contains("64 KiB"));
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
