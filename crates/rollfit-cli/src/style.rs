//! Colours on terminals. They only repeat what the words say, and are of the eight that every terminal has: red, green and magenta, which
//! can be read on light and on dark. Never in JSON, and in files and pipes only where the user says so.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{stderr, stdout};
use std::sync::OnceLock;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::builder::Styles;

const BOLD: Style = Style::new().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DOUBTFUL: Style = AnsiColor::Magenta.on_default();
const GOOD: Style = AnsiColor::Green.on_default();

/// The words of states, verdicts and results that have a colour.
const WORDS: [(Style, &[&str]); 3] = [
    (BAD, &["failed", "different", "mismatch", "mismatches", "PROBLEM", "problem", "problems"]),
    (
        DOUBTFUL,
        &[
            "definition-changed",
            "foreign",
            "shrunk",
            "blocked",
            "newer",
            "absent",
            "skipped",
            "interrupted",
            "Interrupted",
            "WARNING",
            "UNKNOWN",
        ],
    ),
    (GOOD, &["done", "finished", "verified", "OK"]),
];

/// Takes the user's choice from the command line as typed: help and errors of the command line have colours too.
pub(crate) fn choose(typed: &[OsString]) {
    match typed_choice(typed) {
        Some("always") => ColorChoice::Always.write_global(),
        Some("never") => ColorChoice::Never.write_global(),
        _ => {}
    }
}

/// The last value of `--color`.
fn typed_choice(typed: &[OsString]) -> Option<&str> {
    let words: Vec<&str> =
        typed.iter().map_while(|word| word.to_str()).take_while(|word| *word != "--").collect();
    let value = |at: usize| match words[at].strip_prefix("--color")? {
        "" => words.get(at + 1).copied(),
        rest => rest.strip_prefix('='),
    };
    (0..words.len()).rev().find_map(value)
}

/// The styles of help and of errors of the command line: yellow, which the library has for what was mistyped, vanishes on white.
pub(crate) fn of_help() -> Styles {
    Styles::styled().invalid(DOUBTFUL)
}

/// Has the parser of the command line write its help to stdout, or its errors to stderr, as all else is written there.
pub(crate) fn choose_for_help(is_error: bool) {
    let is_coloured = if is_error { on_stderr() } else { on_stdout() };
    if !is_coloured {
        ColorChoice::Never.write_global();
    }
}

/// Whether a stream has colours: as `--color` says, else `NO_COLOR` and `CLICOLOR_FORCE`, else if it is a terminal.
fn has_colours(stream: &impl RawStream) -> bool {
    let is_wanted = AutoStream::choice(stream) != ColorChoice::Never;
    // To the library any value forces; 0 is for "as if it were not set".
    let is_zero = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value == "0");
    let is_left_to_terminal = is_zero && ColorChoice::global() == ColorChoice::Auto;
    is_wanted && (!is_left_to_terminal || stream.is_terminal() && !console::is_dumb())
}

/// Whether stdout has colours.
fn on_stdout() -> bool {
    static ON: OnceLock<bool> = OnceLock::new();
    *ON.get_or_init(|| has_colours(&stdout()))
}

/// The same of stderr.
fn on_stderr() -> bool {
    static ON: OnceLock<bool> = OnceLock::new();
    *ON.get_or_init(|| has_colours(&stderr()))
}

/// A line for stdout, which is safe to print already, in colour where that is wanted.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    if on_stdout() { painted_line(text) } else { Cow::Borrowed(text) }
}

/// A message for stderr, in the same way.
pub(crate) fn message(text: &str) -> Cow<'_, str> {
    if on_stderr() { painted_message(text) } else { Cow::Borrowed(text) }
}

/// The heading of a table's column.
pub(crate) fn heading(text: String) -> String {
    if on_stdout() { paint(BOLD, &text) } else { text }
}

/// A cell of a table that may be a state, with the spaces after it.
pub(crate) fn state(cell: String) -> String {
    match style_of(cell.trim_end()).filter(|_| on_stdout()) {
        Some(style) => paint(style, &cell),
        None => cell,
    }
}

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

