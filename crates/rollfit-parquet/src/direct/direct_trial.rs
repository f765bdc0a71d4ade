//! [`DirectTrial`]: compares direct writes with buffered ones on the first files of a store, and keeps the better way. It
//! knows no clock: durations are given to it.

use std::time::Duration;

/// How the bytes of a file reach the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Past the page cache.
    Direct,
    /// Through the page cache.
    Buffered,
}

/// What the trial came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) kept: Way,
    /// How many times as fast direct writes were.
    pub(crate) direct_speed: f64,
}

/// The files written in one way: the seconds that a byte took.
#[derive(Debug, Default)]
struct Sample(Vec<f64>);

impl Sample {
    fn add(&mut self, bytes: u64, took: Duration) {
        // Below what a clock measures, any two ways are equal.
        let s_per_byte = took.as_secs_f64().max(1e-6) / (bytes.max(1) as f64);
        let at = self.0.partition_point(|other| *other < s_per_byte);
        self.0.insert(at, s_per_byte);
    }

    fn files(&self) -> usize {
        self.0.len()
    }

    fn median(&self) -> f64 {
        (self.0[(self.files() - 1) / 2] + self.0[self.files() / 2]) / 2.0
    }

    /// How many times as fast the slowest of these files was as the fastest of those.
    fn speed_at_least(&self, others: &Self) -> f64 {
        others.0[0] / self.0[self.files() - 1]
    }
}

/// Alternates the two ways until it knows which to keep.
#[derive(Debug)]
pub(crate) struct DirectTrial {
    next: Way,
    direct: Sample,
    buffered: Sample,
    kept: Option<Way>,
}

impl DirectTrial {
    /// Files of each way before the trial may end, and before it ends in any case.
    const FILES: std::ops::RangeInclusive<usize> = 2..=3;
    /// Direct writes have to be so many times as fast. Less than 1: while a buffered write copies, a processor is busy, and
    /// while a direct one waits for the disk, other workers have it. docs/notes/files.md has the figures.
    const WORTHWHILE: f64 = 0.5;

    /// Nothing is measured yet.
    pub(crate) fn new() -> Self {
        Self { next: Way::Direct, direct: Sample::default(), buffered: Sample::default(), kept: None }
    }

    /// The way that is kept, once that is known.
    pub(crate) fn kept(&self) -> Option<Way> {
        self.kept
    }

    /// The way to write the next file.
    pub(crate) fn next_way(&mut self) -> Way {
        let way = self.kept.unwrap_or(self.next);
        self.next = match way {
            Way::Direct => Way::Buffered,
            Way::Buffered => Way::Direct,
        };
        way
    }

    /// Takes note of a file, and of the time for which its writer was blocked. Says so if that ends the trial.
    pub(crate) fn add(&mut self, way: Way, bytes: u64, took: Duration) -> Option<Verdict> {
        if self.kept.is_some() {
            return None;
        }
        match way {
            Way::Direct => self.direct.add(bytes, took),
            Way::Buffered => self.buffered.add(bytes, took),
        }
        let files = self.direct.files().min(self.buffered.files());
        if files < *Self::FILES.start() {
            return None;
        }
        let direct_speed = self.buffered.median() / self.direct.median();
        let is_worthwhile = direct_speed >= Self::WORTHWHILE;
        let is_certain = if is_worthwhile {
            self.direct.speed_at_least(&self.buffered) >= Self::WORTHWHILE
        } else {
            1.0 / self.buffered.speed_at_least(&self.direct) < Self::WORTHWHILE
        };
        if !is_certain && files < *Self::FILES.end() {
            return None;
        }
        let kept = if is_worthwhile { Way::Direct } else { Way::Buffered };
        self.kept = Some(kept);
        Some(Verdict { kept, direct_speed })
    }

