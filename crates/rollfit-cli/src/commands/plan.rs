//! `rollfit plan`: the state of each partition, why, its rows, the bytes that a run would write, and how long it would take.

use rollfit_analysis::PlanEstimate;
use rollfit_job::month::display_instant;
use rollfit_job::partition::Partition;
use rollfit_job::pending::Pending;
use rollfit_job::plan::{PlannedPartition, assess_with};
use rollfit_job::run::RunOptions;
use rollfit_job::state::{State, rows_text};
use rollfit_job::unfilled::{UnfilledWindow, UsableRows, unfilled_windows};

use super::cause_groups::{self, CauseGroup, PartitionCause};
use super::new_definition::{NewDefinition, estimate};
use super::next_step;
use super::undone::UndonePartition;
use super::unfilled;
use super::ways_out::ways_out;
use crate::args::{GlobalArguments, PlanArguments};
use crate::exit::{Exit, Failure};
use crate::given_shard::GivenShard;
use crate::open::OpenJob;
use crate::share::{self, Share};
use crate::{format, join_loss, logging, output};

/// The most partitions that are listed where not all are wanted: as many as a terminal shows.
const LISTED_MAX: usize = 40;

#[derive(serde::Serialize)]
struct PlanDocument<'a> {
    partitions: &'a [PlannedPartition],
    write_bytes: u64,
    /// What the store grows by, and what it takes in between where partitions are replaced.
    needed_bytes: u64,
    free_bytes: Option<u64>,
    enough_space: bool,
    /// How long it takes at the rate of the last run; none if there is nothing to write, or no run of this job wrote
    /// anything.
    estimate: Option<&'a PlanEstimate>,
    /// What a new definition means for what an earlier one stored; none where it stored nothing, or all of it is replaced.
    new_definition: Option<&'a NewDefinition>,
    unfilled_windows: &'a [UnfilledWindow],
    /// The shard that this is the plan of; none where it is that of all partitions.
    shard: Option<&'a Share>,
}

pub(super) fn run(global: &GlobalArguments, arguments: &PlanArguments) -> Result<Exit, Failure> {
    let given = GivenShard::find(arguments.select.shard)?;
    let open = OpenJob::to_read(&arguments.select, given.as_ref())?.of_own_share();
    let options =
        RunOptions { replace: arguments.replace.clone(), force: arguments.force, ..RunOptions::default() };
    let planned = assess_with(&open.job(), &open.partitions, &options);
    let space = Space::new(&open, &planned);
    let estimate = estimate(&open, &[], planned.iter().map(|line| line.write_rows).sum());
    let left = planned.iter().filter(|line| line.write_rows == 0);
    let new_definition = NewDefinition::new(&open, left.map(|line| (&line.partition, line.earlier)));
    // A shard has some months of a key, and a window may fill in others.
    let selects_whole_key = |key: &str| open.share.is_none() && open.selection.selects_whole_key(key);
    let of_whole_keys = planned.iter().filter(|line| selects_whole_key(&line.partition.key));
    let unfilled_windows = &unfilled_windows(&open.config, of_whole_keys.map(usable_rows));
    if global.json {
        output::json(&PlanDocument {
            partitions: &planned,
            write_bytes: space.write_bytes,
            needed_bytes: space.needed_bytes,
            free_bytes: space.free_bytes,
            enough_space: space.is_enough(),
            estimate: estimate.as_ref(),
            new_definition: new_definition.as_ref(),
            unfilled_windows,
            shard: open.share.as_ref(),
        })?;
    } else {
        print(&planned, &space, open.share.as_ref(), arguments.all)?;
        estimate.iter().try_for_each(|estimate| output::line(&sentence(estimate)))?;
        let skipped: Vec<UndonePartition> = planned.iter().filter_map(UndonePartition::planned).collect();
        ways_out(&arguments.select.job, &skipped, new_definition.as_ref())
            .iter()
            .try_for_each(|line| output::line(line))?;
        if skipped.iter().any(|problem| problem.state == State::DefinitionChanged.name()) {
            next_step::tell_beside(&arguments.select.job, &open);
        }
    }
    unfilled::warn(unfilled_windows, &open.config);
    if !space.is_enough() {
        logging::warn(
            "the store does not have enough free space for this plan; free some, or select fewer with --only",
        );
    }
    let failed = planned.iter().any(|line| line.state.is_none());
    Ok(if failed || !space.is_enough() { Exit::Failed } else { Exit::Done })
}

