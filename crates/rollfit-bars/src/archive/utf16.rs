//! [`Utf16Text`]: UTF-16 read as UTF-8, as MetaTrader and spreadsheets on Windows write it.
//!
//! A mark at the beginning says the byte order. Without one, text whose first two characters are ASCII says it by where
//! their zero bytes are, because UTF-8 text holds no zero byte. What is not UTF-16 all through is an error with its line:
//! half a character, half of a surrogate pair, a NUL character.

use std::io::{self, BufRead, Read};

use super::encoding_fault::EncodingFault;

/// Bytes that are enough to recognise an encoding.
pub(super) const HEAD_BYTES: usize = 4;

/// How the bytes of a text make characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// UTF-8, or bytes that are no text.
    Utf8,
    Utf16 {
        little: bool,
    },
    Utf32,
}

impl Encoding {
    /// Recognises an encoding by the first bytes of a text.
    pub(super) fn from_head(head: &[u8]) -> Self {
        let is_ascii = |byte: u8| (b' '..0x7f).contains(&byte) || b"\t\r\n".contains(&byte);
        match *head {
            [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Self::Utf32,
            [0xff, 0xfe, ..] => Self::Utf16 { little: true },
            [0xfe, 0xff, ..] => Self::Utf16 { little: false },
            [first, 0, second, 0, ..] if is_ascii(first) && is_ascii(second) => Self::Utf16 { little: true },
            [0, first, 0, second, ..] if is_ascii(first) && is_ascii(second) => Self::Utf16 { little: false },
            _ => Self::Utf8,
        }
    }
}

/// UTF-16 as UTF-8, without its mark.
pub(super) struct Utf16Text<R> {
    inner: R,
    little: bool,
    /// The first byte of a unit whose second is still to come.
    half: Option<u8>,
    /// The first unit of a surrogate pair.
    high: Option<u16>,
    is_start: bool,
    line: u64,
    after_cr: bool,
    text: String,
    /// How much of `text` was consumed.
    taken: usize,
}

const MARK: char = '\u{feff}';

impl<R: BufRead> Utf16Text<R> {
    pub(super) fn new(inner: R, little: bool) -> Self {
        let (half, high, text) = (None, None, String::new());
        Self { inner, little, half, high, is_start: true, line: 1, after_cr: false, text, taken: 0 }
    }

    /// Decodes more text, unless the input ends.
    fn decode_more(&mut self) -> io::Result<()> {
        (self.taken, self.text) = (0, std::mem::take(&mut self.text));
        self.text.clear();
        while self.text.is_empty() {
            let chunk = self.inner.fill_buf()?.to_vec();
            if chunk.is_empty() {
                return self.check_end();
            }
            for byte in &chunk {
                match self.half.take() {
                    None => self.half = Some(*byte),
                    Some(first) if self.little => self.push(u16::from_le_bytes([first, *byte]))?,
                    Some(first) => self.push(u16::from_be_bytes([first, *byte]))?,
                }
            }
            self.inner.consume(chunk.len());
        }
        Ok(())
    }

    fn push(&mut self, unit: u16) -> io::Result<()> {
        let decoded = match self.high.take() {
            Some(high) => char::decode_utf16([high, unit]).next(),
            None if (0xd800..0xdc00).contains(&unit) => {
                self.high = Some(unit);
                return Ok(());
            }
            None => char::decode_utf16([unit]).next(),
        };
        match decoded {
            Some(Ok(MARK)) if self.is_start => {}
            Some(Ok('\0')) => return Err(self.fault("it holds a NUL character")),
            Some(Ok(character)) => self.push_char(character),
            _ => return Err(self.fault("it holds half of a surrogate pair")),
        }
        self.is_start = false;
        Ok(())
    }

    fn push_char(&mut self, character: char) {
        let is_rest_of_end = std::mem::replace(&mut self.after_cr, character == '\r') && character == '\n';
        self.line += u64::from(matches!(character, '\n' | '\r') && !is_rest_of_end);
        self.text.push(character);
    }

    fn check_end(&self) -> io::Result<()> {
        match (self.half, self.high) {
            (None, None) => Ok(()),
            _ => Err(self.fault("the file ends inside a character, so it may be cut off")),
        }
    }

    fn fault(&self, why: &'static str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, EncodingFault { line: self.line, why })
    }
}

impl<R: BufRead> Read for Utf16Text<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(out)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Utf16Text<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken == self.text.len() {
            self.decode_more()?;
        }
        Ok(&self.text.as_bytes()[self.taken..])
    }

    fn consume(&mut self, bytes: usize) {
        self.taken = (self.taken + bytes).min(self.text.len());
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn bytes(units: impl IntoIterator<Item = u16>, little: bool) -> Vec<u8> {
        let bytes = |unit: u16| if little { unit.to_le_bytes() } else { unit.to_be_bytes() };
        units.into_iter().flat_map(bytes).collect()
    }

    /// Decodes in pieces of `piece` bytes.
    fn decoded(bytes: &[u8], piece: usize) -> Result<String, String> {
        let Encoding::Utf16 { little } = Encoding::from_head(bytes) else { return Err("not UTF-16".into()) };
        let mut text = String::new();
        let mut reader = Utf16Text::new(BufReader::with_capacity(piece, bytes), little);
        reader.read_to_string(&mut text).map(|_| text).map_err(|error| error.to_string())
    }

    #[test]
    fn both_orders_with_a_mark_and_without_one() {
        let text = "a,é\r\n\u{1f600},1.5\u{feff}\n";
        for (mark, little) in [("", true), ("", false), ("\u{feff}", true), ("\u{feff}", false)] {
            let bytes = bytes(format!("{mark}{text}").encode_utf16(), little);
            for piece in [1, 2, 3, 5, 1024] {
                assert_eq!(decoded(&bytes, piece).as_deref(), Ok(text), "{mark:?} {little} {piece}");
            }
        }
    }

    #[test]
    fn what_is_not_utf16_all_through_names_its_line() {
        let head = || "ab\r\nc\rd\n".encode_utf16();
        let cases: [(&[u16], &str); 5] = [
            (&[0xd83d, 0x41], "surrogate"),
            (&[0xde00, 0x41], "surrogate"),
            (&[0xd83d, 0xd83d, 0xde00], "surrogate"),
            (&[0x41, 0, 0x41], "NUL"),
            (&[0x41, 0xd83d], "cut off"),
        ];
        for (units, why) in cases {
            let message = decoded(&bytes(head().chain(units.iter().copied()), true), 3).unwrap_err();
            assert!(message.contains("line 4") && message.contains(why), "{message}");
        }
        let odd = [bytes(head(), false), vec![0]].concat();
        assert!(decoded(&odd, 4).unwrap_err().contains("line 4"));
    }

    #[test]
    fn other_bytes_are_not_taken_for_utf16() {
        let texts: [&[u8]; 8] =
            [b"", b"a", b"a\0", b"ab\0\0", b"\0\0a\0", b"\x01\0\x02\0", b"\xef\xbb\xbfa", b"\x89PNG"];
        for bytes in texts {
            assert_eq!(Encoding::from_head(bytes), Encoding::Utf8, "{bytes:?}");
        }
        assert_eq!(Encoding::from_head(b"\xff\xfe\0\0a\0\0\0"), Encoding::Utf32);
    }
}
