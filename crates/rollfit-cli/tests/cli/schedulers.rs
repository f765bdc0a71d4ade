//! What a scheduler relies on: silence where all went well, log lines with time and level, months without rows, and exit codes that an
//! option changes. The codes themselves are in [`exit_codes`](crate::exit_codes).

use std::fs;

use crate::bars::SourceRows;
use crate::running::{Running, signal};
use crate::sandbox::{Answer, Sandbox};
use crate::signals::SlowJob;

const REQUIRED: [(&str, &str); 1] = [("ROLLFIT_RUN__REQUIRE_ROWS", "true")];

/// Checks that a command ends well and says nothing at all.
#[track_caller]
fn is_silent(answer: &Answer) {
    let printed = (answer.status.code(), answer.stdout.as_str(), answer.stderr.as_str());
    assert_eq!(printed, (Some(0), "", ""));
}

/// A job of two months, of which one holds a file of somebody else.
fn with_a_foreign_month() -> Sandbox {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01", "2017-02"]);
    sandbox.write("fx/features/key=eurusd/month=2017-01/part.parquet", "strange");
    sandbox
}

#[test]
fn a_month_without_a_row_in_any_series_is_empty_and_no_failure() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    sandbox.configure(&["eurusd"], "2017-01", "2017-03");
    let cause = "no rows in `m1_eurusd` and `bqx_eurusd`";
    sandbox.run(&["plan"]).exits(0).says(&["2 empty", cause]);
    let planned = sandbox.run(&["plan", "--json"]).exits(0).json();
    let states: Vec<_> =
        planned["partitions"].as_array().unwrap().iter().map(|line| &line["state"]).collect();
    assert_eq!(states, ["missing", "empty", "empty"]);
    let run = sandbox.run(&["run", "--json"]).exits(0).json();
    assert_eq!(
        (&run["written"], &run["failed"], &run["skipped"]),
        (&1.into(), &vec![0; 0].into(), &vec![0; 0].into())
    );
    let months: Vec<_> =
        run["empty"].as_array().unwrap().iter().map(|partition| &partition["month"]).collect();
    assert_eq!(months, ["2017-02", "2017-03"]);
    sandbox.run(&["run"]).exits(0).says(&[
        "1 already done, 2 empty, 0 skipped",
        "empty (no series has a row): eurusd 2017-02, eurusd 2017-03",
    ]);
    for command in ["verify", "compare"] {
        let found = sandbox.run(&[command, "--json"]).exits(0).json();
        assert_eq!((&found["empty"], &found["absent"]), (&2.into(), &0.into()), "{command}");
        sandbox.run(&[command]).exits(0).says(&["0 without features, 2 empty"]);
    }
    sandbox.run(&["verify", "--quick"]).exits(0);
    assert!(!sandbox.path("fx/features/key=eurusd/month=2017-02").exists());

    // Where that is all there is, it is more likely a slip.
    sandbox.configure(&["eurusd"], "2019-01", "2019-02");
    sandbox.run(&["run"]).exits(0).says(&["2 empty", "warning: no series has a row in any month of the job"]);
    is_silent(&sandbox.run(&["run", "-q", "--only", "eurusd:2019-02"]));
    sandbox.configure(&["eurusd"], "2017-01", "2017-03");
    sandbox.import(&["eurusd"], &["2017-02"]);
    sandbox.run(&["run"]).exits(0).says(&["1 written, 1 already done, 1 empty"]);
}

#[test]
fn where_rows_are_required_a_month_without_them_fails() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    sandbox.configure(&["eurusd"], "2017-01", "2017-02");
    let words =
        ["eurusd 2017-02", "the month has no rows in `m1_eurusd` and `bqx_eurusd`, and require_rows = true"];
    sandbox.run_with(&REQUIRED, &["run"]).exits(1).says(&words);
    sandbox.run_with(&REQUIRED, &["plan"]).exits(1).says(&words);
    sandbox.run_with(&REQUIRED, &["verify"]).exits(4).says(&["1 without features"]);
}

