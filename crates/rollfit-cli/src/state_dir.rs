//! [`StateDir`]: where the records of runs are kept: `$ROLLFIT_STATE_DIR`, else `rollfit` in the user's state directory of
//! the XDG base directory specification.
//!
//! Invariants: `runs/RUN.jsonl` is the record of a run, `runs/RUN.live.json` how it is now, gone when it has ended. A
//! process that runs holds a lock on its record, so that others know it from one that was killed. A run
//! needs nothing here: without such a directory, or if its disk is full, it continues without a record. What is not a record, or
//! has lost its beginning, is never taken for the newest.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufReader};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rollfit_job::nearest::did_you_mean;
use rollfit_job::record::{Header, Record, RecordError};
use rollfit_job::{error_chain, foreign};

use crate::exit::Failure;
use crate::logging;
use crate::paths::full_name;

const RECORD_ENDING: &str = ".jsonl";
const LIVE_ENDING: &str = ".live.json";
/// How many records are kept, and how many bytes of them.
const RECORDS_MAX: usize = 100;
const RECORDS_BYTES_MAX: u64 = 256_000_000;

/// The directory of records; none where the environment names none and the user has no home.
pub(crate) struct StateDir {
    runs: Option<PathBuf>,
}

/// The record of a run.
#[derive(Clone, Debug)]
pub(crate) struct RunFile {
    /// The run's name.
    pub(crate) run: String,
    /// The record.
    pub(crate) path: PathBuf,
    bytes: u64,
    modified: SystemTime,
}

impl RunFile {
    /// Whether it is named as runs are, by the second in which they start: others are files of somebody else.
    pub(crate) fn has_name_of_run(&self) -> bool {
        let start = self.run.split('-').next().unwrap_or_default();
        jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", start).is_ok()
    }

    /// Orders runs by their start: names start with the second in which the run started. A follower's record, whose name ends
    /// with a number, comes after that of its run, which is finished once the follower's is there.
    fn age(&self) -> (Option<&str>, Option<u32>, SystemTime) {
        let number = self.run.rsplit_once("-f").and_then(|(_, number)| number.parse().ok());
        (self.run.split('-').next(), number, self.modified)
    }
}

