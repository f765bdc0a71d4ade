//! Reading bars from a Parquet file with a timestamp column and a close column.
//!
//! The time is the column named by the options, else the timestamp column with the best known name, else the
//! only timestamp column; the close likewise among the columns of numbers. Time stamps with a zone are
//! instants. Naive ones are UTC, as in the source tables of a store, unless the user gives a zone. Columns that say the
//! instrument, as text or numbers, must not change.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Fields, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use crate::archive::{open_file, read_error};
use crate::collect::{Collected, Collector};
use crate::column_names::{CLOSE_NAMES, INSTANT_NAMES, TIME_NAMES, names_an_instrument, normal};
use crate::error::{ImportError, RowFault, Unit};
use crate::instruments::Instruments;
use crate::price::checked_price;
use crate::stamp::{Stamp, in_range};
use crate::text::refuse;
use crate::when::{When, WhenFault};
use crate::zone::Zone;
use crate::{Bar, ReadOptions};
use rollfit_files::damaged::contain_panics;
use rollfit_files::numbers::{doubles, ticks};
use rollfit_files::parquet_file::{FileBytes, FileFault, Footer, check_body};
use rollfit_files::texts::{has_texts, texts};

const DAY_US: i64 = 86_400_000_000;
const BATCH_ROWS: usize = 16 * 1024;

/// Reads one Parquet file.
pub(crate) fn read(path: &Path, options: &ReadOptions) -> Result<Collected, ImportError> {
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
    let mask = ProjectionMask::roots(builder.parquet_schema(), columns.roots());
    let reader =
        builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(|error| failed(&error))?;
    let instruments =
        Instruments::new(columns.instruments.iter().map(|(_, name)| name.clone()).enumerate().collect());
    let mut rows = Rows { columns, instruments, when: When::new(options)?, number: 0, midnight: None };
    let mut collector = Collector::new(path, Unit::Row, options);
    for batch in reader {
        let batch = batch.map_err(|error| failed(&error))?;
        let batch = rows.columns.split(&batch).ok_or_else(|| failed(&"a column changes its type"))?;
        rows.read(&mut collector, &batch)?;
    }
    let mut collected = collector.finish(None)?;
    collected.symbol = rows.instruments.symbol();
    Ok(collected)
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

/// The rows of a batch.
struct BarBatch {
    times: Int64Array,
    /// In the order of their columns.
    instruments: Vec<StringArray>,
    closes: Float64Array,
}

/// The columns read, by their index in the file, and what the time column says of its values.
struct Columns {
    time: usize,
    close: usize,
    /// The columns that say the instrument, with their names.
    instruments: Vec<(usize, String)>,
    /// A column beside the time column seems to hold times of day.
    has_time_beside: bool,
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
        let says = |at: usize, field: &Field| {
            at != time && at != close && names_an_instrument(field.name()) && has_texts(field.data_type())
        };
        let instruments = fields.iter().enumerate().filter(|(at, field)| says(*at, field));
        let instruments = instruments.map(|(at, field)| (at, normal(field.name()))).collect();
        let is_beside = |(at, field): (usize, &Arc<Field>)| {
            at != time && TIME_NAMES.contains(&normal(field.name()).as_str())
        };
        let has_time_beside = fields.iter().enumerate().any(is_beside);
        Ok(Self { time, close, instruments, has_time_beside, unit: *unit, zone })
    }

    fn roots(&self) -> impl Iterator<Item = usize> {
        [self.time, self.close].into_iter().chain(self.instruments.iter().map(|(at, _)| *at))
    }

    /// The columns of a batch that holds these and no others; none if one is not of its type.
    fn split(&self, batch: &RecordBatch) -> Option<BarBatch> {
        // A batch keeps the order of the file.
        let column = |at: usize| batch.column(self.roots().filter(|other| *other < at).count());
        Some(BarBatch {
            times: ticks(column(self.time))?,
            instruments: self.instruments.iter().map(|(at, _)| texts(column(*at))).collect::<Option<_>>()?,
            closes: doubles(column(self.close))?,
        })
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
        if let Some(name) = self.names.iter().find(|name| self.named(fields, name).count() > 1) {
            return Err(format!("several columns are called `{name}`: rename one of {}", listed(fields)));
        }
        let at = |name: &&str| self.named(fields, name).next();
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

    fn named<'a>(&'a self, fields: &'a Fields, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        let fits = move |field: &Field| normal(field.name()) == name && (self.fits)(field);
        fields.iter().enumerate().filter(move |(_, field)| fits(field)).map(|(at, _)| at)
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
    instruments: Instruments,
    when: When,
    number: u64,
    /// The last time, if it was a midnight.
    midnight: Option<Stamp>,
}

impl Rows {
    fn read(&mut self, collector: &mut Collector, batch: &BarBatch) -> Result<(), ImportError> {
        for (row, (time, close)) in batch.times.iter().zip(&batch.closes).enumerate() {
            self.number += 1;
            collector.count_row();
            let bar = self.check_instrument(batch, row).and_then(|()| self.bar(time, close));
            match bar {
                Ok(bar) => collector.keep(self.number, bar)?,
                Err(fault) => refuse(collector, self.number, fault, shown_row(time, close), None)?,
            }
        }
        Ok(())
    }

    fn check_instrument(&mut self, batch: &BarBatch, row: usize) -> Result<(), WhenFault> {
        if self.instruments.is_empty() {
            return Ok(());
        }
        self.instruments.check(self.number, batch.instruments.iter().map(|column| text(column, row)))
    }

    fn bar(&mut self, time: Option<i64>, close: Option<f64>) -> Result<Bar, WhenFault> {
        let stamp =
            time.ok_or(RowFault::Time).and_then(|time| self.columns.stamp(time)).map_err(WhenFault::Row)?;
        self.check_date(stamp).map_err(WhenFault::Row)?;
        let close = close.ok_or(RowFault::Close).and_then(checked_price).map_err(WhenFault::Row)?;
        Ok(Bar { instant_us: self.when.instant_us(stamp)?, close })
    }
}

impl Rows {
    /// Refuses dates whose times of day are in another column.
    fn check_date(&mut self, stamp: Stamp) -> Result<(), RowFault> {
        let (Stamp::Local { us } | Stamp::Instant { us, .. }) = stamp;
        let midnight = (us % DAY_US == 0).then_some(stamp);
        let again = midnight.is_some() && midnight == self.midnight;
        self.midnight = midnight;
        if self.columns.has_time_beside && again { Err(RowFault::DateAlone) } else { Ok(()) }
    }
}

fn text(column: &StringArray, row: usize) -> &str {
    if column.is_null(row) { "" } else { column.value(row) }
}

fn shown_row(time: Option<i64>, close: Option<f64>) -> String {
    let time = time.map_or_else(|| "NULL".to_owned(), |time| time.to_string());
    let close = close.map_or_else(|| "NULL".to_owned(), |close| close.to_string());
    format!("{time}, {close}")
}
