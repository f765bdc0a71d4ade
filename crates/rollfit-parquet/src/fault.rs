//! From errors of files and Parquet to errors of the store, with what the user can do.

use std::io;
use std::path::Path;

use parquet::errors::ParquetError;
use rollfit_job::partition::Partition;
use rollfit_job::store::{Fault, StoreError};
use rustix::io::Errno;

use rollfit_files::parquet_file::FileFault;

/// An error of the file system at `path` while doing `what`.
pub(crate) fn file_error(what: &str, path: &Path, error: io::Error) -> StoreError {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => "; give this user permission to do that",
        io::ErrorKind::ReadOnlyFilesystem => "; the file system is read-only",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space and run the same command again"
        }
        _ => advice_by_number(&error),
    };
    StoreError::caused_by(fault_of(&error), format!("cannot {what} {}{advice}", path.display()), error)
}

/// What to do about errors that have no kind of their own.
fn advice_by_number(error: &io::Error) -> &'static str {
    match errno(error) {
        Some(Errno::MFILE) => "; allow this process more open files with `ulimit -n`, or use fewer --workers",
        Some(Errno::NFILE) => "; the system has too many open files",
        Some(Errno::NOMEM) => "; memory is full: use fewer --workers, or stop other processes",
        Some(Errno::IO) => {
            "; the disk failed: check the system log, and restore the file if the error persists"
        }
        _ => "",
    }
}

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw_os_error)
}

fn fault_of(error: &io::Error) -> Fault {
    if matches!(errno(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM)) {
        return Fault::Transient;
    }
    match error.kind() {
        io::ErrorKind::Interrupted
        | io::ErrorKind::WouldBlock
        | io::ErrorKind::TimedOut
        | io::ErrorKind::ResourceBusy
        | io::ErrorKind::StaleNetworkFileHandle => Fault::Transient,
        _ => Fault::Permanent,
    }
}

/// An error of the Parquet library at `path` while doing `what`. An I/O error of the file is reported as such.
pub(crate) fn parquet_error(what: &str, path: &Path, error: ParquetError) -> StoreError {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => file_error(what, path, *error),
            Err(inner) => {
                StoreError::caused_by(Fault::Permanent, format!("cannot {what} {}", path.display()), inner)
            }
        },
        error => StoreError::caused_by(Fault::Permanent, format!("cannot {what} {}", path.display()), error),
    }
}

/// The error of a file at `path` that is not Parquet, or no longer.
pub(crate) fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::permanent(format!(
        "{} is not a readable Parquet file ({why}): it is truncated, damaged or of another format; restore it from a \
         backup, or move it elsewhere",
        path.display()
    ))
}

/// The error of the file of a source table.
pub(crate) fn source_fault(path: &Path, fault: FileFault) -> StoreError {
    match fault {
        FileFault::System(error) => file_error("read", path, error),
        FileFault::Unreadable(why) => unreadable(path, &why),
        FileFault::Damaged(why) => damaged_source(path, &why),
    }
}

/// The error of a file that an import wrote and that was changed since.
pub(crate) fn damaged_source(path: &Path, why: &dyn std::fmt::Display) -> StoreError {
    let path = path.display();
    StoreError::damage(format!(
        "{path} is damaged: {why}; restore it from a backup, or rename it to {path}.damaged and import its bars again"
    ))
}

/// The error of the file with the features of a partition.
pub(crate) fn features_fault(path: &Path, partition: &Partition, fault: FileFault) -> StoreError {
    match fault {
        FileFault::System(error) => file_error("read", path, error),
        FileFault::Unreadable(why) => unreadable(path, &why),
        FileFault::Damaged(why) => StoreError::damage(format!(
            "{} is damaged: {why}; `rollfit run --force --only {}:{}` computes its features again",
            path.display(),
            partition.key,
            partition.period
        )),
    }
}
