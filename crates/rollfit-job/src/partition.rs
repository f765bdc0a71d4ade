//! [`Partition`]: the unit of work, of commit and of resume.

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
