//! The sentences of an analysis: facts in, words out, the same on a terminal, in Markdown and in HTML.
//!
//! Invariants: no other file of this command makes a sentence of a fact, and no number is written but by [`crate::format`].

use rollfit_job::store::AppliesWhen;

mod brief;
mod cause;
mod command;
mod cores;
mod early;
mod finding;
pub(super) mod joined;
mod limit;
mod not_limits;
mod observation;
mod remedy;
mod resources;
mod run;
mod server;
mod store_advice;
mod trial;

pub(super) use self::brief::brief;
pub(super) use self::cause::title;
pub(super) use self::finding::{combined, evidence, facts, headline, step, steps};
pub(super) use self::limit::{workers_limit, worth};
pub(super) use self::resources::resources;
pub(super) use self::run::{durations, estimate_vs_observed, origin, outcome, run};

/// A label and what there is to say under it.
pub(super) struct Fact {
    pub(super) label: &'static str,
    pub(super) text: String,
    pub(super) form: Form,
}

/// How a text is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Prose.
    Prose,
    /// Letter by letter.
    Code,
    /// To be typed into a shell.
    Command,
}

impl Fact {
    fn command(label: &'static str, text: String) -> Self {
        Self { label, text, form: Form::Command }
    }
}

fn fact(label: &'static str, text: impl Into<String>) -> Fact {
    Fact { label, text: text.into(), form: Form::Prose }
}

fn code(label: &'static str, text: impl Into<String>) -> Fact {
    Fact { label, text: text.into(), form: Form::Code }
}

/// Parts that are known, in a row.
fn joined<const N: usize>(parts: [Option<String>; N], separator: &str) -> Option<String> {
    let known: Vec<String> = parts.into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.join(separator))
}

/// A text in its parts; those between backticks are code. Where the backticks make no pairs all of it is text.
pub(super) fn parts(text: &str) -> impl Iterator<Item = (bool, &str)> {
    let is_paired = text.matches('`').count().is_multiple_of(2);
    let parts = text.splitn(if is_paired { usize::MAX } else { 1 }, '`');
    parts.enumerate().map(|(at, part)| (at % 2 == 1, part)).filter(|(_, part)| !part.is_empty())
}

/// When a change takes effect, in a word or two.
const fn applies_briefly(applies: AppliesWhen) -> &'static str {
    match applies {
        AppliesWhen::AtOnce => "at once",
        AppliesWhen::NewSessions => "to new sessions",
        AppliesWhen::NextRun => "with the next run",
        AppliesWhen::StoreRestart => "after a restart of the store",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_backticks_is_code() {
        let told: Vec<(bool, &str)> = parts("set `a = 1` again").collect();
        assert_eq!(told, [(false, "set "), (true, "a = 1"), (false, " again")]);
        assert_eq!(parts("it`s").collect::<Vec<_>>(), [(false, "it`s")]);
    }
}
