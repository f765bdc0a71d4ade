//! [`Contrasts`]: how two adjoining runs disagree about the parabola that they have in common. The squares of that are what
//! the sum of squared residuals of both exceeds those of each by. `docs/formulas.md` derives it.
//!
//! Invariants: a contrast of values on a parabola is 0 but for rounding, and a sum of squares has only terms that are
//! never negative, so nothing cancels. The constants are taken from double-double numbers, so they are the nearest doubles
//! and the same on every machine.

use crate::moments::{Merging, Moments};
use crate::number::Number;
use crate::reference::DoubleDouble;

/// The constants of the contrasts between a run of some rows and an older one. Those that two short runs cannot have,
/// because so few rows lie on any parabola, have the weight 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contrasts {
    /// Of p2 of each run in the difference of their own curvatures.
    bend: [f64; 2],
    /// Of p1 of each run, that is of its slope, in the step between the means as the slopes would have it.
    slope: [f64; 2],
    /// Of the difference between that step and the real one.
    level: f64,
    /// Of the turn in the difference between the curvature that slopes and means of the runs imply and their own.
    turn: f64,
    /// Of their own, the sum of both p2, in that difference.
    bends: f64,
}

impl Contrasts {
    /// The contrasts between a run of `rows` rows and one of `older_rows` before it.
    pub(crate) fn new(rows: usize, older_rows: usize) -> Self {
        let none = Self { bend: [0.0; 2], slope: [0.0; 2], level: 0.0, turn: 0.0, bends: 0.0 };
        match rows.min(older_rows) {
            0 | 1 => none,
            2 => Self::of_level(rows, older_rows, none),
            _ => Self::of_bends(rows, older_rows, Self::of_level(rows, older_rows, none)),
        }
    }

    fn of_level(rows: usize, older_rows: usize, others: Self) -> Self {
        let [n, m] = [rows, older_rows].map(exact);
        let [near, far] = [n + n + m, m + m + n].map(|rows| rows / exact(6));
        let [near_norm, far_norm] = [norm1(n), norm1(m)];
        let one = exact(1);
        let variance = (one / n + one / m) + (near * near / near_norm + far * far / far_norm);
        Self {
            slope: [near / near_norm, far / far_norm].map(DoubleDouble::to_f64),
            level: (one / variance).sqrt().to_f64(),
            ..others
        }
    }

    fn of_bends(rows: usize, older_rows: usize, others: Self) -> Self {
        let [n, m] = [rows, older_rows].map(exact);
        let (one, difference) = (exact(1), m - n);
        let shifted = difference * difference * (n + m) / exact(36)
            + (m * (n * n - one) + n * (m * m - one)) / exact(12);
        let [turn, bends] = balance(n * m * shifted, norm2(n) + norm2(m));
        Self { bend: balance(norm2(n), norm2(m)), turn, bends, ..others }
    }

    /// The sum of the squares of the contrasts between `newer` and `older` rows.
    #[inline(always)]
    pub(crate) fn squares<V: Number>(
        &self,
        newer: &Moments<V>,
        older: &Moments<V>,
        shift: V,
        by: &Merging,
    ) -> V {
        let constant = V::from_f64;
        let step = newer.step(older, shift);
        let [bend, slope] = if by.is_even {
            [(newer.p2 - older.p2) * constant(self.bend[0]), (newer.p1 + older.p1) * constant(self.slope[0])]
        } else {
            let [bend, slope] = [self.bend, self.slope].map(|weights| weights.map(constant));
            [newer.p2 * bend[0] - older.p2 * bend[1], newer.p1 * slope[0] + older.p1 * slope[1]]
        };
        let level = (step - slope) * constant(self.level);
        let turn = newer.turn(older, step, by) * constant(self.turn);
        let turn = turn - (newer.p2 + older.p2) * constant(self.bends);
        bend * bend + (level * level + turn * turn)
    }
}

/// The constants of the contrast between a run and one older row: how far that is from the run's parabola.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowContrast {
    slope: f64,
    bend: f64,
    level: f64,
}

impl RowContrast {
    /// The contrast between a run of `rows` rows and the row before it; three rows have none, they lie on any parabola.
    pub(crate) fn new(rows: usize) -> Self {
        if rows < 3 {
            return Self { slope: 0.0, bend: 0.0, level: 0.0 };
        }
        let [n, one, two] = [rows, 1, 2].map(exact);
        let pairs = n * (n - one);
        let triples = pairs * (n - two);
        Self {
            slope: (exact(6) / pairs).to_f64(),
            bend: (exact(30) / triples).to_f64(),
            level: (triples / ((n + one) * (n + two) * (n + exact(3)))).sqrt().to_f64(),
        }
    }

    /// The square of the contrast between `newer` rows and one older row.
    #[inline(always)]
    pub(crate) fn square<V: Number>(&self, newer: &Moments<V>, shift: V) -> V {
        let constant = V::from_f64;
        let curve = newer.p1 * constant(self.slope) - newer.p2 * constant(self.bend);
        let contrast = ((newer.mean - shift) - curve) * constant(self.level);
        contrast * contrast
    }
}

/// The weights of two sums of products in the difference between the two estimates of one coefficient that they make,
/// each being divided by its own norm; the difference has the variance of a single value.
fn balance(norm: DoubleDouble, other_norm: DoubleDouble) -> [f64; 2] {
    let weight = |norm: DoubleDouble, other_norm: DoubleDouble| {
        (other_norm / (norm * (norm + other_norm))).sqrt().to_f64()
    };
    [weight(norm, other_norm), weight(other_norm, norm)]
}

fn exact(rows: usize) -> DoubleDouble {
    DoubleDouble::from_f64(rows as f64)
}

/// The sum of squares of u over n rows.
fn norm1(n: DoubleDouble) -> DoubleDouble {
    n * (n * n - exact(1)) / exact(12)
}

/// The sum of squares of u^2 - (n^2-1)/12 over n rows.
fn norm2(n: DoubleDouble) -> DoubleDouble {
    n * (n * n - exact(1)) * (n * n - exact(4)) / exact(180)
}
