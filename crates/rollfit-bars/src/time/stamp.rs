//! [`Stamp`]: time stamps as files write them, read into local or absolute microseconds, by hand, byte by byte.
//!
//! The shape says the notation, so one reader serves every format:
//!
//! | shape | read as |
//! |---|---|
//! | `2017-03-01`, `2017.03.01`, `2017/03/01`, `20170301`, `01.03.2017` | a date; day first with dots only |
//! | then `T` or a space and `17:00`, `17:00:30`, `17:00:30.125`, `170030` | a time of day; none is midnight |
//! | then `Z`, `UTC`, `GMT`, `+02:00`, `+0200`, `+02`, `GMT+0200` | the offset from UTC; none is local time |
//!
//! A number of 8, 12 or 14 digits that reads as a date of the years 1900 to 2099 is that date. Digits below
//! the microsecond are a fault unless they are zero.

use crate::error::RowFault;

/// A time stamp as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// Wall clock time, as microseconds since 1970-01-01 on that clock.
    Local { us: i64 },
    /// An instant, with the offset from UTC that the bytes state.
    Instant { us: i64, offset_s: i32 },
}

pub(crate) const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;
/// 0001-01-01 and 9999-01-01: room on both sides for any offset.
const RANGE_US: std::ops::Range<i64> = -62_135_596_800 * SECOND_US..253_370_764_800 * SECOND_US;

impl Stamp {
    /// Reads a date, with its time of day or without. Also says whether there was one.
    pub(crate) fn date_time(text: &str) -> Result<(Self, bool), RowFault> {
        if let Some(us) = usual(text.as_bytes()) {
            return Ok((Self::Local { us }, true));
        }
        let mut cursor = Cursor::new(text);
        let day = cursor.date().ok_or(RowFault::Time)?;
        let has_time = cursor.at_time();
        let time = if has_time { cursor.time()? } else { 0 };
        Ok((cursor.finish(day, time)?, has_time))
    }

    /// Reads a date in one field and its time in another.
    pub(crate) fn date_and_time(date: &str, time: &str) -> Result<Self, RowFault> {
        let mut cursor = Cursor::new(date);
        let day = cursor.date().filter(|_| cursor.is_done()).ok_or(RowFault::Time)?;
        let mut cursor = Cursor::new(time);
        let time = cursor.time()?;
        cursor.finish(day, time)
    }

    /// A local time known to be UTC; others stay as they are.
    pub(crate) fn in_utc(self) -> Self {
        match self {
            Self::Local { us } => Self::Instant { us, offset_s: 0 },
            instant => instant,
        }
    }
}

/// The instant, if it lies in the years that can be stored.
pub(crate) fn in_range(us: i64) -> Result<i64, RowFault> {
    if RANGE_US.contains(&us) { Ok(us) } else { Err(RowFault::Range) }
}

/// A local time in one of the two notations that most rows have, `20170301 170030` and `2017-03-01 17:00:30`, read in a
/// third of the time; none for whatever is not plain.
fn usual(text: &[u8]) -> Option<i64> {
    let two = |at: usize| {
        let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
        (tens < 10 && ones < 10).then(|| i64::from(tens * 10 + ones))
    };
    let [month, day, hour, minute, second] = match text.len() {
        15 if text[8] == b' ' => [4, 6, 9, 11, 13],
        19 if text[4] == text[7]
            && matches!(text[4], b'-' | b'.' | b'/')
            && text[10] == b' '
            && [text[13], text[16]] == [b':'; 2] =>
        {
            [5, 8, 11, 14, 17]
        }
        _ => return None,
    };
    let day = day_number(two(0)? * 100 + two(2)?, two(month)?, two(day)?)?;
    let (hour, minute, second) = (two(hour)?, two(minute)?, two(second)?);
    let us = (day * 86_400 + hour * 3600 + minute * 60 + second) * SECOND_US;
    (hour < 24 && minute < 60 && second < 60 && RANGE_US.contains(&us)).then_some(us)
}

