//! SIGINT and SIGTERM: the first finishes the partitions in hand, a second, or the end of a grace period, rolls back
//! what is uncommitted. SIGXFSZ: a file at its limit is an error of that file, and not the end of the process.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rollfit_job::stop::Stop;
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::logging;

/// Has writes beyond the limit on the size of files fail, where the signal would end the process: a log that reaches
/// the limit ends nothing, and a partition that does fails with its cause. Programs that this one starts are not affected.
pub(crate) fn make_file_limits_errors() {
    // Where the signal cannot be handled, it acts as the system has it.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// Turns signals into wishes to stop, from now until the process ends.
pub(crate) fn heed(stop: &Stop, grace: Option<Duration>) -> std::io::Result<()> {
    on_each_signal(stop, move |stop| {
        if stop.is_wanted() {
            stop.abandon();
            logging::warn("rolling back what is not committed");
        } else {
            stop.finish();
            logging::warn("finishing the partitions in hand; a second signal rolls them back");
            abandon_after(stop, grace);
        }
    })
}

/// Turns the first signal into the end of a command that writes nothing.
pub(crate) fn heed_at_once(stop: &Stop) -> std::io::Result<()> {
    on_each_signal(stop, |stop| {
        logging::warn("stopping");
        stop.abandon();
    })
}

fn on_each_signal(stop: &Stop, act: impl Fn(&Stop) + Send + 'static) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let stop = stop.clone();
    std::thread::spawn(move || signals.forever().for_each(|_| act(&stop)));
    Ok(())
}

fn abandon_after(stop: &Stop, grace: Option<Duration>) {
    let Some(grace) = grace else { return };
    let stop = stop.clone();
    std::thread::spawn(move || {
        std::thread::sleep(grace);
        stop.abandon();
    });
}
