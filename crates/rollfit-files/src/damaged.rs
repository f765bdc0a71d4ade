//! Reading files that may be damaged. The Parquet and Arrow readers answer most damage with an error, but panic on some,
//! such as an embedded schema with a changed byte.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A file whose reader panicked.
#[derive(Debug, thiserror::Error)]
#[error("it is damaged")]
pub struct Damaged;

/// What `read` gives, or [`Damaged`] when it panics. What `read` touched must not be used after that.
pub fn contain_panics<T>(read: impl FnOnce() -> T) -> Result<T, Damaged> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|_| Damaged)
}
