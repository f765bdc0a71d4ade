//! [`ServerMetrics`]: asks the command of `server_metrics_command` how busy the server is, every 15 s on a thread of its own. For servers
//! whose processor time cannot be seen from here.
//!
//! Invariants: no message has the command or anything that it wrote; a command that hangs, fails or writes without end costs a run nothing;
//! after a failure nothing is known. When this is dropped the command is no longer running.

use std::io::{ErrorKind, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rollfit_job::lock::{lock, unpoisoned};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process_group};

/// More than a number needs, whatever stands beside it.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// How often a command that runs is looked at.
const POLL: Duration = Duration::from_millis(20);
/// Metrics are averages: a share may be rounded up.
const PERCENT_MAX: f64 = 100.5;

/// A command, and when it is run.
#[derive(Clone)]
pub(crate) struct MetricsCommand {
    command: String,
    /// Empty for the working directory.
    dir: PathBuf,
    period: Duration,
    timeout: Duration,
}

/// See the module.
pub(crate) struct ServerMetrics {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    is_over: bool,
    /// What the command said last, 0 to 1, or why it said nothing; none before its first answer.
    share: Option<Result<f64, String>>,
}

/// What a command printed.
#[derive(serde::Deserialize)]
struct Printed {
    cpu_percent: f64,
}

impl MetricsCommand {
    pub(crate) fn new(command: String, dir: PathBuf) -> Self {
        Self { command, dir, period: Duration::from_secs(15), timeout: Duration::from_secs(10) }
    }

    /// Runs it now, and again and again.
    pub(crate) fn start(&self) -> ServerMetrics {
        let shared = Arc::new(Shared::default());
        let (command, of_thread) = (self.clone(), Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("server metrics".to_owned());
        let thread = thread.spawn(move || command.ask_until_over(&of_thread));
        if let Err(error) = &thread {
            lock(&shared.state).share = Some(Err(format!("the system starts no thread for it: {error}")));
        }
        ServerMetrics { shared, thread: thread.ok() }
    }

    fn ask_until_over(&self, shared: &Shared) {
        loop {
            let share = self.ask(shared);
            let mut state = lock(&shared.state);
            if state.is_over {
                return;
            }
            state.share = Some(share.map_err(|why| format!("server_metrics_command {why}")));
            if shared.is_over_after(state, self.period) {
                return;
            }
        }
    }

    fn ask(&self, shared: &Shared) -> Result<f64, String> {
        let mut shell = self.spawn().map_err(|error| format!("cannot be run: {error}"))?;
        let mut has_ended = false;
        let output = self.finish(&mut shell, shared, &mut has_ended);
        // Of one that has ended, and was waited for, the number may be another's by now.
        if output.is_err() && !has_ended {
            stop(&mut shell);
        }
        parse(&output?)
    }

    /// Starts the shell in a process group of its own, so that everything it starts can be stopped.
    fn spawn(&self) -> std::io::Result<Child> {
        use std::os::unix::process::CommandExt;
        let mut shell = Command::new("sh");
        if !self.dir.as_os_str().is_empty() {
            shell.current_dir(&self.dir);
        }
        shell.arg("-c").arg(&self.command).process_group(0);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        shell.spawn()
    }

    /// What it writes until it ends, and nobody has its output open any more.
    fn finish(&self, shell: &mut Child, shared: &Shared, has_ended: &mut bool) -> Result<Vec<u8>, String> {
        let deadline = Instant::now() + self.timeout;
        let stdout = shell.stdout.take().ok_or("has no output")?;
        let mut output = Output::new(stdout).map_err(|error| format!("cannot be read from: {error}"))?;
        loop {
            let is_whole = output.read().map_err(|error| format!("cannot be read from: {error}"))?;
            if output.bytes.len() > OUTPUT_BYTES_MAX {
                return Err("writes more than 64 KiB".to_owned());
            }
            let ended = if is_whole { shell.try_wait() } else { Ok(None) };
            let ended = ended.map_err(|error| format!("cannot be waited for: {error}"))?;
            *has_ended = ended.is_some();
            match ended {
                Some(status) if status.success() => return Ok(output.bytes),
                Some(status) => return Err(format!("failed ({status}); run it by hand to see why")),
                None if Instant::now() >= deadline => {
                    return Err(format!("took longer than {} s and was stopped", self.timeout.as_secs_f64()));
                }
                None if shared.is_over_after(lock(&shared.state), POLL) => {
                    return Err("was stopped".to_owned());
                }
                None => {}
            }
        }
    }
}

impl ServerMetrics {
    /// What the command said last, 0 to 1, or why it said nothing; none before its first answer.
    pub(crate) fn share(&self) -> Option<Result<f64, String>> {
        lock(&self.shared.state).share.clone()
    }
}

impl Drop for ServerMetrics {
    fn drop(&mut self) {
        lock(&self.shared.state).is_over = true;
        self.shared.ended.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn is_over_after(&self, state: MutexGuard<'_, State>, period: Duration) -> bool {
        let waited = self.ended.wait_timeout_while(state, period, |state| !state.is_over);
        unpoisoned(waited).0.is_over
    }
}

/// The output of a command that runs, read without waiting.
struct Output {
    stdout: ChildStdout,
    bytes: Vec<u8>,
}

impl Output {
    fn new(stdout: ChildStdout) -> std::io::Result<Self> {
        fcntl_setfl(&stdout, fcntl_getfl(&stdout)? | OFlags::NONBLOCK)?;
        Ok(Self { stdout, bytes: Vec::new() })
    }

