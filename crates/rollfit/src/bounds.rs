//! The accuracy promise as formulas: how far a stored metric may lie from the exact one.
//!
//! [`Bounds`] are made from a window's values and the [`crate::reference`] fit; [`Bounds::error`] then gives the error
//! of any value of any metric in units of what is promised. Invariants: a value's error is 1 or less if and
//! only if the value lies within the promise, up to a rounding of 1e-15 of the bound itself. It does not ask how a
//! value was computed, and it does not judge what is not about digits, such as the sign of a zero.
//!
//! With R the spread and M the largest magnitude of the window, the promise is
//!
//! | part | within |
//! |---|---|
//! | `a2`, `a1` | 1e-13*R |
//! | `b`, `prediction` | 4 ulp of M, plus 1e-13*R |
//! | `rmse` | 1e-12 of itself, plus 4e-15*R |
//! | `r2` | 1e-12 |
//!
//! and for every other metric the range that its formula takes while the parts it is made of vary over theirs, plus
//! 8 ulp of its largest term. `residual_mean` is exactly 0. The formula is [`Metric::of`], evaluated in
//! [`DoubleDouble`] at the corners of the box of its parts: every formula is monotone in each part alone, so that its
//! extremes are there, except where it turns: `abs` turns at 0, and `vertex_y` is itself a parabola in `vertex_x`. Those
//! points are evaluated too.

use std::ops::RangeInclusive;

use crate::fit::{Fit, FitNumbers, Terms};
use crate::metric::Metric;
use crate::number::{GUARD, Number};
use crate::reference::{self, DoubleDouble};
use crate::window::{Grid, Window, WindowError};

pub use crate::metric::Part;

/// The longest window with a promise.
const MOST_ROWS: usize = 10_000;
/// The least spread above 0 with a promise: sums of squares would underflow.
const LEAST_SPREAD: f64 = 1e-100;
/// What a formula may add to the errors of its parts, in ulp of its largest term.
const FORMULA_ULPS: f64 = 8.0;

/// The error of one value against what is promised of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ErrorInBounds {
    /// In units of the bound: 0 is exact, up to 1 is within the promise. Infinite for a value that is missing or should
    /// be, and for one that the metric cannot have, such as an `r2` above 1.
    Units(f64),
    /// Nothing is promised: the range of a denominator holds 0, the formula leaves the range of doubles, or the window
    /// has more than 10,000 rows or a spread above 0 and below 1e-100.
    Undetermined,
}

impl ErrorInBounds {
    /// Whether no promise is broken.
    #[must_use]
    pub fn passes(self) -> bool {
        self.units().is_none_or(|units| units <= 1.0)
    }

    /// The error in units of the bound, where there is a bound.
    #[must_use]
    pub fn units(self) -> Option<f64> {
        match self {
            ErrorInBounds::Units(units) => Some(units),
            ErrorInBounds::Undetermined => None,
        }
    }
}

/// The closed range that a metric or a part of one may lie in, around its exact value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ErrorRange {
    /// The least value within the promise.
    pub low: DoubleDouble,
    /// The exact value.
    pub exact: DoubleDouble,
    /// The largest value within the promise.
    pub high: DoubleDouble,
}

impl ErrorRange {
    fn around(exact: DoubleDouble, tolerance: f64) -> Self {
        Self { low: exact, exact, high: exact }.widened(tolerance)
    }

    fn widened(self, by: f64) -> Self {
        let by = DoubleDouble::from_f64(by);
        Self { low: self.low - by, exact: self.exact, high: self.high + by }
    }

    /// The range that also holds `point`.
    fn with(self, point: DoubleDouble) -> Self {
        Self { low: least(self.low, point), exact: self.exact, high: most(self.high, point) }
    }

    /// The part of the range within `limits`, where `exact` lies.
    fn within(self, limits: &RangeInclusive<f64>) -> Self {
        let low = most(self.low, DoubleDouble::from_f64(*limits.start()));
        let high = least(self.high, DoubleDouble::from_f64(*limits.end()));
        Self { low, exact: self.exact, high }
    }

    fn holds(&self, point: DoubleDouble) -> bool {
        self.low <= point && point <= self.high
    }

    fn finite(self) -> Option<Self> {
        (self.low.is_finite() && self.exact.is_finite() && self.high.is_finite()).then_some(self)
    }

