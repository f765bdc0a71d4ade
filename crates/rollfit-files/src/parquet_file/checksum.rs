//! [`Checksums`]: two CRC-32C in the footer of every Parquet file that rollfit writes; docs/format.md describes the format.
//!
//! The footer's metadata has the entry [`CHECKSUM_KEY`] of a fixed width. Its digits are filled in when all other bytes are
//! known, so that they depend on bytes alone and not on how a library encodes the footer.

use std::fmt;
use std::io;

use crc32c::crc32c_append;
use parquet::file::metadata::KeyValue;

/// The key of the checksums in the footer's metadata.
pub(crate) const CHECKSUM_KEY: &str = "rollfit.checksum";
/// What the footer of a file of rollfit's names as its writer.
pub const CREATED_BY: &str = "rollfit";

/// The bytes after the footer: its length and the magic number.
pub(crate) const TRAILER_BYTES: usize = 8;

const DIGITS: usize = 8;

/// What the footer says of the bytes of its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksums {
    /// The bytes before the footer.
    pub body_bytes: u64,
    /// The CRC-32C of those.
    pub body: u32,
    /// The CRC-32C of the footer, with its own eight digits read as zeros.
    pub footer: u32,
}

impl fmt::Display for Checksums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "body_bytes={:020} body={:08x} footer={:08x}", self.body_bytes, self.body, self.footer)
    }
}

impl Checksums {
    /// Reads what [`Checksums`] print; none for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(' ');
        let mut field = |name: &str, digits: usize| {
            let number = fields.next()?.strip_prefix(name)?.strip_prefix('=')?;
            let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            (number.len() == digits && number.bytes().all(is_digit)).then_some(number)
        };
        let checksums = Self {
            body_bytes: field("body_bytes", 20)?.parse().ok()?,
            body: u32::from_str_radix(field("body", DIGITS)?, 16).ok()?,
            footer: u32::from_str_radix(field("footer", DIGITS)?, 16).ok()?,
        };
        fields.next().is_none().then_some(checksums)
    }

    /// The entry of the footer's metadata that is filled in when the file is complete.
    pub fn to_fill_in() -> KeyValue {
        KeyValue::new(CHECKSUM_KEY.to_owned(), Self::default().to_string())
    }

    /// Whether the footer is unchanged.
    pub fn fit_footer(&self, footer: &[u8]) -> bool {
        let Some(digits) = find_last(footer, self.to_string().as_bytes()).map(footer_digits) else {
            return false;
        };
        let start = crc32c_append(0, &footer[..digits.start]);
        let zeros = crc32c_append(start, &[b'0'; DIGITS]);
        crc32c_append(zeros, &footer[digits.end..]) == self.footer
    }

    /// Fills in the checksums of a file in its `end`: the footer, and what follows it. The body before has `body_bytes` bytes with
    /// the CRC-32C `body`.
    ///
    /// # Errors
    /// When these are not the last bytes of a Parquet file, or the footer has no entry for the checksums.
    pub fn seal(body_bytes: u64, body: u32, end: &mut [u8]) -> io::Result<()> {
        let incomplete = || io::Error::other("the written bytes do not end like a Parquet file");
        let footer = end.len().checked_sub(TRAILER_BYTES).ok_or_else(incomplete)?;
        if footer_bytes(&end[footer..]) != Some(footer) {
            return Err(incomplete());
        }
        Self { body_bytes, body, footer: 0 }.fill_in(&mut end[..footer])
    }

    /// Replaces the entry that is to be filled in.
    fn fill_in(mut self, footer: &mut [u8]) -> io::Result<()> {
        let missing = || io::Error::other("the footer has no entry for its checksums");
        let at = find_last(footer, Self::default().to_string().as_bytes()).ok_or_else(missing)?;
        let text = self.to_string();
        footer[at..at + text.len()].copy_from_slice(text.as_bytes());
        self.footer = crc32c_append(0, footer);
        let digits = footer_digits(at);
        footer[digits].copy_from_slice(format!("{:08x}", self.footer).as_bytes());
        Ok(())
    }
}

