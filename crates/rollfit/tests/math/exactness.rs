//! The reference is as exact as it says, and the bounds hold what the accuracy promise says: no more and no less.

use crate::support::exact::{self, ExactFit, of_double_double, of_f64};
use crate::support::hard;
use crate::support::slack::Slack;
use fastrand::Rng;
use num_rational::BigRational;
use num_traits::{Signed, Zero};
use rollfit::bounds::{self, Bounds, ErrorInBounds, Part, ulp};
use rollfit::reference::{self, DoubleDouble, Grid, Number, Terms};
use rollfit::{Fit, FitNumbers, Metric, Window};

/// 2^-106, the unit in which errors of double-double operations are stated.
const UNIT: f64 = f64::EPSILON * f64::EPSILON / 4.0;

/// Random windows of `least..=most` rows, with their shapes.
fn windows(
    seed: u64,
    count: usize,
    least: usize,
    most: usize,
) -> impl Iterator<Item = (&'static str, Vec<f64>)> {
    let mut rng = Rng::with_seed(seed);
    (0..count).map(move |_| {
        let rows = hard::rows(&mut rng, least, most);
        hard::window(&mut rng, rows)
    })
}

fn terms(values: &[f64]) -> Terms<DoubleDouble> {
    reference::terms(values).expect("a window's length").expect("usable values")
}

/// The reference's terms to the nearest double: what a perfect kernel would store.
fn nearest(fit: &FitNumbers<DoubleDouble>) -> FitNumbers {
    FitNumbers {
        a2: fit.a2.to_f64(),
        a1: fit.a1.to_f64(),
        b: fit.b.to_f64(),
        ss_res: fit.ss_res.to_f64(),
        ss_tot: fit.ss_tot.to_f64(),
        y_last: fit.y_last.to_f64(),
    }
}

mod arithmetic {
    use super::*;

    fn number(rng: &mut Rng) -> DoubleDouble {
        let hi = (rng.f64() - 0.5) * 10f64.powi(rng.i32(-60..60));
        DoubleDouble::sum_of(hi, hi * f64::EPSILON * (rng.f64() - 0.5))
    }

    /// The largest relative error of an operation over random numbers, in units of 2^-106.
    fn worst(
        operation: impl Fn(DoubleDouble, DoubleDouble) -> DoubleDouble,
        exact_operation: impl Fn(BigRational, BigRational) -> BigRational,
    ) -> f64 {
        let mut rng = Rng::with_seed(1);
        let errors = (0..20_000).map(|i| {
            let x = number(&mut rng);
            // Every other pair nearly cancels.
            let near = -x * DoubleDouble::from_f64(1.0 + rng.f64() * 1e-9);
            let y = if i % 2 == 0 { number(&mut rng) } else { near };
            let expected = exact_operation(of_double_double(x), of_double_double(y));
            exact::ratio(&(of_double_double(operation(x, y)) - &expected), &expected) / UNIT
        });
        errors.fold(0.0, f64::max)
    }

    #[test]
    fn operations_are_as_exact_as_their_published_bounds() {
        for (name, error, bound) in [
            ("sum", worst(|x, y| x + y, |x, y| x + y), 3.01),
            ("difference", worst(|x, y| x - y, |x, y| x - y), 3.01),
            ("product", worst(|x, y| x * y, |x, y| x * y), 5.01),
            (
                "product with a double",
                worst(|x, y| x * y.to_f64(), |x, y| x * of_f64(exact::to_f64(&y))),
                3.01,
            ),
            ("quotient", worst(|x, y| x / y, |x, y| x / y), 15.01),
            ("square root", worst(|x, _| x.abs().sqrt(), |x, _| exact::sqrt(&x.abs())), 4.01),
        ] {
            println!("{name}: {error:.2} of {bound}");
            assert!(error <= bound, "{name}: {error}");
        }
    }

    #[test]
    fn halves_never_overlap() {
        let mut rng = Rng::with_seed(2);
        for _ in 0..20_000 {
            let (x, y) = (number(&mut rng), number(&mut rng));
            for result in [x + y, x * y, x / y, x * 3.0, x.abs().sqrt()] {
                let (hi, lo) = result.parts();
                assert_eq!(hi + lo, hi);
            }
        }
    }

    #[test]
    fn order_and_sign_look_at_both_halves() {
        let one = DoubleDouble::from_f64(1.0);
        let more = DoubleDouble::sum_of(1.0, 1e-30);
        assert!(more > one && -more < -one && one == one.abs());
        assert_eq!((-more).abs(), more);
        assert!((DoubleDouble::from_f64(-1.0).sqrt()).to_f64().is_nan());
        assert_eq!(DoubleDouble::ZERO.sqrt(), DoubleDouble::ZERO);
        assert!(!(one / DoubleDouble::ZERO).is_finite());
    }
}

