//! [`State`]: what there is to do about a partition, decided from what the sink holds and what the source holds now.

use crate::config::RunConfig;
use crate::input::InputChange;
use crate::month::display_instant;
use crate::nearest::did_you_mean;
use crate::receipt::{Definition, Input, Receipt};
use crate::store::Found;

/// What a partition is. See SPEC promise 3: [`State::LEFT_ALONE`] wait until a replacement is asked for, and `Blocked`
/// until its cause is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// There are no features yet.
    Missing,
    /// There are no features, and no series has a row.
    Empty,
    /// The features are those of the source as it is now.
    Done,
    /// The features are those of the source's first rows as they are now, and there are later ones.
    Grown,
    /// The source has changed since.
    InputChanged,
    /// The features were computed by another definition.
    DefinitionChanged,
    /// There are rows without a receipt of rollfit.
    Foreign,
    /// The source has changed since, and lost rows.
    Shrunk,
    /// It would have to be replaced, and that would change rows of others.
    Blocked,
    /// A later version of rollfit wrote it.
    Newer,
}

impl State {
    /// Every state.
    pub const ALL: [State; 10] = [
        State::Missing,
        State::Empty,
        State::Done,
        State::Grown,
        State::InputChanged,
        State::DefinitionChanged,
        State::Foreign,
        State::Shrunk,
        State::Blocked,
        State::Newer,
    ];

    /// The states that a run skips unless the user replaces them.
    pub const LEFT_ALONE: [State; 3] = [State::DefinitionChanged, State::Foreign, State::Shrunk];

    /// Whether a run writes a partition in this state without `--replace`.
    pub const fn is_due(self) -> bool {
        matches!(self, State::Missing | State::Grown | State::InputChanged)
    }

    /// The name in commands and reports.
    pub const fn name(self) -> &'static str {
        match self {
            State::Missing => "missing",
            State::Empty => "empty",
            State::Done => "done",
            State::Grown => "grown",
            State::InputChanged => "input-changed",
            State::DefinitionChanged => "definition-changed",
            State::Foreign => "foreign",
            State::Shrunk => "shrunk",
            State::Blocked => "blocked",
            State::Newer => "newer",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == State::Blocked.name() {
            return Err(
                "`blocked` cannot be replaced: remove what blocks the partition, which `rollfit plan` names"
                    .to_owned(),
            );
        }
        if text == State::Newer.name() {
            return Err("`newer` cannot be replaced: use the version of rollfit that wrote the partition, or a later one"
                .to_owned());
        }
        if text == State::Grown.name() {
            return Err("`grown` needs no --replace: a run adds the new rows".to_owned());
        }
        Self::LEFT_ALONE.into_iter().find(|state| state.name() == text).ok_or_else(|| {
            let hint = did_you_mean(text, Self::LEFT_ALONE.map(State::name));
            format!(
                "`{text}` cannot be replaced; {hint}these can: {}",
                Self::LEFT_ALONE.map(State::name).join(", ")
            )
        })
    }
}

/// What an earlier version of rollfit stored of the same job: `rollfit adopt` keeps it if it agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarlierDefinition {
    /// The version of its definition.
    pub version: u32,
    /// The rows stored.
    pub rows: u64,
}

/// A partition's state and the reason for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The state.
    pub state: State,
    /// A second state in which it would be skipped: replacing it needs both.
    pub also: Option<State>,
    /// Why, for people.
    pub cause: String,
    /// What is stored, if nothing but the version of the definition has changed; the source neither.
    pub earlier: Option<EarlierDefinition>,
    /// Whether the source has no joined row of it: then nothing replaces what is stored.
    pub is_without_rows: bool,
}

impl Assessment {
    /// Decides the state of a partition whose sink holds `found` and whose source holds `input` now. `compare_input`
    /// says what has become of the input of a receipt, by whatever kind of digest: see
    /// [`Panel::compare_input`](crate::panel::Panel).
    pub fn from_found(
        found: &Found,
        definition: &Definition,
        input: &Input,
        compare_input: impl FnOnce(&Input) -> InputChange,
        run: &RunConfig,
    ) -> Self {
        let assessment = match found {
            Found::Nothing => Self::new(State::Missing, "no features yet".to_owned()),
            Found::Foreign(what) => Self::new(State::Foreign, what.clone()),
            Found::Newer(what) => Self::new(State::Newer, what.clone()),
            Found::Blocked(what) => Self::new(State::Blocked, what.clone()),
            Found::Ours(receipt) => compare(receipt, definition, input, compare_input, run),
        };
        Self { is_without_rows: input.rows == 0, ..assessment }
    }

