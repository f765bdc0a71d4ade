//! The messages of each crate: every string literal of its source that has words with a space between them, SQL left out,
//! and the metrics' formulas, which a test holds against docs/formulas.md. That is more than the messages, and none of them
//! is missing.

use rollfit::Metric;

use crate::literals;
use crate::snapshots::Snapshots;

#[test]
fn messages_change_only_on_purpose() {
    let mut snapshots = Snapshots::open("messages");
    for (name, literals) in literals::by_crate() {
        let messages = literals.iter().filter(|text| has_words(text) && !is_sql(text) && !is_formula(text));
        let lines: String = messages.map(|text| format!("{}\n", text.escape_debug())).collect();
        snapshots.check(&name, &lines.replace("\\\"", "\"").replace("\\'", "'"));
    }
    snapshots.finish();
}

/// Whether there are two words, the first of two letters at least, with a space between them.
fn has_words(text: &str) -> bool {
    let is_letter = |c: char| c.is_alphabetic();
    text.split(' ').any(|word| word.matches(is_letter).count() >= 2) && text.trim().contains(' ')
}

fn is_formula(text: &str) -> bool {
    Metric::ALL.iter().any(|metric| metric.formula() == text)
}

/// Whether it begins like a statement or a clause of SQL.
fn is_sql(text: &str) -> bool {
    const WORDS: [&str; 29] = [
        "ALTER",
        "AND",
        "ANALYZE",
        "BEGIN",
        "CASE",
        "CLOSE",
        "COPY",
        "CREATE",
        "DECLARE",
        "DELETE",
        "DROP",
        "FETCH",
        "FOR",
        "FROM",
        "GRANT",
        "INSERT",
        "JOIN",
        "LEFT",
        "LOCK",
        "ORDER",
        "PARTITION",
        "SELECT",
        "SET",
        "SHOW",
        "TABLE",
        "UNION",
        "UPDATE",
        "WHERE",
        "WITH",
    ];
    let first = text.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty());
    first.is_some_and(|first| WORDS.contains(&first))
}
