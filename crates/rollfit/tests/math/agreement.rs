//! Agreement with other implementations: one that solves the normal equations is within range, and what its rounding
//! cannot explain is found. With a dump of `benches/numpy_job.py`, the figures that `docs/formulas.md` records.

use super::*;
use rollfit::agreement::{self, Agreement, Judgement, MetricRange, Ranges, magnitude};

/// A window with its fit by the kernel, what the kernel writes of it, and the ranges around that.
struct Held {
    values: Vec<f64>,
    fit: FitNumbers,
    grid: Grid,
    ours: Written,
    ranges: Ranges,
}

impl Held {
    fn new(values: Vec<f64>) -> Self {
        let fit = rollfit::fit(&values).expect("a window's length").expect("usable values");
        let ranges = Ranges::new(&fit, magnitude(&values));
        let (fit, grid) = (fit.numbers(), Grid::new(fit.window()));
        Self { ours: paths::written_alone(&values), values, fit, grid, ranges }
    }

    /// How the metrics of `terms` are judged.
    fn judged(&self, terms: &Terms) -> Vec<(Metric, Judgement)> {
        self.judged_as(|metric| metric.of(terms))
    }

    /// How the values that `theirs` gives are judged.
    fn judged_as(&self, theirs: impl Fn(Metric) -> f64) -> Vec<(Metric, Judgement)> {
        let judge = |(metric, ours)| (metric, judge(&self.ranges, metric, ours, stored(theirs(metric)), 0.0));
        self.ours.at(0).map(judge).collect()
    }

    /// The metrics that have a value, with it and the bounded range around it.
    fn bounded(&self) -> impl Iterator<Item = (Metric, f64, MetricRange)> {
        let cell = |(metric, ours): (Metric, f64)| (metric, ours, self.ranges.range(metric));
        self.ours.at(0).map(cell).filter(|(_, ours, range)| !ours.is_nan() && width(range).is_finite())
    }
}

/// As [`agreement::judge`], of a window that has a fit.
fn judge(ranges: &Ranges, metric: Metric, ours: f64, theirs: f64, rounding: f64) -> Judgement {
    agreement::judge(Some(ranges), metric, ours, theirs, rounding)
}

fn stored(value: f64) -> f64 {
    if value.is_finite() { value } else { f64::NAN }
}

fn width(range: &MetricRange) -> f64 {
    range.high - range.low
}

fn noisy(rng: &mut Rng, rows: usize) -> Vec<f64> {
    let level = 10f64.powi(rng.i32(-3..6));
    (0..rows).map(|_| level * (1.0 + 0.001 * rng.f64())).collect()
}

/// The fit as a plain program finds it: the normal equations solved, the residuals subtracted and squared.
mod plain {
    use rollfit::FitNumbers;
    use rollfit::reference::Grid;

    pub(super) fn fit(values: &[f64], grid: &Grid) -> FitNumbers {
        let x: Vec<f64> = (0..values.len()).map(|i| (i as f64 - grid.u_last) / grid.scale).collect();
        let moment = |k: i32| sum(&x.iter().map(|x| x.powi(k)).collect::<Vec<_>>());
        let product = |k: i32| sum(&x.iter().zip(values).map(|(x, y)| x.powi(k) * y).collect::<Vec<_>>());
        let [a2, a1, b] = solved(std::array::from_fn(|row| {
            let row = 2 - row as i32;
            [moment(row + 2), moment(row + 1), moment(row), product(row)]
        }));
        let mean = sum(values) / grid.rows;
        let squares = |from: &dyn Fn(f64) -> f64| {
            sum(&x.iter().zip(values).map(|(&x, y)| (y - from(x)).powi(2)).collect::<Vec<_>>())
        };
        let y_last = values[values.len() - 1];
        FitNumbers {
            a2,
            a1,
            b,
            ss_res: squares(&|x| (a2 * x + a1) * x + b),
            ss_tot: squares(&|_| mean),
            y_last,
        }
    }

    /// In pairs, as numpy adds.
    fn sum(values: &[f64]) -> f64 {
        match values.len() {
            0..=8 => values.iter().sum(),
            count => sum(&values[..count / 2]) + sum(&values[count / 2..]),
        }
    }

    fn solved(mut rows: [[f64; 4]; 3]) -> [f64; 3] {
        for pivot in 0..3 {
            for other in (0..3).filter(|&other| other != pivot) {
                let factor = rows[other][pivot] / rows[pivot][pivot];
                let from = rows[pivot];
                rows[other].iter_mut().zip(from).for_each(|(cell, from)| *cell -= factor * from);
            }
        }
        std::array::from_fn(|at| rows[at][3] / rows[at][at])
    }
}

