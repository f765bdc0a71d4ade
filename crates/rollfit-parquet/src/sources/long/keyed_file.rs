//! Rows of files with a key column.

use arrow_array::StringArray;
use arrow_schema::DataType;
use parquet::file::statistics::Statistics;
use rollfit_files::texts::texts;
use rollfit_job::foreign;
use rollfit_job::store::StoreError;

use crate::sources::table_file::TableFile;

/// The columns that are read of a long table.
#[derive(Clone, Copy)]
pub(super) struct KeyedColumns<'a> {
    pub(super) key: &'a str,
    pub(super) time: &'a str,
    pub(super) values: &'a [String],
}

impl TableFile {
    /// Checks that the columns have the types that are read.
    pub(super) fn check_keyed(&self, columns: KeyedColumns<'_>) -> Result<(), StoreError> {
        self.check_key_type(columns.key)?;
        self.time_unit(columns.time)?;
        columns.values.iter().try_for_each(|value| self.check_numeric(value))
    }

    fn check_key_type(&self, key_column: &str) -> Result<(), StoreError> {
        match self.data_type(key_column)? {
            kind if is_key_type(kind) => Ok(()),
            other => Err(StoreError::permanent(format!(
                "{}: column `{key_column}` is {other}, and a key is text or a whole number; name another column with \
                 `key_column`",
                self.path.display()
            ))),
        }
    }

    /// Reads a row group; `take` gets the keys, instants and values of some rows at a time.
    pub(super) fn read_keyed(
        &self,
        group: usize,
        columns: KeyedColumns<'_>,
        mut take: impl FnMut(&StringArray, &[i64], &[Vec<f64>]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut names = vec![columns.key, columns.time];
        names.extend(columns.values.iter().map(String::as_str));
        let (mut instants_us, mut values) = (Vec::new(), vec![Vec::new(); columns.values.len()]);
        let mut read_rows = 0;
        self.read(|| {
            self.decode(&[group], &names, |arrays| {
                instants_us.clear();
                self.append_instants(&arrays[1], columns.time, &mut instants_us)?;
                for ((values, array), name) in values.iter_mut().zip(&arrays[2..]).zip(columns.values) {
                    values.clear();
                    self.append_values(array, name, values)?;
                }
                read_rows += instants_us.len();
                take(&self.keys(&arrays[0], columns.key)?, &instants_us, &values)
            })
        })?;
        self.check_rows(&[group], read_rows)
    }

    fn keys(&self, array: &arrow_array::ArrayRef, column: &str) -> Result<StringArray, StoreError> {
        texts(array).ok_or_else(|| {
            StoreError::permanent(format!("{}: column `{column}` could not be read", self.path.display()))
        })
    }

    /// Checks that a file in the directory of a key says the same key in each of its rows.
    pub(super) fn check_agrees(&self, key_column: &str, key: &str) -> Result<(), StoreError> {
        self.check_key_type(key_column)?;
        let groups = self.contents.metadata.metadata().num_row_groups();
        (0..groups).try_for_each(|group| {
            if self.has_only(group, key_column, key) {
                Ok(())
            } else {
                self.check_keys(group, key_column, key)
            }
        })
    }

    /// Whether the footer says that every row of a group has a key.
    fn has_only(&self, group: usize, key_column: &str, key: &str) -> bool {
        let group = self.contents.metadata.metadata().row_group(group);
        let column = group.columns().iter().find(|column| column.column_path().parts() == [key_column]);
        let Some(Statistics::ByteArray(known)) = column.and_then(|column| column.statistics()) else {
            return false;
        };
        let is_key = |bound: Option<&parquet::data_type::ByteArray>| {
            bound.is_some_and(|bound| bound.data() == key.as_bytes())
        };
        is_key(known.min_opt()) && is_key(known.max_opt()) && known.null_count_opt() == Some(0)
    }

    fn check_keys(&self, group: usize, key_column: &str, key: &str) -> Result<(), StoreError> {
        self.read(|| {
            self.decode(&[group], &[key_column], |arrays| {
                let keys = self.keys(&arrays[0], key_column)?;
                match keys.iter().find(|found| *found != Some(key)) {
                    None => Ok(()),
                    Some(other) => Err(self.disagrees(key_column, key, other)),
                }
            })
        })
    }

    fn disagrees(&self, key_column: &str, key: &str, found: Option<&str>) -> StoreError {
        let found = found.map_or("NULL".into(), |found| format!("`{}`", foreign::name(found)));
        StoreError::permanent(format!(
            "{}: its directory says {key_column}={}, but a row in it has {found} in column `{key_column}`; move the rows to the \
             directory of their key, or move the file directly into the table's directory",
            self.path.display(),
            foreign::name(key)
        ))
    }
}

fn is_key_type(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        // Text of writers that do not say so.
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => true,
        DataType::Dictionary(_, values) => is_key_type(values),
        DataType::Null => true,
        other => other.is_integer(),
    }
}
