//! What is promised of metrics that a kernel writes without keeping its fits: the same bits, and the same counts, as those made of
//! kept fits, whatever is asked for, wherever it goes, however the series is cut, on every CPU path. The kept fits are held to
//! windows on their own elsewhere.
#![allow(clippy::unwrap_used)] // A failed helper fails its test.

use std::ops::Range;

use fastrand::Rng;
use proptest::prelude::*;
use rollfit::reference::Grid;
use rollfit::{Cpu, Kernel, KernelError, Metric, MetricColumns, MissingValues, Tile, Window};

#[allow(dead_code)]
#[path = "math/support/hard.rs"]
mod hard;

/// What a cell holds that nobody has written to.
const UNTOUCHED: f64 = 12_345.5;

fn windows(rows: &[usize]) -> Vec<Window> {
    rows.iter().map(|&rows| Window::new(rows).unwrap()).collect()
}

/// Windows that are hard to fit, one after the other, with values that cannot be used and with undefined vertices in between.
fn series(seed: u64, rows: usize) -> Vec<f64> {
    let mut random = Rng::with_seed(seed);
    let unusable = [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e101, -1e300];
    let (with_gaps, with_open_vertices) = (random.bool(), random.bool());
    let mut values = Vec::new();
    while values.len() < rows {
        let rows = hard::rows(&mut random, 3, 200);
        values.extend(hard::window(&mut random, rows).1);
        if with_gaps {
            let gap = random.usize(0..4);
            values.extend((0..gap).map(|_| unusable[random.usize(0..unusable.len())]));
        }
        if with_open_vertices {
            values.extend(without_vertex());
        }
    }
    values.truncate(rows);
    values
}

/// Five values whose fitted `2*a2 + 1e-10` is 0 to the last bit: a parabola with noise, tried until it happens.
fn without_vertex() -> [f64; 5] {
    static FOUND: std::sync::OnceLock<[f64; 5]> = std::sync::OnceLock::new();
    *FOUND.get_or_init(|| {
        let grid: Grid = Grid::new(Window::new(5).unwrap());
        let mut random = Rng::with_seed(32);
        let candidate = || {
            std::array::from_fn(|i| {
                let x = (i as f64 - grid.u_last) / grid.scale;
                let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
                let noise = sign * [1.0, 4.0, 6.0, 4.0, 1.0][i] * 1e-11;
                -5e-11 * x * x + noise + 1e-25 * random.f64()
            })
        };
        let has_none = |values: &[f64; 5]| {
            let fit = rollfit::fit(values).unwrap().expect("five values that can be used");
            2.0 * fit.a2() + 1e-10 == 0.0
        };
        std::iter::repeat_with(candidate).take(100_000).find(has_none).expect("one in some hundred has none")
    })
}

/// What a kernel writes of a range of rows, and what it says of missing values.
struct Written {
    cells: Vec<f64>,
    missing: MissingValues,
}

/// Asks for `metrics` of `rows` for so many windows, into columns `stride` apart that begin `offset` cells after some others. The same
/// is written past the caches.
fn write(
    (kernel, windows): (&mut Kernel, usize),
    values: &[f64],
    rows: Range<usize>,
    metrics: &[Metric],
    (stride, offset): (usize, usize),
) -> Written {
    let mut cells = vec![UNTOUCHED; offset + (windows * metrics.len()).max(1) * stride];
    let mut missing = MissingValues::default();
    let (mut far_cells, mut far_missing) = (cells.clone(), MissingValues::default());
    let into = MetricColumns::new(&mut far_cells[offset..], stride).past_caches();
    kernel.clone().metrics_into(values, rows.clone(), metrics, into, &mut far_missing).unwrap();
    let into = MetricColumns::new(&mut cells[offset..], stride);
    kernel.metrics_into(values, rows, metrics, into, &mut missing).unwrap();
    let has_same_bits = cells.iter().zip(&far_cells).all(|(cell, far)| cell.to_bits() == far.to_bits());
    assert!(has_same_bits && missing == far_missing);
    Written { cells, missing }
}

