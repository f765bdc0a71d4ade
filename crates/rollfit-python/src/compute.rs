//! [`Features`]: the columns of a spec over a series, computed into one block.
//!
//! Columns begin at cache lines. Metrics that are equal bit for bit share one column of the block, and the columns of a window share
//! one bitmap, unless a metric has undefined values. Large series are cut into ranges of rows for several threads; the bits don't
//! depend on it.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{ArrayRef, Float64Array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use rollfit::{Kernel, Metric, MetricColumns, MissingValues, Window, is_usable};

use crate::block::{Block, LINE_BYTES};
use crate::spec::FeatureSpec;

/// From this number of rows on several threads share the work.
const THREADED_ROWS: usize = 100_000;
/// The least rows that are worth a thread.
const ROWS_PER_THREAD: usize = 50_000;
/// However many are asked for.
const THREADS_MAX: usize = 64;
/// From this size on columns leave the near caches before anybody reads them, and are written past the caches.
const PAST_CACHES_BYTES: usize = 16 << 20;
/// The numbers in a line of the cache.
const LINE_VALUES: usize = LINE_BYTES / size_of::<f64>();

/// The values that features are computed from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Series<'a> {
    /// Oldest first; NaN is no value.
    pub(crate) values: &'a [f64],
    /// How many of them only fill the windows of later rows, and have no features.
    pub(crate) lookback_rows: usize,
    /// The values, ascending, at which windows begin anew, beside the first one: no window reaches across.
    pub(crate) starts: &'a [usize],
}

/// How many values of a column are NULL, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NullCounts {
    /// The window reaches before the first row.
    pub(crate) warmup: u64,
    /// The window holds a value that is missing or can't be used.
    pub(crate) input: u64,
    /// The formula has no finite value.
    pub(crate) undefined: u64,
}

impl std::iter::Sum for NullCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |total, counts| Self {
            warmup: total.warmup + counts.warmup,
            input: total.input + counts.input,
            undefined: total.undefined + counts.undefined,
        })
    }
}

/// Columns of features, in the order of their spec.
#[derive(Debug)]
pub(crate) struct Features {
    block: Arc<Block>,
    rows: usize,
    /// For each column: where it begins in the block, its bitmap, and why values are NULL.
    columns: Vec<FeatureColumn>,
}

/// A column of a block.
#[derive(Clone, Debug)]
struct FeatureColumn {
    start: usize,
    nulls: Option<NullBuffer>,
    null_counts: NullCounts,
}

/// There is no memory for a table of these rows and columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoMemory {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Features {
    /// Computes the features of `series`. `threads` is a wish; None leaves it to the number of rows and cores. `block` is used again if it is
    /// as long as needed.
    pub(crate) fn compute(
        series: &Series<'_>,
        spec: &FeatureSpec,
        threads: Option<usize>,
        block: Option<Block>,
    ) -> Result<Self, NoMemory> {
        let rows = series.values.len() - series.lookback_rows;
        let work = Work::new(series, spec, rows);
        let no_memory = NoMemory { rows, columns: spec.column_count() };
        let needed = work.stride.checked_mul(work.column_count()).ok_or(no_memory)?;
        let block = block.filter(|block| block.len() == needed).or_else(|| Block::new(needed));
        let mut block = block.ok_or(no_memory)?;
        let undefined = work.write(block.values_mut(), threads.unwrap_or_else(|| default_threads(rows)));
        let columns = work.columns(spec, block.values(), &undefined);
        Ok(Self { block: Arc::new(block), rows, columns })
    }

    /// The length of the block that such features need.
    pub(crate) fn block_len(rows: usize, spec: &FeatureSpec) -> usize {
        stride(rows).saturating_mul(spec.windows.len() * distinct(&spec.metrics).0.len())
    }

    /// The columns as Arrow arrays, which share the memory.
    pub(crate) fn arrays(&self) -> Vec<ArrayRef> {
        let buffer = self.block.buffer();
        let array = |column: &FeatureColumn| {
            let values = ScalarBuffer::new(buffer.clone(), column.start, self.rows);
            Arc::new(Float64Array::new(values, column.nulls.clone())) as ArrayRef
        };
        self.columns.iter().map(array).collect()
    }

    /// Why values are NULL, column by column.
    pub(crate) fn null_counts(&self) -> Vec<NullCounts> {
        self.columns.iter().map(|column| column.null_counts).collect()
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// A value; NaN where it is NULL.
    pub(crate) fn value(&self, row: usize, column: usize) -> f64 {
        self.block.values()[self.columns[column].start + row]
    }

    /// The length of the block.
    pub(crate) fn len(&self) -> usize {
        self.block.len()
    }

    /// The block, to be written again; the features as they were where anybody else still has some of their memory.
    pub(crate) fn into_block(self) -> Result<Block, Self> {
        let Self { block, rows, columns } = self;
        Arc::try_unwrap(block).map_err(|block| Self { block, rows, columns })
    }
}

/// The values from the beginning of one column to that of the next: whole cache lines, an odd number of them, so that the same row of
/// all columns isn't in the same set of the cache.
fn stride(rows: usize) -> usize {
    (rows.div_ceil(LINE_VALUES) | 1) * LINE_VALUES
}

