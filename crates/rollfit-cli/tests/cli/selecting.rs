//! Selecting partitions, the same for every command; dropping those that are selected, with a question on a terminal.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::sandbox::{Answer, ROLLFIT, Sandbox};

const KEYS: [&str; 3] = ["eurusd", "gbpusd", "usdjpy"];
const MONTHS: [&str; 3] = ["2017-01", "2017-02", "2017-03"];

/// The partitions of a document, `eurusd 2017-01`.
fn names(partitions: &Value) -> Vec<String> {
    let name = |partition: &Value| {
        let partition = partition.get("partition").unwrap_or(partition);
        format!("{} {}", partition["key"].as_str().unwrap(), partition["month"].as_str().unwrap())
    };
    partitions.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn every_command_selects_by_globs_ranges_months_and_lists() {
    let sandbox = Sandbox::done(&KEYS, &MONTHS);
    let expected = ["eurusd 2017-02", "gbpusd 2017-02"];
    for selection in [
        &["--only", "*usd:2017-02"][..],
        &["--only", "eurusd:2017-02,gbpusd:2017-02"],
        &["--only", "eurusd, [g]*", "--from", "2017-02", "--to", "2017-02"],
        &["--only", "eur*:2017-02..2017-02", "--only", "gbpusd:2017-02..", "--to", "2017-02"],
        &["--only", "[!u]*:2017-0?", "--only", "eurusd", "--from=2017-02", "--to=2017-02"],
    ] {
        let plan = sandbox.run(&[&["plan", "--json"], selection].concat()).exits(0).json();
        assert_eq!(names(&plan["partitions"]), expected, "{selection:?}");
    }
    let selection = ["--only", "*usd:2017-02..", "--to", "2017-02"];
    let document =
        |command: &[&str]| sandbox.run(&[command, &["--json"], &selection].concat()).exits(0).json();
    assert_eq!(document(&["run", "--force"])["written"], 2);
    for verb in ["verify", "compare", "adopt"] {
        assert_eq!(names(&document(&[verb])["partitions"]), expected, "{verb}");
    }
    assert_eq!(document(&["doctor"])["work"]["partitions"], 2);
    assert_eq!(document(&["check"])["partitions"], 2);
    let months = |month: &str| sandbox.run(&["plan", "--json", "--only", month]).exits(0).json();
    assert_eq!(months(":2017-01")["partitions"].as_array().unwrap().len(), 3);
    assert_eq!(months(":..2017-02")["partitions"].as_array().unwrap().len(), 6);
}

#[test]
fn what_selects_nothing_is_a_warning_beside_what_does_and_an_error_alone() {
    let sandbox = Sandbox::imported(&["eurusd", "gbpusd"], &["2017-01"]);
    let warned = sandbox.run(&["plan", "--json", "--only", "gbpusd,eurusx,x*,gbpusd:2031-01"]).exits(0);
    assert_eq!(names(&warned.json()["partitions"]), ["gbpusd 2017-01"]);
    warned.says(&[
        "warning: `eurusx` selects nothing: this job has no key eurusx; did you mean `eurusd`?",
        "warning: `x*` selects nothing: no key of this job matches; it has eurusd, gbpusd",
        "warning: `gbpusd:2031-01` selects nothing: this job has only 2017-01 of gbpusd",
    ]);
    for (selection, part) in [
        (
            &["--only", "EURUSD"][..],
            "error: `EURUSD` selects nothing: this job has no key EURUSD; did you mean `eurusd`?",
        ),
        (
            &["--only", ":2016-12"],
            "error: `:2016-12` selects nothing: this job has only 2017-01 of what matches",
        ),
        (&["--from", "2018-01"], "error: nothing is selected from 2018-01; there is only 2017-01"),
        (&["--from", "2017-02", "--to", "2017-01"], "2017-02 to 2017-01 are in the wrong order"),
        (&["--from", "2017-13"], "`2017-13` is not a month"),
        (&["--only", ""], "it is empty"),
        (&["--only", "eurusd,,gbpusd"], "it is empty"),
        (&["--only", "eurusd:2017-02..2017-01"], "are in the wrong order"),
        (&["--only", "../eur*"], "is not a pattern of keys"),
    ] {
        for verb in ["plan", "run", "verify", "compare", "adopt", "doctor"] {
            sandbox.run(&[&[verb], selection].concat()).exits(2).says(&[part]);
        }
    }
    sandbox.run(&["check", "--only", "nokey"]).exits(3).says(&["UNKNOWN", "this job has no key nokey"]);
}

#[test]
fn the_record_of_a_run_knows_what_was_selected() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    sandbox.run(&["run", "--only", "eur*:2017-0?", "--from", "2017-02", "--to", "2017-03"]).exits(0);
    let record = std::fs::read_dir(sandbox.path("state/runs")).unwrap().next().unwrap().unwrap().path();
    let header: Value =
        serde_json::from_str(std::fs::read_to_string(record).unwrap().lines().next().unwrap()).unwrap();
    let options: Vec<&str> =
        header["options"].as_array().unwrap().iter().map(|option| option.as_str().unwrap()).collect();
    assert_eq!(options, ["--only", "eur*:2017-0?", "--from", "2017-02", "--to", "2017-03"]);
}

