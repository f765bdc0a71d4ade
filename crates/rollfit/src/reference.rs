//! The reference: the same fit as the kernel's, computed slowly in [`DoubleDouble`] numbers of about 32 digits.
//!
//! Tests, `rollfit verify` and [`crate::bounds`] take its results for the exact ones. Invariants, with R the
//! spread and M the largest magnitude of a window of up to 10,000 rows: `a2`, `a1` and `rmse` are within 1e-30*R of
//! the exact answer, `b` and `prediction` within that plus 1e-31*M, `r2` within 1e-29, and a constant window gives
//! exact zeros. `tests/math/exactness.rs` compares it with exact rationals.
//!
//! It shares the definitions of [`Grid`], [`Terms`] and [`crate::Metric`] with the kernel, and no step of the fit. It
//! does not roll: every window is fitted from its own values.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::fit::FitNumbers;
use crate::is_usable;
use crate::number::Sealed;
use crate::window::{Window, WindowError};

pub use crate::fit::Terms;
pub use crate::number::Number;
pub use crate::window::Grid;

/// Rows added up before the low half of a sum is made tidy: few, so that roundings do not pile up.
const BLOCK_ROWS: usize = 64;

/// A number of about 106 bits: the unevaluated sum of two doubles, of which the first is the double nearest to the sum.
///
/// Sums are within 3 units of 2^-106 of the exact result, products within 5, quotients within 15 and square roots
/// within 4, relative to the result, while no step leaves the range 1e-250 to 1e300. A result beyond it is not finite
/// or loses its low half; nothing panics.
///
/// The algorithms are those of T. J. Dekker, "A floating-point technique for extending the available precision"
/// (1971), D. E. Knuth, "The Art of Computer Programming", volume 2, section 4.2.2, and M. Joldes, J.-M. Muller and
/// V. Popescu, "Tight and rigorous error bounds for basic building blocks of double-word arithmetic" (2017), whose
/// numbering is used below. They hold for round-to-nearest, the only rounding Rust knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct DoubleDouble {
    // The derived order compares `hi` first, which is right because `hi` is the nearest double to the sum.
    hi: f64,
    lo: f64,
}

impl DoubleDouble {
    /// Zero.
    pub const ZERO: Self = Self { hi: 0.0, lo: 0.0 };

    /// The number's two doubles, large one first; the number is exactly their sum.
    #[must_use]
    pub const fn parts(self) -> (f64, f64) {
        (self.hi, self.lo)
    }

    /// The nearest double.
    #[inline(always)]
    #[must_use]
    pub const fn to_f64(self) -> f64 {
        self.hi
    }

    /// Whether the number is neither infinite nor not a number.
    #[must_use]
    pub const fn is_finite(self) -> bool {
        self.hi.is_finite() && self.lo.is_finite()
    }

    /// Exactly `a + b` (Knuth's TwoSum).
    #[inline(always)]
    #[must_use]
    pub fn sum_of(a: f64, b: f64) -> Self {
        let hi = a + b;
        let b_part = hi - a;
        let a_part = hi - b_part;
        Self { hi, lo: (a - a_part) + (b - b_part) }
    }

    /// Exactly `a * b` (Dekker's product), where that is neither above 1e300 nor so small that its low half underflows.
    ///
    /// It splits its factors instead of using a fused multiply-add, which is a library call on CPUs that lack it and in
    /// binaries that must not assume it.
    #[inline(always)]
    #[must_use]
    pub fn product_of(a: f64, b: f64) -> Self {
        let hi = a * b;
        let (a_hi, a_lo) = split(a);
        let (b_hi, b_lo) = split(b);
        let lo = a_lo * b_lo - (((hi - a_hi * b_hi) - a_lo * b_hi) - a_hi * b_lo);
        Self { hi, lo }
    }

    /// `hi + lo` as a number, for `|hi| >= |lo|` or `hi = 0` (Dekker's Fast2Sum).
    #[inline(always)]
    fn renormalized(hi: f64, lo: f64) -> Self {
        let sum = hi + lo;
        Self { hi: sum, lo: lo - (sum - hi) }
    }