/// The bytes that a run would write, and whether there is room for them.
struct Space {
    write_bytes: u64,
    needed_bytes: u64,
    free_bytes: Option<u64>,
}

impl Space {
    /// The old rows of a partition that is replaced are there until the new ones are committed. How large those of another definition or
    /// program are is not known, so their room is not counted on.
    fn new(open: &OpenJob, planned: &[PlannedPartition]) -> Self {
        let old_bytes = |line: &PlannedPartition| match line.replaced_rows {
            0 => 0,
            rows => open.sink.estimate_bytes(&line.partition, rows),
        };
        let growth = planned.iter().map(|line| line.write_bytes.saturating_sub(old_bytes(line)));
        let mut replaced: Vec<u64> =
            planned.iter().map(|line| old_bytes(line).min(line.write_bytes)).collect();
        replaced.sort_unstable();
        let workers = open.job().workers.count(planned.len());
        let at_once: u64 = replaced.iter().rev().take(workers).sum();
        Self {
            write_bytes: planned.iter().map(|line| line.write_bytes).sum(),
            needed_bytes: growth.sum::<u64>() + at_once,
            free_bytes: open.sink.free_bytes(),
        }
    }

    fn is_enough(&self) -> bool {
        self.free_bytes.is_none_or(|free| self.needed_bytes <= free)
    }

    /// `about 36.1 MB to write, 2.0 GB free`; where old rows make way for some of it, how much room it needs.
    fn sentence(&self) -> String {
        let needed = match self.needed_bytes {
            needed if needed == self.write_bytes => String::new(),
            needed => format!(", which needs {} of room", format::bytes(needed)),
        };
        let free = self.free_bytes.map(|free| format!(", {} free", format::bytes(free)));
        format!("about {} to write{needed}{}", format::bytes(self.write_bytes), free.unwrap_or_default())
    }
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
    // The rows have a column.
    let rows = rows_text(line.rows);
    let own = line.cause.strip_prefix(&rows).filter(|_| line.state == Some(State::Done));
    let own = own.unwrap_or(&line.cause);
    let loss = line.join_loss.as_ref().map(|loss| format!("; {}", join_loss::sentence(loss)));
    let pending = line.pending.as_ref().map(|pending| format!("; {}", pending_rows(pending)));
    let cause = format!("{own}{}{}", loss.unwrap_or_default(), pending.unwrap_or_default());
    match cause.trim_start_matches("; ") {
        "" => format::UNKNOWN.to_owned(),
        cause => cause.to_owned(),
    }
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

/// Lists what there is to do or to know, with a row for each partition where they are few or all are wanted; of many the causes.
fn print(
    planned: &[PlannedPartition],
    space: &Space,
    share: Option<&Share>,
    is_all: bool,
) -> Result<(), Failure> {
    let listed: Vec<&PlannedPartition> = planned.iter().filter(|line| is_all || is_notable(line)).collect();
    let is_table = is_all || listed.len() <= LISTED_MAX;
    let rows = if is_table { TableRow::from_lines(&listed, is_all) } else { Vec::new() };
    if !rows.is_empty() {
        print_lines(&rows)?;
        output::line("")?;
    }
    output::line(&counts_line(planned, space, share))?;
    if !is_table {
        let causes: Vec<String> = listed.iter().map(|line| cause(line)).collect();
        let told = listed.iter().zip(&causes).map(|(line, cause)| PartitionCause {
            partition: &line.partition,
            state: state(line),
            cause,
        });
        let groups = CauseGroup::from_partitions(told);
        let lines = cause_groups::lines(&groups, "", |at| causes[at].clone());
        lines.iter().try_for_each(|line| output::line(line))?;
    }
    if rows.len() < listed.len() {
        output::line("`--all` lists every partition.")?;
    }
    share::others_sentence(share, "planned").iter().try_for_each(|others| Ok(output::line(others)?))
}

/// Whether there is anything to do about a partition, or to know.
fn is_notable(line: &PlannedPartition) -> bool {
    line.state != Some(State::Done)
        || line.write_rows > 0
        || line.makes_view
        || line.pending.is_some()
        || line.join_loss.is_some()
}

fn state(line: &PlannedPartition) -> &'static str {
    line.state.map_or("failed", State::name)
}

