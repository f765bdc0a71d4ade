//! The last rows of several series, in one statement: one snapshot, and one round trip.

use rollfit_job::store::{
    ClosesBefore, Fault, LATEST_ROWS_MAX, LatestQuery, LatestRows, SeriesKind, SeriesOfKey, SeriesRows,
    StoreError,
};

use crate::PostgresStore;
use crate::source::SeriesTable;
use crate::source::known_bases::imported_key;
use crate::source::writers::writers_sql;

/// The columns of a series in the answer: instants, values, count, base, rows before those counted.
const COLUMNS: usize = 5;

/// A series and where its base is, if an import may have stored one.
struct AskedSeries {
    table: SeriesTable,
    /// The rows that closes look back.
    lookback_rows: usize,
    /// The query for the base, in SQL.
    base: String,
}

impl PostgresStore {
    pub(super) fn latest_rows(
        &self,
        series: &[SeriesOfKey<'_>],
        query: LatestQuery,
    ) -> Result<LatestRows, StoreError> {
        match self.ask_latest(&self.asked_series(series)?, query) {
            // A table may have become another one since it was described.
            Err(error) if error.fault() == Fault::Permanent => {
                self.source_tables.forget(series.iter().map(|series| series.table.as_str()));
                self.known_bases.forget();
                self.ask_latest(&self.asked_series(series)?, query)
            }
            answer => answer,
        }
    }

    fn asked_series(&self, series: &[SeriesOfKey<'_>]) -> Result<Vec<AskedSeries>, StoreError> {
        let tables = self.described_sources(&series.iter().collect::<Vec<_>>())?;
        let bases = self.described_bases(series)?;
        let base_sql = |series: &SeriesOfKey<'_>| match (&bases, imported_key(series)) {
            (Some(bases), Some(key)) => bases.base_sql(key),
            _ => Ok("SELECT NULL::float8".to_owned()),
        };
        let asked = |(series, table): (&SeriesOfKey<'_>, Result<SeriesTable, StoreError>)| {
            let lookback_rows = match series.kind {
                SeriesKind::Closes { lookback_rows } => lookback_rows,
                SeriesKind::Stored | SeriesKind::Derived(_) => 0,
            };
            Ok(AskedSeries { table: table?, lookback_rows, base: base_sql(series)? })
        };
        series.iter().zip(tables).map(asked).collect()
    }

    fn ask_latest(&self, asked: &[AskedSeries], query: LatestQuery) -> Result<LatestRows, StoreError> {
        let doing = match asked {
            [] => return Ok(LatestRows::default()),
            [first, ..] => format!("read the last rows of {}", first.table.name),
        };
        let sql = latest_sql(asked, query);
        let answer = self.pool.session()?.rows_at_once(&self.settings, &doing, &sql, &[])?;
        let row = answer.first().ok_or_else(|| StoreError::permanent("the server did not answer"))?;
        let rows_of = |(at, asked): (usize, &AskedSeries)| asked.table.arrays(row, COLUMNS * at);
        let count_of = |at| row.get(COLUMNS * at + 2).map(i64::unsigned_abs);
        let closes_of = |at| {
            let rows_before_counted = row.get(COLUMNS * at + 4).map(i64::unsigned_abs)?;
            Ok(ClosesBefore { base: row.get(COLUMNS * at + 3)?, rows_before_counted })
        };
        let rows: Vec<SeriesRows> = asked.iter().enumerate().map(rows_of).collect::<Result<_, _>>()?;
        let is_full = |rows: &SeriesRows| {
            let before = rows.instants_us.partition_point(|&instant_us| instant_us < query.from_us);
            rows.instants_us.len() - before >= LATEST_ROWS_MAX
        };
        let is_counted = query.count_from_us.is_some();
        Ok(LatestRows {
            is_cut: rows.iter().any(is_full),
            rows,
            counts: is_counted.then(|| (0..asked.len()).map(count_of).collect()).transpose()?,
            has_writers: row.get(COLUMNS * asked.len())?,
            closes: (0..asked.len()).map(closes_of).collect::<Result<_, StoreError>>()?,
        })
    }
}

/// Returns the query for one row of all that is asked.
fn latest_sql(asked: &[AskedSeries], query: LatestQuery) -> String {
    let (mut columns, mut from) = (Vec::new(), Vec::new());
    let none = || "SELECT 0::int8".to_owned();
    for (at, AskedSeries { table, lookback_rows, base }) in asked.iter().enumerate() {
        let count = query.count_from_us.map(|start_us| table.count_sql(&(start_us..query.from_us)));
        let before = query.count_from_us.filter(|_| *lookback_rows > 0);
        let before = before.map(|start_us| table.count_before_sql(start_us, *lookback_rows));
        let (count, before) = (count.unwrap_or_else(none), before.unwrap_or_else(none));
        columns.push(format!("s{at}.t, s{at}.v, ({count}), ({base}), ({before})"));
        from.push(format!(
            "(SELECT array_agg(r.t ORDER BY r.t) AS t, array_agg(r.v ORDER BY r.t) AS v FROM ({}) r) s{at}",
            table.since_sql(query.from_us, *lookback_rows)
        ));
    }
    let tables = asked.iter().map(|asked| &asked.table);
    format!("SELECT {}, {} FROM {}", columns.join(", "), writers_sql(tables), from.join(", "))
}

impl SeriesTable {
    /// Returns a query for the first rows from an instant on, and for some before. It includes infinite instants, so that they are
    /// reported, unless there are too many rows before them.
    fn since_sql(&self, from_us: i64, lookback_rows: usize) -> String {
        let (time, value, from) = (&self.time, &self.value, self.time_type.literal(from_us));
        let name = self.name.sql();
        let rows = format!("SELECT {time} AS t, {value} AS v FROM {name} WHERE {time}");
        let from_on = format!(
            "({rows} >= {from} ORDER BY {time} LIMIT {LATEST_ROWS_MAX}) UNION ALL ({rows} = '-infinity' LIMIT 1)"
        );
        if lookback_rows == 0 {
            return from_on;
        }
        let before =
            format!("{rows} < {from} AND {time} > '-infinity' ORDER BY {time} DESC LIMIT {lookback_rows}");
        format!("{from_on} UNION ALL ({before})")
    }

    /// Returns a query for the number of rows before an instant, at most `rows_max`.
    fn count_before_sql(&self, instant_us: i64, rows_max: usize) -> String {
        let (time, before) = (&self.time, self.time_type.literal(instant_us));
        format!(
            "SELECT count(*) FROM (SELECT FROM {} WHERE {time} < {before} LIMIT {rows_max}) b",
            self.name.sql()
        )
    }
}
