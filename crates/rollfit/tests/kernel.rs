//! What is promised of the kernel and the stream, on every CPU path of the machine: digits, no value where there is
//! none, and the same bits for the same window whatever surrounds it.

mod support;

use fastrand::Rng;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use rollfit::bounds::{self, Bounds};
use rollfit::reference::DoubleDouble;
use rollfit::{Cpu, Fit, Grid, Kernel, KernelError, Metric, Number, Stream, Terms, Window};
use support::paths::{self, Written, bits, window, windows};
use support::{golden, hard};

/// As many cases as asked for and always the same ones.
fn cases(count: u32) -> Config {
    Config { cases: count, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Config::default() }
}

/// A hard window, as short to print as to make again.
#[derive(Clone, Copy, Debug)]
struct Hard {
    seed: u64,
    rows: usize,
}

impl Hard {
    fn window(self) -> (&'static str, Vec<f64>) {
        hard::window(&mut Rng::with_seed(self.seed), self.rows)
    }
}

/// Windows of `least..=most` rows, short ones as often as long ones.
fn hard_window(least: usize, most: usize) -> impl Strategy<Value = Hard> {
    let length = (least as f64).ln()..=(most as f64).ln();
    let rows = length.prop_map(move |length| (length.exp().round() as usize).clamp(least, most));
    (any::<u64>(), rows).prop_map(|(seed, rows)| Hard { seed, rows })
}

/// A series of hard windows one after the other, at levels that have nothing to do with each other.
#[derive(Clone, Copy, Debug)]
struct HardSeries {
    seed: u64,
    rows: usize,
}

impl HardSeries {
    fn values(self) -> Vec<f64> {
        let mut rng = Rng::with_seed(self.seed);
        let mut values = Vec::new();
        while values.len() < self.rows {
            let rows = hard::rows(&mut rng, 3, 200);
            values.extend(hard::window(&mut rng, rows).1);
        }
        values.truncate(self.rows);
        values
    }
}

fn hard_series(most_rows: usize) -> impl Strategy<Value = HardSeries> {
    (any::<u64>(), 1..=most_rows).prop_map(|(seed, rows)| HardSeries { seed, rows })
}

fn some_windows() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(3..=130usize, 1..6)
}

mod digits {
    use super::*;

    /// The largest errors seen of every metric, in units of the bound.
    #[derive(Clone)]
    struct Worst(Vec<f64>);

    impl Worst {
        fn new() -> Self {
            Self(vec![0.0; Metric::ALL.len()])
        }

        fn see(&mut self, other: impl IntoIterator<Item = f64>) {
            for (worst, units) in self.0.iter_mut().zip(other) {
                *worst = worst.max(units);
            }
        }

        fn of(&self, metric: Metric) -> f64 {
            let at = Metric::ALL.iter().position(|&other| other == metric).expect("in the catalogue");
            self.0[at]
        }
    }

    /// The error of every metric that the kernel writes, on every path, for one window; checked to be within bounds.
    fn errors(what: &str, values: &[f64]) -> Vec<f64> {
        let written = paths::written_alone(values);
        let bounds = Bounds::of(values).expect("a window's length");
        written
            .at(0)
            .map(|(metric, value)| {
                let error = bounds.error(metric, value);
                assert!(error.passes(), "{what} of {} rows, {metric}: {value:e}, {error:?}", values.len());
                error.units().unwrap_or(0.0)
            })
            .collect()
    }

    fn stream_agrees(values: &[f64]) {
        let mut stream = Stream::new(&[window(values.len())]);
        let fit = values.iter().fold(None, |_, &value| stream.push(value)[0]).expect("a full window");
        let from_fit: Vec<u64> = paths::metrics_of(&fit, values.len()).map(f64::to_bits).collect();
        assert_eq!(from_fit, paths::written_alone(values).bits());
        for (metric, error) in bounds::check(values, &fit).expect("a window's length") {
            assert!(error.passes(), "{metric} of {} rows: {error:?}", values.len());
        }
    }

