//! A features file once more with another receipt: what `adopt` puts in the place of a file whose rows were compared.
//!
//! Invariants: a file never changes, so the copy is a file of its own; it's read back before it counts.

use std::io::Write;
use std::path::Path;

use rollfit_job::partition::Partition;
use rollfit_job::receipt::Receipt;
use rollfit_job::state::State;
use rollfit_job::store::{Found, StoreError};

use crate::fault::{features_fault, file_error};
use crate::features::read_back::{RECEIPT_KEY, open, read_receipt};
use rollfit_files::parquet_file::{Checksums, CopyFault, copy_with_value};

/// The error of a file in the state `state` that cannot have another receipt, for `cause`.
pub(super) fn cannot_adopt(cause: &str, state: State, partition: &Partition) -> StoreError {
    StoreError::permanent(format!(
        "{cause}; a receipt is a part of its file, and only files that rollfit wrote with checksums get a new one: rewrite \
         this one with `rollfit run --replace {state} --only {}:{}`",
        partition.key, partition.period
    ))
}

/// Writes the file at `part`, which has these `checksums`, to `output`, with this receipt.
pub(super) fn copy_with_receipt(
    (part, partition): (&Path, &Partition),
    checksums: Checksums,
    receipt: &Receipt,
    (copy, output): (&Path, &mut dyn Write),
) -> Result<(), StoreError> {
    let receipt = serde_json::to_string(receipt)
        .map_err(|error| StoreError::permanent(format!("the receipt cannot be written as JSON: {error}")))?;
    let source_fault = |fault| features_fault(part, partition, fault);
    let bytes = open(part).map_err(source_fault)?;
    copy_with_value(&bytes, checksums, (RECEIPT_KEY, &receipt), output).map_err(|fault| match fault {
        CopyFault::Source(fault) => source_fault(fault),
        CopyFault::Target(error) => file_error("write", copy, error),
    })
}

/// Checks that the file at `copy` is one whose receipt is `receipt`.
pub(super) fn check_copy(
    copy: &Path,
    (partition, output): (&Partition, &str),
    receipt: &Receipt,
) -> Result<(), StoreError> {
    match read_receipt(copy, partition, output)? {
        Found::Ours(found) if *found == *receipt => Ok(()),
        _ => Err(StoreError::permanent(format!(
            "{} does not have the receipt that was written to it, so the old file stays; check the disk, then run the same \
             command again",
            copy.display()
        ))),
    }
}
