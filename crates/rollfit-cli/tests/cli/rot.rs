//! Rot: rollfit reports a flipped bit in a file of its own as damage, with the path and a way out that works, and never
//! replaces right features because of it. It reports an error of the system as one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;

use crate::sandbox::{Answer, ROLLFIT, Sandbox};
use crate::tree::Tree;

const CLOSES: &str = "fx/sources/m1_eurusd/2017-01.parquet";

/// The position of the footer.
fn footer_of(bytes: &[u8]) -> usize {
    let trailer = bytes.len() - 8;
    trailer - u32::from_le_bytes(bytes[trailer..trailer + 4].try_into().unwrap()) as usize
}

/// Where in the bytes of a file a bit is flipped.
type ByteToDamage = fn(&[u8]) -> usize;

/// Flips a bit; returns the bytes as they were.
fn flip(path: &Path, at: impl Fn(&[u8]) -> usize) -> Vec<u8> {
    let whole = fs::read(path).unwrap();
    let mut bytes = whole.clone();
    let at = at(&whole);
    bytes[at] ^= 16;
    fs::write(path, bytes).unwrap();
    whole
}

#[test]
fn a_flipped_bit_in_a_source_stops_its_key_and_replaces_nothing() {
    let sandbox = Sandbox::done(&["eurusd", "usdjpy"], &["2017-01", "2017-02"]);
    let features = Tree::read(&sandbox.path("fx/features"));
    for table in ["m1_eurusd", "bqx_eurusd"] {
        let path = sandbox.path(format!("fx/sources/{table}/2017-02.parquet"));
        let places: [ByteToDamage; 3] = [|_| 4, |bytes| footer_of(bytes) / 2, |bytes| footer_of(bytes) + 9];
        for at in places {
            let whole = flip(&path, at);
            let name = format!("{table}/2017-02.parquet");
            let advice = ["is damaged", "restore it from a backup", "import its bars again"];
            let run = sandbox.run(&["run"]).exits(1).says(&advice).says(&[&name]);
            run.says(&["2 failed", "2 already done"]);
            sandbox.run(&["plan"]).exits(1).says(&advice).says(&["2 done, 2 failed", &name]);
            sandbox.run(&["verify"]).exits(1).says(&["2 failed", &name]);
            sandbox.run(&["doctor"]).exits(1).says(&["1 problem", "is damaged", &name]);
            assert!(features.differences(&Tree::read(&sandbox.path("fx/features"))).is_empty());
            fs::write(&path, whole).unwrap();
        }
    }
    sandbox.run(&["run"]).exits(0).says(&["4 already done"]);
    sandbox.run(&["verify"]).exits(0);
}

#[test]
fn the_advice_for_a_damaged_source_works_as_it_is_written() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01", "2017-02"]);
    let whole = flip(&sandbox.path(CLOSES), |bytes| bytes.len() / 3);
    let bars = sandbox.bars_file("eurusd", "2017-01");
    let import = || {
        let mut arguments = ["import", "--format", "csv", "--into", "parquet:fx"].map(PathBuf::from).to_vec();
        arguments.push(bars.clone());
        sandbox.run(&arguments)
    };
    import().exits(1).says(&["rename it to ", "2017-01.parquet.damaged and import its bars again"]);
    fs::rename(sandbox.path(CLOSES), sandbox.path(format!("{CLOSES}.damaged"))).unwrap();
    import().exits(0);
    assert_eq!(fs::read(sandbox.path(CLOSES)).unwrap(), whole);
    sandbox.run(&["run"]).exits(0).says(&["2 already done"]);
    // A damaged copy is no source of bars either.
    let copy = format!("{CLOSES}.damaged");
    let arguments = ["import", "--format", "parquet", "--key", "other", "--into", "parquet:fx", &copy];
    sandbox.run(&arguments).exits(1).says(&["2017-01.parquet.damaged", "it is damaged"]);
}

#[test]
fn returns_that_are_damaged_are_written_anew_by_the_next_import() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    let returns = sandbox.path("fx/sources/bqx_eurusd/2017-01.parquet");
    let whole = flip(&returns, |bytes| bytes.len() / 3);
    sandbox.import(&["eurusd"], &["2017-01"]);
    assert_eq!(fs::read(&returns).unwrap(), whole);
    sandbox.run(&["run"]).exits(0).says(&["1 already done"]);
}

