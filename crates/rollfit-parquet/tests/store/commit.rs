//! The commit protocol of the Parquet store: its order, and that a fault or a kill at any single operation leaves all
//! of the old or all of the new, nothing that a reader takes for data, and a store that the same command finishes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::RowGroupMetaData;
use rollfit_job::config::JobConfig;
use rollfit_job::import::BarsOptions;
use rollfit_job::partition::Partition;
use rollfit_job::receipt::{Definition, Input, NoValue, Receipt, Stored};
use rollfit_job::store::BarsImport;
use rollfit_job::store::{Claim, FeatureReader, FeatureTile, Found, Sink, Slot, Write};
use rollfit_parquet::{FileSystem, OsFileSystem, ParquetImport, ParquetStore};
use tempfile::TempDir;

use crate::support::market::{
    KEYS, MONTHS, all_bars, all_rows, bars, config, config_with, failures, import, key_bars, partition,
    run_all, run_undisturbed,
};
use crate::support::script::{EACCES, EINVAL, EIO, ENOSPC, Fate, Operation, Script, Unsynced};
use crate::support::{assert_says, copy_tree, tree};

const ROWS: usize = 40;
const PART: &str = "features/key=aaa/month=2017-01/part.parquet";
const PART_TMP: &str = "features/key=aaa/month=2017-01/.part.tmp";
const PART_DIR: &str = "features/key=aaa/month=2017-01";

// ---------------------------------------------------------------------------------------------- helpers

/// A store with the bars of one partition.
fn one_partition(version: u32) -> TempDir {
    let dir = TempDir::new().unwrap();
    import(dir.path(), &[bars("aaa", &MONTHS[..1], ROWS, version)], &Unsynced).unwrap();
    dir
}

/// A store whose one partition is done, and whose source has changed since.
fn changed_partition() -> TempDir {
    let dir = one_partition(0);
    run_undisturbed(dir.path());
    import(dir.path(), &[bars("aaa", &MONTHS[..1], ROWS, 1)], &Unsynced).unwrap();
    dir
}

fn copy_of(dir: &TempDir) -> TempDir {
    let copy = TempDir::new().unwrap();
    copy_tree(dir.path(), copy.path());
    copy
}

fn open(dir: &Path) -> ParquetStore {
    ParquetStore::open(dir, &config()).unwrap()
}

fn take<'a>(store: &'a ParquetStore, partition: &Partition) -> Box<dyn Slot + 'a> {
    match store.claim(partition, Write::Replace).unwrap() {
        Claim::Taken(slot) => slot,
        Claim::Held(holder) | Claim::Rewrite(holder) => panic!("held by {holder}"),
    }
}

/// Leaves the lock file that a process that died would leave.
fn leave_lock(dir: &Path) {
    fs::create_dir_all(dir.join(PART_DIR)).unwrap();
    fs::write(dir.join(PART_DIR).join(".lock"), "process 1 on elsewhere").unwrap();
}

/// What a reader of the features directory takes for data.
fn data_files(dir: &Path) -> Vec<String> {
    let visible = |path: &String| {
        let name = path.rsplit('/').next().unwrap_or_default();
        path.starts_with("features/") && !name.starts_with('.')
    };
    tree(dir).into_keys().filter(visible).collect()
}

/// How features may be written: directly, which the first file of a store is, and buffered.
const WAYS: [&str; 2] = ["auto", "off"];

fn config_of(way: &str) -> JobConfig {
    config_with(&[("STORE__DIRECT_IO", way)])
}

/// The operations of one undisturbed run, without those that set room aside: they are for speed alone.
fn operations_of_a_run(dir: &TempDir, way: &str) -> Vec<Operation> {
    let mut operations = script_of_a_run(dir, way).operations();
    operations.retain(|operation| !matches!(operation, Operation::Reserve(_)));
    operations
}

/// How many operations there are in an undisturbed run.
fn count_of_a_run(dir: &TempDir, way: &str) -> usize {
    script_of_a_run(dir, way).count()
}

fn script_of_a_run(dir: &TempDir, way: &str) -> Script {
    let copy = copy_of(dir);
    let script = Script::new(copy.path(), Fate::Undisturbed);
    assert_eq!(failures(&run_all(copy.path(), &config_of(way), Box::new(script.clone()))), [""; 0]);
    script
}

