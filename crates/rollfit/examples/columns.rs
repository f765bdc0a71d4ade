//! The stored metrics of a series of doubles, from file to file: for every window a column a metric, NaN where there is
//! no value. Prints the nanoseconds a fit takes, output buffers reused.
//!
//!     cargo run --release -p rollfit --example columns -- VALUES COLUMNS 15,30,45
//!
//! VALUES and COLUMNS are little-endian doubles and nothing else.
#![allow(clippy::print_stdout)] // what is measured is to be read

use std::error::Error;
use std::time::Instant;

use rollfit::{Kernel, KernelError, Metric, MetricColumns, MissingValues, Window};

/// Passes over the series, of which the median counts.
const PASSES: usize = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [values, columns, windows] = &arguments[..] else {
        return Err("give a file of values, a file for the columns, and windows such as 15,30,45".into());
    };
    let values = to_doubles(&std::fs::read(values)?);
    let mut series = Series::new(&values, &to_windows(windows)?);
    let mut passes_ns = Vec::new();
    for _ in 0..PASSES {
        let start = Instant::now();
        series.fit()?;
        passes_ns.push(start.elapsed().as_nanos());
    }
    passes_ns.sort_unstable();
    println!("{:.2}", passes_ns[PASSES / 2] as f64 / (values.len() * series.windows).max(1) as f64);
    std::fs::write(columns, series.cells.iter().copied().flat_map(f64::to_le_bytes).collect::<Vec<u8>>())?;
    Ok(())
}

fn to_doubles(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()
}

fn to_windows(list: &str) -> Result<Vec<Window>, Box<dyn Error>> {
    list.split(',').map(|rows| Ok(Window::new(rows.parse()?)?)).collect()
}

/// A series with room for its metrics: window by window, in it a column a metric.
struct Series<'a> {
    values: &'a [f64],
    windows: usize,
    kernel: Kernel,
    cells: Vec<f64>,
    missing: MissingValues,
}

impl<'a> Series<'a> {
    fn new(values: &'a [f64], windows: &[Window]) -> Self {
        let cells = vec![0.0; windows.len() * Metric::STORED.len() * values.len()];
        Self {
            values,
            windows: windows.len(),
            kernel: Kernel::new(windows),
            cells,
            missing: MissingValues::default(),
        }
    }

    fn fit(&mut self) -> Result<(), KernelError> {
        let (rows, tile_rows) = (self.values.len(), self.kernel.tile_rows());
        for first in (0..rows).step_by(tile_rows) {
            let tile = first..(first + tile_rows).min(rows);
            let columns = MetricColumns::new(&mut self.cells[first..], rows);
            self.kernel.metrics_into(self.values, tile, Metric::STORED, columns, &mut self.missing)?;
        }
        Ok(())
    }
}
