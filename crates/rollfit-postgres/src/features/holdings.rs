//! What there is of many partitions, in few round trips: their tables, receipts and row counts, some partitions in a snapshot.
//!
//! Invariants: whatever isn't plain (policies, another kind of relation, a table that the role may not read) is looked at partition by
//! partition, as a run does. Whether a table can be written isn't looked at.

use std::collections::HashMap;

use rollfit_job::partition::Partition;
use rollfit_job::store::{Found, Holding, StoreError, TableRows};
use tokio_postgres::types::Type;

use crate::PostgresStore;
use crate::connection::answer_row::{AnswerRow, first_value};
use crate::connection::session::{Session, SqlParameter};
use crate::features::inspect::{LeafContents, found};
use crate::names::TableName;
use crate::tables::stored_receipt::Reading;
use crate::tables::table::describe;

/// The partitions of one snapshot: so many locks on tables and their indexes at once are within what servers allow.
const PARTITIONS_AT_ONCE: usize = 64;

/// A features table as the catalogue has it, with its rows: all of them where they are counted, else whether there are any.
struct StoredLeaf {
    name: TableName,
    columns: Vec<String>,
    /// Whether its rows can be read without a further look.
    is_plain: bool,
    rows: u64,
}

impl PostgresStore {
    /// See [`Sink::holdings`](rollfit_job::store::Sink::holdings).
    pub(super) fn holdings_of(
        &self,
        partitions: &[Partition],
        with_rows: bool,
    ) -> Result<Vec<Result<Holding, StoreError>>, StoreError> {
        self.check_receipts_readable()?;
        let mut holdings = Vec::with_capacity(partitions.len());
        for some in partitions.chunks(PARTITIONS_AT_ONCE) {
            let together = self.in_snapshot(|session| self.holdings_together(session, some, with_rows));
            let together = match together {
                Err(error) if error.is_unconnected() => return Err(error),
                // One table can make a query fail that is about all of them.
                Err(_) => some.iter().map(|_| None).collect(),
                Ok(together) => together,
            };
            for (partition, holding) in some.iter().zip(together) {
                holdings.push(match holding {
                    Some(holding) => Ok(holding),
                    None => match self.in_snapshot(|session| self.holding(session, partition, with_rows)) {
                        Err(error) if error.is_unconnected() => return Err(error),
                        holding => holding,
                    },
                });
            }
        }
        Ok(holdings)
    }

    /// Without receipts every partition would look as if somebody else had written it.
    fn check_receipts_readable(&self) -> Result<(), StoreError> {
        let names = [self.receipts.name.clone(), self.definitions.name.clone()];
        let tables = self.in_snapshot(|session| describe(session, &self.schema, &names))?;
        match names.iter().filter_map(|name| tables.get(name)).find(|table| !table.readable) {
            None => Ok(()),
            Some(table) => Err(StoreError::permanent(format!(
                "the role may not read {}; have the owner GRANT SELECT ON {} to the role",
                table.name,
                table.name.sql()
            ))),
        }
    }

    /// None for partitions with tables that need a look of their own.
    fn holdings_together(
        &self,
        session: &mut Session,
        partitions: &[Partition],
        with_rows: bool,
    ) -> Result<Vec<Option<Holding>>, StoreError> {
        let names: Vec<String> = partitions.iter().flat_map(|partition| self.leaf_names(partition)).collect();
        let mut leaves = self.stored_leaves(session, &names)?;
        count_rows(session, &mut leaves, with_rows)?;
        let ours = [self.receipts.name.clone(), self.definitions.name.clone()];
        let tables = describe(session, &self.schema, &ours)?;
        let outputs: Vec<String> = partitions.iter().map(|partition| self.output_of(partition)).collect();
        let mut readings = match self.receipt_tables(&tables)? {
            Some(receipts) => receipts.read_all(session, &outputs)?,
            None => HashMap::new(),
        };
        let holding = |(partition, output): (&Partition, &String)| {
            let names = self.leaf_names(partition);
            let leaves: Vec<Option<&StoredLeaf>> = names.iter().map(|name| leaves.get(name)).collect();
            let is_plain = leaves.iter().flatten().all(|leaf| leaf.is_plain);
            is_plain.then(|| new_holding(&leaves, readings.remove(output), with_rows))
        };
        Ok(partitions.iter().zip(&outputs).map(holding).collect())
    }

