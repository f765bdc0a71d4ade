//! The plan: what there is to do about each partition of a job. [`partitions`] says which these are.

use crate::Job;
use crate::absence::Absence;
use crate::empty::{empty_cause, is_empty_panel, no_rows};
use crate::join_loss::JoinLoss;
use crate::panel::Panel;
use crate::partition::Partition;
use crate::pending::Pending;
pub use crate::planner::{PlanError, configured_partitions, partitions};
use crate::receipt::{Definition, Input};
use crate::run::RunOptions;
use crate::state::{Assessment, EarlierDefinition, State};
use crate::store::{Found, ReaderView, Sink, StoreError};
use crate::workers::for_each;

/// Why a partition is missing that has features, where a run is forced to write it again.
const DAMAGED: &str = "the features are damaged, and --force writes them again";

/// One line of a plan.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PlannedPartition {
    /// The partition.
    pub partition: Partition,
    /// Its state; none where it could not be found out.
    pub state: Option<State>,
    /// Why it is in that state, or what failed.
    pub cause: String,
    /// What is stored, if nothing but the version of the definition has changed; the source neither.
    #[serde(skip)]
    pub earlier: Option<EarlierDefinition>,
    /// The states that a run has to replace to write it; none where it is written without, or no option has it written.
    #[serde(skip)]
    pub replaceable_as: Vec<State>,
    /// The joined rows of the source.
    pub rows: u64,
    /// The joined rows before them that the windows reach.
    #[serde(skip)]
    pub lookback_rows: u64,
    /// How many of them a grown partition does not have yet; none in another state.
    pub adds_rows: Option<u64>,
    /// The last rows of the source that wait for another series; none where there are none.
    pub pending: Option<Pending>,
    /// The rows that a run would write: the new ones of a grown partition where the store can add them, else all.
    #[serde(skip)]
    pub write_rows: u64,
    /// The rows of this definition that a run would replace.
    #[serde(skip)]
    pub replaced_rows: u64,
    /// Whether a run would make what readers look for, beside rows.
    #[serde(skip)]
    pub makes_view: bool,
    /// The bytes that a run would write, about.
    pub write_bytes: u64,
    /// What the join loses, where that is more than `join_loss_max` and no receipt records it.
    pub join_loss: Option<JoinLoss>,
}

/// Finds out the state of each of `partitions`, and what a run without options would write.
pub fn assess(job: &Job<'_>, partitions: &[Partition]) -> Vec<PlannedPartition> {
    assess_with(job, partitions, &RunOptions::default())
}

/// As [`assess`], for a run with these options.
pub fn assess_with(job: &Job<'_>, partitions: &[Partition], options: &RunOptions) -> Vec<PlannedPartition> {
    let definition = Definition::from_config(job.config);
    let absence = Absence::new(job.config.run.retry_for);
    for_each(partitions, job.workers.count(partitions.len()), |partition| {
        assess_one(job, (&definition, options), &absence, partition)
    })
}

fn assess_one(
    job: &Job<'_>,
    wanted: (&Definition, &RunOptions),
    absence: &Absence,
    partition: &Partition,
) -> PlannedPartition {
    absence.look(|| plan_one(job, wanted, partition)).unwrap_or_else(|error| PlannedPartition {
        partition: partition.clone(),
        state: None,
        cause: crate::error_chain(&error),
        earlier: None,
        replaceable_as: Vec::new(),
        rows: 0,
        lookback_rows: 0,
        adds_rows: None,
        pending: None,
        write_rows: 0,
        replaced_rows: 0,
        makes_view: false,
        write_bytes: 0,
        join_loss: None,
    })
}

