//! Exact rolling parabola fits over time series.
//!
//! At every row of a series rollfit fits a parabola to the last *w* rows, for several windows at once, and derives the
//! [`Metric`]s of each [`Fit`]. One slice:
//!
//! ```
//! let fit = rollfit::fit(&[1.0, 4.0, 9.0, 16.0])?;
//! assert!(fit.ss_res < 1e-20, "four squares lie on a parabola");
//! # Ok::<(), rollfit::WindowError>(())
//! ```
//!
//! Many windows over a series: [`Kernel`]. Values that arrive one at a time: [`Stream`]. Both give the same bits, which
//! depend on the values of a window alone: not on where it stands, how the series is cut, or which CPU path runs.
//! [`mod@reference`] holds the slow and more exact answer, [`bounds`] how far the fast one may be from it, [`agreement`]
//! how far another program's.

pub mod agreement;
pub mod bounds;
mod chain;
mod columns;
mod cpu;
mod fit;
mod kernel;
mod lanes;
mod metric;
mod moments;
mod number;
pub mod reference;
mod runs;
mod solve;
mod stream;
mod window;

pub use columns::FitColumns;
pub use cpu::Cpu;
pub use fit::{Fit, Terms};
pub use kernel::{Kernel, KernelError, LARGEST_VALUE, is_usable};
pub use metric::{Metric, Part, Unit};
pub use number::Number;
pub use stream::Stream;
pub use window::{Grid, Window, WindowError};

/// Fits one parabola to `values`, oldest first. [`Fit::NONE`] where a value is not finite or beyond 1e100.
///
/// # Errors
/// [`WindowError`] when there are fewer than three values, or more than a window may have.
pub fn fit(values: &[f64]) -> Result<Fit, WindowError> {
    let window = Window::new(values.len())?;
    let mut stream = Stream::new(&[window]);
    for &value in values {
        stream.push(value);
    }
    Ok(stream.fits()[0].unwrap_or(Fit::NONE))
}
