//! Tables of several records that are joined.

use rollfit_analysis::{HostLine, JoinedPoint, JoinedRuns, RunnerLine};

use super::tables::{Table, known, number, text};
use super::words::joined::{ending, runner_limit, time_use};
use crate::format::{UNKNOWN, byte_rate, count, percent, quantity, rate, time};

/// The runners.
fn runners(lines: &[RunnerLine]) -> Table {
    let columns = [
        text("host"),
        text("shard"),
        number("began"),
        number("ended"),
        text("state"),
        number("written"),
        number("helped"),
        number("rows/s"),
        number("workers"),
        number("waiting"),
        text("limited by"),
    ];
    Table::new(columns, lines, |line| {
        vec![
            line.host.clone(),
            known(line.shard.clone(), |shard| shard),
            time(line.began_s),
            time(line.ended_s),
            ending(line).to_owned(),
            count(line.partitions),
            known(line.helped, count),
            rate(line.rows_per_s),
            quantity(line.workers),
            percent(line.waiting_share),
            runner_limit(&line.limit),
        ]
    })
}

fn hosts(lines: &[HostLine]) -> Table {
    let columns = [
        text("host"),
        number("runners"),
        number("cores"),
        number("own"),
        number("others"),
        number("stolen"),
        number("round trip"),
        number("written"),
        number("1,000 rows"),
        text("CPU path"),
    ];
    Table::new(columns, lines, |line| {
        vec![
            line.host.clone(),
            count(line.runners as u64),
            known(line.cores_allowed, quantity),
            known(line.own_cores, quantity),
            known(line.others_cores, quantity),
            known(line.stolen_cores, quantity),
            known(line.round_trip_s, time),
            count(line.partitions),
            known(line.worker_us_per_row, |us| time(us / 1e3)),
            if line.kernel.is_empty() { UNKNOWN.to_owned() } else { line.kernel.clone() },
        ]
    })
}

fn worker_time(joined: &JoinedRuns) -> Table {
    let columns = [number("share"), number("time"), text("the workers")];
    Table::new(columns, &joined.worker_time, |share| {
        vec![percent(share.share), time(share.wall_s), time_use(share.what).to_owned()]
    })
}

fn reads(lines: &[RunnerLine]) -> Table {
    let columns = [
        text("host"),
        text("shard"),
        number("source reads"),
        number("seen held"),
        number("failed"),
        text("run"),
    ];
    Table::new(columns, lines, |line| {
        vec![
            line.host.clone(),
            known(line.shard.clone(), |shard| shard),
            count(line.source_reads),
            count(line.seen_held),
            count(line.failed),
            line.run.clone(),
        ]
    })
}

/// The whole over time.
pub(super) fn timeline(points: &[JoinedPoint]) -> Table {
    let columns = [
        number("at"),
        number("rows/s"),
        number("bytes/s"),
        number("runners"),
        number("workers"),
        number("own cores"),
    ];
    Table::new(columns, points, |point| {
        vec![
            time(point.at_s),
            rate(point.rows_per_s),
            byte_rate(point.bytes_per_s),
            quantity(point.runners),
            quantity(point.workers),
            quantity(point.own_cores),
        ]
    })
}

/// The tables with their titles, in order.
pub(super) fn all(joined: &JoinedRuns) -> Vec<(&'static str, Table)> {
    let tables = [
        ("Runners", runners(&joined.runners)),
        ("Hosts", hosts(&joined.hosts)),
        ("What the time of all workers went into", worker_time(joined)),
        ("Reads and records", reads(&joined.runners)),
    ];
    tables.into_iter().filter(|(_, table)| !table.rows.is_empty()).collect()
}

/// The whole over time, in points few enough to read.
pub(super) fn timeline_briefly(joined: &JoinedRuns) -> Table {
    const ROWS: usize = 12;
    let each = joined.timeline.len().div_ceil(ROWS).max(1);
    let mean = |points: &[JoinedPoint]| {
        let count = points.len() as f64;
        let of = |figure: fn(&JoinedPoint) -> f64| points.iter().map(figure).sum::<f64>() / count;
        JoinedPoint {
            at_s: points.last().map_or(0.0, |point| point.at_s),
            rows_per_s: of(|point| point.rows_per_s),
            bytes_per_s: of(|point| point.bytes_per_s),
            runners: of(|point| point.runners),
            workers: of(|point| point.workers),
            own_cores: of(|point| point.own_cores),
        }
    };
    timeline(&joined.timeline.chunks(each).map(mean).collect::<Vec<_>>())
}
