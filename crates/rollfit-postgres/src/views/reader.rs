//! Features as readers find them: rows of the views of a partition.

use rollfit_job::config::{Layout, TIME_COLUMN};
use rollfit_job::partition::Partition;
use rollfit_job::store::{FeatureReader, StoreError};

use super::features_view::FeaturesView;
use crate::PostgresStore;
use crate::copy::instant::TimeType;
use crate::copy::number_column::NumberColumn;
use crate::features::read_back::TableReader;
use crate::names::quoted;
use crate::tables::leaf::Leaf;

impl PostgresStore {
    /// See [`Sink::read_as_readers`](rollfit_job::store::Sink::read_as_readers).
    ///
    /// # Errors
    /// When no session is to be had.
    pub(crate) fn read_views(
        &self,
        partition: &Partition,
        instants_us: Option<&[i64]>,
    ) -> Result<Option<Box<dyn FeatureReader + '_>>, StoreError> {
        let Some(views) = &self.views else { return Ok(None) };
        let number = if views.are_decimals { NumberColumn::Decimal } else { NumberColumn::Double };
        let leaf = |(at, FeaturesView { name, .. }): (usize, FeaturesView)| Leaf {
            name,
            layout: Layout::Metrics,
            time: TimeType::Naive,
            features: vec![number; self.feature_series[at].columns.len()],
            types: Vec::new(),
            others: Vec::new(),
        };
        let leaves = self.features_views(views, partition).into_iter().enumerate().map(leaf).collect();
        let condition = condition(partition, instants_us);
        let session = self.snapshot_session()?;
        let reader = TableReader::new(session, &self.feature_series, leaves, None, true);
        Ok(Some(Box::new(reader.with_condition(condition))))
    }
}

/// The rows of a partition, or those of some instants, in a relation that may have others. The literals take the type of the column.
fn condition(partition: &Partition, instants_us: Option<&[i64]>) -> String {
    let time = quoted(TIME_COLUMN);
    let literal = |us: i64| {
        let typed = TimeType::Zoned.literal(us);
        typed.trim_start_matches("timestamptz ").to_owned()
    };
    let span_us = partition.period.span_us();
    let within = format!("{time} >= {} AND {time} < {}", literal(span_us.start), literal(span_us.end));
    match instants_us {
        None => within,
        Some([]) => "false".to_owned(),
        Some(instants_us) => {
            let literals: Vec<String> = instants_us.iter().map(|&us| literal(us)).collect();
            format!("{within} AND {time} IN ({})", literals.join(", "))
        }
    }
}