/// Stores with one partition that is due, with features and without, and the ways to write it.
fn due_partitions() -> impl Iterator<Item = (TempDir, &'static str)> {
    WAYS.into_iter().flat_map(|way| [(one_partition(0), way), (changed_partition(), way)])
}

/// The files of the store after an undisturbed run.
fn tree_of_a_run(dir: &TempDir) -> std::collections::BTreeMap<String, Vec<u8>> {
    let copy = copy_of(dir);
    run_undisturbed(copy.path());
    tree(copy.path())
}

// ------------------------------------------------------------------------------------- a commit of features

#[test]
fn a_commit_creates_writes_syncs_renames_and_syncs_the_directory() {
    let dir = one_partition(0);
    let sync_dir = |path: &str| Operation::SyncDir(path.to_owned());
    let (part, unfinished) = (PART.to_owned(), PART_TMP.to_owned());
    let wanted = [
        sync_dir("features/key=aaa"),
        sync_dir("features"),
        sync_dir(""),
        Operation::Create(unfinished.clone()),
        Operation::Write(unfinished.clone()),
        Operation::SyncFile(unfinished.clone()),
        Operation::Rename(unfinished.clone(), part),
        sync_dir(PART_DIR),
    ];
    assert_eq!(operations_of_a_run(&dir, "off"), wanted);
    // A direct write is padded, and the file cut before it is durable.
    let mut direct = wanted.to_vec();
    direct.insert(5, Operation::Truncate(unfinished));
    assert_eq!(operations_of_a_run(&dir, "auto"), direct);
}

#[test]
fn a_replacement_takes_the_same_steps_as_a_first_commit() {
    let (first, replacement) = (one_partition(0), changed_partition());
    for way in WAYS {
        assert_eq!(operations_of_a_run(&first, way), operations_of_a_run(&replacement, way));
    }
}

#[test]
fn where_all_is_done_a_run_does_nothing_to_the_files() {
    let dir = one_partition(0);
    run_undisturbed(dir.path());
    assert_eq!(operations_of_a_run(&dir, "auto"), []);
}

/// Runs with a fault at each operation in turn, and hands the store to `check`.
fn fail_everywhere(dir: &TempDir, way: &str, errno: i32, check: impl Fn(&Path, usize, &[String])) {
    for failing in 0..count_of_a_run(dir, way) {
        let copy = copy_of(dir);
        let script = Script::new(copy.path(), Fate::FailAt(failing, errno));
        let report = run_all(copy.path(), &config_of(way), Box::new(script));
        check(copy.path(), failing, &failures(&report));
    }
}

#[test]
fn a_fault_at_any_operation_leaves_the_old_features_or_the_new_and_nothing_else() {
    for (dir, way) in due_partitions() {
        let (old, new) = (tree(dir.path()), tree_of_a_run(&dir));
        let operations = script_of_a_run(&dir, way).all_operations();
        let renamed_at = operations.len() - 2;
        for errno in [ENOSPC, EIO, EACCES] {
            fail_everywhere(&dir, way, errno, |path, failing, failures| {
                let goes_on = errno == ENOSPC && matches!(operations[failing], Operation::Reserve(_));
                let expected = if failing <= renamed_at && !goes_on { &old } else { &new };
                assert_eq!(&tree(path), expected, "operation {failing}");
                assert_eq!(failures.is_empty(), goes_on, "operation {failing}");
                run_undisturbed(path);
                assert_eq!(tree(path), new, "operation {failing}");
            });
        }
    }
}

#[test]
fn a_fault_is_told_with_its_place_and_remedy() {
    let dir = one_partition(0);
    let operations = script_of_a_run(&dir, "auto").all_operations();
    assert!(operations.iter().any(|operation| matches!(operation, Operation::Reserve(_))));
    fail_everywhere(&dir, "auto", ENOSPC, |_, failing, failures| {
        // Packed, the features may fit where the room for them is not there.
        match &operations[failing] {
            Operation::Reserve(_) => assert!(failures.is_empty(), "{failures:?}"),
            _ => assert_says(&failures[0], &["cannot ", "free some space", "No space left"]),
        }
    });
    fail_everywhere(&dir, "auto", EACCES, |_, _, failures| {
        assert_says(&failures[0], &["cannot ", "give this user permission", "Permission denied"]);
    });
}

