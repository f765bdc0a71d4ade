//! The health of a job's features, for monitors: [`examine`] finds out whether they are fresh, complete and vouched for, from receipts,
//! row counts and the ends of source tables. `rollfit verify` computes again; this doesn't.
//!
//! Invariants: nothing is written. The source is asked which months have rows, for the rows of keys that may be late, and how many the
//! newest months have.

mod closed_hours;
mod coverage;
mod freshness;
mod health_finding;
mod no_value;
mod stored;

use std::collections::HashSet;
use std::time::Duration;

pub use self::closed_hours::{ClosedHours, OffsetAt};
pub use self::health_finding::{Aspect, HealthFact, HealthFinding, Verdict};
use crate::Job;
use crate::config::Keys;
use crate::month::MICROS_PER_SECOND;
use crate::partition::Partition;
use crate::period::Period;
use crate::receipt::Receipt;
use crate::selection::Selection;
use crate::store::{Found, Holding, StoreError, Stranger};

/// Of each key as many of the newest months are looked at closely.
const NEWEST: usize = 2;

/// What is checked, and at which moment.
pub struct HealthOptions<'a> {
    /// Now, in microseconds since 1970.
    pub now_us: i64,
    /// How far the last instant with features may lie behind; none where that isn't checked.
    pub max_lag: Option<Duration>,
    /// Whether the rows of all months are counted, features and source, not only those of the newest.
    pub counts_all: bool,
    /// The time zone of the closed hours.
    pub offset_at: OffsetAt<'a>,
    /// What was selected.
    pub only: &'a Selection,
}

impl HealthOptions<'_> {
    fn is_selected(&self, key: &str) -> bool {
        self.only.selects_key(key)
    }
}

/// What was found.
#[derive(Debug)]
pub struct HealthReport {
    /// The keys.
    pub keys: usize,
    /// The partitions.
    pub partitions: usize,
    /// The partitions with a receipt.
    pub receipts: usize,
    /// The partitions whose rows were counted.
    pub counted: usize,
    /// The keys whose features without a value were compared with those of earlier months.
    pub compared: usize,
    /// The last instant with features of the key that is furthest behind; none where a key has none.
    pub features_until_us: Option<i64>,
    /// Whether freshness was checked.
    pub has_max_lag: bool,
    /// What is not as it should be, by key and month.
    pub findings: Vec<HealthFinding>,
}

impl HealthReport {
    /// The worst of all that was found.
    pub fn status(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.status).max().unwrap_or(Verdict::Ok)
    }

    /// The worst that was found of one aspect.
    pub fn status_of(&self, aspect: Aspect) -> Verdict {
        let of_aspect = self.findings.iter().filter(|finding| finding.aspect == aspect);
        of_aspect.map(|finding| finding.status).max().unwrap_or(Verdict::Ok)
    }
}

/// Checks `partitions`, which are sorted by key and month.
///
/// # Errors
/// When a store cannot be reached, or doesn't show its receipts. What is wrong with one partition or key is a finding.
pub fn examine(
    job: &Job<'_>,
    partitions: &[Partition],
    options: &HealthOptions<'_>,
) -> Result<HealthReport, StoreError> {
    let mut held = job.sink.holdings(partitions, options.counts_all)?;
    if !options.counts_all {
        count_newest(job, partitions, &mut held)?;
    }
    let mut examination = Examining { job, options, findings: Vec::new() };
    let (mut keys, mut compared) = (0, 0);
    let mut ends_us = Vec::new();
    let mut rest = held.as_slice();
    for of_key in partitions.chunk_by(|a, b| a.key == b.key) {
        let (held, others) = rest.split_at(of_key.len());
        rest = others;
        let key = KeyHoldings { partitions: of_key, held };
        keys += 1;
        ends_us.push(key.end_us());
        examination.stored(&key)?;
        compared += usize::from(examination.no_value(&key));
        examination.coverage(&key)?;
        examination.freshness(&key)?;
    }
    keys += examination.absent_keys(partitions, &mut ends_us);
    examination.strangers();
    let ours = held.iter().filter(|holding| matches!(holding, Ok(Holding { found: Found::Ours(_), .. })));
    let counted = held.iter().filter(|holding| matches!(holding, Ok(Holding { rows: Some(_), .. })));
    Ok(HealthReport {
        keys,
        partitions: partitions.len(),
        receipts: ours.count(),
        counted: counted.count(),
        compared,
        features_until_us: ends_us.into_iter().min().flatten(),
        has_max_lag: options.max_lag.is_some(),
        findings: examination.findings,
    })
}

