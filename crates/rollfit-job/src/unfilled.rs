//! [`UnfilledWindow`]: a window that is longer than every partition of a key, so that its features never have a value: 90 rows
//! of daily bars, for one, in months of 21.
//!
//! Invariants: a window that fills in one partition of a key does not count, however short the others are: a month has just started, or
//! a key is new.

use std::collections::{BTreeMap, HashMap};

use crate::config::JobConfig;
use crate::partition::Partition;

/// The rows that the windows of a partition may use.
#[derive(Clone, Copy, Debug)]
pub struct UsableRows<'a> {
    /// The partition.
    pub partition: &'a Partition,
    /// Its joined rows.
    pub rows: u64,
    /// The joined rows before it that its windows reach.
    pub lookback_rows: u64,
}

/// A window that never fills.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UnfilledWindow {
    /// The window's label.
    pub window: String,
    /// Its length in rows.
    pub window_rows: u64,
    /// The series that have it.
    pub series: Vec<String>,
    /// The keys in whose partitions it never fills: the first thousand of them.
    pub keys: Vec<String>,
    /// How many keys these are.
    pub key_count: usize,
    /// How many partitions they have.
    pub partitions: usize,
    /// The most rows that a window may use in any of these partitions.
    pub usable_rows_max: u64,
    /// The most rows that one of these keys has in all of its partitions together.
    pub key_rows_max: u64,
}

/// The most keys that are listed of a window: every key times every window may not fit into memory.
const KEYS_MAX: usize = 1000;

/// The partitions of a key.
#[derive(Clone, Copy, Debug, Default)]
struct KeyRows {
    partitions: usize,
    usable_rows_max: u64,
    rows: u64,
}

/// The windows of a job that never fill. `partitions` are all those of each key that is to be judged; empty ones count for
/// nothing.
pub fn unfilled_windows<'a>(
    config: &JobConfig,
    partitions: impl IntoIterator<Item = UsableRows<'a>>,
) -> Vec<UnfilledWindow> {
    let mut keys: BTreeMap<&str, KeyRows> = BTreeMap::new();
    for usable in partitions.into_iter().filter(|usable| usable.rows > 0) {
        let key = keys.entry(&usable.partition.key).or_default();
        key.partitions += 1;
        key.usable_rows_max = key.usable_rows_max.max(usable.rows + usable.lookback_rows);
        key.rows += usable.rows;
    }
    windows(config)
        .into_iter()
        .filter_map(|((window, window_rows), series)| unfilled(window, window_rows, series, &keys))
        .collect()
}

/// The windows with the series that have them, the shortest first.
fn windows(config: &JobConfig) -> Vec<((&str, u64), Vec<String>)> {
    let mut windows: Vec<((&str, u64), Vec<String>)> = Vec::new();
    let mut positions = HashMap::new();
    for series in &config.series {
        for labelled in &series.windows {
            let window = (labelled.label.as_str(), labelled.window.rows() as u64);
            let at = *positions.entry(window).or_insert_with(|| {
                windows.push((window, Vec::new()));
                windows.len() - 1
            });
            windows[at].1.push(series.name.clone());
        }
    }
    windows.sort_by_key(|((_, rows), _)| *rows);
    windows
}

fn unfilled(
    window: &str,
    window_rows: u64,
    series: Vec<String>,
    keys: &BTreeMap<&str, KeyRows>,
) -> Option<UnfilledWindow> {
    let short: Vec<(&&str, &KeyRows)> =
        keys.iter().filter(|(_, key)| key.usable_rows_max < window_rows).collect();
    Some(UnfilledWindow {
        usable_rows_max: short.iter().map(|(_, key)| key.usable_rows_max).max()?,
        key_rows_max: short.iter().map(|(_, key)| key.rows).max()?,
        partitions: short.iter().map(|(_, key)| key.partitions).sum(),
        keys: short.iter().take(KEYS_MAX).map(|(key, _)| (**key).to_owned()).collect(),
        key_count: short.len(),
        window: window.to_owned(),
        window_rows,
        series,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EXAMPLE;

    /// The windows of the example, of 15 to 90 rows, that never fill in partitions of a key with this many rows.
    fn unfilled(rows: &[(&str, u64, u64)]) -> Vec<(String, usize, u64)> {
        let config = JobConfig::parse(EXAMPLE, []).unwrap();
        let partition = |key: &str| Partition::new(key.to_owned(), "2017-01".parse().unwrap());
        let partitions: Vec<Partition> = rows.iter().map(|(key, ..)| partition(key)).collect();
        let usable = std::iter::zip(&partitions, rows)
            .map(|(partition, &(_, rows, lookback_rows))| UsableRows { partition, rows, lookback_rows });
        unfilled_windows(&config, usable)
            .into_iter()
            .map(|unfilled| (unfilled.window, unfilled.keys.len(), unfilled.usable_rows_max))
            .collect()
    }

    #[test]
    fn a_window_longer_than_every_month_of_a_key_never_fills() {
        let found = unfilled(&[("a", 21, 0), ("a", 23, 0), ("b", 70, 0)]);
        let expected = [("w30", 1, 23), ("w45", 1, 23), ("w60", 1, 23), ("w75", 2, 70), ("agg", 2, 70)];
        assert_eq!(found, expected.map(|(window, keys, rows)| (window.to_owned(), keys, rows)));
    }

    #[test]
    fn of_many_keys_a_thousand_are_listed_and_all_are_counted() {
        let config = JobConfig::parse(EXAMPLE, []).unwrap();
        let partition = |at| Partition::new(format!("k{at:04}"), "2017-01".parse().unwrap());
        let partitions: Vec<Partition> = (0..1500).map(partition).collect();
        let usable = partitions.iter().map(|partition| UsableRows { partition, rows: 20, lookback_rows: 0 });
        let unfilled = &unfilled_windows(&config, usable)[0];
        assert_eq!((unfilled.keys.len(), unfilled.key_count, unfilled.partitions), (KEYS_MAX, 1500, 1500));
        assert_eq!(unfilled.keys.last().unwrap(), "k0999");
    }

    #[test]
    fn one_month_that_is_long_enough_or_the_rows_before_it_are_enough() {
        assert_eq!(unfilled(&[("a", 5, 0), ("a", 90, 0), ("a", 0, 0)]), []);
        assert_eq!(unfilled(&[("a", 21, 0), ("a", 21, 89)]), []);
        assert_eq!(unfilled(&[]), []);
    }
}
