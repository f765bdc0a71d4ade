//! The rate index of the files that an import wrote, held against the closes beside it; and the base that these files name.

use rollfit_job::store::StoreError;

use crate::fault::damaged_source;
use crate::sources::file_spans::{Contents, FileSpans};
use crate::sources::open_table::OpenTable;
use crate::sources::table_file::TableFile;
use rollfit_job::import::Base;
use rollfit_job::import::series::rate_index;

/// The key of the base in the footer of the files that an import writes.
pub(crate) const BASE_KEY: &str = "rollfit.base";

/// The closes that an import writes.
pub(crate) const CLOSE: &str = "close";
/// The rate indexes that it makes of them.
pub(crate) const RATE_INDEX: &str = "rate_index";

impl OpenTable {
    /// The base that the files of the table name; none where no import wrote one of them.
    pub(crate) fn base(&self) -> Result<Option<f64>, StoreError> {
        let named = |file: &FileSpans| Some((file.path.clone(), base_of(&file.contents)?.close));
        let mut named = self.listed().iter().filter_map(named);
        let Some((path, base)) = named.next() else { return Ok(None) };
        match named.find(|(_, other)| other.to_bits() != base.to_bits()) {
            None => Ok(Some(base)),
            Some((other_path, other)) => Err(StoreError::permanent(format!(
                "{} has the base {base}, but {} has {other}: they are not of one import; restore the table from a backup, or \
                 import its bars again into an empty one",
                path.display(),
                other_path.display()
            ))),
        }
    }
}

/// The base that an import wrote into a footer.
fn base_of(contents: &Contents) -> Option<Base> {
    serde_json::from_str(&contents.metadata_value(BASE_KEY)?).ok()
}

impl TableFile {
    /// Checks that each rate index is that of its close and of the base which the footer names. Files without a base, or
    /// without one of the columns, are not of this kind.
    pub(crate) fn check_rate_index(&self) -> Result<(), StoreError> {
        let Some(base) = base_of(&self.contents) else { return Ok(()) };
        if !(self.has_numbers(CLOSE) && self.has_numbers(RATE_INDEX)) {
            return Ok(());
        }
        self.read(|| self.compare_rate_index(base.close))
    }

    /// Row group by row group: a few bytes can say a million rows that are missing.
    fn compare_rate_index(&self, base: f64) -> Result<(), StoreError> {
        let names = [CLOSE, RATE_INDEX];
        let (mut closes, mut stored, mut row) = (Vec::new(), Vec::new(), 0);
        for group in 0..self.contents.metadata.metadata().num_row_groups() {
            if let Some([closes, stored]) = self.sealed_doubles(&[group], &names).as_deref() {
                self.compare_rows(closes, stored, row, base)?;
                row += closes.len();
                continue;
            }
            self.decode(&[group], &names, |arrays| {
                closes.clear();
                stored.clear();
                self.append_values(&arrays[0], CLOSE, &mut closes)?;
                self.append_values(&arrays[1], RATE_INDEX, &mut stored)?;
                self.compare_rows(&closes, &stored, row, base)?;
                row += closes.len();
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Compares rows of which `before` come earlier in the file.
    fn compare_rows(
        &self,
        closes: &[f64],
        stored: &[f64],
        before: usize,
        base: f64,
    ) -> Result<(), StoreError> {
        let agrees = |(&close, &stored): (&f64, &f64)| {
            let computed = rate_index(close, base);
            computed.to_bits() == stored.to_bits() || computed.is_nan() && stored.is_nan()
        };
        let Some(at) = closes.iter().zip(stored).position(|pair| !agrees(pair)) else { return Ok(()) };
        Err(damaged_source(
            &self.path,
            &format!(
                "row {}: the rate_index {} does not match the close {} and the base {base}",
                before + at + 1,
                stored[at],
                closes[at]
            ),
        ))
    }
}
