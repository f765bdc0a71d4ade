//! Numbers of an analysis as people read them: times, shares, ranges.
//!
//! Holds true: what was measured is told as it is; what is estimated is told with three digits, for more would not be true.

use rollfit_analysis::Estimate;

use crate::output::{TimeUnit, count, time};

/// What stands where a figure cannot be told.
pub(super) const UNKNOWN: &str = "-";

/// A share of 0 to 1 as `43%`, small ones as `4.3%`.
pub(super) fn share(share: f64) -> String {
    let percent = share * 100.0;
    if percent.abs() < 9.95 && percent != 0.0 { format!("{percent:.1}%") } else { format!("{percent:.0}%") }
}

/// Rows a second as measured.
pub(super) fn rate(rows_per_s: f64) -> String {
    if rows_per_s < 10.0 { format!("{rows_per_s:.1}") } else { count(rows_per_s.round() as u64) }
}

/// Bytes a second.
pub(super) fn byte_rate(bytes_per_s: f64) -> String {
    format!("{}/s", crate::output::bytes(bytes_per_s.round() as u64))
}

/// Cores, workers, a load average: one digit after the point, none where it is whole.
pub(super) fn quantity(number: f64) -> String {
    let rounded = (number * 10.0).round() / 10.0;
    if rounded.fract() == 0.0 { format!("{rounded:.0}") } else { format!("{rounded:.1}") }
}

/// `82,000 (75,000–90,000)`.
pub(super) fn estimated_rate(estimate: &Estimate) -> String {
    let number = |rows_per_s: f64| rate(three_digits(rows_per_s));
    with_range(number(estimate.expected), "", estimate, number)
}

/// `3.1 h (2.8–3.5 h)`.
pub(super) fn estimated_time(seconds: &Estimate) -> String {
    let unit = TimeUnit::of(seconds.expected);
    with_range(time(seconds.expected), &format!(" {}", unit.name), seconds, |s| unit.number(s))
}

/// `1.90 times as fast (1.70–2.10)`.
pub(super) fn estimated_gain(gain: &Estimate) -> String {
    let number = |times: f64| format!("{times:.2}");
    with_range(format!("{} times as fast", number(gain.expected)), "", gain, number)
}

/// What is expected with its range, where it has one that can be told apart.
fn with_range(expected: String, unit: &str, range: &Estimate, number: impl Fn(f64) -> String) -> String {
    let (low, high) = (number(range.low), number(range.high));
    if low == high { expected } else { format!("{expected} ({low}–{high}{unit})") }
}

fn three_digits(number: f64) -> f64 {
    if number <= 0.0 || !number.is_finite() {
        return number;
    }
    let unit = 10f64.powf(number.log10().floor() - 2.0);
    (number / unit).round() * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(low: f64, expected: f64, high: f64) -> Estimate {
        Estimate { low, expected, high }
    }

    #[test]
    fn shares_and_quantities_have_as_many_digits_as_matter() {
        assert_eq!([0.0, 0.004, 0.043, 0.4349, 1.0].map(share), ["0%", "0.4%", "4.3%", "43%", "100%"]);
        assert_eq!([0.0, 2.0, 2.04, 2.26].map(quantity), ["0", "2", "2", "2.3"]);
        assert_eq!([0.0, 3.25, 81_234.4].map(rate), ["0.0", "3.2", "81,234"]);
    }

    #[test]
    fn estimates_have_their_range_and_three_digits() {
        assert_eq!(estimated_rate(&estimate(75_112.0, 81_954.0, 90_049.0)), "82,000 (75,100–90,000)");
        assert_eq!(estimated_rate(&estimate(100.0, 100.0, 100.0)), "100");
        assert_eq!(estimated_time(&estimate(3_240.0, 3_600.0, 5_400.0)), "1.0 h (0.9–1.5 h)");
        assert_eq!(estimated_gain(&estimate(1.7, 1.9, 2.1)), "1.90 times as fast (1.70–2.10)");
    }
}
