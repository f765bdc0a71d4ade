//! The worst case of docs/formulas.md, evaluated for every window length.

use super::*;
use crate::support::worst_case;
use crate::support::worst_residuals::WorstResiduals;

/// 1/u.
const UNITS: f64 = 9_007_199_254_740_992.0;
/// What 1e-13*R is in units of u*R.
const PROMISED: f64 = 1e-13 * UNITS;
/// The share of unexplained variation below which the kernel does not trust the difference of sums.
const DELICATE_SHARE: f64 = 1.0 / 512.0;

#[test]
fn coefficients_and_prediction_are_within_bounds_at_the_worst() {
    for (least, most) in LENGTHS {
        let mut worst = [0.0f64; 4];
        for rows in least..=most {
            for (worst, error) in worst.iter_mut().zip(worst_case::coefficient_errors(rows)) {
                *worst = worst.max(error);
            }
        }
        println!("{least} to {most} rows: a2, a1, b, prediction within {worst:.0?} u*R of {PROMISED:.0}");
        assert!(worst.iter().all(|&error| error < PROMISED));
    }
}

#[test]
fn r2_is_within_its_bound_at_the_worst() {
    let errors = worst_case::errors_by_variation(10_000);
    for (least, most) in LENGTHS {
        let all = least..=most;
        let r2 = all.clone().map(|rows| errors[rows].of_r2()).fold(0.0, f64::max);
        let total = all.map(|rows| errors[rows].squares / (rows as f64).sqrt()).fold(0.0, f64::max);
        println!(
            "{least} to {most} rows: r2 within {r2:.0} u of {:.0}, ss_tot within {total:.1}*sqrt(w)*u",
            1e-12 * UNITS
        );
        assert!(r2 < 1e-12 * UNITS && total < 20.0);
    }
}

/// The least share of unexplained variation for which rmse is within its bound at the worst, R being 2 standard
/// deviations, the least it can be.
fn proven_share(rows: usize, residual_squares: f64) -> f64 {
    let allowed = |share: f64| {
        let sigma = 1.0 / (rows as f64).sqrt();
        let rmse = share.sqrt() * sigma;
        2.0 * rows as f64 * rmse * ((1e-12 * UNITS - 2.0) * rmse + 4e-15 * UNITS * 2.0 * sigma)
    };
    let shares = (0..2000).map(|step| DELICATE_SHARE * 1.005f64.powi(step));
    shares.take_while(|share| *share <= 1.0).find(|&share| allowed(share) >= residual_squares).unwrap_or(1.0)
}

#[test]
fn rmse_is_within_its_bound_at_the_worst_where_a_parabola_leaves_enough() {
    let errors = worst_case::errors_by_variation(10_000);
    let proven = |rows: usize| proven_share(rows, errors[rows].of_residual_squares());
    for rows in [3, 4, 5, 15, 30, 45, 60, 75, 90, 240, 630, 1000, 4096, 10_000] {
        println!(
            "{rows} rows: {:.0} u, for shares of {:.4} and more",
            errors[rows].of_residual_squares(),
            proven(rows)
        );
    }
    let worst = |rows: std::ops::RangeInclusive<usize>| rows.map(proven).fold(0.0, f64::max);
    assert!(worst(3..=90) < 0.05 && worst(91..=1000) < 0.1 && worst(1001..=10_000) < 0.3);
}

#[test]
fn rmse_of_merged_residuals_is_within_its_bound_at_the_worst() {
    let errors = WorstResiduals::new(10_000);
    for (least, most) in LENGTHS {
        let all = (least.max(4)..=most).map(|rows| errors.of(rows));
        let (of_spread, of_rmse) = all.fold((0.0f64, 0.0f64), |(spread, rmse), errors| {
            (spread.max(errors.of_spread), rmse.max(errors.of_rmse))
        });
        println!(
            "{least} to {most} rows: merged rmse within {of_spread:.1} u*R of {:.1} and {of_rmse:.0} u of {:.0}",
            4e-15 * UNITS,
            1e-12 * UNITS
        );
        assert!(of_spread < 4e-15 * UNITS && of_rmse < 1e-12 * UNITS);
    }
}
