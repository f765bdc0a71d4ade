//! Source values of many digits: they are read whatever their length and number, by a run and by a follower, with the bits that the
//! server gives for them as doubles; rows of usual length in few round trips.

use rollfit_job::store::{LatestQuery, LatestRows, SeriesKind, SeriesRows, Source};

use crate::opened::{Opened, first_partition};
use crate::workload::Workload;

/// What a partition waits for: the description of its tables, and their rows.
const FEW: u64 = 2;

/// What each table waits for that is read by COPY.
const COPY: u64 = 2;

/// The rows of the second series.
const OTHER_ROWS: usize = 31 * 48;

/// What was read of a source.
#[derive(PartialEq, Debug)]
struct Reading {
    round_trips: u64,
    rows: usize,
    before: usize,
}

/// A source whose first table is as a statement leaves it. Before that it has a NUMERIC column, and no rows.
fn source(sql: &str) -> Workload<'static> {
    let workload = Workload::one();
    workload
        .database
        .sql(&format!("truncate m1_eurusd; alter table m1_eurusd alter rate_index type numeric; {sql}"));
    workload
}

/// Fills it with as many minutes from an instant on.
fn minutes(first: &str, count: usize, value: &str) -> String {
    format!(
        "insert into m1_eurusd select '{first}'::timestamp + i * interval '1 minute', {value} from generate_series(0, {count} - 1) i;"
    )
}

/// The bits that the server gives for the values of the first table.
fn expected(workload: &Workload<'_>, condition: &str) -> Vec<Option<u64>> {
    let sql = format!(
        "select coalesce(string_agg(coalesce(encode(float8send(rate_index::float8), 'hex'), 'NULL'), ' ' order by time), '')
         from m1_eurusd where {condition}"
    );
    let parsed = |hex: &str| u64::from_str_radix(hex, 16).ok().filter(|bits| !f64::from_bits(*bits).is_nan());
    workload.database.one::<String>(&sql).split_whitespace().map(parsed).collect()
}

#[track_caller]
fn assert_values(rows: &SeriesRows, expected: &[Option<u64>]) {
    let found: Vec<_> = rows.values.iter().map(|value| (!value.is_nan()).then(|| value.to_bits())).collect();
    assert!(found == expected, "{} values, {} expected", found.len(), expected.len());
}

/// Reads January 2017 and `lookback_rows` before it.
#[track_caller]
fn read(workload: &Workload<'_>, lookback_rows: usize) -> Reading {
    let opened = Opened::open(workload);
    let series = opened.config.series_of_key("eurusd");
    let period = first_partition().period;
    let round_trips = opened.store.round_trips();
    let mut snapshot = opened.store.snapshot(&series, period, lookback_rows).unwrap();
    let rows = snapshot.rows(0, period.span_us()).unwrap();
    let before = snapshot.rows_before(0, period.span_us().start, lookback_rows).unwrap();
    assert_eq!(snapshot.rows(1, period.span_us()).unwrap().values.len(), OTHER_ROWS);
    let round_trips = opened.store.round_trips() - round_trips;
    assert_values(&rows, &expected(workload, "time >= '2017-01-01'"));
    let condition = format!(
        "time in (select time from m1_eurusd where time < '2017-01-01' order by time desc limit {lookback_rows})"
    );
    assert_values(&before, &expected(workload, &condition));
    Reading { round_trips, rows: rows.values.len(), before: before.values.len() }
}

#[test]
fn a_month_of_minutes_of_usual_digits_is_read_in_few_round_trips() {
    // NULL and what is no number are no long values.
    let usual = "case when i < 500 then null when i > 44000 then 'NaN' else 1.08 + i / 3e12 end";
    let workload =
        source(&(minutes("2016-12-30", 2 * 1440, "1 / 3.0") + &minutes("2017-01-01", 44_640, usual)));
    assert_eq!(read(&workload, 2000), Reading { round_trips: FEW, rows: 44_640, before: 2000 });
    workload.database.sql("truncate m1_eurusd");
    assert_eq!(read(&workload, 2000), Reading { round_trips: FEW, rows: 0, before: 0 });
}