mod fits {
    use super::*;

    /// Compares every metric of `values` with the exact one; returns the largest share used of the allowed error.
    fn share_used(shape: &str, values: &[f64]) -> f64 {
        let terms = terms(values);
        let (slack, fit) = (Slack::new(values, &terms), ExactFit::new(values));
        let mut worst = 0.0f64;
        for &metric in Metric::ALL {
            let value = metric.of(&terms);
            let Some(expected) = fit.metric(metric).filter(|_| value.is_finite()) else { continue };
            let room = of_f64(slack.of_metric(metric)) + expected.abs() * of_f64(1e-29);
            let share = exact::ratio(&(of_double_double(value) - expected), &room);
            assert!(share <= 1.0 || is_undetermined(values, metric), "{shape}, {metric}: {share} {values:?}");
            if !is_undetermined(values, metric) {
                worst = worst.max(share);
            }
        }
        worst
    }

    fn is_undetermined(values: &[f64], metric: Metric) -> bool {
        Bounds::from_values(values).expect("a window's length").range(metric).is_none()
    }

    fn largest_share_used(seed: u64, count: usize, least: usize, most: usize) -> f64 {
        let shares = windows(seed, count, least, most).map(|(shape, values)| share_used(shape, &values));
        shares.fold(0.0, f64::max)
    }

    #[test]
    fn short_windows_agree_with_exact_rationals() {
        println!("of the allowed error: {}", largest_share_used(3, 1500, 3, 200));
    }

    #[test]
    fn long_windows_agree_with_exact_rationals() {
        println!("of the allowed error: {}", largest_share_used(4, 40, 1000, 2000));
        println!("of the allowed error: {}", largest_share_used(5, 4, 9000, 10_000));
    }

    #[test]
    fn constant_windows_are_exact() {
        for rows in [3, 4, 15, 90, 1000] {
            for level in [0.0, 1.0, -0.1, 1e100, -1e-300] {
                let fit = reference::fit(&vec![level; rows]).unwrap().expect("a usable window");
                assert_eq!(nearest(&fit), FitNumbers { b: level, y_last: level, ..nearest(&fit) });
                for part in [fit.a2, fit.a1, fit.ss_res, fit.ss_tot, fit.b - fit.y_last] {
                    assert_eq!(part, DoubleDouble::ZERO);
                }
            }
        }
    }

    #[test]
    fn unusable_values_have_no_fit_and_lengths_are_checked() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.1e100, -f64::MAX] {
            for at in 0..4 {
                let mut values = [1.0, 2.0, 4.0, 8.0];
                values[at] = bad;
                assert!(reference::fit(&values).unwrap().is_none());
                assert!(reference::terms(&values).unwrap().is_none());
            }
        }
        assert!(reference::fit(&[1e100, -1e100, 1e100]).unwrap().is_some());
        assert!(reference::fit(&[1.0, 2.0]).is_err());
        assert!(reference::terms(&[]).is_err());
    }
}

mod promise {
    use super::*;

    const SPREAD: f64 = 2.5;
    const VALUES: [f64; 6] = [100.5, 99.75, 100.0, 100.25, 101.5, 102.25];

    /// The promise of every part of `VALUES`, written out.
    fn tolerances(rmse: f64) -> [(Metric, f64); 6] {
        let level = 4.0 * f64::EPSILON * 64.0 + 1e-13 * SPREAD;
        [
            (Metric::A2, 1e-13 * SPREAD),
            (Metric::A1, 1e-13 * SPREAD),
            (Metric::B, level),
            (Metric::Prediction, level),
            (Metric::Rmse, 1e-12 * rmse + 4e-15 * SPREAD),
            (Metric::R2, 1e-12),
        ]
    }

    #[test]
    fn half_the_bound_passes_and_twice_the_bound_fails() {
        let terms = terms(&VALUES);
        let bounds = Bounds::new(&VALUES, &terms);
        for (metric, tolerance) in tolerances(terms.rmse.to_f64()) {
            let exact = metric.of(&terms);
            for (factor, passes) in [(0.5, true), (0.9, true), (1.1, false), (2.0, false)] {
                for tolerance in [tolerance, -tolerance] {
                    let value = (exact + DoubleDouble::from_f64(factor * tolerance)).to_f64();
                    // What is asked of the bounds is the error of the double, not of the number it was rounded from.
                    let wanted = ((DoubleDouble::from_f64(value) - exact)
                        / DoubleDouble::from_f64(tolerance))
                    .to_f64();
                    let units = bounds.error(metric, value).units().expect("a bound");
                    assert!((units - wanted).abs() < 1e-9, "{metric}: {units} for {wanted}");
                    assert_eq!(bounds.error(metric, value).passes(), passes, "{metric}: {units}");
                }
            }
        }
    }

