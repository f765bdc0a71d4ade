//! [`AddedRows`]: the rows that one table gets: few in one INSERT, many by COPY, in the same bytes. An INSERT waits until the rows of
//! all tables are there, so that it goes with the receipt.

use bytes::Bytes;
use rollfit_job::activity::Activity;
use rollfit_job::store::{FeatureTile, StoreError};
use tokio_postgres::types::Type;

use crate::connection::pool::PooledSession;
use crate::connection::session::{CopyIn, Request, SqlParameter};
use crate::copy::binary_field::BinaryField;
use crate::copy::encode::RowEncoder;
use crate::names::TableName;
use crate::tables::leaf::Leaf;

/// The most rows of one INSERT. A COPY needs three round trips more, and costs less for each row.
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

    /// Makes rows the next ones, which come after all others.
    pub(super) fn expect(&mut self, tile: &FeatureTile<'_>) -> Result<(), StoreError> {
        self.check_order(tile.instants_us)?;
        self.rows += tile.rows() as u64;
        Ok(())
    }

    /// Whether the rows are too many for an INSERT, and no COPY was started.
    pub(super) fn needs_copy(&self) -> bool {
        let are_few =
            self.rows <= INSERT_ROWS_MAX && self.rows * self.types.len() as u64 <= INSERT_VALUES_MAX;
        self.copy.is_none() && !are_few
    }

    /// Sends the rows by a COPY from now on.
    pub(super) fn begin_copy(
        &mut self,
        mut copy: CopyIn,
        session: &mut PooledSession,
    ) -> Result<(), StoreError> {
        for bytes in self.held.drain(..) {
            session.send(&mut copy, bytes)?;
        }
        self.copy = Some(copy);
        Ok(())
    }

    /// Adds the rows that were expected.
    pub(super) fn add(
        &mut self,
        tile: FeatureTile<'_>,
        session: &mut PooledSession,
    ) -> Result<(), StoreError> {
        let (copy, held) = (&mut self.copy, &mut self.held);
        self.encoder.add(tile, |bytes| match copy {
            Some(copy) => session.send(copy, bytes),
            None => {
                held.push(bytes);
                Ok(())
            }
        })
    }

    /// Ends the rows: those of a COPY are sent, others are kept.
    pub(super) fn end(mut self, session: &mut PooledSession) -> Result<EndedRows, StoreError> {
        let rest = self.encoder.finish();
        let Self { series, table, columns, types, rows, mut held, copy, .. } = self;
        let way = match copy {
            Some(mut copy) => {
                session.send(&mut copy, rest)?;
                Way::Copy(copy)
            }
            None => {
                held.push(rest);
                Way::Insert(HeldRows { columns, types, bytes: held.concat() })
            }
        };
        Ok(EndedRows { series, table, rows, bytes: self.encoder.bytes(), way })
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

/// All rows that one table gets. What the server makes of them is not known yet.
pub(super) struct EndedRows {
    pub(super) series: usize,
    pub(super) table: TableName,
    pub(super) rows: u64,
    /// The bytes that they take.
    pub(super) bytes: u64,
    pub(super) way: Way,
}

/// How rows get into their table.
pub(super) enum Way {
    Copy(CopyIn),
    Insert(HeldRows),
}

/// The rows of an INSERT.
pub(super) struct HeldRows {
    columns: String,
    types: Vec<Type>,
    bytes: Vec<u8>,
}

impl HeldRows {
    pub(super) fn memory_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Returns the values, row by row.
    pub(super) fn values(&self) -> Vec<BinaryField<'_>> {
        BinaryField::from_copy(&self.bytes)
    }

    /// Returns the statement that writes them.
    pub(super) fn request<'a>(&self, table: &TableName, values: &'a [BinaryField<'a>]) -> Request<'a> {
        let types = self.types.iter().cycle();
        let parameters: Vec<SqlParameter<'_>> =
            values.iter().zip(types).map(|(value, of_type)| (value as _, of_type.clone())).collect();
        let row = |first: usize| {
            let places = (first + 1..=first + self.types.len()).map(|place| format!("${place}"));
            format!("({})", places.collect::<Vec<_>>().join(", "))
        };
        let rows: Vec<String> = (0..parameters.len()).step_by(self.types.len()).map(row).collect();
        let sql =
            format!("INSERT INTO {} ({}) VALUES {} RETURNING 1", table.sql(), self.columns, rows.join(", "));
        Request::query(format!("write {table}"), sql, parameters).counted_as(Activity::Sending)
    }
}