proptest! {
    #![proptest_config(cases(3000))]
    #[test]
    fn another_method_is_within_range_for_every_metric(hard in hard_window(3, 10_000)) {
        let held = Held::new(hard.window().1);
        for (metric, judgement) in held.judged(&Terms::new(&plain::fit(&held.values, &held.grid), &held.grid)) {
            prop_assert!(judgement.agreement != Agreement::Outside, "{metric}: {judgement:?}");
        }
    }
}

proptest! {
    #![proptest_config(cases(3000))]
    #[test]
    fn the_kernel_is_much_closer_to_the_exact_answer_than_a_range_reaches(hard in hard_window(3, 10_000)) {
        let held = Held::new(hard.window().1);
        let exact = rollfit::reference::terms(&held.values).expect("a window's length").expect("usable");
        for (metric, judgement) in held.judged_as(|metric| metric.of(&exact).to_f64()) {
            let undetermined = judgement.agreement == Agreement::Undetermined;
            prop_assert!(undetermined || judgement.distance < 0.1, "{metric}: {judgement:?}");
        }
    }
}

/// `fit` with its coefficients moved by `by`: the residuals, at right angles to every parabola, grow by the moved one.
fn moved(held: &Held, by: [f64; 3]) -> FitNumbers {
    let Held { fit, grid, .. } = held;
    let [a2, a1, b] = by;
    let moved = (0..held.values.len()).map(|i| {
        let x = (i as f64 - grid.u_last) / grid.scale;
        ((a2 * x + a1) * x + b).powi(2)
    });
    let ss_res = fit.ss_res + moved.sum::<f64>();
    FitNumbers { a2: fit.a2 + a2, a1: fit.a1 + a1, b: fit.b + b, ss_res, ..*fit }
}

/// The fits whose coefficients are all off by `share` of what they may be off by.
fn corners(held: &Held, share: f64) -> Vec<FitNumbers> {
    let range = held.ranges.range(Metric::B);
    let reach = share * width(&range) / 2.0;
    let sign = |corner: usize, bit: usize| if corner >> bit & 1 == 0 { reach } else { -reach };
    (0..8).map(|corner| moved(held, [sign(corner, 0), sign(corner, 1), sign(corner, 2)])).collect()
}

proptest! {
    #![proptest_config(cases(3000))]
    #[test]
    fn no_metric_of_uncertain_coefficients_is_outside_its_range(
        hard in hard_window(3, 3000),
        share in 0.0..0.99f64,
    ) {
        let held = Held::new(hard.window().1);
        for fit in corners(&held, share) {
            for (metric, judgement) in held.judged(&Terms::new(&fit, &held.grid)) {
                prop_assert!(judgement.agreement != Agreement::Outside, "{metric}: {judgement:?}");
            }
        }
    }
}

#[test]
fn ranges_are_no_wider_than_uncertain_coefficients_make_them() {
    let from_coefficients = [
        Metric::A2,
        Metric::A1,
        Metric::B,
        Metric::Prediction,
        Metric::VertexX,
        Metric::VertexY,
        Metric::Curvature,
        Metric::QuadraticTerm,
        Metric::LinearTerm,
        Metric::ConstantTerm,
        Metric::Residual,
    ];
    let mut rng = Rng::with_seed(31);
    for rows in [3, 4, 15, 90, 1000] {
        let held = Held::new(noisy(&mut rng, rows));
        for metric in from_coefficients {
            let distance = |fit: &FitNumbers| {
                let judged = held.judged(&Terms::new(fit, &held.grid));
                judged.iter().find(|(other, _)| *other == metric).expect("in the catalogue").1.distance
            };
            let farthest = corners(&held, 1.0).iter().map(distance).fold(0.0, f64::max);
            assert!((0.95..1.05).contains(&farthest), "{metric} of {rows} rows: {farthest}");
        }
    }
}

proptest! {
    #![proptest_config(cases(3000))]
    #[test]
    fn a_value_moved_by_ten_times_its_range_is_outside_and_by_half_is_not(hard in hard_window(3, 3000)) {
        let held = Held::new(hard.window().1);
        for (metric, ours, range) in held.bounded() {
            for end in [range.low, range.high] {
                let at = |share: f64| judge(&held.ranges, metric, ours, ours + share * (end - ours), 0.0);
                if (end - ours).abs() > 1e-300 {
                    prop_assert!(at(0.5).agreement != Agreement::Outside, "{metric}: {ours:e} in {range:?}");
                    prop_assert_eq!(at(10.0).agreement, Agreement::Outside, "{}: {:e} in {:?}", metric, ours, range);
                    prop_assert!((9.0..11.0).contains(&at(10.0).distance));
                }
            }
        }
    }
}

