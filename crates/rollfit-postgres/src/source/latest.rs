//! The last rows of several series, in one statement: one snapshot, and one round trip. Where they are too long for that, they are read
//! by COPY.

use rollfit_job::store::{
    ClosesBefore, Fault, LATEST_ROWS_MAX, LatestQuery, LatestRows, SeriesKind, SeriesOfKey, SeriesRows,
    StoreError,
};

use crate::PostgresStore;
use crate::connection::answer_row::AnswerRow;
use crate::source::SeriesTable;
use crate::source::known_bases::imported_key;
use crate::source::row_arrays::arrays_sql;
use crate::source::writers::writers_sql;

/// The columns of a series in the answer: count, base, rows before those counted. Whether there are writers follows those of all series,
/// then whether the rows are there, then the instants and values of each.
const COLUMNS: usize = 3;

/// How many rows of all series one answer has: of at most 48 bytes each.
const ROWS_AT_ONCE_MAX: usize = 200_000;

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
                SeriesKind::Stored | SeriesKind::Derived(_) | SeriesKind::Included => 0,
            };
            Ok(AskedSeries { table: table?, lookback_rows, base: base_sql(series)? })
        };
        series.iter().zip(tables).map(asked).collect()
    }

    fn ask_latest(&self, asked: &[AskedSeries], query: LatestQuery) -> Result<LatestRows, StoreError> {
        let doing = match asked {
            [] => return Ok(LatestRows::default()),
            [first, ..] => format!("read the last rows of {}", first.table.place()),
        };
        let sql = latest_sql(asked, query, true);
        let answer = self.pool.session()?.rows_at_once(&self.settings, &doing, &sql, &[])?;
        let row = answer.first().ok_or_else(|| StoreError::permanent("the server did not answer"))?;
        if let Some(rows) = rows_from(row, asked)? {
            return latest_from(row, rows, query);
        }
        self.in_snapshot(|session| {
            let answer = session.rows(&doing, &latest_sql(asked, query, false), &[])?;
            let row = answer.first().ok_or_else(|| StoreError::permanent("the server did not answer"))?;
            let read = |AskedSeries { table, lookback_rows, .. }: &AskedSeries| {
                let rows = table.since_sql(query.from_us, *lookback_rows);
                table.read(session, &format!("SELECT r.t, r.v FROM ({rows}) r ORDER BY 1"))
            };
            latest_from(row, asked.iter().map(read).collect::<Result<_, _>>()?, query)
        })
    }
}

/// Returns the rows of all series in an answer; none if some are not in it.
fn rows_from(row: &AnswerRow, asked: &[AskedSeries]) -> Result<Option<Vec<SeriesRows>>, StoreError> {
    let is_there = COLUMNS * asked.len() + 1;
    if !row.get::<_, bool>(is_there)? {
        return Ok(None);
    }
    let rows_of = |(at, asked): (usize, &AskedSeries)| asked.table.arrays(row, is_there + 1 + 2 * at);
    asked.iter().enumerate().map(rows_of).collect()
}

/// Returns these rows with all else that an answer says.
fn latest_from(row: &AnswerRow, rows: Vec<SeriesRows>, query: LatestQuery) -> Result<LatestRows, StoreError> {
    let all = 0..rows.len();
    let count_of = |at| row.get(COLUMNS * at).map(i64::unsigned_abs);
    let closes_of = |at| {
        let rows_before_counted = row.get(COLUMNS * at + 2).map(i64::unsigned_abs)?;
        Ok(ClosesBefore { base: row.get(COLUMNS * at + 1)?, rows_before_counted })
    };
    let is_full = |rows: &SeriesRows| {
        let before = rows.instants_us.partition_point(|&instant_us| instant_us < query.from_us);
        rows.instants_us.len() - before >= LATEST_ROWS_MAX
    };
    let is_counted = query.count_from_us.is_some();
    Ok(LatestRows {
        is_cut: rows.iter().any(is_full),
        counts: is_counted.then(|| all.clone().map(count_of).collect()).transpose()?,
        has_writers: row.get(COLUMNS * all.len())?,
        closes: all.map(closes_of).collect::<Result<_, StoreError>>()?,
        rows,
    })
}

/// Returns the query for one row of all that is asked, with or without the rows of the series.
fn latest_sql(asked: &[AskedSeries], query: LatestQuery, with_rows: bool) -> String {
    let mut columns = Vec::new();
    let none = || "SELECT 0::int8".to_owned();
    for AskedSeries { table, lookback_rows, base } in asked {
        let count = query.count_from_us.map(|start_us| table.count_sql(&(start_us..query.from_us)));
        let before = query.count_from_us.filter(|_| *lookback_rows > 0);
        let before = before.map(|start_us| table.count_before_sql(start_us, *lookback_rows));
        let (count, before) = (count.unwrap_or_else(none), before.unwrap_or_else(none));
        columns.push(format!("({count}), ({base}), ({before})"));
    }
    columns.push(writers_sql(asked.iter().map(|asked| &asked.table)));
    if !with_rows {
        return format!("SELECT {}", columns.join(", "));
    }
    let (mut from, mut counts) = (Vec::new(), Vec::new());
    for (at, AskedSeries { table, lookback_rows, .. }) in asked.iter().enumerate() {
        let rows = table.since_sql(query.from_us, *lookback_rows);
        from.push(format!("({}) s{at}", arrays_sql(&rows, table.format, " ORDER BY r.t")));
        counts.push(format!("coalesce(cardinality(s{at}.t), 0)"));
    }
    from.push(format!("LATERAL (SELECT {} <= {ROWS_AT_ONCE_MAX} AS is_there) f", counts.join(" + ")));
    columns.push("f.is_there".to_owned());
    let array = |array: String| format!("CASE WHEN f.is_there THEN {array} END");
    columns.extend((0..asked.len()).flat_map(|at| [array(format!("s{at}.t")), array(format!("s{at}.v"))]));
    format!("SELECT {} FROM {}", columns.join(", "), from.join(", "))
}

impl SeriesTable {
    /// Returns a query for the first rows from an instant on, and for some before. It includes infinite instants, so that they are
    /// reported, unless there are too many rows before them.
    fn since_sql(&self, from_us: i64, lookback_rows: usize) -> String {
        let (time, value, from) = (&self.time, &self.value, self.time_type.literal(from_us));
        let rows = |condition: String| {
            format!("SELECT {time} AS t, {value} AS v FROM {}", self.rows_where(&condition))
        };
        let from_on = rows(format!("{time} >= {from}"));
        let infinite = rows(format!("{time} = '-infinity'"));
        let from_on =
            format!("({from_on} ORDER BY {time} LIMIT {LATEST_ROWS_MAX}) UNION ALL ({infinite} LIMIT 1)");
        if lookback_rows == 0 {
            return from_on;
        }
        let before = rows(format!("{time} < {from} AND {time} > '-infinity'"));
        format!("{from_on} UNION ALL ({before} ORDER BY {time} DESC LIMIT {lookback_rows})")
    }

    /// Returns a query for the number of rows before an instant, at most `rows_max`.
    fn count_before_sql(&self, instant_us: i64, rows_max: usize) -> String {
        let (time, before) = (&self.time, self.time_type.literal(instant_us));
        let rows = self.rows_where(&format!("{time} < {before}"));
        format!("SELECT count(*) FROM (SELECT FROM {rows} LIMIT {rows_max}) b")
    }
}
