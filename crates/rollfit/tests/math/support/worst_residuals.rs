//! The worst case of merged residuals in `docs/formulas.md`, evaluated: how far rmse can be from the exact one, to first
//! order in u = 2^-53, if every rounding is as large as it can be and all have the same sign.

use super::worst_case::largest_moments;

/// What rmse errs by at the most: a number of u*R, R being the window's spread, and a number of u*rmse.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResidualErrors {
    pub(crate) of_spread: f64,
    pub(crate) of_rmse: f64,
}

/// The errors of one run for a spread of 1 in it, in units of u, as lengths over its rows: the curves by which roundings
/// shift its parts, the curve by which they shift all of it, and the roundings of the contrasts.
#[derive(Clone, Copy, Default)]
struct RunErrors {
    of_parts: f64,
    of_all: f64,
    of_contrasts: f64,
}

fn parts(rows: usize) -> [usize; 2] {
    if rows > 15 && rows.is_multiple_of(15) { [rows / 30 * 15, rows - rows / 30 * 15] } else { [rows / 2; 2] }
}

fn norm1(rows: f64) -> f64 {
    rows * (rows * rows - 1.0) / 12.0
}

fn norm2(rows: f64) -> f64 {
    rows * (rows * rows - 1.0) * (rows * rows - 4.0) / 180.0
}

/// The length over its rows of the parabola that these errors of the moments are.
fn length(rows: f64, mean: f64, p1: f64, p2: f64) -> f64 {
    let bend = if rows > 2.0 { p2 * p2 / norm2(rows) } else { 0.0 };
    (rows * mean * mean + p1 * p1 / norm1(rows) + bend).sqrt()
}

/// The weights of two sums whose norms these are in the difference of what they estimate.
fn balance(norm: f64, other_norm: f64) -> [f64; 2] {
    let weight = |norm: f64, other_norm: f64| (other_norm / (norm * (norm + other_norm))).sqrt();
    [weight(norm, other_norm), weight(other_norm, norm)]
}

fn merged(near_rows: usize, far_rows: usize) -> RunErrors {
    if near_rows + far_rows == 2 {
        // Nothing but the difference of both values rounds.
        return RunErrors { of_parts: 1.0, ..RunErrors::default() };
    }
    let (n, m) = (near_rows as f64, far_rows as f64);
    let [near, far, all] = [near_rows, far_rows, near_rows + far_rows].map(largest_moments);
    let is_even = near_rows == far_rows;
    let unless_even = |error: f64| if is_even { 0.0 } else { error };
    let (turn, step) = (m * near.0 + n * far.0, n * m * (m - n).abs() / 6.0);
    let turn_errors = 2.0 * turn + unless_even(2.0 * step + turn + step);
    let mean = unless_even(2.0 * n / (n + m)) + 1.0;
    let p1 = near.0 + far.0 + n * m / 2.0 + all.0;
    RunErrors {
        of_parts: 2.0 * m.sqrt() + (n * m / (n + m)).sqrt(),
        of_all: length(n + m, mean, p1, near.1 + far.1 + turn_errors + all.1),
        of_contrasts: contrasts(n, m, [near, far], turn_errors + 2.0 * (turn + unless_even(step))),
    }
}

/// The roundings of the contrasts between n and m rows with moments of at most `near` and `far`, given those of the turn.
fn contrasts(n: f64, m: f64, [near, far]: [(f64, f64); 2], turn_errors: f64) -> f64 {
    let [x, y] = [(m + 2.0 * n) / 6.0, (2.0 * m + n) / 6.0];
    let variance = 1.0 / n + 1.0 / m + x * x / norm1(n) + y * y / norm1(m);
    let level = 3.0 * (x / norm1(n) * near.0 + y / norm1(m) * far.0) / variance.sqrt();
    if n.min(m) < 3.0 {
        return level;
    }
    let [near_bend, far_bend] = balance(norm2(n), norm2(m));
    let bend = if n == m { 0.0 } else { 2.0 * (near_bend * near.1 + far_bend * far.1) };
    let shifted = n * m * ((m - n).powi(2) * (n + m) / 36.0 + (m * (n * n - 1.0) + n * (m * m - 1.0)) / 12.0);
    let [turn, bends] = balance(shifted, norm2(n) + norm2(m));
    bend.hypot(level).hypot(turn * turn_errors + bends * 3.0 * (near.1 + far.1))
}

