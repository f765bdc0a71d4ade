//! [`nearest`]: the double nearest to a decimal, ties to even.

use super::powers::{floor_log2, leading_bits, upper_product};

/// The double nearest to digits * 10^exponent, infinity where it is beyond all doubles.
pub(super) fn nearest(digits: u64, exponent: i32) -> f64 {
    by_product(digits, exponent).unwrap_or_else(|| by_text(&format!("{digits}e{exponent}")))
}

/// The answer of one multiplication. It is known to within one unit of its 128 bits: where both ends round to the same
/// double, so does the truth between them. None where they do not, which is rare but for ties, and where a result may not
/// be a normal double.
#[inline]
fn by_product(digits: u64, exponent: i32) -> Option<f64> {
    if digits == 0 {
        return Some(0.0);
    }
    let zeros = digits.leading_zeros();
    let product = upper_product(leading_bits(exponent)?, digits << zeros);
    let scale = power_of_two(floor_log2(exponent) - 63 - zeros as i32)?;
    let (lower, upper) = ((product - 1) as f64, (product + 1) as f64);
    (lower == upper).then_some(upper * scale)
}

/// 2^exponent, where that is a normal double.
#[inline]
fn power_of_two(exponent: i32) -> Option<f64> {
    let stored_exponent = exponent + 1023;
    (1..=2046).contains(&stored_exponent).then(|| f64::from_bits((stored_exponent as u64) << 52))
}

/// The double nearest to any number of digits with an exponent, such as 0012500e-3.
pub(super) fn by_text(text: &str) -> f64 {
    // Never missing: digits and an exponent always are a number.
    text.parse().unwrap_or(f64::NAN)
}