/// The metric whose values have the same bits, which follow from a theorem: see the catalogue's formulas.
fn same_as(metric: Metric) -> Metric {
    match metric {
        Metric::ResidualStd => Metric::Rmse,
        Metric::FitQuality => Metric::R2,
        other => other,
    }
}

/// The metrics that differ in their bits, and for each of `metrics` its place among them.
fn distinct(metrics: &[Metric]) -> (Vec<Metric>, Vec<usize>) {
    let mut distinct: Vec<Metric> = Vec::new();
    let place = |metric: &Metric| {
        let metric = same_as(*metric);
        distinct.iter().position(|other| *other == metric).unwrap_or_else(|| {
            distinct.push(metric);
            distinct.len() - 1
        })
    };
    let places = metrics.iter().map(place).collect();
    (distinct, places)
}

/// The threads that `rows` rows are worth.
fn default_threads(rows: usize) -> usize {
    if rows <= THREADED_ROWS {
        return 1;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.min(rows / ROWS_PER_THREAD)
}

/// What is computed, and where it goes.
struct Work<'a> {
    series: &'a Series<'a>,
    rows: usize,
    stride: usize,
    windows: Vec<Window>,
    metrics: Vec<Metric>,
    /// For each metric of the spec its place in `metrics`.
    places: Vec<usize>,
    /// Where the series is cut: the first value of each part, and the end.
    cuts: Vec<usize>,
}

impl<'a> Work<'a> {
    fn new(series: &'a Series<'a>, spec: &FeatureSpec, rows: usize) -> Self {
        let (metrics, places) = distinct(&spec.metrics);
        let end = series.values.len();
        let inner = series.starts.iter().copied().filter(|start| (1..end).contains(start));
        let cuts = std::iter::once(0).chain(inner).chain([end]).collect();
        Self { series, rows, stride: stride(rows), windows: spec.window_sizes(), metrics, places, cuts }
    }

    /// The columns of the block.
    fn column_count(&self) -> usize {
        self.windows.len() * self.metrics.len()
    }

    /// Writes every column; returns how many values of each are undefined.
    fn write(&self, cells: &mut [f64], threads: usize) -> Vec<u64> {
        let threads = threads.min(THREADS_MAX).clamp(1, self.rows.div_ceil(LINE_VALUES).max(1));
        if threads == 1 {
            return self.write_rows(0..self.rows, |kernel, part, rows, missing| {
                let columns = self.suited(MetricColumns::new(&mut cells[rows.start..], self.stride));
                let (values, rows) = self.within(&part, rows);
                kernel.metrics_into(values, rows, &self.metrics, columns, missing).is_ok()
            });
        }
        let range_rows = self.rows.div_ceil(threads).next_multiple_of(LINE_VALUES);
        let ranges: Vec<Range<usize>> = (0..self.rows)
            .step_by(range_rows)
            .map(|first| first..(first + range_rows).min(self.rows))
            .collect();
        let mut outputs: Vec<Vec<&mut [f64]>> = ranges.iter().map(|_| Vec::new()).collect();
        for column in cells.chunks_mut(self.stride) {
            let mut rest = &mut column[..self.rows];
            for (output, range) in outputs.iter_mut().zip(&ranges) {
                output.push(rest.split_off_mut(..range.len()).unwrap_or_default());
            }
        }
        let work = Mutex::new(ranges.into_iter().zip(outputs));
        let next = || work.lock().unwrap_or_else(PoisonError::into_inner).next();
        let write_ranges = || {
            let mut total = vec![0; self.column_count()];
            while let Some((range, output)) = next() {
                add(&mut total, &self.write_range(range, output));
            }
            total
        };
        std::thread::scope(|scope| {
            // Where the system gives no more threads, those that there are do the work.
            let spawn = |_| std::thread::Builder::new().spawn_scoped(scope, write_ranges).ok();
            let others: Vec<_> = (1..threads).map_while(spawn).collect();
            let mut total = write_ranges();
            for other in others {
                add(&mut total, &other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            total
        })
    }

    /// Writes a range of rows, of which `output` has those of each column.
    fn write_range(&self, range: Range<usize>, mut output: Vec<&mut [f64]>) -> Vec<u64> {
        let first = range.start;
        self.write_rows(range, |kernel, part, rows, missing| {
            let of_tile = rows.start - first..rows.end - first;
            let tile = output.iter_mut().map(|column| &mut column[of_tile.clone()]);
            let columns = self.suited(MetricColumns::from_slices(tile.collect()));
            let (values, rows) = self.within(&part, rows);
            kernel.metrics_into(values, rows, &self.metrics, columns, missing).is_ok()
        })
    }

    /// The columns, to be written the way that suits the size of all of them.
    fn suited<'c>(&self, columns: MetricColumns<'c>) -> MetricColumns<'c> {
        if self.column_count() * self.stride < PAST_CACHES_BYTES / size_of::<f64>() {
            return columns;
        }
        columns.past_caches()
    }

