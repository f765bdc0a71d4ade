//! The names that deployed tables get when views take theirs.

use std::collections::HashSet;

use crate::names::{NAME_BYTES_MAX, start_of};

/// What the names of tables of features end with once views have taken their place.
const SUFFIX: &str = "_metrics";

/// Names of a schema that are taken.
pub(super) struct TakenNames(HashSet<String>);

impl TakenNames {
    pub(super) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().collect())
    }

    /// Returns a free name for the table `name`, and takes it: `name_metrics`, or `name_metrics_2` and so on. The first part
    /// is cut off where it would get too long.
    pub(super) fn take_for(&mut self, name: &str) -> String {
        let numbered = (2_u32..).map(|number| format!("{SUFFIX}_{number}"));
        let mut candidates = std::iter::once(SUFFIX.to_owned())
            .chain(numbered)
            .map(|suffix| format!("{}{suffix}", start_of(name, NAME_BYTES_MAX - suffix.len())));
        let free = candidates.find(|candidate| !self.0.contains(candidate)).unwrap_or_default();
        self.0.insert(free.clone());
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_names_are_short_enough_and_never_the_same_twice() {
        let mut taken = TakenNames::new(["a_metrics", "a_metrics_2"].map(str::to_owned));
        assert_eq!([taken.take_for("a"), taken.take_for("b")], ["a_metrics_3", "b_metrics"]);
        let long = "é".repeat(31);
        let [first, second] = [format!("{long}x"), format!("{long}y")].map(|name| taken.take_for(&name));
        assert_eq!((first.len(), second.len()), (62, 62));
        assert!(first.ends_with("é_metrics") && second.ends_with("é_metrics_2"), "{first} {second}");
    }
}
