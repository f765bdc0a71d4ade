//! The worst case of `docs/formulas.md`, evaluated: how far the kernel's moments and coefficients can be from the exact
//! ones, to first order in u = 2^-53, if every rounding is as large as it can be and all have the same sign; in units of
//! the spread for the coefficients, in units of the window's own variation for the sums of squares.

use rollfit::reference::Grid;

use super::paths::window;

/// The largest that p1 and p2 can be for a spread of 1: half the sum of their weights' magnitudes.
pub(crate) fn largest_moments(rows: usize) -> (f64, f64) {
    let n = rows as f64;
    let offset = (n * n - 1.0) / 12.0;
    let u = (0..rows).map(|i| i as f64 - (n - 1.0) / 2.0);
    let sums = u.map(|u| (u.abs(), (u * u - offset).abs())).fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d));
    (sums.0 / 2.0, sums.1 / 2.0)
}

/// Bounds on the errors of the moments of a run, in units of u*R.
#[derive(Clone, Copy)]
struct Errors {
    mean: f64,
    p1: f64,
    p2: f64,
}

fn errors_of(rows: usize) -> Errors {
    match rows {
        1 => Errors { mean: 0.0, p1: 0.0, p2: 0.0 },
        // The step is minus the shift, half of it is exact, and p2 is exactly 0.
        2 => Errors { mean: 0.5, p1: 0.5, p2: 0.0 },
        _ if rows > 15 && rows.is_multiple_of(15) => merged(rows / 30 * 15, rows - rows / 30 * 15),
        _ if rows.is_multiple_of(2) => merged(rows / 2, rows / 2),
        _ => appended(rows - 1),
    }
}

fn merged(near_rows: usize, far_rows: usize) -> Errors {
    let (near, far) = (errors_of(near_rows), errors_of(far_rows));
    let ((near_p1, near_p2), (far_p1, far_p2)) = (largest_moments(near_rows), largest_moments(far_rows));
    let (p1, p2) = largest_moments(near_rows + far_rows);
    let (n, m) = (near_rows as f64, far_rows as f64);
    let (share, p1_step, p2_step) = (n / (n + m), n * m / 2.0, n * m * (m - n) / 6.0);
    // The share of a half and its product are exact.
    let share_roundings = if n == m { 0.0 } else { 2.0 };
    let older_mean = far.mean + 2.0;
    let step = near.mean + older_mean + 1.0;
    let turn = m * near_p1 + n * far_p1;
    Errors {
        mean: (1.0 - share) * older_mean + share * (near.mean + 1.0 + share_roundings) + 1.0,
        p1: near.p1 + far.p1 + near_p1 + far_p1 + p1_step * (step + 1.0) + p1,
        p2: (near.p2 + far.p2 + near_p2 + far_p2)
            + (m * near.p1 + n * far.p1 + 2.0 * turn)
            + if n == m { 0.0 } else { p2_step * (step + 2.0) + turn + p2_step }
            + p2,
    }
}

fn appended(rows: usize) -> Errors {
    let run = errors_of(rows);
    let (n, (run_p1, run_p2)) = (rows as f64, largest_moments(rows));
    let (p1, p2) = largest_moments(rows + 1);
    let (share, step) = (n / (n + 1.0), run.mean + 2.0);
    Errors {
        mean: (1.0 - share) + share * (run.mean + 3.0) + 1.0,
        p1: run.p1 + n / 2.0 * (step + 1.0) + p1,
        p2: run.p2 + run.p1 + run_p1 + run_p2 + n * (n - 1.0) / 6.0 * (step + 2.0) + p2,
    }
}

/// The same for a2, a1, b and prediction, the roundings of the level itself left to the ulps of M.
pub(crate) fn coefficient_errors(rows: usize) -> [f64; 4] {
    let (errors, (p1, p2)) = (errors_of(rows), largest_moments(rows));
    let grid: Grid = Grid::new(window(rows));
    let (to_a2, to_a1) = (grid.scale * grid.scale / grid.norm2, grid.scale / grid.norm1);
    let (largest_a2, largest_a1, x) = (p2 * to_a2, p1 * to_a1, grid.x_last);
    let a2 = errors.p2 * to_a2 + 10.0 * largest_a2;
    let a1 = errors.p1 * to_a1 + 6.5 * largest_a1;
    let centre = grid.offset / grid.norm2;
    let b = errors.mean + errors.p2 * centre + 5.0 * p2 * centre + (1.0 + p2 * centre);
    let evaluation = 10.0 * largest_a2 * x * x + 5.5 * largest_a1 * x;
    [a2, a1, b, b + a1 * x + a2 * x * x + evaluation]
}

/// Bounds on the errors of the moments of a run in units of u*sqrt(S), S being its squares: of the mean, and of p1 and p2
/// divided by the roots of their norms. The error of the squares is in units of u*S.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorsByVariation {
    mean: f64,
    p1: f64,
    p2: f64,
    pub(crate) squares: f64,
}

impl ErrorsByVariation {
    /// The error of ss_res on the fast path, in units of u*ss_tot: the explained squares and both differences.
    pub(crate) fn of_residual_squares(&self) -> f64 {
        self.squares + 2.0 * self.p1.hypot(self.p2) + 7.0
    }

    /// The error of r2 where ss_res is taken on the fast path, in units of u: its sum, quotient and difference.
    pub(crate) fn of_r2(&self) -> f64 {
        self.of_residual_squares() + 3.0
    }
}