/// `9 partitions: 8 done, 1 missing; about 36.1 MB to write, 2.0 GB free`
fn counts_line(planned: &[PlannedPartition], space: &Space, share: Option<&Share>) -> String {
    let counts =
        State::ALL.map(|state| (state, planned.iter().filter(|line| line.state == Some(state)).count()));
    let counts =
        counts.iter().filter(|(_, count)| *count > 0).map(|(state, count)| format!("{count} {state}"));
    let failed = planned.iter().filter(|line| line.state.is_none()).count();
    let failed = (failed > 0).then(|| format!("{failed} failed"));
    let states = counts.chain(failed).collect::<Vec<_>>().join(", ");
    let states = if states.is_empty() { states } else { format!(": {states}") };
    format!("{}{states}; {}", share::partitions(planned.len(), share), space.sentence())
}

/// The partitions in one row of the table.
struct TableRow<'a> {
    first: &'a PlannedPartition,
    last: &'a Partition,
    /// Why the first is in its state, which is the cause of all.
    cause: String,
    count: usize,
    rows: u64,
    write_bytes: u64,
}

impl<'a> TableRow<'a> {
    /// A row for each partition, or for all of one state and cause; those without features always have their own, for its rows and bytes.
    fn from_lines(lines: &[&'a PlannedPartition], is_all: bool) -> Vec<Self> {
        let mut rows: Vec<Self> = Vec::new();
        for line in lines {
            let cause = cause(line);
            let is_alone = is_all || line.state == Some(State::Missing);
            let is_same = |row: &&mut Self| row.first.state == line.state && row.cause == cause;
            match if is_alone { None } else { rows.iter_mut().find(is_same) } {
                Some(row) => {
                    row.last = row.last.max(&line.partition);
                    row.count += 1;
                    row.rows += line.rows;
                    row.write_bytes += line.write_bytes;
                }
                None => rows.push(Self {
                    first: line,
                    last: &line.partition,
                    cause,
                    count: 1,
                    rows: line.rows,
                    write_bytes: line.write_bytes,
                }),
            }
        }
        rows
    }

    /// `eurusd 2017-01`, or `9 partitions, eurusd 2017-01 .. 2017-09`.
    fn name(&self) -> String {
        let Partition { key, period } = self.last;
        let first = &self.first.partition;
        match self.count {
            1 => first.to_string(),
            count if first.key == *key => {
                format!("{}, {first} .. {period}", format::plural(count, "partition"))
            }
            count => format!("{}, {first} .. {}", format::plural(count, "partition"), self.last),
        }
    }
}

/// A table with these rows.
fn print_lines(rows: &[TableRow<'_>]) -> Result<(), Failure> {
    let cells = |row: &TableRow<'_>| {
        vec![
            row.name(),
            state(row.first).to_owned(),
            format::count(row.rows),
            format::bytes(row.write_bytes),
            row.cause.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    Ok(output::table(&["partition", "state", "rows", "to write", "cause"], &rows)?)
}
