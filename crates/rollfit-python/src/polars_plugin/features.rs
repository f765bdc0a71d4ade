//! The columns of metrics of a series, each run of rows for itself.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use rollfit::{Kernel, MetricColumns, MissingValues};

use crate::spec::FeatureSpec;

/// Columns begin at cache lines, and not a power of two apart.
const CACHE_LINE_VALUES: usize = 8;

/// The columns, window by window, NULL where a metric has no value. Metrics of a window that are missing in the same rows share a bitmap.
pub(super) fn compute(values: &[f64], starts: &[usize], spec: &FeatureSpec) -> Result<Vec<ArrayRef>, String> {
    let metrics = spec.metrics.len();
    let stride = values.len().next_multiple_of(CACHE_LINE_VALUES) | CACHE_LINE_VALUES;
    let mut cells = vec![0.0; spec.column_count() * stride];
    let mut undefined = vec![0; spec.column_count()];
    let mut kernel = Kernel::new(&spec.window_sizes());
    let mut missing = MissingValues::default();
    let ends = starts.iter().copied().chain([values.len()]);
    for (start, end) in std::iter::once(0).chain(starts.iter().copied()).zip(ends) {
        let values = &values[start..end];
        let mut row = 0;
        while row < values.len() {
            let rows = row..(row + kernel.tile_rows()).min(values.len());
            let columns = MetricColumns::new(&mut cells[start + row..], stride);
            row = rows.end;
            kernel
                .metrics_into(values, rows, &spec.metrics, columns, &mut missing)
                .map_err(|error| error.to_string())?;
            for window in 0..spec.windows.len() {
                let of_window = &mut undefined[window * metrics..][..metrics];
                of_window.iter_mut().zip(missing.undefined(window)).for_each(|(sum, more)| *sum += more);
            }
        }
    }
    Ok(columns(cells, stride, values.len(), &undefined, metrics))
}

fn columns(cells: Vec<f64>, stride: usize, rows: usize, undefined: &[u64], metrics: usize) -> Vec<ArrayRef> {
    let cells = Buffer::from_vec(cells);
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(undefined.len());
    for (at, undefined) in undefined.chunks(metrics).enumerate() {
        let mut of_fits: Option<Option<NullBuffer>> = None;
        for (metric, &undefined) in undefined.iter().enumerate() {
            let values = ScalarBuffer::new(cells.clone(), (at * metrics + metric) * stride, rows);
            let nulls = match (&of_fits, undefined) {
                (Some(nulls), 0) => nulls.clone(),
                _ => nulls_of(&values),
            };
            if undefined == 0 {
                of_fits = Some(nulls.clone());
            }
            columns.push(Arc::new(Float64Array::new(values, nulls)));
        }
    }
    columns
}

/// Where the values are NaN.
fn nulls_of(values: &[f64]) -> Option<NullBuffer> {
    let nulls = NullBuffer::new(BooleanBuffer::collect_bool(values.len(), |row| !values[row].is_nan()));
    (nulls.null_count() > 0).then_some(nulls)
}
