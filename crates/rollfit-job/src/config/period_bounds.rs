//! The periods of a job's partitions: `by`, `from` and `to` of `[partitions]`.

use super::ConfigError;
use super::config_file::PartitionsSection;
use crate::month::Month;
use crate::nearest::did_you_mean;
use crate::part_of_period::PartOfPeriod;
use crate::period::{Period, PeriodUnit};

/// How long the periods are; a month where nothing is said.
pub(super) fn resolve_by(section: &PartitionsSection) -> Result<PeriodUnit, ConfigError> {
    let Some(text) = &section.by else { return Ok(PeriodUnit::default()) };
    let known = || PeriodUnit::ALL.into_iter().map(PeriodUnit::name);
    PeriodUnit::ALL.into_iter().find(|unit| unit.name() == text).ok_or_else(|| {
        ConfigError::new(format!(
            "[partitions] by = \"{text}\": {}write \"month\", \"quarter\", \"year\" or \"all\"",
            did_you_mean(text, known())
        ))
    })
}

/// The first and the last month, where they are given. Periods of the job begin and end there.
pub(super) fn resolve_bounds(
    section: &PartitionsSection,
    by: PeriodUnit,
) -> Result<(Option<Month>, Option<Month>), ConfigError> {
    let from = period_or_word(&section.from, "from", "first")?;
    let to = period_or_word(&section.to, "to", "latest")?;
    let at = |key: &str, error: PartOfPeriod| ConfigError::new(format!("[partitions] {key}: {error}"));
    from.map_or(Ok(()), |from| from.check_start(by)).map_err(|error| at("from", error))?;
    to.map_or(Ok(()), |to| to.check_end(by)).map_err(|error| at("to", error))?;
    let months = (from.map(Period::first_month), to.map(Period::last_month));
    match (from, to) {
        (Some(from), Some(to)) if months.0 > months.1 => {
            Err(ConfigError::new(format!("[partitions] from = \"{from}\" is after to = \"{to}\"")))
        }
        _ => Ok(months),
    }
}

fn period_or_word(text: &str, key: &str, word: &str) -> Result<Option<Period>, ConfigError> {
    if text == word {
        return Ok(None);
    }
    let period: Period = text
        .parse()
        .map_err(|error| ConfigError::new(format!("[partitions] {key}: {error}, or \"{word}\"")))?;
    // All of time has neither.
    Ok(Some(period).filter(|period| period.unit() != PeriodUnit::All))
}

#[cfg(test)]
mod tests {
    use super::super::config_file::OneOrMany;
    use super::*;

    fn bounds(by: &str, from: &str, to: &str) -> Result<String, String> {
        let keys = OneOrMany::One("all".to_owned());
        let section =
            PartitionsSection { keys, by: Some(by.to_owned()), from: from.to_owned(), to: to.to_owned() };
        let by = resolve_by(&section).map_err(|error| error.to_string())?;
        let (from, to) = resolve_bounds(&section, by).map_err(|error| error.to_string())?;
        let shown = |month: Option<Month>| month.map_or_else(|| "-".to_owned(), |month| month.to_string());
        Ok(format!("{} {}", shown(from), shown(to)))
    }

    #[test]
    fn bounds_may_be_months_quarters_or_years_where_periods_begin_and_end() {
        for (by, from, to, months) in [
            ("month", "2017-02", "2017-02", "2017-02 2017-02"),
            ("month", "2017", "2018-Q1", "2017-01 2018-03"),
            ("quarter", "2017-Q2", "2017-09", "2017-04 2017-09"),
            ("quarter", "2017", "latest", "2017-01 -"),
            ("year", "first", "2018", "- 2018-12"),
            ("all", "first", "latest", "- -"),
            ("all", "all", "all", "- -"),
        ] {
            assert_eq!(bounds(by, from, to).as_deref(), Ok(months), "{by} {from} {to}");
        }
    }

    #[test]
    fn a_bound_within_a_period_is_refused_and_names_it() {
        for (by, from, to, part) in [
            ("quarter", "2017-02", "latest", "from: 2017-02 is only a part of 2017-Q1"),
            ("quarter", "first", "2017-02", "to: 2017-02 is only a part of 2017-Q1"),
            ("year", "2017-Q2", "latest", "write 2017"),
            ("all", "2017", "latest", "each key has one partition"),
            ("quarter", "2017-Q2", "2017-Q1", "from = \"2017-Q2\" is after to = \"2017-Q1\""),
            (
                "quater",
                "first",
                "latest",
                "did you mean `quarter`? write \"month\", \"quarter\", \"year\" or \"all\"",
            ),
            ("quarter", "2017-Q5", "latest", "`2017-Q5` is not a month, quarter or year"),
        ] {
            let error = bounds(by, from, to).unwrap_err();
            assert!(error.contains(part), "{by} {from} {to}: {error}");
        }
    }
}
