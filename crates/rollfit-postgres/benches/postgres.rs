//! How close a run comes to what the server itself takes: `run` beside a floor that does the same work in the server from
//! bytes encoded before, with as many connections. Called by `./bench.sh postgres`, which starts the server.
//!
//! Blocks of partitions alternate between the two. The floor's files are those that the server gave for a block's tables;
//! they are made before the clock runs, lie in the page cache, and are gone after the block.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)] // A benchmark: a failure ends it.

#[path = "support/mod.rs"]
mod support;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use rollfit_job::Job;
use rollfit_job::config::{EXAMPLE, JobConfig, Series, StoreConfig, Workers};
use rollfit_job::keys::FoundKeys;
use rollfit_job::partition::Partition;
use rollfit_job::plan::partitions;
use rollfit_job::run::{Outcome, RunOptions, run};
use rollfit_job::selection::Selection;
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::store::{Purpose, SeriesRows, Source};
use rollfit_job::watch::Unseen;
use rollfit_parquet::ParquetStore;
use rollfit_postgres::PostgresStore;
use support::{MemorySource, Quiet, dump, load, median, read};

const WORKERS: usize = 2;
/// Partitions of a block; `ROLLFIT_BENCH_BLOCK` for another number.
const BLOCK_PARTITIONS: usize = 28;

/// What one comparison is about.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    numbers: &'static str,
    /// Whether series come from tables of the same server, and not from memory.
    from_tables: bool,
    /// Whether the partitions are there before.
    replaces: bool,
    /// The ratio that is wanted at most.
    goal: f64,
}

const CASES: [Case; 4] = [
    Case { name: "memory", numbers: "double precision", from_tables: false, replaces: false, goal: 1.10 },
    Case { name: "tables", numbers: "double precision", from_tables: true, replaces: false, goal: 1.15 },
    Case { name: "numeric", numbers: "numeric", from_tables: false, replaces: false, goal: 1.15 },
    Case { name: "replace", numbers: "double precision", from_tables: false, replaces: true, goal: 1.15 },
];

fn main() {
    let variable = |name: &str| std::env::var(name).ok();
    // `cargo bench --all-targets` and `cargo test --benches` come by as well.
    let (Some(url), Some(sources)) = (variable("ROLLFIT_BENCH_URL"), variable("ROLLFIT_BENCH_SOURCES"))
    else {
        println!("skipped: ./bench.sh postgres starts a server for it");
        return;
    };
    let blocks = variable("ROLLFIT_BENCH_BLOCKS").map_or(6, |blocks| blocks.parse().unwrap());
    let block_partitions =
        variable("ROLLFIT_BENCH_BLOCK").map_or(BLOCK_PARTITIONS, |count| count.parse().unwrap());
    let wanted = variable("ROLLFIT_BENCH_CASES");
    let files = tempfile::tempdir().unwrap().keep();
    let bench = Bench { url, sources: sources.into(), files, block_partitions };
    println!("case      block  floor s  rollfit s  ratio  floor CPU s  rollfit CPU s  ratio");
    for case in CASES.iter().filter(|case| wanted.as_ref().is_none_or(|wanted| wanted.contains(case.name))) {
        bench.compare(case, blocks);
    }
    std::fs::remove_dir_all(&bench.files).unwrap();
}

/// The time that a block takes, and the processor time of both programs, which other load on the machine changes less.
#[derive(Clone, Copy)]
struct Cost {
    wall_s: f64,
    cpu_s: f64,
}

/// The first `count` of four times of a process: its own, user and system, and those of its children that have ended.
fn cpu_s(stat: &str, count: usize) -> f64 {
    const TICKS_PER_S: f64 = 100.0;
    let stat = std::fs::read_to_string(stat).unwrap();
    let after_name = stat.rsplit(") ").next().unwrap();
    let ticks = after_name.split(' ').skip(11).take(count).map(|ticks| ticks.parse::<f64>().unwrap());
    ticks.sum::<f64>() / TICKS_PER_S
}

