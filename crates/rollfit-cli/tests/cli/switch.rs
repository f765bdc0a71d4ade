//! A definition is replaced while others read: the new features are written beside the old ones, and take their place in one step.

use std::fs;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};

use crate::sandbox::{Answer, Sandbox};
use crate::selecting::on_a_terminal;
use crate::tree::Tree;

const NEXT: &str = "fx/features.next";
const MONTHS: [&str; 2] = ["2017-01", "2017-02"];

/// A store whose features are done, and a configuration that has changed since.
fn changed() -> Sandbox {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    sandbox.change("");
    sandbox
}

/// The same with the new features beside the old ones.
fn both() -> Sandbox {
    let sandbox = changed();
    sandbox.run(&["run", "--name", "next", "--quiet"]).exits(0);
    sandbox
}

impl Sandbox {
    /// Gives the job another definition, and these lines in its first section.
    fn change(&self, store: &str) {
        let text = fs::read_to_string(self.path("rollfit.toml")).unwrap();
        self.write("before.toml", &text);
        let text = text.replace("[partitions]", &format!("{store}\n[partitions]"));
        self.write("rollfit.toml", text.replace("\"reset\"", "\"carry\""));
    }

    #[track_caller]
    fn is_refused(&self, code: i32, arguments: &[&str], words: &[&str]) {
        let before = Tree::read(&self.path("fx"));
        self.run(&[&["switch"], arguments].concat()).exits(code).says(words);
        before.is_untouched(&self.path("fx"));
    }
}

