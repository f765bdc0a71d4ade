//! Stores that earlier versions wrote, frozen in `tests/fixtures/stores`: each is opened, or refused with a step that works, and
//! nothing in it is lost.

use std::path::Path;

use rollfit_job::receipt::DEFINITION_VERSION;
use serde_json::Value;

use crate::sandbox::{Answer, Sandbox};
use crate::tree::{Tree, copy};

/// The definitions of which there is a store.
const DEFINITIONS: [u32; 2] = [2, 3];

/// The first definition that puts a job with a name beside the unnamed one.
const NAMED_BESIDE: u32 = 3;

const TICKS: (&str, &str) = ("ROLLFIT_STORE__NAME", "ticks");

/// A partition, its state when the store was frozen, and its state once there is a later definition.
const PARTITIONS: [(&str, &str, &str); 6] = [
    ("eurusd:2017-01", "done", "definition-changed"),
    ("eurusd:2017-02", "input-changed", "definition-changed"),
    ("eurusd:2017-03", "missing", "missing"),
    ("gbpusd:2017-01", "foreign", "foreign"),
    ("gbpusd:2017-02", "shrunk", "shrunk"),
    ("gbpusd:2017-03", "definition-changed", "definition-changed"),
];

/// A copy of a frozen store.
struct FrozenStore {
    sandbox: Sandbox,
    definition: u32,
}

impl FrozenStore {
    fn all() -> impl Iterator<Item = Self> {
        DEFINITIONS.into_iter().map(|definition| {
            let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stores");
            let sandbox = Sandbox::new();
            copy(&fixtures.join(format!("definition-{definition}/parquet")), sandbox.dir());
            Self { sandbox, definition }
        })
    }

    fn is_of_now(&self) -> bool {
        self.definition == DEFINITION_VERSION
    }

    /// The states that this version has to find.
    fn states(&self) -> Vec<&'static str> {
        let state = |&(_, frozen, later)| if self.is_of_now() { frozen } else { later };
        PARTITIONS.iter().map(state).collect()
    }

    fn files(&self) -> Tree {
        Tree::read(&self.sandbox.path("fx"))
    }

    /// Makes the named job one that this version opens, as it says itself, and checks that nothing else opens it.
    fn move_named_job(&self) {
        if self.definition >= NAMED_BESIDE {
            return;
        }
        let (before, command) = (self.files(), "mv ./fx/features/ticks ./fx/features.ticks");
        let refusal = format!("error: ./fx/features/ticks was written by an earlier version: {command}");
        for arguments in [["plan"], ["run"], ["adopt"], ["verify"]] {
            self.sandbox.run_with(&[TICKS], &arguments).exits(2).says(&[&refusal]);
        }
        before.is_untouched(&self.sandbox.path("fx"));
        self.sandbox.run(&["plan"]).says(&["earlier version wrote (ticks)", command]);
        let mut shell = self.sandbox.in_clean_environment("sh");
        shell.args(["-c", command]);
        Answer::from_command(shell).exits(0);
    }
}

fn states(plan: &Answer) -> Vec<String> {
    let document: Value = plan.json();
    let partitions = document["partitions"].as_array().unwrap();
    partitions.iter().map(|line| line["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_plan_finds_the_states_and_reading_changes_nothing() {
    for store in FrozenStore::all() {
        let before = store.files();
        assert_eq!(states(&store.sandbox.run(&["plan", "--json"]).exits(0)), store.states());
        for command in ["verify", "compare", "doctor"] {
            store.sandbox.run(&[command]);
        }
        // The bytes are still checked, whatever definition they are of.
        store.sandbox.run(&["verify", "--quick", "--only", "eurusd:2017-01"]).exits(0);
        before.is_untouched(&store.sandbox.path("fx"));
    }
}

#[test]
fn a_run_without_replace_writes_what_is_due_and_leaves_the_rest_as_it_was() {
    for store in FrozenStore::all() {
        let before = store.files();
        store.sandbox.run(&["run", "--quiet"]);
        let due = |state: &&str| matches!(*state, "missing" | "input-changed");
        let written = store.states().iter().filter(|state| due(state)).count();
        let changed = before.differences(&store.files());
        let parts: Vec<&String> = changed.iter().filter(|path| path.ends_with("part.parquet")).collect();
        assert_eq!(parts.len(), written, "{changed:?}");
        assert!(parts.iter().all(|path| path.contains("month=2017-02") || path.contains("month=2017-03")));
    }
}

#[test]
fn receipts_of_an_earlier_definition_are_adopted_where_every_row_matches() {
    for store in FrozenStore::all() {
        let sandbox = &store.sandbox;
        let before = store.files();
        let (adopted, verdict) = ("eurusd:2017-01", if store.is_of_now() { "already ours" } else { "moved" });
        sandbox.run(&["adopt", "--only", adopted]).exits(0).says(&[&format!("1 {verdict}")]);
        let expected: &[&str] = match store.is_of_now() {
            true => &[],
            false => &["features/key=eurusd/month=2017-01/part.parquet"],
        };
        assert_eq!(before.differences(&store.files()), expected);
        let plan = sandbox.run(&["plan", "--json", "--only", adopted]).exits(0);
        assert_eq!(states(&plan), ["done"]);
        sandbox.run(&["verify", "--only", adopted]).exits(0).says(&["1 verified, 0 mismatches"]);
        // The others have no rows, or not those of this source: none of them becomes ours.
        let before = store.files();
        sandbox.run(&["adopt"]);
        assert_eq!(before.differences(&store.files()), [""; 0]);
    }
}

#[test]
fn everything_can_be_replaced_and_is_verified_then() {
    for store in FrozenStore::all() {
        let replace = ["definition-changed", "shrunk", "foreign"].map(|state| ["--replace", state]).concat();
        store.sandbox.run(&[&["run", "--quiet"], &replace[..]].concat()).exits(0);
        store.sandbox.run(&["verify"]).exits(0).says(&["6 verified, 0 mismatches"]);
    }
}

#[test]
fn a_job_with_a_name_is_moved_once_and_adopted_as_a_whole() {
    for store in FrozenStore::all() {
        store.move_named_job();
        let named = |arguments: &[&str]| store.sandbox.run_with(&[TICKS], arguments);
        let found = if store.is_of_now() { "done" } else { "definition-changed" };
        assert_eq!(states(&named(&["plan", "--json", "--only", "eurusd"]).exits(0)), [found; 3]);
        let verdict = if store.is_of_now() { "3 already ours" } else { "3 moved" };
        named(&["adopt", "--only", "eurusd"]).exits(0).says(&[verdict]);
        named(&["verify", "--only", "eurusd"]).exits(0).says(&["3 verified, 0 mismatches"]);
    }
}
