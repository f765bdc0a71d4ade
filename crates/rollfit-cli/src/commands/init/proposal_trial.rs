//! [`ProposalTrial`]: a proposal tried out before it is written: planned, and one partition of it read as a run reads it.

use std::collections::BTreeSet;
use std::path::Path;

use rollfit_job::config::{JobConfig, StoreConfig};
use rollfit_job::panel::Panel;
use rollfit_job::partition::Partition;
use rollfit_job::patience::patiently;
use rollfit_job::period::{Period, PeriodUnit};
use rollfit_job::selection::Selection;
use rollfit_job::store::Purpose;

use super::config_text::LONGEST_WINDOW_ROWS;
use crate::exit::Failure;
use crate::join_loss;
use crate::open::planned;
use crate::stores::{self, Stores};

/// The most partitions that are read in search of one with rows: half of them the nearest ones of the middle, half of all the key's.
const READ_MAX: usize = 24;

/// What came of it.
#[derive(Clone, Debug)]
pub(super) struct ProposalTrial {
    /// The keys, sorted.
    pub(super) keys: Vec<String>,
    /// How many partitions there are.
    pub(super) partitions: usize,
    pub(super) first: Period,
    pub(super) last: Period,
    /// The partition that was read: the one with rows that is nearest to the middle of the first key; the middle where none has any.
    pub(super) read: Partition,
    /// Its rows.
    pub(super) rows: u64,
    /// How many partitions were read in search of it.
    pub(super) tried: usize,
    /// What the join of its series loses, as a clause, where that is more than a run accepts.
    pub(super) join_loss: Option<String>,
}

impl ProposalTrial {
    /// Plans the configuration `text`, whose stores are at `store`, and reads a partition of it. Writes nothing.
    ///
    /// # Errors
    /// Where a plan or a run would fail too.
    pub(super) fn new(text: &str, store: &StoreConfig) -> Result<Self, Failure> {
        let config = config(text, store)?;
        let stores = Stores::open(&config, Purpose::Read)?;
        let (source, sink) = (stores.source(), stores.sink());
        let partitions = planned(&config, source.as_ref(), sink.as_ref(), &Selection::default())?;
        let of_first_key =
            partitions.iter().take_while(|partition| partition.key == partitions[0].key).count();
        let read = |at: usize| {
            let panel = patiently(|| Panel::read(source.as_ref(), &config, &partitions[at]));
            stores::opened(panel).map(|panel| (at, panel))
        };
        let order = trial_order(of_first_key);
        let (mut found, mut tried) = (read(order[0])?, 1);
        for &at in &order[1..] {
            if found.1.rows() > 0 {
                break;
            }
            tried += 1;
            let next = read(at)?;
            if next.1.rows() > 0 {
                found = next;
            }
        }
        let (at, panel) = found;
        let read = partitions[at].clone();
        let periods = || partitions.iter().map(|partition| partition.period);
        let keys: BTreeSet<&String> = partitions.iter().map(|partition| &partition.key).collect();
        Ok(Self {
            keys: keys.into_iter().cloned().collect(),
            partitions: partitions.len(),
            first: periods().min().unwrap_or(read.period),
            last: periods().max().unwrap_or(read.period),
            rows: panel.rows() as u64,
            tried,
            join_loss: panel.join_loss.as_ref().map(join_loss::sentence),
            read,
        })
    }
    /// The periods of all partitions, as a clause.
    pub(super) fn periods(&self) -> String {
        match self.first.unit() {
            PeriodUnit::All => format!("by = \"{}\"", PeriodUnit::All),
            _ => format!("{} to {}", self.first, self.last),
        }
    }

    /// The rows of a month of the partition that was read, where they are too few for the longest window; none where they suffice, or where
    /// all rows of a key are one partition.
    pub(super) fn few_rows(&self) -> Option<u64> {
        let unit = self.read.period.unit();
        let of_month = self.rows.div_ceil(unit.months() as u64);
        (unit != PeriodUnit::All && of_month < LONGEST_WINDOW_ROWS).then_some(of_month)
    }
}

/// The unit of the features that the job of the configuration `text` already has at `store`; none where it has none. Partitions by another
/// unit cannot be written beside them.
///
/// # Errors
/// Where the store cannot be opened.
pub(super) fn stored_unit(text: &str, store: &StoreConfig) -> Result<Option<PeriodUnit>, Failure> {
    let config = config(text, store)?;
    let sink = stores::open_sink(&config, Purpose::Read)?;
    // What cannot be listed is an error of the trial.
    let others = sink.partitions_of_other_units().unwrap_or_default();
    let stored =
        others.into_iter().next().or_else(|| sink.partitions().unwrap_or_default().into_iter().next());
    Ok(stored.map(|partition| partition.period.unit()))
}

/// The configuration `text`, with its stores as they are typed: with their passwords, and from the working directory.
fn config(text: &str, store: &StoreConfig) -> Result<JobConfig, Failure> {
    let mut config = JobConfig::parse_in(Path::new(""), text, [])?;
    config.source = store.clone();
    config.sink.store = store.clone();
    Ok(config)
}

/// Which of `count` partitions are read one after the other until one has rows: from the middle outwards; of many those nearest to the
/// middle, and then some in equal distances up to the first and the last one.
fn trial_order(count: usize) -> Vec<usize> {
    let middle = count / 2;
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|at| at.abs_diff(middle));
    if count > READ_MAX {
        let apart = READ_MAX / 2;
        order.truncate(READ_MAX - apart);
        let far: Vec<usize> =
            (0..apart).map(|at| at * (count - 1) / (apart - 1)).filter(|at| !order.contains(at)).collect();
        order.extend(far);
        order.sort_by_key(|at| at.abs_diff(middle));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_tried_from_the_middle_outwards_and_of_many_some_far_ones_too() {
        assert_eq!(trial_order(1), [0]);
        assert_eq!(trial_order(4), [2, 1, 3, 0]);
        let order = trial_order(240);
        assert!(order.len() <= READ_MAX && order.contains(&0) && order.contains(&239), "{order:?}");
        assert_eq!(order[..4], [120, 119, 121, 118]);
    }
}
