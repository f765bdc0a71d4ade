//! [`FoundKeys`]: the keys that a source has rows of in every series, and the tables and keys that are passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use crate::config::Series;
use crate::foreign;
use crate::key::check_key;
use crate::store::{Source, StoreError};
use crate::warn_once::warn_once;

/// The keys that a source has, where `keys = "all"`: from the names of its tables, and from the key columns of long tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundKeys {
    /// Those that every series has, sorted.
    pub keys: Vec<String>,
    /// What fits a series and belongs to none of the keys.
    passed_over: Vec<PassedOver>,
}

/// A table, or a key of a long table, that no key of the job has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PassedOver {
    name: String,
    is_table: bool,
    reason: String,
}

/// The tables of a source, and the keys in the long ones.
struct KeyPlaces<'a> {
    series: &'a [Series],
    tables: &'a BTreeSet<String>,
    /// The keys of each long table, by its name and key column.
    long: BTreeMap<(String, &'a str), BTreeSet<String>>,
}

impl FoundKeys {
    /// The keys of a source.
    ///
    /// # Errors
    /// When the source cannot be listed, or a long table cannot be read.
    pub fn list(source: &dyn Source, series: &[Series]) -> Result<Self, StoreError> {
        let mut long = BTreeMap::new();
        for series in series {
            if let Some(place) = long_place(series)
                && !long.contains_key(&place)
            {
                long.insert(place, source.keys_in(series)?);
            }
        }
        Ok(Self::new(&KeyPlaces { series, tables: &source.tables()?, long }))
    }

    fn new(places: &KeyPlaces<'_>) -> Self {
        let Some(first) = places.series.iter().find(|series| series.tells_keys()) else {
            return Self::default();
        };
        let mut keys = places.keys_of(first);
        keys.retain(|key| check_key(key).is_ok() && places.lacking(key).is_none());
        let passed_over = places.passed_over_tables(&keys).chain(places.passed_over_keys(&keys)).collect();
        Self { keys: keys.into_iter().collect(), passed_over }
    }

    /// Warns once of the tables and keys that are passed over.
    pub(crate) fn warn_once(&self) {
        self.warning().into_iter().for_each(warn_once);
    }

    /// What to say of the tables and keys that are passed over, a few by name; none where there are none.
    pub fn warning(&self) -> Option<String> {
        const SHOWN: usize = 5;
        let count = self.passed_over.len();
        if count == 0 {
            return None;
        }
        let shown = |skipped: &PassedOver| {
            foreign::name(&format!("{} ({})", skipped.name, skipped.reason)).into_owned()
        };
        let names = self.passed_over.iter().take(SHOWN).map(shown).collect::<Vec<_>>().join(", ");
        let tables = self.passed_over.iter().filter(|skipped| skipped.is_table).count();
        let counted = |count: usize, noun: &str| match count {
            0 => None,
            1 => Some(format!("1 {noun}")),
            count => Some(format!("{count} {noun}s")),
        };
        let what = [counted(tables, "table"), counted(count - tables, "key")];
        let what = what.into_iter().flatten().collect::<Vec<_>>().join(" and ");
        let more = if count <= SHOWN { String::new() } else { format!(" and {} more", count - SHOWN) };
        Some(format!("keys = \"all\" skips {what} of the source: {names}{more}"))
    }
}

/// The long table of a series and its key column; none where it has tables of one key.
fn long_place(series: &Series) -> Option<(String, &str)> {
    Some((series.table.to_string(), series.key_column.as_deref()?))
}

