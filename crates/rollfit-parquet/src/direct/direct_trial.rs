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

/// The files written in one way.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    files: u32,
    bytes: u64,
    took: Duration,
}

impl Sample {
    fn add(&mut self, bytes: u64, took: Duration) {
        self.files += 1;
        self.bytes += bytes;
        self.took += took;
    }

    fn s_per_byte(&self) -> f64 {
        // Below what a clock measures, any two ways are equal.
        self.took.as_secs_f64().max(1e-6) / (self.bytes.max(1) as f64)
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
    /// Files of each way before the trial ends in any case.
    const FILES: u32 = 3;
    /// Direct writes that are so many times as fast are kept after one file each.
    const CLEARLY: f64 = 2.0;
    /// Direct writes have to be so many times as fast: whoever reads the features right after the run finds buffered ones in
    /// the page cache, and has to wait for the disk for direct ones.
    const WORTHWHILE: f64 = 1.25;

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
        let files = self.direct.files.min(self.buffered.files);
        if files == 0 {
            return None;
        }
        let direct_speed = self.buffered.s_per_byte() / self.direct.s_per_byte();
        let kept = if direct_speed >= Self::CLEARLY {
            Way::Direct
        } else if files < Self::FILES {
            return None;
        } else if direct_speed >= Self::WORTHWHILE {
            Way::Direct
        } else {
            Way::Buffered
        };
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
    fn direct_writes_that_are_clearly_faster_are_kept_after_one_file_each() {
        assert_eq!(trial(&[10], &[20]), (Verdict { kept: Way::Direct, direct_speed: 2.0 }, 2));
        assert_eq!(trial(&[1], &[1000]).1, 2);
    }

    #[test]
    fn what_is_less_clear_takes_three_files_each() {
        assert_eq!(trial(&[8], &[12]), (Verdict { kept: Way::Direct, direct_speed: 1.5 }, 6));
        assert_eq!(trial(&[10], &[11]).0.kept, Way::Buffered);
        assert_eq!(trial(&[10], &[10]).0.kept, Way::Buffered);
        assert_eq!(trial(&[16], &[2]), (Verdict { kept: Way::Buffered, direct_speed: 0.125 }, 6));
    }

    #[test]
    fn one_slow_file_does_not_decide() {
        assert_eq!(trial(&[30, 10, 10], &[40]).0.kept, Way::Direct);
        assert_eq!(trial(&[30, 20, 20], &[20]).0.kept, Way::Buffered);
    }

    #[test]
    fn files_of_different_sizes_are_compared_by_the_byte() {
        let mut trial = DirectTrial::new();
        assert_eq!(trial.add(Way::Direct, 100 * MB, Duration::from_millis(100)), None);
        let verdict = trial.add(Way::Buffered, MB, Duration::from_millis(10)).unwrap();
        assert_eq!(verdict, Verdict { kept: Way::Direct, direct_speed: 10.0 });
    }

    #[test]
    fn several_workers_may_finish_in_any_order() {
        let mut trial = DirectTrial::new();
        let ways: Vec<Way> = (0..4).map(|_| trial.next_way()).collect();
        assert_eq!(ways, [Way::Direct, Way::Buffered, Way::Direct, Way::Buffered]);
        for _ in 0..5 {
            assert_eq!(trial.add(Way::Buffered, MB, Duration::from_millis(20)), None);
        }
        assert_eq!(trial.add(Way::Direct, MB, Duration::from_millis(9)).unwrap().kept, Way::Direct);
    }

    #[test]
    fn times_of_nothing_and_files_of_nothing_are_no_fault() {
        let mut trial = DirectTrial::new();
        for _ in 0..3 {
            trial.add(Way::Direct, 0, Duration::ZERO);
            trial.add(Way::Buffered, 0, Duration::ZERO);
        }
        assert_eq!(trial.kept(), Some(Way::Buffered));
    }

    #[test]
    fn a_refusal_ends_the_trial_and_overrules_it_and_is_news_once() {
        let mut trial = DirectTrial::new();
        assert!(trial.refuse());
        assert_eq!((trial.refuse(), trial.next_way()), (false, Way::Buffered));
        assert_eq!(trial.add(Way::Direct, MB, Duration::from_millis(1)), None);
        let mut trial = DirectTrial::new();
        trial.add(Way::Buffered, MB, Duration::from_millis(9));
        trial.add(Way::Direct, MB, Duration::from_millis(1));
        assert!(trial.refuse());
        assert_eq!(trial.kept(), Some(Way::Buffered));
    }
}
