//! PostgreSQL's NUMERIC in its binary wire form, to and from doubles: [`encode`] and [`decode`].
//!
//! The format, all big-endian: the count of the digits in base 10,000 (here: groups), the weight of the first as a
//! power of 10,000, the sign, the decimals to display, then the groups. In a COPY its length precedes it.
//!
//! Invariants: the written number is the shortest decimal that reads back as the same double, rounded first if the
//! column requires it. The read number becomes the nearest double, whatever the number of digits, and never -0.0. No
//! bytes panic.

mod decimal;
mod nearest;
mod powers;
mod shortest;
#[cfg(test)]
mod tests;

use crate::copy::encoded_field::EncodedField;
pub(crate) use decimal::Decimal;
use decimal::{POWERS_OF_TEN, without_zeros};
use nearest::{by_text, nearest};

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// The upper limit of a group, exclusive.
const GROUP: u64 = 10_000;
/// Decimal digits of a group.
const GROUP_DIGITS: usize = 4;

const HEADER_BYTES: usize = 8;
const GROUP_BYTES: usize = 2;

/// Bytes that are not a NUMERIC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NumericError {
    /// Too few bytes for a header, or not as many as it states.
    #[error("a NUMERIC of {bytes} bytes instead of {wanted}")]
    Length {
        /// The bytes received.
        bytes: usize,
        /// The bytes expected.
        wanted: usize,
    },
    /// A sign that PostgreSQL does not have.
    #[error("a NUMERIC with the unknown sign {0:#06x}")]
    Sign(u16),
    /// A group that is too large.
    #[error("a NUMERIC with a digit of {0}, expected one below 10000")]
    Group(u16),
}

/// Encodes `decimal` as a field of a binary COPY. `decimals` is the number of digits after the point that the server
/// displays and keeps: the scale of NUMERIC(precision, scale), or 0 if that is negative; none for an unlimited NUMERIC.
#[inline]
pub(crate) fn encode(decimal: Decimal, decimals: Option<u16>) -> EncodedField {
    let group_exponent = decimal.exponent() >> GROUP_DIGITS.ilog2();
    let zeros = decimal.exponent() & (GROUP_DIGITS as i32 - 1);
    let groups = five_groups(u128::from(decimal.digits()) * u128::from(POWERS_OF_TEN[zeros as usize]));
    let count = group_count(groups);
    // Zero has no group, and a weight of 0.
    let weight = group_exponent + count as i32 - i32::from(count > 0);
    let decimals = decimals.unwrap_or_else(|| decimal.decimals());
    EncodedField::from_groups((weight, sign(decimal.is_negative()), decimals), groups, count)
}

/// The sign of a number on the wire.
#[inline]
pub(crate) fn sign(negative: bool) -> u16 {
    if negative { NEGATIVE } else { POSITIVE }
}

/// The five groups of a number below 10^20: the first, and the others in 16 bits each.
#[inline]
fn five_groups(number: u128) -> (u16, u64) {
    const FOUR_GROUPS: u64 = GROUP.pow(4);
    const TWO_GROUPS: u64 = GROUP.pow(2);
    // 10^16 is 2^16 * 5^16; a 64-bit division is faster than a 128-bit one.
    let first = (number >> 16) as u64 / 5_u64.pow(16);
    let rest = (number as u64).wrapping_sub(first.wrapping_mul(FOUR_GROUPS));
    // From n = q * unit + r follows q * 2^bits + r = n + q * (2^bits - unit): first for two halves, then within both at once.
    let halves = rest + rest / TWO_GROUPS * ((1 << 32) - TWO_GROUPS);
    let quotient = |half: u32| u64::from(half / GROUP as u32);
    let quotients = quotient((halves >> 32) as u32) << 32 | quotient(halves as u32);
    (first as u16, halves + quotients * ((1 << 16) - GROUP))
}

/// How many of five groups remain without zeros before them. Nearly all doubles have four or five.
#[inline]
fn group_count((first, others): (u16, u64)) -> u32 {
    #[cold]
    fn of_few(others: u64) -> u32 {
        4 - others.leading_zeros() / 16
    }
    if u64::from(first) | others >> 48 == 0 { of_few(others) } else { 4 + u32::from(first != 0) }
}

/// Returns the double nearest to a NUMERIC as the server sends it, ties to even; infinity beyond all doubles, +0.0
/// for what is nearest to zero.
///
/// # Errors
/// [`NumericError`] when `bytes` do not have that form.
pub(crate) fn decode(bytes: &[u8]) -> Result<f64, NumericError> {
    let Some((header, body)) = bytes.split_first_chunk() else {
        return Err(NumericError::Length { bytes: bytes.len(), wanted: HEADER_BYTES });
    };
    let [count, weight, sign, _] = split(u64::from_be_bytes(*header));
    let wanted = HEADER_BYTES + usize::from(count) * GROUP_BYTES;
    if bytes.len() != wanted {
        return Err(NumericError::Length { bytes: bytes.len(), wanted });
    }
    let (groups, _) = body.as_chunks();
    // Only the weight is signed: a NUMERIC may have more groups than an i16 counts.
    let exponent = (i32::from(weight as i16) + 1 - i32::from(count)) * GROUP_DIGITS as i32;
    match sign {
        POSITIVE => magnitude(groups, exponent),
        // Zero is added because -0.0 + 0.0 is +0.0.
        NEGATIVE => magnitude(groups, exponent).map(|magnitude| -magnitude + 0.0),
        NAN => Ok(f64::NAN),
        INFINITY => Ok(f64::INFINITY),
        NEGATIVE_INFINITY => Ok(f64::NEG_INFINITY),
        _ => Err(NumericError::Sign(sign)),
    }
}

fn split(words: u64) -> [u16; 4] {
    [48, 32, 16, 0].map(|shift| (words >> shift) as u16)
}

/// Returns the double nearest to the number in the groups times 10^exponent.
fn magnitude(groups: &[[u8; 2]], exponent: i32) -> Result<f64, NumericError> {
    let groups = groups.iter().map(|&group| u16::from_be_bytes(group));
    if let Some(group) = groups.clone().find(|&group| u64::from(group) >= GROUP) {
        return Err(NumericError::Group(group));
    }
    Ok(match digits(groups.clone().map(u64::from)) {
        Some((digits, zeros)) => nearest(digits, exponent + zeros as i32),
        None => by_text(&text(groups, exponent)),
    })
}

/// Returns the digits of the groups without trailing zeros, and how many zeros those are. None if they do not fit;
/// the shortest decimal of a double always fits.
fn digits(mut groups: impl DoubleEndedIterator<Item = u64>) -> Option<(u64, u32)> {
    let (last, zeros) = without_zeros(groups.next_back().unwrap_or(0));
    let before = groups.try_fold(0_u64, |digits, group| digits.checked_mul(GROUP)?.checked_add(group))?;
    let unit = POWERS_OF_TEN[GROUP_DIGITS - zeros as usize];
    Some((before.checked_mul(unit)?.checked_add(last)?, zeros))
}

/// Any number of digits.
fn text(groups: impl Iterator<Item = u16>, exponent: i32) -> String {
    let mut text = String::new();
    for group in groups {
        text.push_str(&format!("{group:04}"));
    }
    text + &format!("e{exponent}")
}
