//! [`Decimal`]: the shortest decimal of a double, and its rounding to what a column holds.

use super::nearest::nearest;
use super::shortest::shortest;

/// 10^0 to 10^19, all that fit.
pub(super) const POWERS_OF_TEN: [u64; 20] = powers_of_ten();

const fn powers_of_ten() -> [u64; 20] {
    let mut powers = [1; 20];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
}

/// A number of at most 17 decimal digits: digits * 10^exponent. The digits do not end in a zero, and zero is positive with
/// an exponent of 0, so that equal numbers are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    digits: u64,
    exponent: i32,
}

impl Decimal {
    /// The shortest decimal that reads back as `value`, which is finite; of several the nearest.
    #[inline]
    pub(crate) fn from_f64(value: f64) -> Self {
        debug_assert!(value.is_finite(), "{value} is not a decimal");
        let (digits, exponent) = if value == 0.0 { (0, 0) } else { shortest(value.abs()) };
        Self::new(value < 0.0, digits, exponent)
    }

    #[inline]
    fn new(negative: bool, digits: u64, exponent: i32) -> Self {
        if digits == 0 {
            return Self::default();
        }
        let (digits, zeros) = without_zeros(digits);
        Self { negative, digits, exponent: exponent + zeros as i32 }
    }

    /// Rounded as the server rounds for NUMERIC(precision, scale): at the last of `scale` decimals, left of the point where
    /// `scale` is negative, halves away from zero. None where more than `precision` digits remain.
    #[inline]
    pub(crate) fn rounded(self, precision: u16, scale: i16) -> Option<Self> {
        let surplus = -i32::from(scale) - self.exponent;
        let rounded = if surplus > 0 { self.without_last(surplus as usize) } else { self };
        let fits = rounded.magnitude() <= i32::from(precision) - i32::from(scale);
        fits.then_some(rounded)
    }

    /// Without its last digits, rounded.
    #[inline]
    fn without_last(self, surplus: usize) -> Self {
        // 17 digits are less than half of 10^18: beyond the powers all is rounded to zero.
        let Some(&unit) = POWERS_OF_TEN.get(surplus) else { return Self::default() };
        let round_up = self.digits % unit >= unit / 2;
        Self::new(self.negative, self.digits / unit + u64::from(round_up), self.exponent + surplus as i32)
    }

    /// The exponent of the least power of ten above the number; of zero the least there is.
    #[inline]
    fn magnitude(self) -> i32 {
        self.digits.checked_ilog10().map_or(i32::MIN, |log| log as i32 + 1 + self.exponent)
    }

    /// The nearest double.
    #[inline]
    pub(crate) fn to_f64(self) -> f64 {
        let magnitude = nearest(self.digits, self.exponent);
        if self.negative { -magnitude } else { magnitude }
    }

    /// How many digits stand after the point.
    pub(super) fn decimals(self) -> u16 {
        self.exponent.min(0).unsigned_abs() as u16
    }

    pub(super) fn is_negative(self) -> bool {
        self.negative
    }

    pub(super) fn digits(self) -> u64 {
        self.digits
    }

    pub(super) fn exponent(self) -> i32 {
        self.exponent
    }
}

/// A number without the zeros that it ends in, and how many they were. Zero stays as it is.
#[inline]
pub(super) fn without_zeros(number: u64) -> (u64, u32) {
    if number.is_multiple_of(10) && number != 0 { strip_zeros(number) } else { (number, 0) }
}

fn strip_zeros(mut number: u64) -> (u64, u32) {
    let mut zeros = 0;
    for step in [16, 8, 4, 2, 1] {
        let unit = POWERS_OF_TEN[step as usize];
        if number.is_multiple_of(unit) {
            number /= unit;
            zeros += step;
        }
    }
    (number, zeros)
}