impl StateDir {
    /// The directory as the environment names it. Creates nothing.
    pub(crate) fn open() -> Self {
        let named = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty());
        // The specification has relative paths of its variables ignored.
        let state_home = named("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let in_home =
            || std::env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(".local/state"));
        let dir = named("ROLLFIT_STATE_DIR")
            .map(PathBuf::from)
            .or_else(|| state_home.or_else(in_home).map(|state| state.join("rollfit")));
        Self { runs: dir.map(|dir| dir.join("runs")) }
    }

    /// The records below a directory of a test.
    #[cfg(test)]
    pub(crate) fn at(dir: &Path) -> Self {
        Self { runs: Some(dir.join("runs")) }
    }

    fn entries(&self) -> impl Iterator<Item = fs::DirEntry> {
        let entries = self.runs.as_ref().and_then(|runs| fs::read_dir(runs).ok());
        entries.into_iter().flatten().flatten()
    }

    /// The records there are, the newest first.
    pub(crate) fn runs(&self) -> Vec<RunFile> {
        // One that has no first line yet cannot be read: its run has just started, or its disk is full.
        self.records().into_iter().filter(|run| run.bytes > 0).collect()
    }

    fn records(&self) -> Vec<RunFile> {
        let mut records: Vec<RunFile> = self.entries().filter_map(|entry| run_file(&entry)).collect();
        records.sort_by(|a, b| b.age().cmp(&a.age()));
        records
    }

    /// The records of the runs that are meant, the newest first, but for those of followers. Records that cannot be read are
    /// skipped.
    pub(crate) fn records_of(
        &self,
        is_meant: impl Fn(&RunFile, &Header) -> bool,
    ) -> impl Iterator<Item = Record> {
        let is_meant = move |run: &RunFile| {
            header(&run.path).is_some_and(|header| header.follows.is_none() && is_meant(run, &header))
        };
        self.runs().into_iter().filter(is_meant).filter_map(|run| read(&run.path).ok())
    }

    /// The records of the runs of `config`, or of all runs, the newest first. Those whose beginning is damaged may be any run's.
    pub(crate) fn records_with_config(&self, config: Option<&Path>) -> impl Iterator<Item = RunFile> {
        // As a record's texts are read: printable.
        let name = |config: &Path| foreign::message(&full_name(config).display().to_string()).into_owned();
        let config = config.map(name);
        let is_of_config =
            move |header: Header| config.as_ref().is_none_or(|config| header.config == *config);
        let is_meant = move |run: &RunFile| match header(&run.path) {
            Some(header) => is_of_config(header),
            None => run.has_name_of_run(),
        };
        self.runs().into_iter().filter(is_meant)
    }

    /// The newest record of a run of `config`, or of any run, that has written something or is still running; but for those of followers.
    /// Those that are damaged are passed over with a warning.
    pub(crate) fn newest(&self, config: Option<&Path>) -> Result<PathBuf, Failure> {
        let is_of_run = |path: &PathBuf| header(path).is_none_or(|header| header.follows.is_none());
        let mut runs = self.records_with_config(config).map(|run| run.path).filter(is_of_run).peekable();
        let first = runs.peek().cloned();
        let newest = first_readable(runs.filter(|path| is_running(path) || has_written(path)));
        if let Some(newest) = newest {
            return Ok(newest);
        }
        let of = config.map_or(String::new(), |config| format!(" of {}", config.display()));
        Err(Failure::usage(match first.as_deref().and_then(header) {
            Some(Header { run, .. }) => format!(
                "no run{of} has written anything, the newest ({run}) neither; `rollfit status {run}` shows its result, and \
                 `rollfit analyze {run}` where its time went"
            ),
            None if config.is_none() => {
                format!("found no record of a run{}; `rollfit run` writes one", self.place())
            }
            None => format!(
                "found no record of a run{of}{}; `rollfit run` writes one, `rollfit runs` lists those of all jobs",
                self.place()
            ),
        }))
    }

    /// The record that is meant by a path, a run's name or the beginning of one.
    pub(crate) fn find(&self, name: &str) -> Result<PathBuf, Failure> {
        let runs = self.runs();
        if name.contains('/') || Path::new(name).is_file() {
            return Ok(PathBuf::from(name));
        }
        if let Some(run) = runs.iter().find(|run| run.run == name) {
            return Ok(run.path.clone());
        }
        match runs.iter().filter(|run| run.run.starts_with(name)).collect::<Vec<_>>()[..] {
            [run] => Ok(run.path.clone()),
            [] => Err(self.unknown(name, &runs)),
            [first, .., last] => Err(Failure::usage(format!(
                "several runs start with `{name}`, from {} to {}; write more of the name",
                last.run, first.run
            ))),
        }
    }

    /// What to say of a name that no run has.
    fn unknown(&self, name: &str, runs: &[RunFile]) -> Failure {
        // Longer than any name, and long to compare with many.
        const NAME_BYTES_MAX: usize = 100;
        let names = runs.iter().filter(|_| name.len() <= NAME_BYTES_MAX).map(|run| run.run.as_str());
        let nearest = did_you_mean(name, names);
        let name = foreign::name(name);
        let place = self.place();
        Failure::usage(format!(
            "found no file and no run called `{name}`{place}; {nearest}`rollfit runs` lists the runs"
        ))
    }

    /// For messages: where records are looked for.
    pub(crate) fn place(&self) -> String {
        match &self.runs {
            Some(runs) => format!(" in {}", runs.display()),
            None => ": this user has no home directory, and ROLLFIT_STATE_DIR names none".to_owned(),
        }
    }

    /// Makes the record of a new run, locked until the file is closed.
    pub(crate) fn create(&self, run: &str) -> Result<(PathBuf, File), String> {
        const ADVICE: &str = "set ROLLFIT_STATE_DIR to use another directory";
        let Some(runs) = &self.runs else { return Err(format!("this user has no home directory; {ADVICE}")) };
        let cannot = |path: &Path, error| format!("cannot create {}: {error}; {ADVICE}", path.display());
        let directory = DirBuilder::new().recursive(true).mode(0o700).create(runs);
        directory.map_err(|error| cannot(runs, error))?;
        let path = runs.join(format!("{run}{RECORD_ENDING}"));
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error: io::Error| cannot(&path, error))?;
        if !lock_briefly(&file) {
            let path = path.display();
            logging::warn(&format!(
                "another process has locked {path}, the record of this run; `rollfit status` may not see its end"
            ));
        }
        Ok((path, file))
    }

    /// Removes the oldest records beyond what is kept, and what killed runs left beside theirs.
    pub(crate) fn prune(&self) {
        self.prune_unfinished();
        let (mut records, mut bytes) = (0, 0);
        for run in self.records() {
            records += 1;
            bytes += run.bytes;
            if is_running(&run.path) {
                continue;
            }
            let _ = fs::remove_file(live_path(&run.path));
            if records > RECORDS_MAX || bytes > RECORDS_BYTES_MAX {
                let _ = fs::remove_file(&run.path);
            }
        }
    }

    fn prune_unfinished(&self) {
        for entry in self.entries().filter(is_unfinished) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The first of some records, the newest first, that can be read. Warns of those before it, unless none can be: then it is the first one,
/// and whoever reads it says why.
pub(crate) fn first_readable(mut records: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let mut damaged = Vec::new();
    let readable = records.by_ref().find(|path| match read(path) {
        Ok(_) => true,
        // A record that is gone by now was pruned.
        Err(failure) => {
            damaged.extend(path.exists().then(|| (path.clone(), failure)));
            false
        }
    });
    if readable.is_none() {
        return damaged.into_iter().next().map(|(path, _)| path);
    }
    for (_, failure) in damaged {
        logging::warn(&format!("{}; the newest run that can be read is shown", failure.lines().join("; ")));
    }
    readable
}

/// Whether the run of a record has written something, as far as that goes. One that cannot be read has: whoever reads it says why.
fn has_written(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    Record::has_written(BufReader::new(file)).unwrap_or(true)
}

/// Locks a new record, which others lock for a moment to see whether its run is there. Where the file system has no locks, the
/// age of the live file decides. Returns whether nobody was in the way.
fn lock_briefly(record: &File) -> bool {
    const ATTEMPTS: u32 = 100;
    const PAUSE: Duration = Duration::from_millis(10);
    (0..ATTEMPTS).any(|attempt| {
        if attempt > 0 {
            std::thread::sleep(PAUSE);
        }
        !matches!(record.try_lock(), Err(TryLockError::WouldBlock))
    })
}

/// A file that was to replace another, of a process that has been gone for long.
fn is_unfinished(entry: &fs::DirEntry) -> bool {
    const ABANDONED: Duration = Duration::from_secs(3600);
    let name = entry.file_name();
    let is_named_so = name.to_string_lossy().starts_with('.') && name.to_string_lossy().ends_with(".tmp");
    let changed = entry.metadata().and_then(|metadata| metadata.modified());
    is_named_so && changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age > ABANDONED))
}

