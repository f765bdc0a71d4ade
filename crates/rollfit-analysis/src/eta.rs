//! [`EtaEstimator`]: how long a run will still take, from what it has done so far.
//!
//! Invariants: what counts is committed partitions and the age of those in progress, never rows that are on their way; recent
//! partitions count, so that a changed number of workers shows soon; partitions that turn out to be done already are counted as what
//! they are, quick; and the end, when workers have nothing left to begin, is part of it.

use super::estimate::Estimate;
use super::pace::{Pace, Point};
use super::remaining::{Large, Remaining};
use rollfit_job::record::Sample;
use rollfit_job::watch::Moment;

/// How many moments are kept; of more, every second is forgotten.
const KEPT: usize = 600;
/// By what share the time of a partition is wrong at least: machines and stores change while a run is going.
const ERROR_MIN: f64 = 0.1;
/// A partition with more than this many times the rows of the average one is estimated on its own.
const LARGE: f64 = 2.0;
/// How much workers wait for each other where that is unknown, and at the end at most, since the last worker uses one core.
const CONTENTION: f64 = 0.5;
/// How much durations scatter where that is not known yet, and how many partitions' worth that counts.
const SCATTER: (f64, f64) = (0.2, 4.0);

/// What a run has done so far, moment by moment.
#[derive(Clone, Debug, Default)]
pub struct EtaEstimator {
    points: Vec<Point>,
}

impl EtaEstimator {
    /// Notes a moment of a run.
    pub fn observe(&mut self, moment: &Moment) {
        self.add(&Sample::from_moment(moment));
    }

    /// Notes a sample of a run; later ones later.
    pub fn add(&mut self, sample: &Sample) {
        if self.points.len() >= KEPT {
            let mut is_kept = false;
            self.points.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
        }
        let before = self.points.last().copied().unwrap_or_default();
        let in_progress = sample.activities.values().sum::<u32>() as usize;
        let at_s = sample.at_ms as f64 / 1e3;
        // More were started right after the moment before; those that are gone left at any time since.
        let since = (in_progress as f64).max(0.5 * (in_progress + before.in_progress) as f64);
        let worked_s = before.worked_s + (at_s - before.at_s).max(0.0) * since;
        let partitions = sample.totals.partitions as f64;
        if self.points.is_empty() {
            self.points.push(Point { workers: sample.workers, partitions, ..Point::default() });
        }
        self.points.push(Point {
            at_s,
            workers: sample.workers,
            in_progress,
            age_s: age_s(sample, in_progress, worked_s),
            partitions,
            ended: sample.totals.ended as f64,
            written: sample.totals.written as f64,
            worked_s,
            contention: contention_at(sample),
            mean_rows: sample.totals.rows_committed as f64 / sample.totals.written.max(1) as f64,
            largest_rows: sample.largest_in_hand_rows as f64,
            largest_age_s: sample.largest_in_hand_ms as f64 / 1e3,
        });
    }

    /// How long the run will still take; none before the first partition was written, or found done.
    pub fn eta_s(&self) -> Option<Estimate> {
        let last = self.points.last()?;
        if last.ended >= last.partitions {
            return Some(Estimate { low: 0.0, expected: 0.0, high: 0.0 });
        }
        let window = self.window(last);
        let pace = Pace::from_window(window).filter(|_| last.ended > 0.0)?;
        let has_changed = has_changed(window, last);
        let slowdown = if has_changed { slowdown(window, last, pace) } else { 1.0 };
        let in_progress_s = slowdown * pace.written_s().unwrap_or(pace.mean_s());
        let large = large(last, in_progress_s);
        let others = large.map_or(*last, |large| last.without(large));
        if last.written < 1.0 && others.mean_age_s() > 3.0 * pace.mean_s() {
            // Those so far were done already. How long one takes that has to be written is not known.
            return None;
        }
        let scatter = scatter(window, pace.mean_s());
        let working = working(window, &others, pace, has_changed);
        let in_progress = working.in_progress + usize::from(large.is_some());
        let remaining = Remaining {
            waiting: (last.partitions - last.ended - in_progress as f64).max(0.0),
            in_progress: working.in_progress,
            mean_age_s: working.mean_age_s,
            large,
            workers: working.workers + usize::from(large.is_some()),
            waiting_s: slowdown * pace.mean_s(),
            in_progress_s,
            contention: contention(window, |workers| workers == last.workers).min(CONTENTION),
            scatter,
            error: error(has_changed, scatter, pace.count),
        };
        let eta_s = remaining.takes_s();
        Some(Estimate { high: eta_s.high.max(all_to_write_s(remaining, pace)), ..eta_s })
    }

