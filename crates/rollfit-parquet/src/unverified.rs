//! [`Unverified`]: the files of a job that nothing vouches for or that are damaged, found without reading rows.

use std::collections::HashSet;

use rollfit_job::error_chain;
use rollfit_job::partition::Partition;
use rollfit_job::spec::Series;

use crate::ParquetStore;
use crate::read_back::footer_integrity;
use crate::sources_lock::SourcesView;
use crate::staged::check_list;
use crate::table::FileSpans;
use rollfit_files::parquet_file::Integrity;

/// Files that rollfit wrote and that have no checksums, and files that are not as they were written.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Unverified {
    /// Source files that rollfit wrote without checksums.
    pub unverified_sources: usize,
    /// Features files that rollfit wrote without checksums.
    pub unverified_features: usize,
    /// What is damaged or cannot be read, each with what to do.
    #[serde(skip)]
    pub faults: Vec<String>,
}

impl ParquetStore {
    /// Looks at the list of an import that was cut short, and at the source tables of `keys`. Files with checksums are read
    /// in full; nothing is written.
    pub fn examine_sources(&self, series: &[Series], keys: &[String], examined: &mut Unverified) {
        examined.faults.extend(check_list(&self.sources_dir).err().map(|error| error_chain(&error)));
        let _view = match SourcesView::open(&self.sources_dir, self.files.as_ref()) {
            Ok(view) => view,
            Err(error) => return examined.faults.push(error_chain(&error)),
        };
        let mut seen = HashSet::new();
        for (key, series) in keys.iter().flat_map(|key| series.iter().map(move |series| (key, series))) {
            let dir = self.sources_dir.join(series.table.for_key(key));
            // The plan says what a missing table means.
            if !dir.is_dir() || !seen.insert(dir) {
                continue;
            }
            match self.checked_files(series, key) {
                Ok(files) => examined.unverified_sources += count_unverified(&files),
                Err(error) => examined.faults.push(error_chain(&error)),
            }
        }
    }

    /// Looks at the footers of the features of `partitions`.
    pub fn examine_features(&self, partitions: &[Partition], examined: &mut Unverified) {
        for partition in partitions {
            let part = self.part(partition);
            match footer_integrity(&part, partition) {
                Ok(integrity) => {
                    examined.unverified_features += usize::from(integrity == Integrity::Unverified);
                }
                Err(error) if error.is_damage() => examined.faults.push(error_chain(&error)),
                // What else is wrong with them is found where they are read.
                Err(_) => {}
            }
        }
    }
}

fn count_unverified(files: &[FileSpans]) -> usize {
    files.iter().filter(|file| file.integrity() == Integrity::Unverified).count()
}
