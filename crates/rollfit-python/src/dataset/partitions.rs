//! The partitions of a reading: which may be read, what to say of the others, and their rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use pyo3::prelude::*;
use rollfit_cli::OpenStores;
use rollfit_job::empty::is_empty;
use rollfit_job::few::few;
use rollfit_job::foreign::message;
use rollfit_job::panel::Panel;
use rollfit_job::partition::Partition;
use rollfit_job::patience::patiently;
use rollfit_job::state::State;
use rollfit_job::store::{Found, StoreError};
use rollfit_job::stored_features::{StoredFeatures, StoredState};
use rollfit_job::workers::for_each;

use super::batches::{features_batch, features_schema};
use super::failure::ReadFailure;
use super::request::ReadRequest;
use crate::interruptible::interruptible;

/// How often a partition is looked at that somebody keeps changing.
const LOOKS: usize = 5;

/// What a reading makes of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Read,
    Skip,
    Missing,
    Stale,
    /// Not features of this job.
    Other,
}

/// Works on items in turns, several at once, until Ctrl-C; a turn that is in progress then ends by itself.
pub(super) fn in_turns<T: Send + Sync + 'static, R: Send + 'static>(
    py: Python<'_>,
    stores: &OpenStores,
    items: Vec<T>,
    work: impl Fn(&T) -> Result<R, ReadFailure> + Send + Sync + 'static,
) -> PyResult<Vec<R>> {
    let workers = stores.config.run.workers.count(items.len());
    let turns = items.len().div_ceil(2 * workers);
    let shared = Arc::new((items, work));
    let mut done = Vec::new();
    for turn in 0..turns {
        let shared = shared.clone();
        let results = interruptible(py, move || {
            let (items, work) = shared.as_ref();
            let end = items.len().min((turn + 1) * 2 * workers);
            for_each(&items[turn * 2 * workers..end], workers, work)
        })?;
        for result in results {
            done.push(result?);
        }
    }
    Ok(done)
}

/// Looks at the partitions of a reading; returns those that are read.
///
/// # Errors
/// Naming all that cannot be read as asked, with what to do; those of the stores.
pub(super) fn look(
    py: Python<'_>,
    stores: &Arc<OpenStores>,
    request: &Arc<ReadRequest>,
) -> PyResult<Vec<StoredState>> {
    let shared = (stores.clone(), request.clone());
    let pairs = interruptible(py, move || {
        let (stores, request) = &shared;
        let partitions = &request.partitions;
        let holdings = patiently(|| stores.sink.holdings(partitions, false))?;
        let found = holdings.into_iter().map(|holding| Ok(holding?.found));
        let found: Vec<Found> = found.collect::<Result<_, StoreError>>()?;
        Ok::<Vec<(Partition, Found)>, ReadFailure>(partitions.iter().cloned().zip(found).collect())
    })??;
    let shared = (stores.clone(), request.clone());
    let states = in_turns(py, stores, pairs, move |(partition, found)| {
        let (stores, request) = &shared;
        let state = look_at(stores, request, partition, found.clone())?;
        let verdict = verdict(stores, request, &state)?;
        Ok((state, verdict))
    })?;
    if let Some(problems) = problems(request, &states) {
        return Err(ReadFailure::Partitions(problems).into());
    }
    Ok(states.into_iter().filter(|(_, verdict)| *verdict == Verdict::Read).map(|(state, _)| state).collect())
}

fn look_at(
    stores: &OpenStores,
    request: &ReadRequest,
    partition: &Partition,
    found: Found,
) -> Result<StoredState, StoreError> {
    let source = Some(stores.source.as_ref()).filter(|_| !request.allows_stale);
    StoredState::new(&stores.config, source, partition, found)
}

fn verdict(stores: &OpenStores, request: &ReadRequest, stored: &StoredState) -> Result<Verdict, StoreError> {
    let last_us = stored.receipt.as_ref().and_then(|receipt| receipt.input.last_us);
    Ok(match stored.assessment.state {
        State::Done => Verdict::Read,
        State::Missing if request.skips_missing => Verdict::Skip,
        State::Empty => Verdict::Skip,
        State::Missing if has_nothing_to_read(stores, request, &stored.partition)? => Verdict::Skip,
        State::Missing => Verdict::Missing,
        // The new rows are after those that are asked for.
        State::Grown if last_us.is_some_and(|last_us| request.span_us.end <= last_us + 1) => Verdict::Read,
        State::Grown | State::InputChanged | State::Shrunk => Verdict::Stale,
        State::DefinitionChanged | State::Foreign | State::Blocked | State::Newer => Verdict::Other,
    })
}

