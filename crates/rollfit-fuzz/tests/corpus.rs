//! Every fuzz target holds for its seeds, for changes of them, and for what a fuzzer found once.

use rollfit_fuzz::Target;

/// Runs a target over all that it starts from, and over some changes of it.
fn holds(name: &str, changes: usize) {
    let target = Target::named(name);
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty());
    for (_, bytes) in seeds.iter().chain(&target.found()) {
        (target.hold)(bytes);
    }
    let mut random = fastrand::Rng::with_seed(20_181_104);
    for round in 0..changes {
        let mut bytes = seeds[round % seeds.len()].1.clone();
        change(&mut bytes, &mut random);
        (target.hold)(&bytes);
    }
}

/// Changes a few bytes: noise, repetition, loss, and the ends of what a number can be.
fn change(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(1..5) {
        let at = random.usize(0..bytes.len().max(1)).min(bytes.len());
        match random.u8(0..6) {
            0 => bytes.insert(at, random.u8(..)),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
            3 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.usize(0..5)],
            4 => bytes.truncate(at.max(1)),
            _ => {
                let part = bytes[at..(at + random.usize(0..16)).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
}

#[test]
fn text_files() {
    holds("text", 600);
}

#[test]
fn packed_files() {
    holds("packed", 600);
}

#[test]
fn parquet_files() {
    holds("parquet_import", 600);
}

#[test]
fn source_tables() {
    holds("sources", 400);
}

#[test]
fn features_and_receipts() {
    holds("features", 60);
}

#[test]
fn run_records() {
    holds("records", 300);
}

#[test]
fn messages_of_a_server() {
    holds("server", 60);
}

#[test]
fn configurations() {
    holds("config", 300);
}

#[test]
fn connection_settings() {
    holds("settings", 200);
}
