//! [`verify`]: whether what is stored is what the source gives. Two proofs, cell by cell: the same bits as the kernel
//! computes from the source now, and, against the reference, the accuracy that is promised.

use rollfit::Metric;
use rollfit::bounds::{Bounds, ErrorInBounds};

use crate::Job;
use crate::features::{Checksum, FeatureEngine};
use crate::panel::Panel;
use crate::partition::Partition;
use crate::receipt::{Definition, Input, NoValue, Receipt};
use crate::spec::Spec;
use crate::stop::Stop;
use crate::store::{FeatureReader, FeatureTile, Found, StoreError};
use crate::workers::for_each;

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
    /// Features compared with those that the kernel gives now, bit for bit.
    pub cells: u64,
    /// Features held against the reference.
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

/// How verifying a partition ended.
#[derive(Debug)]
pub enum Verdict {
    /// It was compared.
    Compared(Verified),
    /// There are no features.
    Absent,
    /// It could not be read.
    Failed(StoreError),
    /// A stop was wanted before its end.
    Skipped,
}

/// Verifies `partitions`, with a verdict for each in their order. `verified` is told each as it ends.
pub fn verify(
    job: &Job<'_>,
    partitions: &[Partition],
    depth: Depth,
    stop: &Stop,
    verified: &(dyn Fn(&Partition, &Verdict) + Sync),
) -> Vec<Verdict> {
    for_each(partitions, job.workers, |partition| {
        if stop.is_wanted() {
            return Verdict::Skipped;
        }
        let verdict = verify_one(job, partition, depth, stop).unwrap_or_else(Verdict::Failed);
        verified(partition, &verdict);
        verdict
    })
}

fn verify_one(
    job: &Job<'_>,
    partition: &Partition,
    depth: Depth,
    stop: &Stop,
) -> Result<Verdict, StoreError> {
    match job.sink.found(partition)? {
        Found::Nothing => return Ok(Verdict::Absent),
        Found::Foreign(what) => return Ok(Verdict::Compared(different(what))),
        Found::Ours(_) => {}
    }
    let mut reader = job.sink.read(partition)?;
    let verified = match depth {
        Depth::Quick => check_receipt(reader.as_mut(), stop)?,
        Depth::Sampled(rows) => compare(job, partition, reader.as_mut(), Some(rows), stop)?,
        Depth::Full => compare(job, partition, reader.as_mut(), None, stop)?,
    };
    Ok(if stop.is_wanted() { Verdict::Skipped } else { Verdict::Compared(verified) })
}

/// Counts and sums the stored rows and compares with the receipt.
fn check_receipt(reader: &mut dyn FeatureReader, stop: &Stop) -> Result<Verified, StoreError> {
    let receipt = reader.receipt().clone();
    let features = receipt.definition.series.iter().map(|series| series.columns.len()).sum();
    let mut checksum = Checksum::new(features);
    let mut verified = Verified::default();
    while !stop.is_wanted()
        && let Some(tile) = reader.next_tile()?
    {
        verified.rows += tile.rows() as u64;
        verified.cells += tile.values.len() as u64;
        checksum.add(tile);
    }
    verified.difference = stored_difference(&receipt, verified.rows, &checksum);
    Ok(verified)
}

fn stored_difference(receipt: &Receipt, rows: u64, checksum: &Checksum) -> Option<String> {
    if receipt.stored.rows != rows {
        return Some(format!("{rows} rows are stored, the receipt says {}", receipt.stored.rows));
    }
    (receipt.stored.checksum != checksum.to_string()).then(|| {
        format!("the stored rows have the checksum {checksum}, the receipt says {}", receipt.stored.checksum)
    })
}