fn appended(rows: usize, run: RunErrors) -> RunErrors {
    let (n, [(run_p1, run_p2), (p1, p2)]) = (rows as f64, [rows, rows + 1].map(largest_moments));
    let step = n * (n - 1.0) / 6.0;
    let contrast = if rows < 3 {
        0.0
    } else {
        let triples = n * (n - 1.0) * (n - 2.0);
        let level = (triples / ((n + 1.0) * (n + 2.0) * (n + 3.0))).sqrt();
        3.0 * level * (6.0 / (n * (n - 1.0)) * run_p1 + 30.0 / triples * run_p2)
    };
    RunErrors {
        of_parts: run.of_parts + run.of_all + 2.0,
        of_all: length(n + 1.0, 2.0 * n / (n + 1.0) + 1.0, n / 2.0 + p1, run_p1 + run_p2 + 2.0 * step + p2),
        of_contrasts: run.of_contrasts.hypot(contrast),
    }
}

fn run_errors(rows: usize) -> RunErrors {
    let [near, far] = parts(rows);
    let run = merged(near, far);
    if near + far == rows { run } else { appended(near + far, run) }
}

/// The errors of runs of 0, 1, 2, ... `most_rows` rows.
pub(crate) struct WorstResiduals(Vec<RunErrors>);

impl WorstResiduals {
    pub(crate) fn new(most_rows: usize) -> Self {
        Self(
            (0..=most_rows)
                .map(|rows| if rows < 2 { RunErrors::default() } else { run_errors(rows) })
                .collect(),
        )
    }

    /// The errors of rmse over windows of `rows` rows: those of the runs on each level of the chain, added up.
    pub(crate) fn of(&self, rows: usize) -> ResidualErrors {
        let w = rows as f64;
        let (mut spread, mut residuals, mut contrast_spread, mut contrast_residuals) =
            (0.0f64, 0.0, 0.0f64, 0.0);
        let (mut lengths, mut levels) = (vec![rows], 0.0);
        while let Some(longest) = lengths.iter().copied().max() {
            let n = longest as f64;
            // The spread of a parabola within runs of n rows, in root mean square, in units of its spread.
            let local = (16.0 / 3.0 * n * (n - 1.0) / (w * (w - 1.0))).sqrt().min(1.0);
            let worst = |error: &dyn Fn(RunErrors) -> f64| {
                let of = |&rows: &usize| error(self.0[rows]) / (rows as f64).sqrt();
                lengths.iter().map(of).fold(0.0, f64::max)
            };
            // A parabola over all rows changes no contrast.
            let of_all = if levels == 0.0 { 0.0 } else { 1.0 };
            let moments = worst(&|run| run.of_parts + of_all * run.of_all);
            let contrasts = worst(&|run| run.of_contrasts);
            spread += moments * local;
            residuals += moments * (2.0 * n).sqrt();
            contrast_spread = contrast_spread.hypot(contrasts * local);
            contrast_residuals += contrasts * contrasts * 2.0 * n;
            lengths = lengths.iter().flat_map(|&rows| parts(rows)).filter(|&rows| rows > 1).collect();
            lengths.sort_unstable();
            lengths.dedup();
            levels += 1.0;
        }
        let of_spread = spread + contrast_spread;
        let sums = 5.0 + 4.0 * levels;
        let of_rmse = residuals + contrast_residuals.sqrt() + of_spread * (2.0 * w).sqrt() + sums;
        ResidualErrors { of_spread, of_rmse }
    }
}
