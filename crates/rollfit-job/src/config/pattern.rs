//! [`Pattern`]: text with placeholders in braces, such as `reg_rate_{key}_{yyyy}_{mm}`.

/// A pattern whose placeholders are all known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<PatternPart>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PatternPart {
    Text(String),
    Placeholder(String),
}

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// A brace without its partner.
    #[error("`{pattern}`: a brace without its partner")]
    Brace {
        /// The whole pattern.
        pattern: String,
    },
    /// A placeholder that means nothing here.
    #[error("`{pattern}`: unknown placeholder {{{name}}}; known here: {known}")]
    Placeholder {
        /// The whole pattern.
        pattern: String,
        /// The name between the braces.
        name: String,
        /// The names that are known there.
        known: String,
    },
    /// Nothing at all.
    #[error("the pattern is empty")]
    Empty,
    /// A zero byte, which no store can have in a name.
    #[error("`{pattern}`: a name cannot hold a zero byte")]
    Zero {
        /// The whole pattern.
        pattern: String,
    },
    /// More bytes than any name needs.
    #[error("`{pattern}` has {} bytes; a pattern has at most {BYTES_MAX}", pattern.len())]
    Long {
        /// The whole pattern.
        pattern: String,
    },
}

/// The most bytes of a pattern.
const BYTES_MAX: usize = 1000;

/// Whose name a name can be, where a pattern gives names to keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyBehind {
    /// No key's.
    Nobody,
    /// Possibly any key's.
    Any,
    /// Of this key alone.
    Key(String),
}

impl Pattern {
    /// Reads a pattern that may have only the placeholders `known`.
    ///
    /// # Errors
    /// [`PatternError`] when it is empty or too long, or a character, brace or placeholder is wrong.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        let pattern = || text.to_owned();
        if text.len() > BYTES_MAX {
            return Err(PatternError::Long { pattern: pattern() });
        }
        if text.contains('\0') {
            return Err(PatternError::Zero { pattern: pattern() });
        }
        let unpaired = || PatternError::Brace { pattern: pattern() };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let inside = rest[at..].strip_prefix('{').ok_or_else(unpaired)?;
            let (name, after) = inside.split_once('}').ok_or_else(unpaired)?;
            if !known.contains(&name) {
                return Err(unknown_placeholder(text, name, known));
            }
            parts.push(PatternPart::Text(rest[..at].to_owned()));
            parts.push(PatternPart::Placeholder(name.to_owned()));
            rest = after;
        }
        parts.push(PatternPart::Text(rest.to_owned()));
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The pattern of the same names with `prefix` before them.
    pub(crate) fn with_prefix(&self, prefix: &str) -> Self {
        let mut parts = vec![PatternPart::Text(prefix.to_owned())];
        parts.extend(self.parts.iter().cloned());
        Self { text: format!("{prefix}{}", self.text), parts }
    }

    /// The pattern with each placeholder replaced by its value.
    pub fn expand(&self, values: &[(&str, &str)]) -> String {
        let value =
            |name: &str| values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
        self.parts
            .iter()
            .map(|part| match part {
                PatternPart::Text(text) => text.as_str(),
                PatternPart::Placeholder(name) => value(name),
            })
            .collect()
    }

    /// The pattern for a table of one key.
    pub fn for_key(&self, key: &str) -> String {
        self.expand(&[("key", key)])
    }

    /// Whether the key is in it.
    pub fn has_key(&self) -> bool {
        self.parts.contains(&PatternPart::Placeholder("key".to_owned()))
    }

    /// The keys of the names that fit the pattern, where the key is the only placeholder.
    pub fn key_of(&self, name: &str) -> Option<String> {
        let (before, after) = self.text.split_once("{key}")?;
        let key = name.strip_prefix(before)?.strip_suffix(after)?;
        (!key.is_empty() && self.for_key(key) == name).then(|| key.to_owned())
    }

    /// For which key the pattern, of a key and a period, can give `name`.
    pub fn key_behind(&self, name: &str) -> KeyBehind {
        let keys =
            self.parts.iter().filter(|part| matches!(part, PatternPart::Placeholder(name) if name == "key"));
        if keys.count() > 1 {
            return KeyBehind::Any;
        }
        let lengths = [("key", None), ("yyyy", Some(4)), ("mm", Some(2)), ("q", Some(1))];
        match match_parts(&self.parts, name, &lengths) {
            None => KeyBehind::Nobody,
            Some(found) => match found.into_iter().find(|(placeholder, _)| placeholder == "key") {
                Some((_, key)) => KeyBehind::Key(key),
                None => KeyBehind::Any,
            },
        }
    }

    /// The values that make the pattern into `name`, one for each of `placeholders` with its number of characters where
    /// that is fixed; none where no values do, or the pattern lacks a placeholder.
    pub fn values_of(&self, name: &str, placeholders: &[(&str, Option<usize>)]) -> Option<Vec<String>> {
        let found = match_parts(&self.parts, name, placeholders)?;
        let value = |wanted: &str| found.iter().find(|(known, _)| known == wanted).map(|(_, v)| v.clone());
        let values: Vec<String> = placeholders.iter().map(|(name, _)| value(name)).collect::<Option<_>>()?;
        let named: Vec<(&str, &str)> =
            placeholders.iter().zip(&values).map(|((name, _), value)| (*name, value.as_str())).collect();
        (self.expand(&named) == name).then_some(values)
    }
}

