//! [`KeyPattern`]: the names of tables as one pattern, which has the key where the names differ.

use std::collections::BTreeMap;

use rollfit_job::key::check_key;

/// What stands between the words of a name.
const SEPARATORS: [char; 4] = ['_', '-', '.', ' '];
/// The most words of a name in which a key is looked for.
const WORDS_MAX: usize = 12;

/// A pattern of names, and the keys of the names that it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyPattern {
    pub(super) prefix: String,
    pub(super) suffix: String,
    /// Each key with the name that it stands in.
    pub(super) names: BTreeMap<String, String>,
}

impl KeyPattern {
    /// Every pattern that all of `names` fit, in which the key is some of their words.
    pub(super) fn all_of(names: &[&str]) -> Vec<Self> {
        let Some((first, _)) = names.split_first() else { return Vec::new() };
        let parts = word_runs(first).into_iter();
        parts.filter_map(|(start, end)| Self::matching(&first[..start], &first[end..], names)).collect()
    }

    fn matching(prefix: &str, suffix: &str, names: &[&str]) -> Option<Self> {
        let pattern = Self { prefix: prefix.to_owned(), suffix: suffix.to_owned(), names: BTreeMap::new() };
        let named = |name: &&str| pattern.key_of(name).map(|key| (key.to_owned(), (*name).to_owned()));
        let keys = names.iter().map(named).collect::<Option<BTreeMap<_, _>>>()?;
        Some(Self { names: keys, ..pattern })
    }

    /// The key of a name; none where the name does not fit.
    pub(super) fn key_of<'n>(&self, name: &'n str) -> Option<&'n str> {
        let key = name.strip_prefix(self.prefix.as_str())?.strip_suffix(self.suffix.as_str())?;
        check_key(key).is_ok().then_some(key)
    }

    /// The pattern as the configuration has it.
    pub(super) fn text(&self) -> String {
        format!("{}{{key}}{}", self.prefix, self.suffix)
    }

    /// The characters of a name that are not of the key.
    pub(super) fn fixed_len(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    /// What all names have beside the key, without separators at its ends.
    pub(super) fn fixed_words(&self) -> String {
        let trimmed = |text: &str| text.trim_matches(SEPARATORS).to_owned();
        let words = [trimmed(&self.prefix), trimmed(&self.suffix)];
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_")
    }
}

/// The spans of one or more words of a name, in bytes.
fn word_runs(name: &str) -> Vec<(usize, usize)> {
    let separators: Vec<usize> = name.match_indices(SEPARATORS).map(|(at, _)| at).take(WORDS_MAX).collect();
    let starts = || std::iter::once(0).chain(separators.iter().map(|at| at + 1));
    let ends = || separators.iter().copied().chain([name.len()]);
    starts().flat_map(|start| ends().filter(move |&end| end > start).map(move |end| (start, end))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(names: &[&str]) -> Vec<String> {
        KeyPattern::all_of(names).iter().map(KeyPattern::text).collect()
    }

    #[test]
    fn a_key_is_some_words_of_a_name() {
        assert_eq!(texts(&["m1_eurusd"]), ["{key}_eurusd", "{key}", "m1_{key}"]);
        assert_eq!(texts(&["m1_eurusd", "m1_eurgbp"]), ["{key}", "m1_{key}"]);
        assert_eq!(texts(&["AAPL", "AMZN"]), ["{key}"]);
        assert_eq!(texts(&["bars of A.B", "bars of C"]), ["bars of {key}"]);
        assert!(texts(&["é"]).is_empty() && texts(&[]).is_empty());
        assert!(texts(&["a_".repeat(100).as_str()]).len() < 200);
    }

    #[test]
    fn a_pattern_has_the_keys_of_its_names() {
        let patterns = KeyPattern::all_of(&["x_aapl_d", "x_msft_d"]);
        let shortest = patterns.iter().max_by_key(|pattern| pattern.fixed_len()).unwrap();
        assert_eq!((shortest.text().as_str(), shortest.fixed_words().as_str()), ("x_{key}_d", "x_d"));
        assert_eq!(shortest.names.keys().collect::<Vec<_>>(), ["aapl", "msft"]);
        assert_eq!((shortest.key_of("x_goog_d"), shortest.key_of("x_d")), (Some("goog"), None));
    }
}
