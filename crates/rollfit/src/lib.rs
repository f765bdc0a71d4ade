//! Exact rolling parabola fits over time series.
//!
//! At every row of a series rollfit fits a parabola to the last *w* rows, for several windows at once, and derives the
//! [`Metric`]s of each [`Fit`]. Windows and metrics are the caller's choice.
//!
//! One slice:
//!
//! ```
//! use rollfit::Metric;
//!
//! let values = [1.0, 4.0, 9.0, 16.0, 26.0];
//! let fit = rollfit::fit(&values)?;
//! let r2 = fit.and_then(|fit| Metric::R2.value(&fit));
//! assert!(r2 > Some(0.999), "nearly a parabola");
//! # Ok::<(), rollfit::WindowError>(())
//! ```
//!
//! Many windows over a whole series, here two metrics of two windows, column by column:
//!
//! ```
//! use rollfit::{Kernel, Metric, MetricColumns, MissingValues, Window};
//! # let prices: Vec<f64> = (0..200).map(|row| 100.0 + f64::from(row % 7)).collect();
//!
//! let mut kernel = Kernel::new(&[Window::new(15)?, Window::new(90)?]);
//! let rows = prices.len();
//! let mut columns = vec![0.0; 2 * 2 * rows];
//! let mut missing = MissingValues::default();
//! let metrics = [Metric::Prediction, Metric::Rmse];
//! kernel.metrics_into(&prices, 0..rows, &metrics, MetricColumns::new(&mut columns, rows), &mut missing)?;
//! let prediction_90 = &columns[2 * rows..3 * rows];
//! assert!(prediction_90[88].is_nan() && prediction_90[89] > 100.0, "90 rows fill the window");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Values that arrive one at a time:
//!
//! ```
//! use rollfit::{Stream, Window};
//! # let prices = (0..200).map(|row| 100.0 + f64::from(row % 7));
//!
//! let mut stream = Stream::new(&[Window::new(15)?, Window::new(90)?]);
//! for price in prices {
//!     if let [Some(short), Some(long)] = stream.push(price) {
//!         assert!((short.b() - long.b()).abs() < 5.0);
//!     }
//! }
//! # Ok::<(), rollfit::WindowError>(())
//! ```
//!
//! All three give the same bits, which depend on the values of a window alone: not on its position, how the series is
//! cut, or which CPU path runs. [`Cpu::detect`] chooses that path, once a kernel. [`mod@reference`] holds the slow and
//! more exact answer, [`bounds`] how far the fast one may be from it, [`agreement`] how far another program's.
//!
//! **No value.** A window that is not full, or holds a value that is not finite or beyond 1e100 ([`is_usable`]), has no
//! fit: `None` from [`fit()`], from a stream and from a tile, NaN in a column. So has a series of nothing but NaN. A metric
//! whose formula has no value in a double is `None` or NaN as well, and never infinite.
//!
//! **Errors.** A window of fewer than three rows, as an empty slice would be, is a [`WindowError`]; rows outside the
//! series, output slices of the wrong length, and windows that the kernel was not given are a [`KernelError`]. Nothing
//! panics, whatever the input.

#![warn(clippy::must_use_candidate, clippy::missing_errors_doc, clippy::missing_panics_doc)]

pub mod agreement;
mod block_fits;
pub mod bounds;
mod chain;
mod columns;
mod contrasts;
mod cpu;
mod fit;
mod kernel;
mod lanes;
mod metric;
mod metric_output;
mod moments;
mod number;
pub mod reference;
mod runs;
mod scratch;
mod solve;
pub mod sql;
mod stream;
mod tile;
mod window;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use columns::FitColumns;
pub use cpu::Cpu;
pub use fit::{Fit, FitNumbers};
pub use kernel::{Kernel, KernelError, LARGEST_VALUE, is_usable};
pub use metric::{Metric, ParseMetricError, Unit};
pub use stream::Stream;
pub use tile::{MetricColumns, MissingValues, Tile};
pub use window::{Window, WindowError};

/// Fits one parabola to `values`, oldest first. None where a value is not finite or beyond 1e100.
///
/// # Errors
/// [`WindowError`] when there are fewer than three values, or more than a window may have.
pub fn fit(values: &[f64]) -> Result<Option<Fit>, WindowError> {
    let window = Window::new(values.len())?;
    let mut stream = Stream::new(&[window]);
    for &value in values {
        stream.push(value);
    }
    Ok(stream.fits()[0])
}
