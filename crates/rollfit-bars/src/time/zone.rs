//! Time zones as users name them, and the instants of local times.
//!
//! A local time has one instant, two (when clocks go back) or none (when they go forward); only the first is
//! answered. The zone database is built in, so that the answer does not depend on the machine.
//!
//! The zone `histdata` is what HistData's files do, not what they say: labels are New York local time up to
//! 2018; from 2019 they are UTC-5 in winter and UTC-4 in summer, switching at 01:00 UTC on the last Sundays
//! of March and October. Its doubled and missing local hour is therefore Saturday 20:00 to 20:59, when no
//! market is open. (The hour that the vendor exports twice is Sunday 19:00 to 19:59, after the switch: rows
//! that repeat one instant, and dropped as such.)

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Timestamp, civil};

use crate::error::{ImportError, LocalFault};
use crate::time::stamp::parse_offset_s;

/// A rule from local time to UTC: an IANA zone, a fixed offset, an IANA zone plus a fixed offset (the clock
/// of many brokers is New York's plus seven hours), or HistData's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Fixed { offset_us: i64 },
    Named { zone: TimeZone, plus_us: i64 },
    Histdata { to_2018: TimeZone, from_2019: TimeZone },
}

const HOUR_US: i64 = 3_600_000_000;
/// 2019-01-01 00:00 as a local time; the zone is at UTC-5 then under both rules.
const HISTDATA_SWITCH_US: i64 = 1_546_300_800_000_000;
/// Saturday 20:00 standard and Saturday 21:00 summer time are 01:00 UTC on Sunday.
const HISTDATA_FROM_2019: &str = "EST5EDT,M3.5.0/-4,M10.5.0/-3";

impl Zone {
    /// Coordinated Universal Time.
    #[must_use]
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), rule: Rule::Fixed { offset_us: 0 } }
    }

    /// A zone by its IANA name alone.
    pub(crate) fn from_iana(name: &str) -> Option<Self> {
        Some(Self { name: name.to_owned(), rule: named(name, 0)? })
    }

    /// The only instant of a local time. Both are microseconds since 1970-01-01, one on each clock.
    ///
    /// # Errors
    /// The local time exists twice or never.
    pub fn instant_us(&self, local_us: i64) -> Result<i64, LocalFault> {
        match &self.rule {
            Rule::Fixed { offset_us } => Ok(local_us - offset_us),
            Rule::Named { zone, plus_us } => instant_in(zone, local_us - plus_us),
            Rule::Histdata { to_2018, .. } if local_us < HISTDATA_SWITCH_US => instant_in(to_2018, local_us),
            Rule::Histdata { from_2019, .. } => instant_in(from_2019, local_us),
        }
    }

    /// How far local time is ahead of UTC at an instant.
    #[must_use]
    pub fn offset_us(&self, instant_us: i64) -> i64 {
        match &self.rule {
            Rule::Fixed { offset_us } => *offset_us,
            Rule::Named { zone, plus_us } => offset_in(zone, instant_us) + plus_us,
            Rule::Histdata { to_2018, from_2019 } => {
                let old = instant_us < HISTDATA_SWITCH_US + 5 * HOUR_US;
                offset_in(if old { to_2018 } else { from_2019 }, instant_us)
            }
        }
    }
}

fn instant_in(zone: &TimeZone, local_us: i64) -> Result<i64, LocalFault> {
    let local = civil_time(local_us).ok_or(LocalFault::Never)?;
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => Ok(local_us - micros(offset)),
        AmbiguousOffset::Gap { .. } => Err(LocalFault::Never),
        AmbiguousOffset::Fold { .. } => Err(LocalFault::Twice),
    }
}

fn civil_time(local_us: i64) -> Option<civil::DateTime> {
    Some(Offset::UTC.to_datetime(Timestamp::from_microsecond(local_us).ok()?))
}

fn offset_in(zone: &TimeZone, instant_us: i64) -> i64 {
    Timestamp::from_microsecond(instant_us).map_or(0, |instant| micros(zone.to_offset(instant)))
}

fn micros(offset: Offset) -> i64 {
    i64::from(offset.seconds()) * 1_000_000
}

impl fmt::Display for Zone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

impl FromStr for Zone {
    type Err = ImportError;

    fn from_str(name: &str) -> Result<Self, ImportError> {
        let rule = parse_rule(name).ok_or_else(|| ImportError::UnknownZone { name: name.to_owned() })?;
        Ok(Self { name: name.to_owned(), rule })
    }
}

