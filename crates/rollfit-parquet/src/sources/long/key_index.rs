//! [`KeyIndex`]: how many rows of each key the files of a long table have, in which months, and whether their instants rise.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, StringArray};
use rollfit_job::foreign;
use rollfit_job::month::{Month, display_instant};

/// The most different keys, and months of all keys, that are remembered.
const KEYS_MAX: usize = 500_000;
const MONTHS_MAX: usize = 10_000_000;
/// The most bytes of the names of all keys.
const NAME_BYTES_MAX: usize = 100 << 20;
/// The keys of a row group, on average, up to which reading it once for each costs no more than copying it once for all.
const KEYS_PER_GROUP_MAX: usize = 2;
/// The row groups before which a table is not taken for a mixed one.
const GROUPS_MIN: usize = 64;

/// The rows of all keys.
#[derive(Default)]
pub(super) struct KeyIndex {
    numbers: HashMap<Arc<str>, u32>,
    keys: Vec<KeyRows>,
    rows: u64,
    /// Whether the files are so sorted that each key is in few row groups: then it is known in which.
    pub(super) is_clustered: bool,
}

/// The rows of one key.
#[derive(Default)]
pub(super) struct KeyRows {
    /// In the order in which they are read.
    runs: Vec<KeyRun>,
    months: Vec<(Month, u64)>,
    /// The row groups that hold it, by their number over all files.
    pub(super) groups: Vec<u32>,
    pub(super) rows: u64,
    /// The first of its rows among those of all keys.
    pub(super) first_row: u64,
    /// Why its rows cannot be used.
    pub(super) fault: Option<String>,
}

/// Rows of a key that follow each other in time and in the files.
struct KeyRun {
    file: u32,
    rows: u64,
    first_us: i64,
    last_us: i64,
    /// How many rows of the key are before it in time.
    at: u64,
}

impl KeyIndex {
    /// The number of a key.
    pub(super) fn number(&self, key: &str) -> Option<u32> {
        self.numbers.get(key).copied()
    }

    pub(super) fn key(&self, number: u32) -> &KeyRows {
        &self.keys[number as usize]
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.numbers.keys().map(|name| &**name)
    }

    pub(super) fn count(&self) -> usize {
        self.keys.len()
    }

    /// The rows of all keys.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }
}

impl KeyRows {
    /// The first and the last instant.
    pub(super) fn span_us(&self) -> Option<(i64, i64)> {
        let first_us = self.runs.iter().map(|run| run.first_us).min()?;
        Some((first_us, self.runs.iter().map(|run| run.last_us).max()?))
    }

    /// How many rows are in the months within a span.
    pub(super) fn rows_within(&self, span_us: &Range<i64>) -> u64 {
        let is_within = |month: Month| {
            let month = month.span_us();
            month.start < span_us.end && span_us.start < month.end
        };
        self.months.iter().filter(|(month, _)| is_within(*month)).map(|(_, rows)| rows).sum()
    }
}

/// Where the next rows of a key belong, as they are read again.
#[derive(Clone, Copy, Default)]
pub(super) struct KeyCursor {
    run: usize,
    within: u64,
}

impl KeyCursor {
    /// Takes up to `rows` rows: returns how many, and the place of the first among the rows of all keys; none where the key
    /// has no more.
    pub(super) fn take(&mut self, key: &KeyRows, rows: u64) -> Option<(u64, u64)> {
        let run = key.runs.get(self.run)?;
        let (place, taken) = (key.first_row + run.at + self.within, rows.min(run.rows - self.within));
        self.within += taken;
        if self.within == run.rows {
            *self = Self { run: self.run + 1, within: 0 };
        }
        Some((taken, place))
    }
}

/// Why rows of a long table cannot be counted.
pub(super) enum KeyFault {
    /// There are more keys, or months of keys, than are remembered.
    TooMany(String),
    /// An instant outside the years that there can be.
    OutOfRange(i64),
}

/// Makes the index of files that are read from the first to the last.
pub(super) struct KeyIndexBuilder {
    index: KeyIndex,
    open: Vec<OpenKey>,
    names: Vec<Arc<str>>,
    name_bytes: usize,
    months: usize,
    file: u32,
    group: u32,
    /// How often a row group holds a key.
    groups_of_keys: usize,
    /// Rows without a key.
    pub(super) null_rows: u64,
}

/// What is known of a key only while files are read.
struct OpenKey {
    /// The row group of its last row.
    group: Option<u32>,
    /// The month of its last row.
    month_us: Range<i64>,
}

impl KeyIndexBuilder {
    pub(super) fn new() -> Self {
        Self {
            index: KeyIndex { is_clustered: true, ..KeyIndex::default() },
            open: Vec::new(),
            names: Vec::new(),
            name_bytes: 0,
            months: 0,
            file: 0,
            group: 0,
            groups_of_keys: 0,
            null_rows: 0,
        }
    }

    /// Says of which row group the next rows are; both numbers are those over all files.
    pub(super) fn begin_group(&mut self, file: usize, group: usize) {
        // The first groups of a table that is sorted by key may hold many small ones.
        self.forget_groups_of_mixed(group.max(GROUPS_MIN));
        (self.file, self.group) = (file as u32, group as u32);
    }

