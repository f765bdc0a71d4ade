//! [`Month`]: a calendar month in UTC.

use std::ops::Range;

/// Microseconds in one second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;

/// A calendar month, UTC. Written `2017-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i16,
    month: i8,
}

/// What is not a month.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a month: write it as 2017-01 (years 0001 to 9998)")]
pub struct MonthError(String);

impl Month {
    /// The first month there can be.
    pub const MIN: Self = Self { year: 1, month: 1 };

    /// The last month there can be.
    pub const MAX: Self = Self { year: 9998, month: 12 };

    /// The month that holds an instant in microseconds since 1970.
    ///
    /// # Errors
    /// [`MonthError`] for instants outside the years 1 to 9998.
    pub fn of_instant_us(instant_us: i64) -> Result<Self, MonthError> {
        let error = || MonthError(format!("{instant_us} us since 1970"));
        let instant = jiff::Timestamp::from_microsecond(instant_us).map_err(|_| error())?;
        let date = jiff::tz::TimeZone::UTC.to_datetime(instant).date();
        if (1..=9998).contains(&date.year()) {
            Ok(Self { year: date.year(), month: date.month() })
        } else {
            Err(error())
        }
    }

    /// The month after this one.
    pub fn next(self) -> Self {
        if self.month == 12 {
            Self { year: self.year + 1, month: 1 }
        } else {
            Self { month: self.month + 1, ..self }
        }
    }

    /// The month before this one; none before the first there can be.
    pub fn previous(self) -> Option<Self> {
        match (self.year, self.month) {
            (..=1, 1) => None,
            (year, 1) => Some(Self { year: year - 1, month: 12 }),
            (_, month) => Some(Self { month: month - 1, ..self }),
        }
    }

    /// The month a number of months later, or the last there can be.
    pub fn after(self, months: usize) -> Self {
        self.through(Self::MAX).nth(months).unwrap_or(Self::MAX)
    }

    /// Every month from this one to `last`, both included.
    pub fn through(self, last: Self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |month| Some(month.next())).take_while(move |&month| month <= last)
    }

    /// The instants of the month: its first microsecond since 1970, and the first one after it.
    pub fn span_us(self) -> Range<i64> {
        self.start_us()..self.next().start_us()
    }

    /// The year, four digits.
    pub fn yyyy(self) -> String {
        format!("{:04}", self.year)
    }

    /// The month of the year, two digits.
    pub fn mm(self) -> String {
        format!("{:02}", self.month)
    }

    /// Which month of the year it is, 1 to 12.
    pub(crate) const fn number(self) -> i8 {
        self.month
    }

    /// The month of its year with a number from 1 to 12.
    pub(crate) const fn of_same_year(self, number: i8) -> Self {
        Self { month: number, ..self }
    }

    fn start_us(self) -> i64 {
        let days = days_before_year(i64::from(self.year)) + i64::from(self.first_day().day_of_year()) - 1;
        (days - days_before_year(1970)) * 86_400 * MICROS_PER_SECOND
    }

    fn first_day(self) -> jiff::civil::Date {
        jiff::civil::date(self.year, self.month, 1)
    }
}

/// Days from 0001-01-01 to the first of January of `year`, Gregorian.
fn days_before_year(year: i64) -> i64 {
    let years = year - 1;
    365 * years + years / 4 - years / 100 + years / 400
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{:04}-{:02}", self.year, self.month))
    }
}

impl std::str::FromStr for Month {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Self, MonthError> {
        let error = || MonthError(text.to_owned());
        let (year, month) = text.split_once('-').ok_or_else(error)?;
        let digits =
            |part: &str, count| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(year, 4) || !digits(month, 2) {
            return Err(error());
        }
        let (year, month) = (year.parse().map_err(|_| error())?, month.parse().map_err(|_| error())?);
        if !(1..=9998).contains(&year) || !(1..=12).contains(&month) {
            return Err(error());
        }
        Ok(Self { year, month })
    }
}

impl serde::Serialize for Month {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Month {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An instant as people read it, `2017-01-31T23:59:00Z`.
pub fn display_instant(instant_us: i64) -> String {
    match jiff::Timestamp::from_microsecond(instant_us) {
        Ok(instant) => instant.to_string(),
        Err(_) => format!("{instant_us} us since 1970"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_spans_its_instants() {
        let leap: Month = "2016-02".parse().unwrap();
        assert_eq!(leap.span_us(), 1_454_284_800_000_000..1_456_790_400_000_000);
        assert_eq!(Month::of_instant_us(leap.span_us().end - 1).unwrap(), leap);
        assert_eq!(Month::of_instant_us(leap.span_us().end).unwrap().to_string(), "2016-03");
        let before_1970: Month = "1969-12".parse().unwrap();
        assert_eq!(before_1970.span_us().end, 0);
    }

    #[test]
    fn months_run_across_years() {
        let months: Vec<String> = "2016-11"
            .parse::<Month>()
            .unwrap()
            .through("2017-02".parse().unwrap())
            .map(|m| m.to_string())
            .collect();
        assert_eq!(months, ["2016-11", "2016-12", "2017-01", "2017-02"]);
    }

    #[test]
    fn what_is_not_a_month_is_refused() {
        for text in [
            "2017",
            "2017-13",
            "2017-00",
            "17-01",
            "2017-1",
            "2017-01-01",
            "",
            "+017-01",
            "0000-01",
            "9999-12",
        ] {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
    }
}
