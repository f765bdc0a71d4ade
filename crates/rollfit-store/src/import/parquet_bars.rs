//! Reading bars from a Parquet file with a timestamp column and a close column.
//!
//! The time is the column named by the options, else the timestamp column with the best known name, else the
//! only timestamp column; the close likewise among the columns of numbers. Time stamps with a zone are
//! instants. Naive ones are UTC, as in the source tables of a store, unless the user gives a zone.

use std::io::Read;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Field, Fields, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use super::archive::{open_file, read_error};
use super::collect::{Collected, Collector};
use super::error::{ImportError, RowFault, Unit};
use super::layout::{CLOSE_NAMES, INSTANT_NAMES, checked_price, normal};
use super::stamp::{Stamp, in_range};
use super::text::refuse;
use super::when::{When, WhenFault};
use super::zone::Zone;
use super::{Bar, ReadOptions};
use crate::damaged::contain_panics;
use crate::parquet_file::{FileBytes, FileFault, Footer, check_body};

const BATCH_ROWS: usize = 16 * 1024;

/// Reads one Parquet file.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Collected, ImportError> {
    check_content(path)?;
    contain_panics(|| read_rows(path, options)).unwrap_or_else(|damaged| Err(unreadable(path, damaged)))
}

fn unreadable(path: &Path, why: impl ToString) -> ImportError {
    ImportError::Parquet { path: path.to_path_buf(), why: why.to_string() }
}

fn check_content(path: &Path) -> Result<(), ImportError> {
    let mut head = Vec::new();
    let read = open_file(path)?.take(4).read_to_end(&mut head);
    read.map_err(|source| read_error(path, source))?;
    match head.as_slice() {
        b"PAR1" => Ok(()),
        b"" => Err(ImportError::Empty { path: path.to_path_buf() }),
        [0x1f, 0x8b, ..] | b"PK\x03\x04" => Err(unreadable(path, "it is packed: unpack it first")),
        _ => Err(unreadable(path, "it does not begin as one: give the --format it has")),
    }
}

fn read_rows(path: &Path, options: &ReadOptions) -> Result<Collected, ImportError> {
    let bytes = FileBytes::whole(open_file(path)?).map_err(|source| read_error(path, source))?;
    // Arrow makes a text of an error of the system: what the system said comes first.
    let failed = |error: &dyn std::fmt::Display| match bytes.take_fault() {
        Some(source) => read_error(path, source),
        None => unreadable(path, error),
    };
    let metadata = checked_metadata(path, &bytes)?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), metadata);
    let columns = Columns::find(builder.schema().fields(), options)
        .map_err(|why| ImportError::Columns { path: path.to_path_buf(), why })?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), [columns.time, columns.close]);
    let reader =
        builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(|error| failed(&error))?;
    let mut rows = Rows { columns, when: When::new(options)?, number: 0 };
    let mut collector = Collector::new(path, Unit::Row, options);
    for batch in reader {
        let (times, closes) =
            rows.columns.split(&batch.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
        rows.read(&mut collector, &times, &closes)?;
    }
    collector.finish(None)
}

/// The footer of a file; one that rollfit wrote is checked, all its bytes.
fn checked_metadata(path: &Path, bytes: &FileBytes) -> Result<ArrowReaderMetadata, ImportError> {
    let fault = |fault| match fault {
        FileFault::System(source) => read_error(path, source),
        FileFault::Unreadable(why) => unreadable(path, why),
        FileFault::Damaged(why) => {
            unreadable(path, format!("it is damaged: {why}; restore it from a backup"))
        }
    };
    let footer = Footer::read(bytes).map_err(fault)?;
    check_body(bytes, footer.integrity).map_err(fault)?;
    ArrowReaderMetadata::try_new(footer.metadata, ArrowReaderOptions::new())
        .map_err(|error| unreadable(path, error))
}

/// The two columns, by their index in the file, and what the time column says of its values.
struct Columns {
    time: usize,
    close: usize,
    unit: TimeUnit,
    /// The zone of the column; none where it is naive.
    zone: Option<Zone>,
}

impl Columns {
    fn find(fields: &Fields, options: &ReadOptions) -> Result<Self, String> {
        let is_time = |field: &Field| matches!(field.data_type(), DataType::Timestamp(..));
        let is_number = |field: &Field| field.data_type().is_numeric();
        let fallback_names = ["time", "date"];
        let time_names: Vec<&str> = INSTANT_NAMES.iter().chain(&fallback_names).copied().collect();
        let time = Wanted { what: "timestamp", option: "--time-column", names: &time_names, fits: &is_time };
        let close =
            Wanted { what: "number", option: "--close-column", names: &CLOSE_NAMES, fits: &is_number };
        let time = time.find(fields, options.columns.time.as_deref(), true)?;
        let close = close.find(fields, options.columns.close.as_deref(), false)?;
        let DataType::Timestamp(unit, zone) = fields[time].data_type() else {
            return Err(format!("the column `{}` is not a timestamp", fields[time].name()));
        };
        let zone = zone.as_ref().map(|name| name.parse().unwrap_or_else(|_| Zone::utc()));
        Ok(Self { time, close, unit: *unit, zone })
    }