/// Whether a run has nothing to compute a partition from: no series has a row of it, or it is a key's newest one and has no joined row yet.
fn has_nothing_to_read(
    stores: &OpenStores,
    request: &ReadRequest,
    partition: &Partition,
) -> Result<bool, StoreError> {
    // A source that cannot be asked makes no partition empty.
    if is_empty(stores.source.as_ref(), &stores.config, partition).unwrap_or(false) {
        return Ok(true);
    }
    let newest = request.partitions.iter().rfind(|other| other.key == partition.key);
    if newest != Some(partition) {
        return Ok(false);
    }
    let panel = Panel::read(stores.source.as_ref(), &stores.config, partition)?;
    Ok(panel.waits_for_rows())
}

/// What keeps partitions from being read, with what to do; none where nothing does.
fn problems(request: &ReadRequest, states: &[(StoredState, Verdict)]) -> Option<String> {
    let of = |wanted: Verdict| {
        states.iter().filter(move |(_, verdict)| *verdict == wanted).map(|(stored, _)| stored)
    };
    let named = |wanted| of(wanted).map(|stored| stored.partition.to_string()).collect::<Vec<_>>();
    let explained = |wanted| {
        let causes = of(wanted).map(|StoredState { partition, assessment, .. }| {
            format!("{partition} ({}: {})", assessment.state, assessment.cause)
        });
        causes.collect::<Vec<_>>()
    };
    let config = &request.config;
    let count = |partitions: &[String], one: &str, many: &str| match partitions.len() {
        1 => format!("1 partition {one}"),
        several => format!("{several} partitions {many}"),
    };
    let mut lines = Vec::new();
    let missing = named(Verdict::Missing);
    if !missing.is_empty() {
        lines.push(format!(
            "{}: {}; compute with rollfit.run({config:?}), or pass missing=\"skip\" to read the others",
            count(&missing, "has no features yet", "have no features yet"),
            few(&missing)
        ));
    }
    let stale = explained(Verdict::Stale);
    if !stale.is_empty() {
        lines.push(format!(
            "{}: {}; update with {}, or pass stale=\"allow\" to read what is stored",
            count(&stale, "is older than its source", "are older than their source"),
            first(&stale),
            update_call(config, of(Verdict::Stale))
        ));
    }
    let other = explained(Verdict::Other);
    if !other.is_empty() {
        lines.push(format!(
            "{}: {}; open the configuration that wrote them, or {}",
            count(&other, "does not have the features of this job", "do not have the features of this job"),
            first(&other),
            if of(Verdict::Other).all(|stored| stored.assessment.state == State::DefinitionChanged) {
                format!("compute those of this one with {}", update_call(config, of(Verdict::Other)))
            } else {
                "see `rollfit plan` for what a run would replace".to_owned()
            }
        ));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The call that brings partitions up to date, with the states that a run would skip otherwise.
fn update_call<'a>(config: &str, outdated: impl Iterator<Item = &'a StoredState>) -> String {
    let states: BTreeSet<State> = outdated.map(|stored| stored.assessment.state).collect();
    let skipped: Vec<&str> =
        states.iter().filter(|state| !state.is_due()).map(|state| state.name()).collect();
    match skipped.as_slice() {
        [] => format!("rollfit.run({config:?})"),
        skipped => format!("rollfit.run({config:?}, replace={skipped:?})"),
    }
}

/// The first of several causes, and how many more there are.
fn first(causes: &[String]) -> String {
    const SHOWN_MAX: usize = 5;
    let shown = causes.iter().take(SHOWN_MAX).map(|cause| message(cause)).collect::<Vec<_>>().join(", ");
    match causes.len().saturating_sub(SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Reads the rows of a partition that were found to be readable; none where it is gone and may be.
///
/// # Errors
/// When they cannot be read, or are no longer as they have to be.
pub(super) fn read(
    stores: &OpenStores,
    request: &ReadRequest,
    stored: &StoredState,
) -> Result<Option<RecordBatch>, ReadFailure> {
    let mut stored = stored.clone();
    for _ in 0..LOOKS {
        let StoredState { partition, receipt, .. } = &stored;
        if let Some(receipt) = receipt {
            let features = patiently(|| {
                StoredFeatures::read(
                    &stores.config,
                    stores.sink.as_ref(),
                    partition,
                    receipt,
                    &request.columns,
                )
            })?;
            if let Some(features) = features {
                let schema = features_schema(&request.names);
                let batch = features_batch(schema, &partition.key, features, &request.span_us)
                    .map_err(|error| StoreError::permanent(format!("{partition}: {error}")))?;
                return Ok(Some(batch));
            }
        }
        // Somebody has replaced it, or added rows.
        let found = stores.sink.found(partition)?;
        let now = look_at(stores, request, partition, found)?;
        match verdict(stores, request, &now)? {
            Verdict::Read => stored = now,
            Verdict::Skip => return Ok(None),
            other => {
                let problems = problems(request, &[(now, other)]).unwrap_or_default();
                return Err(ReadFailure::Partitions(problems));
            }
        }
    }
    let partition = &stored.partition;
    Err(ReadFailure::Partitions(format!("{partition}: another runner keeps changing it; try again later")))
}
