//! Records the dialogues with a server that the target `server` starts from:
//! `cargo run -p rollfit-fuzz --example record_dialogues -- SOCKET`, with a server that trusts the role postgres and whose
//! database postgres is empty.

#![allow(clippy::unwrap_used)] // It has no user.

use std::path::Path;

fn main() {
    let socket = std::env::args_os().nth(1).unwrap();
    let dialogues = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialogues");
    rollfit_fuzz::record_dialogues(Path::new(&socket), &dialogues);
}
