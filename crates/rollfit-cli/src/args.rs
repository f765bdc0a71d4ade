//! The arguments as typed. Parsing does no I/O; [`crate::open`] makes sense of them.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use rollfit_bars::{Format, Zone};
use rollfit_job::config::Workers;
use rollfit_job::month::Month;
use rollfit_job::runners::Shard;
use rollfit_job::selector::Selector;
use rollfit_job::state::State;

use crate::allow_skipped::AllowSkipped;
use crate::job_arguments::{JobArguments, SwitchArguments};
use crate::max_lag::MaxLag;
use crate::named_values::NamedValues;
use crate::poll_interval::PollInterval;
use crate::selection_arguments::{MonthArguments, SELECTOR, SelectionArguments};

/// Rolling quadratic trend features: bars in, features out
#[derive(Debug, Parser)]
#[command(name = "rollfit", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes:
  0    Done; months without a row in any series included
  1    Some partitions failed, verify or compare found a difference, or doctor
       found a problem
  2    Wrong usage or configuration, such as a directory that does not exist
  3    Store unreachable, or without a free session
  4    Nothing failed, but partitions were skipped, or verify or compare found
       some without features (0 with --allow-skipped)
  130  Interrupted
Those of check are in its help.";

/// The options of every command.
#[derive(Debug, Args)]
pub(crate) struct GlobalArguments {
    /// Print data as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print nothing if all went well; warnings, errors and data that was asked for (plan, status, --json ...) are printed
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Also log partitions with nothing to do
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    /// Format of progress and messages on stderr
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people: a bar on a terminal, lines with time (UTC) and level elsewhere
    Text,
    /// One JSON object per line, with run id, partition, stage and attempt; partitions with nothing to do included
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Generate sample bars, import them, compute features and verify them, all in seconds
    Demo(DemoArguments),
    /// Look at a store or at bar files, and write a rollfit.toml for them
    Init(InitArguments),
    /// Import bar files into the source tables of a store
    Import(ImportArguments),
    /// Check stores, tables and permissions (read-only)
    Doctor(DoctorArguments),
    /// Print the SQL that creates the tables a run needs and that are missing; executes nothing
    Schema(SchemaArguments),
    /// Show the state of each partition and what a run would write (read-only)
    Plan(PlanArguments),
    /// Compute and store the features of every partition that is missing or whose source has changed
    Run(RunArguments),
    /// Show the progress of a running job, or the result of the last run
    Status(StatusArguments),
    /// List the runs that left a record, the newest first
    Runs(RunsArguments),
    /// Explain what limited a run and estimate what each fix would gain
    Analyze(AnalyzeArguments),
    /// Check that stored features are bit for bit what the source gives (read-only)
    Verify(VerifyArguments),
    /// Check that features are fresh, complete and vouched for, as a monitoring plugin does (read-only)
    Check(CheckArguments),
    /// Recompute features and compare them with what is stored (read-only)
    Compare(CompareArguments),
    /// Adopt partitions of another program, or of an earlier definition, if every row matches
    Adopt(AdoptArguments),
    /// Remove the features and receipts of partitions
    ///
    /// On a terminal it shows what would go and asks. Elsewhere nobody is asked: partitions named as KEY:YYYY-MM are removed, and
    /// anything wider needs --yes. Each partition goes in one commit, and sources stay as they are; `rollfit run` writes it again.
    ///
    /// With layout = "fits", views that show nothing but such a partition are dropped too. Where views or other objects depend on one,
    /// nothing is removed.
    Drop(DropArguments),
    /// Put the features of a job that was written beside another in its place
    ///
    /// Change the configuration, write the new features beside the old ones with `rollfit run --name NEXT`, then
    /// `rollfit switch NEXT`: in a directory of files `features` and `features.NEXT` exchange their names, in one step. The same command
    /// exchanges them again. It shows what changes, and asks on a terminal.
    ///
    /// In PostgreSQL NEXT is the `views_schema` of layout = "fits". There it executes nothing, but prints the transaction that moves the
    /// views in the place of the deployed tables, and its reverse.
    Switch(SwitchArguments),
    /// List the metrics, or print SQL functions that compute them from stored fits
    Metrics(MetricsArguments),
    /// Print the completions of a shell
    Completions(CompletionsArguments),
    /// Print the manual page, or write those of all commands
    Man(ManArguments),
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// Write the pages of all commands into this directory, a file each
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MetricsArguments {
    /// Print functions that compute the metrics from fits, ready for psql or duckdb
    #[arg(long, value_enum, value_name = "DIALECT")]
    pub(crate) sql: Option<SqlDialect>,
    /// With --sql, the schema of the functions [default: public in PostgreSQL, main in DuckDB]
    #[arg(long, value_name = "NAME", requires = "sql", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) schema: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SqlDialect {
    /// Functions for PostgreSQL 14 or later
    Postgres,
    /// Macros for DuckDB
    #[value(name = "duckdb")]
    DuckDb,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ConfigArguments {
    /// Configuration file [default: the nearest rollfit.toml, in the working directory or above it]
    #[arg(long, short, env = "ROLLFIT_CONFIG", value_name = "FILE", help_heading = crate::command_line::GLOBAL_HEADING)]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// Only these source tables: names, or patterns such as m1_{key}
    #[arg(long = "table", value_name = "TABLE")]
    pub(crate) tables: Vec<String>,
    /// Schema of the tables in PostgreSQL; without it, the first of the search path
    #[arg(long, value_name = "NAME")]
    pub(crate) schema: Option<String>,
    /// Command that prints the password for PostgreSQL
    #[arg(long, value_name = "COMMAND")]
    pub(crate) password_command: Option<String>,
    /// Print the configuration instead of writing it
    #[arg(long)]
    pub(crate) stdout: bool,
    /// Write the template with every setting, without looking at anything
    #[arg(long, conflicts_with_all = ["sources", "tables", "schema", "password_command"])]
    pub(crate) template: bool,
    /// Store (parquet:DIR or postgres://user@host/db), its directory, or bar files; without any, the working directory
    #[arg(value_name = "STORE|PATH")]
    pub(crate) sources: Vec<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct SelectArguments {
    #[command(flatten)]
    pub(crate) job: JobArguments,
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// Partitions processed at once: `auto`, a number, or a range such as 2..16
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) workers: Option<Workers>,
    /// Process shard I of N first (from 0: 0/8 to 7/8) [default: ROLLFIT_SHARD, or the array job's index]
    #[arg(long, value_name = "I/N", allow_hyphen_values = true)]
    pub(crate) shard: Option<Shard>,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    pub(crate) select: SelectArguments,
    /// Plan for a run that replaces partitions in this state: definition-changed, foreign or shrunk
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = states_to_replace(), hide_possible_values = true)]
    pub(crate) replace: Vec<State>,
    /// Plan for a run that rewrites partitions that are done
    #[arg(long)]
    pub(crate) force: bool,
    /// List every partition, also those that are done
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    pub(crate) job: JobArguments,
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArguments {
    #[command(flatten)]
    pub(crate) job: JobArguments,
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// Also print the tables of the N months after the last one of each key
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=MONTHS_AHEAD_MAX))]
    pub(crate) months_ahead: u16,
    /// What `rollfit switch` does now.
    #[arg(long, hide = true)]
    pub(crate) switch: bool,
    /// What `rollfit switch --back` does now.
    #[arg(long, hide = true)]
    pub(crate) back: bool,
}

