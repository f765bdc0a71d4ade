//! [`NotedMarks`]: what the sink held of each partition when a run began, and what others have committed since, so that no source is read
//! for what another runner has just done.
//!
//! Invariants: a mark can only spare a runner a look at a source. Of a partition whose mark is not known the source is read: of those that
//! somebody had when the run began, who may have read an older source; of those that this run may have committed itself; and of those
//! whose source was seen to change.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::partition::bug;
use crate::lock::lock;
use crate::partition::Partition;
use crate::store::{Fault, Sink, StoreError};

/// How old the marks of all partitions may be at least before they are looked at again.
const AGE_MIN: Duration = Duration::from_secs(2);
/// Looking at them takes at most one part in so many of the time.
const TIMES_THE_COST: u32 = 50;
/// How long after a failure they are not asked for: who works on a partition meets the same failure, and tells.
const PAUSE: Duration = Duration::from_secs(1);

/// What is known of a partition since the run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtStart {
    /// Its mark is not known.
    Unknown,
    /// Somebody had it then; the mark of what there was of it.
    Held(Option<u64>),
    /// There was nothing of it.
    Nothing,
    /// There was something, with this mark.
    Mark(u64),
}

/// What there is of a partition, as of the last look at all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// Nothing, or that is not known.
    Missing,
    /// What there was when the run began, as far as is known.
    Kept,
    /// Something that was committed since then.
    Written,
}

/// The marks of a run's partitions: as they were when it began, and lately.
#[derive(Default)]
pub(super) struct NotedMarks {
    first: Mutex<First>,
    latest: Mutex<Latest>,
}

#[derive(Default)]
struct First {
    is_over: bool,
    failed: Option<Instant>,
    noted: HashMap<Partition, AtStart>,
}

#[derive(Default)]
struct Latest {
    /// When it was, and how long it took.
    looked: Option<(Instant, Duration)>,
    marks: HashMap<Partition, u64>,
}

impl NotedMarks {
    /// Notes the marks of `partitions`, once. A store that is away is asked again later.
    ///
    /// # Errors
    /// The failure, once, after which no mark is ever known.
    pub(super) fn note(&self, sink: &dyn Sink, partitions: &[Partition]) -> Result<(), StoreError> {
        let mut first = lock(&self.first);
        if first.is_over || first.failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
            return Ok(());
        }
        let begun = Instant::now();
        match first_marks(sink, partitions) {
            Ok((held, marks)) => {
                let noted = partitions.iter().zip(&marks).map(|(partition, mark)| match mark {
                    _ if held.contains(partition) => (partition.clone(), AtStart::Held(*mark)),
                    Some(mark) => (partition.clone(), AtStart::Mark(*mark)),
                    None => (partition.clone(), AtStart::Nothing),
                });
                *first = First { is_over: true, failed: None, noted: noted.collect() };
                lock(&self.latest).set(partitions, &marks, begun);
                Ok(())
            }
            Err(error) if error.fault() == Fault::Permanent => {
                first.is_over = true;
                Err(error)
            }
            Err(_) => {
                first.failed = Some(Instant::now());
                Ok(())
            }
        }
    }

    /// What is known of a partition since the run began.
    pub(super) fn at_start(&self, partition: &Partition) -> AtStart {
        lock(&self.first).noted.get(partition).copied().unwrap_or(AtStart::Unknown)
    }

    /// From now on the mark of a partition is not known.
    pub(super) fn forget(&self, partition: &Partition) {
        lock(&self.first).noted.remove(partition);
    }

    /// Whether something of a partition was committed since the run began, as the sink says now.
    pub(super) fn is_written_now(&self, sink: &dyn Sink, partition: &Partition) -> bool {
        let (AtStart::Mark(mark) | AtStart::Held(Some(mark))) = self.at_start(partition) else {
            return false;
        };
        let now = marks(sink, std::slice::from_ref(partition)).ok();
        now.and_then(|now| now.first().copied().flatten()).is_some_and(|now| now != mark)
    }

    /// What was known of a partition at the last look at all of them.
    pub(super) fn since(&self, partition: &Partition) -> Since {
        let now = lock(&self.latest).marks.get(partition).copied();
        let Some(now) = now else { return Since::Missing };
        match self.at_start(partition) {
            AtStart::Nothing | AtStart::Held(None) => Since::Written,
            AtStart::Mark(mark) | AtStart::Held(Some(mark)) if mark != now => Since::Written,
            AtStart::Mark(_) | AtStart::Held(_) | AtStart::Unknown => Since::Kept,
        }
    }

    /// Looks at all `partitions` again if the last look is old. Where somebody else is looking, that look counts.
    pub(super) fn refresh(&self, sink: &dyn Sink, partitions: &[Partition]) {
        let Ok(mut latest) = self.latest.try_lock() else { return };
        if latest.is_old() {
            latest.look(sink, partitions);
        }
    }

    /// Looks at all `partitions` again; whether the sink answered.
    pub(super) fn look(&self, sink: &dyn Sink, partitions: &[Partition]) -> bool {
        lock(&self.latest).look(sink, partitions)
    }
}

impl Latest {
    /// Never before the first look, when marks are noted.
    fn is_old(&self) -> bool {
        self.looked.is_some_and(|(at, took)| at.elapsed() > AGE_MIN.max(TIMES_THE_COST * took))
    }

    fn look(&mut self, sink: &dyn Sink, partitions: &[Partition]) -> bool {
        let begun = Instant::now();
        let answer = marks(sink, partitions);
        match &answer {
            Ok(marks) => self.set(partitions, marks, begun),
            Err(_) => self.looked = Some((Instant::now(), begun.elapsed())),
        }
        answer.is_ok()
    }

    fn set(&mut self, partitions: &[Partition], marks: &[Option<u64>], begun: Instant) {
        let known =
            partitions.iter().zip(marks).filter_map(|(partition, mark)| Some((partition.clone(), (*mark)?)));
        self.marks = known.collect();
        self.looked = Some((Instant::now(), begun.elapsed()));
    }
}

/// Who is at work and what there is. In this order: what somebody has at the first question is not taken for new when it is committed
/// before the second.
fn first_marks(
    sink: &dyn Sink,
    partitions: &[Partition],
) -> Result<(HashSet<Partition>, Vec<Option<u64>>), StoreError> {
    let runners = contain(|| sink.runners(partitions))?;
    let held = runners.into_iter().flat_map(|runner| runner.held).map(|held| held.partition);
    Ok((held.collect(), marks(sink, partitions)?))
}

/// The marks of `partitions` in short.
fn marks(sink: &dyn Sink, partitions: &[Partition]) -> Result<Vec<Option<u64>>, StoreError> {
    let short = |mark: &str| {
        let mut hasher = DefaultHasher::new();
        mark.hash(&mut hasher);
        hasher.finish()
    };
    let marks = contain(|| sink.marks(partitions))?;
    Ok(marks.iter().map(|mark| mark.as_ref().map(|mark| short(&mark.mark))).collect())
}

/// A defect that panics here is no reason to fail a partition.
pub(super) fn contain<T>(ask: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or_else(|panic| Err(bug(panic.as_ref())))
}
