//! [`Throttle`]: what the configuration lets a run use at most, of cores and of bytes a second, and how long to hold back where
//! it has used more.
//!
//! Invariants: what all workers used counts together, and no use is forgotten, so that over time the limit is kept whatever
//! their number. An allowance that was not used is gone after a second.

use std::sync::Mutex;
use std::time::Duration;

use crate::activity::{Activity, during};
use crate::config::RunConfig;
use crate::lock::lock;
use crate::stop_signal::StopSignal;

/// The limits of a run.
#[derive(Debug)]
pub(super) struct Throttle {
    /// Seconds of processor time a second.
    cores: Option<RateLimit>,
    /// Bytes a second.
    bytes: Option<RateLimit>,
}

/// One limit.
#[derive(Debug)]
struct RateLimit {
    per_s: f64,
    paid: Mutex<Paid>,
}

/// Up to where it is settled what was used.
#[derive(Debug, Default)]
struct Paid {
    used: f64,
    until_s: f64,
}

/// How much time's allowance is kept for later.
const KEPT_S: f64 = 1.0;
/// What is shorter is not worth a sleep, and is held back with what comes after it.
const LEAST: Duration = Duration::from_millis(1);

impl Throttle {
    pub(super) fn new(config: &RunConfig) -> Self {
        let used = process_cpu_s();
        Self {
            cores: config.cpu_max.map(|cores| RateLimit::new(cores, used)),
            bytes: config.store_write_mb_per_s_max.map(|mb| RateLimit::new(mb * 1e6, 0.0)),
        }
    }

    /// Holds this worker back for as long as the run has used too much, `now` after its beginning. Not longer than until
    /// what is uncommitted is to be rolled back.
    pub(super) fn wait(&self, bytes: u64, now: Duration, stop: &StopSignal) {
        let cores = self.cores.as_ref().map(|limit| limit.debt(process_cpu_s(), now));
        let bytes = self.bytes.as_ref().map(|limit| limit.debt(bytes as f64, now));
        let debt = cores.max(bytes).unwrap_or_default();
        if debt >= LEAST {
            during(Activity::Throttled, || stop.sleep_unless_abandoned(debt));
        }
    }
}

impl RateLimit {
    fn new(per_s: f64, used: f64) -> Self {
        Self { per_s, paid: Mutex::new(Paid { used, until_s: 0.0 }) }
    }

    /// How long to use nothing, now that so much was used since ever.
    fn debt(&self, used: f64, now: Duration) -> Duration {
        let now_s = now.as_secs_f64();
        let mut paid = lock(&self.paid);
        // Workers may come here in another order than they looked at what was used.
        let more = (used - paid.used).max(0.0);
        paid.used += more;
        paid.until_s = paid.until_s.max(now_s - KEPT_S) + more / self.per_s;
        Duration::try_from_secs_f64(paid.until_s - now_s).unwrap_or_default()
    }
}

/// The processor time of this process.
pub(super) fn process_cpu_s() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debt_ms(limit: &RateLimit, used: f64, now_s: f64) -> u64 {
        (limit.debt(used, Duration::from_secs_f64(now_s)).as_secs_f64() * 1e3).round() as u64
    }

    #[test]
    fn what_was_used_too_much_is_waited_for_and_no_longer() {
        let limit = RateLimit::new(100.0, 0.0);
        assert_eq!(debt_ms(&limit, 100.0, 1.0), 0);
        assert_eq!(debt_ms(&limit, 150.0, 1.0), 500);
        assert_eq!(debt_ms(&limit, 150.0, 1.4), 100);
        assert_eq!(debt_ms(&limit, 150.0, 1.5), 0);
    }

    #[test]
    fn an_allowance_that_was_not_used_is_kept_for_a_second() {
        let limit = RateLimit::new(100.0, 0.0);
        assert_eq!(debt_ms(&limit, 100.0, 60.0), 0);
        assert_eq!(debt_ms(&limit, 110.0, 60.0), 100);
    }

    #[test]
    fn what_was_used_before_the_run_is_not_its_own() {
        let limit = RateLimit::new(1.0, 50.0);
        assert_eq!(debt_ms(&limit, 51.0, 1.0), 0);
        assert_eq!(debt_ms(&limit, 52.0, 1.0), 1000);
    }

    #[test]
    fn workers_that_wait_as_told_stay_within_the_limit_whatever_their_number() {
        for workers in [1, 3, 16] {
            let limit = RateLimit::new(10.0, 0.0);
            let mut free_at_s = vec![0.0_f64; workers];
            let mut used = 0.0;
            for _ in 0..2000 {
                let worker = (0..workers).min_by(|a, b| free_at_s[*a].total_cmp(&free_at_s[*b])).unwrap();
                let now_s = free_at_s[worker] + 0.01;
                used += 1.0;
                free_at_s[worker] = now_s + limit.debt(used, Duration::from_secs_f64(now_s)).as_secs_f64();
            }
            let took_s = free_at_s.into_iter().fold(0.0, f64::max);
            assert!(used / took_s <= 10.1, "{workers} workers used {} a second", used / took_s);
            assert!(used / took_s >= 9.8, "{workers} workers used only {} a second", used / took_s);
        }
    }
}
