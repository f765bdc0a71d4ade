//! Lines and values as errors show them: shortened, and safe to print.

use rollfit_job::foreign::printable;

const CHARS_MAX: usize = 100;
/// The longest escape is `\u{e0001}`.
const ESCAPED_CHARS_MAX: usize = 10 * CHARS_MAX;

/// A line or value as an error shows it.
pub(crate) fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(4 * CHARS_MAX)]);
    let head: String = text.chars().take(CHARS_MAX).collect();
    let is_whole = text.len() == line.len() && text.chars().count() <= CHARS_MAX;
    let safe = printable(&head, ESCAPED_CHARS_MAX).into_owned();
    if is_whole { safe } else { safe + "..." }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_line_is_short_and_printable() {
        assert_eq!(shown(b"a\tb\x1b[31m"), "a\\tb\\u{1b}[31m");
        assert_eq!(shown("a\u{202e}b".as_bytes()), "a\\u{202e}b");
        assert_eq!(shown(&[b'x'; 100]), "x".repeat(100));
        assert_eq!(shown(&[b'x'; 101]), "x".repeat(100) + "...");
        assert_eq!(shown(&[b'x'; 5000]), "x".repeat(100) + "...");
        assert_eq!(shown(&[7; 100]), "\\u{7}".repeat(100));
    }
}
