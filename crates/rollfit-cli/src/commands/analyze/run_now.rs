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
    /// The run of a record, which says whether its process is gone.
    pub(super) fn new(path: &Path, record: &Record) -> Self {
        let is_running = record.end.is_none() && !record.was_killed;
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
    use rollfit_testkit::record::made;

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn only_the_process_that_has_the_record_open_is_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        let file = fs::File::create(&path).unwrap();
        let now = |pid, was_killed| {
            let mut record = Record { was_killed, end: None, ..made(3, 1) };
            record.header.pid = pid;
            RunNow::new(&path, &record)
        };
        let this = std::process::id();
        assert_eq!(now(this, false), RunNow { is_running: true, pid: Some(this) });
        assert_eq!(now(1, false), RunNow { is_running: true, pid: None });
        assert_eq!(now(this, true), RunNow::default());
        drop(file);
        assert_eq!(now(this, false).pid, None);
    }

    #[test]
    fn a_run_that_has_ended_is_not_running() {
        assert_eq!(RunNow::new(Path::new("/gone"), &made(3, 1)), RunNow::default());
    }
}