    fn new(state: State, cause: String) -> Self {
        Self { state, also: None, cause, earlier: None, is_without_rows: false }
    }

    /// A partition without features of which no series has a row.
    pub(crate) fn empty(cause: String) -> Self {
        Self::new(State::Empty, cause)
    }

    /// A partition that a runner with another configuration has written while this one works, and what differs. It is never replaced.
    pub(crate) fn written_otherwise(difference: &str) -> Self {
        let cause = format!("{difference}; another runner has written it since this run began");
        Self::new(State::DefinitionChanged, cause)
    }

    /// The partition as it is if `obstacle` keeps its rows from being replaced or removed: blocked where they would have
    /// to be replaced now, and as before, with a word about it, where a run would do that only when asked to.
    #[must_use]
    pub fn with_obstacle(self, obstacle: &str) -> Self {
        match self.state {
            // To add rows changes none.
            State::Missing | State::Empty | State::Done | State::Grown | State::Blocked | State::Newer => {
                self
            }
            State::InputChanged => self.blocked_by(obstacle),
            State::DefinitionChanged | State::Foreign | State::Shrunk => {
                Self { cause: format!("{}; --replace would find it blocked: {obstacle}", self.cause), ..self }
            }
        }
    }

    /// The partition once it has to be replaced and `obstacle` forbids that.
    #[must_use]
    pub fn blocked_by(self, obstacle: &str) -> Self {
        Self::new(State::Blocked, format!("it is {} ({}), but {obstacle}", self.state, self.cause))
    }

    /// The states that a run has to replace to write it; none where no option has it written.
    pub fn replaceable_as(&self) -> Vec<State> {
        if self.is_without_rows || !State::LEFT_ALONE.contains(&self.state) {
            return Vec::new();
        }
        std::iter::once(self.state).chain(self.also).collect()
    }

    /// Whether a run that may replace `replace` may write the partition.
    pub fn may_be_replaced(&self, replace: &[State]) -> bool {
        replace.contains(&self.state) && self.also.is_none_or(|also| replace.contains(&also))
    }
}

/// What is said of a partition that is done: `31,623 rows`.
pub fn rows_text(rows: u64) -> String {
    let digits = rows.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    format!("{} {}", groups.join(","), if rows == 1 { "row" } else { "rows" })
}

fn compare(
    receipt: &Receipt,
    definition: &Definition,
    input: &Input,
    compare_input: impl FnOnce(&Input) -> InputChange,
    run: &RunConfig,
) -> Assessment {
    let Some(difference) = receipt.definition.difference(definition) else {
        return compare_input_only(receipt, input, compare_input, run);
    };
    // Rows that are gone weigh more than another definition, and neither hides the other.
    if let Some(loss) = shrinkage(receipt, false, input, run) {
        let cause = format!("{loss}; and {difference}");
        return Assessment { also: Some(State::DefinitionChanged), ..Assessment::new(State::Shrunk, cause) };
    }
    // Another job may read other rows of the same source: only a new version of this one can tell that it changed.
    if !receipt.definition.is_earlier_version_of(definition) {
        return Assessment::new(State::DefinitionChanged, difference);
    }
    if compare_input(&receipt.input) != InputChange::None {
        return Assessment::new(
            State::DefinitionChanged,
            format!("{difference}; and the source has changed"),
        );
    }
    let earlier = EarlierDefinition { version: receipt.definition.version, rows: receipt.stored.rows };
    Assessment { earlier: Some(earlier), ..Assessment::new(State::DefinitionChanged, difference) }
}

/// Decides the state of a partition whose receipt is of this definition.
fn compare_input_only(
    receipt: &Receipt,
    input: &Input,
    compare_input: impl FnOnce(&Input) -> InputChange,
    run: &RunConfig,
) -> Assessment {
    let before = &receipt.input;
    if before.is_same_rows(input) {
        return Assessment::new(State::Done, rows_text(receipt.stored.rows));
    }
    // The bits of adopted rows are not ours: none of ours go beside them.
    let may_have_grown = input.rows > before.rows && !receipt.stored.adopted;
    if may_have_grown && compare_input(before) == InputChange::Grown {
        return Assessment::new(State::Grown, growth(before, input));
    }
    match shrinkage(receipt, true, input, run) {
        Some(loss) => Assessment::new(State::Shrunk, loss),
        None => Assessment::new(State::InputChanged, input_change(before, input)),
    }
}

