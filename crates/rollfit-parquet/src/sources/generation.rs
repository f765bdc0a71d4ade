//! [`Generation`]: the number that each import into a store raises, by which readers that take no lock notice it.
//!
//! Invariants: an import raises it after its list is there and before the first file moves. It is replaced by a rename, so
//! that a reader which has the old file open sees another one in its place, whatever number that holds.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rollfit_job::store::StoreError;

use crate::fault::file_error;
use crate::file_system::{FileSystem, OutputFile, create_buffered};
use rollfit_files::regular_file;

const GENERATION: &str = ".generation";
pub(crate) const UNFINISHED_GENERATION: &str = ".generation.tmp";
/// More than the digits of any number.
const BYTES_MAX: u64 = 64;

/// The generation of a store's sources at one moment; none in a store without imports, or with older ones only.
pub(crate) struct Generation {
    found: Option<Found>,
}

struct Found {
    /// Held open: as long as it is, no other file has its inode.
    _file: File,
    device: u64,
    inode: u64,
    text: Vec<u8>,
}

impl Generation {
    /// Reads the generation, and holds its file open.
    pub(crate) fn read(sources_dir: &Path) -> Result<Self, StoreError> {
        let path = sources_dir.join(GENERATION);
        let found = match regular_file::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self { found: None }),
            opened => opened.and_then(Found::read),
        };
        Ok(Self { found: Some(found.map_err(|error| file_error("read", &path, error))?) })
    }

    /// Whether no import has changed it between the two.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let identity = |found: &Found| (found.device, found.inode, found.text.clone());
        self.found.as_ref().map(identity) == other.found.as_ref().map(identity)
    }

    /// The generation after this one. What is no number is followed by the first.
    fn next(&self) -> u64 {
        let text = self.found.as_ref().and_then(|found| std::str::from_utf8(&found.text).ok());
        text.and_then(|text| text.trim_end().parse::<u64>().ok()?.checked_add(1)).unwrap_or(1)
    }
}

impl Found {
    fn read(mut file: File) -> io::Result<Self> {
        let (status, mut text) = (file.metadata()?, Vec::new());
        (&mut file).take(BYTES_MAX).read_to_end(&mut text)?;
        Ok(Self { _file: file, device: status.dev(), inode: status.ino(), text })
    }
}

/// Writes the next generation beside the present one, durably: raising it then needs no space.
pub(crate) fn stage_generation(sources_dir: &Path, files: &dyn FileSystem) -> Result<(), StoreError> {
    let next = Generation::read(sources_dir)?.next();
    let staged = sources_dir.join(UNFINISHED_GENERATION);
    let written = create_buffered(files, &staged).and_then(|mut file| {
        file.write_all(format!("{next}\n").as_bytes())?;
        file.sync()
    });
    written.map_err(|error| file_error("write", &staged, error))
}

/// Puts the staged generation in place. Where another process did that already, and was then cut short, raises it again.
pub(crate) fn raise_generation(sources_dir: &Path, files: &dyn FileSystem) -> Result<(), StoreError> {
    let (staged, path) = (sources_dir.join(UNFINISHED_GENERATION), sources_dir.join(GENERATION));
    if !fs::symlink_metadata(&staged).is_ok_and(|status| status.is_file()) {
        stage_generation(sources_dir, files)?;
    }
    files.rename(&staged, &path).map_err(|error| file_error("put in place", &path, error))
}
