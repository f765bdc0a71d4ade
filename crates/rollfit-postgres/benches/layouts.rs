//! The two layouts beside each other: what it takes to load a month of both series, beside the least that the server takes for
//! the same bytes; what they occupy; what reading costs. Called by `./bench.sh layouts`, which starts the server.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)] // A benchmark: a failure ends it.

#[path = "support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use rollfit_job::Job;
use rollfit_job::config::{EXAMPLE, JobConfig, Layout, StoreConfig, Workers};
use rollfit_job::partition::Partition;
use rollfit_job::plan::partitions;
use rollfit_job::run::{Outcome, RunOptions, run};
use rollfit_job::selection::Selection;
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::store::Purpose;
use rollfit_job::watch::Unseen;
use rollfit_parquet::ParquetStore;
use rollfit_postgres::PostgresStore;
use support::{MemorySource, Quiet, dump, load, median};

/// The months that one load writes.
const MONTHS: usize = 6;
const LAYOUTS: [Layout; 2] = [Layout::Metrics, Layout::Fits];
const SCANS: [usize; 3] = [1, 10, 90];

fn main() {
    let variable = |name: &str| std::env::var(name).ok();
    // `cargo bench --all-targets` and `cargo test --benches` come by as well.
    let (Some(url), Some(sources)) = (variable("ROLLFIT_BENCH_URL"), variable("ROLLFIT_BENCH_SOURCES"))
    else {
        println!("skipped: ./bench.sh layouts starts a server for it");
        return;
    };
    let rounds = variable("ROLLFIT_BENCH_ROUNDS").map_or(5, |rounds| rounds.parse().unwrap());
    let wanted = variable("ROLLFIT_BENCH_CASES");
    let is_wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| wanted.contains(name));
    let bench = Bench { url, sources: sources.into(), files: tempfile::tempdir().unwrap().keep() };
    for numbers in ["double precision", "numeric"] {
        if is_wanted(numbers) {
            bench.loads(numbers, rounds);
        }
        if is_wanted("scans") {
            bench.scans(numbers);
        }
    }
    std::fs::remove_dir_all(&bench.files).unwrap();
}

struct Bench {
    url: String,
    sources: PathBuf,
    files: PathBuf,
}

/// What one load took.
#[derive(Default)]
struct Load {
    ours_s: Vec<f64>,
    reference_s: Vec<f64>,
    table_bytes: u64,
    wal_bytes: u64,
}

impl Bench {
    /// Loads of both layouts and their references, by turns.
    fn loads(&self, numbers: &str, rounds: usize) {
        let mut loads = [Load::default(), Load::default()];
        let parquet = ParquetStore::open(&self.sources, &self.config(numbers, Layout::Metrics, &[])).unwrap();
        let all = partitions(
            &self.config(numbers, Layout::Metrics, &[]),
            &parquet,
            &parquet,
            &Selection::default(),
        )
        .unwrap();
        for (round, block) in all.chunks(MONTHS).take(rounds).enumerate() {
            for turn in 0..LAYOUTS.len() {
                let at = (round + turn) % LAYOUTS.len();
                let config = self.config(numbers, LAYOUTS[at], &[]);
                self.load_once((&config, numbers), &parquet, block, round % 2 == 0, &mut loads[at]);
            }
        }
        let months = MONTHS as f64;
        let [metrics, fits] = &mut loads;
        println!("\n{numbers}: a month of both series, medians of {rounds} loads of {MONTHS} months\n");
        println!("layout    rollfit s  reference s  ratio  heap and key MB  WAL MB");
        let row = |name: &str, load: &mut Load| {
            let (ours_s, reference_s) = (median(&mut load.ours_s), median(&mut load.reference_s));
            let mb = |bytes: u64| bytes as f64 / 1e6 / months;
            println!(
                "{name:9} {:>9.3}  {:>11.3}  {:>5.2}  {:>15.1}  {:>6.1}",
                ours_s / months,
                reference_s / months,
                ours_s / reference_s,
                mb(load.table_bytes),
                mb(load.wal_bytes)
            );
            (ours_s, reference_s)
        };
        let (_, metrics_reference_s) = row("metrics", metrics);
        let (fits_s, _) = row("fits", fits);
        println!(
            "fits over the reference of metrics: {:.2} (at most 0.55 wanted); bytes {:.2} (at most 0.40 wanted), WAL {:.2}",
            fits_s / metrics_reference_s,
            fits.table_bytes as f64 / metrics.table_bytes as f64,
            fits.wal_bytes as f64 / metrics.wal_bytes as f64
        );
    }

