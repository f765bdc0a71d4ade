//! [`KeyedCollectors`]: the bars of a file by key, each key put into order by itself.

use std::collections::HashMap;

use rollfit_job::key::{KeysByCase, check_key};

use super::batch::Batch;
use super::collector::{Collected, Collector};
use super::key_state::KeyState;
use crate::error::{FileLine, ImportError};

/// In place of the key of a file whose rows do not say any. No key is empty.
pub(crate) const UNNAMED: &str = "";

/// The bars of one file by key, in the making.
pub(crate) struct KeyedCollectors {
    keys: Vec<KeyedCollector>,
    by_key: HashMap<String, usize>,
    by_case: KeysByCase,
    /// The key of the row before.
    last: usize,
    /// How a key begins.
    new: Collector,
    new_state: KeyState,
}

/// The bars of one key.
pub(crate) struct KeyedCollector {
    key: String,
    pub(crate) collector: Collector,
    pub(crate) state: KeyState,
}

impl KeyedCollectors {
    /// For a file that says its keys, of which each begins with these, or for one that does not.
    pub(crate) fn new(new: Collector, new_state: KeyState, has_keys: bool) -> Self {
        let (keys, by_key, by_case) = (Vec::new(), HashMap::new(), KeysByCase::default());
        let mut collectors = Self { keys, by_key, by_case, last: 0, new, new_state };
        if !has_keys {
            collectors.begin(UNNAMED);
        }
        collectors
    }

    /// What the rows of a key so far say.
    pub(crate) fn state(&self, key: &str) -> Option<&KeyState> {
        self.by_key.get(key).map(|at| &self.keys[*at].state)
    }

    /// The key of the row at `place`.
    pub(crate) fn of_row(
        &mut self,
        key: &str,
        place: impl FnOnce() -> FileLine,
    ) -> Result<&mut KeyedCollector, ImportError> {
        let is_last = self.keys.get(self.last).is_some_and(|last| last.key == key);
        if !is_last {
            self.last = match self.by_key.get(key) {
                Some(at) => *at,
                None => self.add_key(key, place)?,
            };
        }
        Ok(&mut self.keys[self.last])
    }

    /// The keys so far.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.key.as_str())
    }

    /// Has the keys of a batch go on from the rows before, if it was read without these; returns false where it is to be read again,
    /// after them.
    pub(crate) fn precede(&self, batch: &mut Batch) -> bool {
        let mut keys = std::mem::take(&mut batch.keys);
        let is_same = !batch.depends_on_earlier_rows
            && keys
                .iter_mut()
                .all(|key| self.state(batch.name(key)).is_none_or(|state| state.precede(&mut key.state)));
        batch.keys = keys;
        is_same
    }

    /// Takes in rows that follow those before.
    pub(crate) fn add(
        &mut self,
        mut batch: Batch,
        place: impl Fn(u64) -> FileLine,
    ) -> Result<(), ImportError> {
        let of_row_before = self.keys.get_mut(self.last).map_or(&mut self.new, |last| &mut last.collector);
        of_row_before.count(std::mem::take(&mut batch.keyless));
        let (mut known, mut start) = (Vec::with_capacity(batch.keys.len()), 0);
        for run in &batch.runs {
            match known.get(run.key) {
                Some(at) => self.last = *at,
                None => {
                    let key = &batch.keys[run.key];
                    self.of_row(batch.name(key), || place(key.first_line))?;
                    known.push(self.last);
                }
            }
            self.keys[self.last].collector.add(&batch, start..run.end)?;
            start = run.end;
        }
        for (key, at) in batch.keys.into_iter().zip(known) {
            self.keys[at].collector.count(key.counts);
            self.keys[at].state = key.state;
        }
        batch.stop.map_or(Ok(()), Err)
    }

    fn add_key(&mut self, key: &str, place: impl FnOnce() -> FileLine) -> Result<usize, ImportError> {
        let refused = |why: String| ImportError::RowKey { place: place(), why };
        if let Err(why) = check_key(key) {
            return Err(refused(format!("{why}; correct the column of --key-column, or name another")));
        }
        if let Err(why) = self.by_case.add(key) {
            return Err(refused(format!("{why}; write the key in one way in the whole file")));
        }
        Ok(self.begin(key))
    }

    fn begin(&mut self, key: &str) -> usize {
        let at = self.keys.len();
        // What was counted before the first key was known belongs to it.
        let another = self.new.another();
        let collector = if at == 0 { std::mem::replace(&mut self.new, another) } else { another };
        self.keys.push(KeyedCollector { key: key.to_owned(), collector, state: self.new_state.clone() });
        self.by_key.insert(key.to_owned(), at);
        at
    }

    /// Ends the file: the keys in the order in which they appear, each with a bar.
    pub(crate) fn finish(self, entry: Option<&str>) -> Result<Vec<Collected>, ImportError> {
        if self.keys.is_empty() {
            return self.new.finish(entry.map(str::to_owned)).map(|collected| vec![collected]);
        }
        let (mut read, mut unread, mut first_error) = (Vec::new(), Vec::new(), None);
        for KeyedCollector { key, collector, state } in self.keys {
            match collector.finish(entry.map(str::to_owned)) {
                Ok(mut collected) => {
                    if key == UNNAMED {
                        collected.symbol = state.instruments.symbol();
                    } else {
                        collected.key = Some(key);
                    }
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
        let new = Collector::new(Path::new("x"), RowUnit::Line, &options);
        let mut keys = KeyedCollectors::new(new, KeyState::default(), true);
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
