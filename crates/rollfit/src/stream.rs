//! [`Stream`]: one value pushed, the fits of every window out, bit for bit those of the [`Kernel`](crate::Kernel).
//! It allocates when made and never again.

use crate::chain::Chain;
use crate::fit::Fit;
use crate::kernel::is_usable;
use crate::moments::Run;
use crate::solve::Solver;
use crate::window::Window;

/// Fits windows over values that arrive one at a time.
///
/// ```
/// use rollfit::{Stream, Window};
///
/// let mut stream = Stream::seeded(&[Window::new(3)?], &[1.0, 4.0]);
/// let fit = stream.push(9.0)[0].expect("three rows fill the window");
/// assert!((fit.b() - 4.0).abs() < 1e-12);
/// # Ok::<(), rollfit::WindowError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stream {
    windows: Vec<Solver>,
    window_runs: Vec<usize>,
    chain: Chain,
    values: ValueRing,
    /// For every step of the chain the runs that a later, longer run will look back to.
    runs: Vec<Vec<Run<f64>>>,
    newest: Vec<Run<f64>>,
    usable_rows: usize,
    /// In 64 bits on any machine, for a stream that never ends.
    rows: u64,
    fits: Vec<Option<Fit>>,
}

impl Stream {
    /// A stream for `windows`, in the order in which [`Stream::push`] returns their fits.
    #[must_use]
    pub fn new(windows: &[Window]) -> Self {
        let chain = Chain::new(windows);
        let longest_rows = windows.iter().map(|window| window.rows()).max().unwrap_or(1);
        Self {
            windows: windows.iter().copied().map(Solver::new).collect(),
            window_runs: windows.iter().map(|window| chain.runs_of(window.rows())).collect(),
            values: ValueRing::new(longest_rows),
            runs: chain.look_back_rows().into_iter().map(|rows| vec![Run::single(); rows + 1]).collect(),
            newest: vec![Run::single(); 1 + chain.steps().len()],
            usable_rows: 0,
            rows: 0,
            fits: vec![None; windows.len()],
            chain,
        }
    }

    /// A stream that has already seen `history`, oldest first; what lies further back than the longest window is
    /// not looked at.
    #[must_use]
    pub fn seeded(windows: &[Window], history: &[f64]) -> Self {
        let mut stream = Self::new(windows);
        let needed_rows = stream.values.capacity().min(history.len());
        for &value in &history[history.len() - needed_rows..] {
            stream.push(value);
        }
        stream
    }

    /// Adds the next value; returns the fit of each window, none where it is not full or holds a value that cannot
    /// be used (not finite, or beyond 1e100).
    pub fn push(&mut self, value: f64) -> &[Option<Fit>] {
        // Adding zero turns -0.0 into 0.0.
        let value = value + 0.0;
        self.values.push(value);
        self.usable_rows = if is_usable(value) { self.usable_rows + 1 } else { 0 };
        self.merge_runs(value);
        self.rows += 1;
        for ((fit, solver), &step) in self.fits.iter_mut().zip(&self.windows).zip(&self.window_runs) {
            let window_rows = solver.grid.rows as usize;
            *fit = (self.usable_rows >= window_rows).then(|| solver.fit(&self.newest[step], value));
        }
        &self.fits
    }

    /// The fits that the last push returned.
    #[must_use]
    pub fn fits(&self) -> &[Option<Fit>] {
        &self.fits
    }

    /// Forgets every value.
    pub fn reset(&mut self) {
        self.usable_rows = 0;
        self.fits.fill(None);
    }

    fn merge_runs(&mut self, newest: f64) {
        for (at, step) in self.chain.steps().iter().enumerate() {
            let (near, far) = (
                self.newest[step.near.runs],
                look_back(&self.runs[step.far.runs], self.rows, step.near.rows),
            );
            let shift = |back_rows| self.values.back(back_rows) - newest;
            let merged = step.merge_runs(near, far, shift(step.near.rows), || shift(step.rows - 1));
            let ring = &mut self.runs[at + 1];
            let slot = place(ring, self.rows, 0);
            ring[slot] = merged;
            self.newest[at + 1] = merged;
        }
    }
}

fn look_back(ring: &[Run<f64>], row: u64, back_rows: usize) -> Run<f64> {
    ring[place(ring, row, back_rows)]
}

/// Where the run is that ends `back_rows`, at most as many as there are runs, before `row`.
fn place(ring: &[Run<f64>], row: u64, back_rows: usize) -> usize {
    ((row + (ring.len() - back_rows) as u64) % ring.len() as u64) as usize
}

/// The newest values, each written twice so that looking back never wraps.
#[derive(Clone, Debug)]
struct ValueRing {
    doubled: Vec<f64>,
    end: usize,
}

impl ValueRing {
    fn new(capacity: usize) -> Self {
        Self { doubled: vec![0.0; 2 * capacity], end: 0 }
    }

    fn capacity(&self) -> usize {
        self.doubled.len() / 2
    }

    fn push(&mut self, value: f64) {
        let capacity = self.capacity();
        let at = self.end % capacity;
        self.doubled[at] = value;
        self.doubled[at + capacity] = value;
        self.end = at + 1;
    }

    fn back(&self, rows: usize) -> f64 {
        self.doubled[self.end + self.capacity() - 1 - rows]
    }
}
