//! How the rows of an [`AppendSlot`] get into its tables, with the receipt: where they are few, in one round trip.

use rollfit_job::receipt::Receipt;
use rollfit_job::store::StoreError;

use super::AppendSlot;
use super::rows::{EndedRows, HeldRows, Way};
use crate::connection::answer_row::AnswerRow;
use crate::connection::session::{Answers, CopyIn, Request};
use crate::copy::binary_field::BinaryField;
use crate::failpoint;
use crate::names::TableName;
use crate::tables::receipts::ReceiptRow;
use crate::tables::table::check_taken;

/// A table that gets its rows together with others, and how many.
pub(super) struct Inserted {
    series: usize,
    table: TableName,
    rows: u64,
    held: HeldRows,
}

/// A table whose rows were sent, and how many.
pub(super) struct Sent {
    series: usize,
    table: TableName,
    rows: u64,
    copy: CopyIn,
}

impl AppendSlot<'_> {
    /// Starts the COPY into the table of a series. All of them are prepared at once: each table gets as many rows.
    pub(super) fn start_copy(&mut self, series: usize) -> Result<CopyIn, StoreError> {
        if self.prepared.is_empty() {
            let prepare = |(at, followed): (usize, &super::FollowedLeaf)| {
                let name = &followed.leaf.name;
                let columns = self.store.columns_of(at);
                let sql = format!("COPY {} ({columns}) FROM STDIN (FORMAT binary)", name.sql());
                Request::prepare(format!("write {name}"), sql)
            };
            let requests = self.leaves.iter().enumerate().map(prepare).collect();
            let mut answers = self.session.at_once(requests);
            for _ in &self.leaves {
                self.prepared.push(Some(answers.prepared()?));
            }
        }
        let (end, sent) = self.sent.take().map(Sent::into_request).unzip();
        let start = self.prepared[series].take().map(Request::Start);
        let mut answers = self.session.at_once(end.into_iter().chain(start).collect());
        if let Some(sent) = sent {
            check_sent(&sent, answers.counted()?)?;
        }
        answers.started()
    }

    /// Ends the table that is written.
    pub(super) fn end_table(&mut self) -> Result<(), StoreError> {
        let Some(adding) = self.adding.take() else { return Ok(()) };
        let EndedRows { series, table, rows, bytes, way } = adding.end(&mut self.session)?;
        self.added[series] += rows;
        self.bytes += bytes;
        match way {
            Way::Copy(copy) => self.sent = Some(Sent { series, table, rows, copy }),
            Way::Insert(held) => self.inserted.push(Inserted { series, table, rows, held }),
        }
        Ok(())
    }

    /// Writes what is left of the rows, and the receipt in the place of the one that they come after.
    pub(super) fn write_receipt(&mut self, receipt: &Receipt) -> Result<(), StoreError> {
        let row = ReceiptRow::new(receipt)?;
        let tables = [&self.store.receipts, &self.store.definitions];
        let inserted = std::mem::take(&mut self.inserted);
        let values: Vec<Vec<BinaryField<'_>>> = inserted.iter().map(|table| table.held.values()).collect();
        let (end, sent) = self.sent.take().map(Sent::into_request).unzip();
        let inserts = inserted.iter().zip(&values);
        let inserts = inserts.map(|(Inserted { table, held, .. }, values)| held.request(table, values));
        let receipt = row.take_place_of(tables, &self.digest);
        let mut answers = self.session.at_once(end.into_iter().chain(inserts).chain([receipt]).collect());
        if let Some(sent) = sent {
            check_sent(&sent, answers.counted()?)?;
        }
        inserted.iter().try_for_each(|table| check_inserted(table, &mut answers))?;
        let written: Vec<AnswerRow> = answers.rows()?;
        row.check_in_place(tables, &written)?;
        failpoint::reach("append-receipt");
        Ok(())
    }
}

impl Inserted {
    pub(super) fn memory_bytes(&self) -> u64 {
        self.held.memory_bytes()
    }
}

impl Sent {
    fn into_request(self) -> (Request<'static>, (usize, TableName, u64)) {
        (Request::Finish(self.copy), (self.series, self.table, self.rows))
    }
}

fn check_sent((series, table, rows): &(usize, TableName, u64), stored: u64) -> Result<(), StoreError> {
    check_taken(table, stored, *rows)?;
    reach(*series);
    Ok(())
}

fn check_inserted(inserted: &Inserted, answers: &mut Answers) -> Result<(), StoreError> {
    check_taken(&inserted.table, answers.rows()?.len() as u64, inserted.rows)?;
    reach(inserted.series);
    Ok(())
}

fn reach(series: usize) {
    failpoint::reach(if series == 0 { "append-rows-1" } else { "append-rows-2" });
}