    /// What counts: the last two thirds of the run so far, or as much more as it takes to see each worker end two partitions; where the
    /// number of workers changed, only what began after that, once each worker has ended one of those.
    fn window(&self, last: &Point) -> &[Point] {
        let each = last.workers.max(1) as f64;
        let begins = |point: &Point| point.at_s <= last.at_s / 3.0 && last.ended - point.ended >= 2.0 * each;
        let begin = self.points.iter().rposition(begins);
        let after_change = self.after_change(last).filter(|at| last.ended - self.points[*at].ended >= each);
        &self.points[begin.max(after_change).unwrap_or(0)..]
    }

    /// The first moment when all in progress began with as many workers as there are now; none where there always were as many, or
    /// some have nothing left to begin.
    fn after_change(&self, last: &Point) -> Option<usize> {
        let changed = self.points.iter().rposition(|point| point.workers != last.workers)?;
        let ended = self.points[changed].ended + self.points[changed].in_progress as f64;
        let is_waiting = last.ended + (last.in_progress as f64) < last.partitions;
        self.points.iter().position(|point| point.ended >= ended).filter(|at| is_waiting && *at > changed)
    }
}

/// The largest partition in progress, where it has many more rows than the average one. Each worker has written one by then: of one or two
/// small ones at the beginning everything is many times as large.
fn large(last: &Point, in_progress_s: f64) -> Option<Large> {
    let size = last.largest_rows / last.mean_rows;
    let is_known = size.is_finite() && last.written >= last.workers.max(2) as f64;
    (size > LARGE && is_known && last.in_progress > 0)
        .then_some(Large { takes_s: size * in_progress_s, age_s: last.largest_age_s })
}

/// How long those in progress have been so, all of them together. A record of an earlier version does not say: half of what a
/// partition takes then.
fn age_s(sample: &Sample, in_progress: usize, worked_s: f64) -> f64 {
    if sample.in_hand_ms > 0 || in_progress == 0 {
        return sample.in_hand_ms as f64 / 1e3;
    }
    let halves = 0.5 * in_progress as f64;
    worked_s * halves / (sample.totals.ended as f64 + halves)
}

/// How long it takes if, unlike some so far, all that wait have to be written.
fn all_to_write_s(remaining: Remaining, pace: Pace) -> f64 {
    match pace.written_s() {
        Some(waiting_s) if pace.ended > pace.written => {
            Remaining { waiting_s, ..remaining }.takes_s().expected
        }
        _ => 0.0,
    }
}

/// By what share durations differ, from the means of those that ended between two moments: such a mean of n differs by as much less as
/// the root of n.
fn scatter(window: &[Point], mean_s: f64) -> f64 {
    let (scatter, weight) = SCATTER;
    let (mut squares, mut count) = (weight * scatter * scatter, weight);
    let mut begin = 0;
    for at in 1..window.len() {
        if let Some(pace) = Pace::between(&window[begin], &window[at]) {
            squares += pace.ended * (pace.mean_s() / mean_s - 1.0).powi(2);
            count += 1.0;
            begin = at;
        }
    }
    (squares / count).sqrt().clamp(0.02, 1.0)
}

/// By what share the mean may be wrong: from how few it is known, and how much it may still change.
fn error(has_changed: bool, scatter: f64, ended: f64) -> f64 {
    let of_change = if has_changed { 0.2 } else { 0.0 };
    (ERROR_MIN * ERROR_MIN + scatter * scatter / ended + of_change * of_change).sqrt()
}

/// The workers that what is left is shared between, and what they have in progress.
struct Working {
    workers: usize,
    in_progress: usize,
    mean_age_s: f64,
}

/// All workers and what they have in progress; without those that have had theirs for much longer than a partition takes: they wait
/// for a session, or theirs is much larger than the others, and neither gets anything else done.
fn working(window: &[Point], last: &Point, pace: Pace, has_changed: bool) -> Working {
    let all = Working { workers: last.workers, in_progress: last.in_progress, mean_age_s: last.mean_age_s() };
    let passed_s = window.first().map_or(0.0, |first| last.at_s - first.at_s);
    let is_waiting = last.ended + (last.in_progress as f64) < last.partitions;
    if all.mean_age_s < 1.2 * pace.mean_s() || !is_waiting || has_changed || passed_s <= 0.0 {
        return all;
    }
    let moving = ((pace.count * pace.mean_s() / passed_s).round() as usize).clamp(1, last.workers.max(1));
    let in_progress = moving.min(last.in_progress);
    Working { workers: moving, in_progress, mean_age_s: 0.5 * pace.mean_s() }
}

