//! `[features] include`: columns of the source tables that are stored beside the features, as `COLUMN_SERIES`.
//!
//! Invariants: included columns are the last ones of their series' `columns`, and of its `fit_columns` where it has some. In a panel
//! they follow the values of all series, in the order of the series.

use std::collections::HashMap;
use std::ops::Range;

use indexmap::IndexMap;

use super::config_file::SeriesSection;
use super::series::{COLUMN_BYTES_MAX, SameColumn};
use super::{ConfigError, JobConfig, Series};
use crate::few::few;
use crate::nearest::did_you_mean;
use crate::store::{SeriesKind, SeriesOfKey};

/// The included columns of each series by its name, in configured order.
pub(super) type Included<'a> = HashMap<&'a str, Vec<String>>;

/// Sorts `include` by series.
pub(super) fn resolve_include<'a>(
    include: &[String],
    series: &'a IndexMap<String, SeriesSection>,
) -> Result<Included<'a>, ConfigError> {
    let mut included = Included::new();
    for text in include {
        let (name, column) = split(text, series)?;
        let columns = included.entry(name).or_default();
        if columns.iter().any(|known| known == column) {
            return Err(wrong(text, "it is listed twice; remove one of them"));
        }
        columns.push(column.to_owned());
    }
    Ok(included)
}

/// The series and the column that `SERIES.COLUMN` names. Both may have dots: the longest name of a series counts.
fn split<'a, 't>(
    text: &'t str,
    series: &'a IndexMap<String, SeriesSection>,
) -> Result<(&'a str, &'t str), ConfigError> {
    let column_of = |name: &str| text.strip_prefix(name)?.strip_prefix('.');
    let known = series.keys().filter_map(|name| Some((name.as_str(), column_of(name)?)));
    match known.max_by_key(|(name, _)| name.len()) {
        Some((_, column)) if column.is_empty() || column.contains('\0') => {
            Err(wrong(text, "there is no name of a column after the series"))
        }
        Some(found) => Ok(found),
        None => {
            let Some((name, _)) = text.split_once('.') else {
                let first = series.keys().next().map_or("idx", String::as_str);
                return Err(wrong(text, &format!("write SERIES.COLUMN, such as \"{first}.close\"")));
            };
            let hint = did_you_mean(name, series.keys().map(String::as_str));
            let all = few(series.keys());
            Err(wrong(text, &format!("there is no series `{name}`; {hint}the job has {all}")))
        }
    }
}

/// The columns that hold them beside the features of a series.
pub(super) fn included_columns(series: &str, include: &[String]) -> Result<Vec<String>, ConfigError> {
    let name = |column: &String| {
        let name = format!("{column}_{series}");
        match name.len() {
            0..=COLUMN_BYTES_MAX => Ok(name),
            bytes => Err(wrong(
                &format!("{series}.{column}"),
                &format!(
                    "its column `{name}` has {bytes} bytes; a column name has at most {COLUMN_BYTES_MAX}"
                ),
            )),
        }
    };
    include.iter().map(name).collect()
}

fn wrong(text: &str, what: &str) -> ConfigError {
    ConfigError::new(format!("[features] include: \"{text}\": {what}"))
}

impl Series {
    /// The feature columns that are input columns of the source table; the last ones of its columns.
    pub fn included_columns(&self) -> &[String] {
        &self.columns[self.columns.len().saturating_sub(self.include.len())..]
    }

    /// Checks that `column`, whose name another one has, is not an included one.
    pub(super) fn check_not_included(&self, column: &str, same: &SameColumn<'_>) -> Result<(), ConfigError> {
        let Some(at) = self.included_columns().iter().position(|included| included == column) else {
            return Ok(());
        };
        let text = format!("{}.{}", self.name, self.include[at]);
        let what = match same.differs_in_case(column) {
            false => format!(
                "its column would be called `{column}`, as another one is (of {}); remove it, or choose another pattern for `column`",
                same.owner
            ),
            true => format!("the columns {}", same.case_clash(column)),
        };
        Err(wrong(&text, &what))
    }

    /// The included columns of one key, each as a series of its own.
    pub fn included_of_key<'a>(&'a self, key: &'a str) -> Vec<SeriesOfKey<'a>> {
        let of_column = |value| SeriesOfKey { value, kind: SeriesKind::Included, ..self.of_key(key) };
        self.include.iter().map(|column| of_column(column.as_str())).collect()
    }

    /// The columns of the numbers of its fits, without included ones; none where a store keeps features.
    pub fn fit_number_columns(&self) -> &[String] {
        &self.fit_columns[..self.fit_columns.len().saturating_sub(self.include.len())]
    }
}

impl JobConfig {
    /// The number of included columns of all series.
    pub fn included_count(&self) -> usize {
        self.series.iter().map(|series| series.include.len()).sum()
    }

