//! Who allocates, and when: a stream never after it was made, a kernel never after its first tile. A program of its own,
//! because the allocator that counts serves all of it.

use allocation_counter::measure;
use rollfit::{Cpu, Fit, Kernel, Metric, MetricColumns, MissingValues, Stream, Window};

const WINDOW_ROWS: [usize; 7] = [3, 15, 30, 90, 97, 1000, 10_000];

fn windows() -> Vec<Window> {
    WINDOW_ROWS.iter().map(|&rows| Window::new(rows).expect("a window's length")).collect()
}

/// A wave on a parabola, where residuals of short windows are merged, those of long ones a difference, with values that cannot be used.
fn values(rows: usize) -> Vec<f64> {
    let value = |at: usize| if at % 25_000 == 7 { f64::NAN } else { (at as f64 * 1e-3).powi(2).sin() };
    (0..rows).map(value).collect()
}

#[test]
fn what_is_allocated_is_counted() {
    assert_eq!(measure(|| drop(std::hint::black_box(vec![1.0; 10]))).count_total, 1);
    assert!(measure(|| drop(Stream::new(&windows()))).count_total > 0);
}

#[test]
fn a_stream_allocates_nothing_after_it_was_made() {
    let values = values(60_000);
    let mut stream = Stream::new(&windows());
    let mut fits = [0; WINDOW_ROWS.len()];
    let allocations = measure(|| {
        for &value in &values {
            count_fits(stream.push(value), &mut fits);
        }
        stream.reset();
        count_fits(stream.push(1.0), &mut fits);
    });
    assert_eq!(allocations.count_total, 0);
    assert!(fits.iter().all(|&fits| fits > 10_000), "{fits:?}");
}

fn count_fits(pushed: &[Option<Fit>], fits: &mut [usize]) {
    for (fits, fit) in fits.iter_mut().zip(pushed) {
        *fits += usize::from(fit.is_some());
    }
}

#[test]
fn a_kernel_allocates_nothing_after_its_first_tile() {
    let values = values(60_000);
    for cpu in Cpu::available() {
        let mut kernel = Kernel::with_cpu(cpu, &windows());
        let tile_rows = kernel.tile_rows();
        let mut columns = vec![0.0; Metric::ALL.len() * tile_rows];
        let mut undefined = vec![0; Metric::ALL.len()];
        // The second tile has the most rows before it that the longest window may need.
        let mut tile = kernel.fit(&values, tile_rows..2 * tile_rows).expect("rows of the series");
        let allocations = measure(|| {
            for first in (0..values.len() / tile_rows).map(|tile| tile * tile_rows) {
                kernel.fit_into(&values, first..first + tile_rows, &mut tile).expect("rows of the series");
                for fits in &tile {
                    fits.write_metrics(Metric::ALL, &mut columns, &mut undefined).expect("room for the tile");
                }
            }
        });
        assert_eq!(allocations.count_total, 0, "{}", cpu.name());
    }
}

#[test]
fn metrics_are_written_without_allocating_after_the_first_tile() {
    let values = values(60_000);
    for cpu in Cpu::available() {
        let mut kernel = Kernel::with_cpu(cpu, &windows());
        let tile_rows = kernel.tile_rows();
        let mut cells = vec![0.0; WINDOW_ROWS.len() * Metric::ALL.len() * tile_rows];
        let mut missing = MissingValues::default();
        let mut write = |first: usize, metrics: &[Metric]| {
            let columns = MetricColumns::new(&mut cells, tile_rows);
            kernel.metrics_into(&values, first..first + tile_rows, metrics, columns, &mut missing)
        };
        write(tile_rows, Metric::ALL).expect("rows of the series");
        let allocations = measure(|| {
            for first in (0..values.len() / tile_rows).map(|tile| tile * tile_rows) {
                write(first, Metric::ALL).expect("rows of the series");
                write(first, &[Metric::R2]).expect("rows of the series");
            }
        });
        assert_eq!(allocations.count_total, 0, "{}", cpu.name());
    }
}
