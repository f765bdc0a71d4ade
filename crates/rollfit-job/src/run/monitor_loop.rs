//! [`MonitorLoop`]: queries the state of the store during a run, on its own thread.
//!
//! Invariants: querying costs almost no processor time of this process; a query that fails is reported once.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::throttle::process_cpu_s;
use crate::activity::thread_cpu_us;
use crate::lock::{lock, unpoisoned};
use crate::store::{StoreMonitor, StoreSample};
use crate::watch::Machine;

/// What is unavailable where the server's processes are not found.
pub(super) const SERVER_TIME: &str = "the processor time of the store's server";
/// How often the store is asked at most.
const PERIOD: Duration = Duration::from_secs(1);
/// After this many periods it is queried at any cost.
const PERIODS_MAX: usize = 10;
/// The same after the first time, when workers have no sessions yet.
const PERIODS_FIRST: usize = 1;
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

    /// Asks until the end, and has `machine` watch the server. Gives the first failure of each kind to `report`: what is unavailable, and
    /// why.
    pub(super) fn run(
        &self,
        mut monitor: Box<dyn StoreMonitor>,
        machine: &dyn Machine,
        report: impl Fn(&'static str, &str),
    ) {
        let mut reported = BTreeSet::new();
        let mut report_once = |what, cause: &str| {
            if reported.insert(what) {
                report(what, cause);
            }
        };
        for periods_max in std::iter::once(PERIODS_FIRST).chain(std::iter::repeat(PERIODS_MAX)) {
            let cost = Cost::from_work(|| {
                let sample = monitor.sample();
                if let Err(error) = &sample {
                    report_once("the store", &crate::error_chain(error));
                }
                let watched = monitor.server_process().map(|server| machine.watch_server(&server));
                if let Some(Err(cause)) = watched.filter(|_| !monitor.has_server_metrics()) {
                    report_once(SERVER_TIME, &cause);
                }
                *lock(&self.latest) = sample.ok();
            });
            let rests = |periods: &usize| *periods == 0 || !cost.is_small();
            for _ in (0..periods_max).take_while(rests) {
                self.take_share(monitor.server_cpu_share(), &mut report_once);
                if self.is_over_after(PERIOD) {
                    return;
                }
            }
        }
    }

    /// Adds what a command says to the last state.
    fn take_share(
        &self,
        share: Option<Result<f64, String>>,
        report_once: &mut impl FnMut(&'static str, &str),
    ) {
        if let Some(Err(cause)) = &share {
            report_once("the share of the server's cores that is busy", cause);
        }
        if let Some(latest) = lock(&self.latest).as_mut() {
            latest.server_cpu_share = share.and_then(Result::ok);
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
    use crate::store::{ServerProcess, StoreError};
    use crate::watch::{MachineLimits, MachineSample};

    const PROCESS: ServerProcess = ServerProcess { pid: 7, started_us: 2, server_started_us: 1 };

    /// How often it was asked, and whether a command says how busy its server is.
    struct Silent<'a>(&'a AtomicUsize, bool);

    impl StoreMonitor for Silent<'_> {
        fn sample(&mut self) -> Result<StoreSample, StoreError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(StoreError::permanent("not for you"))
        }

        fn server_cpu_share(&self) -> Option<Result<f64, String>> {
            Some(Err("the command failed".to_owned()))
        }

        fn has_server_metrics(&self) -> bool {
            self.1
        }

        fn server_process(&self) -> Option<ServerProcess> {
            Some(PROCESS)
        }
    }

    /// A machine that a server is not on.
    #[derive(Default)]
    struct Elsewhere(Mutex<Vec<ServerProcess>>);

    impl Machine for Elsewhere {
        fn limits(&self) -> MachineLimits {
            MachineLimits::default()
        }

        fn sample(&self) -> MachineSample {
            MachineSample::default()
        }

        fn watch_server(&self, process: &ServerProcess) -> Result<(), String> {
            lock(&self.0).push(process.clone());
            Err("no such process".to_owned())
        }
    }

    /// What is reported until the store was asked twice.
    fn reported(monitor_loop: &MonitorLoop, machine: &Elsewhere, monitor: Silent<'static>) -> Vec<String> {
        let asked = monitor.0;
        let reported: Mutex<Vec<String>> = Mutex::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                monitor_loop.run(Box::new(monitor), machine, |what, cause| {
                    lock(&reported).push(format!("{what}: {cause}"));
                });
            });
            while asked.load(Ordering::Relaxed) < 2 {
                std::thread::yield_now();
            }
            monitor_loop.end();
        });
        unpoisoned(reported.into_inner())
    }

    #[test]
    fn processes_that_cannot_be_found_are_no_news_where_a_command_says_how_busy_the_server_is() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let machine = Elsewhere::default();
        let reported = reported(&MonitorLoop::default(), &machine, Silent(&ASKED, true));
        assert!(!reported.iter().any(|told| told.contains("processor time")), "{reported:?}");
        // They are looked for all the same: what is measured here is better than what a command says.
        assert!(!unpoisoned(machine.0.into_inner()).is_empty());
    }

    /// A store that costs as much to ask as this process spends in seconds.
    struct Dear(Mutex<Vec<std::time::Instant>>);

    impl StoreMonitor for &'static Dear {
        fn sample(&mut self) -> Result<StoreSample, StoreError> {
            let before_us = thread_cpu_us();
            while thread_cpu_us() - before_us < 100_000 {}
            lock(&self.0).push(std::time::Instant::now());
            Ok(StoreSample::default())
        }
    }

    #[test]
    fn the_second_question_comes_a_second_after_the_first_whatever_it_costs() {
        static STORE: Dear = Dear(Mutex::new(Vec::new()));
        let monitor_loop = MonitorLoop::default();
        std::thread::scope(|scope| {
            scope.spawn(|| monitor_loop.run(Box::new(&STORE), &Elsewhere::default(), |_, _| {}));
            while lock(&STORE.0).len() < 2 {
                std::thread::sleep(Duration::from_millis(20));
            }
            monitor_loop.end();
        });
        let asked = lock(&STORE.0);
        // Any later ones have to be paid for by what the process does.
        assert!(asked[1] - asked[0] < PERIODS_MAX as u32 * PERIOD, "{asked:?}");
    }

    #[test]
    fn what_does_not_answer_is_told_of_once_and_the_end_is_noticed_at_once() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let (monitor_loop, machine) = (MonitorLoop::default(), Elsewhere::default());
        let reported = reported(&monitor_loop, &machine, Silent(&ASKED, false));
        let told = [
            "the store: not for you",
            "the processor time of the store's server: no such process",
            "the share of the server's cores that is busy: the command failed",
        ];
        assert_eq!((reported, monitor_loop.latest()), (told.map(str::to_owned).to_vec(), None));
        // The server may have been restarted, so the machine is told after each sample.
        let watched = unpoisoned(machine.0.into_inner());
        assert!(watched.len() >= 2 && watched.iter().all(|process| *process == PROCESS), "{watched:?}");
    }
}
