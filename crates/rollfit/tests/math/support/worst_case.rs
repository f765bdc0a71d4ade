//! The worst case of `docs/formulas.md`, evaluated: how far the kernel's moments and coefficients can be from the exact
//! ones, to first order in u = 2^-53, if every rounding is as large as it can be and all have the same sign.

use rollfit::Grid;

use super::paths::window;

/// The largest that p1 and p2 can be for a spread of 1: half the sum of their weights' magnitudes.
fn largest_moments(rows: usize) -> (f64, f64) {
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