impl KeyPlaces<'_> {
    /// The keys that one series has.
    fn keys_of(&self, series: &Series) -> BTreeSet<String> {
        match long_place(series) {
            Some(place) => self.long.get(&place).cloned().unwrap_or_default(),
            None => self.source_tables().filter_map(|table| series.table.key_of(table)).collect(),
        }
    }

    /// The tables that may have one key's rows: not the long ones, nor what a run in the layout of fits has made.
    fn source_tables(&self) -> impl Iterator<Item = &String> {
        let is_source = |table: &&String| {
            !self.series.iter().any(|series| series.is_fit_table(table))
                && !self.long.keys().any(|(long, _)| long == *table)
        };
        self.tables.iter().filter(is_source)
    }

    /// What a key lacks in the first series that has no rows of it.
    fn lacking(&self, key: &str) -> Option<String> {
        self.series.iter().find_map(|series| match long_place(series) {
            Some(place) if self.long.get(&place).is_some_and(|keys| keys.contains(key)) => None,
            Some((table, column)) => Some(format!("table {table} has no row with that {column}")),
            None => {
                let table = series.table.for_key(key);
                (!self.tables.contains(&table)).then(|| format!("table {table} does not exist"))
            }
        })
    }

    fn reason(&self, key: &str) -> Option<String> {
        match check_key(key) {
            Err(error) => Some(error.to_string()),
            Ok(()) => self.lacking(key),
        }
    }

    fn passed_over_tables(&self, keys: &BTreeSet<String>) -> impl Iterator<Item = PassedOver> {
        let used: BTreeSet<String> =
            keys.iter().flat_map(|key| self.series.iter().map(|series| series.table.for_key(key))).collect();
        self.source_tables().filter(move |table| !used.contains(*table)).filter_map(|table| {
            let key = self.series.iter().find_map(|series| series.table.key_of(table))?;
            Some(PassedOver { name: table.clone(), is_table: true, reason: self.reason(&key)? })
        })
    }

    fn passed_over_keys(&self, keys: &BTreeSet<String>) -> impl Iterator<Item = PassedOver> {
        let in_tables = self.long.iter().flat_map(|((table, _), in_table)| {
            in_table.iter().filter(|key| !keys.contains(*key)).map(move |key| (table, key))
        });
        in_tables.filter_map(|(table, key)| {
            let shown = if key.is_empty() { "the empty key" } else { key };
            Some(PassedOver {
                name: format!("{shown} in {table}"),
                is_table: false,
                reason: self.reason(key)?,
            })
        })
    }
}

/// Warns that a key has no months to plan, since its table is empty.
pub fn warn_of_empty(table: impl Display, key: &str) {
    tracing::warn!(
        "{table} has no rows, so no month of {key} is planned from it; import its bars, or leave {key} out"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{EXAMPLE, JobConfig};

    fn found(tables: &[&str]) -> FoundKeys {
        let config = JobConfig::parse(EXAMPLE, std::iter::empty()).unwrap();
        found_in(&config.series, &tables.iter().map(|&table| table.to_owned()).collect(), &[])
    }

    /// The keys of a source with these tables and, in table `bars`, these keys.
    fn found_in(series: &[Series], tables: &BTreeSet<String>, in_bars: &[&str]) -> FoundKeys {
        let in_bars: BTreeSet<String> = in_bars.iter().map(|&key| key.to_owned()).collect();
        let long = series.iter().filter_map(long_place).map(|place| (place, in_bars.clone())).collect();
        FoundKeys::new(&KeyPlaces { series, tables, long })
    }

    #[test]
    fn keys_of_a_long_table_need_the_tables_of_the_other_series() {
        let text = EXAMPLE.replace("\"m1_{key}\"", "\"bars\"\nkey_column = \"symbol\"");
        let config = JobConfig::parse(&text, std::iter::empty()).unwrap();
        let tables = ["bars", "bqx_a", "bqx_b", "bqx_other"].map(str::to_owned).into();
        let found = found_in(&config.series, &tables, &["a", "b", "only", "a/b"]);
        assert_eq!(found.keys, ["a", "b"]);
        let warning = found.warning().unwrap();
        for part in [
            "1 table and 2 keys",
            "only in bars (table bqx_only does not exist)",
            "bqx_other (table bars has no row with that symbol)",
            "a/b in bars (`a/b` is not a key",
        ] {
            assert!(warning.contains(part), "{part}: {warning}");
        }
        let both = text.replace("\"bqx_{key}\"", "\"bars\"\nkey_column = \"symbol\"");
        let both = JobConfig::parse(&both, std::iter::empty()).unwrap();
        let found = found_in(&both.series, &["bars".to_owned()].into(), &["a", "b"]);
        assert_eq!((found.keys.len(), found.warning()), (2, None));
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
            found_in(&config.series, &tables.map(str::to_owned).into(), &[])
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
