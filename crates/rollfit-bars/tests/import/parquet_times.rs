//! Parquet times of every type that can hold some: whole numbers, text, dates, times of day, and what is refused of them.

use std::sync::Arc;

use arrow_array::types::Int8Type;
use arrow_array::{
    ArrayRef, Date32Array, Date64Array, DictionaryArray, Float64Array, Int32Array, Int64Array,
    LargeStringArray, StringArray, StringViewArray, Time32SecondArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, TimestampSecondArray, UInt32Array, UInt64Array,
};
use rollfit_bars::{BarFile, Format, ImportError, ReadOptions, read_file};
use tempfile::TempDir;

use crate::parquet::closes;
use crate::support::{assert_says, bars, message, options, write_parquet};
use crate::text::{MARCH_S, MINUTE_BARS};

const MARCH_DAY: i32 = 17_226;

fn read(columns: Vec<(&str, ArrayRef)>, options: &ReadOptions) -> Result<BarFile, ImportError> {
    let directory = TempDir::new().unwrap();
    read_file(&write_parquet(&directory, "bars.parquet", columns), options)
}

fn in_zone(zone: &str) -> ReadOptions {
    options(Format::Parquet, "k", zone)
}

/// Reads a column of this name as the time.
fn read_times(name: &str, times: &ArrayRef, zone: &str) -> Result<BarFile, ImportError> {
    read(vec![(name, times.clone()), ("close", closes())], &in_zone(zone))
}

fn seconds(unit: i64) -> Vec<i64> {
    vec![MARCH_S * unit, (MARCH_S + 60) * unit]
}

#[test]
fn whole_numbers_are_epochs_of_one_unit() {
    let narrow = |second: i64| u32::try_from(second).unwrap();
    let columns: [ArrayRef; 6] = [
        Arc::new(Int64Array::from(seconds(1))),
        Arc::new(Int64Array::from(seconds(1_000))),
        Arc::new(Int64Array::from(seconds(1_000_000))),
        Arc::new(UInt64Array::from_iter_values(seconds(1_000_000_000).iter().map(|ns| ns.unsigned_abs()))),
        Arc::new(UInt32Array::from_iter_values(seconds(1).into_iter().map(narrow))),
        Arc::new(Int32Array::from_iter_values(seconds(1).into_iter().map(|s| narrow(s).cast_signed()))),
    ];
    for times in &columns {
        for (name, zone) in [("timestamp", ""), ("time", "UTC")] {
            assert_eq!(bars(&read_times(name, times, zone).unwrap()), MINUTE_BARS, "{}", times.data_type());
        }
        let denied = read_times("ts", times, "Europe/Zurich").unwrap_err();
        assert!(matches!(denied, ImportError::ZoneContradiction { .. }), "{denied}");
    }
    let units: ArrayRef = Arc::new(Int64Array::from(vec![MARCH_S, (MARCH_S + 60) * 1_000]));
    assert_says(&message(read_times("ts", &units, "")), &["row 2", "one unit in the whole file"]);
    let counts: ArrayRef = Arc::new(Int64Array::from(vec![0, 1]));
    assert_says(&message(read_times("ts", &counts, "UTC")), &["row 1", "not an epoch", "`0, 1.5`"]);
    let ambiguous: ArrayRef = Arc::new(Int64Array::from(vec![1_701_020_030, 1_701_020_031]));
    assert_says(&message(read_times("ts", &ambiguous, "")), &["both as an epoch and as a date"]);
}

#[test]
fn digits_that_are_dates_are_dates() {
    let minutes: ArrayRef = Arc::new(Int64Array::from(vec![201_703_010_000, 201_703_010_001]));
    assert_eq!(bars(&read_times("ts", &minutes, "UTC").unwrap()), MINUTE_BARS);
    let refused = read_times("ts", &minutes, "").unwrap_err();
    assert!(matches!(refused, ImportError::NoZone { .. }), "{refused}");
    let days: ArrayRef = Arc::new(Int32Array::from(vec![20_170_301, 20_170_302]));
    assert_eq!(read_times("date", &days, "UTC").unwrap().bars.len(), 2);
}

