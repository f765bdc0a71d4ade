//! [`DropCause`]: what lenient reading counts a dropped row under.

use std::fmt;

use serde::Serialize;

/// Why lenient reading dropped a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropCause {
    /// Not UTF-8, too few columns, or a time or close that cannot be read.
    Unparsable,
    /// A close that is not finite or not above zero.
    Price,
    /// A time finer than a microsecond.
    TooFine,
    /// A local time that exists twice or never.
    LocalTime,
    /// The instant of an earlier row with another close; the earlier one is kept.
    Contradiction,
    /// Older than the row before it, and no repetition.
    JumpBack,
}

impl DropCause {
    /// Every cause.
    pub const ALL: [Self; 6] =
        [Self::Unparsable, Self::Price, Self::TooFine, Self::LocalTime, Self::Contradiction, Self::JumpBack];

    /// Whether the row was a bar by itself and fell only to the rows before it.
    #[must_use]
    pub fn is_about_order(self) -> bool {
        matches!(self, Self::Contradiction | Self::JumpBack)
    }
}

impl fmt::Display for DropCause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unparsable => "unparsable",
            Self::Price => "price not above zero",
            Self::TooFine => "time finer than a microsecond",
            Self::LocalTime => "local time that exists twice or never",
            Self::Contradiction => "contradicts an earlier row",
            Self::JumpBack => "jumps back in time",
        })
    }
}