    /// The same of one partition, looked at as a run does.
    fn holding(
        &self,
        session: &mut Session,
        partition: &Partition,
        with_rows: bool,
    ) -> Result<Holding, StoreError> {
        let inspection = self.inspect(session, partition)?;
        inspection.check_emptiness()?;
        let mut rows = Vec::new();
        for seen in inspection.leaves.iter().flatten().filter(|_| with_rows) {
            let name = &seen.leaf.name;
            let sql = format!("SELECT count(*) FROM {}", name.sql());
            let counted = session.rows(&format!("count the rows of {name}"), &sql, &[])?;
            let counted = first_value::<i64>(&counted)?.map_or(0, i64::unsigned_abs);
            rows.push(TableRows { table: name.to_string(), rows: counted });
        }
        let is_void = matches!(inspection.found, Found::Foreign(_)) && inspection.receipt_text.is_some();
        Ok(Holding { found: inspection.found, is_void, rows: with_rows.then_some(rows) })
    }

    /// Returns the tables that have one of these names, by name.
    fn stored_leaves(
        &self,
        session: &mut Session,
        names: &[String],
    ) -> Result<HashMap<String, StoredLeaf>, StoreError> {
        const SQL: &str = "
            SELECT c.relname::text,
                   c.relkind = 'r' AND NOT c.relrowsecurity AND has_table_privilege(c.oid, 'SELECT'),
                   ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = $1 AND c.relname = ANY($2) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";
        let parameters: [SqlParameter<'_>; 2] = [(&self.schema, Type::TEXT), (&names, Type::TEXT_ARRAY)];
        let rows = session.rows("look up tables", SQL, &parameters)?;
        let leaf = |row: &AnswerRow| {
            let name: String = row.get(0)?;
            let table = self.table(&name);
            Ok((name, StoredLeaf { name: table, is_plain: row.get(1)?, columns: row.get(2)?, rows: 0 }))
        };
        rows.iter().map(leaf).collect()
    }
}

/// Counts the rows of each plain table, or finds out whether it has any, all in one query.
fn count_rows(
    session: &mut Session,
    leaves: &mut HashMap<String, StoredLeaf>,
    with_rows: bool,
) -> Result<(), StoreError> {
    let mut plain: Vec<&mut StoredLeaf> = leaves.values_mut().filter(|leaf| leaf.is_plain).collect();
    if plain.is_empty() {
        return Ok(());
    }
    let count = |leaf: &&mut StoredLeaf| match with_rows {
        true => format!("(SELECT count(*) FROM {})", leaf.name.sql()),
        false => format!("(SELECT count(*) FROM (SELECT FROM {} LIMIT 1) one)", leaf.name.sql()),
    };
    let counts: Vec<String> = plain.iter().map(count).collect();
    let sql = format!("SELECT ARRAY[{}]", counts.join(", "));
    let rows = session.rows("count the rows of features tables", &sql, &[])?;
    let counts: Vec<i64> = first_value(&rows)?.unwrap_or_default();
    if counts.len() != plain.len() {
        return Err(StoreError::permanent("the server did not count the rows of all features tables"));
    }
    for (leaf, count) in plain.iter_mut().zip(counts) {
        leaf.rows = count.unsigned_abs();
    }
    Ok(())
}

fn new_holding(leaves: &[Option<&StoredLeaf>], reading: Option<Reading>, with_rows: bool) -> Holding {
    let rows = leaves.iter().flatten();
    let rows = rows.map(|leaf| TableRows { table: leaf.name.to_string(), rows: leaf.rows }).collect();
    let contents: Vec<_> = leaves.iter().map(|leaf| leaf.map(StoredLeaf::contents)).collect();
    let has_receipt = reading.is_some();
    let found = found(&contents, reading.unwrap_or(Reading::Nothing));
    let is_void = has_receipt && matches!(found, Found::Foreign(_));
    Holding { found, is_void, rows: with_rows.then_some(rows) }
}

impl StoredLeaf {
    fn contents(&self) -> LeafContents<'_> {
        LeafContents { name: &self.name, columns: &self.columns, has_rows: self.rows > 0 }
    }
}
