//! The bytes of Parquet files: [`FeatureWriter`] for features, [`write_table`] for source tables.
//!
//! Invariants: the same rows give the same bytes, checksums included. Memory is one row group.

use std::sync::Arc;

use parquet::basic::{Compression as Codec, Encoding, LogicalType, TimeUnit, ZstdLevel};
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::{DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, Type};
use rollfit_job::config::{Compression, TIME_COLUMN};
use rollfit_job::store::FeatureTile;

use rollfit_files::parquet_file::{CREATED_BY, ChecksumWriter, Checksums};

/// Rows of a row group, the most that a writer holds in memory.
pub(crate) const ROW_GROUP_ROWS: usize = 65_536;

/// Stored bytes to bytes of doubles, measured on the reference workload.
pub(crate) fn stored_share(compression: Compression) -> f64 {
    match compression {
        Compression::None => 1.0,
        Compression::Lz4 => 0.79,
        Compression::Zstd => 0.77,
    }
}

/// Compressed doubles are split first: bytes of the same significance are stored together.
fn compressed(properties: WriterPropertiesBuilder, compression: Compression) -> WriterPropertiesBuilder {
    let codec = match compression {
        Compression::None => return properties.set_encoding(Encoding::PLAIN),
        Compression::Lz4 => Codec::LZ4_RAW,
        Compression::Zstd => Codec::ZSTD(ZstdLevel::default()),
    };
    properties.set_encoding(Encoding::BYTE_STREAM_SPLIT).set_compression(codec)
}

/// Writes the features of one partition, a row group at a time.
pub(crate) struct FeatureWriter<W: std::io::Write + Send> {
    file: SerializedFileWriter<ChecksumWriter<W>>,
    group: RowGroup,
}

impl<W: std::io::Write + Send> FeatureWriter<W> {
    /// A file with `ts_utc` and these features.
    pub(crate) fn new(output: W, columns: &[&str], compression: Compression) -> Result<Self, ParquetError> {
        let fields = double_fields(columns.iter().copied())?;
        let time = Arc::new(time_field(TIME_COLUMN)?);
        let schema = Type::group_type_builder("features")
            .with_fields(std::iter::once(time).chain(fields).collect())
            .build()?;
        let properties = compressed(properties(), compression);
        let properties =
            properties.set_column_encoding(ColumnPath::from(TIME_COLUMN), Encoding::DELTA_BINARY_PACKED);
        Ok(Self { file: new_file(output, schema, properties)?, group: RowGroup::new(columns.len()) })
    }

    pub(crate) fn write(&mut self, tile: FeatureTile<'_>) -> Result<(), ParquetError> {
        let mut first = 0;
        while first < tile.rows() {
            let taken = self.group.take(tile, first);
            first += taken;
            if self.group.rows() == ROW_GROUP_ROWS {
                self.group.flush(&mut self.file)?;
            }
        }
        Ok(())
    }

    /// Writes the remaining rows.
    pub(crate) fn flush(&mut self) -> Result<(), ParquetError> {
        self.group.flush(&mut self.file)
    }

    /// Writes the remaining rows and the footer, with `value` under `key`; returns the bytes of the file.
    pub(crate) fn finish(&mut self, key: &str, value: String) -> Result<u64, ParquetError> {
        self.flush()?;
        self.file.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        finish_file(&mut self.file)?;
        Ok(self.file.bytes_written() as u64)
    }

    /// The bytes of the row groups that are written.
    pub(crate) fn bytes_written(&self) -> u64 {
        self.file.bytes_written() as u64
    }

    /// What the row group that is not full yet takes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        8 * (self.group.instants_us.capacity() + self.group.columns.iter().map(Vec::capacity).sum::<usize>())
            as u64
    }

    /// The output, which holds the whole file once it is finished.
    pub(crate) fn output(&mut self) -> &mut W {
        self.file.inner_mut().output()
    }
}

/// The rows of a row group, until it is full.
struct RowGroup {
    instants_us: Vec<i64>,
    columns: Vec<Vec<f64>>,
    /// Scratch for columns with nulls: the values that are there, and for each row whether it is.
    present: Vec<f64>,
    levels: Vec<i16>,
}

impl RowGroup {
    fn new(columns: usize) -> Self {
        Self {
            instants_us: Vec::new(),
            columns: vec![Vec::new(); columns],
            present: Vec::new(),
            levels: Vec::new(),
        }
    }

    fn rows(&self) -> usize {
        self.instants_us.len()
    }

    /// Takes rows of the tile from `first` on, as many as there is room for; returns how many.
    fn take(&mut self, tile: FeatureTile<'_>, first: usize) -> usize {
        let rows = first..tile.rows().min(first + ROW_GROUP_ROWS - self.rows());
        self.instants_us.extend_from_slice(&tile.instants_us[rows.clone()]);
        for (ours, column) in self.columns.iter_mut().zip(tile.columns()) {
            ours.extend_from_slice(&column[rows.clone()]);
        }
        rows.len()
    }