#[test]
fn a_month_that_had_rows_or_has_them_in_one_series_is_not_empty() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01", "2017-02"]);
    for table in ["m1_eurusd", "bqx_eurusd"] {
        fs::remove_file(sandbox.path(format!("fx/sources/{table}/2017-02.parquet"))).unwrap();
    }
    sandbox.run(&["run"]).exits(4).says(&["eurusd 2017-02", "shrunk", "is empty now"]);
    // Nor is one whose features are damaged, which force takes for none where it can compute them again.
    let part = sandbox.part("eurusd", "2017-02");
    let mut bytes = fs::read(&part).unwrap();
    let end = bytes.len() - 5;
    bytes[end] ^= 16;
    fs::write(&part, &bytes).unwrap();
    sandbox.run(&["run", "--force"]).exits(1).says(&["eurusd 2017-02", "1 failed"]);
    sandbox.run(&["plan", "--force"]).exits(1).says(&["1 failed"]);
    assert_eq!(fs::read(&part).unwrap(), bytes);

    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01", "2017-02"]);
    fs::remove_file(sandbox.path("fx/sources/bqx_eurusd/2017-02.parquet")).unwrap();
    sandbox.run(&["run"]).exits(1).says(&["no instant of the month is in every series"]);
    sandbox.run(&["verify"]).exits(4).says(&["1 without features"]);
}

#[test]
fn skipped_partitions_are_no_failure_where_they_are_allowed() {
    let sandbox = with_a_foreign_month();
    let run = sandbox.run(&["run", "--allow-skipped"]).exits(0).says(&["1 written", "1 skipped"]);
    assert!(run.stderr.contains("skipped (foreign)") && !run.stderr.contains("warning"), "{run}");
    sandbox.run(&["run"]).exits(4).says(&["warning: eurusd 2017-01: skipped (foreign)"]);
    is_silent(&sandbox.run(&["run", "--allow-skipped", "--quiet"]));

    let left = fs::read(sandbox.part("eurusd", "2017-02")).unwrap();
    fs::remove_file(sandbox.part("eurusd", "2017-01")).unwrap();
    sandbox.run(&["verify"]).exits(4).says(&["warning: eurusd 2017-01: there are no features"]);
    is_silent(&sandbox.run(&["verify", "-q", "--allow-skipped"]));
    sandbox.run(&["compare", "--allow-skipped"]).exits(0);
    sandbox.write("fx/sources/m1_eurusd/2017-01.parquet", "broken");
    sandbox.run(&["run", "--allow-skipped"]).exits(1);
    assert_eq!(fs::read(sandbox.part("eurusd", "2017-02")).unwrap(), left);
}

#[test]
fn quiet_is_silent_where_all_went_well_and_only_there() {
    let sandbox = Sandbox::new();
    let file = sandbox.bars_file("eurusd", "2017-01").display().to_string();
    is_silent(&sandbox.run(&["import", "--format", "csv", "--into", "parquet:fx", "-q", &file]));
    sandbox.configure(&["eurusd"], "2017-01", "2017-01");
    for command in ["run", "run", "verify", "compare", "adopt"] {
        is_silent(&sandbox.run(&[command, "--quiet"]));
    }
    is_silent(&sandbox.run(&["drop", "--quiet", "eurusd:2017-01"]));
    is_silent(&sandbox.run(&["run", "--quiet"]));
    let asked_for = [
        &["plan", "-q"][..],
        &["status", "-q"],
        &["runs", "-q"],
        &["run", "-q", "--json"],
        &["metrics", "-q"],
    ];
    for command in asked_for {
        assert_ne!(sandbox.run(command).exits(0).stdout, "", "{command:?}");
    }
    sandbox.write("fx/sources/m1_eurusd/2017-01.parquet", "broken");
    let failed = sandbox.run(&["run", "--quiet"]).exits(1);
    assert!(
        failed.stdout.contains("1 failed") && failed.stderr.contains("warning: eurusd 2017-01: failed"),
        "{failed}"
    );
}