/// How much longer partitions take than so far if the number of workers changed: where all wait for processors or the disk, more workers
/// are only as fast together as fewer were. How much they wait shows with the greater number; a store or a network that is full does not show,
/// so that they are taken to be half as much slower at least.
fn slowdown(window: &[Point], last: &Point, pace: Pace) -> f64 {
    let times = last.workers.max(1) as f64 / pace.workers_mean().max(0.1);
    let contention = match times < 1.0 {
        true => contention(window, |workers| workers > last.workers),
        false => contention(window, |workers| workers == last.workers),
    };
    times.powf(contention.max(CONTENTION)).clamp(0.25, 4.0)
}

/// The share of the time in which tasks waited for processors, a quota or the disk, while there were as many workers as `had` says.
fn contention(window: &[Point], had: impl Fn(usize) -> bool) -> f64 {
    let latest = window.iter().rev().filter(|point| had(point.workers)).take(3);
    let known: Vec<f64> = latest.filter_map(|point| point.contention).collect();
    if known.is_empty() { CONTENTION } else { known.iter().sum::<f64>() / known.len() as f64 }
}

/// The same of a moment; none where the machine does not say.
fn contention_at(sample: &Sample) -> Option<f64> {
    let machine = &sample.machine;
    [machine.cpu_pressure, machine.disk_busy, machine.quota_reached].into_iter().flatten().reduce(f64::max)
}

