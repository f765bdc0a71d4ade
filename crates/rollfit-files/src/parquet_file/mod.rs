//! Parquet files as bytes: [`FileBytes`] reads an open file, [`Checksums`] protects what rollfit writes, and [`Footer`] says
//! whose file it is. Knows no store.

mod bytes;
mod checksum;
mod copy;
mod footer;
mod packing;
mod pages;
mod sealed_columns;
mod sealed_footer;
mod structures;
mod thrift;

pub use bytes::{FileBytes, ReadAt};
pub use checksum::{CREATED_BY, Checksums};
pub use copy::{CopyFault, copy_with_value};
pub use footer::{FileFault, Footer, Integrity, check_body};
pub use packing::check_packing;
pub use pages::check_pages;
pub use sealed_columns::{read_doubles, read_instants};
pub use sealed_footer::SealedFooter;
