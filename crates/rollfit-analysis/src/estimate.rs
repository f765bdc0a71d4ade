//! [`Estimate`]: a number that is not known exactly.

use serde::{Deserialize, Serialize};

/// A number that is not known exactly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Hardly less than this.
    pub low: f64,
    /// This, if one number is to be named.
    pub expected: f64,
    /// Hardly more than this.
    pub high: f64,
}