#[test]
fn a_file_system_that_refuses_a_direct_write_gets_the_same_bytes_buffered() {
    let dir = one_partition(0);
    let (old, new) = (tree(dir.path()), tree_of_a_run(&dir));
    let operations = script_of_a_run(&dir, "auto").all_operations();
    assert!(operations.iter().filter(|operation| matches!(operation, Operation::Write(_))).count() >= 2);
    fail_everywhere(&dir, "auto", EINVAL, |path, failing, failures| {
        let is_refusal = matches!(operations[failing], Operation::Write(_));
        assert_eq!(failures.is_empty(), is_refusal, "operation {failing}: {failures:?}");
        let is_committed = is_refusal || failing == operations.len() - 1;
        assert_eq!(&tree(path), if is_committed { &new } else { &old }, "operation {failing}");
    });
    // Buffered writes are never refused in this way: such a disk is broken.
    fail_everywhere(&dir, "off", EINVAL, |_, failing, failures| {
        assert_eq!(failures.len(), 1, "operation {failing}");
    });
}

#[test]
fn after_a_fault_in_a_commit_the_old_features_are_read_with_their_receipt() {
    let dir = changed_partition();
    let one = partition("aaa", "2017-01");
    let receipt = open(dir.path()).read(&one).unwrap().receipt().cloned();
    let renamed_at = count_of_a_run(&dir, "auto") - 2;
    fail_everywhere(&dir, "auto", EIO, |path, failing, _| {
        let store = open(path);
        let mut reader = store.read(&one).unwrap();
        assert_eq!(reader.receipt() == receipt.as_ref(), failing <= renamed_at);
        assert_eq!(count_rows(reader.as_mut()), reader.receipt().unwrap().stored.rows);
    });
}

fn count_rows(reader: &mut dyn FeatureReader) -> u64 {
    let mut rows = 0;
    while let Some(tile) = reader.next_tile().unwrap() {
        rows += tile.rows() as u64;
    }
    rows
}

#[test]
fn a_runner_killed_at_any_operation_leaves_the_old_features_or_the_new() {
    for (dir, way) in due_partitions() {
        let (old, new) = (tree(dir.path()).remove(PART), tree_of_a_run(&dir).remove(PART));
        for killed in 0..=count_of_a_run(&dir, way) {
            let copy = copy_of(&dir);
            let script = Script::new(copy.path(), Fate::KillAt(killed));
            run_all(copy.path(), &config_of(way), Box::new(script));
            leave_lock(copy.path());
            let found = tree(copy.path()).remove(PART);
            assert!(found == old || found == new, "killed at {killed}");
            assert_eq!(data_files(copy.path()), found.map(|_| PART).as_slice(), "killed at {killed}");
            let found = open(copy.path()).found(&partition("aaa", "2017-01")).unwrap();
            assert!(!matches!(found, Found::Foreign(_)), "killed at {killed}: {found:?}");
        }
    }
}

#[test]
fn after_a_kill_at_any_operation_the_same_command_finishes_with_the_same_bytes() {
    for (dir, way) in due_partitions() {
        let new = tree_of_a_run(&dir);
        for killed in 0..count_of_a_run(&dir, way) {
            let copy = copy_of(&dir);
            let script = Script::new(copy.path(), Fate::KillAt(killed));
            run_all(copy.path(), &config_of(way), Box::new(script));
            leave_lock(copy.path());
            run_undisturbed(copy.path());
            assert_eq!(tree(copy.path()), new, "killed at {killed}");
        }
    }
}

// --------------------------------------------------------------------------------------------- claims

#[test]
fn a_claimed_partition_is_held_and_its_holder_named() {
    let dir = one_partition(0);
    let one = partition("aaa", "2017-01");
    let (ours, theirs) = (open(dir.path()), open(dir.path()));
    let slot = take(&ours, &one);
    let Claim::Held(holder) = theirs.claim(&one, Write::Replace).unwrap() else {
        panic!("two runners have one partition")
    };
    assert_says(&holder, &[&format!("rollfit {}@", std::process::id()), "which has locked "]);
    take(&theirs, &partition("aaa", "2017-02"));
    drop(slot);
    take(&theirs, &one);
}

