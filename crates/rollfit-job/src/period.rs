//! [`Period`]: the time half of a partition. Only months exist yet; code that needs a calendar month asks for one.

use std::ops::Range;

use crate::month::{Month, MonthError};

/// The stretch of time that a partition covers. Written as its month, `2017-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// A calendar month, UTC.
    Month(Month),
}

impl Period {
    /// The unit of the period in paths and documents, `month`.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Month(_) => "month",
        }
    }

    /// Its first instant, microseconds since 1970, and the first one after it.
    pub fn span_us(self) -> Range<i64> {
        match self {
            Self::Month(month) => month.span_us(),
        }
    }

    /// The month that it is.
    pub const fn month(self) -> Month {
        match self {
            Self::Month(month) => month,
        }
    }
}

impl From<Month> for Period {
    fn from(month: Month) -> Self {
        Self::Month(month)
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Month(month) => month.fmt(f),
        }
    }
}

impl std::str::FromStr for Period {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Self, MonthError> {
        text.parse().map(Self::Month)
    }
}

impl serde::Serialize for Period {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Period {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Month::deserialize(deserializer).map(Self::Month)
    }
}
