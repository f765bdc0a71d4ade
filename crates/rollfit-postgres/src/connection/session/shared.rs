//! [`Shared`]: what the sessions of a store share.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use rollfit_job::lock::lock;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::connection::holders::SeenHolders;
use crate::connection::pool::Pool;

/// State shared by the sessions of a store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared {
    /// Whether they are behind a pooler that mixes up prepared statements.
    pub(super) mixed_up: Arc<AtomicBool>,
    pub(super) round_trips: Arc<AtomicU64>,
    /// The shortest time in which an answer has come, in microseconds; 0 before the first one.
    shortest_reply_us: Arc<AtomicU64>,
    /// Who had what workers wanted.
    seen_holders: Arc<SeenHolders>,
    /// The server processes of the sessions that are open.
    processes: Arc<Mutex<HashSet<i32>>>,
    /// Where there may be another session to ask who holds a lock.
    pub(super) pool: Weak<Pool>,
    /// What the last round trips were for.
    #[cfg(feature = "failpoints")]
    log: Arc<std::sync::Mutex<std::collections::VecDeque<String>>>,
}

impl Shared {
    /// What the sessions of a pool share.
    pub(crate) fn new(pool: &Weak<Pool>) -> Self {
        Self { pool: Weak::clone(pool), ..Self::default() }
    }

    pub(crate) fn seen_holders(&self) -> &SeenHolders {
        &self.seen_holders
    }

    /// Returns the server processes of the open sessions. One that was opened a moment ago may be missing.
    pub(crate) fn processes(&self) -> Vec<i32> {
        lock(&self.processes).iter().copied().collect()
    }

    #[cfg(not(feature = "failpoints"))]
    pub(super) fn log_round_trip(&self, _doing: &str) {}

    #[cfg(feature = "failpoints")]
    pub(super) fn log_round_trip(&self, doing: &str) {
        const KEPT_MAX: usize = 200;
        let mut log = rollfit_job::lock::lock(&self.log);
        log.push_back(doing.to_owned());
        if log.len() > KEPT_MAX {
            log.pop_front();
        }
    }

    /// Returns what the last round trips were for, the latest last.
    #[cfg(feature = "failpoints")]
    pub(crate) fn last_round_trips(&self) -> Vec<String> {
        rollfit_job::lock::lock(&self.log).iter().cloned().collect()
    }

    /// Returns the shortest time in which an answer has come so far.
    pub(super) fn shortest_reply(&self) -> Duration {
        Duration::from_micros(self.shortest_reply_us.load(Ordering::Relaxed))
    }

    pub(super) fn note_reply(&self, after: Duration) {
        let us = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        let shorter = |known: u64| (known == 0 || us < known).then_some(us);
        // Nothing to do if it is not shorter.
        let _ = self.shortest_reply_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, shorter);
    }

    /// Notes which server process serves a session. Its name in the server's list of sessions does not tell: a process in another container
    /// may have the same.
    pub(super) async fn note_process(self, client: Arc<Client>, process: Arc<AtomicI32>) {
        let Ok(messages) = client.simple_query("SELECT pg_backend_pid()").await else { return };
        let row = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten(),
            _ => None,
        });
        if let Some(pid) = row.and_then(|text| text.parse().ok()) {
            process.store(pid, Ordering::Relaxed);
            lock(&self.processes).insert(pid);
        }
    }

    /// Forgets the server process of a session that ends.
    pub(super) fn forget_process(&self, process: &AtomicI32) {
        lock(&self.processes).remove(&process.load(Ordering::Relaxed));
    }

    /// Returns how often sessions have waited for an answer so far.
    pub(crate) fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }
}
