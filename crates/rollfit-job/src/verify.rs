//! [`verify`]: whether what is stored is what the source gives. Two proofs, cell by cell: the same bits as the kernel
//! computes from the source now, and, against the reference, the accuracy that is promised.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use rollfit::Metric;
use rollfit::bounds::{Bounds, ErrorInBounds};

use crate::Job;
use crate::check::{CheckOutcome, check_each, without_features};
use crate::config::{JobConfig, Layout};
use crate::features::{Checksum, FeatureEngine};
use crate::features_of_fits::StoredRows;
use crate::input::InputChange;
use crate::panel::Panel;
use crate::partition::Partition;
use crate::readers::{KeptRows, readers_difference};
use crate::receipt::{Definition, NoValue, Receipt};
use crate::row_sample::RowSample;
use crate::stop_signal::StopSignal;
use crate::store::{FeatureReader, FeatureTile, Found, ReaderView, Rounding, StoreError};

/// How the sentence about features of another definition begins.
const OTHER_DEFINITION: &str = "stored by another definition: ";

/// How much to verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Row counts and checksums against the receipts; the source is not read.
    Quick,
    /// The bits of every row, and against the reference this many rows of each partition, evenly spread.
    Sampled(usize),
    /// The bits and the accuracy of every row.
    Full,
}

/// What verifying a partition showed.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Verified {
    /// Rows stored.
    pub rows: u64,
    /// Features compared with those that the kernel gives now, bit for bit; with [`Depth::Quick`], summed.
    pub cells: u64,
    /// Features of an adopted partition, whose bits are not the kernel's: they were summed and compared with the receipt only.
    pub adopted_cells: u64,
    /// Features compared with the reference.
    pub reference_cells: u64,
    /// Of those, features of which nothing is promised, for a denominator that may be 0.
    pub undetermined_cells: u64,
    /// The largest error against the reference, in units of the bound.
    pub worst_error: f64,
    /// Where that was.
    pub worst_at: Option<String>,
    /// What is not as it should be; none where everything is.
    pub difference: Option<String>,
}

/// Verifies `partitions`, with an outcome for each in their order. Calls `ended` as each ends.
pub fn verify(
    job: &Job<'_>,
    partitions: &[Partition],
    depth: Depth,
    stop: &StopSignal,
    ended: &(dyn Fn(&Partition, &CheckOutcome<Verified>) + Sync),
) -> Vec<CheckOutcome<Verified>> {
    check_each(job, partitions, stop, ended, |partition| verify_one(job, partition, depth, stop))
}

fn verify_one(
    job: &Job<'_>,
    partition: &Partition,
    depth: Depth,
    stop: &StopSignal,
) -> Result<CheckOutcome<Verified>, StoreError> {
    const LOOKS: usize = 5;
    for _ in 0..LOOKS {
        let found = match job.sink.found(partition)? {
            Found::Nothing => return Ok(without_features(job, partition)),
            Found::Foreign(what) => return Ok(CheckOutcome::Checked(different(what))),
            Found::Blocked(what) => return Ok(CheckOutcome::Blocked(what)),
            Found::Newer(what) => return Ok(CheckOutcome::Newer(what)),
            Found::Ours(receipt) => receipt,
        };
        // Read before the reader is opened: one store session at a time. Another runner may replace features or add some meanwhile, from
        // a newer source than this one.
        let panel = match depth {
            Depth::Quick => None,
            Depth::Sampled(_) | Depth::Full => Some(Panel::read(job.source, job.config, partition)?),
        };
        match job.sink.reader_view(partition)? {
            ReaderView::Ready => {}
            ReaderView::Missing(what) => {
                return Ok(CheckOutcome::Checked(different(format!("{what}; rollfit run makes it"))));
            }
            ReaderView::Foreign(what) => return Ok(CheckOutcome::Checked(different(what))),
        }
        let kept = RefCell::default();
        let reader = KeptRows::new(job.sink.read(partition)?, (&found, depth), &kept);
        let mut reader = StoredRows::new(&job.config.series, Box::new(reader));
        let Some(receipt) =
            reader.receipt().filter(|receipt| panel.is_none() || **receipt == *found).cloned()
        else {
            continue;
        };
        let mut verified = match panel {
            None => sum(job, &receipt, &mut reader, stop)?,
            Some(panel) => compare(job, &receipt, &panel, &mut reader, depth, stop)?,
        };
        drop(reader);
        if verified.difference.is_none() && !stop.requested() {
            let kept = kept.into_inner();
            verified.difference = readers_difference(job, partition, &receipt, (depth, kept), stop)?;
            // Another runner may have replaced or added rows since they were read.
            if verified.difference.is_some() && job.sink.found(partition)? != Found::Ours(Box::new(receipt)) {
                continue;
            }
        }
        return Ok(if stop.requested() { CheckOutcome::Skipped } else { CheckOutcome::Checked(verified) });
    }
    Ok(CheckOutcome::Checked(different("another runner keeps changing it".to_owned())))
}

