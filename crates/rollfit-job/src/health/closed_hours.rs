//! [`ClosedHours`]: when no rows are expected, such as weekends and holidays, and how much open time lies between two instants.
//!
//! They are local times. Which offset from UTC applies when is told by the caller: this crate has no database of time zones.

use crate::month::{MICROS_PER_SECOND, Month};

const MINUTE_US: i64 = 60 * MICROS_PER_SECOND;
const DAY_US: i64 = 24 * 60 * MINUTE_US;
const WEEK_US: i64 = 7 * DAY_US;
/// The first Monday on the clock of microseconds since 1970: the first of January was a Thursday.
const MONDAY_US: i64 = 4 * DAY_US;
/// Closed hours that lie further back don't count: nobody sets a limit of a year.
const REACH_US: i64 = 366 * DAY_US;
/// The instants that there are: of the years that months have, about. Others are taken for the nearest.
const INSTANTS_US: std::ops::RangeInclusive<i64> = -62_000_000_000_000_000..=253_000_000_000_000_000;

const FORMS: &str = "write \"Fri 21:00 - Sun 21:00\" (each week), \"21:00 - 22:00\" (each day), \"2026-12-25\", \
     \"2026-12-24 - 2026-12-26\" or \"2026-12-24 18:00 - 2026-12-26 08:00\"";

/// The offset of local time from UTC at an instant, both in microseconds.
pub type OffsetAt<'a> = &'a dyn Fn(i64) -> i64;

/// When no rows are expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClosedHours(Vec<Closed>);

/// Local times, the end not included.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Closed {
    /// Again after each of so many microseconds; the start is on the first Monday, or before.
    Every { period_us: i64, start_us: i64, length_us: i64 },
    /// Once, in microseconds since 1970.
    Once { start_us: i64, end_us: i64 },
}

/// One end of closed hours, as written.
enum Moment {
    /// Microseconds of a day, to its end included.
    OfDay(i64),
    /// Microseconds of a week that starts on Monday.
    OfWeek(i64),
    /// A day, as its first microsecond since 1970.
    Day(i64),
    /// Microseconds since 1970.
    Time(i64),
}

impl ClosedHours {
    /// Parses texts such as `Fri 21:00 - Sun 21:00` and `2026-12-25`.
    ///
    /// # Errors
    /// Which text is none, and how they are written; that nothing is open any more.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let spans: Option<Vec<Closed>> = texts.iter().map(|text| parse_span(text)).collect();
        let Some(spans) = spans else {
            let wrong = texts.iter().find(|text| parse_span(text).is_none());
            return Err(format!("`{}` is not understood; {FORMS}", wrong.map_or("", String::as_str)));
        };
        let hours = Self(spans);
        let regular = hours.0.iter().filter(|span| matches!(span, Closed::Every { .. }));
        // A week that no single day is in, by a clock without changes.
        let weekly = Self(regular.cloned().collect());
        if !weekly.0.is_empty() && weekly.open_us(MONDAY_US, MONDAY_US + WEEK_US, &|_| 0) == 0 {
            return Err("these hours are the whole week, so that nothing would ever be late".to_owned());
        }
        Ok(hours)
    }

    /// The microseconds from `from_us` to `to_us` that aren't closed; 0 where `to_us` comes first.
    pub fn open_us(&self, from_us: i64, to_us: i64, offset_at: OffsetAt<'_>) -> i64 {
        let clamp = |instant_us: i64| instant_us.clamp(*INSTANTS_US.start(), *INSTANTS_US.end());
        let (from_us, to_us) = (clamp(from_us), clamp(to_us));
        if from_us >= to_us {
            return 0;
        }
        let start_us = from_us.max(to_us - REACH_US);
        let mut closed = self.closed_between(start_us, to_us, offset_at);
        closed.sort_unstable();
        let (mut open_us, mut reached_us) = (start_us - from_us, start_us);
        for (first_us, end_us) in closed {
            open_us += (first_us.min(to_us) - reached_us).max(0);
            reached_us = reached_us.max(end_us.min(to_us));
        }
        open_us + to_us - reached_us
    }

    /// The closed hours that may reach into a span, as instants.
    fn closed_between(&self, start_us: i64, end_us: i64, offset_at: OffsetAt<'_>) -> Vec<(i64, i64)> {
        let instant = |local_us| instant_of(local_us, offset_at);
        // Local time is at most a day and a few hours away from UTC.
        let (low_us, high_us) = (start_us - 2 * DAY_US, end_us + 2 * DAY_US);
        let mut closed = Vec::new();
        for span in &self.0 {
            match *span {
                Closed::Once { start_us, end_us } => closed.push((instant(start_us), instant(end_us))),
                Closed::Every { period_us, start_us, length_us } => {
                    let first = (low_us - length_us - start_us).div_euclid(period_us);
                    let starts = (first..).map(|at| start_us + at * period_us);
                    let starts = starts.take_while(|&start_us| start_us <= high_us);
                    closed.extend(starts.map(|start_us| (instant(start_us), instant(start_us + length_us))));
                }
            }
        }
        closed
    }
}

