//! Writes the seeds of every fuzz target, and the inputs that were found once, into the corpus of `cargo fuzz`:
//! `cargo run -p rollfit-fuzz --example seeds -- fuzz/corpus`.

#![allow(clippy::unwrap_used)] // It has no user.

use std::fs;
use std::path::Path;

use rollfit_fuzz::Target;

fn main() {
    let corpus = std::env::args_os().nth(1).unwrap();
    for target in Target::ALL {
        let dir = Path::new(&corpus).join(target.name);
        fs::create_dir_all(&dir).unwrap();
        for (name, bytes) in (target.seeds)().into_iter().chain(target.found()) {
            fs::write(dir.join(name), bytes).unwrap();
        }
    }
}
