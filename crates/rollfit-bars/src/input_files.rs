//! [`InputFiles`]: the files that the arguments of one command mean: files, directories of them, or standard input.
//!
//! Invariants: a file that is named itself is read, whatever it is called. Of a directory, what is not read is listed with the
//! reason; links in it are not followed. Each file is read once, however often it is reached.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use crate::archive::{STANDARD_INPUT, is_standard_input};
use crate::error::ImportError;
use crate::file_key::{check_given_key, key_in_path, key_of_directory, name_of_key};
use crate::formats::{Format, RowRules, TEXT_ENDINGS};
use crate::read_options::ReadOptions;

/// The files that one command reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InputFiles {
    /// The files, in the order of the arguments; those of a directory sorted by path. Standard input is
    /// [`InputFiles::STANDARD_INPUT`].
    pub files: Vec<PathBuf>,
    /// What directories hold besides, sorted by path within each.
    pub passed_over: Vec<(PathBuf, PassedOver)>,
    /// Files that were reached again, which changes nothing.
    pub repeated: Vec<PathBuf>,
}

/// Why something in a directory is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PassedOver {
    /// Its name begins with `.` or `_`.
    Hidden,
    /// A symbolic link, to whatever.
    Link,
    /// Neither a file nor a directory.
    Special,
    /// A file whose name does not end like one of the format.
    Ending,
    /// A `.txt` beside a table of the same name, such as the status report that HistData packs with its files.
    Report,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hidden => "hidden",
            Self::Link => "a link",
            Self::Special => "not a regular file",
            Self::Ending => "another ending",
            Self::Report => "a report on its table",
        })
    }
}

impl InputFiles {
    /// How standard input is called among files and in messages. A file of that name is `./<stdin>`.
    pub const STANDARD_INPUT: &str = STANDARD_INPUT;

    /// Finds the files that `arguments` mean, where `-` is standard input.
    ///
    /// # Errors
    /// When the key of the options is none, a directory cannot be listed or has no file of the format, or standard input
    /// cannot be read with these options.
    pub fn find(arguments: &[PathBuf], options: &ReadOptions) -> Result<Self, ImportError> {
        options.key.as_deref().map_or(Ok(()), check_given_key)?;
        let mut found = Self::default();
        let mut known = HashSet::new();
        for argument in arguments {
            for file in found.meant_by(argument, options)? {
                let is_new = known.insert(identity(&file, options));
                if is_new { &mut found.files } else { &mut found.repeated }.push(file);
            }
        }
        if found.repeated.iter().any(|file| is_standard_input(file)) {
            return Err(refused("standard input (-) can be read only once; name it once"));
        }
        Ok(found)
    }

    /// The files of one argument.
    fn meant_by(&mut self, argument: &Path, options: &ReadOptions) -> Result<Vec<PathBuf>, ImportError> {
        if argument.as_os_str() == "-" {
            check_standard_input(options)?;
            return Ok(vec![STANDARD_INPUT.into()]);
        }
        if argument.as_os_str() == STANDARD_INPUT {
            return Ok(vec![Path::new(".").join(argument)]);
        }
        if !fs::metadata(argument).is_ok_and(|status| status.is_dir()) {
            return Ok(vec![argument.to_owned()]);
        }
        let mut search = DirectorySearch::new(options.format);
        search.run(argument)?;
        self.passed_over.append(&mut search.passed_over);
        if search.files.is_empty() {
            let endings = options.format.endings().join(", .");
            let format = options.format.name();
            return Err(ImportError::NoFiles { path: argument.to_owned(), format, endings });
        }
        // Rows that say their keys are not of the key that a path says.
        if options.key_column.is_none() {
            check_keys(argument, &search.files, options)?;
        }
        Ok(search.files)
    }
}