    /// The file system refuses direct writes: all files are buffered from now on. Returns whether that is news.
    pub(crate) fn refuse(&mut self) -> bool {
        let was_direct = self.kept != Some(Way::Buffered);
        self.kept = Some(Way::Buffered);
        was_direct
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    /// The verdict of a trial in which a megabyte takes so many milliseconds, and the files that it took.
    fn trial(direct_ms: &[u64], buffered_ms: &[u64]) -> (Verdict, usize) {
        let mut trial = DirectTrial::new();
        let (mut direct, mut buffered) = (direct_ms.iter().cycle(), buffered_ms.iter().cycle());
        for files in 1..20 {
            let way = trial.next_way();
            let ms = if way == Way::Direct { direct.next() } else { buffered.next() };
            if let Some(verdict) = trial.add(way, MB, Duration::from_millis(*ms.unwrap())) {
                assert_eq!((trial.kept(), trial.next_way()), (Some(verdict.kept), verdict.kept));
                assert_eq!(trial.next_way(), verdict.kept);
                assert_eq!(trial.add(Way::Direct, MB, Duration::from_millis(1)), None);
                return (verdict, files);
            }
            assert_eq!(trial.kept(), None);
        }
        panic!("the trial does not end");
    }

    #[test]
    fn what_all_files_agree_on_takes_two_files_each() {
        assert_eq!(trial(&[8], &[12]), (Verdict { kept: Way::Direct, direct_speed: 1.5 }, 4));
        assert_eq!(trial(&[16], &[2]), (Verdict { kept: Way::Buffered, direct_speed: 0.125 }, 4));
        assert_eq!(trial(&[25, 24], &[10, 9]).0.kept, Way::Buffered);
        // Slower, but the processor is free meanwhile.
        assert_eq!(trial(&[15], &[10]).0.kept, Way::Direct);
    }

    #[test]
    fn otherwise_it_takes_three_and_one_slow_file_does_not_decide() {
        for direct_ms in [[90, 10, 10], [10, 90, 10], [10, 10, 90]] {
            assert_eq!(trial(&direct_ms, &[8]).0.kept, Way::Direct, "{direct_ms:?}");
            assert_eq!(trial(&[25], &direct_ms).0.kept, Way::Buffered, "{direct_ms:?}");
        }
        assert_eq!(trial(&[90, 10, 10], &[8]).1, 6);
    }

    #[test]
    fn files_of_different_sizes_are_compared_by_the_byte() {
        let mut trial = DirectTrial::new();
        for megabytes in [100, 1] {
            assert_eq!(trial.add(Way::Direct, megabytes * MB, Duration::from_millis(megabytes)), None);
        }
        assert_eq!(trial.add(Way::Buffered, MB, Duration::from_millis(8)), None);
        let verdict = trial.add(Way::Buffered, 10 * MB, Duration::from_millis(80)).unwrap();
        assert_eq!((verdict.kept, verdict.direct_speed.round()), (Way::Direct, 8.0));
    }

    #[test]
    fn several_workers_may_finish_in_any_order() {
        let mut trial = DirectTrial::new();
        let ways: Vec<Way> = (0..4).map(|_| trial.next_way()).collect();
        assert_eq!(ways, [Way::Direct, Way::Buffered, Way::Direct, Way::Buffered]);
        for _ in 0..5 {
            assert_eq!(trial.add(Way::Buffered, MB, Duration::from_millis(20)), None);
        }
        assert_eq!(trial.add(Way::Direct, MB, Duration::from_millis(9)), None);
        assert_eq!(trial.add(Way::Direct, MB, Duration::from_millis(9)).unwrap().kept, Way::Direct);
    }

    #[test]
    fn times_of_nothing_and_files_of_nothing_are_no_fault() {
        let mut trial = DirectTrial::new();
        for _ in 0..3 {
            trial.add(Way::Direct, 0, Duration::ZERO);
            trial.add(Way::Buffered, 0, Duration::ZERO);
        }
        assert_eq!(trial.kept(), Some(Way::Direct));
    }

    #[test]
    fn a_refusal_ends_the_trial_and_overrules_it_and_is_news_once() {
        let mut trial = DirectTrial::new();
        assert!(trial.refuse());
        assert_eq!((trial.refuse(), trial.next_way()), (false, Way::Buffered));
        assert_eq!(trial.add(Way::Direct, MB, Duration::from_millis(1)), None);
        let mut trial = DirectTrial::new();
        for _ in 0..2 {
            trial.add(Way::Buffered, MB, Duration::from_millis(9));
            trial.add(Way::Direct, MB, Duration::from_millis(1));
        }
        assert_eq!(trial.kept(), Some(Way::Direct));
        assert!(trial.refuse());
        assert_eq!(trial.kept(), Some(Way::Buffered));
    }
}
