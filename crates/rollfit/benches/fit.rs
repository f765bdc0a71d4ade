//! What a fit costs: its numbers alone, how that grows with the window, fits that are stored, threads, and a stream. `./bench.sh kernel`
//! prints the medians as ns a fit. What metrics cost is in `metrics.rs`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use rollfit::{Cpu, FitColumns, FitNumbers, Kernel, Metric, Stream, Tile, Window};

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
            let (mut kernel, mut tile) = (Kernel::with_cpu(cpu, &windows(&rows)), Tile::default());
            group.throughput(Throughput::Elements((values.len() * rows.len()) as u64));
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
            let (mut kernel, mut tile) = (Kernel::new(&windows(&[rows])), Tile::default());
            let case = BenchmarkId::new(*name, rows);
            group.bench_function(case, |bench| {
                bench.iter(|| fit_grown(&mut kernel, black_box(values), &mut tile));
            });
        }
    }
    group.finish();
}

/// Fits the rows that a window of 10,000 rows is full at.
fn fit_grown(kernel: &mut Kernel, values: &[f64], tile: &mut Tile) {
    for rows in tiles(GROWN_ROWS.len(), kernel.tile_rows()) {
        let rows = GROWN_ROWS.start + rows.start..GROWN_ROWS.start + rows.end;
        kernel.fit_into(values, rows, tile).expect("rows of the series");
    }
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
            for fits in &tile {
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
                let columns = FitNumbers { a2, a1, b, ss_res, ss_tot, y_last };
                let written = FitColumns::from_columns(&columns, window).and_then(|fits| {
                    fits.write_metrics(Metric::STORED, black_box(&mut cells), &mut undefined)
                });
                written.expect("columns of one length, and room for the tile");
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
        let (mut kernel, mut tile) = (Kernel::new(&windows(&REFERENCE_ROWS)), Tile::default());
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

criterion_group!(benches, fits_alone, growth, stored_fits, two_threads, stream);
criterion_main!(benches);
