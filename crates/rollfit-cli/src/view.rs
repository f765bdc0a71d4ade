//! What people see of a running job: the same lines on the run's own terminal and in `rollfit status`.
//!
//! Invariants: there are no more lines, and no longer ones, than the terminal has room for; what is unknown is left out or
//! said to be unavailable, never 0.

use rollfit_job::activity::LaneState;
use rollfit_job::record::Header;
use rollfit_job::store::StoreSample;
use rollfit_job::watch::{MachineSample, Totals};

use crate::format::{bytes, count, duration, percent};
use crate::live::Live;

/// How much room there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScreenSize {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

impl ScreenSize {
    /// As much as it takes.
    pub(crate) const ENOUGH: ScreenSize = ScreenSize { columns: usize::MAX, rows: usize::MAX };
}

/// A run as it is now.
pub(crate) fn lines(header: &Header, live: &Live, size: ScreenSize) -> Vec<String> {
    let moment = &live.moment;
    let mut lines = vec![progress(live), pace(header, live), machine(header, &moment.machine)];
    lines.extend(moment.store.as_ref().map(|sample| store(sample, &moment.machine)));
    let left = size.rows.saturating_sub(lines.len()).max(1);
    let shown = if moment.lanes.len() <= left { moment.lanes.len() } else { left - 1 };
    lines.extend(moment.lanes[..shown].iter().map(|lane| worker(lane, live)));
    if shown < moment.lanes.len() {
        lines.push(format!("and {} more", moment.lanes.len() - shown));
    }
    lines.truncate(size.rows.max(1));
    lines.iter().map(|line| line.chars().take(size.columns).collect()).collect()
}

/// A run as it is now, on one line.
pub(crate) fn line(header: &Header, live: &Live) -> String {
    format!("{}; {}", progress(live), pace(header, live))
}

/// `███░░░ 120/336 partitions, 0:41 elapsed, ETA 1:12 (1:05 to 1:30)`
fn progress(live: &Live) -> String {
    let Totals { partitions, ended, .. } = live.moment.totals;
    let eta_text = match live.remaining_s {
        Some(eta) if live.is_tuning_workers => {
            format!("ETA about {} (tuning workers)", duration(eta.expected))
        }
        Some(eta) => {
            format!("ETA {} ({} to {})", duration(eta.expected), duration(eta.low), duration(eta.high))
        }
        None => "ETA after the first written partition".to_owned(),
    };
    let elapsed = duration(live.moment.at.as_secs_f64());
    format!("{} {ended}/{partitions} partitions, {elapsed} elapsed, {eta_text}", bar(ended, partitions))
}

fn bar(done: u64, all: u64) -> String {
    const CELLS: u64 = 12;
    let full = (CELLS * done).checked_div(all).unwrap_or(CELLS).min(CELLS);
    (0..CELLS).map(|cell| if cell < full { '█' } else { '░' }).collect()
}

/// `310,233 rows/s, 447.1 MB/s, 4 of 97 sessions, 1 retry, 0 failed`
fn pace(header: &Header, live: &Live) -> String {
    let (moment, totals) = (&live.moment, &live.moment.totals);
    let sessions = match (&moment.store, header.sessions_max) {
        (Some(store), Some(allowed)) => format!(", {} of {allowed} sessions", store.own_sessions),
        (Some(store), None) => format!(", {} sessions", store.own_sessions),
        (None, Some(allowed)) => format!(", at most {allowed} sessions"),
        (None, None) => String::new(),
    };
    format!(
        "{} rows/s, {}/s{sessions}, {}, {} failed",
        count(live.rows_per_s as u64),
        bytes(live.bytes_per_s as u64),
        retries(totals.retries),
        totals.failed
    )
}

fn retries(number: u64) -> String {
    if number == 1 { "1 retry".to_owned() } else { format!("{} retries", count(number)) }
}

/// `CPU 1.9 of 2 cores, others 0.1; load 3.1; memory 512.0 MB, 3.1 GB free`
pub(crate) fn machine(header: &Header, sample: &MachineSample) -> String {
    let limits = &header.machine;
    let cores = limits.cores_allowed.or(limits.cores.map(|cores| cores as f64));
    let of_cores = cores.map(|cores| format!(" of {cores} cores")).unwrap_or_default();
    let cpu = match sample.own_cores {
        Some(own) => format!("CPU {own:.1}{of_cores}"),
        None => "CPU unavailable".to_owned(),
    };
    let others = sample.others_cores.map(|others| format!(", others {others:.1}"));
    let load = sample.load.map_or("load unavailable".to_owned(), |load| format!("load {load:.1}"));
    let memory = sample.own_memory_bytes.map_or("unavailable".to_owned(), bytes);
    let free = sample.free_memory_bytes.map(|free| format!(", {} free", bytes(free)));
    format!("{cpu}{}; {load}; memory {memory}{}", others.unwrap_or_default(), free.unwrap_or_default())
}