/// The instant of a local time. One that exists twice is the first, one that doesn't exist is as much later as clocks go forward.
fn instant_of(local_us: i64, offset_at: OffsetAt<'_>) -> i64 {
    let by_offset_around = |around_us: i64| local_us - offset_at(around_us);
    let before = by_offset_around(local_us - DAY_US);
    let after = by_offset_around(local_us + DAY_US);
    let is_right = |instant_us: i64| instant_us + offset_at(instant_us) == local_us;
    match (is_right(before), is_right(after)) {
        (true, true) => before.min(after),
        (false, true) => after,
        (_, false) => before,
    }
}

fn parse_span(text: &str) -> Option<Closed> {
    let every = |period_us: i64, start_us: i64, end_us: i64| {
        let length_us = (end_us - start_us).rem_euclid(period_us);
        (length_us > 0).then_some(Closed::Every { period_us, start_us: MONDAY_US + start_us, length_us })
    };
    let once = |start_us: i64, end_us: i64| (start_us < end_us).then_some(Closed::Once { start_us, end_us });
    let Some((start, end)) = text.split_once(" - ") else {
        return match parse_moment(text)? {
            Moment::Day(start_us) => once(start_us, start_us + DAY_US),
            _ => None,
        };
    };
    match (parse_moment(start)?, parse_moment(end)?) {
        // Until 24:00 of a whole day is a day, and not nothing.
        (Moment::OfDay(0), Moment::OfDay(DAY_US)) => {
            Some(Closed::Every { period_us: DAY_US, start_us: MONDAY_US, length_us: DAY_US })
        }
        (Moment::OfDay(start_us), Moment::OfDay(end_us)) => every(DAY_US, start_us, end_us),
        (Moment::OfWeek(start_us), Moment::OfWeek(end_us)) => every(WEEK_US, start_us, end_us),
        (Moment::Day(start_us), Moment::Day(last_us)) => once(start_us, last_us + DAY_US),
        (Moment::Time(start_us), Moment::Time(end_us)) => once(start_us, end_us),
        _ => None,
    }
}

fn parse_moment(text: &str) -> Option<Moment> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        [time] if time.contains(':') => parse_time(time).map(Moment::OfDay),
        [date] => parse_date(date).map(Moment::Day),
        [day, time] => {
            let time_us = parse_time(time)?;
            match parse_weekday(day) {
                Some(day) => Some(Moment::OfWeek(day * DAY_US + time_us)),
                None => Some(Moment::Time(parse_date(day)? + time_us)),
            }
        }
        _ => None,
    }
}

/// `21:00`, to `24:00`.
fn parse_time(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| -> Option<i64> {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_number)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let time_us = (60 * hours + minutes) * MINUTE_US;
    (minutes < 60 && time_us <= DAY_US).then_some(time_us)
}