fn style_of(word: &str) -> Option<Style> {
    WORDS.iter().find(|(_, words)| words.contains(&word)).map(|(style, _)| *style)
}

/// Colours the label of an error or a warning, which may have its time before it.
fn painted_message(text: &str) -> Cow<'_, str> {
    let is_time = |(time, _): &(&str, &str)| time.parse::<jiff::Timestamp>().is_ok();
    let (stamp, message) = match text.split_once(' ').filter(is_time) {
        Some((time, message)) => (&text[..=time.len()], message),
        None => ("", text),
    };
    for (label, style) in [("error:", BAD), ("warning:", DOUBTFUL.bold())] {
        if let Some(rest) = message.strip_prefix(label) {
            return Cow::Owned(format!("{stamp}{}{rest}", paint(style, label)));
        }
    }
    painted_line(text)
}

/// Colours the states and counts in a line, which stand alone between commas, colons and the like: `  eurusd 2017-01: failed: ...`,
/// `9 partitions: 8 written, 1 failed`.
fn painted_line(text: &str) -> Cow<'_, str> {
    if text.trim_start_matches('\n').starts_with("== ") {
        return Cow::Owned(paint(BOLD, text));
    }
    let mut painted = String::with_capacity(text.len() + 32);
    let parts = text.split_inclusive(": ").flat_map(|part| part.split_inclusive(", "));
    for piece in parts.flat_map(|part| part.split_inclusive("; ")) {
        let word = piece.trim().trim_end_matches([':', ',', ';', '.']);
        match style_of_piece(word) {
            Some(style) => painted.push_str(&piece.replacen(word, &paint(style, word), 1)),
            None => painted.push_str(piece),
        }
    }
    Cow::Owned(painted)
}

/// The style of a state, or of a count of something other than nothing: `3 failed`.
fn style_of_piece(piece: &str) -> Option<Style> {
    match piece.split_once(' ') {
        None => style_of(piece),
        Some((count, word)) if is_some_count(count) => style_of(word),
        Some((label @ ("OK" | "WARNING" | "PROBLEM" | "UNKNOWN"), _)) => style_of(label),
        Some(_) => None,
    }
}

fn is_some_count(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b',')
        && text.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a line becomes, with colours as letters.
    fn shown(text: &str) -> String {
        let styles = [("R", BAD), ("W", DOUBTFUL.bold()), ("M", DOUBTFUL), ("G", GOOD), ("B", BOLD)];
        let painted = painted_message(text).into_owned();
        styles.iter().fold(painted, |text, (letter, style)| {
            text.replace(&format!("{style}"), &format!("<{letter}>")).replace(&format!("{style:#}"), "</>")
        })
    }

    #[test]
    fn states_counts_and_labels_have_colours_and_nothing_else_has() {
        for (text, expected) in [
            ("  eurusd 2017-01: failed: no rows", "  eurusd 2017-01: <R>failed</>: no rows"),
            (
                "9 partitions: 8 written, 0 skipped, 1 failed, 0 not started",
                "9 partitions: 8 written, 0 skipped, <R>1 failed</>, 0 not started",
            ),
            (
                "4 partitions: 2 done, 2 shrunk; about 0 B",
                "4 partitions: <G>2 done</>, <M>2 shrunk</>; about 0 B",
            ),
            ("1,234 failed, 1,000 rows", "<R>1,234 failed</>, 1,000 rows"),
            ("error: it failed", "<R>error:</> it failed"),
            ("warning: eurusd 2017-01: done", "<W>warning:</> eurusd 2017-01: done"),
            ("\n== import: 3 files", "<B>\n== import: 3 files</>"),
            ("OK: all is well", "<G>OK</>: all is well"),
            ("PROBLEM freshness: late", "<R>PROBLEM freshness</>: late"),
            ("it has not failed, and is done with", "it has not failed, and is done with"),
            ("", ""),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn no_letter_is_lost() {
        for text in ["a: b, c; d: failed, 1,234 rows; ", "::, ;", "failed", "failed failed: failed"] {
            assert_eq!(anstream::adapter::strip_str(&painted_line(text)).to_string(), text);
        }
    }
}
