//! The character between the fields of a text file.

/// The delimiters that are found without being named.
pub(crate) const USUAL: &[u8] = b"\t;,|";

/// Returns the delimiter that a line has most often, the first of `among` if two are as frequent; none without any.
pub(crate) fn most_frequent(among: &[u8], line: &str) -> Option<u8> {
    let count = |byte: u8| line.bytes().filter(|found| *found == byte).count();
    let best = among.iter().copied().rev().max_by_key(|byte| count(*byte));
    best.filter(|byte| count(*byte) > 0)
}

/// Checks a delimiter that a user names.
pub(crate) fn checked(given: char) -> Result<u8, String> {
    let byte = u8::try_from(given).ok().filter(u8::is_ascii).filter(|byte| !b"\"\r\n".contains(byte));
    byte.ok_or_else(|| format!("{given:?} cannot be a delimiter; give an ASCII character"))
}

/// Lists delimiters in words: `tab, semicolon, comma or |`.
pub(crate) fn listed(delimiters: &[u8]) -> String {
    let word = |byte: &u8| match byte {
        b'\t' => "tab".to_owned(),
        b';' => "semicolon".to_owned(),
        b',' => "comma".to_owned(),
        other => char::from(*other).to_string(),
    };
    match delimiters {
        [] => String::new(),
        [only] => word(only),
        [first @ .., last] => {
            format!("{} or {}", first.iter().map(word).collect::<Vec<_>>().join(", "), word(last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_found_and_listed() {
        assert_eq!(most_frequent(USUAL, "a,b;c,d"), Some(b','));
        assert_eq!(most_frequent(USUAL, "a,b;c"), Some(b';'));
        assert_eq!(most_frequent(USUAL, "word"), None);
        assert_eq!(
            (listed(USUAL), listed(b"\t,")),
            ("tab, semicolon, comma or |".into(), "tab or comma".into())
        );
    }
}
