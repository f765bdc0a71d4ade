//! [`Moments`]: what a run of consecutive rows contributes to a fit, and the two merges that build longer runs from
//! shorter ones. `docs/formulas.md` derives both.
//!
//! Holds true: every term that a merge adds has the scale of its result, so nothing cancels, and the sum of squares is
//! a sum of terms that are never negative. The order of operations is fixed by the lengths merged, so the bits are a
//! function of the values alone.

use crate::lanes::Real;

/// The moments of `n` rows about a pivot, the newest value: with `d = y - y_newest` and `u` the row number counted
/// from the run's centre, growing towards the newest row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments<V> {
    /// Mean of d.
    pub(crate) mean: V,
    /// Sum of u*d.
    pub(crate) p1: V,
    /// Sum of (u^2 - (n^2-1)/12)*d.
    pub(crate) p2: V,
    /// Sum of squares of d about its mean.
    pub(crate) squares: V,
}

impl<V: Real> Moments<V> {
    /// A single row, which is its own pivot.
    #[inline(always)]
    pub(crate) fn single() -> Self {
        let zero = V::splat(0.0);
        Self { mean: zero, p1: zero, p2: zero, squares: zero }
    }

    /// Twice as many rows: `self` are the newest, `older` as many before them, `shift` the older pivot minus ours.
    #[inline(always)]
    pub(crate) fn double(self, older: Self, shift: V, by: &Doubling) -> Self {
        let older_mean = older.mean + shift;
        let step = self.mean - older_mean;
        Self {
            mean: older_mean + V::splat(0.5) * step,
            p1: (self.p1 + older.p1) + V::splat(by.p1_step) * step,
            p2: (self.p2 + older.p2) + V::splat(by.rows) * (self.p1 - older.p1),
            squares: (self.squares + older.squares) + V::splat(by.squares_step) * (step * step),
        }
    }

    /// One row more, older than all of `self`; `shift` is its value minus our pivot.
    #[inline(always)]
    pub(crate) fn append(self, shift: V, by: &Appending) -> Self {
        let step = self.mean - shift;
        Self {
            mean: shift + V::splat(by.share) * step,
            p1: self.p1 + V::splat(by.p1_step) * step,
            p2: (self.p2 + self.p1) + V::splat(by.p2_step) * step,
            squares: self.squares + V::splat(by.share) * (step * step),
        }
    }
}

/// The constants of merging two runs of `h` rows each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doubling {
    rows: f64,
    p1_step: f64,
    squares_step: f64,
}

impl Doubling {
    pub(crate) fn of(half_rows: usize) -> Self {
        let rows = half_rows as f64;
        Self { rows, p1_step: rows * rows / 2.0, squares_step: rows / 2.0 }
    }
}

/// The constants of adding one older row to a run of `n`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appending {
    share: f64,
    p1_step: f64,
    p2_step: f64,
}

impl Appending {
    pub(crate) fn to(rows: usize) -> Self {
        let rows = rows as f64;
        Self { share: rows / (rows + 1.0), p1_step: rows / 2.0, p2_step: rows * (1.0 - rows) / 6.0 }
    }
}
