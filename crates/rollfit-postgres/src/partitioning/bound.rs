//! [`Bound`]: the rows that a partition of a table takes, as instants, so that it can be compared with a month
//! however it was written.
//!
//! Invariants: the server writes bounds in UTC and in ISO form, because every transaction sets this.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rollfit_job::month::display_instant;
use rollfit_job::period::Period;

use crate::copy::instant::TimeType;

/// The partition key of a table whose partitions are months.
pub(crate) const BY_INSTANT: &str = "RANGE (ts_utc)";

/// The rows that a partition takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// The rows that no other partition takes.
    Default,
    /// The rows of a time span.
    Span(BoundSpan),
    /// Other rows, or bounds that are not instants.
    Other,
}

/// A half-open span from one instant to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BoundSpan {
    /// Microseconds since 1970; the lowest number for MINVALUE.
    pub(crate) start_us: i64,
    /// The highest number for MAXVALUE.
    pub(crate) end_us: i64,
    /// Whether further columns of the partition key exclude rows.
    is_cut: bool,
}

impl Bound {
    /// Parses the output of `pg_get_expr(relpartbound, oid)`.
    pub(crate) fn parse(text: &str) -> Self {
        if text == "DEFAULT" {
            return Self::Default;
        }
        let limits = text.strip_prefix("FOR VALUES FROM (").and_then(|rest| {
            let (from, to) = rest.strip_suffix(')')?.split_once(") TO (")?;
            Some((limit(from)?, limit(to)?))
        });
        match limits {
            Some(((start_us, start_is_cut), (end_us, end_is_cut))) => {
                Self::Span(BoundSpan { start_us, end_us, is_cut: start_is_cut || end_is_cut })
            }
            None => Self::Other,
        }
    }
}

impl BoundSpan {
    /// Returns the span of a period.
    pub(crate) fn from_period(period: Period) -> Self {
        let span_us = period.span_us();
        Self { start_us: span_us.start, end_us: span_us.end, is_cut: false }
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.start_us < other.end_us && other.start_us < self.end_us
    }

    pub(crate) fn holds(&self, other: &Self) -> bool {
        !self.is_cut && self.start_us <= other.start_us && other.end_us <= self.end_us
    }

    /// Returns the rest without `other`, if that is one span.
    pub(crate) fn without(&self, other: &Self) -> Option<Self> {
        match (self.start_us < other.start_us, other.end_us < self.end_us) {
            _ if self.is_cut => None,
            (true, false) => Some(Self { end_us: other.start_us, ..*self }),
            (false, true) => Some(Self { start_us: other.end_us, ..*self }),
            _ => None,
        }
    }

    /// Returns the span in SQL, as after `ATTACH PARTITION`.
    pub(crate) fn sql(&self, time: TimeType) -> String {
        let limit = |us: i64| match us {
            i64::MIN => "MINVALUE".to_owned(),
            i64::MAX => "MAXVALUE".to_owned(),
            us => time.literal(us),
        };
        format!("FOR VALUES FROM ({}) TO ({})", limit(self.start_us), limit(self.end_us))
    }
}

/// Formats the span for messages.
impl std::fmt::Display for BoundSpan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limit = |us: i64| match us {
            i64::MIN => "the beginning".to_owned(),
            i64::MAX => "the end".to_owned(),
            us => display_instant(us),
        };
        write!(f, "from {} to {}", limit(self.start_us), limit(self.end_us))
    }
}

/// Returns the first value of a limit, and whether further values exclude rows. Nothing is below the lowest values of
/// all further columns.
fn limit(text: &str) -> Option<(i64, bool)> {
    let mut values = text.split(", ");
    let instant_us = match values.next()? {
        "MINVALUE" => return Some((i64::MIN, false)),
        "MAXVALUE" => return Some((i64::MAX, false)),
        quoted => instant_us(quoted.strip_prefix('\'')?.strip_suffix('\'')?)?,
    };
    Some((instant_us, values.any(|value| value != "MINVALUE")))
}

fn instant_us(text: &str) -> Option<i64> {
    match text {
        "-infinity" => return Some(i64::MIN),
        "infinity" => return Some(i64::MAX),
        _ => {}
    }
    // No month is outside the years of the calendar.
    if text.ends_with(" BC") {
        return Some(i64::MIN);
    }
    if text.split_once('-').is_some_and(|(year, _)| is_beyond_calendar(year)) {
        return Some(i64::MAX);
    }
    let time: DateTime = text.strip_suffix("+00").unwrap_or(text).parse().ok()?;
    Some(TimeZone::UTC.to_timestamp(time).ok()?.as_microsecond())
}

fn is_beyond_calendar(year: &str) -> bool {
    year.len() > 4 && year.bytes().all(|digit| digit.is_ascii_digit())
}

/// Returns whether a table is partitioned by ranges, with the instant as the first column.
pub(crate) fn is_by_instant(key: &str) -> bool {
    let further = BY_INSTANT.trim_end_matches(')');
    key == BY_INSTANT || key.strip_prefix(further).is_some_and(|rest| rest.starts_with(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn january() -> BoundSpan {
        BoundSpan::from_period("2017-01".parse().unwrap())
    }

    #[test]
    fn a_months_bounds_are_the_same_instants_with_and_without_time_zone() {
        for text in [
            "FOR VALUES FROM ('2017-01-01 00:00:00') TO ('2017-02-01 00:00:00')",
            "FOR VALUES FROM ('2017-01-01 00:00:00+00') TO ('2017-02-01 00:00:00+00')",
            "FOR VALUES FROM ('2017-01-01 00:00:00', MINVALUE) TO ('2017-02-01 00:00:00', MINVALUE)",
        ] {
            assert_eq!(Bound::parse(text), Bound::Span(january()), "{text}");
        }
    }

    #[test]
    fn other_bounds_are_not_those_of_the_month() {
        let span = |from: &str, to: &str| match Bound::parse(&format!("FOR VALUES FROM ({from}) TO ({to})")) {
            Bound::Span(span) => span,
            other => panic!("{other:?}"),
        };
        let shifted = span("'2016-12-31 23:00:00+00'", "'2017-01-31 23:00:00+00'");
        assert!(shifted.overlaps(&january()) && !shifted.holds(&january()));
        let open = span("MINVALUE", "'2017-02-01 00:00:00'");
        assert!(open.holds(&january()) && open != january());
        assert_eq!(open.without(&january()).unwrap().end_us, january().start_us);
        assert!(span("MINVALUE", "MAXVALUE").without(&january()).is_none());
        let cut = span("'2017-01-01 00:00:00', 5", "'2017-02-01 00:00:00', MINVALUE");
        assert!(cut != january() && !cut.holds(&january()));
        assert!(!span("'2017-02-01 00:00:00'", "'infinity'").overlaps(&january()));
        let endless = span("'2017-01-01 00:00:00'", "'10000-01-01 00:00:00'");
        assert!(endless != january() && endless.overlaps(&january()));
        let ancient = span("'0044-03-15 00:00:00+00 BC'", "'2017-02-01 00:00:00+00'");
        assert!(ancient != january() && ancient.holds(&january()));
    }

    #[test]
    fn what_are_no_instants_is_not_read_as_such() {
        for text in
            ["FOR VALUES IN ('a')", "FOR VALUES WITH (modulus 4, remainder 0)", "FOR VALUES FROM (1) TO (9)"]
        {
            assert_eq!(Bound::parse(text), Bound::Other, "{text}");
        }
        assert_eq!(Bound::parse("DEFAULT"), Bound::Default);
    }
}
