//! [`FakeServer`]: plays a [`Script`] to whoever connects. When it is at its end, every query is refused.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::script::{Script, Step, sent};
use crate::scratch::Scratch;

/// How often a client that still waits for an answer gets the next one.
const STALLS_MAX: usize = 3;
/// The messages after which it is the client's turn.
const LAST_OF_ANSWER: &[u8] = b"ZGR";

pub(super) struct FakeServer {
    scratch: Scratch,
    script: Arc<Mutex<Script>>,
}

impl FakeServer {
    /// Starts one that gives the next answer to a client that has been silent for as long as `patience`.
    pub(super) fn start(patience: Duration) -> Self {
        let scratch = Scratch::new();
        let listener = UnixListener::bind(scratch.path().join(".s.PGSQL.5432")).unwrap();
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = script.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let script = shared.clone();
                std::thread::spawn(move || Connection::new(stream, script, patience).serve());
            }
        });
        Self { scratch, script }
    }

    /// What it does from now on.
    pub(super) fn play(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    pub(super) fn url(&self) -> String {
        format!("postgres://u:p@/d?host={}&port=5432", self.scratch.path().display())
    }
}

struct Connection {
    stream: UnixStream,
    script: Arc<Mutex<Script>>,
    received: Vec<u8>,
    /// The first message of a client has no type.
    is_begun: bool,
}

impl Connection {
    fn new(stream: UnixStream, script: Arc<Mutex<Script>>, patience: Duration) -> Self {
        stream.set_read_timeout(Some(patience)).unwrap();
        Self { stream, script, received: Vec::new(), is_begun: false }
    }

    fn serve(mut self) {
        let mut stalls = 0;
        let mut buffer = [0; 4096];
        loop {
            let asked = match self.stream.read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => {
                    self.received.extend_from_slice(&buffer[..read]);
                    self.questions()
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && stalls < STALLS_MAX => {
                    stalls += 1;
                    1
                }
                Err(_) => return,
            };
            for _ in 0..asked {
                if self.answer().is_none() {
                    return;
                }
            }
        }
    }

    /// How often the client asked to be answered in what it sent.
    fn questions(&mut self) -> usize {
        let mut asked = 0;
        loop {
            let typed = usize::from(self.is_begun);
            let Some(length) = self.received.get(typed..typed + 4) else { return asked };
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
            if self.received.len() < typed + length {
                return asked;
            }
            let kind = self.received[0];
            self.received.drain(..typed + length);
            asked += usize::from(!self.is_begun || b"QSHp".contains(&kind));
            self.is_begun = true;
        }
    }

    /// Sends what comes before the client's next turn; none at the end of the connection.
    fn answer(&mut self) -> Option<()> {
        let (mut bytes, mut last) = (Vec::new(), None);
        let mut script = self.script.lock().unwrap();
        let end = loop {
            match script.next() {
                Some(Step::Send(message)) => {
                    last = message.first().copied();
                    bytes.extend(message);
                }
                Some(Step::Close) => break None,
                Some(Step::Wait) if last.is_some_and(|last| LAST_OF_ANSWER.contains(&last)) => break Some(()),
                Some(Step::Wait) => {}
                None if bytes.is_empty() => {
                    bytes.extend(sent(b'E', b"SERROR\0C42501\0Mthe script is at its end\0\0"));
                    bytes.extend(sent(b'Z', b"I"));
                    break Some(());
                }
                None => break Some(()),
            }
        };
        drop(script);
        self.stream.write_all(&bytes).ok()?;
        end
    }
}
