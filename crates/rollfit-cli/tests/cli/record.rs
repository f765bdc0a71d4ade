//! Records of runs: every run that did something leaves one, with the figures of its summary, whatever its end; and no run
//! fails for its record.

use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rollfit_job::config::Origin;
use rollfit_job::record::{Header, Record};
use serde_json::Value;

use crate::disk::with_small_disk;
use crate::running::signal;
use crate::sandbox::{Answer, Sandbox, become_unprivileged, is_privileged};
use crate::signals::SlowJob;
use crate::tree::walk;

const MONTHS: [&str; 3] = ["2017-01", "2017-02", "2017-03"];

/// The records in a sandbox, the oldest first.
pub(crate) fn records(sandbox: &Sandbox) -> Vec<PathBuf> {
    let runs = sandbox.path("state/runs");
    let is_record = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "jsonl");
    walk(&runs).into_iter().filter(is_record).collect()
}

#[track_caller]
pub(crate) fn read(path: &PathBuf) -> Record {
    Record::read(BufReader::new(File::open(path).unwrap())).unwrap()
}

/// The record of the only run.
#[track_caller]
fn the_record(sandbox: &Sandbox) -> Record {
    let records = records(sandbox);
    assert_eq!(records.len(), 1, "{records:?}");
    read(&records[0])
}

#[test]
fn a_run_leaves_a_record_with_the_figures_of_its_summary() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    let summary = sandbox.run(&["run", "--json"]).exits(0).json();
    let record = the_record(&sandbox);
    let end = record.end.unwrap();
    let figures = |rows: u64, bytes: u64, written: u64| {
        assert_eq!((summary["rows"].as_u64(), summary["bytes"].as_u64()), (Some(rows), Some(bytes)));
        assert_eq!(summary["written"].as_u64(), Some(written));
    };
    figures(end.totals.rows, end.totals.bytes, end.totals.written);
    let sum = |of: fn(&rollfit_job::record::PartitionEnd) -> u64| record.partitions.iter().map(of).sum();
    figures(sum(|end| end.rows), sum(|end| end.bytes), record.partitions.len() as u64);
    assert!((end.at_ms as f64 / 1e3 - summary["seconds"].as_f64().unwrap()).abs() < 0.002);
    assert_eq!(record.samples.last().unwrap().totals, end.totals);
    for end in &record.partitions {
        // What a worker does belongs to some activity, but for the moments before it took its first partition.
        let took_us = (end.at_ms + 1 - end.begun_ms) * 1000;
        assert!(end.wall_us.total_us() + 1000 > took_us.saturating_sub(2000), "{end:?}");
    }
}

#[test]
fn a_record_says_what_the_run_is_and_where_its_settings_came_from() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    sandbox.run_with(&[("ROLLFIT_RUN__ATTEMPTS", "7")], &["run", "--workers", "1", "--quiet"]).exits(0);
    let Header { run, host, config, partitions, features, fits, settings, source, sink, .. } =
        the_record(&sandbox).header;
    assert!(records(&sandbox)[0].ends_with(format!("{run}.jsonl")));
    assert!(!host.is_empty());
    assert_eq!(PathBuf::from(config), sandbox.path("rollfit.toml"));
    assert_eq!((partitions, features, fits), (3, 180, 12));
    let fx = sandbox.path("fx").display().to_string();
    assert!(source.starts_with(&fx) && sink.starts_with(&fx), "{source} {sink}");
    let setting = |name: &str| settings.iter().find(|setting| setting.name == name).unwrap();
    let workers = setting("run.workers");
    assert_eq!(
        (workers.value.as_deref(), &workers.origin),
        (Some("1"), &Origin::Flag("--workers".to_owned()))
    );
    assert_eq!(setting("run.attempts").origin, Origin::Variable("ROLLFIT_RUN__ATTEMPTS".to_owned()));
    assert_eq!(setting("run.cpu_max").origin, Origin::Default);
}

/// The page on formats.
pub(crate) fn documented() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/format.md")).unwrap()
}

