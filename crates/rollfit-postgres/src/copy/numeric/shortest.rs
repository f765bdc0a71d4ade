//! [`shortest`]: the shortest decimal that reads back as the same double.
//!
//! What reads back as a double lies between two boundaries, half way to the adjacent doubles. With the right power of ten as
//! the unit, at least one integer lies between them, and at most one multiple of ten: that multiple is the shortest decimal
//! if there is one, and the nearest of the integers if not.
//!
//! [`by_product`] takes one product, which is known to within an error, and answers where no comparison is within it: all but
//! ties, powers of two, subnormal numbers and one double in 10^17. [`exactly`] answers for each double, Raffaello Giulietti's Schubfach:
//! all is decided in integers.

use std::hint::select_unpredictable;

use super::powers::{floor_log2, leading_bits, upper_product};

/// Bits of the fraction that a double stores.
const FRACTION_BITS: u32 = 52;
/// What is added to the exponent of a double before it is stored, when the significand is taken as an integer.
const EXPONENT_BIAS: i32 = 1075;

/// Digits and exponent of the shortest decimal that reads back as `value`, of several the nearest. The value is finite
/// and above zero; the digits may end in zeros.
#[inline]
pub(super) fn shortest(value: f64) -> (u64, i32) {
    by_product(value).unwrap_or_else(|| exactly(value))
}

/// The answer of one product. The value in units of ten times the unit is an integer and a part, in 2^-64; the boundaries
/// are as far from it as `half`, less than half such a unit. None where an error of the part could matter.
///
/// The table is above the truth by one unit of 128 bits at most, and bits are cut off: `part` and `half` are within 1 of the truth,
/// their sums within 2, ten times the part within 10.
#[inline]
pub(super) fn by_product(value: f64) -> Option<(u64, i32)> {
    /// Bits of the part in the upper 64 of the product.
    const PART_BITS: u32 = 11;
    const ERROR: u64 = 16;
    let (fraction, stored_exponent) = split(value);
    let exponent = stored_exponent - EXPONENT_BIAS;
    let tens = unit(exponent, false) + 1;
    let scale = leading_bits(-tens)?;
    // From -4 to -1, because 2^exponent is less than ten units and no less than one.
    let log2 = exponent + floor_log2(-tens);
    let significand = fraction | 1 << FRACTION_BITS;
    let product = upper_product(scale, significand << (PART_BITS as i32 + 1 + log2));
    let (upper, lower) = ((product >> 64) as u64, product as u64);
    let integer = upper >> PART_BITS;
    let part = upper << (64 - PART_BITS) | lower >> PART_BITS;
    let half = (scale >> 64) as u64 >> -log2;
    let tenths = u128::from(part) * 10;
    let (digit, tenths_part) = ((tenths >> 64) as u64, tenths as u64);

    let is_near = |difference: u64| difference.wrapping_add(ERROR) < 2 * ERROR;
    let is_doubtful = is_near(part.wrapping_sub(half))
        | is_near(part.wrapping_add(half))
        | is_near(tenths_part.wrapping_sub(1 << 63));
    // Below a power of two the adjacent double is half as far, and a subnormal number has no leading bit.
    if is_doubtful | (fraction == 0) | (stored_exponent == 0) {
        return None;
    }
    let ceiling_inside = part.wrapping_add(half) < half;
    let is_ten = ceiling_inside | (part < half);
    let nearest = 10 * integer + digit + (tenths_part >> 63);
    // A branch would be mispredicted, which costs more than the work.
    let digits = select_unpredictable(is_ten, integer + u64::from(ceiling_inside), nearest);
    Some((digits, tens - i32::from(!is_ten)))
}

/// The answer for each double.
#[cold]
pub(super) fn exactly(value: f64) -> (u64, i32) {
    let (fraction, stored_exponent) = split(value);
    let (significand, exponent) = match stored_exponent {
        0 => (fraction, 1 - EXPONENT_BIAS),
        _ => (fraction | 1 << FRACTION_BITS, stored_exponent - EXPONENT_BIAS),
    };
    // Below a power of two the adjacent double is half as far.
    let is_power_of_two = fraction == 0 && stored_exponent > 1;
    Interval::around(significand, exponent, is_power_of_two).shortest()
}

/// The fraction and the exponent that a double stores.
#[inline]
fn split(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    (bits & ((1 << FRACTION_BITS) - 1), (bits >> FRACTION_BITS) as i32)
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

    /// The multiple of ten inside, or the nearest integer.
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
fn rounded_to_odd(number: u128) -> u64 {
    (number >> 64) as u64 | u64::from(number as u64 > 1)
}
