//! `rollfit status`: the run that goes on as another process sees it, how the last one went, and what the receipts tell
//! where there is no record.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::record::records;
use crate::running::{Running, signal};
use crate::sandbox::{Answer, Sandbox};
use crate::signals::SlowJob;
use crate::two_runners::hold;

const MONTHS: [&str; 2] = ["2017-01", "2017-02"];

/// A run that goes on until its lock is let go: somebody else has the second of its partitions.
struct Waiting {
    sandbox: Sandbox,
    running: Running,
    lock: File,
}

impl Waiting {
    fn start() -> Self {
        let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
        let lock = hold(&sandbox, MONTHS[1]);
        let running = Self::run(&sandbox, &[]);
        Self { sandbox, running, lock }
    }

    fn run(sandbox: &Sandbox, more: &[&str]) -> Running {
        let arguments = [&["run", "--json", "--log-format", "json", "--workers", "1"], more].concat();
        let mut running = Running::start(sandbox.command(&arguments));
        running.wait_for_stage("held");
        running
    }

    /// Lets the run end.
    fn release(self) -> (Sandbox, Answer) {
        // Unlocked first: a process that another test is starting may still share the file.
        self.lock.unlock().unwrap();
        (self.sandbox, self.running.finish().exits(0))
    }
}

fn status(sandbox: &Sandbox) -> Value {
    sandbox.run(&["status", "--json"]).exits(0).json()
}

/// Asks for the status until it is as it should be.
#[track_caller]
fn status_when(sandbox: &Sandbox, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let asked = Instant::now();
    loop {
        let status = status(sandbox);
        if is_wanted(&status) {
            return status;
        }
        assert!(asked.elapsed() < Duration::from_secs(60), "{status}");
    }
}

#[test]
fn a_run_that_goes_on_is_seen_from_another_process_and_so_is_its_end() {
    let waiting = Waiting::start();
    // The record says it at once, the process itself within a second.
    let seen = status_when(&waiting.sandbox, |status| {
        let run = &status["runs"][0];
        run["totals"]["written"] == 1 && !run["now"].is_null()
    });
    let run = &seen["runs"][0];
    assert_eq!(run["state"], "running");
    assert_eq!(run["header"]["pid"], waiting.running.id());
    assert_eq!(run["totals"]["partitions"], 2);
    assert_eq!(run["now"]["workers"][0]["worker"], 0);
    let told = waiting.sandbox.run(&["status"]).exits(0).says(&["running", "1/2 partitions", "worker  0"]);
    assert!(told.stdout.contains("held: in use by process 1 on elsewhere"), "{told}");
    let (sandbox, answer) = waiting.release();
    let seen = status(&sandbox);
    let run = &seen["runs"][0];
    assert_eq!((&run["state"], &run["now"]), (&"finished".into(), &Value::Null));
    assert_eq!(run["totals"]["rows"], answer.json()["rows"]);
    assert_eq!(run["problems"], Value::Array(Vec::new()), "it is not held any more");
    sandbox.run(&["status"]).exits(0).says(&["finished", "2/2 partitions, 2 written, 0 failed"]);
}

#[test]
fn several_runs_at_once_are_listed_and_each_can_be_asked_for() {
    let waiting = Waiting::start();
    let other = Sandbox::imported(&["usdjpy"], &["2017-01"]);
    let lock_path = other.part("usdjpy", "2017-01").with_file_name(".lock");
    fs::create_dir_all(lock_path.parent().unwrap()).unwrap();
    let lock = File::create(lock_path).unwrap();
    lock.lock().unwrap();
    let mut command = other.command(&["run", "--json", "--log-format", "json"]);
    command.env("ROLLFIT_STATE_DIR", waiting.sandbox.path("state"));
    let mut running = Running::start(command);
    running.wait_for_stage("held");
    // Where no configuration is near, all jobs are meant.
    let (nowhere, state) = (Sandbox::new(), waiting.sandbox.path("state"));
    let of_all = [("ROLLFIT_STATE_DIR", state.to_str().unwrap())];
    let asked = Instant::now();
    let seen = loop {
        let seen = nowhere.run_with(&of_all, &["status", "--json"]).exits(0).json();
        if seen["runs"].as_array().unwrap().len() == 2 {
            break seen;
        }
        assert!(asked.elapsed() < Duration::from_secs(60), "{seen}");
    };
    assert!(seen["runs"].as_array().unwrap().iter().all(|run| run["state"] == "running"), "{seen}");
    let id = seen["runs"][1]["run"].as_str().unwrap();
    nowhere.run_with(&of_all, &["status"]).exits(0).says(&[id, "/2 partitions", "/1 partitions"]);
    let one = waiting.sandbox.run(&["status", "--json", id]).exits(0).json();
    assert_eq!(one["runs"].as_array().unwrap().len(), 1);
    let of_config = waiting.sandbox.run(&["status", "--json"]).exits(0).json();
    assert_eq!(of_config["runs"].as_array().unwrap().len(), 1, "{of_config}");
    lock.unlock().unwrap();
    running.finish().exits(0);
    waiting.release();
}

