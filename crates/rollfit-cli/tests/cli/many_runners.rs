//! Several runners on one directory, with and without shards: all is done once, with the bits of one runner, and as little is read twice as the
//! claims allow. Of one that is killed half-way the others do the rest.

use std::path::Path;

use serde_json::Value;

use crate::running::{Running, signal};
use crate::sandbox::{Answer, Sandbox};
use crate::tree::{Tree, leftovers};

const KEYS: [&str; 4] = ["audusd", "eurusd", "gbpusd", "usdjpy"];
const MONTHS: [&str; 3] = ["2017-01", "2017-02", "2017-03"];
const PARTITIONS: u64 = 12;
const SHARDS: usize = 4;

/// A job on a directory of its own, beside one that a single runner has done.
struct SharedJob {
    sandbox: Sandbox,
    wanted: Tree,
}

impl SharedJob {
    fn new() -> Self {
        let undisturbed = Sandbox::done(&KEYS, &MONTHS);
        let wanted = Tree::read(&undisturbed.path("fx/features"));
        Self { sandbox: Sandbox::imported(&KEYS, &MONTHS), wanted }
    }

    fn features(&self) -> std::path::PathBuf {
        self.sandbox.path("fx/features")
    }

    /// Starts a runner with one worker, its messages in JSON.
    fn start(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Running {
        let arguments = [&["run", "--json", "--log-format", "json", "--workers", "1"], arguments].concat();
        let mut command = self.sandbox.command(&arguments);
        command.envs(variables.iter().copied());
        Running::start(command)
    }

    fn start_shard(&self, shard: usize, variables: &[(&str, &str)]) -> Running {
        self.start(variables, &["--shard", &shard_name(shard)])
    }

    /// Checks that all is there, bit for bit, and nothing else.
    #[track_caller]
    fn is_done(&self) {
        let found = Tree::read(&self.features());
        assert_eq!(self.wanted.differences(&found), Vec::<String>::new());
        assert_eq!(leftovers(&self.features()), Vec::<std::path::PathBuf>::new());
        self.sandbox.run(&["verify", "--quick"]).exits(0).says(&["12 verified"]);
    }
}

fn shard_name(shard: usize) -> String {
    format!("{shard}/{SHARDS}")
}

fn number(summary: &Value, pointer: &str) -> u64 {
    summary.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {summary}"))
}

fn sum(summaries: &[Value], pointer: &str) -> u64 {
    summaries.iter().map(|summary| number(summary, pointer)).sum()
}

#[track_caller]
fn summaries(runners: Vec<Running>) -> Vec<Value> {
    runners.into_iter().map(|running| running.finish().exits(0).json()).collect()
}

/// What all runners promise together of a job of which nothing was stored.
#[track_caller]
fn read_as_little_as_they_promise(summaries: &[Value]) {
    let (reads, held) = (sum(summaries, "/source_reads"), sum(summaries, "/seen_held"));
    assert!(reads <= PARTITIONS + held, "{reads} source reads, {held} seen held: {summaries:#?}");
}

fn files(features: &Path) -> usize {
    crate::tree::walk(features).iter().filter(|path| path.ends_with("part.parquet")).count()
}

#[test]
fn four_shards_do_all_of_a_job_once_and_with_the_same_bits() {
    let job = SharedJob::new();
    let runners = (0..SHARDS).map(|shard| job.start_shard(shard, &[])).collect();
    let summaries = summaries(runners);
    assert_eq!(sum(&summaries, "/partitions"), PARTITIONS, "every partition is in one share");
    let written = sum(&summaries, "/written") + sum(&summaries, "/other_shards/written");
    assert_eq!(written, PARTITIONS, "each was written once: {summaries:#?}");
    read_as_little_as_they_promise(&summaries);
    job.is_done();
}

#[test]
fn four_runners_without_shards_do_all_of_a_job_once_and_with_the_same_bits() {
    let job = SharedJob::new();
    let summaries = summaries((0..SHARDS).map(|_| job.start(&[], &[])).collect());
    assert_eq!(sum(&summaries, "/written"), PARTITIONS);
    for summary in &summaries {
        let done: u64 = ["/written", "/already_done", "/written_by_others"]
            .map(|what| number(summary, what))
            .iter()
            .sum();
        assert_eq!(done, PARTITIONS, "{summary:#}");
    }
    read_as_little_as_they_promise(&summaries);
    job.is_done();
}

#[test]
fn without_help_a_shard_does_its_own_partitions_and_says_what_is_not() {
    let job = SharedJob::new();
    let no_help = |shard: usize| -> Answer {
        job.sandbox.run(&["run", "--json", "--no-help", "--shard", &shard_name(shard)]).exits(0)
    };
    let first = no_help(0).json();
    let own = number(&first, "/written");
    let missing = first["other_shards"]["missing"].as_array().unwrap().len() as u64;
    assert_eq!((own, missing), (number(&first, "/partitions"), PARTITIONS - own));
    assert_eq!(files(&job.features()) as u64, own);
    let rest: Vec<Value> = (1..SHARDS).map(|shard| no_help(shard).json()).collect();
    assert_eq!(own + sum(&rest, "/written"), PARTITIONS);
    assert_eq!(number(&first, "/source_reads") + sum(&rest, "/source_reads"), PARTITIONS);
    job.is_done();
}

/// The runners are kept slow, so that the one is killed with a part of its share done and a partition in progress.
#[test]
fn of_a_shard_that_is_killed_half_way_the_others_do_the_rest() {
    let slow = [("ROLLFIT_RUN__STORE_WRITE_MB_PER_S_MAX", "1")];
    let job = SharedJob::new();
    let mut victim = job.start_shard(0, &slow);
    victim.wait_for_stage("written");
    let others: Vec<Running> = (1..SHARDS).map(|shard| job.start_shard(shard, &slow)).collect();
    victim.wait_for_stage("write");
    signal(&victim, "KILL");
    let killed = victim.finish();
    assert_eq!(killed.status.code(), None, "{killed}");
    assert!(files(&job.features()) < PARTITIONS as usize, "nothing is left to do");
    let summaries = summaries(others);
    assert!(sum(&summaries, "/other_shards/written") > 0, "nobody helped: {summaries:#?}");
    job.is_done();
    let again = job.start_shard(0, &[]).finish().exits(0).json();
    assert_eq!(
        (number(&again, "/written"), number(&again, "/already_done")),
        (0, number(&again, "/partitions"))
    );
    job.is_done();
}
