//! [`StepSeries`]: a value that changes by steps over time, and its mean between two times; and the courses of a record.

use std::collections::{BTreeMap, HashMap};

use rollfit_job::record::{PartitionEnd, PartitionOutcome, Record, Sample, WORKERS_MAX};

/// A value over time, 0 before its first step.
#[derive(Debug, Default)]
pub(super) struct StepSeries {
    /// From when on, what, and what the value and its square have summed up to by then.
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    at_s: f64,
    value: f64,
    sum: f64,
    squares: f64,
}

impl StepSeries {
    /// Of steps in order of time.
    fn from_steps(steps: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut course = Self::default();
        for (at_s, value) in steps {
            let (sum, squares) = course.sums(at_s);
            course.steps.push(Step { at_s, value, sum, squares });
        }
        course
    }

    /// Of what is added to it when, in any order.
    pub(super) fn from_changes(mut changes: Vec<(f64, f64)>) -> Self {
        changes.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut value = 0.0;
        Self::from_steps(changes.into_iter().map(|(at_s, change)| {
            value += change;
            (at_s, value)
        }))
    }

    /// How many partitions were in progress.
    pub(super) fn in_progress(record: &Record) -> Self {
        Self::in_progress_of(record, |_| true)
    }

    /// How many of them got anything done: others only waited until it was clear that somebody else held theirs.
    pub(super) fn at_work(record: &Record) -> Self {
        Self::in_progress_of(record, |end| end.outcome != PartitionOutcome::Held)
    }

    fn in_progress_of(record: &Record, counts: impl Fn(&PartitionEnd) -> bool) -> Self {
        let mut changes: Vec<(u64, i64)> = Vec::new();
        for end in record.partitions.iter().filter(|end| counts(end)) {
            changes.extend([(end.begun_ms, 1), (end.at_ms, -1)]);
        }
        changes.extend(unfinished(record).map(|(_, begun_ms)| (begun_ms, 1)));
        changes.sort_unstable();
        let mut in_progress = 0;
        Self::from_steps(changes.into_iter().map(|(at_ms, change)| {
            in_progress += change;
            (at_ms as f64 / 1e3, in_progress as f64)
        }))
    }

    /// A value of the samples, of those that have it. A sample's value holds since the one before.
    pub(super) fn sampled(record: &Record, of: impl Fn(&Sample) -> Option<f64>) -> Option<Self> {
        let mut since_s = 0.0;
        let steps: Vec<(f64, f64)> = record
            .samples
            .iter()
            .filter_map(|sample| {
                let step = (since_s, of(sample)?);
                since_s = sample.at_ms as f64 / 1e3;
                Some(step)
            })
            .collect();
        (!steps.is_empty()).then(|| Self::from_steps(steps))
    }

    /// Its mean between two times.
    pub(super) fn mean(&self, from_s: f64, to_s: f64) -> f64 {
        let ((from, _), (to, _)) = (self.sums(from_s), self.sums(to_s));
        if to_s > from_s { (to - from) / (to_s - from_s) } else { 0.0 }
    }

    /// How far it was from its mean between two times, as a standard deviation.
    pub(super) fn spread(&self, from_s: f64, to_s: f64) -> f64 {
        let ((_, from), (_, to)) = (self.sums(from_s), self.sums(to_s));
        let mean = self.mean(from_s, to_s);
        if to_s > from_s { ((to - from) / (to_s - from_s) - mean * mean).max(0.0).sqrt() } else { 0.0 }
    }

    /// How long it was above a value between two times.
    pub(super) fn above_s(&self, value: f64, from_s: f64, to_s: f64) -> f64 {
        let ends = self.steps.iter().skip(1).map(|step| step.at_s).chain([f64::INFINITY]);
        let lasted = |(step, end): (&Step, f64)| end.min(to_s) - step.at_s.max(from_s);
        self.steps.iter().zip(ends).filter(|(step, _)| step.value > value).map(|at| lasted(at).max(0.0)).sum()
    }

    /// For which shares of the time between two times it had which whole values, 0 apart.
    pub(super) fn shares(&self, from_s: f64, to_s: f64) -> Vec<(usize, f64)> {
        let mut lasted_s: BTreeMap<usize, f64> = BTreeMap::new();
        let ends = self.steps.iter().skip(1).map(|step| step.at_s).chain([f64::INFINITY]);
        for (step, end_s) in self.steps.iter().zip(ends).filter(|(step, _)| step.value >= 0.5) {
            let lasted = (end_s.min(to_s) - step.at_s.max(from_s)).max(0.0);
            *lasted_s.entry(step.value.round() as usize).or_default() += lasted;
        }
        let all_s: f64 = lasted_s.values().sum();
        lasted_s.into_iter().filter(|_| all_s > 0.0).map(|(value, lasted)| (value, lasted / all_s)).collect()
    }

    fn sums(&self, at_s: f64) -> (f64, f64) {
        let after = self.steps.partition_point(|step| step.at_s <= at_s);
        let Some(step) = after.checked_sub(1).map(|at| self.steps[at]) else { return (0.0, 0.0) };
        let lasted_s = at_s - step.at_s;
        (step.sum + step.value * lasted_s, step.squares + step.value * step.value * lasted_s)
    }
}

/// How many partitions a run without an end had in progress in its last sample.
pub(super) fn unfinished_count(record: &Record) -> usize {
    match (&record.end, record.samples.last()) {
        (None, Some(last)) => last.activities.values().map(|&workers| workers as usize).sum(),
        _ => 0,
    }
}

/// Which worker began them when: each its next, when it had ended its last.
pub(super) fn unfinished(record: &Record) -> impl Iterator<Item = (usize, u64)> {
    let workers = unfinished_count(record);
    let last: HashMap<usize, u64> = record.partitions.iter().map(|end| (end.worker, end.at_ms)).collect();
    (0..WORKERS_MAX.min(workers)).map(move |worker| (worker, last.get(&worker).copied().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_weigh_values_by_how_long_they_held() {
        let course = StepSeries::from_steps([(1.0, 2.0), (3.0, 4.0), (4.0, 0.0)]);
        assert_eq!(course.mean(1.0, 4.0), 8.0 / 3.0);
        assert_eq!(course.mean(0.0, 2.0), 1.0);
        assert_eq!(course.mean(3.5, 10.0), 2.0 / 6.5);
        assert_eq!(course.spread(1.0, 3.0), 0.0);
        assert_eq!(course.above_s(1.0, 0.0, 10.0), 3.0);
        assert_eq!(course.shares(2.0, 10.0), [(2, 0.5), (4, 0.5)]);
        assert_eq!(course.above_s(3.0, 0.0, 3.25), 0.25);
    }
    #[test]
    fn partitions_that_others_hold_are_in_progress_and_not_at_work() {
        let mut record = rollfit_testkit::record::made(4, 2);
        record.partitions[1].outcome = PartitionOutcome::Held;
        let held = &record.partitions[1];
        let (from_s, to_s) = (held.begun_ms as f64 / 1e3, held.at_ms as f64 / 1e3);
        let workers = |series: StepSeries| series.mean(from_s, to_s);
        let difference = workers(StepSeries::in_progress(&record)) - workers(StepSeries::at_work(&record));
        assert!((difference - 1.0).abs() < 1e-9, "{difference}");
    }
}
