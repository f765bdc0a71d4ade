//! What readers find where a store keeps fits and computes features on read: whether that changes what there is to do about a partition, and
//! whether they find the features that follow from what is stored.

use crate::Job;
use crate::month::display_instant;
use crate::partition::Partition;
use crate::receipt::Receipt;
use crate::row_sample::RowSample;
use crate::state::{Assessment, State};
use crate::stop_signal::StopSignal;
use crate::store::{FeatureReader, FeatureTile, ReaderView, Rounding, StoreError};
use crate::verify::{Depth, Position, receipt_difference};
use std::sync::Arc;

/// The rows of a quick check.
const QUICK_ROWS: usize = 16;

impl Assessment {
    /// The partition as it is where readers find `view`: blocked where something else is in its place, since nobody would find what
    /// a run writes, or what it has written.
    #[must_use]
    pub(crate) fn with_view(self, view: &ReaderView) -> Self {
        match (view, self.state) {
            (ReaderView::Missing(what), State::Done) => {
                Self { cause: format!("{}; {what}, and a run makes it", self.cause), ..self }
            }
            (ReaderView::Ready | ReaderView::Missing(_), _) => self,
            (
                ReaderView::Foreign(what),
                State::Missing | State::Done | State::Grown | State::InputChanged,
            ) => self.blocked_by(what),
            (ReaderView::Foreign(what), _) => self.with_obstacle(what),
        }
    }
}

/// Some rows of a partition, of each series: the first of its columns, the instant, the features.
type Rows = Vec<(usize, i64, Vec<f64>)>;

/// A reader that keeps some of the rows that are read from it.
pub(crate) struct KeptRows<'a> {
    reader: Box<dyn FeatureReader + 'a>,
    sample: Option<RowSample>,
    position: Position,
    kept: Rows,
}

impl<'a> KeptRows<'a> {
    /// Keeps as many rows of those that `receipt` counts as `depth` wants to see as readers see them.
    pub(crate) fn new(reader: Box<dyn FeatureReader + 'a>, receipt: &Receipt, depth: Depth) -> Self {
        let rows = usize::try_from(receipt.stored.rows).unwrap_or(usize::MAX).max(1);
        let sample = match depth {
            Depth::Quick => Some(RowSample::new(rows, Some(QUICK_ROWS))),
            Depth::Sampled(wanted) => Some(RowSample::new(rows, Some(wanted))),
            // All are read twice instead.
            Depth::Full => None,
        };
        Self { reader, sample, position: Position::default(), kept: Vec::new() }
    }

    /// What it kept.
    pub(crate) fn into_rows(self) -> Rows {
        self.kept
    }
}

impl FeatureReader for KeptRows<'_> {
    fn receipt(&self) -> Option<&Receipt> {
        self.reader.receipt()
    }

    fn rounding(&self) -> Option<Arc<dyn Rounding>> {
        self.reader.rounding()
    }

    fn next_tile(&mut self) -> Result<Option<FeatureTile<'_>>, StoreError> {
        let Some(tile) = self.reader.next_tile()? else { return Ok(None) };
        let first = self.position.advance(tile);
        if let Some(sample) = self.sample {
            let sampled = (0..tile.rows()).filter(|row| sample.has(first + row));
            self.kept.extend(sampled.map(|row| row_of(tile, row)));
        }
        Ok(Some(tile))
    }
}

fn row_of(tile: FeatureTile<'_>, row: usize) -> (usize, i64, Vec<f64>) {
    (tile.first_column, tile.instants_us[row], tile.columns().map(|column| column[row]).collect())
}

/// Returns how the features that readers find differ from those that follow from what is stored, of which `kept` are some; where nothing
/// was kept, from what the receipt says of all.
pub(crate) fn readers_difference(
    job: &Job<'_>,
    partition: &Partition,
    receipt: &Receipt,
    (depth, kept): (Depth, &Rows),
    stop: &StopSignal,
) -> Result<Option<String>, StoreError> {
    if depth == Depth::Full {
        let Some(mut reader) = job.sink.read_as_readers(partition, None)? else { return Ok(None) };
        let difference = receipt_difference(receipt, reader.as_mut())?;
        return Ok(difference.map(|difference| format!("readers do not find what is stored: {difference}")));
    }
    let mut instants_us: Vec<i64> = kept.iter().map(|(_, instant_us, _)| *instant_us).collect();
    instants_us.sort_unstable();
    instants_us.dedup();
    let Some(mut reader) = job.sink.read_as_readers(partition, Some(&instants_us))? else { return Ok(None) };
    let mut found = kept.iter();
    while !stop.requested()
        && let Some(tile) = reader.next_tile()?
    {
        for row in 0..tile.rows() {
            let difference = row_difference(job, found.next(), &row_of(tile, row));
            if difference.is_some() {
                return Ok(difference);
            }
        }
    }
    let missing = found.next().filter(|_| !stop.requested());
    Ok(missing
        .map(|(_, instant_us, _)| format!("readers do not find the row at {}", display_instant(*instant_us))))
}

/// How a row that readers find differs from the one that should be there.
fn row_difference(
    job: &Job<'_>,
    wanted: Option<&(usize, i64, Vec<f64>)>,
    (first_column, instant_us, values): &(usize, i64, Vec<f64>),
) -> Option<String> {
    let instant = display_instant(*instant_us);
    let wanted = wanted
        .filter(|wanted| (wanted.0, wanted.1, wanted.2.len()) == (*first_column, *instant_us, values.len()));
    let Some((_, _, wanted)) = wanted else {
        return Some(format!("readers find a row at {instant} that is not the one that is stored"));
    };
    let at = wanted.iter().zip(values).position(|(ours, theirs)| ours.to_bits() != theirs.to_bits())?;
    let name = job.config.feature_names().nth(first_column + at).unwrap_or_default();
    let (found, wanted) = (values[at], wanted[at]);
    Some(format!(
        "readers find {found:e} as {name} at {instant}, and {wanted:e} follows from the fit that is stored"
    ))
}
