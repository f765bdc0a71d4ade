//! How a change is tried on one partition, or why it cannot be.

use rollfit_analysis::{Analysis, Change, LimitingCause, Remedy};
use rollfit_job::activity::Activity;
use rollfit_job::partition::Partition;
use rollfit_job::record::PartitionOutcome;

use super::store_advice::trial_variable;
use super::{Fact, command, fact};
use crate::format::{byte_rate, quantity, time};

const LABEL: &str = "try on one";

/// What a change has to do with one partition alone.
enum Trial {
    /// These words before the command make it.
    Applied(Vec<String>),
    /// It is made outside rollfit; then the partition shows it.
    AfterIt,
    /// One partition shows nothing of it.
    Not(String),
}

/// The facts that say how to try a change on one partition, which is written again.
pub(super) fn trial(cause: LimitingCause, remedy: &Remedy, analysis: &Analysis) -> Vec<Fact> {
    let Some(partition) = &remedy.try_on else { return Vec::new() };
    let typed = |before: &[String]| {
        let text = command::one_partition(before, &analysis.header, partition);
        Fact::command(LABEL, text)
    };
    let took = |text: &str| match took_s(partition, analysis) {
        Some(took_s) => fact("", format!("{text} took {} in this run", time(took_s))),
        None => fact("", format!("{text} was not written in this run")),
    };
    match kind(cause, &remedy.change, analysis) {
        Trial::Applied(before) => {
            vec![typed(&before), took("writes the partition again with the change; without it, it")]
        }
        Trial::AfterIt => {
            vec![typed(&[]), took("type it after the change: it writes the partition again, which")]
        }
        Trial::Not(why) => vec![fact(LABEL, why)],
    }
}

fn kind(cause: LimitingCause, change: &Change, analysis: &Analysis) -> Trial {
    match change {
        Change::Setting { name, before, .. } => match name.as_str() {
            "run.cpu_max" => of_limit(change, before.as_deref(), 1.0, |cores| {
                format!("one partition uses at most one core, and cpu_max allows {}", quantity(cores))
            }),
            "run.store_write_mb_per_s_max" => {
                let alone = bytes_per_s_alone(analysis);
                of_limit(change, before.as_deref(), alone / 1e6, |limit| {
                    format!(
                        "one worker alone writes {}, and the limit is {}",
                        byte_rate(alone),
                        byte_rate(limit * 1e6)
                    )
                })
            }
            _ => not("it changes how partitions share the workers"),
        },
        Change::Wait { .. } | Change::Bandwidth { .. } => match trial_variable(cause, &analysis.header) {
            Some(variable) => Trial::Applied(vec![variable]),
            None => Trial::AfterIt,
        },
        Change::Cores { .. } | Change::Quota { .. } | Change::Memory { .. } | Change::Sessions { .. } => {
            not("one worker has what it needs")
        }
        Change::Locks | Change::Attempts { .. } => not("another partition may have no such trouble"),
    }
}

/// A limit that is taken away, which one partition shows if it is below what one worker needs.
fn of_limit(change: &Change, limit: Option<&str>, needed: f64, why_not: impl Fn(f64) -> String) -> Trial {
    let limit = limit.and_then(|limit| limit.parse::<f64>().ok());
    match (limit, command::variable(change)) {
        (Some(limit), _) if limit >= needed => not(&why_not(limit)),
        (Some(_), Some(variable)) => Trial::Applied(vec![variable]),
        _ => not("its value is unknown"),
    }
}

fn not(why: &str) -> Trial {
    Trial::Not(format!(
        "not possible: {why}; try it on the whole job: stop it at any time, and it continues where it was"
    ))
}

/// What one worker writes a second while it does not hold itself back.
fn bytes_per_s_alone(analysis: &Analysis) -> f64 {
    let unthrottled = analysis.activities.iter().filter(|share| share.activity != Activity::Throttled);
    analysis.run.totals.bytes as f64 / unthrottled.map(|share| share.wall_s).sum::<f64>().max(1e-3)
}

fn took_s(partition: &Partition, analysis: &Analysis) -> Option<f64> {
    let written = |slice: &&rollfit_analysis::LaneSlice| {
        slice.outcome == PartitionOutcome::Written && slice.partition == *partition
    };
    analysis.lanes.iter().find(written).map(|slice| slice.took_s)
}

#[cfg(test)]
mod tests {
    use rollfit_job::store::Bottleneck;

    use super::*;
    use crate::commands::analyze::example;
    use crate::commands::analyze::words::Form;

    /// The commands and the sentences for a change.
    fn told(cause: LimitingCause, change: Change) -> (Vec<String>, String) {
        let analysis = example::full();
        let mut remedy = analysis.bottlenecks[0].remedy.clone().unwrap();
        remedy.change = change;
        let facts = trial(cause, &remedy, &analysis);
        let (commands, words): (Vec<Fact>, Vec<Fact>) =
            facts.into_iter().partition(|fact| fact.form == Form::Command);
        let words = words.into_iter().map(|fact| fact.text).collect::<Vec<_>>().join("\n");
        (commands.into_iter().map(|fact| fact.text).collect(), words)
    }

    fn setting(name: &str, before: &str, after: Option<&str>) -> Change {
        let after = after.map(str::to_owned);
        Change::Setting { name: name.to_owned(), before: Some(before.to_owned()), after }
    }

    #[test]
    fn how_partitions_share_workers_cannot_be_tried_on_one() {
        for (name, after) in
            [("run.workers", "4"), ("run.order", "largest-first"), ("run.store_sessions_max", "9")]
        {
            let (commands, words) = told(LimitingCause::Workers, setting(name, "1", Some(after)));
            assert!(commands.is_empty() && words.starts_with("not possible: "), "{name}: {words}");
        }
    }

    #[test]
    fn a_limit_below_what_one_worker_needs_is_taken_away_for_one() {
        let of_cores = |before| told(LimitingCause::OwnLimit, setting("run.cpu_max", before, None));
        let (commands, words) = of_cores("0.5");
        assert_eq!(
            commands,
            [
                "ROLLFIT_RUN__CPU_MAX=4096 rollfit run --config /srv/fx/rollfit.toml --only eurusd:2017-01 --force"
            ]
        );
        assert!(words.contains("writes the partition again"), "{words}");
        assert!(of_cores("1").0.is_empty() && of_cores("2").1.contains("cpu_max allows 2"));
        let of_bytes =
            |before| told(LimitingCause::OwnLimit, setting("run.store_write_mb_per_s_max", before, None));
        assert!(of_bytes("0.001").0[0].starts_with("ROLLFIT_RUN__STORE_WRITE_MB_PER_S_MAX=1000000 rollfit"));
        assert!(of_bytes("1000").1.contains("the limit is 1.0 GB/s"), "{}", of_bytes("1000").1);
    }

    #[test]
    fn what_a_store_can_do_for_one_session_is_done_and_the_rest_is_compared_afterwards() {
        let waited_for = rollfit_analysis::WaitedFor::Commit;
        let (commands, _) = told(LimitingCause::Commit, Change::Wait { waited_for, wait_s: 0.2 });
        assert!(
            commands[0].starts_with("PGOPTIONS='-c synchronous_commit=off' rollfit run "),
            "{commands:?}"
        );
        let (commands, words) = told(LimitingCause::StoreBandwidth, Change::Bandwidth { bytes_per_s: 1e6 });
        assert!(commands[0].starts_with("rollfit run ") && words.contains("after the change"), "{words}");
        assert_eq!(LimitingCause::Commit.store_bottleneck().unwrap().1, Bottleneck::SlowCommits);
    }
}
