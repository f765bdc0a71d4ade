//! Readers of the sources beside imports: they take no lock, see the rows of one import, and wait for nobody whose files they
//! do not read.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rollfit_bars::KeyBars;
use rollfit_job::error_chain;
use rollfit_job::plan::partitions;
use rollfit_job::run::Outcome;
use rollfit_job::selection::Selection;
use rollfit_job::store::{Fault, SeriesRows, Source, StoreError};
use rollfit_parquet::{FileSystem, OsFileSystem, ParquetStore, RawFile};
use tempfile::TempDir;

use crate::support::market::{
    KEYS, MONTHS, all_rows, bars, config, config_with, import, key_bars, partition, run_all, run_undisturbed,
};
use crate::support::script::{Fate, Operation, Script, Unsynced};
use crate::support::{assert_says, copy_tree, tree};

/// So many that no file is small enough to be kept in memory.
const ROWS: usize = 800;
const FEW_ROWS: usize = 30;
const LIST: &str = "sources/.import";
const LOCK: &str = "sources/.lock";
const GENERATION: &str = "sources/.generation";

// ---------------------------------------------------------------------------------------------- helpers

/// The file system of this machine, but something happens before a file is opened, and locks are waited for as long as said.
struct Beside<F> {
    before_open: F,
    patience: Duration,
}

impl<F: Fn() + Send + Sync> FileSystem for Beside<F> {
    fn open(&self, path: &Path) -> io::Result<(File, Metadata)> {
        (self.before_open)();
        OsFileSystem.open(path)
    }

