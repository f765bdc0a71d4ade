//! [`Selector`]: keys and months as a user names them, `eur*:2017-01..2017-06`.

use glob::Pattern as Glob;

use crate::key::{KeyError, check_key};
use crate::month::{Month, MonthError};
use crate::partition::Partition;

/// The characters that make a glob of a text.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// Keys, months or both: `KEY`, `KEY:MONTHS` or `:MONTHS`. `KEY` is a key, or a glob such as `eur*`. `MONTHS` is a month, a range
/// with both ends included, either of which may be left out, such as `2017-01..2017-06` or `2017-03..`, or a glob such as `2017-0?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// As it was typed.
    text: String,
    keys: KeySelector,
    months: MonthSelector,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum KeySelector {
    All,
    One(String),
    Glob(Glob),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum MonthSelector {
    /// From the first to the last, both included, where there are such.
    Range { first: Option<Month>, last: Option<Month> },
    Glob {
        months: Glob,
        /// The last month there can be that it matches.
        last: Month,
    },
}

/// What is not a [`Selector`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// Nothing, which must not pass for everything.
    #[error("it is empty; name a key, months after a colon, or both: eurusd, :2017-01 or eurusd:2017-01")]
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
    Month(#[from] MonthError),
    /// The part after the colon, where it has wildcards.
    #[error("`{0}` matches no month: months are written as 2017-01, so 2017-0? is January to September")]
    MonthGlob(String),
    /// A range that ends before it begins.
    #[error("the months {first} to {last} are in the wrong order; write the earlier one first")]
    Reversed {
        /// The first month.
        first: Month,
        /// The last one, which is before it.
        last: Month,
    },
}

impl std::str::FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let text = text.trim();
        if text.is_empty() || text == ":" {
            return Err(SelectorError::Empty);
        }
        let (key, months) = match text.split_once(':') {
            Some((key, months)) => (key, MonthSelector::parse(months)?),
            None => (text, MonthSelector::ALL),
        };
        Ok(Self { text: text.to_owned(), keys: KeySelector::parse(key)?, months })
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
        Self { text: key.to_owned(), keys: KeySelector::One(key.to_owned()), months: MonthSelector::ALL }
    }

    /// The one key that it names; none where it is a pattern.
    pub fn key(&self) -> Option<&str> {
        match &self.keys {
            KeySelector::One(key) => Some(key),
            KeySelector::All | KeySelector::Glob(_) => None,
        }
    }

    /// The one partition that it names; none where it stands for several.
    pub fn partition(&self) -> Option<Partition> {
        match (&self.keys, &self.months) {
            (KeySelector::One(key), MonthSelector::Range { first: Some(first), last: Some(last) }) => {
                (first == last).then(|| Partition::new(key.clone(), (*first).into()))
            }
            _ => None,
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

    /// Whether partitions of `month` may be meant.
    pub fn matches_month(&self, month: Month) -> bool {
        match &self.months {
            MonthSelector::Range { first, last } => {
                first.is_none_or(|first| first <= month) && last.is_none_or(|last| month <= last)
            }
            MonthSelector::Glob { months, .. } => months.matches(&month.to_string()),
        }
    }

    /// Whether it takes every month of the keys that it matches.
    pub fn takes_all_months(&self) -> bool {
        self.months == MonthSelector::ALL
    }

    /// The last month that it can match; none where there is no last one.
    pub fn last_month(&self) -> Option<Month> {
        match &self.months {
            MonthSelector::Range { last, .. } => *last,
            MonthSelector::Glob { last, .. } => Some(*last),
        }
    }
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

impl MonthSelector {
    const ALL: Self = Self::Range { first: None, last: None };

    fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.contains(WILDCARDS) {
            let found = glob(text, |c| c.is_ascii_digit())
                .and_then(|months| last_match(text, &months).map(|last| Self::Glob { months, last }));
            return found.ok_or_else(|| SelectorError::MonthGlob(text.to_owned()));
        }
        let (first, last) = match text.split_once("..") {
            Some(ends) if ends != ("", "") => ends,
            _ => (text, text),
        };
        let end = |text: &str| if text.is_empty() { Ok(None) } else { text.parse().map(Some) };
        match (end(first)?, end(last)?) {
            (None, None) => Err(SelectorError::Empty),
            (Some(first), Some(last)) if last < first => Err(SelectorError::Reversed { first, last }),
            (first, last) => Ok(Self::Range { first, last }),
        }
    }
}

/// The glob of `text`, whose characters are wildcards and those allowed.
fn glob(text: &str, is_allowed: impl Fn(char) -> bool) -> Option<Glob> {
    let is_known = |c: char| is_allowed(c) || "*?[]!-".contains(c);
    if text.chars().all(is_known) { Glob::new(text).ok() } else { None }
}

/// The last month that a glob matches; none where it matches none.
fn last_match(text: &str, months: &Glob) -> Option<Month> {
    // Only the years that begin as the glob does.
    let digits: String = text.chars().take_while(char::is_ascii_digit).take(4).collect();
    let years_each = [10_000, 1000, 100, 10, 1][digits.len()];
    let first = digits.parse().unwrap_or(0) * years_each;
    let years = (first..first + years_each).rev().filter(|year: &usize| (1..=9998).contains(year));
    let written = years.flat_map(|year| (1..=12).rev().map(move |month| format!("{year:04}-{month:02}")));
    written.filter(|month| months.matches(month)).find_map(|month| month.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(text: &str) -> Selector {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn months(text: &str) -> Vec<String> {
        let (first, last): (Month, Month) = ("2016-11".parse().unwrap(), "2018-02".parse().unwrap());
        let selector = selector(text);
        first.through(last).filter(|month| selector.matches_month(*month)).map(|m| m.to_string()).collect()
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
    }

    #[test]
    fn the_last_month_ends_a_selection_where_it_has_one() {
        let last = |text: &str| selector(text).last_month().map(|month| month.to_string());
        assert_eq!(last("a:2017-01"), Some("2017-01".to_owned()));
        assert_eq!(last("a:..2017-03"), Some("2017-03".to_owned()));
        assert_eq!(last("a:201?-0[1-5]"), Some("2019-05".to_owned()));
        assert_eq!(last("a:*-*"), Some(Month::MAX.to_string()));
        assert_eq!((last("a:2017-01.."), last("eur*")), (None, None));
    }

    #[test]
    fn one_partition_is_named_by_a_key_and_a_month() {
        let partition = |text: &str| selector(text).partition().map(|partition| partition.to_string());
        assert_eq!(partition("a:2017-01"), Some("a 2017-01".to_owned()));
        assert_eq!(partition("a:2017-01..2017-01"), Some("a 2017-01".to_owned()));
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
            ("a:2017", "`2017` is not a month"),
            ("a:0000-01", "not a month"),
            ("a:2017-02..2017-01", "the months 2017-02 to 2017-01 are in the wrong order"),
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
