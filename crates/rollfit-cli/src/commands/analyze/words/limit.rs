//! What limits a run, and what limits a number of workers.

use rollfit_analysis::{Capacity, Limit, WorkersLimit, Worth, WorthReason};

use crate::format::{byte_rate, bytes, count, percent, plural, quantity, rate, time};

/// What limits a job, in a few words.
pub(super) fn limit(limit: &Limit) -> String {
    match limit {
        Limit::Cores => "the cores".to_owned(),
        Limit::Source => "the source".to_owned(),
        Limit::StoreBandwidth => "store write bandwidth".to_owned(),
        Limit::Commits => "the commits that the store makes at once".to_owned(),
        Limit::Statements => "DELETE, keys, ANALYZE and VACUUM".to_owned(),
        Limit::ServerCores => "the CPU of the store's server".to_owned(),
        Limit::ServerUnseen => {
            "perhaps the CPU of the store's server, which is not visible from here".to_owned()
        }
        Limit::CpuMax => "cpu_max".to_owned(),
        Limit::WriteMax => "store_write_mb_per_s_max".to_owned(),
        Limit::Sessions { workers } => format!("sessions, {}", plural(*workers, "worker")),
        Limit::Memory { workers } => format!("memory, {}", plural(*workers, "worker")),
        Limit::Workers { workers } => format!("the number of workers, {workers}"),
        Limit::Unknown => "nothing that this record shows".to_owned(),
    }
}

/// A limit with its arithmetic.
fn capacity(capacity: &Capacity) -> String {
    match capacity {
        Capacity::Time { limit: by, at_once, partition_s, rows_per_s } => {
            let what = if matches!(by, Limit::Cores | Limit::CpuMax | Limit::ServerCores) {
                "cores"
            } else {
                "at once"
            };
            format!(
                "{}: {} {what} / {} a partition = {} rows/s",
                limit(by),
                quantity(*at_once),
                time(*partition_s),
                rate(*rows_per_s)
            )
        }
        Capacity::Bytes { limit: by, bytes_per_s, row_bytes } => {
            format!("{}: {} / {} a row", limit(by), byte_rate(*bytes_per_s), bytes(row_bytes.round() as u64))
        }
        Capacity::Unknown => limit(&Limit::Unknown),
    }
}

/// What limits this many workers.
pub(in super::super) fn workers_limit(limit: &WorkersLimit) -> String {
    match limit {
        WorkersLimit::Sessions { workers, sessions_wanted, sessions, workers_max, why } => format!(
            "no gain: limited by sessions: {} and the monitor need {sessions_wanted}, there are {sessions} for {} ({})",
            plural(*workers, "worker"),
            plural(*workers_max, "worker"),
            why.as_deref().unwrap_or("the store allows no more")
        ),
        WorkersLimit::Memory { room_bytes, base_bytes, worker_bytes, workers_max } => format!(
            "no gain: limited by memory: ({} - {}) / {} per worker = {}",
            bytes(*room_bytes as u64),
            bytes(*base_bytes as u64),
            bytes(*worker_bytes as u64),
            plural(*workers_max, "worker")
        ),
        WorkersLimit::Partitions { partitions } => {
            let verb = if *partitions == 1 { "is" } else { "are" };
            format!("no gain: there {verb} {}", plural(*partitions, "partition"))
        }
        WorkersLimit::CompetingLoad { competing_cores, workers_max } => format!(
            "only takes cores from other processes, which want {} of them and leave room for {}",
            quantity(*competing_cores),
            plural(*workers_max, "worker")
        ),
        WorkersLimit::Capacity { capacity: by } => format!("no gain: limited by {}", capacity(by)),
    }
}

/// Beyond how many workers it is not worth it, and why.
pub(in super::super) fn worth(worth: &Worth) -> String {
    let why = match &worth.why {
        WorthReason::Limit { limit } => workers_limit(limit),
        WorthReason::LittleGain { workers, gain, capacity: by } => {
            let gain = percent(gain.max(0.0));
            format!("{} would gain {gain} more; {}", plural(*workers, "worker"), capacity(by))
        }
        WorthReason::CompetingLoad { workers, gain, competing_cores } => format!(
            "{} would gain {} by taking cores from other processes, which want {} of them",
            plural(*workers, "worker"),
            percent(*gain),
            quantity(*competing_cores)
        ),
        WorthReason::NotMeasured { .. } => "more is too far from what was measured".to_owned(),
        WorthReason::Unknown => "the record does not show more".to_owned(),
    };
    format!("Worth it up to {}: {why}", plural(worth.workers, "worker"))
}

/// The same in a few words: `8 workers gain 1.4 % more than 6: the cores limit it`; none where nothing is known.
pub(super) fn worth_briefly(worth: &Worth) -> Option<String> {
    let workers = plural(worth.workers, "worker");
    let by = |what: String| format!("than {workers}: limited by {what}");
    Some(match &worth.why {
        WorthReason::Limit { limit: WorkersLimit::Sessions { .. } } => by("sessions".to_owned()),
        WorthReason::Limit { limit: WorkersLimit::Memory { .. } } => by("memory".to_owned()),
        WorthReason::Limit { limit: WorkersLimit::Partitions { partitions } } => {
            by(format!("the number of partitions, {}", count(*partitions as u64)))
        }
        WorthReason::Limit { limit: WorkersLimit::Capacity { capacity } } => by(capacity_name(capacity)),
        WorthReason::Limit { limit: WorkersLimit::CompetingLoad { .. } } => by("other processes".to_owned()),
        WorthReason::CompetingLoad { workers: more, gain, .. } => {
            format!("than {workers}: {more} gain {} by taking cores from other processes", percent(*gain))
        }
        WorthReason::LittleGain { workers: more, gain, capacity } => {
            let gain = percent(gain.max(0.0));
            format!("than {workers}: {more} gain {gain} more, limited by {}", capacity_name(capacity))
        }
        WorthReason::NotMeasured { .. } => {
            let verb = if worth.workers == 1 { "is" } else { "are" };
            format!("than {workers} {verb} estimated: more would be too far from what was measured")
        }
        WorthReason::Unknown => return None,
    })
}

fn capacity_name(capacity: &Capacity) -> String {
    match capacity {
        Capacity::Time { limit: by, .. } | Capacity::Bytes { limit: by, .. } => limit(by),
        Capacity::Unknown => limit(&Limit::Unknown),
    }
}
