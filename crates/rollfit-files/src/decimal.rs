//! DECIMAL columns as doubles: each value becomes the nearest double, as its text does.
//!
//! A division by a power of ten rounds twice.

use std::fmt::{Display, Write};

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, Float64Array, PrimitiveArray};
use arrow_schema::DataType;

/// Returns the values of a DECIMAL column; none for a column of another type.
pub(crate) fn nearest_doubles(column: &ArrayRef) -> Option<Float64Array> {
    Some(match column.data_type() {
        DataType::Decimal32(..) => doubles(column.as_primitive::<Decimal32Type>()),
        DataType::Decimal64(..) => doubles(column.as_primitive::<Decimal64Type>()),
        DataType::Decimal128(..) => doubles(column.as_primitive::<Decimal128Type>()),
        DataType::Decimal256(..) => doubles(column.as_primitive::<Decimal256Type>()),
        _ => return None,
    })
}

fn doubles<T: DecimalType>(column: &PrimitiveArray<T>) -> Float64Array
where
    <T as ArrowPrimitiveType>::Native: Display,
{
    let scale = i32::from(column.scale());
    let mut text = String::new();
    let mut double = |unscaled| {
        text.clear();
        // The standard library reads any number of digits to the nearest double.
        let written = write!(text, "{unscaled}e{}", -scale);
        written.ok().and_then(|()| text.parse().ok())
    };
    column.iter().map(|value| value.and_then(&mut double)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Decimal32Array, Decimal64Array, Decimal128Array, Decimal256Array};

    use super::*;

    type I256 = <Decimal256Type as ArrowPrimitiveType>::Native;

    /// A column of one value for each width that holds it.
    fn columns(unscaled: i128, scale: i8) -> Vec<ArrayRef> {
        let narrow = i32::try_from(unscaled).ok().map(|value| {
            let column = Decimal32Array::from(vec![value]).with_data_type(DataType::Decimal32(9, scale));
            Arc::new(column) as ArrayRef
        });
        let middle = i64::try_from(unscaled).ok().map(|value| {
            let column = Decimal64Array::from(vec![value]).with_data_type(DataType::Decimal64(18, scale));
            Arc::new(column) as ArrayRef
        });
        let wide = Decimal128Array::from(vec![unscaled]).with_data_type(DataType::Decimal128(38, scale));
        let widest = Decimal256Array::from(vec![I256::from_i128(unscaled)])
            .with_data_type(DataType::Decimal256(76, scale));
        let both: [ArrayRef; 2] = [Arc::new(wide), Arc::new(widest)];
        narrow.into_iter().chain(middle).chain(both).collect()
    }

    /// `unscaled` with `scale` digits behind the point, as people write it.
    fn text(unscaled: i128, scale: i8) -> String {
        let sign = if unscaled < 0 { "-" } else { "" };
        let behind = usize::try_from(scale).unwrap_or(0);
        let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = behind + 1);
        let (whole, part) = digits.split_at(digits.len() - behind);
        let zeros = "0".repeat(usize::from(scale.min(0).unsigned_abs()));
        format!("{sign}{whole}{zeros}.{part}0")
    }

    #[test]
    fn every_width_and_scale_gives_the_double_of_the_text() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2_000 {
            let unscaled = random.i128(..) >> random.u32(1..127);
            for scale in [-9, -1, 0, 1, 5, 9] {
                let wanted: f64 = text(unscaled, scale).parse().unwrap();
                for column in columns(unscaled, scale) {
                    let found = nearest_doubles(&column).unwrap().value(0);
                    assert_eq!(found.to_bits(), wanted.to_bits(), "{unscaled} {}", column.data_type());
                }
            }
        }
    }

    #[test]
    fn all_76_digits_count() {
        // Half way between 1 and the next double, and a little more: only the last digit decides.
        let tie = "10000000000000001110223024625156540423631668090820312500000000000000000000000";
        for (last, wanted) in [("0", 1.0), ("1", 1.0 + f64::EPSILON)] {
            let digits = format!("{}{last}", &tie[..75]);
            let value = I256::from_string(&digits).unwrap();
            let column =
                Decimal256Array::from(vec![Some(value), None]).with_data_type(DataType::Decimal256(76, 75));
            let column: ArrayRef = Arc::new(column);
            assert_eq!(nearest_doubles(&column), Some(Float64Array::from(vec![Some(wanted), None])));
        }
    }

    #[test]
    fn other_columns_are_left_to_others() {
        let column: ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![1.5]));
        assert_eq!(nearest_doubles(&column), None);
    }
}