    /// The columns of a [`Panel`](crate::panel::Panel) that hold what the series at `series` includes.
    pub(crate) fn included_in_panel(&self, series: usize) -> Range<usize> {
        let before: usize = self.series[..series].iter().map(|series| series.include.len()).sum();
        let first = self.series.len() + before;
        first..first + self.series[series].include.len()
    }

    /// Every series of one key, then every included column as a series of its own: what a panel is read from.
    pub fn inputs_of_key<'a>(&'a self, key: &'a str) -> Vec<SeriesOfKey<'a>> {
        let mut inputs = self.series_of_key(key);
        inputs.extend(self.series.iter().flat_map(|series| series.included_of_key(key)));
        inputs
    }

    /// The series of each included column, in the order of [`JobConfig::inputs_of_key`].
    pub(crate) fn including_series(&self) -> impl Iterator<Item = usize> {
        let series = self.series.iter().enumerate();
        series.flat_map(|(at, series)| std::iter::repeat_n(at, series.include.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{assert_error, changed};

    const SECTION: &str = "\n[features]\n";

    #[test]
    fn columns_that_differ_only_in_case_are_refused() {
        let said = ["`Close_idx` and `close_idx` (of idx) differ only in case"];
        assert_error(including(r#""idx.close", "idx.Close""#), &said);
    }

    fn including(list: &str) -> Result<JobConfig, ConfigError> {
        changed(SECTION, &format!("{SECTION}include = [{list}]\n"))
    }

    #[test]
    fn included_columns_are_the_last_ones_of_their_series() {
        let config = including("\"idx.close\", \"bqx.w15_bqx_return\", \"idx.a.b\"").unwrap();
        let [idx, bqx] = &config.series[..] else { panic!("two series") };
        assert_eq!((idx.columns.len(), bqx.columns.len()), (92, 91));
        assert_eq!(idx.included_columns(), ["close_idx", "a.b_idx"]);
        assert_eq!(bqx.included_columns(), ["w15_bqx_return_bqx"]);
        assert_eq!(config.included_in_panel(0), 2..4);
        assert_eq!(config.included_in_panel(1), 4..5);
        assert_eq!(config.including_series().collect::<Vec<_>>(), [0, 0, 1]);
        let inputs = config.inputs_of_key("eurusd");
        let of = |at: usize| (inputs[at].table.as_str(), inputs[at].value, inputs[at].kind);
        assert_eq!(of(0).1, "rate_index");
        assert_eq!(of(2), ("m1_eurusd", "close", SeriesKind::Included));
        assert_eq!(of(4), ("bqx_eurusd", "w15_bqx_return", SeriesKind::Included));
    }

    #[test]
    fn the_layout_of_fits_stores_them_too() {
        let text = crate::config::EXAMPLE
            .replacen(SECTION, &format!("{SECTION}include = [\"idx.close\"]\n"), 1)
            .replacen("# layout = \"fits\"", "layout = \"fits\"", 1)
            .replacen("\"parquet:./fx\"", "\"postgres://host/fx\"", 1);
        let fits = JobConfig::parse(&text, []).unwrap();
        let idx = &fits.series[0];
        assert_eq!((idx.fit_columns.len(), idx.fit_number_columns().len()), (32, 31));
        assert_eq!(idx.fit_columns[31], "close_idx");
        assert_eq!(idx.as_stored().included_columns(), ["close_idx"]);
        assert_error(
            JobConfig::parse(&text.replacen("idx.close", "idx.y_last", 1), []),
            &["y_last_idx", "[features] include"],
        );
    }

    #[test]
    fn what_cannot_be_included_is_named_with_what_to_do() {
        for (list, parts) in [
            ("\"ixd.close\"", ["\"ixd.close\": there is no series `ixd`", "did you mean `idx`?"]),
            ("\"close\"", ["\"close\": write SERIES.COLUMN", "\"idx.close\""]),
            ("\"idx.\"", ["\"idx.\"", "no name of a column"]),
            ("\"idx.close\", \"idx.close\"", ["\"idx.close\"", "listed twice"]),
            ("\"idx.r2\", \"idx.a\\u0000b\"", ["[features] include", "no name of a column"]),
        ] {
            assert_error(including(list), &parts);
        }
        let long = format!("\"idx.{}\"", "x".repeat(252));
        assert_error(including(&long), &["has 256 bytes", "at most 255"]);
    }

    #[test]
    fn an_included_column_never_has_the_name_of_another() {
        let text = crate::config::EXAMPLE
            .replacen(
                "\ncolumn = \"{metric}_{series}_{window}\"",
                "\ncolumn = \"{metric}_{window}_{series}\"",
                1,
            )
            .replacen(SECTION, &format!("{SECTION}include = [\"idx.r2_w15\"]\n"), 1);
        assert_error(
            JobConfig::parse(&text, []),
            &["[features] include: \"idx.r2_w15\"", "`r2_w15_idx`", "`column`"],
        );
    }
}
