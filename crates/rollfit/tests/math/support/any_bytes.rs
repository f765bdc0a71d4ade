//! Any bytes as a series and its windows, and what must hold of them: nothing panics; the kernel gives the same bits on
//! every path, in whatever tiles, as the stream and as the windows on their own; and fits and metrics are within bounds
//! of the exact answer in rational numbers. A property test runs this on random bytes, and `fuzz/` on bytes that search.

use rollfit::bounds::Bounds;
use rollfit::{Cpu, Kernel, Metric, Stream};

use super::exact::ExactFit;
use super::paths::{self, Fits, Written};

/// The longest window made: the exact answer takes as long as a thousand fits.
const MOST_WINDOW_ROWS: usize = 130;
/// The longest series made.
const MOST_ROWS: usize = 500;

/// What bytes say.
#[derive(Debug)]
struct Case {
    window_rows: [usize; 2],
    /// Where the series is cut into two tiles.
    cut: usize,
    values: Vec<f64>,
}

/// Holds what bytes say against every promise. Panics where one is broken.
pub(crate) fn hold(bytes: &[u8]) {
    let Some(case) = Case::read(bytes) else { return };
    let streamed = same_bits(&case);
    for (rows, fits) in case.window_rows.into_iter().zip(&streamed) {
        if let Some(last) = fits.iter().rposition(Option::is_some) {
            within_bounds(&case.values[last + 1 - rows..=last]);
        }
    }
}

impl Case {
    /// Two windows, the cut, the kind of series, and the series.
    fn read(bytes: &[u8]) -> Option<Self> {
        let ([first, second, cut, kind], series) = bytes.split_first_chunk()?;
        let mut values = match kind % 3 {
            0 => any_doubles(series),
            1 => parabola_with_noise(series)?,
            _ => walk_with_any_doubles(series)?,
        };
        values.truncate(MOST_ROWS);
        let rows = |byte: &u8| 3 + usize::from(*byte) % (MOST_WINDOW_ROWS - 2);
        let cut = usize::from(*cut) * values.len() / 255;
        Some(Self { window_rows: [rows(first), rows(second)], cut, values })
    }
}

/// Any bit patterns, eight bytes each.
fn any_doubles(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks().0.iter().map(|bits| f64::from_le_bytes(*bits)).collect()
}

/// A parabola about any level, and a byte a row that says how many units it is away from that.
fn parabola_with_noise(bytes: &[u8]) -> Option<Vec<f64>> {
    let (level, unit, bytes) = level_and_unit(bytes)?;
    let ([bend, slope], moves) = bytes.split_first_chunk()?;
    let [bend, slope] = [bend, slope].map(|byte| f64::from(byte.cast_signed()));
    let value = |(at, &units): (usize, &u8)| {
        let row = at as f64;
        level + unit * ((bend * row + slope) * row + f64::from(units.cast_signed()))
    };
    Some(moves.iter().enumerate().map(value).collect())
}

/// A walk of a byte a step, where one byte in 256 puts any double in the place of the walk.
fn walk_with_any_doubles(bytes: &[u8]) -> Option<Vec<f64>> {
    let (mut level, unit, mut steps) = level_and_unit(bytes)?;
    let mut values = Vec::new();
    while let Some((&step, rest)) = steps.split_first() {
        steps = rest;
        if let (0x80, Some((bits, rest))) = (step, steps.split_first_chunk()) {
            values.push(f64::from_le_bytes(*bits));
            steps = rest;
        } else {
            level += unit * f64::from(step.cast_signed());
            values.push(level);
        }
    }
    Some(values)
}

/// Any level, and a unit that is a power of two below it.
fn level_and_unit(bytes: &[u8]) -> Option<(f64, f64, &[u8])> {
    let (level, bytes) = bytes.split_first_chunk()?;
    let (&halvings, bytes) = bytes.split_first()?;
    let level = f64::from_le_bytes(*level);
    Some((level, level * 2f64.powi(-i32::from(halvings % 64)), bytes))
}

/// The fits of the stream, which all paths of the kernel give as well, in one tile and in two.
fn same_bits(case: &Case) -> Fits {
    let Case { window_rows, cut, values } = case;
    let mut stream = Stream::new(&paths::windows(window_rows));
    let streamed = paths::streamed(&mut stream, values, window_rows.len());
    let mut written = None;
    for cpu in Cpu::available() {
        for cuts in [&[][..], &[*cut]] {
            assert_eq!(paths::tiled(cpu, values, window_rows, cuts), streamed, "{}: {case:?}", cpu.name());
        }
        let here = metrics_bits(cpu, case);
        assert_eq!(written.get_or_insert_with(|| here.clone()), &here, "{}: {case:?}", cpu.name());
    }
    for (&rows, fits) in window_rows.iter().zip(&streamed) {
        if let Some(last) = values.len().checked_sub(1) {
            assert_eq!(fits[last], paths::alone_at(values, last, rows), "{rows} rows alone: {case:?}");
        }
    }
    streamed
}

/// The bits of every metric of every window, all of which must be a number or counted.
fn metrics_bits(cpu: Cpu, case: &Case) -> Vec<Vec<u64>> {
    let Case { window_rows, values, .. } = case;
    let mut kernel = Kernel::with_cpu(cpu, &paths::windows(window_rows));
    let tile = kernel.fit(values, 0..values.len()).expect("rows of the series");
    let written = tile.iter().map(|fits| {
        let written = Written::from_fits(fits);
        let missing = written.cells.iter().filter(|cell| cell.is_nan()).count();
        assert_eq!(missing as u64, written.undefined.iter().sum::<u64>(), "{case:?}");
        let is_clean = |cell: &f64| !cell.is_infinite() && cell.to_bits() != (-0.0f64).to_bits();
        assert!(written.cells.iter().all(is_clean), "{case:?}");
        written.bits()
    });
    written.collect()
}

/// Holds every metric of one window against the exact answer.
fn within_bounds(values: &[f64]) {
    let bounds = Bounds::new(values, &ExactFit::new(values).terms());
    let fit = rollfit::fit(values).expect("a window's length").expect("usable values");
    assert!(0.0 <= fit.ss_res() && fit.ss_res() <= fit.ss_tot(), "{fit:?} of {values:?}");
    let last = values.len() - 1;
    let written = Written::new(Cpu::detect(), values, values.len(), last..last + 1);
    for (metric, value) in written.at(0) {
        let error = bounds.error(metric, value);
        assert!(error.passes(), "{metric}: {value:e}, {error:?} of {values:?}");
    }
    let reference = rollfit::reference::terms(values).expect("a window's length").expect("usable values");
    for &metric in Metric::ALL {
        let error = bounds.error(metric, metric.of(&reference).to_f64());
        assert!(error.passes(), "the reference's {metric}: {error:?} of {values:?}");
    }
}
