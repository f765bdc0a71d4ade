//! [`Table`]: a part of an analysis in rows and columns, the same in the terminal, in Markdown and in HTML.

use rollfit_analysis::{Analysis, Basis, LaneSlice, Scaling, TimelinePoint, WorkerLine};
use rollfit_job::activity::{Activity, Times};
use rollfit_job::record::{Decision, Header, Unavailable};

use super::words;
use crate::format::{
    UNKNOWN, between_rates, between_times, byte_rate, bytes, count, estimated_factor, estimated_rate,
    estimated_time, percent, quantity, rate, time,
};

/// The title of the table of N workers.
pub(super) const SCALING: &str = "What other numbers of workers would give";

/// The title of the table of the slowest partitions.
pub(super) const SLOWEST: &str = "Slowest partitions";

/// Rows under headings.
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<String>>,
}

/// A heading, and whether its column holds numbers.
pub(super) struct Column {
    pub(super) heading: &'static str,
    pub(super) is_number: bool,
}

pub(super) const fn text(heading: &'static str) -> Column {
    Column { heading, is_number: false }
}

pub(super) const fn number(heading: &'static str) -> Column {
    Column { heading, is_number: true }
}

impl Table {
    pub(super) fn new<'a, T: 'a>(
        columns: impl Into<Vec<Column>>,
        lines: impl IntoIterator<Item = &'a T>,
        row: impl Fn(&T) -> Vec<String>,
    ) -> Self {
        Self { columns: columns.into(), rows: lines.into_iter().map(row).collect() }
    }
}

/// A figure, or the sign that it is not known.
pub(super) fn known<T>(figure: Option<T>, told: impl Fn(T) -> String) -> String {
    figure.map_or(UNKNOWN.to_owned(), told)
}

/// Utilisation, saturation and errors of each resource.
pub(super) fn resources(analysis: &Analysis) -> Table {
    let columns =
        [text("resource"), number("used"), number("errors"), text("of what"), text("waiting for it")];
    let told = |resources| words::resources(resources, &analysis.header);
    let rows = analysis.resources.as_ref().map(told);
    Table { columns: columns.into(), rows: rows.unwrap_or_default() }
}

/// What the workers' time went into.
pub(super) fn activities(analysis: &Analysis) -> Table {
    let columns =
        [text("activity"), number("share"), number("time"), number("processor"), text("what it is")];
    let has_statements = analysis.header.sessions_max.is_some();
    let statement = |activity| statement(activity).filter(|_| has_statements);
    Table::new(columns, &analysis.activities, |line| {
        vec![
            line.activity.name().to_owned(),
            percent(line.share),
            time(line.wall_s),
            time(line.cpu_s),
            match statement(line.activity) {
                Some(statement) => format!("{} ({statement})", meaning(line.activity)),
                None => meaning(line.activity).to_owned(),
            },
        ]
    })
}

/// What an activity is, in few words.
const fn meaning(activity: Activity) -> &'static str {
    match activity {
        Activity::Idle => "has no partition",
        Activity::Waiting => "waits for a session, or for a partition that another has",
        Activity::Connecting => "opens a session with the store",
        Activity::Querying => "asks the store for receipts, tables, locks",
        Activity::Reading => "reads the source",
        Activity::Computing => "joins, fits, derives metrics",
        Activity::Encoding => "turns features into the bytes of the store",
        Activity::Sending => "is blocked handing bytes to the store",
        Activity::Deleting => "removes the features that were there before",
        Activity::Keying => "makes and checks keys and constraints",
        Activity::Analyzing => "has the store count what it holds, for its planner",
        Activity::Vacuuming => "has the store clean up after what was replaced",
        Activity::Committing => "makes what was handed over durable and visible",
        Activity::Throttled => "holds itself back, as the configuration says",
        Activity::Pausing => "waits before another attempt",
    }
}

/// The statement that a server executes meanwhile.
const fn statement(activity: Activity) -> Option<&'static str> {
    match activity {
        Activity::Sending => Some("COPY"),
        Activity::Deleting => Some("DELETE"),
        Activity::Analyzing => Some("ANALYZE"),
        Activity::Vacuuming => Some("VACUUM"),
        Activity::Committing => Some("COMMIT"),
        _ => None,
    }
}

/// What N workers would give.
pub(super) fn scaling(scaling: &[Scaling]) -> Table {
    let columns = [
        number("workers"),
        text("known by"),
        number("rows/s"),
        number("whole job"),
        number("sessions"),
        number("memory"),
        number("load"),
        text("what limits it"),
    ];
    // Beyond what is estimated only what limits the workers is worth a line.
    let told = scaling.iter().filter(|line| line.basis != Basis::Ceiling || line.limit.is_some());
    Table::new(columns, told, |line| {
        vec![
            line.workers.to_string(),
            if line.server_unseen { "bounds" } else { basis(line.basis) }.to_owned(),
            known(line.rows_per_s.as_ref(), |rows| {
                if line.server_unseen { between_rates(rows.low, rows.high) } else { estimated_rate(rows) }
            }),
            known(line.job_s.as_ref(), |job_s| {
                if line.server_unseen { between_times(job_s.low, job_s.high) } else { estimated_time(job_s) }
            }),
            known(line.sessions, |sessions| count(sessions as u64)),
            known(line.memory_bytes, bytes),
            known(line.load, quantity),
            line.limit.as_ref().map(words::workers_limit).unwrap_or_default(),
        ]
    })
}

