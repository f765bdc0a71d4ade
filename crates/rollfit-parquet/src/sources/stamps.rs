//! Whether the files of source tables have changed, from what the system says of them: none is read.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rollfit_job::store::{SeriesHead, SeriesOfKey, StoreError};

use crate::ParquetStore;
use crate::fault::file_error;
use crate::file_system::refresh_dir;
use crate::sources::file_spans::FileIdentity;
use crate::sources::listing::table_files;
use crate::sources::source::missing_table;
use crate::sources::staged::list_path;

impl ParquetStore {
    /// A stamp of the files of each series' table: another one where a file has come, gone or changed. While an import that has
    /// committed is putting its files in place it is another one too: who reads then waits for them, or puts them there where the
    /// import was cut short.
    pub(super) fn file_stamps(
        &self,
        series: &[SeriesOfKey<'_>],
    ) -> Result<Vec<Result<SeriesHead, StoreError>>, StoreError> {
        refresh_dir(&self.sources_dir);
        let import = list_path(&self.sources_dir);
        let import = identity(&import).map_err(|error| file_error("read", &import, error))?;
        let mut known: HashMap<(&str, Option<&str>), u64> = HashMap::new();
        let mut head = |series: &SeriesOfKey<'_>, table| {
            let stamp = match known.get(&table) {
                Some(&stamp) => stamp,
                None => self.table_stamp(series, import)?,
            };
            known.insert(table, stamp);
            Ok(SeriesHead { last_us: None, stamp })
        };
        // The files of a long table are not the same for all keys.
        let heads = series
            .iter()
            .map(|series| head(series, (series.table.as_str(), series.key_column.map(|_| series.key))));
        Ok(heads.collect())
    }

    /// Checks that files of many keys, which are read anew when one of them changes, are small.
    pub(super) fn check_size_to_follow(&self, series: &[SeriesOfKey<'_>]) -> Result<(), StoreError> {
        const FOLLOWED_BYTES_MAX: u64 = 64 << 20;
        for series in series {
            let Some(long) = self.long_table_of(series) else { continue };
            let (mixed, _) = long.paths_of(series.key)?.unwrap_or_default();
            let bytes = |path: &PathBuf| std::fs::metadata(path).map_or(0, |status| status.len());
            let bytes: u64 = mixed.iter().map(bytes).sum();
            if bytes > FOLLOWED_BYTES_MAX {
                return Err(StoreError::permanent(format!(
                    "table {} cannot be followed: its files with several keys have {} MB together, and all are read again when one \
                     changes; put the files of each key into a directory such as {}={}",
                    self.sources_dir.join(&series.table).display(),
                    bytes >> 20,
                    series.key_column.unwrap_or_default(),
                    series.key
                )));
            }
        }
        Ok(())
    }

    /// The files that hold rows of a series; none where there is no such table.
    fn paths_of(&self, series: &SeriesOfKey<'_>, dir: &Path) -> Result<Option<Vec<PathBuf>>, StoreError> {
        let Some(long) = self.long_table_of(series) else { return table_files(dir) };
        let paths = long.paths_of(series.key)?;
        Ok(paths.map(|(mixed, of_key)| mixed.into_iter().chain(of_key).collect()))
    }

    fn table_stamp(&self, series: &SeriesOfKey<'_>, import: Option<FileIdentity>) -> Result<u64, StoreError> {
        let dir = self.sources_dir.join(&series.table);
        refresh_dir(&dir);
        let paths = self.paths_of(series, &dir)?.ok_or_else(|| missing_table(&dir, series))?;
        let mut hasher = DefaultHasher::new();
        import.hash(&mut hasher);
        for path in paths {
            let identity = identity(&path).map_err(|error| file_error("read", &path, error))?;
            (&path, identity).hash(&mut hasher);
        }
        Ok(hasher.finish())
    }
}

/// The file at `path`; none where there is none, or none any more.
fn identity(path: &Path) -> io::Result<Option<FileIdentity>> {
    match FileIdentity::at(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}
