//! [`Bench`]: a job in memory whose source grows; [`Live`]: a follower of it, step by step.

use std::cell::{Cell, RefCell};
use std::sync::Mutex;
use std::time::Duration;

use rollfit_job::Job;
use rollfit_job::config::{JobConfig, Workers};
use rollfit_job::follow::{FollowEvent, FollowObserver, FollowOptions, FollowWorker, Follower, KeyLag};
use rollfit_job::partition::Partition;
use rollfit_job::plan::partitions;
use rollfit_job::receipt::Receipt;
use rollfit_job::run::{RunOptions, run};
use rollfit_job::selection::Selection;
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::store::{Grouping, Sink};
use rollfit_job::watch::Unseen;
use rollfit_testkit::market::{MINUTE_US, Silent, config, partition};
use rollfit_testkit::memory::{MemorySink, MemorySource};

/// The two series of a key.
pub(crate) const TABLES: [&str; 2] = ["m1", "bqx"];
pub(crate) const JANUARY: &str = "2017-01";
pub(crate) const FEBRUARY: &str = "2017-02";

/// A job in memory.
pub(crate) struct Bench {
    pub(crate) config: JobConfig,
    pub(crate) source: MemorySource,
    pub(crate) sink: MemorySink,
    pub(crate) options: FollowOptions,
    pub(crate) stop: StopSignal,
    events: Mutex<Vec<FollowEvent>>,
    lags: Mutex<Vec<KeyLag>>,
}

impl FollowObserver for Bench {
    fn event(&self, event: &FollowEvent) {
        self.events.lock().unwrap().push(event.clone());
    }

    fn looked(&self, lags: &[KeyLag]) {
        *self.lags.lock().unwrap() = lags.to_vec();
    }

    fn ended(&self, lags: &[KeyLag]) {
        self.looked(lags);
    }
}

impl Bench {
    /// A job over `rows` minutes of each key from the start of January on.
    pub(crate) fn new(values: &[(&str, &str)], keys: &[&str], rows: usize) -> Self {
        let mut source = MemorySource::default();
        keys.iter().for_each(|key| source.fill(&partition(key, JANUARY), rows));
        Self {
            config: config(values),
            source,
            sink: MemorySink { can_append: true, ..MemorySink::default() },
            options: FollowOptions {
                poll_interval: Duration::from_secs(1),
                replace: Vec::new(),
                only: Selection::default(),
                behind: Vec::new(),
            },
            stop: StopSignal::default(),
            events: Mutex::default(),
            lags: Mutex::default(),
        }
    }

    pub(crate) fn job(&self) -> Job<'_> {
        self.job_into(&self.sink)
    }

    fn job_into<'a>(&'a self, sink: &'a dyn Sink) -> Job<'a> {
        Job { config: &self.config, source: &self.source, sink, workers: Workers::Fixed(1), machine: &Unseen }
    }

    pub(crate) fn partitions(&self) -> Vec<Partition> {
        partitions(&self.config, &self.source, &self.sink, &self.options.only).unwrap_or_default()
    }

    /// Runs the job once, as the command does before it follows.
    pub(crate) fn run(&self) {
        run(&self.job(), &self.partitions(), &RunOptions::default(), &self.stop, &Silent);
    }

    /// What one run over the source as it is now makes of it, whoever wrote before.
    pub(crate) fn assert_is_batch(&self) {
        self.compare_with_batch(|_| ());
    }

    /// The same, where rows were pending that a run would count as lost now: no receipt is written for that.
    pub(crate) fn assert_is_batch_but_for_losses(&self) {
        self.compare_with_batch(|receipt| receipt.input.lost_rows.clear());
    }

    fn compare_with_batch(&self, aside: impl Fn(&mut Receipt)) {
        let batch = MemorySink { grouping: Some(Grouping::Apart), ..MemorySink::default() };
        let planned = partitions(&self.config, &self.source, &batch, &Selection::default()).unwrap();
        let stop = StopSignal::default();
        run(&self.job_into(&batch), &planned, &RunOptions::default(), &stop, &Silent);
        let (live, batch) = (self.sink.all(), batch.all());
        assert_eq!(live.keys().collect::<Vec<_>>(), batch.keys().collect::<Vec<_>>());
        for (output, mut batch) in batch {
            let mut live = live[&output].clone();
            aside(&mut live.receipt);
            aside(&mut batch.receipt);
            assert_eq!(live.instants_us, batch.instants_us, "{output}");
            assert_eq!(live.rows, batch.rows, "{output}");
            assert_eq!(live.receipt, batch.receipt, "{output}");
        }
    }

    /// Adds a row of a series of key `a`, so many minutes after the start of January.
    pub(crate) fn insert(&self, series: usize, minute: i64) {
        let instant_us = start_us() + minute * MINUTE_US;
        let value = 100.0 + ((instant_us / MINUTE_US * 7919 * (series as i64 + 1)) % 101) as f64 / 64.0;
        self.source.insert(&format!("{}_a", TABLES[series]), instant_us, value);
    }

    /// Adds rows of both series of key `a`.
    pub(crate) fn insert_both(&self, minutes: impl IntoIterator<Item = i64>) {
        minutes.into_iter().for_each(|minute| (0..2).for_each(|series| self.insert(series, minute)));
    }

    /// Adds rows of both series of a key.
    pub(crate) fn insert_both_of(&self, key: &str, minutes: impl IntoIterator<Item = i64>) {
        for minute in minutes {
            for table in TABLES {
                self.source.insert(
                    &format!("{table}_{key}"),
                    start_us() + minute * MINUTE_US,
                    100.0 + minute as f64,
                );
            }
        }
    }

    /// Removes a row of a series of key `a`.
    pub(crate) fn remove(&self, series: usize, minute: i64) {
        self.source.change(&format!("{}_a", TABLES[series]), |rows| {
            let at = rows.instants_us.binary_search(&(start_us() + minute * MINUTE_US)).unwrap();
            rows.instants_us.remove(at);
            rows.values.remove(at);
        });
    }

    /// Corrects a value of a series of key `a`, so many rows before its last one.
    pub(crate) fn correct(&self, series: usize, rows_back: usize) {
        self.source.change(&format!("{}_a", TABLES[series]), |rows| {
            let at = rows.values.len() - 1 - rows_back;
            rows.values[at] += 1.0;
        });
    }

    /// The last lag told of a key.
    pub(crate) fn lag(&self, key: &str) -> KeyLag {
        self.lags.lock().unwrap().iter().find(|lag| lag.key == key).unwrap().clone()
    }

    /// What was told since the last time, in few words.
    pub(crate) fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.events.lock().unwrap()).iter().map(told).collect()
    }

    pub(crate) fn appends(&self) -> usize {
        self.sink.appends.lock().unwrap().len()
    }
}