#[test]
fn quiet_has_one_line_for_all_partitions_of_one_cause() {
    let sandbox = Sandbox::done(&["eurusd", "usdjpy"], &["2017-01", "2017-02"]);
    let carry = [("ROLLFIT_RUN__BOUNDARY", "carry")];
    let words = "boundary reset became carry (eurusd 2017-01 .. usdjpy 2017-02)";
    let run = sandbox.run_with(&carry, &["run", "-q"]).exits(4);
    assert_eq!((run.stderr.as_str(), run.stdout.matches(words).count()), ("", 1), "{run}");
    let once = sandbox.run_with(&carry, &["run"]).exits(4);
    let is_once = once.stdout.matches(words).count() == 1 && !once.stderr.contains("skipped (");
    assert!(is_once, "{once}");
    let each = sandbox.run_with(&carry, &["run", "--verbose"]).exits(4);
    assert_eq!(each.stderr.matches("skipped (definition-changed)").count(), 4, "{each}");

    // What failed is told at once too, but not for each partition.
    let stored = "stored by another definition: boundary reset became carry";
    let verify = sandbox.run_with(&carry, &["verify", "-q"]).exits(1);
    assert_eq!((verify.stderr.matches(stored).count(), verify.stderr.lines().count()), (1, 1), "{verify}");
    assert!(
        verify.stdout.contains(&format!("  4 partitions different: {stored} (eurusd 2017-01")),
        "{verify}"
    );

    // The first months have nothing before them.
    let compare = sandbox.run_with(&carry, &["compare", "-q"]).exits(1);
    assert!(
        compare
            .stdout
            .contains(&format!("  2 partitions different: {stored} (eurusd 2017-02 .. usdjpy 2017-02)")),
        "{compare}"
    );
    assert_eq!(compare.stderr.lines().count(), 1, "{compare}");
    let of_first = |key: &str| compare.stdout.matches(&format!("  {key} 2017-02: ")).count();
    assert_eq!((of_first("eurusd"), of_first("usdjpy")), (6, 0), "{compare}");
    assert!(!compare.stdout.contains("windows may have reached"), "{compare}");
    let document = sandbox.run_with(&carry, &["compare", "--json"]).exits(1).json();
    assert_eq!(document["partitions"][1]["definition_change"], "boundary reset became carry");

    fs::remove_dir_all(sandbox.path("fx/features")).unwrap();
    sandbox.configure(&["eurusd", "usdjpy"], "2017-02", "2017-02");
    for key in ["eurusd", "usdjpy"] {
        sandbox.write(format!("fx/sources/m1_{key}/2017-02.parquet"), "broken");
    }
    let failed = sandbox.run(&["run", "-q"]).exits(1);
    assert_eq!(failed.stderr.matches(" 2017-02: failed: ").count(), 1, "{failed}");
    assert!(
        failed.stdout.contains("2 partitions failed (eurusd 2017-02 .. usdjpy 2017-02); the first: "),
        "{failed}"
    );
}

#[test]
fn partitions_with_nothing_to_do_are_logged_only_where_that_is_wanted() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01", "2017-02"]);
    sandbox.configure(&["eurusd"], "2017-01", "2017-03");
    let words = ["eurusd 2017-01: nothing to do", "eurusd 2017-03: empty: no series has a row"];
    sandbox.run(&["run", "-v"]).exits(0).says(&words).says(&["[3/3] eurusd"]);
    let usual = sandbox.run(&["run"]).exits(0);
    assert!(!usual.stderr.contains("eurusd"), "{usual}");
    sandbox.run(&["run", "-v", "-q"]).exits(2).says(&["cannot be used with"]);
}

#[test]
fn lines_of_a_log_begin_with_time_and_level() {
    let sandbox = with_a_foreign_month();
    let mut run = sandbox.command(&["run"]);
    let levels = levels(&run.output().unwrap().stderr);
    assert!(levels.contains(&"info".to_owned()) && levels.contains(&"warning".to_owned()), "{levels:?}");
    // Each line of an error that has several.
    let mut wrong = sandbox.command(&["import", "--format", "csv", "none.csv"]);
    fs::remove_file(sandbox.path("rollfit.toml")).unwrap();
    let errors = wrong.output().unwrap().stderr;
    assert!(
        self::levels(&errors).iter().all(|level| level == "error"),
        "{}",
        String::from_utf8_lossy(&errors)
    );
}

