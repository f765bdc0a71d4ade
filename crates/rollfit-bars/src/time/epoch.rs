//! Epochs: whole and fractional seconds, milli-, micro- and nanoseconds since 1970.
//!
//! A number is an epoch only where it lies in the years 1980 to 2049 of exactly one unit. These ranges keep out times of
//! day, counts of minutes and seconds, row numbers, spreadsheet and Julian days, and dates without separators. For
//! nanoseconds the range begins in 1991, which keeps out the 100-nanosecond ticks that .NET counts from year 1.

use std::ops::Range;

use crate::error::{EpochUnit, NumberKind, RowFault};
use crate::time::stamp::{SECOND_US, day_number, fraction, number};

/// 1980-01-01 to 2050-01-01 in seconds.
const RANGE_S: Range<i64> = 315_532_800..2_524_608_000;
/// 1991-01-01: .NET ticks of the years to 2100 are smaller numbers.
const FIRST_NS: i64 = 662_688_000_000_000_000;

impl EpochUnit {
    const ALL: [Self; 4] = [Self::Seconds, Self::Milliseconds, Self::Microseconds, Self::Nanoseconds];

    /// How many make a second.
    fn per_second(self) -> i64 {
        match self {
            Self::Seconds => 1,
            Self::Milliseconds => 1_000,
            Self::Microseconds => 1_000_000,
            Self::Nanoseconds => 1_000_000_000,
        }
    }

    fn from_number(whole: i64) -> Option<Self> {
        let unit = Self::ALL.into_iter().find(|unit| RANGE_S.contains(&(whole / unit.per_second())))?;
        (unit != Self::Nanoseconds || whole >= FIRST_NS).then_some(unit)
    }

    fn us(self, whole: i64, part: &[u8]) -> Result<i64, RowFault> {
        match self {
            Self::Nanoseconds if whole % 1_000 == 0 => Ok(whole / 1_000 + fraction(part, 1)?),
            Self::Nanoseconds => Err(RowFault::TooFine),
            unit => {
                let unit_us = SECOND_US / unit.per_second();
                Ok(whole * unit_us + fraction(part, unit_us)?)
            }
        }
    }
}

/// An epoch as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch {
    pub(crate) unit: EpochUnit,
    pub(crate) us: i64,
    /// The digits also read as a date and time without separators and with two digits of the year, or without minutes.
    pub(crate) reads_as_date: bool,
}

/// Reads an epoch.
pub(crate) fn epoch(text: &str) -> Result<Epoch, RowFault> {
    let text = text.trim_ascii();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (digits, part) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if digits.is_empty() || !digits.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(RowFault::Time);
    }
    let whole = number(digits.as_bytes()).unwrap_or(i64::MAX);
    let plain = unsigned.len() == text.len() && !digits.starts_with('0');
    let unit =
        EpochUnit::from_number(whole).filter(|_| plain).ok_or(RowFault::NotEpoch(kind(whole, part)))?;
    let us = unit.us(whole, part.as_bytes())?;
    Ok(Epoch { unit, us, reads_as_date: part.is_empty() && reads_as_date(digits) })
}

fn kind(whole: i64, part: &str) -> NumberKind {
    match whole {
        0 if !part.is_empty() => NumberKind::SpreadsheetDay,
        20_000..80_000 => NumberKind::SpreadsheetDay,
        0..100_000 => NumberKind::Count,
        2_300_000..2_600_000 => NumberKind::JulianDay,
        _ => NumberKind::Other,
    }
}

/// Whether ten digits read as `YYMMDDHHMM`, `DDMMYYHHMM`, `MMDDYYHHMM` or `YYYYMMDDHH`, or twelve with seconds after them.
fn reads_as_date(digits: &str) -> bool {
    let pairs: Vec<i64> = digits.as_bytes().chunks_exact(2).filter_map(number).collect();
    let date = |year: i64, month: i64, day: i64| day_number(year, month, day).is_some();
    let &[a, b, c, d, e, ref seconds @ ..] = pairs.as_slice() else { return false };
    let short = d < 24 && e < 60 && (date(2000 + a, b, c) || date(2000 + c, b, a) || date(2000 + c, a, b));
    match (digits.len(), seconds) {
        (10, []) => short || e < 24 && date(100 * a + b, c, d),
        (12, [seconds]) => short && *seconds < 60,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2017-03-01 00:00.
    const MARCH_S: i64 = 1_488_326_400;

    #[test]
    fn the_magnitude_says_the_unit() {
        for (unit, zeros) in EpochUnit::ALL.into_iter().zip(["", "000", "000000", "000000000"]) {
            for part in ["", ".0", ".000000000"] {
                let read = epoch(&format!(" {MARCH_S}{zeros}{part}")).unwrap();
                assert_eq!((read.unit, read.us), (unit, MARCH_S * SECOND_US), "{zeros} {part}");
            }
        }
        assert_eq!(epoch("1488326400000.25").unwrap().us, MARCH_S * SECOND_US + 250);
        assert_eq!(epoch("315532800").unwrap().us, 315_532_800 * SECOND_US);
        assert_eq!(epoch("2524607999").unwrap().us, 2_524_607_999 * SECOND_US);
    }

    #[test]
    fn no_two_units_share_a_number() {
        for unit in EpochUnit::ALL {
            for whole in [RANGE_S.start * unit.per_second(), RANGE_S.end * unit.per_second() - 1] {
                let fitting =
                    EpochUnit::ALL.iter().filter(|other| RANGE_S.contains(&(whole / other.per_second())));
                assert_eq!(fitting.count(), 1, "{whole}");
            }
        }
    }

    #[test]
    fn other_numbers_are_no_epochs() {
        let cases = [
            ("0", NumberKind::Count),
            ("0000", NumberKind::Count),
            ("1439", NumberKind::Count),
            ("93000", NumberKind::Count),
            ("86399", NumberKind::Count),
            ("45293", NumberKind::SpreadsheetDay),
            ("45293.00069", NumberKind::SpreadsheetDay),
            ("0.00069", NumberKind::SpreadsheetDay),
            ("2460311.5", NumberKind::JulianDay),
            ("-1488326400", NumberKind::Other),
            ("+1488326400", NumberKind::Other),
            ("01488326400", NumberKind::Other),
            ("19724000", NumberKind::Other),
            ("86399999", NumberKind::Other),
            ("3913056000", NumberKind::Other),
            ("240102003000", NumberKind::Other),
            ("020120240030", NumberKind::Other),
            ("638396640000000000", NumberKind::Other),
            ("133485408000000000", NumberKind::Other),
            ("12345678901234567890123", NumberKind::Other),
        ];
        for (text, kind) in cases {
            assert_eq!(epoch(text), Err(RowFault::NotEpoch(kind)), "{text}");
        }
        for text in ["", "x", "1.5e9", "-", ".", "1488326400,", "1488326400.x", "1,488,326,400"] {
            assert_eq!(epoch(text), Err(RowFault::Time), "{text}");
        }
    }

    #[test]
    fn finer_than_a_microsecond_is_a_fault() {
        for text in ["1488326400000000001", "1488326400.1234567", "1488326400000000.5"] {
            assert_eq!(epoch(text), Err(RowFault::TooFine), "{text}");
        }
    }

    #[test]
    fn numbers_that_may_be_dates_are_marked() {
        for text in ["1701020030", "2401020030", "1501170030", "2017030117", "990102003000"] {
            assert!(epoch(text).unwrap().reads_as_date, "{text}");
        }
        assert!(!epoch("1704153600").unwrap().reads_as_date);
        assert!(!epoch("1704153600000").unwrap().reads_as_date);
    }
}
