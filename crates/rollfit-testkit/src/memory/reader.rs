//! [`MemoryReader`]: reads features in memory back, group by group.

use std::collections::VecDeque;
use std::ops::Range;

use rollfit_job::receipt::Receipt;
use rollfit_job::store::{FeatureReader, FeatureTile, Grouping, StoreError};

use super::StoredPartition;

/// The rows of one partition.
pub(super) struct MemoryReader {
    stored: StoredPartition,
    /// The columns of the groups that are still to be given.
    groups: VecDeque<Range<usize>>,
    values: Vec<f64>,
}

impl MemoryReader {
    pub(super) fn new(stored: StoredPartition, grouping: Grouping) -> Self {
        let series = &stored.receipt.definition.series;
        let columns =
            |group: Range<usize>| series[group].iter().map(|series| series.stored_columns().len()).sum();
        let groups = grouping.groups(series.len()).into_iter().map(|group| {
            let first: usize = columns(0..group.start);
            first..first + columns(group)
        });
        Self { groups: groups.collect(), stored, values: Vec::new() }
    }
}

impl FeatureReader for MemoryReader {
    fn receipt(&self) -> Option<&Receipt> {
        Some(&self.stored.receipt)
    }

    fn next_tile(&mut self) -> Result<Option<FeatureTile<'_>>, StoreError> {
        let Some(columns) = self.groups.pop_front() else { return Ok(None) };
        let first_column = columns.start;
        let rows = &self.stored.rows;
        let values = columns.flat_map(|column| rows.iter().map(move |row| f64::from_bits(row[column])));
        self.values = values.collect();
        Ok(Some(FeatureTile { instants_us: &self.stored.instants_us, first_column, values: &self.values }))
    }
}
