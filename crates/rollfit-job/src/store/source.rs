//! [`Source`]: where series come from. A source is asked for one series of one key at a time ([`SeriesOfKey`]); what a key's
//! table is called, and whether it has one to itself, is settled before it is asked.

use std::collections::BTreeSet;
use std::ops::Range;

use super::StoreError;
use crate::config::{Derivation, JobConfig, Series};
use crate::month::Month;
use crate::period::Period;

/// Some rows of one series, sorted by instant, each instant once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesRows {
    /// Microseconds since 1970, UTC.
    pub instants_us: Vec<i64>,
    /// The values; NaN where there is none.
    pub values: Vec<f64>,
}

impl SeriesRows {
    /// Adds rows after those there are.
    pub fn append(&mut self, mut later: Self) {
        if self.instants_us.is_empty() {
            *self = later;
            return;
        }
        self.instants_us.append(&mut later.instants_us);
        self.values.append(&mut later.values);
    }
}

/// What a source can say of a series without reading its rows: differs from what it said before where rows have come since,
/// but for rows that are not the last ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesHead {
    /// The last instant; none where the series has no rows, or where its store knows another sign of change.
    pub last_us: Option<i64>,
    /// Another sign of change, such as the identity of files; 0 where the last instant is the only one.
    pub stamp: u64,
}

/// How many rows of a series [`Source::latest`] gives from the instant asked for on: after a stop of days, or where rows of years
/// come at once, the others are for [`Source::snapshot`]. A store that reads all of them anyway may give more.
pub const LATEST_ROWS_MAX: usize = 20_000;

/// Whether a series whose rows are in these months has none before a period.
pub(crate) fn starts_in(months: Option<(Month, Month)>, period: Period) -> bool {
    months.is_none_or(|(first, _)| first >= period.first_month())
}

/// What [`Source::latest`] is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatestQuery {
    /// The first instant whose row is wanted; there is no last one.
    pub from_us: i64,
    /// The first instant whose row is counted, up to `from_us` and without it; none where nothing is to be counted.
    pub count_from_us: Option<i64>,
}

/// The last rows of several series, all of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LatestRows {
    /// The rows of each series from the instant asked for on, in the order of the series. Before those of
    /// [`SeriesKind::Closes`] come as many as they look back, or all there are.
    pub rows: Vec<SeriesRows>,
    /// Whether a series may have more rows after these, see [`LATEST_ROWS_MAX`].
    pub is_cut: bool,
    /// How many rows each series has before them, where that was asked for.
    pub counts: Option<Vec<u64>>,
    /// See [`Snapshot::has_writers`].
    pub has_writers: bool,
    /// What else is wanted of [`SeriesKind::Closes`], in the order of the series; nothing where none of them is of this kind.
    pub closes: Vec<ClosesBefore>,
}

/// What is before the last rows of [`SeriesKind::Closes`], of the same moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClosesBefore {
    /// See [`Snapshot::base`].
    pub base: Option<f64>,
    /// How many rows the series has before those counted, at most as many as it looks back; 0 where nothing is counted.
    pub rows_before_counted: u64,
}

/// What the value column of a series holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SeriesKind {
    /// The values of the series.
    Stored,
    /// Closes that its values follow from. Only a [`DerivedSource`](crate::derived_source::DerivedSource) has such series.
    Derived(Derivation),
    /// Closes that are the series, and that others are derived from: their base is wanted too ([`Snapshot::base`]).
    Closes {
        /// The rows before a row that a derived value needs: [`Source::latest`] gives as many before the first one asked for.
        lookback_rows: usize,
    },
    /// Values that are stored beside the features, of the table of another series and at its instants.
    Included,
}

/// One series of one key, as a source is asked for it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesOfKey<'a> {
    /// The name of the series.
    pub name: &'a str,
    /// The table that holds it.
    pub table: String,
    /// The key.
    pub key: &'a str,
    /// The column of the table that says which rows are the key's; none where all are.
    pub key_column: Option<&'a str>,
    /// The time column of the table.
    pub time: &'a str,
    /// The value column of the table.
    pub value: &'a str,
    /// What that column holds.
    pub kind: SeriesKind,
}

