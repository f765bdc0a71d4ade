//! [`StoreMonitor`]: shows how a store is while a run works with it.

use serde::{Deserialize, Serialize};

use super::StoreError;

/// Asks a store how it is, in a session that no worker has.
pub trait StoreMonitor: Send {
    /// How the store is now.
    ///
    /// # Errors
    /// When the query fails.
    fn sample(&mut self) -> Result<StoreSample, StoreError>;

    /// The share of the server's cores that is busy, 0 to 1, as `server_metrics_command` said last, or why it did not say; none without one
    /// and before its first answer. Asks nobody.
    fn server_cpu_share(&self) -> Option<Result<f64, String>> {
        None
    }

    /// Whether `server_metrics_command` says how busy the server is, so that its processes need not be found.
    fn has_server_metrics(&self) -> bool {
        false
    }

    /// The process that served the last sample; none where the server is elsewhere, has no processes, or does not tell.
    fn server_process(&self) -> Option<ServerProcess> {
        None
    }
}

/// A process of a store's server as the server knows it. Numbers and times are those of the machine that the server runs on, and of its
/// container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerProcess {
    /// The number of the process that serves a session.
    pub pid: u32,
    /// When that process started, in microseconds since 1970.
    pub started_us: i64,
    /// When the server started: its first process, the parent of all others.
    pub server_started_us: i64,
}

/// How a store is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreSample {
    /// The sessions of this process.
    pub own_sessions: u32,
    /// The sessions of everybody.
    pub sessions: Option<u32>,
    /// The sessions that the store allows everybody.
    pub sessions_max: Option<u32>,
    /// Of this process's sessions those that the store was at work for: active, and waiting for nothing. An estimate of
    /// the store's cores that this process keeps busy.
    pub working: u32,
    /// The share of the server's cores that is busy, 0 to 1, as `server_metrics_command` said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_share: Option<f64>,
    /// Of this process's sessions those that the store was active for while it waited.
    pub waits: Vec<StoreWait>,
    /// Who holds the locks that sessions of this process wait for.
    pub lock_holders: Vec<String>,
    /// The runners that are at work on this store beside this process; none where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_runners: Option<u32>,
    /// The most sessions that this process may have now: its share, where there are other runners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_sessions_max: Option<u32>,
    /// What the store wrote to its log, a second.
    pub log_bytes_per_s: Option<f64>,
    /// The bytes that the store has taken so far in transfers in progress.
    pub copied_bytes: Option<u64>,
}

/// Sessions of this process that waited within the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreWait {
    /// For what kind of thing.
    pub kind: WaitKind,
    /// What the store calls it.
    pub event: String,
    /// How many.
    pub sessions: u32,
}

/// What a session waits for within a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitKind {
    /// A lock that another session holds.
    Lock,
    /// Disks.
    Disk,
    /// Disks, to keep what was written.
    Sync,
    /// This process.
    Client,
    /// Other processes of the store.
    Internal,
    /// Anything else.
    Other,
}
