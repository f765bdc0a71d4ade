//! [`AddedRows`]: the rows that one table gets: few in one INSERT, many by COPY, in the same bytes.

use bytes::Bytes;
use rollfit_job::store::{FeatureTile, StoreError};
use tokio_postgres::types::Type;

use crate::connection::pool::PooledSession;
use crate::connection::session::{CopyIn, SqlParameter};
use crate::copy::binary_field::BinaryField;
use crate::copy::encode::RowEncoder;
use crate::names::TableName;
use crate::tables::leaf::Leaf;
use crate::tables::table::check_taken;

/// The most rows of one INSERT. A COPY needs two round trips more, and costs less for each row.
const INSERT_ROWS_MAX: u64 = 32;
/// The most values of one INSERT. The server takes at most 65,535.
const INSERT_VALUES_MAX: u64 = 32_000;

/// Rows of one table on their way to the server.
pub(super) struct AddedRows {
    series: usize,
    table: TableName,
    /// The written columns, in SQL.
    columns: String,
    types: Vec<Type>,
    encoder: RowEncoder,
    rows: u64,
    /// The instant after which the next row comes.
    after_us: Option<i64>,
    /// The bytes that are not sent, while the rows are few.
    held: Vec<Bytes>,
    copy: Option<CopyIn>,
}

impl AddedRows {
    /// Starts with the table `leaf` of a series, whose last row is of `after_us`.
    pub(super) fn new(series: usize, leaf: &Leaf, columns: String, after_us: Option<i64>) -> Self {
        let numbers = leaf.features.iter().map(|number| number.scalar());
        Self {
            series,
            table: leaf.name.clone(),
            columns,
            types: std::iter::once(leaf.time.scalar()).chain(numbers).collect(),
            encoder: RowEncoder::new(leaf.features.clone()),
            rows: 0,
            after_us,
            held: Vec::new(),
            copy: None,
        }
    }

    pub(super) fn series(&self) -> usize {
        self.series
    }

    pub(super) fn bytes(&self) -> u64 {
        self.encoder.bytes()
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        self.encoder.memory_bytes() + self.held.iter().map(|bytes| bytes.len() as u64).sum::<u64>()
    }

    /// Adds rows that come after all others.
    pub(super) fn add(
        &mut self,
        tile: FeatureTile<'_>,
        session: &mut PooledSession,
    ) -> Result<(), StoreError> {
        self.check_order(tile.instants_us)?;
        self.rows += tile.rows() as u64;
        if self.copy.is_none() && !self.are_few() {
            self.start_copy(session)?;
        }
        let (copy, held) = (&mut self.copy, &mut self.held);
        self.encoder.add(tile, |bytes| match copy {
            Some(copy) => session.send(copy, bytes),
            None => {
                held.push(bytes);
                Ok(())
            }
        })
    }

    /// Ends the table. Returns its new rows, and the bytes that they took.
    pub(super) fn finish(mut self, session: &mut PooledSession) -> Result<(u64, u64), StoreError> {
        let rest = self.encoder.finish();
        let stored = match self.copy.take() {
            Some(mut copy) => {
                session.send(&mut copy, rest)?;
                session.finish(copy)?
            }
            None => {
                self.held.push(rest);
                self.insert(session)?
            }
        };
        check_taken(&self.table, stored, self.rows)?;
        Ok((self.rows, self.encoder.bytes()))
    }

    fn are_few(&self) -> bool {
        self.rows <= INSERT_ROWS_MAX && self.rows * self.types.len() as u64 <= INSERT_VALUES_MAX
    }

    fn start_copy(&mut self, session: &mut PooledSession) -> Result<(), StoreError> {
        let sql = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", self.table.sql(), self.columns);
        let mut copy = session.copy_in(&self.doing(), &sql)?;
        for bytes in self.held.drain(..) {
            session.send(&mut copy, bytes)?;
        }
        self.copy = Some(copy);
        Ok(())
    }

    /// Writes the held rows in one statement. Returns how many the table took.
    fn insert(&self, session: &mut PooledSession) -> Result<u64, StoreError> {
        let bytes = self.held.concat();
        let fields = BinaryField::from_copy(&bytes);
        let types = self.types.iter().cycle();
        let parameters: Vec<SqlParameter<'_>> =
            fields.iter().zip(types).map(|(field, of_type)| (field as _, of_type.clone())).collect();
        let row = |first: usize| {
            let places = (first + 1..=first + self.types.len()).map(|place| format!("${place}"));
            format!("({})", places.collect::<Vec<_>>().join(", "))
        };
        let rows: Vec<String> = (0..parameters.len()).step_by(self.types.len()).map(row).collect();
        let sql = format!(
            "INSERT INTO {} ({}) VALUES {} RETURNING 1",
            self.table.sql(),
            self.columns,
            rows.join(", ")
        );
        Ok(session.rows(&self.doing(), &sql, &parameters)?.len() as u64)
    }

    fn doing(&self) -> String {
        format!("write {}", self.table)
    }

    /// Checks that instants rise, from the last row that is there.
    ///
    /// # Errors
    /// When they do not, which would be a defect of rollfit.
    fn check_order(&mut self, instants_us: &[i64]) -> Result<(), StoreError> {
        for &instant_us in instants_us {
            if self.after_us.is_some_and(|after_us| instant_us <= after_us) {
                return Err(StoreError::permanent(format!(
                    "{}: the rows to add do not come after those that are there; please report this bug in rollfit",
                    self.table
                )));
            }
            self.after_us = Some(instant_us);
        }
        Ok(())
    }
}