impl SeriesOfKey<'_> {
    /// Where the configuration names its value column.
    pub fn value_setting(&self) -> String {
        match self.kind {
            SeriesKind::Included => format!("\"{}.{}\" in `include` of [features]", self.name, self.value),
            _ => format!("`value` of series `{}`", self.name),
        }
    }

    /// Checks that a store's table holds the values of the series, so that closes are never taken for them.
    ///
    /// # Errors
    /// When they are derived.
    pub fn check_stored(&self) -> Result<(), StoreError> {
        match self.kind {
            SeriesKind::Stored | SeriesKind::Closes { .. } | SeriesKind::Included => Ok(()),
            SeriesKind::Derived(Derivation { formula, .. }) => Err(StoreError::permanent(format!(
                "series `{}` is derived ({formula}), and its source was opened without the derivation",
                self.name
            ))),
        }
    }
}

impl Series {
    /// The series of one key.
    pub fn of_key<'a>(&'a self, key: &'a str) -> SeriesOfKey<'a> {
        SeriesOfKey {
            name: &self.name,
            table: self.table.for_key(key),
            key,
            key_column: self.key_column.as_deref(),
            time: &self.time,
            value: &self.value,
            kind: self.derivation.map_or(SeriesKind::Stored, SeriesKind::Derived),
        }
    }
}

impl JobConfig {
    /// Every series of one key.
    pub fn series_of_key<'a>(&'a self, key: &'a str) -> Vec<SeriesOfKey<'a>> {
        self.series.iter().map(|series| series.of_key(key)).collect()
    }
}

/// Where series come from.
pub trait Source: Send + Sync {
    /// The names of the tables that it has.
    ///
    /// # Errors
    /// When the store cannot be listed.
    fn tables(&self) -> Result<BTreeSet<String>, StoreError>;

    /// The keys in the table of a series with a [`Series::key_column`], as they are written there.
    ///
    /// # Errors
    /// When the table is missing or cannot be read, or the store cannot have such tables.
    fn keys_in(&self, series: &Series) -> Result<BTreeSet<String>, StoreError> {
        Err(StoreError::permanent(format!(
            "[series.{}] key_column: a {} source has no tables of several keys",
            series.name,
            self.kind()
        )))
    }

    /// Checks that it can tell the tables of all these keys apart.
    ///
    /// # Errors
    /// Naming the first two keys that it cannot.
    fn check_keys(&self, _keys: &[String]) -> Result<(), StoreError> {
        Ok(())
    }

