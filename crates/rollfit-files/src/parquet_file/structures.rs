//! The structures of Parquet's footers and page headers, as the format's Thrift definition has them, and [`has`]: whether bytes
//! begin with one.
//!
//! The Parquet reader takes each field for what its number says, whatever kind the bytes declare. Where the two differ it goes on
//! at another place than a reader that believes the kinds, and may find there a list of billions of elements to make room for. So
//! here a known field has its kind, or the bytes are no such structure.

use super::thrift::{self, STRUCT, field, skip};

/// The fields of a structure by number. Others are passed over, as the Parquet reader does.
pub(super) type Fields = &'static [(i64, Kind)];

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Bool,
    I8,
    I16,
    I32,
    I64,
    Double,
    Bytes,
    Structure(Fields),
    List(&'static Kind),
}

use Kind::{Bool, Bytes, Double, I8, I16, I32, I64, List, Structure};

/// Whether bytes begin with a structure of these fields.
pub(super) fn has(mut bytes: &[u8], fields: Fields) -> bool {
    structure(&mut bytes, fields).is_some()
}

/// Passes over a structure; none where it is another, or goes on behind these bytes.
#[inline(never)]
fn structure(rest: &mut &[u8], fields: Fields) -> Option<()> {
    let mut id = 0;
    while let Some(kind) = field(rest, &mut id)? {
        match known(fields, id) {
            Some(expected) => value(rest, kind, expected)?,
            None => skip(rest, kind)?,
        }
    }
    Some(())
}

/// What a field holds. Most structures have all numbers from 1 on.
#[inline]
pub(super) fn known(fields: Fields, id: i64) -> Option<&'static Kind> {
    let is_it = |(number, _): &&'static (i64, Kind)| *number == id;
    let at_its_number = usize::try_from(id - 1).ok().and_then(|at| fields.get(at)).filter(is_it);
    at_its_number.or_else(|| fields.iter().find(is_it)).map(|(_, kind)| kind)
}

/// Inlined into its two callers: a footer has thousands of values, nearly all of them numbers.
#[inline(always)]
pub(super) fn value(rest: &mut &[u8], kind: u8, expected: &'static Kind) -> Option<()> {
    match *expected {
        Structure(fields) if kind == STRUCT => structure(rest, fields),
        List(element) if kind == thrift::LIST => list(rest, element),
        Bool if matches!(kind, 1 | 2) => Some(()),
        I32 if kind == thrift::I32 => thrift::varint(rest).map(drop),
        I64 if kind == 6 => thrift::varint(rest).map(drop),
        Bytes if kind == 8 => thrift::bytes(rest).map(drop),
        I8 if kind == 3 => skip(rest, kind),
        I16 if kind == 4 => skip(rest, kind),
        Double if kind == 7 => skip(rest, kind),
        _ => None,
    }
}

#[inline(never)]
fn list(rest: &mut &[u8], element: &'static Kind) -> Option<()> {
    let (kind, length) = thrift::list_head(rest)?;
    (0..length).try_for_each(|_| value(rest, kind, element))
}

const EMPTY: Kind = Structure(&[]);

const STATISTICS: Kind =
    Structure(&[(1, Bytes), (2, Bytes), (3, I64), (4, I64), (5, Bytes), (6, Bytes), (7, Bool), (8, Bool)]);

/// The header of a page.
pub(super) const PAGE_HEADER: Fields = &[
    (1, I32),
    (2, I32),
    (3, I32),
    (4, I32),
    (5, Structure(&[(1, I32), (2, I32), (3, I32), (4, I32), (5, STATISTICS)])),
    (6, EMPTY),
    (7, Structure(&[(1, I32), (2, I32), (3, Bool)])),
    (8, Structure(&[(1, I32), (2, I32), (3, I32), (4, I32), (5, I32), (6, I32), (7, Bool), (8, STATISTICS)])),
];

const TIME_TYPE: Kind = Structure(&[(1, Bool), (2, Structure(&[(1, EMPTY), (2, EMPTY), (3, EMPTY)]))]);

const LOGICAL_TYPE: Kind = Structure(&[
    (1, EMPTY),
    (2, EMPTY),
    (3, EMPTY),
    (4, EMPTY),
    (5, Structure(&[(1, I32), (2, I32)])),
    (6, EMPTY),
    (7, TIME_TYPE),
    (8, TIME_TYPE),
    (10, Structure(&[(1, I8), (2, Bool)])),
    (11, EMPTY),
    (12, EMPTY),
    (13, EMPTY),
    (14, EMPTY),
    (15, EMPTY),
    (16, Structure(&[(1, I8)])),
    (17, Structure(&[(1, Bytes)])),
    (18, Structure(&[(1, Bytes), (2, I32)])),
]);

const SCHEMA_ELEMENT: Kind = Structure(&[
    (1, I32),
    (2, I32),
    (3, I32),
    (4, Bytes),
    (5, I32),
    (6, I32),
    (7, I32),
    (8, I32),
    (9, I32),
    (10, LOGICAL_TYPE),
]);