fn parse_rule(name: &str) -> Option<Rule> {
    if name.eq_ignore_ascii_case("histdata") {
        return histdata();
    }
    if name.eq_ignore_ascii_case("utc") || name == "Z" {
        return Some(Rule::Fixed { offset_us: 0 });
    }
    fixed(name).or_else(|| named(name, 0)).or_else(|| named_plus(name))
}

fn histdata() -> Option<Rule> {
    let to_2018 = TimeZone::get("America/New_York").ok()?;
    let from_2019 = TimeZone::posix(HISTDATA_FROM_2019).ok()?;
    Some(Rule::Histdata { to_2018, from_2019 })
}

fn fixed(name: &str) -> Option<Rule> {
    Some(Rule::Fixed { offset_us: i64::from(parse_offset_s(name)?) * 1_000_000 })
}

fn named(name: &str, plus_us: i64) -> Option<Rule> {
    // `Etc/Unknown` exists, and would be UTC.
    let zone = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown())?;
    Some(Rule::Named { zone, plus_us })
}

fn named_plus(name: &str) -> Option<Rule> {
    let (base, plus) = name.split_at(name.rfind(['+', '-'])?);
    let plus_us = i64::from(parse_offset_s(plus)?) * 1_000_000;
    if base.eq_ignore_ascii_case("utc") {
        return Some(Rule::Fixed { offset_us: plus_us });
    }
    named(base, plus_us)
}

/// A zone that caches the offset of the current hour, for rows in order.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    zone: Zone,
    hour: Range<i64>,
    offset_us: i64,
}

impl Clock {
    pub(crate) fn new(zone: Zone) -> Self {
        Self { zone, hour: 0..0, offset_us: 0 }
    }

    pub(crate) fn zone(&self) -> &Zone {
        &self.zone
    }

    pub(crate) fn instant_us(&mut self, local_us: i64) -> Result<i64, LocalFault> {
        if !self.hour.contains(&local_us) && !self.turn_to(local_us) {
            return self.zone.instant_us(local_us);
        }
        Ok(local_us - self.offset_us)
    }

