//! The last instants of many series in one round trip, however many tables they are in. One of which something is wrong is asked by
//! itself from then on, so that the others keep being one round trip.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use rollfit_job::lock::lock;
use rollfit_job::store::{Fault, SeriesHead, SeriesOfKey, StoreError};

use crate::PostgresStore;
use crate::connection::session::TransactionSettings;
use crate::copy::instant::ServerInstant;
use crate::source::SeriesTable;
use crate::source::key_rows::KeyRows;

/// How many tables one statement asks, a table of several keys once for each: the server answers with at most 1,664 columns, and plans and locks each.
const TABLES_MAX: usize = 500;
/// As how many tables a partitioned one counts whose last instant isn't known: each of its partitions is locked then.
const PARTITIONS: usize = 100;
/// How long to wait for a table that somebody has locked: all others wait too.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);
/// How long once a table has failed: while it is found out which one, and at each look from then on.
const LOCK_TIMEOUT_APART: Duration = Duration::from_millis(100);

/// What the last looks have shown.
#[derive(Default)]
pub(crate) struct SeenHeads(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// The tables that could not be asked the last time.
    failed: HashSet<String>,
    /// The last instants: the server need not look into partitions before them.
    lasts_us: HashMap<HeadName, i64>,
}

/// A table, a time column, and the rows of the table that are meant.
type HeadName = (String, String, Option<KeyRows>);

type Head = Result<SeriesHead, StoreError>;

/// A table, or the rows of a key there, and a time column, asked for its last instant: the head of all series that have both.
struct Asked<'a> {
    name: &'a str,
    head: HeadName,
    /// The series, and where their heads go.
    series: Vec<(usize, &'a SeriesOfKey<'a>)>,
    table: SeriesTable,
    /// The last instant that was seen.
    since_us: Option<i64>,
}

impl SeenHeads {
    fn has_failed(&self, table: &str) -> bool {
        lock(&self.0).failed.contains(table)
    }

    fn note_failed(&self, table: &str, has_failed: bool) {
        let failed = &mut lock(&self.0).failed;
        if has_failed {
            failed.insert(table.to_owned())
        } else {
            failed.remove(table)
        };
    }

    fn last_us(&self, name: &HeadName) -> Option<i64> {
        lock(&self.0).lasts_us.get(name).copied()
    }

    fn note_last(&self, name: HeadName, last_us: Option<i64>) {
        let lasts_us = &mut lock(&self.0).lasts_us;
        match last_us {
            Some(last_us) => lasts_us.insert(name, last_us),
            None => lasts_us.remove(&name),
        };
    }
}

fn head_name(series: &SeriesOfKey<'_>, table: &SeriesTable) -> HeadName {
    (series.table.clone(), series.time.to_owned(), table.key_rows.clone())
}

impl Asked<'_> {
    fn weight(&self) -> usize {
        if self.table.is_partitioned && self.since_us.is_none() { PARTITIONS } else { 1 }
    }

    /// The heads of its series.
    fn heads(&self, last_us: Result<Option<i64>, StoreError>) -> Vec<(usize, Head)> {
        let head = last_us.map(|last_us| SeriesHead { last_us, stamp: 0 });
        let again = || match &head {
            Ok(head) => Ok(head.clone()),
            Err(error) => Err(StoreError::new(error.fault(), error.to_string())),
        };
        let mut heads: Vec<(usize, Head)> =
            self.series.iter().skip(1).map(|(at, _)| (*at, again())).collect();
        heads.extend(self.series.first().map(|(at, _)| (*at, head)));
        heads
    }
}

/// Returns them in pieces that one statement can ask.
fn statements<'a, 'b>(mut asked: &'a [Asked<'b>]) -> Vec<&'a [Asked<'b>]> {
    let mut pieces = Vec::new();
    while !asked.is_empty() {
        let mut weight = 0;
        let fits = |asked: &&Asked<'_>| {
            weight += asked.weight();
            weight <= TABLES_MAX
        };
        let (piece, rest) = asked.split_at(asked.iter().take_while(fits).count().max(1));
        pieces.push(piece);
        asked = rest;
    }
    pieces
}

