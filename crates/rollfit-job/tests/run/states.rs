//! What is written and what is left alone, by the state that a partition is in.

use std::sync::Arc;

use rollfit_job::plan::{PlannedPartition, assess, estimate_missing_bytes};
use rollfit_job::run::{Outcome, RunOptions};
use rollfit_job::state::State;
use rollfit_job::store::{Sink, StoreError};
use rollfit_testkit::market::{config, partition};

use crate::bench::{Bench, MONTHS, Record, fails_for, outcomes};

const STATES: [(&str, State); 7] = [
    ("changed", State::InputChanged),
    ("defined", State::DefinitionChanged),
    ("done", State::Done),
    ("foreign", State::Foreign),
    ("missing", State::Missing),
    ("newer", State::Newer),
    ("shrunk", State::Shrunk),
];

/// A store with one partition in each state, under a key of its name.
fn one_of_each() -> Bench {
    let mut bench = Bench::new(&[], &STATES.map(|(key, _)| key), &MONTHS[..1], 200);
    bench.run();
    bench.source.table("m1_changed").values[7] += 1.0;
    bench.source.retain("bqx_shrunk", |row| row % 10 != 0);
    let output = |key| bench.sink.output(&partition(key, MONTHS[0]));
    let mut stored = bench.sink.stored.lock().unwrap();
    Arc::make_mut(&mut stored.get_mut(&output("defined")).unwrap().receipt.definition).version = 0;
    stored.remove(&output("missing"));
    bench.sink.foreign.lock().unwrap().push(output("foreign"));
    bench.sink.newer.lock().unwrap().push(output("newer"));
    drop(stored);
    bench
}

/// The keys that a run with these options writes.
fn written(options: &RunOptions) -> Vec<String> {
    let bench = one_of_each();
    let before = bench.sink.all();
    let report = bench.run_with(options, &Record::default());
    let is_written = |outcome: &Outcome| matches!(outcome, Outcome::Written { .. });
    for (partition, outcome) in &report.outcomes {
        let output = bench.sink.output(partition);
        let unchanged = bench.sink.all().get(&output) == before.get(&output);
        assert!(is_written(outcome) || unchanged, "{partition} was written on the side");
        if let Outcome::Written { was, .. } = outcome {
            assert_eq!(STATES.iter().find(|(_, state)| state == was).unwrap().0, partition.key);
        }
    }
    report
        .outcomes
        .iter()
        .filter(|(_, o)| is_written(o))
        .map(|(partition, _)| partition.key.clone())
        .collect()
}

#[test]
fn a_run_writes_the_missing_and_the_changed_and_leaves_the_rest_alone() {
    assert_eq!(written(&RunOptions::default()), ["changed", "missing"]);
    let bench = one_of_each();
    let wanted = [
        "written",
        "left alone: definition-changed",
        "already done",
        "left alone: foreign",
        "written",
        "left alone: newer",
        "left alone: shrunk",
    ];
    assert_eq!(outcomes(&bench.run()), wanted);
}

#[test]
fn a_state_is_replaced_when_it_is_named_and_no_other_with_it() {
    let replacing =
        |replace: &[State]| written(&RunOptions { replace: replace.to_vec(), ..RunOptions::default() });
    assert_eq!(replacing(&[State::DefinitionChanged]), ["changed", "defined", "missing"]);
    assert_eq!(replacing(&[State::Foreign]), ["changed", "foreign", "missing"]);
    assert_eq!(replacing(&[State::Shrunk]), ["changed", "missing", "shrunk"]);
    assert_eq!(replacing(&State::LEFT_ALONE), ["changed", "defined", "foreign", "missing", "shrunk"]);
}

#[test]
fn force_writes_the_done_again_and_not_what_is_left_alone() {
    let forced = RunOptions { replace: Vec::new(), force: true, ..RunOptions::default() };
    assert_eq!(written(&forced), ["changed", "done", "missing"]);
    let all = RunOptions { replace: State::ALL.to_vec(), force: true, ..RunOptions::default() };
    assert!(!written(&all).contains(&"newer".to_owned()), "no option replaces what a later version wrote");
    let bench = one_of_each();
    let before = bench.sink.stored(&partition("done", MONTHS[0]));
    bench.run_with(&forced, &Record::default());
    assert_eq!(bench.sink.stored(&partition("done", MONTHS[0])), before);
}

#[test]
fn features_are_never_replaced_by_nothing() {
    let mut bench = one_of_each();
    bench.source.retain("m1_shrunk", |_| false);
    bench.source.retain("m1_foreign", |_| false);
    bench.config = config(&[
        ("PARTITIONS__KEYS", "[\"foreign\", \"shrunk\"]"),
        ("PARTITIONS__FROM", MONTHS[0]),
        ("PARTITIONS__TO", MONTHS[0]),
    ]);
    let all = RunOptions { replace: State::LEFT_ALONE.to_vec(), force: true, ..RunOptions::default() };
    let report = bench.run_with(&all, &Record::default());
    assert_eq!(outcomes(&report), ["left alone: foreign", "left alone: shrunk"]);
}

#[test]
fn the_plan_says_what_a_run_would_do() {
    let bench = one_of_each();
    let planned = assess(&bench.job(), &bench.partitions());
    let states: Vec<Option<State>> = planned.iter().map(|line| line.state).collect();
    assert_eq!(states, STATES.map(|(_, state)| Some(state)));
    let bytes: Vec<u64> = planned.iter().map(|line| line.write_bytes).collect();
    assert_eq!(bytes, [2000, 0, 0, 0, 2000, 0, 0]);
    assert!(planned[6].cause.contains("200 rows and has 180 now"), "{}", planned[6].cause);
    assert_eq!(estimate_missing_bytes(&bench.job(), &bench.partitions()), 2000);
}

#[test]
fn the_plan_goes_on_where_a_partition_cannot_be_read() {
    let mut bench = Bench::new(&[], &["a", "b"], &["2017-01", "2017-03"], 20);
    bench.source.fault = Some(Box::new(fails_for("b", || StoreError::permanent("the file is truncated"))));
    let planned = assess(&bench.job(), &bench.partitions());
    let unread = |line: &PlannedPartition| line.state.is_none().then(|| line.cause.clone());
    let causes: Vec<Option<String>> = planned.iter().map(unread).collect();
    assert_eq!(causes[..3], [None, None, None]);
    assert_eq!(causes.len(), 6);
    assert!(causes[3..].iter().all(|cause| cause.as_deref() == Some("the file is truncated")));
}
