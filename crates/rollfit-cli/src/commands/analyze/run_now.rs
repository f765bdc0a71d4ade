//! [`RunNow`]: whether the run of a record is still in progress, which the record does not say.

use std::fs;
use std::path::Path;

use rollfit_job::record::Header;

use crate::state_dir::is_running;

/// The run of a record at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RunNow {
    pub(super) is_running: bool,
    /// Its process, where it is one of this machine that certainly writes this record.
    pub(super) pid: Option<u32>,
}

impl RunNow {
    /// Looks whether a process holds the record of a run that has not ended.
    pub(super) fn look(record: &Path, header: &Header, has_ended: bool) -> Self {
        let is_running = !has_ended && is_running(record);
        Self { is_running, pid: Some(header.pid).filter(|&pid| is_running && writes(pid, record)) }
    }
}

/// Whether a process has a file open: a number alone may be that of another process, in a container or on another machine.
fn writes(pid: u32, record: &Path) -> bool {
    let Ok(record) = fs::canonicalize(record) else { return false };
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.into_iter().any(|file| fs::read_link(file.path()).is_ok_and(|open| open == record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(pid: u32) -> Header {
        Header { pid, ..Header::default() }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn only_the_process_that_has_the_record_open_is_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        let file = fs::File::create(&path).unwrap();
        file.lock().unwrap();
        let this = std::process::id();
        let look = |pid, has_ended| RunNow::look(&path, &header(pid), has_ended);
        assert_eq!(look(this, false), RunNow { is_running: true, pid: Some(this) });
        assert_eq!(look(1, false), RunNow { is_running: true, pid: None });
        assert_eq!(look(this, true), RunNow::default());
        drop(file);
        assert_eq!(look(this, false), RunNow::default());
    }
}