    #[test]
    fn golden_windows_are_within_bounds_on_every_path_and_in_the_stream() {
        for golden in golden::windows().into_iter().flatten() {
            errors(&golden.kind, &golden.values);
            stream_agrees(&golden.values);
        }
    }

    proptest! {
        #![proptest_config(cases(4000))]
        #[test]
        fn every_metric_is_within_bounds(hard in hard_window(3, 10_000)) {
            let (shape, values) = hard.window();
            errors(shape, &values);
        }
    }

    proptest! {
        #![proptest_config(cases(1000))]
        #[test]
        fn the_stream_gives_the_metrics_that_the_kernel_writes(hard in hard_window(3, 1000)) {
            stream_agrees(&hard.window().1);
        }
    }

    #[test]
    fn every_window_length_is_within_bounds() {
        let mut rng = Rng::with_seed(11);
        for rows in (3..1000).chain((1000..=10_000).step_by(89)).chain([8191, 8192, 8193, 9999, 10_000]) {
            let (shape, values) = hard::window(&mut rng, rows);
            errors(shape, &values);
        }
    }

    #[test]
    fn rows_of_a_long_series_are_within_bounds() {
        let mut rng = Rng::with_seed(12);
        let values = HardSeries { seed: 12, rows: 20_000 }.values();
        for rows in [3, 4, 15, 90, 1000, 10_000] {
            let mut kernel = Kernel::new(&[window(rows)]);
            kernel.fit(&values, 10_000..20_000).expect("rows of the series");
            let written = Written::by(&mut kernel, 0);
            for _ in 0..100_000 / rows.max(500) {
                let row = rng.usize(0..10_000);
                let window = &values[10_001 + row - rows..=10_000 + row];
                let bounds = Bounds::of(window).expect("a window's length");
                for (metric, value) in written.at(row) {
                    let error = bounds.error(metric, value);
                    assert!(error.passes(), "{metric} of {rows} rows at {row}: {value:e}, {error:?}");
                }
            }
        }
    }

    #[test]
    fn ends_of_the_promised_range_are_within_bounds() {
        let mut rng = Rng::with_seed(13);
        for rows in [3, 4, 5, 15, 90, 1000, 10_000] {
            for scale in [1e-100, 1e-99, 1e-60, 1e60, 5e99, 1e100] {
                let noise: Vec<f64> = (0..rows).map(|_| scale * (rng.f64() * 2.0 - 1.0)).collect();
                let line: Vec<f64> = (0..rows).map(|i| scale * (i as f64 / (rows - 1) as f64)).collect();
                let mut extremes = vec![-scale; rows];
                extremes[rows / 2..].fill(scale);
                let mut outlier = vec![0.0; rows];
                outlier[rows - 1] = scale;
                for values in [noise, line, extremes, outlier] {
                    let values: Vec<f64> = with_spread_at_least(values, 1e-100);
                    errors("an end of the range", &values);
                }
            }
        }
    }

    fn with_spread_at_least(mut values: Vec<f64>, spread: f64) -> Vec<f64> {
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if highest - lowest < spread {
            values[0] = lowest;
            values[1] = lowest + 1.5 * spread;
        }
        values
    }