    fn load_once(
        &self,
        (config, numbers): (&JobConfig, &str),
        parquet: &ParquetStore,
        block: &[Partition],
        reference_first: bool,
        into: &mut Load,
    ) {
        let memory = MemorySource::load(parquet, config, block);
        let mut client = self.client();
        fresh_schemas(&mut client);
        self.run(config, &memory, block, "files");
        for table in stored_tables(config, block) {
            dump(&mut client, &format!("files.\"{table}\""), &self.files.join(&table));
        }
        client.batch_execute("DROP SCHEMA files CASCADE").unwrap();
        // What a job makes once isn't a part of a month.
        self.run(config, &memory, &block[..1], "ours");
        client.batch_execute(&format!("CREATE TABLE {RECEIPTS}")).unwrap();
        let drop: String = stored_tables(config, &block[..1])
            .map(|table| format!("DROP TABLE ours.\"{table}\" CASCADE;"))
            .collect();
        client.batch_execute(&drop).unwrap();
        let reference = |client: &mut Client, into: &mut Load| {
            client.batch_execute("CHECKPOINT").unwrap();
            into.reference_s.push(self.reference(config, numbers, block).as_secs_f64());
        };
        if reference_first {
            reference(&mut client, into);
        }
        client.batch_execute("CHECKPOINT").unwrap();
        let before = logged_bytes(&mut client);
        into.ours_s.push(self.run(config, &memory, block, "ours").as_secs_f64());
        into.wal_bytes = logged_bytes(&mut client) - before;
        into.table_bytes = stored_tables(config, block).map(|table| size(&mut client, &table)).sum();
        if !reference_first {
            reference(&mut client, into);
        }
    }

    /// One run on one worker, from opening the store to the last commit.
    fn run(&self, config: &JobConfig, source: &MemorySource, block: &[Partition], schema: &str) -> Duration {
        let started = Instant::now();
        let store = StoreConfig { schema: Some(schema.to_owned()), ..config.source.clone() };
        let sink = PostgresStore::open(&store, config, Purpose::Write).unwrap();
        let job = Job { config, source, sink: &sink, workers: Workers::Fixed(1), machine: &Unseen };
        let options = RunOptions { force: true, ..RunOptions::default() };
        let report = run(&job, block, &options, &StopSignal::default(), &Quiet);
        let took = started.elapsed();
        let is_written = |outcome: &Outcome| matches!(outcome, Outcome::Written { .. });
        assert!(report.outcomes.iter().all(|(_, outcome)| is_written(outcome)), "{:?}", report.outcomes);
        took
    }

    /// The same work for the server, from files, on one connection.
    fn reference(&self, config: &JobConfig, numbers: &str, block: &[Partition]) -> Duration {
        let started = Instant::now();
        let mut client = self.client();
        for partition in block {
            let tables: Vec<String> = stored_tables(config, std::slice::from_ref(partition)).collect();
            client.batch_execute("BEGIN").unwrap();
            for (table, series) in tables.iter().zip(&config.series) {
                let kind = match series.layout() {
                    Layout::Metrics => numbers,
                    Layout::Fits => "double precision",
                };
                let columns: Vec<String> =
                    series.stored_columns().iter().map(|column| format!("\"{column}\" {kind}")).collect();
                client
                    .batch_execute(&format!(
                        "CREATE TABLE reference.\"{table}\" (ts_utc timestamp NOT NULL, {})",
                        columns.join(", ")
                    ))
                    .unwrap();
            }
            for table in &tables {
                load(&mut client, &format!("reference.\"{table}\""), ", FREEZE", &self.files.join(table));
            }
            for table in &tables {
                let table = format!("reference.\"{table}\"");
                let sql = format!("ALTER TABLE {table} ADD PRIMARY KEY (ts_utc); ANALYZE {table} (ts_utc)");
                client.batch_execute(&sql).unwrap();
            }
            let receipt =
                format!("INSERT INTO reference.receipts VALUES ('{partition}', repeat('x', 1500)); COMMIT");
            client.batch_execute(&receipt).unwrap();
        }
        started.elapsed()
    }