const KEY_VALUE: Kind = Structure(&[(1, Bytes), (2, Bytes)]);

const SIZE_STATISTICS: Kind = Structure(&[(1, I64), (2, List(&I64)), (3, List(&I64))]);

const BOUNDING_BOX: Kind = Structure(&[
    (1, Double),
    (2, Double),
    (3, Double),
    (4, Double),
    (5, Double),
    (6, Double),
    (7, Double),
    (8, Double),
]);

const COLUMN_METADATA: Kind = Structure(&[
    (1, I32),
    (2, List(&I32)),
    (3, List(&Bytes)),
    (4, I32),
    (5, I64),
    (6, I64),
    (7, I64),
    (8, List(&KEY_VALUE)),
    (9, I64),
    (10, I64),
    (11, I64),
    (12, STATISTICS),
    (13, List(&Structure(&[(1, I32), (2, I32), (3, I32)]))),
    (14, I64),
    (15, I32),
    (16, SIZE_STATISTICS),
    (17, Structure(&[(1, BOUNDING_BOX), (2, List(&I32))])),
]);

const COLUMN_CHUNK: Kind = Structure(&[
    (1, Bytes),
    (2, I64),
    (3, COLUMN_METADATA),
    (4, I64),
    (5, I32),
    (6, I64),
    (7, I32),
    (8, Structure(&[(1, EMPTY), (2, Structure(&[(1, List(&Bytes)), (2, Bytes)]))])),
    (9, Bytes),
]);

const ROW_GROUP: Kind = Structure(&[
    (1, List(&COLUMN_CHUNK)),
    (2, I64),
    (3, I64),
    (4, List(&Structure(&[(1, I32), (2, Bool), (3, Bool)]))),
    (5, I64),
    (6, I64),
    (7, I16),
]);

const ENCRYPTION: Kind = Structure(&[(1, Bytes), (2, Bytes), (3, Bool)]);

/// The footer of a file.
pub(super) const FILE_METADATA: Fields = &[
    (1, I32),
    (2, List(&SCHEMA_ELEMENT)),
    (3, I64),
    (4, List(&ROW_GROUP)),
    (5, List(&KEY_VALUE)),
    (6, Bytes),
    (7, List(&Structure(&[(1, EMPTY)]))),
    (8, Structure(&[(1, ENCRYPTION), (2, ENCRYPTION)])),
    (9, Bytes),
];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    };
    use parquet::arrow::ArrowWriter;

    use super::*;

    /// The footer of a file as the Parquet crate writes it.
    fn footer() -> Vec<u8> {
        let columns: [(&str, ArrayRef); 4] = [
            ("ts", Arc::new(TimestampMicrosecondArray::from(vec![1, 2]).with_timezone("UTC"))),
            ("close", Arc::new(Float64Array::from(vec![Some(1.5), None]))),
            ("note", Arc::new(StringArray::from(vec!["a", "b"]))),
            ("is_final", Arc::new(BooleanArray::from(vec![true, false]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut file = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let end = file.len() - 8;
        let length = u32::from_le_bytes(file[end..end + 4].try_into().unwrap()) as usize;
        file[end - length..end].to_vec()
    }

    /// The Parquet reader would make room for 2^31 row groups, and the process would end for want of memory.
    #[test]
    fn a_footer_whose_row_groups_come_again_as_a_number_is_none() {
        let mut footer = footer();
        assert!(has(&footer, FILE_METADATA));
        assert_eq!(footer.pop(), Some(0));
        footer.extend([0x06, 0x08, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0]);
        assert!(!has(&footer, FILE_METADATA));
    }

    #[test]
    fn a_known_field_has_its_kind() {
        // Version 1, and no rows.
        assert!(has(&[0x15, 2, 0x26, 0, 0], FILE_METADATA));
        // The version as a text.
        assert!(!has(&[0x18, 1, b'a', 0], FILE_METADATA));
        // Row groups as a number, of which the Parquet reader would make a list of billions.
        assert!(!has(&[0x06, 0x08, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0], FILE_METADATA));
        // A list of other elements; of none it may say anything.
        assert!(!has(&[0x29, 0x15, 0, 0], FILE_METADATA));
        assert!(has(&[0x29, 0x05, 0], FILE_METADATA));
    }

    #[test]
    fn nested_structures_are_checked_and_unknown_fields_passed_over() {
        // A schema of one element, whose name is a text, or a number.
        assert!(has(&[0x29, 0x1c, 0x48, 1, b'a', 0, 0], FILE_METADATA));
        assert!(!has(&[0x29, 0x1c, 0x46, 2, 0, 0], FILE_METADATA));
        // The field 15, whatever it is.
        assert!(has(&[0xf6, 2, 0], FILE_METADATA));
        assert!(!has(&[0xf6], FILE_METADATA));
    }
}
