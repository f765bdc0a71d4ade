//! [`Sandbox`]: a directory of its own in which a test runs the executable; [`Answer`]: what came back.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rollfit_job::record::Record;
use rollfit_testkit::record;
use serde_json::Value;
use tempfile::TempDir;

use crate::tree::walk;

/// The executable under test.
pub(crate) const ROLLFIT: &str = env!("CARGO_BIN_EXE_rollfit");

/// A user that no password file knows.
pub(crate) const UNKNOWN_UID: u32 = 54_321;

/// What the names of variables begin with that mean something to the executable: its own, and those of tasks of array jobs.
const OUR_VARIABLES: [&str; 4] = ["ROLLFIT_", "JOB_COMPLETION_", "AWS_BATCH_JOB_ARRAY_", "SLURM_ARRAY_TASK_"];

/// A directory that goes away with the test.
pub(crate) struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::with_prefix("rollfit-test-").unwrap() }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// Writes a file, and the directories above it.
    pub(crate) fn write(&self, relative: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The executable, ready to run here with none of our variables in its environment.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = self.in_clean_environment(ROLLFIT);
        command.args(arguments);
        command
    }

    /// Runs the executable to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Answer {
        Answer::from_command(self.command(arguments))
    }

    /// As [`Sandbox::run`], with variables in the environment.
    pub(crate) fn run_with<S: AsRef<OsStr>>(&self, variables: &[(&str, &str)], arguments: &[S]) -> Answer {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        Answer::from_command(command)
    }

    /// Gives everything in here to [`UNKNOWN_UID`], where the test is privileged to; what may be done with it is then
    /// up to the permissions that its owner has.
    pub(crate) fn give_away(&self) {
        if is_privileged() {
            let give = |path: &PathBuf| lchown(path, Some(UNKNOWN_UID), Some(UNKNOWN_UID)).unwrap();
            walk(self.dir()).iter().for_each(give);
        }
    }

    /// Gives everything in here to a user who is not privileged, and runs the executable as that user.
    pub(crate) fn run_unprivileged<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Answer {
        let mut command = self.in_clean_environment(self.executable_in_here());
        self.give_away();
        command.args(arguments);
        become_unprivileged(&mut command);
        Answer::from_command(command)
    }

    /// A program that runs in here with none of our variables but the directory where records of runs go, in here too, and the order of a run:
    /// by default each begins elsewhere.
    pub(crate) fn in_clean_environment(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if OUR_VARIABLES.iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name.as_ref());
            }
        }
        command.env("ROLLFIT_STATE_DIR", self.path("state")).env("ROLLFIT_RUN__ORDER", "plan");
        command.current_dir(self.dir()).stdin(Stdio::null());
        command
    }

    /// A copy of the executable that whoever owns the sandbox can run.
    pub(crate) fn executable_in_here(&self) -> PathBuf {
        let path = self.path("bin/rollfit");
        if !path.exists() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy(ROLLFIT, &path).unwrap();
        }
        path
    }

    /// Puts a record where records of runs are kept.
    pub(crate) fn keep(&self, record: Record) {
        let path = format!("state/runs/{}.jsonl", record.header.run);
        self.write(path, record::lines(record));
    }

    /// The file of a partition's features.
    pub(crate) fn part(&self, key: &str, month: &str) -> PathBuf {
        self.path(format!("fx/features/key={key}/month={month}/part.parquet"))
    }
}

/// Makes a privileged test's command run as [`UNKNOWN_UID`]; others are unprivileged as they are.
pub(crate) fn become_unprivileged(command: &mut Command) {
    if is_privileged() {
        command.uid(UNKNOWN_UID).gid(UNKNOWN_UID);
    }
}

pub(crate) fn is_privileged() -> bool {
    fs::metadata("/proc/self").is_ok_and(|status| status.uid() == 0)
}

/// What a run of the executable gave.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    pub(crate) fn from_command(mut command: Command) -> Self {
        loop {
            match command.output() {
                // A process that another test starts at this moment has a script open that was just written.
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                output => return Self::from(output.unwrap()),
            }
        }
    }

    /// The same answer, whose exit code is checked.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self}");
        self
    }

    /// Checks that each of `parts` stands in what was printed, data or messages.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            let found = self.stdout.contains(part) || self.stderr.contains(part);
            assert!(found, "does not say `{part}`\n{self}");
        }
        self
    }

    /// The document on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }
}

/// Messages as a terminal shows them: without the time of each line, and without the level of those that only inform.
fn unstamped(messages: &str) -> String {
    let text = |line: &str| {
        let stamped = line.split_once(' ').filter(|(time, _)| time.parse::<jiff::Timestamp>().is_ok());
        let text = stamped.map_or(line, |(_, text)| text);
        text.strip_prefix("info: ").unwrap_or(text).to_owned()
    };
    messages.split_inclusive('\n').map(text).collect()
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: unstamped(&String::from_utf8(output.stderr).unwrap()),
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n-- stdout\n{}\n-- stderr\n{}", self.status, self.stdout, self.stderr)
    }
}
