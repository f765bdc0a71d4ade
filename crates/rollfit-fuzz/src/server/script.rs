//! [`Script`]: what a server sends, as bytes that a fuzzer can change: each message is its type, two bytes for the length
//! of its body, and the body. The length that is sent is the true one, so that a change of a body leaves a whole message;
//! bytes sent as they are make the other half. The types that no message has say when the server waits or hangs up.

use std::collections::VecDeque;

/// The server waits until the client has asked something more.
pub(crate) const WAIT: u8 = 0;
/// The body is sent as it is, without a type and a length.
pub(crate) const RAW: u8 = 1;
/// The server closes the connection.
const CLOSE: u8 = 2;

/// A part of what a server does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Wait,
    Close,
}

/// What a server does, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    steps: VecDeque<Step>,
}

impl Script {
    /// Reads any bytes.
    pub(crate) fn parse(mut bytes: &[u8]) -> Self {
        let mut steps = VecDeque::new();
        while let Some((kind, rest)) = bytes.split_first() {
            bytes = rest;
            match *kind {
                WAIT => steps.push_back(Step::Wait),
                CLOSE => steps.push_back(Step::Close),
                kind => {
                    let (length, rest) = rest.split_first_chunk::<2>().unwrap_or((&[0; 2], &[]));
                    let (body, rest) =
                        rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
                    steps.push_back(Step::Send(if kind == RAW { body.to_vec() } else { sent(kind, body) }));
                    bytes = rest;
                }
            }
        }
        Self { steps }
    }

    /// The next step.
    pub(crate) fn next(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }
}

/// A message as a server sends it.
pub(crate) fn sent(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[kind], &length[..], body].concat()
}

/// A message in a script.
pub(crate) fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_le_bytes();
    [&[kind], &length[..], body].concat()
}
