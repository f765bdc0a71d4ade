//! Another receipt for features that are there: a new file with the old rows byte for byte, put in place like any commit, and
//! only where the bytes are ours and are those that were compared.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A failed helper fails its test; skips are said.

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use rollfit_job::receipt::{Receipt, Stored};
use rollfit_job::store::{Claim, Found, Sink, Slot, StoreError, Write};
use rollfit_job::verify::receipt_difference;
use rollfit_parquet::{FileSystem, OsFileSystem, ParquetStore};
use tempfile::TempDir;

use support::crash::{Journal, restore};
use support::market::{MONTHS, bars, config, config_with, import, partition, run_all, run_undisturbed};
use support::script::{EIO, ENOSPC, Fate, Operation, Script};
use support::{assert_says, copy_tree, tree};

const PART: &str = "features/key=aaa/month=2017-01/part.parquet";
const PART_TMP: &str = "features/key=aaa/month=2017-01/.part.tmp";
const PART_DIR: &str = "features/key=aaa/month=2017-01";

/// A store whose one partition is done.
fn done(rows: usize, compression: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    import(dir.path(), &[bars("aaa", &MONTHS[..1], rows, 0)], &OsFileSystem).unwrap();
    run_all(dir.path(), &config_with(&[("STORE__COMPRESSION", compression)]), Box::new(OsFileSystem));
    dir
}

/// A store whose one partition has no rows.
fn without_rows() -> TempDir {
    let dir = done(40, "lz4");
    let mut receipt = receipt_of(dir.path());
    receipt.stored = Stored { checksum: "0".repeat(16), ..Stored::default() };
    take(&open(dir.path())).commit(&receipt).unwrap();
    dir
}

fn copy_of(dir: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    copy_tree(dir, copy.path());
    copy
}

fn open(dir: &Path) -> ParquetStore {
    ParquetStore::open(dir, &config()).unwrap()
}

fn take(store: &ParquetStore) -> Box<dyn Slot + '_> {
    match store.claim(&partition("aaa", "2017-01"), Write::Replace).unwrap() {
        Claim::Taken(slot) => slot,
        Claim::Held(holder) | Claim::Rewrite(holder) => panic!("held by {holder}"),
    }
}

fn receipt_of(dir: &Path) -> Receipt {
    match open(dir).found(&partition("aaa", "2017-01")).unwrap() {
        Found::Ours(receipt) => *receipt,
        other => panic!("{other:?}"),
    }
}

/// The receipt as it might have been of an earlier definition, longer than it is.
fn other_receipt(dir: &Path) -> Receipt {
    let mut receipt = receipt_of(dir);
    Arc::make_mut(&mut receipt.definition).version = 1;
    receipt.stored.adopted = true;
    receipt.input.digest = "other ".repeat(300);
    receipt
}

/// Reads the rows and gives them a receipt, as `adopt` does.
fn adopt(dir: &Path, files: Box<dyn FileSystem>, receipt: &Receipt) -> Result<(), StoreError> {
    let store = ParquetStore::open_with(dir, &config(), files).unwrap();
    let mut slot = take(&store);
    let mut reader = slot.read()?;
    while reader.next_tile()?.is_some() {}
    drop(reader);
    slot.adopt(receipt)
}

/// The bytes before the footer.
fn body(file: &[u8]) -> &[u8] {
    let trailer = file.len() - 8;
    let footer = u32::from_le_bytes(file[trailer..trailer + 4].try_into().unwrap()) as usize;
    &file[..trailer - footer]
}

// ---------------------------------------------------------------------------------------------- bytes

