//! [`FurtherColumns`]: the columns of a file that its bars keep besides time and close, and how they are called in a store.

use std::collections::BTreeMap;

use rollfit_job::few::few;
use rollfit_job::nearest::did_you_mean;

use super::column_names::{DATE_NAMES, INSTANT_NAMES, TIME_NAMES, names_an_instrument, normal};
use super::column_options::OtherColumns;
use crate::error::shown;

/// The columns of source tables that an import fills itself.
const OWN_NAMES: [&str; 5] = ["time", "close", "rate_index", "ts_utc", "w15_bqx_return"];

/// A column that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FurtherColumn {
    /// Where it is in a row, counted from 0.
    pub(crate) index: usize,
    /// Its name in the file, as names are compared.
    pub(crate) name: String,
    /// Its name in a store.
    pub(crate) stored_name: String,
}

/// The columns that bars keep, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FurtherColumns {
    pub(crate) columns: Vec<FurtherColumn>,
    /// Columns are kept because they hold numbers, not because a user named them.
    pub(crate) is_all: bool,
    /// What is not kept of a file whose columns of numbers all are.
    pub(crate) left_out: Vec<String>,
    /// Columns that a store could not call by any name.
    nameless: Vec<String>,
}

/// Names in quotes, the first of many.
fn quoted(names: &[String]) -> String {
    few(names.iter().map(|name| format!("`{name}`")))
}

impl FurtherColumns {
    /// Chooses among the columns of a file, by name; `is_taken` says which are read as something else. An error says what to
    /// do.
    pub(crate) fn choose(
        names: &[String],
        wanted: &OtherColumns,
        is_taken: impl Fn(usize) -> bool,
    ) -> Result<Self, String> {
        let chosen = match wanted {
            OtherColumns::None => return Ok(Self::default()),
            OtherColumns::All => Self::all(names, is_taken),
            OtherColumns::Named(wanted) => Self::named(names, wanted, is_taken)?,
        };
        chosen.check()?;
        Ok(chosen)
    }

    /// What a user should know of the columns that are not kept.
    pub(crate) fn left_out_warning(&self) -> Option<String> {
        let left_out = (!self.left_out.is_empty())
            .then(|| format!("left out columns that do not hold numbers: {}", quoted(&self.left_out)));
        let nameless = (!self.nameless.is_empty()).then(|| {
            format!(
                "left out columns without a letter a store could call them by: {}; rename them to keep them",
                quoted(&self.nameless)
            )
        });
        let warnings: Vec<String> = [left_out, nameless].into_iter().flatten().collect();
        (!warnings.is_empty()).then(|| warnings.join("; "))
    }

    fn all(names: &[String], is_taken: impl Fn(usize) -> bool) -> Self {
        let mut chosen = Self { is_all: true, ..Self::default() };
        for (index, name) in names.iter().enumerate().filter(|(at, _)| !is_taken(*at)) {
            let known = [&INSTANT_NAMES[..], &TIME_NAMES, &DATE_NAMES].concat();
            let is_number = !known.contains(&name.as_str()) && !names_an_instrument(name);
            match stored_name(name) {
                _ if name.is_empty() => {}
                _ if !is_number => chosen.left_out.push(name.clone()),
                None => chosen.nameless.push(name.clone()),
                Some(stored_name) => {
                    chosen.columns.push(FurtherColumn { index, name: name.clone(), stored_name });
                }
            }
        }
        chosen
    }

    fn named(names: &[String], wanted: &[String], is_taken: impl Fn(usize) -> bool) -> Result<Self, String> {
        let mut indexes = Vec::new();
        for wanted in wanted {
            let shown = shown(wanted.as_bytes());
            let mut found = names.iter().enumerate().filter(|(_, name)| **name == normal(wanted));
            let others = || {
                let others = names.iter().enumerate().filter(|(at, name)| !is_taken(*at) && !name.is_empty());
                others.map(|(_, name)| name.as_str())
            };
            match (found.next().filter(|(_, name)| !name.is_empty()), found.next()) {
                (None, _) if others().next().is_none() => {
                    return Err(format!(
                        "column `{shown}` of --columns does not exist: the file has no further columns; omit --columns"
                    ));
                }
                (None, _) => {
                    return Err(format!(
                        "column `{shown}` of --columns does not exist; {}use some of {}",
                        did_you_mean(wanted, others()),
                        listed(others())
                    ));
                }
                (Some(_), Some(_)) => {
                    return Err(format!("several columns are called `{shown}`; rename all but one of them"));
                }
                (Some((at, _)), None) if is_taken(at) => {
                    return Err(format!(
                        "column `{shown}` is read as time, close or key already; omit it from --columns, which takes the \
                         further ones: {}",
                        listed(others())
                    ));
                }
                (Some((at, _)), None) => indexes.push(at),
            }
        }
        indexes.sort_unstable();
        indexes.dedup();
        let column = |index: usize| {
            let name = names[index].clone();
            let refused = || format!("column `{name}` has no letter a store could call it by; rename it");
            Ok(FurtherColumn { index, stored_name: stored_name(&name).ok_or_else(refused)?, name })
        };
        let columns = indexes.into_iter().map(column).collect::<Result<_, String>>()?;
        Ok(Self { columns, ..Self::default() })
    }

