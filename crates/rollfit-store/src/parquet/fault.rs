//! From errors of files and Parquet to errors of the store, with what the user can do.

use std::io;
use std::path::Path;

use parquet::errors::ParquetError;
use rollfit_job::store::{Fault, StoreError};

/// An error of the file system at `path` while doing `what`.
pub(crate) fn file_error(what: &str, path: &Path, error: io::Error) -> StoreError {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => "; give this user the right to do that",
        io::ErrorKind::ReadOnlyFilesystem => "; the file system is read-only",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space and run the same command again"
        }
        _ => "",
    };
    StoreError::caused_by(fault_of(&error), format!("cannot {what} {}{advice}", path.display()), error)
}

fn fault_of(error: &io::Error) -> Fault {
    let errno = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    if matches!(errno, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)) {
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

/// An error of the Parquet library at `path` while doing `what`. Those of the file beneath it are told as such.
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

/// What to say of a file at `path` that cannot be read as Parquet: where the system is at fault, that; else that it is
/// something else.
pub(crate) fn unreadable(path: &Path, error: &(dyn std::error::Error + 'static)) -> StoreError {
    if let Some(error) = system_error(error) {
        return file_error("read", path, error);
    }
    StoreError::permanent(format!(
        "{} is not a readable Parquet file ({error}): it is truncated or something else; replace or remove it",
        path.display()
    ))
}

/// The error of the operating system that led to `error`, if one did.
pub(crate) fn system_error(error: &(dyn std::error::Error + 'static)) -> Option<io::Error> {
    let causes = std::iter::successors(Some(error), |error| match error.downcast_ref::<ParquetError>() {
        Some(ParquetError::External(inner)) => Some(inner.as_ref()),
        _ => error.source(),
    });
    let codes = causes.filter_map(|error| error.downcast_ref::<io::Error>()?.raw_os_error());
    codes.map(io::Error::from_raw_os_error).next()
}