#[test]
fn the_rows_keep_their_bytes_and_only_the_receipt_is_another() {
    // More rows than one piece that is copied at once holds, and none at all.
    for (rows, compression) in [(40, "lz4"), (40, "zstd"), (1500, "none"), (0, "lz4")] {
        let dir = if rows == 0 { without_rows() } else { done(rows, compression) };
        let (old, wanted) = (tree(dir.path()).remove(PART).unwrap(), other_receipt(dir.path()));
        let original = receipt_of(dir.path());
        adopt(dir.path(), Box::new(OsFileSystem), &wanted).unwrap();
        let new = tree(dir.path()).remove(PART).unwrap();
        assert!(body(&new) == body(&old), "{rows} {compression}");
        assert_eq!(receipt_of(dir.path()), wanted);
        assert_eq!(fs::read_dir(dir.path().join(PART_DIR)).unwrap().count(), 1);
        // All bytes are checked, and the checksum of the rows is right.
        let store = open(dir.path());
        let mut reader = store.read(&partition("aaa", "2017-01")).unwrap();
        assert_eq!(receipt_difference(&wanted, reader.as_mut()).unwrap(), None);
        // Everything else in the footer is as it was: the way back gives the same file.
        adopt(dir.path(), Box::new(OsFileSystem), &original).unwrap();
        assert!(tree(dir.path()).remove(PART).unwrap() == old, "{rows} {compression}");
    }
}

#[test]
fn damage_of_the_new_file_is_found_as_in_any_other() {
    let dir = done(40, "lz4");
    let wanted = other_receipt(dir.path());
    adopt(dir.path(), Box::new(OsFileSystem), &wanted).unwrap();
    let whole = fs::read(dir.path().join(PART)).unwrap();
    let store = open(dir.path());
    for at in (0..whole.len() - 8).step_by(whole.len() / 300) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(dir.path().join(PART), damaged).unwrap();
        // Where it makes the file another program's, its rows are there as they were.
        if let Ok(mut reader) = store.read(&partition("aaa", "2017-01")) {
            assert_eq!(reader.receipt(), Some(&wanted), "{at}");
            assert_eq!(receipt_difference(&wanted, reader.as_mut()).unwrap(), None, "{at}");
        }
    }
}

const READERS: [(&str, &str); 3] = [
    (
        "pyarrow",
        "import sys, pyarrow.parquet as pq\n\
         old, new = (pq.read_table(path, partitioning=None) for path in sys.argv[1:])\n\
         assert old.num_rows == 25 and old.replace_schema_metadata().equals(new.replace_schema_metadata())",
    ),
    (
        "duckdb",
        "import sys, duckdb\n\
         old, new = (f\"from read_parquet('{path}')\" for path in sys.argv[1:])\n\
         assert duckdb.sql(f'select count(*) {new}').fetchall() == [(25,)]\n\
         assert duckdb.sql(f'(select * {old}) except (select * {new})').fetchall() == []\n\
         keys = duckdb.sql(f\"select decode(key) from parquet_kv_metadata('{sys.argv[2]}')\").fetchall()\n\
         assert ('rollfit.receipt',) in keys, keys",
    ),
    (
        "polars",
        "import sys, polars as pl\n\
         old, new = (pl.read_parquet(path) for path in sys.argv[1:])\n\
         assert old.height == 25 and old.equals(new)",
    ),
];

