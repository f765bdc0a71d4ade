//! Agreement with features that another program computed: whether a number that it stored can be what its own rounding
//! made of the same window.
//!
//! The other program solves the same least squares by another method, so that its coefficients differ from the exact
//! ones in their last digits, and it takes residuals, vertex and intervals from those. [`UNCERTAINTY`]*M, with M the
//! largest magnitude of the window, is what each coefficient may be off by; `docs/formulas.md` tells how the constant
//! was found. [`Ranges`] are where the metrics may then lie, and [`judge`] holds a stored value against its
//! range. Invariants: coefficients that are off by no more than that put no metric outside its range, and a
//! value without a digit that the range determines is never said to agree, unless it is the same to the last bit.
//!
//! What rollfit promises of itself is another matter: see [`crate::bounds`]. Here the fit passes for exact, since its
//! error is a small share of any range, and the window's values are not looked at: a cell costs nanoseconds.

use crate::fit::{Fit, Terms};
use crate::metric::{Metric, NORMAL_95, Part};
use crate::number::GUARD;
use crate::window::Grid;

/// What each of another program's coefficients may be off by, in units of the window's largest magnitude: 16 times the
/// worst seen of a month that a numpy job stored.
pub const UNCERTAINTY: f64 = 1e-13;

/// The largest root mean square over a window of a parabola with coefficients within 1: that of x^2 + x + 1, for the
/// means of x^4 and x^2 are below 1.8 and 1.
const ROOT_MEAN_SQUARE: f64 = 2.41;
/// Its largest mean: that of x^2 + 1.
const MEAN: f64 = 2.0;
/// What subtracting fitted values may add to the root mean square of residuals, in units of the largest magnitude.
const SUBTRACTION: f64 = 2e-15;
/// What rounding alone may add to a share of 1, such as r2.
const SHARE_ROUNDING: f64 = 8.0 * f64::EPSILON;

/// The largest magnitude among `values`, the unit of [`UNCERTAINTY`].
#[must_use]
pub fn magnitude(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| value.abs().max(most))
}

/// What a stored value is to the one computed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Agreement {
    /// The same number, or both absent. Zeros are the same whatever their sign.
    BitEqual,
    /// Not the same, and within a range that is narrower than the value.
    Within,
    /// Not the same, and within a range that is wider than the value: it neither agrees nor differs.
    Undetermined,
    /// Outside the range, infinite, or absent where the other is not.
    Outside,
}

/// An [`Agreement`], and how far the stored value is from the computed one.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Judgement {
    /// The verdict.
    pub agreement: Agreement,
    /// The distance in units of the range's reach on that side: 0 for the same number, up to 1 within the range.
    pub distance: f64,
}

impl Judgement {
    const SAME: Self = Self { agreement: Agreement::BitEqual, distance: 0.0 };
    const APART: Self = Self { agreement: Agreement::Outside, distance: f64::INFINITY };
}

/// The closed range that a metric may lie in. Infinite on both sides where a denominator may be 0.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct MetricRange {
    /// The least value.
    pub low: f64,
    /// The largest value.
    pub high: f64,
}

impl MetricRange {
    const UNBOUNDED: Self = Self { low: f64::NEG_INFINITY, high: f64::INFINITY };

    /// Unbounded where the reach has no value.
    fn around(value: f64, reach: f64) -> Self {
        let range = Self { low: value - reach, high: value + reach };
        if reach.is_nan() { Self::UNBOUNDED } else { range }
    }

    fn holds(self, value: f64) -> bool {
        value.is_finite() && self.low <= value && value <= self.high
    }

    /// Whether numbers in this range have no digit in common with `value`.
    fn hides(self, value: f64) -> bool {
        let width = self.high - self.low;
        width.is_nan() || width > value.abs()
    }

    /// The range's reach from `value`, which it holds, towards `other`.
    fn reach_towards(self, other: f64, value: f64) -> f64 {
        if other < value { value - self.low } else { self.high - value }
    }

    /// The longer of the range's reaches from `value`, which it holds.
    fn reach(self, value: f64) -> f64 {
        (value - self.low).max(self.high - value)
    }

    /// The range of magnitudes.
    fn abs(self) -> Self {
        let (low, high) = (self.low.abs(), self.high.abs());
        Self { low: if self.holds(0.0) { 0.0 } else { low.min(high) }, high: low.max(high) }
    }

    /// The range of quotients.
    fn over(self, divisor: Self) -> Self {
        if divisor.holds(0.0) {
            return Self::UNBOUNDED;
        }
        let ends = [
            self.low / divisor.low,
            self.low / divisor.high,
            self.high / divisor.low,
            self.high / divisor.high,
        ];
        let low = ends.into_iter().fold(f64::INFINITY, f64::min);
        Self { low, high: ends.into_iter().fold(f64::NEG_INFINITY, f64::max) }
    }
}

