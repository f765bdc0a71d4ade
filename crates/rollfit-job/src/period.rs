//! [`Period`]: the time half of a partition: a month, quarter or year in UTC, or all of time. [`PeriodUnit`]: which of these a job has.

use std::ops::Range;

use crate::month::{Month, MonthError};

/// How long the periods of a job are: `by` of `[partitions]`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum PeriodUnit {
    /// A calendar month.
    #[default]
    Month,
    /// Three months, from January, April, July or October on.
    Quarter,
    /// A calendar year.
    Year,
    /// The years 0001 to 9998: a key has one partition.
    All,
}

impl PeriodUnit {
    /// Every unit.
    pub const ALL: [Self; 4] = [Self::Month, Self::Quarter, Self::Year, Self::All];

    /// The name in configurations and receipts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
            Self::All => "all",
        }
    }

    /// What one of its periods is called in sentences, and in paths and documents before its value.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Month | Self::Quarter | Self::Year => self.name(),
            Self::All => "period",
        }
    }

    /// How many months one of its periods has.
    pub const fn months(self) -> usize {
        match self {
            Self::Month => 1,
            Self::Quarter => 3,
            Self::Year => 12,
            Self::All => 9998 * 12,
        }
    }

    /// A period as it is written, for messages.
    pub const fn example(self) -> &'static str {
        match self {
            Self::Month => "2017-01",
            Self::Quarter => "2017-Q1",
            Self::Year => "2017",
            Self::All => "all",
        }
    }

    /// The placeholders of patterns that tell its periods apart, with the number of digits of each.
    pub const fn placeholders(self) -> &'static [(&'static str, usize)] {
        match self {
            Self::Month => &[("yyyy", 4), ("mm", 2)],
            Self::Quarter => &[("yyyy", 4), ("q", 1)],
            Self::Year => &[("yyyy", 4)],
            Self::All => &[],
        }
    }

    /// The period that is written with these values of [`PeriodUnit::placeholders`].
    pub(crate) fn with_placeholders(self, values: &[String]) -> Option<Period> {
        let text = match (self, values) {
            (Self::Month, [yyyy, mm]) => format!("{yyyy}-{mm}"),
            (Self::Quarter, [yyyy, q]) => format!("{yyyy}-Q{q}"),
            (Self::Year, [yyyy]) => yyyy.clone(),
            (Self::All, []) => Self::All.name().to_owned(),
            _ => return None,
        };
        text.parse().ok().filter(|period: &Period| period.unit == self)
    }

    /// The period that a month is in.
    pub fn period_of(self, month: Month) -> Period {
        let first = match self {
            Self::Month => month,
            Self::Quarter => month.of_same_year((month.number() - 1) / 3 * 3 + 1),
            Self::Year => month.of_same_year(1),
            Self::All => Month::MIN,
        };
        Period { unit: self, first }
    }

    /// The period that holds an instant in microseconds since 1970.
    ///
    /// # Errors
    /// [`MonthError`] for instants outside the years 1 to 9998.
    pub fn period_at_us(self, instant_us: i64) -> Result<Period, MonthError> {
        Month::of_instant_us(instant_us).map(|month| self.period_of(month))
    }

    /// Whether it is the unit of jobs that name none.
    pub fn is_month(&self) -> bool {
        *self == Self::Month
    }
}

/// Written as in configurations.
impl std::fmt::Display for PeriodUnit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// The stretch of time that a partition covers. Written `2017-01`, `2017-Q1`, `2017` or `all`. Periods of one unit are in the order of
/// time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    unit: PeriodUnit,
    /// The first month of a period of the unit.
    first: Month,
}

/// What is not a period.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a month, quarter or year: write it as 2017-01, 2017-Q1 or 2017 (years 0001 to 9998)")]
pub struct PeriodError(String);

impl Period {
    /// How long it is.
    pub const fn unit(self) -> PeriodUnit {
        self.unit
    }

    /// Its first month.
    pub const fn first_month(self) -> Month {
        self.first
    }

    /// Its last month.
    pub fn last_month(self) -> Month {
        match self.unit {
            PeriodUnit::Month => self.first,
            PeriodUnit::Quarter => self.first.next().next(),
            PeriodUnit::Year => self.first.of_same_year(12),
            PeriodUnit::All => Month::MAX,
        }
    }

    /// Its first instant, microseconds since 1970, and the first one after it.
    pub fn span_us(self) -> Range<i64> {
        self.first.span_us().start..self.last_month().span_us().end
    }

    /// The period of the same unit after it; none after the last there can be.
    pub fn next(self) -> Option<Self> {
        let last = self.last_month();
        (last < Month::MAX).then(|| self.unit.period_of(last.next()))
    }

    /// The period of the same unit before it; none before the first there can be.
    pub fn previous(self) -> Option<Self> {
        self.first.previous().map(|month| self.unit.period_of(month))
    }