    /// Adds rows of the group.
    pub(super) fn add(&mut self, keys: &StringArray, instants_us: &[i64]) -> Result<(), KeyFault> {
        let mut last = 0;
        for (row, &instant_us) in instants_us.iter().enumerate() {
            if keys.is_null(row) {
                self.null_rows += 1;
                continue;
            }
            let key = keys.value(row);
            // Where a table is sorted by key the next row mostly has the same.
            if self.names.get(last).is_none_or(|name| **name != *key) {
                last = self.number(key)?;
            }
            self.add_row(last, instant_us)?;
        }
        Ok(())
    }

    fn number(&mut self, key: &str) -> Result<usize, KeyFault> {
        if let Some(number) = self.index.numbers.get(key) {
            return Ok(*number as usize);
        }
        self.name_bytes += key.len();
        if self.names.len() == KEYS_MAX || self.name_bytes > NAME_BYTES_MAX {
            return Err(KeyFault::TooMany(format!("it has more than {} different keys", self.names.len())));
        }
        let (number, name) = (self.names.len(), Arc::<str>::from(key));
        self.names.push(name.clone());
        self.index.numbers.insert(name, number as u32);
        self.index.keys.push(KeyRows::default());
        self.open.push(OpenKey { group: None, month_us: 0..0 });
        Ok(number)
    }

    fn add_row(&mut self, number: usize, instant_us: i64) -> Result<(), KeyFault> {
        let (key, open) = (&mut self.index.keys[number], &mut self.open[number]);
        let is_first_of_group = open.group != Some(self.group);
        if is_first_of_group {
            open.group = Some(self.group);
            if self.index.is_clustered {
                key.groups.push(self.group);
                self.groups_of_keys += 1;
            }
        }
        if key.fault.is_some() {
            return Ok(());
        }
        match key.runs.last_mut() {
            Some(run) if instant_us > run.last_us => {
                run.last_us = instant_us;
                run.rows += 1;
            }
            // Another file, or row group, may hold earlier rows.
            last if last.is_none() || is_first_of_group => key.runs.push(KeyRun {
                file: self.file,
                rows: 1,
                first_us: instant_us,
                last_us: instant_us,
                at: 0,
            }),
            last => {
                key.fault = last.map(|run| not_rising(run.last_us, instant_us));
                return Ok(());
            }
        }
        key.rows += 1;
        if open.month_us.contains(&instant_us)
            && let Some((_, rows)) = key.months.last_mut()
        {
            *rows += 1;
            return Ok(());
        }
        let month = Month::of_instant_us(instant_us).map_err(|_| KeyFault::OutOfRange(instant_us))?;
        open.month_us = month.span_us();
        key.months.push((month, 1));
        self.months += 1;
        if self.months > MONTHS_MAX {
            return Err(KeyFault::TooMany(format!(
                "its {} keys have rows in more than {MONTHS_MAX} months together",
                self.names.len()
            )));
        }
        Ok(())
    }

    /// Forgets which row groups hold a key, unless each of `groups` holds few.
    fn forget_groups_of_mixed(&mut self, groups: usize) {
        if self.groups_of_keys > KEYS_PER_GROUP_MAX * groups {
            self.index.is_clustered = false;
            self.groups_of_keys = 0;
            self.index.keys.iter_mut().for_each(|key| key.groups = Vec::new());
        }
    }

    /// The index of all rows; `path` names a file by its number.
    pub(super) fn finish<'p>(mut self, path: impl Fn(usize) -> &'p Path) -> KeyIndex {
        self.forget_groups_of_mixed(self.group as usize + 1);
        let mut first_row = 0;
        for (key, name) in self.index.keys.iter_mut().zip(&self.names) {
            key.settle_months();
            let fault = key.settle_runs().or_else(|| {
                let what = key.fault.take()?;
                Some((key.runs.last().map_or(0, |run| run.file), what))
            });
            key.fault = fault.map(|(file, what)| {
                format!("{}: key `{}`: {what}", path(file as usize).display(), foreign::name(name))
            });
            key.first_row = first_row;
            first_row += key.rows;
        }
        self.index.rows = first_row;
        self.index
    }
}

impl KeyRows {
    fn settle_months(&mut self) {
        self.months.sort_unstable_by_key(|(month, _)| *month);
        let mut settled: Vec<(Month, u64)> = Vec::with_capacity(self.months.len());
        for (month, rows) in self.months.drain(..) {
            match settled.last_mut() {
                Some((last, known)) if *last == month => *known += rows,
                _ => settled.push((month, rows)),
            }
        }
        self.months = settled;
    }

    /// Finds the place of each run in time; returns the file of one that overlaps another, and what is wrong.
    fn settle_runs(&mut self) -> Option<(u32, String)> {
        let mut order: Vec<usize> = (0..self.runs.len()).collect();
        order.sort_unstable_by_key(|&run| self.runs[run].first_us);
        let (mut at, mut last_us) = (0, None);
        for run in order {
            let run = &mut self.runs[run];
            if let Some(last_us) = last_us
                && last_us >= run.first_us
            {
                return Some((run.file, not_rising(last_us, run.first_us)));
            }
            run.at = at;
            at += run.rows;
            last_us = Some(run.last_us);
        }
        None
    }
}

fn not_rising(before_us: i64, instant_us: i64) -> String {
    let (before, instant) = (display_instant(before_us), display_instant(instant_us));
    let problem = if before_us == instant_us {
        format!("{before} occurs twice")
    } else {
        format!("{instant} comes after {before}")
    };
    format!(
        "{problem}; sort the rows of each key by time, with each instant once over all files of the table"
    )
}
