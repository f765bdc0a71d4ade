//! What storing a fit costs: a month of features computed and encoded into files that keep nothing, for each compression, beside
//! the computing alone. The difference is the encoding. Prints the bytes of each file too. The time is the thread's processor time,
//! which others on the machine change least.

#![allow(clippy::print_stdout)] // Bytes are no figure of the library's.

use std::hint::black_box;
use std::io;
use std::path::Path;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rollfit_job::config::{EXAMPLE, JobConfig};
use rollfit_job::features::FeatureEngine;
use rollfit_job::panel::Panel;
use rollfit_job::receipt::{Definition, Input, Receipt};
use rollfit_job::store::{Claim, Grouping, Sink, StoreError};
use rollfit_parquet::{FileSystem, OsFileSystem, ParquetStore, RawFile};

const ROWS: usize = 30_900;
const WINDOWS: usize = 12;

/// The processor time of this thread.
struct ProcessorTime;

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    fn end(&self, started: Duration) -> Duration {
        self.start() - started
    }

    fn add(&self, first: &Duration, second: &Duration) -> Duration {
        *first + *second
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// A file system that keeps nothing.
struct Nowhere;

/// A file that stays empty.
struct Discarded(Box<dyn RawFile>);

impl RawFile for Discarded {
    fn write_at(&mut self, bytes: &[u8], _offset: u64) -> io::Result<usize> {
        Ok(black_box(bytes).len())
    }

    fn reserve(&mut self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&mut self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn id(&self) -> io::Result<(u64, u64)> {
        self.0.id()
    }

    fn direct_alignment(&self) -> Option<usize> {
        None
    }

    fn set_direct(&mut self, _is_direct: bool) -> io::Result<()> {
        Ok(())
    }
}

impl FileSystem for Nowhere {
    fn create(&self, path: &Path) -> io::Result<Box<dyn RawFile>> {
        Ok(Box::new(Discarded(OsFileSystem.create(path)?)))
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// A rate index of minute bars, a random walk in ticks about 100, and its backward return.
fn panel() -> Panel {
    let mut random = fastrand::Rng::with_seed(7);
    let mut ticks = 100_000.0;
    let index: Vec<f64> = std::iter::repeat_with(|| {
        ticks += f64::from(random.i32(-12..=12));
        100.0 * (ticks / 1e5)
    })
    .take(ROWS + 15)
    .collect();
    let backward = |t: usize| (1..=15).map(|k| index[t - k] - index[t]).sum::<f64>() / index[t];
    Panel {
        instants_us: (0..ROWS as i64).map(|row| 1_483_228_800_000_000 + row * 60_000_000).collect(),
        columns: vec![index[15..].to_vec(), (15..index.len()).map(backward).collect()],
        lookback_rows: 0,
        lost_rows: vec![0, 0],
        ..Panel::default()
    }
}

/// Computes the features of the panel and stores them; returns the bytes of the file.
fn store(store: &ParquetStore, config: &JobConfig, engine: &mut FeatureEngine, panel: &Panel) -> u64 {
    let partition = rollfit_testkit::market::partition("eurusd", "2017-01");
    let Ok(Claim::Taken(mut slot)) = store.claim(&partition, rollfit_job::store::Write::Replace) else {
        panic!("the partition is held")
    };
    let stored = engine.compute(panel, Grouping::Together, None, |tile| slot.write(tile)).expect("written");
    let input = Input {
        rows: ROWS as u64,
        lookback_rows: 0,
        first_us: None,
        last_us: None,
        digest: String::new(),
        lost_rows: vec![0, 0],
    };
    let definition = Definition::from_config(config).into();
    slot.commit(&Receipt { output: store.output(&partition), definition, input, stored }).expect("committed")
}

fn encode(criterion: &mut Criterion<ProcessorTime>) {
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements((ROWS * WINDOWS) as u64));
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    let (panel, dir) = (panel(), tempfile::tempdir().expect("a directory"));
    let config = |compression: &str| {
        let setting = ("ROLLFIT_STORE__COMPRESSION".to_owned(), compression.to_owned());
        JobConfig::parse(EXAMPLE, [setting]).expect("the example")
    };
    let mut engine = FeatureEngine::new(&config("none"));
    group.bench_function("computing alone", |bench| {
        bench.iter(|| {
            engine.compute(&panel, Grouping::Together, None, |tile| {
                black_box(tile);
                Ok::<(), StoreError>(())
            })
        });
    });
    for compression in ["none", "lz4", "zstd"] {
        let config = config(compression);
        let kept = ParquetStore::open_with(dir.path(), &config, Box::new(Nowhere)).expect("a store");
        let bytes = store(&kept, &config, &mut engine, &panel);
        let doubles = (ROWS * config.feature_count() * 8) as f64;
        println!("{compression}: {bytes} bytes, {:.4} of the doubles", bytes as f64 / doubles);
        group.bench_function(compression, |bench| {
            bench.iter(|| store(&kept, &config, &mut engine, &panel));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ProcessorTime);
    targets = encode
}
criterion_main!(benches);
