//! [`ServerInstant`]: instants as the server sends them: microseconds since 2000, both with and without a time zone.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use rollfit_job::month::display_instant;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// Microseconds from 1970 to 2000.
const EPOCH_US: i64 = 946_684_800_000_000;

/// An instant in the server's encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServerInstant(pub(crate) i64);

impl ServerInstant {
    /// Returns the instant for the server; none if it is out of range.
    pub(crate) fn of_us(instant_us: i64) -> Option<Self> {
        instant_us.checked_sub(EPOCH_US).map(Self)
    }

    /// Returns microseconds since 1970; none for the infinities.
    pub(crate) fn us(self) -> Option<i64> {
        match self.0 {
            i64::MIN | i64::MAX => None,
            since_2000_us => since_2000_us.checked_add(EPOCH_US),
        }
    }
}

/// Formats the instant for messages.
impl std::fmt::Display for ServerInstant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.us(), self.0) {
            (Some(us), _) => f.write_str(&display_instant(us)),
            (None, i64::MIN) => f.write_str("-infinity"),
            (None, _) => f.write_str("infinity"),
        }
    }
}

impl<'a> FromSql<'a> for ServerInstant {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(i64::from_be_bytes(raw.try_into()?)))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::TIMESTAMP | Type::TIMESTAMPTZ)
    }
}

impl ToSql for ServerInstant {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i64(self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        <Self as FromSql>::accepts(ty)
    }

    to_sql_checked!();
}

/// How a time column stores instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeType {
    /// `TIMESTAMP`: the wall clock of UTC.
    Naive,
    /// `TIMESTAMPTZ`.
    Zoned,
}

impl TimeType {
    /// Returns the time type of a column with this type, if it stores whole instants.
    pub(crate) fn from_oid(type_oid: u32, modifier: i32) -> Option<Self> {
        const MICROSECONDS: i32 = 6;
        match Type::from_oid(type_oid)? {
            Type::TIMESTAMP if !(0..MICROSECONDS).contains(&modifier) => Some(Self::Naive),
            Type::TIMESTAMPTZ if !(0..MICROSECONDS).contains(&modifier) => Some(Self::Zoned),
            _ => None,
        }
    }

    /// The type in SQL.
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Self::Naive => "timestamp",
            Self::Zoned => "timestamptz",
        }
    }

    /// The type as the server writes it.
    pub(crate) fn full_name(self) -> &'static str {
        match self {
            Self::Naive => "timestamp without time zone",
            Self::Zoned => "timestamp with time zone",
        }
    }

    /// The type of one instant.
    pub(crate) fn scalar(self) -> Type {
        match self {
            Self::Naive => Type::TIMESTAMP,
            Self::Zoned => Type::TIMESTAMPTZ,
        }
    }

    /// An array of instants of this type.
    pub(crate) fn array(self) -> Type {
        match self {
            Self::Naive => Type::TIMESTAMP_ARRAY,
            Self::Zoned => Type::TIMESTAMPTZ_ARRAY,
        }
    }

    /// An instant as a literal of this type.
    pub(crate) fn literal(self, instant_us: i64) -> String {
        let text = match jiff::Timestamp::from_microsecond(instant_us) {
            Ok(instant) => instant.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string(),
            Err(_) if instant_us < 0 => "-infinity".to_owned(),
            Err(_) => "infinity".to_owned(),
        };
        match self {
            TimeType::Naive => format!("timestamp '{text}'"),
            TimeType::Zoned if text.ends_with("infinity") => format!("timestamptz '{text}'"),
            TimeType::Zoned => format!("timestamptz '{text}+00'"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_count_from_2000_and_infinity_is_none() {
        assert_eq!(ServerInstant::of_us(EPOCH_US), Some(ServerInstant(0)));
        assert_eq!(ServerInstant(60_000_000).to_string(), "2000-01-01T00:01:00Z");
        assert_eq!(ServerInstant(i64::MAX).us(), None);
        assert_eq!(ServerInstant(i64::MIN).to_string(), "-infinity");
    }

    #[test]
    fn literals_are_utc() {
        assert_eq!(TimeType::Naive.literal(EPOCH_US), "timestamp '2000-01-01 00:00:00.000000'");
        assert_eq!(TimeType::Zoned.literal(EPOCH_US + 1), "timestamptz '2000-01-01 00:00:00.000001+00'");
    }
}
