//! What a follower asks of a directory of source tables: whether files have changed, without reading them, and their last rows.

use std::fs::{self, FileTimes};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rollfit_job::derived_source::DerivedSource;
use rollfit_job::store::{LatestQuery, SeriesHead, SeriesOfKey, SeriesRows, Source, StoreError};
use rollfit_parquet::{OsFileSystem, ParquetStore};
use tempfile::TempDir;

use crate::support::assert_says;
use crate::support::market::{KEYS, MINUTE_US, MONTHS, bars, config, config_with, import, partition};
use crate::support::script::{Fate, Operation, Script};

const ROWS: usize = 40;

fn store() -> TempDir {
    let dir = TempDir::new().unwrap();
    add(dir.path(), ROWS);
    dir
}

/// Imports as many rows a month of the first key.
fn add(dir: &Path, rows: usize) {
    import(dir, &[bars(KEYS[0], &MONTHS, rows, 1), bars(KEYS[1], &MONTHS, ROWS, 1)], &OsFileSystem).unwrap();
}

fn open(dir: &Path) -> ParquetStore {
    ParquetStore::open_with(dir, &config(), Box::new(OsFileSystem)).unwrap()
}

/// The heads of all series of all keys.
fn heads(store: &ParquetStore) -> Vec<Result<SeriesHead, StoreError>> {
    let config = config();
    let series: Vec<SeriesOfKey<'_>> = KEYS.iter().flat_map(|key| config.series_of_key(key)).collect();
    store.heads(&series).unwrap()
}

fn stamps(store: &ParquetStore) -> Vec<u64> {
    heads(store).into_iter().map(|head| head.unwrap().stamp).collect()
}

/// Which of the two keys have another stamp after `change`, and whether that then stays.
#[track_caller]
fn changed_by(store: &ParquetStore, change: impl FnOnce()) -> [bool; 2] {
    let before = stamps(store);
    change();
    let after = stamps(store);
    assert_eq!(after, stamps(store));
    let per_key = before.len() / 2;
    [0, 1].map(|key| before[key * per_key..][..per_key] != after[key * per_key..][..per_key])
}

fn file(dir: &Path) -> PathBuf {
    let table = dir.join("sources/m1_aaa");
    fs::read_dir(table).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn a_file_that_comes_goes_or_changes_gives_its_key_another_stamp() {
    let dir = store();
    let (store, path) = (open(dir.path()), file(dir.path()));
    assert_eq!(changed_by(&store, || ()), [false, false]);
    assert_eq!(changed_by(&store, || add(dir.path(), ROWS)), [false, false]);
    assert_eq!(changed_by(&store, || add(dir.path(), ROWS + 1)), [true, false]);
    // The same bytes and times in another file.
    let copy = dir.path().join("copy");
    let times = fs::metadata(&path).unwrap();
    fs::copy(&path, &copy).unwrap();
    let times = FileTimes::new().set_modified(times.modified().unwrap());
    fs::File::options().write(true).open(&copy).unwrap().set_times(times).unwrap();
    assert_eq!(changed_by(&store, || fs::rename(&copy, &path).unwrap()), [true, false]);
    // The same file with the same length, written later.
    let bytes = fs::read(&path).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(10));
    assert_eq!(changed_by(&store, || fs::write(&path, &bytes).unwrap()), [true, false]);
    let other = path.with_file_name("other.parquet");
    assert_eq!(changed_by(&store, || assert!(fs::copy(&path, &other).is_ok())), [true, false]);
    assert_eq!(
        changed_by(&store, || fs::rename(&other, path.with_file_name("more.parquet")).unwrap()),
        [true, false]
    );
    assert_eq!(
        changed_by(&store, || fs::remove_file(path.with_file_name("more.parquet")).unwrap()),
        [true, false]
    );
    // What no reader reads.
    assert_eq!(
        changed_by(&store, || fs::write(path.with_file_name("notes.txt"), "x").unwrap()),
        [false, false]
    );
}

#[test]
fn files_are_not_opened_to_see_whether_they_changed() {
    let dir = store();
    let store = open(dir.path());
    fs::write(file(dir.path()), "no Parquet file").unwrap();
    assert!(heads(&store).iter().all(Result::is_ok));
    let config = config();
    assert!(store.check_followable(&config.series_of_key("aaa")).is_ok());
}

#[test]
fn a_missing_table_is_the_error_of_its_series_until_it_comes() {
    let dir = store();
    let (store, table) = (open(dir.path()), dir.path().join("sources/m1_aaa"));
    let away = dir.path().join("away");
    let before = stamps(&store);
    fs::rename(&table, &away).unwrap();
    let found = heads(&store);
    let missing: Vec<&StoreError> = found.iter().filter_map(|head| head.as_ref().err()).collect();
    assert_eq!(missing.len(), 1);
    assert_says(&missing[0].to_string(), &["m1_aaa", "does not exist", "import its bars"]);
    let config = config();
    assert!(store.check_followable(&config.series_of_key("aaa")).is_err());
    fs::rename(&away, &table).unwrap();
    assert_eq!(stamps(&store), before);
    fs::remove_dir_all(dir.path().join("sources")).unwrap();
    assert!(heads(&store).iter().all(Result::is_err));
}

