//! Long tables of a Parquet store: files whose rows say their key, and directories whose names do.

use std::fs;

use rollfit_job::config::JobConfig;
use rollfit_job::error_chain;
use rollfit_job::key::check_key;
use rollfit_job::store::{Source, StoreError};
use rollfit_parquet::ParquetStore;

use crate::Seed;
use crate::parquet_file::{assembled, keyed_kinds, kinds, taken_apart};
use crate::scratch::in_scratch;
use crate::sources;

const CONFIG: &str = r#"
[store]
url = "parquet:."
[partitions]
keys = "all"
from = "first"
to = "latest"
[series.y]
table = "bars"
key_column = "symbol"
time = "time"
value = "close"
[windows]
w3 = 3
"#;

/// The file is in the directory of the table too.
const MIXED: u8 = 1;
const CHECKSUMS: u8 = 2;
/// More than are looked into.
const DEPTH_MAX: usize = 12;
/// As long as a file system takes.
const NAME_BYTES_MAX: usize = 255;
/// How many keys are read.
const KEYS_MAX: usize = 4;

/// The first byte is flags, the second the length of the path below the table; the file follows.
pub(crate) fn hold(bytes: &[u8]) {
    let [flags, length, rest @ ..] = bytes else { return };
    let (path, rest) = rest.split_at(usize::from(*length).min(rest.len()));
    let file = assembled(rest, flags & CHECKSUMS != 0);
    let config = JobConfig::parse(CONFIG, []).unwrap();
    in_scratch(|scratch| {
        let _ = fs::remove_dir_all(scratch.path().join("sources/bars"));
        scratch.write(&format!("sources/bars/{}b.parquet", below_table(path)), &file);
        if flags & MIXED != 0 {
            scratch.write("sources/bars/a.parquet", &file);
        }
        let store = ParquetStore::open(scratch.path(), &config).unwrap();
        if let Err(error) = read(&store, &config) {
            assert!(!error_chain(&error).is_empty());
        }
    });
}

/// The directories of a path, each with its slash.
fn below_table(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path).replace('\0', "");
    let is_name = |name: &&str| !["", ".", "..", "a.parquet"].contains(name) && name.len() <= NAME_BYTES_MAX;
    path.split('/').filter(is_name).take(DEPTH_MAX).map(|name| format!("{name}/")).collect()
}

fn read(store: &ParquetStore, config: &JobConfig) -> Result<(), StoreError> {
    let keys = store.keys_in(&config.series[0])?;
    let wanted = keys.iter().map(String::as_str).filter(|key| check_key(key).is_ok()).take(KEYS_MAX);
    let mut fault = None;
    // Damaged rows of one key say nothing of those of the next.
    for key in wanted.chain(["k"]) {
        fault = sources::read(store, config, key).err().or(fault);
    }
    fault.map_or(Ok(()), Err)
}

pub(crate) fn seeds() -> Vec<Seed> {
    let seed = |name: String, flags: u8, path: &str, file: &[u8]| {
        let length = u8::try_from(path.len()).unwrap();
        (name, [&[flags, length], path.as_bytes(), &taken_apart(file)].concat())
    };
    let mut seeds: Vec<Seed> =
        keyed_kinds().into_iter().map(|(name, file)| seed(name, MIXED, "", &file)).collect();
    let (_, without_key) = kinds().swap_remove(0);
    let (_, of_many) = keyed_kinds().swap_remove(0);
    for (name, path) in [
        ("directory", "symbol=k"),
        ("below_another", "year=2017/symbol=k/month=1"),
        ("null", "symbol=__HIVE_DEFAULT_PARTITION__"),
        ("escaped", "symbol=a%2Fb%20c"),
        ("twice", "symbol=k/symbol=k"),
        ("deep", "a=1/b=2/c=3/d=4/e=5/f=6/g=7/h=8/i=9/symbol=k"),
    ] {
        seeds.push(seed(name.to_owned(), 0, path, &without_key));
        seeds.push(seed(format!("{name}_of_many"), MIXED, path, &of_many));
    }
    seeds
}
