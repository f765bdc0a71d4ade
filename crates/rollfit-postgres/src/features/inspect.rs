//! [`Inspection`]: the state of a partition in one snapshot: its tables, their rows and its receipt.

use rollfit_job::config::TIME_COLUMN;
use rollfit_job::partition::Partition;
use rollfit_job::period::Period;
use rollfit_job::receipt::{Receipt, SeriesDefinition};
use rollfit_job::store::{Found, StoreError};

use crate::PostgresStore;
use crate::connection::session::Session;
use crate::copy::instant::ServerInstant;
use crate::features::partition_look::{LeafSpan, PartitionLook, spans_sql};
use crate::names::TableName;
use crate::tables::applied_policies::AppliedPolicies;
use crate::tables::leaf::Leaf;
use crate::tables::row_security::Accepting;
use crate::tables::stored_receipt::{Reading, ReceiptTables, StoredReceipt};
use crate::tables::table::{Table, describe};

/// The stored state of a partition.
#[derive(Debug)]
pub(crate) struct Inspection {
    /// The features table of each series, if it exists.
    pub(crate) leaves: Vec<Option<InspectedLeaf>>,
    pub(crate) found: Found,
    /// The receipt as the server prints it, whether or not it counts.
    pub(crate) receipt_text: Option<String>,
}

/// A features table and its rows.
#[derive(Debug)]
pub(crate) struct InspectedLeaf {
    pub(crate) oid: u32,
    pub(crate) leaf: Leaf,
    /// The first and the last instant, if there are rows.
    pub(crate) span: Option<(ServerInstant, ServerInstant)>,
    /// The policies that apply to the role, if any.
    pub(crate) policies: Option<AppliedPolicies>,
    columns: Vec<String>,
}

impl Inspection {
    /// Checks that tables without visible rows have none.
    ///
    /// # Errors
    /// When policies may hide them.
    pub(crate) fn check_emptiness(&self) -> Result<(), StoreError> {
        for seen in self.leaves.iter().flatten().filter(|seen| seen.span.is_none()) {
            seen.policies.as_ref().map_or(Ok(()), |policies| policies.check_writable(&seen.leaf.name))?;
        }
        Ok(())
    }
}

impl PostgresStore {
    /// Inspects a partition.
    ///
    /// # Errors
    /// When a table cannot be written as it is, holds rows of another month, or may hide rows.
    pub(crate) fn inspect(
        &self,
        session: &mut Session,
        partition: &Partition,
    ) -> Result<Inspection, StoreError> {
        self.inspect_with(session, partition, &mut PartitionLook::default())
    }

    /// Inspects a partition with the answers of a look. What is not among them is asked.
    ///
    /// # Errors
    /// As [`PostgresStore::inspect`].
    pub(crate) fn inspect_with(
        &self,
        session: &mut Session,
        partition: &Partition,
        look: &mut PartitionLook,
    ) -> Result<Inspection, StoreError> {
        let names = self.leaf_names(partition);
        let tables = match look.tables.take() {
            Some(tables) => tables,
            None => {
                let ours = [self.receipts.name.clone(), self.definitions.name.clone()];
                let asked: Vec<String> = names.iter().cloned().chain(ours).collect();
                describe(session, &self.schema, &asked)?
            }
        };
        let receipts = self.receipt_tables(&tables)?;
        let tables: Vec<Option<&Table>> = names.iter().map(|name| tables.get(name)).collect();
        let leaves = self.leaves(session, &tables, partition, look)?;
        let stored = match receipts {
            Some(receipts) => self.stored_receipt(session, &receipts, partition, look)?,
            None => None,
        };
        let (receipt_text, reading) = match stored {
            Some(StoredReceipt { text, reading, .. }) => (Some(text), reading),
            None => (None, Reading::Nothing),
        };
        let contents: Vec<_> = leaves.iter().map(|seen| seen.as_ref().map(InspectedLeaf::contents)).collect();
        Ok(Inspection { found: found(&contents, reading), leaves, receipt_text })
    }

    /// Returns the receipt of a partition, if there is one.
    fn stored_receipt(
        &self,
        session: &mut Session,
        receipts: &ReceiptTables<'_>,
        partition: &Partition,
        look: &mut PartitionLook,
    ) -> Result<Option<StoredReceipt>, StoreError> {
        let (output, sql) = (self.output_of(partition), receipts.select());
        self.expectations.note_receipt_query(&sql);
        match look.take_receipt(&sql) {
            Some(row) => row.map_or(Ok(None), |row| receipts.stored(&output, &row)),
            None => receipts.read(session, &output),
        }
    }

    fn leaves(
        &self,
        session: &mut Session,
        tables: &[Option<&Table>],
        partition: &Partition,
        look: &mut PartitionLook,
    ) -> Result<Vec<Option<InspectedLeaf>>, StoreError> {
        let mut leaves = Vec::new();
        let mut row_bytes = 0;
        for (at, table) in tables.iter().enumerate() {
            let Some(table) = table else {
                let leaf = self.prospect(session, at, partition)?;
                self.check_row(session, &leaf)?;
                row_bytes += leaf.row_bytes();
                leaves.push(None);
                continue;
            };
            self.check_row_security(table, Accepting::Sink)?;
            let series = &self.series[at];
            let leaf = match Leaf::new(table, series) {
                Ok(leaf) => leaf,
                Err(defect) => {
                    let later = tables[at + 1..].iter().zip(&self.series[at + 1..]);
                    let later = later.filter_map(|(table, series)| Leaf::new((*table)?, series).err());
                    return Err(self.all_refused(session, &defect, later));
                }
            };
            self.check_placement(session, (table, &leaf), series, partition, look.take_above(table))?;
            self.check_row(session, &leaf)?;
            row_bytes += leaf.row_bytes();
            let span = match look.span(&leaf.name)? {
                Some(span) => span,
                None => span(session, &leaf.name)?,
            };
            leaves.push(Some(InspectedLeaf::new(leaf, table, span, partition.period)?));
        }
        self.catalog.note_row_bytes(partition, row_bytes);
        Ok(leaves)
    }

