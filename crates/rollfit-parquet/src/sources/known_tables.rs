//! [`KnownTables`]: what is known of the tables that were read last. Of a store of any number of keys a process remembers so
//! many files: partitions come key by key.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::sources::file_spans::{Contents, FileIdentity, FileSpans};

/// Files that are remembered, where they are of more than [`TABLES_MIN`] tables.
const FILES_MAX: usize = 1024;
/// Tables that are remembered, however many files they have: those that workers are reading now are among them.
const TABLES_MIN: usize = 128;

/// The tables that were read last.
#[derive(Default)]
pub(crate) struct KnownTables {
    tables: HashMap<PathBuf, KnownTable>,
    files: usize,
    /// Counts what it is asked: the clock of the tables' last use.
    asked: u64,
}

#[derive(Default)]
struct KnownTable {
    used: u64,
    files: HashMap<PathBuf, (FileIdentity, Arc<Contents>)>,
    /// The last listing for each time column.
    listings: HashMap<String, Listing>,
}

/// The files of a table, when its directory had not changed for a while.
struct Listing {
    modified: SystemTime,
    files: Arc<Vec<FileSpans>>,
}

impl KnownTables {
    /// What is known of the file at `path`, if it is that file.
    pub(crate) fn contents(&mut self, path: &Path, identity: FileIdentity) -> Option<Arc<Contents>> {
        let (known, contents) = self.table(path.parent()?)?.files.get(path)?;
        (*known == identity).then(|| contents.clone())
    }

    /// Whether anything is known of a file that is, or was, at `path`.
    pub(crate) fn has(&mut self, path: &Path) -> bool {
        path.parent().and_then(|dir| self.table(dir)).is_some_and(|table| table.files.contains_key(path))
    }

    /// Remembers a file.
    pub(crate) fn insert(&mut self, path: &Path, identity: FileIdentity, contents: Arc<Contents>) {
        let table = self.table_or_new(path.parent().unwrap_or(Path::new("")));
        let before = table.files.insert(path.to_owned(), (identity, contents));
        self.files += usize::from(before.is_none());
        self.forget_oldest();
    }

    /// The files of a table whose directory was changed last at `modified`.
    pub(crate) fn listing(
        &mut self,
        dir: &Path,
        time: &str,
        modified: SystemTime,
    ) -> Option<Arc<Vec<FileSpans>>> {
        let listing = self.table(dir)?.listings.get(time)?;
        (listing.modified == modified).then(|| listing.files.clone())
    }

    /// Remembers the files of a table.
    pub(crate) fn insert_listing(
        &mut self,
        dir: &Path,
        time: &str,
        modified: SystemTime,
        files: Arc<Vec<FileSpans>>,
    ) {
        self.table_or_new(dir).listings.insert(time.to_owned(), Listing { modified, files });
        self.forget_oldest();
    }

    fn table(&mut self, dir: &Path) -> Option<&mut KnownTable> {
        self.asked += 1;
        let table = self.tables.get_mut(dir)?;
        table.used = self.asked;
        Some(table)
    }

    fn table_or_new(&mut self, dir: &Path) -> &mut KnownTable {
        self.asked += 1;
        let table = self.tables.entry(dir.to_owned()).or_default();
        table.used = self.asked;
        table
    }

    /// Forgets half of the tables, those not used for longest: so each is looked at a few times in all.
    fn forget_oldest(&mut self) {
        let is_small = self.files <= FILES_MAX && self.tables.len() <= FILES_MAX;
        if is_small || self.tables.len() <= TABLES_MIN {
            return;
        }
        let mut uses: Vec<u64> = self.tables.values().map(|table| table.used).collect();
        uses.sort_unstable();
        let kept_from = uses[uses.len() / 2];
        self.tables.retain(|_, table| table.used >= kept_from);
        self.files = self.tables.values().map(|table| table.files.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_were_not_used_for_long_are_forgotten_and_those_in_use_are_not() {
        let mut known = KnownTables::default();
        let modified = SystemTime::UNIX_EPOCH;
        let listing = || Arc::new(Vec::new());
        known.insert_listing(Path::new("in use"), "time", modified, listing());
        for number in 0..100_000 {
            known.insert_listing(Path::new(&format!("m1_{number}")), "time", modified, listing());
            assert!(known.listing(Path::new("in use"), "time", modified).is_some());
        }
        assert!(known.tables.len() <= FILES_MAX + 1, "{}", known.tables.len());
        assert!(known.listing(Path::new("m1_99999"), "time", modified).is_some());
        assert!(known.listing(Path::new("m1_99999"), "ts", modified).is_none());
        assert!(known.listing(Path::new("m1_0"), "time", modified).is_none());
    }

    #[test]
    fn a_few_tables_are_remembered_whole() {
        let mut known = KnownTables::default();
        for number in 0..TABLES_MIN {
            let dir = format!("m1_{number}");
            known.insert_listing(Path::new(&dir), "time", SystemTime::UNIX_EPOCH, Arc::new(Vec::new()));
        }
        known.files = 10 * FILES_MAX;
        known.forget_oldest();
        assert_eq!(known.tables.len(), TABLES_MIN);
    }
}
