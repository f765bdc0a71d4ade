//! Phrases that the help and the messages no longer use, see `tests/retired_phrases.txt`.

use crate::help::{help, subcommands};
use crate::literals;
use crate::source::assert_none;

const RETIRED: &str = include_str!("../retired_phrases.txt");

fn retired() -> Vec<String> {
    let lines = RETIRED.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_lowercase).collect()
}

/// The retired phrases that stand in `text` as whole words, whatever the case and the spaces.
fn found<'a>(text: &str, retired: &'a [String]) -> Vec<&'a str> {
    let text = text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let stands = |phrase: &&String| {
        text.match_indices(phrase.as_str()).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + phrase.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
    };
    retired.iter().filter(stands).map(String::as_str).collect()
}

#[test]
fn no_retired_phrase_is_in_the_help() {
    let retired = retired();
    let mut violations = Vec::new();
    for name in std::iter::once(None).chain(subcommands().iter().map(|name| Some(name.as_str()))) {
        let phrases = found(&help(name), &retired);
        violations.extend(phrases.iter().map(|phrase| format!("{}: {phrase}", name.unwrap_or("rollfit"))));
    }
    assert_none("the help uses none of the retired phrases", &violations);
}

#[test]
fn no_retired_phrase_is_in_a_message() {
    let retired = retired();
    let mut violations = Vec::new();
    for (name, literals) in literals::by_crate() {
        for text in literals {
            let phrases = found(&text, &retired);
            violations.extend(phrases.iter().map(|phrase| format!("{name}: `{phrase}` in {text:?}")));
        }
    }
    assert_none("messages use none of the retired phrases", &violations);
}

#[test]
fn a_phrase_is_found_as_whole_words_only() {
    let retired = ["lest", "so many"].map(str::to_owned);
    assert_eq!(found("Wait, LEST so\n  many go", &retired), ["lest", "so many"]);
    assert_eq!(found("the nearest, also many left-lest", &retired), Vec::<&str>::new());
}