    /// Checks that the missing tables of a partition can be created where they belong.
    ///
    /// # Errors
    /// Those of [`PostgresStore::prospect`].
    pub(crate) fn check_prospects(
        &self,
        session: &mut Session,
        partition: &Partition,
    ) -> Result<(), StoreError> {
        let missing = vec![None; self.series.len()];
        self.leaves(session, &missing, partition, &mut PartitionLook::default()).map(drop)
    }

    /// Returns the names of the tables of a partition.
    pub(crate) fn leaf_names(&self, partition: &Partition) -> Vec<String> {
        self.series.iter().map(|series| series.features_table(partition)).collect()
    }

    /// Returns the output of a partition: the names of its tables.
    pub(crate) fn output_of(&self, partition: &Partition) -> String {
        let tables = self.series.iter().map(|series| self.table(&series.features_table(partition)).sql());
        tables.collect::<Vec<_>>().join(", ")
    }
}

impl InspectedLeaf {
    /// # Errors
    /// When a row has no instant, so it belongs to no month, or one of another month.
    fn new(leaf: Leaf, table: &Table, span: LeafSpan, period: Period) -> Result<Self, StoreError> {
        if span.lacks_instants {
            return Err(StoreError::permanent(format!(
                "{} holds rows whose {TIME_COLUMN} is NULL; give them an instant or remove them: rollfit would not keep them",
                leaf.name
            )));
        }
        let span = span.first.zip(span.last);
        if let Some((first, last)) = span {
            check_period(&leaf.name, [first, last], period)?;
        }
        let columns = table.columns.iter().map(|column| column.name.clone()).collect();
        Ok(Self { oid: table.oid, leaf, span, policies: table.policies.clone(), columns })
    }
}

/// Returns the first and the last instant of a table.
fn span(session: &mut Session, table: &TableName) -> Result<LeafSpan, StoreError> {
    let sql = spans_sql(std::slice::from_ref(table));
    let rows = session.rows(&format!("read {table}"), &sql, &[])?;
    let row = rows.first().ok_or_else(|| StoreError::permanent(format!("{table} did not answer")))?;
    LeafSpan::from_row(row, 0)
}

/// Checks for rows of another month: they would be deleted with the others, but rollfit did not write them.
fn check_period(table: &TableName, instants: [ServerInstant; 2], period: Period) -> Result<(), StoreError> {
    let inside = |instant: ServerInstant| instant.us().is_some_and(|us| period.span_us().contains(&us));
    match instants.into_iter().find(|&instant| !inside(instant)) {
        None => Ok(()),
        Some(outside) => Err(StoreError::permanent(format!(
            "{table} holds rows outside {period}, such as {outside}; move them elsewhere: rollfit would not keep them"
        ))),
    }
}

/// What a features table holds, as far as receipts are held against it.
#[derive(Clone, Copy)]
pub(super) struct LeafContents<'a> {
    pub(super) name: &'a TableName,
    pub(super) columns: &'a [String],
    pub(super) has_rows: bool,
}

/// What there is of a partition with these tables and this receipt.
pub(super) fn found(leaves: &[Option<LeafContents<'_>>], reading: Reading) -> Found {
    let with_rows = leaves.iter().flatten().find(|leaf| leaf.has_rows);
    let void_because = |cause| Found::Foreign(format!("the receipt is void: {cause}"));
    match (reading, with_rows) {
        // A later version may keep rows elsewhere: its receipt counts whatever the tables hold.
        (Reading::Newer(what), _) => Found::Newer(what),
        (_, None) => Found::Nothing,
        (Reading::Nothing, Some(leaf)) => {
            Found::Foreign(format!("{} holds rows without a rollfit receipt", leaf.name))
        }
        (Reading::Void(cause), Some(_)) => void_because(cause),
        (Reading::Receipt(receipt), Some(_)) => {
            void(leaves, &receipt).map_or(Found::Ours(receipt), void_because)
        }
    }
}

/// Returns why a receipt does not match the tables as they are.
fn void(leaves: &[Option<LeafContents<'_>>], receipt: &Receipt) -> Option<String> {
    let definitions = &receipt.definition.series;
    if definitions.len() != leaves.len() {
        return Some("it is of other series".to_owned());
    }
    definitions.iter().zip(leaves).find_map(|(definition, leaf)| match leaf {
        None => Some(format!("the table of series {} is gone", definition.name)),
        Some(leaf) => leaf.contradicts(definition, receipt.stored.rows),
    })
}

impl InspectedLeaf {
    fn contents(&self) -> LeafContents<'_> {
        LeafContents { name: &self.leaf.name, columns: &self.columns, has_rows: self.span.is_some() }
    }
}

impl LeafContents<'_> {
    fn contradicts(&self, definition: &SeriesDefinition, rows: u64) -> Option<String> {
        let name = self.name;
        let absent = definition.stored_columns().iter().find(|column| !self.columns.contains(column));
        match absent {
            Some(column) => Some(format!("{name} has no column {column}")),
            None if !self.has_rows && rows > 0 => Some(format!("{name} is empty")),
            None => None,
        }
    }
}
