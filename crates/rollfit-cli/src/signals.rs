//! SIGINT and SIGTERM: the first finishes the partitions in hand, a second, or the end of a grace period, rolls back
//! what is uncommitted.

use std::time::Duration;

use rollfit_job::stop::Stop;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::logging;

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
