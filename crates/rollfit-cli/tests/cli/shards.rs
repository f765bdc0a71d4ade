//! Shards: what a machine's share of a job is, from where, what is said of it, what it helps with, and how it ends.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;

use rollfit_job::record::Record;
use rollfit_job::runners::Shard;
use serde_json::{Value, json};

use crate::sandbox::{Answer, Sandbox};
use crate::tree::{Tree, leftovers};
use crate::two_runners::hold;

const KEYS: [&str; 2] = ["eurusd", "usdjpy"];
const MONTHS: [&str; 3] = ["2017-01", "2017-02", "2017-03"];
/// Of two shards, the one that another machine has.
const OTHER: &str = "1/2";

fn names(document: &Value) -> Vec<String> {
    let name = |line: &Value| {
        format!(
            "{} {}",
            line["partition"]["key"].as_str().unwrap(),
            line["partition"]["month"].as_str().unwrap()
        )
    };
    document["partitions"].as_array().unwrap().iter().map(name).collect()
}

/// The months of eurusd that are in a shard.
fn months_of(shard: &str) -> Vec<&'static str> {
    let shard: Shard = shard.parse().unwrap();
    MONTHS.into_iter().filter(|month| shard.owns(&format!("key=eurusd/month={month}"))).collect()
}

/// Whether a partition has features.
fn is_done(sandbox: &Sandbox, month: &str) -> bool {
    sandbox.part("eurusd", month).exists()
}

#[track_caller]
fn refuses(answer: Answer, parts: &[&str]) {
    let answer = answer.exits(2).says(parts);
    assert!(answer.stdout.is_empty() && !answer.stderr.contains("panicked"), "{answer}");
}

#[test]
fn the_shards_of_a_job_are_all_of_it_and_none_twice() {
    let sandbox = Sandbox::imported(&KEYS, &MONTHS);
    let whole: BTreeSet<String> =
        names(&sandbox.run(&["plan", "--json"]).exits(0).json()).into_iter().collect();
    let mut planned = Vec::new();
    for index in 0..4 {
        let shard = format!("{index}/4");
        let plan = sandbox.run(&["plan", "--json", "--shard", &shard]).exits(0).json();
        let own = names(&plan);
        let counted = json!({
            "index": index, "count": 4, "from": "--shard", "partitions": own.len(), "other_partitions": 6 - own.len()
        });
        assert_eq!(plan["shard"], counted);
        let partitions = if own.len() == 1 { "1 partition" } else { &format!("{} partitions", own.len()) };
        sandbox.run(&["plan", "--shard", &shard]).exits(0).says(&[
            &format!("shard {index} of 4, from --shard: {} of 6 partitions", own.len()),
            &format!("{partitions} of shard {shard}"),
            "of other shards were not planned",
        ]);
        planned.extend(own);
    }
    assert_eq!(planned.len(), 6);
    assert_eq!(planned.into_iter().collect::<BTreeSet<_>>(), whole);
    assert_eq!(sandbox.run(&["plan", "--json"]).exits(0).json()["shard"], Value::Null);
}

#[test]
fn without_help_each_shard_does_its_own_and_says_what_is_not() {
    let undisturbed = Sandbox::done(&KEYS, &MONTHS);
    let sandbox = Sandbox::imported(&KEYS, &MONTHS);
    let mut written = 0;
    for index in 0..4 {
        let shard = format!("{index}/4");
        let run = sandbox.run(&["run", "--json", "--no-help", "--shard", &shard]).exits(0).json();
        let own = run["shard"]["partitions"].as_u64().unwrap();
        assert_eq!((&run["partitions"], &run["written"]), (&json!(own), &json!(own)));
        let others = &run["other_shards"];
        assert_eq!((&others["partitions"], &others["no_help"]), (&json!(6 - own), &json!(true)));
        assert_eq!((&others["written"], &others["unchecked"]), (&json!(0), &json!(written)));
        assert_eq!(json!(others["missing"].as_array().unwrap().len()), json!(6 - own - written));
        assert_eq!(run["source_reads"], json!(own));
        written += own;
    }
    let [wanted, found] = [undisturbed, sandbox].map(|sandbox| {
        assert!(leftovers(&sandbox.path("fx/features")).is_empty());
        Tree::read(&sandbox.path("fx/features"))
    });
    assert!(wanted.has_the_files_of(&found));
}