fn plan_one(
    job: &Job<'_>,
    (definition, options): (&Definition, &RunOptions),
    partition: &Partition,
) -> Result<PlannedPartition, StoreError> {
    // Before the source is read, so that no receipt is of a newer one.
    let found = job.sink.found(partition);
    let is_damaged = found.as_ref().is_err_and(StoreError::is_damage);
    let found = options.unless_damaged(found)?;
    let (panel, sides) = Panel::read_with_sides(job.source, job.config, partition)?;
    let input = panel.input();
    let compare_input = |recorded: &Input| panel.compare_input(recorded);
    let assessment = Assessment::from_found(&found, definition, &input, compare_input, &job.config.run);
    if is_damaged && input.rows == 0 {
        // They cannot be computed again: as damaged as they are without force.
        job.sink.found(partition)?;
    }
    let assessment = unless_without_rows(job, partition, &panel, assessment)?;
    let is_wanted = options.writes(&assessment, input.rows);
    let view = job.sink.reader_view(partition)?;
    let assessment = match &view {
        ReaderView::Foreign(what) if is_wanted => assessment.blocked_by(what),
        view => assessment.with_view(view),
    };
    let assessment = with_obstacle(job.sink, partition, assessment, options, is_wanted)?;
    let is_written = is_wanted && assessment.state != State::Blocked;
    let replaceable_as = if is_written { Vec::new() } else { assessment.replaceable_as() };
    let Assessment { state, cause, earlier, .. } = assessment;
    let cause = if is_damaged { DAMAGED.to_owned() } else { cause };
    let sides = sides.filter(|_| is_new_loss(state, &found, &input));
    let join_loss = sides.and_then(|sides| sides.join_loss(job.source, job.config, partition));
    let adds_rows = match &found {
        Found::Ours(receipt) if state == State::Grown => Some(input.rows.saturating_sub(receipt.input.rows)),
        _ => None,
    };
    let write_rows = match adds_rows {
        Some(rows) if job.sink.can_append() && !options.force => rows,
        _ if is_written => input.rows,
        _ => 0,
    };
    let replaced_rows = if write_rows > 0 { replaced_rows(&found, state) } else { 0 };
    Ok(PlannedPartition {
        partition: partition.clone(),
        state: Some(state),
        cause,
        earlier,
        replaceable_as,
        rows: input.rows,
        lookback_rows: input.lookback_rows,
        adds_rows,
        pending: panel.pending,
        write_rows,
        replaced_rows,
        makes_view: matches!((view, state), (ReaderView::Missing(_), State::Done | State::Grown)),
        write_bytes: if write_rows > 0 { job.sink.estimate_bytes(partition, write_rows) } else { 0 },
        join_loss,
    })
}

/// The same, unless it is missing and there are no rows to make it of: then it waits for its first row, or is empty, or fails.
fn unless_without_rows(
    job: &Job<'_>,
    partition: &Partition,
    panel: &Panel,
    assessment: Assessment,
) -> Result<Assessment, StoreError> {
    if assessment.state != State::Missing || panel.rows() > 0 || panel.waits_for_rows() {
        return Ok(assessment);
    }
    if is_empty_panel(job.config, panel) {
        return Ok(Assessment::empty(empty_cause(job.config, partition)));
    }
    Err(StoreError::permanent(no_rows(job.config, partition, panel)))
}

/// Asks for an obstacle only where rows may have to be replaced.
fn with_obstacle(
    sink: &dyn Sink,
    partition: &Partition,
    assessment: Assessment,
    options: &RunOptions,
    is_wanted: bool,
) -> Result<Assessment, StoreError> {
    let replaces_none = match assessment.state {
        State::Missing | State::Empty | State::Blocked | State::Newer => true,
        State::Done | State::Grown => !options.force,
        _ => false,
    };
    if replaces_none {
        return Ok(assessment);
    }
    Ok(match sink.obstacle(partition)? {
        Some(obstacle) if is_wanted => assessment.blocked_by(&obstacle),
        Some(obstacle) => assessment.with_obstacle(&obstacle),
        None => assessment,
    })
}

/// The rows of this definition whose place is taken by what is written of a partition in this state.
fn replaced_rows(found: &Found, state: State) -> u64 {
    match found {
        Found::Ours(receipt) if matches!(state, State::Done | State::InputChanged) => receipt.stored.rows,
        _ => 0,
    }
}

/// Whether the loss of a join is new to a partition in this state: no receipt records it.
pub(crate) fn is_new_loss(state: State, found: &Found, input: &Input) -> bool {
    match (state, found) {
        (State::Missing | State::Foreign, _) => true,
        (State::Grown, Found::Ours(receipt)) => input.has_lost_more_than(&receipt.input),
        _ => false,
    }
}

/// About how many bytes a run will write for those of `partitions` that have no features yet. What cannot be estimated from
/// the store without reading rows, such as a missing table, counts as nothing: the run will say it.
pub fn estimate_missing_bytes(job: &Job<'_>, partitions: &[Partition]) -> u64 {
    // One store being there says nothing of the other.
    let absence_of = || Absence::new(job.config.run.retry_for);
    let (sink_absence, source_absence) = (absence_of(), absence_of());
    let missing =
        |partition: &Partition| matches!(sink_absence.look(|| job.sink.is_missing(partition)), Ok(true));
    let bytes = |partition: &Partition| {
        let rows = job.config.series.iter().filter_map(|series| {
            let estimate = || job.source.estimate_rows(&series.of_key(&partition.key), partition.period);
            source_absence.look(estimate).ok()
        });
        job.sink.estimate_bytes(partition, rows.min().unwrap_or(0))
    };
    for_each(partitions, job.workers.count(partitions.len()), |partition| {
        if missing(partition) { bytes(partition) } else { 0 }
    })
    .iter()
    .sum()
}