#[test]
fn a_run_that_was_killed_is_said_to_be() {
    let job = SlowJob::new();
    let mut running = job.start(&["run"]);
    running.wait_for_stage("written");
    running.wait_for_stage("write");
    signal(&running, "KILL");
    running.finish();
    let seen = status(&job.sandbox);
    assert_eq!(seen["runs"][0]["state"], "killed");
    job.sandbox.run(&["status"]).exits(0).says(&["killed", "until its last update"]);
    job.sandbox.run(&["run"]).exits(0);
    assert_eq!(status(&job.sandbox)["runs"][0]["state"], "finished", "the last one counts");
}

#[test]
fn a_run_that_tells_nothing_any_more_is_not_taken_for_one_that_goes_well() {
    let waiting = Waiting::start();
    status_when(&waiting.sandbox, |status| !status["runs"][0]["now"].is_null());
    signal(&waiting.running, "STOP");
    let seen = status_when(&waiting.sandbox, |status| status["runs"][0]["silent_s"].as_u64() >= Some(5));
    assert_eq!(seen["runs"][0]["state"], "running", "it has not ended");
    waiting.sandbox.run(&["status"]).exits(0).says(&["no update for"]);
    signal(&waiting.running, "CONT");
    waiting.release();
}

#[test]
fn watching_ends_when_the_run_does_and_tells_how() {
    let waiting = Waiting::start();
    let mut command = waiting.sandbox.command(&["status", "--watch", "--json"]);
    let watching = command.stdout(Stdio::piped()).spawn().unwrap();
    status_when(&waiting.sandbox, |status| !status["runs"][0]["now"].is_null());
    let (_sandbox, _) = waiting.release();
    let told = String::from_utf8(watching.wait_with_output().unwrap().stdout).unwrap();
    let documents: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(documents.first().unwrap()["runs"][0]["state"], "running");
    let last = &documents.last().unwrap()["runs"][0];
    assert_eq!((&last["state"], &last["totals"]["written"]), (&"finished".into(), &2.into()));
}

#[test]
fn watching_in_plain_lines_ends_with_how_the_run_went() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    let told = sandbox.run(&["status", "--watch"]).exits(0);
    assert_eq!(told.stdout, sandbox.run(&["status"]).exits(0).stdout, "a run that is over is told once");
}

#[test]
fn where_there_is_no_record_the_receipts_tell() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    sandbox.run(&["run", "--only", "eurusd:2017-01", "--quiet"]).exits(0);
    fs::remove_dir_all(sandbox.path("state")).unwrap();
    let told = sandbox.run(&["status", "--json"]).exits(0).json();
    let counts = ["partitions", "done", "missing", "foreign"].map(|field| told["receipts"][field].as_u64());
    assert_eq!(counts, [Some(2), Some(1), Some(1), Some(0)]);
    sandbox.run(&["status"]).exits(0).says(&["2 partitions: 1 done, 1 missing"]);
    let carry = [("ROLLFIT_RUN__BOUNDARY", "carry")];
    sandbox.run_with(&carry, &["status"]).exits(0).says(&["0 done, 1 missing, 1 of another definition"]);
}

#[test]
fn runs_of_another_configuration_are_not_taken_for_those_of_the_one_that_is_named() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    sandbox.write("other.toml", text);
    sandbox.run(&["status", "--config", "rollfit.toml"]).exits(0).says(&["finished"]);
    sandbox.run(&["status", "--config", "other.toml"]).exits(0).says(&["No run of this job left a record"]);
}

#[test]
fn the_nearest_configuration_is_the_one_whose_runs_are_meant() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    sandbox.write("other.toml", &text);
    sandbox.run(&["run", "--force", "--only", "eurusd:2017-01", "--config", "other.toml"]).exits(0);
    let config_of = |answer: Answer, header: &str| {
        let document = answer.exits(0).json();
        document.pointer(header).unwrap().as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    };
    let status = |options: &[&str]| {
        config_of(sandbox.run(&[&["status", "--json"], options].concat()), "/runs/0/header/config")
    };
    let analyzed = |options: &[&str]| {
        config_of(sandbox.run(&[&["analyze", "--json"], options].concat()), "/header/config")
    };
    assert_eq!((status(&[]), analyzed(&[])), ("rollfit.toml".to_owned(), "rollfit.toml".to_owned()));
    let other = ["--config", "other.toml"];
    assert_eq!((status(&other), analyzed(&other)), ("other.toml".to_owned(), "other.toml".to_owned()));
    assert_eq!(sandbox.run(&["runs", "--json"]).json()["runs"].as_array().unwrap().len(), 2);

    // Without a configuration here or above, the newest of all.
    fs::rename(sandbox.path("rollfit.toml"), sandbox.path("moved.toml")).unwrap();
    assert_eq!((status(&[]), analyzed(&[])), ("other.toml".to_owned(), "other.toml".to_owned()));
    let moved = ["--config", "moved.toml"];
    sandbox.run(&[&["status"][..], &moved].concat()).exits(0).says(&[
        "No run of this job left a record here (`rollfit run` writes one, `rollfit runs` lists those of all jobs)",
        "2 done",
    ]);
    sandbox.run(&[&["analyze"][..], &moved].concat()).exits(2).says(&[
        "found no record of a run of moved.toml in",
        "`rollfit run` writes one, `rollfit runs` lists those of all jobs",
    ]);
}

