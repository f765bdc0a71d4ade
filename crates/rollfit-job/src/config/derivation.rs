//! [`Derivation`]: how the values of a series follow from closes, from `derive` and `base` of `[series.NAME]`.

use super::ConfigError;
use super::config_file::SeriesSection;
use super::error::nearest;

/// How the values of a series follow from closes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Derivation {
    /// What is computed.
    pub formula: Formula,
    /// The configured base of the rate index; none for the one that an import stored.
    pub base: Option<f64>,
}

/// What is computed from closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Formula {
    /// The close on a scale where the base is 100.
    RateIndex,
    /// The sum of the differences of this many rows before to a row, relative to it.
    BackwardReturn(usize),
}

/// The most rows that a backward return looks back: as many as a window whose accuracy is promised.
const RETURN_ROWS_MAX: usize = 10_000;

const RATE_INDEX: &str = "rate_index";
const BACKWARD_RETURN: &str = "backward_return";

impl Formula {
    /// The rows before a row that its value needs; as many first rows of a key have none.
    pub fn lookback_rows(self) -> usize {
        match self {
            Self::RateIndex => 0,
            Self::BackwardReturn(rows) => rows,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == RATE_INDEX {
            return Some(Self::RateIndex);
        }
        let rows = text.strip_prefix(BACKWARD_RETURN)?.strip_prefix('(')?.strip_suffix(')')?;
        let is_number = rows.bytes().all(|byte| byte.is_ascii_digit());
        let rows = rows.parse().ok().filter(|rows| is_number && (1..=RETURN_ROWS_MAX).contains(rows))?;
        Some(Self::BackwardReturn(rows))
    }
}

impl std::fmt::Display for Formula {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RateIndex => f.write_str(RATE_INDEX),
            Self::BackwardReturn(rows) => write!(f, "{BACKWARD_RETURN}({rows})"),
        }
    }
}

/// The derivation of a series; none where the source has its values.
pub(super) fn resolve_derivation(
    name: &str,
    series: &SeriesSection,
) -> Result<Option<Derivation>, ConfigError> {
    let Some(derive) = &series.derive else {
        return match series.base {
            Some(base) => Err(ConfigError::new(format!(
                "[series.{name}] base = {base}: only a derived series has a base; add derive = \"{RATE_INDEX}\" or \
                 derive = \"{BACKWARD_RETURN}(15)\", or remove it"
            ))),
            None => Ok(None),
        };
    };
    let formula = Formula::parse(derive).ok_or_else(|| unknown(name, derive))?;
    match series.base {
        Some(base) if !(base.is_finite() && base > 0.0) => Err(ConfigError::new(format!(
            "[series.{name}] base = {base}: a base is a close, finite and above zero"
        ))),
        base => Ok(Some(Derivation { formula, base })),
    }
}

fn unknown(name: &str, derive: &str) -> ConfigError {
    let word = derive.split('(').next().unwrap_or_default().trim();
    let hint = match nearest(&word.to_lowercase(), [RATE_INDEX, BACKWARD_RETURN].into_iter()) {
        Some(RATE_INDEX) => format!("did you mean \"{RATE_INDEX}\"? "),
        Some(near) => format!("did you mean \"{near}(15)\"? "),
        None => String::new(),
    };
    ConfigError::new(format!(
        "[series.{name}] derive = \"{derive}\": {hint}known are \"{RATE_INDEX}\" and \"{BACKWARD_RETURN}(ROWS)\", with 1 to \
         {RETURN_ROWS_MAX} rows"
    ))
}