/// Where in its group each stored tile is.
#[derive(Default)]
pub(crate) struct Position {
    /// The first column and the rows so far of each group.
    groups: Vec<(usize, usize)>,
}

impl Position {
    /// The row within its group at which `tile` starts.
    pub(crate) fn advance(&mut self, tile: FeatureTile<'_>) -> usize {
        let first = match self.groups.last() {
            Some((first_column, rows)) if *first_column == tile.first_column => *rows,
            _ => {
                self.groups.push((tile.first_column, 0));
                0
            }
        };
        if let Some((_, rows)) = self.groups.last_mut() {
            *rows += tile.rows();
        }
        first
    }

    /// The rows of every group, where they have the same number.
    pub(crate) fn rows(&self) -> Result<u64, String> {
        let counts: Vec<usize> = self.groups.iter().map(|(_, rows)| *rows).collect();
        match counts.first() {
            None => Ok(0),
            Some(&rows) if counts.iter().all(|&other| other == rows) => Ok(rows as u64),
            Some(_) => Err(format!("the tables of the partition have different numbers of rows: {counts:?}")),
        }
    }
}

/// Counts and sums the rows of `reader` and returns how they differ from what `receipt` says, if they do.
///
/// # Errors
/// When the rows cannot be read.
pub fn receipt_difference(
    receipt: &Receipt,
    reader: &mut dyn FeatureReader,
) -> Result<Option<String>, StoreError> {
    Ok(check_receipt(receipt, reader, &StopSignal::default())?.difference)
}

/// As [`check_receipt`], but for fits of another definition, from which the features of this one cannot be computed.
fn sum(
    job: &Job<'_>,
    receipt: &Receipt,
    reader: &mut StoredRows<'_>,
    stop: &StopSignal,
) -> Result<Verified, StoreError> {
    let definition = Definition::from_config(job.config);
    let has_fits = [receipt.definition.layout, definition.layout].contains(&Layout::Fits);
    match receipt.definition.difference(&definition).filter(|_| has_fits) {
        Some(difference) => Ok(different(other_definition(&difference))),
        None => check_receipt(receipt, reader, stop),
    }
}

/// Whether a text says, as [`other_definition`] does, that features are of another definition.
pub fn is_of_other_definition(text: &str) -> bool {
    text.starts_with(OTHER_DEFINITION)
}

/// What to say of features that were stored by a definition with this `difference`.
pub fn other_definition(difference: &str) -> String {
    format!("{OTHER_DEFINITION}{difference}")
}

/// Counts and sums the stored rows and compares with the receipt.
pub(crate) fn check_receipt(
    receipt: &Receipt,
    reader: &mut dyn FeatureReader,
    stop: &StopSignal,
) -> Result<Verified, StoreError> {
    let features = receipt.definition.series.iter().map(|series| series.columns.len()).sum();
    let mut checksum = Checksum::new(features);
    let mut position = Position::default();
    let mut verified = Verified::default();
    while !stop.requested()
        && let Some(tile) = reader.next_tile()?
    {
        verified.cells += tile.values.len() as u64;
        checksum.add(position.advance(tile), tile);
    }
    verified.conclude(receipt, &position, &checksum);
    Ok(verified)
}