fn run_file(entry: &fs::DirEntry) -> Option<RunFile> {
    let name = entry.file_name().into_string().ok()?;
    let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
    Some(RunFile {
        run: name.strip_suffix(RECORD_ENDING)?.to_owned(),
        path: entry.path(),
        bytes: metadata.len(),
        modified: metadata.modified().ok()?,
    })
}

/// The file of how a run is now, beside its record.
pub(crate) fn live_path(record: &Path) -> PathBuf {
    let name = record.file_name().unwrap_or_default().to_string_lossy();
    record.with_file_name(format!("{}{LIVE_ENDING}", name.strip_suffix(RECORD_ENDING).unwrap_or(&name)))
}

/// Whether the process that writes this record is still there.
pub(crate) fn is_running(record: &Path) -> bool {
    const FRESH_S: u64 = 10;
    let Ok(file) = File::open(record) else { return false };
    match file.try_lock_shared() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => {
            let changed = fs::metadata(live_path(record)).and_then(|live| live.modified());
            changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age.as_secs() < FRESH_S))
        }
    }
}

/// The first line of a record; none where it cannot be read.
pub(crate) fn header(path: &Path) -> Option<Header> {
    Record::read_header(BufReader::new(File::open(path).ok()?)).ok()
}

/// Reads a record, and whether its run was killed.
pub(crate) fn read(path: &Path) -> Result<Record, Failure> {
    // Before it is read: a run that ends meanwhile was not killed.
    let is_running = is_running(path);
    let open = || File::open(path).map_err(RecordError::from);
    let record = open().and_then(|file| Record::read(BufReader::new(file)));
    record.map(|record| Record { was_killed: !is_running && record.end.is_none(), ..record }).map_err(
        |error| {
            let colon = if matches!(error, RecordError::Line { .. }) { ":" } else { "" };
            Failure::failed(format!("the record {}{colon} {}", path.display(), error_chain(&error)))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_another_process_has_locked_is_not_waited_for_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.jsonl");
        let (record, other) = (File::create(&path).unwrap(), File::open(&path).unwrap());
        other.lock().unwrap();
        assert!(!lock_briefly(&record));
        other.unlock().unwrap();
        assert!(lock_briefly(&record));
        assert!(is_running(&path));
        drop(record);
        assert!(!is_running(&path));
    }

    #[test]
    fn a_record_without_an_end_that_nobody_writes_is_one_of_a_killed_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.jsonl");
        let whole = rollfit_testkit::record::made(3, 1);
        let broken_off = Record { end: None, ..whole.clone() };
        std::fs::write(&path, rollfit_testkit::record::lines(broken_off)).unwrap();
        let writer = File::open(&path).unwrap();
        writer.lock().unwrap();
        assert!(!read(&path).unwrap().was_killed, "it is running");
        drop(writer);
        assert!(read(&path).unwrap().was_killed);
        std::fs::write(&path, rollfit_testkit::record::lines(whole)).unwrap();
        assert!(!read(&path).unwrap().was_killed);
    }

    #[test]
    fn a_look_at_a_record_does_not_keep_its_run_from_locking_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.jsonl");
        let (record, look) = (File::create(&path).unwrap(), File::open(&path).unwrap());
        look.lock_shared().unwrap();
        std::thread::scope(|scope| {
            let locked = scope.spawn(|| lock_briefly(&record));
            std::thread::sleep(Duration::from_millis(50));
            look.unlock().unwrap();
            assert!(locked.join().unwrap());
        });
    }
}