    /// Every period from this one to `last`, both included.
    pub fn through(self, last: Self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |period| period.next()).take_while(move |&period| period <= last)
    }

    /// Whether all of another period is in it.
    pub fn holds(self, other: Self) -> bool {
        self.first <= other.first && other.last_month() <= self.last_month()
    }

    /// The values of [`PeriodUnit::placeholders`].
    pub(crate) fn placeholders(self) -> Vec<(&'static str, String)> {
        let value = |name| match name {
            "mm" => self.first.mm(),
            "q" => self.quarter().to_string(),
            _ => self.first.yyyy(),
        };
        self.unit.placeholders().iter().map(|&(name, _)| (name, value(name))).collect()
    }

    fn quarter(self) -> i8 {
        (self.first.number() + 2) / 3
    }
}

impl From<Month> for Period {
    fn from(month: Month) -> Self {
        PeriodUnit::Month.period_of(month)
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.unit {
            PeriodUnit::Month => self.first.fmt(f),
            PeriodUnit::Quarter => f.pad(&format!("{}-Q{}", self.first.yyyy(), self.quarter())),
            PeriodUnit::Year => f.pad(&self.first.yyyy()),
            PeriodUnit::All => f.pad(PeriodUnit::All.name()),
        }
    }
}

impl std::str::FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        if text == PeriodUnit::All.name() {
            return Ok(Self { unit: PeriodUnit::All, first: Month::MIN });
        }
        let (unit, first) = match text.split_once("-Q") {
            Some((year, quarter @ ("1" | "2" | "3" | "4"))) => {
                let before: usize = quarter.parse().map_err(|_| PeriodError(text.to_owned()))?;
                (PeriodUnit::Quarter, format!("{year}-{:02}", 3 * before - 2))
            }
            Some(_) => return Err(PeriodError(text.to_owned())),
            None if text.contains('-') => (PeriodUnit::Month, text.to_owned()),
            None => (PeriodUnit::Year, format!("{text}-01")),
        };
        let first = first.parse().map_err(|_| PeriodError(text.to_owned()))?;
        Ok(Self { unit, first })
    }
}

impl serde::Serialize for Period {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Period {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(text: &str) -> Period {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn periods_are_written_as_they_are_read() {
        for (text, unit, first, last) in [
            ("2017-02", PeriodUnit::Month, "2017-02", "2017-02"),
            ("2017-Q1", PeriodUnit::Quarter, "2017-01", "2017-03"),
            ("1969-Q4", PeriodUnit::Quarter, "1969-10", "1969-12"),
            ("0001", PeriodUnit::Year, "0001-01", "0001-12"),
            ("9998", PeriodUnit::Year, "9998-01", "9998-12"),
            ("all", PeriodUnit::All, "0001-01", "9998-12"),
        ] {
            let period = period(text);
            assert_eq!((period.to_string().as_str(), period.unit()), (text, unit));
            assert_eq!(period.first_month().to_string(), first);
            assert_eq!(period.last_month().to_string(), last);
            let span_us = period.span_us();
            assert_eq!(unit.period_at_us(span_us.start), Ok(period));
            assert_eq!(unit.period_at_us(span_us.end - 1), Ok(period));
            assert_ne!(unit.period_at_us(span_us.end).ok(), Some(period));
        }
        for text in [
            "2017-Q0", "2017-Q5", "2017-q1", "2017Q1", "17-Q1", "2017-Q", "0000", "9999", "20171", "ALL", "",
            "-Q1",
        ] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn periods_follow_each_other_across_years() {
        let through = |first: &str, last: &str| -> Vec<String> {
            period(first).through(period(last)).map(|period| period.to_string()).collect()
        };
        assert_eq!(through("2016-Q3", "2017-Q2"), ["2016-Q3", "2016-Q4", "2017-Q1", "2017-Q2"]);
        assert_eq!(through("1969", "1971"), ["1969", "1970", "1971"]);
        assert_eq!(through("all", "all"), ["all"]);
        assert_eq!(period("2017-Q1").previous(), Some(period("2016-Q4")));
        assert_eq!((period("0001").previous(), period("9998-Q4").next()), (None, None));
        assert_eq!((period("all").previous(), period("all").next()), (None, None));
        assert_eq!(period("9998-11").next(), Some(period("9998-12")));
        assert_eq!(period("1969-Q4").span_us().end, 0);
    }

    #[test]
    fn a_period_holds_shorter_ones() {
        assert!(period("2017").holds(period("2017-Q4")) && period("2017-Q4").holds(period("2017-12")));
        assert!(period("all").holds(period("0001")) && period("2017").holds(period("2017")));
        assert!(!period("2017-Q4").holds(period("2017-09")) && !period("2017-Q4").holds(period("2017")));
    }

    #[test]
    fn names_of_tables_tell_periods() {
        for text in ["2017-02", "2017-Q3", "2017", "all"] {
            let period = period(text);
            let values: Vec<String> = period.placeholders().into_iter().map(|(_, value)| value).collect();
            assert_eq!(period.unit().with_placeholders(&values), Some(period));
        }
        assert_eq!(PeriodUnit::Year.with_placeholders(&["7_01".to_owned()]), None);
        assert_eq!(PeriodUnit::Quarter.with_placeholders(&["2017".to_owned(), "5".to_owned()]), None);
    }
}
