//! From the moments of a whole window to its [`Fit`]: the fast path for eight rows at a time, and the careful path for
//! windows that a parabola explains almost completely.

use crate::fit::Fit;
use crate::lanes::Lanes;
use crate::moments::Moments;
use crate::number::Number;
use crate::window::{Grid, Window};

/// Below this share of unexplained variation (1 - r2) the difference `squares - explained` has lost digits, and the
/// residuals are summed instead. `docs/formulas.md` derives the share from the promised accuracy of rmse.
const CAREFUL_SHARE: f64 = 1.0 / 512.0;

/// The constants that turn the moments of one window into a fit.
#[derive(Clone, Debug)]
pub(crate) struct Solver {
    pub(crate) window: Window,
    pub(crate) grid: Grid,
    a1_factor: f64,
    a2_factor: f64,
    centre_factor: f64,
    explained1: f64,
    explained2: f64,
}

/// The numbers of a fit but the newest value, which the caller has.
#[derive(Clone, Copy)]
pub(crate) struct Solution<V> {
    pub(crate) a2: V,
    pub(crate) a1: V,
    pub(crate) b: V,
    pub(crate) ss_res: V,
    pub(crate) ss_tot: V,
}

impl<V: Number> Solution<V> {
    /// The fit of a window with this newest value, which is not -0.0. Nor is a sum with it, or one of squares; to the
    /// products adding zero does that.
    #[inline(always)]
    pub(crate) fn with(self, newest: V) -> Fit<V> {
        let Self { a2, a1, b, ss_res, ss_tot } = self;
        let zero = V::from_f64(0.0);
        Fit { a2: a2 + zero, a1: a1 + zero, b, ss_res, ss_tot, y_last: newest }
    }
}

impl Solver {
    pub(crate) fn new(window: Window) -> Self {
        let grid: Grid = Grid::new(window);
        Self {
            window,
            a1_factor: grid.scale / grid.norm1,
            a2_factor: grid.scale * grid.scale / grid.norm2,
            centre_factor: grid.offset / grid.norm2,
            explained1: 1.0 / grid.norm1,
            explained2: 1.0 / grid.norm2,
            grid,
        }
    }

    /// The fast path. Right to the promised digits unless [`Solver::is_delicate`].
    #[inline(always)]
    pub(crate) fn solve<V: Number>(&self, moments: &Moments<V>, newest: V) -> Solution<V> {
        let Moments { mean, p1, p2, squares } = *moments;
        let explained1 = p1 * p1 * V::from_f64(self.explained1);
        let explained2 = p2 * p2 * V::from_f64(self.explained2);
        Solution {
            a2: p2 * V::from_f64(self.a2_factor),
            a1: p1 * V::from_f64(self.a1_factor),
            b: newest + (mean - p2 * V::from_f64(self.centre_factor)),
            ss_res: (squares - explained1) - explained2,
            ss_tot: squares,
        }
    }

    /// Whether the fast path's sum of squared residuals may have lost digits: a function of the window alone.
    #[inline(always)]
    pub(crate) fn is_delicate(ss_res: f64, ss_tot: f64) -> bool {
        ss_res < CAREFUL_SHARE * ss_tot
    }

    /// Whether that is so of any of eight windows.
    #[inline(always)]
    pub(crate) fn is_any_delicate(fits: &Fit<Lanes>) -> bool {
        let (ss_res, ss_tot) = (fits.ss_res.to_array(), fits.ss_tot.to_array());
        ss_res.iter().zip(&ss_tot).fold(false, |any, (&res, &tot)| any | Self::is_delicate(res, tot))
    }

    /// The fit of a window whose values, oldest first, have these moments.
    #[inline(always)]
    pub(crate) fn fit(&self, moments: &Moments<f64>, values: &[f64]) -> Fit {
        let y_last = values[values.len() - 1];
        let mut solution = self.solve(moments, y_last);
        if Self::is_delicate(solution.ss_res, solution.ss_tot) {
            solution = self.solve_carefully(moments, values);
        }
        solution.with(y_last)
    }

