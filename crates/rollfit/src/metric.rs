//! [`Metric`]: the catalogue. One table defines every metric (name, unit, formula, what it is made of, function);
//! schemas, help, docs and the bounds of the accuracy promise are generated from it or tested against it.

use std::ops::RangeInclusive;

use crate::fit::{Fit, Terms};
use crate::number::{GUARD, Number};
use crate::window::Grid;

/// What a metric is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// The unit of the series.
    Series,
    /// Windows' x: standard deviations of the row number, from the window's centre.
    X,
    /// A pure number.
    One,
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Unit::Series => "y",
            Unit::X => "x",
            Unit::One => "1",
        })
    }
}

/// A quantity that a metric's formula is made of and whose accuracy is promised on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the fields of `Terms`
#[non_exhaustive]
pub enum Part {
    A2,
    A1,
    B,
    R2,
    Rmse,
    Prediction,
    VertexX,
}

impl Part {
    /// Its place among the terms of a fit.
    pub(crate) fn of_terms<N>(self, terms: &mut Terms<N>) -> &mut N {
        match self {
            Part::A2 => &mut terms.a2,
            Part::A1 => &mut terms.a1,
            Part::B => &mut terms.b,
            Part::R2 => &mut terms.r2,
            Part::Rmse => &mut terms.rmse,
            Part::Prediction => &mut terms.prediction,
            Part::VertexX => &mut terms.vertex_x,
        }
    }

    /// Where a formula may turn in this part while the other `terms` stay: at 0, as an `abs` does, and in `vertex_x` also
    /// at the vertex of the parabola, as `vertex_y` does. `terms` has the parts that `made_of` lists before this one as they are.
    pub(crate) fn turning_points<N: Number>(self, terms: &Terms<N>) -> impl Iterator<Item = N> + use<N> {
        let vertex = match self {
            Part::VertexX => Some(-terms.a1 / (terms.a2 + terms.a2)),
            Part::A2 | Part::A1 | Part::B | Part::R2 | Part::Rmse | Part::Prediction => None,
        };
        std::iter::once(N::from_f64(0.0)).chain(vertex)
    }
}

/// What a metric can be at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limits {
    /// Any number.
    Any,
    /// 0 or more.
    NotNegative,
    /// From 0 to 1.
    Share,
}

impl Limits {
    /// As a range.
    pub(crate) const fn range(self) -> RangeInclusive<f64> {
        match self {
            Self::Any => f64::NEG_INFINITY..=f64::INFINITY,
            Self::NotNegative => 0.0..=f64::INFINITY,
            Self::Share => 0.0..=1.0,
        }
    }
}

/// The half width of a 95 % interval of normal residuals, in standard deviations. Part of the definition.
pub(crate) const NORMAL_95: f64 = 1.96;

/// The formulas, each in the terms of one fit. They hold in any precision, and none gives -0.0.
mod formula {
    use super::{GUARD, NORMAL_95, Number, Terms};

    macro_rules! formulas {
        ($($name:ident($t:ident) = $value:expr;)*) => {
            $(#[inline(always)] pub(super) fn $name<N: Number>($t: &Terms<N>) -> N { $value })*
        };
    }

    formulas! {
        a2(t) = t.a2;
        a1(t) = t.a1;
        b(t) = t.b;
        r2(t) = t.r2;
        rmse(t) = t.rmse;
        // The mean residual of a fit with an intercept is 0, a theorem; the product only carries "no value" through.
        residual_mean(t) = N::from_f64(0.0) * t.rmse;
        // With a mean of 0 the standard deviation is the root mean square.
        residual_std(t) = t.rmse;
        prediction(t) = t.prediction;
        pred_interval_lower(t) = t.prediction - N::from_f64(NORMAL_95) * t.rmse;
        pred_interval_upper(t) = t.prediction + N::from_f64(NORMAL_95) * t.rmse;
        vertex_x(t) = t.vertex_x;
        vertex_y(t) = t.a2 * (t.vertex_x * t.vertex_x) + t.a1 * t.vertex_x + t.b;
        curvature(t) = t.a2.abs();
        // r2 lies within [0, 1] already, so clipping it there changes nothing.
        fit_quality(t) = t.r2;
        extrapolation_error(t) = (t.rmse / (t.prediction.abs() + N::from_f64(GUARD))).abs();
        quadratic_term(t) = {
            let steps = (t.u_last + t.u_last) / t.scale;
            t.a2 * (steps * steps)
        };
        linear_term(t) = {
            let steps = (t.u_last + t.u_last) / t.scale;
            (t.a1 - t.a2 * steps) * steps
        };
        constant_term(t) = {
            let x_first = -t.u_last / t.scale;
            (t.a2 * x_first + t.a1) * x_first + t.b
        };
        residual(t) = t.y_last - t.prediction;
    }
}

/// What a formula adds up last: how exact its value can be depends on the largest of these. `value` is the whole, of a formula
/// without a sum.
mod summands {
    use super::{NORMAL_95, Number, Terms};

    pub(super) fn single<N: Number>(_: &Terms<N>, value: N) -> [N; 3] {
        [value, N::from_f64(0.0), N::from_f64(0.0)]
    }