#[test]
fn a_damaged_features_file_fails_its_partition_and_force_computes_it_again() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01", "2017-02"]);
    let part = sandbox.part("eurusd", "2017-01");
    let force = ["run", "--force", "--only", "eurusd:2017-01"];
    let advice = "part.parquet is damaged";
    let places: [ByteToDamage; 2] = [|bytes| footer_of(bytes) + 20, |bytes| bytes.len() - 5];
    for at in places {
        let whole = flip(&part, at);
        let damaged = fs::read(&part).unwrap();
        for command in ["run", "plan", "verify"] {
            let failed = sandbox.run(&[command]).exits(1).says(&["key=eurusd/month=2017-01", advice]);
            failed.says(&["1 failed", &format!("`rollfit {}`", force.join(" "))]);
        }
        sandbox.run(&["doctor"]).exits(1).says(&[advice]);
        sandbox.run(&["run", "--replace", "foreign"]).exits(1);
        assert_eq!(fs::read(&part).unwrap(), damaged);
        sandbox.run(&force).exits(0).says(&["1 written"]);
        assert_eq!(fs::read(&part).unwrap(), whole);
    }
    flip(&part, |bytes| footer_of(bytes) + 20);
    sandbox.run(&["drop", "eurusd:2017-01"]).exits(0);
    assert!(!part.exists());
}

#[test]
fn a_flipped_bit_in_the_rows_of_features_is_found_by_a_quick_verification() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    let part = sandbox.part("eurusd", "2017-01");
    // Also in the magic number, which no reader looks at.
    let places: [ByteToDamage; 3] = [|_| 0, |bytes| footer_of(bytes) / 2, |bytes| footer_of(bytes) - 1];
    for at in places {
        let whole = flip(&part, at);
        let verified = sandbox.run(&["verify", "--quick"]).exits(1);
        verified.says(&["1 failed", "part.parquet is damaged", "--force"]);
        sandbox.run(&["run", "--force", "--only", "eurusd:2017-01"]).exits(0);
        assert_eq!(fs::read(&part).unwrap(), whole);
    }
    sandbox.run(&["verify", "--quick"]).exits(0);
}

/// Writes a file as rollfit did before it had checksums.
fn without_checksums(path: &Path) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let metadata = builder.metadata().file_metadata().key_value_metadata().cloned().unwrap();
    let batch = builder.build().unwrap().next().unwrap().unwrap();
    let columns: Vec<(String, ArrayRef)> = batch
        .schema()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| (field.name().clone(), Arc::clone(column)))
        .collect();
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let by = WriterProperties::builder().set_created_by("rollfit".to_owned()).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(by)).unwrap();
    for entry in metadata.into_iter().filter(|entry| entry.key != "rollfit.checksum") {
        writer.append_key_value_metadata(entry);
    }
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn files_of_ours_without_checksums_are_read_and_counted_as_unverified() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01", "2017-02"]);
    let counted = |sources: usize, features: usize| {
        let report = sandbox.run(&["doctor", "--json"]).exits(0).json();
        let found = &report["stores"][0]["parquet"];
        assert_eq!(found["unverified_sources"], sources, "{report}");
        assert_eq!(found["unverified_features"], features, "{report}");
    };
    counted(0, 0);
    sandbox.run(&["doctor"]).exits(0).says(&["unverified  none"]);
    without_checksums(&sandbox.path(CLOSES));
    without_checksums(&sandbox.path("fx/sources/bqx_eurusd/2017-01.parquet"));
    without_checksums(&sandbox.part("eurusd", "2017-02"));
    counted(2, 1);
    sandbox.run(&["doctor"]).exits(0).says(&["2 source files without checksums", "1 features file without"]);
    sandbox.run(&["run"]).exits(0).says(&["2 already done"]);
    sandbox.run(&["verify"]).exits(0);
    sandbox.import(&["eurusd"], &["2017-01"]);
    sandbox.run(&["run", "--force"]).exits(0);
    counted(0, 0);
}

#[test]
fn where_no_more_files_can_be_opened_a_healthy_source_is_not_called_damaged() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01", "2017-02"]);
    let sources = Tree::read(&sandbox.path("fx/sources"));
    let mut refused = 0;
    for files in 5..24 {
        let mut command = sandbox.in_clean_environment("sh");
        let script = format!("ulimit -n {files}; exec {ROLLFIT} run --workers 1");
        command.args(["-c", &script]).env("ROLLFIT_RUN__ATTEMPTS", "1");
        let answer = Answer::from_command(command);
        let blames =
            ["truncated", "damaged", "remove it", "not a readable", "foreign", "no table", "does not exist"];
        assert!(!blames.iter().any(|blame| answer.stderr.contains(blame)), "{files}: {answer}");
        let told = format!("{answer}");
        if told.contains("eurusd 2017-0") && told.contains("Too many open files") {
            assert!(told.contains("ulimit -n"), "{told}");
            refused += 1;
        }
    }
    assert!(refused > 0, "no file of a table was refused");
    assert!(sources.differences(&Tree::read(&sandbox.path("fx/sources"))).is_empty());
    sandbox.run(&["run"]).exits(0);
}