    /// Calls `write_tile` for each tile of a range of rows, which is within one part of the series, and adds up what is undefined.
    fn write_rows(
        &self,
        range: Range<usize>,
        mut write_tile: impl FnMut(&mut Kernel, Range<usize>, Range<usize>, &mut MissingValues) -> bool,
    ) -> Vec<u64> {
        let mut kernel = Kernel::new(&self.windows);
        let mut missing = MissingValues::default();
        let mut undefined = vec![0; self.column_count()];
        let lookback_rows = self.series.lookback_rows;
        for part in self.cuts.windows(2).map(|cut| cut[0]..cut[1]) {
            let start = part.start.max(range.start + lookback_rows).saturating_sub(lookback_rows);
            let end = part.end.min(range.end + lookback_rows).saturating_sub(lookback_rows);
            let mut first = start;
            while first < end {
                let tile = first..(first + kernel.tile_rows()).min(end);
                first = tile.end;
                let is_written = write_tile(&mut kernel, part.clone(), tile, &mut missing);
                assert!(is_written, "the tile lies within the series, and its columns within the block");
                for (window, of_window) in undefined.chunks_mut(self.metrics.len()).enumerate() {
                    let counts = missing.undefined(window).unwrap_or_default();
                    of_window.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
                }
            }
        }
        undefined
    }

    /// The values of a part of the series, and output rows as rows of it.
    fn within(&self, part: &Range<usize>, rows: Range<usize>) -> (&[f64], Range<usize>) {
        let at = |row: usize| row + self.series.lookback_rows - part.start;
        (&self.series.values[part.clone()], at(rows.start)..at(rows.end))
    }

    /// The columns of the spec in a block that is written.
    fn columns(&self, spec: &FeatureSpec, cells: &[f64], undefined: &[u64]) -> Vec<FeatureColumn> {
        let usable = self.usable_runs();
        let mut columns = Vec::with_capacity(spec.column_count());
        for (window, size) in self.windows.iter().enumerate() {
            let (bits, null_counts) = self.rows_with_fit(&usable, size.rows());
            for place in &self.places {
                let at = window * self.metrics.len() + place;
                let start = at * self.stride;
                let (nulls, undefined) = match undefined[at] {
                    0 => (bits.clone(), 0),
                    count => (Some(values_there(&cells[start..start + self.rows])), count),
                };
                columns.push(FeatureColumn {
                    start,
                    nulls,
                    null_counts: NullCounts { undefined, ..null_counts },
                });
            }
        }
        columns
    }

    /// The runs of values that can be used, each within one part of the series.
    fn usable_runs(&self) -> Vec<Range<usize>> {
        let mut runs = Vec::new();
        for part in self.cuts.windows(2) {
            let mut first = part[0];
            while first < part[1] {
                let usable_rows =
                    self.series.values[first..part[1]].iter().take_while(|value| is_usable(**value)).count();
                if usable_rows > 0 {
                    runs.push(first..first + usable_rows);
                }
                first += usable_rows + 1;
            }
        }
        runs
    }

    /// A bit for each row whose window of `size` rows is full and can be used; none if all are. Why the others are not.
    fn rows_with_fit(&self, usable: &[Range<usize>], size: usize) -> (Option<NullBuffer>, NullCounts) {
        let lookback_rows = self.series.lookback_rows;
        let mut bits = vec![0_u8; self.rows.div_ceil(8)];
        let mut fits = 0;
        for run in usable {
            let first = (run.start + size - 1).max(lookback_rows);
            if first < run.end {
                fits += run.end - first;
                set_bits(&mut bits, first - lookback_rows..run.end - lookback_rows);
            }
        }
        let warmup_rows = |cut: &[usize]| {
            let full = (cut[0] + size - 1).min(cut[1]).max(lookback_rows);
            full - cut[0].max(lookback_rows).min(full)
        };
        let warmup: usize = self.cuts.windows(2).map(warmup_rows).sum();
        let null_counts =
            NullCounts { warmup: warmup as u64, input: (self.rows - fits - warmup) as u64, undefined: 0 };
        let bits = BooleanBuffer::new(Buffer::from_vec(bits), 0, self.rows);
        ((fits < self.rows).then(|| NullBuffer::new(bits)), null_counts)
    }
}

/// Adds `counts` to `total`, one by one.
fn add(total: &mut [u64], counts: &[u64]) {
    total.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
}

/// A bit for each value that is not NaN.
fn values_there(column: &[f64]) -> NullBuffer {
    NullBuffer::new(BooleanBuffer::collect_bool(column.len(), |row| !column[row].is_nan()))
}

/// Sets a range of bits, which isn't empty.
fn set_bits(bytes: &mut [u8], range: Range<usize>) {
    let (first, last) = (range.start / 8, (range.end - 1) / 8);
    let from = 0xff_u8 << (range.start % 8);
    let to = 0xff_u8 >> (7 - (range.end - 1) % 8);
    if first == last {
        bytes[first] |= from & to;
        return;
    }
    bytes[first] |= from;
    bytes[first + 1..last].fill(0xff);
    bytes[last] |= to;
}