    fn lock_patience(&self) -> Duration {
        self.patience
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn RawFile>> {
        Unsynced.create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Unsynced.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        Unsynced.sync_dir(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Unsynced.remove(path)
    }
}

/// The file system of this machine for those who do not wait long for locks.
fn impatient(patience: Duration) -> Box<dyn FileSystem> {
    Box::new(Beside { before_open: || (), patience })
}

/// Bars of all keys that do not compress.
fn noisy_bars(rows: usize, version: u32) -> Vec<KeyBars> {
    KEYS.iter().map(|key| noisy_bars_of(key, rows, version)).collect()
}

fn noisy_bars_of(key: &str, rows: usize, version: u32) -> KeyBars {
    let mut bars = bars(key, &MONTHS, rows, version).bars().to_vec();
    let mut noise = fastrand::Rng::with_seed(version.into());
    bars.iter_mut().for_each(|bar| bar.close += noise.f64());
    key_bars(key, bars)
}

/// A store with both keys and both months.
fn store() -> TempDir {
    let dir = TempDir::new().unwrap();
    import(dir.path(), &noisy_bars(ROWS, 0), &Unsynced).unwrap();
    dir
}

fn copy_of(dir: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    copy_tree(dir, copy.path());
    copy
}

/// Has the source files be some seconds old: only such are kept in memory.
fn age(dir: &Path) {
    for table in fs::read_dir(dir.join("sources")).unwrap().map(|table| table.unwrap().path()) {
        let files = fs::read_dir(table).into_iter().flatten().map(|file| file.unwrap().path());
        for file in files {
            let file = File::options().write(true).open(file).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(10)).unwrap();
        }
    }
}

/// Imports another version of all bars, and one more of each month.
fn import_version(dir: &Path, version: u32, files: &dyn FileSystem) -> Result<(), StoreError> {
    import(dir, &noisy_bars(ROWS + 1, version), files).map(drop)
}

/// The rows of a key's second month and the last ones before it, of both series.
fn rows_of(store: &ParquetStore, key: &str) -> Result<Vec<SeriesRows>, StoreError> {
    let (config, one) = (config(), partition(key, MONTHS[1]));
    let mut snapshot = store.snapshot(&config.series_of_key(key), one.period, 20)?;
    let span_us = one.period.span_us();
    let mut rows = Vec::new();
    for series in 0..config.series.len() {
        rows.push(snapshot.rows(series, span_us.clone())?);
        rows.push(snapshot.rows_before(series, span_us.start, 20)?);
    }
    Ok(rows)
}

fn read(dir: &Path, files: Box<dyn FileSystem>) -> Result<Vec<SeriesRows>, StoreError> {
    rows_of(&ParquetStore::open_with(dir, &config(), files).unwrap(), "aaa")
}

fn read_plainly(dir: &Path) -> Vec<SeriesRows> {
    read(dir, Box::new(OsFileSystem)).unwrap()
}

/// Kills an import of some keys after its list is there and some files were moved.
fn leave_unfinished(dir: &Path, keys: &[&str]) {
    leave_unfinished_before(dir, keys, 4);
}

/// Kills an import so many operations before it removes its list.
fn leave_unfinished_before(dir: &Path, keys: &[&str], left: usize) {
    let bars: Vec<_> = keys.iter().map(|key| noisy_bars_of(key, ROWS + 2, 7)).collect();
    let undisturbed = copy_of(dir);
    let script = Script::new(undisturbed.path(), Fate::Undisturbed);
    import(undisturbed.path(), &bars, &script).unwrap();
    let is_last = |operation: &Operation| *operation == Operation::Remove(LIST.to_owned());
    let last = script.all_operations().iter().position(is_last).unwrap();
    assert!(import(dir, &bars, &Script::new(dir, Fate::KillAt(last - left))).is_err());
    assert!(dir.join(LIST).exists());
}

/// Locks what those who put files in place lock.
fn hold(dir: &Path) -> File {
    let lock = File::open(dir.join(LOCK)).unwrap();
    lock.lock().unwrap();
    lock
}

// ------------------------------------------------------------------------------- an import beside a reader

/// Reads while `import` happens before the file number `at` is opened; none where fewer are opened.
fn read_beside(
    dir: &Path,
    at: usize,
    import: impl Fn(&Path) + Send + Sync + 'static,
) -> Option<Vec<SeriesRows>> {
    let (path, opened) = (dir.to_owned(), AtomicUsize::new(0));
    let happened = std::sync::Arc::new(AtomicBool::new(false));
    let happens = happened.clone();
    let before_open = move || {
        if opened.fetch_add(1, Ordering::SeqCst) == at {
            happens.store(true, Ordering::SeqCst);
            import(&path);
        }
    };
    let found = read(dir, Box::new(Beside { before_open, patience: Duration::from_secs(60) }));
    happened.load(Ordering::SeqCst).then(|| found.unwrap())
}

/// Checks reads with `import` at each file that is opened; returns how many there were.
fn check_beside(import: impl Fn(&Path) + Send + Sync + Clone + 'static) -> usize {
    check_store_beside(&store(), import)
}

fn check_store_beside(dir: &TempDir, import: impl Fn(&Path) + Send + Sync + Clone + 'static) -> usize {
    let old = read_plainly(dir.path());
    let mut at = 0;
    loop {
        let copy = copy_of(dir.path());
        age(copy.path());
        let Some(found) = read_beside(copy.path(), at, import.clone()) else { return at };
        let new = read_plainly(copy.path());
        assert_ne!(new, old, "at {at} nothing was imported");
        assert!(found == old || found == new, "rows of two imports, at file {at}");
        at += 1;
    }
}

#[test]
fn an_import_between_any_two_files_that_a_reader_opens_is_read_whole_or_not_at_all() {
    assert!(check_beside(|dir| import_version(dir, 1, &Unsynced).unwrap()) >= 8);
}

#[test]
fn a_selection_opens_the_files_of_its_keys_alone() {
    let (dir, config) = (store(), config());
    let planned = |only: &[&str]| {
        let opened = std::sync::Arc::new(AtomicUsize::new(0));
        let count = opened.clone();
        let before_open = move || {
            count.fetch_add(1, Ordering::SeqCst);
        };
        let files = Box::new(Beside { before_open, patience: Duration::from_secs(60) });
        let store = ParquetStore::open_with(dir.path(), &config, files).unwrap();
        let only: Selection = only.iter().map(|key| key.parse().unwrap()).collect();
        let planned = partitions(&config, &store, &store, &only).unwrap().len();
        (planned, opened.load(Ordering::SeqCst))
    };
    // The months are those of the first series.
    assert_eq!(planned(&["aaa"]), (MONTHS.len(), MONTHS.len()));
    let all = KEYS.len() * MONTHS.len();
    assert_eq!(planned(&[]), (all, all));
}

#[test]
fn an_import_beside_a_reader_of_small_files_is_read_whole_or_not_at_all() {
    // Each is opened once, and kept.
    let dir = TempDir::new().unwrap();
    import(dir.path(), &noisy_bars(FEW_ROWS, 0), &Unsynced).unwrap();
    let more = |dir: &Path| import(dir, &noisy_bars(FEW_ROWS + 1, 1), &Unsynced).map(drop).unwrap();
    assert!(check_store_beside(&dir, more) >= 4);
}

#[test]
fn an_import_of_an_earlier_version_beside_a_reader_is_read_whole_or_not_at_all() {
    let earlier = |dir: &Path| {
        import_version(dir, 1, &Unsynced).unwrap();
        let _ = fs::remove_file(dir.join(GENERATION));
    };
    let dir = store();
    fs::remove_file(dir.path().join(GENERATION)).unwrap();
    let old = read_plainly(dir.path());
    for at in 0.. {
        let copy = copy_of(dir.path());
        let Some(found) = read_beside(copy.path(), at, earlier) else {
            assert!(at >= 8, "{at}");
            break;
        };
        assert!(!copy.path().join(GENERATION).exists());
        assert!(found == old || found == read_plainly(copy.path()), "rows of two imports, at file {at}");
    }
}

#[test]
fn an_import_that_is_killed_beside_a_reader_is_read_whole_or_not_at_all() {
    for left in [0, 5, 11] {
        let killed = move |dir: &Path| leave_unfinished_before(dir, &KEYS, left);
        assert!(check_beside(killed) >= 8);
    }
}

#[test]
fn two_imports_beside_a_reader_that_end_where_they_began_do_not_mix_either() {
    // The number of the generation is then the same, and so are the rows of one of the tables.
    let back = |dir: &Path| {
        let generation = fs::read(dir.join(GENERATION)).unwrap();
        import_version(dir, 1, &Unsynced).unwrap();
        fs::remove_file(dir.join(GENERATION)).unwrap();
        fs::write(dir.join(GENERATION), generation).unwrap();
    };
    assert!(check_beside(back) >= 8);
}

#[test]
fn readers_and_imports_side_by_side_give_rows_of_one_import_each() {
    const IMPORTS: u32 = 40;
    let dir = store();
    let path = dir.path();
    let mut versions = Vec::new();
    for version in [1, 2] {
        import_version(path, version, &Unsynced).unwrap();
        versions.push(read_plainly(path));
    }
    let (is_done, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_done.load(Ordering::SeqCst) {
                    assert!(versions.contains(&read(path, Box::new(Unsynced)).unwrap()));
                    reads.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for import in 0..IMPORTS {
            import_version(path, import % 2 + 1, &Unsynced).unwrap();
        }
        is_done.store(true, Ordering::SeqCst);
    });
    assert!(reads.into_inner() > 10);
}

#[test]
fn sources_that_never_rest_are_an_error_that_says_so() {
    let dir = store();
    let (path, version) = (dir.path().to_owned(), AtomicUsize::new(1));
    let before_open = move || {
        let version = version.fetch_add(1, Ordering::SeqCst) as u32;
        import_version(&path, version, &Unsynced).unwrap();
    };
    let error = read(dir.path(), Box::new(Beside { before_open, patience: Duration::ZERO })).unwrap_err();
    assert_eq!(error.fault(), Fault::Transient);
    assert_says(&error.to_string(), &["/sources: the sources changed each of the 3 times", "try again"]);
}

// ------------------------------------------------------------------------------------------- generations

fn generation(dir: &Path) -> Option<String> {
    fs::read_to_string(dir.join(GENERATION)).ok()
}

#[test]
fn each_import_that_changes_something_raises_the_generation() {
    let dir = TempDir::new().unwrap();
    import(dir.path(), &noisy_bars(ROWS, 0), &OsFileSystem).unwrap();
    assert_eq!(generation(dir.path()).unwrap(), "1\n");
    import(dir.path(), &noisy_bars(ROWS, 0), &OsFileSystem).unwrap();
    assert_eq!(generation(dir.path()).unwrap(), "1\n", "nothing was imported");
    import(dir.path(), &noisy_bars(ROWS, 1), &OsFileSystem).unwrap();
    assert_eq!(generation(dir.path()).unwrap(), "2\n");
    assert!(!dir.path().join("sources/.generation.tmp").exists());
}

#[test]
fn a_store_without_a_generation_or_with_what_is_none_is_read_and_imported_into() {
    let dir = store();
    let old = read_plainly(dir.path());
    fs::remove_file(dir.path().join(GENERATION)).unwrap();
    assert_eq!(read_plainly(dir.path()), old);
    assert_eq!(generation(dir.path()), None, "a reader wrote to the store");
    let cases = [("", "1\n"), ("x\0y", "1\n"), ("41", "42\n"), ("18446744073709551615\n", "1\n")];
    for ((found, next), version) in cases.into_iter().zip(1..) {
        fs::write(dir.path().join(GENERATION), found).unwrap();
        read_plainly(dir.path());
        import_version(dir.path(), version, &Unsynced).unwrap();
        assert_eq!(generation(dir.path()).unwrap(), next);
    }
}

#[test]
fn a_link_in_the_place_of_the_generation_is_refused() {
    let dir = store();
    let precious = dir.path().join("precious");
    fs::write(&precious, "7").unwrap();
    fs::remove_file(dir.path().join(GENERATION)).unwrap();
    std::os::unix::fs::symlink(&precious, dir.path().join(GENERATION)).unwrap();
    let error = read(dir.path(), Box::new(OsFileSystem)).unwrap_err();
    assert_says(&error_chain(&error), &[".generation", "it is a link"]);
    assert!(import_version(dir.path(), 1, &Unsynced).is_err());
    fs::remove_file(dir.path().join(GENERATION)).unwrap();
    std::os::unix::fs::symlink(&precious, dir.path().join("sources/.generation.tmp")).unwrap();
    import_version(dir.path(), 1, &Unsynced).unwrap();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "7");
    assert_eq!(generation(dir.path()).unwrap(), "1\n");
}