/// What has come to the input since the receipt.
fn growth(before: &Input, now: &Input) -> String {
    let rows = now.rows.saturating_sub(before.rows);
    let last = before.last_us.map(|last_us| format!(" after {}", display_instant(last_us)));
    format!("{rows} new {}{}", if rows == 1 { "row" } else { "rows" }, last.unwrap_or_default())
}

/// What the input has lost since the receipt. A join that loses no more than it did then has lost nothing.
fn shrinkage(receipt: &Receipt, is_same_definition: bool, input: &Input, run: &RunConfig) -> Option<String> {
    let before = &receipt.input;
    if input.rows == 0 && before.rows > 0 {
        return Some(format!(
            "the source had {} rows and is empty now; `rollfit drop` removes the features",
            before.rows
        ));
    }
    if (input.rows as f64) < run.shrunk_rows_min * before.rows as f64 {
        return Some(format!("the source had {} rows and has {} now", before.rows, input.rows));
    }
    if is_same_definition && input.lookback_rows < before.lookback_rows {
        return Some(format!(
            "{} rows before the partition were used and {} are left",
            before.lookback_rows, input.lookback_rows
        ));
    }
    let lost_share = input.join_loss();
    (lost_share > run.join_loss_max && input.has_lost_more_than(before))
        .then(|| format!("the join loses {:.1}% of a series' rows now", 100.0 * lost_share))
}

