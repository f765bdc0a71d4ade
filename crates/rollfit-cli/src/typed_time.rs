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

/// Reads a whole number of seconds.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number of seconds: write a whole number, such as 30"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_a_whole_number_and_anything_else_is_refused_with_what_to_write() {
        assert_eq!((seconds("0"), seconds("90")), (Ok(0), Ok(90)));
        for text in ["", "x", "-1", "1.5", "30s", "99999999999999999999"] {
            assert!(seconds(text).unwrap_err().contains("such as 30"), "{text}");
        }
    }
}
