//! What a fit costs: the numbers of a Fit alone, how that grows with the window, all 15 metrics into a tile that stays in
//! cache, and into full columns in memory; beside them a plain store of as many bytes. `./bench.sh kernel` prints the
//! medians as ns a fit.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use rollfit::{
    Cpu, FitColumns, FitNumbers, Kernel, Metric, MetricColumns, MissingValues, Stream, Tile, Window,
};

const REFERENCE_ROWS: [usize; 6] = [15, 30, 45, 60, 75, 90];
const LONG_ROWS: [usize; 6] = [60, 90, 150, 240, 390, 630];
const SERIES_ROWS: usize = 30_900;
/// Rows at which a window of 10,000 rows is full: so many that the rows before the first count for little.
const GROWN_ROWS: std::ops::Range<usize> = 10_000..114_000;

/// A rate index of minute bars: a random walk in ticks about 100.
fn rate_index(rows: usize) -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut ticks = 100_000.0;
    std::iter::repeat_with(|| {
        ticks += f64::from(random.i32(-12..=12));
        100.0 * (ticks / 1e5)
    })
    .take(rows)
    .collect()
}

/// The backward return of `rate_index`, as the source tables hold it.
fn backward_return(index: &[f64]) -> Vec<f64> {
    (15..index.len()).map(|t| (1..=15).map(|k| index[t - k] - index[t]).sum::<f64>() / index[t]).collect()
}

fn windows(rows: &[usize]) -> Vec<Window> {
    rows.iter().map(|&rows| Window::new(rows).expect("at least 3 rows")).collect()
}

fn tiles(series_rows: usize, tile_rows: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..series_rows).step_by(tile_rows).map(move |first| first..(first + tile_rows).min(series_rows))
}

fn fits_alone(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fits");
    let index = rate_index(SERIES_ROWS);
    let returns = backward_return(&index);
    let series = [("idx", &index), ("bqx", &returns)];
    for ((name, values), cpu) in
        series.into_iter().flat_map(|s| Cpu::available().into_iter().map(move |c| (s, c)))
    {
        for (label, rows) in [("reference", REFERENCE_ROWS), ("long", LONG_ROWS)] {
            let mut kernel = Kernel::on(cpu, &windows(&rows));
            group.throughput(Throughput::Elements((values.len() * rows.len()) as u64));
            let mut tile = Tile::default();
            group.bench_function(BenchmarkId::new(format!("{label}/{name}"), cpu.name()), |bench| {
                bench.iter(|| {
                    for rows in tiles(values.len(), kernel.tile_rows()) {
                        kernel.fit_into(black_box(values), rows, &mut tile).expect("rows of the series");
                    }
                });
            });
        }
    }
    group.finish();
}

/// How the cost of one window grows with its length, where its residuals are a difference (a walk and its returns) and
/// where they are merged (a smooth series).
fn growth(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("growth");
    let index = rate_index(GROWN_ROWS.end + 15);
    let smooth = (0..GROWN_ROWS.end).map(|row| (row as f64 / 20_000.0).exp()).collect();
    let series = [("bqx", backward_return(&index)), ("walk", index), ("smooth", smooth)];
    group.throughput(Throughput::Elements(GROWN_ROWS.len() as u64));
    group.sampling_mode(SamplingMode::Flat).sample_size(20);
    for (name, values) in &series {
        for rows in [90, 1000, 10_000] {
            let mut kernel = Kernel::new(&windows(&[rows]));
            let case = BenchmarkId::new(*name, rows);
            group.bench_function(case, |bench| bench.iter(|| fit_grown(&mut kernel, black_box(values))));
        }
    }
    group.finish();
}

/// Fits the rows that a window of 10,000 rows is full at.
fn fit_grown(kernel: &mut Kernel, values: &[f64]) {
    let mut fits = Tile::default();
    for tile in tiles(GROWN_ROWS.len(), kernel.tile_rows()) {
        let rows = GROWN_ROWS.start + tile.start..GROWN_ROWS.start + tile.end;
        kernel.fit_into(values, rows, &mut fits).expect("rows of the series");
    }
}

/// `columns` holds one tile when `whole` is false and the whole series when it is true.
fn write_series(kernel: &mut Kernel, values: &[f64], columns: &mut [f64], whole: bool) {
    let mut missing = MissingValues::default();
    for rows in tiles(values.len(), kernel.tile_rows()) {
        let (first, stride) = if whole { (rows.start, values.len()) } else { (0, rows.len()) };
        let room = MetricColumns::new(&mut columns[first..], stride);
        kernel
            .metrics_into(black_box(values), rows, Metric::STORED, room, &mut missing)
            .expect("room for the tile");
        black_box(&mut *columns);
    }
}