    pub(super) fn interval<N: Number>(t: &Terms<N>, _: N) -> [N; 3] {
        [t.prediction, t.rmse * N::from_f64(NORMAL_95), N::from_f64(0.0)]
    }

    pub(super) fn parabola_at_vertex<N: Number>(t: &Terms<N>, _: N) -> [N; 3] {
        [t.a2 * (t.vertex_x * t.vertex_x), t.a1 * t.vertex_x, t.b]
    }

    pub(super) fn parabola_at_start<N: Number>(t: &Terms<N>, _: N) -> [N; 3] {
        let x_first = t.u_last / t.scale;
        [t.a2 * (x_first * x_first), t.a1 * x_first, t.b]
    }

    pub(super) fn slope<N: Number>(t: &Terms<N>, _: N) -> [N; 3] {
        let steps = (t.u_last + t.u_last) / t.scale;
        [t.a1 * steps, t.a2 * (steps * steps), N::from_f64(0.0)]
    }

    pub(super) fn difference<N: Number>(t: &Terms<N>, _: N) -> [N; 3] {
        [t.y_last, t.prediction, N::from_f64(0.0)]
    }
}

macro_rules! catalogue {
    ($($id:ident, $name:ident, $unit:ident, $storage:ident, $limits:ident, [$($part:ident)*], $sum:ident, $formula:literal;)*) => {
        /// One number derived from a fit. The order is the order of the stored columns.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Metric {
            $(#[doc = $formula] $id,)*
        }

        impl Metric {
            /// The whole catalogue, in the order of the stored columns.
            pub const ALL: &'static [Metric] = &[$(Metric::$id,)*];

            /// The name that columns and configuration use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Metric::$id => stringify!($name),)* }
            }

            /// The unit of the values.
            #[must_use]
            pub const fn unit(self) -> Unit {
                match self { $(Metric::$id => Unit::$unit,)* }
            }

            /// The definition, as text.
            #[must_use]
            pub const fn formula(self) -> &'static str {
                match self { $(Metric::$id => $formula,)* }
            }

            /// The quantities whose promised accuracy decides this metric's.
            #[must_use]
            pub const fn made_of(self) -> &'static [Part] {
                match self { $(Metric::$id => &[$(Part::$part),*],)* }
            }

            /// The range that the values lie in, whatever the window.
            #[must_use]
            pub const fn limits(self) -> RangeInclusive<f64> {
                match self { $(Metric::$id => Limits::$limits.range(),)* }
            }

            /// What the formula adds up last.
            pub(crate) fn summands<N: Number>(self, terms: &Terms<N>) -> [N; 3] {
                match self { $(Metric::$id => summands::$sum(terms, formula::$name(terms)),)* }
            }

            const fn is_stored_by_default(self) -> bool {
                match self { $(Metric::$id => matches!(Storage::$storage, Storage::Stored),)* }
            }

            /// The metric of a fit with these terms, in their precision. Not finite where the formula has no value; of a fit in
            /// doubles, [`Metric::value`] says so.
            #[inline(always)]
            #[must_use]
            pub fn of<N: Number>(self, terms: &Terms<N>) -> N {
                match self { $(Metric::$id => formula::$name(terms),)* }
            }

            /// Gives every metric of a fit with these terms to `take`.
            #[inline(always)]
            pub(crate) fn each<N: Number>(terms: &Terms<N>, mut take: impl FnMut(Metric, N)) {
                $(take(Metric::$id, formula::$name(terms));)*
            }
        }
    };
}

/// Whether a metric is stored where the configuration names none.
enum Storage {
    Stored,
    OnRequest,
}

// Name, unit, storage, limits, the parts that its accuracy depends on, what it adds up last, formula.
catalogue! {
    A2, a2, Series, Stored, Any, [A2], single, "coefficient of x^2";
    A1, a1, Series, Stored, Any, [A1], single, "coefficient of x";
    B, b, Series, Stored, Any, [B], single, "the parabola at the window's centre, x = 0";
    R2, r2, One, Stored, Share, [R2], single, "1 - ss_res / (ss_tot + 1e-10)";
    Rmse, rmse, Series, Stored, NotNegative, [Rmse], single, "sqrt(ss_res / w)";
    ResidualMean, residual_mean, Series, Stored, Any, [], single, "mean of y - yhat";
    ResidualStd, residual_std, Series, Stored, NotNegative, [Rmse], single, "population standard deviation of y - yhat";
    Prediction, prediction, Series, Stored, Any, [Prediction], single, "yhat at the window's last row";
    PredIntervalLower, pred_interval_lower, Series, Stored, Any, [Prediction Rmse], interval, "prediction - 1.96 * residual_std";
    PredIntervalUpper, pred_interval_upper, Series, Stored, Any, [Prediction Rmse], interval, "prediction + 1.96 * residual_std";
    VertexX, vertex_x, X, Stored, Any, [A1 A2], single, "-a1 / (2*a2 + 1e-10)";
    VertexY, vertex_y, Series, Stored, Any, [A2 A1 B VertexX], parabola_at_vertex, "a2*vertex_x^2 + a1*vertex_x + b";
    Curvature, curvature, Series, Stored, NotNegative, [A2], single, "abs(a2)";
    FitQuality, fit_quality, One, Stored, Share, [R2], single, "r2 clipped to [0, 1]";
    ExtrapolationError, extrapolation_error, One, Stored, NotNegative, [Rmse Prediction], single,
        "abs(residual_std / (abs(prediction) + 1e-10))";
    QuadraticTerm, quadratic_term, Series, OnRequest, Any, [A2], single, "the term in k^2 of the parabola in the row number k = 0..w-1, at k = w-1";
    LinearTerm, linear_term, Series, OnRequest, Any, [A2 A1], slope, "the term in k of the parabola in the row number k = 0..w-1, at k = w-1";
    ConstantTerm, constant_term, Series, OnRequest, Any, [A2 A1 B], parabola_at_start, "the parabola at the window's first row, k = 0";
    Residual, residual, Series, OnRequest, Any, [Prediction], difference, "y[w-1] - prediction";
}