struct Bench {
    url: String,
    sources: PathBuf,
    files: PathBuf,
    block_partitions: usize,
}

impl Bench {
    fn compare(&self, case: &Case, blocks: usize) {
        let parquet = ParquetStore::open(&self.sources, &self.config(case, "ours")).unwrap();
        if case.from_tables {
            self.load_source_tables(case, &parquet);
        }
        let all = partitions(&self.config(case, "ours"), &parquet, &parquet, &Selection::default()).unwrap();
        let mut by_month = all;
        by_month.sort_by_key(|partition| (partition.period, partition.key.clone()));
        let mut ratios = [Vec::new(), Vec::new()];
        let mut seconds = [Vec::new(), Vec::new()];
        for (at, block) in by_month.chunks(self.block_partitions).take(blocks).enumerate() {
            let [floor, ours] = self.block(case, &parquet, block, at % 2 == 0);
            let [ratio, cpu_ratio] = [ours.wall_s / floor.wall_s, ours.cpu_s / floor.cpu_s];
            println!(
                "{:9} {:>5}  {:>7.2}  {:>9.2}  {ratio:>5.3}  {:>11.2}  {:>13.2}  {cpu_ratio:>5.3}",
                case.name,
                at + 1,
                floor.wall_s,
                ours.wall_s,
                floor.cpu_s,
                ours.cpu_s
            );
            ratios[0].push(ratio);
            ratios[1].push(cpu_ratio);
            seconds[0].push(floor.wall_s);
            seconds[1].push(ours.wall_s);
        }
        println!(
            "{}: median ratio {:.3}, of processor time {:.3}, at most {:.2} wanted; floor {:.2} s, rollfit {:.2} s a block of {}\n",
            case.name,
            median(&mut ratios[0]),
            median(&mut ratios[1]),
            case.goal,
            median(&mut seconds[0]),
            median(&mut seconds[1]),
            self.block_partitions
        );
    }

    /// The times of the floor and of ours for one block.
    fn block(
        &self,
        case: &Case,
        parquet: &ParquetStore,
        block: &[Partition],
        floor_first: bool,
    ) -> [Cost; 2] {
        self.fresh_schemas();
        let config = self.config(case, "files");
        let memory = MemorySource::load(parquet, &config, block);
        self.run(&config, &memory, block, false);
        self.dump(&config, block);
        if case.replaces {
            for schema in ["ours", "floor"] {
                self.run(&self.config(case, schema), &memory, block, false);
            }
        }
        let ours = || {
            self.settle();
            let config = self.config(case, "ours");
            let source = case.from_tables.then(|| self.store(&config, "sources", Purpose::Read));
            let source = source.as_ref().map_or(&memory as &dyn Source, |store| store as &dyn Source);
            self.cost_of(|| self.run(&config, source, block, case.replaces))
        };
        let floor = || {
            self.settle();
            self.cost_of(|| self.floor(case, block))
        };
        let times = if floor_first {
            let floor = floor();
            [floor, ours()]
        } else {
            let ours = ours();
            [floor(), ours]
        };
        self.remove_files();
        times
    }

    /// What the work costs this process and the server, whose sessions end with it.
    fn cost_of(&self, work: impl FnOnce() -> Duration) -> Cost {
        let mut client = self.client();
        let file = client.query_one("SELECT pg_read_file('postmaster.pid')", &[]).unwrap();
        let server: u32 = file.get::<_, &str>(0).lines().next().unwrap().parse().unwrap();
        drop(client);
        let cpu_s = || {
            std::thread::sleep(Duration::from_millis(300));
            cpu_s(&format!("/proc/{server}/stat"), 4) + cpu_s("/proc/self/stat", 2)
        };
        let before_s = cpu_s();
        let wall_s = work().as_secs_f64();
        Cost { wall_s, cpu_s: cpu_s() - before_s }
    }

