//! [`KeyUpdate`]: the bars of a key in a store and those of an import made one, and the series that follow from them. The
//! rules of an import, the same for every store that bars go into.
//!
//! Invariants: what comes out depends only on the set of bars and the base's rule. A value that would change, or a base
//! that would, is an error unless it was asked for.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::merged_bars::{BarCounts, MergedBars};
use super::series::{RETURN_ROWS, backward_returns, rate_index};
use super::{Bar, BarColumn, NewBars};
use crate::month::display_instant;
use crate::store_error::{Fault, StoreError};

/// What an import may do.
#[derive(Clone, Debug, Default)]
pub struct BarsOptions {
    /// The instant on or after which a key's base is its first close; none for the stored rule, or its first row.
    pub base_from_us: Option<i64>,
    /// Whether a base may change.
    pub rebase: bool,
    /// Whether a close may change, or a value of a further column.
    pub replace: bool,
}

/// The close that a key's rate index is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Base {
    /// The rule: the first row on or after this instant, or the first of all.
    pub from_us: Option<i64>,
    /// The row it gave.
    pub instant_us: i64,
    /// That row's close.
    pub close: f64,
}

/// What an import did to one key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyReport {
    /// The key.
    pub key: String,
    /// Bars that were not in the store.
    pub added: u64,
    /// Bars that were, and are the same.
    pub unchanged: u64,
    /// Bars that were, with the same close, and now have a value in a further column that had none for them.
    pub filled: u64,
    /// Bars that were, with another close or another value.
    pub replaced: u64,
    /// Bars in the store now.
    pub total: u64,
    /// The first instant.
    pub first: String,
    /// The last instant.
    pub last: String,
    /// The base of the rate index.
    pub base: Base,
    /// Files of either table written anew; in a database a table counts as one.
    pub files_written: usize,
}

/// The bars of a key in a store, sorted by instant, each instant once, and the base of their rate index.
#[derive(Default)]
pub struct StoredBars<'a> {
    pub(super) bars: Vec<Bar>,
    pub(super) columns: Vec<StoredColumn<'a>>,
    base: Option<Base>,
}

/// A further column of stored bars.
pub(super) struct StoredColumn<'a> {
    pub(super) name: String,
    pub(super) values: Cow<'a, [f64]>,
}

impl<'a> StoredBars<'a> {
    /// No bars yet, of a key with this base.
    pub fn with_base(base: Option<Base>) -> Self {
        Self { bars: Vec::new(), columns: Vec::new(), base }
    }

    /// Adds a further column with a value per bar, NaN for none.
    pub fn push_column(&mut self, name: &str, values: impl Into<Cow<'a, [f64]>>) {
        self.columns.push(StoredColumn { name: name.to_owned(), values: values.into() });
    }

    /// Whether the base that they were stored with is known.
    pub fn has_base(&self) -> bool {
        self.base.is_some()
    }

    /// Notes the base that bars were stored with.
    pub fn set_base(&mut self, base: Base) {
        self.base = Some(base);
    }

    /// Adds the next bar, found in `place`.
    pub fn push(&mut self, place: impl Display, bar: Bar) -> Result<(), StoreError> {
        if self.bars.last().is_some_and(|last| last.instant_us >= bar.instant_us) {
            let what = format!("{} is not after the bar before it", display_instant(bar.instant_us));
            return Err(not_as_imported(place, what));
        }
        self.bars.push(bar);
        Ok(())
    }
}

/// A source table, or a file of one, with something in it that an import does not write.
pub fn not_as_imported(place: impl Display, what: impl Display) -> StoreError {
    StoreError::permanent(format!("{place}: {what}; import did not write it like this"))
}

/// A source table, or a file of one, of somebody else's.
pub fn not_imported(place: impl Display) -> StoreError {
    StoreError::permanent(format!(
        "{place} was not written by `rollfit import`, which cannot add to its table; move it elsewhere, or choose \
         another store"
    ))
}

