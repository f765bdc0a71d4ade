//! [`Copy`]: the rows of a partition on their way into its tables, one table after the other. The end of one COPY and the start of the
//! next are one round trip.

use rollfit_job::activity::{Activity, during};
use rollfit_job::store::StoreError;

use super::room::Then;
use super::{PostgresSlot, TargetTable};
use crate::connection::session::{Answers, CopyIn, Request};
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
        (then == Then::RowsCome)
            .then(|| Request::prepare(format!("write {}", target.leaf.name), self.copy_sql(series)))
    }

    fn copy_sql(&self, series: usize) -> String {
        let target = &self.targets[series];
        // FREEZE is safe only in a table that no other session can see yet. Through a parent, a transaction that
        // started earlier would see the rows.
        let is_unknown = target.creation.as_ref().is_some_and(|creation| !creation.has_parent);
        let freeze = if is_unknown { ", FREEZE" } else { "" };
        let to = if target.is_staged { staging::staged(series) } else { target.leaf.name.sql() };
        format!("COPY {to} ({}) FROM STDIN (FORMAT binary{freeze})", self.store.columns_of(series))
    }

    /// Makes the table of `series` the one that is written. Skipped tables without rows are emptied too.
    pub(super) fn turn_to(&mut self, series: usize) -> Result<(), StoreError> {
        during(Activity::Querying, || self.make_room(Then::RowsCome))?;
        if self.copy.as_ref().is_some_and(|copy| copy.series == series) {
            return Ok(());
        }
        let sent = self.send_rest()?;
        let prepared = self.room.as_mut().and_then(|room| room.copies[series].take());
        let (mut requests, sent) = self.end_requests(sent);
        let stream = match prepared {
            Some(prepared) => {
                requests.push(Request::Start(prepared));
                let mut answers = self.session.at_once(requests);
                self.check_sent(sent, &mut answers)?;
                answers.started()?
            }
            None => {
                let mut answers = self.session.at_once(requests);
                self.check_sent(sent, &mut answers)?;
                let (doing, sql) =
                    (format!("write {}", self.targets[series].leaf.name), self.copy_sql(series));
                self.session.copy_in(&doing, &sql)?
            }
        };
        if series > 0 {
            failpoint::reach("between-tables");
        }
        let encoder = RowEncoder::new(self.targets[series].leaf.features.clone());
        self.copy = Some(Copy { series, stream, encoder, rows: 0 });
        Ok(())
    }

    /// Sends what is left of the rows of the table that is written, and does not wait for what comes of them.
    pub(super) fn send_rest(&mut self) -> Result<Option<SentCopy>, StoreError> {
        let Some(Copy { series, mut stream, mut encoder, rows }) = self.copy.take() else { return Ok(None) };
        let rest = encoder.finish();
        self.session.send(&mut stream, rest)?;
        self.bytes += encoder.bytes();
        Ok(Some(SentCopy { series, stream, rows }))
    }

    /// Returns the requests that end the COPY of a table whose rows were sent, and move staged ones into it; and what to check of them.
    pub(super) fn end_requests(
        &self,
        sent: Option<SentCopy>,
    ) -> (Vec<Request<'static>>, Option<(usize, u64)>) {
        let Some(SentCopy { series, stream, rows }) = sent else { return (Vec::new(), None) };
        let TargetTable { leaf: Leaf { name, .. }, is_staged, .. } = &self.targets[series];
        let mut requests = vec![Request::Finish(stream)];
        if *is_staged {
            let columns = self.store.columns_of(series);
            let sql = staging::move_sql(&staging::staged(series), (name, &columns, ""));
            let moved = Request::query(format!("write {name}"), sql, Vec::new());
            requests.push(moved.counted_as(Activity::Sending));
        }
        (requests, Some((series, rows)))
    }

    /// Checks by the answers that the table took all rows that were sent.
    pub(super) fn check_sent(
        &self,
        sent: Option<(usize, u64)>,
        answers: &mut Answers,
    ) -> Result<(), StoreError> {
        let Some((series, rows)) = sent else { return Ok(()) };
        let TargetTable { leaf: Leaf { name, .. }, is_staged, .. } = &self.targets[series];
        check_taken(name, answers.counted()?, rows)?;
        if *is_staged { check_taken(name, staging::moved(&answers.rows()?)?, rows) } else { Ok(()) }
    }
}
