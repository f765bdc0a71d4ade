//! [`MonitorLoop`]: queries the state of the store during a run, on its own thread.
//!
//! Invariants: querying costs almost no processor time of this process; a query that fails is reported once.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::throttle::process_cpu_s;
use crate::activity::thread_cpu_us;
use crate::lock::{lock, unpoisoned};
use crate::store::StoreError;
use crate::store::{StoreMonitor, StoreSample};

/// How often the store is asked at most.
const PERIOD: Duration = Duration::from_secs(1);
/// After this many periods it is queried at any cost.
const PERIODS_MAX: usize = 10;
/// How many times what an answer cost this process has to spend otherwise before the next question.
const TIMES_THE_COST: f64 = 300.0;

/// What the store said last.
#[derive(Default)]
pub(super) struct MonitorLoop {
    latest: Mutex<Option<StoreSample>>,
    is_over: Mutex<bool>,
    ended: Condvar,
}

impl MonitorLoop {
    /// The last state of the store; none if it did not answer.
    pub(super) fn latest(&self) -> Option<StoreSample> {
        lock(&self.latest).clone()
    }

    /// Asks no more.
    pub(super) fn end(&self) {
        *lock(&self.is_over) = true;
        self.ended.notify_all();
    }

    /// Asks until the end; gives the first failure to `report`.
    pub(super) fn run(&self, mut monitor: Box<dyn StoreMonitor>, report: impl Fn(&StoreError)) {
        let mut reported = false;
        loop {
            let cost = Cost::from_work(|| {
                let sample = monitor.sample();
                if let (Err(error), false) = (&sample, reported) {
                    reported = true;
                    report(error);
                }
                *lock(&self.latest) = sample.ok();
            });
            let rests = |periods: &usize| *periods == 0 || *periods < PERIODS_MAX && !cost.is_small();
            for _ in (0..PERIODS_MAX).take_while(rests) {
                if self.is_over_after(PERIOD) {
                    return;
                }
            }
        }
    }

    fn is_over_after(&self, period: Duration) -> bool {
        let waited = self.ended.wait_timeout_while(lock(&self.is_over), period, |is_over| !*is_over);
        *unpoisoned(waited).0
    }
}

/// The processor time that something took on this thread.
struct Cost {
    own_s: f64,
    process_s_before: f64,
}

impl Cost {
    fn from_work(work: impl FnOnce()) -> Self {
        let (process_s_before, before_us) = (process_cpu_s(), thread_cpu_us());
        work();
        Self { own_s: (thread_cpu_us() - before_us) as f64 / 1e6, process_s_before }
    }

    /// Whether it is small beside what the process has spent since.
    fn is_small(&self) -> bool {
        process_cpu_s() - self.process_s_before >= TIMES_THE_COST * self.own_s
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Silent<'a>(&'a AtomicUsize);

    impl StoreMonitor for Silent<'_> {
        fn sample(&mut self) -> Result<StoreSample, StoreError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(StoreError::permanent("not for you"))
        }
    }

    #[test]
    fn a_store_that_does_not_answer_is_told_of_once_and_the_end_is_noticed_at_once() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let (monitor_loop, reported) = (MonitorLoop::default(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                monitor_loop.run(Box::new(Silent(&ASKED)), |_| {
                    reported.fetch_add(1, Ordering::Relaxed);
                });
            });
            while ASKED.load(Ordering::Relaxed) < 2 {
                std::thread::yield_now();
            }
            monitor_loop.end();
        });
        assert_eq!((reported.into_inner(), monitor_loop.latest()), (1, None));
    }
}
