//! What a server sends to the client, whatever the client wants of it.
//!
//! The first byte of an input says what is done with the store; the rest is the server's side of the dialogue, see
//! [`script`].

mod fake;
pub(crate) mod recorder;
mod script;
mod work;

use std::cell::OnceCell;

use rollfit_job::error_chain;
use rollfit_job::patience::wait_for_no_store;

use self::fake::FakeServer;
use self::script::{Script, framed};
use self::work::{WORKS, Work};
use crate::Seed;

pub(crate) fn hold(bytes: &[u8]) {
    thread_local!(static SERVER: OnceCell<FakeServer> = const { OnceCell::new() });
    let Some((work, rest)) = bytes.split_first() else { return };
    SERVER.with(|server| {
        wait_for_no_store();
        let server = server.get_or_init(FakeServer::start);
        server.play(Script::parse(rest));
        if let Err(error) = Work::from_byte(*work).run(&server.url()) {
            assert!(!error_chain(&error).is_empty());
        }
    });
}

/// Dialogues as a server of version 15 led them, see [`recorder`]: a name, its work, the server's messages.
const RECORDED: [(&str, u8, &[u8]); WORKS as usize] = [
    ("read", 0, include_bytes!("../../dialogues/read")),
    ("diagnose", 1, include_bytes!("../../dialogues/diagnose")),
    ("write", 2, include_bytes!("../../dialogues/write")),
    ("import", 3, include_bytes!("../../dialogues/import")),
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
