//! [`Journal`]: a file system that records what was written and made durable, and then gives the files that a crash of the
//! machine may leave: of what was not made durable any part, in any combination.
//!
//! A name is created, moved or removed for good once its directory is synced after that; before, each such step is there
//! after the crash or not, whatever became of the others. Contents are there once the file is synced; before, there are some of
//! its bytes, none, or zeros.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rollfit_parquet::{FileSystem, OsFileSystem, OutputFile};

use super::relative;

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// One step, with paths as seen from the store; a file that is created has the number of its step.
#[derive(Clone)]
enum Step {
    Create(String),
    Write(usize, Vec<u8>),
    SyncFile(usize),
    Rename(String, String),
    SyncDir(String),
    Remove(String),
}

impl Step {
    /// The directory whose names it changes.
    fn changed_dir(&self) -> Option<&str> {
        match self {
            Self::Create(path) | Self::Rename(_, path) | Self::Remove(path) => Some(parent(path)),
            _ => None,
        }
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// What there is of a file that was written and not synced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Torn {
    Whole,
    Empty,
    Half,
    Sectors,
    Zeros,
    /// All but the last byte.
    AllButOne,
}

impl Torn {
    const ALL: [Self; 6] =
        [Self::Whole, Self::Empty, Self::Half, Self::Sectors, Self::Zeros, Self::AllButOne];

    fn of(self, bytes: &[u8]) -> Vec<u8> {
        const SECTOR_BYTES: usize = 512;
        match self {
            Self::Whole => bytes.to_vec(),
            Self::Empty => Vec::new(),
            Self::Half => bytes[..bytes.len() / 2].to_vec(),
            Self::Sectors => bytes[..bytes.len() / SECTOR_BYTES * SECTOR_BYTES].to_vec(),
            Self::Zeros => vec![0; bytes.len()],
            Self::AllButOne => bytes[..bytes.len().saturating_sub(1)].to_vec(),
        }
    }
}

/// Records every step, and does it. Clones share the record.
#[derive(Clone)]
pub(crate) struct Journal {
    root: std::path::PathBuf,
    base: Arc<Files>,
    base_dirs: Arc<BTreeSet<String>>,
    steps: Arc<Mutex<Vec<Step>>>,
}

impl Journal {
    /// A journal of what happens below `root` from now on. What is there already is durable.
    pub(crate) fn new(root: &Path) -> Self {
        let mut dirs = BTreeSet::new();
        collect_dirs(root, root, &mut dirs);
        Self {
            root: root.to_owned(),
            base: Arc::new(super::tree_whole(root)),
            base_dirs: Arc::new(dirs),
            steps: Arc::default(),
        }
    }

    fn add(&self, step: Step) -> usize {
        let mut steps = self.steps.lock().unwrap();
        steps.push(step);
        steps.len() - 1
    }

    fn seen(&self, path: &Path) -> String {
        relative(&self.root, path)
    }

    /// The files that crashes at any moment may leave, each once: with all open steps, with none, with all but one and one
    /// alone, and with some.
    pub(crate) fn crashes(&self) -> BTreeSet<Files> {
        let steps = self.steps.lock().unwrap().clone();
        let mut random = fastrand::Rng::with_seed(11);
        let mut found = BTreeSet::new();
        for done in 0..=steps.len() {
            let steps = &steps[..done];
            let open: Vec<usize> = (0..done).filter(|&at| is_open(steps, at)).collect();
            let (none, all) = (BTreeSet::new(), open.iter().copied().collect::<BTreeSet<_>>());
            for torn in Torn::ALL {
                found.insert(self.after(steps, &all, torn, true));
            }
            found.insert(self.after(steps, &none, Torn::Empty, true));
            found.insert(self.after(steps, &none, Torn::Empty, false));
            let one = random.choice(&open).copied();
            let but_one = open.iter().copied().filter(|other| Some(*other) != one).collect();
            let some = open.iter().copied().filter(|_| random.bool()).collect();
            for kept in [one.into_iter().collect(), but_one, some] {
                let torn = random.choice(Torn::ALL).unwrap();
                found.insert(self.after(steps, &kept, torn, random.bool()));
            }
        }
        found
    }

