//! [`ways_out`]: what to do about the partitions that a run skipped, a line for each kind.

use rollfit_job::partition::Partition;
use rollfit_job::state::State;

use super::new_definition::NewDefinition;
use super::undone::UndonePartition;
use crate::format::plural;
use crate::job_arguments::JobArguments;

/// The most partitions that a command to copy names.
const NAMED_MAX: usize = 20;

/// What to do about the `skipped` partitions of a job; nothing where there are none.
pub(super) fn ways_out(
    job: &JobArguments,
    skipped: &[UndonePartition],
    new_definition: Option<&NewDefinition>,
) -> Vec<String> {
    let has = |state: State| skipped.iter().any(|problem| problem.state == state.name());
    let is_foreign = |problem: &&UndonePartition| problem.state == State::Foreign.name();
    let (foreign, ours): (Vec<&UndonePartition>, Vec<&UndonePartition>) =
        skipped.iter().filter(|problem| problem.is_emptied).partition(is_foreign);
    let lines = [
        replace(skipped),
        new_definition.map(NewDefinition::sentence),
        (!ours.is_empty()).then(|| drop_emptied(job, &ours)),
        (!foreign.is_empty()).then(|| {
            "--replace does not rewrite a foreign partition of which the source has no rows; remove its rows by hand."
                .to_owned()
        }),
        has(State::Blocked).then(|| {
            "A blocked partition is written when what blocks it is gone; --replace does not help.".to_owned()
        }),
        has(State::Newer).then(|| {
            "A newer partition is for the version of rollfit that wrote it; --replace does not help.".to_owned()
        }),
    ];
    lines.into_iter().flatten().collect()
}

/// `Skipped partitions are rewritten only with --replace foreign --replace shrunk.`
fn replace(skipped: &[UndonePartition]) -> Option<String> {
    let is_there = |state: &State| skipped.iter().any(|problem| problem.replaceable_as.contains(state));
    let states = State::LEFT_ALONE.into_iter().filter(is_there);
    let options: String = states.map(|state| format!(" --replace {state}")).collect();
    (!options.is_empty()).then(|| format!("Skipped partitions are rewritten only with{options}."))
}

/// The way out for partitions of this job whose source has no rows any more.
fn drop_emptied(job: &JobArguments, emptied: &[&UndonePartition]) -> String {
    let selector = |partition: &Partition| format!(" {}:{}", partition.key, partition.period);
    let named = match emptied.len() {
        0..=NAMED_MAX => emptied.iter().map(|problem| selector(&problem.partition)).collect(),
        _ => " KEY:YYYY-MM".to_owned(),
    };
    format!(
        "The source has no rows any more of {}, and --replace does not rewrite them; `{}` removes the features.",
        plural(emptied.len(), "skipped partition"),
        job.command(&format!("drop{named}"))
    )
}

#[cfg(test)]
mod tests {
    use rollfit_job::run::Outcome;
    use rollfit_job::state::Assessment;

    use super::*;

    fn skipped(month: usize, state: State, also: Option<State>, is_without_rows: bool) -> UndonePartition {
        let partition = Partition::new("eurusd", format!("2017-{month:02}").parse().unwrap());
        let cause = "why".to_owned();
        let outcome = Outcome::LeftAlone(Assessment { state, also, cause, earlier: None, is_without_rows });
        UndonePartition::new(&partition, &outcome).unwrap()
    }

    #[test]
    fn only_states_that_are_there_are_named() {
        let both = [
            skipped(1, State::Shrunk, Some(State::DefinitionChanged), false),
            skipped(2, State::Blocked, None, false),
        ];
        let lines = ways_out(&JobArguments::default(), &both, None);
        assert_eq!(
            lines[0],
            "Skipped partitions are rewritten only with --replace definition-changed --replace shrunk."
        );
        assert!(lines.len() == 2 && lines[1].contains("blocked"), "{lines:?}");
        assert!(ways_out(&JobArguments::default(), &[], None).is_empty());
    }

    #[test]
    fn what_the_source_has_no_rows_of_is_dropped_or_removed_by_hand() {
        let emptied = [skipped(1, State::Shrunk, None, true), skipped(3, State::Shrunk, None, true)];
        let [line] = &ways_out(&JobArguments::default(), &emptied, None)[..] else { panic!() };
        assert!(line.contains("of 2 skipped partitions"), "{line}");
        assert!(line.contains("`rollfit drop eurusd:2017-01 eurusd:2017-03`"), "{line}");
        let [line] = &ways_out(&JobArguments::default(), &[skipped(1, State::Foreign, None, true)], None)[..]
        else {
            panic!()
        };
        assert!(line.contains("by hand") && !line.contains("drop"), "{line}");
    }
}
