//! [`BarFiles`]: files that have to be imported first: the commands that do it, tried out on one file.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use rollfit_bars::{Format, InputFiles, ReadOptions, key_of_name, key_of_path, recognized_format};
use rollfit_job::few::few;
use rollfit_job::foreign;
use rollfit_job::key::check_key;

use super::file_trial::FileTrial;
use super::proposal::{Proposal, ProposedSeries};
use crate::exit::{Exit, Failure};

/// The placeholder, in a printed command, for what the files don't say.
const ZONE: &str = "ZONE";
const KEY: &str = "<KEY>";

/// Files to be imported.
pub(super) struct BarFiles {
    /// The commands that import them, one for each format.
    pub(super) commands: Vec<String>,
    /// The rows of a month, where they are too few for the longest window.
    pub(super) few_rows: Option<u64>,
    /// The formats, for people.
    pub(super) formats: String,
    /// What is to be known of them, as sentences.
    pub(super) notes: Vec<String>,
}

/// The arguments and files of one format.
#[derive(Default)]
struct OfFormat {
    arguments: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl BarFiles {
    /// Looks at `paths`, files and directories, which are to be imported into the store at the URL `into`.
    ///
    /// # Errors
    /// When none of them looks like a file of bars, or the smallest cannot be imported.
    pub(super) fn new(paths: &[PathBuf], into: &str) -> Result<Self, Failure> {
        let (mut by_format, mut unknown) = (BTreeMap::<&'static str, (Format, OfFormat)>::new(), Vec::new());
        for path in paths {
            let found = files_of(path);
            let formats: BTreeMap<&str, Format> = found
                .iter()
                .filter_map(|(_, format)| *format)
                .map(|format| (format.name(), format))
                .collect();
            unknown.extend(found.iter().filter(|(_, format)| format.is_none()).map(|(file, _)| file.clone()));
            let is_uniform = formats.len() == 1 && found.iter().all(|(_, format)| format.is_some());
            for (file, format) in found.into_iter().filter_map(|(file, format)| Some((file, format?))) {
                let (_, of_format) =
                    by_format.entry(format.name()).or_insert_with(|| (format, OfFormat::default()));
                let argument = if is_uniform { path.clone() } else { file.clone() };
                if of_format.arguments.last() != Some(&argument) {
                    of_format.arguments.push(argument);
                }
                of_format.files.push(file);
            }
        }
        if by_format.is_empty() {
            return Err(none_recognized(paths, &unknown));
        }
        let formats = by_format.keys().copied().collect::<Vec<_>>().join(", ");
        let (mut commands, mut notes, mut few_rows) = (Vec::new(), Vec::new(), None);
        for (format, of_format) in by_format.into_values() {
            let trial = FileTrial::new(of_format.smallest(), format).map_err(|error| {
                Failure::from(error).after("the import would stop:").with_exit(Exit::Usage)
            })?;
            commands.push(of_format.command(format, &trial, into, &mut notes).join(" "));
            few_rows = few_rows.or(trial.few_rows);
        }
        if !unknown.is_empty() {
            notes.push(format!("not recognized as bars: {}", few(unknown.iter().map(|path| path.display()))));
        }
        Ok(Self { commands, few_rows, formats, notes })
    }

    /// What an import will have made: its two tables of each key.
    pub(super) fn proposal() -> Proposal {
        let series =
            [("idx", "m1_{key}", "time", "rate_index"), ("bqx", "bqx_{key}", "ts_utc", "w15_bqx_return")];
        let series = series.map(|(name, table, time, value)| ProposedSeries {
            name: name.to_owned(),
            table: table.to_owned(),
            time: time.to_owned(),
            is_utc: true,
            key_column: None,
            value: value.to_owned(),
            others: Vec::new(),
        });
        Proposal { keys: Vec::new(), is_all: true, series: series.into(), tables: 0, left_out: Vec::new() }
    }
}

/// The files that an argument means, with the format that each looks like.
fn files_of(path: &Path) -> Vec<(PathBuf, Option<Format>)> {
    let of_ending =
        |format| InputFiles::find(&[path.to_owned()], &ReadOptions::new(format)).unwrap_or_default().files;
    let mut files = of_ending(Format::Csv);
    files.extend(of_ending(Format::Parquet));
    files.sort();
    files.dedup();
    let with_format = |file: PathBuf| {
        let format = recognized_format(&file);
        (file, format)
    };
    files.into_iter().map(with_format).collect()
}

fn none_recognized(paths: &[PathBuf], unknown: &[PathBuf]) -> Failure {
    let what = match unknown {
        [] => few(paths.iter().map(|path| path.display())),
        unknown => few(unknown.iter().map(|path| path.display())),
    };
    let formats = Format::ALL.map(Format::name).join(", ");
    Failure::usage(format!(
        "no bars are recognized in {what}: name a store, or bar files of the format {formats} (docs/import.md)"
    ))
    .with_note(
        "Parquet files of your own are a store once each table has a directory: put them into DIR/sources/TABLE/, then run \
         `rollfit init DIR`",
    )
}

impl OfFormat {
    /// The words of the command that imports the files; `notes` gets what it can't know.
    fn command(&self, format: Format, trial: &FileTrial, into: &str, notes: &mut Vec<String>) -> Vec<String> {
        let mut words =
            ["rollfit", "import", "--format", format.name(), "--into"].map(str::to_owned).to_vec();
        words.push(shell_word(into));
        let is_unnamed = |file: &PathBuf| !is_packed(file) && key_of_path(file).is_none();
        if let Some(column) = &trial.key_column {
            words.extend(["--key-column".to_owned(), shell_word(column)]);
        } else if trial.needs_key || self.files.iter().any(is_unnamed) {
            words.extend(self.key(notes));
        }
        if trial.needs_zone {
            words.extend(["--timezone".to_owned(), ZONE.to_owned()]);
            notes.push(format!(
                "the files don't say their time zone: put it in the place of {ZONE}, such as UTC or Europe/Athens"
            ));
        }
        words.extend(self.short_arguments());
        words
    }

    /// What says the keys of files whose paths don't: the name of the only one, that of each, or a word in the place of it.
    fn key(&self, notes: &mut Vec<String>) -> Vec<String> {
        let name = |file: &PathBuf| Some(file.file_name()?.to_str()?.split('.').next()?.to_owned());
        let of_only = match self.files.as_slice() {
            [only] => name(only).filter(|key| check_key(key).is_ok()),
            _ => None,
        };
        if let Some(key) = of_only {
            return vec!["--key".to_owned(), key];
        }
        let keys: BTreeSet<String> = self.files.iter().filter_map(|file| key_of_name(file).ok()).collect();
        let is_known = |file: &PathBuf| key_of_path(file).is_some();
        // Names that differ in numbers alone may be pieces of one key.
        let words: BTreeSet<String> =
            keys.iter().map(|key| key.replace(|c: char| c.is_ascii_digit(), "")).collect();
        let is_key_each = keys.len() == self.files.len()
            && words.len() > 1
            && !keys.iter().any(|key| looks_like_date(key))
            && !self.files.iter().any(is_known);
        if is_key_each {
            notes.push(format!("the key of each file is its name: {}", few(&keys)));
            return vec!["--key-from-name".to_owned()];
        }
        let why = format!(
            "the files' names don't say their keys: import those of each key with a command of its own, its key in the place of \
             {KEY}, or a column of keys with --key-column"
        );
        notes.push(why);
        vec!["--key".to_owned(), shell_word(KEY)]
    }

    /// The arguments for a shell: where one pattern means the same files, that.
    fn short_arguments(&self) -> Vec<String> {
        const LISTED_MAX: usize = 3;
        let word = |path: &PathBuf| shell_word(&path.to_string_lossy());
        if self.arguments.len() > LISTED_MAX
            && let Some(pattern) = self.pattern()
        {
            return vec![pattern];
        }
        self.arguments.iter().map(word).collect()
    }

    /// The pattern of names that means these arguments and nothing else; none where there is none.
    fn pattern(&self) -> Option<String> {
        let first = self.arguments.first()?;
        let (dir, ending) = (first.parent()?, first.extension()?.to_str()?);
        let named: BTreeSet<&OsStr> = self.arguments.iter().filter_map(|path| path.file_name()).collect();
        let is_beside = |path: &PathBuf| path.parent() == Some(dir);
        let is_plain = ending.chars().all(|c| c.is_ascii_alphanumeric())
            && !named.iter().any(|name| name.as_encoded_bytes().starts_with(b"-"));
        let here = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        let matched: BTreeSet<OsString> = fs::read_dir(here)
            .ok()?
            .flatten()
            .map(|entry| entry.file_name())
            .filter(|name| {
                !name.as_encoded_bytes().starts_with(b".")
                    && Path::new(name).extension() == Some(OsStr::new(ending))
            })
            .collect();
        let is_same = matched.iter().map(OsString::as_os_str).collect::<BTreeSet<_>>() == named;
        let prefix =
            if dir.as_os_str().is_empty() { String::new() } else { shell_word(&dir.to_string_lossy()) + "/" };
        (is_plain && is_same && self.arguments.iter().all(is_beside)).then(|| format!("{prefix}*.{ending}"))
    }

    fn smallest(&self) -> &Path {
        let bytes = |file: &&PathBuf| fs::metadata(file).map_or(u64::MAX, |status| status.len());
        self.files.iter().min_by_key(bytes).map_or(Path::new(""), PathBuf::as_path)
    }
}

/// What is to be filled in before a command can be run, as a clause; empty where nothing is.
pub(super) fn blanks(command: &str) -> String {
    let what = [(format!("--timezone {ZONE}"), "the time zone", ZONE), (shell_word(KEY), "the key", KEY)];
    let blanks = what.iter().filter(|(text, ..)| command.contains(text));
    let blanks: Vec<String> =
        blanks.map(|(_, what, word)| format!("with {what} in the place of {word}")).collect();
    blanks.join(", ")
}

/// Whether a name is one of a month or a day rather than of a key: it has a year in it.
fn looks_like_date(name: &str) -> bool {
    let mut numbers = name.split(|c: char| !c.is_ascii_digit());
    numbers.any(|number| number.len() >= 4 && (number.starts_with("19") || number.starts_with("20")))
}

/// Whether a file may be named otherwise inside.
fn is_packed(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("zip"))
}

/// An argument as a shell takes it, whatever its characters.
pub(super) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%".contains(c);
    let text = foreign::printable(text, usize::MAX);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_a_shell_is_quoted_where_it_has_to_be() {
        assert_eq!(shell_word("a/b-c.csv"), "a/b-c.csv");
        assert_eq!(shell_word("a b's"), r"'a b'\''s'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn the_command_names_format_key_and_zone_as_far_as_they_can_be_told() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let command = |paths: &[PathBuf]| {
            let found = BarFiles::new(paths, "parquet:./store").unwrap_or_else(|error| panic!("{error:?}"));
            (found.commands.join("\n").replace(&dir.path().display().to_string(), "D"), found.notes)
        };
        let begin = "rollfit import --format";
        let histdata = write("DAT_ASCII_EURUSD_M1_2017.csv", "20170103 000000;1.05;1.05;1.05;1.05;0\n");
        let wanted = format!("{begin} histdata --into parquet:./store D/DAT_ASCII_EURUSD_M1_2017.csv");
        assert_eq!(command(std::slice::from_ref(&histdata)), (wanted, vec![]));
        let csv = write("gbpusd.csv", "time,close\n2017-01-03 00:00,1.2\n");
        let (text, notes) = command(std::slice::from_ref(&csv));
        assert_eq!(
            text,
            format!("{begin} csv --into parquet:./store --key gbpusd --timezone ZONE D/gbpusd.csv")
        );
        assert!(notes[0].contains("ZONE"), "{notes:?}");
        let (text, _) = command(&[dir.path().to_owned()]);
        assert_eq!(text.lines().count(), 2, "{text}");
        let other = write("notes.txt", "hello\n");
        assert!(BarFiles::new(std::slice::from_ref(&other), "x").is_err());
        assert!(command(&[csv, other]).1.iter().any(|note| note.contains("not recognized as bars")));
        let wrong = write("a.csv", "time,close\n2017-01-03T00:00Z,x\n");
        let refused = BarFiles::new(&[wrong], "x").map(|_| ()).unwrap_err();
        assert!(refused.lines()[0].starts_with("the import would stop: "), "{refused:?}");
    }

    #[test]
    fn names_with_a_year_are_no_keys() {
        for date in ["2017-01", "bars_2017", "20170103", "1999"] {
            assert!(looks_like_date(date), "{date}");
        }
        for key in ["eurusd", "us500", "600519.sh", "btc-usd", "es1"] {
            assert!(!looks_like_date(key), "{key}");
        }
    }
}
