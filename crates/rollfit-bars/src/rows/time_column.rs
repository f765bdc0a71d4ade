//! [`TimeColumn`]: from a time stamp as written to its instant, by what the user, the bytes and the format say of its zone.
//!
//! What the bytes state is what counts. A zone from the user serves local times and may not contradict the
//! bytes; a zone that the format implies serves when there is no other. A zone that the header names counts as what the
//! bytes state, and every offset must be its.

use super::row_refusal::RowRefusal;
use crate::error::{ImportError, RowFault};
use crate::read_options::ReadOptions;
use crate::time::stamp::{Stamp, in_range};
use crate::time::zone::{Clock, Zone};

/// The zones in force for one file.
#[derive(Debug, Clone)]
pub(crate) struct TimeColumn {
    given: Option<Clock>,
    /// The zone that the header names.
    stated: Option<Clock>,
    implied: Option<Clock>,
}

impl TimeColumn {
    pub(crate) fn new(options: &ReadOptions) -> Result<Self, ImportError> {
        let implied = options.format.rules().zone.map(str::parse).transpose()?;
        let given = options.zone.clone().map(Clock::new);
        Ok(Self { given, stated: None, implied: implied.map(Clock::new) })
    }

    /// The same column in a file whose header names the zone of its times.
    pub(crate) fn stated(self, zone: Option<Zone>) -> Self {
        Self { stated: zone.map(Clock::new), ..self }
    }

    /// The same column in a file whose writer implies a zone.
    pub(crate) fn implied(self, zone: Option<Zone>) -> Self {
        Self { implied: zone.map(Clock::new).or(self.implied), ..self }
    }

    pub(crate) fn instant_us(&mut self, stamp: Stamp) -> Result<i64, RowRefusal> {
        match stamp {
            Stamp::Instant { us, offset_s } => {
                self.check_header(us, offset_s)?;
                self.check(us, offset_s).map(|()| us)
            }
            Stamp::Local { us } => self.instant_of_local(us),
        }
    }

    fn instant_of_local(&mut self, local_us: i64) -> Result<i64, RowRefusal> {
        let instant = |clock: &mut Clock| {
            let instant = clock.instant_us(local_us).map_err(RowFault::Local);
            instant.and_then(in_range).map_err(RowRefusal::Row)
        };
        if let Some(stated) = &mut self.stated {
            let instant_us = instant(stated)?;
            return self.check(instant_us, offset_s(local_us - instant_us)).map(|()| instant_us);
        }
        instant(self.given.as_mut().or(self.implied.as_mut()).ok_or(RowRefusal::NoZone)?)
    }

    fn check_header(&self, instant_us: i64, found_s: i32) -> Result<(), RowRefusal> {
        let Some(clock) = &self.stated else { return Ok(()) };
        let expected_s = offset_s(clock.zone().offset_us(instant_us));
        if expected_s == found_s {
            return Ok(());
        }
        Err(RowRefusal::HeaderContradiction {
            zone: clock.zone().to_string().into(),
            expected: offset_text(expected_s).into(),
            found: offset_text(found_s).into(),
        })
    }

    fn check(&self, instant_us: i64, offset_s: i32) -> Result<(), RowRefusal> {
        let Some(clock) = &self.given else { return Ok(()) };
        if clock.zone().offset_us(instant_us) == i64::from(offset_s) * 1_000_000 {
            return Ok(());
        }
        Err(RowRefusal::ZoneContradiction { zone: clock.zone().to_string(), stated: offset_text(offset_s) })
    }
}

/// A difference of clocks in seconds.
fn offset_s(offset_us: i64) -> i32 {
    i32::try_from(offset_us / 1_000_000).unwrap_or(i32::MAX)
}

fn offset_text(offset_s: i32) -> String {
    let minutes = offset_s.abs() / 60;
    let sign = if offset_s < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::Format;

    fn column(format: Format, zone: Option<&str>) -> TimeColumn {
        let zone = zone.map(|name| name.parse().unwrap());
        TimeColumn::new(&ReadOptions { zone, ..ReadOptions::new(format) }).unwrap()
    }

    const LOCAL: Stamp = Stamp::Local { us: 1_500_000_000_000_000 };
    const INSTANT: Stamp = Stamp::Instant { us: 1_500_000_000_000_000, offset_s: -14_400 };
    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn a_local_time_needs_a_zone() {
        for format in [Format::Metatrader, Format::Dukascopy, Format::Csv, Format::Parquet] {
            assert_eq!(column(format, None).instant_us(LOCAL), Err(RowRefusal::NoZone));
            assert_eq!(column(format, Some("+01:00")).instant_us(LOCAL), Ok(1_500_000_000_000_000 - HOUR));
        }
        assert_eq!(column(Format::Histdata, None).instant_us(LOCAL), Ok(1_500_000_000_000_000 + 4 * HOUR));
    }

    #[test]
    fn a_zone_of_the_header_serves_and_may_not_be_denied() {
        let zurich = || "Europe/Zurich".parse::<Zone>().ok();
        let stated = |given| column(Format::Dukascopy, given).stated(zurich());
        assert_eq!(stated(None).instant_us(LOCAL), Ok(1_500_000_000_000_000 - 2 * HOUR));
        assert!(stated(Some("+02:00")).instant_us(LOCAL).is_ok());
        let denied = stated(Some("+01:00")).instant_us(LOCAL);
        assert!(matches!(denied, Err(RowRefusal::ZoneContradiction { .. })), "{denied:?}");
        let header = stated(None).instant_us(INSTANT);
        assert!(matches!(header, Err(RowRefusal::HeaderContradiction { .. })), "{header:?}");
    }

    #[test]
    fn a_given_zone_overrides_the_implied_one() {
        assert_eq!(
            column(Format::Histdata, Some("-05:00")).instant_us(LOCAL),
            Ok(1_500_000_000_000_000 + 5 * HOUR)
        );
    }

    #[test]
    fn a_given_zone_may_agree_with_the_bytes_but_not_deny_them() {
        assert!(column(Format::Csv, Some("America/New_York")).instant_us(INSTANT).is_ok());
        let denied = column(Format::Csv, Some("UTC")).instant_us(INSTANT);
        let expected = RowRefusal::ZoneContradiction { zone: "UTC".to_owned(), stated: "-04:00".to_owned() };
        assert_eq!(denied, Err(expected));
    }
}
