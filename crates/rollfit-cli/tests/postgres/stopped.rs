//! [`Stopped`]: a run that stands still at a chosen moment, so that a test can do something to the world before it goes
//! on.

use std::time::{Duration, Instant};

use crate::running::{Running, signal};
use crate::workload::Workload;

/// How long a run may take to come to a moment on a busy machine before a test says that it never does.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run that was stopped by a signal. It ends with the test.
pub(crate) struct Stopped(Running);

impl Workload<'_> {
    /// Starts a run and waits until it has stopped at a moment, `name` or `name` and `:count`.
    #[track_caller]
    pub(crate) fn stopped_at(&self, moment: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Stopped {
        let moment = with_signal(moment, "STOP");
        let variables = [&[("ROLLFIT_FAILPOINT", moment.as_str())], variables].concat();
        let running = self.start(&variables, arguments);
        wait_until_stopped(&running);
        Stopped(running)
    }
}

/// Waits until a process has stopped at the moment that it was given.
#[track_caller]
pub(crate) fn wait_until_stopped(running: &Running) {
    let started = Instant::now();
    while state(running) != Some('T') {
        assert!(state(running) != Some('Z') && started.elapsed() < PATIENCE, "its moment never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Stopped {
    /// Lets it go on.
    pub(crate) fn go_on(self) -> Running {
        signal(&self.0, "CONT");
        self.0
    }
}

/// The value of `ROLLFIT_FAILPOINT` for a moment, `name` or `name:count`.
pub(crate) fn with_signal(moment: &str, signal: &str) -> String {
    match moment.split_once(':') {
        Some((name, count)) => format!("{name}:{signal}:{count}"),
        None => format!("{moment}:{signal}"),
    }
}

/// The state of a process as the system tells it: `T` where it is stopped, `Z` where it has ended.
fn state(running: &Running) -> Option<char> {
    let status = std::fs::read_to_string(format!("/proc/{}/stat", running.id())).ok()?;
    // The name before it is in brackets, and may hold anything.
    status.rsplit_once(") ")?.1.chars().next()
}