#[test]
fn where_nothing_is_to_be_found_it_is_said_and_the_exit_code_is_2() {
    let sandbox = Sandbox::new();
    sandbox
        .run(&["status"])
        .exits(2)
        .says(&["found no record of a run in", "configuration rollfit.toml does not exist"]);
    sandbox.run(&["status", "20200101T"]).exits(2).says(&["no file and no run called `20200101T`"]);
    for pid in [1, 2] {
        sandbox.write(format!("state/runs/20200101T000000Z-{pid}.jsonl"), "{}\n");
    }
    sandbox.run(&["status", "2020"]).exits(2).says(&["several runs start with `2020`", "write more"]);
}

/// A record in a file, and what comes of asking for it.
fn status_of(text: &str) -> Answer {
    let sandbox = Sandbox::new();
    sandbox.write("record.jsonl", text);
    sandbox.run(&["status", "record.jsonl"])
}

fn whole_record() -> String {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    fs::read_to_string(&records(&sandbox)[0]).unwrap()
}

#[test]
fn records_that_are_damaged_cut_off_or_of_a_later_version_are_told_with_what_is_wrong() {
    let whole = whole_record();
    status_of(&whole).exits(0).says(&["finished"]);
    let (header, _) = whole.split_once('\n').unwrap();
    status_of(&whole[..whole.len() - 10]).exits(0).says(&["killed", "2 written"]);
    status_of(&header[..100]).exits(1).says(&["record.jsonl is not a run record of rollfit"]);
    status_of("").exits(1).says(&["record.jsonl is not a run record of rollfit"]);
    let damaged = whole.replacen("\"outcome\"", "\"outcame\"", 1);
    status_of(&damaged).exits(1).says(&["record.jsonl: line", "is invalid", "outcome"]);
    let newer =
        whole.replacen("\"format\":3", "\"format\":5", 1).replacen("\"version\":\"", "\"version\":\"9", 1);
    status_of(&newer).exits(1).says(&[
        "record.jsonl was written by rollfit 9",
        "format 5",
        "use that version",
    ]);
    let sandbox = Sandbox::new();
    sandbox.run(&["status", "./none.jsonl"]).exits(1).says(&["none.jsonl cannot be read: No such file"]);
    sandbox.run(&["status", "./"]).exits(1).says(&["cannot be read: Is a directory"]);
}

/// A terminal of its own for a command, with so many rows and columns; what it showed.
fn on_a_terminal(sandbox: &Sandbox, size: &str, arguments: &str) -> Option<String> {
    let line = format!("stty {size}; exec {} {arguments}", crate::sandbox::ROLLFIT);
    let mut command: Command = sandbox.in_clean_environment("script");
    command.env("TERM", "xterm").args(["-qec", &line, "/dev/null"]);
    match command.output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(_) => {
            println!("skipped: there is no program `script` here");
            None
        }
    }
}

#[test]
fn on_a_terminal_the_run_is_drawn_with_each_worker_and_taken_away_at_the_end() {
    // Long enough to be drawn several times.
    let job = SlowJob::with_windows(600);
    let Some(shown) = on_a_terminal(&job.sandbox, "rows 24 cols 80", "run --workers 2") else { return };
    for part in ["/3 partitions", "rows/s", "worker  1  computing", "slow 2017-02", "3 written"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("[1/3]"), "no plain lines beside it: {shown}");
    let quiet = on_a_terminal(&job.sandbox, "rows 24 cols 80", "run --workers 2 --force --quiet").unwrap();
    assert_eq!(quiet.trim(), "");
}

#[test]
fn a_record_may_be_anywhere() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    let moved: PathBuf = sandbox.path("moved.jsonl");
    fs::rename(&records(&sandbox)[0], &moved).unwrap();
    sandbox.run(&["status", "moved.jsonl"]).exits(0).says(&["finished", "1 written"]);
}
