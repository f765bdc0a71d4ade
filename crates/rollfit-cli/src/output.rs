//! What commands print to stdout: lines for people, or one JSON document; and numbers as people read them.

use std::io::{self, Write};

use rollfit_job::foreign;

/// Prints one line; line breaks before and after it stay, those within it are escaped.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let body = text.trim_start_matches('\n');
    let (before, body) = (&text[..text.len() - body.len()], body.trim_end_matches('\n'));
    let after = &text[before.len() + body.len()..];
    write(&format!("{before}{}{after}", foreign::printable(body, usize::MAX)))
}

/// Prints lines of our own making.
pub(crate) fn lines(text: &str) -> io::Result<()> {
    write(&foreign::lines(text))
}

/// Prints a JSON document, indented.
pub(crate) fn json(document: &impl serde::Serialize) -> io::Result<()> {
    let text = serde_json::to_string_pretty(document).map_err(io::Error::other)?;
    write(&foreign::json(&text))
}

/// Prints a document as JSON where that is wanted, and with `print` elsewhere.
pub(crate) fn document<D: serde::Serialize, E: From<io::Error>>(
    is_json: bool,
    document: &D,
    print: impl FnOnce(&D) -> Result<(), E>,
) -> Result<(), E> {
    if is_json { Ok(json(document)?) } else { print(document) }
}

/// Prints a JSON document on one line.
pub(crate) fn json_line(document: &impl serde::Serialize) -> io::Result<()> {
    let text = serde_json::to_string(document).map_err(io::Error::other)?;
    write(&foreign::json(&text))
}

/// A reader that went away is no fault of ours, and changes nothing about how the command went.
fn write(text: &str) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), format!("cannot write to stdout: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Prints rows under headings, columns as wide as they need to be; the last column is not padded.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| printable_cells(row)).collect();
    let width = |at: usize| {
        rows.iter()
            .chain([&headings])
            .filter_map(|row| row.get(at))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    for row in std::iter::once(&headings).chain(&rows) {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, &width))| {
            if at + 1 == widths.len() { cell.clone() } else { format!("{cell:<width$}") }
        });
        line(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// The cells of a row, safe to print; the last may hold a message, the others names.
fn printable_cells(row: &[String]) -> Vec<String> {
    let shown = |(at, cell): (usize, &String)| {
        if at + 1 == row.len() { foreign::message(cell) } else { foreign::name(cell) }.into_owned()
    };
    row.iter().enumerate().map(shown).collect()
}

/// `10381974` as `10,381,974`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let grouped: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    grouped.join(",")
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

/// Seconds as clocks show them, without hours where there are none: `1:20`, `3:02:11`.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A time in the unit that suits it: `250 ms`, `12.3 s`, `4.5 min`, `3.1 h`.
pub(crate) fn time(seconds: f64) -> String {
    let unit = TimeUnit::of(seconds);
    format!("{} {}", unit.number(seconds), unit.name)
}

/// A unit of time, with as many digits after the point as are told of it.
pub(crate) struct TimeUnit {
    pub(crate) name: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) seconds: f64,
    digits: usize,
}

impl TimeUnit {
    /// The unit in which so many seconds read well.
    pub(crate) fn of(seconds: f64) -> Self {
        let (name, plural, unit_s, digits) = match seconds {
            0.0 => ("s", "seconds", 1.0, 0),
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

/// `1 partition`, `2 partitions`.
pub(crate) fn plural(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 10_381_974].map(count), ["0", "999", "1,000", "10,381,974"]);
        assert_eq!(
            [0, 999, 1000, 999_950, 14_200_000_000].map(bytes),
            ["0 B", "999 B", "1.0 kB", "1.0 MB", "14.2 GB"]
        );
        assert_eq!([0.4, 79.6, 10_931.0].map(duration), ["0:00", "1:20", "3:02:11"]);
        assert_eq!(
            [0.0, 0.25, 0.9996, 59.94, 90.0, 11_160.0].map(time),
            ["0 s", "250 ms", "1.0 s", "59.9 s", "1.5 min", "3.1 h"]
        );
        assert_eq!([1, 2].map(|n| plural(n, "row")), ["1 row", "2 rows"]);
    }
}