impl Verified {
    /// Compares what was counted and summed with the receipt, unless another difference was found before.
    fn conclude(&mut self, receipt: &Receipt, position: &Position, checksum: &Checksum) {
        let difference = match position.rows() {
            Err(difference) => Some(difference),
            Ok(rows) => {
                self.rows = rows;
                stored_difference(receipt, rows, &checksum.to_string())
            }
        };
        self.difference = self.difference.take().or(difference);
    }
}

/// How the number and the checksum of stored rows differ from what their receipt says, if they do.
pub(crate) fn stored_difference(receipt: &Receipt, rows: u64, checksum: &str) -> Option<String> {
    if receipt.stored.rows != rows {
        return Some(format!("{rows} rows are stored, the receipt says {}", receipt.stored.rows));
    }
    (receipt.stored.checksum != checksum).then(|| {
        format!("the stored rows have the checksum {checksum}, the receipt says {}", receipt.stored.checksum)
    })
}

fn compare(
    job: &Job<'_>,
    receipt: &Receipt,
    panel: &Panel,
    reader: &mut StoredRows<'_>,
    depth: Depth,
    stop: &StopSignal,
) -> Result<Verified, StoreError> {
    if let Some(difference) = receipt.definition.difference(&Definition::from_config(job.config)) {
        return Ok(different(other_definition(&difference)));
    }
    match panel.compare_input(&receipt.input) {
        InputChange::None => {}
        InputChange::Grown => {
            return Ok(different("the source has new rows since the features were stored".to_owned()));
        }
        InputChange::Changed => {
            return Ok(different("the source has changed since the features were stored".to_owned()));
        }
    }
    if receipt.stored.adopted {
        // Others' bits are not the kernel's: `rollfit compare` holds them against it.
        let summed = check_receipt(receipt, reader, stop)?;
        return Ok(Verified { cells: 0, adopted_cells: summed.cells, ..summed });
    }
    let mut comparison = Comparison::new(job.config, panel, depth, reader.rounding());
    while !stop.requested()
        && let Some((features, stored)) = reader.next_tiles()?
    {
        comparison.add(features, stored);
    }
    let Comparison { mut verified, position, checksum, .. } = comparison;
    verified.conclude(receipt, &position, &checksum);
    Ok(verified)
}

/// How the bits of stored columns differ from computed ones, if they do.
fn bits_difference(names: &[&str], computed: FeatureTile<'_>, stored: FeatureTile<'_>) -> Option<String> {
    let differs = |(ours, theirs): (&f64, &f64)| ours.to_bits() != theirs.to_bits();
    let pairs = || computed.values.iter().zip(stored.values);
    let at = pairs().position(differs)?;
    let differing = pairs().filter(|&pair| differs(pair)).count();
    let (column, row) = (at / stored.rows(), at % stored.rows());
    let (wanted, found) = (computed.values[at], stored.values[at]);
    let instant = crate::month::display_instant(stored.instants_us[row]);
    let name = names[stored.first_column + column];
    Some(format!(
        "{name} at {instant} is {found:e}, the kernel gives {wanted:e} ({differing} cells differ there)"
    ))
}

fn different(difference: String) -> Verified {
    Verified { difference: Some(difference), ..Verified::default() }
}

/// The comparison of one partition, a stored tile at a time.
struct Comparison<'a> {
    config: &'a JobConfig,
    panel: &'a Panel,
    engine: FeatureEngine,
    rounding: Option<Arc<dyn Rounding>>,
    names: Vec<&'a str>,
    stored_names: Vec<&'a str>,
    sample: RowSample,
    position: Position,
    checksum: Checksum,
    verified: Verified,
}

impl<'a> Comparison<'a> {
    fn new(
        config: &'a JobConfig,
        panel: &'a Panel,
        depth: Depth,
        rounding: Option<Arc<dyn Rounding>>,
    ) -> Self {
        let wanted_rows = match depth {
            Depth::Sampled(rows) => Some(rows),
            Depth::Quick | Depth::Full => None,
        };
        Self {
            config,
            panel,
            engine: FeatureEngine::new(config),
            rounding,
            names: config.feature_names().collect(),
            stored_names: config.stored_names().collect(),
            sample: RowSample::new(panel.rows(), wanted_rows),
            position: Position::default(),
            checksum: Checksum::new(config.feature_count()),
            verified: Verified::default(),
        }
    }

