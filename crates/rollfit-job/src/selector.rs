//! [`Selector`]: keys and periods as a user names them, `eur*:2017-01..2017-06`.

use glob::Pattern as Glob;

use crate::key::{KeyError, check_key};
use crate::month::Month;
use crate::part_of_period::PartOfPeriod;
use crate::partition::Partition;
use crate::period::{Period, PeriodError, PeriodUnit};

/// The characters that make a glob of a text.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// Keys, periods or both: `KEY`, `KEY:PERIODS` or `:PERIODS`. `KEY` is a key, or a glob such as `eur*`. `PERIODS` is a month, quarter or
/// year, a range with both ends included, either of which may be left out, such as `2017-01..2017-06` or `2017-Q3..`, or a glob such as
/// `2017-0?`. A period takes the job's periods that are in it: `2017` twelve months.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// As it was typed.
    text: String,
    keys: KeySelector,
    periods: PeriodSelector,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum KeySelector {
    All,
    One(String),
    Glob(Glob),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PeriodSelector {
    /// From the first to the last, both included, where there are such.
    Range { first: Option<Period>, last: Option<Period> },
    Glob {
        periods: Glob,
        /// The last period of each unit there can be that it matches; none of units of which it matches none.
        lasts: [Option<Period>; PeriodUnit::ALL.len()],
    },
}

/// What is not a [`Selector`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// Nothing, which must not pass for everything.
    #[error("it is empty; name a key, a month after a colon, or both: eurusd, :2017-01 or eurusd:2017-01")]
    Empty,
    /// The part before the colon.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The part before the colon, where it has wildcards.
    #[error(
        "`{0}` is not a pattern of keys: beside letters, digits, `_`, `-` and `.` it may have `*`, `?` and `[a-z]`"
    )]
    KeyGlob(String),
    /// The part after the colon.
    #[error(transparent)]
    Period(#[from] PeriodError),
    /// The part after the colon, where it has wildcards.
    #[error("`{0}` matches no month: months are written as 2017-01, so 2017-0? is January to September")]
    MonthGlob(String),
    /// A glob that matches no period of the job's unit.
    #[error("`{glob}` matches no {} of this job: they are written as {}", by.noun(), by.example())]
    OtherUnit {
        /// What was typed.
        glob: String,
        /// The job's unit.
        by: PeriodUnit,
    },
    /// A bound in the middle of one of the job's periods.
    #[error("`{selector}`: {part}")]
    Part {
        /// What was typed.
        selector: String,
        /// Which period, and what to write.
        part: PartOfPeriod,
    },
    /// A range that ends before it begins.
    #[error("{first} to {last} are in the wrong order; write the earlier one first")]
    Reversed {
        /// The first period.
        first: Period,
        /// The last one, which ends before it begins.
        last: Period,
    },
}