/// `Fri` or `Friday`, in any case; Monday is 0.
fn parse_weekday(text: &str) -> Option<i64> {
    const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let text = text.to_ascii_lowercase();
    DAYS.iter().position(|&day| text == day || text == day[..3]).and_then(|at| i64::try_from(at).ok())
}

fn parse_date(text: &str) -> Option<i64> {
    let (month, day) = text.rsplit_once('-')?;
    let (month, is_two): (Month, bool) = (month.parse().ok()?, day.len() == 2);
    let day: i64 = day.parse().ok().filter(|&day: &i64| is_two && day >= 1)?;
    let start_us = month.span_us().start + (day - 1) * DAY_US;
    month.span_us().contains(&start_us).then_some(start_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: i64 = 60 * MINUTE_US;

    fn hours(texts: &[&str]) -> Result<ClosedHours, String> {
        ClosedHours::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    fn at(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_microsecond()
    }

    /// The open minutes between two instants, by the clock of UTC.
    #[track_caller]
    fn open_minutes(closed: &[&str], from: &str, to: &str) -> i64 {
        hours(closed).unwrap().open_us(at(from), at(to), &|_| 0) / MINUTE_US
    }

    #[test]
    fn a_weekend_takes_no_time() {
        let weekend = ["Fri 21:00 - Sun 21:00"];
        // 2026-11-27 is a Friday.
        for (from, to, minutes) in [
            ("2026-11-27T20:59:00Z", "2026-11-29T21:04:00Z", 5),
            ("2026-11-27T21:30:00Z", "2026-11-29T20:00:00Z", 0),
            ("2026-11-27T20:00:00Z", "2026-11-27T20:30:00Z", 30),
            ("2026-11-30T10:00:00Z", "2026-11-30T10:07:00Z", 7),
            ("2026-11-27T20:59:00Z", "2026-12-06T21:01:00Z", 1 + 5 * 24 * 60 + 1),
            // Over the end of a year.
            ("2027-12-31T20:00:00Z", "2028-01-02T22:00:00Z", 120),
            ("2026-11-27T21:30:00Z", "2026-11-27T21:30:00Z", 0),
            ("2026-11-30T10:00:00Z", "2026-11-30T09:00:00Z", 0),
        ] {
            assert_eq!(open_minutes(&weekend, from, to), minutes, "{from} {to}");
        }
        assert_eq!(open_minutes(&[], "2026-11-27T20:59:00Z", "2026-11-29T21:04:00Z"), 48 * 60 + 5);
        // From before the first Monday of 1970.
        assert_eq!(open_minutes(&weekend, "1970-01-02T20:00:00Z", "1970-01-04T22:00:00Z"), 120);
        assert_eq!(open_minutes(&weekend, "1969-12-26T20:00:00Z", "1969-12-28T22:00:00Z"), 120);
    }

    #[test]
    fn days_and_breaks_overlap_weekends_without_being_counted_twice() {
        let closed =
            ["Fri 21:00 - Sun 21:00", "2026-12-25", "21:00 - 22:00", "2026-12-26 10:00 - 2026-12-28 08:00"];
        // Christmas is a Friday: closed from Thursday 24:00 to Monday 08:00.
        assert_eq!(open_minutes(&closed, "2026-12-24T20:00:00Z", "2026-12-28T09:00:00Z"), 180 + 60);
        assert_eq!(
            open_minutes(&["2026-12-24 - 2026-12-26"], "2026-12-23T23:00:00Z", "2026-12-27T01:00:00Z"),
            120
        );
        assert_eq!(open_minutes(&["23:00 - 01:00"], "2026-12-31T22:00:00Z", "2027-01-01T02:00:00Z"), 120);
        assert_eq!(
            open_minutes(&["Sunday 00:00 - Sunday 24:00"], "2026-11-28T23:00:00Z", "2026-11-30T01:00:00Z"),
            120
        );
    }

    #[test]
    fn local_hours_follow_the_clock_over_its_changes() {
        // New York: UTC-5, and UTC-4 from 2026-03-08 07:00 to 2026-11-01 06:00.
        let (spring, autumn) = (at("2026-03-08T07:00:00Z"), at("2026-11-01T06:00:00Z"));
        let new_york =
            move |instant: i64| if (spring..autumn).contains(&instant) { -4 * HOUR_US } else { -5 * HOUR_US };
        let weekend = hours(&["Fri 17:00 - Sun 17:00"]).unwrap();
        let minutes = |from, to| weekend.open_us(at(from), at(to), &new_york) / MINUTE_US;
        // The clock goes forward within the weekend: it opens an hour earlier by UTC.
        assert_eq!(minutes("2026-03-06T21:00:00Z", "2026-03-08T22:00:00Z"), 60 + 60);
        assert_eq!(minutes("2026-10-30T20:00:00Z", "2026-11-01T23:00:00Z"), 60 + 60);
        assert_eq!(minutes("2026-07-03T20:00:00Z", "2026-07-05T22:00:00Z"), 60 + 60);
        assert_eq!(minutes("2026-01-02T21:00:00Z", "2026-01-04T23:00:00Z"), 60 + 60);
        // 02:30 doesn't exist on that day, 01:30 exists twice on the other.
        let night =
            hours(&["2026-03-08 02:30 - 2026-03-08 04:00", "2026-11-01 01:30 - 2026-11-01 03:00"]).unwrap();
        assert_eq!(
            night.open_us(at("2026-03-08T06:00:00Z"), at("2026-03-08T09:00:00Z"), &new_york),
            150 * MINUTE_US
        );
        assert_eq!(
            night.open_us(at("2026-11-01T05:00:00Z"), at("2026-11-01T09:00:00Z"), &new_york),
            90 * MINUTE_US
        );
    }

    #[test]
    fn instants_of_any_distance_end() {
        let weekend = hours(&["Fri 21:00 - Sun 21:00", "23:00 - 01:00"]).unwrap();
        assert!(weekend.open_us(i64::MIN, i64::MAX, &|_| 0) > 0);
        assert!(weekend.open_us(i64::MIN, i64::MIN + 5, &|_| 14 * HOUR_US) >= 0);
        assert!(weekend.open_us(i64::MAX - 5, i64::MAX, &|_| -14 * HOUR_US) >= 0);
        let years = open_minutes(&["Fri 21:00 - Sun 21:00"], "2017-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
        assert!(years > 8 * 365 * 24 * 60, "{years}");
    }

    #[test]
    fn what_is_no_closed_hours_is_refused_with_how_they_are_written() {
        for wrong in [
            "",
            "Fri",
            "Fri 21:00",
            "Fri 21:00-Sun 21:00",
            "Fri 21:00 - 22:00",
            "Fri 21:00 - Fri 21:00",
            "21:00 - 21:00",
            "25:00 - 26:00",
            "21:60 - 22:00",
            "9:00 - 10:00",
            "2026-02-30",
            "2026-12",
            "2026-12-26 - 2026-12-24",
            "2026-12-24 18:00 - 2026-12-24 18:00",
            "2026-12-24 18:00 - 2026-12-26",
            "Freitag 21:00 - Sonntag 21:00",
            "21:00",
        ] {
            let error = hours(&["2026-12-25", wrong]).unwrap_err();
            assert!(
                error.contains(&format!("`{wrong}`")) && error.contains("Fri 21:00 - Sun 21:00"),
                "{error}"
            );
        }
        for whole in [
            &["00:00 - 24:00"][..],
            &["00:00 - 12:00", "12:00 - 24:00"],
            &["Mon 00:00 - Fri 00:00", "Thu 00:00 - Mon 00:00"],
        ] {
            assert!(hours(whole).unwrap_err().contains("the whole week"), "{whole:?}");
        }
        for right in ["fri 21:00 - SUN 21:00", "Sun 21:00 - Fri 21:00", "22:00 - 24:00", "2024-02-29"] {
            assert!(hours(&[right]).is_ok(), "{right}");
        }
    }
}
