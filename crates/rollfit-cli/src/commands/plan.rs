//! `rollfit plan`: the state of each partition, why, its rows, the bytes that a run would write, and how long it would take.

use rollfit_analysis::PlanEstimate;
use rollfit_job::month::display_instant;
use rollfit_job::pending::Pending;
use rollfit_job::plan::{PlannedPartition, assess};
use rollfit_job::state::State;
use rollfit_job::unfilled::{UnfilledWindow, UsableRows, unfilled_windows};

use super::new_definition::{NewDefinition, estimate};
use super::unfilled::{self, selects_whole_key};
use crate::args::{GlobalArguments, SelectArguments};
use crate::exit::{Exit, Failure};
use crate::given_shard::GivenShard;
use crate::open::OpenJob;
use crate::share::{self, Share};
use crate::{format, join_loss, logging, output};

#[derive(serde::Serialize)]
struct PlanDocument<'a> {
    partitions: &'a [PlannedPartition],
    write_bytes: u64,
    free_bytes: Option<u64>,
    enough_space: bool,
    /// How long it takes at the rate of the last run; none if there is nothing to write, or no run of this job wrote
    /// anything.
    estimate: Option<&'a PlanEstimate>,
    /// What a new definition means for what an earlier one stored; none where it stored nothing.
    new_definition: Option<&'a NewDefinition>,
    unfilled_windows: &'a [UnfilledWindow],
    /// The shard that this is the plan of; none where it is that of all partitions.
    shard: Option<&'a Share>,
}

pub(super) fn run(global: &GlobalArguments, arguments: &SelectArguments) -> Result<Exit, Failure> {
    let given = GivenShard::find(arguments.shard)?;
    let open = OpenJob::to_read(arguments, given.as_ref())?.of_own_share();
    let planned = assess(&open.job(), &open.partitions);
    let write_bytes = planned.iter().map(|line| line.write_bytes).sum();
    let free_bytes = open.sink.free_bytes();
    let enough_space = free_bytes.is_none_or(|free| write_bytes <= free);
    let estimate = estimate(&open, &[], planned.iter().map(|line| line.write_rows).sum());
    let earlier = planned.iter().map(|line| (&line.partition, line.earlier));
    let new_definition = NewDefinition::new(&open, earlier);
    // A shard has some months of a key, and a window may fill in others.
    let selects_whole_key = |key: &str| open.share.is_none() && selects_whole_key(&arguments.only, key);
    let of_whole_keys = planned.iter().filter(|line| selects_whole_key(&line.partition.key));
    let unfilled_windows = &unfilled_windows(&open.config, of_whole_keys.map(usable_rows));
    if global.json {
        output::json(&PlanDocument {
            partitions: &planned,
            write_bytes,
            free_bytes,
            enough_space,
            estimate: estimate.as_ref(),
            new_definition: new_definition.as_ref(),
            unfilled_windows,
            shard: open.share.as_ref(),
        })?;
    } else {
        print(&planned, write_bytes, free_bytes, open.share.as_ref())?;
        estimate.iter().try_for_each(|estimate| output::line(&sentence(estimate)))?;
        new_definition.iter().try_for_each(|new| output::line(&new.sentence()))?;
    }
    unfilled::warn(unfilled_windows, open.config.boundary);
    if !enough_space {
        logging::warn(
            "the store does not have enough free space for this plan; free some, or select fewer with --only",
        );
    }
    let failed = planned.iter().any(|line| line.state.is_none());
    Ok(if failed || !enough_space { Exit::Failed } else { Exit::Done })
}

/// `estimate: about 2.2 min at the rate of the last run (48,300 rows/s with 4 workers, 2026-11-27 21:04 UTC)`
fn sentence(estimate: &PlanEstimate) -> String {
    let started: Option<jiff::Timestamp> = estimate.started.parse().ok();
    let started = started.map(|started| started.strftime("%Y-%m-%d %H:%M UTC").to_string());
    format!(
        "estimate: about {} at the rate of the last run ({} rows/s with {}, {})",
        format::time(estimate.seconds),
        format::count(estimate.rows_per_s.round() as u64),
        format::plural(estimate.workers, "worker"),
        started.as_ref().unwrap_or(&estimate.started)
    )
}

/// Why a partition is in its state, what its join loses, and what waits to be joined.
fn cause(line: &PlannedPartition) -> String {
    let loss = line.join_loss.as_ref().map(|loss| format!("; {}", join_loss::sentence(loss)));
    let pending = line.pending.as_ref().map(|pending| format!("; {}", pending_rows(pending)));
    format!("{}{}{}", line.cause, loss.unwrap_or_default(), pending.unwrap_or_default())
}

/// `3 pending rows, the oldest of 2017-01-04T10:31:00Z, 2.0 min before the last row`
fn pending_rows(pending: &Pending) -> String {
    let rows = pending.total_rows();
    format!(
        "{} pending {} of {}, {} before the last row",
        format::count(rows),
        if rows == 1 { "row," } else { "rows, the oldest" },
        display_instant(pending.oldest_us),
        format::time(pending.age().as_secs_f64())
    )
}

fn usable_rows(line: &PlannedPartition) -> UsableRows<'_> {
    UsableRows { partition: &line.partition, rows: line.rows, lookback_rows: line.lookback_rows }
}

fn print(
    planned: &[PlannedPartition],
    write_bytes: u64,
    free_bytes: Option<u64>,
    share: Option<&Share>,
) -> Result<(), Failure> {
    print_lines(planned)?;
    let counts =
        State::ALL.map(|state| (state, planned.iter().filter(|line| line.state == Some(state)).count()));
    let counts =
        counts.iter().filter(|(_, count)| *count > 0).map(|(state, count)| format!("{count} {state}"));
    let failed = planned.iter().filter(|line| line.state.is_none()).count();
    let failed = (failed > 0).then(|| format!("{failed} failed"));
    let states = counts.chain(failed).collect::<Vec<_>>().join(", ");
    let states = if states.is_empty() { states } else { format!(": {states}") };
    let free = free_bytes.map(|free| format!(", {} free", format::bytes(free))).unwrap_or_default();
    output::line(&format!(
        "\n{}{states}; about {} to write{free}",
        share::partitions(planned.len(), share),
        format::bytes(write_bytes)
    ))?;
    share::others_sentence(share, "planned").iter().try_for_each(|others| Ok(output::line(others)?))
}

/// A table with a row for each partition.
fn print_lines(planned: &[PlannedPartition]) -> Result<(), Failure> {
    let state = |line: &PlannedPartition| line.state.map_or("failed", State::name).to_owned();
    let rows: Vec<Vec<String>> = planned
        .iter()
        .map(|line| {
            vec![
                line.partition.to_string(),
                state(line),
                format::count(line.rows),
                format::bytes(line.write_bytes),
                cause(line),
            ]
        })
        .collect();
    Ok(output::table(&["partition", "state", "rows", "to write", "cause"], &rows)?)
}
