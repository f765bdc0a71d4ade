//! [`Window`]: how many rows a fit looks back over, and [`Grid`]: the constants that follow from it.

use crate::number::{GUARD, Number};

/// The number of rows of a fit: at least [`Window::MIN_ROWS`], at most [`Window::MAX_ROWS`].
///
/// ```
/// use rollfit::Window;
/// assert_eq!(Window::new(15)?.rows(), 15);
/// assert!(Window::new(2).is_err());
/// # Ok::<(), rollfit::WindowError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window(usize);

impl Window {
    /// A parabola has three coefficients, so three rows is the least that determines it.
    pub const MIN_ROWS: usize = 3;
    /// The longest window: the constants of a grid stay exact integers in a double up to here.
    pub const MAX_ROWS: usize = 1 << 20;

    /// A window of `rows` rows.
    ///
    /// # Errors
    /// [`WindowError`] when `rows` is outside `MIN_ROWS..=MAX_ROWS`.
    pub const fn new(rows: usize) -> Result<Self, WindowError> {
        if rows < Self::MIN_ROWS || rows > Self::MAX_ROWS {
            Err(WindowError { rows })
        } else {
            Ok(Self(rows))
        }
    }

    /// The number of rows, newest included.
    pub const fn rows(self) -> usize {
        self.0
    }
}

/// A window of fewer than three or more than 1,048,576 rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowError {
    rows: usize,
}

impl std::fmt::Display for WindowError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "a window of {} rows cannot be fitted: give {} to {} rows",
            self.rows,
            Window::MIN_ROWS,
            Window::MAX_ROWS
        )
    }
}

impl std::error::Error for WindowError {}

/// What depends on the window's length alone. With `u = i - (w-1)/2` for the row `i = 0..w`, oldest first, the
/// polynomials `1`, `u` and `u^2 - offset` are orthogonal over the window; `docs/formulas.md` derives the norms.
#[derive(Clone, Copy, Debug)]
pub struct Grid<N = f64> {
    /// w, the number of rows.
    pub rows: N,
    /// 1/w, the share of one row.
    pub share: N,
    /// Row units in one unit of x: `s + 1e-10`, with s the population standard deviation of 0..w-1.
    pub scale: N,
    /// x at the window's last row.
    pub x_last: N,
    /// u at the window's last row, `(w-1)/2`.
    pub u_last: N,
    /// `(w^2-1)/12`: the mean of u^2, which makes `u^2 - offset` orthogonal to 1.
    pub offset: N,
    /// Sum of u^2, `w(w^2-1)/12`.
    pub norm1: N,
    /// Sum of (u^2 - offset)^2, `w(w^2-1)(w^2-4)/180`.
    pub norm2: N,
}

impl<N> Grid<N> {
    #[inline(always)]
    pub(crate) fn map<M>(&self, change: impl Fn(&N) -> M) -> Grid<M> {
        Grid {
            rows: change(&self.rows),
            share: change(&self.share),
            scale: change(&self.scale),
            x_last: change(&self.x_last),
            u_last: change(&self.u_last),
            offset: change(&self.offset),
            norm1: change(&self.norm1),
            norm2: change(&self.norm2),
        }
    }
}

impl<N: Number> Grid<N> {
    /// The constants of `window`.
    pub fn new(window: Window) -> Self {
        Self::from_rows(N::from_f64(window.rows() as f64))
    }

    /// The constants of a window of `w` rows.
    pub(crate) fn from_rows(w: N) -> Self {
        let one = N::from_f64(1.0);
        let square = w * w;
        let offset = (square - one) / N::from_f64(12.0);
        let u_last = (w - one) / N::from_f64(2.0);
        let scale = offset.sqrt() + N::from_f64(GUARD);
        Self {
            rows: w,
            share: one / w,
            scale,
            x_last: u_last / scale,
            u_last,
            offset,
            norm1: w * offset,
            norm2: w * (square - one) * (square - N::from_f64(4.0)) / N::from_f64(180.0),
        }
    }
}