impl std::str::FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let text = text.trim();
        if text.is_empty() || text == ":" {
            return Err(SelectorError::Empty);
        }
        let (key, periods) = match text.split_once(':') {
            Some((key, periods)) => (key, PeriodSelector::parse(periods)?),
            None => (text, PeriodSelector::ALL),
        };
        Ok(Self { text: text.to_owned(), keys: KeySelector::parse(key)?, periods })
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Selector {
    /// All partitions of a key.
    pub fn from_key(key: &str) -> Self {
        Self { text: key.to_owned(), keys: KeySelector::One(key.to_owned()), periods: PeriodSelector::ALL }
    }

    /// The one key that it names; none where it is a pattern.
    pub fn key(&self) -> Option<&str> {
        match &self.keys {
            KeySelector::One(key) => Some(key),
            KeySelector::All | KeySelector::Glob(_) => None,
        }
    }

    /// The one partition that it names as it is typed, whatever the job's periods are; none where it stands for several.
    pub fn partition(&self) -> Option<Partition> {
        match (&self.keys, &self.periods) {
            (KeySelector::One(key), PeriodSelector::Range { first: Some(first), last: Some(last) }) => {
                (first == last).then(|| Partition::new(key.clone(), *first))
            }
            _ => None,
        }
    }

    /// The one partition that it names in a job with periods of the unit `by`; none where it stands for several.
    pub fn partition_by(&self, by: PeriodUnit) -> Option<Partition> {
        match (&self.keys, &self.periods) {
            (KeySelector::One(key), PeriodSelector::Range { first: Some(first), last: Some(last) }) => {
                let period = by.period_of(first.first_month());
                let is_all =
                    period.first_month() == first.first_month() && period.last_month() == last.last_month();
                is_all.then(|| Partition::new(key.clone(), period))
            }
            _ => None,
        }
    }

    /// Checks that it can be said of a job with periods of the unit `by` whether each is meant.
    ///
    /// # Errors
    /// [`SelectorError`] naming what to write.
    pub fn check_unit(&self, by: PeriodUnit) -> Result<(), SelectorError> {
        let at = |part| SelectorError::Part { selector: self.text.clone(), part };
        match &self.periods {
            PeriodSelector::Range { first, last } => {
                first.map_or(Ok(()), |first| first.check_start(by)).map_err(at)?;
                last.map_or(Ok(()), |last| last.check_end(by)).map_err(at)
            }
            PeriodSelector::Glob { lasts, .. } if lasts[by as usize].is_none() => {
                Err(SelectorError::OtherUnit { glob: self.text.clone(), by })
            }
            PeriodSelector::Glob { .. } => Ok(()),
        }
    }

    /// Whether partitions of `key` may be meant.
    pub fn matches_key(&self, key: &str) -> bool {
        match &self.keys {
            KeySelector::All => true,
            KeySelector::One(one) => one == key,
            KeySelector::Glob(glob) => glob.matches(key),
        }
    }

    /// Whether partitions of `period` may be meant.
    pub fn matches_period(&self, period: Period) -> bool {
        match &self.periods {
            PeriodSelector::Range { first, last } => is_within(period, *first, *last),
            PeriodSelector::Glob { periods, .. } => periods.matches(&period.to_string()),
        }
    }

    /// Whether it takes every period of the keys that it matches.
    pub fn takes_all_periods(&self) -> bool {
        self.periods == PeriodSelector::ALL
    }

    /// The last month that it can match in a job with periods of the unit `by`; none where there is no last one.
    pub fn last_month(&self, by: PeriodUnit) -> Option<Month> {
        let last = match &self.periods {
            PeriodSelector::Range { last, .. } => *last,
            PeriodSelector::Glob { lasts, .. } => lasts[by as usize],
        };
        last.map(Period::last_month)
    }
}

/// Whether all of a period is between the start of the first and the end of the last, where there are such.
pub(crate) fn is_within(period: Period, first: Option<Period>, last: Option<Period>) -> bool {
    first.is_none_or(|first| first.first_month() <= period.first_month())
        && last.is_none_or(|last| period.last_month() <= last.last_month())
}

impl KeySelector {
    fn parse(text: &str) -> Result<Self, SelectorError> {
        match text {
            "" | "*" => Ok(Self::All),
            text if text.contains(WILDCARDS) => glob(text, |c| c.is_ascii_alphanumeric() || "_.".contains(c))
                .map(Self::Glob)
                .ok_or_else(|| SelectorError::KeyGlob(text.to_owned())),
            text => {
                check_key(text)?;
                Ok(Self::One(text.to_owned()))
            }
        }
    }
}

impl PeriodSelector {
    const ALL: Self = Self::Range { first: None, last: None };

    fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.contains(WILDCARDS) {
            let periods = glob(text, |c| c.is_ascii_digit() || c == 'Q');
            let found = periods.and_then(|periods| {
                let lasts = PeriodUnit::ALL.map(|unit| last_match(text, &periods, unit));
                lasts.iter().any(Option::is_some).then_some(Self::Glob { periods, lasts })
            });
            return found.ok_or_else(|| SelectorError::MonthGlob(text.to_owned()));
        }
        let (first, last) = match text.split_once("..") {
            Some(ends) if ends != ("", "") => ends,
            _ => (text, text),
        };
        let end = |text: &str| if text.is_empty() { Ok(None) } else { text.parse().map(Some) };
        match (end(first)?, end(last)?) {
            (None, None) => Err(SelectorError::Empty),
            (Some(first), Some(last)) => {
                check_order(first, last).map(|()| Self::Range { first: Some(first), last: Some(last) })
            }
            (first, last) => Ok(Self::Range { first, last }),
        }
    }
}

/// Checks that a range does not end before it begins.
pub(crate) fn check_order(first: Period, last: Period) -> Result<(), SelectorError> {
    if last.last_month() < first.first_month() {
        Err(SelectorError::Reversed { first, last })
    } else {
        Ok(())
    }
}

/// The glob of `text`, whose characters are wildcards and those allowed.
fn glob(text: &str, is_allowed: impl Fn(char) -> bool) -> Option<Glob> {
    let is_known = |c: char| is_allowed(c) || "*?[]!-".contains(c);
    if text.chars().all(is_known) { Glob::new(text).ok() } else { None }
}

