//! A small market: the job of most tests, with two series, two short windows and three metrics.

use rollfit_job::config::JobConfig;
use rollfit_job::partition::Partition;
use rollfit_job::run::Observer;

/// A minute in microseconds.
pub const MINUTE_US: i64 = 60_000_000;

const CONFIG: &str = r#"
[store]
url = "memory:"
[partitions]
keys = "all"
from = "first"
to = "latest"
[series.idx]
table = "m1_{key}"
time = "time"
value = "rate_index"
features = "reg_rate_{key}_{yyyy}_{mm}"
[series.bqx]
table = "bqx_{key}"
time = "ts_utc"
value = "w15_bqx_return"
features = "reg_bqx_{key}_{yyyy}_{mm}"
[windows]
w5 = 5
w3 = 3
[features]
metrics = ["a2", "r2", "vertex_x"]
[run]
lock_wait_s = 0
order = "plan"
"#;

/// The job, with other values such as `("RUN__BOUNDARY", "carry")`. Of two values for one name the last counts.
pub fn config(values: &[(&str, &str)]) -> JobConfig {
    let variable = |(name, value): &(&str, &str)| (format!("ROLLFIT_{name}"), (*value).to_owned());
    JobConfig::parse(CONFIG, values.iter().map(variable)).unwrap()
}

/// The partition of a key and a month such as `2017-01`.
pub fn partition(key: &str, month: &str) -> Partition {
    Partition::new(key.to_owned(), month.parse().unwrap())
}

/// An observer that ignores everything.
pub struct Silent;

impl Observer for Silent {}
