//! Features: one file a partition, replaced under a lock by one rename, and reading them back with their receipts.

mod claims;
pub(crate) mod durable_dirs;
mod exchange;
pub(crate) mod job_dir;
pub(crate) mod job_lock;
mod key_lock;
mod key_names;
mod new_receipt;
pub(crate) mod read_back;
pub(crate) mod receipt_reader;
pub(crate) mod sink;
mod slot;
mod strangers;
mod unit_check;
