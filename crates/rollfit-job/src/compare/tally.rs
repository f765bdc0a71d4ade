//! What comparing showed: a [`Tally`] for each feature column, [`MatchedRows`] for each table, and both for people.

use std::ops::Range;

use rollfit::agreement::{Agreement, Judgement};

use crate::config::JobConfig;
use crate::few::few;
use crate::month::display_instant;

/// A stored value that is not the same as the computed one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// The row: microseconds since 1970, UTC.
    pub instant_us: i64,
    /// What the column would hold of the value computed here; NaN where there is none.
    pub computed: f64,
    /// What it holds; NaN for NULL, an infinity for a value that is not finite.
    pub stored: f64,
    /// The distance between them, see [`Judgement::distance`].
    pub distance: f64,
}

/// What comparing a feature column showed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Cells of each [`Agreement`].
    pub bit_equal: u64,
    /// As above.
    pub within: u64,
    /// As above.
    pub undetermined: u64,
    /// As above.
    pub outside: u64,
    /// Of those outside, the ones with a value on one side and none on the other.
    pub one_sided: u64,
    /// The first cell outside.
    pub first_outside: Option<Cell>,
    /// The cell with the largest distance, unless all are the same.
    pub worst: Option<Cell>,
}

impl Tally {
    /// All cells.
    pub fn cells(&self) -> u64 {
        self.bit_equal + self.within + self.undetermined + self.outside
    }

    /// Adds the counts of another column; whose cells are the first and the worst is the caller's to know.
    pub fn add_counts(&mut self, other: &Self) {
        self.bit_equal += other.bit_equal;
        self.within += other.within;
        self.undetermined += other.undetermined;
        self.outside += other.outside;
        self.one_sided += other.one_sided;
    }

    /// Counts a cell that was judged.
    pub(super) fn count(&mut self, judgement: Judgement, cell: Cell) {
        let cell = Cell { distance: judgement.distance, ..cell };
        match judgement.agreement {
            Agreement::BitEqual => self.bit_equal += 1,
            Agreement::Within => self.within += 1,
            Agreement::Undetermined => self.undetermined += 1,
            Agreement::Outside => {
                self.outside += 1;
                self.one_sided += u64::from(cell.computed.is_nan() || cell.stored.is_nan());
                self.first_outside.get_or_insert(cell);
            }
        }
        if cell.distance > self.worst.map_or(0.0, |worst| worst.distance) {
            self.worst = Some(cell);
        }
    }
}

/// The rows of one group of features, those of one table where each series has its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatchedRows {
    /// The group.
    pub series: Range<usize>,
    /// Rows on both sides.
    pub both: u64,
    /// Rows that are stored and that the source does not give.
    pub stored_only: u64,
    /// The first of them.
    pub first_stored_only_us: Option<i64>,
    /// Rows that the source gives and that are not stored.
    pub computed_only: u64,
    /// The first of them.
    pub first_computed_only_us: Option<i64>,
}

/// What comparing a partition showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// What of the definition has changed since the features were stored, for people; none where nothing has, or where it is not known.
    pub definition_change: Option<String>,
    /// The rows of each group.
    pub tables: Vec<MatchedRows>,
    /// The cells of each feature column, in the order of the config.
    pub columns: Vec<Tally>,
}

impl Compared {
    /// Whether nothing is outside its range and no row is on one side only.
    pub fn is_clean(&self) -> bool {
        let has_both = |rows: &MatchedRows| rows.stored_only + rows.computed_only == 0;
        self.tables.iter().all(has_both) && self.columns.iter().all(|tally| tally.outside == 0)
    }

    /// Rows on both sides, of the table that has most.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|rows| rows.both).max().unwrap_or(0)
    }

    /// The counts of all columns together.
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.columns.iter().for_each(|tally| total.add_counts(tally));
        total
    }

    /// What is not as it should be, for people: rows on one side only, then features, by the instant at which they
    /// first differ.
    pub fn differences(&self, config: &JobConfig) -> Vec<String> {
        let mut features: Vec<(&str, &Tally)> =
            config.feature_names().zip(&self.columns).filter(|(_, tally)| tally.outside > 0).collect();
        features.sort_by_key(|(_, tally)| tally.first_outside.map(|cell| cell.instant_us));
        let rows = self.tables.iter().flat_map(|table| table.differences(config));
        rows.chain(features.iter().filter_map(|(name, tally)| tally.difference(name))).collect()
    }
}

impl MatchedRows {
    fn differences(&self, config: &JobConfig) -> Vec<String> {
        let names = few(config.series[self.series.clone()].iter().map(|series| &series.name));
        let only = |rows: u64, side: &str, first_us: Option<i64>| {
            let first = display_instant(first_us?);
            let rows = if rows == 1 { "1 row is".to_owned() } else { format!("{rows} rows are") };
            Some(format!("series {names}: {rows} only {side}, the first at {first}"))
        };
        let stored = only(self.stored_only, "stored", self.first_stored_only_us);
        let computed = only(self.computed_only, "computed", self.first_computed_only_us);
        stored.into_iter().chain(computed).collect()
    }
}

impl Tally {
    /// The first cell outside, and how many there are.
    fn difference(&self, name: &str) -> Option<String> {
        let first = self.first_outside?;
        let others =
            if self.outside > 1 { format!(", and {} more", self.outside - 1) } else { String::new() };
        Some(format!("{name} at {}: {first}{others}", display_instant(first.instant_us)))
    }
}

/// The two values, and how far they are apart.
impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} stored, {} computed", Value(self.stored), Value(self.computed))?;
        if self.distance.is_finite() {
            write!(f, " ({:.3e} times the rounding bound)", self.distance)
        } else {
            Ok(())
        }
    }
}

struct Value(f64);

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NULL"),
            value if value.is_infinite() => f.write_str("NaN or an infinity"),
            value => write!(f, "{value:e}"),
        }
    }
}
