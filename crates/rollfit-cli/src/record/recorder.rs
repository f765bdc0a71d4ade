//! [`Recorder`]: writes what happens in a run to its record, and how the run is to its live file.
//!
//! Invariants: a run never fails because of its record, and no worker waits for it: workers add lines, and the thread that
//! samples the run once a second writes them. A failed write is reported once and retried, so that a record has either
//! all lines up to some moment or does not exist. A run that ends leaves its whole record or none.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rollfit_job::lock::lock;
use rollfit_job::record::{Event, Header};

use crate::live::Live;
use crate::logging;
use crate::replace::replace;
use crate::state_dir::{StateDir, live_path};

/// Writes the record of a run.
pub(crate) struct Recorder {
    /// Lines that are not written yet.
    pending: Mutex<Vec<u8>>,
    files: Mutex<Option<RecordFiles>>,
}

struct RecordFiles {
    record: File,
    path: PathBuf,
    /// The record is whole up to here.
    written_bytes: u64,
    /// Whether part of a line may follow.
    is_torn: bool,
    has_warned: bool,
}

impl Recorder {
    /// Starts the record of the run in the state directory. If that fails it warns, and nothing is recorded.
    pub(crate) fn begin(state: &StateDir, header: &Header) -> Self {
        Self::try_begin(state, header).unwrap_or_else(|error| {
            logging::warn(&format!("the run continues without a record: {error}"));
            Self::without_record()
        })
    }

    /// As [`Recorder::begin`]; without a word where it fails, but why.
    pub(crate) fn try_begin(state: &StateDir, header: &Header) -> Result<Self, String> {
        let (path, record) = state.create(&header.run)?;
        let files = RecordFiles { record, path, written_bytes: 0, is_torn: false, has_warned: false };
        let recorder = Self { pending: Mutex::default(), files: Mutex::new(Some(files)) };
        recorder.add(&Event::Run(Box::new(header.clone())));
        recorder.write_lines();
        Ok(recorder)
    }

    /// Records nothing.
    pub(crate) fn without_record() -> Self {
        Self { pending: Mutex::default(), files: Mutex::new(None) }
    }

    /// The file of the record, until it has ended.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        lock(&self.files).as_ref().map(|files| files.path.clone())
    }

    /// The bytes of the record: written, and waiting until they can be.
    pub(crate) fn bytes(&self) -> (u64, usize) {
        let written_bytes = lock(&self.files).as_ref().map_or(0, |files| files.written_bytes);
        (written_bytes, lock(&self.pending).len())
    }

    /// Adds a line.
    pub(crate) fn add(&self, event: &Event) {
        let Ok(mut line) = serde_json::to_vec(event) else { return };
        line.push(b'\n');
        lock(&self.pending).append(&mut line);
    }

    /// Writes the lines added so far, and the run as it is now.
    pub(crate) fn write(&self, live: &Live) {
        self.write_lines();
        if let Some(files) = &mut *lock(&self.files) {
            let text = serde_json::to_vec(live).unwrap_or_default();
            files.warn_once(replace(&live_path(&files.path), &text));
        }
    }

    fn write_lines(&self) {
        let Some(files) = &mut *lock(&self.files) else { return lock(&self.pending).clear() };
        let lines = std::mem::take(&mut *lock(&self.pending));
        let written = files.append(&lines);
        if written.is_err() {
            // They come before what was added meanwhile.
            lock(&self.pending).splice(0..0, lines);
        }
        files.warn_once(written);
    }

    /// Ends the record. A run that found everything done leaves none: runs that have nothing to do would push out those
    /// that had. Nor does one whose record lacks its end: it would pass for the record of a run that was killed.
    pub(crate) fn finish(&self, is_worth_keeping: bool) {
        self.write_lines();
        let Some(files) = lock(&self.files).take() else { return };
        let _ = fs::remove_file(live_path(&files.path));
        // Some disks say only now that they have no room.
        let is_whole = lock(&self.pending).is_empty() && files.record.sync_data().is_ok();
        if !is_whole {
            logging::warn("this run keeps no record: the record could not be completed");
        }
        if !is_whole || !is_worth_keeping {
            files.discard();
        }
    }
}

impl RecordFiles {
    /// Writes all lines or none.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.record.set_len(self.written_bytes)?;
            self.is_torn = false;
        }
        if let Err(error) = self.record.write_all(lines) {
            self.is_torn = self.record.set_len(self.written_bytes).is_err();
            return Err(error);
        }
        self.written_bytes += lines.len() as u64;
        Ok(())
    }

    /// Takes the record away. Where the directory does not let it go it stays empty, and nobody takes it for a record.
    fn discard(&self) {
        if fs::remove_file(&self.path).is_err() {
            let _ = self.record.set_len(0);
        }
    }

    fn warn_once(&mut self, written: io::Result<()>) {
        if let (Err(error), false) = (written, self.has_warned) {
            self.has_warned = true;
            let directory = self.path.parent().unwrap_or(Path::new(".")).display();
            logging::warn(&format!(
                "the record of this run cannot be written to {directory}: {error}; the run continues, and the record is \
                 completed when that is possible"
            ));
        }
    }
}
