//! Damage to what rollfit wrote: every flipped bit, cut and mixed-up block of a file is an error or does no harm, and never
//! gives another value. What others wrote is held against its own footer.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, TimestampMicrosecondArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use rollfit_job::error_chain;
use rollfit_job::store::{Found, SeriesRows, Sink, Source, StoreError};
use rollfit_job::stored_features::StoredFeatures;
use rollfit_parquet::{OsFileSystem, ParquetStore};
use tempfile::TempDir;

use crate::support::assert_says;
use crate::support::market::{MINUTE_US, MONTHS, bars, config, import, partition, run_undisturbed};

const MONTH: &str = MONTHS[0];
const CLOSES: &str = "sources/m1_aaa/2017-01.parquet";
const RETURNS: &str = "sources/bqx_aaa/2017-01.parquet";
const PART: &str = "features/key=aaa/month=2017-01/part.parquet";

/// A store with a few bars of one key.
fn imported() -> TempDir {
    let dir = TempDir::new().unwrap();
    import(dir.path(), &[bars("aaa", &[MONTH], 24, 0)], &OsFileSystem).unwrap();
    dir
}

/// As [`imported`], with features.
fn done() -> TempDir {
    let dir = imported();
    run_undisturbed(dir.path());
    dir
}

/// The rows of both series.
fn sources(dir: &Path) -> Result<Vec<SeriesRows>, StoreError> {
    let (config, partition) = (config(), partition("aaa", MONTH));
    let store = ParquetStore::open(dir, &config).unwrap();
    let mut snapshot = store.snapshot(&config.series_of_key(&partition.key), partition.period, 0)?;
    (0..2).map(|series| snapshot.rows(series, partition.period.span_us())).collect()
}

/// The receipt's text and the bits of the features of the partition, if they are valid.
fn features(dir: &Path) -> Result<(Found, Vec<u64>), StoreError> {
    let (config, partition) = (config(), partition("aaa", MONTH));
    let store = ParquetStore::open(dir, &config).unwrap();
    let found = store.found(&partition)?;
    let mut reader = store.read(&partition)?;
    let mut bits = Vec::new();
    while let Some(tile) = reader.next_tile()? {
        bits.extend(tile.instants_us.iter().map(|&instant| instant as u64));
        bits.extend(tile.values.iter().map(|value| value.to_bits()));
    }
    Ok((found, bits))
}

/// The bits of two features of the partition, the later one first, for who reads no others.
fn some_features(dir: &Path) -> Result<Vec<u64>, StoreError> {
    let (config, partition) = (config(), partition("aaa", MONTH));
    let store = ParquetStore::open(dir, &config).unwrap();
    let Found::Ours(receipt) = store.found(&partition)? else {
        return Err(StoreError::permanent("not ours"));
    };
    let read = StoredFeatures::read(&config, &store, &partition, &receipt, &[4, 1])?;
    let StoredFeatures { instants_us, columns, .. } = read.unwrap();
    let values = columns.iter().flatten().map(|value| value.to_bits());
    Ok(instants_us.iter().map(|&us| us as u64).chain(values).collect())
}

/// Flipped bits, one of `every_bit`; every cut; blocks of zeros, lost blocks, and pairs of neighbouring blocks exchanged.
fn damages(whole: &[u8], every_bit: usize) -> impl Iterator<Item = (String, Vec<u8>)> {
    const BLOCK: usize = 64;
    let flipped = (0..whole.len() * 8).step_by(every_bit).map(move |bit| {
        let mut bytes = whole.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        (format!("bit {bit}"), bytes)
    });
    let cut = (0..whole.len()).map(move |bytes| (format!("cut at {bytes}"), whole[..bytes].to_vec()));
    let zeroed = (0..whole.len()).step_by(BLOCK / 4).map(move |first| {
        let mut bytes = whole.to_vec();
        let end = bytes.len().min(first + BLOCK);
        bytes[first..end].fill(0);
        (format!("zeros from {first}"), bytes)
    });
    let exchanged = (0..whole.len() - 2 * BLOCK).step_by(BLOCK / 4).map(move |first| {
        let mut bytes = whole.to_vec();
        bytes[first..first + 2 * BLOCK].rotate_left(BLOCK);
        (format!("exchanged from {first}"), bytes)
    });
    let lost = (0..whole.len() - BLOCK)
        .step_by(BLOCK / 4)
        .map(|first| (format!("lost from {first}"), [&whole[..first], &whole[first + BLOCK..]].concat()));
    flipped.chain(cut).chain(zeroed).chain(exchanged).chain(lost)
}

