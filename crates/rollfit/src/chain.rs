//! [`Chain`]: the lengths of the runs that lead to a set of windows. A run is made from two runs of half its length, and
//! one row more when that is odd; so are those, down to single rows. A run of a multiple of 15 rows is made from
//! multiples of 15, because windows over minute bars mostly are, and then have those runs in common. The order of
//! summation therefore depends on a window's length only: never on the other windows, the row number, or where a chunk
//! begins.

use crate::contrasts::{Contrasts, RowContrast};
use crate::moments::{Merging, Moments, Run};
use crate::number::Number;
use crate::window::Window;

/// The steps to every window, shortest run first.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    steps: Vec<Step>,
}

/// How the runs of one length are made.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The length of the runs made.
    pub(crate) rows: usize,
    /// The newer of the two runs they are made from.
    pub(crate) near: RunPart,
    /// The older one.
    pub(crate) far: RunPart,
    /// How many rows before a window's newest row these runs are needed at the most.
    pub(crate) reach_rows: usize,
    merging: Merging,
    contrasts: Contrasts,
    appending: Option<(Merging, RowContrast)>,
}

/// A run that a longer one is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunPart {
    pub(crate) rows: usize,
    /// Where its runs are among those of all steps, after the single rows.
    pub(crate) runs: usize,
}

impl Chain {
    pub(crate) fn new(windows: &[Window]) -> Self {
        let mut lengths = Vec::new();
        for window in windows {
            add_lengths(window.rows(), &mut lengths);
        }
        lengths.sort_unstable();
        let mut steps: Vec<Step> = lengths.iter().map(|&rows| Step::new(rows, &lengths)).collect();
        for at in (0..steps.len()).rev() {
            let Step { near, far, reach_rows, .. } = steps[at];
            for (part, reach_rows) in [(near, reach_rows), (far, reach_rows + near.rows)] {
                if let Some(part) = part.runs.checked_sub(1) {
                    steps[part].reach_rows = steps[part].reach_rows.max(reach_rows);
                }
            }
        }
        Self { steps }
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How many rows back longer runs look for single rows, and for the runs of each step.
    pub(crate) fn look_back_rows(&self) -> Vec<usize> {
        let mut rows = vec![0; 1 + self.steps.len()];
        for Step { near, far, .. } in &self.steps {
            rows[far.runs] = rows[far.runs].max(near.rows);
        }
        rows
    }

    /// Where the runs of `rows` rows are among those of all steps, after the single rows.
    pub(crate) fn runs_of(&self, rows: usize) -> usize {
        self.steps.partition_point(|step| step.rows <= rows)
    }
}

/// The lengths of the newer and the older run that a run of `rows` rows is made from; one row more may be left over.
fn parts(rows: usize) -> [usize; 2] {
    const COMMON: usize = 15;
    if rows > COMMON && rows.is_multiple_of(COMMON) {
        let near_rows = rows / COMMON / 2 * COMMON;
        [near_rows, rows - near_rows]
    } else {
        [rows / 2; 2]
    }
}

/// Adds `rows` and the lengths of all runs that lead there, but for single rows, to `lengths`, each once.
fn add_lengths(rows: usize, lengths: &mut Vec<usize>) {
    if rows > 1 && !lengths.contains(&rows) {
        lengths.push(rows);
        for part in parts(rows) {
            add_lengths(part, lengths);
        }
    }
}

impl Step {
    fn new(rows: usize, lengths: &[usize]) -> Self {
        let [near, far] =
            parts(rows).map(|rows| RunPart { rows, runs: lengths.partition_point(|&length| length <= rows) });
        let merged_rows = near.rows + far.rows;
        Self {
            rows,
            near,
            far,
            reach_rows: 0,
            merging: Merging::new(near.rows, far.rows),
            contrasts: Contrasts::new(near.rows, far.rows),
            appending: (merged_rows < rows)
                .then(|| (Merging::new(merged_rows, 1), RowContrast::new(merged_rows))),
        }
    }

    /// The moments of this step's run from those of its parts. `far_shift` is the newest value of the far part minus the
    /// newest of all, `oldest_shift` the oldest one minus that.
    #[inline(always)]
    pub(crate) fn merge<V: Number>(
        &self,
        near: Moments<V>,
        far: Moments<V>,
        far_shift: V,
        oldest_shift: impl FnOnce() -> V,
    ) -> Moments<V> {
        let merged = near.merge(far, far_shift, &self.merging);
        match &self.appending {
            Some((appending, _)) => merged.append(oldest_shift(), appending),
            None => merged,
        }
    }

    /// The same, and the sum of squared residuals.
    #[inline(always)]
    pub(crate) fn merge_runs<V: Number>(
        &self,
        near: Run<V>,
        far: Run<V>,
        far_shift: V,
        oldest_shift: impl FnOnce() -> V,
    ) -> Run<V> {
        let merged = near.moments.merge(far.moments, far_shift, &self.merging);
        let residuals = (near.residuals + far.residuals)
            + self.contrasts.squares(&near.moments, &far.moments, far_shift, &self.merging);
        match &self.appending {
            Some((appending, contrast)) => {
                let shift = oldest_shift();
                Run {
                    moments: merged.append(shift, appending),
                    residuals: residuals + contrast.square(&merged, shift),
                }
            }
            None => Run { moments: merged, residuals },
        }
    }
}