    /// Remembers the hour of `local_us` if one offset holds all through it.
    fn turn_to(&mut self, local_us: i64) -> bool {
        let first = local_us.div_euclid(HOUR_US) * HOUR_US;
        let last = first + HOUR_US - 1;
        let offsets = (
            self.zone.instant_us(first).map(|at| first - at),
            self.zone.instant_us(last).map(|at| last - at),
        );
        let (Ok(offset_us), Ok(at_end)) = offsets else { return false };
        (self.hour, self.offset_us) = (first..first + HOUR_US, offset_us);
        if offset_us != at_end {
            self.hour = 0..0;
        }
        offset_us == at_end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::stamp::Stamp;

    fn us(text: &str) -> i64 {
        match Stamp::date_time(text).unwrap().0 {
            Stamp::Local { us } | Stamp::Instant { us, .. } => us,
        }
    }

    /// Checks local times of a zone against instants, in order and through the cache as well.
    fn check(zone: &str, cases: &[(&str, Result<&str, LocalFault>)]) {
        let zone: Zone = zone.parse().unwrap();
        let mut clock = Clock::new(zone.clone());
        for (local, expected) in cases {
            let expected = expected.map(us);
            assert_eq!(zone.instant_us(us(local)), expected, "{zone} {local}");
            assert_eq!(clock.instant_us(us(local)), expected, "{zone} {local}");
            if let Ok(instant) = expected {
                assert_eq!(zone.offset_us(instant), us(local) - instant, "{zone} {local}");
            }
        }
    }

    #[test]
    fn new_york_2017() {
        let cases = [
            ("2017-03-12 01:59", Ok("2017-03-12 06:59Z")),
            ("2017-03-12 02:00", Err(LocalFault::Never)),
            ("2017-03-12 02:59:59.999999", Err(LocalFault::Never)),
            ("2017-03-12 03:00", Ok("2017-03-12 07:00Z")),
            ("2017-11-05 00:59", Ok("2017-11-05 04:59Z")),
            ("2017-11-05 01:00", Err(LocalFault::Twice)),
            ("2017-11-05 01:59", Err(LocalFault::Twice)),
            ("2017-11-05 02:00", Ok("2017-11-05 07:00Z")),
        ];
        check("America/New_York", &cases);
    }

    #[test]
    fn a_broker_seven_hours_ahead_of_new_york() {
        let cases = [
            ("2017-03-12 08:59", Ok("2017-03-12 06:59Z")),
            ("2017-03-12 09:00", Err(LocalFault::Never)),
            ("2017-03-12 10:00", Ok("2017-03-12 07:00Z")),
            ("2017-03-13 00:00", Ok("2017-03-12 21:00Z")),
            ("2017-11-05 08:30", Err(LocalFault::Twice)),
            ("2017-11-06 00:00", Ok("2017-11-05 22:00Z")),
            ("2022-09-29 13:43", Ok("2022-09-29 10:43Z")),
        ];
        check("America/New_York+07:00", &cases);
    }

    #[test]
    fn histdata_is_new_york_to_2018_and_its_own_rule_after() {
        let cases = [
            ("2018-03-11 02:30", Err(LocalFault::Never)),
            ("2018-03-12 00:00", Ok("2018-03-12 04:00Z")),
            ("2018-11-04 01:30", Err(LocalFault::Twice)),
            ("2018-12-31 23:59", Ok("2019-01-01 04:59Z")),
            ("2019-01-01 00:00", Ok("2019-01-01 05:00Z")),
            ("2019-03-10 02:30", Ok("2019-03-10 07:30Z")),
            ("2019-03-30 19:59", Ok("2019-03-31 00:59Z")),
            ("2019-03-30 20:00", Err(LocalFault::Never)),
            ("2019-03-30 20:59", Err(LocalFault::Never)),
            ("2019-03-30 21:00", Ok("2019-03-31 01:00Z")),
            ("2019-10-26 19:59", Ok("2019-10-26 23:59Z")),
            ("2019-10-26 20:00", Err(LocalFault::Twice)),
            ("2019-10-26 20:59", Err(LocalFault::Twice)),
            ("2019-10-26 21:00", Ok("2019-10-27 02:00Z")),
            ("2022-10-28 16:59", Ok("2022-10-28 20:59Z")),
            ("2022-10-30 19:00", Ok("2022-10-31 00:00Z")),
            ("2022-11-06 01:30", Ok("2022-11-06 06:30Z")),
            ("2025-03-30 17:00", Ok("2025-03-30 21:00Z")),
        ];
        check("histdata", &cases);
    }

    #[test]
    fn europe_and_half_hours() {
        check(
            "Europe/Zurich",
            &[("2021-10-31 02:30", Err(LocalFault::Twice)), ("2021-07-01 12:00", Ok("2021-07-01 10:00Z"))],
        );
        let cases = [
            ("2021-04-04 01:29", Ok("2021-04-03 14:29Z")),
            ("2021-04-04 01:30", Err(LocalFault::Twice)),
            ("2021-04-04 01:59", Err(LocalFault::Twice)),
            ("2021-04-04 02:00", Ok("2021-04-03 15:30Z")),
            ("2021-10-03 02:29", Err(LocalFault::Never)),
            ("2021-10-03 02:30", Ok("2021-10-02 15:30Z")),
        ];
        check("Australia/Lord_Howe", &cases);
    }

    #[test]
    fn fixed_offsets() {
        for (zone, instant) in
            [("UTC", "12:00Z"), ("utc", "12:00Z"), ("+02:00", "10:00Z"), ("-0330", "15:30Z")]
        {
            check(zone, &[("2017-07-01 12:00", Ok(&format!("2017-07-01 {instant}")))]);
        }
        for (zone, instant) in [("UTC+02:00", "10:00Z"), ("Etc/GMT-2", "10:00Z"), ("GMT+02:00", "10:00Z")] {
            check(zone, &[("2017-07-01 12:00", Ok(&format!("2017-07-01 {instant}")))]);
        }
    }

    #[test]
    fn unknown_zones_say_what_is_known() {
        for name in [
            "",
            "Mars",
            "Etc/Unknown",
            "America/New_York+7",
            "+2",
            "+25:00",
            "America/New_Yorc+07:00",
            "é+02:00",
        ] {
            let message = name.parse::<Zone>().unwrap_err().to_string();
            assert!(message.contains("IANA") && message.contains(name), "{message}");
        }
    }

    #[test]
    fn the_cache_answers_as_the_zone_does_in_any_order() {
        let zone: Zone = "Australia/Lord_Howe".parse().unwrap();
        let mut clock = Clock::new(zone.clone());
        let mut random = fastrand::Rng::with_seed(7);
        let start = us("2021-04-03 20:00");
        for _ in 0..20_000 {
            let local = start + random.i64(0..600) * 60_000_000;
            assert_eq!(clock.instant_us(local), zone.instant_us(local));
        }
    }
}