    /// The distance of `value` from the exact one, over the range's reach on that side. Where the reach ends at the
    /// limit of what the metric can be, that end says nothing about accuracy and the other side's reach stands for it.
    fn units(&self, value: f64, limits: &RangeInclusive<f64>) -> f64 {
        if !limits.contains(&value) || !value.is_finite() {
            return f64::INFINITY;
        }
        let error = DoubleDouble::from_f64(value) - self.exact;
        let (below, above) = (self.exact - self.low, self.high - self.exact);
        let (reach, end, limit) = match error < DoubleDouble::ZERO {
            true => (below, self.low, *limits.start()),
            false => (above, self.high, *limits.end()),
        };
        let reach = if end == DoubleDouble::from_f64(limit) { most(below, above) } else { reach };
        if error == DoubleDouble::ZERO { 0.0 } else { error.abs().to_f64() / reach.to_f64() }
    }
}

fn least(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble {
    if b < a { b } else { a }
}

fn most(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble {
    if b > a { b } else { a }
}

/// The spacing of doubles at `x`: the distance from `|x|` to the next larger double. NaN where `x` is not finite.
///
/// ```
/// use rollfit::bounds::ulp;
/// assert_eq!(ulp(1.0), f64::EPSILON);
/// assert_eq!(ulp(-100.0), 64.0 * f64::EPSILON);
/// ```
#[must_use]
pub fn ulp(x: f64) -> f64 {
    if x.is_finite() { x.abs().next_up() - x.abs() } else { f64::NAN }
}

/// What is promised of the metrics of one window.
///
/// ```
/// use rollfit::{Metric, bounds::Bounds};
/// let bounds = Bounds::from_values(&[1.0, 2.0, 4.0, 8.0])?;
/// assert!(bounds.error(Metric::Prediction, 7.95).passes());
/// assert!(!bounds.error(Metric::Prediction, 7.951).passes());
/// assert!(!bounds.error(Metric::Prediction, f64::NAN).passes());
/// # Ok::<(), rollfit::WindowError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bounds {
    /// `None` where the window has no fit.
    known: Option<Known>,
}

/// The exact terms of a window with the tolerances of its parts, in the units of the parts.
#[derive(Clone, Debug)]
struct Known {
    terms: Terms<DoubleDouble>,
    promised: bool,
    /// Of `a2` and `a1`.
    coefficient: f64,
    /// Of `b` and `prediction`.
    level: f64,
    rmse: f64,
    r2: f64,
    vertex_x: Option<ErrorRange>,
}

impl Bounds {
    /// The bounds of the window `values`, oldest first, whose terms are computed here.
    ///
    /// # Errors
    /// [`WindowError`] when the number of values is not that of a window.
    pub fn from_values(values: &[f64]) -> Result<Self, WindowError> {
        let none = Self { known: None };
        Ok(reference::terms(values)?.map_or(none, |terms| Self::new(values, &terms)))
    }

    /// The bounds of the window `values`, oldest first, with the exact `terms`.
    #[must_use]
    pub fn new(values: &[f64], terms: &Terms<DoubleDouble>) -> Self {
        Self { known: Some(Known::new(values, terms)) }
    }

    /// The error of `value` as this window's `metric`. A value that is absent is NaN; where the window has no fit, only
    /// that is right.
    #[must_use]
    pub fn error(&self, metric: Metric, value: f64) -> ErrorInBounds {
        let Some(known) = &self.known else {
            return ErrorInBounds::Units(if value.is_nan() { 0.0 } else { f64::INFINITY });
        };
        known.range(metric).map_or(ErrorInBounds::Undetermined, |range| {
            ErrorInBounds::Units(range.units(value, &metric.limits()))
        })
    }

    /// Where this window's `metric` may lie. `None` where the window has no fit or nothing is promised.
    #[must_use]
    pub fn range(&self, metric: Metric) -> Option<ErrorRange> {
        self.known.as_ref()?.range(metric)
    }
}

/// The errors of all metrics that follow, in doubles, from `fit` as the fit of the window `values`, oldest first.
///
/// `None` is right for a window that has no fit.
///
/// ```
/// use rollfit::bounds;
///
/// let values = [1.0, 2.0, 4.0, 8.0];
/// let fit = rollfit::fit(&values)?;
/// assert!(bounds::check(&values, fit.as_ref())?.all(|(_, error)| error.passes()));
/// assert!(bounds::check(&values[1..], fit.as_ref()).is_err(), "the fit of another window");
/// # Ok::<(), rollfit::WindowError>(())
/// ```
///
/// # Errors
/// [`WindowError`] when the number of values is not that of a window, or not that of the fit's window.
pub fn check(
    values: &[f64],
    fit: Option<&Fit>,
) -> Result<impl Iterator<Item = (Metric, ErrorInBounds)> + use<>, WindowError> {
    if let Some(fit) = fit.filter(|fit| fit.window().rows() != values.len()) {
        return Err(WindowError::of_another_fit(values.len(), fit.window()));
    }
    let bounds = Bounds::from_values(values)?;
    let numbers = fit.map_or(FitNumbers::NAN, Fit::numbers);
    let terms = Terms::new(&numbers, &Grid::new(Window::new(values.len())?));
    Ok(Metric::ALL.iter().map(move |&metric| (metric, bounds.error(metric, metric.of(&terms)))))
}

impl Known {
    fn new(values: &[f64], terms: &Terms<DoubleDouble>) -> Self {
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let spread = highest - lowest;
        let mut known = Self {
            terms: *terms,
            promised: values.len() <= MOST_ROWS && (spread == 0.0 || spread >= LEAST_SPREAD),
            coefficient: 1e-13 * spread,
            level: 4.0 * ulp(highest.abs().max(lowest.abs())) + 1e-13 * spread,
            rmse: 1e-12 * terms.rmse.to_f64() + 4e-15 * spread,
            r2: 1e-12,
            vertex_x: None,
        };
        known.vertex_x = known.vertex_x();
        known
    }

    fn range(&self, metric: Metric) -> Option<ErrorRange> {
        if !self.promised {
            return None;
        }
        match metric {
            Metric::A2 => self.part(Part::A2),
            Metric::A1 => self.part(Part::A1),
            Metric::B => self.part(Part::B),
            Metric::R2 => self.part(Part::R2),
            Metric::Rmse => self.part(Part::Rmse),
            Metric::Prediction => self.part(Part::Prediction),
            Metric::VertexX => self.part(Part::VertexX),
            Metric::ResidualMean => Some(ErrorRange::around(DoubleDouble::ZERO, 0.0)),
            derived => self.derived(derived),
        }
    }

    fn part(&self, part: Part) -> Option<ErrorRange> {
        match part {
            Part::A2 => ErrorRange::around(self.terms.a2, self.coefficient),
            Part::A1 => ErrorRange::around(self.terms.a1, self.coefficient),
            Part::B => ErrorRange::around(self.terms.b, self.level),
            Part::R2 => ErrorRange::around(self.terms.r2, self.r2).within(&Metric::R2.limits()),
            Part::Rmse => ErrorRange::around(self.terms.rmse, self.rmse).within(&Metric::Rmse.limits()),
            Part::Prediction => ErrorRange::around(self.terms.prediction, self.level),
            Part::VertexX => return self.vertex_x,
        }
        .finite()
    }

    /// The range of `-a1 / (2*a2 + 1e-10)`, for a denominator that cannot be 0.
    fn vertex_x(&self) -> Option<ErrorRange> {
        let (a2, a1) = (self.part(Part::A2)?, self.part(Part::A1)?);
        let denominator = |a2: DoubleDouble| a2 * 2.0 + DoubleDouble::from_f64(GUARD);
        let (low, high) = (denominator(a2.low), denominator(a2.high));
        if low <= DoubleDouble::ZERO && high >= DoubleDouble::ZERO {
            return None;
        }
        let mut range = ErrorRange::around(self.terms.vertex_x, 0.0);
        for corner in [-a1.low / low, -a1.low / high, -a1.high / low, -a1.high / high] {
            range = range.with(corner);
        }
        range.widened(FORMULA_ULPS * ulp(range.exact.to_f64())).finite()
    }

    /// The range of a metric's formula over the box of its parts.
    fn derived(&self, metric: Metric) -> Option<ErrorRange> {
        let mut range = ErrorRange::around(metric.of(&self.terms), 0.0);
        let mut defined = true;
        self.corners(metric.made_of(), &mut self.terms.clone(), &mut |terms| {
            let value = metric.of(terms);
            defined &= value.is_finite();
            range = range.with(value);
        })?;
        if !defined {
            return None;
        }
        range.widened(FORMULA_ULPS * ulp(self.largest_term(metric))).within(&metric.limits()).finite()
    }

    /// Shows `terms` to `see` with `parts` at every combination of the points that matter.
    fn corners<F: FnMut(&Terms<DoubleDouble>)>(
        &self,
        parts: &[Part],
        terms: &mut Terms<DoubleDouble>,
        see: &mut F,
    ) -> Option<()> {
        let Some((&part, others)) = parts.split_first() else {
            see(terms);
            return Some(());
        };
        let range = self.part(part)?;
        let turns = part.turning_points(terms).filter(|&turn| range.holds(turn));
        for point in [range.low, range.high].into_iter().chain(turns) {
            *part.of_terms(terms) = point;
            self.corners(others, terms, see)?;
        }
        Some(())
    }

    /// The largest magnitude among the terms that a formula adds up.
    fn largest_term(&self, metric: Metric) -> f64 {
        let [first, second, third] = metric.summands(&self.terms);
        most(first.abs(), most(second.abs(), third.abs())).to_f64()
    }
}