    /// The two columns of a batch, which has no others.
    fn split(&self, batch: &RecordBatch) -> Result<(ArrayRef, ArrayRef), ArrowError> {
        let (time, close) = if self.time < self.close { (0, 1) } else { (1, 0) };
        Ok((cast(batch.column(time), &DataType::Int64)?, cast(batch.column(close), &DataType::Float64)?))
    }

    fn stamp(&self, value: i64) -> Result<Stamp, RowFault> {
        let us = match self.unit {
            TimeUnit::Second => value.checked_mul(1_000_000).ok_or(RowFault::Range)?,
            TimeUnit::Millisecond => value.checked_mul(1_000).ok_or(RowFault::Range)?,
            TimeUnit::Microsecond => value,
            TimeUnit::Nanosecond if value % 1_000 == 0 => value / 1_000,
            TimeUnit::Nanosecond => return Err(RowFault::TooFine),
        };
        let us = in_range(us)?;
        Ok(match &self.zone {
            None => Stamp::Local { us },
            Some(zone) => Stamp::Instant { us, offset_s: (zone.offset_us(us) / 1_000_000) as i32 },
        })
    }
}

/// How a column is recognised.
struct Wanted<'a> {
    what: &'a str,
    option: &'a str,
    names: &'a [&'a str],
    fits: &'a dyn Fn(&Field) -> bool,
}

impl Wanted<'_> {
    fn find(&self, fields: &Fields, given: Option<&str>, or_only: bool) -> Result<usize, String> {
        if let Some(name) = given {
            return self.given(fields, name);
        }
        let at = |name: &&str| {
            fields.iter().position(|field| normal(field.name()) == **name && (self.fits)(field))
        };
        let mut fitting = fields.iter().enumerate().filter(|(_, field)| (self.fits)(field));
        let only = fitting.next().filter(|_| or_only && fitting.next().is_none()).map(|(index, _)| index);
        let found = self.names.iter().find_map(at).or(only);
        found.ok_or_else(|| {
            format!(
                "no {} column is known by name: give {}, one of {}",
                self.what,
                self.option,
                listed(fields)
            )
        })
    }

    fn given(&self, fields: &Fields, name: &str) -> Result<usize, String> {
        let exact = fields.iter().position(|field| field.name() == name);
        let found = exact.or_else(|| fields.iter().position(|field| normal(field.name()) == normal(name)));
        let index = found
            .ok_or_else(|| format!("there is no column `{name}`: it must be one of {}", listed(fields)))?;
        let fits = (self.fits)(&fields[index]);
        let kind = fields[index].data_type();
        fits.then_some(index)
            .ok_or_else(|| format!("the column `{name}` is not a {}: it is {kind}", self.what))
    }
}

fn listed(fields: &Fields) -> String {
    fields
        .iter()
        .map(|field| format!("`{}` ({})", field.name(), field.data_type()))
        .collect::<Vec<_>>()
        .join(", ")
}

struct Rows {
    columns: Columns,
    when: When,
    number: u64,
}

impl Rows {
    fn read(
        &mut self,
        collector: &mut Collector,
        times: &ArrayRef,
        closes: &ArrayRef,
    ) -> Result<(), ImportError> {
        let (times, closes) = (times.as_primitive::<Int64Type>(), closes.as_primitive::<Float64Type>());
        for (time, close) in times.iter().zip(closes.iter()) {
            self.number += 1;
            collector.count_row();
            match self.bar(time, close) {
                Ok(bar) => collector.keep(self.number, bar)?,
                Err(fault) => refuse(collector, self.number, fault, shown_row(time, close), None)?,
            }
        }
        Ok(())
    }

    fn bar(&mut self, time: Option<i64>, close: Option<f64>) -> Result<Bar, WhenFault> {
        let stamp =
            time.ok_or(RowFault::Time).and_then(|time| self.columns.stamp(time)).map_err(WhenFault::Row)?;
        let close = close.ok_or(RowFault::Close).and_then(checked_price).map_err(WhenFault::Row)?;
        Ok(Bar { instant_us: self.when.instant_us(stamp)?, close })
    }
}

fn shown_row(time: Option<i64>, close: Option<f64>) -> String {
    let time = time.map_or_else(|| "NULL".to_owned(), |time| time.to_string());
    let close = close.map_or_else(|| "NULL".to_owned(), |close| close.to_string());
    format!("{time}, {close}")
}