fn compare(
    job: &Job<'_>,
    partition: &Partition,
    reader: &mut dyn FeatureReader,
    sample_rows: Option<usize>,
    stop: &Stop,
) -> Result<Verified, StoreError> {
    let receipt = reader.receipt().clone();
    if let Some(difference) = receipt.definition.difference(&Definition::of(job.spec)) {
        return Ok(different(format!("stored by another definition: {difference}")));
    }
    let panel = Panel::read(job.source, job.spec, partition)?;
    if receipt.input != Input::of(&panel) {
        return Ok(different("the source has changed since the features were stored".to_owned()));
    }
    let mut comparison = Comparison {
        spec: job.spec,
        panel: &panel,
        engine: FeatureEngine::new(job.spec),
        no_value: NoValue::default(),
        names: job.spec.series.iter().flat_map(|series| series.columns.iter().map(String::as_str)).collect(),
        sample_rows: sample_rows.unwrap_or(usize::MAX).min(panel.rows()),
        verified: Verified::default(),
    };
    let mut checksum = Checksum::new(comparison.names.len());
    while !stop.is_wanted()
        && let Some(stored) = reader.next_tile()?
    {
        checksum.add(stored);
        comparison.add(stored);
    }
    let mut verified = comparison.verified;
    if verified.difference.is_none() {
        verified.difference = stored_difference(&receipt, verified.rows, &checksum);
    }
    Ok(verified)
}

fn different(difference: String) -> Verified {
    Verified { difference: Some(difference), ..Verified::default() }
}

/// The comparison of one partition, a stored tile at a time.
struct Comparison<'a> {
    spec: &'a Spec,
    panel: &'a Panel,
    engine: FeatureEngine,
    no_value: NoValue,
    names: Vec<&'a str>,
    sample_rows: usize,
    verified: Verified,
}

impl Comparison<'_> {
    fn add(&mut self, stored: FeatureTile<'_>) {
        let first = self.verified.rows as usize;
        self.verified.rows += stored.rows() as u64;
        let rows = first + self.panel.lookback_rows..first + self.panel.lookback_rows + stored.rows();
        if self.panel.instants_us.get(rows.clone()) != Some(stored.instants_us) {
            self.differs(|| "the stored instants are not those of the source".to_owned());
            return;
        }
        self.compare_bits(stored, rows.clone());
        let sampled: Vec<usize> = (0..stored.rows()).filter(|row| self.is_sampled(first + row)).collect();
        for row in sampled {
            self.compare_with_reference(stored, row, rows.start + row);
        }
    }

    /// Notes the first difference.
    fn differs(&mut self, what: impl FnOnce() -> String) {
        if self.verified.difference.is_none() {
            self.verified.difference = Some(what());
        }
    }

    /// Whether row `row` of the partition is one of the sampled, evenly spread.
    fn is_sampled(&self, row: usize) -> bool {
        let rows = self.panel.rows() as u128;
        let sampled_before = |row: usize| row as u128 * self.sample_rows as u128 / rows;
        sampled_before(row + 1) > sampled_before(row)
    }

    fn compare_bits(&mut self, stored: FeatureTile<'_>, rows: std::ops::Range<usize>) {
        let computed = self.engine.tile(self.panel, rows, &mut self.no_value);
        self.verified.cells += computed.values.len() as u64;
        let same = |(ours, theirs): (&f64, &f64)| ours.to_bits() == theirs.to_bits();
        let differing = computed.values.iter().zip(stored.values).filter(|&pair| !same(pair)).count();
        let Some(at) = computed.values.iter().zip(stored.values).position(|pair| !same(pair)) else { return };
        let (column, row) = (at / stored.rows(), at % stored.rows());
        let (wanted, found) = (computed.values[at], stored.values[at]);
        let instant = crate::month::display_instant(stored.instants_us[row]);
        let name = self.names[column].to_owned();
        self.differs(|| {
            format!("{name} at {instant} is {found:e}, the kernel gives {wanted:e} ({differing} cells differ there)")
        });
    }

    /// Holds the features of one stored row against the reference. `at` is the row in the panel.
    fn compare_with_reference(&mut self, stored: FeatureTile<'_>, row: usize, at: usize) {
        let mut columns = stored.columns().enumerate();
        let spec = self.spec;
        for (series, values) in spec.series.iter().zip(&self.panel.columns) {
            for window in series.window_rows() {
                let bounds = (at + 1)
                    .checked_sub(window.rows())
                    .and_then(|first| Bounds::of(&values[first..=at]).ok());
                for (&metric, (column, cells)) in series.metrics.iter().zip(&mut columns) {
                    self.judge(metric, cells[row], bounds.as_ref(), column, stored.instants_us[row]);
                }
            }
        }
    }

    fn judge(&mut self, metric: Metric, value: f64, bounds: Option<&Bounds>, column: usize, instant_us: i64) {
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
