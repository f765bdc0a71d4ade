//! The worst case of docs/formulas.md, evaluated for every window length.

use super::*;
use crate::support::worst_case;

/// What 1e-13*R is in units of u*R.
const PROMISED: f64 = 1e-13 * 9_007_199_254_740_992.0;

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
