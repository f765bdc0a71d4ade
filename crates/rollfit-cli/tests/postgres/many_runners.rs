//! Many runners with one configuration on one database: each partition is read and written by one of them, whoever dies, and every bit is
//! that of a run alone.

use serde_json::Value;

use crate::running::Running;
use crate::workload::Workload;

const RUNNERS: usize = 4;

/// Starts runners, with a share of the job each or with none.
fn start(workload: &Workload<'_>, is_sharded: bool, variables: &[(&str, &str)]) -> Vec<Running> {
    let run = |at: usize| {
        let shard = format!("{at}/{RUNNERS}");
        let arguments: &[&str] = if is_sharded { &["--shard", &shard] } else { &[] };
        workload.start(variables, arguments)
    };
    (0..RUNNERS).map(run).collect()
}

fn sum(summaries: &[Value], field: &str) -> u64 {
    summaries
        .iter()
        .map(|summary| summary[field].as_u64().unwrap_or_else(|| panic!("{field}: {summary}")))
        .sum()
}

/// The partitions that runners wrote, of their own shares and of others.
pub(crate) fn written(summaries: &[Value]) -> u64 {
    let helped = summaries.iter().filter_map(|summary| summary["other_shards"]["written"].as_u64());
    sum(summaries, "written") + helped.sum::<u64>()
}

#[test]
fn no_source_is_read_by_two_runners_unless_one_has_seen_the_other() {
    for is_sharded in [false, true] {
        let workload = Workload::wide();
        let running = start(&workload, is_sharded, &[]);
        let answers: Vec<_> = running.into_iter().map(|running| running.finish().exits(0)).collect();
        let summaries: Vec<Value> = answers.iter().map(|answer| answer.json()).collect();
        assert_eq!(written(&summaries), 6);
        let (reads, held) = (sum(&summaries, "source_reads"), sum(&summaries, "seen_held"));
        assert!((6..=6 + held).contains(&reads), "{reads} reads of 6 partitions, {held} seen held");
        for answer in &answers {
            assert!(!answer.to_string().contains("WARN"), "{answer}");
        }
        workload.is_as_undisturbed();
    }
}

#[test]
fn the_work_of_a_runner_that_is_killed_is_done_by_the_others() {
    for is_sharded in [false, true] {
        let workload = Workload::wide();
        let mine: &[&str] = if is_sharded { &["--shard", "1/4"] } else { &[] };
        let killed = workload.stopped_at("middle-of-table-1", &[], mine);
        let mut running = start(&workload, is_sharded, &[]);
        drop(running.remove(1));
        running[0].wait_for(|message| message["stage"].is_string());
        // With SIGKILL.
        drop(killed);
        for runner in running {
            runner.finish().exits(0);
        }
        workload.is_as_undisturbed();
    }
}
