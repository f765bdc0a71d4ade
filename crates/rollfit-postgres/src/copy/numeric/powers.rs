//! Powers of ten to 128 bits, for the two conversions between doubles and decimals.

/// The least exponent in the table.
const EXPONENT_MIN: i32 = -292;
/// The largest.
const EXPONENT_MAX: i32 = 324;
const ENTRIES: usize = (EXPONENT_MAX - EXPONENT_MIN + 1) as usize;

/// Words of an integer, the lowest first, that holds 10^[`EXPONENT_MAX`] and has room for 10^[`EXPONENT_MIN`].
const WORDS: usize = 18;

/// For each exponent the 128 leading bits of 10^exponent, plus one: always above the truth, by one unit at most.
static LEADING_BITS: [u128; ENTRIES] = leading_bits_of_powers();

/// 10^exponent * 2^(127 - [`floor_log2`]) to 128 bits, above the truth by one at most; none outside of the table.
#[inline]
pub(super) fn leading_bits(exponent: i32) -> Option<u128> {
    LEADING_BITS.get(usize::try_from(exponent - EXPONENT_MIN).ok()?).copied()
}

/// The base-2 logarithm of 10^exponent, rounded down; exact far beyond the table.
pub(super) const fn floor_log2(exponent: i32) -> i32 {
    (exponent * 1_741_647) >> 19
}

/// The product without its lowest 64 bits.
#[inline]
pub(super) fn upper_product(factor: u128, number: u64) -> u128 {
    let number = u128::from(number);
    let lower = (factor & u128::from(u64::MAX)) * number;
    (factor >> 64) * number + (lower >> 64)
}

const fn leading_bits_of_powers() -> [u128; ENTRIES] {
    let mut powers = [0; ENTRIES];
    let mut number = [0; WORDS];
    number[0] = 1;
    let mut exponent = 0;
    while exponent <= EXPONENT_MAX {
        powers[(exponent - EXPONENT_MIN) as usize] = first_128_bits(&number) + 1;
        number = ten_times(number);
        exponent += 1;
    }
    // Below one the words hold 10^exponent times a power of two. Rounded down at each step is rounded down once.
    number = [0; WORDS];
    number[WORDS - 1] = 1 << 63;
    exponent = -1;
    while exponent >= EXPONENT_MIN {
        number = tenth(number);
        powers[(exponent - EXPONENT_MIN) as usize] = first_128_bits(&number) + 1;
        exponent -= 1;
    }
    powers
}

const fn ten_times(mut number: [u64; WORDS]) -> [u64; WORDS] {
    let mut carry = 0;
    let mut at = 0;
    while at < WORDS {
        let product = number[at] as u128 * 10 + carry;
        number[at] = product as u64;
        carry = product >> 64;
        at += 1;
    }
    number
}

const fn tenth(mut number: [u64; WORDS]) -> [u64; WORDS] {
    let mut rest = 0;
    let mut at = WORDS;
    while at > 0 {
        at -= 1;
        let dividend = rest << 64 | number[at] as u128;
        number[at] = (dividend / 10) as u64;
        rest = dividend % 10;
    }
    number
}

/// The bits from the first that is set, with zeros after the last.
const fn first_128_bits(number: &[u64; WORDS]) -> u128 {
    let mut bits = 0;
    let mut missing = 128;
    let mut at = WORDS;
    while at > 0 && missing > 0 {
        at -= 1;
        let word_bits = if bits == 0 { 64 - number[at].leading_zeros() } else { 64 };
        let taken = if word_bits < missing { word_bits } else { missing };
        if taken > 0 {
            bits = bits << taken | (number[at] >> (word_bits - taken)) as u128;
            missing -= taken;
        }
    }
    bits << missing
}
