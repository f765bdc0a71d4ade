//! `rollfit demo`: the whole job in seconds. Makes bars, then does what a user would: import, run, verify.

mod market;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rollfit_bars::Format;
use rollfit_files::regular_file;
use rollfit_job::config::EXAMPLE;
use rollfit_job::month::{Month, display_instant};

use self::market::{PAIRS, Pair, bars};
use super::import::{ImportDocument, import};
use super::run::{Summary, run_partitions};
use super::verify::{VerifyDocument, verify_partitions};
use crate::allow_skipped::AllowSkipped;
use crate::args::{
    ConfigArguments, DemoArguments, GlobalArguments, ImportArguments, RunArguments, SelectArguments,
    VerifyArguments,
};
use crate::exit::{Exit, Failure};
use crate::format;
use crate::job_arguments::JobArguments;
use crate::output;
use crate::selection_arguments::SelectionArguments;

const FIRST_MONTH: &str = "2017-01";
const LAST_MONTH: &str = "2017-03";
const STORE: &str = "store";
/// Rows of each partition that the demo checks against the reference.
const SAMPLE_ROWS: usize = 200;

pub(super) fn run(global: &GlobalArguments, arguments: &DemoArguments) -> Result<Exit, Failure> {
    let places = Places::below(&arguments.dir);
    let files = make_bars(&places)?;
    write(&places.config, &config())?;

    if global.json { print_json(global, &places, files) } else { print_steps(global, &places, files) }
}

/// Everything the demo did, as one document.
#[derive(serde::Serialize)]
struct DemoDocument {
    import: ImportDocument,
    run: Summary,
    verify: VerifyDocument,
    features: PathBuf,
    config: PathBuf,
}

fn print_json(global: &GlobalArguments, places: &Places, files: Vec<PathBuf>) -> Result<Exit, Failure> {
    let document = DemoDocument {
        import: import(&import_arguments(places, files))?,
        run: run_partitions(global, &run_arguments(places), None)?,
        verify: verify_partitions(&verify_arguments(places), None)?,
        features: places.features(),
        config: places.config.clone(),
    };
    output::json(&document)?;
    Ok(worst(document.run.exit(), document.verify.exit()))
}

fn print_steps(global: &GlobalArguments, places: &Places, files: Vec<PathBuf>) -> Result<Exit, Failure> {
    heading(&format!("import: {} of bars into {}", format::plural(files.len(), "file"), places.store()))?;
    import(&import_arguments(places, files))?.print()?;
    heading("run: fit, derive, store")?;
    let summary = run_partitions(global, &run_arguments(places), None)?;
    summary.print()?;
    if summary.exit() == Exit::Interrupted {
        return Ok(Exit::Interrupted);
    }
    heading("verify: recompute and compare bit for bit")?;
    let verified = verify_partitions(&verify_arguments(places), None)?;
    verified.print()?;
    explain(places)?;
    Ok(worst(summary.exit(), verified.exit()))
}

/// The first that is not done.
fn worst(run: Exit, verify: Exit) -> Exit {
    if run == Exit::Done { verify } else { run }
}

/// Where the demo puts things.
struct Places {
    bars: PathBuf,
    config: PathBuf,
    store: PathBuf,
}

impl Places {
    fn below(dir: &Path) -> Self {
        Self { bars: dir.join("bars"), config: dir.join("rollfit.toml"), store: dir.join(STORE) }
    }

    fn features(&self) -> PathBuf {
        self.store.join("features")
    }

    fn store(&self) -> String {
        format!("parquet:{}", self.store.display())
    }
}

/// Writes a file anew, never through a link in its place.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let written = regular_file::create(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| cannot_write(path, error))
}

fn cannot_write(path: &Path, error: std::io::Error) -> Failure {
    Failure::failed(format!("cannot write {}: {error}", path.display()))
}