/// The unit of the `digit`th significant decimal digit.
fn unit_of_digit(value: f64, digit: i32) -> f64 {
    10f64.powi(value.abs().log10().floor() as i32 + 1 - digit)
}

#[test]
fn a_changed_digit_is_found_wherever_the_range_is_narrower_than_the_digit() {
    let mut rng = Rng::with_seed(32);
    let (mut found, mut tenth) = (0, 0);
    for _ in 0..2000 {
        let rows = hard::rows(&mut rng, 3, 300);
        // Returns: values of either sign about 0, and prices: about a level.
        let values =
            if rng.bool() { noisy(&mut rng, rows) } else { (0..rows).map(|_| rng.f64() - 0.5).collect() };
        let held = Held::new(values);
        let other = Terms::new(&plain::fit(&held.values, &held.grid), &held.grid);
        for (metric, ours, range) in held.bounded().filter(|(_, ours, range)| width(range) < ours.abs()) {
            let theirs = metric.of(&other);
            for digit in (1..=15).take_while(|&digit| unit_of_digit(theirs, digit) > 1.1 * width(&range)) {
                for unit in [unit_of_digit(theirs, digit), -unit_of_digit(theirs, digit)] {
                    let agreement = judge(&held.ranges, metric, ours, theirs + unit, 0.0).agreement;
                    assert_eq!(agreement, Agreement::Outside, "{metric}: digit {digit} of {theirs:e}");
                    (found, tenth) = (found + 1, tenth + i32::from(digit == 10));
                }
            }
        }
    }
    assert!(found > 100_000 && tenth > 20_000, "{found}, of them {tenth} in the tenth digit");
}

/// The metrics of the whole series, a column each, with the ranges of every row that has a fit.
fn held_rows(values: &[f64], rows: usize) -> (Written, Vec<Ranges>) {
    let mut kernel = Kernel::new(&[window(rows)]);
    let tile = kernel.fit(values, rows - 1..values.len()).expect("rows of the series");
    let fits = tile.fits(0).expect("the only window");
    let ranges = values
        .windows(rows)
        .enumerate()
        .map(|(row, values)| Ranges::new(&fits.get(row).expect("a fit"), magnitude(values)));
    (Written::from_fits(fits), ranges.collect())
}

#[test]
fn two_neighbouring_rows_that_were_swapped_are_both_found() {
    let mut rng = Rng::with_seed(33);
    // Three rows have a parabola through them, and no residuals to tell apart.
    for rows in [4, 15, 90, 1000] {
        let values = noisy(&mut rng, rows + 300);
        let (ours, ranges) = held_rows(&values, rows);
        for row in 0..300 {
            for (at, other) in [(row, row + 1), (row + 1, row)] {
                let found = ours.at(at).zip(ours.at(other)).filter(|&((metric, ours), (_, theirs))| {
                    judge(&ranges[at], metric, ours, theirs, 0.0).agreement == Agreement::Outside
                });
                // Of all but the mean residual, which is 0 in both.
                assert_eq!(found.count(), Metric::ALL.len() - 1, "row {at} of {rows} rows");
            }
        }
    }
}

#[test]
fn a_window_that_takes_in_one_wrong_value_is_found() {
    let mut rng = Rng::with_seed(34);
    for rows in [4, 15, 90, 1000] {
        let held = Held::new(noisy(&mut rng, rows));
        let mut values = held.values.clone();
        values[rng.usize(0..rows)] *= 1.0001;
        let found = |(_, judgement): &(Metric, Judgement)| judgement.agreement == Agreement::Outside;
        let wrong = Held::new(values);
        assert!(
            held.judged(&Terms::new(&wrong.fit, &wrong.grid)).iter().filter(|cell| found(cell)).count() > 10
        );
    }
}

#[test]
fn absent_agrees_only_with_absent_and_infinite_with_nothing() {
    let held = Held::new(vec![100.0, 101.0, 99.5, 100.5, 100.0]);
    for (metric, ours) in held.ours.at(0) {
        let verdict = |ours, theirs| judge(&held.ranges, metric, ours, theirs, 0.0);
        assert_eq!(verdict(f64::NAN, f64::NAN).agreement, Agreement::BitEqual);
        for (ours, theirs) in
            [(ours, f64::NAN), (f64::NAN, ours), (ours, f64::INFINITY), (ours, f64::NEG_INFINITY)]
        {
            let Judgement { agreement, distance, .. } = verdict(ours, theirs);
            assert_eq!((agreement, distance), (Agreement::Outside, f64::INFINITY), "{metric}");
        }
    }
}