    /// The number times `factor`, with a low half that may overlap the high one: good for adding up, for nothing else.
    #[inline(always)]
    fn scaled(self, factor: f64) -> Self {
        let product = Self::product_of(self.hi, factor);
        Self { hi: product.hi, lo: product.lo + self.lo * factor }
    }

    /// The sum, with overlapping halves. A chain of these waits for two additions a step where `+` waits for ten, but
    /// the low halves are added up in a double, whose roundings grow with the square of the chain's length.
    #[inline(always)]
    fn loosely_plus(self, addend: Self) -> Self {
        let high = Self::sum_of(self.hi, addend.hi);
        Self { hi: high.hi, lo: self.lo + (high.lo + addend.lo) }
    }
}

/// `value` as a sum of two doubles of at most 26 bits (Dekker, after Veltkamp), whose products are exact.
#[inline(always)]
fn split(value: f64) -> (f64, f64) {
    const FACTOR: f64 = 134_217_729.0; // 2^27 + 1
    let scaled = FACTOR * value;
    let hi = scaled - (scaled - value);
    (hi, value - hi)
}

impl Add for DoubleDouble {
    type Output = Self;
    /// Algorithm 6, AccurateDWPlusDW.
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let high = Self::sum_of(self.hi, other.hi);
        let low = Self::sum_of(self.lo, other.lo);
        let sum = Self::renormalized(high.hi, high.lo + low.hi);
        Self::renormalized(sum.hi, low.lo + sum.lo)
    }
}

impl Neg for DoubleDouble {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self { hi: -self.hi, lo: -self.lo }
    }
}

impl Sub for DoubleDouble {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for DoubleDouble {
    type Output = Self;
    /// Algorithm 10, DWTimesDW1.
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let product = Self::product_of(self.hi, other.hi);
        let crossed = self.hi * other.lo + self.lo * other.hi;
        Self::renormalized(product.hi, product.lo + crossed)
    }
}

impl Mul<f64> for DoubleDouble {
    type Output = Self;
    /// Algorithm 8, DWTimesFP2.
    #[inline(always)]
    fn mul(self, factor: f64) -> Self {
        let product = Self::product_of(self.hi, factor);
        Self::renormalized(product.hi, product.lo + self.lo * factor)
    }
}

impl Div for DoubleDouble {
    type Output = Self;
    /// Algorithm 17, DWDivDW2.
    #[inline(always)]
    fn div(self, divisor: Self) -> Self {
        let quotient = self.hi / divisor.hi;
        let product = divisor * quotient;
        let remainder = (self.hi - product.hi) + (self.lo - product.lo);
        Self::renormalized(quotient, remainder / divisor.hi)
    }
}

impl From<f64> for DoubleDouble {
    /// The number that is exactly `value`.
    #[inline(always)]
    fn from(value: f64) -> Self {
        Self { hi: value, lo: 0.0 }
    }
}

impl Sealed for DoubleDouble {}

impl Number for DoubleDouble {
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value.into()
    }

    #[inline(always)]
    fn abs(self) -> Self {
        if self.hi < 0.0 { -self } else { self }
    }

    /// One step of Heron's method from the double root, with its remainder taken exactly (SQRTDWtoDW of V. Lefèvre and
    /// others, "Accurate calculation of Euclidean norms using double-word arithmetic", 2023).
    #[inline(always)]
    fn sqrt(self) -> Self {
        let root = self.hi.sqrt();
        if root == 0.0 {
            return Self::ZERO;
        }
        let square = Self::product_of(root, root);
        let remainder = ((self.hi - square.hi) - square.lo) + self.lo;
        Self::renormalized(root, remainder / (2.0 * root))
    }
}

/// The parabola through `values`, oldest first, all of them one window.
///
/// `None` where a window has no value: one of `values` is not finite or above 1e100 in magnitude.
///
/// # Errors
/// [`WindowError`] when the number of values is not that of a window.
pub fn fit(values: &[f64]) -> Result<Option<FitNumbers<DoubleDouble>>, WindowError> {
    let grid = Grid::new(Window::new(values.len())?);
    Ok(fitted(values, &grid))
}