    /// Prints the errors that `docs/formulas.md` records.
    #[test]
    fn measured_errors() {
        let cases = std::env::var("ROLLFIT_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(300);
        let shown = [Metric::A2, Metric::A1, Metric::B, Metric::Rmse, Metric::R2, Metric::Prediction];
        println!("worst error in units of the bound, {cases} hard windows a line");
        println!(
            "rows          {:>9} {:>9} {:>9} {:>9} {:>9} {:>10}",
            "a2", "a1", "b", "rmse", "r2", "prediction"
        );
        let print = |label: &str, worst: &Worst| {
            let cells = shown.map(|metric| format!("{:9.4}", worst.of(metric)));
            println!("{label:13} {}", cells.join(" "));
        };
        let mut rng = Rng::with_seed(14);
        for (least, most) in [(3, 100), (101, 1000), (1001, 10_000)] {
            let mut worst = Worst::new();
            for _ in 0..cases {
                let rows = hard::rows(&mut rng, least, most);
                let (shape, values) = hard::window(&mut rng, rows);
                worst.see(errors(shape, &values));
            }
            print(&format!("{least}-{most}"), &worst);
        }
        for (least, most) in [(3, 100), (101, 1000), (1001, 10_000)] {
            let mut worst = Worst::new();
            for golden in golden::windows().into_iter().flatten() {
                if (least..=most).contains(&golden.values.len()) {
                    worst.see(errors(&golden.kind, &golden.values));
                }
            }
            print(&format!("golden to {most}"), &worst);
        }
    }
}

mod tolerances {
    use super::*;

    /// The kernel's value of every metric of a hard window, with where it may lie, if something is promised.
    fn promised(hard: Hard) -> Vec<(Metric, f64, bounds::Range)> {
        let (_, values) = hard.window();
        let bounds = Bounds::of(&values).expect("a window's length");
        let written = paths::written_alone(&values);
        written.at(0).filter_map(|(metric, value)| Some((metric, value, bounds.range(metric)?))).collect()
    }

