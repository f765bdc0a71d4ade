//! [`KeyedCollectors`]: the bars of a file that holds many keys, each key put into order by itself.

use std::collections::HashMap;

use rollfit_job::key::{KeysByCase, check_key};

use super::collector::{Collected, Collector};
use crate::error::{FileLine, ImportError};

/// The bars of one file by key, in the making. `P` is what the rows of a key say of its later rows.
pub(crate) struct KeyedCollectors<P> {
    keys: Vec<KeyedCollector<P>>,
    by_key: HashMap<String, usize>,
    by_case: KeysByCase,
    /// The key of the row before.
    last: usize,
    /// How a key begins.
    new: Collector,
    new_state: P,
}

/// The bars of one key.
pub(crate) struct KeyedCollector<P> {
    key: String,
    pub(crate) collector: Collector,
    pub(crate) state: P,
}

impl<P: Clone> KeyedCollectors<P> {
    /// No keys yet; each begins with these.
    pub(crate) fn new(new: Collector, new_state: P) -> Self {
        let (keys, by_key) = (Vec::new(), HashMap::new());
        Self { keys, by_key, by_case: KeysByCase::default(), last: 0, new, new_state }
    }

    /// The key of the row at `place`.
    pub(crate) fn of_row(
        &mut self,
        key: &str,
        place: impl FnOnce() -> FileLine,
    ) -> Result<&mut KeyedCollector<P>, ImportError> {
        let is_last = self.keys.get(self.last).is_some_and(|last| last.key == key);
        if !is_last {
            self.last = match self.by_key.get(key) {
                Some(at) => *at,
                None => self.add(key, place)?,
            };
        }
        Ok(&mut self.keys[self.last])
    }

    /// Whether a key at the very end of a file may be the beginning of another one: it is new, or another begins with it.
    pub(crate) fn may_be_cut(&self, key: &str) -> bool {
        !self.by_key.contains_key(key)
            || self.keys.iter().any(|other| other.key.len() > key.len() && other.key.starts_with(key))
    }

    /// Where a row is counted that has no readable key: with the row before it, or the first of all.
    pub(crate) fn of_unreadable_row(&mut self) -> &mut Collector {
        self.keys.get_mut(self.last).map_or(&mut self.new, |last| &mut last.collector)
    }

    fn add(&mut self, key: &str, place: impl FnOnce() -> FileLine) -> Result<usize, ImportError> {
        let refused = |why: String| ImportError::RowKey { place: place(), why };
        if let Err(why) = check_key(key) {
            return Err(refused(format!("{why}; correct the column of --key-column, or name another")));
        }
        if let Err(why) = self.by_case.add(key) {
            return Err(refused(format!("{why}; write the key in one way in the whole file")));
        }
        let at = self.keys.len();
        // What was counted before the first key was known belongs to it.
        let another = self.new.another();
        let collector = if at == 0 { std::mem::replace(&mut self.new, another) } else { another };
        self.keys.push(KeyedCollector { key: key.to_owned(), collector, state: self.new_state.clone() });
        self.by_key.insert(key.to_owned(), at);
        Ok(at)
    }

    /// Ends the file: the keys in the order in which they appear, each with a bar.
    pub(crate) fn finish(self, entry: Option<&str>) -> Result<Vec<Collected>, ImportError> {
        if self.keys.is_empty() {
            return self.new.finish(entry.map(str::to_owned)).map(|collected| vec![collected]);
        }
        let (mut read, mut unread, mut first_error) = (Vec::new(), Vec::new(), None);
        for KeyedCollector { key, collector, .. } in self.keys {
            match collector.finish(entry.map(str::to_owned)) {
                Ok(mut collected) => {
                    collected.key = Some(key);
                    read.push(collected);
                }
                Err(error) => {
                    unread.push(format!("no row of the key {key} could be read: {error}"));
                    first_error.get_or_insert(error);
                }
            }
        }
        match (read.first_mut(), first_error) {
            (Some(first), _) => unread.into_iter().for_each(|warning| first.warn(warning)),
            (None, Some(error)) => return Err(error),
            (None, None) => {}
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rollfit_job::import::Bar;

    use super::*;
    use crate::error::RowUnit;
    use crate::formats::Format;
    use crate::read_options::ReadOptions;

    fn collect(rows: &[(&str, i64)]) -> Result<Vec<(String, usize)>, String> {
        let options = ReadOptions::new(Format::Csv);
        let mut keys = KeyedCollectors::new(Collector::new(Path::new("x"), RowUnit::Line, &options), ());
        let mut add = |number: u64, key: &str, instant_us: i64| {
            let place = || FileLine::new(Path::new("x"), RowUnit::Line, number);
            let of_key = keys.of_row(key, place)?;
            of_key.collector.count_row();
            of_key.collector.keep(number, Bar { instant_us, close: 1.0 }, &[])
        };
        for (at, (key, instant_us)) in rows.iter().enumerate() {
            add(at as u64 + 1, key, *instant_us).map_err(|error| error.to_string())?;
        }
        let named = |collected: Collected| {
            let key = collected.key.clone().unwrap_or_default();
            (key, collected.into_parts().0.len())
        };
        Ok(keys.finish(None).unwrap().into_iter().map(named).collect())
    }

    #[test]
    fn each_key_has_its_own_order() {
        let rows = [("b", 1), ("a", 1), ("a", 2), ("b", 2), ("b", 2), ("a", 1)];
        assert_eq!(collect(&rows).unwrap(), [("b".to_owned(), 2), ("a".to_owned(), 2)]);
        assert!(collect(&[("a", 1), ("b", 9), ("a", 3), ("a", 2)]).unwrap_err().contains("x:4"));
    }

    #[test]
    fn what_is_no_key_or_differs_in_case_only_is_refused() {
        for key in ["EUR/USD", "", "é", ".x"] {
            let message = collect(&[("a", 1), (key, 1)]).unwrap_err();
            assert!(message.contains("x:2") && message.contains("not a key"), "{message}");
        }
        let message = collect(&[("EURUSD", 1), ("a", 1), ("eurusd", 1)]).unwrap_err();
        assert!(message.contains("x:3") && message.contains("case"), "{message}");
    }
}
