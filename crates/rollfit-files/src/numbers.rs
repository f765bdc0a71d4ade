//! Columns of numbers as doubles, and columns of timestamps and dates as whole numbers.
//!
//! A number that no double equals becomes the nearest one. NULL stays NULL.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, Float64Array, Int64Array};
use arrow_schema::{DataType, TimeUnit};

use crate::decimal::nearest_doubles;

/// The seconds of a day.
pub const DAY_S: i64 = 86_400;

/// Returns the values of a column of any numeric type; none for a column of another type.
pub fn doubles(column: &ArrayRef) -> Option<Float64Array> {
    Some(match column.data_type() {
        DataType::Float64 => column.as_primitive::<Float64Type>().clone(),
        DataType::Float32 => column.as_primitive::<Float32Type>().unary(f64::from),
        DataType::Float16 => column.as_primitive::<Float16Type>().unary(f64::from),
        DataType::Int8 => column.as_primitive::<Int8Type>().unary(f64::from),
        DataType::Int16 => column.as_primitive::<Int16Type>().unary(f64::from),
        DataType::Int32 => column.as_primitive::<Int32Type>().unary(f64::from),
        DataType::Int64 => column.as_primitive::<Int64Type>().unary(|value| value as f64),
        DataType::UInt8 => column.as_primitive::<UInt8Type>().unary(f64::from),
        DataType::UInt16 => column.as_primitive::<UInt16Type>().unary(f64::from),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().unary(f64::from),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().unary(|value| value as f64),
        _ => return nearest_doubles(column),
    })
}

/// Returns the values of a timestamp column in its own unit; none for a column of another type.
pub fn ticks(column: &ArrayRef) -> Option<Int64Array> {
    let DataType::Timestamp(unit, _) = column.data_type() else { return None };
    Some(match unit {
        TimeUnit::Second => column.as_primitive::<TimestampSecondType>().reinterpret_cast(),
        TimeUnit::Millisecond => column.as_primitive::<TimestampMillisecondType>().reinterpret_cast(),
        TimeUnit::Microsecond => column.as_primitive::<TimestampMicrosecondType>().reinterpret_cast(),
        TimeUnit::Nanosecond => column.as_primitive::<TimestampNanosecondType>().reinterpret_cast(),
    })
}

