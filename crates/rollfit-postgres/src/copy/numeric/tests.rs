//! What is promised of NUMERIC: the server's own bytes, the same double back, the server's rounding, and no panic.

use num_bigint::BigUint;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::shortest::{by_product, exactly};
use super::*;
use crate::copy::encoded_field::FIELD_BYTES_MAX;

/// The body of a field.
fn body(decimal: Decimal, decimals: Option<u16>) -> Vec<u8> {
    let mut field = [0xaa; FIELD_BYTES_MAX];
    let end = encode(decimal, decimals).put(&mut field, 0);
    let (length, body) = field[..end].split_first_chunk().unwrap();
    assert_eq!(u32::from_be_bytes(*length) as usize, body.len());
    body.to_vec()
}

/// The body of a field, in hexadecimal, as `encode(numeric_send(x), 'hex')` gives it.
fn encoded(decimal: Decimal, decimals: Option<u16>) -> String {
    body(decimal, decimals).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decoded(hex: &str) -> Result<f64, NumericError> {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    decode(&(0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>())
}

/// What the server sends.
const SENT: [(f64, &str); 32] = [
    (0.0, "0000000000000000"),
    (1.0, "00010000000000000001"),
    (-1.0, "00010000400000000001"),
    (0.1, "0001ffff0000000103e8"),
    (12.5, "0002000000000001000c1388"),
    (1e4, "00010001000000000001"),
    (1e20, "00010005000000000001"),
    (1.5e-7, "0001fffe00000008000f"),
    (9999.0, "0001000000000000270f"),
    (0.0001, "0001ffff000000040001"),
    (-123.45678901234567, "000500004000000e007b11d722c509291a2c"),
    (1234567890123456.8, "000500030000000104d2162e23340d801f40"),
    (5e-324, "0001ffaf000001440005"),
    (f64::MIN_POSITIVE, "0005ffb300000144000208ca1cd9213b07de"),
    (f64::MAX, "0005004d0000000000011f28246112fe0c55"),
    (1e22, "00010005000000000064"),
    (0.5, "0001ffff000000011388"),
    (0.00012345678901234567, "0005ffff00000014000109291a85007b11d7"),
    (-99999999999999.98, "00050003400000020063270f270f270f2648"),
    (8.881784197001252e-16, "0005fffc0000001f0008227120e31b5909d8"),
    (2.225073858507201e-308, "0005ffb300000143000208ca1cd9213b07da"),
    (9007199254740992.0, "0004000300000000232f07c8156203e0"),
    (-0.30000000000000004, "0005ffff400000110bb80000000000000fa0"),
    (1e15, "000100030000000003e8"),
    (1e16, "00010004000000000001"),
    (100000000.00000001, "000500020000000800010000000000000001"),
    (-1.7976931348623157e308, "0005004d4000000000011f28246112fe0c55"),
    (12345678.0, "000200010000000004d2162e"),
    (0.1234, "0001ffff0000000404d2"),
    (123400000000.0, "000100020000000004d2"),
    (1.2345678901234568e-5, "0005fffe0000001504d2162e23340d801f40"),
    (-0.8999999999999999, "0004ffff400000102327270f270f270f"),
];

#[test]
fn the_bytes_are_those_that_the_server_sends() {
    for (value, hex) in SENT {
        assert_eq!(encoded(Decimal::from_f64(value), None), hex, "{value:e}");
        assert_eq!(decoded(hex), Ok(value));
    }
}

#[test]
fn negative_zero_is_written_as_zero() {
    assert_eq!(encoded(Decimal::from_f64(-0.0), None), encoded(Decimal::from_f64(0.0), None));
}

#[test]
fn nan_and_infinities_of_the_server_are_read_as_such() {
    assert!(decoded("00000000c0000000").unwrap().is_nan());
    assert_eq!(decoded("00000000d0000020"), Ok(f64::INFINITY));
    assert_eq!(decoded("00000000f0000020"), Ok(f64::NEG_INFINITY));
}

/// The bytes of a NUMERIC with these groups.
fn sent(sign: u16, weight: i16, groups: &[u16]) -> Vec<u8> {
    let header = [groups.len() as u16, weight as u16, sign, 0];
    header.iter().chain(groups).flat_map(|word| word.to_be_bytes()).collect()
}

#[test]
fn ties_go_to_even_and_the_last_of_many_digits_decides() {
    // 2^53 + 1 and 2^53 + 3 lie half way between two doubles.
    let (even_below, even_above) = ([9007, 1992, 5474, 993], [9007, 1992, 5474, 995]);
    assert_eq!(decode(&sent(POSITIVE, 3, &even_below)), Ok(9_007_199_254_740_992.0));
    assert_eq!(decode(&sent(NEGATIVE, 3, &even_above)), Ok(-9_007_199_254_740_996.0));
    let mut groups = even_below.to_vec();
    groups.resize(36_863, 0);
    assert_eq!(decode(&sent(POSITIVE, 3, &groups)), Ok(9_007_199_254_740_992.0));
    groups.push(1);
    assert_eq!(decode(&sent(POSITIVE, 3, &groups)), Ok(9_007_199_254_740_994.0));
}

#[test]
fn what_is_beyond_all_doubles_is_infinite_and_what_is_nearest_to_zero_is_positive_zero() {
    assert_eq!(decode(&sent(POSITIVE, i16::MAX, &[1])), Ok(f64::INFINITY));
    assert_eq!(decode(&sent(NEGATIVE, 77, &[2])), Ok(f64::NEG_INFINITY));
    for (sign, weight) in [(POSITIVE, -4096), (NEGATIVE, -4096), (NEGATIVE, -82)] {
        assert_eq!(decode(&sent(sign, weight, &[1])).map(f64::to_bits), Ok(0));
    }
    assert_eq!(decode(&sent(NEGATIVE, 0, &[])).map(f64::to_bits), Ok(0));
}

#[test]
fn bytes_that_are_no_numeric_are_an_error_that_says_why() {
    let error = |hex| decoded(hex).unwrap_err().to_string();
    assert_eq!(error(""), "a NUMERIC of 0 bytes instead of 8");
    assert_eq!(error("00010000000000"), "a NUMERIC of 7 bytes instead of 8");
    assert_eq!(error("0001000000000000"), "a NUMERIC of 8 bytes instead of 10");
    assert_eq!(error("000100000000000000010001"), "a NUMERIC of 12 bytes instead of 10");
    assert_eq!(error("ffff000000000000000100"), "a NUMERIC of 11 bytes instead of 131078");
    assert_eq!(error("00010000100000000001"), "a NUMERIC with the unknown sign 0x1000");
    assert_eq!(error("00010000000000002710"), "a NUMERIC with a digit of 10000, expected one below 10000");
}

/// The shortest decimal according to the standard library, which gets there another way. Between two as near it takes the
/// upper; asked for so many digits, the even one.
fn by_standard_library(value: f64) -> (u64, i32) {
    let value = value.abs();
    let shortest = format!("{value:e}");
    let decimals = parts(&shortest).1.len();
    let even = format!("{value:.decimals$e}");
    let (whole, fraction, exponent) = parts(if even.parse() == Ok(value) { &even } else { &shortest });
    ((whole.to_owned() + fraction).parse().unwrap(), exponent - decimals as i32)
}

fn parts(text: &str) -> (&str, &str, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap();
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    (whole, fraction, exponent.parse().unwrap())
}

fn is_shortest(value: f64) {
    let decimal = Decimal::from_f64(value);
    assert_eq!((decimal.digits(), decimal.exponent()), by_standard_library(value), "{value:e}");
    assert_eq!(decimal.is_negative(), value < 0.0);
}

#[test]
fn powers_of_two_and_their_neighbours_are_written_shortest() {
    for exponent in 0..=2046_u64 {
        let power = exponent << 52;
        for bits in [power.saturating_sub(1), power, power + 1] {
            is_shortest(f64::from_bits(bits));
        }
    }
    for exponent in 0..52 {
        is_shortest(f64::from_bits(1 << exponent));
    }
}

#[test]
fn powers_of_ten_and_their_neighbours_are_written_shortest() {
    for exponent in -323..=308 {
        let power: f64 = format!("1e{exponent}").parse().unwrap();
        for value in [power.next_down(), power, power.next_up()] {
            is_shortest(value);
        }
    }
}

fn always_the_same(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Doubles of any size, and such as features are.
fn finite() -> impl Strategy<Value = f64> {
    let any_bits = any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite());
    let subnormal = (1..1_u64 << 52).prop_map(f64::from_bits);
    let decimal = (-10_000_000_i64..10_000_000, -12..6)
        .prop_map(|(digits, exponent)| digits as f64 * 10_f64.powi(exponent));
    prop_oneof![any_bits, subnormal, decimal, -1e3..1e3_f64, -1e-9..1e-9_f64]
}

/// |value| * 10^scale, rounded with halves away from zero, in integers of any size.
fn rounded_units(value: f64, scale: i32) -> BigUint {
    let (digits, exponent) = by_standard_library(value);
    let ten = |power: i32| BigUint::from(10_u32).pow(power as u32);
    match exponent + scale {
        up @ 0.. => digits * ten(up),
        down => (digits + ten(-down) / 2_u32) / ten(-down),
    }
}

#[test]
fn the_table_of_powers_is_above_the_truth_by_one_unit_at_most() {
    for exponent in -292..=324_i32 {
        let power = BigUint::from(10_u32).pow(exponent.unsigned_abs());
        let shift = 127 - powers::floor_log2(exponent);
        let truth = match (exponent < 0, shift < 0) {
            (true, _) => (BigUint::from(1_u32) << shift) / power,
            (false, true) => power >> -shift,
            (false, false) => power << shift,
        };
        assert_eq!(powers::leading_bits(exponent).map(BigUint::from), Some(truth + 1_u32), "{exponent}");
    }
    assert_eq!((powers::leading_bits(-293), powers::leading_bits(325)), (None, None));
}

proptest! {
    #![proptest_config(always_the_same(20_000))]

    #[test]
    fn every_double_is_written_shortest(value in finite()) {
        is_shortest(value);
    }

    #[test]
    fn one_product_gives_the_exact_answer_or_none(value in finite()) {
        let value = value.abs();
        prop_assume!(value > 0.0);
        let exact = exactly(value);
        prop_assert_eq!(by_product(value).unwrap_or(exact), exact);
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_bits(value in finite()) {
        let value = value + 0.0;
        let body = body(Decimal::from_f64(value), None);
        prop_assert_eq!(decode(&body).map(f64::to_bits), Ok(value.to_bits()));
        prop_assert_eq!(Decimal::from_f64(value).to_f64().to_bits(), value.to_bits());
    }

    #[test]
    fn rounding_is_exact_and_refuses_what_does_not_fit(
        value in finite(), precision in 1..40_u16, scale in -30..60_i16,
    ) {
        let units = rounded_units(value, scale.into());
        let fits = units < BigUint::from(10_u32).pow(precision.into());
        let rounded = Decimal::from_f64(value).rounded(precision, scale);
        prop_assert_eq!(rounded.is_some(), fits);
        if let Some(rounded) = rounded {
            let is_zero = rounded.digits() == 0;
            let shift = if is_zero { 0 } else { rounded.exponent() + i32::from(scale) };
            prop_assert_eq!(rounded.digits() * BigUint::from(10_u32).pow(shift as u32), units);
            prop_assert_eq!(rounded.is_negative(), value < 0.0 && !is_zero);
        }
    }

    #[test]
    fn any_groups_become_the_double_nearest_to_their_number(
        groups in prop::collection::vec(0..10_000_u16, 0..12), weight in -90..90_i16, negative: bool,
    ) {
        let number = groups.iter().fold(BigUint::ZERO, |number, &group| number * 10_000_u32 + group);
        let exponent = 4 * (i32::from(weight) + 1 - groups.len() as i32);
        let nearest: f64 = format!("{number}e{exponent}").parse().unwrap();
        let signed = if negative { -nearest + 0.0 } else { nearest };
        let sign = if negative { NEGATIVE } else { POSITIVE };
        prop_assert_eq!(decode(&sent(sign, weight, &groups)).map(f64::to_bits), Ok(signed.to_bits()));
    }

    #[test]
    fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..60), count_is_right: bool) {
        if count_is_right && bytes.len() >= 8 {
            let groups = (bytes.len() - 8) / 2;
            bytes.truncate(8 + 2 * groups);
            bytes[..2].copy_from_slice(&(groups as u16).to_be_bytes());
        }
        let _ = decode(&bytes);
    }
}

#[test]
fn rounding_is_that_of_the_server() {
    let rounded = |value, precision, scale: i16| {
        let decimal = Decimal::from_f64(value).rounded(precision, scale)?;
        Some(encoded(decimal, Some(scale.max(0) as u16)))
    };
    let same_as = |value, decimals| Some(encoded(Decimal::from_f64(value), Some(decimals)));
    assert_eq!(rounded(12.345, 4, 2), same_as(12.35, 2));
    assert_eq!(rounded(-12.345, 4, 2), same_as(-12.35, 2));
    assert_eq!(rounded(0.005, 4, 2), same_as(0.01, 2));
    assert_eq!(rounded(-0.004, 4, 2).as_deref(), Some("0000000000000002"));
    assert_eq!(rounded(99.995, 4, 2), None);
    assert_eq!(rounded(1250.0, 3, -2).as_deref(), Some("00010000000000000514"));
    assert_eq!(rounded(49.0, 3, -2).as_deref(), Some("0000000000000000"));
    assert_eq!(rounded(99_949.0, 3, -2), same_as(99_900.0, 0));
    assert_eq!(rounded(99_950.0, 3, -2), None);
    assert_eq!(rounded(0.00012345, 3, 6).as_deref(), Some("0002ffff00000006000108fc"));
    assert_eq!(rounded(0.0009994, 3, 6), same_as(0.000999, 6));
    assert_eq!(rounded(0.0009995, 3, 6), None);
    assert_eq!(rounded(f64::MAX, 1000, 0), same_as(f64::MAX, 0));
    assert_eq!(rounded(f64::MAX, 308, 0), None);
    assert_eq!(rounded(f64::MAX, 1, -309), same_as(0.0, 0));
    assert_eq!(rounded(5e-324, 1000, 1000), same_as(5e-324, 1000));
}
