//! Features on their way to a sink, as [`FeatureTile`]s, and back, through a [`FeatureReader`].

use std::ops::Range;
use std::sync::Arc;

use super::StoreError;
use crate::receipt::Receipt;

/// Columns of consecutive rows of one partition: features, or what a store keeps of them. To and from a store in the layout of fits
/// these are the numbers of fits, see [`Series::stored_columns`](crate::config::Series::stored_columns).
#[derive(Clone, Copy, Debug)]
pub struct FeatureTile<'a> {
    /// Microseconds since 1970, UTC, one a row.
    pub instants_us: &'a [i64],
    /// The first of these columns among those of every series in order.
    pub first_column: usize,
    /// The columns, of `instants_us.len()` values each; NaN where there is none.
    pub values: &'a [f64],
}

/// Which features a sink takes, and gives back, at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Those of every series: a tile has them all.
    Together,
    /// Every row of one series before the first of the next, for stores with a table a series.
    Apart,
}

impl Grouping {
    /// The series of each group, of `count` series.
    pub fn groups(self, count: usize) -> Vec<Range<usize>> {
        match self {
            Grouping::Together => std::iter::once(0..count).collect(),
            Grouping::Apart => (0..count).map(|series| series..series + 1).collect(),
        }
    }
}

/// What columns narrower than a double make of values.
pub trait Rounding: Send + Sync {
    /// Turns values into those that a feature column gives back; NaN where it cannot hold one.
    fn round(&self, column: usize, values: &mut [f64]);

    /// By how much a value that a column gives back may differ from the one that was stored there.
    fn uncertainty(&self, column: usize, value: f64) -> f64;
}

impl<'a> FeatureTile<'a> {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.instants_us.len()
    }

    /// The columns in order.
    pub fn columns(&self) -> impl Iterator<Item = &'a [f64]> {
        self.values.chunks_exact(self.rows().max(1))
    }
}

/// A number that a feature column holds. Nobody should store a NaN; where one is, it must not pass for no value, and so
/// comes as an infinity, which is never a feature's value.
pub fn number_as_stored(number: f64) -> f64 {
    if number.is_nan() { f64::INFINITY } else { number }
}

/// Stored rows, read back group by group, in order of their instants. A store gives the columns that it keeps;
/// [`as_features`](crate::features_of_fits::as_features) makes features of them.
pub trait FeatureReader {
    /// The receipt they were committed with; none where somebody else wrote them.
    fn receipt(&self) -> Option<&Receipt>;

    /// What the columns made of the values; none where they hold every double, as columns of fits do.
    fn rounding(&self) -> Option<Arc<dyn Rounding>> {
        None
    }

    /// The next rows of this group or the first of the next, or none at the end. What is NaN has no value; a NaN that is
    /// stored comes as an infinity, see [`number_as_stored`].
    ///
    /// # Errors
    /// When they cannot be read.
    fn next_tile(&mut self) -> Result<Option<FeatureTile<'_>>, StoreError>;
}