/// Returns the values of a column of timestamps or dates, and their unit; none for a column of another type. A date is its midnight, in
/// seconds.
pub fn instant_ticks(column: &ArrayRef) -> Option<(Int64Array, TimeUnit)> {
    match column.data_type() {
        DataType::Timestamp(unit, _) => Some((ticks(column)?, *unit)),
        DataType::Date32 => {
            let seconds = column.as_primitive::<Date32Type>().unary(|days| i64::from(days) * DAY_S);
            Some((seconds, TimeUnit::Second))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        Array, ArrowPrimitiveType, Date32Array, Decimal128Array, PrimitiveArray, StringArray,
        TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
    };

    use super::*;

    /// The doubles of a column that holds `values` and a NULL between them.
    fn read<T: ArrowPrimitiveType>(values: [T::Native; 2]) -> [f64; 2] {
        let [first, second] = values;
        let column: ArrayRef =
            Arc::new([Some(first), None, Some(second)].into_iter().collect::<PrimitiveArray<T>>());
        let found = doubles(&column).unwrap();
        assert!(found.len() == 3 && found.is_null(1) && found.null_count() == 1);
        // A part of a column begins where it was cut.
        let part = doubles(&column.slice(2, 1)).unwrap();
        assert_eq!(part.value(0).to_bits(), found.value(2).to_bits());
        [found.value(0), found.value(2)]
    }

    #[test]
    fn integers_of_every_width() {
        assert_eq!(read::<Int8Type>([i8::MIN, i8::MAX]), [-128.0, 127.0]);
        assert_eq!(read::<Int16Type>([i16::MIN, i16::MAX]), [-32_768.0, 32_767.0]);
        assert_eq!(read::<Int32Type>([i32::MIN, i32::MAX]), [-2_147_483_648.0, 2_147_483_647.0]);
        assert_eq!(read::<UInt8Type>([0, u8::MAX]), [0.0, 255.0]);
        assert_eq!(read::<UInt16Type>([0, u16::MAX]), [0.0, 65_535.0]);
        assert_eq!(read::<UInt32Type>([0, u32::MAX]), [0.0, 4_294_967_295.0]);
    }

    #[test]
    fn an_integer_between_two_doubles_is_the_nearest() {
        // 2^53 + 1 is half way, and goes to the even one; 2^53 + 3 likewise.
        let even = 9_007_199_254_740_992.0;
        assert_eq!(read::<Int64Type>([(1 << 53) + 1, (1 << 53) + 3]), [even, even + 4.0]);
        assert_eq!(read::<Int64Type>([i64::MIN, i64::MAX]), [-(2.0_f64.powi(63)), 2.0_f64.powi(63)]);
        assert_eq!(read::<UInt64Type>([(1 << 53) + 1, u64::MAX]), [even, 2.0_f64.powi(64)]);
    }

    #[test]
    fn floats_keep_their_value() {
        let half = |bits: u16| <Float16Type as ArrowPrimitiveType>::Native::from_bits(bits);
        assert_eq!(read::<Float16Type>([half(0x3c00), half(0x0001)]), [1.0, 2.0_f64.powi(-24)]);
        assert_eq!(read::<Float16Type>([half(0x7bff), half(0xfc00)]), [65_504.0, f64::NEG_INFINITY]);
        assert_eq!(
            read::<Float32Type>([0.1, f32::MIN_POSITIVE]),
            [0.100_000_001_490_116_12, 2.0_f64.powi(-126)]
        );
        assert!(read::<Float32Type>([f32::NAN, f32::INFINITY])[0].is_nan());
        assert!(read::<Float16Type>([half(0x7e00), half(0)])[0].is_nan());
        let [negative_zero, smallest] = read::<Float64Type>([-0.0, f64::from_bits(1)]);
        assert_eq!((negative_zero.to_bits(), smallest.to_bits()), ((-0.0_f64).to_bits(), 1));
    }

    #[test]
    fn decimals_are_numbers() {
        let column: ArrayRef = Arc::new(Decimal128Array::from(vec![Some(15), None]));
        assert_eq!(doubles(&column).unwrap(), Float64Array::from(vec![Some(15e-10), None]));
    }

    #[test]
    fn timestamps_keep_their_unit() {
        let values = vec![Some(i64::MIN), None, Some(7)];
        let columns: [ArrayRef; 5] = [
            Arc::new(TimestampSecondArray::from(values.clone())),
            Arc::new(TimestampMillisecondArray::from(values.clone())),
            Arc::new(TimestampMicrosecondArray::from(values.clone())),
            Arc::new(TimestampMicrosecondArray::from(values.clone()).with_timezone("America/New_York")),
            Arc::new(TimestampNanosecondArray::from(values.clone())),
        ];
        for column in columns {
            assert_eq!(ticks(&column).unwrap(), Int64Array::from(values.clone()), "{}", column.data_type());
            assert_eq!(doubles(&column), None);
        }
    }

    #[test]
    fn a_date_is_its_midnight() {
        let dates: ArrayRef = Arc::new(Date32Array::from(vec![Some(-1), None, Some(i32::MAX)]));
        let seconds = Int64Array::from(vec![Some(-86_400), None, Some(i64::from(i32::MAX) * 86_400)]);
        assert_eq!(instant_ticks(&dates), Some((seconds, TimeUnit::Second)));
        let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![7]));
        assert_eq!(instant_ticks(&times), Some((Int64Array::from(vec![7]), TimeUnit::Millisecond)));
        assert_eq!(instant_ticks(&(Arc::new(Int64Array::from(vec![1])) as ArrayRef)), None);
    }

    #[test]
    fn other_columns_are_refused() {
        let columns: [ArrayRef; 3] = [
            Arc::new(StringArray::from(vec!["1.5"])),
            Arc::new(Date32Array::from(vec![1])),
            Arc::new(arrow_array::BooleanArray::from(vec![true])),
        ];
        for column in columns {
            assert_eq!((doubles(&column), ticks(&column)), (None, None), "{}", column.data_type());
        }
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        assert_eq!(ticks(&whole), None);
    }
}
