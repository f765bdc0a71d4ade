//! What the tests of importing share: files to write and to read, and what came of them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use arrow_array::{ArrayRef, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use rollfit_bars::{BarFile, Format, ImportError, ReadOptions, read_file};
use tempfile::TempDir;

/// A file of the shared data, or none, said aloud, where it is absent.
pub(crate) fn shared(relative: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("ROLLFIT_SHARED").map_or_else(beside, PathBuf::from);
    let path = root.join("data").join(relative);
    if !path.exists() {
        println!("skipped: shared data {relative} is absent");
        return None;
    }
    Some(path)
}

pub(crate) fn options(format: Format, key: &str, zone: &str) -> ReadOptions {
    let key = (!key.is_empty()).then(|| key.to_owned());
    let zone = (!zone.is_empty()).then(|| zone.parse().unwrap());
    ReadOptions { key, zone, ..ReadOptions::new(format) }
}

pub(crate) fn with_columns(mut options: ReadOptions, time: &str, close: &str) -> ReadOptions {
    options.columns.time = Some(time.to_owned());
    options.columns.close = Some(close.to_owned());
    options
}

pub(crate) fn write(directory: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

pub(crate) fn write_parquet(directory: &TempDir, name: &str, columns: Vec<(&str, ArrayRef)>) -> PathBuf {
    let path = directory.path().join(name);
    write_parquet_as("tests", &path, columns);
    path
}

/// Writes a file whose footer names its writer.
pub(crate) fn write_parquet_as(writer: &str, path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder().set_created_by(writer.to_owned()).build();
    let file = fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Reads `text` as one file of the key `k`.
pub(crate) fn read_text(text: &str, format: Format, zone: &str) -> Result<BarFile, ImportError> {
    let directory = TempDir::new().unwrap();
    read_file(&write(&directory, "bars.csv", text.as_bytes()), &options(format, "k", zone))
}

pub(crate) fn message(result: Result<BarFile, ImportError>) -> String {
    result.unwrap_err().to_string()
}

#[track_caller]
pub(crate) fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

pub(crate) fn bars(file: &BarFile) -> Vec<(i64, f64)> {
    file.bars.iter().map(|bar| (bar.instant_us, bar.close)).collect()
}
