//! Turns vendors' files into validated one-minute bars per key, before any store sees them.
//!
//! [`InputFiles`] finds the files of a command; [`read_file`] reads one file into a [`BarFile`]: bars sorted by instant, each instant once, every dropped row counted.
//! [`recognized_format`] says which format a file looks like.
//! [`merge()`] joins the files of one command into one [`KeyBars`] per key, which still knows the file and line of every bar.
//! What becomes of them in a store is the business of [`rollfit_job::import`].
//!
//! Invariants of every bar that leaves this crate:
//!
//! * its instant is a whole number of microseconds, UTC, and its zone was stated by the user, the bytes or the format, never
//!   guessed;
//! * its close is finite and above zero;
//! * rows are the same bar when instant and close are equal, and each further column that is kept where both have a value.
//!   Other columns are neither imported nor compared.
//!
//! Anything else is an [`ImportError`] or, when [`ReadOptions::lenient`] is set, a row dropped and counted. Nothing here
//! writes, and no input makes it panic.
//!
//! # Modules
//!
//! A module uses those below it, never one above:
//!
//! ```text
//! input_files       the files that arguments mean
//! merge             the files of a key, joined
//! ├─ merged_columns  their further columns
//! bar_file          one file, read and checked
//! ├─ cores          the cores that its files share
//! ├─ file_key       the key that a path says
//! └─ readers        text and Parquet, row by row
//!    ├─ archive     files opened: plain, gzip, zip
//!    ├─ rows        what every row goes through: instant, price, order, counts
//!    └─ read_options
//!       └─ formats  a file a vendor: name, first line, columns, zone, file names
//!          ├─ table delimited fields, and the names of columns
//!          ├─ time  time stamps and zones
//!          └─ error what can be wrong, and where
//! ```
//!
//! To add a vendor, read `formats/mod.rs`.

mod archive;
mod bar_file;
mod cores;
mod error;
mod file_key;
mod formats;
mod input_files;
mod merge;
mod merged_columns;
mod read_options;
mod readers;
mod rows;
mod table;
mod time;

pub use bar_file::{BarFile, read_file, read_files};
pub use error::{DropCause, EpochUnit, FileLine, ImportError, LocalFault, NumberKind, RowFault, RowUnit};
pub use file_key::{key_of_name, key_of_path};
pub use formats::Format;
pub use input_files::{InputFiles, PassedOver};
pub use merge::{KeyBars, MergeReport, merge};
pub use read_options::ReadOptions;
pub use readers::recognized_format;
pub use rows::file_report::FileReport;
pub use rows::lines::Lines;
pub use table::column_options::{ColumnOptions, OtherColumns};
pub use time::zone::Zone;