/// How a line of the table of workers is known.
pub(super) const fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Measured => "measured",
        Basis::Modelled => "modelled",
        Basis::Ceiling => "ceiling",
    }
}

/// The numbers of workers and why.
pub(super) fn decisions(decisions: &[Decision]) -> Table {
    let columns = [number("at"), number("was"), number("workers"), number("rows/s before"), text("why")];
    Table::new(columns, decisions, |decision| {
        vec![
            time(decision.at_ms as f64 / 1000.0),
            decision.was.to_string(),
            decision.workers.to_string(),
            known(decision.rows_per_s, rate),
            decision.reason.clone(),
        ]
    })
}

/// Partitions as workers did them.
pub(super) fn slices(slices: &[LaneSlice]) -> Table {
    let columns = [
        text("partition"),
        number("took"),
        number("started at"),
        number("worker"),
        number("rows"),
        text("outcome"),
        text("mostly"),
    ];
    Table::new(columns, slices, |slice| {
        vec![
            slice.partition.to_string(),
            time(slice.took_s),
            time(slice.begun_s),
            slice.worker.to_string(),
            count(slice.rows),
            slice.outcome.name().to_owned(),
            mostly(&slice.wall_us),
        ]
    })
}

/// The largest of the activities, with its share: `sending 62 %`.
pub(super) fn mostly(times: &Times) -> String {
    let largest = Activity::ALL.into_iter().max_by_key(|&activity| times.get(activity));
    match largest {
        Some(activity) if times.get(activity) > 0 => {
            format!("{} {}", activity.name(), percent(times.get(activity) as f64 / times.total_us() as f64))
        }
        _ => UNKNOWN.to_owned(),
    }
}

/// What the workers did, one by one.
pub(super) fn workers(lines: &[WorkerLine]) -> Table {
    let columns = [
        number("worker"),
        number("written"),
        number("rows"),
        number("busy"),
        number("processor"),
        text("mostly"),
        text("in progress for"),
    ];
    Table::new(columns, lines, |line| {
        vec![
            line.worker.to_string(),
            count(line.partitions),
            count(line.rows),
            percent(line.busy),
            known(line.cpu, percent),
            known(line.mostly, |activity| format!("{} {}", activity.name(), percent(line.mostly_share))),
            known(line.in_progress_s, time),
        ]
    })
}

/// What each step of all remedies gives, with those before it.
pub(super) fn steps(analysis: &Analysis) -> Table {
    let columns = [
        number("step"),
        number("faster"),
        number("whole job"),
        number("what is left"),
        number("load"),
        number("memory"),
        number("sessions"),
        text("what to do"),
    ];
    let after = analysis.combined.iter().flat_map(|combined| &combined.after);
    let rows = after.enumerate().map(|(at, step)| {
        vec![
            (at + 1).to_string(),
            estimated_factor(&step.gain),
            estimated_time(&step.job_s),
            known(step.eta_s.as_ref(), estimated_time),
            known(step.load, quantity),
            known(step.memory_bytes, bytes),
            known(step.sessions, |sessions| count(sessions as u64)),
            words::step(analysis, step.bottleneck),
        ]
    });
    Table { columns: columns.into(), rows: rows.collect() }
}

/// The run over time.
pub(super) fn timeline(points: &[TimelinePoint]) -> Table {
    let columns = [
        number("at"),
        number("rows/s"),
        number("bytes/s"),
        number("workers"),
        number("own cores"),
        number("server's cores"),
        number("others' cores"),
    ];
    Table::new(columns, points, |point| {
        vec![
            time(point.at_s),
            rate(point.rows_per_s),
            byte_rate(point.bytes_per_s),
            quantity(point.workers),
            known(point.own_cores, quantity),
            known(point.server_cores, quantity),
            known(point.others_cores, quantity),
        ]
    })
}

/// What could not be found out.
pub(super) fn unavailable(unavailable: &[Unavailable]) -> Table {
    let columns = [text("what"), number("at"), text("why")];
    Table::new(columns, unavailable, |line| {
        vec![line.what.clone(), time(line.at_ms as f64 / 1000.0), line.cause.clone()]
    })
}

/// The settings that decide how fast a run can be, with where each came from.
pub(super) fn settings(header: &Header) -> Table {
    let columns = [text("setting"), text("value"), text("from")];
    Table::new(columns, &header.settings, |setting| {
        vec![
            setting.name.clone(),
            known(setting.value.clone(), |value| value),
            words::origin(setting, header),
        ]
    })
}

/// The tables of an analysis with their titles, in order; those without a row are left out.
pub(super) fn all(analysis: &Analysis) -> Vec<(&'static str, Table)> {
    let tables = [
        ("Resources", resources(analysis)),
        ("What the workers' time went into", activities(analysis)),
        (SCALING, scaling(&analysis.scaling)),
        ("Workers", workers(&analysis.worker_lines)),
        (SLOWEST, slices(&analysis.slowest)),
        ("Decisions about the number of workers", decisions(&analysis.decisions)),
        ("Settings", settings(&analysis.header)),
        ("Unavailable", unavailable(&analysis.unavailable)),
    ];
    tables.into_iter().filter(|(_, table)| !table.rows.is_empty()).collect()
}
