//! Numbers as people read them: the one formatter of the command. `12.3 M rows/s`, `78.2 MB`, `1.4 s`, `37 %`, `3.6x`.
//!
//! Invariants: what was measured is written as it is; what is estimated has three digits, for more would not be true.

use rollfit_analysis::Estimate;

/// Shown for an unknown figure.
pub(crate) const UNKNOWN: &str = "-";

/// `10381974` as `10,381,974`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let grouped: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    grouped.join(",")
}

/// `1 partition`, `2 partitions`.
pub(crate) fn plural(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number as u64))
}

/// Bytes in decimal units, as disks are sold.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{number} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// Bytes a second: `78.2 MB/s`.
pub(crate) fn byte_rate(bytes_per_s: f64) -> String {
    format!("{}/s", bytes(bytes_per_s.round() as u64))
}

/// A number a second, of what is named behind it: `3.2`, `81,234`, `12.3 M`.
pub(crate) fn rate(number_per_s: f64) -> String {
    match number_per_s {
        few if few < 10.0 => format!("{few:.1}"),
        some if some < 999_999.5 => count(some.round() as u64),
        many => format!("{:.1} M", many / 1e6),
    }
}

/// Seconds as clocks show them, without hours where there are none: `1:20`, `3:02:11`.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A time in the unit that suits it: `250 ms`, `12.3 s`, `4.5 min`, `3.1 h`.
pub(crate) fn time(seconds: f64) -> String {
    let unit = TimeUnit::new(seconds);
    format!("{} {}", unit.number(seconds), unit.name)
}

/// How old something is: as [`time`], from two days on in days: `24.9 days`.
pub(crate) fn age(seconds: f64) -> String {
    const DAY_S: f64 = 24.0 * 60.0 * 60.0;
    if seconds < 2.0 * DAY_S { time(seconds) } else { format!("{:.1} days", seconds / DAY_S) }
}

/// A unit of time, with as many digits after the point as are written of it.
pub(crate) struct TimeUnit {
    pub(crate) name: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) seconds: f64,
    digits: usize,
}

impl TimeUnit {
    /// The unit in which this many seconds read well.
    pub(crate) fn new(seconds: f64) -> Self {
        let (name, plural, unit_s, digits) = match seconds {
            0.0 => ("s", "seconds", 1.0, 0),
            s if s < 0.009_95 => ("ms", "milliseconds", 1e-3, 1),
            s if s < 0.9995 => ("ms", "milliseconds", 1e-3, 0),
            s if s < 59.95 => ("s", "seconds", 1.0, 1),
            s if s < 3597.0 => ("min", "minutes", 60.0, 1),
            _ => ("h", "hours", 3600.0, 1),
        };
        Self { name, plural, seconds: unit_s, digits }
    }

    /// So many seconds in this unit.
    pub(crate) fn number(&self, seconds: f64) -> String {
        format!("{:.*}", self.digits, seconds / self.seconds)
    }
}

/// A share of 0 to 1 as `43 %`, small ones as `4.3 %`.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent.abs() < 9.95 && percent != 0.0 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

/// Cores, workers, a load average: one digit after the point, none where it is whole.
pub(crate) fn quantity(number: f64) -> String {
    let rounded = (number * 10.0).round() / 10.0;
    if rounded.fract() == 0.0 { format!("{rounded:.0}") } else { format!("{rounded:.1}") }
}

/// Factors below this have two digits after the point.
const FEW: f64 = 1.995;

/// How many times as fast: `1.74x`, `3.6x`.
pub(crate) fn factor(times: f64) -> String {
    if times < FEW { format!("{times:.2}x") } else { format!("{times:.1}x") }
}

/// `82,000 (75,000–90,000)`.
pub(crate) fn estimated_rate(estimate: &Estimate) -> String {
    let number = |number_per_s: f64| rate(three_digits(number_per_s));
    with_range(number(estimate.expected), "", estimate, number)
}

/// `3.1 h (2.8–3.5 h)`.
pub(crate) fn estimated_time(seconds: &Estimate) -> String {
    let unit = TimeUnit::new(seconds.expected);
    if unit.name == "ms" && TimeUnit::new(seconds.high).name != "ms" {
        return format!("{} ({})", time(seconds.expected), between_times(seconds.low, seconds.high));
    }
    with_range(time(seconds.expected), &format!(" {}", unit.name), seconds, |s| unit.number(s))
}

