//! [`ParquetColumns`]: which columns of a Parquet file hold the time, the close and the instrument.
//!
//! The time is the column named by the options, else the timestamp column with the best known name, else the only timestamp
//! column; the close likewise among the columns of numbers.

use std::sync::Arc;

use arrow_array::{Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Fields, TimeUnit};
use rollfit_files::numbers::{doubles, ticks};
use rollfit_files::texts::{has_texts, texts};

use crate::error::RowFault;
use crate::read_options::ReadOptions;
use crate::table::column_names::{CLOSE_NAMES, INSTANT_NAMES, TIME_NAMES, names_an_instrument, normal};
use crate::time::stamp::{Stamp, in_range};
use crate::time::zone::Zone;

/// The rows of a batch.
pub(super) struct BarBatch {
    pub(super) times: Int64Array,
    /// In the order of their columns.
    pub(super) instruments: Vec<StringArray>,
    pub(super) closes: Float64Array,
}

/// The columns read, by their index in the file, and what the time column says of its values.
pub(super) struct ParquetColumns {
    time: usize,
    close: usize,
    /// The columns that say the instrument, with their names.
    pub(super) instruments: Vec<(usize, String)>,
    /// A column beside the time column seems to hold times of day.
    pub(super) has_time_beside: bool,
    unit: TimeUnit,
    /// The zone of the column; none where it is naive.
    zone: Option<Zone>,
}

impl ParquetColumns {
    /// Finds the columns in a schema; an error says what is missing.
    pub(super) fn from_fields(fields: &Fields, options: &ReadOptions) -> Result<Self, String> {
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
            return Err(format!("column `{}` is not a timestamp", fields[time].name()));
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

    /// The columns that are read.
    pub(super) fn roots(&self) -> impl Iterator<Item = usize> {
        [self.time, self.close].into_iter().chain(self.instruments.iter().map(|(at, _)| *at))
    }

    /// The columns of a batch that holds these and no others; none if one is not of its type.
    pub(super) fn split(&self, batch: &RecordBatch) -> Option<BarBatch> {
        // A batch keeps the order of the file.
        let column = |at: usize| batch.column(self.roots().filter(|other| *other < at).count());
        Some(BarBatch {
            times: ticks(column(self.time))?,
            instruments: self.instruments.iter().map(|(at, _)| texts(column(*at))).collect::<Option<_>>()?,
            closes: doubles(column(self.close))?,
        })
    }

    /// A value of the time column as a stamp.
    pub(super) fn stamp(&self, value: i64) -> Result<Stamp, RowFault> {
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
            return Err(format!("several columns are called `{name}`; rename one of {}", listed(fields)));
        }
        let at = |name: &&str| self.named(fields, name).next();
        let mut fitting = fields.iter().enumerate().filter(|(_, field)| (self.fits)(field));
        let only = fitting.next().filter(|_| or_only && fitting.next().is_none()).map(|(index, _)| index);
        let found = self.names.iter().find_map(at).or(only);
        found.ok_or_else(|| {
            format!(
                "no {} column is recognized by name; give {}, one of {}",
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
        let index =
            found.ok_or_else(|| format!("column `{name}` does not exist; use one of {}", listed(fields)))?;
        let fits = (self.fits)(&fields[index]);
        let kind = fields[index].data_type();
        fits.then_some(index).ok_or_else(|| format!("column `{name}` is not a {}: it is {kind}", self.what))
    }
}

fn listed(fields: &Fields) -> String {
    fields
        .iter()
        .map(|field| format!("`{}` ({})", field.name(), field.data_type()))
        .collect::<Vec<_>>()
        .join(", ")
}