/// The errors of runs of 0, 1, 2, ... `most_rows` rows.
pub(crate) fn errors_by_variation(most_rows: usize) -> Vec<ErrorsByVariation> {
    let root = f64::sqrt;
    let single = ErrorsByVariation { mean: 0.0, p1: 0.0, p2: 0.0, squares: 0.0 };
    // The shift of a row of two is off by u*sqrt(2*S), and nothing else rounds but squares.
    let pair = ErrorsByVariation { mean: root(0.5), p1: 1.0, p2: 0.0, squares: 3.0 };
    let mut all = vec![single, single, pair];
    for rows in 3..=most_rows {
        let [near, far] = if rows > 15 && rows.is_multiple_of(15) {
            [rows / 30 * 15, rows - rows / 30 * 15]
        } else {
            [rows / 2; 2]
        };
        let merged =
            if near + far == 2 { pair } else { Joined::new(near, far).merged(&all[near], &all[far]) };
        all.push(if near + far == rows { merged } else { Joined::new(near + far, 1).appended(&merged) });
    }
    all
}

/// The constants by which the errors of `n` newer rows and `m` older ones enter those of both. With x, y and z the roots
/// of the newer rows' squares, of the older ones' and of what the step adds, in units of sqrt(S): x^2 + y^2 + z^2 = 1.
struct Joined {
    n: f64,
    m: f64,
    /// n/(n+m), and the root of what a squared step is multiplied with: step = z/root.
    share: f64,
    root: f64,
    /// The roots of the norms of p1 and p2 over all rows; the latter at least 1, where it would be 0.
    norm1: f64,
    norm2: f64,
    /// What the merge multiplies a step with for p1 and for p2.
    p1_step: f64,
    p2_step: f64,
}

impl Joined {
    fn new(near_rows: usize, far_rows: usize) -> Self {
        let (n, m) = (near_rows as f64, far_rows as f64);
        Self {
            n,
            m,
            share: n / (n + m),
            root: (n * m / (n + m)).sqrt(),
            norm1: norm1(n + m),
            norm2: norm2(n + m),
            p1_step: n * m / 2.0,
            p2_step: n * m * (m - n).abs() / 6.0,
        }
    }

    fn merged(&self, near: &ErrorsByVariation, far: &ErrorsByVariation) -> ErrorsByVariation {
        let Self { n, m, share, root, p1_step, p2_step, .. } = *self;
        // The roundings of the shift and of the older mean about the newer pivot.
        let moved = 2f64.sqrt() + ((m + 1.0) / m).sqrt();
        let (share_roundings, turn_roundings) = if n == m { (1.0, 2.0) } else { (3.0, 3.0) };
        let p1 = |rows: f64, run: &ErrorsByVariation| norm1(rows) * (run.p1 + 1.0) + p1_step * run.mean;
        let p2 = |rows: f64, others: f64, run: &ErrorsByVariation| {
            norm2(rows) * (run.p2 + 1.0)
                + others * norm1(rows) * (run.p1 + turn_roundings)
                + p2_step * run.mean
        };
        ErrorsByVariation {
            mean: length([share * near.mean, (1.0 - share) * far.mean, share * share_roundings / root])
                + (1.0 - share) * moved
                + 1.0,
            p1: (length([p1(n, near), p1(m, far), 2.0 * p1_step / root]) + p1_step * moved) / self.norm1
                + 1.0,
            p2: (length([p2(n, m, near), p2(m, n, far), 4.0 * p2_step / root]) + p2_step * moved)
                / self.norm2
                + 1.0,
            squares: 1.0
                + largest(
                    near.squares.max(far.squares) + 1.0,
                    2.0 * root * near.mean.hypot(far.mean),
                    2.0 * root * moved,
                ),
        }
    }

    fn appended(&self, run: &ErrorsByVariation) -> ErrorsByVariation {
        let Self { n, share, root, p2_step, .. } = *self;
        let (p1_step, moved) = (n / 2.0, 2f64.sqrt());
        let p1 = norm1(n) * run.p1 + p1_step * run.mean;
        let p2 = norm2(n) * (run.p2 + 1.0) + norm1(n) * (run.p1 + 1.0) + p2_step * run.mean;
        ErrorsByVariation {
            mean: length([share * run.mean, 3.0 * share / root, 0.0]) + (1.0 - share) * moved + 1.0,
            p1: (length([p1, 2.0 * p1_step / root, 0.0]) + p1_step * moved) / self.norm1 + 1.0,
            p2: (length([p2, 3.0 * p2_step / root, 0.0]) + p2_step * moved) / self.norm2 + 1.0,
            squares: 1.0 + largest(run.squares, 2.0 * root * run.mean, 2.0 * root * moved),
        }
    }
}

fn norm1(rows: f64) -> f64 {
    (rows * (rows * rows - 1.0) / 12.0).sqrt()
}

fn norm2(rows: f64) -> f64 {
    (rows * (rows * rows - 1.0) * (rows * rows - 4.0) / 180.0).max(0.0).sqrt()
}

fn length(parts: [f64; 3]) -> f64 {
    parts.iter().map(|part| part * part).sum::<f64>().sqrt()
}

/// An upper bound of runs*(1-z^2) + crossed*z*sqrt(1-z^2) + step*z + 5*z^2 for z of 0 to 1.
fn largest(runs: f64, crossed: f64, step: f64) -> f64 {
    const PIECES: usize = 1000;
    let at = |piece: usize| piece as f64 / PIECES as f64;
    let bound = |piece: usize| {
        let (rest, z) = (1.0 - at(piece) * at(piece), at(piece + 1));
        runs * rest + crossed * z * rest.sqrt() + step * z + 5.0 * z * z
    };
    (0..PIECES).map(bound).fold(0.0, f64::max)
}
