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

/// Says that `path` is not a Parquet file that can be read.
pub(crate) fn unreadable(path: &Path, error: &dyn std::error::Error) -> StoreError {
    StoreError::permanent(format!(
        "{} is not a readable Parquet file ({error}): it is truncated or something else; replace or remove it",
        path.display()
    ))
}