    /// The first and the last month in which a series has rows; none where it has none.
    ///
    /// # Errors
    /// When the table is missing or cannot be read.
    fn months(&self, series: &SeriesOfKey<'_>) -> Result<Option<(Month, Month)>, StoreError>;

    /// Whether each of several series of one key has no rows before a period; false where that cannot be found out.
    fn start_in(&self, series: &[SeriesOfKey<'_>], period: Period) -> Vec<bool> {
        let starts = |series| self.months(series).is_ok_and(|months| starts_in(months, period));
        series.iter().map(starts).collect()
    }

    /// About how many rows a series has in a period: from what the store knows without reading them.
    ///
    /// # Errors
    /// When the table is missing or cannot be read.
    fn estimate_rows(&self, series: &SeriesOfKey<'_>, period: Period) -> Result<u64, StoreError>;

    /// The months from `first` to `last` in which [`Source::estimate_rows`] has no rows.
    ///
    /// # Errors
    /// When the store cannot be reached, or the table cannot be read at all. A single month that cannot be read is none of them.
    fn gaps(&self, series: &SeriesOfKey<'_>, first: Month, last: Month) -> Result<Vec<Month>, StoreError> {
        let mut gaps = Vec::new();
        for month in first.through(last) {
            match self.estimate_rows(series, month.into()) {
                Ok(0) => gaps.push(month),
                Err(error) if error.is_unconnected() => return Err(error),
                _ => {}
            }
        }
        Ok(gaps)
    }

    /// A view of several series that later changes to the source do not reach. It will be asked for the rows of `period`,
    /// and for about `lookback_rows` joined rows before it.
    ///
    /// # Errors
    /// When a table or column is missing or cannot be read.
    fn snapshot(
        &self,
        series: &[SeriesOfKey<'_>],
        period: Period,
        lookback_rows: usize,
    ) -> Result<Box<dyn Snapshot>, StoreError>;

    /// The head of each of `series`, in their order, in one look: asked every second by whoever follows the source.
    ///
    /// # Errors
    /// When the store cannot be reached. What is wrong with one series is that one's error.
    fn heads(&self, series: &[SeriesOfKey<'_>]) -> Result<Vec<Result<SeriesHead, StoreError>>, StoreError> {
        let error = || Err(StoreError::permanent(format!("a {} source cannot be followed", self.kind())));
        Ok(series.iter().map(|_| error()).collect())
    }

    /// The last rows of several series, in as few round trips as the store can: asked each time that a head has changed. For many
    /// rows [`Source::snapshot`] is cheaper.
    ///
    /// # Errors
    /// Those of [`Source::snapshot`] and [`Snapshot::rows`].
    fn latest(&self, _series: &[SeriesOfKey<'_>], _query: LatestQuery) -> Result<LatestRows, StoreError> {
        Err(StoreError::permanent(format!("a {} source cannot be followed", self.kind())))
    }

    /// Checks that [`Source::heads`], and the last rows, cost little however many rows these series have.
    ///
    /// # Errors
    /// Naming what is missing, such as an index, and how to provide it.
    fn check_followable(&self, series: &[SeriesOfKey<'_>]) -> Result<(), StoreError> {
        self.heads(series)?.into_iter().try_for_each(|head| head.map(drop))
    }

    /// Who keeps these series from being read now, for longer than a moment; none if nobody does. Whoever has other series
    /// to read can do that meanwhile, instead of waiting in [`Source::snapshot`].
    ///
    /// # Errors
    /// When that cannot be found out.
    fn holder(&self, _series: &[SeriesOfKey<'_>]) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    /// Checks that a series' table can have the name that the pattern gives it. Looks at nothing in the store.
    ///
    /// # Errors
    /// When no table of the store can have it.
    fn check_name(&self, _series: &SeriesOfKey<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    /// The kind of store, see [`StoreKind::name`](super::StoreKind::name).
    fn kind(&self) -> &'static str;

    /// Where series come from, for people, without secrets.
    fn place(&self) -> String {
        self.kind().to_owned()
    }
}

/// One consistent view of several series.
pub trait Snapshot {
    /// The rows of the series at `series`, in the order given to [`Source::snapshot`], within `span_us`.
    ///
    /// # Errors
    /// When they cannot be read, are not sorted, or hold an instant twice.
    fn rows(&mut self, series: usize, span_us: Range<i64>) -> Result<SeriesRows, StoreError>;

    /// The last rows before `instant_us`: `count` of them, or all there are.
    ///
    /// # Errors
    /// As [`Snapshot::rows`].
    fn rows_before(&mut self, series: usize, instant_us: i64, count: usize)
    -> Result<SeriesRows, StoreError>;

    /// The base that an import stored with the closes at `series`: the close that rate indexes are relative to; none where no
    /// import wrote them, and for other than [`SeriesKind::Closes`].
    ///
    /// # Errors
    /// When it cannot be read.
    fn base(&mut self, _series: usize) -> Result<Option<f64>, StoreError> {
        Ok(None)
    }

    /// How many rows the series has within `span_us`.
    ///
    /// # Errors
    /// As [`Snapshot::rows`].
    fn count(&mut self, series: usize, span_us: Range<i64>) -> Result<u64, StoreError> {
        Ok(self.rows(series, span_us)?.instants_us.len() as u64)
    }

    /// The last instant of the series; none where it has no rows.
    ///
    /// # Errors
    /// As [`Snapshot::rows`].
    fn last_us(&mut self, series: usize) -> Result<Option<i64>, StoreError> {
        Ok(self.rows_before(series, i64::MAX, 1)?.instants_us.last().copied())
    }

    /// Whether somebody who had not committed yet was writing to the tables of these series: rows may become visible later that are
    /// before the last ones of the snapshot. To be asked first: whoever commits between the snapshot and this question is missed.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn has_writers(&mut self) -> Result<bool, StoreError> {
        Ok(false)
    }
}