/// The place of the footer's own checksum, where the entry is at `at`.
fn footer_digits(at: usize) -> std::ops::Range<usize> {
    let end = at + Checksums::default().to_string().len();
    end - DIGITS..end
}

/// Where `wanted` is found last.
pub(super) fn find_last(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    // Both ends first: nearly no other place has them, and comparing all of it there is slow.
    let ends = |bytes: &[u8]| Some((*bytes.first()?, *bytes.last()?));
    let wanted_ends = ends(wanted);
    bytes.windows(wanted.len()).rposition(|window| ends(window) == wanted_ends && window == wanted)
}

/// The length of the footer, from the bytes after it.
pub(super) fn footer_bytes(trailer: &[u8]) -> Option<usize> {
    let length = trailer.get(..4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(length)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The end of a file: `before`, the entry of the checksums and `after` as its footer.
    fn sealed(body: &[u8], before: &[u8], after: &[u8]) -> Vec<u8> {
        let footer = [before, Checksums::default().to_string().as_bytes(), after].concat();
        let mut end = [&footer, &(footer.len() as u32).to_le_bytes()[..], b"PAR1"].concat();
        Checksums::seal(body.len() as u64, crc32c::crc32c(body), &mut end).unwrap();
        end
    }

    #[test]
    fn the_checksums_are_those_of_the_standard_and_cover_body_and_footer() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        let end = sealed(b"rowsindex", b"schema", b"writer");
        let footer = &end[..end.len() - TRAILER_BYTES];
        let text = std::str::from_utf8(&footer[6..footer.len() - 6]).unwrap();
        let checksums = Checksums::parse(text).unwrap();
        assert_eq!((checksums.body_bytes, checksums.body), (9, crc32c::crc32c(b"rowsindex")));
        assert!(checksums.fit_footer(footer));
        for bit in 0..footer.len() * 8 {
            let mut damaged = footer.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!checksums.fit_footer(&damaged), "{bit}");
        }
    }

    #[test]
    fn what_is_no_end_of_a_file_or_has_no_place_for_checksums_is_not_sealed() {
        let whole = sealed(b"rows", b"schema", b"writer");
        for mut end in [whole[..7].to_vec(), whole[1..].to_vec(), [&[0], &whole[..]].concat(), whole.clone()]
        {
            assert!(Checksums::seal(4, 0, &mut end).is_err());
        }
    }

    #[test]
    fn only_what_checksums_print_is_read_as_checksums() {
        let checksums = Checksums { body_bytes: 77, body: 0xabc, footer: 0xdef };
        let text = checksums.to_string();
        assert_eq!(Checksums::parse(&text), Some(checksums));
        let others = [text.to_uppercase(), text.replace('=', ":"), format!("{text} "), text[1..].to_owned()];
        assert!(others.iter().all(|other| Checksums::parse(other).is_none()));
        assert_eq!(Checksums::parse("body_bytes=+7 body=1 footer=2"), None);
        for (at, byte) in (0..text.len()).flat_map(|at| b"0+-_ aAgz=".map(|byte| (at, byte))) {
            let mut other = text.clone().into_bytes();
            other[at] = byte;
            let other = String::from_utf8(other).unwrap();
            assert!(Checksums::parse(&other).is_none_or(|parsed| parsed.to_string() == other), "{other}");
        }
        // More than a number holds.
        assert_eq!(Checksums::parse(&text.replacen('0', "9", 20)), None);
    }

    #[test]
    fn the_last_of_several_places_is_found_and_what_only_begins_and_ends_alike_is_none() {
        for (bytes, place) in [
            (&b"abcb abcb"[..], Some(5)),
            (b"abcb abdb", Some(0)),
            (b"abdb axxb", None),
            (b"abcbabcb", Some(4)),
            (b"abc", None),
            (b"", None),
        ] {
            assert_eq!(find_last(bytes, b"abcb"), place);
        }
    }
}
