//! The rows of a deployed table beside those of its fits: none may be lost.

use rollfit_job::config::TIME_COLUMN;
use rollfit_job::few::few;
use rollfit_job::store::StoreError;

use super::exchange::{Exchange, Replaced};
use super::notes::Notes;
use super::relation::Relation;
use crate::connection::session::Session;
use crate::names::{TableName, quoted};

/// How the rows of a deployed table and those of its fits differ.
struct RowsBeside {
    deployed: i64,
    fits: i64,
    /// Rows of the deployed table at instants that the fits lack, with the first and the last of these.
    lost: i64,
    first: Option<String>,
    last: Option<String>,
}

/// The query for [`RowsBeside`]; in sessions in UTC.
pub(super) fn comparison_sql(deployed: &str, fits: &str) -> String {
    let time = quoted(TIME_COLUMN);
    format!(
        "SELECT (SELECT count(*) FROM {deployed}), (SELECT count(*) FROM {fits}), count(*), min(d.at)::text, max(d.at)::text \
         FROM (SELECT {time}::timestamp FROM {deployed}) d(at) \
         WHERE NOT EXISTS (SELECT FROM (SELECT {time}::timestamp FROM {fits}) f(at) WHERE f.at = d.at)"
    )
}

/// Checks that readers find every row of the deployed tables in the views, and notes where they find more.
///
/// # Errors
/// When rows would be lost.
pub(super) fn check_rows(
    session: &mut Session,
    exchanges: &[Exchange],
    notes: &mut Notes,
) -> Result<(), StoreError> {
    let mut losses = Vec::new();
    for Replaced { table, fits } in exchanges.iter().flat_map(|exchange| &exchange.tables) {
        check_time_column(table)?;
        let rows = compare(session, &table.name, fits)?;
        match rows.loss(&table.name, fits) {
            Some(loss) => losses.push(loss),
            None if rows.fits > rows.deployed => {
                notes.add_more_rows(&format!("{} ({})", table.name.name, rows.fits - rows.deployed));
            }
            None => {}
        }
    }
    if losses.is_empty() {
        return Ok(());
    }
    Err(StoreError::permanent(format!(
        "not ready to switch: readers would lose rows: {}; `rollfit run` adds those that the source has, and `rollfit plan` says \
         what else keeps it from that. Delete the others from the deployed table if nobody needs them",
        few(losses)
    )))
}

fn check_time_column(table: &Relation) -> Result<(), StoreError> {
    if table.columns.iter().any(|(column, _)| column == TIME_COLUMN) {
        return Ok(());
    }
    Err(StoreError::permanent(format!(
        "not ready to switch: {} has no column {TIME_COLUMN}, so it is not a table of features: rename it",
        table.name
    )))
}

fn compare(session: &mut Session, deployed: &TableName, fits: &TableName) -> Result<RowsBeside, StoreError> {
    let query = comparison_sql(&deployed.sql(), &fits.sql());
    let rows = session.rows(&format!("compare the rows of {deployed} and {fits}"), &query, &[])?;
    let Some(row) = rows.first() else {
        return Err(StoreError::permanent("the server returned no count of rows"));
    };
    Ok(RowsBeside {
        deployed: row.get(0)?,
        fits: row.get(1)?,
        lost: row.get(2)?,
        first: row.get(3)?,
        last: row.get(4)?,
    })
}

impl RowsBeside {
    fn loss(&self, deployed: &TableName, fits: &TableName) -> Option<String> {
        if let (Some(first), Some(last)) = (&self.first, &self.last)
            && self.lost > 0
        {
            return Some(format!(
                "{} of {} of {deployed}, from {first} to {last}, are not in {fits}",
                self.lost, self.deployed
            ));
        }
        let more = self.lost.max(self.deployed - self.fits);
        (more > 0).then(|| format!("{deployed} has {more} rows more than {fits}"))
    }
}
