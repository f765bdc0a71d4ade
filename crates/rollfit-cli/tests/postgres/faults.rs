//! What can happen to a connection through the proxy, and the moments at which it does.

use crate::frames::Frame;

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Both sides see it closed; the server after it has done what it was sent.
    Cut,
    /// The client sees it reset, the server as above.
    Reset,
    /// It stays open and nothing passes, until the proxy is told to let all pass.
    Stall,
}

/// Which statements to wait for.
pub(crate) type Wanted = fn(&str) -> bool;

/// When a fault strikes a connection.
#[derive(Clone, Copy)]
pub(crate) enum When {
    /// So many bytes from now on have gone to the server, on whatever connections.
    ToServer(usize),
    /// So many bytes from now on have gone to clients.
    ToClient(usize),
    /// A statement has come from the client, and the server has not seen it.
    Comes(Wanted),
    /// The server has been sent a statement, which it is yet to run, and no reply passes.
    Sent(Wanted),
    /// The server has run a statement, and its answer does not pass.
    Answered(Wanted),
}

/// Whether a statement is COMMIT.
pub(crate) fn is_commit(statement: &str) -> bool {
    statement.trim().trim_end_matches(';').eq_ignore_ascii_case("commit")
}

/// Where in a message a fault strikes: after so many of its bytes.
pub(crate) struct Strike {
    pub(crate) after_bytes: usize,
    pub(crate) fault: Fault,
}

/// A fault that waits for its moment. It strikes once.
pub(crate) struct Trap {
    when: When,
    fault: Fault,
    /// The connection whose next answer is the moment.
    answer_of: Option<u64>,
    is_sprung: bool,
}

impl Trap {
    pub(crate) fn new(when: When, fault: Fault) -> Self {
        Self { when, fault, answer_of: None, is_sprung: false }
    }

    /// Whether, and where, it strikes a client's message, which may have the server run a statement.
    pub(crate) fn on_message(&mut self, id: u64, frame: &Frame, statement: Option<&str>) -> Option<Strike> {
        let bytes = frame.bytes.len();
        let is = |wanted: &Wanted| statement.is_some_and(wanted);
        let after_bytes = match &mut self.when {
            When::ToServer(left) => spend(left, bytes),
            When::Comes(wanted) if is(wanted) => Some(0),
            When::Sent(wanted) if is(wanted) => Some(bytes),
            When::Answered(wanted) if is(wanted) => {
                self.answer_of = self.answer_of.or(Some(id));
                None
            }
            _ => None,
        };
        self.spring(after_bytes?)
    }

    /// Whether, and where, it strikes a server's message.
    pub(crate) fn on_reply(&mut self, id: u64, frame: &Frame) -> Option<Strike> {
        let after_bytes = match &mut self.when {
            When::ToClient(left) => spend(left, frame.bytes.len()),
            _ => (self.answer_of == Some(id) && frame.ends_a_statement()).then_some(0),
        };
        self.spring(after_bytes?)
    }

    fn spring(&mut self, after_bytes: usize) -> Option<Strike> {
        let strikes = !std::mem::replace(&mut self.is_sprung, true);
        strikes.then_some(Strike { after_bytes, fault: self.fault })
    }
}

/// Takes `bytes` from what is left, or says for how many of them there was enough left.
fn spend(left: &mut usize, bytes: usize) -> Option<usize> {
    let after_bytes = *left;
    *left = left.saturating_sub(bytes);
    (after_bytes < bytes).then_some(after_bytes)
}
