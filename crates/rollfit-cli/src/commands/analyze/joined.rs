//! `rollfit analyze RUN RUN...`: the records of several runners of one job, joined.
//!
//! Invariants: no more than a few records are in memory at once. A run whose record is given twice counts once.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rollfit_analysis::{JoinError, JoinedRuns, RunnerDigest};
use rollfit_job::lock::lock;
use rollfit_job::record::{Header, Record};

use super::document::Document;
use super::{html, markdown, not_a_follower, record_path, terminal, written};
use crate::args::{AnalyzeArguments, GlobalArguments};
use crate::exit::{Exit, Failure};
use crate::format::plural;
use crate::replace::replace;
use crate::state_dir::{self, StateDir};
use crate::{logging, output, trace};

/// The files that are meant: one for each run.
pub(super) fn files(runs: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let state = StateDir::open();
    let mut known: Vec<(Option<String>, PathBuf, usize)> = Vec::new();
    for run in runs {
        let path = record_path(&state, run)?;
        // What has no header that can be read is an error later, with its cause.
        let identity = state_dir::header(&path).map(|header| identity(&header));
        match known.iter_mut().find(|(other, _, _)| identity.is_some() && *other == identity) {
            Some((_, kept, times)) => {
                *times += 1;
                if bytes(&path) > bytes(kept) {
                    *kept = path;
                }
            }
            None => known.push((identity, path, 1)),
        }
    }
    for (_, path, times) in known.iter().filter(|(_, _, times)| *times > 1) {
        let path = path.display();
        logging::warn(&format!("{times} records are of the same run; only the longest counts: {path}"));
    }
    Ok(known.into_iter().map(|(_, path, _)| path).collect())
}

fn identity(header: &Header) -> String {
    let Header { run, host, pid, started, .. } = header;
    format!("{run} {host} {pid} {started}")
}

fn bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Analyzes several records together.
pub(super) fn run(
    global: &GlobalArguments,
    arguments: &AnalyzeArguments,
    files: &[PathBuf],
) -> Result<Exit, Failure> {
    let joined = join(files)?;
    if let Some(file) = &arguments.trace {
        written("--trace", file, trace::save_joined(files, &joined, file)?)?;
    }
    if let Some(file) = &arguments.html {
        written("--html", file, replace(file, html::render_joined(&joined).as_bytes()))?;
    }
    let mut made = [&arguments.html, &arguments.trace].into_iter().flatten().peekable();
    if global.json {
        output::json(&joined)?;
    } else if arguments.markdown {
        output::lines(&markdown::render(&Document::joined(&joined)))?;
    } else if made.peek().is_some() {
        made.try_for_each(|file| output::line(&format!("wrote {}", file.display())))?;
    } else {
        output::lines(&terminal::render_to_fit(&Document::joined(&joined)))?;
    }
    Ok(Exit::Done)
}

/// What several records say together.
pub(super) fn join(files: &[PathBuf]) -> Result<JoinedRuns, Failure> {
    JoinedRuns::new(digests(files)?).map_err(|error| Failure::usage(told(&error)))
}

/// What a join needs of each record. Several are read at once.
fn digests(files: &[PathBuf]) -> Result<Vec<RunnerDigest>, Failure> {
    const AT_ONCE: usize = 4;
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(AT_ONCE).min(files.len());
    let next = AtomicUsize::new(0);
    let digests: Mutex<Vec<(usize, Result<RunnerDigest, Failure>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(file) = files.get(at) else { return };
                    let digest = digest(file);
                    if digest.is_err() {
                        // One that cannot be read is the end of it.
                        next.store(files.len(), Ordering::Relaxed);
                    }
                    lock(&digests).push((at, digest));
                }
            });
        }
    });
    let mut digests = std::mem::take(&mut *lock(&digests));
    digests.sort_by_key(|(at, _)| *at);
    digests.into_iter().map(|(_, digest)| digest).collect()
}

fn digest(file: &Path) -> Result<RunnerDigest, Failure> {
    let record: Record = state_dir::read(file)?;
    not_a_follower(&record)?;
    Ok(RunnerDigest::new(&record))
}

/// Why records cannot be joined.
fn told(error: &JoinError) -> String {
    match error {
        JoinError::OtherJob { runs: [first, other], sinks: [first_sink, other_sink] }
            if first_sink == other_sink =>
        {
            format!(
                "{first} and {other} are runs of different jobs: other series, windows, metrics or sources, both into {first_sink}; \
                 analyze each job's records alone"
            )
        }
        JoinError::OtherJob { runs: [first, other], sinks: [first_sink, other_sink] } => format!(
            "{first} and {other} are runs of different jobs: one writes to {first_sink}, the other to {other_sink}; analyze each \
             job's records alone"
        ),
        JoinError::NoStart { run, started } => format!(
            "{run} cannot be joined with others: its record says that it began at `{started}`, which is no instant; leave it out"
        ),
        _ => format!("{} cannot be joined", plural(0, "record")),
    }
}