/// The bytes before the footer.
fn body_bytes(whole: &[u8]) -> usize {
    let trailer = whole.len() - 8;
    trailer - u32::from_le_bytes(whole[trailer..trailer + 4].try_into().unwrap()) as usize
}

/// Damages the file at `path` in every way: `read` gives an error or what it gave before. Within the body every flipped bit
/// is an error.
#[track_caller]
fn damage_is_told<T: PartialEq>(path: &Path, every_bit: usize, read: impl Fn() -> Result<T, StoreError>) {
    let whole = fs::read(path).unwrap();
    let right = read().unwrap();
    let (mut told, mut harmless) = (0, 0);
    for (what, bytes) in damages(&whole, every_bit).filter(|(_, bytes)| *bytes != whole) {
        fs::write(path, &bytes).unwrap();
        match read() {
            Err(_) => told += 1,
            Ok(found) => {
                assert!(found == right, "{what}: another result in silence");
                let is_body = bytes[..body_bytes(&whole).min(bytes.len())] != whole[..body_bytes(&whole)];
                assert!(!is_body, "{what}: a damaged body was read");
                harmless += 1;
            }
        }
    }
    fs::write(path, &whole).unwrap();
    assert!(read().unwrap() == right);
    // What is read all the same: the writer's name and the entry of the checksums, as if they were somebody else's.
    assert!(told > 10 * harmless, "{told} told, {harmless} not");
}

#[test]
fn damage_to_a_source_that_an_import_wrote_is_told_or_harmless() {
    let dir = imported();
    damage_is_told(&dir.path().join(CLOSES), 1, || sources(dir.path()));
    damage_is_told(&dir.path().join(RETURNS), 3, || sources(dir.path()));
}

#[test]
fn damage_to_features_is_told_or_harmless() {
    let dir = done();
    damage_is_told(&dir.path().join(PART), 7, || features(dir.path()));
}

#[test]
fn damage_to_features_is_told_or_harmless_whichever_of_them_are_read() {
    let dir = done();
    let (_, all) = features(dir.path()).unwrap();
    let some = some_features(dir.path()).unwrap();
    let rows = some.len() / 3;
    let feature = |at: usize| &all[(1 + at) * rows..(2 + at) * rows];
    assert_eq!(some, [&all[..rows], feature(4), feature(1)].concat());
    damage_is_told(&dir.path().join(PART), 13, || some_features(dir.path()));
}

#[test]
fn a_damaged_source_names_its_file_and_a_way_out_and_fails_every_month() {
    let dir = TempDir::new().unwrap();
    import(dir.path(), &[bars("aaa", &MONTHS, 24, 0)], &OsFileSystem).unwrap();
    let path = dir.path().join(CLOSES);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 4;
    fs::write(&path, bytes).unwrap();
    let (config, store) = (config(), ParquetStore::open(dir.path(), &config()).unwrap());
    for month in MONTHS {
        let error =
            store.snapshot(&config.series_of_key("aaa"), partition("aaa", month).period, 0).err().unwrap();
        let parts =
            ["m1_aaa/2017-01.parquet is damaged", "restore it from a backup", "import its bars again"];
        assert_says(&error_chain(&error), &parts);
        assert!(error.is_damage());
    }
    let refused = import(dir.path(), &[bars("aaa", &MONTHS, 24, 0)], &OsFileSystem).unwrap_err();
    assert_says(&error_chain(&refused), &["2017-01.parquet is damaged", "rename it to"]);
}

