//! Names of tables and keys: none leaves the store, and none that the file system cannot hold is found out late.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rollfit_job::config::{JobConfig, StoreConfig};
use rollfit_job::import::BarsOptions;
use rollfit_job::plan::{PlanError, partitions};
use rollfit_job::selection::Selection;
use rollfit_job::store::{Purpose, Store, StoreError, StoreKind};
use rollfit_parquet::Parquet;
use tempfile::TempDir;

use crate::support::assert_says;
use crate::support::market::{config_with, key_bars};

fn open(dir: &Path, values: &[(&str, &str)]) -> Result<Arc<dyn Store>, StoreError> {
    let url = format!("parquet:{}", dir.display());
    let config = config_with(&[values, &[("STORE__URL", &url)]].concat());
    Parquet.open(&config.source, &config, Purpose::Write)
}

/// The partitions of a job in one month.
fn planned(dir: &Path, values: &[(&str, &str)]) -> Result<usize, PlanError> {
    let month = [("PARTITIONS__FROM", "2017-01"), ("PARTITIONS__TO", "2017-01")];
    let config: JobConfig = config_with(&[values, &month].concat());
    let store = rollfit_parquet::ParquetStore::open(dir, &config).unwrap();
    partitions(&config, &store, &store, &Selection::default()).map(|partitions| partitions.len())
}

fn options() -> BarsOptions {
    BarsOptions { base_from_us: None, rebase: false, replace: false }
}

#[test]
fn a_pattern_that_leaves_the_store_is_refused_before_anything_is_opened() {
    let dir = TempDir::new().unwrap();
    for (pattern, why) in [
        ("../{key}", "cannot hold `/`"),
        ("/etc/{key}", "cannot hold `/`"),
        ("a/b_{key}", "cannot hold `/`"),
        ("a\\b_{key}", "cannot hold `/` or `\\`"),
        ("..", "begin with `.`"),
        (".import", "begin with `.`"),
        (".{key}", "begin with `.`"),
        ("a\nb_{key}", "control characters"),
        ("\u{1b}[2J{key}", "control characters"),
    ] {
        for key in ["SERIES__IDX__TABLE", "SERIES__IDX__FEATURES", "SERIES__IDX__PARENT"] {
            let Err(error) = open(dir.path(), &[(key, pattern)]) else { panic!("{key} = {pattern:?}") };
            let setting = key.rsplit("__").next().unwrap().to_lowercase();
            assert_says(&error.to_string(), &[&format!("[series.idx] {setting} = "), why, "another pattern"]);
        }
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_pattern_that_only_looks_odd_is_taken() {
    let dir = TempDir::new().unwrap();
    for pattern in ["{key}", "_{key}", "{key}..", "a..b {key}", "sources_{key}", "features", "Kurs é {key}"]
    {
        open(dir.path(), &[("SERIES__IDX__TABLE", pattern)]).map(drop).unwrap();
    }
    // Where only features or only series are in files, the other patterns are not for files.
    let other = [("SOURCE__URL", "postgres://h/d"), ("SERIES__IDX__TABLE", "a/b_{key}")];
    let url = format!("parquet:{}", dir.path().display());
    let config = config_with(&[("STORE__URL", url.as_str()), other[0], other[1]]);
    assert!(Parquet.open(&config.sink.store, &config, Purpose::Write).is_ok());
}

#[test]
fn a_name_too_long_for_a_file_is_refused_by_the_plan() {
    let dir = TempDir::new().unwrap();
    let keys = |key: &str| planned(dir.path(), &[("PARTITIONS__KEYS", key)]);
    // `key=` and `bqx_` take four bytes more; a longer key is none.
    assert_eq!(keys(&"k".repeat(251)).unwrap(), 1);
    let table =
        |pattern: &str| planned(dir.path(), &[("PARTITIONS__KEYS", "k"), ("SERIES__IDX__TABLE", pattern)]);
    assert_eq!(table(&format!("{}{{key}}", "t".repeat(254))).unwrap(), 1);
    let error = table(&format!("{}{{key}}", "t".repeat(255))).unwrap_err().to_string();
    assert_says(&error, &["[series.idx] table of key k", "256 bytes"]);
    // The directory of a job with a name begins with `features.`.
    open(dir.path(), &[("STORE__NAME", &"n".repeat(246))]).map(drop).unwrap();
    let Err(error) = open(dir.path(), &[("STORE__NAME", &"n".repeat(247))]) else { panic!("256 bytes") };
    assert_says(&error.to_string(), &["[sink] name: `features.nnn", "256 bytes", "choose a shorter one"]);
}

#[test]
fn a_path_too_long_for_the_system_is_refused_by_the_plan() {
    let dir = TempDir::new().unwrap();
    // The same directory, by a longer path.
    let longer = |bytes: usize| dir.path().join("./".repeat((bytes - dir.path().as_os_str().len()) / 2));
    let keys = [("PARTITIONS__KEYS", "k")];
    assert_eq!(planned(&longer(3900), &keys).unwrap(), 1);
    let error = planned(&longer(4080), &keys).unwrap_err().to_string();
    assert_says(&error, &["the path", "bytes", "the system takes 4095"]);
}

#[test]
fn an_import_of_a_key_too_long_for_its_tables_makes_nothing() {
    let dir = TempDir::new().unwrap();
    let store = dir.path().join("fx");
    let place = StoreConfig::new(format!("parquet:{}", store.display()));
    let add = |key: &str| -> Result<(), StoreError> {
        let mut import = Parquet.import_into(&place, options())?;
        import.add(key, &key_bars(key, vec![rollfit_job::import::Bar { instant_us: 0, close: 1.0 }]))?;
        import.commit()
    };
    assert_says(&add(&"k".repeat(252)).unwrap_err().to_string(), &["256 bytes", "at most 255"]);
    assert!(!store.exists());
    add(&"k".repeat(251)).unwrap();
    assert!(store.join(format!("sources/m1_{}", "k".repeat(251))).is_dir());
}