#[test]
fn drop_takes_what_only_takes_and_without_a_terminal_wants_yes_for_more_than_names() {
    let sandbox = Sandbox::done(&KEYS, &MONTHS);
    let parts = || walked(&sandbox);
    assert_eq!(parts(), 9);
    for wide in [&["eur*"][..], &["eurusd"], &[":2017-01"], &["eurusd:2017-01.."], &["--from", "2017-01"]] {
        let refused = sandbox.run(&[&["drop"], wide].concat()).exits(2);
        refused.says(&["add --yes to drop more than partitions named as KEY:YYYY-MM; this is ", " rows: "]);
    }
    let dry = sandbox.run(&["drop", "*usd", "--to", "2017-02", "--dry-run"]).exits(0);
    assert!(dry.stdout.starts_with("would drop 4 partitions, 1,"), "{dry}");
    assert!(
        dry.stdout.ends_with(" rows: eurusd 2017-01, eurusd 2017-02, gbpusd 2017-01, gbpusd 2017-02\n"),
        "{dry}"
    );
    for (nothing, part) in [
        (&["nzd*", "eurusd:2017-01"][..], "matches `nzd*`"),
        (&["eurusd:2031-01", "eur*"], "matches `eurusd:2031-01`"),
        (&["eurusd", "--from", "2031-01"], "is between --from and --to"),
    ] {
        sandbox.run(&[&["drop", "--yes"], nothing].concat()).exits(1).says(&["nothing was dropped", part]);
    }
    assert_eq!(parts(), 9, "nothing is dropped without an answer");

    let dropped = sandbox.run(&["drop", "*usd:2017-02..", "eurusd:2017-02", "--yes"]).exits(0);
    assert_eq!(
        dropped.stdout,
        "dropped eurusd 2017-02\ndropped eurusd 2017-03\ndropped gbpusd 2017-02\ndropped gbpusd 2017-03\n"
    );
    // Also what the job is no longer about.
    sandbox.configure(&["gbpusd"], "2017-01", "2017-01");
    let silent = sandbox.run(&["drop", "-q", "usdjpy:2017-03"]).exits(0);
    assert_eq!((silent.stdout.as_str(), silent.stderr.as_str()), ("", ""));
    let dropped =
        sandbox.run(&["drop", "--json", "-y", "--from", "2017-01", "--to", "2017-01"]).exits(0).json();
    assert_eq!(names(&dropped), ["eurusd 2017-01", "gbpusd 2017-01", "usdjpy 2017-01"]);
    assert_eq!(parts(), 1);
}

/// The files of features that there are.
fn walked(sandbox: &Sandbox) -> usize {
    KEYS.iter()
        .flat_map(|key| MONTHS.map(|month| sandbox.part(key, month)))
        .filter(|part| part.exists())
        .count()
}

/// Runs the executable on a terminal of its own, with these keys pressed; none where there is no program that makes terminals.
pub(crate) fn on_a_terminal(sandbox: &Sandbox, arguments: &str, keys: &str) -> Option<Answer> {
    let mut script = sandbox.in_clean_environment("script");
    script.args(["-qec", &format!("{ROLLFIT} {arguments}"), "/dev/null"]);
    let mut script = spawned(script)?;
    script.stdin.take().unwrap().write_all(keys.as_bytes()).unwrap();
    Some(Answer::from(script.wait_with_output().unwrap()))
}

fn spawned(mut command: Command) -> Option<std::process::Child> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    match command.spawn() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: there is no program `script`");
            None
        }
        spawned => Some(spawned.unwrap()),
    }
}

#[test]
fn on_a_terminal_drop_shows_what_would_go_and_asks() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    for no in ["n\n", "\n", "\u{4}"] {
        let Some(answer) = on_a_terminal(&sandbox, "drop eurusd:2017-01", no) else { return };
        assert!(!answer.to_string().contains("error"), "{answer}");
        answer.exits(1).says(&[
            "Drop 1 partition, ",
            " rows: eurusd 2017-01, at ",
            "? [y/N]",
            "nothing was dropped",
        ]);
    }
    assert_eq!(walked(&sandbox), 3);
    on_a_terminal(&sandbox, "drop 'eur*:2017-0[12]'", "y\n")
        .unwrap()
        .exits(0)
        .says(&["dropped eurusd 2017-02"]);
    assert_eq!(walked(&sandbox), 1);
    let answer = on_a_terminal(&sandbox, "drop eurusd --yes", "").unwrap().exits(0);
    assert!(!answer.stdout.contains("[y/N]"), "{answer}");
    assert_eq!(walked(&sandbox), 0);
}

