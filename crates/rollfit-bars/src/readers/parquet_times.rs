//! [`TimeValues`]: the times of a Parquet column of any type that can hold some.
//!
//! Timestamps are numbers of their unit. All others are read as the text that a CSV would have, by the same rules: whole
//! numbers are epochs or dates in digits, text is text, a date is its day and a time of day its clock.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType,
};
use arrow_array::{Array, ArrayRef, Int64Array, StringArray};
use arrow_schema::{DataType, TimeUnit};
use jiff::Timestamp;
use jiff::tz::Offset;
use rollfit_files::numbers::ticks;
use rollfit_files::texts::texts;

use crate::error::RowFault;
use crate::time::stamp::in_range;

const DAY_US: i64 = 86_400_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// The times of a batch.
pub(super) enum TimeValues {
    /// Timestamps, in the unit of their column.
    Ticks(Int64Array),
    /// Anything else, as a CSV has it.
    Texts(StringArray),
}

impl TimeValues {
    /// The times of a column; none if it cannot hold any.
    pub(super) fn from_column(column: &ArrayRef) -> Option<Self> {
        match ticks(column) {
            Some(ticks) => Some(Self::Ticks(ticks)),
            None => time_texts(column).map(Self::Texts),
        }
    }
}

/// What the values of a column may say of an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeType {
    Timestamp,
    Date,
    TimeOfDay,
    WholeNumber,
    Text,
}

impl TimeType {
    pub(super) fn from_type(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Timestamp(..) => Self::Timestamp,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Time32(_) | DataType::Time64(_) => Self::TimeOfDay,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Self::Text,
            integer if integer.is_integer() => Self::WholeNumber,
            DataType::Dictionary(_, values) => {
                let inner = Self::from_type(values)?;
                return matches!(inner, Self::Text | Self::WholeNumber).then_some(inner);
            }
            _ => return None,
        })
    }
}

/// The values of a column as a CSV would have them; none if it holds no times.
pub(super) fn time_texts(column: &ArrayRef) -> Option<StringArray> {
    Some(match column.data_type() {
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>();
            days.iter().map(|day| day.map(|day| date_text(day.into(), DAY_US))).collect()
        }
        DataType::Date64 => {
            let days = column.as_primitive::<Date64Type>();
            days.iter().map(|ms| ms.map(|ms| date_text(ms, 1_000))).collect()
        }
        DataType::Time32(_) | DataType::Time64(_) => clocks(column)?,
        DataType::Timestamp(unit, None) => {
            let text = |tick| tick_us(*unit, tick).map_or_else(|_| unreadable(tick), |us| date_text(us, 1));
            ticks(column)?.iter().map(|tick| tick.map(text)).collect()
        }
        other => {
            TimeType::from_type(other)?;
            texts(column)?
        }
    })
}

/// A timestamp in microseconds.
pub(super) fn tick_us(unit: TimeUnit, tick: i64) -> Result<i64, RowFault> {
    in_range(match unit {
        TimeUnit::Second => tick.checked_mul(1_000_000).ok_or(RowFault::Range)?,
        TimeUnit::Millisecond => tick.checked_mul(1_000).ok_or(RowFault::Range)?,
        TimeUnit::Microsecond => tick,
        TimeUnit::Nanosecond if tick % 1_000 == 0 => tick / 1_000,
        TimeUnit::Nanosecond => return Err(RowFault::TooFine),
    })
}

/// The date, and the time of day unless it is midnight; none outside the years that can be stored.
pub(super) fn civil_text(us: i64) -> Option<String> {
    let time = Offset::UTC.to_datetime(Timestamp::from_microsecond(in_range(us).ok()?).ok()?);
    Some(if us % DAY_US == 0 { time.date().to_string() } else { time.to_string() })
}

/// A date, from its number of units since 1970.
fn date_text(value: i64, unit_us: i64) -> String {
    value.checked_mul(unit_us).and_then(civil_text).unwrap_or_else(|| unreadable(value))
}

/// A text that no time has, for a number that is none.
fn unreadable(value: i64) -> String {
    format!("number {value}")
}