/// The first minute of January.
pub(crate) fn start_us() -> i64 {
    partition("a", JANUARY).period.span_us().start
}

/// The minutes from the start of January to that of February.
pub(crate) fn turn() -> i64 {
    (partition("a", FEBRUARY).period.span_us().start - start_us()) / MINUTE_US
}

/// A follower whose time is the test's.
pub(crate) struct Live<'a> {
    bench: &'a Bench,
    follower: Follower<'a>,
    worker: RefCell<FollowWorker>,
    now: Cell<Duration>,
    is_over: Cell<bool>,
}

impl<'a> Live<'a> {
    pub(crate) fn new(bench: &'a Bench, job: &'a Job<'a>) -> Self {
        let follower = Follower::new(job, &bench.partitions(), &bench.options, &bench.stop, bench);
        let worker = RefCell::new(FollowWorker::new(job, 0));
        Self { bench, follower, worker, now: Cell::default(), is_over: Cell::default() }
    }

    /// Asks what is new now, and does what there is to do. Returns what was told.
    pub(crate) fn poll(&self) -> Vec<String> {
        self.is_over.set(self.follower.poll(self.now.get()));
        self.work()
    }

    /// Tries again what failed, so many seconds later, without asking what is new.
    pub(crate) fn retry_after(&self, seconds: f64) -> Vec<String> {
        self.now.set(self.now.get() + Duration::from_secs_f64(seconds));
        self.follower.retry(self.now.get());
        self.work()
    }

    fn work(&self) -> Vec<String> {
        while self.follower.work(&mut self.worker.borrow_mut(), self.now.get()) {}
        self.bench.told()
    }

    /// The same after so many seconds more.
    pub(crate) fn poll_after(&self, seconds: f64) -> Vec<String> {
        self.now.set(self.now.get() + Duration::from_secs_f64(seconds));
        self.poll()
    }

    /// Why the partition was written that is written so many seconds later.
    pub(crate) fn cause_after(&self, seconds: f64) -> String {
        self.now.set(self.now.get() + Duration::from_secs_f64(seconds));
        self.follower.poll(self.now.get());
        while self.follower.work(&mut self.worker.borrow_mut(), self.now.get()) {}
        match self.bench.events.lock().unwrap().drain(..).next() {
            Some(FollowEvent::Rewritten { cause, .. }) => cause,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.get()
    }
}

/// An event in few words.
pub(crate) fn told(event: &FollowEvent) -> String {
    match event {
        FollowEvent::Appended { partition, rows, .. } => format!("{partition} +{rows}"),
        FollowEvent::Rewritten { partition, was, rows, .. } => format!("{partition} was {was}: {rows}"),
        FollowEvent::JoinLoss { partition, loss } => format!("{partition} loses {}", loss.lost_rows),
        FollowEvent::ViewMade { partition, what } => format!("{partition} made again: {what}"),
        FollowEvent::Opened(partition) => format!("{partition} opened"),
        FollowEvent::Unwritten { partition, from } => format!("{partition} followed, not {from}"),
        FollowEvent::Closed(partition) => format!("{partition} closed"),
        FollowEvent::Behind { partition, cause } => format!("{partition} behind: {cause}"),
        FollowEvent::Waiting { key, cause } => format!("{key} waits: {cause}"),
        FollowEvent::CaughtUp(partition) => format!("{partition} caught up"),
        FollowEvent::KeyCaughtUp { key } => format!("{key} caught up"),
        FollowEvent::StoreLost(cause) => format!("lost: {cause}"),
        FollowEvent::StoreBack => "back".to_owned(),
        other => format!("{other:?}"),
    }
}
