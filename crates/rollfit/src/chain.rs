//! [`Chain`]: the lengths of the runs that lead to a set of windows. A window of w rows is made from two runs of
//! `w / 2` rows, and one row more when w is odd; so are those, down to single rows. The order of summation
//! therefore depends on w only: never on the other windows, the row number, or where a chunk begins.

use crate::lanes::Real;
use crate::moments::{Appending, Doubling, Moments};
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
    /// The length of the two runs they are made from.
    pub(crate) half_rows: usize,
    /// The step that made those, or none where they are single rows.
    pub(crate) half: Option<usize>,
    /// How many rows before a window's newest row these runs are needed at the most.
    pub(crate) reach_rows: usize,
    doubling: Doubling,
    appending: Option<Appending>,
}

impl Chain {
    pub(crate) fn new(windows: &[Window]) -> Self {
        let mut lengths: Vec<usize> = windows.iter().flat_map(|window| halvings(window.rows())).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let mut steps: Vec<Step> = lengths.iter().map(|&rows| Step::new(rows, &lengths)).collect();
        for at in (0..steps.len()).rev() {
            let reach_rows = steps[at].reach_rows + steps[at].half_rows;
            if let Some(half) = steps[at].half {
                steps[half].reach_rows = steps[half].reach_rows.max(reach_rows);
            }
        }
        Self { steps }
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The index of the step that makes runs of `rows` rows.
    pub(crate) fn step_to(&self, rows: usize) -> Option<usize> {
        self.steps.binary_search_by_key(&rows, |step| step.rows).ok()
    }
}

/// `rows`, its half, the half of that... as long as they are more than single rows.
fn halvings(rows: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(rows), |rows| Some(rows / 2)).take_while(|&rows| rows > 1)
}

impl Step {
    fn new(rows: usize, lengths: &[usize]) -> Self {
        let half_rows = rows / 2;
        Self {
            rows,
            half_rows,
            half: lengths.binary_search(&half_rows).ok(),
            reach_rows: 0,
            doubling: Doubling::of(half_rows),
            appending: (rows % 2 == 1).then(|| Appending::to(2 * half_rows)),
        }
    }

    /// The run of this step from its halves. `value_back(k)` is the value k rows before the newest, minus the newest.
    #[inline(always)]
    pub(crate) fn merge<V: Real>(
        &self,
        near: Moments<V>,
        far: Moments<V>,
        value_back: impl Fn(usize) -> V,
    ) -> Moments<V> {
        let doubled = near.double(far, value_back(self.half_rows), &self.doubling);
        match &self.appending {
            Some(appending) => doubled.append(value_back(2 * self.half_rows), appending),
            None => doubled,
        }
    }
}
