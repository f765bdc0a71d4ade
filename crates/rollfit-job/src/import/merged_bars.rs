//! [`MergedBars`]: the bars of a store and those of an import in one order of time, their further columns included.
//!
//! Invariants: columns are sorted by name. What is stored stays, unless the import brings another value and may replace
//! it; a bar whose close is replaced keeps no further value, because those belonged to the old close.

use std::collections::HashMap;

use super::{Bar, BarColumn, NewBars, StoredBars, StoredColumn};
use crate::month::display_instant;
use crate::store_error::StoreError;

/// The columns that an import makes by itself.
const OWN_COLUMNS: [&str; 3] = ["time", "close", "rate_index"];

/// The most bytes of a column's name.
const NAME_BYTES_MAX: usize = 255;

/// The bars of the store and of the import together.
pub(super) struct MergedBars {
    pub(super) instants_us: Vec<i64>,
    pub(super) closes: Vec<f64>,
    pub(super) columns: Vec<BarColumn>,
    pub(super) counts: BarCounts,
}

/// What became of the bars of an import.
#[derive(Clone, Copy, Default)]
pub(super) struct BarCounts {
    pub(super) added: u64,
    pub(super) unchanged: u64,
    pub(super) filled: u64,
    pub(super) replaced: u64,
}

/// What becomes of one bar. If several apply, the last counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum BarOutcome {
    Added,
    Unchanged,
    Filled,
    Replaced,
}

/// A merged bar: its index among the stored bars, among the new ones, or both.
enum Origin {
    Stored(usize),
    New(usize),
    Both(usize, usize),
}

/// An import into a key, while its columns are merged one after the other.
struct Merge<'a> {
    key: &'a str,
    stored: &'a [Bar],
    new: &'a dyn NewBars,
    replace: bool,
    /// Of each new bar.
    outcomes: Vec<BarOutcome>,
}

/// Checks the names of an import's further columns, and that each has a value per bar.
///
/// # Errors
/// When a name is empty, too long, unprintable or one of an import's own columns, or two names differ only in case.
pub fn check_columns(new: &dyn NewBars) -> Result<(), StoreError> {
    let mut names: HashMap<String, &str> = HashMap::new();
    for BarColumn { name, values } in new.columns() {
        let refused = |why: &str| {
            let name = name.escape_debug();
            Err(StoreError::permanent(format!(
                "the column `{name}` cannot be imported: {why}; rename it in the file, or leave it out of --columns"
            )))
        };
        let folded = name.to_lowercase();
        if name.is_empty() || name.chars().any(char::is_control) {
            return refused("a column needs a name of printable characters");
        }
        if name.len() > NAME_BYTES_MAX {
            return refused(&format!("a name has at most {NAME_BYTES_MAX} bytes"));
        }
        if OWN_COLUMNS.contains(&folded.as_str()) {
            return refused(&format!("an import makes the column `{folded}` itself"));
        }
        if let Some(other) = names.insert(folded, name) {
            return refused(&format!(
                "another column is called `{other}`, and case does not tell columns apart"
            ));
        }
        if values.len() != new.bars().len() {
            return refused(&format!("it has {} values for {} bars", values.len(), new.bars().len()));
        }
    }
    Ok(())
}

/// Checks that a new column of a table differs in more than case from the `stored` ones. Most readers ignore case.
///
/// # Errors
/// When it does not.
pub fn check_case<'a>(name: &str, stored: impl IntoIterator<Item = &'a str>) -> Result<(), StoreError> {
    let folded = name.to_lowercase();
    match stored.into_iter().find(|stored| stored.to_lowercase() == folded) {
        None => Ok(()),
        Some(stored) => Err(StoreError::permanent(format!(
            "the column `{name}` cannot be imported: the store has a column `{stored}`, and case does not tell columns \
             apart; rename it in the file, or leave it out of --columns"
        ))),
    }
}

impl MergedBars {
    /// Merges the bars, and drops each stored column when it is merged.
    pub(super) fn new(
        key: &str,
        stored: StoredBars<'_>,
        new: &dyn NewBars,
        replace: bool,
    ) -> Result<Self, StoreError> {
        check_columns(new)?;
        let StoredBars { bars, columns: mut stored_columns, .. } = stored;
        let mut merge = Merge::new(key, &bars, new, replace)?;
        let (instants_us, closes) = merge.bars();
        let mut columns = Vec::new();
        for name in names(&stored_columns, new)? {
            let at = stored_columns.iter().position(|column| column.name == name);
            let stored = at.map(|at| stored_columns.swap_remove(at).values);
            let brought = new.columns().iter().find(|column| column.name == name);
            let values =
                merge.column(&name, stored.as_deref(), brought.map(|column| column.values.as_slice()))?;
            columns.push(BarColumn { name, values });
        }
        Ok(Self { instants_us, closes, columns, counts: merge.counts() })
    }
}