/// The Python that `ROLLFIT_PYTHON` names has them.
#[test]
fn other_readers_find_the_same_rows() {
    let Ok(python) = std::env::var("ROLLFIT_PYTHON") else {
        return println!("skipped: ROLLFIT_PYTHON names no Python with pyarrow, DuckDB and Polars");
    };
    let dir = done(40, "lz4");
    let before = copy_of(dir.path());
    adopt(dir.path(), Box::new(OsFileSystem), &other_receipt(dir.path())).unwrap();
    for (module, script) in READERS {
        let has = |module: &str| Command::new(&python).args(["-c", &format!("import {module}")]).output();
        if !has(module).is_ok_and(|output| output.status.success()) {
            println!("skipped: no {module}");
            continue;
        }
        let paths = [before.path().join(PART), dir.path().join(PART)];
        let output = Command::new(&python).args(["-c", script]).args(paths).output().unwrap();
        assert!(output.status.success(), "{module}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

// ---------------------------------------------------------------------------------------------- faults

/// The operations of one undisturbed adoption.
fn operations(dir: &Path) -> (Vec<Operation>, usize) {
    let (copy, wanted) = (copy_of(dir), other_receipt(dir));
    let script = Script::new(copy.path(), Fate::Undisturbed);
    adopt(copy.path(), Box::new(script.clone()), &wanted).unwrap();
    (script.operations(), script.count())
}

#[test]
fn the_new_file_is_put_in_place_like_any_commit() {
    let dir = done(40, "lz4");
    let steps = operations(dir.path()).0;
    let (part, unfinished) = (PART.to_owned(), PART_TMP.to_owned());
    let wanted = [
        Operation::Create(unfinished.clone()),
        Operation::Write(unfinished.clone()),
        // A direct write is padded.
        Operation::Truncate(unfinished.clone()),
        Operation::SyncFile(unfinished.clone()),
        Operation::Rename(unfinished, part),
        Operation::SyncDir(PART_DIR.to_owned()),
    ];
    assert!(steps.ends_with(&wanted), "{steps:?}");
}

#[test]
fn a_fault_or_a_kill_at_any_operation_leaves_the_old_file_or_the_new() {
    let dir = done(40, "lz4");
    let (old, wanted, count) = (tree(dir.path()), other_receipt(dir.path()), operations(dir.path()).1);
    let new = {
        let copy = copy_of(dir.path());
        adopt(copy.path(), Box::new(OsFileSystem), &wanted).unwrap();
        tree(copy.path())
    };
    let renamed_at = count - 2;
    for at in 0..count {
        for fate in [Fate::FailAt(at, ENOSPC), Fate::FailAt(at, EIO), Fate::KillAt(at)] {
            let copy = copy_of(dir.path());
            let adopted = adopt(copy.path(), Box::new(Script::new(copy.path(), fate)), &wanted);
            assert!(adopted.is_err(), "{fate:?}");
            let expected = if at <= renamed_at { &old } else { &new };
            assert!(tree(copy.path()).get(PART) == expected.get(PART), "{fate:?}");
            if let Fate::FailAt(..) = fate {
                assert!(tree(copy.path()) == *expected, "{fate:?}");
            }
            // The same command finishes, whatever was left.
            adopt(copy.path(), Box::new(OsFileSystem), &wanted).unwrap();
            assert!(tree(copy.path()) == new, "{fate:?}");
        }
    }
}

#[test]
fn a_crash_at_any_moment_leaves_the_old_file_or_the_new() {
    let dir = done(20, "lz4");
    let copy = copy_of(dir.path());
    let (old, wanted) = (tree(dir.path()).remove(PART), other_receipt(dir.path()));
    let journal = Journal::new(copy.path());
    adopt(copy.path(), Box::new(journal.clone()), &wanted).unwrap();
    let new = tree(copy.path()).remove(PART);
    let mut found = [0, 0];
    for crash in journal.crashes() {
        let part = crash.get(PART).cloned();
        assert!(part == old || part == new, "{:?}", crash.keys());
        found[usize::from(part == new)] += 1;
        let left = restore(&crash);
        assert!(matches!(open(left.path()).found(&partition("aaa", "2017-01")).unwrap(), Found::Ours(_)));
    }
    assert!(found[0] > 3 && found[1] > 0, "{found:?}");
}

// ---------------------------------------------------------------------------------------------- refusals

/// Checks that nothing is adopted, and that nothing changes.
#[track_caller]
fn is_refused(dir: &Path, receipt: &Receipt, parts: &[&str]) -> StoreError {
    let before = tree(dir);
    let error = adopt(dir, Box::new(OsFileSystem), receipt).unwrap_err();
    assert_says(&error.to_string(), parts);
    assert!(tree(dir) == before);
    error
}

/// Writes the rows of `part` as another program does, with these entries.
fn rewrite(part: &Path, entries: &[KeyValue], created_by: &str) {
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(File::open(part).unwrap()).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = ParquetRecordBatchReader::map(reader, Result::unwrap).collect();
    let properties = WriterProperties::builder()
        .set_created_by(created_by.to_owned())
        .set_key_value_metadata(Some(entries.to_vec()))
        .build();
    let mut writer =
        ArrowWriter::try_new(File::create(part).unwrap(), batches[0].schema(), Some(properties)).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
}

fn entries(part: &Path) -> Vec<KeyValue> {
    let reader = SerializedFileReader::new(File::open(part).unwrap()).unwrap();
    reader.metadata().file_metadata().key_value_metadata().cloned().unwrap()
}

#[test]
fn a_file_of_another_program_gets_no_receipt() {
    let dir = done(40, "lz4");
    let (part, wanted) = (dir.path().join(PART), other_receipt(dir.path()));
    let entries = entries(&part);
    rewrite(&part, &[], "parquet-cpp-arrow");
    let replace = "`rollfit run --replace foreign --only aaa:2017-01`";
    is_refused(dir.path(), &wanted, &[PART, "no valid rollfit receipt", "a part of its file", replace]);
    // It kept our receipt and our checksums, and its bytes are its own all the same.
    let replace = "`rollfit run --replace definition-changed --only aaa:2017-01`";
    for created_by in ["parquet-cpp-arrow", "rollfit"] {
        rewrite(&part, &entries, created_by);
        is_refused(dir.path(), &wanted, &[PART, "has no checksums", replace]);
    }
    fs::write(&part, "no Parquet file").unwrap();
    is_refused(dir.path(), &wanted, &[PART, "no valid rollfit receipt"]);
}

#[test]
fn a_file_of_somebody_else_beside_ours_is_in_the_way() {
    let dir = done(40, "lz4");
    fs::write(dir.path().join(PART_DIR).join("more.parquet"), "theirs").unwrap();
    is_refused(dir.path(), &other_receipt_of_copy(dir.path()), &["more.parquet was not written by rollfit"]);
}

/// As [`other_receipt`], where a stranger's file is beside.
fn other_receipt_of_copy(dir: &Path) -> Receipt {
    let copy = copy_of(dir);
    fs::remove_file(copy.path().join(PART_DIR).join("more.parquet")).unwrap();
    other_receipt(copy.path())
}

#[test]
fn damaged_rows_are_not_adopted_whenever_they_are_damaged() {
    let dir = done(40, "lz4");
    let (part, wanted) = (dir.path().join(PART), other_receipt(dir.path()));
    let whole = fs::read(&part).unwrap();
    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    fs::write(&part, &damaged).unwrap();
    assert!(is_refused(dir.path(), &wanted, &["is damaged", "--force"]).is_damage());
    // After they were compared, too: the copy is checked on the way.
    fs::write(&part, &whole).unwrap();
    let store = open(dir.path());
    let mut slot = take(&store);
    drop(slot.read().unwrap());
    fs::write(&part, &damaged).unwrap();
    let error = slot.adopt(&wanted).unwrap_err();
    assert!(error.is_damage(), "{error}");
    assert_eq!(fs::read(&part).unwrap(), damaged);
    assert_eq!(fs::read_dir(dir.path().join(PART_DIR)).unwrap().count(), 1);
}

#[test]
fn only_the_file_that_was_compared_is_adopted() {
    let (dir, other) = (done(40, "lz4"), done(30, "lz4"));
    let wanted = other_receipt(dir.path());
    let store = open(dir.path());
    let error = take(&store).adopt(&wanted).unwrap_err();
    assert_says(&error.to_string(), &[PART, "its rows were not read"]);
    let mut slot = take(&store);
    drop(slot.read().unwrap());
    // Somebody puts another file of ours in its place, without the lock.
    fs::copy(other.path().join(PART), dir.path().join(PART)).unwrap();
    let before = tree(dir.path()).remove(PART);
    let error = slot.adopt(&wanted).unwrap_err();
    assert_says(&error.to_string(), &[PART, "damaged"]);
    assert_eq!(tree(dir.path()).remove(PART), before);
}

#[test]
fn a_receipt_that_would_be_void_in_this_file_is_not_put_there() {
    let dir = done(40, "lz4");
    let mut elsewhere = other_receipt(dir.path());
    elsewhere.output = "key=aaa/month=2017-02".to_owned();
    let mut columns = other_receipt(dir.path());
    Arc::make_mut(&mut columns.definition).series[0].columns.pop();
    columns.stored.rows = 40;
    is_refused(dir.path(), &columns, &[PART_TMP, "does not have the receipt that was written"]);
    is_refused(dir.path(), &elsewhere, &[PART_TMP, "does not have the receipt that was written"]);
    run_undisturbed(dir.path());
}
