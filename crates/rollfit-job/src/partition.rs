//! [`Partition`]: the unit of work, of commit and of resume; and [`Selector`], which of them a command is about.

use crate::key::{KeyError, check_key};
use crate::month::{Month, MonthError};
use crate::period::Period;

/// One key in one period.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Partition {
    /// What the series belongs to, `eurusd`.
    pub key: String,
    /// When.
    #[serde(rename = "month")]
    pub period: Period,
}

impl Partition {
    /// A key's partition of a period.
    pub fn new(key: impl Into<String>, period: Period) -> Self {
        Self { key: key.into(), period }
    }
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{} {}", self.key, self.period))
    }
}

/// `KEY` or `KEY:YYYY-MM`: one key's partitions, or one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The key.
    pub key: String,
    /// The month, or all of the key's.
    pub month: Option<Month>,
}

/// What is not a [`Selector`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// The part before the colon.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The part after it.
    #[error(transparent)]
    Month(#[from] MonthError),
}

impl std::str::FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let (key, month) = match text.split_once(':') {
            Some((key, month)) => (key, Some(month.parse()?)),
            None => (text, None),
        };
        check_key(key)?;
        Ok(Self { key: key.to_owned(), month })
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.month {
            Some(month) => write!(f, "{}:{month}", self.key),
            None => f.write_str(&self.key),
        }
    }
}

impl Selector {
    /// Whether `partition` is meant.
    pub fn matches(&self, partition: &Partition) -> bool {
        self.key == partition.key && self.month.is_none_or(|month| Period::Month(month) == partition.period)
    }
}
