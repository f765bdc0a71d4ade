//! [`RunReporters`]: the reporters of a run: the terminal, the record, and the files that the user asked for.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rollfit_job::lock::lock;
use rollfit_job::pending::PendingRows;
use rollfit_job::record::{Decision, Event, Header, RunEnd, Sample, Unavailable};
use rollfit_job::run::{Observer, Outcome, RunReport, Spent, Stage, Try};
use rollfit_job::store::StoreError;
use rollfit_job::watch::{Moment, Totals};

use crate::args::{GlobalArguments, RunArguments};
use crate::exit::Failure;
use crate::live::{Live, Tracker};
use crate::metrics_file::MetricsFile;
use crate::progress::Progress;
use crate::record::events::{millis, partition_end, retry};
use crate::record::{Recorder, Thinning};
use crate::screen::Screen;
use crate::state_dir::StateDir;
use crate::trace::TraceFile;

/// The reporters of a run.
pub(crate) struct RunReporters {
    started: Instant,
    progress: Progress,
    recorder: Recorder,
    metrics: Option<MetricsFile>,
    trace: Option<TraceFile>,
    following: Mutex<Following>,
    /// Gets the run as it is, once a second.
    listener: Option<Listener>,
}

/// Gets a run as it is.
pub(crate) type Listener = Box<dyn Fn(Live) + Send + Sync>;

/// The reporters that outlive a run, where its source is followed after it.
pub(crate) struct TakenOver {
    pub(crate) screen: Option<Screen>,
    pub(crate) metrics: Option<MetricsFile>,
    /// Whoever sees the run end finds the record that comes after it: this one is dropped once that is there.
    pub(crate) record: LastingRecord,
}

impl TakenOver {
    /// The name of the run whose record is kept; none where it keeps none.
    pub(crate) fn run(&self) -> Option<String> {
        let record = self.record.recorder.path()?;
        Some(record.file_stem()?.to_str()?.to_owned())
    }

    /// Nothing comes after the run. Returns its record, if it keeps one.
    pub(crate) fn finish(self, interrupted: bool) -> Option<PathBuf> {
        let record = self.record.recorder.path();
        drop(self.record);
        if let Some(metrics) = &self.metrics {
            metrics.finish(interrupted);
        }
        record.filter(|path| path.is_file())
    }
}

/// The record of a run that is over. It ends when this is dropped, and passes for that of a running one until then.
pub(crate) struct LastingRecord {
    recorder: Recorder,
    is_worth_keeping: bool,
}

impl Drop for LastingRecord {
    fn drop(&mut self) {
        self.recorder.finish(self.is_worth_keeping);
    }
}

/// What a moment is compared with.
#[derive(Default)]
struct Following {
    tracker: Tracker,
    thinning: Thinning,
    totals: Totals,
}

impl RunReporters {
    /// Starts the reporters of the run with this header.
    ///
    /// # Errors
    /// When a file that was asked for cannot be written.
    pub(crate) fn start(
        global: &GlobalArguments,
        arguments: &RunArguments,
        header: Header,
    ) -> Result<Self, Failure> {
        let metrics = arguments.metrics_file.as_ref().map(|path| MetricsFile::begin(path, &header));
        let trace = arguments.trace.as_ref().map(|path| TraceFile::begin(path, &header));
        let (metrics, trace) = (metrics.transpose()?, trace.transpose()?);
        let state = StateDir::open();
        let recorder = Recorder::begin(&state, &header);
        state.prune();
        Ok(Self {
            started: Instant::now(),
            progress: Progress::start(global, arguments, &header),
            recorder,
            metrics,
            trace,
            following: Mutex::default(),
            listener: None,
        })
    }

    /// The same, and sends the run as it is to a listener too.
    #[must_use]
    pub(crate) fn with_listener(self, listener: Listener) -> Self {
        Self { listener: Some(listener), ..self }
    }

