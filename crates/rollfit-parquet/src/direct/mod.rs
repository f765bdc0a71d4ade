//! Files being written: through the page cache, or past it where that is faster.

pub(crate) mod direct_trial;
pub(crate) mod direct_writes;
mod piece;
pub(crate) mod raw_file;
pub(crate) mod store_file;
#[cfg(test)]
mod tests;
