//! [`Journal`]: a file system that records what was written and made durable, and then gives the files that a crash of the
//! machine may leave: of what was not made durable any part, in any combination.
//!
//! A name is created, moved or removed for good once its directory is synced after that; before, each such step is there
//! after the crash or not, whatever became of the others. Contents are there once the file is synced; before, there are some of
//! its bytes, none, zeros or anything else where room was set aside, with what a last piece was padded with or without.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rollfit_parquet::{FileSystem, OsFileSystem, RawFile};

use super::relative;
use super::script::{ALIGN, PIECE_BYTES, check_alignment};

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// One step, with paths as seen from the store; a file that is created has the number of its step.
#[derive(Clone)]
enum Step {
    Create(String),
    Write(usize, u64, Vec<u8>),
    /// The file has this length from now on, because room was set aside or it was cut.
    Length(usize, u64),
    SyncFile(usize),
    Rename(String, String),
    /// Of two directories.
    Exchange(String, String),
    /// With the directories that were in it.
    SyncDir(String, BTreeSet<String>),
    Remove(String),
}

impl Step {
    /// The directory whose names it changes.
    fn changed_dir(&self) -> Option<&str> {
        match self {
            Self::Create(path) | Self::Rename(_, path) | Self::Remove(path) | Self::Exchange(_, path) => {
                Some(parent(path))
            }
            _ => None,
        }
    }

    /// Whether it changes what is in a file.
    fn is_of(&self, file: usize) -> bool {
        matches!(self, Self::Write(number, ..) | Self::Length(number, _) if *number == file)
    }