    /// Adds to the record which partitions the run has left, as selectors.
    pub(crate) fn add_remaining(&self, selectors: &[String]) {
        // Of a line that can be read, however long keys are.
        const TOGETHER: usize = 1000;
        for only in selectors.chunks(TOGETHER) {
            self.emit(Event::Remaining { only: only.to_vec() });
        }
    }

    /// Reports the end of the run. Returns how long it took, and the reporters that can report what comes after it.
    pub(crate) fn finish(self, report: &RunReport) -> (Duration, TakenOver) {
        let took = self.started.elapsed();
        let totals = self.following().totals;
        self.emit(Event::End(RunEnd { at_ms: millis(took), totals, interrupted: report.interrupted }));
        let helped = report.other_shares.iter().flat_map(|others| &others.helped);
        let found_all_done = report.outcomes.iter().chain(helped).all(|(_, outcome)| {
            matches!(outcome, Outcome::AlreadyDone | Outcome::Unchecked | Outcome::Waiting | Outcome::Empty)
        });
        // What others wrote meanwhile is told by their records together with this one.
        let was_beside_others = report.other_shares.iter().any(|others| others.written_by_others > 0);
        if let Some(trace) = &self.trace {
            trace.finish();
        }
        let is_worth_keeping = report.interrupted || was_beside_others || !found_all_done;
        let record = LastingRecord { recorder: self.recorder, is_worth_keeping };
        (took, TakenOver { screen: self.progress.finish(), metrics: self.metrics, record })
    }

    /// Passes an event to the reporters that keep events.
    fn emit(&self, event: Event) {
        self.recorder.add(&event);
        if let Some(metrics) = &self.metrics {
            metrics.add(&event);
        }
        if let Some(trace) = &self.trace {
            trace.add(event);
        }
    }

    fn following(&self) -> MutexGuard<'_, Following> {
        lock(&self.following)
    }
}

impl Observer for RunReporters {
    fn stage(&self, at: Try<'_>, stage: Stage) {
        self.progress.stage(at, stage);
    }

    fn rewritten(&self, at: Try<'_>, why: &str) {
        self.progress.rewritten(at, why);
    }

    fn view_made(&self, at: Try<'_>, what: &str) {
        self.progress.view_made(at, what);
    }

    fn retried(&self, at: Try<'_>, error: &StoreError, pause: Duration, known: bool) {
        self.progress.retried(at, error, pause, known);
        self.emit(Event::Retry(retry(self.started.elapsed(), at, error, pause)));
    }

    fn held(&self, at: Try<'_>, holder: &str, spent: &Spent) {
        self.progress.held(at, holder);
        let outcome = Outcome::Held(holder.to_owned());
        self.emit(Event::Partition(Box::new(partition_end(at, &outcome, spent))));
    }

    fn ended(&self, at: Try<'_>, outcome: &Outcome, spent: &Spent) {
        self.progress.ended(at, outcome, spent);
        self.emit(Event::Partition(Box::new(partition_end(at, outcome, spent))));
    }

    fn pending(&self, at: Try<'_>, pending: &PendingRows) {
        self.progress.pending(at, pending);
    }

    fn decided(&self, decision: &Decision) {
        self.progress.decided(decision);
        self.emit(Event::Decision(decision.clone()));
    }

    fn unavailable(&self, at: Duration, what: &str, cause: &str) {
        let unavailable = Unavailable { at_ms: millis(at), what: what.to_owned(), cause: cause.to_owned() };
        self.progress.unavailable(&unavailable);
        self.emit(Event::Unavailable(unavailable));
    }

    fn sampled(&self, moment: &Moment) {
        let (live, is_due) = {
            let mut following = self.following();
            following.totals = moment.totals;
            (following.tracker.follow(moment), following.thinning.is_due(moment))
        };
        if is_due {
            self.emit(Event::Sample(Box::new(Sample::from_moment(moment))));
        }
        self.progress.show(&live);
        self.recorder.write(&live);
        if let Some(metrics) = &self.metrics {
            metrics.update(&live);
        }
        if let Some(listener) = &self.listener {
            listener(live);
        }
    }
}
