//! What speaks for a finding, a sentence each.

use rollfit_analysis::{Observation, WaitShare, WaitedFor};

use crate::format::{byte_rate, bytes, percent, plural, quantity, time};

/// The sentence, without its full stop.
pub(super) fn observation(observation: &Observation) -> String {
    match observation {
        Observation::WorkersAtOnce { workers, workers_wanted } => {
            format!("{} at once, about {workers_wanted} would pay", plural(*workers, "worker"))
        }
        Observation::WorkersWanted { workers } => format!("about {} would pay", plural(*workers, "worker")),
        Observation::WorkerWaits { share } => {
            format!("a worker only waits for {} of a partition's time", percent(*share))
        }
        Observation::WorkersIdle { share } => {
            format!("workers had nothing to do for {} of the run", percent(*share))
        }
        Observation::OnlyAfterOthers => "this pays only once the findings above are fixed".to_owned(),
        Observation::LargestPartition { partition, times_mean, took_s } => format!(
            "{partition} has {} times the rows of the mean partition and took {}",
            quantity(*times_mean),
            time(*took_s)
        ),
        Observation::OneWorkerBusy { seconds } => format!("only one worker was busy for {}", time(*seconds)),
        Observation::Throttled { share } => {
            format!("workers throttled themselves for {} of their time", percent(*share))
        }
        Observation::WriteMax { bytes_per_s_max, bytes_per_s } => {
            format!("the limit is {}, {} were written", byte_rate(*bytes_per_s_max), byte_rate(*bytes_per_s))
        }
        Observation::FailedAttempts { attempts, message, times } => {
            format!(
                "{} failed and were retried, {times} of them with: {message}",
                plural(*attempts, "attempt")
            )
        }
        Observation::RetryPause { wait_s, share } => {
            format!(
                "a partition pauses {} before another attempt, {} of its time",
                time(*wait_s),
                percent(*share)
            )
        }
        other => machine(other),
    }
}

/// Cores and memory.
fn machine(observation: &Observation) -> String {
    match observation {
        Observation::OwnCores { own_cores, cores } => {
            let of = cores.map(|cores| format!(" of {cores}")).unwrap_or_default();
            format!("this process kept {}{of} cores busy", quantity(*own_cores))
        }
        Observation::CoresBusy { own_cores, others_cores, cores } => format!(
            "this process kept {} of {} cores busy, other processes {}",
            quantity(*own_cores),
            quantity(*cores),
            quantity(*others_cores)
        ),
        Observation::CoresAllowed { cores } => {
            format!("affinity or a control group allows this process {} cores", quantity(*cores))
        }
        Observation::QuotaReached { share } => {
            format!("the control group's quota was used up in {} of its periods", percent(*share))
        }
        Observation::CoreWait { seconds_per_s } => {
            format!("for each second of its own work a worker waited {} for a core", time(*seconds_per_s))
        }
        Observation::ThreadsWaiting { threads } => {
            format!("{} threads waited for a core on average", quantity(*threads))
        }
        Observation::MemoryRoom { room_bytes, base_bytes, worker_bytes, workers } => format!(
            "({} that this process can hold - {} without workers) / {} per worker = {}",
            bytes(*room_bytes as u64),
            bytes(*base_bytes as u64),
            bytes(*worker_bytes as u64),
            plural(*workers, "worker")
        ),
        Observation::CpuMax { cores } => format!("cpu_max allows {} cores", quantity(*cores)),
        other => store(other),
    }
}

/// Source and store.
fn store(observation: &Observation) -> String {
    match observation {
        Observation::SessionsAllowed { sessions, workers, why } => format!(
            "this process may have {}, enough for {}: {}",
            plural(*sessions as usize, "session"),
            plural(*workers, "worker"),
            why.as_deref().unwrap_or("the store allows no more")
        ),
        Observation::SessionWait { share } => {
            format!("workers waited for a session for {} of their time", percent(*share))
        }
        Observation::PartitionWait { waited_for, wait_s, share, partition_s } => format!(
            "a partition waits {} {}, {} of the {} that it takes",
            time(*wait_s),
            for_what(*waited_for),
            percent(*share),
            time(*partition_s)
        ),
        Observation::RoundTrips { trips, shortest_s } => format!(
            "a partition makes {} round trips, the shortest took {}",
            quantity(*trips),
            time(*shortest_s)
        ),
        Observation::Statements { deleting_s, keying_s, analyzing_s, vacuuming_s } => {
            let kinds = [
                ("DELETE", deleting_s),
                ("keys", keying_s),
                ("ANALYZE", analyzing_s),
                ("VACUUM", vacuuming_s),
            ];
            let told = kinds.iter().filter(|(_, wait_s)| **wait_s > 0.0);
            let told: Vec<String> =
                told.map(|(what, wait_s)| format!("{} for {what}", time(**wait_s))).collect();
            format!("a partition waits {}", told.join(", "))
        }
        Observation::ServedAtOnce { workers, each_s } => format!(
            "the wait grows with the workers: about {} at once are served as fast as one, {} each",
            quantity(*workers),
            time(*each_s)
        ),
        Observation::StoreWaits { waits } => {
            format!("sessions waiting inside the store, on average: {}", store_waits(waits))
        }
        Observation::BytesWritten { bytes_per_s } => format!("{} were written", byte_rate(*bytes_per_s)),
        Observation::PartitionsHeld { partitions } => {
            format!("others held {} when it was their turn", plural(*partitions, "partition"))
        }
        Observation::HeldAtEnd { seconds } => {
            format!("nothing else was left to do for {} at the end", time(*seconds))
        }
        Observation::LockWait { wait_s, share } => {
            format!("a partition waits {} for locks, {} of its time", time(*wait_s), percent(*share))
        }
        Observation::LockHolders { holders } => format!("the locks are held by {}", holders.join(", ")),
        Observation::HeldMessage { message } => format!("the run was told: {message}"),
        _ => String::new(),
    }
}

pub(super) fn for_what(waited_for: WaitedFor) -> &'static str {
    match waited_for {
        WaitedFor::Source => "for its source",
        WaitedFor::RoundTrips => "for round trips and new sessions",
        WaitedFor::Bytes => "for the store to take its bytes",
        WaitedFor::Commit => "for its commit",
        WaitedFor::Statements => "for DELETE, keys, ANALYZE and VACUUM",
    }
}

/// `Lock:relation 1.2, IO:WALSync 0.4`
pub(super) fn store_waits(waits: &[WaitShare]) -> String {
    let words = waits.iter().map(|wait| format!("{} {}", wait.event, quantity(wait.sessions)));
    words.collect::<Vec<_>>().join(", ")
}