    /// How far into its file it reaches.
    fn end(&self) -> usize {
        match self {
            Self::Write(_, offset, bytes) => *offset as usize + bytes.len(),
            Self::Length(_, bytes) => *bytes as usize,
            _ => 0,
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
    /// The room that was set aside, with what lay there before.
    Garbage,
    /// All but the last byte.
    AllButOne,
    /// All that was written, but the file was never cut to its length.
    Uncut,
    /// The lengths, but nothing that was written.
    Lengths,
}

impl Torn {
    const ALL: [Self; 9] = [
        Self::Whole,
        Self::Empty,
        Self::Half,
        Self::Sectors,
        Self::Zeros,
        Self::Garbage,
        Self::AllButOne,
        Self::Uncut,
        Self::Lengths,
    ];

    /// What there is of a file that was synced as `synced`, after the steps `open`.
    fn of(self, synced: &[u8], open: &[&Step]) -> Vec<u8> {
        const SECTOR_BYTES: usize = 512;
        let kept = synced.len();
        let whole = applied(synced, open, |_| true);
        let end = whole.len();
        let cut = |bytes: usize| whole[..bytes.max(kept).min(end)].to_vec();
        let filled = |bytes: usize, with: u8| {
            let mut file = synced.to_vec();
            file.resize(bytes.max(kept), with);
            file
        };
        match self {
            Self::Whole => whole,
            Self::Empty => synced.to_vec(),
            Self::Half => cut(end / 2),
            Self::Sectors => cut(end / SECTOR_BYTES * SECTOR_BYTES),
            Self::Zeros => filled(end, 0),
            Self::Garbage => filled(open.iter().map(|step| step.end()).max().unwrap_or(0), 0xa5),
            Self::AllButOne => cut(end.saturating_sub(1)),
            Self::Uncut => applied(synced, open, |step| !matches!(step, Step::Length(..))),
            Self::Lengths => applied(synced, open, |step| matches!(step, Step::Length(..))),
        }
    }
}

/// A file after those steps that are kept.
fn applied(synced: &[u8], steps: &[&Step], is_kept: impl Fn(&Step) -> bool) -> Vec<u8> {
    let mut file = synced.to_vec();
    for step in steps.iter().filter(|step| is_kept(step)) {
        match step {
            Step::Write(_, offset, bytes) => {
                let at = *offset as usize;
                file.resize(file.len().max(at + bytes.len()), 0);
                file[at..at + bytes.len()].copy_from_slice(bytes);
            }
            Step::Length(_, bytes) => file.resize(*bytes as usize, 0),
            _ => {}
        }
    }
    file
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
                Step::Exchange(one, other) => {
                    now = exchanged(now, one, other);
                    if is_kept {
                        names = exchanged(names, one, other);
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
        let is_in = |step: &Step| matches!(step, Step::SyncDir(synced, dirs) if synced == parent(dir) && dirs.contains(dir));
        let is_synced = || steps.iter().any(is_in);
        dir.is_empty() || self.base_dirs.contains(dir) || is_synced() && self.has_dir(steps, parent(dir))
    }
}

/// The files by their names when two directories have exchanged theirs.
fn exchanged<T>(files: BTreeMap<String, T>, one: &str, other: &str) -> BTreeMap<String, T> {
    let renamed =
        |path: String| match (path.strip_prefix(&format!("{one}/")), path.strip_prefix(&format!("{other}/")))
        {
            (Some(below), _) => format!("{other}/{below}"),
            (_, Some(below)) => format!("{one}/{below}"),
            _ => path,
        };
    files.into_iter().map(|(path, file)| (renamed(path), file)).collect()
}

/// Whether a step changes names of a directory that was not synced after it.
fn is_open(steps: &[Step], at: usize) -> bool {
    let Some(dir) = steps[at].changed_dir() else { return false };
    !steps[at..].iter().any(|step| matches!(step, Step::SyncDir(synced, _) if synced == dir))
}

/// What there is of the file that the step `at` created.
fn content(steps: &[Step], at: usize, torn: Torn) -> Vec<u8> {
    let (mut synced, mut open) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::SyncFile(file) if *file == at => {
                synced = applied(&synced, &open, |_| true);
                open.clear();
            }
            step if step.is_of(at) => open.push(step),
            _ => {}
        }
    }
    torn.of(&synced, &open)
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
    fn direct_piece_bytes(&self) -> usize {
        PIECE_BYTES
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn RawFile>> {
        let file = OsFileSystem.create(path)?;
        let number = self.add(Step::Create(self.seen(path)));
        Ok(Box::new(JournalFile { journal: self.clone(), number, file, is_direct: false }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFileSystem.rename(from, to)?;
        self.add(Step::Rename(self.seen(from), self.seen(to)));
        Ok(())
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        OsFileSystem.exchange(one, other)?;
        self.add(Step::Exchange(self.seen(one), self.seen(other)));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let entries = fs::read_dir(path)?.map(|entry| entry.unwrap().path());
        let dirs = entries.filter(|path| path.is_dir()).map(|path| self.seen(&path)).collect();
        self.add(Step::SyncDir(self.seen(path), dirs));
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
    file: Box<dyn RawFile>,
    is_direct: bool,
}

impl RawFile for JournalFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        /// A crash may keep the beginning of a write alone.
        const PART_BYTES: usize = 512;
        check_alignment(self.is_direct, bytes, offset);
        let written = self.file.write_at(bytes, offset)?;
        for (at, part) in bytes[..written].chunks(PART_BYTES).enumerate() {
            let offset = offset + (at * PART_BYTES) as u64;
            self.journal.add(Step::Write(self.number, offset, part.to_vec()));
        }
        Ok(written)
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)?;
        self.journal.add(Step::Length(self.number, bytes));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.journal.add(Step::SyncFile(self.number));
        Ok(())
    }

    fn id(&self) -> io::Result<(u64, u64)> {
        self.file.id()
    }

    fn direct_alignment(&self) -> Option<usize> {
        Some(ALIGN)
    }

    fn set_direct(&mut self, is_direct: bool) -> io::Result<()> {
        self.is_direct = is_direct;
        Ok(())
    }
}