#[test]
fn an_import_that_was_cut_short_after_its_commit_is_seen_and_finished_by_the_look() {
    let dir = store();
    let store = open(dir.path());
    let more = || [bars(KEYS[0], &MONTHS, ROWS + 3, 1), bars(KEYS[1], &MONTHS, ROWS, 1)];
    let undisturbed = TempDir::new().unwrap();
    crate::support::copy_tree(dir.path(), undisturbed.path());
    let script = Script::new(undisturbed.path(), Fate::Undisturbed);
    import(undisturbed.path(), &more(), &script).unwrap();
    let is_generation =
        |operation: &Operation| matches!(operation, Operation::Rename(_, to) if to == "sources/.generation");
    let at = script.all_operations().iter().position(is_generation).unwrap();
    let cut_short =
        || assert!(import(dir.path(), &more(), &Script::new(dir.path(), Fate::KillAt(at))).is_err());
    assert_eq!(changed_by(&store, cut_short), [true, true]);
    assert!(dir.path().join("sources/.import").exists());
    let config = config();
    let series = config.series_of_key("aaa");
    let query =
        LatestQuery { from_us: partition("aaa", MONTHS[1]).period.span_us().start, count_from_us: None };
    let look = || assert_eq!(store.latest(&series, query).unwrap().rows[0].values.len(), ROWS + 3);
    assert_eq!(changed_by(&store, look), [true, true]);
}

#[test]
fn the_last_rows_and_counts_are_those_of_a_snapshot_across_the_end_of_a_month() {
    let dir = store();
    let store = open(dir.path());
    let config = config();
    let series = config.series_of_key("aaa");
    let [first, second] = MONTHS.map(|month| partition("aaa", month).period);
    let from_us = first.span_us().start + 30 * MINUTE_US;
    let count_from_us = Some(first.span_us().start + 10 * MINUTE_US);
    let latest = store.latest(&series, LatestQuery { from_us, count_from_us }).unwrap();
    // The first returns have no close to return from.
    assert_eq!(latest.counts, Some(vec![20, 15]));
    assert!(!latest.has_writers);
    let snapshots = [first, second].map(|period| store.snapshot(&series, period, 0).unwrap());
    let [mut before, mut after] = snapshots;
    for (at, rows) in latest.rows.iter().enumerate() {
        let (a, b) = (
            before.rows(at, from_us..first.span_us().end).unwrap(),
            after.rows(at, second.span_us()).unwrap(),
        );
        let both = SeriesRows {
            instants_us: [a.instants_us, b.instants_us].concat(),
            values: [a.values, b.values].concat(),
        };
        assert_eq!((rows, rows.values.len()), (&both, 10 + ROWS));
        let all = before.rows(at, first.span_us()).unwrap().values.len();
        assert_eq!(before.count(at, first.span_us()).unwrap(), all as u64);
        assert_eq!(before.count(at, from_us..from_us + MINUTE_US).unwrap(), 1);
        assert_eq!(before.last_us(at).unwrap(), rows.instants_us.last().copied());
    }
    let none =
        store.latest(&series, LatestQuery { from_us: second.span_us().end, count_from_us: None }).unwrap();
    assert_eq!((none.rows, none.counts), (vec![SeriesRows::default(); series.len()], None));
}

#[test]
fn the_last_rows_of_derived_series_are_those_of_the_imported_ones() {
    let dir = store();
    let derived_values = [
        ("SERIES__IDX__VALUE", "close"),
        ("SERIES__IDX__DERIVE", "rate_index"),
        ("SERIES__BQX__TABLE", "m1_{key}"),
        ("SERIES__BQX__TIME", "time"),
        ("SERIES__BQX__VALUE", "close"),
        ("SERIES__BQX__DERIVE", "backward_return(15)"),
    ];
    let (config, of_derived) = (config(), config_with(&derived_values));
    let store = Arc::new(open(dir.path()));
    let derived = DerivedSource::new(store.clone());
    let start_us = |month| partition("aaa", month).period.span_us().start;
    let [first_us, second_us] = [start_us(MONTHS[0]), start_us(MONTHS[1])];
    for from_us in
        [first_us, first_us + 9 * MINUTE_US, first_us + 30 * MINUTE_US, second_us, second_us + 5 * MINUTE_US]
    {
        for count_from_us in [None, Some(first_us), Some(second_us), Some(first_us + 4 * MINUTE_US)] {
            let query = LatestQuery { from_us, count_from_us: count_from_us.map(|us| us.min(from_us)) };
            let found = derived.latest(&of_derived.series_of_key("aaa"), query).unwrap();
            let wanted = store.latest(&config.series_of_key("aaa"), query).unwrap();
            assert_eq!((found.rows, found.counts), (wanted.rows, wanted.counts), "{query:?}");
        }
    }
}