/// Holds columns that lie apart, written by copies of the kernel into the caches and past them, against what was written into one slice.
fn hold_apart(
    (kernel, windows): (&Kernel, usize),
    values: &[f64],
    rows: Range<usize>,
    metrics: &[Metric],
    (written, stride, offset): (&Written, usize, usize),
) {
    for past_caches in [false, true] {
        let mut columns = vec![vec![UNTOUCHED; rows.len() + 1]; windows * metrics.len()];
        let mut missing = MissingValues::default();
        let into = MetricColumns::from_slices(columns.iter_mut().map(Vec::as_mut_slice).collect());
        let into = if past_caches { into.past_caches() } else { into };
        kernel.clone().metrics_into(values, rows.clone(), metrics, into, &mut missing).unwrap();
        assert_eq!(missing, written.missing);
        for (at, column) in columns.iter().enumerate() {
            let expected = &written.cells[offset + at * stride..][..rows.len()];
            assert!(column.iter().zip(expected).all(|(cell, expected)| cell.to_bits() == expected.to_bits()));
            assert_eq!(column[rows.len()], UNTOUCHED);
        }
    }
}

/// Holds what was written against the metrics of fits that another kernel keeps.
fn hold(written: &Written, tile: &Tile, metrics: &[Metric], (stride, offset): (usize, usize)) {
    let rows = tile.rows();
    assert!(written.cells[..offset].iter().all(|&cell| cell == UNTOUCHED));
    for (window, fits) in tile.iter().enumerate() {
        let (mut expected, mut missing) = (vec![0.0; metrics.len() * rows], vec![0; metrics.len()]);
        fits.write_metrics(metrics, &mut expected, &mut missing).unwrap();
        for (at, metric) in metrics.iter().enumerate() {
            let column = &written.cells[offset + (window * metrics.len() + at) * stride..][..stride];
            for row in 0..rows {
                let (cell, expected) = (column[row], expected[at * rows + row]);
                assert_eq!(cell.to_bits(), expected.to_bits(), "{metric} of {window} at {row}");
            }
            assert!(column[rows..].iter().all(|&cell| cell == UNTOUCHED), "{metric} beyond the rows");
        }
        hold_missing(&written.missing, window, tile, &missing);
    }
    let beyond = tile.iter().len();
    let refused = KernelError::WindowOutside { window: beyond, windows: beyond };
    assert_eq!(written.missing.rows_without_fit(beyond), Err(refused.clone()));
    assert_eq!(written.missing.has_fit_bits(beyond), Err(refused));
}

/// Holds the counts and bits of a window against its fits, of whose metrics so many values are `missing`.
fn hold_missing(found: &MissingValues, window: usize, tile: &Tile, missing: &[u64]) {
    let (fits, rows) = (tile.fits(window).unwrap(), tile.rows());
    let without_fit = (0..rows).filter(|&row| !fits.has_fit(row)).count() as u64;
    assert_eq!(found.rows_without_fit(window), Ok(without_fit));
    let undefined: Vec<u64> = missing.iter().map(|missing| missing - without_fit).collect();
    assert_eq!(found.undefined(window), Ok(&undefined[..]));
    let bits = found.has_fit_bits(window).unwrap();
    assert_eq!(bits.len(), rows.div_ceil(64));
    for row in 0..bits.len() * 64 {
        assert_eq!(bits[row / 64] >> (row % 64) & 1 == 1, row < rows && fits.has_fit(row), "bit {row}");
    }
}

/// Metrics in any order, some of them more than once.
fn some_metrics() -> impl Strategy<Value = Vec<Metric>> {
    let any = prop::collection::vec(prop::sample::select(Metric::ALL), 0..25);
    let few = prop::collection::vec(prop::sample::select(Metric::ALL), 1..5);
    prop_oneof![any, few, Just(Metric::STORED.to_vec()), Just(Metric::ALL.to_vec())]
}

