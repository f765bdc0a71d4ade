//! [`Advice`]: what to do about a cause, with the change that it makes to the [`Case`].

use super::super::case::Case;
use super::super::evidence::Evidence;
use super::super::report::{Estimate, Remedy};
use super::super::scaling::binding;
use super::job_s;
use rollfit_job::record::Record;
use rollfit_job::spec::Setting;

/// What a case becomes where so much of a cause is left: 0 for nothing.
pub(super) type Change = Box<dyn Fn(&Case, f64) -> Case>;

/// What to do about a cause.
pub(in super::super) struct Advice {
    pub(super) action: String,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) applies: &'static str,
    pub(super) risk: String,
    pub(super) effort: &'static str,
    pub(super) watch: String,
    pub(super) roll_back: String,
    /// What stands before `rollfit run` to try it; nothing where it is not a setting.
    pub(super) variable: Option<String>,
    pub(super) change: Change,
    /// How uncertain what it brings is besides, relative.
    pub(super) doubt: f64,
}

impl Advice {
    /// To give a setting another value.
    pub(super) fn set(setting: Option<&Setting>, name: &str, value: &str, change: Change) -> Self {
        let before = setting.and_then(|setting| setting.value.clone());
        let key = name.trim_start_matches("run.");
        let written = |value: &str| match value.parse::<f64>() {
            Ok(_) => format!("{name} = {value}"),
            Err(_) => format!("{name} = \"{value}\""),
        };
        let (before, roll_back) = match before.as_deref() {
            Some(before) => (written(before), format!("set `{}` again", written(before))),
            None => (format!("{name} is not set"), format!("remove `{name}`")),
        };
        let is_removed = value.is_empty();
        Self {
            action: if is_removed {
                format!("Remove `{before}`, or raise it")
            } else {
                format!("Set `{}`", written(value))
            },
            before,
            after: if is_removed { format!("{name} is not set") } else { written(value) },
            applies: "next run; a run that is stopped goes on where it was",
            risk: String::new(),
            effort: "one setting",
            watch: String::new(),
            roll_back,
            variable: (!is_removed).then(|| format!("ROLLFIT_RUN__{}={value}", key.to_uppercase())),
            change,
            doubt: 0.0,
        }
    }

    /// To change something that is no setting of rollfit.
    pub(super) fn outside(action: &str, before: String, after: String, change: Change) -> Self {
        Self {
            action: action.to_owned(),
            before,
            after,
            applies: "at once, as soon as it is done; rollfit needs no restart",
            risk: "none for what is stored: every partition is committed whole or not at all".to_owned(),
            effort: "outside rollfit",
            watch: String::new(),
            roll_back: "undo it outside rollfit; nothing that rollfit stores depends on it".to_owned(),
            variable: None,
            change,
            doubt: 0.0,
        }
    }

    pub(super) fn risks(self, risk: &str) -> Self {
        Self { risk: risk.to_owned(), ..self }
    }

    pub(super) fn doubted(self, doubt: f64) -> Self {
        Self { doubt, ..self }
    }

    pub(super) fn watching(self, watch: String) -> Self {
        Self { watch, ..self }
    }

    pub(super) fn applying(self, applies: &'static str) -> Self {
        Self { applies, ..self }
    }

    /// The case with so much of the cause left.
    pub(in super::super) fn applied(&self, case: &Case, left: f64) -> Case {
        (self.change)(case, left)
    }

    /// What it brings: expected where the cause is gone, at least where half of it is left.
    pub(super) fn gain(&self, case: &Case) -> Estimate {
        let gone = case.gain(&self.applied(case, 0.0));
        let half = case.gain(&self.applied(case, 0.5));
        let low = gone.low.min(half.low) / (1.0 + self.doubt);
        Estimate { low, high: gone.high * (1.0 + self.doubt), ..gone }
    }

    /// The remedy in a case, where it brings this gain.
    pub(super) fn remedy(&self, evidence: &Evidence<'_>, case: &Case, gain: Estimate) -> Remedy {
        let then = binding(&self.applied(case, 0.0));
        Remedy {
            action: self.action.clone(),
            before: self.before.clone(),
            after: format!("{}; the limit is then {then}", self.after),
            applies: self.applies.to_owned(),
            gain: Some(gain),
            job_s: Some(job_s(evidence, case, gain)),
            risk: self.risk.clone(),
            effort: self.effort.to_owned(),
            watch: self.watch.clone(),
            roll_back: self.roll_back.clone(),
            try_on_one: self.trial(evidence.record),
        }
    }

    /// The command that writes one partition again: the one that took neither long nor short.
    fn trial(&self, record: &Record) -> String {
        let mut written: Vec<_> = super::super::demand::written(record).collect();
        written.sort_by_key(|end| end.wall_us.total_us());
        let variable = self.variable.as_ref().map_or_else(String::new, |variable| format!("{variable} "));
        let only = written
            .get(written.len() / 2)
            .map(|end| quoted(&format!("{}:{}", end.partition.key, end.partition.month)))
            .map_or_else(String::new, |selector| format!(" --only {selector}"));
        let config = match record.header.config.as_str() {
            "" => String::new(),
            config => format!(" --config {}", quoted(config)),
        };
        format!("{variable}rollfit run{config}{only} --force")
    }
}

/// As a shell reads it as one word.
fn quoted(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-:".contains(c));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
