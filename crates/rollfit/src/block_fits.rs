//! [`BlockFits`]: the fits of one window in a block of rows, solved eight rows at a time when they are asked for, so that what is made
//! of them need not read them back from memory; and [`BlockOutput`], which makes something of them.

use crate::fit::FitNumbers;
use crate::lanes::Lanes;
use crate::moments::Run;
use crate::number::Number;
use crate::runs::Eight;
use crate::solve::Solver;
use crate::window::Grid;

/// The windows that are some runs and end at some values.
#[derive(Clone, Copy)]
pub(crate) struct BlockFits<'a> {
    solver: &'a Solver,
    runs: Run<&'a [Eight]>,
    newest: &'a [Eight],
}

/// What is made of the fits of a tile.
pub(crate) trait BlockOutput {
    /// Takes the fits of the window at `window` for the rows of the tile from `first_row` on, a multiple of eight. Returns whether
    /// one of them is delicate. If so, and without `RESIDUALS`, the tile is begun again, and what was made of it does not count. The vectors of
    /// the path have so many `BYTES`.
    fn take<const RESIDUALS: bool, const BYTES: usize>(
        &mut self,
        window: usize,
        first_row: usize,
        fits: BlockFits<'_>,
    ) -> bool;

    /// Forgets what was made of the tile.
    fn begin_again(&mut self) {}
}

impl<'a> BlockFits<'a> {
    #[inline(always)]
    pub(crate) fn new(solver: &'a Solver, runs: Run<&'a [Eight]>, newest: &'a [Eight]) -> Self {
        // Slices of one length seen to be so need no checks later.
        let of_block = |column: &'a [Eight]| &column[..newest.len()];
        let Run { moments, residuals } = runs;
        Self { solver, runs: Run { moments: moments.map(of_block), residuals: of_block(residuals) }, newest }
    }

    /// How many times eight rows there are; the last of them may be beyond the tile.
    #[inline(always)]
    pub(crate) fn eights(&self) -> usize {
        self.newest.len()
    }

    /// The constants of the window.
    #[inline(always)]
    pub(crate) fn grid(&self) -> Grid<Lanes> {
        self.solver.grid.map(|&constant| Lanes::from_f64(constant))
    }

    /// The fits of the eight rows at `at`. Their `ss_res` is the one to be used only with `RESIDUALS`, or where none is delicate.
    #[inline(always)]
    pub(crate) fn solve<const RESIDUALS: bool>(&self, at: usize, margins: &mut Margins) -> FitNumbers<Lanes> {
        let value = |column: &[Eight]| Lanes::from_array(column[at]);
        let newest = value(self.newest);
        let moments = self.runs.moments.map(value);
        let fit = if RESIDUALS {
            self.solver.fit_eight(&Run { moments, residuals: value(self.runs.residuals) }, newest)
        } else {
            self.solver.solve(&moments, newest).with(newest)
        };
        margins.0 = margins.0.lesser(Solver::margins(&fit));
        fit
    }
}

/// The least of the margins of the windows in each lane, or 0.
pub(crate) struct Margins(Lanes);

impl Margins {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self(Lanes::from_f64(0.0))
    }

    /// Whether one of the windows is delicate.
    #[inline(always)]
    pub(crate) fn is_delicate(&self) -> bool {
        self.0.to_array().iter().any(|&margin| margin < 0.0)
    }
}