fn in_order(cuts: &[prop::sample::Index], rows: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(rows + 1)).chain([0, rows]).collect();
    cuts.sort_unstable();
    cuts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn metrics_have_the_bits_of_those_of_kept_fits(
        seed in any::<u64>(), length in 1..900usize, rows in prop::collection::vec(3..=130usize, 0..6),
        metrics in some_metrics(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        gap in 0..20usize, offset in 0..9usize,
    ) {
        let values = series(seed, length);
        for cpu in Cpu::available() {
            let [mut kernel, mut keeper] = [(); 2].map(|()| Kernel::with_cpu(cpu, &windows(&rows)));
            for cut in in_order(&cuts, length).windows(2) {
                let place = (cut[1] - cut[0] + gap, offset);
                let before = kernel.clone();
                let written = write((&mut kernel, rows.len()), &values, cut[0]..cut[1], &metrics, place);
                hold_apart((&before, rows.len()), &values, cut[0]..cut[1], &metrics, (&written, place.0, place.1));
                hold(&written, &keeper.fit(&values, cut[0]..cut[1]).unwrap(), &metrics, place);
            }
        }
    }
}

/// Every metric alone, and pairs, where a vertex is undefined, where residuals are merged, and where values are missing.
#[test]
fn each_metric_alone_and_twice_has_the_bits_of_kept_fits() {
    let smooth = (0..70).map(|row| (f64::from(row) / 300.0).exp());
    let values: Vec<f64> =
        series(7, 300).into_iter().chain(without_vertex()).chain([f64::NAN]).chain(smooth).collect();
    for cpu in Cpu::available() {
        for &metric in Metric::ALL {
            for metrics in
                [vec![metric], vec![metric, Metric::R2, metric], [&[metric][..], Metric::ALL].concat()]
            {
                let [mut kernel, mut keeper] = [(); 2].map(|()| Kernel::with_cpu(cpu, &windows(&[5, 17])));
                let place = (values.len() + 3, 1);
                let written = write((&mut kernel, 2), &values, 0..values.len(), &metrics, place);
                hold(&written, &keeper.fit(&values, 0..values.len()).unwrap(), &metrics, place);
            }
        }
    }
}

#[test]
fn a_vertex_that_is_undefined_is_counted_once_for_each_time_it_is_asked_for() {
    let values = without_vertex();
    for metrics in [&[Metric::VertexX, Metric::B, Metric::VertexX][..], Metric::ALL] {
        let mut kernel = Kernel::new(&windows(&[5]));
        let written = write((&mut kernel, 1), &values, 0..5, metrics, (5, 0));
        let is_vertex = |metric: &Metric| matches!(metric, Metric::VertexX | Metric::VertexY);
        let expected: Vec<u64> = metrics.iter().map(|metric| u64::from(is_vertex(metric))).collect();
        assert_eq!(written.missing.undefined(0), Ok(&expected[..]));
        assert_eq!(written.missing.rows_without_fit(0), Ok(4));
        assert_eq!(written.missing.has_fit_bits(0), Ok(&[0b10000][..]));
    }
}

/// A tile that is fitted a second time, with merged residuals, and its undefined vertex is not counted twice.
#[test]
fn a_tile_that_is_begun_again_is_counted_once() {
    let walk = series(2, 400).into_iter().map(|value| if value.abs() < 1e90 { value } else { 1.0 });
    let smooth = (0..200).map(|row| (f64::from(row) / 3000.0).exp());
    let values: Vec<f64> = without_vertex().into_iter().chain(walk).chain(smooth).collect();
    for cpu in Cpu::available() {
        let [mut kernel, mut keeper] = [(); 2].map(|()| Kernel::with_cpu(cpu, &windows(&[5, 30])));
        let written = write((&mut kernel, 2), &values, 0..values.len(), Metric::ALL, (values.len(), 0));
        hold(&written, &keeper.fit(&values, 0..values.len()).unwrap(), Metric::ALL, (values.len(), 0));
        let vertex = Metric::ALL.iter().position(|&metric| metric == Metric::VertexX).unwrap();
        assert!(written.missing.undefined(0).unwrap()[vertex] >= 1, "{}", cpu.name());
    }
}

