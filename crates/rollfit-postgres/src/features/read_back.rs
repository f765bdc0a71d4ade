//! Reads features back: [`TableReader`] reads the tables of a partition one after the other, ordered by instant.

use std::ops::DerefMut;
use std::sync::Arc;

use rollfit_job::config::{Series, TIME_COLUMN};
use rollfit_job::receipt::Receipt;
use rollfit_job::store::{FeatureReader, FeatureTile, Rounding, StoreError, number_as_stored};

use crate::connection::session::{CopyOut, Session};
use crate::copy::decode::{Fields, Malformed, RowDecoder};
use crate::copy::instant::ServerInstant;
use crate::features::narrow_columns::NarrowColumns;
use crate::names::{list, quoted};
use crate::tables::leaf::Leaf;

/// Rows returned at once.
const TILE_ROWS: usize = 1024;

/// The features of one partition.
pub(crate) struct TableReader<'a, S: DerefMut<Target = Session>> {
    session: S,
    series: &'a [Series],
    leaves: Vec<Leaf>,
    /// Which rows, in SQL; all without one.
    condition: Option<String>,
    receipt: Option<Receipt>,
    /// The series whose rows are read.
    at: usize,
    copy: Option<(CopyOut, RowDecoder)>,
    instants_us: Vec<i64>,
    /// One column per feature. Only the first rows are filled.
    columns: Vec<Vec<f64>>,
    values: Vec<f64>,
    /// Whether this reader ends the transaction.
    ends_transaction: bool,
}

impl<'a, S: DerefMut<Target = Session>> TableReader<'a, S> {
    /// Reads the tables `leaves` of `series` in the session's transaction.
    pub(crate) fn new(
        session: S,
        series: &'a [Series],
        leaves: Vec<Leaf>,
        receipt: Option<Receipt>,
        ends_transaction: bool,
    ) -> Self {
        Self {
            session,
            series,
            leaves,
            condition: None,
            receipt,
            at: 0,
            copy: None,
            instants_us: Vec::new(),
            columns: Vec::new(),
            values: Vec::new(),
            ends_transaction,
        }
    }

    /// The same, of the rows that a condition holds for.
    pub(crate) fn with_condition(mut self, condition: String) -> Self {
        self.condition = Some(condition);
        self
    }

    fn open(&mut self) -> Result<(), StoreError> {
        let (leaf, columns) = (&self.leaves[self.at], &self.series[self.at].columns);
        let names = std::iter::once(TIME_COLUMN).chain(columns.iter().map(String::as_str));
        let time = quoted(TIME_COLUMN);
        let condition = self.condition.as_ref().map(|condition| format!(" WHERE {condition}"));
        let sql = format!(
            "COPY (SELECT {} FROM ONLY {}{} ORDER BY {time}) TO STDOUT (FORMAT binary)",
            list(names),
            leaf.name.sql(),
            condition.unwrap_or_default()
        );
        let copy = self.session.copy_out(&format!("read {}", leaf.name), &sql)?;
        self.copy = Some((copy, RowDecoder::new(columns.len() + 1)));
        self.columns = vec![Vec::with_capacity(TILE_ROWS); columns.len()];
        Ok(())
    }

    /// Reads until a tile is full or the table ends.
    fn fill(&mut self) -> Result<(), StoreError> {
        self.instants_us.clear();
        self.columns.iter_mut().for_each(Vec::clear);
        let Some((copy, decoder)) = &mut self.copy else { return Ok(()) };
        let leaf = &self.leaves[self.at];
        let (instants_us, columns) = (&mut self.instants_us, &mut self.columns);
        while instants_us.len() < TILE_ROWS {
            let Some(message) = self.session.receive(copy)? else {
                self.copy = None;
                break;
            };
            decoder.rows(&message, |mut fields| take_row(leaf, &mut fields, instants_us, columns))?;
        }
        Ok(())
    }
}

fn take_row(
    leaf: &Leaf,
    fields: &mut Fields<'_>,
    instants_us: &mut Vec<i64>,
    columns: &mut [Vec<f64>],
) -> Result<(), StoreError> {
    let instant = ServerInstant(fields.next_instant()?);
    instants_us.push(instant.us().ok_or(Malformed)?);
    for (column, number) in columns.iter_mut().zip(&leaf.features) {
        let stored = fields.next_number(number.format())?;
        column.push(stored.map_or(f64::NAN, number_as_stored));
    }
    Ok(())
}

impl<S: DerefMut<Target = Session>> FeatureReader for TableReader<'_, S> {
    fn receipt(&self) -> Option<&Receipt> {
        self.receipt.as_ref()
    }

    fn rounding(&self) -> Option<Arc<dyn Rounding>> {
        NarrowColumns::from_leaves(self.leaves.iter())
    }

    fn next_tile(&mut self) -> Result<Option<FeatureTile<'_>>, StoreError> {
        while self.at < self.leaves.len() {
            if self.copy.is_none() {
                self.open()?;
            }
            self.fill()?;
            let first_column = self.series[..self.at].iter().map(|series| series.columns.len()).sum();
            if self.copy.is_none() {
                self.at += 1;
            }
            if !self.instants_us.is_empty() {
                self.values.clear();
                self.columns.iter().for_each(|column| self.values.extend_from_slice(column));
                return Ok(Some(FeatureTile {
                    instants_us: &self.instants_us,
                    first_column,
                    values: &self.values,
                }));
            }
        }
        Ok(None)
    }
}

impl<S: DerefMut<Target = Session>> Drop for TableReader<'_, S> {
    fn drop(&mut self) {
        if self.copy.take().is_some() {
            // Otherwise the remaining rows would still have to be received.
            self.session.break_off();
        }
        if self.ends_transaction {
            self.session.roll_back();
        }
    }
}
