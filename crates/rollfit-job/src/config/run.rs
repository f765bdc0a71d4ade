//! [`RunConfig`]: how a job runs, from `[run]`: workers, retries, timeouts and limits.

use std::time::Duration;

use super::ConfigError;
use super::config_file::{ConfigFile, NumberOrWord};
use crate::runners::Shard;

/// How many workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// As many as turn out best.
    Auto,
    /// This many.
    Fixed(usize),
    /// The best number between a minimum and a maximum.
    Between(usize, usize),
}

/// The order in which partitions are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As [`Order::Plan`], from another partition on in each runner, so that several meet as late as they can.
    Spread,
    /// Key by key, month by month.
    Plan,
    /// Those with the most rows first, so that no worker is left alone with a large one at the end.
    LargestFirst,
}

/// How a job runs.
#[derive(Clone, Copy, Debug)]
pub struct RunConfig {
    /// How many partitions are worked on at once.
    pub workers: Workers,
    /// How often a partition is tried when its faults are transient.
    pub attempts: u32,
    /// How long to keep trying while nothing succeeds.
    pub retry_for: Duration,
    /// How long to wait for partitions that another runner holds.
    pub lock_wait: Duration,
    /// How long the store may take for one statement.
    pub statement_timeout: Duration,
    /// How long a claim may make no progress before it counts as abandoned.
    pub idle_timeout: Duration,
    /// The most sessions with one store; none for what the store allows.
    pub store_sessions_max: Option<usize>,
    /// The most that is written to the store, in millions of bytes a second; none for what the store takes.
    pub store_write_mb_per_s_max: Option<f64>,
    /// The most cores that this process keeps busy; none for those there are.
    pub cpu_max: Option<f64>,
    /// The order in which partitions are started.
    pub order: Order,
    /// The share of the job that this runner begins with; none for all of it. Not a setting of the file: it is another one in each runner.
    pub shard: Option<Shard>,
    /// A changed input with a smaller share of the receipt's rows than this is `shrunk`.
    pub shrunk_rows_min: f64,
    /// A changed input of whose rows the join loses a larger share than this is `shrunk`.
    pub join_loss_max: f64,
    /// Whether a month without rows fails, in place of being noted as empty.
    pub require_rows: bool,
    /// How much later another series has to have an instant before a last row that it lacks counts as lost; in data time.
    pub pair_wait: Duration,
    /// How long a partition stays open for late rows once every series has rows after it, and after each row that comes late.
    pub settle: Duration,
    /// How often who follows a source reads all of an open partition again.
    pub recheck_every: Duration,
}

pub(super) fn resolve_run(file: &ConfigFile) -> Result<RunConfig, ConfigError> {
    let run = &file.run;
    let share = |key: &str, value: f64| {
        let error = || ConfigError::new(format!("[run] {key} = {value}: a share lies between 0 and 1"));
        if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(error()) }
    };
    let seconds = |key: &str, value: f64| {
        Duration::try_from_secs_f64(value)
            .map_err(|_| ConfigError::new(format!("[run] {key} = {value}: give seconds, 0 or more")))
    };
    let timeout = |key: &str, value: f64| {
        let error =
            || ConfigError::new(format!("[run] {key} = {value}: give seconds, at least 1 and at most 86400"));
        if (1.0..=86_400.0).contains(&value) { seconds(key, value) } else { Err(error()) }
    };
    let limit = |key: &str, value: Option<f64>, unit: &str| match value {
        Some(value) if !(value > 0.0 && value.is_finite()) => Err(ConfigError::new(format!(
            "[run] {key} = {value}: give {unit}, more than 0; leave it out for no limit"
        ))),
        value => Ok(value),
    };
    if run.store_sessions_max == Some(0) {
        return Err(ConfigError::new("[run] store_sessions_max = 0: at least one session is needed"));
    }
    if run.attempts == 0 {
        return Err(ConfigError::new("[run] attempts = 0: a partition needs at least one attempt"));
    }
    Ok(RunConfig {
        workers: resolve_workers(&run.workers)?,
        attempts: run.attempts,
        retry_for: seconds("retry_for_s", run.retry_for_s)?,
        lock_wait: seconds("lock_wait_s", run.lock_wait_s)?,
        statement_timeout: timeout("statement_timeout_s", run.statement_timeout_s)?,
        idle_timeout: timeout("idle_timeout_s", run.idle_timeout_s)?,
        store_sessions_max: run.store_sessions_max,
        store_write_mb_per_s_max: limit(
            "store_write_mb_per_s_max",
            run.store_write_mb_per_s_max,
            "millions of bytes a second",
        )?,
        cpu_max: limit("cpu_max", run.cpu_max, "cores")?,
        order: resolve_order(&run.order)?,
        shard: None,
        shrunk_rows_min: share("shrunk_rows_min", run.shrunk_rows_min)?,
        join_loss_max: share("join_loss_max", run.join_loss_max)?,
        require_rows: run.require_rows,
        pair_wait: seconds("pair_wait_s", run.pair_wait_s)?,
        settle: seconds("settle_s", run.settle_s)?,
        recheck_every: timeout("recheck_every_s", run.recheck_every_s)?,
    })
}

fn resolve_workers(workers: &NumberOrWord) -> Result<Workers, ConfigError> {
    match workers {
        NumberOrWord::Word(word) => {
            word.parse().map_err(|error| ConfigError::new(format!("[run] workers: {error}")))
        }
        NumberOrWord::Number(number) => {
            number.to_string().parse().map_err(|error| ConfigError::new(format!("[run] workers: {error}")))
        }
    }
}

fn resolve_order(text: &str) -> Result<Order, ConfigError> {
    match text {
        "spread" => Ok(Order::Spread),
        "plan" => Ok(Order::Plan),
        "largest-first" => Ok(Order::LargestFirst),
        _ => Err(ConfigError::new(format!(
            "[run] order = \"{text}\": write \"spread\", \"plan\" or \"largest-first\""
        ))),
    }
}

impl std::fmt::Display for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Order::Spread => "spread",
            Order::Plan => "plan",
            Order::LargestFirst => "largest-first",
        })
    }
}

impl std::str::FromStr for Workers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const MOST: usize = 1024;
        let count = |text: &str| text.trim().parse().ok().filter(|count| (1..=MOST).contains(count));
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let range = text.split_once("..").and_then(|(least, most)| count(least).zip(count(most)));
        match (count(text), range) {
            (Some(count), _) => Ok(Self::Fixed(count)),
            (_, Some((least, most))) if least <= most => Ok(Self::Between(least, most)),
            (_, Some((least, most))) => Err(format!(
                "`{text}` is not a range: {least} is more than {most}; write \"{most}..{least}\""
            )),
            _ => Err(format!(
                "`{text}` is not a number of workers: write \"auto\", 1 to {MOST}, or a range such as \"2..16\""
            )),
        }
    }
}

impl std::fmt::Display for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Workers::Auto => f.pad("auto"),
            Workers::Fixed(count) => f.pad(&count.to_string()),
            Workers::Between(least, most) => f.pad(&format!("{least}..{most}")),
        }
    }
}
