//! [`ConfigError`]: a configuration that cannot be used: what, where, and what to do.

use super::CONFIG_BYTES_MAX;
use crate::foreign;
use crate::nearest::nearest;

/// A configuration that cannot be used: what, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    message: String,
}

impl ConfigError {
    /// The message is one line and safe to print, whatever names the text and the environment have.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: foreign::message(&message.into()).into_owned() }
    }

    /// The error of a configuration that is longer than [`CONFIG_BYTES_MAX`].
    pub fn too_long() -> Self {
        Self::new(format!(
            "it has more than {} MB; list fewer keys, or move them out with keys = \"all\"",
            CONFIG_BYTES_MAX >> 20
        ))
    }

    pub(super) fn with_note(mut self, note: &str) -> Self {
        self.message = format!("{} ({})", self.message.trim_end(), foreign::message(note));
        self
    }

    /// An error of the TOML reader; names the nearest known key where one is unknown.
    /// It names the line and not its text, which may be a secret.
    pub(super) fn toml(text: &str, error: &toml::de::Error) -> Self {
        let place = error.span().map(|span| place_in(text, span.start)).unwrap_or_default();
        let line = error.span().map(|span| line_at(text, span.start)).unwrap_or_default();
        let what = advice_on_month(line, error.message())
            .unwrap_or_else(|| in_plain_words(error.message().replace('\n', ": ")));
        let what = match nearest_key(error.message()) {
            // Before the names that are known, which may be many.
            Some(known) => what.replacen(", expected ", &format!("; did you mean `{known}`? Expected: "), 1),
            None => what,
        };
        Self::new(format!("{place}{what}").trim_end())
    }
}

/// What to write for a month of `[partitions]` that is no text, or is missing; none where the error is another.
fn advice_on_month(line: &str, message: &str) -> Option<String> {
    for (key, word) in [("from", "first"), ("to", "latest")] {
        if message == format!("missing field `{key}`") {
            return Some(format!(
                "`{key}` is missing: write {key} = \"{word}\", or a month such as \"2017-01\""
            ));
        }
    }
    let (key, value) = line.split_once('=')?;
    let (key, value) = (key.trim(), value.split('#').next()?.trim());
    let is_month = value.starts_with(|c: char| c.is_ascii_digit())
        && value.contains('-')
        && value.chars().all(|c| c.is_ascii_digit() || "-:TZ ".contains(c));
    // A date has a day too, which a month has not.
    let month = value.get(..7).unwrap_or(value);
    (["from", "to"].contains(&key) && is_month)
        .then(|| format!("write the month in quotes: {key} = \"{month}\""))
}

/// The line of a byte.
fn line_at(text: &str, at: usize) -> &str {
    let before = text.get(..at).unwrap_or(text);
    text.lines().nth(before.matches('\n').count()).unwrap_or_default()
}

/// The place of a byte, as people count.
fn place_in(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    let shown = without_value(line_at(text, at));
    format!("TOML parse error at line {line}, column {column}{shown}: ")
}

/// A section, or the key of a line: its value may be a secret.
fn without_value(line: &str) -> String {
    match line.split_once('=') {
        Some((key, _)) => format!(" (`{} = ...`)", key.trim()),
        None if line.starts_with('[') => format!(" (`{}`)", line.trim()),
        None => String::new(),
    }
}

/// What values are called by those who write them.
fn in_plain_words(message: String) -> String {
    const WORDS: [(&str, &str); 3] = [
        ("expected i64", "expected a whole number"),
        ("expected u32", "expected a whole number"),
        ("expected f64", "expected a number"),
    ];
    WORDS.into_iter().fold(message, |message, (theirs, ours)| message.replace(theirs, ours))
}

/// From "unknown field `a`, expected one of `b`, `c`" the expected name nearest to the unknown one.
fn nearest_key(message: &str) -> Option<String> {
    let names: Vec<&str> = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2).collect();
    let (unknown, known) = names.split_first()?;
    nearest(unknown, known.iter().copied()).map(str::to_owned)
}