/// How many partitions are in each state.
fn states(answer: &Answer) -> Vec<String> {
    let plan = answer.json();
    let partitions = plan["partitions"].as_array().unwrap();
    partitions.iter().map(|partition| partition["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_step_leads_to_the_next_and_readers_have_the_old_features_or_the_new() {
    let sandbox = changed();
    let old = Tree::read(&sandbox.path("fx/features"));
    sandbox.run(&["run"]).exits(4).says(&["`rollfit run --name NEXT` writes the new features beside them"]);
    sandbox.run(&["run", "--name", "next"]).exits(0).says(&["2 written", "next: rollfit switch next"]);
    old.is_untouched(&sandbox.path("fx/features"));
    let new = Tree::read(&sandbox.path(NEXT));
    sandbox
        .run(&["switch", "next", "--dry-run"])
        .exits(0)
        .says(&["would exchange fx/features and fx/features.next"]);
    old.is_untouched(&sandbox.path("fx/features"));
    sandbox.run(&["switch", "next"]).exits(0).says(&[
        "switched: fx/features has the new features now, fx/features.next the old ones",
        "go back: rollfit switch next, with the old configuration",
        "remove the old ones: rollfit drop '*' --name next",
    ]);
    new.is_untouched(&sandbox.path("fx/features"));
    old.is_untouched(&sandbox.path(NEXT));
    assert_eq!(states(&sandbox.run(&["plan", "--json"]).exits(0)), ["done", "done"]);
    sandbox.run(&["verify"]).exits(0).says(&["2 verified, 0 mismatches"]);

    // Typed once more by mistake, or after a crash, it does not go back.
    sandbox.is_refused(
        1,
        &["next"],
        &["nothing to switch: the features in fx/features fit the configuration already"],
    );
    let back = ["switch", "next", "-c", "before.toml", "--json"];
    let document = sandbox.run(&back).exits(0).json();
    assert_eq!((&document["switched"], &document["partitions"]), (&true.into(), &2.into()));
    old.is_untouched(&sandbox.path("fx/features"));
    // Nor does a script that is quiet say anything.
    let quiet = sandbox.run(&["switch", "next", "--quiet"]).exits(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    sandbox.run(&["drop", "*", "--name", "next", "--yes", "-c", "before.toml"]).exits(0).says(&["dropped"]);
    new.is_untouched(&sandbox.path("fx/features"));
}

#[test]
fn what_readers_would_miss_is_refused_by_name() {
    let sandbox = changed();
    sandbox.run(&["run", "--name", "next", "--quiet", "--only", ":2017-01"]).exits(0);
    let missing = "not ready to switch: 1 of 2 partitions not done in fx/features.next: eurusd 2017-02 (missing); `rollfit plan --name \
                   next` says why, `rollfit run --name next` computes what it may";
    sandbox.is_refused(1, &["next"], &[missing]);
    let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    sandbox.write("narrow.toml", text.replace("to = \"2017-02\"", "to = \"2017-01\""));
    let lost = "readers of fx/features would lose 1 partition, which fx/features.next lacks: eurusd 2017-02; widen [partitions] and type \
                `rollfit run -c narrow.toml --name next`";
    sandbox.is_refused(1, &["next", "-c", "narrow.toml"], &[lost]);
    sandbox.run(&["switch", "next", "--incomplete", "-c", "narrow.toml"]).exits(0);
    assert_eq!(states(&sandbox.run(&["plan", "--json"]).exits(0)), ["done", "missing"]);
    // Back again, with what the configuration knows nothing of.
    let strays = "fx/features.next also has 1 partition that the configuration does not: eurusd 2017-02";
    sandbox.run(&["switch", "next", "--incomplete", "-c", "narrow.toml"]).exits(0).says(&[strays]);
}

#[test]
fn a_job_whose_partitions_were_dropped_is_not_offered() {
    let sandbox = both();
    sandbox.run(&["drop", "*", "--name", "next", "--yes", "-q"]).exits(0);
    let answer = sandbox
        .run(&["switch", "nxt"])
        .exits(2)
        .says(&["fx/features.nxt is not there; no job there has a name"]);
    assert!(!answer.stderr.contains("did you mean"), "{answer}");
}

#[test]
fn only_a_job_that_is_there_can_take_the_place() {
    let sandbox = both();
    sandbox.is_refused(2, &[], &["NEXT"]);
    sandbox.is_refused(
        2,
        &["nxt"],
        &["fx/features.nxt is not there; did you mean `next`? jobs with a name: next"],
    );
    sandbox.is_refused(2, &["../next"], &["NEXT: `../next` is not a name"]);
    sandbox.is_refused(
        2,
        &["next", "--name", "next"],
        &["fx/features.next is where both jobs have their features"],
    );
    sandbox.is_refused(
        2,
        &["next", "--name", "old"],
        &["fx/features.old is not there", "mv fx/features.next fx/features.old"],
    );
    sandbox.is_refused(2, &["next", "--back"], &["--back is for PostgreSQL"]);
    fs::rename(sandbox.path(NEXT), sandbox.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(sandbox.path("elsewhere"), sandbox.path(NEXT)).unwrap();
    sandbox.is_refused(2, &["next"], &["fx/features.next is a link"]);
    fs::remove_file(sandbox.path(NEXT)).unwrap();
    sandbox.write(NEXT, "a file");
    sandbox.is_refused(2, &["next"], &["fx/features.next is not a directory"]);
    sandbox.run(&["schema", "--switch"]).exits(2);
}

#[test]
fn nothing_is_exchanged_while_somebody_writes() {
    let sandbox = both();
    for dir in ["fx/features", NEXT] {
        let writer =
            open(sandbox.path(dir), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .unwrap();
        flock(&writer, FlockOperation::LockShared).unwrap();
        let who = format!("{dir} is in use by process {}; wait until it has ended", std::process::id());
        sandbox.is_refused(1, &["next"], &[&who]);
        // Who reads, and another runner, have nothing to wait for.
        sandbox.run(&["plan", "--name", "next"]).exits(0);
        sandbox.run(&["run", "--name", "next"]).exits(0).says(&["2 already done"]);
    }
    sandbox.run(&["switch", "next", "--yes"]).exits(0);
}

#[test]
fn a_name_that_is_typed_comes_before_those_of_variables_and_configuration() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    sandbox.change("name = \"live\"\n");
    let variable = [("ROLLFIT_STORE__NAME", "variable")];
    sandbox.run_with(&variable, &["run", "--name", "next", "--quiet"]).exits(0);
    assert!(sandbox.path(NEXT).exists() && !sandbox.path("fx/features.variable").exists());
    for command in [&["plan", "--json"][..], &["verify"], &["check"], &["compare"], &["adopt"], &["doctor"]] {
        let answer = sandbox.run_with(&variable, &[command, &["--name", "next"]].concat());
        assert!(matches!(answer.status.code(), Some(0 | 1)), "{answer}");
        assert!(!sandbox.path("fx/features.live").exists());
    }
    sandbox.run(&["status", "--store", "--name", "next"]).exits(0).says(&["2 done", "in fx/features.next"]);
    sandbox.run(&["run", "--quiet"]).exits(0);
    sandbox.run(&["status", "--name", "next"]).exits(0).says(&["2 written"]);
    // Those of the names that nobody typed are others.
    sandbox
        .run(&["status", "--name", "nobody"])
        .exits(0)
        .says(&["No run of this job left a record", "2 missing"]);
    // What is to be typed next is about the same job.
    let again = sandbox.run(&["runs", "--json"]).exits(0).json();
    let run = again["runs"][1]["run"].as_str().unwrap();
    let record = fs::read_to_string(sandbox.path(format!("state/runs/{run}.jsonl"))).unwrap();
    assert!(record.contains(r#""options":["--name","next"]"#), "{record}");
    sandbox.run(&["run", "--name", "a/b"]).exits(2).says(&["--name: `a/b` is not a name"]);
    // The name that readers use may be one, too.
    sandbox
        .run(&["switch", "next"])
        .exits(0)
        .says(&["fx/features.live has the new features now, fx/features.next"]);
}

#[test]
fn on_a_terminal_it_asks() {
    let sandbox = both();
    let old = Tree::read(&sandbox.path("fx/features"));
    let question = "Exchange fx/features and fx/features.next, so that readers see 2 new partitions? [y/N]";
    let Some(answer) = on_a_terminal(&sandbox, "switch next", "n\n") else { return };
    answer.exits(1).says(&[question, "nothing was exchanged"]);
    old.is_untouched(&sandbox.path("fx/features"));
    on_a_terminal(&sandbox, "switch next", "y\n").unwrap().exits(0).says(&["switched: fx/features"]);
    old.is_untouched(&sandbox.path(NEXT));
}
