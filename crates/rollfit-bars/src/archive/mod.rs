//! Opens a text file, whether it is plain, gzip or zip: the first bytes decide, not the name.
//!
//! A zip serves when exactly one of its entries is data: the only `.csv` (or `.tsv`), else the only file.
//! What operating systems add (`__MACOSX`, dot files) is not counted. UTF-16 text is read as UTF-8.

mod encoding_fault;
mod gzip;
mod utf16;
mod zip_entry;

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::rc::Rc;

use zip::ZipArchive;

use self::encoding_fault::EncodingFault;
use self::gzip::GzipMembers;
use self::utf16::{Encoding, HEAD_BYTES, Utf16Text};
use self::zip_entry::ZipEntry;
use crate::error::ImportError;

/// The unpacked bytes of a file, streamed.
pub(crate) struct Opened {
    pub(crate) reader: Box<dyn BufRead>,
    /// Bytes after the last member of a gzip file that are no member, once all is read.
    pub(crate) ignored_bytes: Rc<Cell<u64>>,
    /// The name of the entry, where the file is a zip.
    pub(crate) entry: Option<String>,
    /// What `iconv` calls the encoding of the file, where it is plain text and not UTF-8.
    pub(crate) encoding: Option<&'static str>,
}

/// What standard input is called in place of a path.
pub(crate) const STANDARD_INPUT: &str = "<stdin>";

const BUFFER_BYTES: usize = 256 * 1024;
const ENTRIES_SHOWN: usize = 10;

/// Opens a file for reading as text.
pub(crate) fn open(path: &Path) -> Result<Opened, ImportError> {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, open_file(path)?);
    let head = reader.fill_buf().map_err(|source| read_error(path, source))?;
    let ignored_bytes = Rc::new(Cell::new(0));
    let mut is_plain = false;
    let (unpacked, entry): (Box<dyn BufRead>, _) = if head.starts_with(&gzip::MAGIC) {
        let members = GzipMembers::new(reader, Rc::clone(&ignored_bytes));
        (Box::new(BufReader::with_capacity(BUFFER_BYTES, members)), None)
    } else if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        let failed = |why| ImportError::Archive { path: path.to_path_buf(), why };
        // A pipe has no end to look into for the list of entries.
        if is_standard_input(path) {
            return Err(failed(
                "a zip cannot be read from standard input; name the file, or unpack it first".to_owned(),
            ));
        }
        let (entry, name) = open_zip(reader).map_err(failed)?;
        (Box::new(BufReader::with_capacity(BUFFER_BYTES, entry)), Some(name))
    } else {
        is_plain = true;
        (Box::new(reader), None)
    };
    let (reader, encoding) = as_utf8(path, unpacked)?;
    Ok(Opened { reader, ignored_bytes, entry, encoding: encoding.filter(|_| is_plain) })
}

/// The text of a file in UTF-8, and the encoding that it was in if another.
fn as_utf8(
    path: &Path,
    mut reader: Box<dyn BufRead>,
) -> Result<(Box<dyn BufRead>, Option<&'static str>), ImportError> {
    let mut head = Vec::new();
    let read = (&mut reader).take(HEAD_BYTES as u64).read_to_end(&mut head);
    read.map_err(|source| read_error(path, source))?;
    let encoding = Encoding::from_head(&head);
    let whole = Cursor::new(head).chain(reader);
    match encoding {
        Encoding::Utf8 => Ok((Box::new(whole), None)),
        Encoding::Utf16 { little } => {
            let name = if little { "UTF-16LE" } else { "UTF-16BE" };
            Ok((Box::new(Utf16Text::new(whole, little)), Some(name)))
        }
        Encoding::Utf32 => Err(ImportError::Content {
            path: path.to_path_buf(),
            why: "is UTF-32 text; convert it, e.g. iconv -f UTF-32 -t UTF-8".to_owned(),
        }),
    }
}

/// Whether a path means standard input.
pub(crate) fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == STANDARD_INPUT
}