    /// What reading costs: a year of one pair under parents.
    fn scans(&self, numbers: &str) {
        let parents = [
            ("ROLLFIT_SERIES__IDX__PARENT", "reg_rate_{key}"),
            ("ROLLFIT_SERIES__BQX__PARENT", "reg_bqx_{key}"),
            ("ROLLFIT_PARTITIONS__KEYS", "eurusd"),
        ];
        let mut client = self.client();
        println!("\n{numbers}: reading, medians of 3, one process\n");
        println!(
            "layout    plan ms  view kB  {}",
            SCANS.map(|n| format!("{n:>2} of a month ms  {n:>2} of a year ms")).join("  ")
        );
        for layout in LAYOUTS {
            fresh_schemas(&mut client);
            let config = self.config(numbers, layout, &parents);
            let parquet = ParquetStore::open(&self.sources, &config).unwrap();
            let year = partitions(&config, &parquet, &parquet, &Selection::default()).unwrap();
            let memory = MemorySource::load(&parquet, &config, &year);
            self.run(&config, &memory, &year, "ours");
            for sql in [
                "VACUUM ANALYZE",
                "SET search_path = ours; SET max_parallel_workers_per_gather = 0; SET jit = off",
            ] {
                client.batch_execute(sql).unwrap();
            }
            let columns = &config.series[0].columns;
            let month = "ts_utc >= '2017-03-01' AND ts_utc < '2017-04-01'";
            let scans: Vec<String> = SCANS
                .iter()
                .flat_map(|&count| [(count, month), (count, "true")])
                .map(|(count, rows)| format!("{:>14.1}", scan_ms(&mut client, columns, count, rows)))
                .collect();
            println!(
                "{:9} {:>7.1}  {:>7.1}  {}",
                layout.name(),
                planning_ms(&mut client),
                view_bytes(&mut client) as f64 / 1e3,
                scans.join("  ")
            );
        }
    }

    fn config(&self, numbers: &str, layout: Layout, more: &[(&str, &str)]) -> JobConfig {
        let variables = [
            ("ROLLFIT_STORE__URL", self.url.as_str()),
            ("ROLLFIT_STORE__SCHEMA", "ours"),
            ("ROLLFIT_STORE__NUMBERS", numbers),
            ("ROLLFIT_STORE__LAYOUT", layout.name()),
            ("ROLLFIT_PARTITIONS__KEYS", "all"),
        ];
        let variables = variables.iter().chain(more);
        JobConfig::parse(EXAMPLE, variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
            .unwrap()
    }

    fn client(&self) -> Client {
        Client::connect(&self.url, NoTls).unwrap()
    }
}

const RECEIPTS: &str = "reference.receipts (output text PRIMARY KEY, receipt text)";

fn fresh_schemas(client: &mut Client) {
    for schema in ["files", "ours", "reference"] {
        client
            .batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}"))
            .unwrap();
    }
}

fn stored_tables<'a>(config: &'a JobConfig, block: &'a [Partition]) -> impl Iterator<Item = String> + 'a {
    block.iter().flat_map(|partition| config.series.iter().map(|series| series.stored_table(partition)))
}

fn logged_bytes(client: &mut Client) -> u64 {
    let sql = "SELECT (pg_current_wal_insert_lsn() - '0/0')::int8";
    client.query_one(sql, &[]).unwrap().get::<_, i64>(0).unsigned_abs()
}

fn size(client: &mut Client, table: &str) -> u64 {
    let sql = format!("SELECT pg_total_relation_size('ours.\"{table}\"')");
    client.query_one(&sql, &[]).unwrap().get::<_, i64>(0).unsigned_abs()
}

/// The milliseconds that the sum and the maximum of `count` columns take.
fn scan_ms(client: &mut Client, columns: &[String], count: usize, rows: &str) -> f64 {
    // Of several metrics and windows, r2 first.
    let step = columns.len() / count.min(columns.len());
    let picked = columns.iter().skip((step - 1).min(3)).step_by(step).take(count);
    let sums: Vec<String> = picked.map(|column| format!("sum(\"{column}\"), max(\"{column}\")")).collect();
    let sql = format!("SELECT {} FROM reg_rate_eurusd WHERE {rows}", sums.join(", "));
    let mut times: Vec<f64> = (0..3)
        .map(|_| {
            let started = Instant::now();
            client.query_one(&sql, &[]).unwrap();
            started.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    median(&mut times)
}

/// What the server takes to plan the reading of every column, in a session that has done so before.
fn planning_ms(client: &mut Client) -> f64 {
    let mut times: Vec<f64> = (0..9)
        .map(|_| {
            let plan = client.simple_query("EXPLAIN (SUMMARY) SELECT * FROM reg_rate_eurusd").unwrap();
            let lines = plan.iter().filter_map(|message| match message {
                postgres::SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            });
            let took = lines.into_iter().find_map(|line| line.strip_prefix("Planning Time: ")).unwrap();
            took.trim_end_matches(" ms").parse().unwrap()
        })
        .collect();
    median(&mut times[3..])
}

/// The bytes of the rules behind the views, per view.
fn view_bytes(client: &mut Client) -> u64 {
    let sql = "SELECT coalesce(avg(pg_column_size(ev_action)), 0)::int8 FROM pg_rewrite
               JOIN pg_class c ON c.oid = ev_class WHERE relnamespace = 'ours'::regnamespace";
    client.query_one(sql, &[]).unwrap().get::<_, i64>(0).unsigned_abs()
}
