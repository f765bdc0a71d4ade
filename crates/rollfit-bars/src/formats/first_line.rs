//! Telling formats apart by the first line of a file.

/// Whether a line begins with a pattern, in which 9 means any digit.
pub(super) fn begins_like(line: &str, pattern: &str) -> bool {
    let mut found = line.bytes();
    pattern.bytes().all(|wanted| match (wanted, found.next()) {
        (b'9', Some(byte)) => byte.is_ascii_digit(),
        (wanted, byte) => byte == Some(wanted),
    })
}

/// Whether a line has columns of all these names, given in small letters, between tabs, commas or semicolons.
pub(super) fn has_columns(line: &str, names: &[&str]) -> bool {
    let has = |name: &str| {
        line.split(['\t', ',', ';']).any(|column| column.trim().trim_matches('"').eq_ignore_ascii_case(name))
    };
    names.iter().all(|name| has(name))
}

/// Whether a line begins with a word, in small letters or large.
pub(super) fn begins_with_word(line: &str, word: &str) -> bool {
    line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}
