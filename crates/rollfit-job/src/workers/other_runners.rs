//! [`OtherRunners`]: who else works on the store, and what a change of the own number of workers takes from them.
//!
//! Invariants: alone nothing of this counts. The others are taken to have as many workers each as this runner: a store says how many runners
//! there are, and not how many workers they have.

use crate::runners::{RunnerName, StoreRunner};
use crate::store::Sink;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OtherRunners {
    /// How many there are, as far as that is known.
    pub count: usize,
    /// How many of them were on this machine at the start.
    pub here: usize,
    /// From 0 to 1, another for each runner: by so much longer it rests, so that two seldom try a number at the same time.
    pub phase: f64,
}

/// Of what a step could bring beyond what it takes from others, it must bring this share. Half would lie farthest from both; with less the
/// job is done sooner, as too few workers cost time and too many only sessions.
const SHARE_OF_GAIN: f64 = 0.2;

impl OtherRunners {
    /// Those that work on `sink` now; none where it does not say.
    pub(super) fn on(sink: &dyn Sink) -> Self {
        let own = RunnerName::of_this_process("", None);
        let hash = blake3::hash(format!("{}@{}", own.pid, own.host).as_bytes());
        let phase = f64::from(hash.as_bytes()[0]) / 256.0;
        // Of a long name the host is cut.
        let is_here = |runner: &StoreRunner| own.host.starts_with(&runner.name.host);
        let is_other = |runner: &StoreRunner| runner.name.pid != own.pid || !is_here(runner);
        // What keeps a store from answering is met by the job itself.
        let mut others = sink.runners(&[]).unwrap_or_default();
        others.retain(is_other);
        Self { count: others.len(), here: others.iter().filter(|other| is_here(other)).count(), phase }
    }

    /// What the own rows a second become, as a factor, with `times` as many workers where the store does no more than before: the share of
    /// it that they then get.
    fn rate_where_full(self, times: f64) -> f64 {
        let others = self.count as f64;
        times * (others + 1.0) / (times + others)
    }

    /// What they must become for `times` as many workers to be worth it for all runners together.
    pub(super) fn rate_wanted(self, times: f64) -> f64 {
        let full = self.rate_where_full(times);
        full + SHARE_OF_GAIN * (times - full)
    }

    /// How many there are, as a reason.
    pub(super) fn why(self) -> String {
        match self.count {
            0 => "no other runner works on this store".to_owned(),
            1 => "1 other runner works on this store".to_owned(),
            count => format!("{count} other runners work on this store"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_worth_it_where_it_gives_more_than_it_takes() {
        let beside = |count| OtherRunners { count, ..OtherRunners::default() };
        // Beside one other of two workers: four of six workers get two thirds of a full store, a third more than before.
        assert!((beside(1).rate_where_full(2.0) - 4.0 / 3.0).abs() < 1e-12);
        for count in 1..20 {
            for times in [1.5, 2.0, 4.0] {
                let (wanted, full) = (beside(count).rate_wanted(times), beside(count).rate_where_full(times));
                assert!(full < wanted && wanted < times, "{count} {times}: {wanted}");
            }
        }
        assert_eq!(beside(0).rate_where_full(2.0), 1.0);
    }
}
