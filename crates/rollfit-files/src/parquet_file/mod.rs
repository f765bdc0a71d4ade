//! Parquet files as bytes: [`FileBytes`] reads an open file, [`Checksums`] protects what rollfit writes, and [`Footer`] says
//! whose file it is. Knows no store.

mod bytes;
mod checksum;
mod copy;
mod footer;
mod pages;
mod structures;
mod thrift;

pub use bytes::FileBytes;
pub use checksum::{CREATED_BY, Checksums};
pub use copy::{CopyFault, copy_with_value};
pub use footer::{FileFault, Footer, Integrity, check_body};
pub use pages::check_pages;
