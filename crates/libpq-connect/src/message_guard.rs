//! [`MessageGuard`]: looks at the type and length of each message of a server before the client library sees it.
//!
//! Invariants: until the login is complete, only requests of at most 2,000 bytes and errors of at most 30,000 come, as with libpq. While
//! the session starts, the number of messages and their bytes are bounded. Later a message has at most 64 MB, and an answer a bounded
//! number of messages that are no rows, such as notices. What the client library keeps for the whole session, the server's parameters,
//! is bounded.

use std::collections::HashSet;

use crate::login::Login;
use crate::wait_point::WaitPoint;
use crate::wire_fault::WireFault;

/// The type and the length, which counts itself.
const HEADER_BYTES: usize = 5;
const LENGTH_BYTES: usize = 4;

/// The longest authentication request, and the longest error before the login is complete, as in libpq.
const REQUEST_BYTES_MAX: usize = 2_000;
const LOGIN_ERROR_BYTES_MAX: usize = 30_000;
/// All messages before the login is complete. A login by SCRAM needs 4.
const LOGIN_MESSAGES_MAX: u32 = 8;
/// All messages while a session starts. A server sends about 20 and the notices of its login triggers.
const START_MESSAGES_MAX: u32 = 1_000;
const START_BYTES_MAX: usize = 1 << 20;
/// All messages but rows until a session is ready for the next query. A trigger may raise a notice for each row of a COPY, and a year of
/// minutes has half a million.
const ANSWER_MESSAGES_MAX: u32 = 1_000_000;
/// The longest message of a session.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// The longest error, notice or notification.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// The longest parameter of the server, and how many there may be: all are kept.
const PARAMETER_BYTES_MAX: usize = 8 << 10;
const PARAMETERS_MAX: usize = 256;

/// The types of messages that can come in a session: all but those of the login, of replication and of function calls.
const SESSION_TYPES: &[u8] = b"123ACDEGHINSTZcdnst";

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Login,
    Start,
    Session,
}

/// What is known of the messages of one connection.
#[derive(Debug)]
pub(crate) struct MessageGuard {
    login: Login,
    wait_point: WaitPoint,
    phase: Phase,
    /// The messages of this phase and their bytes; of a session, those of this answer that are no rows.
    messages: u32,
    bytes: usize,
    header: Vec<u8>,
    body_bytes_left: usize,
    /// The body of a message that is looked into.
    body: Vec<u8>,
    parameters: HashSet<Vec<u8>>,
    /// The bytes of the rows since the last statement ended, and how many there may be.
    row_bytes: u64,
    row_bytes_max: Option<u64>,
}

impl MessageGuard {
    /// Returns a guard for a connection on which the server is to answer the login.
    pub(crate) fn new(login: Login, wait_point: WaitPoint, row_bytes_max: Option<u64>) -> Self {
        wait_point.set("the answer to the login");
        Self {
            login,
            wait_point,
            phase: Phase::Login,
            messages: 0,
            bytes: 0,
            header: Vec::with_capacity(HEADER_BYTES),
            body_bytes_left: 0,
            body: Vec::new(),
            parameters: HashSet::new(),
            row_bytes: 0,
            row_bytes_max,
        }
    }

    /// Looks at the next bytes of the server.
    ///
    /// # Errors
    /// When nothing of them may reach the client library.
    pub(crate) fn inspect(&mut self, mut bytes: &[u8]) -> Result<(), WireFault> {
        while !bytes.is_empty() {
            if self.header.len() < HEADER_BYTES {
                let (next, rest) = bytes.split_at(bytes.len().min(HEADER_BYTES - self.header.len()));
                self.header.extend_from_slice(next);
                bytes = rest;
                if self.header.len() == HEADER_BYTES {
                    self.begin_message()?;
                }
            } else {
                let (next, rest) = bytes.split_at(bytes.len().min(self.body_bytes_left));
                if self.is_looked_into() {
                    self.body.extend_from_slice(next);
                }
                self.body_bytes_left -= next.len();
                bytes = rest;
            }
            if self.header.len() == HEADER_BYTES && self.body_bytes_left == 0 {
                self.end_message()?;
            }
        }
        Ok(())
    }

    fn tag(&self) -> u8 {
        self.header.first().copied().unwrap_or_default()
    }

    fn is_looked_into(&self) -> bool {
        matches!(self.tag(), b'R' | b'S')
    }

    fn begin_message(&mut self) -> Result<(), WireFault> {
        let tag = self.tag();
        let length = self.header.last_chunk().map_or(0, |length| u32::from_be_bytes(*length)) as usize;
        if !self.types().contains(&tag) {
            return Err(self.unexpected(tag));
        }
        let least = if tag == b'R' { 2 * LENGTH_BYTES } else { LENGTH_BYTES };
        let most = self.bytes_max(tag);
        // A server that cannot start a process for the session sends `E` and a text at once, without a length.
        if self.phase == Phase::Login && tag == b'E' && length > most {
            return Err(WireFault::NoSession);
        }
        if !(least..=most).contains(&length) {
            return Err(WireFault::Protocol(format!(
                "sent a message of type {} with the length {length}, which can be {least} to {most} {}",
                printable(tag),
                self.when()
            )));
        }
        self.body_bytes_left = length - LENGTH_BYTES;
        self.count(tag, length)
    }