#[test]
fn a_plan_previews_what_replace_and_force_would_write() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    let carry = [("ROLLFIT_RUN__BOUNDARY", "carry")];
    let plan = |options: &[&str]| {
        let plan = sandbox.run_with(&carry, &[&["plan", "--json"], options].concat()).exits(0).json();
        let written =
            plan["partitions"].as_array().unwrap().iter().filter(|line| line["write_bytes"] != 0).count();
        (written, plan["write_bytes"].as_u64().unwrap(), plan["enough_space"].as_bool().unwrap())
    };
    assert_eq!(plan(&[]).0, 0);
    assert_eq!(plan(&["--force"]).0, 0, "another definition is replaced only by name");
    assert_eq!(plan(&["--replace", "foreign"]).0, 0);
    let (written, bytes, enough) = plan(&["--replace", "definition-changed"]);
    assert_eq!((written, enough), (3, true));
    let run = sandbox.run_with(&carry, &["run", "--json", "--replace", "definition-changed"]).exits(0).json();
    assert_eq!(run["written"], 3);
    let stored = run["bytes"].as_f64().unwrap();
    assert!((0.5..2.0).contains(&(bytes as f64 / stored)), "{bytes} for {stored}");

    assert_eq!(plan(&[]).0, 0, "done");
    let forced = sandbox.run_with(&carry, &["plan", "--force"]).exits(0);
    // The old rows make way for the new ones, but for as many as are written at once.
    forced.says(&["3 done; about ", " to write, ", " of room, "]);
    assert_eq!(plan(&["--force"]).0, 3);
    sandbox
        .run_with(&carry, &["plan", "--replace", "done"])
        .exits(2)
        .says(&["cannot be replaced; these can"]);
}

#[test]
fn equal_causes_are_one_line_and_few_partitions_a_table() {
    let months: Vec<String> = (1..=12).map(|month| format!("2017-{month:02}")).collect();
    let months: Vec<&str> = months.iter().map(String::as_str).collect();
    let sandbox = Sandbox::done(&["eurusd", "gbpusd", "nzdusd", "usdjpy"], &months);
    // What is done is not listed, unless all is wanted.
    let done = sandbox.run(&["plan"]).exits(0);
    assert!(done.stdout.starts_with("48 partitions: 48 done; about 0 B to write, "), "{done}");
    assert_eq!(sandbox.run(&["plan", "--all"]).exits(0).stdout.matches(" done ").count(), 48);

    let carry = [("ROLLFIT_RUN__BOUNDARY", "carry")];
    let grouped = "  48 partitions definition-changed: boundary reset became carry (eurusd 2017-01 .. usdjpy 2017-12)\n";
    let plan = sandbox.run_with(&carry, &["plan"]).exits(0);
    assert!(
        plan.stdout.starts_with("48 partitions: 48 definition-changed; ") && plan.stdout.contains(grouped),
        "{plan}"
    );
    plan.says(&["`--all` lists every partition."]);
    let json = sandbox.run_with(&carry, &["plan", "--json"]).exits(0).json();
    assert_eq!(json["partitions"].as_array().unwrap().len(), 48);
    let table = sandbox.run_with(&carry, &["plan", "--only", "eurusd"]).exits(0);
    assert_eq!(table.stdout.matches("  definition-changed  ").count(), 1);
    let table = table.says(&[
        "12 partitions, eurusd 2017-01 .. 2017-12  definition-changed  ",
        "`--all` lists every partition.",
        "Skipped partitions are rewritten only with --replace definition-changed.",
    ]);
    assert!(!table.stderr.contains("rollfit switch"), "{table}");
    let beside = "`rollfit run --name NEXT` writes the new features beside them";
    sandbox.run_with(&carry, &["plan"]).exits(0).says(&[beside]);
    let all = sandbox.run_with(&carry, &["plan", "--only", "eurusd", "--all"]).exits(0);
    assert_eq!(all.stdout.matches("  definition-changed  ").count(), 12);
    assert!(!all.stdout.contains("`--all`"), "{all}");

    let run = sandbox.run_with(&carry, &["run"]).exits(4);
    assert!(run.stdout.contains(grouped) && run.stdout.lines().count() < 10, "{run}");
    assert!(!run.stderr.contains("skipped (definition-changed)"), "{run}");
    let run = sandbox.run_with(&carry, &["run", "--json"]).exits(4).json();
    assert_eq!(run["skipped"].as_array().unwrap().len(), 48);

    std::fs::remove_dir_all(sandbox.path("fx/features/key=gbpusd")).unwrap();
    std::fs::remove_dir_all(sandbox.path("fx/features/key=eurusd/month=2017-05")).unwrap();
    sandbox.run(&["verify", "--quick"]).exits(4).says(&[
        "48 partitions: 35 verified, 0 mismatches, 0 failed, 13 without features",
        "  13 partitions absent: there are no features (eurusd 2017-05 .. gbpusd 2017-12)",
    ]);
    std::fs::remove_dir_all(sandbox.path("fx/sources/m1_nzdusd")).unwrap();
    let failed = sandbox.run(&["run", "--only", "nzdusd"]).exits(1);
    failed.says(&["12 failed", "  12 partitions failed"]);
}
