//! Whether the files of source tables have changed, from what the system says of them: none is read.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind};
use std::path::Path;

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
        let mut known: HashMap<&str, u64> = HashMap::new();
        let mut head = |series: &SeriesOfKey<'_>, table| {
            let stamp = match known.get(table) {
                Some(&stamp) => stamp,
                None => self.table_stamp(series, import)?,
            };
            known.insert(table, stamp);
            Ok(SeriesHead { last_us: None, stamp })
        };
        Ok(series.iter().map(|series| head(series, series.table.as_str())).collect())
    }

    fn table_stamp(&self, series: &SeriesOfKey<'_>, import: Option<FileIdentity>) -> Result<u64, StoreError> {
        let dir = self.sources_dir.join(&series.table);
        refresh_dir(&dir);
        let paths = table_files(&dir)?.ok_or_else(|| missing_table(&dir, series))?;
        let mut hasher = DefaultHasher::new();
        import.hash(&mut hasher);
        for path in paths {
            let identity = identity(&path).map_err(|error| file_error("read", &path, error))?;
            (path.file_name(), identity).hash(&mut hasher);
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
