//! [`Pattern`]: text with placeholders in braces, such as `reg_rate_{key}_{yyyy}_{mm}`.

/// A pattern whose placeholders are all known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
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
    #[error("`{pattern}`: unknown placeholder {{{name}}}; here stand {known}")]
    Placeholder {
        /// The whole pattern.
        pattern: String,
        /// The name between the braces.
        name: String,
        /// The names that may stand there.
        known: String,
    },
    /// Nothing at all.
    #[error("the pattern is empty")]
    Empty,
}

impl Pattern {
    /// Reads a pattern in which only the placeholders `known` may stand.
    ///
    /// # Errors
    /// [`PatternError`] when it is empty, or a brace or placeholder is wrong.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        let unpaired = || PatternError::Brace { pattern: text.to_owned() };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let inside = rest[at..].strip_prefix('{').ok_or_else(unpaired)?;
            let (name, after) = inside.split_once('}').ok_or_else(unpaired)?;
            if !known.contains(&name) {
                return Err(unknown_placeholder(text, name, known));
            }
            parts.push(Part::Text(rest[..at].to_owned()));
            parts.push(Part::Placeholder(name.to_owned()));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The pattern with each placeholder replaced by its value.
    pub fn expand(&self, values: &[(&str, &str)]) -> String {
        let value =
            |name: &str| values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Placeholder(name) => value(name),
            })
            .collect()
    }

    /// The pattern for a table of one key.
    pub fn for_key(&self, key: &str) -> String {
        self.expand(&[("key", key)])
    }

    /// Whether the key is in it.
    pub fn has_key(&self) -> bool {
        self.parts.contains(&Part::Placeholder("key".to_owned()))
    }

    /// The keys of the names that fit the pattern, where the key is the only placeholder.
    pub fn key_of(&self, name: &str) -> Option<String> {
        let (before, after) = self.text.split_once("{key}")?;
        let key = name.strip_prefix(before)?.strip_suffix(after)?;
        (!key.is_empty() && self.for_key(key) == name).then(|| key.to_owned())
    }
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
    fn placeholders_expand_and_keys_are_found_again() {
        let pattern = Pattern::parse("m1_{key}", &["key"]).unwrap();
        assert_eq!(pattern.for_key("eurusd"), "m1_eurusd");
        assert_eq!(pattern.key_of("m1_eurusd").as_deref(), Some("eurusd"));
        assert_eq!(pattern.key_of("bqx_eurusd"), None);
        assert_eq!(pattern.key_of("m1_"), None);
    }

    #[test]
    fn a_wrong_pattern_is_refused() {
        let error = |text| Pattern::parse(text, &["key", "mm"]).unwrap_err().to_string();
        assert_eq!(error("a_{kez}"), "`a_{kez}`: unknown placeholder {kez}; here stand {key}, {mm}");
        assert!(error("a_{key").contains("partner"));
        assert!(error("a_}").contains("partner"));
        assert!(error("").contains("empty"));
    }
}
