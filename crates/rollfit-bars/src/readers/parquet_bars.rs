//! Reads bars from a Parquet file with a time column and a close column.
//!
//! Time stamps with a zone are instants. Naive ones need a zone from the user, as in text, but for files that rollfit wrote: in
//! the source tables of a store naive times are UTC.
//! Columns that say the instrument, as text or numbers, must not change.

use std::io::Read;
use std::path::Path;

use arrow_array::{Array, StringArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use rollfit_files::damaged::contain_panics;
use rollfit_files::parquet_file::{
    FileBytes, FileFault, Footer, Integrity, check_body, check_packing, check_pages,
};
use rollfit_job::import::Bar;

use super::parquet_columns::{BarBatch, ParquetColumns};
use super::parquet_times::{TimeValues, civil_text};
use crate::archive::{open_file, read_error};
use crate::error::{FileLine, ImportError, RowFault, RowUnit, shown};
use crate::read_options::ReadOptions;
use crate::rows::collector::{Collected, Collector};
use crate::rows::instruments::Instruments;
use crate::rows::key_state::KeyState;
use crate::rows::keyed_collectors::{KeyedCollector, KeyedCollectors, UNNAMED};
use crate::rows::price::checked_price;
use crate::rows::row_refusal::RowRefusal;
use crate::rows::time_column::TimeColumn;
use crate::table::further_columns::finite;
use crate::time::stamp::Stamp;
use crate::time::stamp_reader::StampReader;
use crate::time::zone::Zone;

const DAY_US: i64 = 86_400_000_000;
const BATCH_ROWS: usize = 16 * 1024;

/// Reads one Parquet file.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Vec<Collected>, ImportError> {
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
        [0x1f, 0x8b, ..] | b"PK\x03\x04" => Err(unreadable(path, "it is compressed; unpack it first")),
        _ => Err(unreadable(path, "it does not begin like one; give its format with --format")),
    }
}

fn read_rows(path: &Path, options: &ReadOptions) -> Result<Vec<Collected>, ImportError> {
    let bytes = FileBytes::whole(open_file(path)?).map_err(|source| read_error(path, source))?;
    // Arrow makes a text of an error of the system: what the system said comes first.
    let failed = |error: &dyn std::fmt::Display| match bytes.take_fault() {
        Some(source) => read_error(path, source),
        None => unreadable(path, error),
    };
    let (metadata, integrity) = checked_metadata(path, &bytes)?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), metadata);
    let columns = ParquetColumns::from_fields(builder.schema().fields(), options)
        .map_err(|why| ImportError::Columns { path: path.to_path_buf(), why })?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), columns.roots());
    let groups = 0..builder.metadata().num_row_groups();
    check_packing(builder.metadata(), groups.clone(), |at| mask.leaf_included(at))
        .map_err(|why| ImportError::Columns { path: path.to_path_buf(), why })?;
    check_pages(&bytes, builder.metadata(), groups, |at| mask.leaf_included(at))
        .map_err(|fault| footer_fault(path, fault))?;
    let reader =
        builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(|error| failed(&error))?;
    let instruments =
        Instruments::new(columns.instruments.iter().map(|(_, name)| name.clone()).enumerate().collect());
    let is_ours = integrity != Integrity::Foreign;
    let times = TimeColumn::new(options)?.implied(is_ours.then(Zone::utc));
    let stamps = columns.stamp_reader();
    let names = columns.further.columns.iter().map(|column| column.stored_name.as_str());
    let collector = Collector::new(path, RowUnit::Row, options).with_columns(names);
    let left_out = columns.further.left_out_warning();
    let mut collectors = KeyedCollectors::new(collector, KeyState::new(instruments), columns.has_keys());
    let mut rows = Rows { path, columns, stamps, times, number: 0, values: Vec::new(), dates_alone: None };
    for batch in reader {
        let batch = batch.map_err(|error| failed(&error))?;
        let batch = rows.columns.split(&batch).ok_or_else(|| failed(&"a column changes its type"))?;
        rows.read(&mut collectors, &batch)?;
    }
    let mut collected = collectors.finish(None)?;
    let of_dates = rows.columns.dates_alone_fault.as_deref().filter(|_| rows.dates_alone == Some(true));
    if let Some(why) = rows.stamps.whole_file_fault().or(of_dates) {
        return Err(ImportError::Columns { path: path.to_path_buf(), why: why.to_owned() });
    }
    if let (Some(first), Some(warning)) = (collected.first_mut(), left_out) {
        first.warn(warning);
    }
    Ok(collected)
}

fn footer_fault(path: &Path, fault: FileFault) -> ImportError {
    match fault {
        FileFault::System(source) => read_error(path, source),
        FileFault::Unreadable(why) => unreadable(path, why),
        FileFault::Damaged(why) => {
            unreadable(path, format!("it is damaged: {why}; restore it from a backup"))
        }
    }
}

