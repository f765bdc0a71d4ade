//! [`CauseGroup`]: partitions that are in one state for one cause, told in one line.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use rollfit_job::lock::lock;
use rollfit_job::partition::Partition;
use rollfit_job::state::State;
use rollfit_job::verify::is_of_other_definition;

use crate::format::plural;

/// The most groups that are told.
pub(super) const GROUPS_MAX: usize = 20;

/// A partition, its state or verdict, and why it is in it.
#[derive(Clone, Copy)]
pub(crate) struct PartitionCause<'a> {
    pub(crate) partition: &'a Partition,
    pub(crate) state: &'a str,
    pub(crate) cause: &'a str,
}

impl PartitionCause<'_> {
    /// Whether it's the first of its group that this process asks about.
    pub(crate) fn is_first_of_group(self) -> bool {
        static SEEN: Mutex<BTreeSet<(String, String)>> = Mutex::new(BTreeSet::new());
        lock(&SEEN).insert((self.state.to_owned(), shape(self)))
    }
}

/// Partitions in one state whose causes are the same but for names and numbers of their own.
pub(crate) struct CauseGroup<'a> {
    /// Position of the first partition, whose cause is told.
    pub(crate) at: usize,
    first: PartitionCause<'a>,
    last: &'a Partition,
    /// How many partitions.
    pub(crate) count: usize,
    /// Whether all causes are equal, letter by letter.
    is_one_cause: bool,
}

impl<'a> CauseGroup<'a> {
    /// The groups of `partitions`, the largest first.
    pub(crate) fn from_partitions(partitions: impl Iterator<Item = PartitionCause<'a>>) -> Vec<Self> {
        let mut at_shape: HashMap<(&str, String), usize> = HashMap::new();
        let mut groups: Vec<Self> = Vec::new();
        for (at, partition) in partitions.enumerate() {
            let next = groups.len();
            match *at_shape.entry((partition.state, shape(partition))).or_insert(next) {
                known if known < next => groups[known].add(at, partition),
                _ => groups.push(Self {
                    at,
                    first: partition,
                    last: partition.partition,
                    count: 1,
                    is_one_cause: true,
                }),
            }
        }
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups
    }

    fn add(&mut self, at: usize, other: PartitionCause<'a>) {
        self.is_one_cause &= self.first.cause == other.cause;
        self.count += 1;
        self.last = self.last.max(other.partition);
        if other.partition < self.first.partition {
            (self.at, self.first) = (at, other);
        }
    }

    /// `240 partitions definition-changed: boundary reset became carry (aapl 2015-01 .. msft 2024-12)`; `cause` is that of the first
    /// partition as it is to be told, `note` follows the partitions.
    pub(super) fn line(&self, cause: &str, note: &str) -> String {
        let Self { first: PartitionCause { partition, state, .. }, last, count, is_one_cause, .. } = self;
        match (count, is_one_cause) {
            (1, _) => format!("  {partition}{note}: {state}: {cause}"),
            (_, true) => {
                format!("  {}{note} {state}: {cause} ({partition} .. {last})", plural(*count, "partition"))
            }
            (_, false) => format!(
                "  {}{note} {state} ({partition} .. {last}); the first: {cause}",
                plural(*count, "partition")
            ),
        }
    }
}