    fn config(&self, case: &Case, schema: &str) -> JobConfig {
        let variables = [
            ("ROLLFIT_STORE__URL", self.url.as_str()),
            ("ROLLFIT_STORE__SCHEMA", schema),
            ("ROLLFIT_STORE__NUMBERS", case.numbers),
            ("ROLLFIT_PARTITIONS__KEYS", "all"),
        ];
        JobConfig::parse(EXAMPLE, variables.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap()
    }

    fn store(&self, config: &JobConfig, schema: &str, purpose: Purpose) -> PostgresStore {
        let store = StoreConfig { schema: Some(schema.to_owned()), ..config.source.clone() };
        PostgresStore::open(&store, config, purpose).unwrap()
    }

    fn client(&self) -> Client {
        Client::connect(&self.url, NoTls).unwrap()
    }

    fn fresh_schemas(&self) {
        let mut client = self.client();
        for schema in ["files", "ours", "floor"] {
            client
                .batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}"))
                .unwrap();
        }
    }

    /// Lets neither pay for what the server still has to write of the other.
    fn settle(&self) {
        self.client().batch_execute("CHECKPOINT").unwrap();
    }

    /// One run, from opening the store to the last commit.
    fn run(&self, config: &JobConfig, source: &dyn Source, block: &[Partition], force: bool) -> Duration {
        let started = Instant::now();
        let sink = self.store(config, config.sink.store.schema.as_deref().unwrap(), Purpose::Write);
        let job = Job { config, source, sink: &sink, workers: Workers::Fixed(WORKERS), machine: &Unseen };
        let options = RunOptions { force, ..RunOptions::default() };
        let report = run(&job, block, &options, &StopSignal::default(), &Quiet);
        let took = started.elapsed();
        let is_written = |outcome: &Outcome| matches!(outcome, Outcome::Written { .. });
        assert!(report.outcomes.iter().all(|(_, outcome)| is_written(outcome)), "{:?}", report.outcomes);
        assert_eq!(report.retries, 0);
        took
    }

    fn file(&self, table: &str) -> PathBuf {
        self.files.join(table)
    }

    fn dump(&self, config: &JobConfig, block: &[Partition]) {
        let mut client = self.client();
        for table in tables(config, block).flatten() {
            dump(&mut client, &format!("files.\"{table}\""), &self.file(&table));
        }
        client.batch_execute("DROP SCHEMA files CASCADE").unwrap();
    }

    fn remove_files(&self) {
        for entry in std::fs::read_dir(&self.files).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }

    /// The same work for the server, from files, on as many connections.
    fn floor(&self, case: &Case, block: &[Partition]) -> Duration {
        let config = self.config(case, "floor");
        let queue = Mutex::new(block.to_vec());
        let started = Instant::now();
        let mut client = self.client();
        client.batch_execute(&format!("CREATE TABLE IF NOT EXISTS {RECEIPTS}")).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    let mut client = self.client();
                    while let Some(partition) = { queue.lock().unwrap().pop() } {
                        self.floor_partition(case, &config, &mut client, &partition);
                    }
                });
            }
        });
        started.elapsed()
    }

    fn floor_partition(&self, case: &Case, config: &JobConfig, client: &mut Client, partition: &Partition) {
        if case.from_tables {
            read_to_nowhere(client, config, partition);
        }
        let tables: Vec<String> =
            config.series.iter().map(|series| series.features_table(partition)).collect();
        client.batch_execute("BEGIN").unwrap();
        for (table, series) in tables.iter().zip(&config.series) {
            let sql = match case.replaces {
                true => format!(
                    "LOCK TABLE floor.\"{table}\" IN SHARE ROW EXCLUSIVE MODE; DELETE FROM floor.\"{table}\""
                ),
                false => create_sql(case, table, series),
            };
            client.batch_execute(&sql).unwrap();
        }
        for table in &tables {
            self.load(case, client, table);
        }
        for table in &tables {
            if !case.replaces {
                client
                    .batch_execute(&format!("ALTER TABLE floor.\"{table}\" ADD PRIMARY KEY (ts_utc)"))
                    .unwrap();
            }
            client.batch_execute(&format!("ANALYZE floor.\"{table}\" (ts_utc)")).unwrap();
        }
        let receipt = format!(
            "INSERT INTO floor.receipts VALUES ('{partition}', repeat('x', 1500)) ON CONFLICT (output) DO UPDATE SET receipt = excluded.receipt"
        );
        client.batch_execute(&receipt).unwrap();
        client.batch_execute("COMMIT").unwrap();
        for table in tables.iter().filter(|_| case.replaces) {
            client.batch_execute(&format!("VACUUM (TRUNCATE false) floor.\"{table}\"")).unwrap();
        }
    }

    fn load(&self, case: &Case, client: &mut Client, table: &str) {
        let freeze = if case.replaces { "" } else { ", FREEZE" };
        load(client, &format!("floor.\"{table}\""), freeze, &self.file(table));
    }

    /// The source tables as an import makes them.
    fn load_source_tables(&self, case: &Case, parquet: &ParquetStore) {
        let mut client = self.client();
        client.batch_execute("DROP SCHEMA IF EXISTS sources CASCADE; CREATE SCHEMA sources").unwrap();
        let config = self.config(case, "sources");
        for key in FoundKeys::list(parquet, &config.series).unwrap().keys {
            for series in &config.series {
                let (first, last) = parquet.months(&series.of_key(&key)).unwrap().unwrap();
                let rows: Vec<SeriesRows> =
                    first.through(last).map(|month| read(parquet, series, &key, month)).collect();
                write_source(&mut client, &series.table.for_key(&key), series, &rows);
            }
        }
    }
}