#[test]
fn a_plan_of_one_key_reads_the_footers_of_the_others_and_no_row() {
    let dir = imported();
    let path = dir.path().join(CLOSES);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 4;
    fs::write(&path, bytes).unwrap();
    let (config, store) = (config(), ParquetStore::open(dir.path(), &config()).unwrap());
    let month = MONTH.parse().unwrap();
    assert_eq!(store.months(&config.series[0].of_key("aaa")).unwrap(), Some((month, month)));
    assert_eq!(
        store.estimate_rows(&config.series[0].of_key("aaa"), partition("aaa", MONTH).period).unwrap(),
        24
    );
    assert!(
        store
            .snapshot(&config.series_of_key("aaa"), partition("aaa", MONTH).period, 0)
            .err()
            .unwrap()
            .is_damage()
    );
}

#[test]
fn an_import_beside_moved_away_files_keeps_the_rule_of_the_base() {
    use rollfit_job::import::BarsOptions;
    use rollfit_job::store::BarsImport;
    use rollfit_parquet::ParquetImport;
    let dir = TempDir::new().unwrap();
    let import = |base_from_us| {
        let options = BarsOptions { base_from_us, rebase: false, replace: false };
        let mut import = ParquetImport::begin(dir.path(), options, &OsFileSystem)?;
        import.add("aaa", &bars("aaa", &[MONTH], 24, 0))?;
        Box::new(import).commit()
    };
    let start_us = partition("aaa", MONTH).period.span_us().start;
    import(Some(start_us + 5 * MINUTE_US)).unwrap();
    let before = crate::support::tree(dir.path());
    fs::remove_file(dir.path().join(CLOSES)).unwrap();
    import(None).unwrap();
    assert!(crate::support::tree(dir.path()) == before, "the rate index has another base");
}

// ------------------------------------------------------------------------------- what others wrote

/// The columns of the file at `path`, and its metadata.
fn read_file(path: &Path) -> (RecordBatch, Vec<KeyValue>) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let metadata = builder.metadata().file_metadata().key_value_metadata().cloned().unwrap();
    (builder.build().unwrap().next().unwrap().unwrap(), metadata)
}

/// Writes a file anew as another program does, and with it all its metadata.
fn rewrite(path: &Path, batch: &RecordBatch, metadata: &[KeyValue], how: WriterPropertiesBuilder) {
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(how.build())).unwrap();
    metadata.iter().for_each(|entry| writer.append_key_value_metadata(entry.clone()));
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn files_that_another_program_wrote_anew_are_read_as_its_own() {
    let dir = done();
    let (right_sources, right_features) = (sources(dir.path()).unwrap(), features(dir.path()).unwrap());
    for file in [CLOSES, RETURNS, PART] {
        let (batch, metadata) = read_file(&dir.path().join(file));
        assert!(metadata.iter().any(|entry| entry.key == "rollfit.checksum"), "{metadata:?}");
        for by in ["parquet-rs", "rollfit"] {
            let how = WriterProperties::builder().set_created_by(by.to_owned());
            rewrite(&dir.path().join(file), &batch, &metadata, how);
            assert!(sources(dir.path()).unwrap() == right_sources);
            assert!(features(dir.path()).unwrap() == right_features);
        }
    }
}

#[test]
fn a_rate_index_that_is_not_that_of_its_close_is_damage_also_without_checksums() {
    let dir = imported();
    let path = dir.path().join(CLOSES);
    let (batch, metadata) = read_file(&path);
    for changed in ["close", "rate_index"] {
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
            let values = column.as_any().downcast_ref::<Float64Array>().filter(|_| field.name() == changed);
            let change =
                |(row, value): (usize, &f64)| f64::from_bits(value.to_bits() ^ (u64::from(row == 7) << 3));
            let values = values.map(|values| -> ArrayRef {
                Arc::new(Float64Array::from_iter_values(values.values().iter().enumerate().map(change)))
            });
            (field.name().clone(), values.unwrap_or_else(|| column.clone()))
        });
        let rotten = RecordBatch::try_from_iter(columns.collect::<Vec<_>>()).unwrap();
        rewrite(&path, &rotten, &metadata, WriterProperties::builder());
        let error = sources(dir.path()).unwrap_err();
        assert_says(&error_chain(&error), &["2017-01.parquet is damaged", "row 8: the rate_index", "close"]);
    }
    rewrite(&path, &batch, &metadata, WriterProperties::builder());
    sources(dir.path()).unwrap();
}