/// Placeholders with the text of each; one of any length takes as little as it can.
fn match_parts(
    parts: &[PatternPart],
    text: &str,
    placeholders: &[(&str, Option<usize>)],
) -> Option<Vec<(String, String)>> {
    let Some((part, rest)) = parts.split_first() else { return text.is_empty().then(Vec::new) };
    let name = match part {
        PatternPart::Text(fixed) => {
            return match_parts(rest, text.strip_prefix(fixed.as_str())?, placeholders);
        }
        PatternPart::Placeholder(name) => name,
    };
    let (_, length) = placeholders.iter().find(|(known, _)| known == name)?;
    let lengths = length.map_or(1..=text.len(), |length| length..=length);
    lengths.into_iter().find_map(|length| {
        let (value, after) = text.split_at_checked(length)?;
        let mut found = match_parts(rest, after, placeholders)?;
        found.push((name.clone(), value.to_owned()));
        Some(found)
    })
}

fn unknown_placeholder(pattern: &str, name: &str, known: &[&str]) -> PatternError {
    let known = known.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(", ");
    PatternError::Placeholder { pattern: pattern.to_owned(), name: name.to_owned(), known }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_for_which_key_it_can_have_been_made() {
        let behind = |text, name| Pattern::parse(text, &["key", "yyyy", "mm"]).unwrap().key_behind(name);
        let key = |key: &str| KeyBehind::Key(key.to_owned());
        assert_eq!(behind("reg_{key}_{yyyy}_{mm}", "reg_a_2017_01_2018_02"), key("a_2017_01"));
        assert_eq!(behind("{yyyy}{key}{mm}", "2017a12"), key("a"));
        assert_eq!(behind("m1_{key}", "bqx_a"), KeyBehind::Nobody);
        assert_eq!(behind("reg_{key}_{yyyy}_{mm}", "reg__2017_01"), KeyBehind::Nobody);
        // Without a key, the name is every key's; with two, it is not looked into.
        assert_eq!(behind("reg_{yyyy}_{mm}", "reg_2017_01"), KeyBehind::Any);
        assert_eq!(behind("{key}_{key}", "a_a"), KeyBehind::Any);
    }

    #[test]
    fn placeholders_expand_and_keys_are_found_again() {
        let pattern = Pattern::parse("m1_{key}", &["key"]).unwrap();
        assert_eq!(pattern.for_key("eurusd"), "m1_eurusd");
        assert_eq!(pattern.key_of("m1_eurusd").as_deref(), Some("eurusd"));
        assert_eq!(pattern.key_of("bqx_eurusd"), None);
        assert_eq!(pattern.key_of("m1_"), None);
    }

    #[test]
    fn a_name_gives_its_values_back() {
        let pattern = Pattern::parse("reg_{key}_{yyyy}_{mm}", &["key", "yyyy", "mm"]).unwrap();
        let values = |name| pattern.values_of(name, &[("key", None), ("yyyy", Some(4)), ("mm", Some(2))]);
        assert_eq!(values("reg_eurusd_2017_03").unwrap(), ["eurusd", "2017", "03"]);
        assert_eq!(values("reg_a_b_2017_2017_03").unwrap(), ["a_b_2017", "2017", "03"]);
        for other in ["reg_eurusd_2017_3", "reg__2017_03", "reg_eurusd", "x_eurusd_2017_03", "reg_é_17_03"] {
            assert_eq!(values(other), None, "{other}");
        }
    }

    #[test]
    fn a_wrong_pattern_is_refused() {
        let error = |text| Pattern::parse(text, &["key", "mm"]).unwrap_err().to_string();
        assert_eq!(error("a_{kez}"), "`a_{kez}`: unknown placeholder {kez}; known here: {key}, {mm}");
        assert!(error("a_{key").contains("partner"));
        assert!(error("a_}").contains("partner"));
        assert!(error("").contains("empty"));
        assert!(error("a\0_{key}").contains("zero byte"));
        assert!(error(&"x".repeat(1001)).contains("1001 bytes"));
        assert!(Pattern::parse(&"x".repeat(1000), &[]).is_ok());
    }
}