#[test]
fn after_its_own_share_a_run_helps_with_what_is_missing_of_the_others() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    let (own, others) = (months_of("0/2").len(), months_of(OTHER).len());
    assert!(own > 0 && others > 0);
    let run = sandbox.run(&["run", "--shard", "0/2"]).exits(0);
    run.says(&[
        &format!("shard 0 of 2, from --shard: {own} of 3 partitions; "),
        "is on this machine's own disk",
        &format!("of shard 0/2: {own} written, 0 already done, 0 skipped, 0 failed, 0 not started\n"),
        &format!("of other shards: {others} written here\n"),
    ]);
    let again = sandbox.run(&["run", "--shard", OTHER, "--json"]).exits(0).json();
    assert_eq!((&again["already_done"], &again["written"]), (&json!(others), &json!(0)));
    assert_eq!((&again["other_shards"]["unchecked"], &again["source_reads"]), (&json!(own), &json!(others)));
    sandbox.run(&["verify"]).exits(0).says(&["3 partitions: 3 verified, 0 mismatches"]);
    sandbox.run(&["verify", "--shard", OTHER]).exits(0).says(&[
        &format!("of shard 1/2: {others} verified, 0 mismatches"),
        "of other shards w",
        "not verified",
    ]);
    sandbox.run(&["compare", "--shard", OTHER]).exits(0).says(&[&format!("of shard 1/2: {others} clean")]);
    sandbox.run(&["adopt", "--shard", OTHER]).exits(0).says(&["of shard 1/2: 0 adopted", "not looked at"]);
}

#[test]
fn a_selection_has_the_shards_that_the_whole_job_has() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    for month in MONTHS {
        let plan = ["plan", "--json", "--shard", "0/2", "--only", &format!("eurusd:{month}")];
        let plan = sandbox.run(&plan).exits(0).json();
        assert_eq!(names(&plan).len(), usize::from(months_of("0/2").contains(&month)), "{month}");
    }
    // A shard without partitions has nothing to do, which is no failure.
    let only = format!("eurusd:{}", months_of(OTHER)[0]);
    sandbox
        .run(&["plan", "--shard", "0/2", "--only", &only])
        .exits(0)
        .says(&["0 partitions of shard 0/2; about 0 B"]);
    sandbox.run(&["run", "--no-help", "--shard", "0/2", "--only", &only]).exits(0).says(&[
        "0 partitions of shard 0/2: 0 written",
        "1 partition of other shards: 0 written here, 1 missing, not started (--no-help)\n  missing: ",
    ]);
}

#[test]
fn the_exit_code_is_that_of_the_own_share() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    let (own, others) = (months_of("0/2"), months_of(OTHER));
    let _lock = hold(&sandbox, others[0]);
    let no_wait = [("ROLLFIT_RUN__LOCK_WAIT_S", "0")];
    let run = sandbox.run_with(&no_wait, &["run", "--shard", "0/2"]).exits(0);
    run.says(&["1 still in use", &format!("  eurusd {} (another shard): held: still in use by ", others[0])]);
    let run = sandbox.run_with(&no_wait, &["run", "--json", "--shard", OTHER]).exits(1).json();
    assert_eq!(run["failed"][0]["state"], "held");
    assert_eq!(run["other_shards"]["unchecked"], json!(own.len()));
    assert!(own.iter().all(|month| is_done(&sandbox, month)));
}

#[test]
fn a_failure_in_another_shard_is_told_and_is_not_this_ones() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    let other = months_of(OTHER)[0];
    fs::remove_file(sandbox.path(format!("fx/sources/m1_eurusd/{other}.parquet"))).unwrap();
    let run = sandbox.run(&["run", "--shard", "0/2"]).exits(0);
    run.says(&["1 failed", &format!("  eurusd {other} (another shard): failed: ")]);
    sandbox.run(&["run", "--shard", OTHER]).exits(1);
}

