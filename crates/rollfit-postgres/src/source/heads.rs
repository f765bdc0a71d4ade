//! The last instants of many series in one round trip, however many tables they are in. One of which something is wrong is asked by
//! itself from then on, so that the others keep being one round trip.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use rollfit_job::lock::lock;
use rollfit_job::store::{Fault, SeriesHead, SeriesOfKey, StoreError};

use crate::PostgresStore;
use crate::connection::session::TransactionSettings;
use crate::copy::instant::ServerInstant;
use crate::source::SeriesTable;

/// How many tables one statement asks: the server answers with at most 1,664 columns, and plans each.
const TABLES_MAX: usize = 500;
/// How long to wait for a table that somebody has locked: all others wait too.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// The tables whose last instant could not be found out the last time.
#[derive(Default)]
pub(crate) struct FailedTables(Mutex<HashSet<String>>);

type Head = Result<SeriesHead, StoreError>;

/// A series that is asked for its head, and where the head goes.
struct Asked<'a> {
    at: usize,
    series: &'a SeriesOfKey<'a>,
    table: SeriesTable,
}

impl FailedTables {
    fn contains(&self, name: &str) -> bool {
        lock(&self.0).contains(name)
    }

    fn insert(&self, name: &str) {
        lock(&self.0).insert(name.to_owned());
    }

    fn remove(&self, name: &str) {
        lock(&self.0).remove(name);
    }
}

impl PostgresStore {
    /// Returns the head of each of `series`.
    pub(super) fn last_instants(&self, series: &[SeriesOfKey<'_>]) -> Result<Vec<Head>, StoreError> {
        let mut heads: Vec<(usize, Head)> = Vec::with_capacity(series.len());
        let asked = self.asked(series.iter().enumerate(), &mut heads)?;
        let is_alone = |asked: &Asked<'_>| self.failed_tables.contains(&asked.series.table);
        let (alone, together): (Vec<_>, Vec<_>) = asked.into_iter().partition(is_alone);
        for asked in together.chunks(TABLES_MAX) {
            self.ask_together(asked, &mut heads)?;
        }
        for asked in &alone {
            self.ask_apart(std::slice::from_ref(asked), &mut heads)?;
        }
        heads.sort_by_key(|(at, _)| *at);
        Ok(heads.into_iter().map(|(_, head)| head).collect())
    }

    /// Returns the series whose tables can be asked; the heads of the others are errors.
    fn asked<'a>(
        &self,
        series: impl Iterator<Item = (usize, &'a SeriesOfKey<'a>)>,
        heads: &mut Vec<(usize, Head)>,
    ) -> Result<Vec<Asked<'a>>, StoreError> {
        let (places, series): (Vec<usize>, Vec<&SeriesOfKey<'_>>) = series.unzip();
        let tables = self.described_sources(&series)?;
        let mut asked = Vec::new();
        for ((at, series), table) in places.into_iter().zip(series).zip(tables) {
            match table {
                Ok(table) => asked.push(Asked { at, series, table }),
                Err(error) => heads.push((at, Err(error))),
            }
        }
        Ok(asked)
    }

    fn ask_together(&self, asked: &[Asked<'_>], heads: &mut Vec<(usize, Head)>) -> Result<(), StoreError> {
        match self.ask(asked) {
            Ok(found) => heads.extend(found),
            Err(error) if error.is_unconnected() => return Err(error),
            Err(error) if error.fault() == Fault::Permanent => {
                // A table may have gone, or become another one.
                self.source_tables.forget(asked.iter().map(|asked| asked.series.table.as_str()));
                let again = asked.iter().map(|asked| (asked.at, asked.series));
                let again = self.asked(again, heads)?;
                self.ask_apart(&again, heads)?;
            }
            Err(_) => self.ask_apart(asked, heads)?,
        }
        Ok(())
    }

    /// Asks them, and where that fails, each half by itself.
    fn ask_apart(&self, asked: &[Asked<'_>], heads: &mut Vec<(usize, Head)>) -> Result<(), StoreError> {
        match (self.ask(asked), asked) {
            (Ok(found), _) => {
                asked.iter().for_each(|asked| self.failed_tables.remove(&asked.series.table));
                heads.extend(found);
            }
            (Err(error), _) if error.is_unconnected() => return Err(error),
            (Err(error), [one]) => {
                self.failed_tables.insert(&one.series.table);
                self.source_tables.forget([one.series.table.as_str()]);
                heads.push((one.at, Err(error)));
            }
            (Err(_), several) => {
                let (first, second) = several.split_at(several.len() / 2);
                self.ask_apart(first, heads)?;
                self.ask_apart(second, heads)?;
            }
        }
        Ok(())
    }

    /// Asks all of them in one statement.
    fn ask(&self, asked: &[Asked<'_>]) -> Result<Vec<(usize, Head)>, StoreError> {
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let lasts: Vec<String> = asked.iter().map(|asked| format!("({})", asked.table.last_sql())).collect();
        let doing = match asked {
            [one] => format!("read the last row of {}", one.table.name),
            several => format!("read the last rows of {} tables", several.len()),
        };
        let settings = TransactionSettings { lock: LOCK_TIMEOUT, ..self.settings };
        let sql = format!("SELECT {}", lasts.join(", "));
        let rows = self.pool.session()?.rows_at_once(&settings, &doing, &sql, &[])?;
        let row = rows.first().ok_or_else(|| StoreError::permanent("the server did not answer"))?;
        let head = |(column, asked): (usize, &Asked<'_>)| {
            let last: Option<ServerInstant> = row.get(column)?;
            let last_us = last.map(|last| asked.table.finite_us(last)).transpose();
            Ok((asked.at, last_us.map(|last_us| SeriesHead { last_us, stamp: 0 })))
        };
        asked.iter().enumerate().map(head).collect()
    }
}