// ------------------------------------------------------------------------------------------------ locks

#[test]
fn a_reader_needs_no_lock_and_keeps_no_import_waiting() {
    let dir = store();
    let old = read_plainly(dir.path());
    let lock = hold(dir.path());
    assert_eq!(read(dir.path(), impatient(Duration::ZERO)).unwrap(), old);
    // Nor does an import that changes nothing.
    import(dir.path(), &noisy_bars(ROWS, 0), impatient(Duration::ZERO).as_ref()).unwrap();
    drop(lock);
    fs::remove_file(dir.path().join(LOCK)).unwrap();
    let before = tree(dir.path());
    assert_eq!(read_plainly(dir.path()), old);
    run_undisturbed(dir.path());
    assert!(!dir.path().join(LOCK).exists(), "a reader made the lock");
    assert!(before.iter().all(|(path, bytes)| tree(dir.path()).get(path) == Some(bytes)));
}

#[test]
fn a_lock_that_is_held_for_too_long_is_told_with_its_path() {
    let dir = store();
    leave_unfinished(dir.path(), &KEYS);
    let _lock = hold(dir.path());
    let started = Instant::now();
    for _ in 0..5 {
        let error = read(dir.path(), impatient(Duration::from_millis(50))).unwrap_err();
        assert_eq!(error.fault(), Fault::Transient);
        assert_says(
            &error.to_string(),
            &["/sources/.lock: another process has held this lock for", "stop it"],
        );
        let error = import_version(dir.path(), 3, impatient(Duration::from_millis(50)).as_ref()).unwrap_err();
        assert_says(
            &error.to_string(),
            &["/sources/.lock: another process has held this lock for", "stop it"],
        );
    }
    assert!(started.elapsed() >= Duration::from_millis(500));
}

