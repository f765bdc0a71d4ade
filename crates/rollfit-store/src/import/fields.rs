//! The fields of one line of delimited text.
//!
//! A field may stand in double quotes, and then hold the delimiter; a quote left open ends with the line,
//! because a row is a line here.

/// Iterates over the fields of a line, from the left, without copying.
pub(super) struct Fields<'a> {
    rest: Option<&'a str>,
    delimiter: u8,
}

impl<'a> Fields<'a> {
    pub(super) fn new(line: &'a str, delimiter: u8) -> Self {
        Self { rest: Some(line), delimiter }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let quoted = rest.strip_prefix('"').map(|inner| split_quoted(inner, self.delimiter));
        let (field, tail) = quoted.unwrap_or_else(|| split_at(rest, 0, self.delimiter));
        self.rest = tail;
        Some(field)
    }
}

/// Splits at the first delimiter at or after byte `from`.
fn split_at(text: &str, from: usize, delimiter: u8) -> (&str, Option<&str>) {
    let found = text.as_bytes().iter().skip(from).position(|byte| *byte == delimiter);
    // The delimiter is ASCII, so that both sides of it are whole characters.
    found.map_or((text, None), |at| (&text[..from + at], Some(&text[from + at + 1..])))
}

/// Splits behind the closing quote; what stands between it and the delimiter is ignored.
fn split_quoted(inner: &str, delimiter: u8) -> (&str, Option<&str>) {
    let end = closing_quote(inner.as_bytes());
    (&inner[..end], split_at(inner, end, delimiter).1)
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
    fn quotes_hold_delimiters() {
        assert_eq!(fields(r#""a,b",c"#), ["a,b", "c"]);
        assert_eq!(fields(r#""a","b""#), ["a", "b"]);
        assert_eq!(fields(r#""a""b",c"#), [r#"a""b"#, "c"]);
        assert_eq!(fields(r#""a"x,c"#), ["a", "c"]);
        assert_eq!(fields(r#""",c"#), ["", "c"]);
    }

    #[test]
    fn an_open_quote_ends_with_the_line() {
        assert_eq!(fields(r#"1,"199    13"#), ["1", "199    13"]);
        assert_eq!(fields("\""), [""]);
    }
}