#[test]
fn every_field_of_a_record_is_documented() {
    let sandbox = Sandbox::imported(&["eurusd", "usdjpy"], &["2017-01"]);
    sandbox.write("fx/sources/m1_usdjpy/2017-01.parquet", "broken");
    sandbox.run(&["run", "--quiet"]).exits(1);
    let (text, documented) = (fs::read_to_string(&records(&sandbox)[0]).unwrap(), documented());
    for line in text.lines() {
        let line: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
        let event = line["event"].as_str().unwrap();
        let row = documented.lines().find(|row| row.starts_with(&format!("| `{event}` |")));
        let row = row.unwrap_or_else(|| panic!("{event} is not documented"));
        for field in line.keys().filter(|field| !matches!(field.as_str(), "event" | "at_ms")) {
            assert!(row.contains(&format!("`{field}`")), "{field} of {event} is not documented");
        }
    }
}

#[test]
fn the_same_job_has_the_same_digest_and_another_another() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    sandbox.run(&["run", "--only", "eurusd:2017-01", "--workers", "1"]).exits(0);
    sandbox.run(&["run", "--only", "eurusd:2017-02"]).exits(0);
    sandbox.run_with(&[("ROLLFIT_RUN__BOUNDARY", "carry")], &["run", "--only", "eurusd:2017-03"]).exits(0);
    let mut jobs: Vec<String> = records(&sandbox).iter().map(|path| read(path).header.job).collect();
    assert_eq!(jobs.len(), 3);
    jobs.sort();
    jobs.dedup();
    assert_eq!(jobs.len(), 2);
}

#[test]
fn records_are_for_their_user_alone_and_nothing_else_is_left() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    assert_eq!(records(&sandbox).len(), 1);
    let files = walk(&sandbox.path("state"));
    assert_eq!(files.len(), 3, "{files:?}");
    for path in files {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
}

#[test]
fn a_run_that_finds_everything_done_leaves_no_record() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    let before = records(&sandbox);
    sandbox.run(&["run"]).exits(0).says(&["1 already done"]);
    assert_eq!(records(&sandbox), before);
}

#[test]
fn what_failed_and_what_was_left_alone_is_in_the_record_with_its_cause() {
    let sandbox = Sandbox::imported(&["eurusd", "usdjpy"], &["2017-01"]);
    sandbox.write("fx/features/key=eurusd/month=2017-01/part.parquet", "strange");
    sandbox.write("fx/sources/m1_usdjpy/2017-01.parquet", "broken");
    sandbox.run(&["run"]).exits(1);
    let record = the_record(&sandbox);
    let mut ends: Vec<_> = record.partitions.iter().collect();
    ends.sort_by_key(|end| &end.partition);
    let told: Vec<_> = ends.iter().map(|end| (end.outcome.name(), end.cause.clone().unwrap())).collect();
    assert_eq!((told[0].0, told[1].0), ("left-alone", "failed"));
    assert!(told[0].1.contains("foreign") && told[1].1.contains("2017-01.parquet"), "{told:?}");
    assert_eq!(record.end.unwrap().totals.failed, 1);
}

#[test]
fn a_killed_run_leaves_a_record_that_can_be_read() {
    let job = SlowJob::new();
    let mut running = job.start(&["run"]);
    running.wait_for_stage("write");
    signal(&running, "KILL");
    running.finish();
    let record = the_record(&job.sandbox);
    assert_eq!((record.end, record.header.partitions), (None, 3));
}

#[test]
fn an_interrupted_run_says_so_in_its_record() {
    let job = SlowJob::new();
    let mut running = job.start(&["run"]);
    running.wait_for_stage("write");
    signal(&running, "INT");
    running.wait_for_words("finishing");
    let summary: Value = running.finish().exits(130).json();
    let end = the_record(&job.sandbox).end.unwrap();
    assert!(end.interrupted);
    assert_eq!(Some(end.totals.written), summary["written"].as_u64());
}

/// Checks that a run without a place for its record is done, and told once why there is none.
#[track_caller]
fn is_done_without_a_record(answer: Answer, cause: &str) {
    let answer = answer.exits(0).says(&[cause, "ROLLFIT_STATE_DIR"]);
    assert_eq!(answer.stderr.matches("without a record").count(), 1, "{answer}");
}

