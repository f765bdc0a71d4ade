//! Records what a real server says to each work, as seeds: `cargo run -p rollfit-fuzz --example record_dialogues`.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::script::{WAIT, framed};
use super::work::Work;
use crate::scratch::Scratch;

/// Does each work with the server behind `socket`, whose schema is empty, and writes what it said into `dir`. The store is
/// filled on the way: first comes the import, then a partition.
///
/// # Panics
/// If the server does not do what is asked.
pub fn record_dialogues(socket: &Path, dir: &Path) {
    for name in ["import", "write", "diagnose", "read", "watch"] {
        let (_, work) = Work::ALL.into_iter().find(|(known, _)| *known == name).unwrap();
        let proxy = Proxy::start(socket);
        work.run(&proxy.url()).unwrap_or_else(|error| panic!("{name}: {error}"));
        std::fs::write(dir.join(name), proxy.messages.lock().unwrap().as_slice()).unwrap();
    }
}

struct Proxy {
    scratch: Scratch,
    messages: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    fn start(socket: &Path) -> Self {
        let scratch = Scratch::new();
        let listener = UnixListener::bind(scratch.path().join(".s.PGSQL.5432")).unwrap();
        let messages = Arc::new(Mutex::new(Vec::new()));
        let (socket, shared) = (socket.to_owned(), messages.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = UnixStream::connect(&socket).unwrap();
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || {
                    drop(std::io::copy(&mut from, &mut to));
                    drop(to.shutdown(std::net::Shutdown::Write));
                });
                let messages = shared.clone();
                std::thread::spawn(move || pass_on(server, client, &messages));
            }
        });
        Self { scratch, messages }
    }

    fn url(&self) -> String {
        format!("postgres://postgres:p@/postgres?host={}&port=5432", self.scratch.path().display())
    }
}

/// Passes on and keeps each message of the server.
fn pass_on(mut server: UnixStream, mut client: UnixStream, messages: &Mutex<Vec<u8>>) -> Option<()> {
    loop {
        let mut head = [0; 5];
        server.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        server.read_exact(&mut body).ok()?;
        let mut kept = messages.lock().unwrap();
        kept.extend(framed(head[0], &body));
        // Here it is the client's turn.
        if b"ZG".contains(&head[0]) {
            kept.push(WAIT);
        }
        drop(kept);
        client.write_all(&head).ok()?;
        client.write_all(&body).ok()?;
    }
}
