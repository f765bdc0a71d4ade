//! Text of strangers: column and file names, records, lock holders, errors of servers and libraries. It reaches terminals and
//! logs only through here.
//!
//! Invariants: no control character, line break, bidirectional mark or invisible character gets through as it is; each is
//! shown as its escape, so that nothing is lost in silence. A text that is too long keeps both ends.

use std::borrow::Cow;

/// The most characters of a name.
pub const NAME_CHARS_MAX: usize = 200;
/// The most characters of a message.
pub const MESSAGE_CHARS_MAX: usize = 2000;

const LEFT_OUT: &str = " [...] ";

/// The text on one line, at most `chars_max` characters long.
pub fn printable(text: &str, chars_max: usize) -> Cow<'_, str> {
    let text = cut(text, chars_max);
    if !text.contains(is_deceptive) {
        return text;
    }
    let escaped = escaped(&text, is_deceptive);
    // Escapes are longer than what they replace.
    Cow::Owned(cut(&escaped, chars_max).into_owned())
}

/// A name on one line.
pub fn name(text: &str) -> Cow<'_, str> {
    printable(text, NAME_CHARS_MAX)
}

/// A message on one line.
pub fn message(text: &str) -> Cow<'_, str> {
    printable(text, MESSAGE_CHARS_MAX)
}

/// Our own lines, with nothing but line breaks between them, as long as they are.
pub fn lines(text: &str) -> Cow<'_, str> {
    let is_escaped = |c: char| c != '\n' && is_deceptive(c);
    if text.contains(is_escaped) { Cow::Owned(escaped(text, is_escaped)) } else { Cow::Borrowed(text) }
}

/// A JSON document with the same meaning, in which what deceives is escaped. JSON escapes most control characters itself.
pub fn json(document: &str) -> Cow<'_, str> {
    let is_escaped = |c: char| c >= '\u{7f}' && is_deceptive(c);
    if !document.contains(is_escaped) {
        return Cow::Borrowed(document);
    }
    let mut units = [0; 2];
    let mut text = String::with_capacity(document.len());
    for c in document.chars() {
        if is_escaped(c) {
            text.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            text.push(c);
        }
    }
    Cow::Owned(text)
}

/// Whether a terminal may take it for a command, or a reader may be misled by it.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            // Marks of zero width and of direction; separators of lines and paragraphs.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            // Annotations and tags.
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// The first two thirds and the last third of what is allowed.
fn cut(text: &str, chars_max: usize) -> Cow<'_, str> {
    // Bytes are at least as many as characters, and counting is for those that may be too long.
    if text.len() <= chars_max || text.chars().count() <= chars_max {
        return Cow::Borrowed(text);
    }
    let kept = chars_max.saturating_sub(LEFT_OUT.len());
    let (first, last) = (kept - kept / 3, kept / 3);
    let head = text.char_indices().nth(first).map_or(text, |(at, _)| &text[..at]);
    let tail = text.char_indices().rev().take(last).last().map_or("", |(at, _)| &text[at..]);
    Cow::Owned(format!("{head}{LEFT_OUT}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_deceives_gets_through_and_nothing_is_lost() {
        let evil =
            "a\u{1b}[31m\u{9b}2J\r\nb\tc\u{7}\u{202e}\u{2066}\u{200f}\u{61c}\u{2028}\u{feff}\u{e0041}\u{0}d";
        let shown = name(evil);
        assert!(!shown.contains(is_deceptive), "{shown:?}");
        assert!(shown.starts_with("a\\u{1b}[31m\\u{9b}2J\\r\\nb\\tc\\u{7}\\u{202e}"), "{shown}");
        assert_eq!(name(&shown), shown, "what is printable stays as it is");
        assert_eq!(name("Kurs é 收盘 😀"), "Kurs é 收盘 😀");
    }

    #[test]
    fn what_is_too_long_keeps_both_ends() {
        for text in
            ["ü".repeat(100_000), "\u{1b}".repeat(100_000), format!("first {} last", "x".repeat(5000))]
        {
            let shown = name(&text);
            assert!(shown.chars().count() <= NAME_CHARS_MAX, "{}", shown.len());
            assert!(shown.contains(LEFT_OUT));
        }
        let shown = message(&format!("first {} last", "x".repeat(5000))).into_owned();
        assert!(shown.starts_with("first x") && shown.ends_with("x last"), "{shown}");
        assert_eq!(message(&"é".repeat(MESSAGE_CHARS_MAX)).chars().count(), MESSAGE_CHARS_MAX);
    }

    #[test]
    fn errors_of_stores_and_their_causes_are_printable() {
        let evil = "\u{1b}[2J\nFAKE\u{202e}".to_owned() + &"x".repeat(100_000);
        let error = crate::store::StoreError::caused_by(
            crate::store::Fault::Permanent,
            format!("cannot read {evil}"),
            std::io::Error::other(evil),
        );
        let chain = crate::error_chain(&error);
        assert!(!chain.contains(is_deceptive), "{chain:?}");
        assert!(chain.starts_with("cannot read \\u{1b}[2J\\nFAKE") && chain.len() < 5000);
    }

    #[test]
    fn our_own_lines_stay_and_json_keeps_its_meaning() {
        assert_eq!(lines("a\nb\u{1b}c"), "a\nb\\u{1b}c");
        let text = "\u{7f}\u{9b}\u{202e}\u{e0041}é\n\u{1b}";
        let document = json(&serde_json::to_string(text).unwrap()).into_owned();
        assert!(!document.contains(is_deceptive), "{document:?}");
        assert_eq!(serde_json::from_str::<String>(&document).unwrap(), text);
    }
}
