//! [`MetricsFile`]: a run's figures in the text format of Prometheus, for the textfile collector of node_exporter, which
//! reads the file at each scrape.
//!
//! Invariants: the file is replaced as a whole, at the start, every 15 seconds and at the end; what is unknown is not in it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use rollfit_job::activity::{Activity, Times};
use rollfit_job::lock::lock;
use rollfit_job::record::{Event, Header, PartitionOutcome};
use rollfit_job::watch::{Moment, Totals};

use crate::exit::Failure;
use crate::exposition::{Exposition, MetricKind};
use crate::live::Live;
use crate::logging;
use crate::replace::replace_durably;

const PERIOD: Duration = Duration::from_secs(15);

/// Writes the figures of a run to a file.
pub(crate) struct MetricsFile {
    path: PathBuf,
    header: Header,
    started: Instant,
    figures: Mutex<Figures>,
}

/// What a follower adds to the figures of the run that it began with.
pub(crate) struct FollowFigures {
    /// The keys, each with its lag and the age of its oldest pending row, in seconds.
    pub(crate) keys: Vec<KeyFigures>,
    pub(crate) appends: u64,
    pub(crate) appended_rows: u64,
    /// What was stored, by additions and as whole partitions.
    pub(crate) totals: Totals,
    pub(crate) asked_at: Option<SystemTime>,
}

/// How far a key is, in seconds of data time.
pub(crate) struct KeyFigures {
    pub(crate) key: String,
    pub(crate) lag_s: Option<f64>,
    pub(crate) pending_s: Option<f64>,
}

/// What the figures are made of.
struct Figures {
    live: Live,
    /// Of the partitions that have ended.
    wall: Times,
    cpu: Times,
    skipped: u64,
    /// What it did after that, and how far each key is, where it follows its source.
    follow: Option<FollowFigures>,
    /// How it ended: whether it was interrupted.
    ended: Option<bool>,
    written_at: Instant,
    has_warned: bool,
}

impl MetricsFile {
    /// Writes the file for the first time.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn begin(path: &Path, header: &Header) -> Result<Self, Failure> {
        let mut live = Live::default();
        live.moment.totals.partitions = header.partitions;
        let figures = Figures {
            live,
            wall: Times::default(),
            cpu: Times::default(),
            skipped: 0,
            follow: None,
            ended: None,
            written_at: Instant::now(),
            has_warned: false,
        };
        replace_durably(path, text(header, &figures).as_bytes()).map_err(|error| {
            Failure::usage(format!("--metrics-file: cannot write {}: {error}", path.display()))
        })?;
        let (path, header, figures) = (path.to_owned(), header.clone(), Mutex::new(figures));
        Ok(Self { path, header, started: Instant::now(), figures })
    }

    /// Adds what happened.
    pub(crate) fn add(&self, event: &Event) {
        if let Event::Partition(end) = event {
            let mut figures = self.figures();
            figures.wall.add_all(&end.wall_us);
            figures.cpu.add_all(&end.cpu_us);
            figures.skipped += u64::from(end.outcome == PartitionOutcome::LeftAlone);
        }
    }

    /// Takes the present state of the run, and writes the file if it is due.
    pub(crate) fn update(&self, live: &Live) {
        let mut figures = self.figures();
        figures.live = live.clone();
        if figures.written_at.elapsed() >= PERIOD {
            self.write(&mut figures);
        }
    }

    /// Takes the present state of a follower, whose totals are those of the run before, and writes the file if it is due.
    pub(crate) fn follow(&self, moment: &Moment, rows_per_s: f64, follow: FollowFigures) {
        let mut figures = self.figures();
        let of_run = figures.live.moment.totals;
        let moment = Moment { at: self.started.elapsed(), totals: of_run, ..moment.clone() };
        figures.live = Live { moment, rows_per_s, ..Live::default() };
        figures.follow = Some(follow);
        if figures.written_at.elapsed() >= PERIOD {
            self.write(&mut figures);
        }
    }

    /// Writes the figures of the whole run.
    pub(crate) fn finish(&self, interrupted: bool) {
        let mut figures = self.figures();
        figures.ended = Some(interrupted);
        self.write(&mut figures);
    }

    /// Writes the file. If that fails it warns once, and the run continues.
    fn write(&self, figures: &mut Figures) {
        figures.written_at = Instant::now();
        let written = replace_durably(&self.path, text(&self.header, figures).as_bytes());
        if let (Err(error), false) = (written, figures.has_warned) {
            figures.has_warned = true;
            logging::warn(&format!(
                "--metrics-file: cannot write {}: {error}; the run continues",
                self.path.display()
            ));
        }
    }

    fn figures(&self) -> MutexGuard<'_, Figures> {
        lock(&self.figures)
    }
}

fn text(header: &Header, figures: &Figures) -> String {
    let mut out = Exposition::default();
    run(&mut out, header, figures);
    work(&mut out, figures);
    workers(&mut out, figures);
    machine(&mut out, figures);
    store(&mut out, header, figures);
    if let Some(follow) = &figures.follow {
        following(&mut out, follow);
    }
    out.into_text()
}