#[test]
fn a_stuck_import_is_waited_for_once_and_not_once_a_partition() {
    let dir = store();
    leave_unfinished(dir.path(), &KEYS);
    let lock = hold(dir.path());
    let store =
        ParquetStore::open_with(dir.path(), &config(), impatient(Duration::from_millis(300))).unwrap();
    let started = Instant::now();
    for _ in 0..20 {
        assert!(rows_of(&store, "aaa").is_err());
        assert!(store.months(&config().series[0].of_key("aaa")).is_err());
    }
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    drop(lock);
    assert_eq!(rows_of(&store, "aaa").unwrap()[0].instants_us.len(), ROWS + 2);
}

#[test]
fn a_stuck_import_keeps_no_other_key_waiting() {
    let dir = store();
    let copy = copy_of(dir.path());
    run_undisturbed(copy.path());
    leave_unfinished(dir.path(), &["aaa"]);
    let lock = hold(dir.path());
    let store = ParquetStore::open_with(dir.path(), &config(), impatient(Duration::ZERO)).unwrap();
    assert!(rows_of(&store, "aaa").is_err());
    assert!(rows_of(&store, "bbb").is_ok());
    let config = config_with(&[("RUN__LOCK_WAIT_S", "0")]);
    let [held, free] = KEYS.map(|key| store.holder(&config.series_of_key(key)).unwrap());
    assert_says(&held.unwrap(), &["an import that has locked", "/sources/.lock"]);
    assert_eq!(free, None);
    let report = run_all(dir.path(), &config, impatient(Duration::ZERO));
    for (partition, outcome) in &report.outcomes {
        match outcome {
            Outcome::Held(holder) => {
                assert_eq!(partition.key, "aaa");
                assert_says(holder, &["an import that has locked", "/sources/.lock"]);
            }
            outcome => {
                assert!(matches!(outcome, Outcome::Written { .. }), "{partition}: {outcome:?}");
                assert_eq!(partition.key, "bbb");
            }
        }
    }
    let bbb =
        |dir: &Path| tree(dir).into_iter().filter(|(path, _)| path.contains("key=bbb")).collect::<Vec<_>>();
    assert_eq!(bbb(dir.path()), bbb(copy.path()));
    drop(lock);
    run_undisturbed(dir.path());
    assert!(!dir.path().join(LIST).exists());
}