/// Where another program's metrics of one window may lie.
///
/// ```
/// use rollfit::Metric;
/// use rollfit::agreement::{Agreement, Ranges, judge, magnitude};
/// let values = [100.0, 101.0, 99.5, 100.5];
/// let fit = rollfit::fit(&values)?.expect("all values can be used");
/// let ours = Metric::Prediction.value(&fit).unwrap();
/// let ranges = Ranges::new(&fit, magnitude(&values));
/// let verdict = |theirs| judge(Some(&ranges), Metric::Prediction, ours, theirs, 0.0).agreement;
/// assert_eq!(verdict(ours + 1e-12), Agreement::Within);
/// assert_eq!(verdict(ours + 1e-9), Agreement::Outside);
/// assert_eq!(verdict(f64::NAN), Agreement::Outside);
/// # Ok::<(), rollfit::WindowError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Ranges {
    terms: Terms,
    /// The reach of a coefficient.
    coefficient: f64,
    /// The reach of the parabola at the window's first and last rows.
    end: f64,
    /// The range of the residuals' root mean square.
    residuals: MetricRange,
    r2: MetricRange,
}

impl Ranges {
    /// The ranges around `fit`, of a window with values up to `magnitude` in magnitude.
    #[must_use]
    pub fn new(fit: &Fit, magnitude: f64) -> Self {
        let grid: Grid = Grid::new(fit.window());
        let terms = Terms::new(&fit.numbers(), &grid);
        let coefficient = UNCERTAINTY * magnitude;
        // No less than the spread, half of which, squared, is in the total at least twice.
        let spread = (2.0 * fit.ss_tot()).sqrt();
        let rounding = SUBTRACTION * magnitude + 4e-15 * spread;
        let residuals = length(terms.rmse, ROOT_MEAN_SQUARE * coefficient, rounding);
        let deviations = length((fit.ss_tot() / grid.rows).sqrt(), coefficient, rounding);
        let end = (grid.x_last * grid.x_last + grid.x_last + 1.0) * coefficient;
        Self { terms, coefficient, end, residuals, r2: r2(residuals, deviations, GUARD / grid.rows) }
    }

    /// Where the window's `metric` may lie.
    #[must_use]
    pub fn range(&self, metric: Metric) -> MetricRange {
        let Self { terms, coefficient, end, residuals, r2 } = self;
        let steps = (terms.u_last + terms.u_last) / terms.scale;
        let reach = match metric {
            Metric::A2 | Metric::A1 | Metric::B => *coefficient,
            Metric::ResidualMean => MEAN * coefficient,
            Metric::Prediction | Metric::Residual | Metric::ConstantTerm => *end,
            Metric::PredIntervalLower | Metric::PredIntervalUpper => {
                end + NORMAL_95 * residuals.reach(terms.rmse)
            }
            Metric::QuadraticTerm => coefficient * (steps * steps),
            Metric::LinearTerm => coefficient * (steps * steps + steps),
            Metric::Rmse | Metric::ResidualStd => return *residuals,
            Metric::R2 | Metric::FitQuality => return *r2,
            Metric::VertexX => return self.vertex_x(),
            Metric::VertexY => self.reach_of_vertex_y(),
            Metric::ExtrapolationError => return self.extrapolation_error(),
            derived => return self.derived(derived),
        };
        MetricRange::around(metric.of(terms), reach)
    }

    /// The range of a metric's formula over the box of its parts. The formula is monotone in each part but where it turns.
    fn derived(&self, metric: Metric) -> MetricRange {
        let mut range = MetricRange::around(metric.of(&self.terms), 0.0);
        let mut terms = self.terms;
        self.corners(metric.made_of(), &mut terms, &mut |terms| {
            let value = metric.of(terms);
            range = MetricRange { low: range.low.min(value), high: range.high.max(value) };
            if !value.is_finite() {
                range = MetricRange::UNBOUNDED;
            }
        });
        let limits = metric.limits();
        MetricRange { low: range.low.max(*limits.start()), high: range.high.min(*limits.end()) }
    }

    fn corners<F: FnMut(&Terms)>(&self, parts: &[Part], terms: &mut Terms, see: &mut F) {
        let Some((&part, others)) = parts.split_first() else { return see(terms) };
        let range = self.part(part);
        let turns = part.turning_points(terms).filter(|&turn| range.holds(turn));
        for point in [range.low, range.high].into_iter().chain(turns) {
            *part.of_terms(terms) = point;
            self.corners(others, terms, see);
        }
    }

