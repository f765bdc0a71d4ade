//! [`StampReader`]: the time stamp of each row, from one field or from a date and a time of day, and what holds for all rows of a file.
//!
//! Each row alone may read well and still be wrong. So all epochs of a file have one unit, all times of day made of digits
//! have one length (`500` may be 00:05:00 or 05:00), a date without a time of day comes once but for a few repetitions, and
//! epochs that all read as dates too are refused. The dates are those of a key, where a file has many.

use super::epoch::epoch;
use super::stamp::Stamp;
use crate::error::{EpochUnit, RowFault};

/// This many different dates allow one date to repeat.
const OTHERS_PER_REPEAT: u64 = 10;

/// What the columns of a file say of its times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StampRules {
    /// Numbers may be epochs.
    pub(crate) epochs: bool,
    /// Local times are UTC.
    pub(crate) in_utc: bool,
    /// A column beside the time column seems to hold times of day.
    pub(crate) has_time_beside: bool,
}

/// Reads the times of one file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StampReader {
    rules: StampRules,
    unit: Option<EpochUnit>,
    /// Every epoch so far also reads as a date.
    ambiguous: bool,
    time_digits: Option<usize>,
}

/// The dates without a time of day so far, of a file or of one key in it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct DatesAlone {
    first: Option<Stamp>,
    last: Option<Stamp>,
    /// How often one was another than the one before, and how often the same.
    others: u64,
    repeats: u64,
}

impl StampReader {
    pub(crate) fn new(rules: StampRules) -> Self {
        Self { rules, unit: None, ambiguous: false, time_digits: None }
    }

    /// Reads the time of the next row, after these dates of its key.
    pub(crate) fn read(
        &mut self,
        dates: &mut DatesAlone,
        date: Option<&str>,
        time: &str,
    ) -> Result<Stamp, RowFault> {
        let stamp = match date {
            Some(date) if is_time_of_day(time) => self.date_and_time(date, time)?,
            _ => self.whole(dates, time)?,
        };
        Ok(if self.rules.in_utc { stamp.in_utc() } else { stamp })
    }

    /// What is wrong with all rows together.
    pub(crate) fn whole_file_fault(&self) -> Option<&'static str> {
        self.ambiguous.then_some(
            "every time can be read both as an epoch and as a date with a time of day; write the times in full, e.g. \
             2024-01-02T00:05:00Z",
        )
    }

    fn date_and_time(&mut self, date: &str, time: &str) -> Result<Stamp, RowFault> {
        if is_clock(time) {
            return Stamp::date_and_time(date, time);
        }
        let digits = leading_digits(time);
        if !matches!(digits, 4 | 6) || digits != *self.time_digits.get_or_insert(digits) {
            return Err(RowFault::TimeDigits);
        }
        // A row that breaks the notation makes the others uncertain: minutes, or hours and minutes?
        Stamp::date_and_time("1980-01-01", time).map_err(|_| RowFault::TimeDigits)?;
        Stamp::date_and_time(date, time)
    }

    fn whole(&mut self, dates: &mut DatesAlone, time: &str) -> Result<Stamp, RowFault> {
        match Stamp::date_time(time) {
            Ok((stamp, true)) => Ok(stamp),
            Ok((stamp, false)) => dates.add(stamp, self.rules.has_time_beside).map(|()| stamp),
            Err(RowFault::Time) if self.rules.epochs => self.epoch(time),
            Err(fault) => Err(fault),
        }
    }

    fn epoch(&mut self, time: &str) -> Result<Stamp, RowFault> {
        if is_clock(time) {
            return Err(RowFault::NoDate);
        }
        let epoch = epoch(time)?;
        self.ambiguous = epoch.reads_as_date && (self.ambiguous || self.unit.is_none());
        let unit = *self.unit.get_or_insert(epoch.unit);
        if unit != epoch.unit {
            return Err(RowFault::EpochUnits { expected: unit, found: epoch.unit });
        }
        Ok(Stamp::Instant { us: epoch.us, offset_s: 0 })
    }
}

impl DatesAlone {
    fn add(&mut self, date: Stamp, has_time_beside: bool) -> Result<(), RowFault> {
        let count = if self.last == Some(date) { &mut self.repeats } else { &mut self.others };
        *count += 1;
        // Daily bars, the last of them twice, are not bars of a shorter period without their times of day.
        if has_time_beside || self.has_too_many_repeats() {
            return Err(RowFault::DateAlone);
        }
        self.first.get_or_insert(date);
        self.last = Some(date);
        Ok(())
    }

    fn has_too_many_repeats(&self) -> bool {
        self.repeats * OTHERS_PER_REPEAT > self.others
    }

    /// Adds these dates to `later` ones, which were read as if they were the first; returns false where that makes a difference.
    pub(crate) fn precede(&self, later: &mut Self) -> bool {
        // Neither these nor any of those repeat too often, so that both together never do, but for a repetition between them.
        let is_repeated = later.first.is_some() && later.first == self.last;
        later.first = self.first.or(later.first);
        later.last = later.last.or(self.last);
        later.others += self.others;
        later.repeats += self.repeats;
        !is_repeated && !self.has_too_many_repeats()
    }
}

fn leading_digits(text: &str) -> usize {
    text.trim_ascii().bytes().take_while(u8::is_ascii_digit).count()
}