    proptest! {
        #![proptest_config(cases(1500))]
        #[test]
        fn every_metric_moved_by_twice_its_bound_fails_and_by_half_passes(hard in hard_window(3, 3000)) {
            let bounds = Bounds::of(&hard.window().1).expect("a window's length");
            for (metric, value, range) in promised(hard) {
                for end in [range.low, range.high] {
                    let reach = end - range.exact;
                    let at = |share: f64| bounds.error(metric, (DoubleDouble::of(value) + reach * share).to_f64());
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
        match metric {
            Metric::R2 | Metric::FitQuality => end == 0.0 || end == 1.0,
            Metric::Rmse | Metric::ResidualStd | Metric::Curvature | Metric::ExtrapolationError => end == 0.0,
            _ => false,
        }
    }

    /// A fit with one of its numbers moved by `share` of what is promised of the metric it decides.
    fn moved(fit: &Fit, decides: Metric, share: f64, bounds: &Bounds, rows: usize) -> Option<Fit> {
        let range = bounds.range(decides)?;
        let by = share * (range.high - range.exact).to_f64();
        let mut moved = *fit;
        let terms = Terms::new(fit, &Grid::new(window(rows)));
        match decides {
            Metric::A2 => moved.a2 += by,
            Metric::A1 => moved.a1 += by,
            Metric::B => moved.b += by,
            Metric::Rmse => moved.ss_res = (terms.rmse + by).powi(2) * rows as f64,
            Metric::R2 => moved.ss_tot *= 1.0 - by / (1.0 - terms.r2),
            _ => return None,
        }
        Some(moved)
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
            let fit = rollfit::fit(&values).expect("a window's length");
            let bounds = Bounds::of(&values).expect("a window's length");
            for decides in [Metric::A2, Metric::A1, Metric::B, Metric::Rmse, Metric::R2] {
                let error = |share: f64| {
                    let moved = moved(&fit, decides, share, &bounds, rows)?;
                    bounds::check(&values, &moved)
                        .expect("a window's length")
                        .find(|(metric, _)| *metric == decides)
                };
                let terms = Terms::new(&fit, &Grid::new(window(rows)));
                if terms.r2 < 0.9 && fit.ss_tot > 1e-6 {
                    let (half, twice) = (error(0.5).expect("promised").1, error(2.0).expect("promised").1);
                    assert!(half.passes() && !twice.passes(), "{decides}: {half:?}, {twice:?}");
                    tried += 1;
                }
            }
        }
        assert!(tried > 2000, "{tried}");
    }
}

mod no_value {
    use super::*;

    const BAD: [f64; 6] =
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.000_000_000_000_001e100, -1e101, f64::MAX];

    fn written(cpu: Cpu, values: &[f64], rows: usize) -> Written {
        Written::of(cpu, values, rows, 0..values.len())
    }

    /// Values that cannot be used, at some rows.
    fn spoilt(values: &[f64], at: &[(prop::sample::Index, usize)]) -> Vec<f64> {
        let mut spoilt = values.to_vec();
        for (row, bad) in at {
            spoilt[row.index(values.len())] = BAD[bad % BAD.len()];
        }
        spoilt
    }

    fn bad_rows() -> impl Strategy<Value = Vec<(prop::sample::Index, usize)>> {
        prop::collection::vec((any::<prop::sample::Index>(), 0..BAD.len()), 1..8)
    }

    fn is_full_of_usable(values: &[f64], row: usize, rows: usize) -> bool {
        row + 1 >= rows && values[row + 1 - rows..=row].iter().all(|&value| rollfit::is_usable(value))
    }

    proptest! {
        #![proptest_config(cases(300))]
        #[test]
        fn exactly_the_windows_that_hold_a_bad_value_have_none(
            series in hard_series(600), rows in 3..=100usize, bad in bad_rows(),
        ) {
            let values = series.values();
            let spoilt = spoilt(&values, &bad);
            let mut stream = Stream::new(&[window(rows)]);
            let streamed = paths::streamed(&mut stream, &spoilt, 1);
            let undisturbed = paths::streamed(&mut Stream::new(&[window(rows)]), &values, 1);
            for cpu in Cpu::available() {
                let mut kernel = Kernel::on(cpu, &[window(rows)]);
                let fits = paths::tile(&mut kernel, &spoilt, 0..spoilt.len(), 1);
                prop_assert_eq!(&fits, &streamed);
                for (row, fit) in fits[0].iter().enumerate() {
                    let expected = is_full_of_usable(&spoilt, row, rows).then_some(undisturbed[0][row]).flatten();
                    prop_assert_eq!(*fit, expected, "row {}", row);
                }
            }
        }

        #[test]
        fn every_cell_is_a_finite_number_or_counted(
            series in hard_series(600), rows in 3..=100usize, bad in bad_rows(),
        ) {
            let values = spoilt(&series.values(), &bad);
            for cpu in Cpu::available() {
                let written = written(cpu, &values, rows);
                for (&metric, &undefined) in Metric::ALL.iter().zip(&written.undefined) {
                    let column = written.column(metric);
                    let missing = column.iter().filter(|value| value.is_nan()).count();
                    prop_assert_eq!(missing as u64, undefined);
                    prop_assert!(column.iter().all(|value| !value.is_infinite()));
                    prop_assert!(column.iter().all(|value| value.to_bits() != (-0.0f64).to_bits()));
                }
            }
        }
    }

    #[test]
    fn the_largest_usable_value_is_used() {
        assert!(
            rollfit::is_usable(1e100)
                && rollfit::is_usable(-1e100)
                && !rollfit::is_usable(1e100f64.next_up())
        );
        let fit = rollfit::fit(&[1e100, -1e100, 1e100, -1e100]).unwrap();
        assert!(fit.a2.is_finite() && fit.ss_res.is_finite() && fit.ss_tot.is_finite());
    }

    #[test]
    fn zeros_of_either_sign_give_the_same_bits_and_never_a_negative_zero() {
        for values in [[-0.0; 40], [0.0; 40], std::array::from_fn(|i| if i % 3 == 0 { -0.0 } else { 0.0 })] {
            let written = paths::written_alone(&values);
            let positive = paths::written_alone(&[0.0; 40]);
            assert_eq!(written.bits(), positive.bits());
            assert!(written.cells.iter().all(|cell| cell.is_sign_positive()));
        }
        let mut falling: Vec<f64> = (0..40).map(|i| f64::from(-i)).collect();
        falling.extend([-0.0; 40]);
        for cpu in Cpu::available() {
            let written = written(cpu, &falling, 15);
            assert!(written.cells.iter().all(|cell| cell.to_bits() != (-0.0f64).to_bits()));
        }
    }

    #[test]
    fn the_least_doubles_have_finite_metrics() {
        let mut rng = Rng::with_seed(31);
        for _ in 0..500 {
            let scale = 2f64.powi(rng.i32(-1074..-400));
            let values: Vec<f64> = (0..30).map(|_| scale * (rng.f64() * 8.0 - 4.0).round()).collect();
            let written = paths::written_alone(&values);
            assert!(written.cells.iter().all(|cell| cell.is_finite()), "{values:?}");
            let fit = rollfit::fit(&values).unwrap();
            assert!(0.0 <= fit.ss_res && fit.ss_res <= fit.ss_tot, "{fit:?}");
        }
    }

    /// Five values whose fitted `2*a2 + 1e-10` is 0 to the last bit: a parabola with noise, tried until it happens.
    fn without_vertex() -> [f64; 5] {
        let grid: Grid = Grid::new(window(5));
        let mut rng = Rng::with_seed(32);
        let candidate = || {
            std::array::from_fn(|i| {
                let x = (i as f64 - grid.u_last) / grid.scale;
                let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
                // The noise is orthogonal to the parabola but for the rounding of it.
                let noise = sign * [1.0, 4.0, 6.0, 4.0, 1.0][i] * 1e-11;
                -5e-11 * x * x + noise + 1e-25 * rng.f64()
            })
        };
        let has_none = |values: &[f64; 5]| 2.0 * rollfit::fit(values).expect("five rows").a2 + 1e-10 == 0.0;
        std::iter::repeat_with(candidate).take(100_000).find(has_none).expect("one in some hundred has none")
    }

    #[test]
    fn a_formula_without_a_value_is_counted_and_leaves_the_others() {
        let values = without_vertex();
        for cpu in Cpu::available() {
            let written = written(cpu, &values, 5);
            for (&metric, &undefined) in Metric::ALL.iter().zip(&written.undefined) {
                let open = matches!(metric, Metric::VertexX | Metric::VertexY);
                // The four rows before the window is full have no value either.
                assert_eq!(undefined, if open { 5 } else { 4 }, "{metric}");
                assert_eq!(written.column(metric)[4].is_nan(), open, "{metric}");
            }
        }
    }

    #[test]
    fn undefined_counts_add_up_over_tiles() {
        let mut kernel = Kernel::new(&[window(3)]);
        let mut undefined = [10];
        for first in 0..4 {
            kernel.fit(&[1.0, 2.0, f64::NAN, 4.0], first..first + 1).unwrap();
            kernel.write_metrics(0, &[Metric::B], &mut [0.0], &mut undefined).unwrap();
        }
        assert_eq!(undefined, [14]);
    }
}

mod same_bits {
    use super::*;

