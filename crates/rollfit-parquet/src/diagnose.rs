//! What `doctor` reports of a directory before a run: above all the files that nothing vouches for ([`Unverified`]) or that
//! are damaged, found without reading rows.

use std::collections::HashSet;
use std::path::PathBuf;

use rollfit_job::error_chain;
use rollfit_job::keys::FoundKeys;
use rollfit_job::partition::Partition;
use rollfit_job::store::{Diagnosis, Examination, Finding, Problem, Quantity, Sink, StoreError, Words};

use crate::ParquetStore;
use crate::features::read_back::footer_integrity;
use crate::features::sink::{foreign_files, in_the_way};
use crate::sources::file_spans::FileSpans;
use crate::sources::sources_reader::ImportWait;
use crate::sources::staged::check_list;
use rollfit_files::parquet_file::Integrity;

/// Files of rollfit without checksums, and damaged files.
#[derive(Clone, Debug, Default, serde::Serialize)]
struct Unverified {
    /// Source files that rollfit wrote without checksums.
    unverified_sources: usize,
    /// Features files that rollfit wrote without checksums.
    unverified_features: usize,
    /// What is damaged, cannot be read or is in the way, each with what to do.
    #[serde(skip)]
    faults: Vec<String>,
}

/// The facts about a directory.
#[derive(serde::Serialize)]
struct DirectoryReport {
    place: String,
    /// The selected keys that every series has.
    keys: Vec<String>,
    /// The selected partitions that have features.
    partitions: usize,
    free_bytes: Option<u64>,
    #[serde(flatten)]
    unverified: Unverified,
}

/// See [`Store::diagnose`](rollfit_job::store::Store::diagnose).
pub(crate) fn diagnose(store: &ParquetStore, examination: &Examination<'_>) -> Result<Diagnosis, StoreError> {
    let only = examination.only;
    let mut partitions = store.partitions()?;
    partitions.retain(|partition| only.matches(partition));
    let mut keys = FoundKeys::list(store, &store.series)?.keys;
    keys.retain(|key| only.selects_key(key));
    let mut unverified = Unverified::default();
    store.examine_sources(if examination.is_source { examination.keys } else { &[] }, &mut unverified);
    if examination.is_sink {
        store.examine_features(&partitions, &mut unverified);
        store.find_strangers(partitions.iter().chain(examination.partitions), &mut unverified);
        let strangers =
            Sink::strangers(store).into_iter().filter(|stranger| only.selects_key(&stranger.subject));
        unverified.faults.extend(strangers.map(|stranger| stranger.message));
    }
    let report = DirectoryReport {
        place: Sink::place(store),
        keys,
        partitions: partitions.len(),
        free_bytes: store.free_bytes(),
        unverified,
    };
    Ok(report.into_diagnosis())
}

impl DirectoryReport {
    fn into_diagnosis(self) -> Diagnosis {
        let free = self.free_bytes.map_or("unknown".into(), Quantity::Bytes);
        let facts = [
            ("keys", vec![Quantity::Count(self.keys.len() as u64), " with rows of each series".into()]),
            ("features", vec![Quantity::Counted(self.partitions as u64, "partition")]),
            ("unverified", self.unverified.words()),
            ("free", vec![free]),
        ];
        Diagnosis {
            place: self.place.clone(),
            findings: facts.map(|(name, words)| Finding::Fact(name, words)).into(),
            details: serde_json::to_value(&self).unwrap_or_default(),
            problems: self.unverified.faults.into_iter().map(Problem::new).collect(),
            ..Diagnosis::default()
        }
    }
}

impl Unverified {
    /// Adds a fault, once where several tables have it.
    fn add_fault(&mut self, fault: String) {
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// The files of ours without checksums, and how they get some.
    fn words(&self) -> Words {
        let without = [
            (self.unverified_sources, "source file", "import the bars again to add them"),
            (self.unverified_features, "features file", "`rollfit run --force` adds them"),
        ];
        let mut words = Words::new();
        for (count, noun, remedy) in without.into_iter().filter(|(count, ..)| *count > 0) {
            if !words.is_empty() {
                words.push(", ".into());
            }
            words.push(Quantity::Counted(count as u64, noun));
            words.push(format!(" without checksums ({remedy})").into());
        }
        if words.is_empty() { vec!["none".into()] } else { words }
    }
}

impl ParquetStore {
    /// Looks at the list of an import that was cut short, and at the source tables of `keys`. Files with checksums are read
    /// in full; nothing is written.
    fn examine_sources(&self, keys: &[String], examined: &mut Unverified) {
        if let Err(error) = check_list(&self.sources_dir) {
            return examined.faults.push(error_chain(&error));
        }
        let (mut seen, mut counted) = (HashSet::new(), HashSet::new());
        for (key, series) in keys.iter().flat_map(|key| self.series.iter().map(move |series| (key, series))) {
            let series = series.of_key(key);
            let dir = self.sources_dir.join(&series.table);
            // The plan says what a missing table means.
            if !dir.is_dir() || !seen.insert((dir, series.key_column.map(|_| key))) {
                continue;
            }
            let check = || self.checked_files(&series);
            match self.reader.read(&[&series.table], ImportWait::Full, check, |_| Ok(true)) {
                Ok(files) => counted.extend(unverified(&files)),
                Err(error) => examined.add_fault(error_chain(&error)),
            }
        }
        examined.unverified_sources = counted.len();
    }

    /// Looks at the footers of the features of `partitions`.
    fn examine_features(&self, partitions: &[Partition], examined: &mut Unverified) {
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

    /// Looks for files of others where the features of `partitions` are: they block them.
    fn find_strangers<'a>(&self, partitions: impl Iterator<Item = &'a Partition>, examined: &mut Unverified) {
        for partition in partitions {
            match foreign_files(&self.partition_dir(partition)) {
                Ok(strangers) => {
                    strangers.first().into_iter().for_each(|first| examined.add_fault(in_the_way(first)));
                }
                Err(error) => examined.add_fault(error_chain(&error)),
            }
        }
    }
}

/// The files of ours without checksums.
fn unverified(files: &[FileSpans]) -> impl Iterator<Item = PathBuf> {
    files.iter().filter(|file| file.integrity() == Integrity::Unverified).map(|file| file.path.clone())
}
