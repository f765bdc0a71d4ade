//! [`PollInterval`]: how often a source is asked while it is followed, as typed: `200ms`, `1s`, `15m`.

use std::time::Duration;

use crate::typed_time::TypedTime;

/// Asked more often, a source would be asked all the time.
const LEAST: Duration = Duration::from_millis(10);
/// What is asked more rarely than this is no follower: a run at a fixed hour does.
const MOST: Duration = Duration::from_secs(24 * 3600);

/// The time between two looks at a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PollInterval(pub(crate) Duration);

impl std::str::FromStr for PollInterval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const UNITS: [(&str, f64); 4] = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
        let time = match TypedTime::parse(text, &UNITS) {
            TypedTime::Time(time) => time,
            TypedTime::NoUnit => {
                return Err(format!("`{text}` has no unit: write a number and ms, s, m or h, such as 1s"));
            }
            TypedTime::NoTime => {
                return Err(format!(
                    "`{text}` is not a time: write a number and ms, s, m or h, such as 200ms, 1s or 15m"
                ));
            }
        };
        if time < LEAST {
            return Err(format!("`{text}` is too short: write 10ms or more"));
        }
        if time > MOST {
            return Err(format!("`{text}` is too long: write 24h or less"));
        }
        Ok(Self(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_number_with_a_unit() {
        let millis = |text: &str| text.parse::<PollInterval>().unwrap().0.as_millis();
        let read = ["10ms", "200ms", "1s", "0.5s", "15m", "1.5m", "24h"].map(millis);
        assert_eq!(read, [10, 200, 1000, 500, 900_000, 90_000, 86_400_000]);
    }

    #[test]
    fn what_is_no_interval_is_refused_with_what_to_write() {
        let error = |text: &str| text.parse::<PollInterval>().unwrap_err();
        for text in [
            "", "s", "-1s", "+1s", "1e3s", "inf s", "infs", "nans", "1 s", "1S", "1min", "1d", ".5s",
            "1..5s", "\u{661}s", "1s1s",
        ] {
            let error = error(text);
            assert!(error.contains("such as 1s") || error.contains("such as 200ms"), "{text}: {error}");
        }
        assert!(error("5").contains("has no unit"));
        for text in ["0s", "9ms", "9.999ms", "0.001s"] {
            assert!(error(text).contains("too short"), "{text}");
        }
        for text in ["25h", "86400001ms", "99999999999999999999999999h"] {
            assert!(error(text).contains("too long"), "{text}");
        }
    }
}