#[test]
fn a_mean_residual_is_never_said_to_agree_unless_it_is_zero() {
    let values = vec![100.0, 101.0, 99.5, 100.5, 100.0];
    let held = Held::new(values);
    let verdict = |theirs| judge(&held.ranges, Metric::ResidualMean, 0.0, theirs, 0.0).agreement;
    assert_eq!([verdict(0.0), verdict(-0.0)], [Agreement::BitEqual; 2]);
    assert_eq!([verdict(1e-14), verdict(-1e-14)], [Agreement::Undetermined; 2]);
    assert_eq!([verdict(1e-10), verdict(-1e-10)], [Agreement::Outside; 2]);
}

#[test]
fn the_vertex_of_a_line_is_undetermined() {
    let held = Held::new((0..15).map(|i| 1000.0 * f64::from(i)).collect());
    for metric in [Metric::VertexX, Metric::VertexY] {
        let range = held.ranges.range(metric);
        assert_eq!((range.low, range.high), (f64::NEG_INFINITY, f64::INFINITY));
        assert_eq!(judge(&held.ranges, metric, -1e13, 1e17, 0.0).agreement, Agreement::Undetermined);
    }
}

#[test]
fn a_constant_window_hides_every_coefficient_but_its_level() {
    let held = Held::new(vec![100.0; 15]);
    for (metric, ours, range) in held.bounded() {
        let wanted = if ours == 0.0 { Agreement::Undetermined } else { Agreement::Within };
        let above = range.high - ours > ours - range.low;
        let theirs = ours.midpoint(if above { range.high } else { range.low });
        assert_eq!(judge(&held.ranges, metric, ours, theirs, 0.0).agreement, wanted, "{metric}");
    }
    let zeros = Held::new(vec![0.0; 15]);
    for (metric, judgement) in zeros.judged(&Terms::new(&plain::fit(&zeros.values, &zeros.grid), &zeros.grid))
    {
        assert_eq!(judgement.agreement, Agreement::BitEqual, "{metric}");
    }
}

proptest! {
    #![proptest_config(cases(3000))]
    #[test]
    fn what_a_column_rounds_away_is_allowed_for(seed in any::<u64>(), rows in 3..300usize, digits in 0..12i32) {
        let held = Held::new(noisy(&mut Rng::with_seed(seed), rows));
        let unit = 10f64.powi(-digits);
        let rounded = |value: f64| (value / unit).round() * unit;
        let other = Terms::new(&plain::fit(&held.values, &held.grid), &held.grid);
        for (metric, ours) in held.ours.at(0) {
            let theirs = metric.of(&other);
            // A value in units of the last digit is itself off by an ulp here.
            let half_unit = unit / 2.0 + 2.0 * bounds::ulp(ours);
            let numeric = judge(&held.ranges, metric, rounded(ours), rounded(theirs), half_unit).agreement;
            prop_assert!(numeric != Agreement::Outside, "{metric}: {ours:e} and {theirs:e} by {unit:e}");
            let single = |value: f64| f64::from(value as f32);
            let half_ulp = single(ours).abs() * f64::from(f32::EPSILON);
            let real = judge(&held.ranges, metric, single(ours), single(theirs), half_ulp).agreement;
            prop_assert!(real != Agreement::Outside, "{metric}: {ours:e} and {theirs:e} as f32");
        }
    }
}

/// The windows of `benches/numpy_job.py`.
const NUMPY_WINDOWS: [usize; 6] = [15, 30, 45, 60, 75, 90];

/// One series of a file that `benches/numpy_job.py --dump` wrote.
struct Dumped {
    values: Vec<f64>,
    columns: Vec<Vec<f64>>,
}

fn dumped(path: &str) -> [Dumped; 2] {
    let bytes = std::fs::read(path).expect("a dump of benches/numpy_job.py");
    let doubles =
        bytes.chunks_exact(8).map(|eight| f64::from_le_bytes(eight.try_into().expect("eight bytes")));
    let mut doubles = doubles.collect::<Vec<_>>().into_iter();
    let rows = doubles.next().expect("the number of rows") as usize;
    let mut column = || doubles.by_ref().take(rows).collect::<Vec<_>>();
    let values = [column(), column()];
    values.map(|values| Dumped { values, columns: (0..90).map(|_| column()).collect() })
}