    /// Where to cut a series, in order.
    fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
        prop::collection::vec(any::<prop::sample::Index>(), 0..12)
    }

    fn in_order(cuts: &[prop::sample::Index], rows: usize) -> Vec<usize> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(rows + 1)).collect();
        cuts.sort_unstable();
        cuts
    }

    proptest! {
        #![proptest_config(cases(150))]
        #[test]
        fn for_any_split_into_tiles_on_every_path(
            series in hard_series(400), rows in some_windows(), cuts in cuts(),
        ) {
            let values = series.values();
            let alone = paths::alone(&values, &rows);
            for cpu in Cpu::available() {
                let tiled = paths::tiled(cpu, &values, &rows, &in_order(&cuts, values.len()));
                prop_assert_eq!(&tiled, &alone, "{}", cpu.name());
            }
        }

        #[test]
        fn for_any_ranges_in_any_order_from_one_kernel(
            series in hard_series(400), rows in some_windows(), ends in prop::collection::vec(cuts(), 1..6),
        ) {
            let values = series.values();
            let alone = paths::alone(&values, &rows);
            for cpu in Cpu::available() {
                let mut kernel = Kernel::on(cpu, &windows(&rows));
                for ends in &ends {
                    let ends = in_order(ends, values.len());
                    let range = ends.first().copied().unwrap_or(0)..ends.last().copied().unwrap_or(0);
                    let tile = paths::tile(&mut kernel, &values, range.clone(), rows.len());
                    for (fits, alone) in tile.iter().zip(&alone) {
                        prop_assert_eq!(&fits[..], &alone[range.clone()]);
                    }
                }
            }
        }

        #[test]
        fn for_values_pushed_one_by_one_and_after_reset(
            series in hard_series(400), before in hard_series(400), rows in some_windows(),
        ) {
            let values = series.values();
            let alone = paths::alone(&values, &rows);
            let mut stream = Stream::new(&windows(&rows));
            prop_assert_eq!(&paths::streamed(&mut stream, &values, rows.len()), &alone);
            paths::streamed(&mut stream, &before.values(), rows.len());
            stream.reset();
            prop_assert!(stream.fits().iter().all(Option::is_none));
            prop_assert_eq!(&paths::streamed(&mut stream, &values, rows.len()), &alone);
        }

        #[test]
        fn for_a_stream_seeded_with_history(
            series in hard_series(400), rows in some_windows(), cut in any::<prop::sample::Index>(),
        ) {
            let values = series.values();
            let cut = cut.index(values.len());
            let mut stream = Stream::seeded(&windows(&rows), &values[..cut]);
            let seeded = paths::streamed(&mut stream, &values[cut..], rows.len());
            for (fits, alone) in seeded.iter().zip(paths::alone(&values, &rows)) {
                prop_assert_eq!(&fits[..], &alone[cut..]);
            }
        }

        #[test]
        fn whatever_stands_before_the_window(
            series in hard_series(300), other in hard_series(300), rows in 3..=130usize, bad in 0..4usize,
        ) {
            let values = series.values();
            let mut before = other.values();
            if bad > 0 {
                let at = before.len() * bad / 4;
                before[at] = [f64::NAN, f64::INFINITY, 1e200][bad - 1];
            }
            let joined = [&before[..], &values[..]].concat();
            let rows_of_values = before.len()..joined.len();
            for cpu in Cpu::available() {
                let mut kernel = Kernel::on(cpu, &[window(rows)]);
                let here = paths::tile(&mut kernel, &joined, rows_of_values.clone(), 1);
                let alone = paths::alone(&values, &[rows]);
                for (row, (here, alone)) in here[0].iter().zip(&alone[0]).enumerate().skip(rows - 1) {
                    prop_assert_eq!(here, alone, "row {}", row);
                }
            }
        }

        #[test]
        fn of_every_metric_for_any_split_on_every_path(
            series in hard_series(400), rows in 3..=130usize, cut in any::<prop::sample::Index>(),
        ) {
            let values = series.values();
            let cut = cut.index(values.len());
            for cpu in Cpu::available() {
                for range in [0..cut, cut..values.len()] {
                    let written = Written::of(cpu, &values, rows, range.clone());
                    for (at, row) in range.enumerate() {
                        let first = (row + 1).checked_sub(rows);
                        let fit = first.map_or(Fit::NONE, |first| rollfit::fit(&values[first..=row]).unwrap());
                        for ((metric, value), expected) in written.at(at).zip(paths::metrics_of(&fit, rows)) {
                            prop_assert_eq!(value.to_bits(), expected.to_bits(), "{} at {}", metric, row);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn of_long_windows_wherever_they_end() {
        let values = HardSeries { seed: 41, rows: 30_000 }.values();
        let rows = [10_000, 4095, 4096, 4097, 8191, 630, 15];
        for cpu in Cpu::available() {
            let mut kernel = Kernel::on(cpu, &windows(&rows));
            for tile in [9_990..10_050, 17_001..17_002, 29_937..30_000] {
                let fits = paths::tile(&mut kernel, &values, tile.clone(), rows.len());
                for (row, at) in tile.enumerate().step_by(7) {
                    for (fits, &rows) in fits.iter().zip(&rows) {
                        assert_eq!(fits[row], paths::alone_at(&values, at, rows), "{rows} rows at {at}");
                    }
                }
            }
        }
    }

    #[test]
    fn after_a_million_rows() {
        const ROWS: usize = 1_000_000;
        let rows = [15, 90, 1000];
        let mut rng = Rng::with_seed(42);
        let mut price = 1.0;
        let values: Vec<f64> = std::iter::repeat_with(|| {
            price += 1e-5 * f64::from(rng.i32(-12..=12));
            if rng.u32(0..50_000) == 0 { 1e15 } else { price }
        })
        .take(ROWS)
        .collect();
        let mut stream = Stream::new(&windows(&rows));
        for &value in &values {
            stream.push(value);
        }
        let mut kernel = Kernel::new(&windows(&rows));
        for first in (0..ROWS).step_by(kernel.tile_rows()) {
            kernel.fit(&values, first..(first + kernel.tile_rows()).min(ROWS)).unwrap();
        }
        for (at, &rows) in rows.iter().enumerate() {
            let alone = paths::alone_at(&values, ROWS - 1, rows);
            let last = kernel.fits(at).rows() - 1;
            assert!(alone.is_some());
            assert_eq!(bits(kernel.fits(at).get(last)), alone);
            assert_eq!(bits(stream.fits()[at]), alone);
        }
    }
}

mod theorems {
    use super::*;

    proptest! {
        #![proptest_config(cases(200))]
        #[test]
        fn residuals_never_exceed_the_total_and_r2_is_a_share(series in hard_series(1000), rows in 3..=300usize) {
            let values = series.values();
            let mut kernel = Kernel::new(&[window(rows)]);
            kernel.fit(&values, 0..values.len()).unwrap();
            for row in 0..values.len() {
                if let Some(fit) = kernel.fits(0).get(row) {
                    prop_assert!(0.0 <= fit.ss_res && fit.ss_res <= fit.ss_tot, "{:?}", fit);
                    prop_assert!(fit.ss_res.is_sign_positive() && fit.ss_tot.is_sign_positive());
                }
            }
            let written = Written::by(&mut kernel, 0);
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
                assert_eq!(written.careful_rows, 0, "a constant needs no care");
            }
        }
    }

    #[test]
    fn perfect_parabolas_have_almost_no_residuals() {
        for rows in [3, 4, 15, 90, 1000] {
            let values: Vec<f64> = (0..rows).map(|i| ((i * i) as f64).mul_add(0.5, 3.0 - i as f64)).collect();
            let written = paths::written_alone(&values);
            assert!(written.column(Metric::R2)[0] > 1.0 - 1e-12);
            assert_eq!(written.careful_rows, 1, "the difference of sums has no digits left here");
        }
    }
}

mod bad_arguments {
    use super::*;

    #[test]
    fn windows_have_three_rows_or_more_and_an_end() {
        for rows in [0, 1, 2, Window::MAX_ROWS + 1, usize::MAX] {
            let error = Window::new(rows).unwrap_err().to_string();
            assert!(error.contains(&format!("{rows} rows")) && error.contains("3 to 1048576"), "{error}");
            assert!(rows > 2 || rollfit::fit(&vec![1.0; rows]).is_err());
        }
        assert_eq!(Window::new(3).unwrap().rows(), 3);
        assert_eq!(Window::new(Window::MAX_ROWS).unwrap().rows(), 1 << 20);
    }

    #[test]
    fn the_longest_window_is_fitted() {
        let values: Vec<f64> = (0..Window::MAX_ROWS).map(|i| (i % 7) as f64).collect();
        let fit = rollfit::fit(&values).unwrap();
        assert!((fit.b - 3.0).abs() < 1e-4 && fit.a2.abs() < 1e-4 && fit.ss_res > 0.0);
    }

    #[test]
    #[allow(clippy::reversed_empty_ranges)]
    fn rows_outside_the_series_are_refused() {
        let mut kernel = Kernel::new(&[window(3)]);
        for rows in [0..5, 4..5, 5..5, 3..2, 0..usize::MAX] {
            let refused = kernel.fit(&[1.0; 4], rows.clone());
            assert_eq!(refused, Err(KernelError::RowsOutside { rows, values: 4 }));
        }
        assert!(kernel.fit(&[1.0; 4], 0..5).unwrap_err().to_string().contains("0..5"));
    }

    #[test]
    fn output_of_the_wrong_length_is_refused() {
        let mut kernel = Kernel::new(&[window(3)]);
        kernel.fit(&[1.0; 4], 0..4).unwrap();
        let metrics = &Metric::ALL[..2];
        for (cells, counters) in [(7, 2), (9, 2), (0, 2), (8, 1), (8, 3)] {
            let refused = kernel.write_metrics(0, metrics, &mut vec![0.0; cells], &mut vec![0; counters]);
            assert!(matches!(refused, Err(KernelError::OutputLength { wanted: 8, .. })), "{refused:?}");
        }
        kernel.write_metrics(0, metrics, &mut [0.0; 8], &mut [0; 2]).unwrap();
    }

    #[test]
    fn nothing_to_fit_is_fine() {
        for cpu in Cpu::available() {
            let mut kernel = Kernel::on(cpu, &windows(&[3, 15]));
            for (values, rows) in [(&[][..], 0..0), (&[1.0, 2.0, 3.0][..], 0..0), (&[1.0, 2.0, 3.0], 3..3)] {
                kernel.fit(values, rows).unwrap();
                assert_eq!(kernel.fits(1).rows(), 0);
                assert!(kernel.fits(0).get(0).is_none());
                kernel.write_metrics(0, Metric::ALL, &mut [], &mut [0; 19]).unwrap();
                kernel.write_metrics(0, &[], &mut [], &mut []).unwrap();
            }
            kernel.fit(&[1.0, 2.0], 0..2).unwrap();
            assert!(kernel.fits(0).get(1).is_none(), "the window is not full");
        }
    }

    #[test]
    fn no_windows_are_fine() {
        let mut kernel = Kernel::new(&[]);
        kernel.fit(&[1.0, 2.0, 3.0], 0..3).unwrap();
        assert!(kernel.tile_rows() > 0);
        let mut stream = Stream::seeded(&[], &[1.0, f64::NAN]);
        assert!(stream.push(1.0).is_empty());
        stream.reset();
        assert!(stream.push(2.0).is_empty() && stream.fits().is_empty());
    }

    #[test]
    fn windows_given_twice_are_fitted_twice() {
        let values = HardSeries { seed: 51, rows: 100 }.values();
        let fits = paths::tiled(Cpu::detect(), &values, &[15, 7, 15], &[]);
        assert_eq!(fits[0], fits[2]);
        assert_eq!(fits, paths::alone(&values, &[15, 7, 15]));
    }
}

mod documents {
    use super::*;

    const FORMULAS: &str = include_str!("../../../docs/formulas.md");

    /// The cells of the table that starts with the metrics' names.
    fn table() -> Vec<Vec<&'static str>> {
        let rows =
            FORMULAS.lines().skip_while(|line| !line.starts_with("| name | unit | definition |")).skip(2);
        let cells = |line: &'static str| {
            line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect()
        };
        rows.take_while(|line| line.starts_with('|')).map(cells).collect()
    }

    #[test]
    fn the_table_of_metrics_is_the_catalogue() {
        let table = table();
        assert_eq!(table.len(), Metric::ALL.len());
        for (row, metric) in table.iter().zip(Metric::ALL) {
            assert_eq!(row[..3], [metric.name(), &metric.unit().to_string(), metric.formula()]);
            assert!(!row[3].is_empty(), "{metric} has no formula in the fit");
        }
    }
}