/// The doubles from the first cache line on.
fn at_a_cache_line(doubles: &mut [f64]) -> &mut [f64] {
    let first = doubles.as_ptr().align_offset(64);
    &mut doubles[first..]
}

fn all_metrics(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("metrics");
    let values = rate_index(SERIES_ROWS);
    group.throughput(Throughput::Elements((values.len() * REFERENCE_ROWS.len()) as u64));
    for cpu in Cpu::available() {
        let mut kernel = Kernel::on(cpu, &windows(&REFERENCE_ROWS));
        let cells_per_row = Metric::STORED.len() * REFERENCE_ROWS.len();
        let mut tile = vec![0.0; cells_per_row * kernel.tile_rows()];
        group.bench_function(BenchmarkId::new("tile in cache", cpu.name()), |bench| {
            bench.iter(|| write_series(&mut kernel, &values, &mut tile, false));
        });
        let mut tile = vec![0.0; cells_per_row * kernel.tile_rows() + 8];
        let tile = at_a_cache_line(&mut tile);
        group.bench_function(BenchmarkId::new("tile in cache, at cache lines", cpu.name()), |bench| {
            bench.iter(|| write_series(&mut kernel, &values, tile, false));
        });
        let mut columns = vec![0.0; cells_per_row * values.len()];
        group.bench_function(BenchmarkId::new("columns in memory", cpu.name()), |bench| {
            bench.iter(|| write_series(&mut kernel, &values, &mut columns, true));
        });
    }
    let mut columns = vec![0.0; Metric::STORED.len() * REFERENCE_ROWS.len() * values.len()];
    let mut fill = 0.0;
    group.bench_function("plain store of as many bytes", |bench| {
        bench.iter(|| {
            fill += 1.0;
            black_box(&mut columns).fill(black_box(fill));
        });
    });
    group.finish();
}

/// What it costs to write the numbers of the fits of a tile, and to make metrics of what was written.
fn stored_fits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stored fits");
    let values = rate_index(SERIES_ROWS);
    let mut kernel = Kernel::new(&windows(&REFERENCE_ROWS));
    let rows = kernel.tile_rows();
    let tile = kernel.fit(&values, rows..2 * rows).expect("rows of the series");
    let mut columns: [Vec<f64>; 6] = std::array::from_fn(|_| vec![0.0; rows]);
    group.throughput(Throughput::Elements((rows * REFERENCE_ROWS.len()) as u64));
    group.bench_function("written", |bench| {
        bench.iter(|| {
            for fits in tile.windows() {
                let [a2, a1, b, ss_res, ss_tot, y_last] = black_box(&mut columns);
                fits.write(FitNumbers { a2, a1, b, ss_res, ss_tot, y_last }).expect("a tile's rows");
            }
        });
    });
    let (mut cells, mut undefined) = (vec![0.0; Metric::STORED.len() * rows], [0; Metric::STORED.len()]);
    group.bench_function("read, with all metrics", |bench| {
        bench.iter(|| {
            for window in windows(&REFERENCE_ROWS) {
                let [a2, a1, b, ss_res, ss_tot, y_last] = black_box(&columns).each_ref().map(Vec::as_slice);
                let fits =
                    FitColumns::from_columns(window, &FitNumbers { a2, a1, b, ss_res, ss_tot, y_last });
                let written = fits
                    .map(|fits| fits.write_metrics(Metric::STORED, black_box(&mut cells), &mut undefined));
                written.expect("columns of one length").expect("room for the tile");
            }
        });
    });
    group.finish();
}

/// Two series, fitted one after the other and by a thread each.
fn two_threads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("threads");
    let values = rate_index(SERIES_ROWS);
    let fit_often = || {
        let mut kernel = Kernel::new(&windows(&REFERENCE_ROWS));
        let mut tile = Tile::default();
        for rows in (0..20).flat_map(|_| tiles(SERIES_ROWS, kernel.tile_rows())).collect::<Vec<_>>() {
            kernel.fit_into(black_box(&values), rows, &mut tile).expect("rows of the series");
        }
    };
    group.throughput(Throughput::Elements((2 * 20 * values.len() * REFERENCE_ROWS.len()) as u64));
    group.bench_function("one", |bench| bench.iter(|| (0..2).for_each(|_| fit_often())));
    group.bench_function("two", |bench| {
        bench.iter(|| std::thread::scope(|threads| (0..2).for_each(|_| drop(threads.spawn(fit_often)))));
    });
    group.finish();
}

fn stream(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream");
    let values = rate_index(SERIES_ROWS);
    group.throughput(Throughput::Elements(values.len() as u64));
    group.bench_function("value pushed, six windows", |bench| {
        bench.iter(|| {
            let mut stream = Stream::new(&windows(&REFERENCE_ROWS));
            for &value in &values {
                black_box(stream.push(value));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, fits_alone, growth, all_metrics, stored_fits, two_threads, stream);
criterion_main!(benches);