/// The last period of a unit that a glob matches; none where it matches none.
fn last_match(text: &str, periods: &Glob, unit: PeriodUnit) -> Option<Period> {
    let in_year: u8 = match unit {
        PeriodUnit::Month => 12,
        PeriodUnit::Quarter => 4,
        PeriodUnit::Year => 1,
        PeriodUnit::All => {
            return periods.matches(unit.name()).then(|| unit.period_of(Month::MIN));
        }
    };
    // Only the years that begin as the glob does.
    let digits: String = text.chars().take_while(char::is_ascii_digit).take(4).collect();
    let years_each = [10_000, 1000, 100, 10, 1][digits.len()];
    let first = digits.parse().unwrap_or(0) * years_each;
    let years = (first..first + years_each).rev().filter(|year: &usize| (1..=9998).contains(year));
    let written = years.flat_map(|year| {
        (1..=in_year).rev().map(move |number| match unit {
            PeriodUnit::Month => format!("{year:04}-{number:02}"),
            PeriodUnit::Quarter => format!("{year:04}-Q{number}"),
            PeriodUnit::Year | PeriodUnit::All => format!("{year:04}"),
        })
    });
    written.filter(|period| periods.matches(period)).find_map(|period| period.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(text: &str) -> Selector {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn months(text: &str) -> Vec<String> {
        periods(text, "2016-11", "2018-02")
    }

    fn periods(text: &str, first: &str, last: &str) -> Vec<String> {
        let (first, last): (Period, Period) = (first.parse().unwrap(), last.parse().unwrap());
        let selector = selector(text);
        assert_eq!(selector.check_unit(first.unit()), Ok(()));
        first.through(last).filter(|period| selector.matches_period(*period)).map(|p| p.to_string()).collect()
    }

    #[test]
    fn keys_are_named_or_matched_with_their_case() {
        let matches = |text: &str, keys: &[&str]| -> Vec<bool> {
            keys.iter().map(|key| selector(text).matches_key(key)).collect()
        };
        assert_eq!(matches("eurusd", &["eurusd", "EURUSD", "eurusdx"]), [true, false, false]);
        assert_eq!(matches("eur*", &["eurusd", "eur", "EURUSD", "aeur"]), [true, true, false, false]);
        assert_eq!(matches("*usd:2017-01", &["eurusd", "usd", "usdjpy"]), [true, true, false]);
        assert_eq!(matches("ES.?.[0-1]", &["ES.c.0", "ES.c.2", "ES.cc.0"]), [true, false, false]);
        assert_eq!(matches("[!e]*", &["eurusd", "gbpusd"]), [false, true]);
        assert_eq!(matches(":2017-01", &["any", "ES.c.0"]), [true, true]);
        assert_eq!(matches("*", &["any"]), [true]);
    }

    #[test]
    fn months_are_single_ranges_or_matched() {
        assert_eq!(months("a:2017-01"), ["2017-01"]);
        assert_eq!(months(":2017-01..2017-03"), ["2017-01", "2017-02", "2017-03"]);
        assert_eq!(months("a:..2016-12"), ["2016-11", "2016-12"]);
        assert_eq!(months("*:2018-01.."), ["2018-01", "2018-02"]);
        assert_eq!(months("a:2017-1?"), ["2017-10", "2017-11", "2017-12"]);
        assert_eq!(months("a:*-01"), ["2017-01", "2018-01"]);
        assert_eq!(months("a").len(), 16);
        assert_eq!(months(":2016"), ["2016-11", "2016-12"]);
        assert_eq!(months(":2016-Q4..2017-01"), ["2016-11", "2016-12", "2017-01"]);
    }

    #[test]
    fn longer_periods_are_selected_as_they_are_written() {
        let quarters = |text| periods(text, "2016-Q3", "2017-Q4");
        assert_eq!(quarters("a:2017-Q1"), ["2017-Q1"]);
        assert_eq!(quarters(":2016"), ["2016-Q3", "2016-Q4"]);
        assert_eq!(quarters(":2017-04..2017-09"), ["2017-Q2", "2017-Q3"]);
        assert_eq!(quarters(":*-Q[34]"), ["2016-Q3", "2016-Q4", "2017-Q3", "2017-Q4"]);
        assert_eq!(periods("a:201[67]", "2015", "2018"), ["2016", "2017"]);
        assert_eq!(periods("a:2017..", "2015", "2018"), ["2017", "2018"]);
        assert_eq!(
            (periods("a:all", "all", "all"), periods("a:*", "all", "all")),
            (vec!["all".into()], vec!["all".into()])
        );
    }

    #[test]
    fn what_ends_within_a_period_of_the_job_is_refused() {
        for (text, by, part) in [
            ("a:2017-02", PeriodUnit::Quarter, "`a:2017-02`: 2017-02 is only a part of 2017-Q1"),
            ("a:2017-01..2017-05", PeriodUnit::Quarter, "write 2017-Q2"),
            (":2017-Q2..", PeriodUnit::Year, "write 2017"),
            ("a:2017", PeriodUnit::All, "each key has one partition"),
            ("a:2017-0?", PeriodUnit::Year, "matches no year of this job: they are written as 2017"),
            ("a:2017-Q?", PeriodUnit::Month, "matches no month of this job"),
        ] {
            let error = selector(text).check_unit(by).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn the_last_month_ends_a_selection_where_it_has_one() {
        let last = |text: &str| selector(text).last_month(PeriodUnit::Month).map(|month| month.to_string());
        assert_eq!(last("a:2017-01"), Some("2017-01".to_owned()));
        assert_eq!(last("a:..2017-03"), Some("2017-03".to_owned()));
        assert_eq!(last("a:201?-0[1-5]"), Some("2019-05".to_owned()));
        assert_eq!(last("a:*-*"), Some(Month::MAX.to_string()));
        assert_eq!((last("a:2017-01.."), last("eur*")), (None, None));
        let last = selector("a:2017-Q?").last_month(PeriodUnit::Quarter);
        assert_eq!(last, "2017-12".parse().ok());
    }

    #[test]
    fn one_partition_is_named_by_a_key_and_a_month() {
        let partition = |text: &str| selector(text).partition().map(|partition| partition.to_string());
        assert_eq!(partition("a:2017-01"), Some("a 2017-01".to_owned()));
        assert_eq!(partition("a:2017-01..2017-01"), Some("a 2017-01".to_owned()));
        assert_eq!(partition("a:2017"), Some("a 2017".to_owned()));
        let by = |text: &str, by| selector(text).partition_by(by).map(|partition| partition.to_string());
        assert_eq!((by("a:2017", PeriodUnit::Month), by("a:2017-02", PeriodUnit::Year)), (None, None));
        assert_eq!(by("a:2017", PeriodUnit::Year), Some("a 2017".to_owned()));
        assert_eq!(by("a:2017-01..2017-Q1", PeriodUnit::Quarter), Some("a 2017-Q1".to_owned()));
        assert_eq!(
            (by("a:all", PeriodUnit::All), by("a", PeriodUnit::All)),
            (Some("a all".to_owned()), None)
        );
        for several in ["a", "a*:2017-01", ":2017-01", "a:2017-01..2017-02", "a:2017-01..", "a:2017-0?"] {
            assert_eq!(partition(several), None, "{several}");
        }
    }

    #[test]
    fn what_selects_nothing_that_can_be_is_refused() {
        for (text, part) in [
            ("", "it is empty"),
            ("  ", "it is empty"),
            (":", "it is empty"),
            ("a:", "it is empty"),
            ("a:..", "`..` is not a month"),
            ("a:2017-13", "`2017-13` is not a month"),
            ("a:2017-Q5", "`2017-Q5` is not a month, quarter or year"),
            ("a:0000-01", "not a month"),
            ("a:2017-02..2017-01", "2017-02 to 2017-01 are in the wrong order"),
            ("a:2017-01..2017-02..2017-03", "`2017-02..2017-03` is not a month"),
            ("a:2017-01...2017-03", "`.2017-03` is not a month"),
            ("a:2017-1*-1", "matches no month"),
            ("a:2017-0?..", "matches no month"),
            ("a:9999-*", "matches no month"),
            ("a:[", "matches no month"),
            ("a:b:2017-01", "`b:2017-01` is not a month"),
            ("eur usd", "`eur usd` is not a key"),
            ("../*", "`../*` is not a pattern of keys"),
            ("a**b", "`a**b` is not a pattern of keys"),
            ("[a", "`[a` is not a pattern of keys"),
            ("{a,b}*", "is not a pattern of keys"),
            ("é*", "is not a pattern of keys"),
            ("-x", "`-x` is not a key"),
        ] {
            let error = text.parse::<Selector>().map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn many_wildcards_end_soon() {
        let selector = selector(&format!("{}b", "a*".repeat(60)));
        assert!(!selector.matches_key(&"a".repeat(250)));
    }
}