struct Cursor<'a> {
    rest: &'a [u8],
    /// The stamp so far is digits only, so that a date has to be plausible.
    bare: bool,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        let rest = text.trim_ascii().as_bytes();
        Self { rest, bare: rest.iter().all(u8::is_ascii_digit) }
    }

    fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    fn eat(&mut self, wanted: &[u8]) -> bool {
        let found = self.rest.strip_prefix(wanted);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn eat_byte(&mut self, wanted: u8) -> bool {
        let found = self.rest.first() == Some(&wanted);
        self.rest = &self.rest[usize::from(found)..];
        found
    }

    /// Exactly this many digits.
    fn digits<const COUNT: usize>(&mut self) -> Option<i64> {
        let (head, tail) = self.rest.split_first_chunk::<COUNT>()?;
        let mut value = 0;
        for byte in head {
            value = value * 10 + i64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
        }
        self.rest = tail;
        Some(value)
    }

    /// The date, as days since 1970-01-01.
    fn date(&mut self) -> Option<i64> {
        let (year, month, day) = match self.rest.get(2)? {
            b'.' => self.day_first()?,
            _ => self.year_first()?,
        };
        let plausible = !self.bare || (1900..2100).contains(&year);
        plausible.then(|| day_number(year, month, day))?
    }

    fn day_first(&mut self) -> Option<(i64, i64, i64)> {
        let day = self.digits::<2>()?;
        let month = self.eat_byte(b'.').then(|| self.digits::<2>())??;
        let year = self.eat_byte(b'.').then(|| self.digits::<4>())??;
        Some((year, month, day))
    }

    fn year_first(&mut self) -> Option<(i64, i64, i64)> {
        let year = self.digits::<4>()?;
        let mark = self.rest.first().copied().filter(|byte| matches!(byte, b'-' | b'.' | b'/'));
        let at_mark = |cursor: &mut Self| mark.is_none_or(|mark| cursor.eat_byte(mark));
        let month = at_mark(self).then(|| self.digits::<2>())??;
        let day = at_mark(self).then(|| self.digits::<2>())??;
        Some((year, month, day))
    }

    /// Skips the separator of date and time, and returns whether a time follows.
    fn at_time(&mut self) -> bool {
        if !self.eat_byte(b'T') {
            self.skip_spaces();
        }
        self.rest.first().is_some_and(u8::is_ascii_digit)
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    /// The time of day in microseconds.
    fn time(&mut self) -> Result<i64, RowFault> {
        let seconds = self.clock().ok_or(RowFault::Time)?;
        Ok(seconds * SECOND_US + self.fraction_us()?)
    }

    fn clock(&mut self) -> Option<i64> {
        let hour = self.digits::<2>()?;
        let colon = self.eat_byte(b':');
        let minute = self.digits::<2>()?;
        let more =
            if colon { self.eat_byte(b':') } else { self.rest.first().is_some_and(u8::is_ascii_digit) };
        let second = if more { self.digits::<2>()? } else { 0 };
        (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
    }

    fn fraction_us(&mut self) -> Result<i64, RowFault> {
        if !self.eat_byte(b'.') {
            return Ok(0);
        }
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, tail) = self.rest.split_at(count);
        self.rest = tail;
        fraction(digits, SECOND_US)
    }

    /// The offset from UTC and nothing after it; none is local time.
    fn finish(mut self, day: i64, time_us: i64) -> Result<Stamp, RowFault> {
        let us = in_range(day * DAY_US + time_us)?;
        if self.is_done() {
            return Ok(Stamp::Local { us });
        }
        let offset_s = self.offset_s().filter(|_| self.is_done()).ok_or(RowFault::Time)?;
        Ok(Stamp::Instant { us: in_range(us - i64::from(offset_s) * SECOND_US)?, offset_s })
    }

    fn offset_s(&mut self) -> Option<i32> {
        self.skip_spaces();
        if self.eat_byte(b'Z') {
            return Some(0);
        }
        let named = self.eat(b"UTC") || self.eat(b"GMT");
        if named && self.is_done() { Some(0) } else { self.signed_offset_s() }
    }

    fn signed_offset_s(&mut self) -> Option<i32> {
        let offset = parse_offset_s(std::str::from_utf8(self.rest).ok()?)?;
        self.rest = &[];
        Some(offset)
    }
}

/// `+02:00`, `-0530` or `+02`, in seconds.
pub(crate) fn parse_offset_s(text: &str) -> Option<i32> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits.as_bytes()),
        ("-", digits) => (-1, digits.as_bytes()),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [_, _] => (number(digits)?, 0),
        [_, _, b':', _, _] => (number(&digits[..2])?, number(&digits[3..])?),
        [_, _, _, _] => (number(&digits[..2])?, number(&digits[2..])?),
        _ => return None,
    };
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    (hours < 24 && minutes < 60).then_some(sign * seconds)
}

/// Digits after a point, in whole microseconds of a unit of `unit_us`.
pub(crate) fn fraction(digits: &[u8], unit_us: i64) -> Result<i64, RowFault> {
    let mut step_us = unit_us;
    let mut sum_us = 0;
    for byte in digits {
        let digit = number(std::slice::from_ref(byte)).ok_or(RowFault::Time)?;
        if digit != 0 && step_us % 10 != 0 {
            return Err(RowFault::TooFine);
        }
        step_us /= 10;
        sum_us += digit * step_us;
    }
    Ok(sum_us)
}

/// One to eighteen digits, or nineteen where they fit.
pub(crate) fn number(digits: &[u8]) -> Option<i64> {
    let start = (!digits.is_empty()).then_some(0_i64);
    digits.iter().fold(start, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        sum?.checked_mul(10)?.checked_add(digit)
    })
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar, or `None` if the date does not exist.
pub(crate) fn day_number(year: i64, month: i64, day: i64) -> Option<i64> {
    let valid = year >= 1 && (1..=12).contains(&month) && (1..=month_days(year, month)).contains(&day);
    // Years that begin in March put the leap day last, so that month lengths follow one line.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before_year = 365 * year + year / 4 - year / 100 + year / 400;
    valid.then_some(before_year + (153 * month + 2) / 5 + day - 719_469)
}