#[test]
fn rows_among_which_a_value_is_long_are_read_by_themselves() {
    let long = "repeat('7', 300)::numeric";
    let row = |first: &str, value: &str| minutes(first, 1, value);
    let usual = minutes("2016-12-31", 1000, "i / 64.0") + &minutes("2017-01-02", 1000, "i / 64.0");
    let read_beside = |sql: &str| read(&source(&(usual.clone() + sql)), 100);
    assert_eq!(read_beside(&row("2017-01-31", "repeat('7', 40)::numeric")).round_trips, FEW);
    let reading = read_beside(&row("2017-01-31", long));
    assert_eq!(reading, Reading { round_trips: FEW + COPY, rows: 1001, before: 100 });
    let reading = read_beside(&row("2016-12-31 23:59", long));
    assert_eq!(reading, Reading { round_trips: FEW + COPY, rows: 1000, before: 100 });
    // All of them, and one that has few bytes on disk.
    let all = row("2016-12-31 23:59", long)
        + "update m1_eurusd set rate_index = rate_index + ('0.' || repeat('3', 100))::numeric";
    assert_eq!(read_beside(&all), Reading { round_trips: FEW + 2 * COPY, rows: 1000, before: 100 });
    let reading = read_beside(&row("2017-01-31", "repeat('1', 8000)::numeric * 1e-7700"));
    assert_eq!(reading, Reading { round_trips: FEW + COPY, rows: 1001, before: 100 });
}

#[test]
fn more_bytes_than_an_answer_may_have_are_read_all_the_same() {
    // 70 MB. Sums of that size have the same double.
    let wide = "(i + (repeat('7', 300) || '.' || repeat('3', 16000))::numeric)";
    let workload = source(&minutes("2017-01-01", 8600, wide));
    let opened = Opened::open(&workload);
    let period = first_partition().period;
    let mut snapshot = opened.store.snapshot(&opened.config.series_of_key("eurusd"), period, 0).unwrap();
    let rows = snapshot.rows(0, period.span_us()).unwrap();
    assert_eq!(rows.values, vec!["7".repeat(300).parse::<f64>().unwrap(); 8600]);
    let sum =
        "select (sum(octet_length(numeric_send(rate_index))) / 1000000)::int8 from m1_eurusd where time >= ";
    assert!(workload.database.one::<i64>(&format!("{sum} '2017-01-01'")) > 67);
}

/// The last rows from an instant on, with the round trips.
fn latest(opened: &Opened, from_us: i64, lookback_rows: usize) -> (u64, LatestRows) {
    let mut series = opened.config.series_of_key("eurusd");
    series[0].kind = SeriesKind::Closes { lookback_rows };
    let query = LatestQuery { from_us, count_from_us: Some(first_partition().period.span_us().start) };
    opened.store.latest(&series, query).unwrap();
    let round_trips = opened.store.round_trips();
    let latest = opened.store.latest(&series, query).unwrap();
    (opened.store.round_trips() - round_trips, latest)
}

#[test]
fn a_follower_reads_long_values_and_very_many_rows() {
    // The look that finds them, all but the rows again, and the rows of both tables.
    const LONG: u64 = 2 + 2 * COPY;
    let evening_us = first_partition().period.span_us().end - 4 * 3_600_000_000;
    let workload = source(&minutes("2017-01-31", 1440, "i / 64.0"));
    let opened = Opened::open(&workload);
    let is_right = |(round_trips, latest): (u64, LatestRows), wanted, rows: usize| {
        assert_eq!(
            (round_trips, latest.rows[0].values.len(), latest.rows[1].values.len()),
            (wanted, rows, 8)
        );
        assert_eq!((latest.counts.unwrap(), latest.is_cut), (vec![1440 - 240, 31 * 48 - 8], false));
        let condition = format!("time in (select time from m1_eurusd order by time desc limit {rows})");
        assert_values(&latest.rows[0], &expected(&workload, &condition));
    };
    is_right(latest(&opened, evening_us, 10), 1, 250);
    workload
        .database
        .sql("update m1_eurusd set rate_index = repeat('7', 300)::numeric where time = '2017-01-31 23:00'");
    is_right(latest(&opened, evening_us, 10), LONG, 250);
    workload.database.sql("update m1_eurusd set rate_index = 1 where time = '2017-01-31 23:00'");
    is_right(latest(&opened, evening_us, 10), 1, 250);
    // So many rows that no answer has them.
    workload.database.sql(
        "insert into m1_eurusd select '2016-12-01'::timestamp + i * interval '1 second', 1 from generate_series(1, 200000) i",
    );
    is_right(latest(&opened, evening_us, 201_000), LONG, 201_240);
}