    /// The types of messages that can come now.
    fn types(&self) -> &'static [u8] {
        match self.phase {
            Phase::Login => b"RE",
            Phase::Start => b"EKNSZ",
            Phase::Session => SESSION_TYPES,
        }
    }

    fn bytes_max(&self, tag: u8) -> usize {
        match (self.phase, tag) {
            (Phase::Login, b'E') => LOGIN_ERROR_BYTES_MAX,
            (Phase::Login, _) => REQUEST_BYTES_MAX,
            (_, b'S') => PARAMETER_BYTES_MAX,
            (Phase::Start, _) | (_, b'E' | b'N' | b'A') => TEXT_BYTES_MAX,
            (Phase::Session, _) => MESSAGE_BYTES_MAX,
        }
    }

    fn count(&mut self, tag: u8, length: usize) -> Result<(), WireFault> {
        let is_row = matches!(tag, b'D' | b'd');
        if !is_row {
            self.messages = self.messages.saturating_add(1);
            self.bytes = self.bytes.saturating_add(length);
        }
        let is_too_much = match self.phase {
            Phase::Login => self.messages > LOGIN_MESSAGES_MAX,
            Phase::Start => self.messages > START_MESSAGES_MAX || self.bytes > START_BYTES_MAX,
            Phase::Session => self.messages > ANSWER_MESSAGES_MAX,
        };
        if is_too_much {
            return Err(WireFault::Protocol(format!(
                "sent {} messages of {} bytes {}, more than any server does",
                self.messages,
                self.bytes,
                self.when()
            )));
        }
        if tag == b'D' {
            self.row_bytes += length as u64;
            if let Some(most) = self.row_bytes_max.filter(|most| self.row_bytes > *most) {
                return Err(WireFault::Protocol(format!("answers a query with more than {most} bytes")));
            }
        }
        Ok(())
    }

    fn end_message(&mut self) -> Result<(), WireFault> {
        match self.tag() {
            b'R' if self.login.check(&self.body)? => self.enter(Phase::Start, "the start of the session"),
            b'S' => self.add_parameter()?,
            b'Z' => {
                (self.messages, self.bytes, self.row_bytes) = (0, 0, 0);
                self.enter(Phase::Session, "an answer");
            }
            _ => {}
        }
        self.header.clear();
        self.body.clear();
        Ok(())
    }

    fn enter(&mut self, phase: Phase, waited_for: &'static str) {
        if self.phase != phase {
            (self.phase, self.messages, self.bytes) = (phase, 0, 0);
            self.wait_point.set(waited_for);
        }
    }

    fn add_parameter(&mut self) -> Result<(), WireFault> {
        let name = self.body.split(|byte| *byte == 0).next().unwrap_or_default();
        if !self.parameters.contains(name) {
            self.parameters.insert(name.to_owned());
        }
        match self.parameters.len() > PARAMETERS_MAX {
            true => Err(WireFault::Protocol(format!("reports more than {PARAMETERS_MAX} parameters"))),
            false => Ok(()),
        }
    }

    fn unexpected(&self, tag: u8) -> WireFault {
        WireFault::Protocol(format!(
            "sent a message of type {}, which cannot come {}",
            printable(tag),
            self.when()
        ))
    }

    fn when(&self) -> &'static str {
        match self.phase {
            Phase::Login => "before the login is complete",
            Phase::Start => "while a session starts",
            Phase::Session => "in a session",
        }
    }
}

fn printable(tag: u8) -> String {
    match tag.is_ascii_graphic() {
        true => format!("`{}`", char::from(tag)),
        false => format!("0x{tag:02x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clear_text::ClearText;
    use crate::require_auth::RequireAuth;
    use crate::scripted_server::{message, notice, parameter, ready, request, session_start};

    /// How a session continues once it has begun.
    fn session() -> MessageGuard {
        let login = Login::new(RequireAuth::any(), ClearText::Accepted);
        let mut guard = MessageGuard::new(login, WaitPoint::new("the connection"), None);
        guard.inspect(&[request(0, b""), session_start()].concat()).unwrap();
        guard
    }

    #[test]
    fn notices_of_an_answer_are_counted_and_rows_are_not() {
        let half = ANSWER_MESSAGES_MAX as usize / 2;
        let mut guard = session();
        // One for each row of a COPY, and again for the next.
        for _ in 0..3 {
            guard.inspect(&notice("row").repeat(half + 1)).unwrap();
            guard.inspect(&message(b'D', b"\0\0").repeat(2 * half)).unwrap();
            guard.inspect(&message(b'd', b"x").repeat(2 * half)).unwrap();
            guard.inspect(&[message(b'C', b"COPY\0"), ready()].concat()).unwrap();
        }
        for kind in [notice("flood"), parameter("TimeZone", "UTC"), message(b'A', b"\0\0\0\x01c\0\0")] {
            let mut guard = session();
            guard.inspect(&kind.repeat(2 * half)).unwrap();
            let fault = guard.inspect(&kind).unwrap_err();
            let text = format!("{fault:?}");
            assert!(text.contains("sent 1000001 messages") && text.contains("in a session"), "{text}");
        }
    }
}