fn input_change(before: &Input, now: &Input) -> String {
    if before.rows != now.rows {
        format!("the source had {} rows and has {} now", before.rows, now.rows)
    } else if before.lookback_rows != now.lookback_rows {
        format!(
            "{} rows before the partition were used and {} are now",
            before.lookback_rows, now.lookback_rows
        )
    } else {
        "the source has other values or instants now".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Boundary, EXAMPLE, JobConfig};
    use crate::receipt::{DEFINITION_VERSION, Stored};

    fn input(rows: u64, lost: u64, digest: &str) -> Input {
        Input {
            rows,
            lookback_rows: 0,
            first_us: Some(0),
            last_us: Some(9),
            digest: digest.to_owned(),
            lost_rows: vec![lost, 0],
        }
    }

    fn assess(change: impl FnOnce(&mut JobConfig, &mut Input)) -> State {
        assess_version(DEFINITION_VERSION, change).state
    }

    /// What becomes of a partition that this version of the definition wrote.
    fn assess_version(version: u32, change: impl FnOnce(&mut JobConfig, &mut Input)) -> Assessment {
        let mut config = JobConfig::parse(EXAMPLE, []).unwrap();
        let receipt = Receipt {
            output: "eurusd 2017-01".to_owned(),
            definition: Definition { version, ..Definition::from_config(&config) }.into(),
            input: input(1000, 0, "a"),
            stored: Stored::default(),
        };
        let mut now = input(1000, 0, "a");
        change(&mut config, &mut now);
        let compare_input = |recorded: &Input| match now.digest.as_str() {
            _ if recorded.is_same_rows(&now) => InputChange::None,
            "a and more" => InputChange::Grown,
            _ => InputChange::Changed,
        };
        let found = Found::Ours(Box::new(receipt));
        Assessment::from_found(&found, &Definition::from_config(&config), &now, compare_input, &config.run)
    }

    #[test]
    fn only_of_the_same_input_a_new_definition_is_all_that_has_changed() {
        let told = |change: fn(&mut JobConfig, &mut Input)| {
            let Assessment { state, also, cause, earlier, .. } = assess_version(2, change);
            (state, also, cause, earlier.map(|earlier| (earlier.version, earlier.rows)))
        };
        let new = "definition version 2 became 3";
        let definition_changed = |cause: &str| (State::DefinitionChanged, None, cause.to_owned(), None);
        assert_eq!(told(|_, _| ()), (State::DefinitionChanged, None, new.to_owned(), Some((2, 0))));
        assert_eq!(told(|_, now| now.lost_rows[1] = 1).3, Some((2, 0)), "no feature depends on it");
        let changes: [fn(&mut JobConfig, &mut Input); 5] = [
            |_, now| now.digest = "b".to_owned(),
            |_, now| now.rows += 1,
            |_, now| now.lookback_rows += 1,
            |_, now| now.last_us = Some(8),
            |_, now| *now = input(1001, 0, "a and more"),
        ];
        for change in changes {
            assert_eq!(told(change), definition_changed(&format!("{new}; and the source has changed")));
        }
        // What another job reads of the source says nothing about it.
        let carry = told(|config, now| (config.boundary, now.lookback_rows) = (Boundary::Carry, 9));
        assert_eq!(carry, definition_changed(&format!("{new}, and boundary reset became carry")));
        let lost = told(|_, now| now.rows = 500);
        assert_eq!((lost.0, lost.1, lost.3), (State::Shrunk, Some(State::DefinitionChanged), None));
    }

    #[test]
    fn each_state_has_its_cause() {
        assert_eq!(assess(|_, _| ()), State::Done);
        assert_eq!(assess(|_, now| *now = input(1001, 0, "b")), State::InputChanged);
        assert_eq!(assess(|_, now| *now = input(990, 0, "b")), State::InputChanged);
        assert_eq!(assess(|_, now| *now = input(989, 0, "b")), State::Shrunk);
        assert_eq!(assess(|_, now| *now = input(0, 0, "b")), State::Shrunk);
        assert_eq!(assess(|_, now| *now = input(1001, 0, "a and more")), State::Grown);
        assert_eq!(assess(|_, now| *now = input(1001, 900, "a and more")), State::Grown, "nothing is lost");
        assert_eq!(assess(|_, now| *now = input(1001, 900, "b")), State::Shrunk);
        assert_eq!(assess(|_, now| *now = input(1000, 900, "a")), State::Done);
        assert_eq!(assess(|_, now| *now = input(1000, 10, "b")), State::InputChanged);
        assert_eq!(assess(|_, now| *now = input(1000, 11, "b")), State::Shrunk);
        assert_eq!(
            assess(|config, now| {
                config.boundary = Boundary::Carry;
                *now = input(989, 0, "b");
            }),
            State::Shrunk
        );
        assert_eq!(assess(|config, _| config.boundary = Boundary::Carry), State::DefinitionChanged);
        assert_eq!(assess(|config, _| config.series[0].metrics.truncate(3)), State::DefinitionChanged);
        assert_eq!(assess(|config, _| config.series.truncate(1)), State::DefinitionChanged);
        assert_eq!(
            assess(|config, now| {
                config.run.shrunk_rows_min = 0.5;
                *now = input(500, 0, "b");
            }),
            State::InputChanged
        );
    }

    #[test]
    fn a_loss_and_another_definition_are_replaced_only_when_told_both() {
        let both = Assessment {
            also: Some(State::DefinitionChanged),
            ..Assessment::new(State::Shrunk, String::new())
        };
        assert!(!both.may_be_replaced(&[State::Shrunk]));
        assert!(!both.may_be_replaced(&[State::DefinitionChanged]));
        assert!(both.may_be_replaced(&[State::DefinitionChanged, State::Shrunk]));
    }

    #[test]
    fn only_what_is_left_alone_can_be_replaced() {
        assert_eq!("foreign".parse(), Ok(State::Foreign));
        assert!("done".parse::<State>().unwrap_err().contains("definition-changed, foreign, shrunk"));
        assert!("blocked".parse::<State>().unwrap_err().contains("remove what blocks"));
        assert!("newer".parse::<State>().unwrap_err().contains("version of rollfit that wrote"));
        assert!("grown".parse::<State>().unwrap_err().contains("needs no --replace"));
    }

    #[test]
    fn only_what_has_to_be_replaced_is_blocked_and_the_others_say_what_would_block_them() {
        let with_obstacle =
            |state| Assessment::new(state, "why".to_owned()).with_obstacle("labels refers to it");
        for state in State::ALL {
            let assessment = with_obstacle(state);
            match state {
                State::InputChanged => assert_eq!(assessment.state, State::Blocked),
                state => assert_eq!(assessment.state, state),
            }
            let may_be_replaced = state == State::InputChanged || State::LEFT_ALONE.contains(&state);
            assert_eq!(assessment.cause.contains("labels"), may_be_replaced, "{state}");
        }
    }
}
