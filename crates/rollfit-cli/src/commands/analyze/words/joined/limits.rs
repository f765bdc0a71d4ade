//! What one runner was limited by, and what workers spend their time on, in a few words.

use rollfit_analysis::{Headline, LimitingCause, TimeUse};

use crate::commands::analyze::words::limit::limit;

/// What limited a runner, taken alone.
pub(in super::super::super) fn runner_limit(headline: &Headline) -> String {
    match headline {
        Headline::NothingWritten => "nothing written".to_owned(),
        Headline::Balanced { limit: limited_by, .. } => limit(limited_by),
        Headline::Limited { cause, .. } => cause_briefly(*cause).to_owned(),
    }
}

const fn cause_briefly(cause: LimitingCause) -> &'static str {
    match cause {
        LimitingCause::Cpu => "cores that others use, or a quota",
        LimitingCause::Memory => "memory",
        LimitingCause::Workers => "few workers",
        LimitingCause::SourceRead => "reading the source",
        LimitingCause::StoreLatency => "round trips to the store",
        LimitingCause::StoreBandwidth => "store write bandwidth",
        LimitingCause::Sessions => "sessions",
        LimitingCause::Locks => "locks of others",
        LimitingCause::Commit => "commits",
        LimitingCause::StoreWork => "DELETE, keys, ANALYZE and VACUUM",
        LimitingCause::OversizedPartition => "one large partition",
        LimitingCause::Retries => "retries",
        LimitingCause::OwnLimit => "a limit of the configuration",
    }
}

/// What workers do, as it follows "the workers".
pub(in super::super::super) const fn time_use(what: TimeUse) -> &'static str {
    match what {
        TimeUse::Processor => "compute",
        TimeUse::CoreWait => "wait for a core",
        TimeUse::Source => "wait for the source",
        TimeUse::RoundTrips => "wait for round trips to the store",
        TimeUse::Store => "wait for the store to take rows",
        TimeUse::Commit => "wait for commits",
        TimeUse::Locks => "wait for locks, sessions or partitions of others",
        TimeUse::Throttled => "are throttled, or pause after failures",
        TimeUse::NotWritten => "look at partitions that they do not write",
        TimeUse::Idle => "have no partition",
        TimeUse::BeforeStart => "wait for their runner to begin",
        TimeUse::AfterEnd => "have left: their runner had ended, or was killed",
    }
}