#[test]
fn a_list_that_no_import_wrote_stops_every_reader() {
    let dir = store();
    let before = tree(dir.path());
    fs::write(dir.path().join(LIST), r#"{"renames":[["evil","../precious"]]}"#).unwrap();
    for key in KEYS {
        let store = ParquetStore::open(dir.path(), &config()).unwrap();
        assert_says(
            &rows_of(&store, key).unwrap_err().to_string(),
            &[".import is not a list that an import wrote"],
        );
    }
    fs::remove_file(dir.path().join(LIST)).unwrap();
    assert_eq!(tree(dir.path()), before);
}

#[test]
fn a_killed_import_of_an_earlier_version_is_finished_by_a_reader() {
    let dir = store();
    leave_unfinished(dir.path(), &KEYS);
    for name in [GENERATION, "sources/.generation.tmp"] {
        let _ = fs::remove_file(dir.path().join(name));
    }
    let rows = all_rows(dir.path());
    assert!(rows.iter().flatten().all(|rows| rows.instants_us.len() >= ROWS + 2 - 15));
    assert_eq!(generation(dir.path()).unwrap(), "1\n");
    assert!(!dir.path().join(LIST).exists());
}

#[test]
fn a_partition_that_is_held_is_told_with_the_path_of_its_lock() {
    let dir = store();
    let path: PathBuf = dir.path().join("features/key=aaa/month=2017-02/.lock");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "process 1 on elsewhere").unwrap();
    let lock = File::open(&path).unwrap();
    lock.lock().unwrap();
    let config = config_with(&[("RUN__LOCK_WAIT_S", "0")]);
    let report = run_all(dir.path(), &config, Box::new(Unsynced));
    let held: Vec<_> =
        report.outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Held(_))).collect();
    let [(partition, Outcome::Held(holder))] = &held[..] else { panic!("{held:?}") };
    assert_eq!(partition.to_string(), "aaa 2017-02");
    assert_says(
        holder,
        &["process 1 on elsewhere, which has locked", "features/key=aaa/month=2017-02/.lock"],
    );
    drop(lock);
    run_undisturbed(dir.path());
}
