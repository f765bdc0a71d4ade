//! [`ProposalTrial`]: a proposal tried out before it is written: planned, and one partition of it read as a run reads it.

use std::collections::BTreeSet;
use std::path::Path;

use rollfit_job::config::{JobConfig, StoreConfig};
use rollfit_job::month::Month;
use rollfit_job::panel::Panel;
use rollfit_job::partition::Partition;
use rollfit_job::patience::patiently;
use rollfit_job::selection::Selection;
use rollfit_job::store::Purpose;

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
    pub(super) first: Month,
    pub(super) last: Month,
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
        let mut config = JobConfig::parse_in(Path::new(""), text, [])?;
        // As it is typed: with its password, and from the working directory.
        config.source = store.clone();
        config.sink.store = store.clone();
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
        let months = || partitions.iter().map(|partition| partition.period.first_month());
        let at_read = || read.period.first_month();
        let keys: BTreeSet<&String> = partitions.iter().map(|partition| &partition.key).collect();
        Ok(Self {
            keys: keys.into_iter().cloned().collect(),
            partitions: partitions.len(),
            first: months().min().unwrap_or_else(at_read),
            last: months().max().unwrap_or_else(at_read),
            rows: panel.rows() as u64,
            tried,
            join_loss: panel.join_loss.as_ref().map(join_loss::sentence),
            read,
        })
    }
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
