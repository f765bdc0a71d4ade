//! Verification: it sees a changed bit, a changed source and a lost row, and says where.

use std::fs;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, TimestampMicrosecondArray};
use parquet::arrow::ArrowWriter;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::bars::bars;
use crate::features::Columns;
use crate::sandbox::Sandbox;

/// A NaN that is stored as one; others stand for NULL.
const STORED_NAN: f64 = -f64::NAN;

/// Writes the features of a partition anew with its own receipt, after `change`.
fn tamper(sandbox: &Sandbox, month: &str, change: impl FnOnce(&mut Columns)) {
    rewrite(sandbox, month, change, |_| ());
}

/// Writes the features of a partition anew with its own receipt, after a change of both.
pub(crate) fn rewrite(
    sandbox: &Sandbox,
    month: &str,
    change: impl FnOnce(&mut Columns),
    change_receipt: impl FnOnce(&mut serde_json::Value),
) {
    let part = sandbox.part("eurusd", month);
    let metadata = SerializedFileReader::new(fs::File::open(&part).unwrap()).unwrap().metadata().clone();
    let mut entries = metadata.file_metadata().key_value_metadata().unwrap().iter();
    let mut receipt = entries.find(|entry| entry.key == "rollfit.receipt").unwrap().clone();
    let mut json = serde_json::from_str(receipt.value.as_ref().unwrap()).unwrap();
    change_receipt(&mut json);
    receipt.value = Some(json.to_string());
    let mut columns = Columns::read(&part);
    change(&mut columns);
    let time: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from(columns.instants_us.clone()).with_timezone("UTC"));
    let values = columns.names.iter().zip(&columns.values).map(|(name, values)| {
        let nulls =
            values.iter().map(|value| (!value.is_nan() || value.is_sign_negative()).then_some(*value));
        (name.clone(), Arc::new(nulls.collect::<Float64Array>()) as ArrayRef)
    });
    let batch =
        RecordBatch::try_from_iter(std::iter::once(("ts_utc".to_owned(), time)).chain(values)).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(&part).unwrap(), batch.schema(), None).unwrap();
    writer.append_key_value_metadata(receipt);
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn the_same_features_written_by_another_writer_are_accepted() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    tamper(&sandbox, "2017-01", |_| ());
    sandbox.run(&["verify"]).exits(0);
    sandbox.run(&["verify", "--quick"]).exits(0);
}

#[test]
fn one_changed_bit_is_found_and_named() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01", "2017-02"]);
    tamper(&sandbox, "2017-01", |columns| {
        let value = &mut columns.values[3][200];
        *value = f64::from_bits(value.to_bits() ^ 1);
    });
    let instant = Columns::read(&sandbox.part("eurusd", "2017-01")).instants_us[200];
    let place = format!("r2_idx_w15 at {}", rollfit_job::month::display_instant(instant));
    let full = sandbox.run(&["verify"]).exits(1);
    full.says(&["1 verified, 1 mismatch", "eurusd 2017-01: different", &place, "1 cells differ"]);
    sandbox.run(&["verify", "--sample", "1"]).exits(1).says(&[&place]);
    sandbox.run(&["verify", "--quick"]).exits(1).says(&["the receipt says"]);
}

#[test]
fn a_lost_value_and_a_lost_row_are_found() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    tamper(&sandbox, "2017-01", |columns| columns.values[0][100] = f64::NAN);
    sandbox.run(&["verify"]).exits(1).says(&["a2_idx_w15 at"]);
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    let rows = bars("eurusd", "2017-01").len() - 15;
    tamper(&sandbox, "2017-01", |columns| {
        columns.instants_us.pop();
        columns.values.iter_mut().for_each(|values| {
            values.pop();
        });
    });
    let lost = format!("{} rows are stored, the receipt says {rows}", rows - 1);
    sandbox.run(&["verify"]).exits(1).says(&[&lost]);
    sandbox.run(&["verify", "--quick"]).exits(1).says(&[&lost]);
}

#[test]
fn a_stored_nan_is_no_null() {
    for row in [3, 100] {
        let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
        tamper(&sandbox, "2017-01", |columns| columns.values[0][row] = STORED_NAN);
        sandbox.run(&["verify"]).exits(1).says(&["a2_idx_w15 at"]);
        sandbox.run(&["compare"]).exits(1).says(&["a2_idx_w15 at", "NaN or an infinity stored"]);
    }
}

