//! [`RunNow`]: whether the run of a record is still in progress, which the record does not say.

use std::fs;
use std::path::Path;

use rollfit_job::record::Record;

/// The run of a record at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RunNow {
    pub(super) is_running: bool,
    /// Its process, where it is one of this machine that certainly writes this record.
    pub(super) pid: Option<u32>,
}

impl RunNow {
    /// The run of a record; `was_running` says whether a process held the record before it was read, which may have ended since.
    pub(super) fn new(path: &Path, record: &Record, was_running: bool) -> Self {
        let is_running = was_running && record.end.is_none();
        Self { is_running, pid: Some(record.header.pid).filter(|&pid| is_running && writes(pid, path)) }
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

    #[test]
    #[cfg(target_os = "linux")]
    fn only_the_process_that_has_the_record_open_is_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        let file = fs::File::create(&path).unwrap();
        let now = |pid, was_running| {
            let mut record = rollfit_testkit::record::made(3, 1);
            (record.header.pid, record.end) = (pid, None);
            RunNow::new(&path, &record, was_running)
        };
        let this = std::process::id();
        assert_eq!(now(this, true), RunNow { is_running: true, pid: Some(this) });
        assert_eq!(now(1, true), RunNow { is_running: true, pid: None });
        assert_eq!(now(this, false), RunNow::default());
        drop(file);
        assert_eq!(now(this, true).pid, None);
    }

    #[test]
    fn a_run_that_has_ended_since_is_not_running() {
        let record = rollfit_testkit::record::made(3, 1);
        assert_eq!(RunNow::new(Path::new("/gone"), &record, true), RunNow::default());
    }
}
