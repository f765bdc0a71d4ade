//! [`Watchdog`]: stops what a test has started and removes its directory, however the test ends. It is a shell at the
//! other end of a pipe: when the pipe closes, because the watchdog is dropped, the test process exits or is killed, the
//! shell does its work.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::programs::as_server_user;

/// Ends with the pipe. An interrupt from the keyboard is meant for the test and must not end its watchdog.
const WAIT: &str = "trap '' HUP INT TERM; read -r end";

/// Watches over one directory.
pub(crate) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// Watches over a directory in which nothing runs.
    pub(crate) fn over(directory: &Path) -> Self {
        Self::with_script(WAIT, directory, &[])
    }

    /// Watches over a server in `data` that `pg_ctl` starts and stops.
    pub(crate) fn over_server(directory: &Path, pg_ctl: &Path) -> Self {
        let script = format!("{WAIT}; \"$1\" stop -m immediate -D \"$0/data\"");
        Self::with_script(&script, directory, &[pg_ctl])
    }

    /// Runs a program with its configuration, both of their outputs in `log`, and watches over it.
    pub(crate) fn running(directory: &Path, program: &Path, configuration: &Path) -> Self {
        let script = format!("\"$1\" \"$2\" >\"$0/log\" 2>&1 & {WAIT}; kill -KILL $!; wait");
        Self::with_script(&script, directory, &[program, configuration])
    }

    fn with_script(script: &str, directory: &Path, arguments: &[&Path]) -> Self {
        let mut command = as_server_user(Path::new("/bin/sh"));
        command.args(["-c", &format!("{script}; rm -rf \"$0\"")]).arg(directory).args(arguments);
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { shell: command.spawn().unwrap() }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().unwrap();
    }
}
