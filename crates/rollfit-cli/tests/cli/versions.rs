//! Files that other versions of rollfit wrote: every command leaves those of a later one as they are, and a new definition says what
//! it means for those of an earlier one.

use serde_json::Value;

use crate::bars::bars;
use crate::sandbox::Sandbox;
use crate::tree::Tree;
use crate::verify::rewrite;

const MONTHS: [&str; 2] = ["2017-01", "2017-02"];
const JANUARY: [&str; 2] = ["--only", "eurusd:2017-01"];

/// A store whose first month has another receipt.
fn changed(change: impl FnOnce(&mut Value)) -> Sandbox {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    rewrite(&sandbox, MONTHS[0], |_| (), change);
    sandbox
}

#[test]
fn no_command_touches_what_a_later_version_wrote() {
    let sandbox = changed(|receipt| {
        receipt["definition"]["version"] = 99.into();
        receipt["definition"]["boundary"] = "elsewhere".into();
        receipt["output"] = Value::Null;
    });
    let words = "written by a later version of rollfit (definition 99); use that version";
    let dir = sandbox.path("fx/features/key=eurusd/month=2017-01");
    let before = Tree::read(&dir);
    let plan = sandbox.run(&["plan", "--json"]).exits(0).json();
    let january = &plan["partitions"][0];
    assert_eq!((&january["state"], &january["cause"]), (&"newer".into(), &words.into()));
    assert_eq!((&january["write_bytes"], &plan["new_definition"]), (&0.into(), &Value::Null));
    sandbox.run(&["plan"]).exits(0).says(&["1 done, 1 newer", words]);
    for options in [&[][..], &["--force"], &["--replace", "foreign"], &["--replace", "definition-changed"]] {
        let run = [&["run"][..], options].concat();
        sandbox.run(&run).exits(4).says(&["1 skipped", "newer", words, "--replace does not help"]);
    }
    sandbox.run(&["run", "--replace", "newer"]).exits(2).says(&["version of rollfit that wrote"]);
    sandbox.run(&["drop", "eurusd:2017-01"]).exits(1).says(&["was not dropped", words]);
    sandbox.run(&["verify"]).exits(4).says(&["1 verified, 0 mismatches", "1 newer", words]);
    sandbox.run(&["verify", "--quick"]).exits(4).says(&["1 newer", words]);
    sandbox.run(&["compare"]).exits(4).says(&["1 clean, 0 different", "1 newer", words]);
    sandbox.run(&["adopt"]).exits(4).says(&["0 adopted, 1 already ours", "1 newer", words]);
    sandbox.run(&[&["adopt", "--json"][..], &JANUARY].concat()).exits(4);
    before.is_untouched(&dir);
    sandbox.run_with(&[("ROLLFIT_STATE_DIR", "none")], &["status"]).exits(0).says(&["1 newer"]);
}

#[test]
fn what_this_version_does_not_know_of_a_receipt_makes_it_no_other() {
    let sandbox = changed(|receipt| {
        receipt["format"] = 1.into();
        receipt["stored"]["types"] = serde_json::json!([[["numeric", 90]]]);
        receipt["definition"]["series"][0]["more"] = "unknown".into();
    });
    sandbox.run(&["run"]).exits(0).says(&["2 already done"]);
    sandbox.run(&["verify"]).exits(0).says(&["2 verified"]);
}

/// Checks that one line says what to do about the partition of an earlier definition.
#[track_caller]
fn is_said(text: &str) {
    let mut lines = text.lines().filter(|line| line.starts_with("1 partition of definition 2, now 3: "));
    let line = lines.next().unwrap();
    assert!(
        line.contains("`rollfit adopt` verifies") && line.contains("--replace definition-changed"),
        "{line}"
    );
    assert!(line.contains(" MB") || line.contains(" kB"), "{line}");
    assert_eq!(lines.next(), None);
}

#[test]
fn a_new_definition_says_what_it_means_in_one_line() {
    let sandbox = changed(|receipt| receipt["definition"]["version"] = 2.into());
    let plan = sandbox.run(&["plan", "--json"]).exits(0).json();
    let new = &plan["new_definition"];
    assert_eq!(
        (&new["from"], &new["to"], &new["partitions"]),
        (&serde_json::json!([2]), &3.into(), &1.into())
    );
    assert_eq!(new["rows"], plan["partitions"][0]["rows"]);
    assert!(
        new["write_bytes"].as_u64().unwrap() > 10_000 && new["estimate"].is_null(),
        "{new}: a tiny run tells no rate"
    );
    assert_eq!(plan["write_bytes"], 0, "a run writes it only with --replace");
    is_said(&sandbox.run(&["plan"]).exits(0).stdout);
    is_said(&sandbox.run(&["run"]).exits(4).stdout);
    let run = sandbox.run(&["run", "--json"]).exits(4).json();
    assert_eq!(
        (&run["new_definition"]["partitions"], &run["new_definition"]["rows"]),
        (&1.into(), &new["rows"])
    );

    // Of another source adopt keeps nothing, and the line does not promise it.
    let close = |close| sandbox.import_changed("eurusd", &[(bars("eurusd", MONTHS[0])[50].0, close)]);
    close(1.5);
    let changed = sandbox.run(&["plan", "--json", JANUARY[0], JANUARY[1]]).exits(0).json();
    assert_eq!(
        (&changed["partitions"][0]["state"], &changed["partitions"][0]["cause"], &changed["new_definition"]),
        (
            &"definition-changed".into(),
            &"definition version 2 became 3; and the source has changed".into(),
            &Value::Null
        )
    );
    let run = sandbox.run(&[&["run"][..], &JANUARY].concat()).exits(4);
    let run = run.says(&["definition version 2 became 3; and the source has changed"]);
    assert!(!run.stdout.contains("rollfit adopt"), "{run}");
    let replace = "`rollfit run --replace definition-changed --only eurusd:2017-01` rewrites the partition";
    sandbox.run(&[&["adopt"][..], &JANUARY].concat()).exits(4).says(&["the source has changed", replace]);
    close(bars("eurusd", MONTHS[0])[50].1);
    is_said(&sandbox.run(&["plan"]).exits(0).stdout);

    // Another definition is no new one: adopt cannot keep it.
    let carry = [("ROLLFIT_RUN__BOUNDARY", "carry")];
    let plan = sandbox.run_with(&carry, &["plan"]).exits(0);
    let plan = plan.says(&["definition version 2 became 3, and boundary reset became carry"]);
    assert!(!plan.stdout.contains("rollfit adopt"), "{plan}");
    sandbox.run_with(&carry, &["adopt"]).exits(4).says(&["2 not adopted", "boundary reset became carry"]);
    sandbox.run(&["run", "--replace", "definition-changed"]).exits(0).says(&["1 written", "1 already done"]);
    assert!(sandbox.run(&["plan", "--json"]).exits(0).json()["new_definition"].is_null());
}