/// `store: works for 2 of 4 sessions; server CPU 0.8 cores; 1 waits for Lock, held by psql of ada`
fn store(sample: &StoreSample, machine: &MachineSample) -> String {
    let busy = match (machine.server_cores, sample.server_cpu_share) {
        (Some(cores), _) => Some(format!("server CPU {cores:.1} cores")),
        (None, share) => share.map(|share| format!("server CPU {}", percent(share))),
    };
    let waits = sample.waits.iter().map(|wait| format!("{} waiting for {}", wait.sessions, wait.event));
    let holders = sample.lock_holders.iter().map(|holder| format!("locked by {holder}"));
    let others = sample
        .sessions
        .zip(sample.sessions_max)
        .map(|(all, max)| format!("{all} of {max} sessions in total"));
    let working = format!("store: works for {} of {} sessions", sample.working, sample.own_sessions);
    std::iter::once(working)
        .chain(busy)
        .chain(waits)
        .chain(holders)
        .chain(others)
        .collect::<Vec<_>>()
        .join("; ")
}

/// `worker  3  computing   eurusd 2017-03     12.3 s   97 % CPU    12.3 MB`
fn worker(lane: &LaneState, live: &Live) -> String {
    let cpu = live.worker_cores.get(&lane.worker).map_or(0.0, |cores| 100.0 * cores);
    let Some(partition) = &lane.partition else {
        return format!("worker {:>2}  {:<10}", lane.worker, lane.activity.name()).trim_end().to_owned();
    };
    format!(
        "worker {:>2}  {:<10}  {partition:<16} {:>6.1} s  {cpu:>3.0} % CPU  {:>8}",
        lane.worker,
        lane.activity.name(),
        lane.since_ms as f64 / 1000.0,
        bytes(lane.memory_bytes)
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use rollfit_analysis::Estimate;
    use rollfit_job::activity::Activity;
    use rollfit_job::partition::Partition;
    use rollfit_job::watch::Moment;

    use super::*;

    fn live(workers: usize) -> Live {
        let partition = Partition::new("eurusd".to_owned(), "2017-03".parse().unwrap());
        let lane = |worker| LaneState {
            worker,
            activity: Activity::Computing,
            partition: Some(partition.clone()),
            since_ms: 1250,
            cpu_us: 0,
            memory_bytes: 12_300_000,
            rows: 0,
            thread: 0,
        };
        let totals = Totals { partitions: 336, ended: 112, retries: 1, ..Totals::default() };
        let lanes = (0..workers).map(lane).collect();
        Live {
            moment: Moment { at: Duration::from_secs(41), lanes, totals, ..Moment::default() },
            worker_cores: BTreeMap::from([(0, 0.97)]),
            remaining_s: Some(Estimate { low: 65.0, expected: 72.4, high: 3690.0 }),
            ..Live::default()
        }
    }

    #[test]
    fn a_run_is_shown_with_what_its_workers_do_and_what_is_unknown_is_said_so() {
        let lines = lines(&Header::default(), &live(1), ScreenSize::ENOUGH);
        assert_eq!(lines[0], "████░░░░░░░░ 112/336 partitions, 0:41 elapsed, ETA 1:12 (1:05 to 1:01:30)");
        assert_eq!(lines[1], "0 rows/s, 0 B/s, 1 retry, 0 failed");
        assert_eq!(lines[2], "CPU unavailable; load unavailable; memory unavailable");
        assert_eq!(lines[3], "worker  0  computing   eurusd 2017-03      1.2 s   97 % CPU   12.3 MB");
    }

    #[test]
    fn an_eta_says_what_it_depends_on_and_is_not_made_up() {
        let first =
            |live: &Live| lines(&Header::default(), live, ScreenSize { columns: 80, rows: 9 })[0].clone();
        let tuning = Live { is_tuning_workers: true, ..live(1) };
        assert!(
            first(&tuning).ends_with(" 0:41 elapsed, ETA about 1:12 (tuning workers)"),
            "{}",
            first(&tuning)
        );
        let unknown = Live { remaining_s: None, ..live(1) };
        assert!(
            first(&unknown).contains(" 0:41 elapsed, ETA after the first written"),
            "{}",
            first(&unknown)
        );
    }

    #[test]
    fn how_busy_a_server_is_is_shown_where_it_is_known() {
        let line = |server_cores, server_cpu_share| {
            store(
                &StoreSample { own_sessions: 4, working: 2, server_cpu_share, ..StoreSample::default() },
                &MachineSample { server_cores, ..MachineSample::default() },
            )
        };
        assert_eq!(line(None, None), "store: works for 2 of 4 sessions");
        assert_eq!(line(Some(0.84), None), "store: works for 2 of 4 sessions; server CPU 0.8 cores");
        assert_eq!(line(None, Some(0.375)), "store: works for 2 of 4 sessions; server CPU 38 %");
    }

    #[test]
    fn a_run_fits_the_room_there_is() {
        for (rows, columns) in [(1, 10), (5, 80), (24, 80), (9, 20)] {
            let lines = lines(&Header::default(), &live(20), ScreenSize { columns, rows });
            assert!(lines.len() <= rows.max(4), "{lines:?}");
            assert!(lines.iter().all(|line| line.chars().count() <= columns));
        }
        let lines = lines(&Header::default(), &live(20), ScreenSize { columns: 80, rows: 10 });
        assert_eq!((lines.len(), lines[9].as_str()), (10, "and 14 more"));
    }
}
