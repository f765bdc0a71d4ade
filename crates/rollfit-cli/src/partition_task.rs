//! [`PartitionTask`]: one partition of a job, for a program that decides itself what comes next.
//!
//! Invariants: as with [`EmbeddedRun`](crate::EmbeddedRun), nothing is set for the process and nothing is printed; the caller is asked and told
//! on its own thread, and is let go soon after it wants to leave. What is uncommitted then is rolled back.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rollfit_job::error_chain;
use rollfit_job::partition::Partition;
use rollfit_job::pending::PendingRows;
use rollfit_job::run::{Observer, RunOptions, Try, run_one};
use rollfit_job::selector::Selector;
use rollfit_job::state::State;
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::store::StoreError;

use crate::embedded_run::{Phase, RunCaller, bug};
use crate::exit::Failure;
use crate::open_stores::OpenStores;
use crate::signals::ROLLBACK_MAX;
use crate::task_result::TaskResult;
use crate::{logging, pending_rows};

/// How often the caller is asked whether it wants to stop.
const PERIOD: Duration = Duration::from_millis(50);

/// The partition that a caller means.
#[derive(Clone, Debug)]
pub enum TaskPartition {
    /// One of those that the job was found to have, which are known not to get in each other's way.
    Planned {
        /// Which.
        partition: Partition,
        /// The name of the host that found it; none where that is not known.
        host: Option<String>,
    },
    /// One that somebody has typed; the job is asked whether it has it.
    Named(Selector),
}

impl TaskPartition {
    fn host(&self) -> Option<&str> {
        if let Self::Planned { host, .. } = self { host.as_deref() } else { None }
    }
}

/// One partition of a job, and what may be done about it.
#[derive(Clone, Debug)]
pub struct PartitionTask {
    partition: TaskPartition,
    options: RunOptions,
}

impl PartitionTask {
    /// The task for `partition`, as `rollfit run` with `--replace` for each of `replace`, and `--force`.
    ///
    /// # Errors
    /// When there is no such state, or it cannot be replaced.
    pub fn new(partition: TaskPartition, replace: &[String], force: bool) -> Result<Self, Failure> {
        let states = replace.iter().map(|state| state.parse::<State>());
        let replace = states.collect::<Result<_, _>>().map_err(Failure::usage)?;
        Ok(Self { partition, options: RunOptions { replace, force, ..RunOptions::default() } })
    }

    /// Does it, with the stores that `open` gives, or has kept open.
    ///
    /// # Errors
    /// Where the stores cannot be opened, the job has no such partition, it fails, or another runner still has it.
    /// [`Failure::may_pass`] says whether trying again can help.
    pub fn run(
        self,
        open: impl FnOnce() -> Result<Arc<OpenStores>, Failure> + Send + 'static,
        caller: &mut dyn RunCaller,
    ) -> Result<TaskResult, Failure> {
        logging::keep_messages();
        let (told, heard) = sync_channel(1);
        let stop = StopSignal::default();
        let phase = Arc::new(Phase::default());
        let (own_stop, own_phase) = (stop.clone(), Arc::clone(&phase));
        let work = move || {
            // Nobody hears it where the caller has left.
            let _ = told.send(open().and_then(|stores| self.work(&stores, &own_stop, &own_phase)));
        };
        let thread = Builder::new().name("rollfit task".to_owned()).spawn(work)?;
        TaskWatch { caller, stop, phase, abandoned: None }.until_over(&heard, thread)
    }

    fn work(&self, stores: &OpenStores, stop: &StopSignal, phase: &Phase) -> Result<TaskResult, Failure> {
        let partition = stores.partition(&self.partition)?;
        stores.check_once(&partition, self.partition.host(), &self.options.replace)?;
        if !phase.begin() {
            return Err(Failure::stopped());
        }
        let begun_us = jiff::Timestamp::now().as_microsecond();
        let one = run_one(&stores.job(), &partition, &self.options, stop, &TaskLog);
        let result = TaskResult::from_run(&partition, begun_us, one)?;
        logging::info(&result.line());
        Ok(result)
    }
}

/// Logs what a result does not say.
struct TaskLog;

impl Observer for TaskLog {
    fn retried(&self, at: Try<'_>, error: &StoreError, pause: Duration, known: bool) {
        if !known {
            let pause = format!("retrying in {:.1} s", pause.as_secs_f64());
            logging::about(at.partition, "retry", true, &format!("{}; {pause}", error_chain(error)));
        }
    }

    fn rewritten(&self, at: Try<'_>, why: &str) {
        let message = format!("writes all rows, since none can be added: {why}");
        logging::about(at.partition, "rewrite", false, &message);
    }

    fn view_made(&self, at: Try<'_>, what: &str) {
        logging::about(at.partition, "view", false, &format!("{what}: made again"));
    }

    fn pending(&self, at: Try<'_>, pending: &PendingRows) {
        if pending_rows::is_worth_telling(pending) {
            logging::about(at.partition, "pending", false, &pending_rows::sentence(pending));
        }
    }
}

/// The caller's side.
struct TaskWatch<'a> {
    caller: &'a mut dyn RunCaller,
    stop: StopSignal,
    phase: Arc<Phase>,
    abandoned: Option<Instant>,
}

impl TaskWatch<'_> {
    fn until_over(
        &mut self,
        heard: &Receiver<Result<TaskResult, Failure>>,
        thread: JoinHandle<()>,
    ) -> Result<TaskResult, Failure> {
        let result = loop {
            match heard.recv_timeout(PERIOD) {
                Ok(result) => break result,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return thread
                        .join()
                        .map_or_else(|panic| Err(bug(panic.as_ref())), |()| Err(Failure::stopped()));
                }
            }
            self.pass_on_messages();
            if self.has_left() {
                self.pass_on_messages();
                return Err(Failure::stopped());
            }
        };
        // It has nothing left to do but to end.
        let _ = thread.join();
        self.pass_on_messages();
        result
    }

    fn pass_on_messages(&mut self) {
        for message in logging::take_messages() {
            self.caller.log(&message);
        }
    }

    /// Whether the task is no longer waited for: it has not begun, or does not answer.
    fn has_left(&mut self) -> bool {
        if self.caller.wants_to_stop() && self.abandoned.is_none() {
            self.stop.abandon();
            self.abandoned = Some(Instant::now());
            logging::warn("rolling back uncommitted work");
        }
        let Some(abandoned) = self.abandoned else { return false };
        let is_overdue = abandoned.elapsed() >= ROLLBACK_MAX;
        if is_overdue {
            logging::warn("something does not answer; its uncommitted work is rolled back once it does");
        }
        is_overdue || self.phase.leave()
    }
}