/// Returns where a table ends, near the middle; none where all are of one table.
fn middle(asked: &[Asked<'_>]) -> Option<usize> {
    let ends = (1..asked.len()).filter(|&at| asked[at - 1].name != asked[at].name);
    ends.min_by_key(|at| at.abs_diff(asked.len() / 2))
}

impl PostgresStore {
    /// Returns the head of each of `series`.
    pub(super) fn last_instants(&self, series: &[SeriesOfKey<'_>]) -> Result<Vec<Head>, StoreError> {
        let mut heads: Vec<(usize, Head)> = Vec::with_capacity(series.len());
        let asked = self.asked(series.iter().enumerate(), &mut heads)?;
        let is_alone = |asked: &Asked<'_>| self.seen_heads.has_failed(asked.name);
        let (alone, together): (Vec<_>, Vec<_>) = asked.into_iter().partition(is_alone);
        for asked in statements(&together) {
            self.ask_together(asked, &mut heads)?;
        }
        for asked in alone.chunk_by(|one, other| one.name == other.name).flat_map(statements) {
            self.ask_apart(asked, &mut heads)?;
        }
        heads.sort_by_key(|(at, _)| *at);
        Ok(heads.into_iter().map(|(_, head)| head).collect())
    }

    /// Returns what can be asked, each once and those of a table together; the heads of the other series are errors.
    fn asked<'a>(
        &self,
        series: impl Iterator<Item = (usize, &'a SeriesOfKey<'a>)>,
        heads: &mut Vec<(usize, Head)>,
    ) -> Result<Vec<Asked<'a>>, StoreError> {
        let (places, series): (Vec<usize>, Vec<&SeriesOfKey<'_>>) = series.unzip();
        let tables = self.described_sources(&series)?;
        let (mut asked, mut known) = (Vec::<Asked<'_>>::new(), HashMap::new());
        for ((at, series), table) in places.into_iter().zip(series).zip(tables) {
            match table {
                Ok(table) => {
                    let head = head_name(series, &table);
                    let place = *known.entry(head.clone()).or_insert(asked.len());
                    if place == asked.len() {
                        let since_us = self.seen_heads.last_us(&head);
                        asked.push(Asked { name: &series.table, head, series: Vec::new(), table, since_us });
                    }
                    asked[place].series.push((at, series));
                }
                Err(error) => heads.push((at, Err(error))),
            }
        }
        asked.sort_by_key(|asked| asked.name);
        Ok(asked)
    }

    fn ask_together(&self, asked: &[Asked<'_>], heads: &mut Vec<(usize, Head)>) -> Result<(), StoreError> {
        match self.ask(asked, LOCK_TIMEOUT) {
            Ok(found) => heads.extend(found),
            Err(error) if error.is_unconnected() => return Err(error),
            Err(error) if error.fault() == Fault::Permanent => {
                // A table may have gone, or become another one.
                self.source_tables.forget(asked.iter().map(|asked| asked.name));
                let again = asked.iter().flat_map(|asked| asked.series.iter().copied());
                let again = self.asked(again, heads)?;
                self.ask_apart(&again, heads)?;
            }
            Err(_) => self.ask_apart(asked, heads)?,
        }
        Ok(())
    }

    /// Asks them, and where that fails, the tables of each half by themselves.
    fn ask_apart(&self, asked: &[Asked<'_>], heads: &mut Vec<(usize, Head)>) -> Result<(), StoreError> {
        match (self.ask(asked, LOCK_TIMEOUT_APART), middle(asked)) {
            (Ok(found), _) => {
                asked.iter().for_each(|asked| self.seen_heads.note_failed(asked.name, false));
                heads.extend(found);
            }
            (Err(error), _) if error.is_unconnected() => return Err(error),
            (Err(error), None) => {
                let name = asked.first().map(|asked| asked.name);
                name.into_iter().for_each(|name| self.seen_heads.note_failed(name, true));
                // A table that is locked is not described again at each look: that may wait for the lock too.
                if error.fault() == Fault::Permanent {
                    self.source_tables.forget(name);
                }
                let again = || StoreError::new(error.fault(), error.to_string());
                heads.extend(asked.iter().flat_map(|asked| asked.heads(Err(again()))));
            }
            (Err(_), Some(middle)) => {
                let (first, second) = asked.split_at(middle);
                self.ask_apart(first, heads)?;
                self.ask_apart(second, heads)?;
            }
        }
        Ok(())
    }

    /// Asks all of them in one statement, and in another one those whose last rows have gone.
    fn ask(&self, asked: &[Asked<'_>], lock_timeout: Duration) -> Result<Vec<(usize, Head)>, StoreError> {
        let all: Vec<&Asked<'_>> = asked.iter().collect();
        let mut lasts = self.ask_last(&all, lock_timeout, |asked| asked.since_us)?;
        let (gone_at, gone): (Vec<usize>, Vec<&Asked<'_>>) = all
            .iter()
            .enumerate()
            .filter(|(at, asked)| lasts[*at].is_none() && asked.since_us.is_some())
            .unzip();
        for (at, last) in gone_at.into_iter().zip(self.ask_last(&gone, lock_timeout, |_| None)?) {
            lasts[at] = last;
        }
        let heads = |(asked, last): (&Asked<'_>, Option<ServerInstant>)| {
            let last_us = last.map(|last| asked.table.finite_us(last)).transpose();
            self.seen_heads.note_last(asked.head.clone(), last_us.as_ref().ok().copied().flatten());
            asked.heads(last_us)
        };
        Ok(asked.iter().zip(lasts).flat_map(heads).collect())
    }

    /// Returns the last instants, none of those before what `since_us` says.
    fn ask_last(
        &self,
        asked: &[&Asked<'_>],
        lock_timeout: Duration,
        since_us: impl Fn(&Asked<'_>) -> Option<i64>,
    ) -> Result<Vec<Option<ServerInstant>>, StoreError> {
        let doing = match asked {
            [] => return Ok(Vec::new()),
            [one] => format!("read the last row of {}", one.table.place()),
            several => format!("read the last rows of {} tables", several.len()),
        };
        let last = |asked: &&Asked<'_>| format!("({})", asked.table.last_sql(since_us(asked)));
        let sql = format!("SELECT {}", asked.iter().map(last).collect::<Vec<_>>().join(", "));
        let settings = TransactionSettings { lock: lock_timeout, ..self.settings };
        let rows = self.pool.session()?.rows_at_once(&settings, &doing, &sql, &[])?;
        let row = rows.first().ok_or_else(|| StoreError::permanent("the server did not answer"))?;
        (0..asked.len()).map(|column| row.get(column)).collect()
    }
}