/// A source table of two files, and what it gives for a month.
struct Dropped {
    dir: TempDir,
}

impl Dropped {
    /// Rows in January and February, in one file of one row group each table.
    fn new() -> (Self, Vec<i64>) {
        let dir = TempDir::new().unwrap();
        let starts = MONTHS.map(|month| partition("aaa", month).period.span_us().start);
        let instants: Vec<i64> =
            starts.iter().flat_map(|start| (0..9).map(move |row| start + row * MINUTE_US)).collect();
        let dropped = Self { dir };
        for (table, time, value) in
            [("m1_aaa", "time", "rate_index"), ("bqx_aaa", "ts_utc", "w15_bqx_return")]
        {
            let columns: [(&str, ArrayRef); 2] = [
                (time, Arc::new(TimestampMicrosecondArray::from(instants.clone()))),
                (value, Arc::new(Float64Array::from(vec![1.5; instants.len()]))),
            ];
            let path = dropped.path(table);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let batch = RecordBatch::try_from_iter(columns).unwrap();
            rewrite(&path, &batch, &[], WriterProperties::builder());
        }
        (dropped, instants)
    }

    fn path(&self, table: &str) -> PathBuf {
        self.dir.path().join(format!("sources/{table}/all.parquet"))
    }

    /// Puts `claimed` wherever the footer has `actual`.
    fn claim(&self, actual: i64, claimed: i64) -> Vec<u8> {
        let path = self.path("m1_aaa");
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        let footer = body_bytes(&bytes);
        let mut found = 0;
        for at in footer..bytes.len() - 8 {
            if bytes[at..at + 8] == actual.to_le_bytes() {
                bytes[at..at + 8].copy_from_slice(&claimed.to_le_bytes());
                found += 1;
            }
        }
        assert!(found > 0, "the footer does not have {actual}");
        fs::write(&path, bytes).unwrap();
        whole
    }

    fn rows(&self, month: &str) -> Result<usize, StoreError> {
        let (config, partition) = (config(), partition("aaa", month));
        let store = ParquetStore::open(self.dir.path(), &config).unwrap();
        let mut snapshot = store.snapshot(&config.series_of_key(&partition.key), partition.period, 0)?;
        Ok(snapshot.rows(0, partition.period.span_us())?.instants_us.len())
    }
}

#[test]
fn statistics_that_are_not_those_of_the_rows_are_an_error_in_every_month() {
    let (dropped, instants) = Dropped::new();
    let (first, last) = (instants[0], instants[17]);
    assert_eq!(MONTHS.map(|month| dropped.rows(month).unwrap()), [9, 9]);
    for (actual, claimed) in [(last, instants[8]), (first, instants[9]), (first, first - 1), (last, last + 1)]
    {
        let whole = dropped.claim(actual, claimed);
        for month in MONTHS {
            let error = dropped.rows(month).unwrap_err();
            assert_says(
                &error_chain(&error),
                &["m1_aaa/all.parquet: column `time`: the footer says", "write it again"],
            );
        }
        fs::write(dropped.path("m1_aaa"), whole).unwrap();
    }
    assert_eq!(MONTHS.map(|month| dropped.rows(month).unwrap()), [9, 9]);
}

#[test]
fn statistics_of_no_month_do_not_hide_rows_that_cannot_be_read() {
    const AFTER: &str = "2017-03";
    let (dropped, instants) = Dropped::new();
    let damage = || {
        let mut bytes = fs::read(dropped.path("m1_aaa")).unwrap();
        bytes[4..12].fill(0xff);
        fs::write(dropped.path("m1_aaa"), bytes).unwrap();
    };
    let whole = dropped.claim(instants[17], instants[0] - 1);
    damage();
    for month in [MONTHS[0], MONTHS[1], AFTER] {
        let error = dropped.rows(month).unwrap_err();
        assert_says(&error_chain(&error), &["m1_aaa/all.parquet"]);
    }
    // Where the footer says in which months the rows were, others can be read.
    fs::write(dropped.path("m1_aaa"), whole).unwrap();
    damage();
    assert!(MONTHS.iter().all(|month| dropped.rows(month).is_err()));
    assert_eq!(dropped.rows(AFTER).unwrap(), 0);
}