/// Two times that something lies between, with one unit where one suits both: `2.5–6.3 min`, `30.2 s–2.0 min`.
pub(crate) fn between_times(low_s: f64, high_s: f64) -> String {
    let (low, high) = (TimeUnit::new(low_s), TimeUnit::new(high_s));
    match (time(low_s), time(high_s)) {
        (low, high) if low == high => high,
        (_, told) if low.name == high.name => format!("{}–{told}", low.number(low_s)),
        (low, high) => format!("{low}–{high}"),
    }
}

/// Rates that something lies between: `75,100–90,000`.
pub(crate) fn between_rates(low_per_s: f64, high_per_s: f64) -> String {
    format!("{}–{}", rate(three_digits(low_per_s)), rate(three_digits(high_per_s)))
}

/// `3.6x (3.1x–3.9x)`.
pub(crate) fn estimated_factor(times: &Estimate) -> String {
    let digits = if times.expected < FEW { 2 } else { 1 };
    with_range(factor(times.expected), "", times, |times| format!("{times:.digits$}x"))
}

/// What is expected with its range, if the range differs from it.
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
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 10_381_974].map(count), ["0", "999", "1,000", "10,381,974"]);
        assert_eq!(
            [0, 999, 1000, 999_950, 14_200_000_000].map(bytes),
            ["0 B", "999 B", "1.0 kB", "1.0 MB", "14.2 GB"]
        );
        assert_eq!([0.4, 79.6, 10_931.0].map(duration), ["0:00", "1:20", "3:02:11"]);
        assert_eq!(
            [0.0, 0.0012, 0.25, 0.9996, 59.94, 90.0, 11_160.0].map(time),
            ["0 s", "1.2 ms", "250 ms", "1.0 s", "59.9 s", "1.5 min", "3.1 h"]
        );
        assert_eq!([5400.0, 172_799.0, 172_800.0].map(age), ["1.5 h", "48.0 h", "2.0 days"]);
        assert_eq!([1, 2].map(|n| plural(n, "row")), ["1 row", "2 rows"]);
    }

    #[test]
    fn shares_and_quantities_have_as_many_digits_as_matter() {
        assert_eq!([0.0, 0.004, 0.043, 0.4349, 1.0].map(percent), ["0 %", "0.4 %", "4.3 %", "43 %", "100 %"]);
        assert_eq!([0.0, 2.0, 2.04, 2.26].map(quantity), ["0", "2", "2", "2.3"]);
        assert_eq!([0.0, 3.25, 81_234.4, 12_345_678.0].map(rate), ["0.0", "3.2", "81,234", "12.3 M"]);
        assert_eq!([1.0, 1.744, 3.57, 12.04].map(factor), ["1.00x", "1.74x", "3.6x", "12.0x"]);
    }

    #[test]
    fn estimates_have_their_range_and_three_digits() {
        assert_eq!(estimated_rate(&estimate(75_112.0, 81_954.0, 90_049.0)), "82,000 (75,100–90,000)");
        assert_eq!(estimated_rate(&estimate(100.0, 100.0, 100.0)), "100");
        assert_eq!(estimated_time(&estimate(0.836, 0.99, 2.837)), "990 ms (836 ms–2.8 s)");
        assert_eq!(estimated_time(&estimate(0.5, 0.6, 0.7)), "600 ms (500–700 ms)");
        assert_eq!(estimated_time(&estimate(3_240.0, 3_600.0, 5_400.0)), "1.0 h (0.9–1.5 h)");
        assert_eq!(estimated_factor(&estimate(1.7, 1.9, 2.1)), "1.90x (1.70x–2.10x)");
        assert_eq!(
            [(150.0, 378.0), (30.2, 120.0), (30.2, 30.2)].map(|(low, high)| between_times(low, high)),
            ["2.5–6.3 min", "30.2 s–2.0 min", "30.2 s"]
        );
        assert_eq!(between_rates(75_112.0, 90_049.0), "75,100–90,000");
    }
}
