//! [`NarrowColumns`]: how the columns of a partition round its values, if some hold less than a double.

use std::sync::Arc;

use rollfit_job::store::Rounding;

use crate::copy::number_column::NumberColumn;
use crate::tables::leaf::Leaf;

/// The columns of a partition, some of them narrower than doubles.
pub(crate) struct NarrowColumns(Vec<NumberColumn>);

impl NarrowColumns {
    /// Returns how the columns of these tables round values; none if they hold every double.
    pub(crate) fn from_leaves<'a>(leaves: impl Iterator<Item = &'a Leaf>) -> Option<Arc<dyn Rounding>> {
        let columns: Vec<NumberColumn> = leaves.flat_map(|leaf| leaf.features.iter().copied()).collect();
        let is_narrow =
            |column: &NumberColumn| matches!(column, NumberColumn::Single | NumberColumn::Rounded { .. });
        columns.iter().any(is_narrow).then(|| Arc::new(Self(columns)) as Arc<dyn Rounding>)
    }
}

impl Rounding for NarrowColumns {
    fn round(&self, column: usize, values: &mut [f64]) {
        let Some(&column) = self.0.get(column) else { return };
        if matches!(column, NumberColumn::Single | NumberColumn::Rounded { .. }) {
            values.iter_mut().for_each(|value| *value = column.round(*value));
        }
    }

    fn uncertainty(&self, column: usize, value: f64) -> f64 {
        self.0.get(column).map_or(0.0, |column| column.uncertainty(value))
    }
}
