//! What to say of selectors that select nothing of a job: an error where nothing is left, else a warning.

use std::collections::HashSet;

use crate::few::few;
use crate::nearest::nearest;
use crate::partition::Partition;
use crate::period::PeriodUnit;
use crate::selection::Selection;
use crate::selector::Selector;

/// The most selectors that are told of one by one.
const TOLD_MAX: usize = 3;

/// The keys of a job and, as far as they are known, its partitions.
pub(crate) struct Selectable<'a> {
    pub(crate) keys: &'a [String],
    /// Of the keys that a selector matches at least.
    pub(crate) partitions: &'a [Partition],
    /// How long the job's periods are.
    pub(crate) by: PeriodUnit,
}

impl Selectable<'_> {
    /// A sentence for each of `selectors`, which select nothing; of many the first ones and how many there are.
    pub(crate) fn sentences(&self, selectors: &[&Selector]) -> Vec<String> {
        let keys: HashSet<&str> = self.keys.iter().map(String::as_str).collect();
        let more = selectors.len().saturating_sub(TOLD_MAX);
        let shown = selectors.iter().take(TOLD_MAX).map(|selector| self.sentence(selector, &keys));
        shown.chain((more > 0).then(|| format!("{more} more selectors select nothing"))).collect()
    }

    fn sentence(&self, selector: &Selector, keys: &HashSet<&str>) -> String {
        let why = match selector.key() {
            Some(key) if !keys.contains(key) => {
                let known = || self.keys.iter().map(String::as_str);
                let near = known().find(|known| known.eq_ignore_ascii_case(key));
                let hint =
                    near.or_else(|| nearest(key, known())).map(|near| format!("; did you mean `{near}`?"));
                format!("this job has no key {key}{}", hint.unwrap_or_else(|| self.other_keys()))
            }
            None if !self.keys.iter().any(|key| selector.matches_key(key)) => {
                format!("no key of this job matches{}", self.other_keys())
            }
            key => self.other_months(selector, key),
        };
        format!("`{selector}` selects nothing: {why}")
    }

    fn other_keys(&self) -> String {
        format!("; it has {}", few(self.keys))
    }

    /// The months that there are of the keys that a selector matches, in place of those that it wants.
    fn other_months(&self, selector: &Selector, key: Option<&str>) -> String {
        let of_keys = self.partitions.iter().filter(|partition| selector.matches_key(&partition.key));
        let subject = key.unwrap_or("what matches");
        match months(of_keys) {
            Some(months) => format!("this job has {months} of {subject}"),
            None => {
                format!("no {} of {subject} between `from` and `to` of [partitions] has rows", self.by.noun())
            }
        }
    }

    /// Why nothing is left, where every selector matches something.
    pub(crate) fn why_nothing_is_left(&self, selection: &Selection) -> String {
        let (from, to) = selection.bounds();
        let from = from.map(|from| format!(" from {from}"));
        let to = to.map(|to| format!(" to {to}"));
        let selected = self.partitions.iter().filter(|partition| selection.selects_key(&partition.key));
        let has = months(selected).map(|months| format!("; there is {months}"));
        format!(
            "nothing is selected{}{}{}",
            from.unwrap_or_default(),
            to.unwrap_or_default(),
            has.unwrap_or_default()
        )
    }
}

/// The months of partitions, `2016-01 to 2017-12`; none where there are none.
fn months<'a>(partitions: impl Iterator<Item = &'a Partition> + Clone) -> Option<String> {
    let months = partitions.map(|partition| partition.period);
    let (first, last) = months.clone().min().zip(months.max())?;
    Some(if first == last { format!("only {first}") } else { format!("{first} to {last}") })
}
