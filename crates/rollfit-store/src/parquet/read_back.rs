//! Reading features back: [`read_receipt`] from a footer, [`ParquetReader`] for the rows.

use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use rollfit_job::receipt::Receipt;
use rollfit_job::spec::TIME_COLUMN;
use rollfit_job::store::{FeatureReader, FeatureTile, Found, StoreError, number_as_stored};

use super::fault::{file_error, system_error, unreadable};
use super::sink::RECEIPT_KEY;
use crate::damaged::contain_panics;
use crate::regular_file;

/// What the file at `part` holds of the partition whose output is `output`. A receipt of another output, or of other
/// columns than the file has, is void.
///
/// # Errors
/// When the file cannot be opened or read, which says nothing of what it holds.
pub(crate) fn read_receipt(part: &Path, output: &str) -> Result<Found, StoreError> {
    let file = regular_file::open(part).map_err(|error| file_error("read", part, error))?;
    let metadata = match contain_panics(|| ParquetMetaDataReader::new().parse_and_finish(&file)) {
        Ok(Err(error)) if system_error(&error).is_some() => return Err(unreadable(part, &error)),
        Ok(metadata) => metadata.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    Ok(match metadata.and_then(|metadata| valid_receipt(&metadata, output)) {
        Ok(receipt) => Found::Ours(Box::new(receipt)),
        Err(cause) => Found::Foreign(format!("{} has no valid receipt of ours: {cause}", part.display())),
    })
}

fn valid_receipt(metadata: &ParquetMetaData, output: &str) -> Result<Receipt, String> {
    let file = metadata.file_metadata();
    let entries = file.key_value_metadata().map(Vec::as_slice).unwrap_or_default();
    let text = entries.iter().find(|entry| entry.key == RECEIPT_KEY).and_then(|entry| entry.value.as_deref());
    let receipt: Receipt = serde_json::from_str(text.ok_or("there is none")?)
        .map_err(|error| format!("it cannot be read ({error})"))?;
    if receipt.output != output {
        return Err(format!("it is that of {}", receipt.output));
    }
    let stored: Vec<&str> = file.schema_descr().columns().iter().map(|column| column.name()).collect();
    let promised = || std::iter::once(TIME_COLUMN).chain(feature_columns(&receipt));
    if !stored.iter().copied().eq(promised()) {
        return Err("the file has other columns than it says".to_owned());
    }
    Ok(receipt)
}

fn feature_columns(receipt: &Receipt) -> impl Iterator<Item = &str> {
    receipt.definition.series.iter().flat_map(|series| series.columns.iter().map(String::as_str))
}

/// The rows of one features file.
pub(crate) struct ParquetReader {
    path: PathBuf,
    receipt: Receipt,
    batches: ParquetRecordBatchReader,
    instants_us: Vec<i64>,
    values: Vec<f64>,
}

impl ParquetReader {
    pub(crate) fn open(part: &Path, output: &str) -> Result<Self, StoreError> {
        contain_panics(|| Self::open_file(part, output)).unwrap_or_else(|error| Err(unreadable(part, &error)))
    }

    fn open_file(part: &Path, output: &str) -> Result<Self, StoreError> {
        const BATCH_ROWS: usize = 4096;
        let file = regular_file::open(part).map_err(|error| file_error("read", part, error))?;
        let builder =
            ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| unreadable(part, &error))?;
        let receipt = valid_receipt(builder.metadata(), output).map_err(|cause| {
            StoreError::permanent(format!("{}: no valid receipt: {cause}", part.display()))
        })?;
        let batches =
            builder.with_batch_size(BATCH_ROWS).build().map_err(|error| unreadable(part, &error))?;
        Ok(Self { path: part.to_owned(), receipt, batches, instants_us: Vec::new(), values: Vec::new() })
    }

    fn take(&mut self, batch: &RecordBatch) -> Option<()> {
        self.instants_us.clear();
        self.values.clear();
        let (time, features) = batch.columns().split_first()?;
        self.instants_us.extend_from_slice(time.as_primitive_opt::<TimestampMicrosecondType>()?.values());
        for feature in features {
            let feature = feature.as_primitive_opt::<Float64Type>()?;
            if feature.null_count() == 0 {
                self.values.extend(feature.values().iter().copied().map(number_as_stored));
            } else {
                self.values.extend(feature.iter().map(|value| value.map_or(f64::NAN, number_as_stored)));
            }
        }
        Some(())
    }
}

impl FeatureReader for ParquetReader {
    fn receipt(&self) -> Option<&Receipt> {
        Some(&self.receipt)
    }

    fn next_tile(&mut self) -> Result<Option<FeatureTile<'_>>, StoreError> {
        let next = contain_panics(|| self.batches.next()).map_err(|error| unreadable(&self.path, &error))?;
        let Some(batch) = next else { return Ok(None) };
        let batch = batch.map_err(|error| unreadable(&self.path, &error))?;
        self.take(&batch).ok_or_else(|| {
            StoreError::permanent(format!("{}: a column is not of the type we write", self.path.display()))
        })?;
        Ok(Some(FeatureTile { instants_us: &self.instants_us, first_column: 0, values: &self.values }))
    }
}
