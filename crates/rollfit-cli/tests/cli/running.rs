//! [`Running`]: the executable while it runs, whose messages a test follows and to which it sends signals.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::sandbox::Answer;

/// The executable while it runs. Ends with the test.
pub(crate) struct Running {
    child: Child,
    messages: BufReader<ChildStderr>,
    seen: String,
    stdout: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts a command that logs in JSON.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let messages = BufReader::new(child.stderr.take().unwrap());
        let mut output = child.stdout.take().unwrap();
        let read = move || {
            let mut text = String::new();
            output.read_to_string(&mut text).unwrap();
            text
        };
        Self { child, messages, seen: String::new(), stdout: Some(std::thread::spawn(read)) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads messages until one that `is_wanted` likes, and returns it.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let mut line = String::new();
            let read = self.messages.read_line(&mut line).unwrap();
            assert!(read > 0, "ended without what the test waits for:\n{}", self.seen);
            self.seen.push_str(&line);
            let message: Value = serde_json::from_str(&line).unwrap();
            if is_wanted(&message) {
                return message;
            }
        }
    }

    #[track_caller]
    pub(crate) fn wait_for_stage(&mut self, stage: &str) -> Value {
        self.wait_for(|message| message["stage"] == stage)
    }

    #[track_caller]
    pub(crate) fn wait_for_words(&mut self, words: &str) -> Value {
        self.wait_for(|message| message["message"].as_str().unwrap().contains(words))
    }

    /// Waits for the end.
    pub(crate) fn finish(mut self) -> Answer {
        self.messages.read_to_string(&mut self.seen).unwrap();
        let stdout = self.stdout.take().unwrap().join().unwrap();
        Answer { status: self.child.wait().unwrap(), stdout, stderr: std::mem::take(&mut self.seen) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal, given without `SIG`.
pub(crate) fn signal(running: &Running, name: &str) {
    let kill = format!("kill -{name} {}", running.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}