/// The store at `place` has an import going on.
pub fn import_going_on(holder: impl Display, place: impl Display) -> StoreError {
    StoreError::new(Fault::Transient, format!("{holder} is importing into {place}: wait until it is done"))
}

/// Both tables of a key as they are to be, and the counts of bars. What follows from the closes is computed when it is asked
/// for, so that it need not be held.
pub struct KeyUpdate {
    key: String,
    counts: BarCounts,
    /// The instants of the bars.
    pub instants_us: Vec<i64>,
    /// Their closes.
    pub closes: Vec<f64>,
    /// The further columns, stored or new, sorted by name; NaN for none.
    pub columns: Vec<BarColumn>,
    /// The base of the rate index.
    pub base: Base,
}

impl KeyUpdate {
    /// The bars of a key after an import of `new` ones.
    ///
    /// # Errors
    /// When a bar contradicts a stored one or the base would change, and that was not allowed; when no bar is on or after
    /// the base date; when a further column cannot have its name.
    pub fn new(
        key: &str,
        stored: StoredBars<'_>,
        new: &dyn NewBars,
        options: &BarsOptions,
    ) -> Result<Self, StoreError> {
        let stored_base = stored.base;
        // The stored bars are not held beside what follows from them.
        let merged = MergedBars::new(key, stored, new, options.replace)?;
        let base = merged.base(key, stored_base, options)?;
        let MergedBars { instants_us, closes, columns, counts } = merged;
        Ok(Self { key: key.to_owned(), counts, instants_us, closes, columns, base })
    }

    /// The number of first bars that have no return.
    pub fn first_return(&self) -> usize {
        RETURN_ROWS.min(self.instants_us.len())
    }

    /// The rate indexes of these bars.
    pub fn rate_index(&self, bars: Range<usize>) -> Vec<f64> {
        self.closes[bars].iter().map(|&close| rate_index(close, self.base.close)).collect()
    }

    /// The backward returns of these bars, without the first bars of all, which have none.
    pub fn returns(&self, bars: Range<usize>) -> Vec<f64> {
        backward_returns(&self.rate_index(bars.start.saturating_sub(RETURN_ROWS)..bars.end), RETURN_ROWS)
    }

    /// The report of the key, of which this many files were written.
    pub fn report(&self, files_written: usize) -> KeyReport {
        let instant = |us: Option<&i64>| us.map(|us| display_instant(*us)).unwrap_or_default();
        KeyReport {
            key: self.key.clone(),
            added: self.counts.added,
            unchanged: self.counts.unchanged,
            filled: self.counts.filled,
            replaced: self.counts.replaced,
            total: self.instants_us.len() as u64,
            first: instant(self.instants_us.first()),
            last: instant(self.instants_us.last()),
            base: self.base,
            files_written,
        }
    }
}

impl MergedBars {
    /// The base of these bars, unless that would change the stored one.
    fn base(&self, key: &str, stored: Option<Base>, options: &BarsOptions) -> Result<Base, StoreError> {
        let from_us = options.base_from_us.or(stored.and_then(|base| base.from_us));
        let at = from_us.map_or(0, |from_us| self.instants_us.partition_point(|&us| us < from_us));
        let (Some(&instant_us), Some(&close)) = (self.instants_us.get(at), self.closes.get(at)) else {
            let date = from_us.map(display_instant).unwrap_or_default();
            return Err(StoreError::permanent(format!(
                "{key} has no bar on or after the base date {date}; use an earlier date"
            )));
        };
        match stored {
            Some(stored) if stored.close != close && !options.rebase => Err(StoreError::permanent(format!(
                "the base of {key} would change from the close {} at {} to {close} at {}, and with it every rate index; \
                 use --rebase if that is intended, or --base-date",
                stored.close,
                display_instant(stored.instant_us),
                display_instant(instant_us)
            ))),
            _ => Ok(Base { from_us, instant_us, close }),
        }
    }
}