#[test]
fn a_claim_that_is_given_up_leaves_no_file_and_no_directory() {
    let dir = one_partition(0);
    let store = open(dir.path());
    let mut slot = take(&store, &partition("aaa", "2017-01"));
    let columns = config().feature_count();
    slot.write(FeatureTile { instants_us: &[1], first_column: 0, values: &vec![1.0; columns] }).unwrap();
    assert!(dir.path().join(PART_TMP).exists());
    drop(slot);
    assert_eq!(fs::read_dir(dir.path().join("features")).unwrap().count(), 0);
}

#[test]
fn after_a_commit_the_lock_file_is_gone() {
    let dir = one_partition(0);
    run_undisturbed(dir.path());
    let names: Vec<_> =
        fs::read_dir(dir.path().join(PART_DIR)).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["part.parquet"]);
}

#[test]
fn what_a_dead_runner_left_does_not_block_and_goes_with_the_next_claim() {
    let dir = one_partition(0);
    leave_lock(dir.path());
    fs::write(dir.path().join(PART_TMP), "half a file").unwrap();
    let store = open(dir.path());
    assert_eq!(store.found(&partition("aaa", "2017-01")).unwrap(), Found::Nothing);
    let slot = take(&store, &partition("aaa", "2017-01"));
    assert!(!dir.path().join(PART_TMP).exists());
    drop(slot);
    assert!(!dir.path().join(PART_DIR).exists());
}

/// Claims one of these months on each of as many threads, again and again, with `hold` for as long as it is held.
fn claim_often(dir: &Path, months: &[&str], hold: impl Fn() + Sync) {
    const TIMES: usize = 3000;
    let claim_one = |month: &str| {
        let store = ParquetStore::open_with(dir, &config(), Box::new(Unsynced)).unwrap();
        for _ in 0..TIMES {
            if let Claim::Taken(slot) = store.claim(&partition("aaa", month), Write::Replace).unwrap() {
                hold();
                drop(slot);
            }
        }
    };
    std::thread::scope(|scope| {
        for month in months {
            scope.spawn(|| claim_one(month));
        }
    });
}

#[test]
fn neighbours_that_come_and_go_do_not_disturb_a_claim() {
    let dir = one_partition(0);
    claim_often(dir.path(), &["2017-01", "2017-02", "2017-03"], || ());
    assert_eq!(fs::read_dir(dir.path().join("features")).unwrap().count(), 0);
}

