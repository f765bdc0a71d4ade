//! What a server sends to the client, whatever the client wants of it.
//!
//! The first byte of an input says what is done with the store; the rest is the server's side of the dialogue, see
//! [`script`].

mod fake;
pub(crate) mod recorder;
mod script;
mod work;

use std::cell::OnceCell;
use std::time::Duration;

use rollfit_job::error_chain;
use rollfit_job::patience::wait_for_no_store;

use self::fake::FakeServer;
use self::script::{Script, framed};
use self::work::Work;
use crate::Seed;

/// After which a client waits for what the script does not have; a busy one is taken for such, which harms nothing here.
const PATIENCE: Duration = Duration::from_millis(15);

pub(crate) fn hold(bytes: &[u8]) {
    thread_local!(static SERVER: OnceCell<FakeServer> = const { OnceCell::new() });
    let Some((work, rest)) = bytes.split_first() else { return };
    SERVER.with(|server| {
        wait_for_no_store();
        let server = server.get_or_init(|| FakeServer::start(PATIENCE));
        server.play(Script::parse(rest));
        if let Err(error) = Work::from_byte(*work).run(&server.url()) {
            assert!(!error_chain(&error).is_empty());
        }
    });
}

/// Dialogues as a server of version 15 led them, see [`recorder`]: a name, its work, the server's messages. Where the work asks
/// something else today, the fuzzer starts from the part before that.
const RECORDED: [(&str, u8, &[u8]); 5] = [
    ("read", 0, include_bytes!("../../dialogues/read")),
    ("diagnose", 1, include_bytes!("../../dialogues/diagnose")),
    ("write", 2, include_bytes!("../../dialogues/write")),
    ("import", 3, include_bytes!("../../dialogues/import")),
    ("watch", 4, include_bytes!("../../dialogues/watch")),
];

pub(crate) fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, work, messages) in RECORDED {
        seeds.push((name.to_owned(), [&[work], messages].concat()));
    }
    let authentication = |code: u32, more: &[u8]| framed(b'R', &[&code.to_be_bytes(), more].concat());
    let refusal = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0";
    for (name, message) in [
        ("cleartext", authentication(3, b"")),
        ("md5", authentication(5, b"salt")),
        ("gss", authentication(7, b"")),
        ("sasl", authentication(10, b"SCRAM-SHA-256\0SCRAM-SHA-256-PLUS\0\0")),
        ("sasl_continue", authentication(11, b"r=nonce,s=c2FsdA==,i=4096")),
        ("refused", framed(b'E', refusal)),
        ("negotiate", framed(b'v', &[0, 3, 0, 0, 0, 0, 0, 1, b'x', 0])),
    ] {
        let accepted = [framed(b'R', &[0; 4]), framed(b'Z', b"I")].concat();
        let wait = &[script::WAIT];
        seeds.push((name.to_owned(), [&[0], &message[..], wait, &accepted, wait].concat()));
    }
    seeds
}

#[cfg(test)]
mod tests {
    use rollfit_job::store::StoreError;

    use super::script::Step;
    use super::*;

    fn play(work: u8, script: Script) -> Result<(), StoreError> {
        wait_for_no_store();
        let server = FakeServer::start(Duration::from_secs(2));
        server.play(script);
        Work::from_byte(work).run(&server.url())
    }

    /// A dialogue with other bodies of the messages of a kind.
    fn with_bodies(messages: &[u8], kind: u8, change: impl Fn(&mut Vec<u8>)) -> Script {
        let mut script = Script::parse(messages);
        let mut changed = Vec::new();
        while let Some(step) = script.next() {
            match step {
                Step::Wait => changed.push(script::WAIT),
                Step::Send(message) => {
                    let mut body = message[5..].to_vec();
                    if message[0] == kind {
                        change(&mut body);
                    }
                    changed.extend(framed(message[0], &body));
                }
                Step::Close => unreachable!(),
            }
        }
        Script::parse(&changed)
    }

    /// Makes every column of a description one of this type.
    fn retype(body: &mut [u8], oid: u32) {
        let mut at = 2;
        while at < body.len() {
            at += body[at..].iter().position(|byte| *byte == 0).unwrap() + 1;
            body[at + 6..at + 10].copy_from_slice(&oid.to_be_bytes());
            at += 18;
        }
    }

    /// Makes every value of a row NULL.
    fn without_values(body: &mut Vec<u8>) {
        let columns = usize::from(u16::from_be_bytes([body[0], body[1]]));
        body.truncate(2);
        body.extend([0xff; 4].repeat(columns));
    }

    #[test]
    fn a_value_of_another_type_is_an_error() {
        const BOOL: u32 = 16;
        const INT4: u32 = 23;
        const FLOAT8: u32 = 701;
        const TEXT: u32 = 25;
        for (name, work, messages) in RECORDED {
            for oid in [BOOL, INT4, FLOAT8, TEXT] {
                let error = play(work, with_bodies(messages, b'T', |body| retype(body, oid))).unwrap_err();
                assert!(error_chain(&error).contains("another form"), "{name}: {}", error_chain(&error));
            }
        }
        for (name, work, messages) in RECORDED.into_iter().take(2) {
            let error = play(work, with_bodies(messages, b'D', without_values)).unwrap_err();
            assert!(error_chain(&error).contains("another form"), "{name}: {}", error_chain(&error));
        }
    }
}
