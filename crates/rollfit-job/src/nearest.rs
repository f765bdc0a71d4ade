//! [`nearest`]: the name that was probably meant by one that nothing has.

use crate::foreign;

/// What a name must have in common with another, from 0 to 1, to pass for a slip of it.
const LIKENESS_MIN: f64 = 0.6;

/// Returns the name most like `wanted`, whatever its case, if one is alike at all.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(&wanted, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        // The first of several that are equally alike.
        .reduce(|best, other| if other.0 > best.0 { other } else { best })
        .map(|(_, name)| name)
}

/// Returns "did you mean `name`? " with the name nearest to `wanted`, or nothing where none is alike.
pub fn did_you_mean<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wanted, known).map(|near| format!("did you mean `{}`? ", foreign::name(near))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_what_was_meant_and_another_word_finds_nothing() {
        let known = ["workers", "boundary", "EURUSD", "eurgbp"];
        assert_eq!(nearest("worker", known), Some("workers"));
        assert_eq!(nearest("boundray", known), Some("boundary"));
        assert_eq!(nearest("eursud", known), Some("EURUSD"));
        assert_eq!(nearest("gbpjpy", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(did_you_mean("worker", known), "did you mean `workers`? ");
        assert_eq!(did_you_mean("zzqq", known), "");
    }
}