#[test]
fn where_no_record_can_be_made_the_run_goes_on_and_says_so_once() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    sandbox.write("state", "in the way");
    is_done_without_a_record(sandbox.run(&["run"]), "state/runs: ");
    // That there is no record is worth a word also where no progress is wanted.
    is_done_without_a_record(sandbox.run(&["run", "--quiet", "--force"]), "state/runs: ");
}

#[test]
fn a_user_without_a_home_runs_without_a_record() {
    if !is_privileged() {
        println!("skipped: only a privileged test can be a user without a home");
        return;
    }
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let mut command = sandbox.in_clean_environment(sandbox.executable_in_here());
    sandbox.give_away();
    command.arg("run").env_clear();
    become_unprivileged(&mut command);
    is_done_without_a_record(Answer::from_command(command), "this user has no home directory");
}

#[test]
fn on_a_read_only_disk_the_run_goes_on_and_says_so_once() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let script = r#"mount -o remount,ro disk; ROLLFIT_STATE_DIR=disk/state "$0" run"#;
    let Some(answer) = with_small_disk(&sandbox, script) else { return };
    is_done_without_a_record(answer, "Read-only file system");
}

#[test]
fn on_a_full_disk_the_run_goes_on_says_so_once_and_leaves_nothing_half_written() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let script = r#"export ROLLFIT_STATE_DIR=disk/state; head -c 9999999 /dev/zero > disk/ballast 2>/dev/null
        "$0" run; code=$?; find disk/state -type f; exit $code"#;
    let Some(answer) = with_small_disk(&sandbox, script) else { return };
    let answer =
        answer.exits(0).says(&["1 written", "the record of this run cannot be written to disk/state"]);
    assert_eq!(answer.stderr.matches("cannot be written").count(), 1, "{answer}");
    assert!(!answer.stdout.contains("disk/state"), "{answer}");
}

#[test]
fn a_record_is_completed_when_the_disk_has_room_again() {
    let job = SlowJob::new();
    let script = r#"export ROLLFIT_STATE_DIR=disk/state; head -c 9999999 /dev/zero > disk/ballast 2>/dev/null
        "$0" run 2>&1 | while read -r line; do case "$line" in *"cannot be written"*) rm disk/ballast;; esac; done
        cat disk/state/runs/*.jsonl"#;
    let Some(answer) = with_small_disk(&job.sandbox, script) else { return };
    let record = Record::read(answer.exits(0).stdout.as_bytes()).unwrap();
    assert_eq!((record.partitions.len(), record.end.unwrap().totals.written), (3, 3));
}

#[test]
fn the_newest_hundred_records_are_kept_and_those_of_runs_that_go_on() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let name = |at: usize| format!("state/runs/20200101T{at:06}Z-1.jsonl");
    let paths: Vec<PathBuf> = (0..110).map(|at| sandbox.write(name(at), "{}\n")).collect();
    let left = sandbox.write("state/runs/20200101T000001Z-1.live.json", "{}");
    let running = File::open(&paths[0]).unwrap();
    running.lock().unwrap();
    sandbox.run(&["run", "--quiet"]).exits(0);
    running.unlock().unwrap();
    assert_eq!(records(&sandbox).len(), 101, "a hundred, and the one that goes on");
    assert!(paths[0].exists() && !paths[1].exists() && !paths[10].exists() && paths[11].exists());
    assert!(!left.exists(), "what a killed run left of its live state");
}

#[test]
fn records_take_no_more_than_their_share_of_the_disk() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let paths =
        ["1", "2", "3"].map(|day| sandbox.write(format!("state/runs/2020010{day}T000000Z-1.jsonl"), ""));
    // Holes: they take no room here.
    paths
        .iter()
        .for_each(|path| File::options().write(true).open(path).unwrap().set_len(120_000_000).unwrap());
    sandbox.run(&["run", "--quiet"]).exits(0);
    assert_eq!(paths.map(|path| path.exists()), [false, true, true]);
}
