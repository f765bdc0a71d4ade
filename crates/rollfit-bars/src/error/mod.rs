//! What can be wrong with files, rows and options. Errors know neither readers nor formats.

mod drop_cause;
mod file_line;
mod import_error;
mod row_fault;
mod shown;

pub use drop_cause::DropCause;
pub use file_line::{FileLine, RowUnit};
pub use import_error::ImportError;
pub use row_fault::{EpochUnit, LocalFault, NumberKind, RowFault};
pub(crate) use shown::shown;