    /// The files after a crash at which, of the open steps, those in `kept` had reached the disk.
    fn after(&self, steps: &[Step], kept: &BTreeSet<usize>, torn: Torn, has_new_dirs: bool) -> Files {
        let mut names: BTreeMap<String, Result<usize, &Vec<u8>>> =
            self.base.iter().map(|(path, bytes)| (path.clone(), Err(bytes))).collect();
        // A step that is kept needs no other: what it names is what it was when it happened.
        let mut now = names.clone();
        for (at, step) in steps.iter().enumerate() {
            let is_kept = !is_open(steps, at) || kept.contains(&at);
            match step {
                Step::Create(path) => {
                    now.insert(path.clone(), Ok(at));
                    is_kept.then(|| names.insert(path.clone(), Ok(at)));
                }
                Step::Rename(from, to) => {
                    let Some(file) = now.remove(from) else { continue };
                    now.insert(to.clone(), file);
                    if is_kept {
                        names.remove(from);
                        names.insert(to.clone(), file);
                    }
                }
                Step::Remove(path) => {
                    now.remove(path);
                    is_kept.then(|| names.remove(path));
                }
                _ => {}
            }
        }
        let content =
            |file: Result<usize, &Vec<u8>>| file.map_or_else(Clone::clone, |at| content(steps, at, torn));
        let is_there = |path: &String| has_new_dirs || self.has_dir(steps, parent(path));
        names
            .into_iter()
            .filter(|(path, _)| is_there(path))
            .map(|(path, file)| (path, content(file)))
            .collect()
    }

    /// Whether a directory is sure to be there: it was, or the one above was synced with it.
    fn has_dir(&self, steps: &[Step], dir: &str) -> bool {
        let is_synced =
            || steps.iter().any(|step| matches!(step, Step::SyncDir(synced) if synced == parent(dir)));
        dir.is_empty() || self.base_dirs.contains(dir) || is_synced() && self.has_dir(steps, parent(dir))
    }
}

/// Whether a step changes names of a directory that was not synced after it.
fn is_open(steps: &[Step], at: usize) -> bool {
    let Some(dir) = steps[at].changed_dir() else { return false };
    !steps[at..].iter().any(|step| matches!(step, Step::SyncDir(synced) if synced == dir))
}

/// What there is of the file that the step `at` created.
fn content(steps: &[Step], at: usize, torn: Torn) -> Vec<u8> {
    let (mut synced, mut written) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Write(file, bytes) if *file == at => written.extend_from_slice(bytes),
            Step::SyncFile(file) if *file == at => synced.append(&mut written),
            _ => {}
        }
    }
    synced.extend(torn.of(&written));
    synced
}

fn collect_dirs(root: &Path, dir: &Path, dirs: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            dirs.insert(relative(root, &path));
            collect_dirs(root, &path, dirs);
        }
    }
}

/// Makes a directory of these files.
pub(crate) fn restore(files: &Files) -> tempfile::TempDir {
    let dir = tempfile::TempDir::new().unwrap();
    for (path, bytes) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

impl FileSystem for Journal {
    fn create(&self, path: &Path) -> io::Result<Box<dyn OutputFile>> {
        let file = OsFileSystem.create(path)?;
        let number = self.add(Step::Create(self.seen(path)));
        Ok(Box::new(JournalFile { journal: self.clone(), number, file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFileSystem.rename(from, to)?;
        self.add(Step::Rename(self.seen(from), self.seen(to)));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.add(Step::SyncDir(self.seen(path)));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsFileSystem.remove(path)?;
        self.add(Step::Remove(self.seen(path)));
        Ok(())
    }
}

struct JournalFile {
    journal: Journal,
    number: usize,
    file: Box<dyn OutputFile>,
}

impl Write for JournalFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.journal.add(Step::Write(self.number, bytes[..written].to_vec()));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl OutputFile for JournalFile {
    fn sync(&mut self) -> io::Result<()> {
        self.journal.add(Step::SyncFile(self.number));
        Ok(())
    }
}
