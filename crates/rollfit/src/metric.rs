//! [`Metric`]: the catalogue. One table defines every metric (name, unit, formula, what it is made of, function);
//! schemas, help, docs and the bounds of the accuracy promise are generated from it or tested against it.

use crate::fit::{Fit, Terms};
use crate::number::{GUARD, Number};
use crate::window::{Grid, Window};

/// What a metric is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields of `Terms`
pub enum Part {
    A2,
    A1,
    B,
    R2,
    Rmse,
    Prediction,
    VertexX,
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

macro_rules! catalogue {
    ($($id:ident, $name:ident, $unit:ident, [$($part:ident)*], $formula:literal;)*) => {
        /// One number derived from a fit. The order is the order of the stored columns.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Metric {
            $(#[doc = $formula] $id,)*
        }

        impl Metric {
            /// The whole catalogue, in the order of the stored columns.
            pub const ALL: &'static [Metric] = &[$(Metric::$id,)*];

            /// The name that columns and configuration use.
            pub const fn name(self) -> &'static str {
                match self { $(Metric::$id => stringify!($name),)* }
            }

            /// The unit of the values.
            pub const fn unit(self) -> Unit {
                match self { $(Metric::$id => Unit::$unit,)* }
            }

            /// The definition, as text.
            pub const fn formula(self) -> &'static str {
                match self { $(Metric::$id => $formula,)* }
            }

            /// The quantities whose promised accuracy decides this metric's.
            pub const fn made_of(self) -> &'static [Part] {
                match self { $(Metric::$id => &[$(Part::$part),*],)* }
            }

            /// The metric of a fit with these terms. Not finite where the formula has no value.
            #[inline(always)]
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

catalogue! {
    A2, a2, Series, [A2], "coefficient of x^2";
    A1, a1, Series, [A1], "coefficient of x";
    B, b, Series, [B], "the parabola at the window's centre, x = 0";
    R2, r2, One, [R2], "1 - ss_res / (ss_tot + 1e-10)";
    Rmse, rmse, Series, [Rmse], "sqrt(ss_res / w)";
    ResidualMean, residual_mean, Series, [], "mean of y - yhat";
    ResidualStd, residual_std, Series, [Rmse], "population standard deviation of y - yhat";
    Prediction, prediction, Series, [Prediction], "yhat at the window's last row";
    PredIntervalLower, pred_interval_lower, Series, [Prediction Rmse], "prediction - 1.96 * residual_std";
    PredIntervalUpper, pred_interval_upper, Series, [Prediction Rmse], "prediction + 1.96 * residual_std";
    VertexX, vertex_x, X, [A1 A2], "-a1 / (2*a2 + 1e-10)";
    VertexY, vertex_y, Series, [A2 A1 B VertexX], "a2*vertex_x^2 + a1*vertex_x + b";
    Curvature, curvature, Series, [A2], "abs(a2)";
    FitQuality, fit_quality, One, [R2], "r2 clipped to [0, 1]";
    ExtrapolationError, extrapolation_error, One, [Rmse Prediction],
        "abs(residual_std / (abs(prediction) + 1e-10))";
    QuadraticTerm, quadratic_term, Series, [A2], "the term in k^2 of the parabola in the row number k = 0..w-1, at k = w-1";
    LinearTerm, linear_term, Series, [A2 A1], "the term in k of the parabola in the row number k = 0..w-1, at k = w-1";
    ConstantTerm, constant_term, Series, [A2 A1 B], "the parabola at the window's first row, k = 0";
    Residual, residual, Series, [Prediction], "y[w-1] - prediction";
}

impl Metric {
    /// The metrics stored by default: the catalogue without the terms in the plain row number.
    pub const STORED: &'static [Metric] = Metric::ALL.split_at(15).0;

    /// The metric of `fit`, which was fitted over `window`; none where the formula has no value. The same bits as
    /// [`Kernel::write_metrics`](crate::Kernel::write_metrics) gives.
    ///
    /// ```
    /// use rollfit::{Metric, Window};
    /// let fit = rollfit::fit(&[1.0, 4.0, 9.0])?;
    /// let prediction = Metric::Prediction.value(&fit, Window::new(3)?);
    /// assert!((prediction.unwrap() - 9.0).abs() < 1e-12);
    /// # Ok::<(), rollfit::WindowError>(())
    /// ```
    pub fn value(self, fit: &Fit, window: Window) -> Option<f64> {
        let value = self.of(&Terms::new(fit, &Grid::new(window)));
        value.is_finite().then_some(value)
    }

    /// The metric called `name`, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|metric| metric.name() == name)
    }
}

impl std::fmt::Display for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
