//! [`MaxLag`]: how late features may be, as typed: `90s`, `5m`, `2h`, `1d`.

use std::time::Duration;

use crate::typed_time::TypedTime;

/// How late features may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaxLag(pub(crate) Duration);

impl std::str::FromStr for MaxLag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const UNITS: [(&str, f64); 4] = [("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)];
        match TypedTime::parse(text, &UNITS) {
            TypedTime::Time(time) if !time.is_zero() && time != Duration::MAX => Ok(Self(time)),
            _ => Err(format!(
                "`{text}` is not a time: write a number above 0 and s, m, h or d, such as 90s, 5m, 2h or 1d"
            )),
        }
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
            "",
            "5",
            "m",
            "0s",
            "-5m",
            "+5m",
            "1e3s",
            "5 m",
            "5M",
            "5min",
            "infs",
            "9e999s",
            "1..5s",
            "\u{661}s",
            "500ms",
            "99999999999999999999999999d",
        ] {
            let error = text.parse::<MaxLag>().unwrap_err();
            assert!(error.contains("such as 90s, 5m"), "{text}: {error}");
        }
    }
}
