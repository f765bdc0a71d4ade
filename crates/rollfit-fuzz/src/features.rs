//! Features of a Parquet store with their receipts, as `plan`, `status`, `verify` and `compare` read them.

use std::sync::{Arc, OnceLock};

use arrow_array::{ArrayRef, Float64Array, TimestampMicrosecondArray};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use rollfit_bars::{Format, ReadOptions, merge, read_file};
use rollfit_job::Job;
use rollfit_job::compare::compare;
use rollfit_job::config::{JobConfig, TIME_COLUMN, Workers};
use rollfit_job::error_chain;
use rollfit_job::import::BarsOptions;
use rollfit_job::plan::{assess, partitions};
use rollfit_job::receipt::Receipt;
use rollfit_job::run::{RunOptions, run};
use rollfit_job::selection::Selection;
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::store::{BarsImport, Found, Sink, StoreError};
use rollfit_job::verify::{Depth, verify};
use rollfit_job::watch::Unseen;
use rollfit_parquet::{OsFileSystem, ParquetImport, ParquetStore};
use rollfit_testkit::market::{self, Silent};

use crate::Seed;
use crate::parquet_file::{assembled, taken_apart, written};
use crate::scratch::{Scratch, in_scratch};

const KEY: &str = "k";
const MONTH: &str = "2018-06";
const PART: &str = "features/key=k/month=2018-06/part.parquet";
const RECEIPT_KEY: &str = "rollfit.receipt";
const ROWS: usize = 24;

/// The file is as it comes, but for its length fields.
const AS_IT_IS: u8 = 0;
/// Its checksums are made to fit.
const CHECKED: u8 = 1;
/// The bytes are the text of the receipt in a file with the columns of the job.
const RECEIPT: u8 = 2;

pub(crate) fn hold(bytes: &[u8]) {
    let Some((way, rest)) = bytes.split_first() else { return };
    let file = match way % 3 {
        RECEIPT => with_receipt(&String::from_utf8_lossy(rest)),
        way => assembled(rest, way == CHECKED),
    };
    let config = config();
    in_scratch(|scratch| {
        let made = made();
        for (name, bytes) in &made.sources {
            if !scratch.path().join(name).exists() {
                scratch.write(name, bytes);
            }
        }
        scratch.write(PART, &file);
        read(scratch, &config);
    });
}

fn config() -> JobConfig {
    market::config(&[("STORE__URL", "parquet:."), ("RUN__JOIN_LOSS_MAX", "1")])
}

/// Reads the features in every way, and compares them with the source.
fn read(scratch: &Scratch, config: &JobConfig) {
    let store = ParquetStore::open(scratch.path(), config).unwrap();
    let partition = market::partition(KEY, MONTH);
    let tiles = || -> Result<(), StoreError> {
        let mut reader = store.read(&partition)?;
        while reader.next_tile()?.is_some() {}
        Ok(())
    };
    for error in [store.found(&partition).err(), tiles().err()].into_iter().flatten() {
        assert!(!error_chain(&error).is_empty());
    }
    if let Ok(Found::Ours(receipt)) = store.found(&partition) {
        let text = serde_json::to_string(&receipt).unwrap();
        assert_eq!(serde_json::from_str::<Receipt>(&text).unwrap(), *receipt, "receipts are read as written");
    }
    let job = Job { config, source: &store, sink: &store, workers: Workers::Fixed(1), machine: &Unseen };
    let (partitions, stop) = ([partition], StopSignal::default());
    drop(assess(&job, &partitions));
    for depth in [Depth::Quick, Depth::Full] {
        drop(verify(&job, &partitions, depth, &stop, &|_, _| {}));
    }
    drop(compare(&job, &partitions, None, &stop, &|_, _| {}));
}

