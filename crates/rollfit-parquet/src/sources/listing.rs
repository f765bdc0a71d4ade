//! What is in the directory of a source table: the files that are read, and those that look like data and are not.

use std::fs::{self, DirEntry};
use std::io::Read;
use std::path::{Path, PathBuf};

use rollfit_job::foreign;
use rollfit_job::store::StoreError;

use crate::fault::file_error;
use crate::sources::long::is_hive_dir;
use crate::sources::staged::is_staging;
use rollfit_files::dir_names::dir_names;
use rollfit_files::regular_file;

/// What Spark, Delta Lake and the like keep beside their data.
const BOOKKEEPING: [&str; 10] = [
    "_SUCCESS",
    "_metadata",
    "_common_metadata",
    "_committed_",
    "_started_",
    "_temporary",
    "_delta_log",
    "_spark_metadata",
    "_change_data",
    "_symlink_format_manifest",
];
/// The endings of files that hold tables.
const DATA_ENDINGS: [&str; 18] = [
    "parquet", "parq", "pqt", "pq", "csv", "tsv", "feather", "arrow", "ipc", "orc", "avro", "gz", "zip",
    "zst", "bz2", "xz", "lz4", "snappy",
];
/// How deep and how far is looked for files that are passed over.
const DEPTH_MAX: usize = 8;
const ENTRIES_MAX: usize = 20_000;

/// What the directory of a table has.
pub(crate) struct TableListing {
    /// The files ending in `.parquet`, sorted by name. Hidden files are not read.
    pub(crate) paths: Vec<PathBuf>,
    /// Whether there is anything else.
    pub(crate) has_others: bool,
}

impl TableListing {
    /// Lists the directory of a table; none where there is no such table.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, StoreError> {
        let names = match dir_names(dir) {
            Ok(names) => names,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file_error("list", dir, error)),
        };
        let mut listed = Self { paths: Vec::new(), has_others: false };
        for name in names {
            if is_read(&name.to_string_lossy()) {
                listed.paths.push(dir.join(name));
            } else {
                listed.has_others = true;
            }
        }
        listed.paths.sort();
        Ok(Some(listed))
    }
}

/// The files of [`TableListing`]; none where there is no such table.
pub(crate) fn table_files(dir: &Path) -> Result<Option<Vec<PathBuf>>, StoreError> {
    Ok(TableListing::read(dir)?.map(|listed| listed.paths))
}

pub(crate) fn is_read(name: &str) -> bool {
    name.ends_with(".parquet") && !name.starts_with(['.', '_'])
}

fn is_bookkeeping(name: &str) -> bool {
    BOOKKEEPING.iter().any(|known| name == *known || known.ends_with('_') && name.starts_with(known))
}

/// Warns of the files of a table that look like data and are not read, if there are any. Of a long table those in Hive
/// directories are.
pub(crate) fn warn_of_passed_over(dir: &Path, is_long: bool) {
    let mut search = ListingSearch { is_long, ..ListingSearch::default() };
    search.visit(dir, 0, true);
    if let Some(warning) = search.warning(dir) {
        tracing::warn!("{warning}");
    }
}

/// A search for files that are passed over, within bounds.
#[derive(Default)]
struct ListingSearch {
    is_long: bool,
    /// Whether a directory that is not read has the name of a Hive directory.
    has_hive: bool,
    found: Vec<PathBuf>,
    /// Those of `found` that are links.
    links: Vec<PathBuf>,
    entries: usize,
    is_cut_short: bool,
}

impl ListingSearch {
    /// Searches a directory; `is_table` says whether its files are read.
    fn visit(&mut self, dir: &Path, depth: usize, is_table: bool) {
        let Ok(entries) = fs::read_dir(dir) else { return self.give_up(dir) };
        for entry in entries.flatten() {
            if self.entries == ENTRIES_MAX {
                return self.give_up(dir);
            }
            self.visit_entry(&entry, depth, is_table);
        }
    }

    /// Counts a directory that cannot be searched, or not to its end, as one that is passed over.
    fn give_up(&mut self, dir: &Path) {
        self.found.push(dir.to_owned());
        self.is_cut_short = true;
    }

    fn visit_entry(&mut self, entry: &DirEntry, depth: usize, is_table: bool) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let Ok(kind) = entry.file_type() else { return };
        if (is_table && is_read(&name)) || is_bookkeeping(&name) {
            return;
        }
        self.entries += 1;
        let is_passed_over = if kind.is_symlink() {
            // Links are not followed, neither to search a directory nor to look into a file.
            has_data_ending(&name) || !name.starts_with('.') && path.is_dir()
        } else {
            kind.is_file() && looks_like_data(&path, &name)
        };
        if is_passed_over {
            if kind.is_symlink() {
                self.links.push(path.clone());
            }
            self.found.push(path);
        } else if kind.is_dir() && !name.starts_with('.') {
            let is_hive = is_hive_dir(&name);
            self.has_hive |= is_hive && !self.is_long;
            let is_table = is_table && self.is_long && is_hive;
            if depth < DEPTH_MAX { self.visit(&path, depth + 1, is_table) } else { self.give_up(&path) }
        }
    }

    fn warning(mut self, dir: &Path) -> Option<String> {
        const SHOWN: usize = 5;
        if self.found.is_empty() {
            return None;
        }
        self.found.sort();
        let name = |path: &PathBuf| {
            let link = if self.links.contains(path) { " (a link)" } else { "" };
            format!("{}{link}", shown(path.strip_prefix(dir).unwrap_or(path)))
        };
        let names = self.found.iter().take(SHOWN).map(name).collect::<Vec<_>>().join(", ");
        let of_links = match self.links.is_empty() {
            true => "",
            false => ". Of links only the directory of a table itself, sources/TABLE, may be one",
        };
        let at_least = if self.is_cut_short { "at least " } else { "" };
        let more = match self.found.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let advice = match (self.is_long, self.has_hive) {
            (true, _) => " or in directories such as symbol=EURUSD",
            (false, true) => {
                " (and in directories such as symbol=EURUSD, where `key_column` names that column)"
            }
            (false, false) => "",
        };
        Some(format!(
            "{}: {at_least}{} of its files are not read: {names}{more}. rollfit reads files directly in the directory{advice} \
             whose names end in .parquet and do not begin with . or _{of_links}. Move, rename or remove the others",
            dir.display(),
            self.found.len()
        ))
    }
}

/// A file name of others, without what a terminal would act on, and no longer than people read.
fn shown(path: &Path) -> String {
    const CHARS_MAX: usize = 120;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    foreign::printable(&path.to_string_lossy(), CHARS_MAX).into_owned()
}

fn looks_like_data(path: &Path, name: &str) -> bool {
    !is_staging(path)
        && !name.ends_with(".crc")
        && (!name.starts_with('.') && has_data_ending(name) || is_parquet(path))
}

fn has_data_ending(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    DATA_ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending))
}

/// Whether a file begins as Parquet files do, encrypted ones too.
fn is_parquet(path: &Path) -> bool {
    let mut head = [0; 4];
    let read = regular_file::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && matches!(&head, b"PAR1" | b"PARE")
}
