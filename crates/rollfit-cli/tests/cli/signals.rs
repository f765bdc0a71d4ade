//! Signals: the first lets the partitions in progress finish, the second rolls them back, and the same command continues.
//! [`SlowJob`] is a job whose partitions take long enough to be interrupted.

use std::path::Path;

use crate::bars::{SourceRows, config};
use crate::running::{Running, signal};
use crate::sandbox::Sandbox;
use crate::tree::leftovers;

const MONTHS: [&str; 3] = ["2017-01", "2017-02", "2017-03"];

/// A job on little data with much to compute and to write: many windows of a thousand rows on an all but perfect line, whose
/// residuals the kernel merges.
pub(crate) struct SlowJob {
    pub(crate) sandbox: Sandbox,
}

impl SlowJob {
    pub(crate) fn new() -> Self {
        Self::with_windows(120)
    }

    pub(crate) fn with_windows(count: usize) -> Self {
        let sandbox = Sandbox::new();
        for month in MONTHS {
            let mut rows = SourceRows::of_month(month, 40_000, 60);
            let noise = |row: usize| (row % 7) as f64 * 1e-10;
            rows.values = (0..rows.values.len()).map(|row| 100.0 + row as f64 * 1e-3 + noise(row)).collect();
            sandbox.drop_in("slow", &format!("{month}.parquet"), &rows);
        }
        let (before, after) = config(&["slow"], MONTHS[0], MONTHS[2])
            .replace("workers = 2", "workers = 1")
            .split_once("w15 = 15")
            .map(|(before, after)| (before.to_owned(), after.to_owned()))
            .unwrap();
        let after = &after[after.find("[run]").unwrap()..];
        let windows: String = (0..count).map(|at| format!("w{at} = {}\n", 1000 - at)).collect();
        sandbox.write("rollfit.toml", format!("{before}{windows}[features]\nmetrics = [\"r2\"]\n{after}"));
        Self { sandbox }
    }

    /// Starts the executable here, its messages in JSON.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.sandbox.command(arguments);
        command.args(["--json", "--log-format", "json"]);
        Running::start(command)
    }

    fn parts(&self) -> usize {
        MONTHS.iter().filter(|month| self.sandbox.part("slow", month).exists()).count()
    }

    /// Checks that the command goes on where it was stopped and that nothing is left of the stop.
    #[track_caller]
    fn goes_on(&self, left: usize) {
        let features = self.sandbox.path("fx/features");
        assert_eq!(leftovers(&features), Vec::<std::path::PathBuf>::new());
        assert_no_empty_dirs(&features);
        let run = self.sandbox.run(&["run", "--json"]).exits(0).json();
        assert_eq!(run["written"], left);
        self.sandbox.run(&["verify", "--quick"]).exits(0);
    }
}

fn assert_no_empty_dirs(dir: &Path) {
    for path in crate::tree::walk(dir).into_iter().filter(|path| path.is_dir()) {
        let is_empty = std::fs::read_dir(&path).unwrap().next().is_none();
        assert!(!is_empty || path == dir, "{} is empty", path.display());
    }
}

#[test]
fn the_first_signal_finishes_the_partition_in_progress_and_the_same_command_goes_on() {
    for name in ["INT", "TERM"] {
        let job = SlowJob::new();
        let mut running = job.start(&["run"]);
        running.wait_for_stage("write");
        signal(&running, name);
        running.wait_for_words("finishing the partitions in progress");
        let stopped = running.finish().exits(130).json();
        assert_eq!((&stopped["written"], &stopped["not_started"]), (&1.into(), &2.into()));
        assert_eq!(stopped["interrupted"], true);
        assert_eq!(job.parts(), 1);
        job.goes_on(2);
    }
}

#[test]
fn the_second_signal_rolls_back_the_partition_in_progress() {
    let job = SlowJob::new();
    let mut running = job.start(&["run"]);
    running.wait_for_stage("write");
    signal(&running, "INT");
    running.wait_for_words("finishing the partitions in progress");
    signal(&running, "INT");
    running.wait_for_stage("abandoned");
    let stopped = running.finish().exits(130).json();
    assert_eq!((&stopped["written"], &stopped["not_started"]), (&0.into(), &3.into()));
    assert_eq!(job.parts(), 0);
    job.goes_on(3);
}

#[test]
fn the_end_of_the_grace_period_rolls_back_what_is_not_committed() {
    let job = SlowJob::new();
    let mut running = job.start(&["run", "--stop-within", "0"]);
    running.wait_for_stage("write");
    signal(&running, "TERM");
    running.wait_for_stage("abandoned");
    running.finish().exits(130);
    assert_eq!(job.parts(), 0);
    job.goes_on(3);
}

#[test]
fn a_roll_back_leaves_the_features_that_were_there() {
    let job = SlowJob::new();
    job.sandbox.run(&["run", "--only", "slow:2017-01"]).exits(0);
    let before = std::fs::read(job.sandbox.part("slow", "2017-01")).unwrap();
    let mut running = job.start(&["run", "--force", "--stop-within", "0"]);
    running.wait_for_stage("write");
    signal(&running, "INT");
    running.finish().exits(130);
    assert_eq!(std::fs::read(job.sandbox.part("slow", "2017-01")).unwrap(), before);
    job.goes_on(2);
}

#[test]
fn a_signal_stops_a_verification_too() {
    let job = SlowJob::new();
    job.sandbox.run(&["run"]).exits(0);
    let mut running = job.start(&["verify", "--sample", "1"]);
    running.wait_for_words("rows verified");
    signal(&running, "INT");
    let stopped = running.finish().exits(130).json();
    assert_eq!(stopped["partitions"].as_array().unwrap().len(), 3);
    assert_eq!(stopped["different"], 0);
}
