//! [`shortest`]: the shortest decimal that reads back as the same double.
//!
//! Raffaello Giulietti's Schubfach. What reads back as a double lies between two boundaries, half way to the adjacent
//! doubles. With the right power of ten as the unit, at least one integer lies between them, and at most one multiple
//! of ten: that multiple is the shortest decimal if there is one, and the nearest of the integers if not. All is
//! decided in integers. Formatting a text and parsing it again would take twice as long.

use super::powers::{floor_log2, leading_bits, upper_product};

/// Bits of the fraction that a double stores.
const FRACTION_BITS: u32 = 52;
/// What is added to the exponent of a double before it is stored, when the significand is taken as an integer.
const EXPONENT_BIAS: i32 = 1075;

/// Digits and exponent of the shortest decimal that reads back as `value`, of several the nearest. The value is finite
/// and above zero; the digits may end in zeros.
#[inline]
pub(super) fn shortest(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << FRACTION_BITS) - 1);
    let stored_exponent = (bits >> FRACTION_BITS) as i32;
    let (significand, exponent) = match stored_exponent {
        0 => (fraction, 1 - EXPONENT_BIAS),
        _ => (fraction | 1 << FRACTION_BITS, stored_exponent - EXPONENT_BIAS),
    };
    // Below a power of two the adjacent double is half as far.
    let is_power_of_two = fraction == 0 && stored_exponent > 1;
    Interval::around(significand, exponent, is_power_of_two).shortest()
}

/// A double between its boundaries, in quarters of 10^exponent.
struct Interval {
    /// The first quarter that reads back as the double.
    first: u64,
    value: u64,
    /// The last one.
    last: u64,
    exponent: i32,
}

impl Interval {
    /// That of significand * 2^exponent.
    #[inline]
    fn around(significand: u64, exponent: i32, is_power_of_two: bool) -> Self {
        let unit = unit(exponent, is_power_of_two);
        // Never missing: the table holds a power for every double.
        let scale = leading_bits(-unit).unwrap_or_default();
        let shift = exponent + floor_log2(-unit) + 1;
        let quarters = |number: u64| rounded_to_odd(upper_product(scale, number << shift));
        // A boundary is a tie, and reads back as the double whose significand is even.
        let is_odd = significand & 1;
        Self {
            first: quarters(4 * significand - 2 + u64::from(is_power_of_two)) + is_odd,
            value: quarters(4 * significand),
            last: quarters(4 * significand + 2) - is_odd,
            exponent: unit,
        }
    }

    /// Computes both answers and selects one: the branch is unpredictable, and a misprediction costs more than the
    /// work.
    #[inline]
    fn shortest(&self) -> (u64, i32) {
        let units = self.value / 4;
        let tens = units / 10;
        let (floor_inside, ceiling_inside) = (self.first <= 40 * tens, 40 * tens + 40 <= self.last);
        if (units >= 10) & (floor_inside != ceiling_inside) {
            (tens + u64::from(ceiling_inside), self.exponent + 1)
        } else {
            (self.nearest(units), self.exponent)
        }
    }

    /// The integer nearest to the value, `units` or the next, that is inside; of two as near the even one.
    #[inline]
    fn nearest(&self, units: u64) -> u64 {
        let (floor_inside, ceiling_inside) = (self.first <= 4 * units, 4 * units + 4 <= self.last);
        let half = 4 * units + 2;
        let is_above_half = (self.value > half) | ((self.value == half) & (units & 1 == 1));
        let one_inside = floor_inside != ceiling_inside;
        units + u64::from((one_inside & ceiling_inside) | (!one_inside & is_above_half))
    }
}

/// The largest power of ten that is no wider than the interval, as an exponent: the base-10 logarithm of 2^exponent, of 3/4
/// of it for a power of two, rounded down.
const fn unit(exponent: i32, is_power_of_two: bool) -> i32 {
    (exponent * 1_262_611 - if is_power_of_two { 524_031 } else { 0 }) >> 22
}

/// The upper half; where there is something below it, with the last bit set. A 1 below is within the error of the
/// table.
#[inline]
fn rounded_to_odd(number: u128) -> u64 {
    (number >> 64) as u64 | u64::from(number as u64 > 1)
}