/// A store with features that a run wrote.
struct Made {
    sources: Vec<(&'static str, Vec<u8>)>,
    part: Vec<u8>,
    receipt: String,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let scratch = Scratch::new();
        let config = config();
        import(&scratch);
        let store = ParquetStore::open(scratch.path(), &config).unwrap();
        let planned = partitions(&config, &store, &store, &Selection::default()).unwrap();
        let job = Job {
            config: &config,
            source: &store,
            sink: &store,
            workers: Workers::Fixed(1),
            machine: &Unseen,
        };
        run(&job, &planned, &RunOptions::default(), &StopSignal::default(), &Silent);
        let Found::Ours(receipt) = store.found(&market::partition(KEY, MONTH)).unwrap() else { panic!() };
        let read = |name: &'static str| (name, std::fs::read(scratch.path().join(name)).unwrap());
        Made {
            sources: vec![read("sources/m1_k/2018-06.parquet"), read("sources/bqx_k/2018-06.parquet")],
            part: read(PART).1,
            receipt: serde_json::to_string(&receipt).unwrap(),
        }
    })
}

fn import(scratch: &Scratch) {
    let row = |row: usize| format!("20180604 17{row:02}00;1;1;1;1.{};0\n", row * 7919 % 101 + 100);
    let text: String = (0..ROWS).map(row).collect();
    let options = ReadOptions { key: Some(KEY.to_owned()), ..ReadOptions::new(Format::Histdata) };
    let file = read_file(&scratch.write("bars.csv", text.as_bytes()), &options).unwrap();
    let how = BarsOptions { base_from_us: None, rebase: true, replace: true };
    let mut import = ParquetImport::begin(scratch.path(), how, &OsFileSystem).unwrap();
    import.add(KEY, &merge(vec![file], false).unwrap()[KEY]).unwrap();
    Box::new(import).commit().unwrap();
}

/// A file with the columns of the job and this text for its receipt.
fn with_receipt(receipt: &str) -> Vec<u8> {
    let columns = config().series.into_iter().flat_map(|series| series.columns).collect::<Vec<_>>();
    let start_us = 1_528_149_600_000_000;
    let instants = (0..ROWS as i64).map(|row| start_us + 60_000_000 * row).collect::<Vec<_>>();
    let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(instants).with_timezone("UTC"));
    let values: ArrayRef = Arc::new(Float64Array::from(vec![0.5; ROWS]));
    let named = columns.iter().map(|name| (name.as_str(), values.clone()));
    let all: Vec<(&str, ArrayRef)> = std::iter::once((TIME_COLUMN, time)).chain(named).collect();
    let entry = KeyValue::new(RECEIPT_KEY.to_owned(), receipt.to_owned());
    written(&all, WriterProperties::builder().set_key_value_metadata(Some(vec![entry])))
}

/// The receipt as one of the layout of fits, where each series has `columns` of them; with eleven it is one.
fn receipt_of_fits(receipt: &str, columns: usize) -> String {
    let mut json: serde_json::Value = serde_json::from_str(receipt).unwrap();
    json["format"] = 2.into();
    json["definition"]["layout"] = "fits".into();
    for series in json["definition"]["series"].as_array_mut().unwrap() {
        series["fit_columns"] = (0..columns).map(|at| format!("number{at}")).collect();
    }
    json.to_string()
}

pub(crate) fn seeds() -> Vec<Seed> {
    let made = made();
    let part = taken_apart(&made.part);
    let of_fits = |columns| receipt_of_fits(&made.receipt, columns);
    let seed = |name: &str, way: u8, bytes: &[u8]| (name.to_owned(), [&[way], bytes].concat());
    vec![
        seed("as_it_is", AS_IT_IS, &part),
        seed("checked", CHECKED, &part),
        seed("receipt", RECEIPT, made.receipt.as_bytes()),
        seed("receipt_of_fits", RECEIPT, of_fits(2 * 5 + 1).as_bytes()),
        seed("receipt_of_few_fits", RECEIPT, of_fits(3).as_bytes()),
    ]
}