/// Opens a file of any kind, but no directory.
pub(crate) fn open_file(path: &Path) -> Result<File, ImportError> {
    let failed = |source| ImportError::Open { path: path.to_path_buf(), source };
    let file = if is_standard_input(path) {
        File::from(io::stdin().as_fd().try_clone_to_owned().map_err(failed)?)
    } else {
        File::open(path).map_err(failed)?
    };
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(ImportError::Directory { path: path.to_path_buf() });
    }
    Ok(file)
}

pub(crate) fn read_error(path: &Path, source: io::Error) -> ImportError {
    let path = path.to_path_buf();
    match source.get_ref().and_then(|error| error.downcast_ref::<EncodingFault>()) {
        Some(fault) => {
            let why = format!("{fault}; export the file again, or convert it to UTF-8");
            ImportError::Content { path, why }
        }
        None => ImportError::Read { path, source },
    }
}

/// The one data file of a zip, and its name; an error says what to do.
fn open_zip(reader: BufReader<File>) -> Result<(ZipEntry, String), String> {
    let mut archive = ZipArchive::new(reader).map_err(|error| format!("cannot unpack the zip: {error}"))?;
    if archive.has_duplicate_names() {
        return Err("the zip holds two entries with the same name; unpack it and name the \
                    right one"
            .to_owned());
    }
    let names = file_names(&mut archive);
    if names.iter().any(|(_, name)| name == "[Content_Types].xml") {
        return Err("is an Excel workbook; save it as CSV".to_owned());
    }
    let index = choose(&names)?;
    let name = names.into_iter().find(|(at, _)| *at == index).map(|(_, name)| name);
    Ok((ZipEntry::open(archive, index)?, name.unwrap_or_default()))
}

/// Index and name of each entry that may be data. One that cannot be opened fails later, by name.
fn file_names(archive: &mut ZipArchive<BufReader<File>>) -> Vec<(usize, String)> {
    let named = (0..archive.len()).map(|index| {
        let entry = archive.by_index_raw(index).ok();
        (
            index,
            entry.map_or_else(String::new, |entry| String::from_utf8_lossy(entry.name_raw()).into_owned()),
        )
    });
    named.filter(|(_, name)| may_be_data(name)).collect()
}

fn may_be_data(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    !name.ends_with('/') && !name.starts_with("__MACOSX/") && !last.starts_with('.')
}

fn choose(names: &[(usize, String)]) -> Result<usize, String> {
    let tables: Vec<_> = names.iter().filter(|(_, name)| is_table(name)).collect();
    match (tables.as_slice(), names) {
        ([(index, _)], _) | ([], [(index, _)]) => Ok(*index),
        (_, []) => Err("the zip holds no files".to_owned()),
        _ => Err(format!("the zip holds more than one data file; unpack it and name one of {}", list(names))),
    }
}

fn is_table(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    ["csv", "tsv"].iter().any(|table| table.eq_ignore_ascii_case(ending))
}

fn list(names: &[(usize, String)]) -> String {
    let shown: Vec<String> = names.iter().take(ENTRIES_SHOWN).map(|(_, name)| format!("{name:?}")).collect();
    let rest = names.len() - shown.len();
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    shown.join(", ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<(usize, String)> {
        list.iter().map(|name| (*name).to_owned()).enumerate().filter(|(_, name)| may_be_data(name)).collect()
    }

    #[test]
    fn the_one_data_file_is_chosen() {
        let cases: [(&[&str], usize); 4] = [
            (&["a.txt", "a.csv"], 1),
            (&["folder/", "folder/a.CSV", "__MACOSX/folder/._a.csv", ".DS_Store"], 1),
            (&["a.txt"], 0),
            (&["folder/", "folder/a.prn"], 1),
        ];
        for (entries, expected) in cases {
            assert_eq!(choose(&names(entries)), Ok(expected), "{entries:?}");
        }
    }

    #[test]
    fn an_ambiguous_zip_lists_its_entries() {
        let why = choose(&names(&["a.csv", "b.csv", "c.txt"])).unwrap_err();
        assert!(why.contains("\"a.csv\", \"b.csv\", \"c.txt\""), "{why}");
        let many: Vec<String> = (0..12).map(|n| format!("{n}.csv")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(choose(&names(&many)).unwrap_err().ends_with("and 2 more"));
        assert!(choose(&names(&["folder/"])).unwrap_err().contains("no file"));
    }
}
