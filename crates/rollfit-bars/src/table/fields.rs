//! The fields of one line of delimited text.
//!
//! A field in double quotes may hold the delimiter. A row is a line, so a quote that does not close in its line breaks
//! the row, as do characters between a closing quote and the delimiter.

use memchr::memchr_iter;

/// Iterates over the fields of a line, from the left, without copying.
pub(crate) struct Fields<'a> {
    rest: Option<&'a str>,
    delimiter: u8,
    broken: bool,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(line: &'a str, delimiter: u8) -> Self {
        Self { rest: Some(line), delimiter, broken: false }
    }

    /// Whether the quotes of the fields so far were unbalanced.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Splits behind the closing quote.
    fn quoted(&mut self, inner: &'a str) -> (&'a str, Option<&'a str>) {
        let end = closing_quote(inner.as_bytes());
        let behind = (end + 1).min(inner.len());
        let (between, tail) = split_at(&inner[behind..], self.delimiter);
        self.broken |= end == inner.len() || !between.trim_ascii().is_empty();
        (&inner[..end], tail)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let (field, tail) = match rest.strip_prefix('"') {
            Some(inner) => self.quoted(inner),
            None => split_at(rest, self.delimiter),
        };
        self.rest = tail;
        Some(field)
    }
}

/// Gives `add` the fields of a line without quotes.
pub(crate) fn for_plain_fields<'a>(line: &'a str, delimiter: u8, mut add: impl FnMut(&'a str)) {
    let mut start = 0;
    // The delimiter is ASCII, so that both sides of it are whole characters.
    for end in memchr_iter(delimiter, line.as_bytes()) {
        add(&line[start..end]);
        start = end + 1;
    }
    add(&line[start..]);
}

/// Splits at the first delimiter.
fn split_at(text: &str, delimiter: u8) -> (&str, Option<&str>) {
    let found = text.as_bytes().iter().position(|byte| *byte == delimiter);
    // The delimiter is ASCII, so that both sides of it are whole characters.
    found.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])))
}

/// The first quote that is not doubled, or the end.
fn closing_quote(inner: &[u8]) -> usize {
    let mut at = 0;
    while at < inner.len() {
        match (inner[at], inner.get(at + 1)) {
            (b'"', Some(b'"')) => at += 2,
            (b'"', _) => return at,
            _ => at += 1,
        }
    }
    inner.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Vec<&str> {
        Fields::new(line, b',').collect()
    }

    #[test]
    fn lines_split_at_the_delimiter() {
        assert_eq!(fields("a,b,c"), ["a", "b", "c"]);
        assert_eq!(fields("a,,c,"), ["a", "", "c", ""]);
        assert_eq!(fields(""), [""]);
        assert_eq!(fields("é,ü"), ["é", "ü"]);
    }

    #[test]
    fn lines_without_quotes_have_the_same_fields() {
        for line in ["a,b,c", "a,,c,", "", ",", "é,ü,", "word"] {
            let mut plain = Vec::new();
            for_plain_fields(line, b',', |field| plain.push(field));
            assert_eq!(plain, fields(line), "{line}");
        }
    }

    #[test]
    fn quotes_hold_delimiters() {
        assert_eq!(fields(r#""a,b",c"#), ["a,b", "c"]);
        assert_eq!(fields(r#""a","b""#), ["a", "b"]);
        assert_eq!(fields(r#""a""b",c"#), [r#"a""b"#, "c"]);
        assert_eq!(fields(r#""" ,c"#), ["", "c"]);
    }

    #[test]
    fn unbalanced_quotes_are_seen() {
        let broken = |line| {
            let mut fields = Fields::new(line, b',');
            fields.by_ref().for_each(drop);
            fields.is_broken()
        };
        for line in [r#"1,"199    13"#, "\"", r#""a"x,c"#, r#""1"234.5,7"#] {
            assert!(broken(line), "{line}");
        }
        for line in [r#""a","b""#, r#""a" ,b"#, r#"a"b,c"#, "", r#""""#] {
            assert!(!broken(line), "{line}");
        }
    }
}
