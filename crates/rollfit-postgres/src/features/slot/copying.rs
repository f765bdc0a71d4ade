//! [`Copy`]: the rows of a partition on their way into its tables, one table after the other. The end of one COPY and the start of the
//! next are one round trip.

use rollfit_job::store::StoreError;

use super::room::Then;
use super::{PostgresSlot, TargetTable};
use crate::connection::session::{CopyIn, Request};
use crate::copy::encode::RowEncoder;
use crate::failpoint;
use crate::tables::leaf::Leaf;
use crate::tables::staging;
use crate::tables::table::check_taken;

/// The table whose rows are being sent.
pub(super) struct Copy {
    pub(super) series: usize,
    pub(super) stream: CopyIn,
    pub(super) encoder: RowEncoder,
    pub(super) rows: u64,
}

/// A table whose rows were all sent. What came of them is not known yet.
pub(super) struct SentCopy {
    series: usize,
    stream: CopyIn,
    rows: u64,
}

impl PostgresSlot<'_> {
    /// Returns the request that prepares the COPY into a table; none if there is none to prepare.
    pub(super) fn copy_request(&self, series: usize, then: Then) -> Option<Request<'static>> {
        let target = &self.targets[series];
        let is_prepared = then == Then::RowsCome && !target.is_staged;
        is_prepared.then(|| Request::prepare(format!("write {}", target.leaf.name), self.copy_sql(series)))
    }

    fn copy_sql(&self, series: usize) -> String {
        let target = &self.targets[series];
        // FREEZE is safe only in a table that no other session can see yet. Through a parent, a transaction that
        // started earlier would see the rows.
        let is_unknown = target.creation.as_ref().is_some_and(|creation| !creation.has_parent);
        let freeze = if is_unknown { ", FREEZE" } else { "" };
        let to = if target.is_staged { staging::STAGED.to_owned() } else { target.leaf.name.sql() };
        format!("COPY {to} ({}) FROM STDIN (FORMAT binary{freeze})", self.store.columns_of(series))
    }

    /// Makes the table of `series` the one that is written. Skipped tables without rows are emptied too.
    pub(super) fn turn_to(&mut self, series: usize) -> Result<(), StoreError> {
        self.make_room(Then::RowsCome)?;
        if self.copy.as_ref().is_some_and(|copy| copy.series == series) {
            return Ok(());
        }
        let sent = self.send_rest()?;
        let prepared = self.room.as_mut().and_then(|room| room.copies[series].take());
        let stream = match (sent, prepared) {
            (Some(sent), Some(prepared)) if !self.targets[sent.series].is_staged => {
                let SentCopy { series: before, stream, rows } = sent;
                let mut answers =
                    self.session.at_once(vec![Request::Finish(stream), Request::Start(prepared)]);
                check_taken(&self.targets[before].leaf.name, answers.counted()?, rows)?;
                answers.started()?
            }
            (sent, prepared) => {
                self.finish(sent)?;
                match prepared {
                    Some(prepared) => self.session.at_once(vec![Request::Start(prepared)]).started()?,
                    None => self.start_copy(series)?,
                }
            }
        };
        if series > 0 {
            failpoint::reach("between-tables");
        }
        let encoder = RowEncoder::new(self.targets[series].leaf.features.clone());
        self.copy = Some(Copy { series, stream, encoder, rows: 0 });
        Ok(())
    }

    /// Starts a COPY that is not prepared.
    fn start_copy(&mut self, series: usize) -> Result<CopyIn, StoreError> {
        let target = &self.targets[series];
        if target.is_staged {
            staging::create(&mut self.session, &target.leaf.name, &self.store.columns_of(series))?;
        }
        let (doing, sql) = (format!("write {}", target.leaf.name), self.copy_sql(series));
        self.session.copy_in(&doing, &sql)
    }

    /// Sends what is left of the rows of the table that is written, and does not wait for what comes of them.
    pub(super) fn send_rest(&mut self) -> Result<Option<SentCopy>, StoreError> {
        let Some(Copy { series, mut stream, mut encoder, rows }) = self.copy.take() else { return Ok(None) };
        let rest = encoder.finish();
        self.session.send(&mut stream, rest)?;
        self.bytes += encoder.bytes();
        Ok(Some(SentCopy { series, stream, rows }))
    }

    /// Waits until a table has the rows that were sent, and moves staged ones into it.
    pub(super) fn finish(&mut self, sent: Option<SentCopy>) -> Result<(), StoreError> {
        let Some(SentCopy { series, stream, rows }) = sent else { return Ok(()) };
        let stored = self.session.finish(stream)?;
        let TargetTable { leaf: Leaf { name, .. }, is_staged, .. } = &self.targets[series];
        check_taken(name, stored, rows)?;
        if *is_staged {
            let columns = self.store.columns_of(series);
            let moved =
                staging::move_rows(&mut self.session, &format!("write {name}"), (name, &columns, ""))?;
            check_taken(name, moved, rows)?;
        }
        Ok(())
    }

    /// Takes the last table whose rows were sent, to be ended with other requests; one whose rows are staged is ended here.
    pub(super) fn take_sent(&mut self) -> Result<Option<SentCopy>, StoreError> {
        match self.sent.take() {
            Some(sent) if self.targets[sent.series].is_staged => self.finish(Some(sent)).map(|()| None),
            sent => Ok(sent),
        }
    }

    /// Checks what came of the rows that were sent.
    pub(super) fn check_counted(&self, (series, rows): (usize, u64), stored: u64) -> Result<(), StoreError> {
        check_taken(&self.targets[series].leaf.name, stored, rows)
    }
}

impl SentCopy {
    /// Returns the request that ends it, and the table with the number of its rows.
    pub(super) fn into_request(self) -> (Request<'static>, (usize, u64)) {
        (Request::Finish(self.stream), (self.series, self.rows))
    }
}
