//! The rows of files that an import of rollfit wrote, read without the Parquet reader. Others, and what is not as such an import
//! writes it, are left to that, errors too.

use arrow_schema::{DataType, TimeUnit};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use rollfit_files::parquet_file::{FileBytes, Integrity, read_doubles, read_instants};

use crate::sources::table_file::TableFile;

impl TableFile {
    /// The instants, in microseconds, and the values of each column of these row groups.
    pub(super) fn sealed_columns(
        &self,
        groups: &[usize],
        time: &str,
        values: &[&str],
    ) -> Option<(Vec<i64>, Vec<Vec<f64>>)> {
        if !matches!(self.data_type(time), Ok(DataType::Timestamp(TimeUnit::Microsecond, _))) {
            return None;
        }
        let bytes = self.sealed_bytes()?;
        let mut instants_us = Vec::new();
        for &group in groups {
            let group = self.contents.metadata.metadata().row_group(group);
            let rows = usize::try_from(group.num_rows()).ok()?;
            instants_us.extend(read_instants(&bytes, column(group, time)?, rows)?);
        }
        Some((instants_us, self.sealed_doubles(groups, values)?))
    }

    /// The values of each column of these row groups.
    pub(super) fn sealed_doubles(&self, groups: &[usize], names: &[&str]) -> Option<Vec<Vec<f64>>> {
        let bytes = self.sealed_bytes()?;
        let mut columns = vec![Vec::new(); names.len()];
        for &group in groups {
            let group = self.contents.metadata.metadata().row_group(group);
            let rows = usize::try_from(group.num_rows()).ok()?;
            for (doubles, name) in columns.iter_mut().zip(names) {
                doubles.extend(read_doubles(&bytes, column(group, name)?, rows)?);
            }
        }
        Some(columns)
    }

    /// The bytes of a file of ours whose columns do not overlap: else a small file could have the same bytes read for ever.
    fn sealed_bytes(&self) -> Option<FileBytes> {
        let groups = self.contents.metadata.metadata().row_groups();
        let column_bytes =
            groups.iter().flat_map(RowGroupMetaData::columns).map(|column| column.byte_range().1);
        let all = column_bytes.fold(0, u64::saturating_add);
        let is_sealed =
            matches!(self.contents.integrity, Integrity::Verified(_)) && all <= self.identity.bytes;
        is_sealed.then(|| FileBytes::new(self.file.clone(), self.identity.bytes))
    }
}

/// The column of this name, where there is one.
fn column<'a>(group: &'a RowGroupMetaData, name: &str) -> Option<&'a ColumnChunkMetaData> {
    let mut named = group.columns().iter().filter(|column| column.column_path().parts() == [name]);
    named.next().filter(|_| named.next().is_none())
}
