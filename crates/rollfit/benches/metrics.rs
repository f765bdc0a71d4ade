//! What metrics cost by way of fits that are kept, and written at once, in turns, so that whatever else the machine does falls on both:
//! medians as ns a fit, and the median of the ratios. Into a tile that stays in cache, with columns at cache lines and not, into columns
//! of all rows in memory, through the caches and past them, and beside them a plain store of as many bytes. `./bench.sh kernel` prints it.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::Instant;

use rollfit::{Cpu, Kernel, Metric, MetricColumns, MissingValues, Tile, Window};

const WINDOW_ROWS: [usize; 6] = [15, 30, 45, 60, 75, 90];
const SERIES_ROWS: usize = 30_000;
const TURNS: usize = 200;
/// A cache line, in doubles.
const LINE: usize = 8;

/// A rate index of minute bars: a random walk in ticks about 100.
fn rate_index() -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut ticks = 100_000.0;
    let next = || {
        ticks += f64::from(random.i32(-12..=12));
        100.0 * (ticks / 1e5)
    };
    std::iter::repeat_with(next).take(SERIES_ROWS).collect()
}

/// Where metrics go.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// A tile that stays in cache, whose columns begin at cache lines.
    Tile,
    /// The same, two values after a cache line.
    TileBetweenLines,
    /// Columns of all rows.
    Memory,
    /// The same; at once means past the caches.
    MemoryPastCaches,
}

impl Place {
    fn is_memory(self) -> bool {
        matches!(self, Self::Memory | Self::MemoryPastCaches)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tile => "tile in cache",
            Self::TileBetweenLines => "tile in cache, between lines",
            Self::Memory => "columns in memory",
            Self::MemoryPastCaches => "columns in memory, past caches",
        }
    }

    /// The first cell.
    fn first(self, cells: &[f64]) -> usize {
        cells.as_ptr().align_offset(64) + if self == Self::TileBetweenLines { 2 } else { 0 }
    }
}

/// One way to metrics, with its memory.
struct Way {
    kernel: Kernel,
    tile: Tile,
    missing: MissingValues,
    undefined: Vec<u64>,
    cells: Vec<f64>,
}

impl Way {
    fn new(cpu: Cpu, metrics: &[Metric], rows: usize) -> Self {
        let windows = WINDOW_ROWS.map(|rows| Window::new(rows).expect("at least 3 rows"));
        Self {
            kernel: Kernel::with_cpu(cpu, &windows),
            tile: Tile::default(),
            missing: MissingValues::default(),
            undefined: vec![0; metrics.len()],
            cells: vec![0.0; windows.len() * metrics.len() * rows + 2 * LINE],
        }
    }

    fn tiles(&self) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let rows = self.kernel.tile_rows();
        (0..SERIES_ROWS).step_by(rows).map(move |first| first..(first + rows).min(SERIES_ROWS))
    }

    /// Keeps the fits of a tile, and makes metrics of them. Into columns of all rows they are copied window by window, as they lie.
    fn by_way_of_fits(&mut self, values: &[f64], metrics: &[Metric], into: Place) {
        let tiles = self.tiles();
        let first = into.first(&self.cells);
        let cells = &mut self.cells[first..];
        for rows in tiles {
            self.kernel
                .fit_into(black_box(values), rows.clone(), &mut self.tile)
                .expect("rows of the series");
            let tile_cells = metrics.len() * rows.len();
            for (window, fits) in self.tile.iter().enumerate() {
                let first = if into.is_memory() {
                    metrics.len() * (window * SERIES_ROWS + rows.start)
                } else {
                    window * tile_cells
                };
                let columns = &mut cells[first..first + tile_cells];
                fits.write_metrics(metrics, columns, &mut self.undefined).expect("room for the tile");
            }
            black_box(&mut *cells);
        }
    }

    fn at_once(&mut self, values: &[f64], metrics: &[Metric], into: Place) {
        let tiles = self.tiles();
        let first = into.first(&self.cells);
        let cells = &mut self.cells[first..];
        for rows in tiles {
            let (first, stride) = if into.is_memory() { (rows.start, SERIES_ROWS) } else { (0, rows.len()) };
            let mut columns = MetricColumns::new(&mut cells[first..], stride);
            if into == Place::MemoryPastCaches {
                columns = columns.past_caches();
            }
            let written =
                self.kernel.metrics_into(black_box(values), rows, metrics, columns, &mut self.missing);
            written.expect("rows of the series, and room for them");
            black_box(&mut *cells);
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Nanoseconds a fit.
fn time(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_nanos() as f64 / (SERIES_ROWS * WINDOW_ROWS.len()) as f64
}

fn compare(cpu: Cpu, values: &[f64], metrics: &[Metric], into: Place) {
    let probe = Way::new(cpu, metrics, 0);
    let rows = if into.is_memory() { SERIES_ROWS } else { probe.kernel.tile_rows() };
    let [mut kept, mut direct] = [(); 2].map(|()| Way::new(cpu, metrics, rows));
    let turns: Vec<[f64; 2]> = (0..TURNS)
        .map(|_| {
            let by_way_of_fits = time(|| kept.by_way_of_fits(values, metrics, into));
            [by_way_of_fits, time(|| direct.at_once(values, metrics, into))]
        })
        .collect();
    let of = |number: &dyn Fn(&[f64; 2]) -> f64| median(turns.iter().map(number).collect());
    println!(
        "{:54} {:6.2} {:6.2} {:6.2}",
        format!("{} of {} metrics, {}", cpu.name(), metrics.len(), into.name()),
        of(&|turn| turn[0]),
        of(&|turn| turn[1]),
        of(&|turn| turn[1] / turn[0]),
    );
}

fn main() {
    // `cargo test` runs benchmarks too, without the option that `cargo bench` gives.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let values = rate_index();
    println!("{:54} {:>6} {:>6} {:>6}", "metrics", "fits", "once", "ratio");
    for cpu in Cpu::available() {
        for metrics in [
            Metric::STORED,
            &Metric::ALL[..6],
            &[Metric::R2, Metric::Rmse, Metric::Prediction],
            &[Metric::R2],
        ] {
            for into in [Place::Tile, Place::TileBetweenLines, Place::Memory, Place::MemoryPastCaches] {
                compare(cpu, &values, metrics, into);
            }
        }
    }
    let mut columns = vec![0.0; Metric::STORED.len() * WINDOW_ROWS.len() * SERIES_ROWS];
    let fills =
        (0..TURNS).map(|fill| time(|| black_box(&mut columns).fill(black_box(fill as f64)))).collect();
    println!("{:54} {:6.2}", "plain store of as many bytes", median(fills));
}