const RECEIPTS: &str = "floor.receipts (output text PRIMARY KEY, receipt text)";

fn tables<'a>(config: &'a JobConfig, block: &'a [Partition]) -> impl Iterator<Item = Vec<String>> + 'a {
    block
        .iter()
        .map(|partition| config.series.iter().map(|series| series.features_table(partition)).collect())
}

fn create_sql(case: &Case, table: &str, series: &Series) -> String {
    let columns: Vec<String> =
        series.columns.iter().map(|column| format!("\"{column}\" {}", case.numbers)).collect();
    format!("CREATE TABLE floor.\"{table}\" (ts_utc timestamp NOT NULL, {})", columns.join(", "))
}

fn read_to_nowhere(client: &mut Client, config: &JobConfig, partition: &Partition) {
    let month = partition.period.first_month();
    for series in &config.series {
        let (table, time) = (series.table.for_key(&partition.key), &series.time);
        let sql = format!(
            "COPY (SELECT \"{time}\", \"{}\" FROM sources.\"{table}\" WHERE \"{time}\" >= '{month}-01' AND \"{time}\" < '{}-01' \
             ORDER BY 1) TO STDOUT (FORMAT binary)",
            series.value,
            month.next()
        );
        std::io::copy(&mut client.copy_out(&sql).unwrap(), &mut std::io::sink()).unwrap();
    }
}

fn write_source(client: &mut Client, table: &str, series: &Series, months: &[SeriesRows]) {
    let (time, value) = (&series.time, &series.value);
    client
        .batch_execute(&format!(
            "CREATE TABLE sources.\"{table}\" (\"{time}\" timestamp PRIMARY KEY, \"{value}\" double precision)"
        ))
        .unwrap();
    let mut copy = client.copy_in(&format!("COPY sources.\"{table}\" FROM STDIN (FORMAT binary)")).unwrap();
    copy.write_all(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0").unwrap();
    for rows in months {
        for (instant_us, value) in rows.instants_us.iter().zip(&rows.values) {
            let since_2000_us = instant_us - 946_684_800_000_000;
            copy.write_all(&2_i16.to_be_bytes()).unwrap();
            for field in [since_2000_us.to_be_bytes(), value.to_be_bytes()] {
                copy.write_all(&8_i32.to_be_bytes()).unwrap();
                copy.write_all(&field).unwrap();
            }
        }
    }
    copy.write_all(&(-1_i16).to_be_bytes()).unwrap();
    copy.finish().unwrap();
    client.batch_execute(&format!("VACUUM ANALYZE sources.\"{table}\"")).unwrap();
}
