//! Fits for SQL to compute metrics from: those of the golden windows, and sextuples that no kernel gives. What comes back must
//! have the bits of [`Metric::value`].

use std::fmt::Write as _;
use std::path::PathBuf;

use rollfit::reference::{Grid, Terms};
use rollfit::{Fit, FitNumbers, Metric, Window};
use serde_json::Value;

/// A fit, any of whose numbers may be NULL, and the rows of its window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HardFit {
    /// a2, a1, b, ss_res, ss_tot, y_last.
    pub(crate) numbers: [Option<f64>; 6],
    pub(crate) rows: usize,
}

/// The columns of a table of fits.
pub(crate) const COLUMNS: [&str; 6] = ["a2", "a1", "b", "ss_res", "ss_tot", "y_last"];

impl HardFit {
    fn new(fit: &Fit, rows: usize) -> Self {
        let FitNumbers { a2, a1, b, ss_res, ss_tot, y_last } = fit.numbers();
        Self { numbers: [a2, a1, b, ss_res, ss_tot, y_last].map(Some), rows }
    }

    /// What Rust gives for it.
    pub(crate) fn value(&self, metric: Metric) -> Option<f64> {
        let [a2, a1, b, ss_res, ss_tot, y_last] = self.numbers.map(|number| number.unwrap_or(f64::NAN));
        let fit = FitNumbers { a2, a1, b, ss_res, ss_tot, y_last };
        // Also of numbers that no fit has.
        let value = metric.of(&Terms::new(&fit, &Grid::new(Window::new(self.rows).ok()?)));
        value.is_finite().then_some(value)
    }
}

/// The metrics that have a function: all but the columns of a fit.
pub(crate) fn computed() -> Vec<Metric> {
    let is_column = |metric: &Metric| matches!(metric, Metric::A2 | Metric::A1 | Metric::B);
    Metric::ALL.iter().copied().filter(|metric| !is_column(metric)).collect()
}

/// The fits of the golden windows; none, said aloud, where the file is missing.
pub(crate) fn golden() -> Option<Vec<HardFit>> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let shared = std::env::var_os("ROLLFIT_SHARED").map_or_else(beside, PathBuf::from);
    let path = shared.join("golden/fits.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: no golden file at {}", path.display());
        return None;
    };
    let fit = |line: &str| {
        let json: Value = serde_json::from_str(line).unwrap();
        let values: Vec<f64> = json["y"].as_array().unwrap().iter().map(|y| y.as_f64().unwrap()).collect();
        HardFit::new(&rollfit::fit(&values).unwrap().unwrap(), values.len())
    };
    Some(text.lines().map(fit).collect())
}

/// Fits at random: ordinary ones, ends of every range that a formula or its SQL has, and nonsense.
pub(crate) fn adversarial(count: usize) -> Vec<HardFit> {
    let mut rng = fastrand::Rng::with_seed(17);
    std::iter::repeat_with(|| sextuple(&mut rng)).take(count).collect()
}

fn sextuple(rng: &mut fastrand::Rng) -> HardFit {
    let rows = [3, 4, 5, 15, 16, 60, 1024, 1_048_575, 1_048_576, rng.usize(3..10_000)][rng.usize(0..10)];
    // Mostly one kind of magnitude, so that operations meet at their edges and not only in one operand.
    let kind = rng.u8(0..8);
    let mut numbers = [0.0; 6].map(|_: f64| Some(number(rng, kind)));
    let kernel_like = rng.bool();
    if kernel_like {
        let [_, _, _, ss_res, ss_tot, _] = &mut numbers;
        (*ss_res, *ss_tot) = (ss_res.map(f64::abs), ss_tot.map(f64::abs));
        if *ss_res > *ss_tot {
            std::mem::swap(ss_res, ss_tot);
        }
    }
    if rng.u8(0..16) == 0 {
        numbers[rng.usize(0..6)] = None;
    }
    HardFit { numbers, rows }
}

fn number(rng: &mut fastrand::Rng, kind: u8) -> f64 {
    let sign = if rng.bool() { 1.0 } else { -1.0 };
    let exponents = |rng: &mut fastrand::Rng, least: i32, most: i32| near_power(rng.i32(least..=most), rng);
    let magnitude = match if rng.u8(0..4) == 0 { rng.u8(0..8) } else { kind } {
        0 => rng.f64() * 1e-4,
        1 => SPECIAL[rng.usize(0..SPECIAL.len())],
        2 => exponents(rng, -1074, 1023),
        3 => exponents(rng, -1074, -1000),
        4 => exponents(rng, -545, -530),
        5 => exponents(rng, 505, 515),
        6 => exponents(rng, 990, 1023),
        _ => f64::from_bits(rng.u64(..) & !(1 << 63)),
    };
    // Neighbours of each edge as well.
    let magnitude = [magnitude, magnitude.next_up(), magnitude.next_down()][rng.usize(0..3)];
    sign * magnitude
}

/// A power of two, or a number less than twice as large.
pub(crate) fn near_power(exponent: i32, rng: &mut fastrand::Rng) -> f64 {
    let power = if exponent < -1022 { f64::from_bits(1 << (exponent + 1074)) } else { 2f64.powi(exponent) };
    power * if rng.bool() { 1.0 } else { 1.0 + rng.f64() }
}

/// Where a formula, a guard or a number ends: the vertex of no parabola, sums that cancel, moderate numbers.
const SPECIAL: [f64; 18] = [
    0.0,
    5e-11,
    1e-10,
    1.0,
    1.96,
    1e60,
    1e-60,
    1e120,
    1e-120,
    1e100,
    1e-154,
    1e154,
    f64::MIN_POSITIVE,
    f64::from_bits(1),
    f64::MAX,
    f64::MAX / 2.0,
    f64::INFINITY,
    f64::NAN,
];

/// Whether SQL gave what Rust gives, for every fit; `got` has a value of each metric, fit by fit.
#[track_caller]
pub(crate) fn assert_same(fits: &[HardFit], metrics: &[Metric], got: &[Vec<Option<f64>>]) {
    assert_eq!(got.len(), fits.len());
    let mut wrong = String::new();
    let mut count = 0;
    for (fit, got) in fits.iter().zip(got) {
        for (metric, got) in metrics.iter().zip(got) {
            let wanted = fit.value(*metric);
            if wanted.map(f64::to_bits) != got.map(f64::to_bits) {
                count += 1;
                if count <= 10 {
                    let _ = writeln!(wrong, "{metric} of {fit:?}: {got:?} instead of {wanted:?}");
                }
            }
        }
    }
    assert!(count == 0, "{count} values differ:\n{wrong}");
}
