//! [`CheckConfig`]: the limits of `rollfit check`, from `[check]`.

use std::time::Duration;

use super::ConfigError;
use super::config_file::{ConfigFile, OneOrManyHours};
use crate::health::ClosedHours;

/// The limits of a check.
#[derive(Clone, Debug)]
pub struct CheckConfig {
    /// How far the last instant with features may lie behind the clock, closed hours not counted; none where that isn't checked.
    pub max_lag: Option<Duration>,
    /// When no rows are expected, in the time zone `timezone`.
    pub closed: ClosedHours,
    /// The name of a time zone. Whoever has a database of them looks it up.
    pub timezone: String,
    /// By how much the share of features without a value may exceed the median of the months before.
    pub no_value_rise_max: f64,
    /// How many months before the newest that median is of.
    pub no_value_months: usize,
    /// The least share of the source's rows that the newest months have to be computed from.
    pub source_rows_min: f64,
}

pub(super) fn resolve_check(file: &ConfigFile) -> Result<CheckConfig, ConfigError> {
    let check = &file.check;
    let share = |key: &str, value: f64| {
        let error = || ConfigError::new(format!("[check] {key} = {value}: a share lies between 0 and 1"));
        if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(error()) }
    };
    let max_lag = |seconds: f64| match Duration::try_from_secs_f64(seconds) {
        Ok(max_lag) if !max_lag.is_zero() => Ok(max_lag),
        _ => Err(ConfigError::new(format!("[check] max_lag_s = {seconds}: give seconds, more than 0"))),
    };
    if check.no_value_months == 0 {
        return Err(ConfigError::new("[check] no_value_months = 0: at least one month is needed"));
    }
    let closed = match &check.closed {
        OneOrManyHours::One(hours) => std::slice::from_ref(hours),
        OneOrManyHours::Many(hours) => hours,
    };
    Ok(CheckConfig {
        max_lag: check.max_lag_s.map(max_lag).transpose()?,
        closed: ClosedHours::parse(closed)
            .map_err(|error| ConfigError::new(format!("[check] closed: {error}")))?,
        timezone: resolve_timezone(&check.timezone)?,
        no_value_rise_max: share("no_value_rise_max", check.no_value_rise_max)?,
        no_value_months: check.no_value_months,
        source_rows_min: share("source_rows_min", check.source_rows_min)?,
    })
}

/// Looks at the characters only: there is no database of zones here.
fn resolve_timezone(name: &str) -> Result<String, ConfigError> {
    let is_of_a_zone = |c: char| c.is_ascii_alphanumeric() || "/_+-:".contains(c);
    if !name.is_empty() && name.chars().all(is_of_a_zone) {
        return Ok(name.to_owned());
    }
    Err(ConfigError::new(format!(
        "[check] timezone = \"{name}\" is no time zone; write \"UTC\", \"America/New_York\" or \"+02:00\""
    )))
}
