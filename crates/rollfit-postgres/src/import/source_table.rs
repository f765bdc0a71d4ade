//! [`SourceTable`]: a source table that an import writes. Reads its rows, compares them with the wanted ones, and
//! changes those that differ.
//!
//! Invariants: a row that is correct already is not touched, and neither is a column that the import does not write.

use rollfit_job::month::display_instant;
use rollfit_job::store::{FeatureTile, StoreError};

use crate::connection::session::{Session, SqlParameter};
use crate::copy::decode::RowDecoder;
use crate::copy::encode::RowEncoder;
use crate::copy::instant::{ServerInstant, TimeType};
use crate::copy::number_column::NumberColumn;
use crate::failpoint;
use crate::names::{TableName, list, quoted};
use crate::tables::foreign_key::{DoomedRows, check_unreferenced};
use crate::tables::leaf::{Numbers, number_columns, time_column};
use crate::tables::staging::{self, STAGED};
use crate::tables::table::{RelationKind, Table, check_taken};
use crate::tables::trigger::{Trigger, run_deferred};

/// Rows that are prepared at once.
const TILE_ROWS: usize = 1024;

/// The layout shared by the source tables of every key.
pub(crate) struct SourceLayout {
    /// The prefix of the table's name, before the key.
    pub(crate) prefix: &'static str,
    time: &'static str,
    time_type: TimeType,
    columns: &'static [&'static str],
    /// Those of `columns` that rows of other writers may leave out, because they follow from the others.
    optional: &'static [&'static str],
}

/// The index, which series may be derived without.
pub(crate) const RATE_INDEX: &str = "rate_index";

/// The closes and the index.
pub(crate) const M1: SourceLayout = SourceLayout {
    prefix: "m1_",
    time: "time",
    time_type: TimeType::Naive,
    columns: &["close", RATE_INDEX],
    optional: &[RATE_INDEX],
};

/// The backward returns.
pub(crate) const BQX: SourceLayout = SourceLayout {
    prefix: "bqx_",
    time: "ts_utc",
    time_type: TimeType::Zoned,
    columns: &["w15_bqx_return"],
    optional: &[],
};

impl SourceLayout {
    /// Returns whether a table is the one of a key.
    pub(crate) fn is_of(&self, table: &str, key: &str) -> bool {
        table.strip_prefix(self.prefix) == Some(key)
    }

    /// Returns the statement that creates such a table, with `further` columns.
    pub(crate) fn create_sql(&self, name: &TableName, further: &[String]) -> String {
        let numbers = self.columns.iter().map(|column| {
            let not_null = if self.optional.contains(column) { "" } else { " NOT NULL" };
            format!(",\n    {} double precision{not_null}", quoted(column))
        });
        let further = further.iter().map(|column| format!(",\n    {} double precision", quoted(column)));
        format!(
            "CREATE TABLE {} (\n    {} {} NOT NULL PRIMARY KEY{}\n)",
            name.sql(),
            quoted(self.time),
            self.time_type.sql(),
            numbers.chain(further).collect::<String>()
        )
    }
}

/// A source table that can be written.
pub(crate) struct SourceTable {
    pub(crate) name: TableName,
    oid: u32,
    /// The table whose columns are altered: its parent, if it is a partition.
    altered_at: TableName,
    layout: &'static SourceLayout,
    time: TimeType,
    /// The columns of numbers that the import writes: those of the layout, then the further ones.
    columns: Vec<String>,
    numbers: Vec<NumberColumn>,
    /// Whether this transaction created it.
    is_new: bool,
}

/// The rows of a table, in order of time.
pub(crate) struct StoredRows {
    pub(crate) instants: Vec<ServerInstant>,
    /// The columns of numbers; NaN for NULL.
    pub(crate) columns: Vec<Vec<f64>>,
}

/// The rows that a table should have, in order of time.
pub(crate) struct WantedRows<'a> {
    pub(crate) instants_us: &'a [i64],
    pub(crate) columns: &'a [&'a [f64]],
}

impl SourceTable {
    /// Checks the table as found or just created, with `further` columns.
    ///
    /// # Errors
    /// When it is not a table, or a column is missing or cannot hold the values.
    pub(crate) fn new(
        table: &Table,
        layout: &'static SourceLayout,
        further: &[String],
        is_new: bool,
    ) -> Result<Self, StoreError> {
        if matches!(table.kind, RelationKind::Other(_)) {
            return Err(StoreError::permanent(format!(
                "{} is not a table, so bars cannot be imported into it; choose another schema",
                table.name
            )));
        }
        let own = layout.columns.iter().map(ToString::to_string);
        let columns: Vec<String> = own.chain(further.iter().cloned()).collect();
        Ok(Self {
            name: table.name.clone(),
            oid: table.oid,
            altered_at: table.attachment.as_ref().map_or(&table.name, |above| &above.parent).clone(),
            layout,
            time: time_column(table, layout.time)?,
            numbers: number_columns(table, &columns, Numbers::Any)?,
            columns,
            is_new,
        })
    }

