//! [`MaxLag`]: how late features may be, as typed: `90s`, `5m`, `2h`, `1d`.

use std::time::Duration;

/// How late features may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaxLag(pub(crate) Duration);

impl std::str::FromStr for MaxLag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || {
            format!(
                "`{text}` is not a time: write a number above 0 and s, m, h or d, such as 90s, 5m, 2h or 1d"
            )
        };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit_s = match &text[digits.len()..] {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err(error()),
        };
        let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
        let number: f64 = digits.parse().ok().filter(|_| is_number).ok_or_else(error)?;
        let time = Duration::try_from_secs_f64(number * unit_s).map_err(|_| error())?;
        if time.is_zero() { Err(error()) } else { Ok(Self(time)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_a_number_with_a_unit() {
        let seconds = |text: &str| text.parse::<MaxLag>().unwrap().0.as_secs_f64();
        assert_eq!(["90s", "5m", "1.5h", "2d"].map(seconds), [90.0, 300.0, 5400.0, 172_800.0]);
    }

    #[test]
    fn what_is_no_lag_is_refused_with_what_to_write() {
        for text in [
            "", "5", "m", "0s", "-5m", "+5m", "1e3s", "5 m", "5M", "5min", "infs", "9e999s", "1..5s",
            "\u{661}s",
        ] {
            let error = text.parse::<MaxLag>().unwrap_err();
            assert!(error.contains("such as 90s, 5m"), "{text}: {error}");
        }
    }
}
