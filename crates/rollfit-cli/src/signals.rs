//! SIGINT and SIGTERM: the first finishes the partitions in progress, a second, or the end of a grace period, rolls back
//! what is uncommitted. SIGXFSZ: a file at its limit is an error of that file, and not the end of the process.
//!
//! Invariants: the process ends within [`ROLLBACK_MAX`] of the last signal, whatever its threads wait for: a disk, a
//! server, a reader of its output. No thread here writes a message itself, since that can be what they wait for.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::time::Duration;

use rollfit_job::stop_signal::StopSignal;
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::exit::Exit;
use crate::{interrupt_echo, logging};

/// What is said before the process ends without what it waits for.
const ENDING: &str = "something does not answer; ending without it, uncommitted work is rolled back";
/// How long a roll back may take before the process ends without it. What is not committed is then rolled back by the
/// server, or by the next run.
pub(crate) const ROLLBACK_MAX: Duration = Duration::from_secs(5);
/// Has writes beyond the limit on the size of files fail, where the signal would end the process: a log that reaches
/// the limit ends nothing, and a partition that does fails with its cause. Programs that this one starts are not affected.
pub(crate) fn make_file_limits_errors() {
    // Where the signal cannot be handled, it acts as the system has it.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// Turns signals into stop requests until the process ends.
pub(crate) fn handle_signals(stop: &StopSignal, grace: Option<Duration>) -> std::io::Result<()> {
    on_each_signal(stop, move |stop, say| {
        if stop.requested() {
            stop.abandon();
            say("rolling back uncommitted work");
        } else {
            stop.finish();
            say("finishing the partitions in progress; a second signal rolls them back");
            abandon_after(stop, grace);
        }
    })
}

/// Turns the first signal into the end of a command that has little to roll back.
pub(crate) fn stop_at_first_signal(stop: &StopSignal) -> std::io::Result<()> {
    on_each_signal(stop, |stop, say| {
        stop.abandon();
        say("stopping");
    })
}

/// Turns the first signal into the end of a command that only shows something, which it takes away without a word.
pub(crate) fn stop_showing_at_signal(stop: &StopSignal) -> std::io::Result<()> {
    on_each_signal(stop, |stop, _| stop.abandon())
}

fn on_each_signal(
    stop: &StopSignal,
    act: impl Fn(&StopSignal, &dyn Fn(&'static str)) + Send + 'static,
) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let (messages, speech) = mpsc::channel::<&'static str>();
    let (stop_heard, stop_watched) = (stop.clone(), stop.clone());
    spawn("messages", move || speech.iter().for_each(warn))?;
    let say = move |message| {
        let _ = messages.send(message);
    };
    let say_last = say.clone();
    spawn("watchdog", move || end_when_overdue(&stop_watched, &say_last))?;
    spawn("signals", move || signals.forever().for_each(|_| act(&stop_heard, &say)))
}

/// Logs a warning; the last one on a terminal without a bar.
fn warn(message: &str) {
    if message == ENDING {
        logging::end_bar();
    }
    logging::warn(message);
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Ends the process when a roll back takes too long.
fn end_when_overdue(stop: &StopSignal, say: &dyn Fn(&'static str)) {
    const PAUSE: Duration = Duration::from_millis(100);
    /// Enough for a message, where anybody reads it.
    const LAST_WORD: Duration = Duration::from_millis(300);
    while !stop.abandon_requested() {
        std::thread::sleep(PAUSE);
    }
    std::thread::sleep(ROLLBACK_MAX);
    say(ENDING);
    std::thread::sleep(LAST_WORD);
    // The message may be what does not come to its end.
    interrupt_echo::restore();
    signal_hook::low_level::exit(Exit::Interrupted as i32);
}

fn abandon_after(stop: &StopSignal, grace: Option<Duration>) {
    let Some(grace) = grace else { return };
    let after = stop.clone();
    let waiting = spawn("grace period", move || {
        std::thread::sleep(grace);
        after.abandon();
    });
    // Without a thread to wait there is no grace.
    if waiting.is_err() {
        stop.abandon();
    }
}
