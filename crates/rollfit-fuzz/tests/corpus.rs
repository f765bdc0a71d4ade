//! Every fuzz target holds for its seeds, for changes of them, and for what a fuzzer found once: without a panic of ours, caught or
//! not, and within the memory that a search allows. A program of its own, because the allocator that counts serves all of it.

use std::panic::{set_hook, take_hook};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use allocation_counter::measure;
use rollfit_fuzz::Target;

/// The most memory in bytes that an input may take, as in a search.
const BYTES_MAX: u64 = 256 << 20;

/// Whether code of ours has panicked. Readers of others may where rollfit catches it.
static HAS_PANICKED: AtomicBool = AtomicBool::new(false);

/// Whether a file is code of ours. The targets' own checks are not.
fn is_ours(file: &str) -> bool {
    file.contains("crates/") && !file.contains(".cargo") && !file.contains("rollfit-fuzz")
}

fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = take_hook();
        set_hook(Box::new(move |panic| {
            if panic.location().is_some_and(|location| is_ours(location.file())) {
                HAS_PANICKED.store(true, Ordering::Relaxed);
            }
            tell(panic);
        }));
    });
}

/// Runs a target over an input.
fn hold(target: &Target, name: &str, bytes: &[u8]) {
    let allocated = measure(|| (target.hold)(bytes));
    assert!(allocated.bytes_max <= BYTES_MAX, "{name}: {} bytes at once", allocated.bytes_max);
    assert!(!HAS_PANICKED.load(Ordering::Relaxed), "{name}: code of ours has panicked");
}

/// Runs a target over all that it starts from, and over some changes of it.
fn holds(name: &str, changes: usize) {
    watch_panics();
    let target = Target::named(name);
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty());
    for (seed, bytes) in seeds.iter().chain(&target.found()) {
        hold(&target, seed, bytes);
    }
    let mut random = fastrand::Rng::with_seed(20_181_104);
    for round in 0..changes {
        let (seed, mut bytes) = seeds[round % seeds.len()].clone();
        change(&mut bytes, &mut random);
        hold(&target, &seed, &bytes);
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
fn long_tables() {
    holds("long_tables", 200);
}

#[test]
fn lists_of_imports() {
    holds("import_list", 200);
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