fn month_days(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2017-03-01 00:00 on any clock.
    const MARCH: i64 = 1_488_326_400_000_000;

    fn read(text: &str) -> Result<Stamp, RowFault> {
        Stamp::date_time(text).map(|(stamp, _)| stamp)
    }

    fn local(us: i64) -> Result<Stamp, RowFault> {
        Ok(Stamp::Local { us })
    }

    fn instant(us: i64, offset_s: i32) -> Result<Stamp, RowFault> {
        Ok(Stamp::Instant { us, offset_s })
    }

    #[test]
    fn every_date_notation_is_the_same_day() {
        for text in ["2017-03-01", "2017.03.01", "2017/03/01", "20170301", "01.03.2017", " 2017-03-01 "] {
            assert_eq!(read(text), local(MARCH), "{text}");
        }
    }

    #[test]
    fn times_of_day_in_every_notation() {
        let minute = MARCH + 61_200_000_000;
        for text in
            ["2017-03-01 17:00", "2017-03-01T17:00", "20170301 170000", "20170301T1700", "201703011700"]
        {
            assert_eq!(read(text), local(minute), "{text}");
        }
        assert_eq!(read("01.03.2017 17:00:30.125"), local(minute + 30_125_000));
        assert_eq!(read("20170301170030"), local(minute + 30_000_000));
        assert_eq!(Stamp::date_and_time("2017.03.01", "17:00"), local(minute));
        assert_eq!(Stamp::date_and_time("2017.03.01", "17:00:00"), local(minute));
    }

    #[test]
    fn the_usual_notations_are_read_as_all_others() {
        let mut random = fastrand::Rng::with_seed(11);
        for round in 0..20_000 {
            let usual_text = ["20170301 170030", "2017-03-01 17:00:30", "2016.02.29 23:59:59"][round % 3];
            let mut bytes = usual_text.as_bytes().to_vec();
            for _ in 0..random.usize(0..3) {
                let at = random.usize(0..bytes.len());
                bytes[at] = b"0123456789 -./:T"[random.usize(0..16)];
            }
            let text = String::from_utf8(bytes).unwrap();
            let mut cursor = Cursor::new(&text);
            let slow = cursor.date().filter(|_| cursor.at_time()).and_then(|day| {
                let time = cursor.time().ok()?;
                cursor.finish(day, time).ok()
            });
            if let Some(us) = usual(text.as_bytes()) {
                assert_eq!(slow, Some(Stamp::Local { us }), "{text}");
            }
            assert_eq!(read(&text).ok().filter(|_| slow.is_some()), slow, "{text}");
        }
    }

    #[test]
    fn a_date_alone_has_no_time_of_day() {
        for (text, has_time) in [("2017-03-01", false), ("20170301", false), ("2017-03-01 00:00", true)] {
            assert_eq!(Stamp::date_time(text).unwrap().1, has_time, "{text}");
        }
    }

    #[test]
    fn offsets_are_taken_off() {
        let cases = [("Z", 0), (" UTC", 0), (" GMT", 0), ("+00:00", 0), ("+01:00", 3600), ("-0530", -19_800)];
        for (text, offset_s) in cases.into_iter().chain([(" GMT+0100", 3600), ("+02", 7200)]) {
            let stamp = read(&format!("2017-03-01T00:00:00{text}"));
            assert_eq!(stamp, instant(MARCH - i64::from(offset_s) * SECOND_US, offset_s), "{text}");
        }
    }

    #[test]
    fn finer_than_a_microsecond_is_a_fault() {
        assert_eq!(read("2017-03-01 00:00:00.1234567"), Err(RowFault::TooFine));
        assert_eq!(read("2017-03-01 00:00:00.123456000"), local(MARCH + 123_456));
    }

    #[test]
    fn what_is_no_time_is_a_fault() {
        let dates =
            ["", "x", "2017-02-29", "2017-13-01", "2017-00-10", "03/01/2017", "0000-01-01", "2017.03-01"];
        let times =
            ["24:00", "00:60", "00:00:60", "1:00", "00:00 EST", "00:00+24:00", "00:00Zulu", "00:00 GMT+1"];
        let numbers = ["1488326400", "0", "170000", "1.5e9", "-", "12345678901234567890"];
        let times = times.map(|time| format!("2017-03-01 {time}"));
        for text in dates.into_iter().chain(numbers).chain(times.iter().map(String::as_str)) {
            assert_eq!(read(text), Err(RowFault::Time), "{text}");
        }
    }

    #[test]
    fn out_of_range_is_a_fault() {
        for text in ["9999-01-01", "0001-01-01 00:00+01:00"] {
            assert_eq!(read(text), Err(RowFault::Range), "{text}");
        }
        assert!(read("0001-01-01").is_ok());
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut expected = day_number(1800, 1, 1).unwrap();
        assert_eq!(day_number(1970, 1, 1), Some(0));
        for year in 1800..2200 {
            for (month, day) in (1..=12).flat_map(|m| (1..=31).map(move |d| (m, d))) {
                if let Some(found) = day_number(year, month, day) {
                    assert_eq!(found, expected);
                    expected += 1;
                }
            }
        }
    }
}
