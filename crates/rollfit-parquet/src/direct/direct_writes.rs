//! [`DirectWrites`]: what the files of one store share: how they are written, and what was found out about that.

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use rollfit_job::lock::lock;

use super::direct_trial::{DirectTrial, Verdict, Way};

/// The ways in which the files of a store are written, while that is tried and after.
pub(crate) struct DirectWrites {
    /// Where the files are, for messages.
    dir: PathBuf,
    /// Files that are smaller are buffered, and direct writes have this size at least.
    piece_bytes: usize,
    trial: Mutex<DirectTrial>,
}

impl DirectWrites {
    pub(crate) fn new(dir: PathBuf, piece_bytes: usize) -> Self {
        Self { dir, piece_bytes, trial: Mutex::new(DirectTrial::new()) }
    }

    pub(super) fn piece_bytes(&self) -> usize {
        self.piece_bytes
    }

    /// Whether all files are buffered from now on.
    pub(super) fn are_over(&self) -> bool {
        lock(&self.trial).kept() == Some(Way::Buffered)
    }

    pub(super) fn next_way(&self) -> Way {
        lock(&self.trial).next_way()
    }

    /// Takes note of a file that is durable.
    pub(super) fn add(&self, way: Way, bytes: u64, took: Duration) {
        let verdict = lock(&self.trial).add(way, bytes, took);
        let dir = self.dir.display();
        match verdict {
            Some(Verdict { kept: Way::Direct, direct_speed }) => tracing::info!(
                "{dir}: writing past the page cache: a write is {direct_speed:.1}x as fast as through it (direct_io = \"auto\")"
            ),
            Some(Verdict { kept: Way::Buffered, direct_speed }) => tracing::info!(
                "{dir}: writing through the page cache: past it a write is only {direct_speed:.1}x as fast (direct_io = \"auto\")"
            ),
            None => {}
        }
    }

    /// Takes note that the file system refused a direct write.
    pub(super) fn refuse(&self, error: &io::Error) {
        if lock(&self.trial).refuse() {
            tracing::info!(
                "{}: writing through the page cache, because the file system refuses direct writes ({error})",
                self.dir.display()
            );
        }
    }
}