    #[test]
    fn what_a_metric_cannot_be_fails() {
        let bounds = Bounds::from_values(&VALUES).unwrap();
        for &metric in Metric::ALL {
            for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                assert_eq!(bounds.error(metric, wrong), ErrorInBounds::Units(f64::INFINITY), "{metric}");
            }
        }
        assert_eq!(bounds.error(Metric::ResidualMean, 0.0), ErrorInBounds::Units(0.0));
        assert!(!bounds.error(Metric::ResidualMean, 1e-300).passes());
        let perfect = Bounds::from_values(&[1.0, 4.0, 9.0, 16.0]).unwrap();
        for metric in [Metric::R2, Metric::FitQuality] {
            assert!(perfect.error(metric, 1.0 - 1e-13).passes());
            assert!(!perfect.error(metric, 1.0f64.next_up()).passes());
        }
        assert!(!perfect.error(Metric::Rmse, -1e-300).passes());
    }

    #[test]
    fn windows_without_a_fit_have_no_values() {
        let bounds = Bounds::from_values(&[1.0, f64::NAN, 3.0]).unwrap();
        for &metric in Metric::ALL {
            assert!(bounds.error(metric, f64::NAN).passes());
            assert!(!bounds.error(metric, 1.0).passes());
            assert!(bounds.range(metric).is_none());
        }
        let found: Vec<_> = bounds::check(&[1.0, f64::NAN, 3.0], None).unwrap().collect();
        assert!(found.len() == Metric::ALL.len() && found.iter().all(|(_, error)| error.passes()));
        assert!(bounds::check(&[1.0, 2.0], None).is_err());
    }

    #[test]
    fn a_perfect_kernel_passes() {
        for (shape, values) in windows(6, 3000, 3, 300) {
            let fit = reference::fit(&values).unwrap().expect("a usable window");
            let fit = Fit::from_numbers(nearest(&fit), Window::new(values.len()).unwrap());
            for (metric, error) in bounds::check(&values, fit.as_ref()).unwrap() {
                assert!(error.passes(), "{shape} of {} rows, {metric}: {error:?}", values.len());
            }
        }
    }

    #[test]
    fn a_range_ends_where_its_values_begin_to_fail() {
        let mut tried = 0;
        for (shape, values) in windows(7, 500, 3, 100) {
            let bounds = Bounds::from_values(&values).unwrap();
            for (metric, range) in
                Metric::ALL.iter().filter_map(|&metric| Some((metric, bounds.range(metric)?)))
            {
                assert!(
                    range.low <= range.exact && range.exact <= range.high,
                    "{shape}, {metric}: {range:?}"
                );
                for end in [range.low, range.high] {
                    let reach = end - range.exact;
                    // Where an ulp is not small against the reach, rounding to a double may cross the end.
                    if reach.to_f64().abs() * 1e-3 > ulp(end.to_f64()) {
                        let at = |share: f64| bounds.error(metric, (range.exact + reach * share).to_f64());
                        assert!(at(0.998).passes() && !at(1.002).passes(), "{shape}, {metric}: {range:?}");
                        tried += 1;
                    }
                }
            }
        }
        assert!(tried > 5000, "{tried}");
    }

    #[test]
    fn derived_ranges_hold_what_their_formulas_make_of_parts_within_bounds() {
        let mut rng = Rng::with_seed(8);
        for (shape, values) in windows(9, 1000, 3, 100) {
            let terms = terms(&values);
            let bounds = Bounds::new(&values, &terms);
            for _ in 0..20 {
                let moved = moved_within_bounds(&mut rng, &terms, &bounds);
                for &metric in Metric::ALL {
                    let Some(range) = bounds.range(metric) else { continue };
                    let value = metric.of(&moved);
                    assert!(
                        range.low <= value && value <= range.high,
                        "{shape}, {metric}: {value:?} in {range:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_metric_is_made_of_the_parts_that_its_formula_uses() {
        let terms = terms(&VALUES);
        // The bound of vertex_x itself has a formula of its own.
        for &metric in Metric::ALL.iter().filter(|&&metric| metric != Metric::VertexX) {
            for (part, moved) in moved_in_one_part(&terms) {
                let uses = metric.of(&moved) != metric.of(&terms);
                assert_eq!(uses, metric.made_of().contains(&part), "{metric} and {part:?}");
            }
            // Where a formula turns in vertex_x depends on a2 and a1, which have to be set before it.
            let vertex = metric.made_of().iter().position(|&part| part == Part::VertexX);
            assert!(
                vertex.is_none_or(|at| at + 1 == metric.made_of().len()),
                "{metric}: vertex_x comes last"
            );
        }
    }

    fn moved_in_one_part(terms: &Terms<DoubleDouble>) -> [(Part, Terms<DoubleDouble>); 7] {
        let more = |number: DoubleDouble| number * 1.25;
        let mut moved = [Part::A2, Part::A1, Part::B, Part::R2, Part::Rmse, Part::Prediction, Part::VertexX]
            .map(|part| (part, *terms));
        let [a2, a1, b, r2, rmse, prediction, vertex_x] = moved.each_mut().map(|(_, terms)| terms);
        a2.a2 = more(terms.a2);
        a1.a1 = more(terms.a1);
        b.b = more(terms.b);
        r2.r2 = more(terms.r2);
        rmse.rmse = more(terms.rmse);
        prediction.prediction = more(terms.prediction);
        vertex_x.vertex_x = more(terms.vertex_x);
        moved
    }

    /// The terms with every part at a random place of its range, at an end as often as between.
    fn moved_within_bounds(
        rng: &mut Rng,
        terms: &Terms<DoubleDouble>,
        bounds: &Bounds,
    ) -> Terms<DoubleDouble> {
        let mut moved = *terms;
        for (metric, field) in [
            (Metric::A2, &mut moved.a2),
            (Metric::A1, &mut moved.a1),
            (Metric::B, &mut moved.b),
            (Metric::R2, &mut moved.r2),
            (Metric::Rmse, &mut moved.rmse),
            (Metric::Prediction, &mut moved.prediction),
            (Metric::VertexX, &mut moved.vertex_x),
        ] {
            let Some(range) = bounds.range(metric) else { continue };
            *field = match rng.u8(0..4) {
                0 => range.low,
                1 => range.high,
                _ => range.low + (range.high - range.low) * rng.f64(),
            };
        }
        moved
    }

    #[test]
    fn nothing_is_promised_where_a_denominator_may_be_zero() {
        // a2 is -5e-11 to within the roundings of the values, so 2*a2 + 1e-10 is as good as 0.
        let grid: Grid = Grid::new(Window::new(31).unwrap());
        let values: Vec<f64> =
            (0..31).map(|i| (f64::from(i) - grid.u_last) / grid.scale).map(|x| -5e-11 * x * x + x).collect();
        let bounds = Bounds::from_values(&values).unwrap();
        for &metric in Metric::ALL {
            let open = metric == Metric::VertexX || metric.made_of().contains(&Part::VertexX);
            assert_eq!(bounds.range(metric).is_none(), open, "{metric}");
            assert_eq!(bounds.error(metric, f64::NAN).passes(), open, "{metric}");
        }
    }

    #[test]
    fn nothing_is_promised_of_windows_beyond_the_promise() {
        let range = |values: &[f64]| Bounds::from_values(values).unwrap().range(Metric::A2);
        assert!(range(&[1e-101, 0.0, 1e-102, 0.0]).is_none());
        assert!(range(&[1e-100, 0.0, 1e-102, 0.0]).is_some());
        assert!(range(&[1.0; 10_000]).is_some());
        assert!(range(&[1.0; 10_001]).is_none());
    }

    #[test]
    fn constant_windows_leave_coefficients_no_room() {
        let bounds = Bounds::from_values(&[0.1; 15]).unwrap();
        for metric in [Metric::A2, Metric::A1, Metric::Rmse] {
            assert_eq!(bounds.error(metric, 0.0), ErrorInBounds::Units(0.0));
            assert_eq!(bounds.error(metric, f64::MIN_POSITIVE), ErrorInBounds::Units(f64::INFINITY));
        }
        assert!(bounds.error(Metric::B, 0.1 + 4.0 * ulp(0.1)).passes());
        assert!(!bounds.error(Metric::B, 0.1 + 5.0 * ulp(0.1)).passes());
    }

    #[test]
    fn ulp_is_the_spacing_of_doubles() {
        assert_eq!(ulp(0.0), 5e-324);
        assert_eq!(ulp(1.0), f64::EPSILON);
        assert_eq!(ulp(-1.0), f64::EPSILON);
        assert_eq!(ulp(1.0f64.next_down()), f64::EPSILON / 2.0);
        assert_eq!(ulp(1e100), 1e100f64.next_up() - 1e100);
        assert!(ulp(f64::NAN).is_nan() && ulp(f64::INFINITY).is_nan());
    }
}

#[test]
fn exact_rationals_are_exact() {
    let squares = ExactFit::new(&[1.0, 4.0, 9.0, 16.0]);
    assert!(squares.ss_res.is_zero());
    assert_eq!(squares.b, of_f64(6.25));
    assert_eq!(exact::of_decimal("-12.5e-1"), of_f64(-1.25));
    assert_eq!(exact::sqrt(&of_f64(2.25)), of_f64(1.5));
    assert_eq!(exact::rounded(&of_f64(-0.1)), of_f64(-0.1));
}