/// What PostgreSQL keeps of a double that it casts to NUMERIC.
fn fifteen_digits(value: f64) -> f64 {
    if value.is_nan() { value } else { format!("{value:.14e}").parse().expect("a number") }
}

/// How one metric of all windows of a series was judged.
#[derive(Clone, Default)]
struct Tally {
    cells: u64,
    equal: u64,
    undetermined: u64,
    outside: u64,
    /// Outside if its tenth digit changes.
    tenth_found: u64,
    /// Outside if it is in the row before.
    shift_found: u64,
    worst: f64,
    worst_cast: f64,
    digits: Vec<f64>,
}

impl Tally {
    fn see(&mut self, ranges: &Ranges, metric: Metric, ours: f64, theirs: f64, following: f64) {
        let judged = |theirs: f64| judge(ranges, metric, ours, theirs, 0.0);
        let is = |theirs: f64, agreement| u64::from(judged(theirs).agreement == agreement);
        let cast = fifteen_digits(theirs);
        self.cells += 1;
        self.equal += is(theirs, Agreement::BitEqual);
        self.undetermined += is(theirs, Agreement::Undetermined);
        self.outside += is(theirs, Agreement::Outside) | is(cast, Agreement::Outside);
        self.shift_found += is(following, Agreement::Outside);
        if theirs != 0.0 {
            self.tenth_found += is(theirs + unit_of_digit(theirs, 10), Agreement::Outside);
        }
        self.worst = self.worst.max(judged(theirs).distance);
        self.worst_cast = self.worst_cast.max(judged(cast).distance);
        self.digits.push((ours.abs() / width(&ranges.range(metric))).log10());
    }

    #[allow(clippy::print_stdout)] // what is measured is to be read
    fn print(&mut self, metric: Metric) {
        self.digits.sort_by(f64::total_cmp);
        let digits = self.digits[self.digits.len() / 2];
        let [equal, undetermined, tenth, shift] =
            [self.equal, self.undetermined, self.tenth_found, self.shift_found]
                .map(|count| 100.0 * count as f64 / self.cells as f64);
        let Self { worst, worst_cast, .. } = self;
        let name = metric.name();
        println!(
            "| {name} | {equal:.2} | {undetermined:.4} | {worst:.4} | {worst_cast:.4} | {digits:.1} | {tenth:.1} | {shift:.2} |"
        );
    }
}

fn tally(dumped: &Dumped, tallies: &mut [Tally]) {
    for (columns, rows) in dumped.columns.chunks_exact(15).zip(NUMPY_WINDOWS) {
        let (ours, ranges) = held_rows(&dumped.values, rows);
        for ((column, &metric), tally) in columns.iter().zip(Metric::STORED).zip(&mut *tallies) {
            let (warm_up, theirs) = column.split_at(rows - 1);
            assert!(warm_up.iter().all(|value| value.is_nan()), "{metric} of {rows} rows has warm-up rows");
            for ((pair, ranges), &ours) in theirs.windows(2).zip(&ranges).zip(ours.column(metric)) {
                tally.see(ranges, metric, ours, pair[0], pair[1]);
            }
        }
    }
}

/// Prints the figures that `docs/formulas.md` records, of the dumps that `ROLLFIT_NUMPY_DUMPS` names.
#[test]
#[allow(clippy::print_stdout)] // what is measured is to be read
fn measured_agreement_with_the_numpy_job() {
    let Ok(paths) = std::env::var("ROLLFIT_NUMPY_DUMPS") else {
        println!("skipped: ROLLFIT_NUMPY_DUMPS names no files of benches/numpy_job.py");
        return;
    };
    let mut tallies = [vec![Tally::default(); 15], vec![Tally::default(); 15]];
    for path in paths.split_whitespace() {
        for (dumped, tallies) in dumped(path).iter().zip(&mut tallies) {
            tally(dumped, tallies);
        }
    }
    for (series, tallies) in ["idx", "bqx"].iter().zip(&mut tallies) {
        let cells: u64 = tallies.iter().map(|tally| tally.cells).sum();
        println!("\n{series}, {cells} cells");
        println!(
            "| metric | equal % | undetermined % | worst | cast | digits | 10th digit % | shifted row % |"
        );
        Metric::STORED.iter().zip(&mut *tallies).for_each(|(&metric, tally)| tally.print(metric));
        assert!(tallies.iter().all(|tally| tally.outside == 0), "{series}");
    }
}
