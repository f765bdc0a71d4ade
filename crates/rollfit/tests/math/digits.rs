//! The digits promised of the kernel and the stream, on every CPU path.

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
    let bounds = Bounds::from_values(values).expect("a window's length");
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
    let fit = values.iter().fold(None, |_, &value| stream.push(value)[0]);
    assert!(fit.is_some(), "a full window");
    let from_fit: Vec<u64> = paths::metrics_of(fit).map(f64::to_bits).collect();
    assert_eq!(from_fit, paths::written_alone(values).bits());
    for (metric, error) in bounds::check(values, fit.as_ref()).expect("a window's length") {
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
    #![proptest_config(cases(10_000))]
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
        let tile = kernel.fit(&values, 10_000..20_000).expect("rows of the series");
        let written = Written::from_fits(tile.fits(0).expect("the only window"));
        for _ in 0..100_000 / rows.max(500) {
            let row = rng.usize(0..10_000);
            let window = &values[10_001 + row - rows..=10_000 + row];
            let bounds = Bounds::from_values(window).expect("a window's length");
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

/// Windows to measure with: more than a test needs when `ROLLFIT_CASES` says so.
fn cases_to_measure(default: usize) -> usize {
    std::env::var("ROLLFIT_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(default)
}

const SHOWN: [Metric; 6] = [Metric::A2, Metric::A1, Metric::B, Metric::Rmse, Metric::R2, Metric::Prediction];

#[allow(clippy::print_stdout)] // what is measured is to be read
fn print_line(label: &str, worst: &Worst) {
    let cells = SHOWN.map(|metric| format!("{:10.4}", worst.of(metric)));
    println!("{label:18} {}", cells.join(" "));
}

/// Prints the errors that `docs/formulas.md` records.
#[test]
fn measured_errors() {
    let cases = cases_to_measure(300);
    println!("worst error in units of the bound, {cases} hard windows a line");
    println!("{:18} {}", "rows", SHOWN.map(|metric| format!("{:>10}", metric.name())).join(" "));
    let mut rng = Rng::with_seed(14);
    for (least, most) in LENGTHS {
        let mut worst = Worst::new();
        for _ in 0..cases {
            let rows = hard::rows(&mut rng, least, most);
            let (shape, values) = hard::window(&mut rng, rows);
            worst.see(errors(shape, &values));
        }
        print_line(&format!("{least} to {most}"), &worst);
    }
    // No golden window is longer.
    for (least, most) in &LENGTHS[..2] {
        let golden: Vec<_> = golden::windows().into_iter().flatten().collect();
        let mut worst = Worst::new();
        for golden in golden.iter().filter(|golden| (least..=most).contains(&&golden.values.len())) {
            worst.see(errors(&golden.kind, &golden.values));
        }
        print_line(&format!("golden {least} to {most}"), &worst);
    }
}

/// The total about the mean is hardest to get when the newest value, which all differences are taken from, is the
/// outlier: the errors of large differences then meet small steps between means.
#[test]
fn the_total_loses_few_digits_to_an_outlier_that_comes_last() {
    let mut rng = Rng::with_seed(16);
    let (mut worst, mut worst_by_root) = (0.0f64, 0.0f64);
    for _ in 0..cases_to_measure(500) {
        let rows = hard::rows(&mut rng, 16, 10_000);
        let root = (rows as f64).sqrt();
        let rise = 10f64.powf(rng.f64() * 4.0 - 2.0) / root;
        let mut values: Vec<f64> =
            (0..rows).map(|i| rise * (i as f64 / rows as f64 + 0.1 * rng.f64())).collect();
        values[rows - 1] = 1.0;
        let exact = rollfit::reference::fit(&values).expect("a window's length").expect("usable").ss_tot;
        let fit = rollfit::fit(&values).expect("a window's length").expect("usable");
        let error =
            ((DoubleDouble::from_f64(fit.ss_tot()) - exact) / exact).abs().to_f64() / (f64::EPSILON / 2.0);
        worst = worst.max(error);
        worst_by_root = worst_by_root.max(error / root);
    }
    println!("ss_tot within {worst:.0} u of itself, {worst_by_root:.2} u*sqrt(w)");
    assert!(worst_by_root < 4.0, "{worst_by_root}");
}

/// A trend with noise of the size at which the difference of sums is just trusted, in many shapes.
fn barely_trusted(rng: &mut Rng, rows: usize) -> Vec<f64> {
    let (trend, kind) = (rng.u8(0..5), rng.u8(0..5));
    let (slope, bend) = (4.0 * rng.f64() - 2.0, 4.0 * rng.f64() - 2.0);
    let noise = 10f64.powf(-1.6 + rng.f64());
    let level = if rng.bool() { 0.0 } else { 10f64.powi(rng.i32(-3..6)) };
    let (spike_at, waves, root) = (rng.usize(0..rows), 300.0 * rng.f64(), (rows as f64).sqrt());
    let mut value = |i: usize| {
        let x = 2.0 * i as f64 / (rows as f64 - 1.0) - 1.0;
        let trend = match trend {
            0 => x,
            1 => -x,
            2 => 3.0 * x * x - 1.0,
            3 => -x * x,
            _ => (bend * x + slope) * x,
        };
        let residual = match kind {
            0 => rng.f64() - 0.5,
            1 if rng.bool() => 0.5,
            1 => -0.5,
            2 => (waves * x).sin(),
            3 if i == spike_at => root,
            4 if i + 1 == rows => root,
            _ => 0.1 * rng.f64(),
        };
        level + trend + noise * residual
    };
    (0..rows).map(&mut value).collect()
}

#[test]
fn the_difference_of_sums_is_trusted_only_with_digits_to_spare() {
    let mut rng = Rng::with_seed(15);
    for (least, most) in LENGTHS {
        let (mut worst, mut tried) = (Worst::new(), 0);
        for _ in 0..cases_to_measure(2000) {
            let rows = hard::rows(&mut rng, least.max(4), most);
            let values = barely_trusted(&mut rng, rows);
            let fit = rollfit::fit(&values).expect("a window's length").expect("usable");
            if (fit.ss_tot() / 512.0..fit.ss_tot() / 128.0).contains(&fit.ss_res()) {
                worst.see(errors("barely trusted", &values));
                tried += 1;
            }
        }
        print_line(&format!("trusted, {tried}"), &worst);
        assert!(tried > 100 && worst.of(Metric::Rmse) < 0.25, "{tried} of {least} to {most} rows");
    }
}