fn run(out: &mut Exposition, header: &Header, figures: &Figures) {
    let labels = [
        ("run", header.run.as_str()),
        ("version", &header.version),
        ("host", &header.host),
        ("config", &header.config),
        ("sink", &header.sink_kind),
        ("shard", header.shard.as_deref().unwrap_or_default()),
    ];
    // An empty label is none to Prometheus; it is left out.
    let labels = if header.shard.is_some() { &labels[..] } else { &labels[..labels.len() - 1] };
    out.labelled("run_info", MetricKind::Gauge, "The run of these metrics.", [(labels, 1.0)]);
    let started = header.started.parse().ok().map(|time: jiff::Timestamp| time.as_millisecond() as f64 / 1e3);
    out.gauge("run_start_time_seconds", "When the run started, in seconds since 1970.", started);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok().map(|now| now.as_secs_f64());
    out.gauge("run_updated_time_seconds", "When these metrics were written, in seconds since 1970.", now);
    out.gauge(
        "run_duration_seconds",
        "How long the run has taken so far.",
        figures.live.moment.at.as_secs_f64(),
    );
    out.gauge("run_running", "1 while the run is in progress.", f64::from(figures.ended.is_none()));
    let interrupted = figures.ended.map(|interrupted| f64::from(u8::from(interrupted)));
    out.gauge("run_interrupted", "1 if the run was stopped before it was done.", interrupted);
    let remaining = figures.live.remaining_s.map(|eta| eta.expected);
    out.gauge("run_remaining_seconds", "Estimated time to the end of the run.", remaining);
}

fn work(out: &mut Exposition, figures: &Figures) {
    let totals = figures.live.moment.totals;
    let followed = figures.follow.as_ref().map(|follow| follow.totals).unwrap_or_default();
    out.gauge("partitions", "Partitions of the run.", totals.partitions as f64);
    let counters = [
        ("partitions_ended_total", "Partitions that have ended, with any outcome.", totals.ended),
        ("partitions_written_total", "Partitions that were written.", totals.written + followed.written),
        ("partitions_failed_total", "Partitions that failed.", totals.failed),
        ("partitions_left_alone_total", "Partitions that were skipped.", figures.skipped),
        ("retries_total", "Attempts that failed and were retried.", totals.retries),
        ("written_rows_total", "Rows handed to the store.", totals.rows + followed.rows),
        ("written_bytes_total", "Bytes handed to the store.", totals.bytes + followed.bytes),
    ];
    for (name, help, number) in counters {
        out.counter(name, help, number as f64);
    }
    out.gauge(
        "rows_per_second",
        "Rows handed to the store per second, over the last 10 s.",
        figures.live.rows_per_s,
    );
}

fn workers(out: &mut Exposition, figures: &Figures) {
    let moment = &figures.live.moment;
    out.gauge("workers", "Workers at work.", moment.lanes.len() as f64);
    out.gauge("workers_wanted", "Workers wanted.", moment.workers_wanted as f64);
    for (name, help, times) in [
        ("activity_seconds_total", "Workers' time by activity, of ended partitions.", &figures.wall),
        ("activity_cpu_seconds_total", "Processor time by activity, of ended partitions.", &figures.cpu),
    ] {
        let labels = Activity::ALL.map(|activity| [("activity", activity.name())]);
        let seconds = Activity::ALL.map(|activity| times.get(activity) as f64 / 1e6);
        let samples = labels.iter().zip(seconds).map(|(label, seconds)| (&label[..], seconds));
        out.labelled(name, MetricKind::Counter, help, samples);
    }
}

fn machine(out: &mut Exposition, figures: &Figures) {
    let machine = &figures.live.moment.machine;
    out.gauge("process_busy_cores", "Cores used by this process.", machine.own_cores);
    out.gauge("others_busy_cores", "Cores used by other processes.", machine.others_cores);
    out.gauge("load1", "Load average of the last minute.", machine.load);
    let memory = machine.own_memory_bytes.map(|bytes| bytes as f64);
    out.gauge("process_memory_bytes", "Memory that this process holds.", memory);
    let free = machine.free_memory_bytes.map(|bytes| bytes as f64);
    out.gauge("free_memory_bytes", "Memory that this process could still take.", free);
}

fn store(out: &mut Exposition, header: &Header, figures: &Figures) {
    let allowed = header.sessions_max.map(|sessions| sessions as f64);
    out.gauge("store_sessions_max", "Sessions with the store that this process may have.", allowed);
    let store = figures.live.moment.store.as_ref();
    let sessions = store.map(|store| f64::from(store.own_sessions));
    out.gauge("store_sessions", "Sessions with the store that this process has.", sessions);
    let working = store.map(|store| f64::from(store.working));
    out.gauge("store_working_sessions", "Sessions of this process that the store works for.", working);
}

fn following(out: &mut Exposition, follow: &FollowFigures) {
    let keys = &follow.keys;
    let labels: Vec<_> = keys.iter().map(|figures| [("key", figures.key.as_str())]).collect();
    for (name, help, of) in [
        (
            "lag_seconds",
            "From a key's last instant with features to the last one of its source, in data time.",
            (|figures| figures.lag_s) as fn(&KeyFigures) -> Option<f64>,
        ),
        (
            "pending_seconds",
            "From a key's first row that waits for another series to the last one of its source, in data time.",
            |figures| figures.pending_s,
        ),
    ] {
        let samples = labels.iter().zip(keys).filter_map(|(label, key)| Some((&label[..], of(key)?)));
        out.labelled(name, MetricKind::Gauge, help, samples);
    }
    for (name, help, number) in [
        ("appends_total", "Additions of rows to a partition.", follow.appends),
        ("appended_rows_total", "Rows added to partitions that were there.", follow.appended_rows),
        (
            "partitions_rewritten_total",
            "Partitions written as a whole while following.",
            follow.totals.written,
        ),
    ] {
        out.counter(name, help, number as f64);
    }
    out.gauge("keys_followed", "Keys that are kept up to date.", follow.keys.len() as f64);
    out.gauge(
        "partitions_behind",
        "Partitions and keys that cannot be kept up to date.",
        follow.totals.failed as f64,
    );
    let asked = follow.asked_at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let asked = asked.map(|since| since.as_secs_f64());
    out.gauge("source_asked_time_seconds", "When the source answered last, in seconds since 1970.", asked);
}