    fn part(&self, part: Part) -> MetricRange {
        self.range(match part {
            Part::A2 => Metric::A2,
            Part::A1 => Metric::A1,
            Part::B => Metric::B,
            Part::R2 => Metric::R2,
            Part::Rmse => Metric::Rmse,
            Part::Prediction => Metric::Prediction,
            Part::VertexX => Metric::VertexX,
        })
    }

    /// The range of `-a1 / (2*a2 + 1e-10)`.
    fn vertex_x(&self) -> MetricRange {
        let Terms { a2, a1, .. } = self.terms;
        MetricRange::around(-a1, self.coefficient)
            .over(MetricRange::around(2.0 * a2 + GUARD, 2.0 * self.coefficient))
    }

    /// Another parabola at its own vertex v' = v + d. Their parabola and ours differ there by the uncertainty times
    /// v'^2 + |v'| + 1, ours at v' and at v by d*(a2*(v' + v) + a1), which is d*(a2*d - 1e-10*v).
    fn reach_of_vertex_y(&self) -> f64 {
        let Terms { a2, vertex_x, .. } = self.terms;
        let range = self.vertex_x();
        let most = range.abs().high;
        let apart = range.reach(vertex_x);
        let differ = self.coefficient * (most * most + most + 1.0);
        differ + apart * (a2.abs() * apart + GUARD * vertex_x.abs())
    }

    fn extrapolation_error(&self) -> MetricRange {
        let prediction = MetricRange::around(self.terms.prediction, self.end).abs();
        self.residuals.over(MetricRange { low: prediction.low + GUARD, high: prediction.high + GUARD })
    }
}

/// What `theirs`, a stored value, is to `ours`, the `metric` of a window as the same column would store it. A value that is absent
/// is NaN; a window without a fit has no ranges, and no value. `rounding` is what storing may have added to either: half a unit of
/// the column's last digit, 0 where the column holds every double.
#[must_use]
pub fn judge(ranges: Option<&Ranges>, metric: Metric, ours: f64, theirs: f64, rounding: f64) -> Judgement {
    match (ours.is_nan(), theirs.is_nan(), ranges) {
        (true, true, _) => Judgement::SAME,
        (false, false, _) if ours == theirs => Judgement::SAME,
        (false, false, Some(ranges)) => judged(ranges.range(metric), ours, theirs, rounding),
        _ => Judgement::APART,
    }
}

/// Judges the value `theirs` of a column that holds copies of an input, against the input `ours`. No value is NaN. `rounding` as in
/// [`judge`]: each of the two may have been rounded.
#[must_use]
pub fn judge_copy(ours: f64, theirs: f64, rounding: f64) -> Judgement {
    let distance = (theirs - ours).abs() / (2.0 * rounding);
    match (ours.is_nan(), theirs.is_nan()) {
        (true, true) => Judgement::SAME,
        (false, false) if ours == theirs => Judgement::SAME,
        (false, false) if distance <= 1.0 => Judgement { agreement: Agreement::Within, distance },
        _ => Judgement::APART,
    }
}

/// The range of a root mean square of differences that is `exact` at the least squares. Differences from a curve that
/// is off by `apart`, in root mean square, are longer: the two are at right angles. `rounding` adds to either side, and
/// so does what rollfit promises of its own.
fn length(exact: f64, apart: f64, rounding: f64) -> MetricRange {
    let slack = 1e-12 * exact + rounding;
    MetricRange { low: (exact - slack).max(0.0), high: exact.hypot(apart) + slack }
}

/// The range of `1 - ss_res / (ss_tot + 1e-10)`, from those of the root mean squares; `guard` is per row.
fn r2(residuals: MetricRange, deviations: MetricRange, guard: f64) -> MetricRange {
    let share = |residuals: f64, deviations: f64| residuals * residuals / (deviations * deviations + guard);
    MetricRange {
        low: 1.0 - share(residuals.high, deviations.low) - SHARE_ROUNDING,
        high: 1.0 - share(residuals.low, deviations.high) + SHARE_ROUNDING,
    }
}

/// Numbers that are not the same.
fn judged(range: MetricRange, ours: f64, theirs: f64, rounding: f64) -> Judgement {
    let range = MetricRange { low: range.low - rounding, high: range.high + rounding };
    let agreement = match (range.holds(theirs), range.hides(ours)) {
        (false, _) => Agreement::Outside,
        (true, true) => Agreement::Undetermined,
        (true, false) => Agreement::Within,
    };
    let reach = range.reach_towards(theirs, ours);
    let distance = if theirs.is_finite() { (theirs - ours).abs() / reach } else { f64::INFINITY };
    Judgement { agreement, distance }
}