#[test]
fn a_shard_from_the_environment_is_said_in_one_line() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    let own = months_of("1/2").len();
    let aws = [("AWS_BATCH_JOB_ARRAY_INDEX", "1"), ("AWS_BATCH_JOB_ARRAY_SIZE", "2")];
    let kubernetes = [("JOB_COMPLETION_INDEX", "1"), ("ROLLFIT_SHARD", "/2")];
    let slurm = ["ID", "MIN", "MAX", "STEP", "COUNT"].map(|name| format!("SLURM_ARRAY_TASK_{name}"));
    let slurm: Vec<(&str, &str)> = slurm.iter().map(String::as_str).zip(["5", "3", "5", "2", "2"]).collect();
    for (variables, origin) in [(&aws[..], "AWS Batch"), (&kubernetes, "Kubernetes"), (&slurm, "Slurm")] {
        let line = format!("shard 1 of 2, from {origin}: {own} of 3 partitions\n");
        // A directory of this machine is not what the machines of an array job share.
        let warning = "warning: ".to_owned() + &sandbox.path("fx").display().to_string();
        let rest = "is on this machine's own disk";
        sandbox.run_with(variables, &["plan"]).exits(0).says(&[
            &line,
            &warning,
            rest,
            "use a directory that all machines reach",
        ]);
    }
    let log = ["verify", "--log-format", "json", "--shard", "0/1"];
    let verify = sandbox.run_with(&aws, &log).exits(4);
    let first: Value = serde_json::from_str(verify.stderr.lines().next().unwrap()).unwrap();
    assert_eq!(first["message"], "shard 0 of 1, from --shard and not 1/2 from AWS Batch: 3 of 3 partitions");
    assert_eq!((&first["level"], &first["stage"]), (&json!("INFO"), &json!("")));
    assert!(!verify.stderr.contains("own disk"), "{verify}");
}

#[test]
fn a_shard_that_is_none_is_refused_with_what_to_write() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    for (text, part) in [
        ("4/4", "there is no shard 4 of 4: they are counted from 0 to 3"),
        ("0/0", "a job has 1 to 100000 shards, not 0"),
        ("-1/4", "`-1/4` is not a shard: write I/N, the first of four is 0/4"),
        ("1", "`1` is not a shard: write I/N"),
        ("", "write I/N"),
        (" 1/4", "` 1/4` is not a shard"),
        ("1/4 ", "`1/4 ` is not a shard"),
    ] {
        for verb in ["run", "plan", "verify", "compare", "adopt"] {
            refuses(sandbox.run(&[verb, "--shard", text]), &["--shard", part]);
        }
    }
    for (name, value, part) in [
        ("ROLLFIT_SHARD", "4/4", "ROLLFIT_SHARD = \"4/4\": there is no shard 4 of 4"),
        (
            "ROLLFIT_SHARD",
            "/4",
            "ROLLFIT_SHARD = \"/4\" says how many shards there are, and nothing says which",
        ),
        (
            "JOB_COMPLETION_INDEX",
            "3",
            "task 3 of an array job (JOB_COMPLETION_INDEX), but the number of tasks is unknown; set ROLLFIT_SHARD=/N",
        ),
        ("SLURM_ARRAY_TASK_ID", "3", "SLURM_ARRAY_TASK_MIN is not set"),
    ] {
        for verb in ["run", "plan", "verify", "compare", "adopt"] {
            refuses(sandbox.run_with(&[(name, value)], &[verb]), &["error: ", part]);
        }
    }
    refuses(
        sandbox.run(&["run", "--no-help"]),
        &["--no-help needs a shard: add --shard I/N, or remove --no-help"],
    );
    let use_only = ": use --only KEY for each follower; in an array job also ROLLFIT_SHARD=0/1";
    for (variables, shard) in [
        (&[("ROLLFIT_SHARD", "0/2")][..], "shard 0 of 2, from ROLLFIT_SHARD"),
        (&[("JOB_COMPLETION_INDEX", "3")], "from JOB_COMPLETION_INDEX"),
        (&[("ROLLFIT_SHARD", "/2")], "from ROLLFIT_SHARD"),
    ] {
        let words = format!("--follow cannot use a shard ({shard}){use_only}");
        refuses(sandbox.run_with(variables, &["run", "--follow"]), &[&words]);
    }
    let by_hand = sandbox.run(&["run", "--follow", "--shard", "0/2"]);
    refuses(by_hand, &["--follow cannot use a shard (shard 0 of 2, from --shard)", use_only]);
    assert!(!is_done(&sandbox, "2017-01"));
    sandbox
        .run_with(&[("ROLLFIT_SHARD", "0/1"), ("JOB_COMPLETION_INDEX", "3")], &["run", "--no-help"])
        .exits(0);
}