/// `9:30`, `09:30:00`.
fn is_clock(text: &str) -> bool {
    let digits = leading_digits(text);
    (1..=2).contains(&digits) && text.trim_ascii().as_bytes().get(digits) == Some(&b':')
}

/// A clock, or up to six digits, with a fraction of a second or without.
fn is_time_of_day(text: &str) -> bool {
    let digits = leading_digits(text);
    let rest = &text.trim_ascii()[digits..];
    is_clock(text) || (1..=6).contains(&digits) && rest.is_empty() || digits == 6 && rest.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_US: i64 = 60_000_000;
    /// 2024-01-02 00:00.
    const JANUARY_US: i64 = 1_704_153_600_000_000;

    const CSV: StampRules = StampRules { epochs: true, in_utc: false, has_time_beside: false };

    /// A reader of the times of one key.
    struct Times(StampReader, DatesAlone);

    impl Times {
        fn new(rules: StampRules) -> Self {
            Self(StampReader::new(rules), DatesAlone::default())
        }

        fn read(&mut self, date: Option<&str>, time: &str) -> Result<Stamp, RowFault> {
            self.0.read(&mut self.1, date, time)
        }
    }

    fn csv() -> Times {
        Times::new(CSV)
    }

    /// Reads a column of times beside the date 2024-01-02, to minutes of the day.
    fn beside_date(times: &[&str]) -> Result<Vec<i64>, RowFault> {
        let mut fields = csv();
        let read = |time: &&str| match fields.read(Some("20240102"), time)? {
            Stamp::Local { us } => Ok((us - JANUARY_US) / MINUTE_US),
            Stamp::Instant { us, .. } => Ok(us),
        };
        times.iter().map(read).collect()
    }

    #[test]
    fn times_of_day_beside_a_date() {
        assert_eq!(beside_date(&["0000", "0001", "1000"]), Ok(vec![0, 1, 600]));
        assert_eq!(beside_date(&["000000", "000100", "100000"]), Ok(vec![0, 1, 600]));
        assert_eq!(beside_date(&["00:00", "00:01:00", "10:00"]), Ok(vec![0, 1, 600]));
        assert_eq!(beside_date(&["000000.000", "000100.000"]), Ok(vec![0, 1]));
    }

    #[test]
    fn digits_of_several_lengths_are_refused() {
        for times in [&["0"][..], &["500"], &["93000"], &["1000", "093000"], &["100000", "1000"], &["5"]] {
            assert_eq!(beside_date(times), Err(RowFault::TimeDigits), "{times:?}");
        }
        for times in [["0059", "0060"], ["2359", "2400"], ["1059", "1060"]] {
            assert_eq!(beside_date(&times), Err(RowFault::TimeDigits), "{times:?}");
        }
    }

    #[test]
    fn a_whole_time_stamp_needs_no_date_column() {
        assert_eq!(beside_date(&["2024-01-02 00:05"]), Ok(vec![5]));
        assert_eq!(beside_date(&["1704153600"]), Ok(vec![JANUARY_US]));
        assert!(matches!(beside_date(&["45293.5"]), Err(RowFault::NotEpoch(_))));
        assert!(matches!(beside_date(&["0.5"]), Err(RowFault::NotEpoch(_))));
    }

    #[test]
    fn a_time_of_day_without_a_date_is_refused() {
        for time in ["09:30", "9:30", "09:30:00"] {
            assert_eq!(csv().read(None, time), Err(RowFault::NoDate), "{time}");
        }
        assert!(matches!(csv().read(None, "0930"), Err(RowFault::NotEpoch(_))));
    }

    #[test]
    fn a_date_alone_comes_once() {
        let mut days = csv();
        assert!(days.read(None, "2024-01-02").is_ok() && days.read(None, "2024-01-03").is_ok());
        assert_eq!(days.read(None, "20240103"), Err(RowFault::DateAlone));
        let mut repeated = csv();
        let days = (1..=20).map(|day| format!("2024-01-{day:02}"));
        assert!(days.into_iter().all(|day| repeated.read(None, &day).is_ok()));
        assert!(repeated.read(None, "2024-01-20").is_ok() && repeated.read(None, "2024-01-20").is_ok());
        assert_eq!(repeated.read(None, "2024-01-20"), Err(RowFault::DateAlone));
        let mut beside = Times::new(StampRules { has_time_beside: true, ..CSV });
        assert_eq!(beside.read(None, "2024-01-02"), Err(RowFault::DateAlone));
        assert!(beside.read(None, "2024-01-02 00:00").is_ok());
    }

    #[test]
    fn all_epochs_have_one_unit() {
        let mut fields = csv();
        assert!(fields.read(None, "1704153600").is_ok());
        let expected = RowFault::EpochUnits { expected: EpochUnit::Seconds, found: EpochUnit::Milliseconds };
        assert_eq!(fields.read(None, "1704153660000"), Err(expected));
    }

    #[test]
    fn epochs_that_all_read_as_dates_are_refused() {
        let fault = |times: &[&str]| {
            let mut fields = csv();
            assert!(times.iter().all(|time| fields.read(None, time).is_ok()), "{times:?}");
            fields.0.whole_file_fault().is_some()
        };
        assert!(fault(&["1701020030", "1701020031"]));
        assert!(!fault(&["1701020030", "1701020090"]));
        assert!(!fault(&["1701020090", "1701020030"]));
        assert!(!fault(&["2024-01-02"]));
    }
}