    /// Reads what is there, and a little more than may be; whether that was the end.
    fn read(&mut self) -> std::io::Result<bool> {
        let mut block = [0; 4096];
        while self.bytes.len() <= OUTPUT_BYTES_MAX {
            match self.stdout.read(&mut block) {
                Ok(0) => return Ok(true),
                Ok(length) => self.bytes.extend_from_slice(&block[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// Ends the shell, which nobody has waited for yet, and all that it started, also where it has ended before them.
fn stop(shell: &mut Child) {
    if let Some(group) = i32::try_from(shell.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
        let _ = shell.wait();
    }
}

fn parse(output: &[u8]) -> Result<f64, String> {
    let nothing = || "prints no JSON object with `cpu_percent`, a number from 0 to 100".to_owned();
    let Printed { cpu_percent } = serde_json::from_slice(output).map_err(|_| nothing())?;
    match (0.0..=PERCENT_MAX).contains(&cpu_percent) {
        true => Ok((cpu_percent / 100.0).min(1.0)),
        false => Err(nothing()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(command: &str) -> MetricsCommand {
        MetricsCommand {
            period: Duration::from_millis(10),
            timeout: Duration::from_secs(60),
            ..MetricsCommand::new(command.to_owned(), PathBuf::new())
        }
    }

    fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[track_caller]
    fn failure(command: &MetricsCommand) -> String {
        let metrics = command.start();
        let failure = until(|| metrics.share()).unwrap_err();
        assert!(!failure.contains("hunter2"), "{failure}");
        assert!(failure.starts_with("server_metrics_command "), "{failure}");
        failure
    }

    #[test]
    fn a_share_is_what_the_command_prints_whatever_stands_beside_it() {
        let metrics = command(r#"echo '{"cpu_percent": 37.5, "of": ["db-1", null]}'"#).start();
        assert_eq!(until(|| metrics.share()), Ok(0.375));
        let shares = ["0", "100", "100.0000001", "1e1"]
            .map(|number| parse(format!("\n{{\"at\":1,\"cpu_percent\":{number}}}\n\n").as_bytes()));
        assert_eq!(shares, [0.0, 1.0, 1.0, 0.1].map(Ok));
    }

    #[test]
    fn what_is_no_share_is_refused_without_repeating_it() {
        let printed = [
            "",
            "37.5",
            "hunter2",
            r#"{"cpu_percent": null}"#,
            r#"{"cpu_percent": "hunter2"}"#,
            r#"{"cpu_percent": 101}"#,
            r#"{"cpu_percent": -1}"#,
            r#"{"cpu_percent": 1e999}"#,
            r#"{"cpu": 37.5}"#,
            r#"{"cpu_percent": 1} {"cpu_percent": 2}"#,
            r#"{"cpu_percent": 1, "cpu_percent": 2}"#,
        ];
        for text in printed {
            let refused = parse(text.as_bytes()).unwrap_err();
            assert!(refused.contains("`cpu_percent`") && !refused.contains("hunter2"), "{text}: {refused}");
        }
        assert!(parse(&[b'['; 60_000]).is_err());
    }

    #[test]
    fn a_command_that_fails_is_told_with_its_status_and_nothing_it_wrote() {
        let failed =
            failure(&command(r#"echo '{"cpu_percent": 1, "token": "hunter2"}'; echo hunter2 >&2; exit 3"#));
        assert!(failed.contains("exit status: 3"), "{failed}");
        assert!(failure(&command("kill -9 $$; echo hunter2")).contains("signal: 9"));
        assert!(failure(&command("yes hunter2")).contains("64 KiB"));
        let nowhere = MetricsCommand { dir: PathBuf::from("/hunter2"), ..command("true") };
        assert!(failure(&nowhere).contains("cannot be run"));
    }

    #[test]
    fn it_is_run_again_and_what_it_said_is_forgotten_once_it_fails() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"test -e gone && exit 1; echo x >> count; echo "{\"cpu_percent\": $(grep -c x count)}""#;
        let metrics = MetricsCommand { dir: dir.path().to_owned(), ..command(text) }.start();
        until(|| metrics.share()?.ok().filter(|&share| share >= 0.03));
        std::fs::write(dir.path().join("gone"), "").unwrap();
        until(|| metrics.share()?.err());
        std::fs::remove_file(dir.path().join("gone")).unwrap();
        until(|| metrics.share()?.ok());
    }

    /// The pipe that the command inherits is at its end only when all that the command started has ended.
    #[test]
    fn a_command_that_hangs_is_stopped_with_all_it_started_in_time_or_at_the_end() {
        let in_front = "exec 3> pipe; echo started >&3; sleep 3600 | cat";
        let behind = "exec 3> pipe; echo started >&3; sleep 3600 &";
        let times = [Duration::from_millis(200), Duration::from_secs(3600)];
        for (timeout, text) in times.into_iter().flat_map(|time| [(time, in_front), (time, behind)]) {
            let dir = tempfile::tempdir().unwrap();
            let pipe = dir.path().join("pipe");
            assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
            let hanging = MetricsCommand { dir: dir.path().to_owned(), timeout, ..command(text) };
            let metrics = hanging.start();
            let mut pipe = std::fs::File::open(pipe).unwrap();
            let mut written = String::new();
            if timeout < Duration::from_secs(1) {
                let failure = until(|| metrics.share()?.err());
                assert!(failure.contains("took longer than 0.2 s"), "{failure}");
            } else {
                assert_eq!(pipe.read(&mut [0; 8]).unwrap(), 8);
            }
            assert!(metrics.share().is_none_or(|share| share.is_err()));
            drop(metrics);
            pipe.read_to_string(&mut written).unwrap();
        }
    }
}
