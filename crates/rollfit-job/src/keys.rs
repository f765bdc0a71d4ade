//! [`FoundKeys`]: the keys of a source that have a table of every series, and the tables that are passed over.

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::config::Series;
use crate::foreign;
use crate::key::check_key;
use crate::store::{Source, StoreError};
use crate::warn_once::warn_once;

/// The keys that a source's tables make up, where `keys = "all"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundKeys {
    /// Those that have a table of every series, sorted.
    pub keys: Vec<String>,
    /// Tables that fit a series and belong to none of the keys, each with the reason.
    passed_over: Vec<(String, String)>,
}

impl FoundKeys {
    /// The keys among `tables`, all that a source has.
    pub fn new(series: &[Series], tables: &BTreeSet<String>) -> Self {
        let Some((first, _)) = series.split_first() else { return Self::default() };
        let is_whole = |key: &String| check_key(key).is_ok() && missing_table(series, tables, key).is_none();
        // What a run in the layout of fits has made is not what it reads.
        let is_source = |table: &&String| !series.iter().any(|series| series.is_fit_table(table));
        let fitting = tables.iter().filter(is_source).filter_map(|table| first.table.key_of(table));
        let keys: BTreeSet<String> = fitting.filter(is_whole).collect();
        let used: BTreeSet<String> =
            keys.iter().flat_map(|key| series.iter().map(|series| series.table.for_key(key))).collect();
        let passed_over = tables.difference(&used).filter(is_source).filter_map(|table| {
            let key = series.iter().find_map(|series| series.table.key_of(table))?;
            let reason = match check_key(&key) {
                Err(error) => error.to_string(),
                Ok(()) => format!("table {} does not exist", missing_table(series, tables, &key)?),
            };
            Some((table.clone(), reason))
        });
        let passed_over = passed_over.collect();
        Self { keys: keys.into_iter().collect(), passed_over }
    }

    /// The keys of a source.
    ///
    /// # Errors
    /// When the source cannot be listed.
    pub fn list(source: &dyn Source, series: &[Series]) -> Result<Self, StoreError> {
        Ok(Self::new(series, &source.tables()?))
    }

    /// Warns once of the tables that are passed over.
    pub(crate) fn warn_once(&self) {
        self.warning().into_iter().for_each(warn_once);
    }

    /// What to say of the tables that are passed over, a few by name; none where there are none.
    pub fn warning(&self) -> Option<String> {
        const SHOWN: usize = 5;
        let shown =
            |(table, reason): &(String, String)| foreign::name(&format!("{table} ({reason})")).into_owned();
        let names = self.passed_over.iter().take(SHOWN).map(shown).collect::<Vec<_>>().join(", ");
        let (what, more) = match self.passed_over.len() {
            0 => return None,
            1 => ("1 table".to_owned(), String::new()),
            count if count <= SHOWN => (format!("{count} tables"), String::new()),
            count => (format!("{count} tables"), format!(" and {} more", count - SHOWN)),
        };
        Some(format!("keys = \"all\" skips {what} of the source: {names}{more}"))
    }
}

/// Warns that a key has no months to plan, since its table is empty.
pub fn warn_of_empty(table: impl Display, key: &str) {
    tracing::warn!(
        "{table} has no rows, so no month of {key} is planned from it; import its bars, or leave {key} out"
    );
}

/// The first table that a key lacks.
fn missing_table(series: &[Series], tables: &BTreeSet<String>, key: &str) -> Option<String> {
    series.iter().map(|series| series.table.for_key(key)).find(|table| !tables.contains(table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{EXAMPLE, JobConfig};

    fn found(tables: &[&str]) -> FoundKeys {
        let config = JobConfig::parse(EXAMPLE, std::iter::empty()).unwrap();
        FoundKeys::new(&config.series, &tables.iter().map(|&table| table.to_owned()).collect())
    }

    #[test]
    fn each_table_that_fits_a_series_and_no_key_is_named_with_the_reason() {
        let found =
            found(&["m1_b", "bqx_b", "m1_a", "bqx_a", "m1_only", "bqx_other", "m1_.x", "bqx_.x", "else"]);
        assert_eq!(found.keys, ["a", "b"]);
        let warning = found.warning().unwrap();
        for part in [
            "4 tables",
            "m1_only (table bqx_only does not exist)",
            "bqx_other (table m1_other does not exist)",
            "m1_.x (`.x` is not a key",
            "bqx_.x (`.x`",
        ] {
            assert!(warning.contains(part), "{part}: {warning}");
        }
        assert!(!warning.contains("else"), "{warning}");
    }

    #[test]
    fn a_table_of_fits_is_no_source_table() {
        let layout = |layout: &str| {
            let text = EXAMPLE
                .replace("\"m1_{key}\"", "\"{key}\"")
                .replace("\"bqx_{key}\"", "\"{key}\"")
                .replace("# parent", "parent")
                .replace("# layout = \"fits\"", &format!("layout = \"{layout}\""));
            let config = JobConfig::parse(&text, std::iter::empty()).unwrap();
            let tables = ["eurusd", "fit_reg_rate_eurusd_2017_01", "fit_reg_rate_eurusd", "fit_other"];
            FoundKeys::new(&config.series, &tables.map(str::to_owned).into())
        };
        let fits = layout("fits");
        assert_eq!(
            (&fits.keys[..], fits.warning()),
            (&["eurusd".to_owned(), "fit_other".to_owned()][..], None)
        );
        assert_eq!(layout("metrics").keys.len(), 4);
    }

    #[test]
    fn nothing_is_said_where_every_table_is_used_and_of_many_only_a_few_are_named() {
        assert_eq!(found(&["m1_a", "bqx_a", "notes"]).warning(), None);
        let many: Vec<String> = (0..300).map(|at| format!("m1_key{at:03}")).collect();
        let warning = found(&many.iter().map(String::as_str).collect::<Vec<_>>()).warning().unwrap();
        assert!(warning.contains("300 tables") && warning.ends_with("and 295 more"), "{warning}");
    }
}
