//! Long tables: tables with the rows of several keys, told apart by a column, or by directories such as `symbol=EURUSD`.
//!
//! ```text
//! sources/bars/*.parquet                    rows of any keys, with a column `symbol`
//! sources/bars/symbol=EURUSD/*.parquet      rows of one key, with or without that column
//! ```
//!
//! Files of one key are read as those of any table. The others are read once for all keys: [`key_index`] counts the rows of
//! each key, and [`split`] copies them, key by key, into a file without a name.
//!
//! Invariants: every row belongs to the key that its directory and its column name, or an error says where they disagree;
//! nothing is believed of a footer that would leave out rows; memory does not grow with the rows of a table.

mod hive;
mod key_index;
mod key_tree;
mod keyed_file;
mod long_table;
mod split;
mod split_rows;

pub(crate) use self::hive::is_hive_dir;
pub(crate) use self::long_table::{LongSeries, LongTable, LongTables};
pub(crate) use self::split_rows::{OpenSplit, SplitKey};
