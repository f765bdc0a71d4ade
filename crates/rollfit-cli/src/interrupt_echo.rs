//! The `^C` that a terminal writes where Ctrl-C is typed: not while lines are redrawn there. At the end of a full line it would move them
//! down a row, and the first of them would stay.
//!
//! Invariants: it's off only while lines are shown by a process in the foreground, whose keys come from a terminal too; the terminal has
//! it again before the process ends, however it ends but by SIGKILL. Nothing else about the terminal is changed. From the background
//! nothing is: the system would stop the process for it, and the shell has the terminal as it wants it.

use std::io::{IsTerminal, Stderr, Stdout, stderr, stdin, stdout};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;

use rollfit_job::lock::lock;
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcgetpgrp, tcsetattr};

/// Where lines are redrawn.
#[derive(Debug)]
pub(crate) enum RedrawnStream {
    Stdout(Stdout),
    Stderr(Stderr),
}

/// The terminal that writes no `^C` now, which it did before.
static SILENT: Mutex<Option<RedrawnStream>> = Mutex::new(None);

impl RedrawnStream {
    pub(crate) fn stdout() -> Self {
        Self::Stdout(stdout())
    }

    pub(crate) fn stderr() -> Self {
        Self::Stderr(stderr())
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stdout(stream) => stream.as_fd(),
            Self::Stderr(stream) => stream.as_fd(),
        }
    }
}

/// Has the terminal of `stream` write no `^C`, if it does and is ours to change.
pub(crate) fn silence(stream: &RedrawnStream) {
    let mut silent = lock(&SILENT);
    if silent.is_none() && stdin().is_terminal() && set_echo(stream, false) {
        *silent = Some(match stream {
            RedrawnStream::Stdout(_) => RedrawnStream::stdout(),
            RedrawnStream::Stderr(_) => RedrawnStream::stderr(),
        });
    }
}

/// Gives the terminal back as it was. Waits for nothing: not for output that nobody reads, either.
pub(crate) fn restore() {
    if let Some(stream) = lock(&SILENT).take() {
        set_echo(&stream, true);
    }
}

/// Whether that changed anything.
fn set_echo(stream: &RedrawnStream, is_on: bool) -> bool {
    let terminal = stream.fd();
    // No terminal, or not the one that the process is controlled by.
    if tcgetpgrp(terminal).ok() != Some(getpgrp()) {
        return false;
    }
    let Ok(mut modes) = tcgetattr(terminal) else { return false };
    if modes.local_modes.contains(LocalModes::ECHOCTL) == is_on {
        return false;
    }
    modes.local_modes.set(LocalModes::ECHOCTL, is_on);
    tcsetattr(terminal, OptionalActions::Now, &modes).is_ok()
}