#[test]
fn text_is_read_as_in_csv() {
    let instants = vec!["2017-03-01T00:00:00Z", "2017-03-01 01:01:00+01:00"];
    let columns: [ArrayRef; 4] = [
        Arc::new(StringArray::from(instants.clone())),
        Arc::new(LargeStringArray::from(instants.clone())),
        Arc::new(StringViewArray::from(instants.clone())),
        Arc::new(instants.into_iter().collect::<DictionaryArray<Int8Type>>()),
    ];
    for times in &columns {
        assert_eq!(bars(&read_times("ts", times, "").unwrap()), MINUTE_BARS, "{}", times.data_type());
    }
    let local: ArrayRef = Arc::new(StringArray::from(vec!["01.03.2017 01:00", "01.03.2017 01:01"]));
    assert_eq!(bars(&read_times("Date", &local, "Europe/Zurich").unwrap()), MINUTE_BARS);
    assert_says(&message(read_times("Date", &local, "")), &["row 1", "--timezone UTC"]);
    let broken: ArrayRef = Arc::new(StringArray::from(vec![Some("2017-03-01T00:00Z"), Some("soon")]));
    assert_says(&message(read_times("ts", &broken, "")), &["row 2", "not readable", "`soon, 1.6`"]);
    let holes: ArrayRef = Arc::new(StringArray::from(vec![Some("2017-03-01T00:00Z"), None]));
    assert_says(&message(read_times("ts", &holes, "")), &["row 2", "`NULL, 1.6`"]);
    let lenient = ReadOptions { lenient: true, ..in_zone("") };
    let kept = read(vec![("ts", holes), ("close", closes())], &lenient).unwrap();
    assert_eq!((kept.bars.len(), kept.report.dropped_total()), (1, 1));
}

#[test]
fn dates_are_midnights_once_each() {
    let days = |days: [i32; 2]| -> ArrayRef { Arc::new(Date32Array::from(days.to_vec())) };
    let daily = read_times("ts", &days([MARCH_DAY, MARCH_DAY + 1]), "UTC").unwrap();
    assert_eq!(
        (daily.bars[0].instant_us, daily.bars[1].instant_us),
        (MARCH_S * 1_000_000, (MARCH_S + 86_400) * 1_000_000)
    );
    let ms = 86_400_000 * i64::from(MARCH_DAY);
    let wide: ArrayRef = Arc::new(Date64Array::from(vec![ms, ms + 86_400_000]));
    assert_eq!(bars(&read_times("date", &wide, "UTC").unwrap()), bars(&daily));
    assert!(matches!(read_times("ts", &wide, ""), Err(ImportError::NoZone { .. })));
    assert_says(
        &message(read_times("ts", &days([MARCH_DAY; 2]), "UTC")),
        &["row 2", "dates without times of day"],
    );
}

/// A timestamp that is always a midnight is no instant where a column of times of day is beside it.
#[test]
fn timestamps_that_are_dates_do_not_hide_times_of_day() {
    let stamps = |seconds: &[i64], zone: Option<&str>| -> ArrayRef {
        let seconds = seconds.iter().map(|second| MARCH_S + second).collect::<Vec<_>>();
        Arc::new(TimestampSecondArray::from(seconds).with_timezone_opt(zone))
    };
    let clocks = |rows: usize| -> [ArrayRef; 2] {
        [
            Arc::new(StringArray::from(vec!["16:00"; rows])),
            Arc::new(Time32SecondArray::from(vec![57_600; rows])),
        ]
    };
    let columns = |stamps: ArrayRef, clock: &ArrayRef| {
        let closes: ArrayRef = Arc::new(Float64Array::from(vec![1.5; stamps.len()]));
        vec![("date", stamps), ("time", clock.clone()), ("close", closes)]
    };
    let zurich = Some("Europe/Zurich");
    for (seconds, zone) in [
        (&[0, 86_400][..], None),
        (&[0], None),
        (&[86_400, 0], None),
        (&[0, 86_400], Some("UTC")),
        (&[-3600, 82_800], zurich),
    ] {
        for clock in clocks(seconds.len()) {
            for lenient in [false, true] {
                let options = ReadOptions { lenient, ..in_zone(zone.unwrap_or("UTC")) };
                let why = message(read(columns(stamps(seconds, zone), &clock), &options));
                assert_says(
                    &why,
                    &["`date` holds dates without", "in column `time`", "--date-column", "midnight"],
                );
            }
        }
    }
    for (seconds, zone) in [(&[0, 300][..], None), (&[0, 86_400, 86_700], None), (&[-3600, 300], zurich)] {
        let read =
            read(columns(stamps(seconds, zone), &clocks(seconds.len())[0]), &in_zone(zone.unwrap_or("UTC")));
        let read = read.unwrap();
        let found = read.bars.iter().map(|bar| bar.instant_us / 1_000_000 - MARCH_S).collect::<Vec<_>>();
        assert_eq!(found, seconds, "{zone:?}");
    }
    let mut chosen = in_zone("UTC");
    chosen.columns.time = Some("date".to_owned());
    let at_midnight = read(columns(stamps(&[0, 86_400], None), &clocks(2)[0]), &chosen).unwrap();
    assert_eq!(at_midnight.bars[1].instant_us, (MARCH_S + 86_400) * 1_000_000);
    // What the message says to do works.
    let mut joined = in_zone("UTC");
    (joined.columns.date, joined.columns.time) = (Some("date".to_owned()), Some("time".to_owned()));
    for clock in clocks(2) {
        let at_four = read(columns(stamps(&[0, 86_400], None), &clock), &joined).unwrap();
        assert_eq!(at_four.bars[1].instant_us, (MARCH_S + 86_400 + 57_600) * 1_000_000);
    }
}

