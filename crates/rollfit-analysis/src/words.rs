//! Numbers as the sentences of an analysis tell them.

/// `0.1234` as `12%`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// Three digits that matter: `0.0123`, `1.23`, `123`; thousands with commas.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 99.95 {
        return grouped(value.round());
    }
    let decimals = if size >= 9.995 {
        1
    } else if size >= 0.9995 || size == 0.0 {
        2
    } else {
        3
    };
    let text = format!("{value:.decimals$}");
    let trimmed = text.trim_end_matches('0').trim_end_matches('.');
    if trimmed.is_empty() || trimmed == "-" { "0".to_owned() } else { trimmed.to_owned() }
}

/// Seconds as the unit that fits.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{} ms", number(seconds * 1e3))
    } else if seconds < 120.0 {
        format!("{} s", number(seconds))
    } else if seconds < 7200.0 {
        format!("{} min", number(seconds / 60.0))
    } else {
        format!("{} h", number(seconds / 3600.0))
    }
}

/// Bytes in decimal units.
pub(super) fn bytes(count: f64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut value = count / 1e3;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1e3;
        unit += 1;
    }
    format!("{} {}", number(value), UNITS[unit])
}

/// `1 worker`, `2 workers`.
pub(super) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(count as f64))
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    format!("{}{}", if value < 0.0 { "-" } else { "" }, groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let told = [0.0, 0.01234, 0.5, 1.0, 1.239, 12.34, 123.4, 12345.6].map(number);
        assert_eq!(told, ["0", "0.012", "0.5", "1", "1.24", "12.3", "123", "12,346"]);
    }

    #[test]
    fn durations_and_bytes_have_a_unit_that_fits() {
        assert_eq!([0.0123, 5.0, 150.0, 9000.0].map(duration), ["12.3 ms", "5 s", "2.5 min", "2.5 h"]);
        assert_eq!([1500.0, 2.5e6, 3e9].map(bytes), ["1.5 kB", "2.5 MB", "3 GB"]);
        assert_eq!((counted(1, "worker"), counted(1200, "row")), ("1 worker".into(), "1,200 rows".into()));
    }
}