/// Refuses a directory whose files may belong to several instruments that would become one key: by the key of the options,
/// or because the names of their directories differ only in case. Names of files have the case that their vendor likes.
fn check_keys(dir: &Path, files: &[PathBuf], options: &ReadOptions) -> Result<(), ImportError> {
    let mut earlier: HashMap<String, (String, &PathBuf)> = HashMap::new();
    for file in files {
        let key = match options {
            ReadOptions { key: Some(_), .. } => key_in_path(file),
            ReadOptions { key_from_name: true, .. } => name_of_key(file).map(str::to_owned),
            _ => key_of_directory(file),
        };
        let Some(key) = key else { continue };
        let becomes = options.key.clone().unwrap_or_else(|| key.to_ascii_lowercase());
        let (other, other_file) = earlier.entry(becomes.clone()).or_insert_with(|| (key.clone(), file));
        let is_same = if options.key.is_some() { other.eq_ignore_ascii_case(&key) } else { *other == key };
        if !is_same {
            return Err(ImportError::Options {
                why: format!(
                    "{}: by their paths, {} belongs to `{other}` and {} to `{key}`, and both would become the key \
                     `{becomes}`; import them separately, each with its own --key, or name the files if they are one key",
                    dir.display(),
                    other_file.display(),
                    file.display()
                ),
            });
        }
    }
    Ok(())
}

fn refused(why: &str) -> ImportError {
    ImportError::Options { why: why.to_owned() }
}

fn check_standard_input(options: &ReadOptions) -> Result<(), ImportError> {
    if matches!(options.format.rules().rows, RowRules::Parquet) {
        return Err(refused(
            "a Parquet file cannot be read from standard input, because it is read from its end; name the file",
        ));
    }
    if options.key.is_none() && options.key_column.is_none() {
        return Err(refused(
            "standard input has no name that tells the key of its bars; use --key, e.g. --key eurusd, or --key-column",
        ));
    }
    Ok(())
}

/// What makes two files the same: the file that paths lead to, and the key that they say. One file may hold the bars of two
/// keys, where links in two directories lead to it.
fn identity(file: &Path, options: &ReadOptions) -> (PathBuf, Option<String>) {
    if is_standard_input(file) {
        return (file.to_owned(), None);
    }
    let path = fs::canonicalize(file).or_else(|_| std::path::absolute(file));
    (path.unwrap_or_else(|_| file.to_owned()), options.key.clone().or_else(|| key_in_path(file)))
}

/// A search of a directory and all below it.
struct DirectorySearch {
    format: Format,
    files: Vec<PathBuf>,
    passed_over: Vec<(PathBuf, PassedOver)>,
    unvisited: Vec<PathBuf>,
}

impl DirectorySearch {
    fn new(format: Format) -> Self {
        Self { format, files: Vec::new(), passed_over: Vec::new(), unvisited: Vec::new() }
    }

    fn run(&mut self, dir: &Path) -> Result<(), ImportError> {
        self.unvisited.push(dir.to_owned());
        while let Some(dir) = self.unvisited.pop() {
            let failed = |source| ImportError::Open { path: dir.clone(), source };
            for entry in fs::read_dir(&dir).map_err(failed)? {
                self.visit(&entry.map_err(failed)?).map_err(failed)?;
            }
        }
        self.leave_out_reports();
        self.files.sort();
        self.passed_over.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(())
    }

    fn visit(&mut self, entry: &DirEntry) -> std::io::Result<()> {
        let (path, name, kind) = (entry.path(), entry.file_name(), entry.file_type()?);
        let reason = if name.as_encoded_bytes().starts_with(b".") || name.as_encoded_bytes().starts_with(b"_")
        {
            PassedOver::Hidden
        } else if kind.is_symlink() {
            PassedOver::Link
        } else if kind.is_dir() {
            self.unvisited.push(path);
            return Ok(());
        } else if !kind.is_file() {
            PassedOver::Special
        } else if has_ending(&path, self.format.endings()) && !is_packed_other(&path) {
            self.files.push(path);
            return Ok(());
        } else {
            PassedOver::Ending
        };
        self.passed_over.push((path, reason));
        Ok(())
    }

    /// Leaves out each `.txt` that has a table of the same name beside it.
    fn leave_out_reports(&mut self) {
        let is_text = |path: &PathBuf| has_ending(path, &["txt"]);
        let tables = self.files.iter().filter(|path| !is_text(path)).map(|path| without_endings(path));
        let tables: HashSet<PathBuf> = tables.collect();
        let is_report = |path: &PathBuf| is_text(path) && tables.contains(&without_endings(path));
        let (reports, files) = std::mem::take(&mut self.files).into_iter().partition(is_report);
        self.files = files;
        let reports: Vec<PathBuf> = reports;
        self.passed_over.extend(reports.into_iter().map(|path| (path, PassedOver::Report)));
    }
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let is_ending = |ending: &OsStr| endings.iter().any(|known| ending.eq_ignore_ascii_case(known));
    path.extension().is_some_and(is_ending)
}