/// Times of day.
fn clocks(column: &ArrayRef) -> Option<StringArray> {
    let of_unit = |values: &mut dyn Iterator<Item = Option<i64>>, unit_ns: i64| {
        values.map(|value| value.map(|value| clock_text(value, unit_ns))).collect()
    };
    Some(match column.data_type() {
        DataType::Time32(TimeUnit::Second) => {
            let values = column.as_primitive::<Time32SecondType>();
            of_unit(&mut values.iter().map(|value| value.map(i64::from)), SECOND_NS)
        }
        DataType::Time32(TimeUnit::Millisecond) => {
            let values = column.as_primitive::<Time32MillisecondType>();
            of_unit(&mut values.iter().map(|value| value.map(i64::from)), SECOND_NS / 1_000)
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            of_unit(&mut column.as_primitive::<Time64MicrosecondType>().iter(), SECOND_NS / 1_000_000)
        }
        DataType::Time64(TimeUnit::Nanosecond) => {
            of_unit(&mut column.as_primitive::<Time64NanosecondType>().iter(), 1)
        }
        _ => return None,
    })
}

/// `17:00:30.500000000`; a value that is no time of day becomes a text that is none either.
fn clock_text(value: i64, unit_ns: i64) -> String {
    let per_second = SECOND_NS / unit_ns;
    let (seconds, part) = (value.div_euclid(per_second), value.rem_euclid(per_second));
    let (hours, minutes) = (seconds.div_euclid(3600), seconds.rem_euclid(3600) / 60);
    let clock = format!("{hours:02}:{minutes:02}:{:02}", seconds.rem_euclid(60));
    if part == 0 { clock } else { format!("{clock}.{:09}", part * unit_ns) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        Date32Array, Date64Array, Time32SecondArray, Time64NanosecondArray, TimestampMillisecondArray,
        UInt64Array,
    };

    use super::*;

    fn texts_of(column: impl Array + 'static) -> Vec<Option<String>> {
        let column: ArrayRef = Arc::new(column);
        time_texts(&column).unwrap().iter().map(|text| text.map(str::to_owned)).collect()
    }

    #[test]
    fn dates_and_clocks_are_written_as_a_csv_has_them() {
        let text = |text: &str| Some(text.to_owned());
        let days = Date32Array::from(vec![Some(19_724), None, Some(i32::MAX), Some(-1)]);
        let expected = ["2024-01-02", "number 2147483647", "1969-12-31"].map(text);
        assert_eq!(texts_of(days), [&expected[..1], &[None], &expected[1..]].concat());
        let ms = Date64Array::from(vec![1_704_153_600_000, 1_704_153_600_500, i64::MIN]);
        assert_eq!(
            texts_of(ms),
            ["2024-01-02", "2024-01-02T00:00:00.5", "number -9223372036854775808"].map(text)
        );
        let clocks = Time32SecondArray::from(vec![Some(34_200), Some(0), Some(86_400), None]);
        let expected = ["09:30:00", "00:00:00", "24:00:00"].map(text);
        assert_eq!(texts_of(clocks), [&expected[..], &[None]].concat());
        let fine = Time64NanosecondArray::from(vec![34_200_000_000_001]);
        assert_eq!(texts_of(fine), [text("09:30:00.000000001")]);
        let stamps = TimestampMillisecondArray::from(vec![1_704_153_600_000, 1_704_153_660_000]);
        assert_eq!(texts_of(stamps), [text("2024-01-02"), text("2024-01-02T00:01:00")]);
        assert_eq!(texts_of(UInt64Array::from(vec![1_704_153_600])), [text("1704153600")]);
    }

    #[test]
    fn types_that_hold_no_times_are_told() {
        let dictionary = |values| DataType::Dictionary(Box::new(DataType::Int32), Box::new(values));
        assert_eq!(TimeType::from_type(&dictionary(DataType::Utf8View)), Some(TimeType::Text));
        for none in [DataType::Float64, DataType::Boolean, dictionary(DataType::Date32)] {
            assert_eq!(TimeType::from_type(&none), None, "{none}");
        }
    }
}
