//! Logs, output and records that cannot be written: they end no run, and no record of part of a run passes for the newest.

use std::fs::{self, File, OpenOptions};
use std::io::pipe;
use std::process::{Command, Stdio};

use crate::disk::with_small_disk;
use crate::record::{read, records};
use crate::sandbox::{Answer, ROLLFIT, Sandbox};

fn full() -> Stdio {
    Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap())
}

/// A pipe that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    Stdio::from(writer)
}

/// Runs the executable with this stderr.
fn with_stderr(sandbox: &Sandbox, arguments: &[&str], stderr: Stdio) -> Answer {
    let mut command = sandbox.command(arguments);
    let child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
    Answer::from(child.wait_with_output().unwrap())
}

/// Runs a shell script in the sandbox, with the executable as `$0`.
fn script(sandbox: &Sandbox, script: &str) -> Answer {
    let mut command: Command = sandbox.in_clean_environment("sh");
    command.args(["-c", script, ROLLFIT]);
    Answer::from_command(command)
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    for format in ["text", "json"] {
        for stderr in [full(), closed()] {
            let run = ["run", "--force", "--json", "--log-format", format];
            let answer = with_stderr(&sandbox, &run, stderr).exits(0);
            assert_eq!(answer.json()["written"], 1);
        }
        for stderr in [full(), closed()] {
            with_stderr(&sandbox, &["plan", "--config", "none.toml", "--log-format", format], stderr)
                .exits(2);
        }
    }
    sandbox.run(&["verify"]).exits(0);
}

#[test]
fn a_log_at_the_limit_on_the_size_of_files_ends_nothing() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    sandbox.write("log", vec![b'x'; 2048]);
    script(&sandbox, r#"ulimit -f 1; exec "$0" verify 2>>log"#).exits(0).says(&["1 verified"]);
}

#[test]
fn without_any_stderr_no_message_gets_into_a_file() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    script(&sandbox, r#"exec "$0" run --log-format json 2>&- <&-"#).exits(0);
    sandbox.run(&["verify"]).exits(0);
    assert!(read(&records(&sandbox)[0]).end.is_some());
}

#[test]
fn data_that_cannot_be_printed_is_an_error_and_no_panic() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    for arguments in [&["plan"][..], &["plan", "--json"], &["status"], &["analyze"], &["metrics"]] {
        let mut command = sandbox.command(arguments);
        let child = command.stdout(full()).stderr(Stdio::piped()).spawn().unwrap();
        let answer = Answer::from(child.wait_with_output().unwrap()).exits(1);
        answer.says(&["error: cannot write to stdout: No space left"]);
    }
}

/// A disk that has room for one page more: for the beginning of a record, and not for its end.
const ONE_PAGE_LEFT: &str =
    "head -c 9999999 /dev/zero > disk/ballast 2>/dev/null; truncate -s -4096 disk/ballast";

#[test]
fn a_run_whose_record_cannot_be_completed_leaves_none() {
    let months: Vec<String> = (1..=12).map(|month| format!("2017-{month:02}")).collect();
    let sandbox = Sandbox::imported(&["eurusd"], &months.iter().map(String::as_str).collect::<Vec<_>>());
    let script = format!(
        r#"export ROLLFIT_STATE_DIR=disk/state; "$0" run --quiet --only eurusd:2017-01; {ONE_PAGE_LEFT}
        "$0" run; echo "run exits $?"; ls disk/state/runs; "$0" status; "$0" analyze >/dev/null; echo "analyze exits $?""#
    );
    let Some(answer) = with_small_disk(&sandbox, &script) else { return };
    let told = [
        "run exits 0",
        "11 written",
        "this run keeps no record",
        "finished",
        "1/1 partitions, 1 written",
        "analyze exits 0",
    ];
    let answer = answer.exits(0).says(&told);
    assert_eq!(answer.stdout.matches(".jsonl").count(), 1, "{answer}");
}

#[test]
fn a_record_that_lost_its_beginning_is_not_taken_for_the_newest() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    let torn = sandbox.write("state/runs/29990101T000000Z-1.jsonl", "{\"event\":\"run\",\"format\":1,\"ver");
    sandbox.write("state/runs/29990102T000000Z-1.jsonl", "");
    sandbox.run(&["status"]).exits(0).says(&["finished", "1/1 partitions"]);
    sandbox.run(&["analyze"]).exits(0);
    sandbox.run(&["analyze", "29990101"]).exits(1).says(&["29990101T000000Z-1.jsonl", "is not a run record"]);
    fs::remove_file(torn).unwrap();
}

#[test]
fn a_state_directory_that_goes_away_ends_nothing() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let lock = crate::two_runners::hold(&sandbox, "2017-01");
    let arguments = ["run", "--json", "--log-format", "json"];
    let mut running = crate::running::Running::start(sandbox.command(&arguments));
    running.wait_for_stage("held");
    fs::remove_dir_all(sandbox.path("state")).unwrap();
    File::unlock(&lock).unwrap();
    assert_eq!(running.finish().exits(0).json()["written"], 1);
    sandbox.run(&["status"]).exits(0).says(&["No run of this job left a record"]);
}
