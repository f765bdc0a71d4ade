//! [`TypedTime`]: a time as typed on the command line: a number and its unit, such as `200ms`, `1.5h`, `2d`.

use std::time::Duration;

/// The time that a text says, [`Duration::MAX`] where it is longer, or why it says none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TypedTime {
    Time(Duration),
    NoUnit,
    NoTime,
}

impl TypedTime {
    /// Reads digits with at most one point, and one of these units with its seconds.
    pub(crate) fn parse(text: &str, units: &[(&str, f64)]) -> Self {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let typed_unit = &text[digits.len()..];
        if typed_unit.is_empty() {
            return Self::NoUnit;
        }
        let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
        let number = digits.parse::<f64>().ok().filter(|_| is_number);
        let unit = units.iter().find(|(unit, _)| *unit == typed_unit);
        let Some((number, (_, unit_s))) = number.zip(unit) else { return Self::NoTime };
        Self::Time(Duration::try_from_secs_f64(number * unit_s).unwrap_or(Duration::MAX))
    }
}