/// What a store has of a partition, or why that isn't known.
type Held = Result<Holding, StoreError>;

/// Looks again at the newest months that have features, and counts their rows: receipt and rows are of one moment.
fn count_newest(job: &Job<'_>, partitions: &[Partition], held: &mut [Held]) -> Result<(), StoreError> {
    let mut newest = Vec::new();
    let mut start = 0;
    for of_key in partitions.chunk_by(|a, b| a.key == b.key) {
        let at_key = start..start + of_key.len();
        start = at_key.end;
        let has_rows = |at: &usize| matches!(&held[*at], Ok(Holding { found: Found::Ours(_), .. }));
        newest.extend(at_key.rev().filter(has_rows).take(NEWEST));
    }
    newest.sort_unstable();
    let wanted: Vec<Partition> = newest.iter().map(|&at| partitions[at].clone()).collect();
    for (at, counted) in newest.into_iter().zip(job.sink.holdings(&wanted, true)?) {
        held[at] = counted;
    }
    Ok(())
}

/// What a store has of the partitions of one key.
struct KeyHoldings<'a> {
    partitions: &'a [Partition],
    held: &'a [Held],
}

impl<'a> KeyHoldings<'a> {
    fn name(&self) -> &'a str {
        self.partitions.first().map_or("", |partition| partition.key.as_str())
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = (Period, &'a Held)> {
        self.partitions.iter().map(|partition| partition.period).zip(self.held)
    }

    /// The months with a receipt and rows, newest first.
    fn receipts(&self) -> impl Iterator<Item = (Period, &'a Receipt)> {
        self.iter().rev().filter_map(|(period, holding)| match holding {
            Ok(Holding { found: Found::Ours(receipt), .. }) if receipt.stored.rows > 0 => {
                Some((period, receipt.as_ref()))
            }
            _ => None,
        })
    }

    /// The last instant with features.
    fn end_us(&self) -> Option<i64> {
        self.receipts().find_map(|(_, receipt)| receipt.input.last_us)
    }
}

/// A check in progress.
struct Examining<'a> {
    job: &'a Job<'a>,
    options: &'a HealthOptions<'a>,
    findings: Vec<HealthFinding>,
}

impl Examining<'_> {
    fn add(
        &mut self,
        aspect: Aspect,
        status: Verdict,
        (key, period): (&str, Option<Period>),
        fact: HealthFact,
    ) {
        self.findings.push(HealthFinding { aspect, status, key: key.to_owned(), period, fact });
    }

    /// Keys of the configuration with neither features nor rows: nothing of them is planned. Returns how many.
    fn absent_keys(&mut self, partitions: &[Partition], ends_us: &mut Vec<Option<i64>>) -> usize {
        let Keys::Listed(listed) = &self.job.config.keys else { return 0 };
        let planned: HashSet<&str> = partitions.iter().map(|partition| partition.key.as_str()).collect();
        let is_absent = |key: &&String| !planned.contains(key.as_str()) && self.options.is_selected(key);
        let absent: Vec<&String> = listed.iter().filter(is_absent).collect();
        for key in &absent {
            self.add(Aspect::Coverage, Verdict::Problem, (key, None), HealthFact::NoFeatures);
            ends_us.push(None);
        }
        absent.len()
    }

    /// What readers get beside the partitions.
    fn strangers(&mut self) {
        for Stranger { subject, message } in self.job.sink.strangers() {
            if self.options.is_selected(&subject) {
                self.add(
                    Aspect::Receipts,
                    Verdict::Problem,
                    (&subject, None),
                    HealthFact::Blocked { message },
                );
            }
        }
    }

    /// Takes an answer about one key or partition; that it cannot be looked at is a finding.
    ///
    /// # Errors
    /// When the store isn't there.
    fn answer<T>(
        &mut self,
        aspect: Aspect,
        subject: (&str, Option<Period>),
        answer: Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.is_unconnected() => Err(error),
            Err(error) => {
                let message = crate::error_chain(&error);
                self.add(aspect, Verdict::Unknown, subject, HealthFact::Unreadable { message });
                Ok(None)
            }
        }
    }

    /// How far an instant lies behind the clock, without closed hours.
    fn lag_s(&self, instant_us: i64) -> f64 {
        let closed = &self.job.config.check.closed;
        let open_us = closed.open_us(instant_us, self.options.now_us, self.options.offset_at);
        open_us as f64 / MICROS_PER_SECOND as f64
    }
}
