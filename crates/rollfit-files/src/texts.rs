//! Columns as text, such as the names of instruments, whatever type holds them.
//!
//! Two values of a column have the same text only if they are equal. Dates and times are the whole numbers that the file
//! stores. Bytes that are not UTF-8 are written as `\xff`.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType};
use arrow_array::{
    Array, ArrayRef, OffsetSizeTrait, PrimitiveArray, StringArray, downcast_primitive_array, new_empty_array,
};
use arrow_schema::DataType;

/// Whether a column of this type has a text for each row.
pub fn has_texts(data_type: &DataType) -> bool {
    texts(&new_empty_array(data_type)).is_some()
}

/// Returns the text of each row; none for structures and other types that have no text.
pub fn texts(column: &ArrayRef) -> Option<StringArray> {
    Some(match column.data_type() {
        DataType::Null => StringArray::new_null(column.len()),
        DataType::Utf8 => column.as_string::<i32>().clone(),
        DataType::LargeUtf8 => column.as_string::<i64>().iter().collect(),
        DataType::Utf8View => column.as_string_view().iter().collect(),
        DataType::Binary => utf8(column.as_binary::<i32>().iter()),
        DataType::LargeBinary => utf8(column.as_binary::<i64>().iter()),
        DataType::BinaryView => utf8(column.as_binary_view().iter()),
        DataType::FixedSizeBinary(_) => utf8(column.as_fixed_size_binary().iter()),
        DataType::Boolean => {
            column.as_boolean().iter().map(|value| value.map(|value| value.to_string())).collect()
        }
        DataType::Decimal32(..) => decimals(column.as_primitive::<Decimal32Type>()),
        DataType::Decimal64(..) => decimals(column.as_primitive::<Decimal64Type>()),
        DataType::Decimal128(..) => decimals(column.as_primitive::<Decimal128Type>()),
        DataType::Decimal256(..) => decimals(column.as_primitive::<Decimal256Type>()),
        DataType::Dictionary(..) => return dictionary(column),
        DataType::List(_) => return list::<i32>(column),
        DataType::LargeList(_) => return list::<i64>(column),
        DataType::ListView(_) => return list_view::<i32>(column),
        DataType::LargeListView(_) => return list_view::<i64>(column),
        DataType::FixedSizeList(_, 1) => {
            let items = texts(column.as_fixed_size_list().values())?;
            column_of(column, |row| text(&items, row).map(str::to_owned))
        }
        _ => return primitive(column),
    })
}

/// The text of each row that is not NULL.
fn column_of(column: &ArrayRef, text: impl Fn(usize) -> Option<String>) -> StringArray {
    (0..column.len()).map(|row| if column.is_valid(row) { text(row) } else { None }).collect()
}

fn text(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}

fn utf8<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> StringArray {
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.escape_ascii().to_string(),
    };
    values.map(|value| value.map(text)).collect()
}

fn decimals<T: DecimalType>(column: &PrimitiveArray<T>) -> StringArray {
    (0..column.len()).map(|row| column.is_valid(row).then(|| column.value_as_string(row))).collect()
}

/// Numbers, and dates and times as numbers.
fn primitive(column: &ArrayRef) -> Option<StringArray> {
    downcast_primitive_array!(
        column => Some(column.iter().map(|value| value.map(|value| format!("{value:?}"))).collect()),
        _ => None
    )
}

fn dictionary(column: &ArrayRef) -> Option<StringArray> {
    let dictionary = column.as_any_dictionary();
    let values = texts(dictionary.values())?;
    if values.is_empty() {
        return Some(StringArray::new_null(column.len()));
    }
    let keys = dictionary.normalized_keys();
    Some(column_of(column, |row| text(&values, keys[row]).map(str::to_owned)))
}

fn list<O: OffsetSizeTrait>(column: &ArrayRef) -> Option<StringArray> {
    let list = column.as_list::<O>();
    let offsets = list.value_offsets();
    lists(column, list.values(), |row| offsets[row].as_usize()..offsets[row + 1].as_usize())
}

fn list_view<O: OffsetSizeTrait>(column: &ArrayRef) -> Option<StringArray> {
    let list = column.as_list_view::<O>();
    let (offsets, sizes) = (list.value_offsets(), list.value_sizes());
    lists(column, list.values(), |row| offsets[row].as_usize()..(offsets[row] + sizes[row]).as_usize())
}

