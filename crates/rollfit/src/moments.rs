//! [`Moments`]: what a run of consecutive rows contributes to a fit, and the merge that builds longer runs from
//! shorter ones. `docs/formulas.md` derives it.
//!
//! Invariants: every term that a merge adds has the scale of its result, so nothing cancels, and the sum of squares is
//! a sum of terms that are never negative. The order of operations is fixed by the lengths merged, so the bits are a
//! function of the values alone.

use crate::number::Number;

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

/// A run as longer ones are made from it: its moments and the sum of its squared residuals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<V> {
    pub(crate) moments: Moments<V>,
    pub(crate) residuals: V,
}

impl<V: Number> Run<V> {
    /// A single row.
    pub(crate) fn single() -> Self {
        Self { moments: Moments::single(), residuals: V::from_f64(0.0) }
    }
}

impl<V> Moments<V> {
    #[inline(always)]
    pub(crate) fn map<W>(self, mut change: impl FnMut(V) -> W) -> Moments<W> {
        let Self { mean, p1, p2, squares } = self;
        Moments { mean: change(mean), p1: change(p1), p2: change(p2), squares: change(squares) }
    }

    #[inline(always)]
    pub(crate) fn as_ref(&self) -> Moments<&V> {
        let Self { mean, p1, p2, squares } = self;
        Moments { mean, p1, p2, squares }
    }

    #[inline(always)]
    pub(crate) fn as_mut(&mut self) -> Moments<&mut V> {
        let Self { mean, p1, p2, squares } = self;
        Moments { mean, p1, p2, squares }
    }
}

impl<V: Number> Moments<V> {
    /// A single row, which is its own pivot.
    #[inline(always)]
    pub(crate) fn single() -> Self {
        let zero = V::from_f64(0.0);
        Self { mean: zero, p1: zero, p2: zero, squares: zero }
    }

    /// Together with the rows before: `self` are the newest, `shift` is the pivot of `older` minus ours.
    #[inline(always)]
    pub(crate) fn merge(self, older: Self, shift: V, by: &Merging) -> Self {
        let step = self.step(&older, shift);
        let turn = self.turn(&older, step, by);
        Self {
            mean: (older.mean + shift) + V::from_f64(by.share) * step,
            p1: (self.p1 + older.p1) + V::from_f64(by.p1_step) * step,
            p2: (self.p2 + older.p2) + turn,
            squares: (self.squares + older.squares) + V::from_f64(by.squares_step) * (step * step),
        }
    }

    /// How far the mean is above that of the rows before.
    #[inline(always)]
    pub(crate) fn step(&self, older: &Self, shift: V) -> V {
        self.mean - (older.mean + shift)
    }

    /// What the slopes and means of both contribute to p2 of all rows.
    #[inline(always)]
    pub(crate) fn turn(&self, older: &Self, step: V, by: &Merging) -> V {
        let turn = V::from_f64(by.older_rows) * self.p1 - V::from_f64(by.rows) * older.p1;
        if by.is_even { turn } else { turn + V::from_f64(by.p2_step) * step }
    }

    /// Together with one older row, whose moments are all 0; `shift` is its value minus our pivot.
    #[inline(always)]
    pub(crate) fn append(self, shift: V, by: &Merging) -> Self {
        let step = self.mean - shift;
        Self {
            mean: shift + V::from_f64(by.share) * step,
            p1: self.p1 + V::from_f64(by.p1_step) * step,
            p2: (self.p2 + self.p1) + V::from_f64(by.p2_step) * step,
            squares: self.squares + V::from_f64(by.squares_step) * (step * step),
        }
    }
}

/// The constants of merging a run of `rows` rows with an older one of `older_rows`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Merging {
    rows: f64,
    older_rows: f64,
    /// Both are equally long, and `p2_step` is 0.
    pub(crate) is_even: bool,
    share: f64,
    p1_step: f64,
    p2_step: f64,
    squares_step: f64,
}

impl Merging {
    pub(crate) fn new(rows: usize, older_rows: usize) -> Self {
        let (n, m) = (rows as f64, older_rows as f64);
        Self {
            rows: n,
            older_rows: m,
            is_even: rows == older_rows,
            share: n / (n + m),
            p1_step: n * m / 2.0,
            p2_step: n * m * (m - n) / 6.0,
            squares_step: n * m / (n + m),
        }
    }
}
