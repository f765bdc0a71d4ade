//! [`Layout`]: which numbers a store keeps of each fit.

use serde::{Deserialize, Serialize};

/// What a store keeps: features, or the fits that they follow from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// A column a feature.
    #[default]
    Metrics,
    /// The six numbers of each fit; features are computed when they are read.
    Fits,
}

impl Layout {
    /// The name in the configuration and in receipts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Fits => "fits",
        }
    }

    /// Whether it is what a receipt means that names none.
    pub(crate) fn is_metrics(&self) -> bool {
        *self == Self::Metrics
    }
}

impl std::str::FromStr for Layout {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "metrics" => Ok(Self::Metrics),
            "fits" => Ok(Self::Fits),
            _ => Err(()),
        }
    }
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
