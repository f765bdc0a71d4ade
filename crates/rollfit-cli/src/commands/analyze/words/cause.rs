//! What can be said of a cause alone: its title, and what to do about it outside rollfit.

use rollfit_analysis::{LimitingCause, Observation, RankedCause};

/// A finding in a few words.
pub(in super::super) fn title(finding: &RankedCause) -> String {
    match finding.cause {
        LimitingCause::Cpu if is_competing(finding) => "Other processes keep the cores busy".to_owned(),
        LimitingCause::Cpu => "A quota or affinity withholds cores".to_owned(),
        LimitingCause::Memory => "Memory has room for few workers".to_owned(),
        LimitingCause::Workers => "Fewer workers than would pay".to_owned(),
        LimitingCause::SourceRead => "Reading the source is slow".to_owned(),
        LimitingCause::StoreLatency => "Round trips to the store are slow".to_owned(),
        LimitingCause::StoreBandwidth => "Store write bandwidth is saturated".to_owned(),
        LimitingCause::Sessions => "Too few sessions with the store".to_owned(),
        LimitingCause::Locks => "Others hold locks or partitions".to_owned(),
        LimitingCause::Commit => "Commits are slow".to_owned(),
        LimitingCause::StoreWork => "DELETE, keys, ANALYZE and VACUUM take long".to_owned(),
        LimitingCause::OversizedPartition => "One partition is much larger than the others".to_owned(),
        LimitingCause::Retries => "Attempts fail and are retried".to_owned(),
        LimitingCause::OwnLimit => {
            let name = finding
                .setting
                .as_ref()
                .map_or("a setting", |setting| setting.name.trim_start_matches("run."));
            format!("The limit {name} throttles the workers")
        }
    }
}

/// Whether it is other processes that take the cores, and not a limit.
fn is_competing(finding: &RankedCause) -> bool {
    finding.evidence.iter().any(|observation| matches!(observation, Observation::CoresBusy { .. }))
}

/// What to do outside rollfit.
pub(super) const fn outside(cause: LimitingCause) -> &'static str {
    match cause {
        LimitingCause::Cpu => "Leave the cores to this run: move other work away, or run when it rests",
        LimitingCause::Memory => {
            "Give this process more memory: raise the limit of its control group, or free what others hold"
        }
        LimitingCause::Sessions => {
            "Allow this process more sessions: raise the store's limit, or end sessions of others"
        }
        LimitingCause::SourceRead => {
            "Make the source faster to read: put it on a faster disk, or nearer to this machine"
        }
        LimitingCause::StoreLatency => {
            "Shorten the way to the store: bring this process and the store closer together"
        }
        LimitingCause::StoreBandwidth => {
            "Give the store more write bandwidth, or store less: fewer metrics or windows"
        }
        LimitingCause::Commit => "Make commits faster",
        LimitingCause::StoreWork => "Make these statements faster on the server",
        LimitingCause::Locks => {
            "Let the holders finish, or end them; do not run two jobs over the same partitions at once"
        }
        LimitingCause::Retries => "Fix what makes attempts fail",
        LimitingCause::Workers | LimitingCause::OversizedPartition | LimitingCause::OwnLimit => {
            "Change the setting"
        }
    }
}