fn make_bars(places: &Places) -> Result<Vec<PathBuf>, Failure> {
    std::fs::create_dir_all(&places.bars).map_err(|error| cannot_write(&places.bars, error))?;
    let months: Vec<Month> = months()?;
    PAIRS.iter().map(|pair| write_bars(places, pair, &months)).collect()
}

fn months() -> Result<Vec<Month>, Failure> {
    let month = |text: &str| text.parse::<Month>().map_err(Failure::failed);
    Ok(month(FIRST_MONTH)?.through(month(LAST_MONTH)?).collect())
}

/// A CSV with header, as any program would write it.
fn write_bars(places: &Places, pair: &Pair, months: &[Month]) -> Result<PathBuf, Failure> {
    let dir = places.bars.join(format!("key={}", pair.key));
    let path = dir.join("bars.csv");
    let mut text = String::from("time,close\n");
    for (instant_us, close) in bars(pair, months) {
        let _ = writeln!(text, "{},{close}", display_instant(instant_us));
    }
    std::fs::create_dir_all(&dir).map_err(|error| cannot_write(&dir, error))?;
    write(&path, &text)?;
    Ok(path)
}

/// The example configuration, for the demo's keys and months. Its store is beside it.
fn config() -> String {
    let keys = PAIRS.map(|pair| format!("\"{}\"", pair.key)).join(", ");
    EXAMPLE
        .replace("\"parquet:./fx\" ", &format!("\"parquet:./{STORE}\" "))
        .replace("[\"eurusd\", \"gbpusd\"]", &format!("[{keys}]"))
        .replace("to   = \"2017-12\"", &format!("to   = \"{LAST_MONTH}\""))
}

fn heading(text: &str) -> Result<(), Failure> {
    Ok(output::line(&format!("\n== {text}"))?)
}

fn import_arguments(places: &Places, files: Vec<PathBuf>) -> ImportArguments {
    ImportArguments {
        format: Format::Csv,
        columns: Vec::new(),
        key_column: None,
        key: None,
        key_from_name: false,
        timezone: None,
        base_date: None,
        into: Some(places.store()),
        config: ConfigArguments { config: Some(places.config.clone()) },
        schema: None,
        password_command: None,
        lenient: false,
        replace: false,
        rebase: false,
        time_column: None,
        date_column: None,
        close_column: None,
        delimiter: None,
        skip_lines: 0,
        files,
    }
}

fn select_arguments(places: &Places) -> SelectArguments {
    SelectArguments {
        job: JobArguments::of_config(ConfigArguments { config: Some(places.config.clone()) }),
        selection: SelectionArguments::default(),
        workers: None,
        shard: None,
    }
}

fn run_arguments(places: &Places) -> RunArguments {
    RunArguments {
        select: select_arguments(places),
        replace: Vec::new(),
        force: false,
        continues: None,
        allow_skipped: AllowSkipped::default(),
        no_help: false,
        stop_within: None,
        metrics_file: None,
        trace: None,
        follow: false,
        poll_interval: None,
    }
}

fn verify_arguments(places: &Places) -> VerifyArguments {
    VerifyArguments {
        select: select_arguments(places),
        sample: Some(SAMPLE_ROWS),
        quick: false,
        allow_skipped: AllowSkipped::default(),
    }
}

fn explain(places: &Places) -> Result<(), Failure> {
    let (features, config) = (places.features(), places.config.display());
    let features = features.display();
    output::lines(&format!(
        "
== read the features
They are one Hive table, {features}: 180 features a row. From DuckDB:

  select key, month, ts_utc, r2_idx_w60, prediction_bqx_agg
  from read_parquet('{features}/*/*/*.parquet', hive_partitioning = true)
  where key = 'eurusd' and r2_idx_w60 > 0.9 order by ts_utc limit 5;

From Polars:

  pl.scan_parquet('{features}/*/*/*.parquet', hive_partitioning=True).filter(pl.col('key') == 'eurusd')

The configuration is {config}; `rollfit plan --config {config}` shows that nothing is left to do."
    ))?;
    Ok(())
}
