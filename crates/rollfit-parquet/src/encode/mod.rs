//! The bytes of Parquet files: [`FeatureWriter`] for features, [`write_table`] for source tables.
//!
//! From a tile, hot in the cache, each column's values go to the end of that column's buffer; NULLs are left out on the way. A full
//! row group is encoded column by column, from its buffer through the cache into pieces that the output takes as they are.
//!
//! Invariants: the same rows give the same bytes, checksums included. Memory is one row group and one piece of output.

mod body_output;
mod buffer_pool;
mod byte_split;
mod column;
mod compact;
mod delta;
mod file_writer;
mod levels;
mod lz4;
mod page_encoder;
mod row_group;
#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use rollfit_job::config::{Compression, TIME_COLUMN};
use rollfit_job::store::FeatureTile;

use crate::file_system::OutputFile;

pub(crate) use self::buffer_pool::BufferPool;
use self::buffer_pool::WriterBuffers;
use self::file_writer::FileWriter;
use self::row_group::{ROW_GROUP_ROWS, RowGroup};

/// Stored bytes to bytes of doubles, measured on the reference workload.
pub(crate) fn stored_share(compression: Compression) -> f64 {
    match compression {
        Compression::None => 0.94,
        Compression::Lz4 => 0.79,
        Compression::Zstd => 0.77,
    }
}

/// Writes the features of one partition, a row group at a time.
pub(crate) struct FeatureWriter<W: OutputFile> {
    file: FileWriter<W>,
    group: RowGroup,
    compression: Compression,
    pool: Arc<BufferPool>,
}

impl<W: OutputFile> FeatureWriter<W> {
    /// A file with `ts_utc` and these features. Its memory comes from `pool` and goes back there.
    pub(crate) fn new(
        output: W,
        columns: &[&str],
        compression: Compression,
        pool: &Arc<BufferPool>,
    ) -> Result<Self, ParquetError> {
        let WriterBuffers { mut group, piece, page } = pool.take();
        group.begin(columns.len());
        let file = FileWriter::new(output, "features", (TIME_COLUMN, columns), compression, (piece, page))?;
        Ok(Self { file, group, compression, pool: pool.clone() })
    }

    pub(crate) fn write(&mut self, tile: FeatureTile<'_>) -> Result<(), ParquetError> {
        let mut first = 0;
        while first < tile.rows() {
            first += self.group.take(tile, first);
            if self.group.is_full() {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes the remaining rows.
    pub(crate) fn flush(&mut self) -> Result<(), ParquetError> {
        if self.group.instants_us.is_empty() {
            return Ok(());
        }
        self.reserve()?;
        let RowGroup { instants_us, columns } = &mut self.group;
        self.file.write_group(instants_us, columns)?;
        self.group.clear();
        Ok(())
    }

    /// Asks for room for the row group.
    fn reserve(&mut self) -> std::io::Result<()> {
        let plain_bytes = self.group.plain_bytes();
        let more_bytes = match self.compression {
            Compression::None => plain_bytes,
            // A little more than features mostly take; what is too much is given back.
            Compression::Lz4 | Compression::Zstd => plain_bytes / 10 * 9,
        };
        let bytes = self.file.position() + more_bytes;
        match self.file.output().reserve(bytes) {
            // Packed, it may fit. If not, the write fails.
            Err(error) if is_full(&error) && self.compression != Compression::None => Ok(()),
            reserved => reserved,
        }
    }

    /// Writes the remaining rows and the footer, with `value` under `key`; returns the bytes of the file.
    pub(crate) fn finish(&mut self, key: &str, value: String) -> Result<u64, ParquetError> {
        self.flush()?;
        self.file.finish(vec![KeyValue::new(key.to_owned(), value)])
    }

    /// The bytes of the row groups that are written.
    pub(crate) fn bytes_written(&self) -> u64 {
        self.file.position()
    }

    /// The memory that it holds: the row group that is not full yet, and what encodes it.
    pub(crate) fn memory_bytes(&self) -> u64 {
        (self.group.memory_bytes() + self.file.memory_bytes()) as u64
    }

    /// The output, which holds the whole file once it is finished.
    pub(crate) fn output(&mut self) -> &mut W {
        self.file.output()
    }
}

impl<W: OutputFile> Drop for FeatureWriter<W> {
    fn drop(&mut self) {
        let (piece, page) = self.file.take_memory();
        self.pool.put(WriterBuffers { group: std::mem::take(&mut self.group), piece, page });
    }
}

/// Whether a disk is full, or a quota used up.
fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// A source table's rows for one file.
pub(crate) struct TableRows<'a> {
    /// The time column's name. Its type says that it is UTC.
    pub(crate) time: &'a str,
    pub(crate) instants_us: &'a [i64],
    /// The value columns with their names.
    pub(crate) columns: &'a [(&'a str, &'a [f64])],
    /// What the footer says of the table, by key.
    pub(crate) metadata: &'a [(&'a str, String)],
}

/// The bytes of a file with these rows, sorted by time.
pub(crate) fn write_table(rows: &TableRows<'_>) -> Result<Vec<u8>, ParquetError> {
    let names: Vec<&str> = rows.columns.iter().map(|(name, _)| *name).collect();
    let WriterBuffers { mut group, piece, page } = WriterBuffers::default();
    let mut file =
        FileWriter::new(Vec::new(), "series", (rows.time, &names), Compression::Zstd, (piece, page))?;
    for first in (0..rows.instants_us.len()).step_by(ROW_GROUP_ROWS) {
        let taken = first..rows.instants_us.len().min(first + ROW_GROUP_ROWS);
        group.begin(names.len());
        for (ours, (_, values)) in group.columns.iter_mut().zip(rows.columns) {
            ours.push(&values[taken.clone()]);
        }
        file.write_group(&rows.instants_us[taken], &mut group.columns)?;
    }
    let entry = |(key, value): &(&str, String)| KeyValue::new((*key).to_owned(), value.clone());
    file.finish(rows.metadata.iter().map(entry).collect())?;
    Ok(std::mem::take(file.output()))
}