    /// The careful path: takes the residuals from the values, fits those once more, adds the correction to the
    /// coefficients, and sums the squares of what remains.
    #[cold]
    pub(crate) fn solve_carefully(&self, moments: &Moments<f64>, values: &[f64]) -> Solution<f64> {
        let grid = &self.grid;
        let newest = values[values.len() - 1];
        let first =
            Parabola { c0: moments.mean, c1: moments.p1 * self.explained1, c2: moments.p2 * self.explained2 };
        let left = first.residual_moments(values, newest, grid);
        let better = Parabola {
            c0: first.c0 + left.c0 / grid.rows,
            c1: first.c1 + left.c1 * self.explained1,
            c2: first.c2 + left.c2 * self.explained2,
        };
        let ss_res = better.residual_squares(values, newest, grid);
        Solution {
            a2: better.c2 * (grid.scale * grid.scale),
            a1: better.c1 * grid.scale,
            b: newest + (better.c0 - better.c2 * grid.offset),
            ss_res: if ss_res < moments.squares { ss_res } else { moments.squares },
            ss_tot: moments.squares,
        }
    }
}

/// `c0 + c1*u + c2*(u^2 - offset)`, about the newest value.
#[derive(Clone, Copy)]
struct Parabola {
    c0: f64,
    c1: f64,
    c2: f64,
}

impl Parabola {
    /// The sums of e, u*e and (u^2 - offset)*e over the window's residuals e.
    fn residual_moments(self, values: &[f64], newest: f64, grid: &Grid) -> Parabola {
        let [c0, c1, c2] = sum_over_rows(values, |u, y| {
            let curve = u * u - Lanes::from_f64(grid.offset);
            let e = self.residual(y - Lanes::from_f64(newest), u, curve);
            [e, u * e, curve * e]
        });
        Parabola { c0, c1, c2 }
    }

    fn residual_squares(self, values: &[f64], newest: f64, grid: &Grid) -> f64 {
        let [squares] = sum_over_rows(values, |u, y| {
            let e = self.residual(y - Lanes::from_f64(newest), u, u * u - Lanes::from_f64(grid.offset));
            [e * e]
        });
        squares
    }

    #[inline(always)]
    fn residual(self, d: Lanes, u: Lanes, curve: Lanes) -> Lanes {
        ((d - Lanes::from_f64(self.c0)) - Lanes::from_f64(self.c1) * u) - Lanes::from_f64(self.c2) * curve
    }
}

/// Sums `terms(u, y)` over a window in eight chains that take every eighth row each: short chains keep the rounding
/// of ten thousand terms small, and their shape depends on the window's length only.
#[inline(always)]
fn sum_over_rows<const SUMS: usize>(
    values: &[f64],
    terms: impl Fn(Lanes, Lanes) -> [Lanes; SUMS],
) -> [f64; SUMS] {
    let u_first = -((values.len() - 1) as f64) / 2.0;
    let mut sums = [Lanes::from_f64(0.0); SUMS];
    let mut add = |first_row: usize, y: Lanes, count: usize| {
        let u = Lanes::counting_from(u_first + first_row as f64);
        for (sum, term) in sums.iter_mut().zip(terms(u, y)) {
            *sum = *sum + if count == Lanes::COUNT { term } else { term.first(count) };
        }
    };
    let whole_rows = values.len() / Lanes::COUNT * Lanes::COUNT;
    for first_row in (0..whole_rows).step_by(Lanes::COUNT) {
        add(first_row, Lanes::load(values, first_row), Lanes::COUNT);
    }
    if let rest @ [_, ..] = &values[whole_rows..] {
        add(whole_rows, Lanes::load_padded(rest), rest.len());
    }
    sums.map(Lanes::total)
}
