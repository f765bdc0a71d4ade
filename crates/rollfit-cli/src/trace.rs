//! A run, or several, as a trace that chrome://tracing and Perfetto show: a lane a worker with the partitions it did, and how many
//! workers, rows a second and cores there were over time.
//!
//! Invariants: within a partition its activities are laid one after the other in a fixed order, each as long as all of its
//! parts together: they are sums, and not the instants at which a worker did this or that. The file is whole JSON at any
//! time.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rollfit_analysis::JoinedRuns;
use rollfit_job::activity::Activity;
use rollfit_job::lock::lock;
use rollfit_job::record::{Event, Header, PartitionEnd, Record, Sample};
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::logging;
use crate::replace::replace_durably;
use crate::state_dir;

/// Writes the trace of a run when it ends.
pub(crate) struct TraceFile {
    path: PathBuf,
    record: Mutex<Record>,
}

impl TraceFile {
    /// Writes a trace of nothing, so that a run does not find out at its end that it cannot.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn begin(path: &Path, header: &Header) -> Result<Self, Failure> {
        let record = Record { header: header.clone(), ..Record::default() };
        save(&record, path)
            .map_err(|error| Failure::usage(format!("--trace: cannot write {}: {error}", path.display())))?;
        Ok(Self { path: path.to_owned(), record: Mutex::new(record) })
    }

    /// Adds what happened.
    pub(crate) fn add(&self, event: Event) {
        lock(&self.record).add(event);
    }

    /// Writes the trace. The run is done, whether or not that succeeds.
    pub(crate) fn finish(&self) {
        let record = lock(&self.record);
        if let Err(error) = save(&record, &self.path) {
            logging::warn(&format!("--trace: cannot write {}: {error}", self.path.display()));
        }
    }
}

/// Writes a record as a trace to a file.
pub(crate) fn save(record: &Record, path: &Path) -> io::Result<()> {
    let mut trace = Vec::new();
    write(record, &mut trace)?;
    replace_durably(path, &trace)
}

/// Writes the records of several runs as one trace: a process a runner, with the time since the first of them began.
///
/// # Errors
/// When a record cannot be read; within, when the file cannot be written.
pub(crate) fn save_joined(
    records: &[PathBuf],
    joined: &JoinedRuns,
    path: &Path,
) -> Result<io::Result<()>, Failure> {
    let mut trace = Vec::new();
    let mut writing = begin(&json!({ "runs": joined.runners.len() }), &mut trace);
    for record in records {
        let record = state_dir::read(record)?;
        let at = joined
            .runners
            .iter()
            .position(|line| line.run == record.header.run && line.host == record.header.host);
        let Some(at) = at else { continue };
        let line = &joined.runners[at];
        let began_us = (line.began_s * 1e6).round() as u64;
        let shard = line.shard.as_ref().map(|shard| format!(" ({shard})")).unwrap_or_default();
        let name = format!("{}{shard} {}", line.host, line.run);
        for event in events(&record, &name).map(|event| of_process(event, at + 1, began_us)) {
            writing = writing.and_then(|is_first| write_event(is_first, &event, &mut trace));
        }
    }
    Ok(writing.and_then(|_| trace.write_all(b"\n]}\n")).and_then(|()| replace_durably(path, &trace)))
}

/// Writes a record as a trace, an event a line.
pub(crate) fn write(record: &Record, out: &mut impl Write) -> io::Result<()> {
    let about = json!({ "run": record.header.run, "version": record.header.version });
    let mut is_first = begin(&about, out)?;
    for event in events(record, &format!("rollfit {}", record.header.run)) {
        is_first = write_event(is_first, &event, out)?;
    }
    out.write_all(b"\n]}\n")
}

/// Writes what comes before the events; the next is the first.
fn begin(about: &Value, out: &mut impl Write) -> io::Result<bool> {
    write!(out, "{{\"displayTimeUnit\":\"ms\",\"otherData\":{about},\"traceEvents\":[")?;
    Ok(true)
}

/// Writes an event; the next is not the first.
fn write_event(is_first: bool, event: &Value, out: &mut impl Write) -> io::Result<bool> {
    out.write_all(if is_first { b"\n" } else { b",\n" })?;
    serde_json::to_writer(&mut *out, event)?;
    Ok(false)
}

/// The same event as one of this process, of a run that began so much later.
fn of_process(mut event: Value, process: usize, began_us: u64) -> Value {
    event["pid"] = process.into();
    if let Some(at_us) = event.get("ts").and_then(Value::as_u64) {
        event["ts"] = at_us.saturating_add(began_us).into();
    }
    event
}