/// Whether a packed file is named like one that holds no text of bars.
fn is_packed_other(path: &Path) -> bool {
    const OTHERS: [&str; 8] = ["tar", "parquet", "parq", "pqt", "pq", "json", "xml", "sql"];
    has_ending(path, &["gz"]) && has_ending(&path.with_extension(""), &OTHERS)
}

fn without_endings(path: &Path) -> PathBuf {
    let mut stem = path.to_owned();
    while has_ending(&stem, &TEXT_ENDINGS) {
        stem.set_extension("");
    }
    stem
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory with empty files of these names.
    fn tree(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    fn find(dir: &Path, arguments: &[&str], options: &ReadOptions) -> Result<InputFiles, ImportError> {
        let arguments: Vec<PathBuf> = arguments.iter().map(|name| dir.join(name)).collect();
        InputFiles::find(&arguments, options)
    }

    fn names(dir: &Path, paths: &[PathBuf]) -> Vec<String> {
        paths.iter().map(|path| path.strip_prefix(dir).unwrap().display().to_string()).collect()
    }

    fn csv() -> ReadOptions {
        ReadOptions::new(Format::Csv)
    }

    #[test]
    fn a_directory_gives_its_data_files_sorted_and_names_the_others() {
        let dir = tree(&[
            "d/b.csv",
            "d/key=a/2.CSV.gz",
            "d/key=a/1.zip",
            "d/.hidden.csv",
            "d/_delta_log/0.csv",
            "d/notes.md",
            "d/old.tar.gz",
            "d/x.parquet",
            "elsewhere.csv",
        ]);
        symlink(dir.path().join("elsewhere.csv"), dir.path().join("d/link.csv")).unwrap();
        symlink(dir.path(), dir.path().join("d/up")).unwrap();
        let found = find(dir.path(), &["d"], &csv()).unwrap();
        assert_eq!(names(dir.path(), &found.files), ["d/b.csv", "d/key=a/1.zip", "d/key=a/2.CSV.gz"]);
        let passed_over: Vec<(String, String)> = found
            .passed_over
            .iter()
            .map(|(path, why)| (path.file_name().unwrap().to_string_lossy().into_owned(), why.to_string()))
            .collect();
        let wanted = [
            (".hidden.csv", "hidden"),
            ("_delta_log", "hidden"),
            ("link.csv", "a link"),
            ("notes.md", "another ending"),
            ("old.tar.gz", "another ending"),
            ("up", "a link"),
            ("x.parquet", "another ending"),
        ];
        assert_eq!(passed_over, wanted.map(|(name, why)| (name.to_owned(), why.to_owned())));
        let parquet = find(dir.path(), &["d"], &ReadOptions::new(Format::Parquet)).unwrap();
        assert_eq!(names(dir.path(), &parquet.files), ["d/x.parquet"]);
    }

    #[test]
    fn a_text_is_a_report_only_beside_a_table_of_its_name() {
        let dir =
            tree(&["a_201703.csv", "a_201703.txt", "a_201704.txt", "b.csv.gz", "b.txt", "c/a_201703.txt"]);
        let found = find(dir.path(), &[""], &csv()).unwrap();
        assert_eq!(
            names(dir.path(), &found.files),
            ["a_201703.csv", "a_201704.txt", "b.csv.gz", "c/a_201703.txt"]
        );
        assert!(found.passed_over.iter().all(|(_, why)| *why == PassedOver::Report), "{found:?}");
    }

    #[test]
    fn a_directory_without_data_is_an_error_and_a_file_that_is_named_is_read() {
        let dir = tree(&["empty/notes.md", "full/a.csv"]);
        let error = find(dir.path(), &["full", "empty"], &csv()).unwrap_err();
        assert!(error.to_string().contains("empty: "), "{error}");
        assert!(error.to_string().contains(".csv, .tsv"), "{error}");
        let named = find(dir.path(), &["empty/notes.md", "none", "full"], &csv()).unwrap();
        assert_eq!(names(dir.path(), &named.files), ["empty/notes.md", "none", "full/a.csv"]);
    }

    #[test]
    fn a_file_that_is_reached_again_is_read_once() {
        let dir = tree(&["d/a.csv", "d/b.csv"]);
        symlink(dir.path().join("d/a.csv"), dir.path().join("link.csv")).unwrap();
        fs::hard_link(dir.path().join("d/b.csv"), dir.path().join("d/c.csv")).unwrap();
        let found = find(dir.path(), &["d/b.csv", "d", "d/../d/a.csv", "link.csv"], &csv()).unwrap();
        assert_eq!(names(dir.path(), &found.files), ["d/b.csv", "d/a.csv", "d/c.csv"]);
        assert_eq!(names(dir.path(), &found.repeated), ["d/b.csv", "d/../d/a.csv", "link.csv"]);
    }

    #[test]
    fn one_file_of_two_keys_is_read_for_each() {
        let dir = tree(&["a.csv", "key=y/c.csv"]);
        fs::create_dir(dir.path().join("key=x")).unwrap();
        for key in ["key=x", "key=y"] {
            symlink(dir.path().join("a.csv"), dir.path().join(key).join("b.csv")).unwrap();
        }
        let arguments = ["key=x/b.csv", "key=y/b.csv", "key=x/b.csv"];
        assert_eq!(find(dir.path(), &arguments, &csv()).unwrap().files.len(), 2);
        let one_key = ReadOptions { key: Some("K".to_owned()), ..csv() };
        assert_eq!(find(dir.path(), &arguments, &one_key).unwrap().files.len(), 1);
    }

    #[test]
    fn a_directory_of_two_instruments_does_not_become_one_key() {
        let keyed = ReadOptions { key: Some("K".to_owned()), ..csv() };
        let refused = |names: &[&str], options: &ReadOptions, parts: &[&str]| {
            let dir = tree(names);
            let message = find(dir.path(), &[""], options).unwrap_err().to_string();
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
            let named = find(dir.path(), names, options).unwrap();
            assert_eq!(named.files.len(), names.len(), "named files are taken as they are");
        };
        let two = ["`eurusd`", "`usdjpy`", "the key `K`", "--key"];
        refused(&["key=eurusd/a.csv", "key=usdjpy/a.csv"], &keyed, &two);
        refused(&["DAT_ASCII_EURUSD_M1_201703.csv", "key=usdjpy/a.csv"], &keyed, &["`EURUSD`", "`usdjpy`"]);
        refused(&["key=EURUSD/a.csv", "pair=eurusd/b.csv"], &csv(), &["`EURUSD`", "`eurusd`"]);
        let dir =
            tree(&["key=eurusd/a.csv", "DAT_ASCII_EURUSD_M1_201703.csv", "more.csv", "key=eurusd/b.csv"]);
        let keyed_rows = ReadOptions { key_column: Some("symbol".to_owned()), ..csv() };
        let clash = tree(&["key=EURUSD/a.csv", "pair=eurusd/b.csv"]);
        assert_eq!(find(clash.path(), &[""], &keyed_rows).unwrap().files.len(), 2);
        for options in [&keyed, &csv()] {
            assert_eq!(find(dir.path(), &[""], options).unwrap().files.len(), 4);
        }
    }

    #[test]
    fn standard_input_needs_a_key_and_text_and_is_read_once() {
        let with_key = |format| ReadOptions { key: Some("EURUSD".to_owned()), ..ReadOptions::new(format) };
        let find = |names: &[&str], options: &ReadOptions| {
            InputFiles::find(&names.iter().map(PathBuf::from).collect::<Vec<_>>(), options)
        };
        let options = with_key(Format::Histdata);
        let found = find(&["-", "./-", STANDARD_INPUT], &options).unwrap();
        assert_eq!(found.files, [STANDARD_INPUT, "./-", "./<stdin>"].map(PathBuf::from));
        let message = |names: &[&str], options: &ReadOptions| find(names, options).unwrap_err().to_string();
        assert!(message(&["-", "x", "-"], &options).contains("only once"));
        assert!(message(&["-"], &with_key(Format::Parquet)).contains("name the file"));
        assert!(message(&["-"], &csv()).contains("use --key"));
        let keyed = ReadOptions { key_column: Some("symbol".to_owned()), ..csv() };
        assert_eq!(find(&["-"], &keyed).unwrap().files.len(), 1);
        let wrong = ReadOptions { key: Some("EUR/USD".to_owned()), ..csv() };
        assert!(message(&["x"], &wrong).starts_with("--key: `EUR/USD` is not a key"));
    }
}
