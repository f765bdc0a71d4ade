//! Everything that a stranger sends to rollfit, as fuzz targets: files to import, source tables, lists of imports, features with their
//! receipts, run records, configurations, connection settings, and the messages of a server.
//!
//! A [`Target`] takes any bytes and panics where a promise is broken: a reader panics, or two readings that must agree
//! differ. `./bench.sh fuzz` searches for such bytes; the test `corpus` runs every target over its seeds and over what was
//! found once.
//!
//! To add a target, write its module with `pub(crate) fn hold(bytes: &[u8])` and `pub(crate) fn seeds()`, and name it in
//! [`Target::ALL`] and in `fuzz/Cargo.toml`.

#![allow(clippy::unwrap_used)] // A failed helper is a finding.

mod config;
mod features;
mod import_list;
mod long_tables;
mod packed;
mod parquet_file;
mod parquet_import;
mod records;
mod scratch;
mod server;
mod settings;
mod sources;
mod text;

use std::fs;
use std::path::Path;

pub use self::server::recorder::record_dialogues;

/// An input that a target starts from: its name and its bytes.
pub type Seed = (String, Vec<u8>);

/// One way in for a stranger's bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name, also of its program in `fuzz/`.
    pub name: &'static str,
    /// Reads the bytes; panics where a promise is broken.
    pub hold: fn(&[u8]),
    /// Valid inputs of every kind.
    pub seeds: fn() -> Vec<Seed>,
}

impl Target {
    /// Every target.
    pub const ALL: [Self; 11] = [
        Self { name: "text", hold: text::hold, seeds: text::seeds },
        Self { name: "packed", hold: packed::hold, seeds: packed::seeds },
        Self { name: "parquet_import", hold: parquet_import::hold, seeds: parquet_import::seeds },
        Self { name: "sources", hold: sources::hold, seeds: sources::seeds },
        Self { name: "long_tables", hold: long_tables::hold, seeds: long_tables::seeds },
        Self { name: "import_list", hold: import_list::hold, seeds: import_list::seeds },
        Self { name: "features", hold: features::hold, seeds: features::seeds },
        Self { name: "records", hold: records::hold, seeds: records::seeds },
        Self { name: "server", hold: server::hold, seeds: server::seeds },
        Self { name: "config", hold: config::hold, seeds: config::seeds },
        Self { name: "settings", hold: settings::hold, seeds: settings::seeds },
    ];

    /// Returns the target of this name.
    ///
    /// # Panics
    /// If there is none.
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|target| target.name == name).expect("a target of this name")
    }

    /// Returns the inputs that a fuzzer found once, from the directory `found` of this crate.
    ///
    /// # Panics
    /// If the directory cannot be read.
    pub fn found(&self) -> Vec<Seed> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("found").join(self.name);
        let Ok(entries) = fs::read_dir(&dir) else { return Vec::new() };
        let read = |entry: std::io::Result<fs::DirEntry>| {
            let entry = entry.unwrap();
            (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap())
        };
        let mut found: Vec<Seed> = entries.map(read).collect();
        found.sort();
        found
    }
}