/// The items of each row, as `[a, b]`.
fn lists(column: &ArrayRef, items: &ArrayRef, range: impl Fn(usize) -> Range<usize>) -> Option<StringArray> {
    let items = texts(items)?;
    let text = |row| range(row).map(|at| text(&items, at).unwrap_or_default()).collect::<Vec<_>>().join(", ");
    Some(column_of(column, |row| Some(format!("[{}]", text(row)))))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::{Int8Type, Int32Type, UInt32Type};
    use arrow_array::{
        BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
        FixedSizeBinaryArray, FixedSizeListArray, Float64Array, Int64Array, LargeBinaryArray, LargeListArray,
        LargeStringArray, ListArray, ListViewArray, NullArray, StringViewArray, StructArray,
        TimestampSecondArray,
    };
    use arrow_schema::Field;

    use super::*;

    #[track_caller]
    fn check(column: impl Array + 'static, expected: &[Option<&str>]) {
        let column: ArrayRef = Arc::new(column);
        assert!(has_texts(column.data_type()), "{}", column.data_type());
        assert_eq!(texts(&column), Some(expected.iter().copied().collect()), "{}", column.data_type());
        let (part, rest) = (column.slice(1, column.len() - 1), &expected[1..]);
        assert_eq!(texts(&part), Some(rest.iter().copied().collect()), "{}", column.data_type());
    }

    #[test]
    fn text_of_every_kind() {
        let (values, expected) = (vec![Some("EURUSD"), None, Some("é")], [Some("EURUSD"), None, Some("é")]);
        check(StringArray::from(values.clone()), &expected);
        check(LargeStringArray::from(values.clone()), &expected);
        check(StringViewArray::from(values.clone()), &expected);
        check(values.iter().copied().collect::<DictionaryArray<Int8Type>>(), &expected);
        check(values.into_iter().collect::<DictionaryArray<UInt32Type>>(), &expected);
        check([None::<&str>, None].into_iter().collect::<DictionaryArray<Int32Type>>(), &[None, None]);
        check(NullArray::new(2), &[None, None]);
    }

    #[test]
    fn bytes_are_text_and_escaped_where_they_are_not_utf8() {
        let (values, expected) =
            (vec![Some("EUR".as_bytes()), None, Some(b"\xff")], [Some("EUR"), None, Some("\\xff")]);
        check(BinaryArray::from(values.clone()), &expected);
        check(LargeBinaryArray::from(values.clone()), &expected);
        check(BinaryViewArray::from(values), &expected);
        let fixed = FixedSizeBinaryArray::try_from_iter([b"ab", b"\xfe\xff"].into_iter()).unwrap();
        check(fixed, &[Some("ab"), Some("\\xfe\\xff")]);
    }

    #[test]
    fn numbers_and_times_as_numbers() {
        check(BooleanArray::from(vec![Some(true), None]), &[Some("true"), None]);
        check(Int64Array::from(vec![Some(-7), None]), &[Some("-7"), None]);
        check(Float64Array::from(vec![Some(1.0), Some(1e20)]), &[Some("1.0"), Some("1e20")]);
        let decimals = Decimal128Array::from(vec![Some(150), None]);
        check(decimals.with_precision_and_scale(9, 2).unwrap(), &[Some("1.50"), None]);
        check(Date32Array::from(vec![Some(7), None]), &[Some("7"), None]);
        check(TimestampSecondArray::from(vec![7, 8]), &[Some("7"), Some("8")]);
    }

    #[test]
    fn lists_name_their_items() {
        let rows = || [Some(vec![Some(1), None]), None, Some(vec![Some(2)])];
        let expected = [Some("[1, ]"), None, Some("[2]")];
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(rows());
        check(ListViewArray::from(list.clone()), &expected);
        check(list, &expected);
        check(LargeListArray::from_iter_primitive::<Int32Type, _, _>(rows()), &expected);
        let single = [Some(vec![Some(1)]), None, Some(vec![Some(2)])];
        let single = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(single, 1);
        check(single, &[Some("1"), None, Some("2")]);
    }

    #[test]
    fn other_columns_have_no_text() {
        let fields = vec![(Arc::new(Field::new("a", DataType::Int64, true)), closes())];
        let structure: ArrayRef = Arc::new(StructArray::from(fields));
        let pairs = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>([None::<Vec<Option<i32>>>], 2);
        for column in [structure, Arc::new(pairs)] {
            assert_eq!(texts(&column), None, "{}", column.data_type());
            assert!(!has_texts(column.data_type()));
        }
    }

    fn closes() -> ArrayRef {
        Arc::new(Int64Array::from(vec![1]))
    }
}