/// Whether the number of workers changed after the window began.
fn has_changed(window: &[Point], last: &Point) -> bool {
    window.iter().skip(1).any(|point| point.workers != last.workers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use rollfit_job::watch::Totals;

    /// A run as its samples describe it, once a second; `takes_s` gives the time of a partition by its number and the number of workers.
    struct Simulated {
        samples: Vec<Sample>,
        took_s: f64,
    }

    fn simulate(
        partitions: usize,
        quick: usize,
        workers: impl Fn(f64) -> usize,
        takes_s: impl Fn(usize, usize) -> f64,
    ) -> Simulated {
        // When each worker gets free, and what ended when.
        let (mut lanes, mut ends, mut now_s) = (Vec::new(), Vec::new(), 0.0);
        let mut next = quick;
        while next < partitions || !lanes.is_empty() {
            lanes.retain(|&(ends_s, _): &(f64, f64)| ends_s > now_s);
            while next < partitions && lanes.len() < workers(now_s) {
                let ends_s = now_s + takes_s(next, workers(now_s));
                lanes.push((ends_s, now_s));
                ends.push((now_s, ends_s));
                next += 1;
            }
            now_s += 0.05;
        }
        let took_s = ends.iter().fold(0.0, |last: f64, (_, ends_s)| last.max(*ends_s));
        // More workers make a partition slower, not larger.
        let rows = |number| (1e3 * takes_s(number, 1)) as u64;
        let sample = |at_s: f64| {
            let running = || ends.iter().filter(move |(begun_s, ends_s)| *begun_s <= at_s && at_s < *ends_s);
            let ended = (quick + ends.iter().filter(|(_, ends_s)| *ends_s <= at_s).count()) as u64;
            let written = ended - quick as u64;
            let written_rows = ends.iter().enumerate().filter(|(_, (_, ends_s))| *ends_s <= at_s);
            let rows_committed = written_rows.map(|(at, _)| rows(quick + at)).sum();
            let totals =
                Totals { partitions: partitions as u64, ended, written, rows_committed, ..Totals::default() };
            let in_progress = running().count();
            let largest =
                ends.iter().enumerate().filter(|(_, (begun_s, ends_s))| *begun_s <= at_s && at_s < *ends_s);
            let largest =
                largest.map(|(at, (begun_s, _))| (rows(quick + at), *begun_s)).max_by_key(|(rows, _)| *rows);
            Sample {
                at_ms: (1e3 * at_s) as u64,
                workers: in_progress,
                activities: BTreeMap::from([("sending".to_owned(), in_progress as u32)]),
                totals,
                in_hand_ms: running().map(|(begun_s, _)| (1e3 * (at_s - begun_s)) as u64).sum(),
                largest_in_hand_rows: largest.map_or(0, |(rows, _)| rows),
                largest_in_hand_ms: largest.map_or(0, |(_, begun_s)| (1e3 * (at_s - begun_s)) as u64),
                ..Sample::default()
            }
        };
        Simulated { samples: (1..=took_s as usize).map(|at_s| sample(at_s as f64)).collect(), took_s }
    }

    impl Simulated {
        /// The same where tasks wait for a processor for this share of the time.
        fn under_pressure(mut self, pressure: f64) -> Self {
            self.samples.iter_mut().for_each(|sample| sample.machine.cpu_pressure = Some(pressure));
            self
        }

        /// The first estimate from this share of the run on, and how long the rest took.
        fn estimated_at(&self, share: f64) -> (Estimate, f64) {
            let mut estimator = EtaEstimator::default();
            for sample in &self.samples {
                estimator.add(sample);
                let at_s = sample.at_ms as f64 / 1e3;
                if let Some(eta_s) = estimator.eta_s().filter(|_| at_s >= share * self.took_s) {
                    return (eta_s, self.took_s - at_s);
                }
            }
            panic!("no estimate");
        }

        fn error_at(&self, share: f64) -> f64 {
            let (eta_s, left_s) = self.estimated_at(share);
            eta_s.expected / left_s - 1.0
        }

        fn assert_estimated(&self) {
            let (eta_s, left_s) = self.estimated_at(0.25);
            assert!(eta_s.low <= left_s && left_s <= eta_s.high, "{left_s}: {eta_s:?}");
            assert!((eta_s.expected / left_s - 1.0).abs() < 0.15, "{left_s}: {eta_s:?}");
        }
    }

    /// Looks random, the same each time: between 1 - scatter and 1 + scatter, evenly.
    fn scattered(number: usize, scatter: f64) -> f64 {
        let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40;
        1.0 + scatter * (mixed as f64 / f64::from(1 << 23) - 1.0)
    }

    #[test]
    fn after_a_quarter_of_a_steady_run_the_eta_is_right() {
        simulate(100, 0, |_| 4, |_, _| 10.0).assert_estimated();
        simulate(40, 0, |_| 1, |_, _| 10.0).assert_estimated();
    }

    #[test]
    fn workers_that_were_started_on_the_way_count_soon() {
        let workers = |at_s| if at_s < 20.0 { 1 } else { 4 };
        simulate(200, 0, workers, |_, _| 10.0).assert_estimated();
        // They may as well be no faster together.
        simulate(200, 0, workers, |_, workers| 3.0 * workers as f64).assert_estimated();
    }

    #[test]
    fn right_after_workers_were_started_the_machine_says_how_fast_they_will_be() {
        let workers = |at_s| if at_s < 30.0 { 1 } else { 4 };
        let error = |pressure, takes_s: fn(usize, usize) -> f64| {
            let run = simulate(150, 0, workers, takes_s).under_pressure(pressure);
            run.error_at(33.0 / run.took_s)
        };
        let unseen = (error(0.0, |_, _| 10.0), error(0.0, |_, workers| 10.0 * workers as f64));
        assert!(unseen.0 > 0.5 && unseen.1 < -0.3, "what they wait for may be full or not: {unseen:?}");
        assert!(error(1.0, |_, workers| 10.0 * workers as f64).abs() < 0.2, "the processors are full");
        // Three were stopped, and the last one waits no more.
        let fewer = |at_s| if at_s < 45.0 { 4 } else { 1 };
        let mut run = simulate(100, 0, fewer, |_, workers| 10.0 * workers as f64);
        let pressure = |at_ms| if at_ms <= 80_000 { 0.95 } else { 0.1 };
        run.samples.iter_mut().for_each(|sample| sample.machine.cpu_pressure = Some(pressure(sample.at_ms)));
        let error = run.error_at(85.0 / run.took_s);
        assert!(error.abs() < 0.2, "{error}");
    }

    #[test]
    fn a_large_partition_in_progress_is_foreseen() {
        let run = simulate(40, 0, |_| 4, |number, _| if number == 2 { 160.0 } else { 10.0 });
        assert!(run.took_s >= 160.0);
        for share in [0.15, 0.25, 0.5] {
            // When it is alone it is taken to be faster, and here it is not.
            let error = run.error_at(share);
            assert!((-0.3..0.1).contains(&error), "{share}: {error}");
        }
        let among_equals = simulate(40, 0, |_| 4, |number, _| if number % 2 == 0 { 8.0 } else { 12.0 });
        among_equals.under_pressure(0.0).assert_estimated();
        // After one small partition no normal one is large.
        let after = |written| Point {
            mean_rows: 100.0,
            largest_rows: 31e3,
            in_progress: 2,
            workers: 2,
            written,
            ..Point::default()
        };
        assert!(large(&after(1.0), 2.0).is_none() && large(&after(2.0), 2.0).is_some());
    }

    #[test]
    fn partitions_that_were_done_already_do_not_promise_that_the_rest_is_quick() {
        let run = simulate(200, 100, |_| 2, |_, _| 10.0);
        run.assert_estimated();
        let mut estimator = EtaEstimator::default();
        run.samples[..9].iter().for_each(|sample| estimator.add(sample));
        assert_eq!(estimator.eta_s(), None);
    }

    #[test]
    fn there_is_no_eta_before_a_partition_has_ended_and_nothing_is_left_after_the_last() {
        let run = simulate(10, 0, |_| 1, |_, _| 10.0);
        let mut estimator = EtaEstimator::default();
        assert_eq!(estimator.eta_s(), None);
        run.samples[..9].iter().for_each(|sample| estimator.add(sample));
        assert_eq!(estimator.eta_s(), None);
        let totals = Totals { partitions: 10, ended: 10, written: 10, ..Totals::default() };
        estimator.add(&Sample { at_ms: 100_000, totals, ..Sample::default() });
        assert_eq!(estimator.eta_s().unwrap().expected, 0.0);
    }

    #[test]
    fn short_runs_of_few_partitions_that_scatter_are_estimated_within_15_percent_in_most_cases() {
        let (mut all, mut near, mut within) = (0.0, 0.0, 0.0);
        for partitions in [12, 20, 28, 36, 60] {
            for workers in 1..=4 {
                for (seed, first) in [(0, 1.0), (1000, 1.1), (2000, 1.25)] {
                    let whole_s = 5.0 * workers as f64;
                    let takes_s = |number, _| {
                        let first = if number < workers { first } else { 1.0 };
                        whole_s * 0.4 * first * scattered(seed + number + 100 * workers, 0.35)
                    };
                    let run = simulate(partitions, 0, |_| workers, takes_s).under_pressure(0.0);
                    let (eta_s, left_s) = run.estimated_at(0.25);
                    all += 1.0;
                    near += f64::from((eta_s.expected / left_s - 1.0).abs() <= 0.15);
                    within += f64::from(eta_s.low <= left_s && left_s <= eta_s.high);
                }
            }
        }
        println!("{near} near and {within} within of {all}");
        assert!(near >= 0.8 * all && within >= 0.9 * all, "{near} and {within} of {all}");
    }

    #[test]
    fn five_seconds_into_a_run_of_eighteen_nobody_is_told_a_quarter_of_an_hour() {
        // Rows that are on their way say nothing: partitions of 4 s by two workers.
        let run = simulate(9, 0, |_| 2, |number, _| 4.0 * scattered(number, 0.2));
        assert!(run.error_at(0.25).abs() < 0.3, "{:?}", run.estimated_at(0.25));
        assert!(run.estimated_at(0.25).0.high < 30.0);
    }

    #[test]
    fn a_record_that_does_not_say_how_old_partitions_in_progress_are_has_an_eta_too() {
        let mut run = simulate(60, 0, |_| 3, |number, _| 5.0 * scattered(number, 0.2));
        run.samples.iter_mut().for_each(|sample| sample.in_hand_ms = 0);
        run.assert_estimated();
    }

    #[test]
    fn the_memory_of_a_long_run_is_bounded_and_so_is_the_time_of_an_answer() {
        let run = simulate(2000, 0, |_| 1, |_, _| 1.0);
        let mut estimator = EtaEstimator::default();
        for sample in run.samples.iter().take(1500) {
            let totals = Totals { partitions: 1_000_000, ..sample.totals };
            estimator.add(&Sample { totals, ..sample.clone() });
        }
        assert!(estimator.points.len() <= KEPT);
        let eta_s = estimator.eta_s().unwrap();
        assert!((eta_s.expected / (1.05 * 998_500.0) - 1.0).abs() < 0.02, "{eta_s:?}");
    }
}
