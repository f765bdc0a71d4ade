//! [`Fit`]: the six numbers that every metric follows from, and [`Terms`]: the quantities that metrics share.

use crate::number::{GUARD, Number};
use crate::window::{Grid, Window};

/// The six numbers of a least-squares parabola `y = a2*x^2 + a1*x + b` over one window, or what stands for them: columns of
/// numbers, their names. The unit of each is given in units of the series, `y`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FitNumbers<N = f64> {
    /// Coefficient of x^2, in y.
    pub a2: N,
    /// Coefficient of x, in y.
    pub a1: N,
    /// The parabola at x = 0, the window's centre, in y.
    pub b: N,
    /// Sum of squared residuals, in y^2; never negative, never above `ss_tot`.
    pub ss_res: N,
    /// Sum of squares about the window's mean, in y^2.
    pub ss_tot: N,
    /// The window's newest value, in y.
    pub y_last: N,
}

impl<N> FitNumbers<N> {
    #[inline(always)]
    pub(crate) fn map<M>(&self, change: impl Fn(&N) -> M) -> FitNumbers<M> {
        FitNumbers {
            a2: change(&self.a2),
            a1: change(&self.a1),
            b: change(&self.b),
            ss_res: change(&self.ss_res),
            ss_tot: change(&self.ss_tot),
            y_last: change(&self.y_last),
        }
    }
}

impl FitNumbers {
    /// Of a window without a fit.
    pub(crate) const NAN: Self = Self {
        a2: f64::NAN,
        a1: f64::NAN,
        b: f64::NAN,
        ss_res: f64::NAN,
        ss_tot: f64::NAN,
        y_last: f64::NAN,
    };
}

/// One least-squares parabola over one window: its six numbers and the window. [`Metric::value`](crate::Metric::value) computes its
/// metrics, always for the window that it was fitted over. No other can be given:
///
/// ```compile_fail,E0061
/// use rollfit::{Metric, Window};
///
/// let fit = rollfit::fit(&[1.0, 4.0, 9.0])?.expect("all values can be used");
/// let rmse = Metric::Rmse.value(&fit, Window::new(15)?);
/// # Ok::<(), rollfit::WindowError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    numbers: FitNumbers,
    window: Window,
}

impl Fit {
    /// The fit over `window` that [`Fit::numbers`] gave these numbers, or one that was computed elsewhere. `None` where `a2` is NaN,
    /// which stands for a window without a fit. No other number is checked: a metric that numbers of no fit give may lie outside of
    /// its [`limits`](crate::Metric::limits).
    ///
    /// ```
    /// use rollfit::{Fit, Metric};
    ///
    /// let fit = rollfit::fit(&[1.0, 4.0, 9.0, 15.0])?.expect("all values can be used");
    /// let stored = Fit::from_numbers(fit.numbers(), fit.window()).expect("a fit");
    /// assert_eq!(Metric::R2.value(&stored), Metric::R2.value(&fit));
    /// # Ok::<(), rollfit::WindowError>(())
    /// ```
    #[must_use]
    pub const fn from_numbers(numbers: FitNumbers, window: Window) -> Option<Self> {
        if numbers.a2.is_nan() { None } else { Some(Self { numbers, window }) }
    }

    #[inline(always)]
    pub(crate) const fn new(numbers: FitNumbers, window: Window) -> Self {
        Self { numbers, window }
    }

    /// The six numbers, to be stored or taken apart.
    #[must_use]
    pub const fn numbers(&self) -> FitNumbers {
        self.numbers
    }

    /// The window that it was fitted over.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }
}

macro_rules! accessors {
    ($($(#[$doc:meta])* $number:ident;)*) => {
        impl Fit {
            $($(#[$doc])*
            #[must_use]
            pub const fn $number(&self) -> f64 {
                self.numbers.$number
            })*
        }
    };
}

accessors! {
    /// Coefficient of x^2, in y.
    a2;
    /// Coefficient of x, in y.
    a1;
    /// The parabola at x = 0, the window's centre, in y.
    b;
    /// Sum of squared residuals, in y^2; never negative, never above `ss_tot`.
    ss_res;
    /// Sum of squares about the window's mean, in y^2.
    ss_tot;
    /// The window's newest value, in y.
    y_last;
}

/// What the metrics of one fit are made of: the fit's coefficients and the five quantities derived from them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Terms<N = f64> {
    /// As in [`FitNumbers`].
    pub a2: N,
    /// As in [`FitNumbers`].
    pub a1: N,
    /// As in [`FitNumbers`].
    pub b: N,
    /// Coefficient of determination, within [0, 1].
    pub r2: N,
    /// Root mean square of the residuals, in y.
    pub rmse: N,
    /// The parabola at the window's last row, in y.
    pub prediction: N,
    /// The x at which the parabola turns.
    pub vertex_x: N,
    /// As in [`FitNumbers`].
    pub y_last: N,
    /// Row units in one unit of x, see [`Grid::scale`].
    pub scale: N,
    /// See [`Grid::u_last`].
    pub u_last: N,
}

impl<N: Number> Terms<N> {
    /// The terms of `fit`, which was fitted over a window with the constants `grid`.
    #[inline(always)]
    #[must_use]
    pub fn new(fit: &FitNumbers<N>, grid: &Grid<N>) -> Self {
        let guard = N::from_f64(GUARD);
        Self {
            a2: fit.a2,
            a1: fit.a1,
            b: fit.b,
            r2: N::from_f64(1.0) - fit.ss_res / (fit.ss_tot + guard),
            rmse: (fit.ss_res * grid.share).sqrt(),
            prediction: (fit.a2 * grid.x_last + fit.a1) * grid.x_last + fit.b,
            // Zero minus a number is never -0.0.
            vertex_x: N::from_f64(0.0) - fit.a1 / (N::from_f64(2.0) * fit.a2 + guard),
            y_last: fit.y_last,
            scale: grid.scale,
            u_last: grid.u_last,
        }
    }
}
