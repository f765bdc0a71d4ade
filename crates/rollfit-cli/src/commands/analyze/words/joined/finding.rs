//! What limits several runners together, in a headline.

use rollfit_analysis::{JoinedLimit, JoinedRuns};

use super::limits::time_use;
use super::runner_name;
use crate::format::{percent, plural, quantity};

/// What limits the whole.
pub(in super::super::super) fn headline(joined: &JoinedRuns) -> String {
    match &joined.finding {
        JoinedLimit::NothingWritten => {
            "Nothing was written by any of these runners, so their records do not show what limits them."
                .to_owned()
        }
        JoinedLimit::ServerCores { busy, cores } => format!(
            "The cores of the store's server are full: {} of {} are busy. More machines gain nothing before it has more cores.",
            quantity(*busy),
            quantity(*cores)
        ),
        JoinedLimit::FewPartitions { partitions, workers } => format!(
            "There are too few partitions: {} for {}. Fewer machines would do.",
            plural(*partitions as usize, "partition"),
            plural(*workers, "worker")
        ),
        JoinedLimit::Imbalance { share } => format!(
            "Runners ended apart: {} of all workers' time was left over while {} still worked.",
            percent(*share),
            last(joined)
        ),
        JoinedLimit::Killed { share } => {
            let who = match &joined.killed[..] {
                [killed] => format!("{} was", runner_name(&killed.host, killed.shard.as_deref())),
                killed => format!("{} were", plural(killed.len(), "runner")),
            };
            let share = percent(*share);
            format!(
                "{share} of all workers' time is missing: {who} killed, or the record was copied too early."
            )
        }
        JoinedLimit::LateStart { share } => format!(
            "Runners began apart: {} of all workers' time was over before their runner began. Start them together.",
            percent(*share)
        ),
        JoinedLimit::MachineCores { hosts, of_hosts, busy_share, others_share } => format!(
            "The cores of the machines are full: those of {hosts} of {} are {} busy{}. More machines would do more, as far as the store takes it.",
            plural(*of_hosts, "host"),
            percent(*busy_share),
            if *others_share >= 0.1 {
                format!(", {} with other processes", percent(*others_share))
            } else {
                String::new()
            }
        ),
        JoinedLimit::Waiting { what, share } => format!(
            "The workers {} for {} of their time, and no machine's cores are full.",
            time_use(*what),
            percent(*share)
        ),
        JoinedLimit::Workers { share } => format!(
            "Workers compute for {} of their time, and cores are left: more workers on each machine would do more.",
            percent(*share)
        ),
    }
}

fn last(joined: &JoinedRuns) -> String {
    let Some(imbalance) = &joined.imbalance else { return "the last one".to_owned() };
    let line = joined.runners.iter().find(|line| line.run == imbalance.last_run);
    runner_name(&imbalance.last_host, line.and_then(|line| line.shard.as_deref()))
}