/// The names of all columns, sorted.
fn names(stored: &[StoredColumn<'_>], new: &dyn NewBars) -> Result<Vec<String>, StoreError> {
    let mut names: Vec<String> = stored.iter().map(|column| column.name.clone()).collect();
    for BarColumn { name, .. } in new.columns() {
        if stored.iter().any(|column| column.name == *name) {
            continue;
        }
        check_case(name, stored.iter().map(|column| column.name.as_str()))?;
        names.push(name.clone());
    }
    names.sort_unstable();
    Ok(names)
}

impl<'a> Merge<'a> {
    fn new(key: &'a str, stored: &'a [Bar], new: &'a dyn NewBars, replace: bool) -> Result<Self, StoreError> {
        let outcomes = vec![BarOutcome::Added; new.bars().len()];
        let mut merge = Self { key, stored, new, replace, outcomes };
        for origin in origins(stored, new.bars()) {
            let Origin::Both(old, at) = origin else { continue };
            let (there, stored) = (new.bars()[at].close, stored[old].close);
            merge.outcomes[at] = match there == stored {
                true => BarOutcome::Unchanged,
                false if replace => BarOutcome::Replaced,
                false => return Err(merge.contradiction("close", at, there, stored)),
            };
        }
        Ok(merge)
    }

    fn rows(&self) -> usize {
        let added = self.outcomes.iter().filter(|outcome| **outcome == BarOutcome::Added).count();
        self.stored.len() + added
    }

    fn bars(&self) -> (Vec<i64>, Vec<f64>) {
        let (mut instants_us, mut closes) =
            (Vec::with_capacity(self.rows()), Vec::with_capacity(self.rows()));
        for origin in origins(self.stored, self.new.bars()) {
            let bar = match origin {
                Origin::Stored(at) => self.stored[at],
                Origin::New(at) | Origin::Both(_, at) => self.new.bars()[at],
            };
            instants_us.push(bar.instant_us);
            closes.push(bar.close);
        }
        (instants_us, closes)
    }

    /// Merges a column that the store has, the import brings, or both.
    fn column(
        &mut self,
        name: &str,
        stored: Option<&[f64]>,
        brought: Option<&[f64]>,
    ) -> Result<Vec<f64>, StoreError> {
        let value = |values: Option<&[f64]>, at: usize| values.map_or(f64::NAN, |values| values[at]);
        let mut merged = Vec::with_capacity(self.rows());
        for origin in origins(self.stored, self.new.bars()) {
            merged.push(match origin {
                Origin::Stored(at) => value(stored, at),
                Origin::New(at) => value(brought, at),
                Origin::Both(old, at) => {
                    let (there, stored) = (value(brought, at), value(stored, old));
                    self.joined(name, (old, at), there, stored)?
                }
            });
        }
        Ok(merged)
    }

    /// The value of a bar that the store has, and that the import brings again.
    fn joined(
        &mut self,
        name: &str,
        (old, at): (usize, usize),
        there: f64,
        stored: f64,
    ) -> Result<f64, StoreError> {
        if self.stored[old].close != self.new.bars()[at].close {
            return Ok(there);
        }
        if there.is_nan() || there.to_bits() == stored.to_bits() {
            return Ok(stored);
        }
        let outcome = match stored.is_nan() {
            true => BarOutcome::Filled,
            false if self.replace => BarOutcome::Replaced,
            false => return Err(self.contradiction(&format!("column `{name}`"), at, there, stored)),
        };
        self.outcomes[at] = self.outcomes[at].max(outcome);
        Ok(there)
    }

    fn contradiction(&self, what: &str, at: usize, there: f64, stored: f64) -> StoreError {
        StoreError::permanent(format!(
            "{}: the {what} of {} at {} is {there} there and {stored} in the store; use --replace if the file is right",
            self.new.origin(at),
            self.key,
            display_instant(self.new.bars()[at].instant_us)
        ))
    }

    fn counts(&self) -> BarCounts {
        let mut counts = BarCounts::default();
        for outcome in &self.outcomes {
            *match outcome {
                BarOutcome::Added => &mut counts.added,
                BarOutcome::Unchanged => &mut counts.unchanged,
                BarOutcome::Filled => &mut counts.filled,
                BarOutcome::Replaced => &mut counts.replaced,
            } += 1;
        }
        counts
    }
}

/// Where each merged bar is from, in order of time.
fn origins<'a>(stored: &'a [Bar], new: &'a [Bar]) -> impl Iterator<Item = Origin> + 'a {
    let (mut old, mut at) = (0, 0);
    std::iter::from_fn(move || {
        let instant_us = |bars: &[Bar], at: usize| bars.get(at).map_or(i64::MAX, |bar| bar.instant_us);
        let (earlier, later) = (instant_us(stored, old), instant_us(new, at));
        let is_stored = old < stored.len() && earlier <= later;
        let is_new = at < new.len() && later <= earlier;
        let origin = match (is_stored, is_new) {
            (true, true) => Origin::Both(old, at),
            (true, false) => Origin::Stored(old),
            (false, true) => Origin::New(at),
            (false, false) => return None,
        };
        old += usize::from(is_stored);
        at += usize::from(is_new);
        Some(origin)
    })
}
