//! [`ViewText`]: the query of a view as the words that it is made of, however a server prints it.
//!
//! The server prints a view's query with line breaks, quotes, and the names of tables and schemas before others as it likes, which
//! differs between versions and with the `search_path`. What these names mean is known from the view's dependencies; so they are left out.

/// The words of a query.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ViewText(Vec<String>);

impl ViewText {
    pub(super) fn parse(query: &str) -> Self {
        let mut words: Vec<String> = Vec::new();
        let mut rest = query.trim().trim_end_matches(';');
        while let Some((word, after)) = next_word(rest) {
            rest = after;
            if word == "." {
                // What is before it says where the next name belongs.
                words.pop();
            } else {
                words.push(word);
            }
        }
        Self(words)
    }
}

/// The first word of a text, without quotes, and what is after it. Punctuation is a word each.
fn next_word(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start();
    let first = text.chars().next()?;
    if first == '"' {
        return Some(quoted_word(&text[1..]));
    }
    let end = match is_plain(first) {
        true => text.find(|character| !is_plain(character)).unwrap_or(text.len()),
        false => first.len_utf8(),
    };
    Some((text[..end].to_owned(), &text[end..]))
}

fn is_plain(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

/// The name before a closing quote, which is not doubled, and what is after it. A mark keeps what is no plain name apart from punctuation.
fn quoted_word(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"').unwrap_or(rest.len());
        name.push_str(&rest[..end]);
        rest = rest.get(end + 1..).unwrap_or_default();
        match rest.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None if name.chars().all(is_plain) => return (name, rest),
            None => return (format!("\"{name}"), rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(left: &str, right: &str) -> bool {
        ViewText::parse(left) == ViewText::parse(right)
    }

    #[test]
    fn a_query_is_the_same_however_it_is_printed() {
        let ours = "SELECT \"ts_utc\", \"a\"\"b\", \"s\".\"f\"(\"x\", 60) AS \"r2\" FROM \"s\".\"fit_t\"";
        for printed in [
            " SELECT fit_t.ts_utc,\n    fit_t.\"a\"\"b\",\n    s.f(fit_t.x, 60) AS r2\n   FROM s.fit_t;",
            " SELECT ts_utc,\n    \"a\"\"b\",\n    f(x, 60) AS r2\n   FROM fit_t;",
        ] {
            assert!(same(ours, printed), "{printed}");
        }
        for other in [
            "SELECT ts_utc, \"a\"\"b\", s.f(x, 61) AS r2 FROM s.fit_t",
            "SELECT ts_utc, \"a\"\"b\", s.f(x, 60) AS r2 FROM s.fit_t WHERE true",
            "SELECT ts_utc, \"a\"\"b\", s.f(x, 60) + 0 AS r2 FROM s.fit_t",
            "SELECT ts_utc, ab, s.f(x, 60) AS r2 FROM s.fit_t",
            "SELECT ts_utc, \"a\"\"b\", s.f(x, 60) AS r3 FROM s.fit_t",
            "SELECT ts_utc, \"a\"\"b\", - s.f(x, 60) AS r2 FROM s.fit_t",
            "",
        ] {
            assert!(!same(ours, other), "{other}");
        }
    }

    #[test]
    fn names_may_hold_anything() {
        assert!(same("SELECT \"a.b (c)\" FROM \"x.y\"", "SELECT \"x.y\".\"a.b (c)\" FROM \"x.y\""));
        assert!(!same("SELECT \"a,b\"", "SELECT a, b"));
        assert!(!same("SELECT a \".\" b", "SELECT a.b"));
        assert_eq!(ViewText::parse("\"open").0, ["open"]);
    }
}
