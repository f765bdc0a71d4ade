//! Long tables are read as often as they have to be: files of many keys twice in a run, to count and to copy, however many keys
//! they have; of those sorted by key, and of directories, only what belongs to the keys that are asked for.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use parquet::arrow::ArrowWriter;
use rollfit_job::config::JobConfig;
use rollfit_job::period::Period;
use rollfit_job::store::{SeriesRows, Source};
use rollfit_parquet::{FileSystem, OsFileSystem, ParquetStore, RawFile};
use tempfile::TempDir;

const CONFIG: &str = r#"
[store]
url = "parquet:."
[partitions]
keys = "all"
from = "first"
to = "latest"
[series.y]
table = "bars"
key_column = "symbol"
time = "time"
value = "close"
[windows]
w3 = 3
"#;
const DAY_US: i64 = 86_400_000_000;

/// Counts how often each file is opened.
#[derive(Clone, Default)]
struct CountingFiles {
    opened: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl CountingFiles {
    fn opened(&self) -> BTreeMap<String, usize> {
        self.opened.lock().unwrap().clone()
    }
}

impl FileSystem for CountingFiles {
    fn open(&self, path: &Path) -> io::Result<(File, Metadata)> {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        *self.opened.lock().unwrap().entry(name).or_default() += 1;
        OsFileSystem.open(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn RawFile>> {
        OsFileSystem.create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFileSystem.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        OsFileSystem.sync_dir(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsFileSystem.remove(path)
    }
}

/// A store with a long table, and how often its files were opened.
struct LongStore {
    dir: TempDir,
    config: JobConfig,
    files: CountingFiles,
}

impl LongStore {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir_all(dir.path().join("sources/bars")).unwrap();
        Self { dir, config: JobConfig::parse(CONFIG, []).unwrap(), files: CountingFiles::default() }
    }

    /// Writes a file of rows: a key, a day since 1970 and a value.
    fn write(&self, name: &str, rows: &[(&str, i64, f64)]) {
        let path = self.dir.path().join("sources/bars").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let keys: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)));
        let times: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.1 * DAY_US)));
        let values: ArrayRef = Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.2)));
        let batch =
            RecordBatch::try_from_iter([("symbol", keys), ("time", times), ("close", values)]).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    fn open(&self) -> ParquetStore {
        ParquetStore::open_with(self.dir.path(), &self.config, Box::new(self.files.clone())).unwrap()
    }

    /// The days and values of a key in a month, and how many rows it has before.
    fn rows(&self, store: &ParquetStore, key: &str, month: &str) -> (SeriesRows, usize) {
        let period: Period = month.parse().unwrap();
        let mut snapshot = store.snapshot(&self.config.series_of_key(key), period, 3).unwrap();
        let rows = snapshot.rows(0, period.span_us()).unwrap();
        assert_eq!(snapshot.count(0, period.span_us()).unwrap(), rows.instants_us.len() as u64);
        let before = snapshot.rows_before(0, period.span_us().start, 3).unwrap();
        (rows, before.instants_us.len())
    }
}

#[test]
fn a_run_on_any_number_of_keys_reads_a_file_of_all_once_to_count_and_once_to_copy() {
    for key_count in [3, 200] {
        let long = LongStore::new();
        let keys: Vec<String> = (0..key_count).map(|key| format!("k{key}")).collect();
        let rows = |day: i64| {
            keys.iter().enumerate().map(move |(at, key)| (key.as_str(), day, (at as i64 * 1000 + day) as f64))
        };
        long.write("all.parquet", &(0..60).flat_map(rows).collect::<Vec<_>>());
        let store = long.open();
        assert_eq!(store.keys_in(&long.config.series[0]).unwrap().len(), key_count as usize);
        for (at, key) in keys.iter().enumerate() {
            let series = &long.config.series_of_key(key)[0];
            let months = store.months(series).unwrap().unwrap();
            assert_eq!(
                (months.0.to_string().as_str(), months.1.to_string().as_str()),
                ("1970-01", "1970-03")
            );
            assert_eq!(store.estimate_rows(series, "1970-02".parse().unwrap()).unwrap(), 28);
            let (february, before) = long.rows(&store, key, "1970-02");
            assert_eq!((february.instants_us.len(), before), (28, 3));
            assert_eq!(february.values[0].to_bits(), ((at * 1000 + 31) as f64).to_bits());
            assert_eq!(february.instants_us[27], 58 * DAY_US);
        }
        assert_eq!(long.files.opened(), BTreeMap::from([("all.parquet".to_owned(), 2)]));
    }
}

#[test]
fn of_a_changed_table_all_is_read_again_and_a_snapshot_keeps_what_it_began_with() {
    let long = LongStore::new();
    let rows =
        |value: f64| [("a", 1, value), ("b", 1, value), ("c", 1, value), ("a", 2, value), ("b", 2, value)];
    long.write("all.parquet", &rows(1.0));
    let store = long.open();
    let january: Period = "1970-01".parse().unwrap();
    let mut before = store.snapshot(&long.config.series_of_key("a"), january, 0).unwrap();
    long.write("new.parquet", &rows(2.0));
    fs::rename(
        long.dir.path().join("sources/bars/new.parquet"),
        long.dir.path().join("sources/bars/all.parquet"),
    )
    .unwrap();
    assert_eq!(before.rows(0, january.span_us()).unwrap().values, [1.0, 1.0]);
    assert_eq!(long.rows(&store, "a", "1970-01").0.values, [2.0, 2.0]);
    assert_eq!(long.rows(&store, "c", "1970-01").0.values, [2.0]);
}

#[test]
fn only_what_belongs_to_a_key_is_read_where_directories_or_files_tell_it() {
    let long = LongStore::new();
    for key in ["a", "b", "c"] {
        long.write(&format!("symbol={key}/{key}.parquet"), &[(key, 1, 1.0)]);
        long.write(&format!("{key}-later.parquet"), &[(key, 2, 2.0)]);
    }
    let store = long.open();
    assert_eq!(long.rows(&store, "b", "1970-01").0.values, [1.0, 2.0]);
    let opened = long.files.opened();
    // All of the files that may have any key are counted, and only that of the key is copied.
    assert_eq!((opened["a-later.parquet"], opened["b-later.parquet"]), (1, 2));
    assert!(!opened.contains_key("a.parquet") && opened.contains_key("b.parquet"), "{opened:?}");
}