    fn flush<W: std::io::Write + Send>(
        &mut self,
        file: &mut SerializedFileWriter<W>,
    ) -> Result<(), ParquetError> {
        if self.rows() == 0 {
            return Ok(());
        }
        let mut group = file.next_row_group()?;
        next_column::<Int64Type, _>(&mut group, |column| column.write_batch(&self.instants_us, None, None))?;
        for values in &mut self.columns {
            let (present, levels) = (&mut self.present, &mut self.levels);
            next_column::<DoubleType, _>(&mut group, |column| {
                write_nullable(column, values, present, levels)
            })?;
            values.clear();
        }
        self.instants_us.clear();
        group.close()?;
        Ok(())
    }
}

/// Writes doubles; NaN means null.
fn write_nullable(
    column: &mut ColumnWriterImpl<'_, DoubleType>,
    values: &[f64],
    present: &mut Vec<f64>,
    levels: &mut Vec<i16>,
) -> Result<usize, ParquetError> {
    levels.clear();
    levels.extend(values.iter().map(|value| i16::from(!value.is_nan())));
    if levels.iter().all(|&level| level == 1) {
        return column.write_batch(values, Some(levels), None);
    }
    present.clear();
    present.extend(values.iter().filter(|value| !value.is_nan()));
    column.write_batch(present, Some(levels), None)
}

fn next_column<T: DataType, W: std::io::Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    write: impl FnOnce(&mut ColumnWriterImpl<'_, T>) -> Result<usize, ParquetError>,
) -> Result<(), ParquetError> {
    let mut column = group
        .next_column()?
        .ok_or_else(|| ParquetError::General("more columns than the schema has".to_owned()))?;
    write(column.typed::<T>())?;
    column.close()
}

/// What every file of ours has in common. No statistics of features: readers select them by month and time.
fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(ColumnPath::from(TIME_COLUMN), EnabledStatistics::Chunk)
        .set_write_batch_size(8192)
}

fn new_file<W: std::io::Write + Send>(
    output: W,
    schema: Type,
    properties: WriterPropertiesBuilder,
) -> Result<SerializedFileWriter<ChecksumWriter<W>>, ParquetError> {
    SerializedFileWriter::new(ChecksumWriter::new(output), Arc::new(schema), Arc::new(properties.build()))
}

/// Writes the footer, with the checksums of the file.
fn finish_file<W: std::io::Write + Send>(
    file: &mut SerializedFileWriter<ChecksumWriter<W>>,
) -> Result<(), ParquetError> {
    file.flush()?;
    file.inner_mut().hold_back();
    file.append_key_value_metadata(Checksums::to_fill_in());
    file.finish()?;
    Ok(file.inner_mut().release()?)
}

fn time_field(name: &str) -> Result<Type, ParquetError> {
    Type::primitive_type_builder(name, parquet::basic::Type::INT64)
        .with_repetition(parquet::basic::Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::timestamp(true, TimeUnit::MICROS)))
        .build()
}

fn double_fields<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<Arc<Type>>, ParquetError> {
    let field = |name| {
        Type::primitive_type_builder(name, parquet::basic::Type::DOUBLE)
            .with_repetition(parquet::basic::Repetition::OPTIONAL)
            .build()
    };
    names.map(|name| field(name).map(Arc::new)).collect()
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
    let time = rows.time;
    let fields = double_fields(rows.columns.iter().map(|(name, _)| *name))?;
    let schema = Type::group_type_builder("series")
        .with_fields(std::iter::once(Arc::new(time_field(time)?)).chain(fields).collect())
        .build()?;
    let metadata =
        rows.metadata.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone())).collect();
    let properties = properties()
        .set_column_statistics_enabled(ColumnPath::from(time), EnabledStatistics::Chunk)
        .set_column_encoding(ColumnPath::from(time), Encoding::DELTA_BINARY_PACKED)
        .set_encoding(Encoding::BYTE_STREAM_SPLIT)
        .set_compression(Codec::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(metadata));
    let mut file = new_file(Vec::new(), schema, properties)?;
    let mut group = file.next_row_group()?;
    next_column::<Int64Type, _>(&mut group, |column| column.write_batch(rows.instants_us, None, None))?;
    let (mut present, mut levels) = (Vec::new(), Vec::new());
    for (_, values) in rows.columns {
        next_column::<DoubleType, _>(&mut group, |column| {
            write_nullable(column, values, &mut present, &mut levels)
        })?;
    }
    group.close()?;
    finish_file(&mut file)?;
    Ok(std::mem::take(file.inner_mut().output()))
}