#[test]
fn a_date_column_serves_times_of_day() {
    let clock: [ArrayRef; 3] = [
        Arc::new(Time64MicrosecondArray::from(vec![0, 60_000_000])),
        Arc::new(Time32SecondArray::from(vec![0, 60])),
        Arc::new(StringArray::from(vec!["00:00", "00:01"])),
    ];
    let dates: [ArrayRef; 4] = [
        Arc::new(Date32Array::from(vec![MARCH_DAY; 2])),
        Arc::new(StringArray::from(vec!["2017.03.01"; 2])),
        Arc::new(Int32Array::from(vec![20_170_301; 2])),
        Arc::new(TimestampSecondArray::from(vec![MARCH_S; 2])),
    ];
    let named = |date: &str, time: &str| {
        let mut named = in_zone("UTC");
        (named.columns.date, named.columns.time) = (Some(date.to_owned()), Some(time.to_owned()));
        named
    };
    for (clock, date) in clock.iter().flat_map(|clock| dates.iter().map(move |date| (clock, date))) {
        let kinds = format!("{} {}", clock.data_type(), date.data_type());
        let columns = |date_name, time_name| {
            vec![(date_name, date.clone()), (time_name, clock.clone()), ("close", closes())]
        };
        let read_named = read(columns("traded", "at"), &named("traded", "at")).unwrap();
        assert_eq!(bars(&read_named), MINUTE_BARS, "{kinds}");
        let found = read(columns("date", "time"), &in_zone("UTC"));
        match found {
            Ok(found) => assert_eq!(bars(&found), MINUTE_BARS, "{kinds}"),
            // A time stamp of that name may be whole: its repetition says that it is not, and what to do.
            Err(error) => assert_says(&error.to_string(), &["row 2", "--time-column", "--date-column"]),
        }
    }
    let alone = vec![("time", clock[0].clone()), ("close", closes())];
    assert_says(&message(read(alone, &in_zone("UTC"))), &["holds times of day", "--date-column"]);
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![0, 1]));
    let counts = vec![("date", dates[0].clone()), ("time", numbers), ("close", closes())];
    assert_says(&message(read(counts.clone(), &in_zone("UTC"))), &["row 1", "not an epoch", "--date-column"]);
    assert_says(
        &message(read(counts, &named("date", "time"))),
        &["`time` is Int32", "as text (HH:MM) or as a TIME"],
    );
}

#[test]
fn the_time_is_the_surest_column() {
    let stamps: ArrayRef = Arc::new(TimestampMicrosecondArray::from(seconds(1_000_000)).with_timezone("UTC"));
    let other: ArrayRef = Arc::new(TimestampSecondArray::from(vec![0, 60]));
    let epochs: ArrayRef = Arc::new(Int64Array::from(seconds(1)));
    let words: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let sure = [
        vec![("__index_level_0__", stamps.clone()), ("date", words.clone()), ("close", closes())],
        vec![("inserted_at", other.clone()), ("timestamp", epochs.clone()), ("close", closes())],
        vec![("inserted_at", other.clone()), ("time", epochs), ("close", closes())],
        vec![("time", stamps.clone()), ("timestamp", words), ("close", closes())],
    ];
    for columns in sure {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        assert_eq!(bars(&read(columns.clone(), &in_zone("")).unwrap()), MINUTE_BARS, "{names:?}");
    }
    let doubles: ArrayRef = Arc::new(Float64Array::from(vec![1_488_326_400.0, 1_488_326_460.0]));
    assert_says(&message(read_times("ts", &doubles, "")), &["--time-column", "`ts` (Float64)"]);
    let unknown = vec![("when", stamps), ("seen", other), ("close", closes())];
    assert_says(&message(read(unknown, &in_zone(""))), &["--time-column", "`when`", "`seen`"]);
}

#[test]
fn a_name_that_says_utc_states_the_zone() {
    let naive: ArrayRef = Arc::new(TimestampSecondArray::from(seconds(1)));
    assert_eq!(bars(&read_times("ts_utc", &naive, "").unwrap()), MINUTE_BARS);
    assert!(matches!(read_times("ts_utc", &naive, "+01:00"), Err(ImportError::ZoneContradiction { .. })));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["2017-03-01 00:00", "2017-03-01 00:01"]));
    assert_eq!(bars(&read_times("time_utc", &text, "").unwrap()), MINUTE_BARS);
}

#[test]
fn newest_first_is_turned_round() {
    let times: ArrayRef = Arc::new(Int64Array::from(vec![MARCH_S + 60, MARCH_S]));
    let file = read_times("ts", &times, "").unwrap();
    assert!(file.report.newest_first);
    assert_eq!(bars(&file), [(MINUTE_BARS[0].0, 1.6), (MINUTE_BARS[1].0, 1.5)]);
}
