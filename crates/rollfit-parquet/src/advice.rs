//! [`advice`]: what to do about what limits a run that reads or writes files.

use rollfit_job::store::{Advice, AppliesWhen, Bottleneck};

/// What this store advises about a bottleneck. No file is read.
pub(crate) fn advice(bottleneck: Bottleneck) -> Vec<Advice> {
    match bottleneck {
        Bottleneck::SlowCommits => vec![on_disk("Put the directory on a disk that syncs faster")],
        Bottleneck::WriteBandwidth => vec![on_disk("Put the directory on a disk that writes faster")],
        Bottleneck::RoundTrips => vec![on_disk("Use a directory on a local disk")],
        Bottleneck::SourceReads => vec![on_disk("Put the directory on a disk that reads faster")],
        // A directory has none of these.
        Bottleneck::ServerCpu
        | Bottleneck::LockWaits
        | Bottleneck::TooFewSessions
        | Bottleneck::Statements => Vec::new(),
    }
}

fn on_disk(action: &str) -> Advice {
    Advice {
        action: action.to_owned(),
        statement: None,
        trial: None,
        place: "the url in the configuration".to_owned(),
        roll_back: "move it back".to_owned(),
        risk: String::new(),
        applies: AppliesWhen::NextRun,
    }
}
