//! What holds exactly: constants, sums of squares, r2 within [0, 1].

use super::*;

proptest! {
    #![proptest_config(cases(200))]
    #[test]
    fn residuals_never_exceed_the_total_and_r2_is_a_share(series in hard_series(1000), rows in 3..=300usize) {
        let values = series.values();
        let mut kernel = Kernel::new(&[window(rows)]);
        let tile = kernel.fit(&values, 0..values.len()).unwrap();
        let fits = tile.fits(0).unwrap();
        for row in 0..values.len() {
            if let Some(fit) = fits.get(row) {
                prop_assert!(0.0 <= fit.ss_res() && fit.ss_res() <= fit.ss_tot(), "{:?}", fit);
                prop_assert!(fit.ss_res().is_sign_positive() && fit.ss_tot().is_sign_positive());
            }
        }
        let written = Written::from_fits(fits);
        for metric in [Metric::R2, Metric::FitQuality] {
            prop_assert!(written.column(metric).iter().all(|r2| r2.is_nan() || (0.0..=1.0).contains(r2)));
        }
        let mean = written.column(Metric::ResidualMean);
        prop_assert!(mean.iter().all(|mean| mean.is_nan() || mean.to_bits() == 0));
    }
}

#[test]
fn constants_are_fitted_exactly() {
    for rows in [3, 4, 5, 7, 15, 16, 90, 1000, 9999, 10_000] {
        for level in [0.0, 0.1, -1.0 / 3.0, 123.456, 1e100, -1e100, 1e-300, f64::MIN_POSITIVE, 5e-324] {
            let written = paths::written_alone(&vec![level; rows]);
            for (metric, value) in written.at(0) {
                let expected = match metric {
                    Metric::R2 | Metric::FitQuality => 1.0,
                    Metric::B | Metric::Prediction | Metric::VertexY | Metric::ConstantTerm => level,
                    Metric::PredIntervalLower | Metric::PredIntervalUpper => level,
                    _ => 0.0,
                };
                assert_eq!(value.to_bits(), expected.to_bits(), "{metric} of {rows} rows of {level:e}");
            }
        }
    }
}

#[test]
fn perfect_parabolas_have_almost_no_residuals() {
    for rows in [3, 4, 15, 90, 1000] {
        let values: Vec<f64> = (0..rows).map(|i| ((i * i) as f64).mul_add(0.5, 3.0 - i as f64)).collect();
        let written = paths::written_alone(&values);
        assert!(written.column(Metric::R2)[0] > 1.0 - 1e-12);
        // A difference of sums has no digits left here, and would leave 1e-8 of the spread.
        assert!(written.column(Metric::Rmse)[0] < 4e-15 * (rows * rows) as f64);
    }
}
