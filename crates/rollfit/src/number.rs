//! [`Number`]: what a formula needs of the numbers it is written in, so that one definition serves a single row
//! (`f64`), the kernel's eight (`Lanes`) and the reference (`DoubleDouble`).

use std::ops::{Add, Div, Mul, Neg, Sub};

/// Keeps a denominator from zero. Part of the definition: the double, not the decimal.
pub(crate) const GUARD: f64 = 1e-10;

/// A real number in some precision. Only this crate implements it, for `f64` and
/// [`DoubleDouble`](crate::reference::DoubleDouble):
///
/// ```compile_fail,E0277
/// use rollfit::reference::Number;
///
/// #[derive(Clone, Copy)]
/// struct Mine(f64);
/// # macro_rules! operators { ($($name:ident $method:ident;)*) => { $(impl std::ops::$name for Mine {
/// #     type Output = Self;
/// #     fn $method(self, _: Self) -> Self { self }
/// # })* } }
/// # operators! { Add add; Sub sub; Mul mul; Div div; }
/// # impl std::ops::Neg for Mine { type Output = Self; fn neg(self) -> Self { self } }
/// impl Number for Mine {
///     fn from_f64(value: f64) -> Self { Self(value) }
///     fn abs(self) -> Self { self }
///     fn sqrt(self) -> Self { self }
/// }
/// ```
pub trait Number:
    Sealed
    + Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The number that is exactly `value`.
    fn from_f64(value: f64) -> Self;
    /// The magnitude.
    fn abs(self) -> Self;
    /// The square root; of a negative number, not a number.
    fn sqrt(self) -> Self;
}

/// Nobody outside of the crate can name it, and so nobody can implement [`Number`].
pub trait Sealed {}

impl Sealed for f64 {}

impl Number for f64 {
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
}