/// The terms of that parabola, from which [`crate::Metric::of`] gives every metric of the window.
///
/// # Errors
/// As [`fit`].
pub fn terms(values: &[f64]) -> Result<Option<Terms<DoubleDouble>>, WindowError> {
    let grid = Grid::new(Window::new(values.len())?);
    Ok(fitted(values, &grid).map(|fit| Terms::new(&fit, &grid)))
}

/// One row as the fit sees it.
struct Row {
    /// `2u`, the row number from the window's centre in half rows: an exact integer.
    slope: f64,
    /// `12(u^2 - offset)`: an exact integer, like `slope` below 2^53 for every window.
    bend: f64,
    /// The value above the window's newest value, exactly.
    rise: DoubleDouble,
}

/// The least-squares parabola in the basis of [`Row`]: `mean + slope * row.slope + bend * row.bend`.
struct Curve {
    mean: DoubleDouble,
    slope: DoubleDouble,
    bend: DoubleDouble,
}

fn fitted(values: &[f64], grid: &Grid<DoubleDouble>) -> Option<FitNumbers<DoubleDouble>> {
    let usable = values.iter().all(|&value| is_usable(value));
    let y_last = *values.last().filter(|_| usable)?;
    let curve = project(values, y_last, grid);
    let [ss_res, ss_tot] = squares(values, y_last, &curve);
    // In u: y = mean + 2*slope*u + 12*bend*(u^2 - offset), and x is u in units of the grid's scale.
    let a2 = curve.bend * 12.0;
    Some(FitNumbers {
        a2: a2 * (grid.scale * grid.scale),
        a1: curve.slope * 2.0 * grid.scale,
        b: DoubleDouble::from_f64(y_last) + (curve.mean - a2 * grid.offset),
        ss_res: if ss_res > ss_tot { ss_tot } else { ss_res },
        ss_tot,
        y_last: DoubleDouble::from_f64(y_last),
    })
}

/// The polynomials are orthogonal, so each coefficient is one weighted sum over the polynomial's norm.
fn project(values: &[f64], y_last: f64, grid: &Grid<DoubleDouble>) -> Curve {
    let [mean, slope, bend] =
        sums(values, y_last, |row| [row.rise, row.rise.scaled(row.slope), row.rise.scaled(row.bend)]);
    Curve { mean: mean / grid.rows, slope: slope / (grid.norm1 * 4.0), bend: bend / (grid.norm2 * 144.0) }
}

/// The sums of squares about the curve and about the mean, from the deviations themselves: the difference of two large
/// sums would have no digits left where the curve fits well.
fn squares(values: &[f64], y_last: f64, curve: &Curve) -> [DoubleDouble; 2] {
    sums(values, y_last, |row| {
        let deviation = row.rise - curve.mean;
        let residual = deviation - (curve.slope * row.slope + curve.bend * row.bend);
        [residual * residual, deviation * deviation]
    })
}

/// The sums over all rows of what `addends` makes of a row.
fn sums<const N: usize>(
    values: &[f64],
    y_last: f64,
    addends: impl Fn(Row) -> [DoubleDouble; N],
) -> [DoubleDouble; N] {
    let rows = values.len() as f64;
    let mut slope = -1.0 - rows;
    let mut sums = [DoubleDouble::ZERO; N];
    for block in values.chunks(BLOCK_ROWS) {
        let mut loose = [DoubleDouble::ZERO; N];
        for &value in block {
            slope += 2.0;
            let bend = 3.0 * slope * slope - (rows * rows - 1.0);
            let row = Row { slope, bend, rise: DoubleDouble::sum_of(value, -y_last) };
            for (sum, addend) in loose.iter_mut().zip(addends(row)) {
                *sum = sum.loosely_plus(addend);
            }
        }
        for (sum, block) in sums.iter_mut().zip(loose) {
            *sum = *sum + DoubleDouble::sum_of(block.hi, block.lo);
        }
    }
    sums
}