#[test]
fn of_many_claims_at_once_one_succeeds() {
    let (dir, inside) = (one_partition(0), AtomicUsize::new(0));
    claim_often(dir.path(), &["2017-01"; 4], || {
        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two have one partition");
        std::thread::yield_now();
        inside.fetch_sub(1, Ordering::SeqCst);
    });
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_and_no_endless_wait() {
    let dir = one_partition(0);
    fs::create_dir_all(dir.path().join("features/key=aaa")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join(PART_DIR)).unwrap();
    let Err(error) = open(dir.path()).claim(&partition("aaa", "2017-01"), Write::Replace).map(drop) else {
        panic!("claimed a name that leads nowhere")
    };
    assert_says(&error.to_string(), &[PART_DIR, "is a link, and rollfit does not write through links"]);
}

#[test]
fn a_commit_beside_a_file_of_somebody_else_is_refused() {
    let dir = one_partition(0);
    let store = open(dir.path());
    let slot = take(&store, &partition("aaa", "2017-01"));
    fs::write(dir.path().join(PART_DIR).join("more.parquet"), "theirs").unwrap();
    let error = slot.commit(&receipt(&config(), &store)).unwrap_err();
    assert_says(&error.to_string(), &["more.parquet", "move it elsewhere"]);
    assert_eq!(data_files(dir.path()), [format!("{PART_DIR}/more.parquet")]);
    assert!(matches!(store.found(&partition("aaa", "2017-01")).unwrap(), Found::Blocked(_)));
}

#[test]
fn a_features_file_that_cannot_be_opened_is_an_error_and_not_foreign() {
    let dir = one_partition(0);
    fs::create_dir_all(dir.path().join(PART_DIR)).unwrap();
    std::os::unix::fs::symlink("part.parquet", dir.path().join(PART)).unwrap();
    assert!(open(dir.path()).found(&partition("aaa", "2017-01")).is_err());
}

// --------------------------------------------------------------------------------------------- removal

#[test]
fn a_removal_is_one_operation_made_durable() {
    let dir = one_partition(0);
    run_undisturbed(dir.path());
    let script = Script::new(dir.path(), Fate::Undisturbed);
    let store = ParquetStore::open_with(dir.path(), &config(), Box::new(script.clone())).unwrap();
    take(&store, &partition("aaa", "2017-01")).remove().unwrap();
    let operations = script.operations();
    let wanted = [Operation::Remove(PART.to_owned()), Operation::SyncDir(PART_DIR.to_owned())];
    assert_eq!(operations[operations.len() - 2..], wanted);
    assert!(!dir.path().join("features/key=aaa").exists());
    assert_eq!(store.found(&partition("aaa", "2017-01")).unwrap(), Found::Nothing);
}

#[test]
fn a_removal_killed_anywhere_leaves_all_or_nothing() {
    let dir = one_partition(0);
    run_undisturbed(dir.path());
    let done = tree(dir.path());
    for killed in 0..5 {
        let copy = copy_of(&dir);
        let script = Script::new(copy.path(), Fate::KillAt(killed));
        let store = ParquetStore::open_with(copy.path(), &config(), Box::new(script)).unwrap();
        if let Ok(Claim::Taken(slot)) = store.claim(&partition("aaa", "2017-01"), Write::Replace) {
            let _ = slot.remove();
        }
        let part = tree(copy.path()).remove(PART);
        assert!(part.is_none() || part == done.get(PART).cloned(), "killed at {killed}");
        run_undisturbed(copy.path());
        assert_eq!(tree(copy.path()), done, "killed at {killed}");
    }
}

// --------------------------------------------------------------------------------------------- imports

/// A store with two keys and two months, and the bars of an import that changes and extends all of them.
fn two_keys() -> TempDir {
    let dir = TempDir::new().unwrap();
    import(dir.path(), &all_bars(ROWS, 0), &Unsynced).unwrap();
    dir
}

/// Imports the second version of all bars; returns how many operations it took.
fn import_changes(dir: &Path, fate: Fate) -> (bool, Script) {
    let script = Script::new(dir, fate);
    (import(dir, &all_bars(ROWS + 3, 1), &script).is_ok(), script)
}

#[test]
fn an_import_stages_all_before_its_list_and_renames_after_it() {
    let dir = two_keys();
    let (_, script) = import_changes(dir.path(), Fate::Undisturbed);
    let operations = script.operations();
    let at = |wanted: &dyn Fn(&Operation) -> bool| operations.iter().position(wanted).unwrap();
    let renamed =
        |from: &str, to: &str| Operation::Rename(format!("sources/{from}"), format!("sources/{to}"));
    let listed = at(&|operation| *operation == renamed(".import.tmp", ".import"));
    let list_steps = [
        Operation::Create("sources/.import.tmp".to_owned()),
        Operation::Write("sources/.import.tmp".to_owned()),
        Operation::SyncFile("sources/.import.tmp".to_owned()),
    ];
    assert_eq!(operations[listed - 3..listed], list_steps);
    assert_eq!(operations[listed + 1], renamed(".generation.tmp", ".generation"));
    assert_eq!(operations[listed + 2], Operation::SyncDir("sources".to_owned()));
    let is_file_rename =
        |operation: &Operation| matches!(operation, Operation::Rename(_, to) if to.ends_with(".parquet"));
    let renames: Vec<usize> = (0..operations.len()).filter(|&at| is_file_rename(&operations[at])).collect();
    assert_eq!(renames.len(), 8);
    assert!(renames.iter().all(|&rename| rename > listed + 2));
    assert!(at(&|operation| *operation == Operation::Remove("sources/.import".to_owned())) > renames[7]);
    for (before, tables) in [(listed, "staged"), (operations.len(), "renamed")] {
        let syncs = operations[..before]
            .iter()
            .filter(|o| matches!(o, Operation::SyncDir(dir) if dir.contains("m1_aaa")));
        assert!(syncs.count() > 0, "the directory of a table is not durable with what is {tables}");
    }
}

#[test]
fn an_import_killed_at_any_operation_shows_all_of_the_old_rows_or_all_of_the_new() {
    for dir in [two_keys(), TempDir::new().unwrap()] {
        let old = all_rows(dir.path());
        let undisturbed = copy_of(&dir);
        let (_, script) = import_changes(undisturbed.path(), Fate::Undisturbed);
        let new = all_rows(undisturbed.path());
        let mut seen = [0, 0];
        for killed in 0..script.count() {
            let copy = copy_of(&dir);
            assert!(!import_changes(copy.path(), Fate::KillAt(killed)).0, "killed at {killed}");
            let found = all_rows(copy.path());
            assert!(found == old || found == new, "killed at {killed}");
            seen[usize::from(found == new)] += 1;
            import_changes(copy.path(), Fate::Undisturbed);
            assert_eq!(tree(copy.path()), tree(undisturbed.path()), "killed at {killed}");
        }
        assert!(seen[0] > 20 && seen[1] > 8, "{seen:?}");
    }
}

#[test]
fn a_fault_at_any_operation_of_an_import_leaves_the_old_files_or_the_new_and_nothing_else() {
    for dir in [two_keys(), TempDir::new().unwrap()] {
        let old = tree(dir.path());
        let undisturbed = copy_of(&dir);
        let (_, script) = import_changes(undisturbed.path(), Fate::Undisturbed);
        let new = tree(undisturbed.path());
        for failing in 0..script.count() {
            let copy = copy_of(&dir);
            assert!(!import_changes(copy.path(), Fate::FailAt(failing, ENOSPC)).0, "operation {failing}");
            all_rows(copy.path());
            let found = tree(copy.path());
            assert!(found == old || found == new, "operation {failing}: {:?}", found.keys());
        }
    }
}

#[test]
fn the_next_import_finishes_a_committed_one_and_clears_what_others_staged() {
    let dir = two_keys();
    let undisturbed = copy_of(&dir);
    let (_, script) = import_changes(undisturbed.path(), Fate::Undisturbed);
    for killed in 0..script.count() {
        let copy = copy_of(&dir);
        import_changes(copy.path(), Fate::KillAt(killed));
        drop(ParquetImport::begin(copy.path(), BarsOptions::default(), &OsFileSystem).unwrap());
        let found = tree(copy.path());
        assert!(found == tree(dir.path()) || found == tree(undisturbed.path()), "killed at {killed}");
    }
}

#[test]
fn an_import_that_changes_nothing_writes_nothing() {
    let dir = two_keys();
    let script = Script::new(dir.path(), Fate::Undisturbed);
    import(dir.path(), &all_bars(ROWS, 0), &script).unwrap();
    assert!(script.operations().iter().all(|operation| matches!(operation, Operation::SyncDir(_))));
}

#[test]
fn an_import_that_is_given_up_leaves_the_files_as_they_were() {
    let dir = two_keys();
    let before = tree(dir.path());
    let options = BarsOptions { replace: true, rebase: true, ..BarsOptions::default() };
    let mut import = ParquetImport::begin(dir.path(), options, &OsFileSystem).unwrap();
    import.add(KEYS[0], &all_bars(ROWS + 3, 1)[0]).unwrap();
    assert_ne!(tree(dir.path()), before);
    drop(import);
    assert_eq!(tree(dir.path()), before);
}

#[test]
fn of_two_imports_at_once_the_second_is_told_who_has_the_store() {
    let dir = two_keys();
    let _first = ParquetImport::begin(dir.path(), BarsOptions::default(), &OsFileSystem).unwrap();
    let Err(error) = ParquetImport::begin(dir.path(), BarsOptions::default(), &OsFileSystem) else {
        panic!("two imports at once")
    };
    assert_says(&error.to_string(), &["rollfit ", "is importing into", "wait"]);
}

#[test]
fn a_base_reads_back_as_the_double_it_was() {
    let dir = TempDir::new().unwrap();
    for close in [0.1 + 0.2, 1.0 / 3.0, 5e-324, 1.797_693_134_862_315_7e308, 123_456_789.123_456_79] {
        let bar = rollfit_job::import::Bar { instant_us: 0, close };
        let bars = [key_bars("aaa", vec![bar])];
        let first = import(dir.path(), &bars, &OsFileSystem).unwrap();
        let options = BarsOptions::default();
        let mut again = ParquetImport::begin(dir.path(), options, &OsFileSystem).unwrap();
        let second = again.add("aaa", &bars[0]).unwrap();
        assert_eq!((second.base, second.unchanged, second.files_written), (first[0].base, 1, 0));
        assert_eq!(second.base.close.to_bits(), close.to_bits());
    }
}

// ---------------------------------------------------------------------------------------- the features file

/// A receipt for a partition of this many rows, with values that are easily lost.
fn receipt(config: &JobConfig, store: &ParquetStore) -> Receipt {
    Receipt {
        output: store.output(&partition("aaa", "2017-01")),
        definition: Definition::from_config(config).into(),
        input: Input {
            rows: u64::MAX,
            lookback_rows: 1 << 53 | 1,
            first_us: Some(i64::MIN),
            last_us: None,
            digest: "\"quoted\" \u{1F4C8} \\ \n".to_owned(),
            lost_rows: vec![0, u64::MAX],
        },
        stored: Stored {
            adopted: false,
            types: None,
            rows: 7,
            checksum: "00ff".to_owned(),
            no_value: NoValue { warmup: 1, input: 2, undefined: 3, column: u64::MAX, included: 4 },
        },
    }
}

/// Rows of features, among them NaN, the least and the greatest doubles.
struct Table {
    instants_us: Vec<i64>,
    columns: Vec<Vec<f64>>,
}

impl Table {
    fn new(rows: usize, columns: usize) -> Self {
        let cell = |row: usize, column: usize| match (row * 31 + column * 17) % 23 {
            0 | 1 => f64::NAN,
            2 => f64::MAX,
            3 => 5e-324,
            4 => 0.0,
            other => (row as f64).sqrt() * other as f64 - 1e3,
        };
        let column = |column| (0..rows).map(|row| cell(row, column)).collect();
        Self {
            instants_us: (0..rows as i64).map(|row| row * 60_000_000).collect(),
            columns: (0..columns).map(column).collect(),
        }
    }

    /// Writes the rows in tiles of these sizes in turn, and commits.
    fn store(&self, dir: &Path, config: &JobConfig, tiles: &[usize]) -> PathBuf {
        let store = ParquetStore::open(dir, config).unwrap();
        let mut slot = take(&store, &partition("aaa", "2017-01"));
        let (mut first, mut sizes) = (0, tiles.iter().cycle());
        while first < self.instants_us.len() {
            let rows = first..(first + sizes.next().unwrap()).min(self.instants_us.len());
            first = rows.end;
            let values: Vec<f64> =
                self.columns.iter().flat_map(|column| column[rows.clone()].iter().copied()).collect();
            slot.write(FeatureTile {
                instants_us: &self.instants_us[rows],
                first_column: 0,
                values: &values,
            })
            .unwrap();
        }
        let bytes = slot.commit(&receipt(config, &store)).unwrap();
        let part = dir.join(PART);
        assert_eq!(bytes, fs::metadata(&part).unwrap().len());
        part
    }

    /// Checks that the stored rows are these, bit for bit.
    fn check(&self, dir: &Path, config: &JobConfig) {
        let store = ParquetStore::open(dir, config).unwrap();
        let mut reader = store.read(&partition("aaa", "2017-01")).unwrap();
        assert_eq!(reader.receipt(), Some(&receipt(config, &store)));
        let mut first = 0;
        while let Some(tile) = reader.next_tile().unwrap() {
            let rows = first..first + tile.rows();
            first = rows.end;
            assert_eq!(tile.instants_us, &self.instants_us[rows.clone()]);
            for (ours, theirs) in self.columns.iter().zip(tile.columns()) {
                assert!(ours[rows.clone()].iter().zip(theirs).all(|(a, b)| a.to_bits() == b.to_bits()));
            }
        }
        assert_eq!(first, self.instants_us.len());
    }
}

#[test]
fn a_row_group_has_32768_rows_and_nulls_where_there_is_no_value() {
    let (dir, config) = (TempDir::new().unwrap(), config());
    let table = Table::new(150_000, config.feature_count());
    let part = table.store(dir.path(), &config, &[512]);
    let file = ParquetRecordBatchReaderBuilder::try_new(File::open(&part).unwrap()).unwrap();
    let groups: Vec<i64> = file.metadata().row_groups().iter().map(RowGroupMetaData::num_rows).collect();
    assert_eq!(groups, [32_768, 32_768, 32_768, 32_768, 18_928]);
    let mut nulls = vec![0; config.feature_count()];
    for batch in file.build().unwrap() {
        let batch = batch.unwrap();
        for (count, column) in nulls.iter_mut().zip(&batch.columns()[1..]) {
            *count += column.null_count();
        }
    }
    let nan = |column: &Vec<f64>| column.iter().filter(|value| value.is_nan()).count();
    assert_eq!(nulls, table.columns.iter().map(nan).collect::<Vec<_>>());
    table.check(dir.path(), &config);
}

#[test]
fn the_same_rows_give_the_same_bytes_however_they_are_cut_into_tiles() {
    let config = config();
    let table = Table::new(70_000, config.feature_count());
    let bytes = |tiles: &[usize]| {
        let dir = TempDir::new().unwrap();
        fs::read(table.store(dir.path(), &config, tiles)).unwrap()
    };
    let whole = bytes(&[70_000]);
    for tiles in [&[512][..], &[1, 999, 32_768], &[32_768], &[65_536], &[32_767, 2]] {
        assert!(bytes(tiles) == whole, "{tiles:?}");
    }
}

#[test]
fn every_compression_reads_back_bit_for_bit() {
    for compression in ["none", "lz4", "zstd"] {
        let (dir, config) = (TempDir::new().unwrap(), config_with(&[("STORE__COMPRESSION", compression)]));
        let table = Table::new(5000, config.feature_count());
        table.store(dir.path(), &config, &[512]);
        table.check(dir.path(), &config);
    }
}

#[test]
fn a_partition_of_one_row_reads_back() {
    let (dir, config) = (TempDir::new().unwrap(), config());
    let table = Table::new(1, config.feature_count());
    table.store(dir.path(), &config, &[512]);
    table.check(dir.path(), &config);
}

#[test]
fn no_stored_feature_is_a_negative_zero() {
    let dir = TempDir::new().unwrap();
    let bar = |row: i64| rollfit_job::import::Bar {
        instant_us: row * 60_000_000,
        close: if row < 60 { 1.25 } else { 1.25 + ((row % 5) - 2) as f64 * 0.125 },
    };
    import(dir.path(), &[key_bars("aaa", (0..200).map(bar).collect())], &OsFileSystem).unwrap();
    run_undisturbed(dir.path());
    let store = open(dir.path());
    let mut reader = store.read(&partition("aaa", "1970-01")).unwrap();
    let mut zeros = 0;
    while let Some(tile) = reader.next_tile().unwrap() {
        assert!(tile.values.iter().all(|value| value.to_bits() != (-0.0f64).to_bits()));
        zeros += tile.values.iter().filter(|value| **value == 0.0).count();
    }
    assert!(zeros > 100, "the series has no zeros to speak of: {zeros}");
}

#[test]
fn a_receipt_of_another_output_is_void() {
    let dir = one_partition(0);
    run_undisturbed(dir.path());
    let elsewhere = dir.path().join("features/key=aaa/month=2017-02");
    fs::create_dir_all(&elsewhere).unwrap();
    OsFileSystem.rename(&dir.path().join(PART), &elsewhere.join("part.parquet")).unwrap();
    let Found::Foreign(cause) = open(dir.path()).found(&partition("aaa", "2017-02")).unwrap() else {
        panic!("a receipt moved with its file")
    };
    assert_says(&cause, &["no valid rollfit receipt", "key=aaa/month=2017-01"]);
}
