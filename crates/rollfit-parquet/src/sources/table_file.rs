//! [`TableFile`]: an open file of a source table, from any writer, and the columns in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use rollfit_files::damaged::contain_panics;
use rollfit_files::numbers::{doubles, instant_ticks};
use rollfit_files::parquet_file::{FileBytes, ReadAt, check_packing, check_pages};
use rollfit_job::few::few;
use rollfit_job::nearest::did_you_mean;
use rollfit_job::store::{Fault, StoreError};

use crate::fault::{file_error, source_fault, unreadable};
use crate::sources::file_spans::{Contents, FileIdentity, FileSpans};
use crate::sources::group_span::GroupSpan;

/// An open file of a table, whatever takes its name.
///
/// Invariants: what is read of it is what it was when it was opened, or the read is an error.
pub(crate) struct TableFile {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn ReadAt>,
    pub(crate) identity: FileIdentity,
    pub(crate) contents: Arc<Contents>,
    pub(crate) spans: Arc<Vec<GroupSpan>>,
}

/// Checks that an open file is as it was when `identity` was taken.
pub(super) fn check_unwritten(
    path: &Path,
    file: &dyn ReadAt,
    identity: FileIdentity,
) -> Result<(), StoreError> {
    let status = file.status().map_err(|error| file_error("read", path, error))?;
    if status.is_none_or(|status| FileIdentity::from_metadata(&status) == identity) {
        return Ok(());
    }
    let message = format!("{} was written to while it was being read", path.display());
    Err(StoreError::new(Fault::Transient, message))
}

impl TableFile {
    /// What stays known of the file when it is closed.
    pub(crate) fn file_spans(&self) -> FileSpans {
        FileSpans {
            path: self.path.clone(),
            identity: self.identity,
            spans: self.spans.clone(),
            contents: self.contents.clone(),
        }
    }

    /// All rows of the file, in file order: the instants and the values of each column.
    pub(crate) fn rows(&self, time: &str, columns: &[&str]) -> Result<(Vec<i64>, Vec<Vec<f64>>), StoreError> {
        let groups: Vec<usize> = self.spans.iter().map(|span| span.group).collect();
        self.read_columns(&groups, time, columns)
    }

