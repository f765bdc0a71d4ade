//! [`Window`]: how many rows a fit looks back over, and [`Grid`]: the constants that follow from it.

use crate::number::{GUARD, Number};

/// The number of rows of a fit: at least [`Window::MIN_ROWS`], at most [`Window::MAX_ROWS`].
///
/// ```
/// use rollfit::Window;
/// assert_eq!(Window::new(15)?.rows(), 15);
/// assert!(Window::new(2).is_err());
/// assert_eq!("15".parse::<Window>()?, Window::try_from(15)?);
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
            Err(WindowError(Problem::Length { rows }))
        } else {
            Ok(Self(rows))
        }
    }

    /// The number of rows, newest included.
    #[must_use]
    pub const fn rows(self) -> usize {
        self.0
    }
}

impl std::fmt::Display for Window {
    /// The number of rows.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Window> for usize {
    fn from(window: Window) -> Self {
        window.rows()
    }
}

impl TryFrom<usize> for Window {
    type Error = WindowError;

    fn try_from(rows: usize) -> Result<Self, WindowError> {
        Self::new(rows)
    }
}

impl std::str::FromStr for Window {
    type Err = WindowError;

    /// The window of so many rows, written in decimal digits.
    fn from_str(rows: &str) -> Result<Self, WindowError> {
        rows.parse().map_err(|error| WindowError(Problem::NotANumber(error))).and_then(Self::new)
    }
}

/// What is no window, or not the window of a fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowError(Problem);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Length { rows: usize },
    NotANumber(std::num::ParseIntError),
    OfAnotherFit { rows: usize, fit_rows: usize },
}

impl WindowError {
    /// So many values are not the window that a fit was made over.
    pub(crate) const fn of_another_fit(rows: usize, fitted: Window) -> Self {
        Self(Problem::OfAnotherFit { rows, fit_rows: fitted.rows() })
    }
}

impl std::fmt::Display for WindowError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (least, most) = (Window::MIN_ROWS, Window::MAX_ROWS);
        match &self.0 {
            Problem::Length { rows } => {
                write!(f, "a window of {rows} rows cannot be fitted: give {least} to {most} rows")
            }
            Problem::NotANumber(_) => write!(f, "a window is a number of rows: give {least} to {most}"),
            Problem::OfAnotherFit { rows, fit_rows } => {
                write!(f, "the fit is of a window of {fit_rows} rows, and there are {rows} values")
            }
        }
    }
}

impl std::error::Error for WindowError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Problem::NotANumber(error) => Some(error),
            Problem::Length { .. } | Problem::OfAnotherFit { .. } => None,
        }
    }
}

/// What depends on the window's length alone. With `u = i - (w-1)/2` for the row `i = 0..w`, oldest first, the
/// polynomials `1`, `u` and `u^2 - offset` are orthogonal over the window; `docs/formulas.md` derives the norms.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
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
    #[must_use]
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
