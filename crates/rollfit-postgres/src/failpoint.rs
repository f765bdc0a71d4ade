//! Moments at which a test stops the process to check what is left. Compiled in only with the feature `failpoints`;
//! without it the function is empty.

/// Marks the moment `_name`.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) fn reach(_name: &str) {}

/// Marks the moment `name`. If `ROLLFIT_FAILPOINT` is `name:SIGNAL` or `name:SIGNAL:COUNT`, the process gets KILL or
/// STOP at the COUNTth time. Returns only after the process was continued.
#[cfg(feature = "failpoints")]
pub(crate) fn reach(name: &str) {
    use std::sync::atomic::{AtomicU64, Ordering};

    static REACHED: AtomicU64 = AtomicU64::new(0);
    let Ok(wanted) = std::env::var("ROLLFIT_FAILPOINT") else { return };
    let mut parts = wanted.split(':');
    if parts.next() != Some(name) {
        return;
    }
    let signal = match parts.next() {
        Some("STOP") => rustix::process::Signal::STOP,
        _ => rustix::process::Signal::KILL,
    };
    let count = parts.next().and_then(|count| count.parse().ok()).unwrap_or(1);
    if REACHED.fetch_add(1, Ordering::SeqCst) + 1 == count {
        let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
        while is_pending(signal) {
            std::thread::yield_now();
        }
    }
}

/// Returns whether a signal is still pending. It may hit another thread first while this one runs for a moment
/// longer; once it is no longer pending, the system stops all threads.
#[cfg(feature = "failpoints")]
fn is_pending(signal: rustix::process::Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).map(str::trim);
    let mask = mask.and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0);
    mask & (1 << (signal.as_raw() - 1)) != 0
}
