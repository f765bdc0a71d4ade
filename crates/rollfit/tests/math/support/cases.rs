//! Hard windows and series as cases of property tests: always the same ones, and as short to print as to make again.

use fastrand::Rng;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use super::hard;

/// As many cases as asked for and always the same ones.
pub(crate) fn cases(count: u32) -> Config {
    Config { cases: count, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Config::default() }
}

/// A hard window, as short to print as to make again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hard {
    pub(crate) seed: u64,
    pub(crate) rows: usize,
}

impl Hard {
    pub(crate) fn window(self) -> (&'static str, Vec<f64>) {
        hard::window(&mut Rng::with_seed(self.seed), self.rows)
    }
}

/// Windows of `least..=most` rows, short ones as often as long ones.
pub(crate) fn hard_window(least: usize, most: usize) -> impl Strategy<Value = Hard> {
    let length = (least as f64).ln()..=(most as f64).ln();
    let rows = length.prop_map(move |length| (length.exp().round() as usize).clamp(least, most));
    (any::<u64>(), rows).prop_map(|(seed, rows)| Hard { seed, rows })
}

/// A series of hard windows one after the other, at levels that have nothing to do with each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HardSeries {
    pub(crate) seed: u64,
    pub(crate) rows: usize,
}

impl HardSeries {
    pub(crate) fn values(self) -> Vec<f64> {
        let mut rng = Rng::with_seed(self.seed);
        let mut values = Vec::new();
        while values.len() < self.rows {
            let rows = hard::rows(&mut rng, 3, 200);
            values.extend(hard::window(&mut rng, rows).1);
        }
        values.truncate(self.rows);
        values
    }
}

pub(crate) fn hard_series(most_rows: usize) -> impl Strategy<Value = HardSeries> {
    (any::<u64>(), 1..=most_rows).prop_map(|(seed, rows)| HardSeries { seed, rows })
}

pub(crate) fn some_windows() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(3..=130usize, 1..6)
}
