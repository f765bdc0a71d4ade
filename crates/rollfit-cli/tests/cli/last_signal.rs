//! The end of a command whose threads hang: within ten seconds of the last signal, whatever they wait for.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::planted::fifo;
use crate::sandbox::Sandbox;

/// A command that hangs, and what ends it.
struct Hanging {
    what: &'static str,
    child: Child,
    signals: usize,
}

impl Hanging {
    fn start(what: &'static str, mut command: Command, signals: usize) -> Self {
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        let hanging = Self { what, child, signals };
        let started = Instant::now();
        while !hanging.heeds_signals() {
            assert!(started.elapsed() < Duration::from_secs(60), "{what} never heeds signals");
            std::thread::sleep(Duration::from_millis(10));
        }
        hanging
    }

    /// Whether the process has a handler of SIGINT.
    fn heeds_signals(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & 0b10 != 0
    }

    fn signal(&self) {
        let kill = format!("kill -INT {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    #[track_caller]
    fn ends_before(mut self, end: Instant) {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!("{} still runs", self.what);
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(status.code(), Some(130), "{}: {:?}", self.what, status.signal());
    }
}

/// A pipe that is full and that nobody reads.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    const CAPACITY: usize = 65_536;
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[b' '; CAPACITY]).unwrap();
    (reader, writer)
}

#[test]
fn a_command_that_hangs_ends_within_ten_seconds_of_the_last_signal() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    sandbox.leave_an_unfinished_import();
    let lock = File::open(sandbox.path("fx/sources/.lock")).unwrap();
    lock.lock().unwrap();
    fifo(&sandbox.path("pipe"));
    let (_reader, writer) = full_pipe();
    let mut deaf = sandbox.command(&["run", "--force"]);
    deaf.stderr(writer);
    let command = |arguments: &[&str]| sandbox.command(arguments);
    let hanging = [
        Hanging::start("verify at a lock", command(&["verify"]), 1),
        Hanging::start("run at a lock", command(&["run", "--force"]), 2),
        Hanging::start("run with a grace period", command(&["run", "--force", "--stop-within", "0"]), 1),
        Hanging::start("run at a pipe", command(&["run", "--force", "--metrics-file", "pipe"]), 2),
        Hanging::start("run with a full log", deaf, 2),
    ];
    for round in 0..2 {
        hanging.iter().filter(|hanging| round < hanging.signals).for_each(Hanging::signal);
        // Signals that wait at the same time are one.
        std::thread::sleep(Duration::from_millis(300));
    }
    let end = Instant::now() + Duration::from_secs(10);
    hanging.into_iter().for_each(|hanging| hanging.ends_before(end));
    lock.unlock().unwrap();
    sandbox.run(&["run", "--force"]).exits(0);
    sandbox.run(&["verify"]).exits(0);
}