#[test]
fn cells_of_adopted_partitions_are_not_counted_as_the_kernels() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01", "2017-02"]);
    let rows =
        ["2017-01", "2017-02"].map(|month| Columns::read(&sandbox.part("eurusd", month)).instants_us.len());
    let counts = |options: &[&str]| {
        let verified = sandbox.run(&[&["verify", "--json"], options].concat()).exits(0).json();
        assert_eq!((&verified["equal"], &verified["rows"]), (&2.into(), &(rows[0] + rows[1]).into()));
        ["cells", "adopted_rows", "adopted_cells", "reference_cells"]
            .map(|name| usize::try_from(verified[name].as_u64().unwrap()).unwrap())
    };
    let all = (rows[0] + rows[1]) * 180;
    assert_eq!(counts(&[]), [all, 0, 0, all]);
    assert!(!sandbox.run(&["verify"]).exits(0).stdout.contains("adopted"));

    rewrite(&sandbox, "2017-01", |_| (), |receipt| receipt["stored"]["adopted"] = true.into());
    assert_eq!(counts(&[]), [rows[1] * 180, rows[0], rows[0] * 180, rows[1] * 180]);
    assert_eq!(counts(&["--quick"]), [all, 0, 0, 0], "nothing is compared with the kernel");
    let told = sandbox.run(&["verify"]).exits(0);
    let [adopted, computed] = rows.map(|rows| {
        let cells = rows * 180;
        format!("{rows} rows, {},{:03} cells", cells / 1000, cells % 1000)
    });
    told.says(&[
        "2 verified, 0 mismatches",
        &format!("{computed} compared bit for bit with the kernel"),
        &format!("{adopted} of adopted partitions compared only with the checksums of their receipts"),
        "adopted rows match their receipt",
    ]);
    let adopted = |receipt: &mut serde_json::Value| receipt["stored"]["adopted"] = true.into();
    rewrite(&sandbox, "2017-02", |columns| columns.values[3][200] += 1.0, adopted);
    sandbox.run(&["verify"]).exits(1).says(&["1 verified, 1 mismatch", "the receipt says"]);
}

#[test]
fn files_compare_as_tables_do_and_have_nothing_to_adopt() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01", "2017-02"]);
    sandbox.run(&["run", "--only", "eurusd:2017-02"]).exits(0);
    let compared = sandbox.run(&["compare", "--json"]).exits(4).json();
    assert_eq!((&compared["clean"], &compared["absent"]), (&1.into(), &1.into()));
    assert_eq!((&compared["within"], &compared["outside"]), (&0.into(), &0.into()));
    sandbox.run(&["adopt"]).exits(0).says(&["0 adopted, 1 already ours"]);
    sandbox.write("fx/features/key=eurusd/month=2017-01/part.parquet", "strange");
    sandbox.run(&["compare"]).exits(1).says(&["is not a readable Parquet file"]);
    sandbox.run(&["adopt"]).exits(1).says(&["no valid rollfit receipt", "a receipt is a part of its file"]);
}

#[test]
fn a_changed_source_or_definition_is_a_difference() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    let carry = [("ROLLFIT_RUN__BOUNDARY", "carry")];
    sandbox
        .run_with(&carry, &["verify"])
        .exits(1)
        .says(&["stored by another definition", "reset became carry"]);
    sandbox.import_changed("eurusd", &[(bars("eurusd", "2017-01")[50].0, 1.5)]);
    sandbox.run(&["verify"]).exits(1).says(&["the source has changed since the features were stored"]);
    sandbox.run(&["verify", "--quick"]).exits(0);
}

#[test]
fn what_is_absent_is_told_and_is_not_taken_for_verified() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01", "2017-02"]);
    sandbox.run(&["run", "--only", "eurusd:2017-02"]).exits(0);
    let verified = sandbox.run(&["verify", "--json"]).exits(4).json();
    assert_eq!((&verified["equal"], &verified["absent"]), (&1.into(), &1.into()));
    assert_eq!(verified["partitions"][0]["cause"], "there are no features");
}

#[test]
fn a_sample_holds_that_many_rows_against_the_reference_and_all_bits_against_the_kernel() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    let verified = sandbox.run(&["verify", "--sample", "25", "--json"]).exits(0).json();
    let rows = bars("eurusd", "2017-01").len() - 15;
    assert_eq!(verified["cells"], rows * 180);
    assert_eq!(verified["reference_cells"], 25 * 180);
    sandbox.run(&["verify", "--sample", "25", "--quick"]).exits(2);
}