/// A kernel goes on from its tile before, whichever of its methods made it.
#[test]
fn tiles_of_fits_and_of_metrics_may_follow_each_other() {
    let values = series(11, 3000);
    for cpu in Cpu::available() {
        let mut kernel = Kernel::with_cpu(cpu, &windows(&[15, 90]));
        for (at, first) in (0..2700).step_by(300).enumerate() {
            let rows = first..first + 300;
            let expected = Kernel::with_cpu(cpu, &windows(&[15, 90])).fit(&values, rows.clone()).unwrap();
            if at % 2 == 0 {
                let columns = Metric::STORED.len() * 2 * 300;
                let (mut cells, mut missing) = (vec![UNTOUCHED; columns], MissingValues::default());
                let into = MetricColumns::new(&mut cells, 300);
                kernel.metrics_into(&values, rows, Metric::STORED, into, &mut missing).unwrap();
                hold(&Written { cells, missing }, &expected, Metric::STORED, (300, 0));
            } else {
                let tile = kernel.fit(&values, rows).unwrap();
                for (found, expected) in tile.iter().zip(expected.iter()) {
                    let bits = |fits: &rollfit::FitColumns, row| {
                        fits.get(row).map(|fit| [fit.a2(), fit.a1(), fit.b(), fit.ss_res()].map(f64::to_bits))
                    };
                    assert!((0..300).all(|row| bits(found, row) == bits(expected, row)));
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_written_leaves_everything_as_it_was() {
    let mut kernel = Kernel::new(&windows(&[3]));
    let values = [1.0, 2.0, 4.0, 7.0];
    let (mut cells, mut missing) = (vec![UNTOUCHED; 8], MissingValues::default());
    let metrics = [Metric::A2, Metric::B];
    let outside =
        kernel.metrics_into(&values, 0..5, &metrics, MetricColumns::new(&mut cells, 4), &mut missing);
    assert_eq!(outside, Err(KernelError::RowsOutside { rows: 0..5, values: 4 }));
    for (length, stride, error) in [
        (7, 4, KernelError::OutputLength { wanted: 8, found: 7 }),
        (8, 3, KernelError::ColumnsOverlap { stride: 3, rows: 4 }),
        (0, 4, KernelError::OutputLength { wanted: 8, found: 0 }),
    ] {
        let into = MetricColumns::new(&mut cells[..length], stride);
        let refused = kernel.metrics_into(&values, 0..4, &metrics, into, &mut missing);
        assert_eq!(refused, Err(error));
    }
    let [mut long, mut short] = [vec![UNTOUCHED; 4], vec![UNTOUCHED; 3]];
    for count in 0..=2 {
        let columns = [&mut long[..], &mut short].into_iter().take(count).collect();
        let into = MetricColumns::from_slices(columns);
        let refused = kernel.metrics_into(&values, 0..4, &metrics, into, &mut missing);
        assert!(matches!(refused, Err(KernelError::OutputLength { wanted: 8, .. })), "{count} columns");
    }
    assert!(long.iter().chain(&short).all(|&cell| cell == UNTOUCHED));
    assert!(cells.iter().all(|&cell| cell == UNTOUCHED) && missing == MissingValues::default());
    kernel.metrics_into(&values, 0..4, &metrics, MetricColumns::new(&mut cells, 4), &mut missing).unwrap();
    assert_eq!((missing.rows_without_fit(0), missing.has_fit_bits(0)), (Ok(2), Ok(&[0b1100][..])));
}

/// Columns of all rows of a long series, at cache lines and not, each beside what it must not touch.
#[test]
fn large_columns_have_the_same_bits() {
    let values = series(5, 1200);
    for cpu in Cpu::available() {
        let [mut kernel, mut keeper] = [(); 2].map(|()| Kernel::with_cpu(cpu, &windows(&[15, 90])));
        for (rows, stride) in [(0..520, 80_000), (520..1041, 80_000), (0..520, 79_999)] {
            // Large memory begins 16 bytes after a cache line, or at one.
            for offset in [0, 1, 6, 8] {
                let place = (stride, offset);
                let written = write((&mut kernel, 2), &values, rows.clone(), Metric::STORED, place);
                assert!(written.cells.len() > 1 << 21);
                hold(&written, &keeper.fit(&values, rows.clone()).unwrap(), Metric::STORED, place);
            }
        }
    }
}