/// The level of each line, whose form is checked.
#[track_caller]
fn levels(stderr: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(stderr).unwrap();
    let level = |line: &str| {
        let (time, message) = line.split_once(' ').unwrap();
        assert!(time.len() == 20 && time.ends_with('Z'), "{line}");
        time.parse::<jiff::Timestamp>().unwrap();
        message.split_once(": ").unwrap().0.to_owned()
    };
    text.lines().map(level).collect()
}

#[test]
fn an_interrupted_run_with_force_says_what_is_left_to_rewrite() {
    let job = SlowJob::new();
    job.sandbox.run(&["run", "--quiet"]).exits(0);
    let mut running = job.start(&["run", "--force"]);
    running.wait_for_stage("write");
    signal(&running, "INT");
    let stopped = running.finish().exits(130).json();
    let left: Vec<String> = stopped["remaining"]
        .as_array()
        .unwrap()
        .iter()
        .map(|partition| format!("slow:{}", partition["month"].as_str().unwrap()))
        .collect();
    assert_eq!(left, ["slow:2017-02", "slow:2017-03"]);
    let rest =
        job.sandbox.run(&["run", "--force", "--json", "--only", "slow:2017-02..2017-03"]).exits(0).json();
    assert_eq!((&rest["written"], &rest["remaining"]), (&2.into(), &vec![0; 0].into()));
}

#[test]
fn an_interrupted_run_with_force_is_continued_however_much_is_left() {
    let job = SlowJob::new();
    let keys: Vec<String> = (10..35).map(|number| format!("key{number}")).collect();
    for key in &keys {
        job.sandbox.drop_in(key, "mine.parquet", &SourceRows::of_month("2017-01", 5, 60));
    }
    let text = fs::read_to_string(job.sandbox.path("rollfit.toml")).unwrap();
    let all = [&["slow".to_owned()], &keys[..]].concat();
    job.sandbox.write("rollfit.toml", text.replace(r#"["slow"]"#, &format!("{all:?}")));
    job.sandbox.run(&["run", "--quiet"]).exits(0);
    let mut running = Running::start(job.sandbox.command(&["run", "--force", "--log-format", "json"]));
    running.wait_for_stage("write");
    signal(&running, "INT");
    let stopped = running.finish().exits(130);
    let (_, run) = stopped.stdout.split_once("add --continue ").expect(&stopped.stdout);
    let run = run.split(' ').next().unwrap();
    let others = [("ROLLFIT_WINDOWS__W1", "7")];
    let other = job.sandbox.run_with(&others, &["run", "--force", "--continue", run]).exits(2);
    other.says(&["was a run of another job or definition"]);
    let one = ["--only", "key10,slow:2017-01"];
    let some = job
        .sandbox
        .run(&[&["run", "--force", "--json", "--continue", run], &one[..]].concat())
        .exits(0)
        .json();
    assert_eq!((&some["written"], &some["empty"].as_array().unwrap().len()), (&1.into(), &2));
    let rest = job.sandbox.run(&["run", "--force", "--json", "--continue", run]).exits(0).json();
    // All but the month that was finished; the other keys have one month with rows.
    assert_eq!((&rest["partitions"], &rest["written"]), (&77.into(), &27.into()));
    let done = newest_run(&job.sandbox);
    let nothing = job.sandbox.run(&["run", "--force", "--continue", &done]).exits(2);
    nothing.says(&["has not recorded what it left", "without --continue"]);
    job.sandbox.run(&["run", "--continue", run]).exits(2).says(&["--force"]);
}

/// The name of the newest run.
fn newest_run(sandbox: &Sandbox) -> String {
    let runs = sandbox.run(&["runs", "--json"]).exits(0).json();
    runs["runs"][0]["run"].as_str().unwrap().to_owned()
}
