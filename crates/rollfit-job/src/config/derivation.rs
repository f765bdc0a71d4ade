//! [`Derivation`]: how the values of a series follow from closes, from `derive` and `base` of `[series.NAME]`.

use super::ConfigError;
use super::config_file::SeriesSection;
use crate::nearest::nearest;

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
    let hint = match nearest(word, [RATE_INDEX, BACKWARD_RETURN]) {
        Some(RATE_INDEX) => format!("did you mean \"{RATE_INDEX}\"? "),
        Some(near) => format!("did you mean \"{near}(15)\"? "),
        None => String::new(),
    };
    ConfigError::new(format!(
        "[series.{name}] derive = \"{derive}\": {hint}known are \"{RATE_INDEX}\" and \"{BACKWARD_RETURN}(ROWS)\", with 1 to \
         {RETURN_ROWS_MAX} rows"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{assert_error, changed};
    use crate::config::{EXAMPLE, JobConfig};

    /// The example whose second series has these lines too.
    fn with(lines: &str) -> Result<JobConfig, ConfigError> {
        changed("value = \"w15_bqx_return\"", &format!("value = \"close\"\n{lines}"))
    }

    fn derivation(lines: &str) -> Option<Derivation> {
        with(lines).unwrap().series[1].derivation
    }

    #[test]
    fn a_series_is_derived_by_one_of_two_formulas() {
        let derived = |formula, base| Some(Derivation { formula, base });
        assert_eq!(derivation(""), None);
        assert_eq!(derivation("derive = \"rate_index\""), derived(Formula::RateIndex, None));
        let text = "derive = \"backward_return(15)\"\nbase = 1.0521";
        assert_eq!(derivation(text), derived(Formula::BackwardReturn(15), Some(1.0521)));
        assert_eq!(
            derivation("derive = \"backward_return(10000)\"\nbase = 1"),
            derived(Formula::BackwardReturn(10_000), Some(1.0))
        );
        assert_eq!(Formula::BackwardReturn(15).to_string(), "backward_return(15)");
    }

    #[test]
    fn the_environment_derives_too() {
        let variables =
            [("ROLLFIT_SERIES__IDX__DERIVE", "rate_index"), ("ROLLFIT_SERIES__IDX__BASE", "1.25")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = JobConfig::parse(EXAMPLE, variables).unwrap();
        let wanted = Derivation { formula: Formula::RateIndex, base: Some(1.25) };
        assert_eq!(config.series[0].derivation, Some(wanted));
    }

    #[test]
    fn an_unknown_formula_is_named_with_the_nearest_and_all_there_are() {
        let known = [
            "[series.bqx] derive = ",
            "known are \"rate_index\" and \"backward_return(ROWS)\", with 1 to 10000 rows",
        ];
        for (wrong, hint) in [
            ("rate_idx", "did you mean \"rate_index\"?"),
            ("Rate_Index", "did you mean \"rate_index\"?"),
            ("backward_return", "did you mean \"backward_return(15)\"?"),
            ("backward_returns(15)", "did you mean \"backward_return(15)\"?"),
            ("backward_return(0)", "1 to 10000 rows"),
            ("backward_return(10001)", "1 to 10000 rows"),
            ("backward_return(-1)", "1 to 10000 rows"),
            ("backward_return(+15)", "1 to 10000 rows"),
            ("backward_return( 15)", "1 to 10000 rows"),
            ("backward_return()", "1 to 10000 rows"),
            ("backward_return(99999999999999999999999)", "1 to 10000 rows"),
            ("", "known are"),
        ] {
            assert_error(with(&format!("derive = \"{wrong}\"")), &[&known[..], &[hint, wrong]].concat());
        }
        let message = with("derive = \"zzz\"").unwrap_err().to_string();
        assert!(!message.contains("did you mean"), "{message}");
    }

    #[test]
    fn a_base_is_a_close_of_a_derived_series() {
        assert_error(with("base = 1.05"), &["[series.bqx] base = 1.05", "only a derived series has a base"]);
        for wrong in ["0", "-1.5", "nan", "inf"] {
            let error = with(&format!("derive = \"rate_index\"\nbase = {wrong}"));
            assert_error(error, &["[series.bqx] base = ", "finite and above zero"]);
        }
        assert_error(with("derive = \"rate_index\"\nbase = \"1\""), &["invalid type", "line "]);
        assert_error(with("derive = 15"), &["invalid type", "line "]);
    }
}
