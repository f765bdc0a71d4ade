//! What more machines would give.

use rollfit_analysis::{JoinedRuns, MoreLimit, MoreMachinesLine, MoreUnknown};

use crate::format::{between_times, plural, time};

/// A line for each number of machines, or why there is none.
pub(super) fn machines(joined: &JoinedRuns) -> Vec<String> {
    let more = &joined.more;
    match more.unknown {
        Some(unknown) => vec![format!("machines: not known; {}", why(unknown))],
        None => more.lines.iter().map(|line| told(line, joined)).collect(),
    }
}

fn told(line: &MoreMachinesLine, joined: &JoinedRuns) -> String {
    let added = line.machines.saturating_sub(joined.more.machines);
    let unseen =
        if line.server_unseen { "; the server's CPU is not visible, it may be full now" } else { "" };
    format!(
        "{} more: the same job in {} instead of {}, then {}{unseen}",
        plural(added, "machine"),
        between_times(line.job_s.low, line.job_s.high),
        time(joined.whole.took_s),
        limit(line.limit),
    )
}

const fn why(unknown: MoreUnknown) -> &'static str {
    match unknown {
        MoreUnknown::FewPartitions => "too little was written",
        MoreUnknown::OneMachine => {
            "all runners were on one machine, and the store too; run on two and analyze their records"
        }
        MoreUnknown::NotTogether => {
            "the runners were not at work at the same time; start them together and analyze their records"
        }
    }
}

/// What lets no more through, as a clause that follows "then".
const fn limit(limit: MoreLimit) -> &'static str {
    match limit {
        MoreLimit::ServerCores => "the server's cores bind",
        MoreLimit::MachineCores => "the cores of each machine bind",
        MoreLimit::StoreWaits => "waits for source and store may bind",
        MoreLimit::Partitions => "the number of partitions binds",
        MoreLimit::Workers => "the workers of each machine bind",
    }
}
