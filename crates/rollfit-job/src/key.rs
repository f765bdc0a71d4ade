//! The rule that every key follows ([`check_key`]), and which keys a directory cannot tell apart ([`KeysByCase`]).
//!
//! A key is part of table names and of paths, so the configuration, imports and stores have one rule. Its case is kept.

use std::collections::HashMap;

/// The longest key: with the four bytes of `key=` or `bqx_` before it, it is still the name of a file.
pub const KEY_BYTES_MAX: usize = 251;

/// What is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Text that cannot name a directory and a table.
    #[error("`{0}` is not a key: use letters, digits, `_`, `-` and `.`, not starting with `.` or `-`")]
    Characters(String),
    /// More than [`KEY_BYTES_MAX`].
    #[error("`{start}...` is not a key: it has {bytes} characters, and a key has at most {KEY_BYTES_MAX}")]
    Length {
        /// How it starts.
        start: String,
        /// Its length.
        bytes: usize,
    },
}

/// Checks that `key` can be part of paths and table names: ASCII letters, digits, `_`, `-` and `.`, not starting with `.` or
/// `-`, at most [`KEY_BYTES_MAX`] of them.
///
/// # Errors
/// [`KeyError`] when it cannot.
pub fn check_key(key: &str) -> Result<(), KeyError> {
    const SHOWN: usize = 40;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if key.is_empty() || key.starts_with(['.', '-']) || !key.chars().all(allowed) {
        return Err(KeyError::Characters(key.to_owned()));
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(KeyError::Length { start: key[..SHOWN].to_owned(), bytes: key.len() });
    }
    Ok(())
}

/// Checks the name of a job, which follows the rule of [`check_key`].
///
/// # Errors
/// What is wrong with it, and what to write.
pub fn check_name(name: &str) -> Result<(), String> {
    check_key(name).map_err(|error| match error {
        KeyError::Characters(text) => {
            format!("`{text}` is not a name: use letters, digits, `_`, `-` and `.`, not starting with `.` or `-`")
        }
        KeyError::Length { start, bytes } => {
            format!("`{start}...` is not a name: it has {bytes} characters, and a name has at most {KEY_BYTES_MAX}")
        }
    })
}

/// Keys, found again whatever the case of their letters. Some file systems ignore case, so a directory holds each only once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysByCase {
    by_lower_case: HashMap<String, String>,
}

/// Two keys that differ only in the case of their letters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keys `{earlier}` and `{later}` differ only in case, which not every file system can tell apart")]
pub struct CaseClash {
    /// The key that was there before.
    pub earlier: String,
    /// The other one.
    pub later: String,
}

impl KeysByCase {
    /// Adds a key, which may be there already.
    ///
    /// # Errors
    /// [`CaseClash`] when it is there with letters of another case.
    pub fn add(&mut self, key: &str) -> Result<(), CaseClash> {
        let known = self.by_lower_case.entry(key.to_ascii_lowercase()).or_insert_with(|| key.to_owned());
        if known == key { Ok(()) } else { Err(CaseClash { earlier: known.clone(), later: key.to_owned() }) }
    }

    /// Returns the key that was added and differs from `key` in nothing but case, or not at all.
    pub fn find(&self, key: &str) -> Option<&str> {
        self.by_lower_case.get(&key.to_ascii_lowercase()).map(String::as_str)
    }

    /// Checks that no two of `keys` differ only in case.
    ///
    /// # Errors
    /// [`CaseClash`] of the first two that do.
    pub fn check<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<(), CaseClash> {
        let mut known = Self::default();
        keys.into_iter().try_for_each(|key| known.add(key))
    }
}

/// The number that a key is, written in one way; none where it is no number. Readers that find out the types of Hive directories, such as
/// Polars, make one key of those that are the same number: `007`, `7` and `7.0`.
pub fn number_of(key: &str) -> Option<String> {
    let (whole, fraction) = key.split_once('.').unwrap_or((key, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    Some(format!("{whole}.{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_market_pass_and_keep_their_case() {
        for key in ["eurusd", "EURUSD", "BTC-USD", "ES.c.0", "600519.SH", "_x", "a..b", "0", "all"] {
            assert_eq!(check_key(key), Ok(()), "{key}");
        }
    }

    #[test]
    fn what_paths_and_tables_cannot_hold_is_no_key() {
        for key in ["", ".", "..", ".x", "-x", "a/b", "a\\b", "a b", "a:b", "a\0", "é", "eur%2Fusd", "ａ"] {
            assert!(matches!(check_key(key), Err(KeyError::Characters(_))), "{key}");
        }
        assert_eq!(check_key(&"k".repeat(KEY_BYTES_MAX)), Ok(()));
        let message = check_key(&"k".repeat(KEY_BYTES_MAX + 1)).unwrap_err().to_string();
        assert!(message.contains("252 characters") && message.len() < 140, "{message}");
    }

    #[test]
    fn keys_that_are_the_same_number_are_told() {
        for (one, other) in [("007", "7"), ("0", "000"), ("1.50", "01.5"), ("7", "7.0"), ("7.", "7")] {
            assert!(number_of(one).is_some() && number_of(one) == number_of(other), "{one} {other}");
        }
        assert!(number_of("70") != number_of("7") && number_of("0.07") != number_of("0.7"));
        for key in ["eurusd", "007a", "1.2.3", ".5", "", "7-1", "1_0"] {
            assert_eq!(number_of(key), None, "{key}");
        }
    }

    #[test]
    fn keys_that_differ_only_in_case_clash_and_the_same_key_again_does_not() {
        assert_eq!(KeysByCase::check(["a", "b", "a", "BTC-USD", "BTC_USD"]), Ok(()));
        let clash = KeysByCase::check(["eurusd", "x", "EurUsd"]).unwrap_err();
        assert_eq!((clash.earlier.as_str(), clash.later.as_str()), ("eurusd", "EurUsd"));
    }
}