    /// Refuses names that a store could not tell apart.
    fn check(&self) -> Result<(), String> {
        let mut known = BTreeMap::new();
        for FurtherColumn { name, stored_name, .. } in &self.columns {
            if OWN_NAMES.contains(&stored_name.as_str()) {
                return Err(format!(
                    "column `{name}` would be stored as `{stored_name}`, which an import fills itself; rename it, or name \
                     the columns to keep with --columns"
                ));
            }
            if let Some(other) = known.insert(stored_name, name) {
                return Err(format!(
                    "the columns `{other}` and `{name}` would both be stored as `{stored_name}`; rename one, or name the \
                     columns to keep with --columns"
                ));
            }
        }
        Ok(())
    }
}

/// The name of a column in a store: lower case, without digits in front, and with `_` for all but letters and digits.
fn stored_name(name: &str) -> Option<String> {
    let name = normal(name);
    let behind = name.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_plain = |c: char| c.is_ascii_alphanumeric();
    let start = if behind.len() < name.len() { behind.trim_start_matches(|c| !is_plain(c)) } else { behind };
    let start = start.trim_start_matches(|c: char| c.is_ascii_digit());
    let stored: String = start.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    stored.contains(|c: char| c.is_ascii_lowercase()).then_some(stored)
}

/// A value of a further column: NaN where the field is empty, none where it is not a finite number.
pub(crate) fn further_value(field: &str) -> Option<f64> {
    let field = field.trim_ascii();
    if field.is_empty() {
        return Some(f64::NAN);
    }
    finite(field.parse().ok()?)
}

/// A number that can be kept. A store has one zero.
pub(crate) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value + 0.0)
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    few(names.map(|name| format!("`{name}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(header: &str, wanted: &OtherColumns) -> Result<Vec<String>, String> {
        let names: Vec<String> = header.split(',').map(normal).collect();
        let chosen = FurtherColumns::choose(&names, wanted, |at| at == 0 || names[at] == "close")?;
        Ok(chosen.columns.into_iter().map(|column| column.stored_name).collect())
    }

    fn named(header: &str, wanted: &[&str]) -> Result<Vec<String>, String> {
        choose(header, &OtherColumns::Named(wanted.iter().map(|name| (*name).to_owned()).collect()))
    }

    #[test]
    fn stored_names_are_plain() {
        for (name, stored) in [
            ("<VOL>", "vol"),
            ("1. open", "open"),
            ("24h volume", "h_volume"),
            ("Tick Volume", "tick_volume"),
            ("1a. open (usd)", "a__open__usd_"),
            ("_x", "_x"),
        ] {
            assert_eq!(stored_name(name).as_deref(), Some(stored), "{name}");
        }
        for name in ["", "12", "%", "1. ", "___"] {
            assert_eq!(stored_name(name), None, "{name}");
        }
    }

    #[test]
    fn columns_are_chosen_by_name() {
        let header = "time,Open,High,close,<VOL>,symbol,date";
        assert_eq!(choose(header, &OtherColumns::None), Ok(vec![]));
        assert_eq!(choose(header, &OtherColumns::All).unwrap(), ["open", "high", "vol"]);
        assert_eq!(named(header, &["vol", "OPEN", "open"]).unwrap(), ["open", "vol"]);
        for (wanted, part) in [("low", "does not exist"), ("close", "already"), ("", "does not exist")] {
            let message = named(header, &[wanted]).unwrap_err();
            assert!(message.contains(part) && message.contains("`open`, `high`"), "{message}");
        }
        assert!(named("time,close,a,a", &["a"]).unwrap_err().contains("several"));
    }

    #[test]
    fn names_that_a_store_could_not_tell_apart_are_refused() {
        for header in
            ["time,close,a b,a-b", "time,close,1. rate,2. rate", "time,close,rate index", "time,close,ts-utc"]
        {
            let message = choose(header, &OtherColumns::All).unwrap_err();
            assert!(message.contains("stored as"), "{message}");
        }
        assert_eq!(choose("time,close,a b,ab", &OtherColumns::All).unwrap(), ["a_b", "ab"]);
    }

    #[test]
    fn values_are_finite_numbers_or_empty() {
        assert_eq!(further_value(" 1.5 "), Some(1.5));
        assert_eq!(further_value("-0").map(f64::to_bits), Some(0));
        assert!(further_value(" ").is_some_and(f64::is_nan));
        for field in ["x", "nan", "inf", "-Infinity", "1e999", "1,5", "NULL"] {
            assert_eq!(further_value(field), None, "{field}");
        }
    }
}