    /// Returns the names of the further columns.
    pub(crate) fn further(&self) -> &[String] {
        &self.columns[self.layout.columns.len()..]
    }

    /// Returns the columns that the import writes, the instant first.
    fn list(&self) -> String {
        list(std::iter::once(self.layout.time).chain(self.columns.iter().map(String::as_str)))
    }

    /// Returns all rows.
    pub(crate) fn read(&self, session: &mut Session) -> Result<StoredRows, StoreError> {
        let sql = format!(
            "COPY (SELECT {} FROM {} ORDER BY 1) TO STDOUT (FORMAT binary)",
            self.list(),
            self.name.sql()
        );
        let mut copy = session.copy_out(&format!("read {}", self.name), &sql)?;
        let mut decoder = RowDecoder::new(1 + self.numbers.len());
        let mut rows = StoredRows { instants: Vec::new(), columns: vec![Vec::new(); self.numbers.len()] };
        while let Some(message) = session.receive(&mut copy)? {
            decoder.rows(&message, |mut fields| {
                rows.instants.push(ServerInstant(fields.next_instant()?));
                for (column, number) in rows.columns.iter_mut().zip(&self.numbers) {
                    column.push(fields.next_number(number.format())?.unwrap_or(f64::NAN));
                }
                Ok(())
            })?;
        }
        Ok(rows)
    }

    /// Checks that the column at `column` stores every value exactly.
    pub(crate) fn check_holds(&self, column: usize, wanted: &WantedRows<'_>) -> Result<(), StoreError> {
        let number = self.numbers[column];
        let is_lost = |value: &f64| !number.holds(*value);
        let Some(at) = wanted.columns[column].iter().position(is_lost) else { return Ok(()) };
        let name = &self.columns[column];
        Err(StoreError::permanent(format!(
            "{}: column {name} is {} and cannot hold {} at {}; ALTER TABLE {} ALTER COLUMN {} TYPE {}",
            self.name,
            number.sql(),
            wanted.columns[column][at],
            display_instant(wanted.instants_us[at]),
            self.altered_at.sql(),
            quoted(name),
            NumberColumn::Double.sql()
        )))
    }

    /// Changes the table's rows from `stored` to the wanted ones. Returns whether anything changed.
    pub(crate) fn update(
        &self,
        session: &mut Session,
        stored: &StoredRows,
        wanted: &WantedRows<'_>,
    ) -> Result<bool, StoreError> {
        let deleted = self.delete(session, &gone(stored, wanted))?;
        let mut differing = self.differing(stored, wanted).peekable();
        let differs = differing.peek().is_some();
        if differs {
            match stored.instants.is_empty() {
                true => self.load(session, differing, wanted)?,
                false => self.stage_and_move(session, differing, wanted)?,
            }
        }
        if deleted || differs {
            self.check_written(session, wanted)?;
            failpoint::reach("import-table-written");
            session.execute(&format!("analyze {}", self.name), &format!("ANALYZE {}", self.name.sql()))?;
        }
        Ok(deleted || differs)
    }

    /// If triggers or rules may have changed what was written, checks that the table has exactly the wanted rows.
    fn check_written(&self, session: &mut Session, wanted: &WantedRows<'_>) -> Result<(), StoreError> {
        let triggers = Trigger::on(session, [&self.name])?;
        if triggers.is_empty() {
            return Ok(());
        }
        run_deferred(session)?;
        let stored = self.read(session)?;
        if gone(&stored, wanted).is_empty() && self.differing(&stored, wanted).next().is_none() {
            return Ok(());
        }
        Err(StoreError::permanent(format!(
            "{} does not hold what was written to it; disable or drop its {}",
            self.name,
            Trigger::names(&triggers, &self.name)
        )))
    }