/// The events of a run, as those of process 1; `name` is what that is called.
fn events<'a>(record: &'a Record, name: &str) -> impl Iterator<Item = Value> + use<'a> {
    let process = json!({ "ph": "M", "pid": 1, "name": "process_name", "args": { "name": name } });
    let workers = record.partitions.iter().map(|end| end.worker + 1).max().unwrap_or(0);
    std::iter::once(process)
        .chain((0..workers).map(lane))
        .chain(record.partitions.iter().flat_map(partition))
        .chain(record.retries.iter().map(|retry| {
            let args = json!({ "partition": retry.partition.to_string(), "cause": retry.cause });
            instant(&format!("retry of {}", retry.partition), retry.at_ms, Some(retry.worker), args)
        }))
        .chain(record.decisions.iter().map(|decision| {
            let args = json!({ "was": decision.was, "workers": decision.workers, "reason": decision.reason });
            instant(&format!("workers {}", decision.workers), decision.at_ms, None, args)
        }))
        .chain(counters(&record.samples))
}

/// The name of a worker's lane. Lane 0 is the run's own.
fn lane(worker: usize) -> Value {
    let name = format!("worker {worker}");
    json!({ "ph": "M", "pid": 1, "tid": worker + 1, "name": "thread_name", "args": { "name": name } })
}

/// A partition and, within it, its activities.
fn partition(end: &PartitionEnd) -> impl Iterator<Item = Value> {
    let (begun_us, ended_us) = (end.begun_ms * 1000, end.at_ms * 1000);
    let args = json!({ "outcome": end.outcome, "cause": end.cause, "rows": end.rows, "bytes": end.bytes,
        "attempt": end.attempt });
    let whole = slice(&end.partition.to_string(), "partition", end.worker, begun_us..ended_us, args);
    let mut from_us = begun_us;
    let activities = Activity::ALL.into_iter().filter(|&activity| activity != Activity::Idle);
    let parts = activities.filter_map(move |activity| {
        let to_us = (from_us + end.wall_us.get(activity)).min(ended_us);
        let args = json!({ "cpu_us": end.cpu_us.get(activity) });
        let part =
            (to_us > from_us).then(|| slice(activity.name(), "activity", end.worker, from_us..to_us, args));
        from_us = to_us;
        part
    });
    std::iter::once(whole).chain(parts)
}

fn slice(name: &str, category: &str, worker: usize, span_us: std::ops::Range<u64>, args: Value) -> Value {
    json!({ "ph": "X", "pid": 1, "tid": worker + 1, "name": name, "cat": category,
        "ts": span_us.start, "dur": span_us.end.saturating_sub(span_us.start), "args": args })
}

/// Something that took no time, of a worker or of the whole run.
fn instant(name: &str, at_ms: u64, worker: Option<usize>, args: Value) -> Value {
    let (lane, scope) = worker.map_or((0, "g"), |worker| (worker + 1, "t"));
    json!({ "ph": "i", "pid": 1, "tid": lane, "s": scope, "name": name, "ts": at_ms * 1000, "args": args })
}

/// What rises and falls: the workers there were, rows a second since the sample before, and the cores kept busy.
fn counters(samples: &[Sample]) -> impl Iterator<Item = Value> {
    let before =
        std::iter::once((0, 0)).chain(samples.iter().map(|sample| (sample.at_ms, sample.totals.rows)));
    before.zip(samples).flat_map(|((before_ms, before_rows), sample)| {
        let rows = sample.totals.rows.saturating_sub(before_rows);
        let rows_per_s = rows as f64 * 1e3 / sample.at_ms.saturating_sub(before_ms).max(1) as f64;
        let cores = [("own", sample.machine.own_cores), ("others", sample.machine.others_cores)];
        let cores: serde_json::Map<String, Value> =
            cores.into_iter().filter_map(|(who, cores)| Some((who.to_owned(), cores?.into()))).collect();
        let counters = [
            ("workers", json!({ "workers": sample.workers })),
            ("rows/s", json!({ "rows/s": rows_per_s })),
            ("cores", Value::Object(cores)),
        ];
        let is_known = |args: &Value| args.as_object().is_some_and(|args| !args.is_empty());
        counters.into_iter().filter(move |(_, args)| is_known(args)).map(|(name, args)| {
            json!({ "ph": "C", "pid": 1, "name": name, "ts": sample.at_ms * 1000, "args": args })
        })
    })
}
