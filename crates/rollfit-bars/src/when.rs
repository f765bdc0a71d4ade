//! From a stamp as written to its instant, by what the user, the bytes and the format say of its zone.
//!
//! What the bytes state is what counts. A zone from the user serves local times and may not contradict the
//! bytes; a zone that the format implies serves when there is no other.

use crate::error::RowFault;
use crate::format::Format;
use crate::instruments::OtherInstrument;
use crate::stamp::{Stamp, in_range};
use crate::zone::{Clock, Zone};
use crate::{ImportError, ReadOptions};

/// The zones in force for one file.
#[derive(Debug)]
pub(crate) struct When {
    given: Option<Clock>,
    implied: Option<Clock>,
}

/// Why a stamp has no instant.
#[derive(Debug, PartialEq)]
pub(crate) enum WhenFault {
    /// The row is bad.
    Row(RowFault),
    /// No one says the zone.
    NoZone,
    /// The user's zone is not the one in the bytes.
    Contradiction { zone: String, stated: String },
    /// The row belongs to another instrument than the first.
    Instrument(Box<OtherInstrument>),
}

impl When {
    pub(crate) fn new(options: &ReadOptions) -> Result<Self, ImportError> {
        let implied = match options.format {
            Format::Histdata => Some("histdata".parse()?),
            Format::Parquet => Some(Zone::utc()),
            Format::Metatrader | Format::Dukascopy | Format::Csv => None,
        };
        Ok(Self { given: options.zone.clone().map(Clock::new), implied: implied.map(Clock::new) })
    }

    pub(crate) fn instant_us(&mut self, stamp: Stamp) -> Result<i64, WhenFault> {
        match stamp {
            Stamp::Instant { us, offset_s } => self.check(us, offset_s).map(|()| us),
            Stamp::Local { us } => self.of_local(us),
        }
    }

    fn of_local(&mut self, local_us: i64) -> Result<i64, WhenFault> {
        let clock = self.given.as_mut().or(self.implied.as_mut()).ok_or(WhenFault::NoZone)?;
        let instant = clock.instant_us(local_us).map_err(RowFault::Local);
        instant.and_then(in_range).map_err(WhenFault::Row)
    }

    fn check(&self, instant_us: i64, offset_s: i32) -> Result<(), WhenFault> {
        let Some(clock) = &self.given else { return Ok(()) };
        if clock.zone().offset_us(instant_us) == i64::from(offset_s) * 1_000_000 {
            return Ok(());
        }
        Err(WhenFault::Contradiction { zone: clock.zone().to_string(), stated: offset_text(offset_s) })
    }
}

fn offset_text(offset_s: i32) -> String {
    let minutes = offset_s.abs() / 60;
    let sign = if offset_s < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when(format: Format, zone: Option<&str>) -> When {
        let zone = zone.map(|name| name.parse().unwrap());
        When::new(&ReadOptions { zone, ..ReadOptions::new(format) }).unwrap()
    }

    const LOCAL: Stamp = Stamp::Local { us: 1_500_000_000_000_000 };
    const INSTANT: Stamp = Stamp::Instant { us: 1_500_000_000_000_000, offset_s: -14_400 };
    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn a_local_time_needs_a_zone() {
        for format in [Format::Metatrader, Format::Dukascopy, Format::Csv] {
            assert_eq!(when(format, None).instant_us(LOCAL), Err(WhenFault::NoZone));
            assert_eq!(when(format, Some("+01:00")).instant_us(LOCAL), Ok(1_500_000_000_000_000 - HOUR));
        }
        assert_eq!(when(Format::Histdata, None).instant_us(LOCAL), Ok(1_500_000_000_000_000 + 4 * HOUR));
        assert_eq!(when(Format::Parquet, None).instant_us(LOCAL), Ok(1_500_000_000_000_000));
    }

    #[test]
    fn a_given_zone_overrides_the_implied_one() {
        assert_eq!(
            when(Format::Histdata, Some("-05:00")).instant_us(LOCAL),
            Ok(1_500_000_000_000_000 + 5 * HOUR)
        );
    }

    #[test]
    fn a_given_zone_may_agree_with_the_bytes_but_not_deny_them() {
        assert!(when(Format::Csv, Some("America/New_York")).instant_us(INSTANT).is_ok());
        let denied = when(Format::Csv, Some("UTC")).instant_us(INSTANT);
        let expected = WhenFault::Contradiction { zone: "UTC".to_owned(), stated: "-04:00".to_owned() };
        assert_eq!(denied, Err(expected));
    }
}