    /// Adds features, and the columns that the store keeps of them.
    fn add(&mut self, features: FeatureTile<'_>, stored: FeatureTile<'_>) {
        let first = self.position.advance(features);
        self.checksum.add(first, features);
        let rows = first + self.panel.lookback_rows..first + self.panel.lookback_rows + features.rows();
        if self.panel.instants_us.get(rows.clone()) != Some(features.instants_us) {
            self.differs(|| "the stored instants are not those of the source".to_owned());
            return;
        }
        let group = self.config.series_of(features.first_column, features.columns().count());
        self.compare_bits(features, stored, rows.clone(), group.clone());
        let sampled: Vec<usize> = (0..features.rows()).filter(|row| self.sample.has(first + row)).collect();
        for row in sampled {
            self.compare_with_reference(features, row, rows.start + row, group.clone());
        }
    }

    /// Notes the first difference.
    fn differs(&mut self, what: impl FnOnce() -> String) {
        if self.verified.difference.is_none() {
            self.verified.difference = Some(what());
        }
    }

    /// Compares the features, and in the layout of fits these before them, some of which no feature may follow from.
    fn compare_bits(
        &mut self,
        features: FeatureTile<'_>,
        stored: FeatureTile<'_>,
        rows: Range<usize>,
        group: Range<usize>,
    ) {
        let no_value = &mut NoValue::default();
        self.engine.tile(self.panel, rows.clone(), group.clone(), no_value);
        let mut difference = None;
        if self.config.sink.layout == Layout::Fits {
            let computed = self.engine.stored(self.panel, rows.clone(), group.clone());
            difference = bits_difference(&self.stored_names, computed, stored);
        }
        let computed = self.engine.round(self.panel, rows, group, self.rounding.as_deref(), no_value);
        self.verified.cells += computed.values.len() as u64;
        if let Some(difference) = difference.or_else(|| bits_difference(&self.names, computed, features)) {
            self.differs(|| difference);
        }
    }

    /// Holds the features of one stored row against the reference. `at` is the row in the panel.
    fn compare_with_reference(
        &mut self,
        stored: FeatureTile<'_>,
        row: usize,
        at: usize,
        group: Range<usize>,
    ) {
        let mut columns = stored.columns().enumerate();
        let config = self.config;
        for (series, values) in config.series[group.clone()].iter().zip(&self.panel.columns[group]) {
            for window in series.window_rows() {
                let bounds = (at + 1)
                    .checked_sub(window.rows())
                    .and_then(|first| Bounds::from_values(&values[first..=at]).ok());
                for (&metric, (column, cells)) in series.metrics.iter().zip(&mut columns) {
                    let column = stored.first_column + column;
                    self.judge(metric, cells[row], bounds.as_ref(), column, stored.instants_us[row]);
                }
            }
            // Of included columns the bits were compared.
            columns.by_ref().take(series.include.len()).for_each(drop);
        }
    }

    fn judge(&mut self, metric: Metric, value: f64, bounds: Option<&Bounds>, column: usize, instant_us: i64) {
        if self.rounding.as_ref().is_some_and(|rounding| rounding.uncertainty(column, value) > 0.0) {
            // The digits that the bounds are about are not stored; the bits were compared, rounded alike.
            return;
        }
        self.verified.reference_cells += 1;
        let error = match bounds {
            Some(bounds) => bounds.error(metric, value),
            None => ErrorInBounds::Units(if value.is_nan() { 0.0 } else { f64::INFINITY }),
        };
        let Some(units) = error.units() else {
            self.verified.undetermined_cells += 1;
            return;
        };
        if units > self.verified.worst_error {
            let place = format!("{} at {}", self.names[column], crate::month::display_instant(instant_us));
            if units > 1.0 {
                self.differs(|| {
                    format!("{place} is {value:e}, {units:.3} times its bound from the exact value")
                });
            }
            self.verified.worst_error = units;
            self.verified.worst_at = Some(place);
        }
    }
}