/// A line for each of the first groups, and how many more there are; `cause` says that of the partition at a position.
pub(super) fn lines(groups: &[CauseGroup<'_>], note: &str, cause: impl Fn(usize) -> String) -> Vec<String> {
    let shown = groups.iter().take(GROUPS_MAX).map(|group| group.line(&cause(group.at), note));
    shown.chain(rest_line(groups)).collect()
}

/// How many groups are not told, if any.
pub(super) fn rest_line(groups: &[CauseGroup<'_>]) -> Option<String> {
    let more = groups.len().saturating_sub(GROUPS_MAX);
    (more > 0).then(|| format!("  ... and {}; --json has every partition", plural(more, "more cause")))
}

/// What causes of one kind have in common: those of one state without the partition's own key and numbers. What became of a definition is
/// told exactly.
fn shape(PartitionCause { partition, state, cause }: PartitionCause<'_>) -> String {
    if state == State::DefinitionChanged.name() || is_of_other_definition(cause) {
        return cause.to_owned();
    }
    let mut shape = String::with_capacity(cause.len());
    let is_in_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let (mut rest, mut before) = (cause, None);
    while let Some(next) = rest.chars().next() {
        let after_key = rest.strip_prefix(partition.key.as_str()).filter(|after| {
            !partition.key.is_empty() && !is_in_word(before) && !is_in_word(after.chars().next())
        });
        let (mark, after) = match after_key {
            Some(after) => ('@', after),
            None if next.is_ascii_digit() => ('#', rest.trim_start_matches(|c: char| c.is_ascii_digit())),
            None => (next, &rest[next.len_utf8()..]),
        };
        before = rest[..rest.len() - after.len()].chars().next_back();
        shape.push(mark);
        rest = after;
    }
    // Thousands have separators that hundreds lack.
    while shape.contains("#,#") {
        shape = shape.replace("#,#", "#");
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(causes: &[(&str, &str, &str)]) -> Vec<String> {
        let partitions: Vec<Partition> = causes
            .iter()
            .map(|(name, ..)| {
                let (key, month) = name.split_once(' ').unwrap();
                Partition::new(key, month.parse().unwrap())
            })
            .collect();
        let causes: Vec<PartitionCause<'_>> = partitions
            .iter()
            .zip(causes)
            .map(|(partition, (_, state, cause))| PartitionCause { partition, state, cause })
            .collect();
        let groups = CauseGroup::from_partitions(causes.iter().copied());
        lines(&groups, "", |at| causes[at].cause.to_owned())
    }

    #[test]
    fn equal_causes_are_one_line_and_a_single_one_names_its_partition() {
        let carry = "boundary reset became carry";
        assert_eq!(
            told(&[
                ("x 2017-01", "failed", "the disk is full"),
                ("msft 2024-12", "definition-changed", carry),
                ("aapl 2015-01", "definition-changed", carry),
                ("aapl 2015-02", "definition-changed", carry),
            ]),
            [
                "  3 partitions definition-changed: boundary reset became carry (aapl 2015-01 .. msft 2024-12)",
                "  x 2017-01: failed: the disk is full",
            ]
        );
    }

    #[test]
    fn causes_that_differ_in_names_and_numbers_are_one_group_and_say_so() {
        assert_eq!(
            told(&[
                ("eurusd 2017-02", "failed", "reg_rate_eurusd_2017_02: the source had 1,990 rows"),
                ("gbpusd 2017-01", "failed", "reg_rate_gbpusd_2017_01: the source had 99 rows"),
                ("eurusd 2017-01", "failed", "reg_rate_eurusd_2017_01: the source had 1,031,990 rows"),
                ("eurusd 2017-03", "foreign", "reg_rate_eurusd_2017_01: the source had 1,031,990 rows"),
            ]),
            [
                "  3 partitions failed (eurusd 2017-01 .. gbpusd 2017-01); the first: reg_rate_eurusd_2017_01: the source had 1,031,990 rows",
                "  eurusd 2017-03: foreign: reg_rate_eurusd_2017_01: the source had 1,031,990 rows",
            ]
        );
    }

    #[test]
    fn a_definition_that_changed_otherwise_is_another_cause_and_so_is_a_word_that_has_the_key_in_it() {
        let changed = |window| ("a 2017-01", "definition-changed", window);
        assert_eq!(
            told(&[changed("windows [15] became [16]"), changed("windows [15] became [17]")]).len(),
            2
        );
        assert_eq!(told(&[("a 2017-01", "failed", "has"), ("b 2017-01", "failed", "hbs")]).len(), 2);
        assert_eq!(told(&[("a 2017-01", "failed", "é a é"), ("b 2017-01", "failed", "é b é")]).len(), 1);
    }

    #[test]
    fn many_causes_are_cut() {
        let names: Vec<String> =
            (b'a'..=b'z').map(|letter| format!("no {}", char::from(letter).to_string().repeat(3))).collect();
        let causes: Vec<(&str, &str, &str)> =
            names.iter().map(|name| ("x 2017-01", "failed", name.as_str())).collect();
        let lines = told(&causes);
        assert_eq!(
            (lines.len(), lines[20].as_str()),
            (21, "  ... and 6 more causes; --json has every partition")
        );
    }
}
