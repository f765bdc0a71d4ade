//! [`StoredState`]: what a sink holds of a partition, for who reads features; [`StoredFeatures`]: its rows, checked against the receipt.
//!
//! Invariants: no row is given out before all of its partition is checked, whichever columns are wanted: by the store's own checksums, or
//! by the sum of all rows. Rows, state and receipt are of one another: rows of another receipt are none.

use std::sync::Arc;

use crate::config::JobConfig;
use crate::features::Checksum;
use crate::features_of_fits::StoredRows;
use crate::input::InputChange;
use crate::panel::Panel;
use crate::partition::Partition;
use crate::receipt::{Definition, Input, Receipt};
use crate::state::Assessment;
use crate::store::{FeatureReader, FeatureTile, Found, Rounding, Sink, Source, StoreError};
use crate::verify::{Position, stored_difference};

/// What a sink holds of a partition, and how it relates to the job and to the source.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredState {
    /// The partition.
    pub partition: Partition,
    /// Its state, and why.
    pub assessment: Assessment,
    /// The receipt of what is stored, where rollfit wrote it.
    pub receipt: Option<Box<Receipt>>,
}

impl StoredState {
    /// Decides what `found` is, which the sink held before the source is read. Without a source only the definition is compared.
    ///
    /// # Errors
    /// Those of the source.
    pub fn new(
        config: &JobConfig,
        source: Option<&dyn Source>,
        partition: &Partition,
        found: Found,
    ) -> Result<Self, StoreError> {
        let panel = match source {
            Some(source) if is_of_job(config, &found) => Some(Panel::read(source, config, partition)?),
            _ => None,
        };
        Ok(Self::from_panel(config, panel.as_ref(), partition, found))
    }

    /// As [`StoredState::new`], with the source's rows if they are read.
    pub(crate) fn from_panel(
        config: &JobConfig,
        panel: Option<&Panel>,
        partition: &Partition,
        found: Found,
    ) -> Self {
        let definition = Definition::from_config(config);
        let input = panel.map_or_else(|| recorded_input(&found), Panel::input);
        let compare_input =
            |recorded: &Input| panel.map_or(InputChange::None, |panel| panel.compare_input(recorded));
        let assessment = Assessment::from_found(&found, &definition, &input, compare_input, &config.run);
        let receipt = if let Found::Ours(receipt) = found { Some(receipt) } else { None };
        Self { partition: partition.clone(), assessment, receipt }
    }
}

/// Whether features of this definition are stored.
fn is_of_job(config: &JobConfig, found: &Found) -> bool {
    match found {
        Found::Ours(receipt) => receipt.definition.difference(&Definition::from_config(config)).is_none(),
        Found::Nothing | Found::Foreign(_) | Found::Newer(_) | Found::Blocked(_) => false,
    }
}

/// The input of the receipt that was found: nothing has become of a source that is not asked.
fn recorded_input(found: &Found) -> Input {
    match found {
        Found::Ours(receipt) => receipt.input.clone(),
        Found::Nothing | Found::Foreign(_) | Found::Newer(_) | Found::Blocked(_) => Panel::default().input(),
    }
}

/// Some features of every row of a partition, as they are stored.
#[derive(Default)]
pub struct StoredFeatures {
    /// Microseconds since 1970, UTC, rising.
    pub instants_us: Vec<i64>,
    /// The columns that were asked for, in that order; NaN where a feature has no value.
    pub columns: Vec<Vec<f64>>,
    /// What the store's columns make of values; none where they hold every double.
    pub rounding: Option<Arc<dyn Rounding>>,
}

impl StoredFeatures {
    /// Reads features by their numbers among those of the job. None where what is stored is no longer what `receipt` belongs to, which is
    /// a receipt of this job.
    ///
    /// # Errors
    /// When they cannot be read; [`StoreError::is_damage`] where the rows are not those that were written.
    pub fn read(
        config: &JobConfig,
        sink: &dyn Sink,
        partition: &Partition,
        receipt: &Receipt,
        columns: &[usize],
    ) -> Result<Option<Self>, StoreError> {
        let mut rising = columns.to_vec();
        rising.sort_unstable();
        rising.dedup();
        if let Some(reader) = sink.read_checked(partition, &rising)? {
            let places =
                columns.iter().map(|column| rising.partition_point(|other| other < column)).collect();
            return Reading::new(places).finish(partition, receipt, reader);
        }
        let reader = Box::new(StoredRows::new(&config.series, sink.read(partition)?));
        let checksum = Some(Checksum::new(config.feature_count()));
        Reading { checksum, ..Reading::new(columns.to_vec()) }.finish(partition, receipt, reader)
    }
}

/// The reading of a partition.
struct Reading {
    /// The place of each column that is wanted among those that are read.
    places: Vec<usize>,
    /// Of all rows, where the store has not checked them.
    checksum: Option<Checksum>,
    position: Position,
    read: StoredFeatures,
}

impl Reading {
    fn new(places: Vec<usize>) -> Self {
        let read = StoredFeatures { columns: vec![Vec::new(); places.len()], ..StoredFeatures::default() };
        Self { places, checksum: None, position: Position::default(), read }
    }

    fn finish(
        mut self,
        partition: &Partition,
        receipt: &Receipt,
        mut reader: Box<dyn FeatureReader + '_>,
    ) -> Result<Option<StoredFeatures>, StoreError> {
        if reader.receipt() != Some(receipt) {
            return Ok(None);
        }
        self.read.rounding = reader.rounding();
        while let Some(tile) = reader.next_tile()? {
            let first_row = self.position.advance(tile);
            if let Some(checksum) = &mut self.checksum {
                checksum.add(first_row, tile);
            }
            self.take(tile);
        }
        let difference = match (self.position.rows(), &self.checksum) {
            (Err(difference), _) => Some(difference),
            (Ok(rows), Some(checksum)) => stored_difference(receipt, rows, &checksum.to_string()),
            (Ok(rows), None) => stored_difference(receipt, rows, &receipt.stored.checksum),
        };
        match difference {
            Some(difference) => Err(changed_rows(partition, &difference)),
            None => Ok(Some(self.read)),
        }
    }

    fn take(&mut self, tile: FeatureTile<'_>) {
        if tile.first_column == 0 {
            self.read.instants_us.extend_from_slice(tile.instants_us);
        }
        let rows = tile.rows();
        for (column, &feature) in self.read.columns.iter_mut().zip(&self.places) {
            let Some(at) = feature.checked_sub(tile.first_column) else { continue };
            if let Some(values) = tile.values.get(at * rows..(at + 1) * rows) {
                column.extend_from_slice(values);
            }
        }
    }
}

fn changed_rows(partition: &Partition, difference: &str) -> StoreError {
    let Partition { key, period } = partition;
    StoreError::damage(format!(
        "{partition}: the stored features are not those that were written: {difference}; `rollfit run --force --only {key}:{period}` \
         writes them anew"
    ))
}
