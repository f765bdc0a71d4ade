//! What an import leaves in the sources of a Parquet store until its files are in place, and somebody else may have put there: the list
//! of its files, and the generation.

use std::fs;
use std::path::Path;

use rollfit_job::config::JobConfig;
use rollfit_job::error_chain;
use rollfit_job::import::BarsOptions;
use rollfit_job::store::Source;
use rollfit_parquet::{OsFileSystem, ParquetImport, ParquetStore};

use crate::Seed;
use crate::scratch::Scratch;

const CONFIG: &str = r#"
[store]
url = "parquet:."
[partitions]
keys = ["k"]
from = "first"
to = "latest"
[series.y]
table = "m1_{key}"
time = "time"
value = "close"
features = "f_{key}_{yyyy}_{mm}"
[windows]
w3 = 3
"#;

/// Ends the list; the generation follows.
const END: u8 = 0;
const LIST: &str = "store/sources/.import";
const STAGED: &str = "store/sources/m1_k/.2017-01.parquet.tmp";
/// Files that no list may name.
const OTHERS: [&str; 3] =
    ["outside.parquet", "store/features/part.parquet", "store/sources/mine/2017-01.parquet"];

pub(crate) fn hold(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == END).unwrap_or(bytes.len());
    let (list, generation) = (&bytes[..end], bytes.get(end + 1..));
    // A store of its own: what a list moves is gone.
    let scratch = Scratch::new();
    for name in OTHERS.into_iter().chain([STAGED, "store/sources/m1_k/2017-02.parquet"]) {
        scratch.write(name, name.as_bytes());
    }
    scratch.write(LIST, list);
    if let Some(generation) = generation {
        scratch.write("store/sources/.generation", generation);
    }
    read(&scratch.path().join("store"));
    let how = BarsOptions { base_from_us: None, rebase: false, replace: false };
    match ParquetImport::begin(&scratch.path().join("store"), how, &OsFileSystem) {
        Ok(_) => assert!(!scratch.path().join(LIST).exists(), "an import finishes the one before"),
        Err(error) => assert!(!error_chain(&error).is_empty()),
    }
    for name in OTHERS {
        assert_eq!(fs::read(scratch.path().join(name)).unwrap(), name.as_bytes(), "{name} is as it was");
    }
}

/// Reads the table as a job does, which finishes an import that is not.
fn read(store: &Path) {
    let config = JobConfig::parse(CONFIG, []).unwrap();
    let store = ParquetStore::open(store, &config).unwrap();
    if let Err(error) = store.months(&config.series_of_key("k")[0]) {
        assert!(!error_chain(&error).is_empty());
    }
}

pub(crate) fn seeds() -> Vec<Seed> {
    let list = |from: &str, to: &str| format!(r#"{{"renames":[["{from}","{to}"]]}}"#);
    let own = list("m1_k/.2017-01.parquet.tmp", "m1_k/2017-01.parquet");
    let seed = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
    vec![
        seed("own", &own),
        seed("generation", &format!("{own}\0{}\n", 7)),
        seed("last_generation", &format!("{own}\0{}", u64::MAX)),
        seed("in_place", &list("m1_k/.2017-02.parquet.tmp", "m1_k/2017-02.parquet")),
        seed("missing", &list("bqx_k/.2017-01.parquet.tmp", "bqx_k/2017-01.parquet")),
        seed("outside", &list("../../outside.parquet", "m1_k/2017-01.parquet")),
        seed("of_others", &list("mine/.2017-01.parquet.tmp", "mine/2017-01.parquet")),
    ]
}
