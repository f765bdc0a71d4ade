//! Reading features back: [`read_receipt`] from a footer, [`ParquetReader`] for the rows.
//!
//! Invariants: no receipt is used before its footer is checked, and no row before all bytes are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use rollfit_job::config::TIME_COLUMN;
use rollfit_job::parsed_receipt::ParsedReceipt;
use rollfit_job::partition::Partition;
use rollfit_job::receipt::Receipt;
use rollfit_job::store::{FeatureReader, FeatureTile, Found, StoreError, number_as_stored};

use crate::fault::{features_fault, file_error, unreadable};
use rollfit_files::damaged::contain_panics;
use rollfit_files::parquet_file::{
    Checksums, FileBytes, FileFault, Footer, Integrity, check_body, check_pages,
};
use rollfit_files::regular_file;

/// The key of the receipt in the footer of a features file.
pub(crate) const RECEIPT_KEY: &str = "rollfit.receipt";

/// What the file at `part` holds of a partition whose output is `output`. A receipt of another output, or of other columns
/// than the file has, is void.
///
/// # Errors
/// When the file cannot be opened or read, which says nothing of what it holds; [`StoreError::is_damage`] where rollfit
/// wrote it and its footer is damaged.
pub(crate) fn read_receipt(part: &Path, partition: &Partition, output: &str) -> Result<Found, StoreError> {
    read_counted(part, partition, output).map(|(found, _)| found)
}

/// As [`read_receipt`], with the rows that the same footer says the file has, where it can be read.
///
/// # Errors
/// As [`read_receipt`].
pub(crate) fn read_counted(
    part: &Path,
    partition: &Partition,
    output: &str,
) -> Result<(Found, Option<u64>), StoreError> {
    let (receipt, rows) = match open(part).and_then(|bytes| Footer::read(&bytes)) {
        Ok(footer) => (valid_receipt(&footer, output), Some(rows_of(&footer))),
        Err(FileFault::Unreadable(why)) => (Err(why), None),
        Err(fault) => return Err(features_fault(part, partition, fault)),
    };
    let found = match receipt {
        Ok(ParsedReceipt::Known(receipt)) => Found::Ours(receipt),
        Ok(ParsedReceipt::Newer(what)) => Found::Newer(what),
        Err(cause) => Found::Foreign(format!("{} has no valid rollfit receipt: {cause}", part.display())),
    };
    Ok((found, rows))
}

/// Whether a file has a receipt, valid or not.
pub(super) fn has_receipt(part: &Path) -> bool {
    let footer = open(part).and_then(|bytes| Footer::read(&bytes));
    footer.is_ok_and(|footer| footer.value(RECEIPT_KEY).is_some())
}

fn rows_of(footer: &Footer) -> u64 {
    let rows = footer.metadata.row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0));
    rows.fold(0, u64::saturating_add)
}

/// How far the bytes of a features file can be trusted, as its footer has it.
///
/// # Errors
/// As [`read_receipt`]; also where the file is not a readable Parquet file.
pub(crate) fn footer_integrity(part: &Path, partition: &Partition) -> Result<Integrity, StoreError> {
    let footer = open(part).and_then(|bytes| Footer::read(&bytes));
    footer.map(|footer| footer.integrity).map_err(|fault| features_fault(part, partition, fault))
}

/// Opens a features file.
pub(super) fn open(part: &Path) -> Result<FileBytes, FileFault> {
    let (file, status) = regular_file::open_and_look(part).map_err(FileFault::System)?;
    Ok(FileBytes::new(Arc::new(file), status.len()))
}

fn valid_receipt(footer: &Footer, output: &str) -> Result<ParsedReceipt, String> {
    let receipt = match ParsedReceipt::parse(footer.value(RECEIPT_KEY).ok_or("there is none")?)? {
        ParsedReceipt::Known(receipt) => receipt,
        newer @ ParsedReceipt::Newer(_) => return Ok(newer),
    };
    if receipt.output != output {
        return Err(format!("it belongs to the output {}", receipt.output));
    }
    let columns = footer.metadata.file_metadata().schema_descr().columns();
    let stored: Vec<&str> = columns.iter().map(|column| column.name()).collect();
    let promised = || std::iter::once(TIME_COLUMN).chain(feature_columns(&receipt));
    if !stored.iter().copied().eq(promised()) {
        return Err("the file's columns differ from those of the receipt".to_owned());
    }
    Ok(ParsedReceipt::Known(receipt))
}