    /// The names and types of the columns, in file order.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&str, &DataType)> {
        let fields = self.contents.metadata.schema().fields();
        fields.iter().map(|field| (field.name().as_str(), field.data_type()))
    }

    /// What the footer says under `key`.
    pub(crate) fn metadata_value(&self, key: &str) -> Option<String> {
        self.contents.metadata_value(key)
    }

    /// The unit of the times. Those of a column of dates are the seconds of their midnights.
    pub(crate) fn time_unit(&self, time: &str) -> Result<TimeUnit, StoreError> {
        match self.data_type(time)? {
            DataType::Timestamp(unit, _) => Ok(*unit),
            DataType::Date32 => Ok(TimeUnit::Second),
            other => Err(self.not_a_timestamp(time, other)),
        }
    }

    pub(super) fn data_type(&self, column: &str) -> Result<&DataType, StoreError> {
        let fields = self.contents.metadata.schema().fields();
        let field = fields.iter().find(|field| field.name() == column).ok_or_else(|| {
            StoreError::permanent(format!(
                "{}: column `{column}` does not exist; {}the columns are {}",
                self.path.display(),
                did_you_mean(column, fields.iter().map(|field| field.name().as_str())),
                few(fields.iter().map(|field| field.name()))
            ))
        })?;
        Ok(field.data_type())
    }

    /// Reads whole row groups: the instants and, if requested, a value column.
    pub(crate) fn read_groups(
        &self,
        groups: &[usize],
        time: &str,
        value: Option<&str>,
    ) -> Result<(Vec<i64>, Vec<f64>), StoreError> {
        let values: Vec<&str> = value.into_iter().collect();
        let (instants_us, mut columns) = self.read_columns(groups, time, &values)?;
        Ok((instants_us, columns.pop().unwrap_or_default()))
    }

    fn read_columns(
        &self,
        groups: &[usize],
        time: &str,
        values: &[&str],
    ) -> Result<(Vec<i64>, Vec<Vec<f64>>), StoreError> {
        values.iter().try_for_each(|value| self.check_numeric(value))?;
        self.read(|| self.decode_columns(groups, time, values))
    }

    /// Runs what reads it. Where somebody wrote to it meanwhile, what was read may be of both contents, or damaged: that passes.
    pub(super) fn read<T>(&self, read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let read = contain_panics(read).unwrap_or_else(|error| Err(unreadable(&self.path, &error)));
        check_unwritten(&self.path, &*self.file, self.identity)?;
        read
    }

    fn decode_columns(
        &self,
        groups: &[usize],
        time: &str,
        values: &[&str],
    ) -> Result<(Vec<i64>, Vec<Vec<f64>>), StoreError> {
        if let Some(read) = self.sealed_columns(groups, time, values) {
            return Ok(read);
        }
        let (mut instants_us, mut columns) = (Vec::new(), vec![Vec::new(); values.len()]);
        let names: Vec<&str> = std::iter::once(time).chain(values.iter().copied()).collect();
        self.decode(groups, &names, |arrays| {
            self.append_instants(&arrays[0], time, &mut instants_us)?;
            for ((column, array), name) in columns.iter_mut().zip(&arrays[1..]).zip(values) {
                self.append_values(array, name, column)?;
            }
            Ok(())
        })?;
        self.check_rows(groups, instants_us.len())?;
        Ok((instants_us, columns))
    }

    /// Reads columns of whole row groups; `take` gets some rows of each column at a time, in the order of `columns`.
    pub(crate) fn decode(
        &self,
        groups: &[usize],
        columns: &[&str],
        mut take: impl FnMut(&[ArrayRef]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        const BATCH_ROWS: usize = 65_536;
        let bytes = FileBytes::new(self.file.clone(), self.identity.bytes);
        // Arrow makes a text of a failing disk: what the system said comes first.
        let fault = |error: &dyn std::fmt::Display| match bytes.take_fault() {
            Some(error) => file_error("read", &self.path, error),
            None => unreadable(&self.path, error),
        };
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), self.contents.metadata.clone());
        // By number: a dot in a name is no path.
        let fields = builder.parquet_schema().root_schema().get_fields().iter().enumerate();
        let roots = fields.filter(|(_, field)| columns.contains(&field.name())).map(|(at, _)| at);
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        check_packing(builder.metadata(), groups.iter().copied(), |at| mask.leaf_included(at))
            .map_err(|why| StoreError::permanent(format!("{}: {why}", self.path.display())))?;
        check_pages(&bytes, builder.metadata(), groups.iter().copied(), |at| mask.leaf_included(at))
            .map_err(|fault| source_fault(&self.path, fault))?;
        let batches = builder
            .with_projection(mask)
            .with_row_groups(groups.to_vec())
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|error| fault(&error))?;
        for batch in batches {
            let batch = batch.map_err(|error| fault(&error))?;
            let column =
                |name: &&str| batch.column_by_name(name).cloned().ok_or_else(|| self.lost_column(name));
            take(&columns.iter().map(column).collect::<Result<Vec<_>, _>>()?)?;
        }
        Ok(())
    }

    /// Pages that were cut short can end without an error.
    pub(crate) fn check_rows(&self, groups: &[usize], read_rows: usize) -> Result<(), StoreError> {
        let metadata = self.contents.metadata.metadata();
        let rows: i64 = groups.iter().map(|&group| metadata.row_group(group).num_rows()).sum();
        if usize::try_from(rows) == Ok(read_rows) {
            return Ok(());
        }
        let error = ParquetError::General(format!("it has {read_rows} rows but its footer says {rows}"));
        Err(unreadable(&self.path, &error))
    }

    pub(crate) fn no_instant(&self, time: &str) -> StoreError {
        let at = self.path.display();
        StoreError::permanent(format!("{at}: column `{time}` has NULLs; every row needs a time"))
    }

    fn lost_column(&self, name: &str) -> StoreError {
        StoreError::permanent(format!("{}: column `{name}` could not be read", self.path.display()))
    }

    /// Whether there is a column of this name with numbers.
    pub(crate) fn has_numbers(&self, column: &str) -> bool {
        self.data_type(column).is_ok_and(DataType::is_numeric)
    }

    pub(crate) fn check_numeric(&self, column: &str) -> Result<(), StoreError> {
        match self.data_type(column)? {
            DataType::Int64 if self.contents.is_duration(column) => {
                Err(self.not_a_number(column, &"a duration"))
            }
            kind if kind.is_numeric() => Ok(()),
            other => Err(self.not_a_number(column, other)),
        }
    }

    fn not_a_number(&self, column: &str, kind: &dyn std::fmt::Display) -> StoreError {
        let at = self.path.display();
        StoreError::permanent(format!(
            "{at}: column `{column}` is {kind}, not a number; name another column with `value` or `include`"
        ))
    }

    pub(crate) fn not_a_timestamp(&self, column: &str, kind: &DataType) -> StoreError {
        let at = self.path.display();
        StoreError::permanent(format!(
            "{at}: column `{column}` is {kind}, not a timestamp or a date; name another column with `time`"
        ))
    }

    pub(crate) fn append_instants(
        &self,
        column: &ArrayRef,
        time: &str,
        instants_us: &mut Vec<i64>,
    ) -> Result<(), StoreError> {
        let (ticks, unit) =
            instant_ticks(column).ok_or_else(|| self.not_a_timestamp(time, column.data_type()))?;
        if ticks.null_count() > 0 {
            return Err(self.no_instant(time));
        }
        let us = |value: i64| match unit {
            TimeUnit::Second => value.checked_mul(1_000_000).ok_or("s"),
            TimeUnit::Millisecond => value.checked_mul(1000).ok_or("ms"),
            TimeUnit::Microsecond => Ok(value),
            TimeUnit::Nanosecond => (value % 1000 == 0).then_some(value / 1000).ok_or("ns"),
        };
        let first_row = instants_us.len();
        for (row, &value) in ticks.values().iter().enumerate() {
            let instant_us = us(value).map_err(|unit| {
                StoreError::permanent(format!(
                    "{}: row {}: {value} {unit} is not a whole number of microseconds, or out of range",
                    self.path.display(),
                    first_row + row + 1
                ))
            })?;
            instants_us.push(instant_us);
        }
        Ok(())
    }

    /// The values as doubles, NaN for null.
    pub(crate) fn append_values(
        &self,
        column: &ArrayRef,
        name: &str,
        values: &mut Vec<f64>,
    ) -> Result<(), StoreError> {
        let doubles = doubles(column).ok_or_else(|| self.not_a_number(name, column.data_type()))?;
        values.extend(doubles.iter().map(|value| value.unwrap_or(f64::NAN)));
        Ok(())
    }
}