/// The footer of a file, and whose file it is; one that rollfit wrote is checked, all its bytes.
fn checked_metadata(path: &Path, bytes: &FileBytes) -> Result<(ArrowReaderMetadata, Integrity), ImportError> {
    let fault = |fault| footer_fault(path, fault);
    let footer = Footer::read(bytes).map_err(fault)?;
    check_body(bytes, footer.integrity).map_err(fault)?;
    let metadata = ArrowReaderMetadata::try_new(footer.metadata, ArrowReaderOptions::new());
    Ok((metadata.map_err(|error| unreadable(path, error))?, footer.integrity))
}

struct Rows<'a> {
    path: &'a Path,
    columns: ParquetColumns,
    stamps: StampReader,
    times: TimeColumn,
    number: u64,
    /// The further columns of the row that was read last.
    values: Vec<f64>,
    /// Whether all timestamps so far are midnights, UTC or local; none before the first.
    dates_alone: Option<bool>,
}

impl Rows<'_> {
    fn read(&mut self, collectors: &mut KeyedCollectors, batch: &BarBatch) -> Result<(), ImportError> {
        for (row, close) in batch.closes.iter().enumerate() {
            self.number += 1;
            let number = self.number;
            let place = || FileLine::new(self.path, RowUnit::Row, number);
            let key = batch.keys.as_ref().map_or(UNNAMED, |keys| text(keys, row).trim());
            let KeyedCollector { collector, state, .. } = collectors.of_row(key, place)?;
            collector.count_row();
            match self.bar(state, batch, row, close) {
                Ok(bar) => collector.keep(number, bar, &self.values)?,
                Err(refusal) => {
                    collector.refuse(number, refusal, self.shown_row(batch, row, close), None)?;
                }
            }
        }
        Ok(())
    }

    fn bar(
        &mut self,
        state: &mut KeyState,
        batch: &BarBatch,
        row: usize,
        close: Option<f64>,
    ) -> Result<Bar, RowRefusal> {
        if !state.instruments.is_empty() {
            let values = batch.instruments.iter().map(|column| text(column, row));
            state.instruments.check(self.number, values)?;
        }
        let stamp = self.stamp(state, batch, row).map_err(RowRefusal::Row)?;
        let close = close.ok_or(RowFault::Close).and_then(checked_price).map_err(RowRefusal::Row)?;
        let instant_us = self.times.instant_us(stamp)?;
        self.read_further(batch, row).map_err(RowRefusal::Row)?;
        Ok(Bar { instant_us, close })
    }

    fn read_further(&mut self, batch: &BarBatch, row: usize) -> Result<(), RowFault> {
        self.values.clear();
        for (column, values) in self.columns.further.columns.iter().zip(&batch.further) {
            let value = if values.is_valid(row) { finite(values.value(row)) } else { Some(f64::NAN) };
            let fault = RowFault::FurtherColumn { column: column.index + 1 };
            self.values.push(value.ok_or(fault)?);
        }
        Ok(())
    }

    fn stamp(&mut self, state: &mut KeyState, batch: &BarBatch, row: usize) -> Result<Stamp, RowFault> {
        match &batch.times {
            TimeValues::Ticks(ticks) if ticks.is_valid(row) => {
                let stamp = self.columns.stamp(ticks.value(row))?;
                self.check_date(&mut state.midnight, stamp).map(|()| stamp)
            }
            TimeValues::Texts(times) if times.is_valid(row) => {
                let date = batch.dates.as_ref().map(|dates| text(dates, row));
                self.stamps.read(&mut state.dates, date, times.value(row))
            }
            _ => Err(RowFault::Time),
        }
    }

    fn shown_row(&self, batch: &BarBatch, row: usize, close: Option<f64>) -> String {
        let time = match &batch.times {
            TimeValues::Ticks(ticks) if ticks.is_valid(row) => {
                let tick = ticks.value(row);
                let readable = self.columns.tick_us(tick).ok().and_then(civil_text);
                readable.unwrap_or_else(|| tick.to_string())
            }
            TimeValues::Texts(times) if times.is_valid(row) => shown(times.value(row).as_bytes()),
            _ => "NULL".to_owned(),
        };
        let date = batch.dates.as_ref().map(|dates| shown(text(dates, row).as_bytes()) + ", ");
        let close = close.map_or_else(|| "NULL".to_owned(), |close| close.to_string());
        format!("{}{time}, {close}", date.unwrap_or_default())
    }

    /// Refuses dates whose times of day are in another column.
    fn check_date(&mut self, last: &mut Option<Stamp>, stamp: Stamp) -> Result<(), RowFault> {
        let (us, offset_us) = match stamp {
            Stamp::Local { us } => (us, 0),
            Stamp::Instant { us, offset_s } => (us, i64::from(offset_s) * 1_000_000),
        };
        let is_date = || us % DAY_US == 0 || us.saturating_add(offset_us) % DAY_US == 0;
        self.dates_alone = Some(self.dates_alone != Some(false) && is_date());
        let midnight = (us % DAY_US == 0).then_some(stamp);
        let again = midnight.is_some() && midnight == *last;
        *last = midnight;
        if self.columns.has_time_beside && again { Err(RowFault::DateAlone) } else { Ok(()) }
    }
}

fn text(column: &StringArray, row: usize) -> &str {
    if column.is_null(row) { "" } else { column.value(row) }
}
