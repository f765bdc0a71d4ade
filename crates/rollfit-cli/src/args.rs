//! The arguments as typed. Parsing does no I/O; [`crate::open`] makes sense of them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rollfit_bars::{Format, Zone};
use rollfit_job::config::Workers;
use rollfit_job::month::Month;
use rollfit_job::partition::Selector;
use rollfit_job::state::State;

/// Exact rolling-regression features over partitioned time series.
#[derive(Debug, Parser)]
#[command(name = "rollfit", version, about, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 some partitions failed, verify or compare found a difference, or doctor \
    found something in the way; 2 usage or configuration; 3 store unreachable; 4 nothing failed, but partitions were left \
    alone, or verify or compare found some without features; 130 interrupted.";

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct GlobalArguments {
    /// Print data as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print no progress; warnings and errors still
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// How progress and messages are written to stderr
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people: a bar on a terminal, plain lines elsewhere
    Text,
    /// A JSON object a line, with run id, partition, stage and attempt
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make bars, import them, compute features, verify them: the whole job in seconds
    Demo(DemoArguments),
    /// Write a commented rollfit.toml
    Init(ConfigArguments),
    /// Import files of bars into the source tables of a store
    Import(ImportArguments),
    /// Look at stores, tables and rights, and tell what stands in the way of a run; writes nothing
    Doctor(DoctorArguments),
    /// Print the statements that make the tables a run would find missing; executes nothing
    Schema(SchemaArguments),
    /// Show what there is to do about each partition
    Plan(SelectArguments),
    /// Compute and store the features of every partition that is missing or whose source has changed
    Run(RunArguments),
    /// Show how a run is that goes on, or how the last one went
    Status(StatusArguments),
    /// Tell what limited a run, what to do about it, and what that would bring
    Analyze(AnalyzeArguments),
    /// Check that what is stored is what the source gives
    Verify(VerifyArguments),
    /// Hold stored features, whoever wrote them, against what the source gives; writes nothing
    Compare(CompareArguments),
    /// Give receipts to partitions that another program wrote, where every row agrees
    Adopt(SelectArguments),
    /// Remove the features and receipts of partitions
    Drop(DropArguments),
    /// List the metrics
    Metrics,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    /// The configuration
    #[arg(long, env = "ROLLFIT_CONFIG", default_value = "rollfit.toml", value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SelectArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// Only these partitions
    #[arg(long, value_name = "KEY[:YYYY-MM]")]
    pub(crate) only: Vec<Selector>,
    /// Partitions worked on at once: `auto`, a number, or a range such as 2..16
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) workers: Option<Workers>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// Only these partitions
    #[arg(long, value_name = "KEY[:YYYY-MM]")]
    pub(crate) only: Vec<Selector>,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// Only these partitions
    #[arg(long, value_name = "KEY[:YYYY-MM]")]
    pub(crate) only: Vec<Selector>,
    /// Also the tables of so many months after the last of each key
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=MONTHS_AHEAD_MAX))]
    pub(crate) months_ahead: u16,
}

/// A century: more is a slip.
const MONTHS_AHEAD_MAX: i64 = 1200;

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) select: SelectArguments,
    /// Also replace partitions in this state: definition-changed, foreign or shrunk
    #[arg(long, value_name = "STATE")]
    pub(crate) replace: Vec<State>,
    /// Also write again what is done
    #[arg(long)]
    pub(crate) force: bool,
    /// After a signal, roll back what is not finished within so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) stop_within: Option<u64>,
    /// Write the run's figures in Prometheus' text format, every 15 s and at the end
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics_file: Option<PathBuf>,
    /// Write a trace for chrome://tracing or Perfetto at the end
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// A run's name, the beginning of one, or the file of its record; without it, the runs that go on, or the last one
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Only runs of this configuration
    #[arg(long, env = "ROLLFIT_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Show it again every second until the run ends
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AnalyzeArguments {
    /// A run's name, the beginning of one, or the file of its record; without it, the newest run
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Print Markdown, to paste into an issue
    #[arg(long, conflicts_with = "json")]
    pub(crate) markdown: bool,
    /// Write a page with charts that needs nothing else, for browsers
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write the run as a trace for chrome://tracing or Perfetto
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    pub(crate) select: SelectArguments,
    /// Hold only N rows of each partition against the reference; bits are compared for every row
    #[arg(long, value_name = "N", conflicts_with = "quick")]
    pub(crate) sample: Option<usize>,
    /// Check only row counts and checksums against the receipts
    #[arg(long)]
    pub(crate) quick: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArguments {
    #[command(flatten)]
    pub(crate) select: SelectArguments,
    /// Judge only N rows of each partition, evenly spread; rows on one side only are counted all the same
    #[arg(long, value_name = "N")]
    pub(crate) sample: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct DropArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// The partitions
    #[arg(required = true, value_name = "KEY:YYYY-MM")]
    pub(crate) partitions: Vec<Selector>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Where to put bars, configuration and features
    #[arg(long, default_value = "rollfit-demo", value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// How the files are written: histdata, metatrader, dukascopy, csv or parquet
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// What the bars belong to; without it, the files' names have to tell
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// The zone of the files' times: Europe/Athens, UTC, +02:00, America/New_York+07:00 (broker time) or histdata
    #[arg(long, value_name = "ZONE")]
    pub(crate) timezone: Option<Zone>,
    /// The base of the rate index is the first close on or after this day (UTC); without it, the first of all
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) base_date: Option<BaseDate>,
    /// The store, such as parquet:./fx or postgres://user@host/db
    #[arg(long, value_name = "STORE")]
    pub(crate) into: String,
    /// The schema of the tables in PostgreSQL; without it, the first of the search path
    #[arg(long, value_name = "NAME")]
    pub(crate) schema: Option<String>,
    /// Drop bad rows and count them by cause, instead of stopping at the first
    #[arg(long)]
    pub(crate) lenient: bool,
    /// Where a bar is in the store with another close, believe the file
    #[arg(long)]
    pub(crate) replace: bool,
    /// Let the base of a key change, and with it every rate index
    #[arg(long)]
    pub(crate) rebase: bool,
    /// The column of the time: a name, or in csv a number from 1
    #[arg(long, value_name = "COLUMN")]
    pub(crate) time_column: Option<String>,
    /// The column of the date, if the time column holds times of day only: a name, or a number from 1 (csv)
    #[arg(long, value_name = "COLUMN")]
    pub(crate) date_column: Option<String>,
    /// The column of the close: a name, or in csv a number from 1
    #[arg(long, value_name = "COLUMN")]
    pub(crate) close_column: Option<String>,
    /// The character between two fields, in csv
    #[arg(long, value_name = "CHARACTER")]
    pub(crate) delimiter: Option<char>,
    /// Files of bars, plain, .gz or .zip
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// The first instant of a day, in microseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BaseDate {
    pub(crate) instant_us: i64,
}

impl std::str::FromStr for BaseDate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const DAY_US: i64 = 86_400_000_000;
        let error = || format!("`{text}` is not a day: write it as 2017-01-31");
        let (month, day) = text.rsplit_once('-').ok_or_else(error)?;
        let month: Month = month.parse().map_err(|_| error())?;
        let day: i64 = day.parse().map_err(|_| error())?;
        let instant_us = month.span_us().start + (day - 1) * DAY_US;
        if day >= 1 && month.span_us().contains(&instant_us) { Ok(Self { instant_us }) } else { Err(error()) }
    }
}
