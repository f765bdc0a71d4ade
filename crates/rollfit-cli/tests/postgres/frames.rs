//! The messages of PostgreSQL's protocol, as far as the proxy must tell them apart: where each ends, and which statement
//! a message has the server run.

use std::collections::HashMap;
use std::io::{BufReader, Read};

const SSL_REQUEST: u32 = 80_877_103;
const GSS_ENCRYPTION_REQUEST: u32 = 80_877_104;

/// One message with its tag and length.
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    is_tagged: bool,
}

impl Frame {
    /// The letter that says what it is; a connection's first messages have none.
    pub(crate) fn tag(&self) -> Option<u8> {
        self.is_tagged.then(|| self.bytes[0])
    }

    /// Whether it is a client's wish for encryption, which comes before all else.
    pub(crate) fn asks_for_encryption(&self) -> bool {
        !self.is_tagged && [SSL_REQUEST, GSS_ENCRYPTION_REQUEST].contains(&big_endian(&self.bytes[4..8]))
    }

    /// Whether the server may answer it at once: the start of a session, a query, its execution, the end of rows or of a group of messages.
    pub(crate) fn may_be_answered(&self) -> bool {
        matches!(self.tag(), None | Some(b'Q' | b'E' | b'S' | b'c'))
    }

    /// Whether a statement has ended with it, well or not.
    pub(crate) fn ends_a_statement(&self) -> bool {
        matches!(self.tag(), Some(b'C' | b'E'))
    }

    /// What the server says of a statement that has ended well, such as `DELETE 3`.
    pub(crate) fn statement_tag(&self) -> Option<String> {
        (self.tag() == Some(b'C')).then(|| self.strings().next().unwrap_or_default())
    }

    /// The strings that a tagged message begins with.
    fn strings(&self) -> impl Iterator<Item = String> {
        self.bytes[5..].split(|byte| *byte == 0).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    fn two_strings(&self) -> (String, String) {
        let mut strings = self.strings();
        (strings.next().unwrap_or_default(), strings.next().unwrap_or_default())
    }
}

/// The messages that come from one side.
pub(crate) struct Frames<R> {
    reader: BufReader<R>,
    is_tagged: bool,
}

impl<R: Read> Frames<R> {
    pub(crate) fn of_client(reader: R) -> Self {
        Self { reader: BufReader::new(reader), is_tagged: false }
    }

    pub(crate) fn of_server(reader: R) -> Self {
        Self { reader: BufReader::new(reader), is_tagged: true }
    }

    fn read(&mut self) -> std::io::Result<Frame> {
        let header_bytes = if self.is_tagged { 5 } else { 4 };
        let mut bytes = vec![0; header_bytes];
        self.reader.read_exact(&mut bytes)?;
        // The length counts itself, not the tag.
        let body_bytes = big_endian(&bytes[header_bytes - 4..]) as usize - 4;
        bytes.resize(header_bytes + body_bytes, 0);
        self.reader.read_exact(&mut bytes[header_bytes..])?;
        Ok(Frame { bytes, is_tagged: self.is_tagged })
    }
}

impl<R: Read> Iterator for Frames<R> {
    type Item = Frame;

    /// Ends with the connection.
    fn next(&mut self) -> Option<Frame> {
        let frame = self.read().ok()?;
        self.is_tagged = !frame.asks_for_encryption();
        Some(frame)
    }
}

fn big_endian(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().unwrap())
}

/// A session's prepared statements and portals.
#[derive(Default)]
pub(crate) struct Statements {
    prepared: HashMap<String, String>,
    portals: HashMap<String, String>,
}

impl Statements {
    /// The statement that a client's message has the server run, if it has it run one.
    pub(crate) fn run_by(&mut self, frame: &Frame) -> Option<String> {
        match frame.tag()? {
            b'Q' => return frame.strings().next(),
            b'E' => return self.portals.get(&frame.strings().next()?).cloned(),
            b'P' => self.prepare(frame.two_strings()),
            b'B' => self.bind(frame.two_strings()),
            _ => {}
        }
        None
    }

    fn prepare(&mut self, (name, text): (String, String)) {
        self.prepared.insert(name, text);
    }

    fn bind(&mut self, (portal, name): (String, String)) {
        if let Some(text) = self.prepared.get(&name) {
            self.portals.insert(portal, text.clone());
        }
    }
}
