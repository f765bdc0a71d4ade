//! What readers find where a store keeps fits and computes features on read: whether that changes what there is to do about a partition, and
//! whether they find the features that follow from what is stored.

use std::cell::RefCell;
use std::sync::Arc;

use crate::Job;
use crate::features_of_fits::as_features;
use crate::month::display_instant;
use crate::partition::Partition;
use crate::receipt::Receipt;
use crate::row_sample::RowSample;
use crate::state::{Assessment, State};
use crate::stop_signal::StopSignal;
use crate::store::{FeatureReader, FeatureTile, ReaderView, Rounding, StoreError};
use crate::verify::{Depth, Position, receipt_difference};

/// The rows of a quick check.
const QUICK_ROWS: usize = 16;

impl Assessment {
    /// The partition as it is where readers find `view`: blocked where something else is in its place, since nobody would find what
    /// a run writes, or what it has written.
    #[must_use]
    pub(crate) fn with_view(self, view: &ReaderView) -> Self {
        match (view, self.state) {
            (ReaderView::Missing(what), State::Done | State::Grown) => {
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

/// Some rows of the columns of one group: the first of these columns, and of each row the instant and the values.
#[derive(Default)]
struct KeptGroup {
    first_column: usize,
    instants_us: Vec<i64>,
    rows: Vec<Vec<f64>>,
}

/// Some rows of a partition as they are stored.
#[derive(Default)]
pub(crate) struct Kept(Vec<KeptGroup>);

/// A reader of stored columns that keeps some of the rows that are read from it.
pub(crate) struct KeptRows<'a> {
    reader: Box<dyn FeatureReader + 'a>,
    /// None where nothing is kept.
    sample: Option<RowSample>,
    position: Position,
    kept: &'a RefCell<Kept>,
}

impl<'a> KeptRows<'a> {
    /// Keeps as many rows of those that `receipt` counts as `depth` wants to see as readers see them.
    pub(crate) fn new(
        reader: Box<dyn FeatureReader + 'a>,
        (receipt, depth): (&Receipt, Depth),
        kept: &'a RefCell<Kept>,
    ) -> Self {
        let rows = usize::try_from(receipt.stored.rows).unwrap_or(usize::MAX).max(1);
        let sample = match depth {
            Depth::Quick => Some(RowSample::new(rows, Some(QUICK_ROWS))),
            Depth::Sampled(wanted) => Some(RowSample::new(rows, Some(wanted))),
            // The checksum of all is compared instead.
            Depth::Full => None,
        };
        Self { reader, sample, position: Position::default(), kept }
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
            let mut kept = self.kept.borrow_mut();
            (0..tile.rows()).filter(|row| sample.has(first + row)).for_each(|row| kept.keep(tile, row));
        }
        Ok(Some(tile))
    }
}

impl Kept {
    fn keep(&mut self, tile: FeatureTile<'_>, row: usize) {
        if self.0.last().is_none_or(|group| group.first_column != tile.first_column) {
            self.0.push(KeptGroup { first_column: tile.first_column, ..KeptGroup::default() });
        }
        if let Some(group) = self.0.last_mut() {
            group.instants_us.push(tile.instants_us[row]);
            group.rows.push(tile.columns().map(|column| column[row]).collect());
        }
    }
}

/// Gives back what was kept, a group at a time.
struct KeptReader {
    groups: std::vec::IntoIter<KeptGroup>,
    instants_us: Vec<i64>,
    values: Vec<f64>,
}

impl FeatureReader for KeptReader {
    fn receipt(&self) -> Option<&Receipt> {
        None
    }

    fn next_tile(&mut self) -> Result<Option<FeatureTile<'_>>, StoreError> {
        let Some(KeptGroup { first_column, instants_us, rows }) = self.groups.next() else { return Ok(None) };
        let columns = rows.first().map_or(0, Vec::len);
        self.instants_us = instants_us;
        self.values = (0..columns).flat_map(|column| rows.iter().map(move |row| row[column])).collect();
        Ok(Some(FeatureTile { instants_us: &self.instants_us, first_column, values: &self.values }))
    }
}

/// Returns how the features that readers find differ from those that follow from what is stored, of which some rows were kept; where
/// all are to be compared, from what the receipt says of them.
pub(crate) fn readers_difference(
    job: &Job<'_>,
    partition: &Partition,
    receipt: &Receipt,
    (depth, kept): (Depth, Kept),
    stop: &StopSignal,
) -> Result<Option<String>, StoreError> {
    if depth == Depth::Full {
        let Some(mut reader) = job.sink.read_as_readers(partition, None)? else { return Ok(None) };
        let difference = receipt_difference(receipt, reader.as_mut())?;
        return Ok(difference.map(|difference| format!("readers find other features: {difference}")));
    }
    let mut instants_us: Vec<i64> = kept.0.iter().flat_map(|group| &group.instants_us).copied().collect();
    instants_us.sort_unstable();
    instants_us.dedup();
    let Some(mut reader) = job.sink.read_as_readers(partition, Some(&instants_us))? else { return Ok(None) };
    let groups = kept.0.into_iter();
    let kept = KeptReader { groups, instants_us: Vec::new(), values: Vec::new() };
    let mut stored = as_features(&job.config.series, Box::new(kept));
    let (mut wanted, mut found) = (Vec::new(), Vec::new());
    while !stop.requested()
        && let Some(tile) = reader.next_tile()?
    {
        found.extend((0..tile.rows()).map(|row| row_of(tile, row)));
    }
    while let Some(tile) = stored.next_tile()? {
        wanted.extend((0..tile.rows()).map(|row| row_of(tile, row)));
    }
    Ok(if stop.requested() { None } else { rows_difference(job, &wanted, &found) })
}

/// A row of some columns: the first of them, the instant, the values.
type Row = (usize, i64, Vec<f64>);

fn row_of(tile: FeatureTile<'_>, row: usize) -> Row {
    (tile.first_column, tile.instants_us[row], tile.columns().map(|column| column[row]).collect())
}

fn rows_difference(job: &Job<'_>, wanted: &[Row], found: &[Row]) -> Option<String> {
    let place = |(first_column, instant_us, values): &Row| (*first_column, *instant_us, values.len());
    if wanted.iter().map(place).ne(found.iter().map(place)) {
        return Some(format!(
            "of {} rows that are stored readers find others, or {}",
            wanted.len(),
            found.len()
        ));
    }
    wanted.iter().zip(found).find_map(|((first_column, instant_us, ours), (_, _, theirs))| {
        let at = ours.iter().zip(theirs).position(|(ours, theirs)| ours.to_bits() != theirs.to_bits())?;
        let name = job.config.feature_names().nth(first_column + at).unwrap_or_default();
        let instant = display_instant(*instant_us);
        let (wanted, found) = (ours[at], theirs[at]);
        Some(format!(
            "readers find {found:e} as {name} at {instant}, but {wanted:e} follows from the stored fit"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_view(state: State, view: &ReaderView) -> (State, String) {
        let assessment = Assessment {
            state,
            also: None,
            cause: "before".to_owned(),
            earlier: None,
            is_without_rows: false,
        };
        let seen = assessment.with_view(view);
        (seen.state, seen.cause)
    }

    #[test]
    fn what_readers_would_not_find_is_blocked_and_what_a_run_makes_is_told() {
        let foreign = ReaderView::Foreign("it is a table".to_owned());
        for state in State::ALL {
            let (seen, cause) = with_view(state, &foreign);
            let is_due = state.is_due() || state == State::Done;
            let expected = if is_due { State::Blocked } else { state };
            assert_eq!(seen, expected, "{state}");
            let is_told = !matches!(state, State::Empty | State::Blocked | State::Newer);
            assert_eq!(cause.contains("it is a table"), is_told, "{state}: {cause}");
            assert_eq!(with_view(state, &ReaderView::Ready), (state, "before".to_owned()));
            let (seen, cause) = with_view(state, &ReaderView::Missing("it is missing".to_owned()));
            let is_made = matches!(state, State::Done | State::Grown);
            assert_eq!((seen, cause != "before"), (state, is_made));
        }
    }

    #[test]
    fn rows_that_readers_find_are_compared_one_by_one() {
        let (mut kept, values) = (Kept::default(), [1.0, 2.0, 3.0, 4.0]);
        for first_column in [0, 2] {
            let tile = FeatureTile { instants_us: &[10, 20], first_column, values: &values };
            (0..2).for_each(|row| kept.keep(tile, row));
        }
        let groups = kept.0.into_iter();
        let mut reader = KeptReader { groups, instants_us: Vec::new(), values: Vec::new() };
        for first_column in [0, 2] {
            let tile = reader.next_tile().unwrap().unwrap();
            assert_eq!(
                (tile.first_column, tile.instants_us, tile.values),
                (first_column, &[10, 20][..], &values[..])
            );
            assert_eq!(row_of(tile, 1), (first_column, 20, vec![2.0, 4.0]));
        }
        assert!(reader.next_tile().unwrap().is_none());
    }
}