    /// Returns the wanted rows that are missing from the table or differ there.
    fn differing<'a>(
        &'a self,
        stored: &'a StoredRows,
        wanted: &'a WantedRows<'_>,
    ) -> impl Iterator<Item = usize> + 'a {
        let mut at = 0;
        (0..wanted.instants_us.len()).filter(move |&row| {
            let instant = ServerInstant::of_us(wanted.instants_us[row]);
            while stored.instants.get(at).is_some_and(|&stored| Some(stored) < instant) {
                at += 1;
            }
            stored.instants.get(at).copied() != instant || !self.is_same(stored, at, wanted, row)
        })
    }

    /// Returns whether a stored row equals a wanted one after the columns' rounding.
    fn is_same(&self, stored: &StoredRows, at: usize, wanted: &WantedRows<'_>, row: usize) -> bool {
        let mut columns = self.numbers.iter().zip(stored.columns.iter().zip(wanted.columns));
        columns.all(|(number, (stored, wanted))| match number {
            _ if wanted[row].is_nan() => stored[at].is_nan(),
            NumberColumn::Double => stored[at].to_bits() == wanted[row].to_bits(),
            narrower => stored[at] == narrower.round(wanted[row]),
        })
    }

    fn delete(&self, session: &mut Session, instants: &[ServerInstant]) -> Result<bool, StoreError> {
        if instants.is_empty() {
            return Ok(false);
        }
        let (table, time) = (self.name.sql(), quoted(self.layout.time));
        let parameters: [SqlParameter<'_>; 1] = [(&instants, self.time.array())];
        let condition = format!("referenced.{time} = ANY($2)");
        let doomed = DoomedRows { table: &self.name, condition: &condition, parameters: &parameters };
        check_unreferenced(session, self.oid, doomed)?;
        let sql = format!("DELETE FROM {table} WHERE {time} = ANY($1) RETURNING 1");
        let deleted = session.rows(&format!("delete rows of {}", self.name), &sql, &parameters)?.len();
        if deleted == instants.len() {
            return Ok(true);
        }
        Err(StoreError::permanent(format!(
            "{}: {deleted} of {} rows were deleted, a trigger or rule keeps the others; disable or drop it",
            self.name,
            instants.len()
        )))
    }

    /// Writes rows to a table that has none.
    fn load(
        &self,
        session: &mut Session,
        rows: impl Iterator<Item = usize>,
        wanted: &WantedRows<'_>,
    ) -> Result<(), StoreError> {
        // FREEZE is safe: no other session can see the table yet.
        let options = if self.is_new { "FORMAT binary, FREEZE" } else { "FORMAT binary" };
        self.copy(session, &self.name.sql(), options, rows, wanted)?;
        Ok(())
    }

    /// Writes rows into a table that has others.
    fn stage_and_move(
        &self,
        session: &mut Session,
        rows: impl Iterator<Item = usize>,
        wanted: &WantedRows<'_>,
    ) -> Result<(), StoreError> {
        let columns = self.list();
        staging::create(session, &self.name, &columns)?;
        let staged = self.copy(session, STAGED, "FORMAT binary", rows, wanted)?;
        let conflicts =
            format!("ON CONFLICT ({}) DO UPDATE SET {}", quoted(self.layout.time), self.set_sql());
        let doing = format!("write {} by its PRIMARY KEY ({})", self.name, self.layout.time);
        let moved = staging::move_rows(session, &doing, (&self.name, &columns, &conflicts))?;
        check_taken(&self.name, moved, staged)
    }

    fn set_sql(&self) -> String {
        let set = |column: &String| format!("{0} = excluded.{0}", quoted(column));
        self.columns.iter().map(set).collect::<Vec<_>>().join(", ")
    }

    /// Sends rows to a table with the same columns. Returns how many.
    fn copy(
        &self,
        session: &mut Session,
        to: &str,
        options: &str,
        rows: impl Iterator<Item = usize>,
        wanted: &WantedRows<'_>,
    ) -> Result<u64, StoreError> {
        let sql = format!("COPY {to} ({}) FROM STDIN ({options})", self.list());
        let mut copy = session.copy_in(&format!("write rows of {}", self.name), &sql)?;
        let mut encoder = RowEncoder::new(self.numbers.clone());
        let mut tile = Tile::default();
        let (mut sent, mut rows) = (0, rows.peekable());
        while rows.peek().is_some() {
            tile.gather(rows.by_ref().take(TILE_ROWS), wanted);
            sent += tile.instants_us.len() as u64;
            encoder.add(tile.as_features(), |bytes| session.send(&mut copy, bytes))?;
        }
        session.send(&mut copy, encoder.finish())?;
        failpoint::reach("import-copying");
        check_taken(&self.name, session.finish(copy)?, sent)?;
        Ok(sent)
    }
}

/// Returns the instants of stored rows that are not wanted, because the bars before them were removed.
fn gone(stored: &StoredRows, wanted: &WantedRows<'_>) -> Vec<ServerInstant> {
    let is_wanted =
        |instant: ServerInstant| instant.us().is_some_and(|us| wanted.instants_us.binary_search(&us).is_ok());
    stored.instants.iter().copied().filter(|&instant| !is_wanted(instant)).collect()
}

/// Rows on their way to the encoder.
#[derive(Default)]
struct Tile {
    instants_us: Vec<i64>,
    values: Vec<f64>,
    rows: Vec<usize>,
}

impl Tile {
    fn gather(&mut self, rows: impl Iterator<Item = usize>, wanted: &WantedRows<'_>) {
        self.rows.clear();
        self.rows.extend(rows);
        self.instants_us.clear();
        self.instants_us.extend(self.rows.iter().map(|&row| wanted.instants_us[row]));
        self.values.clear();
        for column in wanted.columns {
            self.values.extend(self.rows.iter().map(|&row| column[row]));
        }
    }

    fn as_features(&self) -> FeatureTile<'_> {
        FeatureTile { instants_us: &self.instants_us, first_column: 0, values: &self.values }
    }
}