/// A century: more is a slip.
const MONTHS_AHEAD_MAX: i64 = 1200;

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) select: SelectArguments,
    /// Also replace partitions in this state: definition-changed, foreign or shrunk
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = states_to_replace(), hide_possible_values = true)]
    pub(crate) replace: Vec<State>,
    /// Also rewrite partitions that are done, each time anew; --only narrows it
    #[arg(long)]
    pub(crate) force: bool,
    /// With --force, only what this interrupted run has left
    #[arg(long = "continue", value_name = "RUN", requires = "force")]
    pub(crate) continues: Option<String>,
    #[command(flatten)]
    pub(crate) allow_skipped: AllowSkipped,
    /// Stop after the own shard; do not help other shards
    #[arg(long)]
    pub(crate) no_help: bool,
    /// After a signal, roll back partitions that do not finish within this time
    #[arg(long, value_name = "SECONDS", value_parser = crate::typed_time::seconds)]
    pub(crate) stop_within: Option<u64>,
    /// Write the run's metrics in Prometheus text format, every 15 s and at the end
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics_file: Option<PathBuf>,
    /// Write a trace for chrome://tracing or Perfetto at the end
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Then follow the source: keep the open months up to date as rows arrive, until a signal
    #[arg(long)]
    pub(crate) follow: bool,
    /// With --follow, how often the source is asked, such as 200ms, 1s or 15m [default: 1s, or 15m into Parquet]
    #[arg(long, value_name = "TIME", requires = "follow")]
    pub(crate) poll_interval: Option<PollInterval>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// A run's name, a prefix of it, or the file of its record; without it, the running ones, or the last one
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Only runs of this configuration; without it, of the nearest rollfit.toml, or of all jobs where there is none
    #[arg(long, short, env = "ROLLFIT_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Only runs with this --name; with --store, the job of this name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Show all runners on all machines and the whole job's progress, from the store
    #[arg(long, conflicts_with = "run")]
    pub(crate) store: bool,
    /// Refresh every second until the run ends; with --store every 2 s until nobody is at work
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArguments {
    /// Only runs of this configuration
    #[arg(long, short, env = "ROLLFIT_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// List all of them, not only the newest 20
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AnalyzeArguments {
    /// A run's name, a prefix of it, or the file of its record; several of one job are analyzed together; without any, the newest run that wrote something
    #[arg(value_name = "RUN")]
    pub(crate) runs: Vec<String>,
    /// Only runs of this configuration; without it, of the nearest rollfit.toml, or of all jobs where there is none
    #[arg(long, short, env = "ROLLFIT_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print Markdown, to paste into an issue
    #[arg(long, conflicts_with = "json")]
    pub(crate) markdown: bool,
    /// Write a self-contained HTML page with charts
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
    /// Check only N rows of each partition against the reference; bits are compared for every row
    #[arg(long, value_name = "N", conflicts_with = "quick")]
    pub(crate) sample: Option<usize>,
    /// Check only row counts and checksums against the receipts
    #[arg(long)]
    pub(crate) quick: bool,
    #[command(flatten)]
    pub(crate) allow_skipped: AllowSkipped,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArguments {
    #[command(flatten)]
    pub(crate) select: SelectArguments,
    /// Compare only N rows of each partition, evenly spread; rows on one side only are always counted
    #[arg(long, value_name = "N")]
    pub(crate) sample: Option<usize>,
    #[command(flatten)]
    pub(crate) allow_skipped: AllowSkipped,
}

#[derive(Debug, Args)]
pub(crate) struct AdoptArguments {
    #[command(flatten)]
    pub(crate) select: SelectArguments,
    #[command(flatten)]
    pub(crate) allow_skipped: AllowSkipped,
}

#[derive(Debug, Args)]
#[command(after_help = CHECK_EXIT_CODES)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    pub(crate) job: JobArguments,
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// How late features may be, such as 5m or 2h, closed hours not counted; without it, max_lag_s in [check]
    #[arg(long, value_name = "TIME")]
    pub(crate) max_lag: Option<MaxLag>,
    /// Count the rows of every month, not only of the newest two of each key
    #[arg(long)]
    pub(crate) counts: bool,
    /// The time to check at, in place of the clock
    #[arg(long, value_name = "INSTANT", hide = true)]
    pub(crate) now: Option<jiff::Timestamp>,
}

const CHECK_EXIT_CODES: &str = "Exit codes of check: 0 OK; 1 warnings; 2 problems; 3 something could not be checked, wrong \
    usage and configuration included. Prints one line for each check, worst first; the first line is the summary.";

#[derive(Debug, Args)]
pub(crate) struct DropArguments {
    #[command(flatten)]
    pub(crate) job: JobArguments,
    /// Partitions to remove, as --only of other commands takes them: eurusd:2017-01, 'eur*', eurusd:2017-03..2017-06, :2017-03..
    #[arg(required_unless_present_any = ["from", "to"], value_name = SELECTOR, value_delimiter = ',')]
    pub(crate) partitions: Vec<Selector>,
    #[command(flatten)]
    pub(crate) months: MonthArguments,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Show what would go, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Directory for bars, configuration and features
    #[arg(long, default_value = "rollfit-demo", value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

fn states_to_replace() -> NamedValues<State> {
    NamedValues::new(State::LEFT_ALONE.map(State::name))
}

fn formats() -> NamedValues<Format> {
    NamedValues::new(Format::ALL.map(Format::name))
}

fn format_help() -> String {
    let names = Format::ALL.map(Format::name);
    let [first @ .., last] = &names;
    format!("Format of the files: {} or {last}", first.join(", "))
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    // Named where the formats are, so that a new one is in the help.
    #[arg(long, value_name = "FORMAT", help = format_help(), value_parser = formats(), hide_possible_values = true)]
    pub(crate) format: Format,
    /// Key of the bars; without it, the files' paths must name it
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Key of each file is its name, in lower case: EURUSD.csv has the bars of eurusd
    #[arg(long, conflicts_with_all = ["key", "key_column"])]
    pub(crate) key_from_name: bool,
    /// Time zone of the files' times: Europe/Athens, UTC, +02:00, America/New_York+07:00 (broker time) or histdata
    #[arg(long, value_name = "ZONE")]
    pub(crate) timezone: Option<Zone>,
    /// Base the rate index on the first close on or after this day (UTC); without it, on the first close
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) base_date: Option<BaseDate>,
    /// Store to import into, such as parquet:./fx or postgres://user@host/db; without it, the configuration's [source] or [store]
    #[arg(long, value_name = "STORE")]
    pub(crate) into: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// With --into, schema of the tables in PostgreSQL; without it, the first of the search path
    #[arg(long, value_name = "NAME")]
    pub(crate) schema: Option<String>,
    /// With --into, command that prints the password for PostgreSQL
    #[arg(long, value_name = "COMMAND")]
    pub(crate) password_command: Option<String>,
    /// Drop bad rows and count them by cause, instead of stopping at the first
    #[arg(long)]
    pub(crate) lenient: bool,
    /// If the store has a different close for a bar, use the file's
    #[arg(long)]
    pub(crate) replace: bool,
    /// Allow the base of a key to change, and with it every rate index
    #[arg(long)]
    pub(crate) rebase: bool,
    /// Column of the time: a name, or in csv a number from 1
    #[arg(long, value_name = "COLUMN")]
    pub(crate) time_column: Option<String>,
    /// Column of the date, if the time column holds times of day only: a name, or in csv a number from 1
    #[arg(long, value_name = "COLUMN")]
    pub(crate) date_column: Option<String>,
    /// Column of the close: a name, or in csv a number from 1
    #[arg(long, value_name = "COLUMN")]
    pub(crate) close_column: Option<String>,
    /// Further columns to keep, such as open,high,low,volume; `all` keeps every column of numbers
    #[arg(long, value_name = "all|NAME,NAME", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// Column that says the key of each row, in a file of many keys
    #[arg(long, value_name = "COLUMN", conflicts_with = "key")]
    pub(crate) key_column: Option<String>,
    /// Field separator, in csv
    #[arg(long, value_name = "CHARACTER")]
    pub(crate) delimiter: Option<char>,
    /// Lines above the table to skip, in text files
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) skip_lines: usize,
    /// Bar files (plain, .gz or .zip), directories of them, or - for standard input
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
