//! Jobs with a name: their features lie beside those of the unnamed job, never below them, and what an earlier version put
//! below is moved by the user.

use std::fs;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::sandbox::{Answer, Sandbox};
use crate::tree::{Tree, copy};

const TICKS: (&str, &str) = ("ROLLFIT_STORE__NAME", "ticks");

/// A store with both jobs, the named one with features of another definition.
fn two_jobs() -> Sandbox {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    sandbox.run_with(&[TICKS, ("ROLLFIT_RUN__BOUNDARY", "carry")], &["run"]).exits(0).says(&["1 written"]);
    sandbox
}

/// As [`two_jobs`], as an earlier version would have left it.
fn earlier_store() -> Sandbox {
    let sandbox = two_jobs();
    fs::rename(sandbox.path("fx/features.ticks"), sandbox.path("fx/features/ticks")).unwrap();
    sandbox
}

fn ticks(sandbox: &Sandbox, arguments: &[&str]) -> Answer {
    sandbox.run_with(&[TICKS, ("ROLLFIT_RUN__BOUNDARY", "carry")], arguments)
}

/// The state of the only partition.
fn state(answer: &Answer) -> String {
    answer.json()["partitions"][0]["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_named_job_lies_beside_the_unnamed_one_and_neither_sees_the_other() {
    let sandbox = two_jobs();
    let part = "key=eurusd/month=2017-01/part.parquet";
    assert!(sandbox.path("fx/features.ticks").join(part).exists());
    assert!(!sandbox.path("fx/features/ticks").exists());
    assert_eq!(state(&sandbox.run(&["plan", "--json"]).exits(0)), "done");
    assert_eq!(state(&ticks(&sandbox, &["plan", "--json"]).exits(0)), "done");
    ticks(&sandbox, &["drop", "eurusd:2017-01"]).exits(0);
    assert_eq!(state(&ticks(&sandbox, &["plan", "--json"]).exits(0)), "missing");
    assert!(sandbox.path("fx/features").join(part).exists());
    // `a` and `a.b` are two jobs beside each other.
    for name in ["a", "a.b"] {
        sandbox.run_with(&[("ROLLFIT_STORE__NAME", name)], &["run"]).exits(0).says(&["1 written"]);
        assert!(sandbox.path(format!("fx/features.{name}")).join(part).exists());
    }
}

#[test]
fn a_receipt_is_valid_wherever_its_job_lies() {
    let sandbox = two_jobs();
    let (unnamed, named) = (sandbox.path("fx/features"), sandbox.path("fx/features.ticks"));
    renameat_with(CWD, &unnamed, CWD, &named, RenameFlags::EXCHANGE).unwrap();
    // Each job finds what the other wrote, and knows it for another definition of ours.
    assert_eq!(state(&sandbox.run(&["plan", "--json"]).exits(0)), "definition-changed");
    assert_eq!(state(&ticks(&sandbox, &["plan", "--json"]).exits(0)), "definition-changed");
    assert_eq!(state(&sandbox.run_with(&[TICKS], &["plan", "--json"]).exits(0)), "done");
    sandbox.run_with(&[TICKS], &["verify"]).exits(0).says(&["1 verified, 0 mismatches"]);
}

#[test]
fn a_named_job_of_an_earlier_version_is_refused_until_it_is_moved() {
    let sandbox = earlier_store();
    let moved =
        "error: fx/features/ticks was written by an earlier version: mv fx/features/ticks fx/features.ticks";
    let before = Tree::read(&sandbox.path("fx"));
    for command in ["plan", "run", "verify", "compare", "adopt", "doctor", "drop"] {
        let arguments: &[&str] = match command {
            "drop" => &["drop", "eurusd:2017-01"],
            _ => &[command],
        };
        ticks(&sandbox, arguments).exits(2).says(&[moved]);
    }
    before.is_untouched(&sandbox.path("fx"));
    // Another name, and what only reads the sources, have nothing to do with it.
    sandbox.run_with(&[("ROLLFIT_STORE__NAME", "bars")], &["plan"]).exits(0).says(&["1 missing"]);
    // What the message says to type.
    let mut shell = sandbox.in_clean_environment("sh");
    shell.args(["-c", moved.rsplit(": ").next().unwrap()]);
    Answer::from_command(shell).exits(0);
    assert_eq!(state(&ticks(&sandbox, &["plan", "--json"]).exits(0)), "done");
    ticks(&sandbox, &["verify"]).exits(0).says(&["1 verified, 0 mismatches"]);
}

#[test]
fn only_features_of_that_name_and_in_that_place_are_of_an_earlier_version() {
    let sandbox = earlier_store();
    // A copy was moved, and the old one stayed: the new one counts.
    copy(&sandbox.path("fx/features/ticks"), &sandbox.path("fx/features.ticks"));
    assert_eq!(state(&ticks(&sandbox, &["plan", "--json"]).exits(0)), "done");
    // A file, and a directory without features, are nobody's job.
    sandbox.write("fx/features/file", "a note");
    fs::create_dir(sandbox.path("fx/features/empty")).unwrap();
    for name in ["file", "empty", "none"] {
        sandbox.run_with(&[("ROLLFIT_STORE__NAME", name)], &["plan"]).exits(0).says(&["1 missing"]);
    }
}

#[test]
fn the_command_that_moves_a_job_can_be_pasted_whatever_the_store_is_called() {
    let sandbox = earlier_store();
    fs::rename(sandbox.path("fx"), sandbox.path("it's fx")).unwrap();
    let here = [TICKS, ("ROLLFIT_STORE__URL", "parquet:it's fx")];
    sandbox.run_with(&here, &["plan"]).exits(2).says(&[
        r"it's fx/features/ticks was written by an earlier version: mv 'it'\''s fx/features/ticks' 'it'\''s fx/features.ticks'",
    ]);
}

#[test]
fn the_unnamed_job_warns_of_jobs_below_it_since_readers_would_mix_them() {
    let sandbox = earlier_store();
    let warning = "fx/features holds features of named jobs that an earlier version wrote (ticks), and a reader of \
                   fx/features/** gets them too: mv fx/features/ticks fx/features.ticks";
    for command in ["plan", "run", "doctor"] {
        let answer = sandbox.run(&[command]).exits(0).says(&[warning]);
        assert_eq!(answer.stderr.matches("earlier version").count(), 1, "{answer}");
    }
    copy(&sandbox.path("fx/features/ticks"), &sandbox.path("fx/features/bars"));
    sandbox.run(&["plan"]).exits(0).says(&["wrote (bars, ticks)", "move each, as in mv fx/features/bars "]);
    for name in ["ticks", "bars"] {
        fs::rename(sandbox.path(format!("fx/features/{name}")), sandbox.path(format!("fx/features.{name}")))
            .unwrap();
    }
    // A copy of one stayed below: `mv` would put it into the directory that is there.
    copy(&sandbox.path("fx/features.ticks"), &sandbox.path("fx/features/ticks"));
    sandbox
        .run(&["plan"])
        .exits(0)
        .says(&["gets them too: move each elsewhere, since fx/features.ticks is there"]);
    fs::remove_dir_all(sandbox.path("fx/features/ticks")).unwrap();
    // Directories of others, of which nothing is known.
    sandbox.write("fx/features/_delta_log/00.json", "{}");
    sandbox.write("fx/features/notes/readme.txt", "a note");
    let answer = sandbox.run(&["plan"]).exits(0);
    assert!(!answer.stderr.contains("earlier version"), "{answer}");
}

#[test]
fn names_that_differ_only_in_case_would_share_a_directory_on_some_file_systems() {
    let sandbox = two_jobs();
    sandbox
        .run_with(&[("ROLLFIT_STORE__NAME", "Ticks")], &["run"])
        .exits(2)
        .says(&["fx/features.ticks is there, and features.Ticks differs from it only in case"]);
    assert!(!sandbox.path("fx/features.Ticks").exists());
}
