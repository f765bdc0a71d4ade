//! What an import into a store is, whichever store and whichever files: [`Bar`]s that are new ([`NewBars`]), the rules by
//! which they join those that are there ([`update`]), and the two series made of closes ([`series`]).

mod merged_bars;
pub mod series;
pub mod update;

use std::fmt::Display;

pub use merged_bars::{check_case, check_columns};
use update::StoredColumn;
pub use update::{
    BarsOptions, Base, KeyReport, KeyUpdate, StoredBars, import_going_on, not_as_imported, not_imported,
};

/// One bar as imported: when it opened and where it closed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// Opening instant, microseconds since 1970-01-01 UTC.
    pub instant_us: i64,
    /// Closing price, finite and above zero.
    pub close: f64,
}

/// A column of bars besides the close, such as the volume.
#[derive(Debug, Clone, PartialEq)]
pub struct BarColumn {
    /// Its name, as the source table has it.
    pub name: String,
    /// A value per bar; NaN where the bar has none.
    pub values: Vec<f64>,
}

/// The bars of one key that an import brings.
pub trait NewBars {
    /// The bars, sorted by instant, each instant once, never empty.
    fn bars(&self) -> &[Bar];

    /// The further columns that the import keeps, each with a value per bar.
    fn columns(&self) -> &[BarColumn];

    /// Where the bar at `index` was read, for people.
    ///
    /// # Panics
    /// If there is no such bar.
    fn origin(&self, index: usize) -> Box<dyn Display + '_>;
}