#[test]
fn commands_that_have_no_shard_do_not_mind_the_environment_of_an_array_job() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    let file = sandbox.bars_file("eurusd", "2017-01").display().to_string();
    let variables =
        [("JOB_COMPLETION_INDEX", "3"), ("ROLLFIT_SHARD", "nonsense"), ("SLURM_ARRAY_TASK_ID", "x")];
    for arguments in [
        &["demo", "--dir", "demo"][..],
        &["init", "--config", "new.toml"],
        &["import", "--format", "csv", "--into", "parquet:fx", &file],
        &["doctor"],
        &["status"],
        &["analyze"],
        &["metrics"],
        &["drop", "eurusd:2017-01"],
    ] {
        let answer = sandbox.run_with(&variables, arguments).exits(0);
        assert!(!answer.stderr.contains("shard"), "{arguments:?}\n{answer}");
    }
}

#[test]
fn the_record_of_a_run_says_its_shard_and_how_to_continue_it() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    let aws = [("AWS_BATCH_JOB_ARRAY_INDEX", "0"), ("AWS_BATCH_JOB_ARRAY_SIZE", "2")];
    sandbox.run_with(&aws, &["run", "--no-help", "--metrics-file", "run.prom"]).exits(0);
    let mut runs = fs::read_dir(sandbox.path("state/runs")).unwrap().map(|entry| entry.unwrap().path());
    let record = runs.find(|path| path.extension().is_some_and(|end| end == "jsonl")).unwrap();
    let record = Record::read(fs::read(record).unwrap().as_slice()).unwrap();
    let options = record.header.options.unwrap();
    assert_eq!(options[..3], ["--shard", "0/2", "--no-help"]);
    assert_eq!(record.header.shard.as_deref(), Some("0/2"));
    assert_eq!(record.header.partitions, months_of("0/2").len() as u64);
    let metrics = fs::read_to_string(sandbox.path("run.prom")).unwrap();
    assert!(metrics.contains("sink=\"parquet\",shard=\"0/2\"} 1\n"), "{metrics}");
}

#[test]
fn another_definition_at_work_on_the_job_is_refused_before_a_byte_is_written() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    let path = sandbox.part("eurusd", "2017-02").with_file_name(".lock");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut lock = File::create(path).unwrap();
    lock.lock().unwrap();
    lock.write_all(b"rollfit 4711@worker-3 0123abcd 3/8").unwrap();
    let before = Tree::read(&sandbox.path("fx"));
    for arguments in [&["run"][..], &["run", "--shard", "0/2"], &["run", "--only", "eurusd:2017-02"]] {
        let answer = sandbox.run(arguments);
        refuses(
            answer,
            &[
                "rollfit 4711@worker-3 (shard 3/8) is writing eurusd 2017-02 with other settings (0123abcd; yours: ",
                "). Use its configuration, wait until it ends, or give this job names of its own ([store] name, ",
            ],
        );
    }
    before.is_untouched(&sandbox.path("fx"));
    // What it has is not in this one's way.
    sandbox.run(&["run", "--only", "eurusd:2017-01"]).exits(0);
}

#[test]
fn receipts_of_another_definition_are_told_before_work() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    sandbox.write("rollfit.toml", text.replace("w15 = 15", "w15 = 16"));
    let own = months_of("0/2").len();
    let told = "warning: 3 of the 3 stored partitions looked at are of another definition (eurusd 2017-01: ";
    let run = sandbox.run(&["run", "--shard", "0/2", "--verbose"]).exits(4);
    let run = run.says(&[told, "--replace definition-changed rewrites them", &format!("{own} skipped")]);
    let at = |text: &str| run.stderr.find(text).unwrap_or_else(|| panic!("no {text}\n{run}"));
    assert!(at(told) < at("skipped (definition-changed)"), "{run}");
    let replacing = ["run", "--shard", "0/2", "--replace", "definition-changed"];
    let run = sandbox.run(&replacing).exits(0);
    assert!(!run.stderr.contains("of another definition"), "{run}");
}
