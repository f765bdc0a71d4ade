//! [`check_packing`]: compressions that are not read, said before the Parquet reader takes such a file for a damaged one.

use parquet::basic::Compression;
use parquet::file::metadata::ParquetMetaData;

/// Checks that the columns that are to be read, by their index, are packed in a way that is unpacked.
///
/// # Errors
/// With the compression, and what to do.
pub fn check_packing(
    metadata: &ParquetMetaData,
    groups: impl IntoIterator<Item = usize>,
    is_read: impl Fn(usize) -> bool,
) -> Result<(), String> {
    for group in groups {
        let columns = metadata.row_group(group).columns().iter().enumerate();
        for (_, column) in columns.filter(|(at, _)| is_read(*at)) {
            let name = match column.compression() {
                Compression::BROTLI(_) => "Brotli",
                Compression::LZO => "LZO",
                _ => continue,
            };
            return Err(format!(
                "column `{}` is compressed with {name}, which rollfit does not read; write the file again with zstd, snappy, lz4 or \
                 gzip",
                column.column_path().string()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::file::metadata::{ColumnChunkMetaData, FileMetaData, RowGroupMetaData};
    use parquet::schema::parser::parse_message_type;
    use parquet::schema::types::SchemaDescriptor;

    use super::*;

    #[test]
    fn a_column_that_is_read_has_a_packing_that_is_unpacked() {
        let schema = parse_message_type("message m { required double a; required double b; }").unwrap();
        let schema = Arc::new(SchemaDescriptor::new(Arc::new(schema)));
        let column = |at: usize, packing| {
            let column = ColumnChunkMetaData::builder(schema.column(at)).set_compression(packing);
            column.build().unwrap()
        };
        let columns =
            vec![column(0, Compression::SNAPPY), column(1, Compression::BROTLI(Default::default()))];
        let group = RowGroupMetaData::builder(schema.clone()).set_column_metadata(columns).build().unwrap();
        let file = FileMetaData::new(1, 0, None, None, schema.clone(), None);
        let metadata = ParquetMetaData::new(file, vec![group]);
        assert_eq!(check_packing(&metadata, [0], |at| at == 0), Ok(()));
        let why = check_packing(&metadata, [0], |_| true).unwrap_err();
        assert!(
            why.starts_with("column `b` is compressed with Brotli") && why.ends_with("lz4 or gzip"),
            "{why}"
        );
    }
}
