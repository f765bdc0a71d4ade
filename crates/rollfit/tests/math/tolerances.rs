//! The tolerances bite: numbers off by twice the bound fail, by half of it pass.

use super::*;

/// The kernel's value of every metric of a hard window, with where it may lie, if something is promised.
fn promised(hard: Hard) -> Vec<(Metric, f64, bounds::ErrorRange)> {
    let (_, values) = hard.window();
    let bounds = Bounds::from_values(&values).expect("a window's length");
    let written = paths::written_alone(&values);
    written.at(0).filter_map(|(metric, value)| Some((metric, value, bounds.range(metric)?))).collect()
}

proptest! {
    #![proptest_config(cases(3000))]
    #[test]
    fn every_metric_moved_by_twice_its_bound_fails_and_by_half_passes(hard in hard_window(3, 3000)) {
        let bounds = Bounds::from_values(&hard.window().1).expect("a window's length");
        for (metric, value, range) in promised(hard) {
            for end in [range.low, range.high] {
                let reach = end - range.exact;
                let at = |share: f64| bounds.error(metric, (DoubleDouble::from_f64(value) + reach * share).to_f64());
                if !is_limit(metric, end.to_f64()) && reach != DoubleDouble::ZERO {
                    prop_assert!(!at(2.0).passes(), "{metric}: {value:e} in {range:?}");
                    prop_assert!(at(0.5).passes(), "{metric}: {value:e} in {range:?}");
                }
            }
        }
    }
}

/// Whether a range that ends here ends at what the metric can be at all, which says nothing about digits.
fn is_limit(metric: Metric, end: f64) -> bool {
    end == *metric.limits().start() || end == *metric.limits().end()
}

/// A fit with one of its numbers moved by `share` of what is promised of the metric it decides.
fn moved(fit: &Fit, decides: Metric, share: f64, bounds: &Bounds) -> Option<Fit> {
    let range = bounds.range(decides)?;
    let by = share * (range.high - range.exact).to_f64();
    let mut moved = fit.numbers();
    let terms = Terms::new(&moved, &Grid::new(fit.window()));
    match decides {
        Metric::A2 => moved.a2 += by,
        Metric::A1 => moved.a1 += by,
        Metric::B => moved.b += by,
        Metric::Rmse => moved.ss_res = (terms.rmse + by).powi(2) * fit.window().rows() as f64,
        Metric::R2 => moved.ss_tot *= 1.0 - by / (1.0 - terms.r2),
        _ => return None,
    }
    Fit::from_numbers(moved, fit.window())
}

#[test]
fn a_kernel_moved_by_twice_the_bound_fails_and_by_half_passes() {
    let mut rng = Rng::with_seed(21);
    let mut tried = 0;
    for _ in 0..2000 {
        let rows = hard::rows(&mut rng, 3, 300);
        // Noise about a level: every number of the fit matters and no metric is at the limit of what it can be.
        let level = 10f64.powi(rng.i32(-3..6));
        let values: Vec<f64> = (0..rows).map(|_| level * (1.0 + 0.01 * rng.f64())).collect();
        let fit = rollfit::fit(&values).expect("a window's length").expect("usable");
        let bounds = Bounds::from_values(&values).expect("a window's length");
        for decides in [Metric::A2, Metric::A1, Metric::B, Metric::Rmse, Metric::R2] {
            let error = |share: f64| {
                let moved = moved(&fit, decides, share, &bounds)?;
                bounds::check(&values, Some(&moved))
                    .expect("a window's length")
                    .find(|(metric, _)| *metric == decides)
            };
            let terms = Terms::new(&fit.numbers(), &Grid::new(fit.window()));
            if terms.r2 < 0.9 && fit.ss_tot() > 1e-6 {
                let (half, twice) = (error(0.5).expect("promised").1, error(2.0).expect("promised").1);
                assert!(half.passes() && !twice.passes(), "{decides}: {half:?}, {twice:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 2000, "{tried}");
}
