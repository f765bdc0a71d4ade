//! From a whole window's moments and its sum of squared residuals to its [`Fit`].

use crate::fit::{Fit, FitNumbers};
use crate::lanes::Lanes;
use crate::moments::{Moments, Run};
use crate::number::Number;
use crate::window::{Grid, Window};

/// Below this share of unexplained variation (1 - r2) the difference `squares - explained` has lost digits, and the sum of
/// squared residuals is the one that was merged run by run. `docs/formulas.md` derives the share from the promised
/// accuracy of rmse.
const DELICATE_SHARE: f64 = 1.0 / 512.0;

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
    pub(crate) fn with(self, newest: V) -> FitNumbers<V> {
        let Self { a2, a1, b, ss_res, ss_tot } = self;
        let zero = V::from_f64(0.0);
        FitNumbers { a2: a2 + zero, a1: a1 + zero, b, ss_res, ss_tot, y_last: newest }
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

    /// The fit by moments alone, whose `ss_res` is a difference: right to the promised digits unless
    /// [`Solver::is_delicate`].
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

    /// The fit of a window.
    #[inline(always)]
    pub(crate) fn fit(&self, run: &Run<f64>, newest: f64) -> Fit {
        let fit = self.solve(&run.moments, newest).with(newest);
        let ss_res = Self::ss_res(fit.ss_res, run.residuals, fit.ss_tot);
        Fit::new(FitNumbers { ss_res, ..fit }, self.window)
    }

    /// The fits of eight windows.
    #[inline(always)]
    pub(crate) fn fit_eight(&self, runs: &Run<Lanes>, newest: Lanes) -> FitNumbers<Lanes> {
        let fits = self.solve(&runs.moments, newest).with(newest);
        let residuals = runs.residuals.to_array();
        let (differences, totals) = (fits.ss_res.to_array(), fits.ss_tot.to_array());
        let ss_res = std::array::from_fn(|at| Self::ss_res(differences[at], residuals[at], totals[at]));
        FitNumbers { ss_res: Lanes::from_array(ss_res), ..fits }
    }

    /// The better one of the two sums of squared residuals of a window: the difference, or what was merged. Where the
    /// difference is NaN, so is the result.
    #[inline(always)]
    fn ss_res(difference: f64, merged: f64, total: f64) -> f64 {
        let merged = if merged < total { merged } else { total };
        if Self::is_delicate(difference, total) { merged } else { difference }
    }

    /// Whether the difference may have lost digits: a function of the window alone.
    #[inline(always)]
    fn is_delicate(ss_res: f64, ss_tot: f64) -> bool {
        ss_res < DELICATE_SHARE * ss_tot
    }

    /// How far the difference of each of eight windows is from having lost digits; below 0 where it may have.
    #[inline(always)]
    pub(crate) fn margins(fits: &FitNumbers<Lanes>) -> Lanes {
        fits.ss_res - Lanes::from_f64(DELICATE_SHARE) * fits.ss_tot
    }
}