fn feature_columns(receipt: &Receipt) -> impl Iterator<Item = &str> {
    receipt.definition.series.iter().flat_map(|series| series.columns.iter().map(String::as_str))
}

/// The rows of one features file.
pub(crate) struct ParquetReader {
    path: PathBuf,
    bytes: FileBytes,
    receipt: Receipt,
    integrity: Integrity,
    batches: ParquetRecordBatchReader,
    instants_us: Vec<i64>,
    values: Vec<f64>,
}

impl ParquetReader {
    /// Opens the features of a partition, all or those with these numbers, which rise; checks every byte of a file that has our
    /// checksums.
    pub(crate) fn open(
        part: &Path,
        partition: &Partition,
        output: &str,
        columns: Option<&[usize]>,
    ) -> Result<Self, StoreError> {
        contain_panics(|| Self::open_file(part, partition, output, columns))
            .unwrap_or_else(|error| Err(unreadable(part, &error)))
    }

    fn open_file(
        part: &Path,
        partition: &Partition,
        output: &str,
        columns: Option<&[usize]>,
    ) -> Result<Self, StoreError> {
        const BATCH_ROWS: usize = 4096;
        let fault = |fault| features_fault(part, partition, fault);
        let bytes = open(part).map_err(fault)?;
        let footer = Footer::read(&bytes).map_err(fault)?;
        let receipt = match valid_receipt(&footer, output) {
            Ok(ParsedReceipt::Known(receipt)) => *receipt,
            Ok(ParsedReceipt::Newer(what)) => {
                return Err(StoreError::permanent(format!("{}: {what}", part.display())));
            }
            Err(cause) => {
                return Err(StoreError::permanent(format!(
                    "{}: it has no valid rollfit receipt: {cause}",
                    part.display()
                )));
            }
        };
        check_body(&bytes, footer.integrity).map_err(fault)?;
        // The first column is the instants.
        let is_read = |at: usize| at == 0 || columns.is_none_or(|columns| columns.contains(&(at - 1)));
        let row_groups = 0..footer.metadata.num_row_groups();
        check_pages(&bytes, &footer.metadata, row_groups, is_read).map_err(fault)?;
        let schema = footer.metadata.file_metadata().schema_descr();
        let projection = ProjectionMask::roots(schema, (0..schema.num_columns()).filter(|&at| is_read(at)));
        let metadata = ArrowReaderMetadata::try_new(footer.metadata, ArrowReaderOptions::new())
            .map_err(|error| unreadable(part, &error))?;
        let batches = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), metadata)
            .with_batch_size(BATCH_ROWS)
            .with_projection(projection)
            .build()
            .map_err(|error| unreadable(part, &error))?;
        let path = part.to_owned();
        Ok(Self {
            path,
            bytes,
            receipt,
            integrity: footer.integrity,
            batches,
            instants_us: Vec::new(),
            values: Vec::new(),
        })
    }

    /// The checksums that all bytes have; none where the file has none of ours.
    pub(super) fn checksums(&self) -> Option<Checksums> {
        if let Integrity::Verified(checksums) = self.integrity { Some(checksums) } else { None }
    }

    /// The system's own error comes first: Arrow makes a text of it.
    fn unreadable(&self, error: &dyn std::fmt::Display) -> StoreError {
        match self.bytes.take_fault() {
            Some(error) => file_error("read", &self.path, error),
            None => unreadable(&self.path, error),
        }
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
        let next = contain_panics(|| self.batches.next()).map_err(|error| self.unreadable(&error))?;
        let Some(batch) = next else { return Ok(None) };
        let batch = batch.map_err(|error| self.unreadable(&error))?;
        self.take(&batch).ok_or_else(|| {
            StoreError::permanent(format!(
                "{}: a column does not have the type that rollfit writes",
                self.path.display()
            ))
        })?;
        Ok(Some(FeatureTile { instants_us: &self.instants_us, first_column: 0, values: &self.values }))
    }
}
