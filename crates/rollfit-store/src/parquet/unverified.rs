//! [`Unverified`]: the files of a job that nothing vouches for or that are damaged, found without reading rows.

use std::path::PathBuf;

use rollfit_job::error_chain;
use rollfit_job::partition::Partition;
use rollfit_job::spec::Series;

use super::ParquetStore;
use super::read_back::footer_integrity;
use super::table::FileSpans;
use crate::parquet_file::Integrity;

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
    /// Looks at the source tables of `keys`. Files with checksums are read in full.
    pub fn examine_sources(&self, series: &[Series], keys: &[String], examined: &mut Unverified) {
        let mut tables: Vec<(PathBuf, Result<usize, String>)> = Vec::new();
        for key in keys {
            for series in series {
                let dir = self.sources_dir.join(series.table.for_key(key));
                if dir.is_dir() && !tables.iter().any(|(other, _)| *other == dir) {
                    let files = self.series_files(series, key).map_err(|error| error_chain(&error));
                    tables.push((dir, files.map(|files| count_unverified(&files))));
                }
            }
        }
        for (_, table) in tables {
            match table {
                Ok(unverified) => examined.unverified_sources += unverified,
                Err(fault) => examined.faults.push(fault),
            }
        }
    }

    /// Looks at the footers of the features of `partitions`.
    pub fn examine_features(&self, partitions: &[Partition], examined: &mut Unverified) {
        for partition in partitions {
            let part = self.part(partition);
            match footer_integrity(&part, partition) {
                Ok(integrity) => {
                    examined.unverified_features += usize::from(integrity == Integrity::Unverified)
                }
                Err(error) if error.is_damage() => examined.faults.push(error_chain(&error)),
                // What else is wrong with them is found where they are read.
                Err(_) => {}
            }
        }
    }
}

fn count_unverified(files: &[FileSpans]) -> usize {
    files.iter().filter(|file| file.integrity == Integrity::Unverified).count()
}