const STORED_COUNT: usize = {
    let (mut count, mut at) = (0, 0);
    while at < Metric::ALL.len() {
        count += Metric::ALL[at].is_stored_by_default() as usize;
        at += 1;
    }
    count
};

const STORED: [Metric; STORED_COUNT] = {
    let mut stored = [Metric::ALL[0]; STORED_COUNT];
    let (mut count, mut at) = (0, 0);
    while at < Metric::ALL.len() {
        if Metric::ALL[at].is_stored_by_default() {
            stored[count] = Metric::ALL[at];
            count += 1;
        }
        at += 1;
    }
    stored
};

impl Metric {
    /// The metrics stored by default: the catalogue without the terms in the plain row number.
    pub const STORED: &'static [Metric] = &STORED;

    /// The metric of `fit`; none where the formula has no value. The same bits as
    /// [`FitColumns::write_metrics`](crate::FitColumns::write_metrics) gives.
    ///
    /// ```
    /// use rollfit::Metric;
    /// let fit = rollfit::fit(&[1.0, 4.0, 9.0])?.expect("all values can be used");
    /// let prediction = Metric::Prediction.value(&fit);
    /// assert!((prediction.unwrap() - 9.0).abs() < 1e-12);
    /// # Ok::<(), rollfit::WindowError>(())
    /// ```
    #[must_use]
    pub fn value(self, fit: &Fit) -> Option<f64> {
        let value = self.of(&Terms::new(&fit.numbers(), &Grid::new(fit.window())));
        value.is_finite().then_some(value)
    }
}

impl std::str::FromStr for Metric {
    type Err = ParseMetricError;

    /// The metric called `name`, as [`Metric::name`] writes it.
    fn from_str(name: &str) -> Result<Self, ParseMetricError> {
        let found = Self::ALL.iter().find(|metric| metric.name() == name);
        found.copied().ok_or_else(|| ParseMetricError { name: name.to_owned() })
    }
}

/// A name that no metric has. Its message suggests the nearest name.
///
/// ```
/// use rollfit::Metric;
/// assert_eq!("rmse".parse(), Ok(Metric::Rmse));
/// let error = "rsme".parse::<Metric>().unwrap_err();
/// assert_eq!(error.nearest(), Some(Metric::Rmse));
/// assert_eq!(error.to_string(), r#"unknown metric "rsme"; did you mean "rmse"?"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseMetricError {
    name: String,
}

impl ParseMetricError {
    /// The name as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The metric whose name can be made of this one with fewest changes of a letter, if they are at most half of its letters.
    /// Capital letters pass for small ones.
    #[must_use]
    pub fn nearest(&self) -> Option<Metric> {
        // What is longer is near none of them, and may be very long.
        let name: Vec<char> = self.name.chars().take(64).flat_map(char::to_lowercase).collect();
        let changes = |metric: &Metric| (changes(&name, metric.name()), *metric);
        let (changes, metric) = Metric::ALL.iter().map(changes).min_by_key(|(changes, _)| *changes)?;
        (2 * changes <= metric.name().len()).then_some(metric)
    }
}

/// How many letters must be added, removed, replaced or swapped with the next one to make `known` of `name`.
fn changes(name: &[char], known: &str) -> usize {
    let known: Vec<char> = known.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=known.len()).collect();
    for (i, &letter) in name.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &wanted) in known.iter().enumerate() {
            let replaced = last[j] + usize::from(letter != wanted);
            let mut fewest = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && letter == known[j - 1] && name[i - 1] == wanted {
                fewest = fewest.min(before[j - 1] + 1);
            }
            row.push(fewest);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[known.len()]
}

impl std::fmt::Display for ParseMetricError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unknown metric {:?}; ", self.name)?;
        match self.nearest() {
            Some(metric) => write!(f, "did you mean \"{metric}\"?"),
            None => {
                let known: Vec<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
                write!(f, "known are {}", known.join(", "))
            }
        }
    }
}

impl std::error::Error for ParseMetricError {}

impl std::fmt::Display for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
