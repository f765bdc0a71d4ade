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

/// What came of it.
#[derive(Clone, Debug)]
pub(super) struct ProposalTrial {
    /// The keys, sorted.
    pub(super) keys: Vec<String>,
    /// How many partitions there are.
    pub(super) partitions: usize,
    pub(super) first: Month,
    pub(super) last: Month,
    /// The partition that was read, one in the middle.
    pub(super) read: Partition,
    /// Its rows.
    pub(super) rows: u64,
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
        let read = partitions[of_first_key / 2].clone();
        let panel = stores::opened(patiently(|| Panel::read(source.as_ref(), &config, &read)))?;
        let months = || partitions.iter().map(|partition| partition.period.first_month());
        let at_read = || read.period.first_month();
        let keys: BTreeSet<&String> = partitions.iter().map(|partition| &partition.key).collect();
        Ok(Self {
            keys: keys.into_iter().cloned().collect(),
            partitions: partitions.len(),
            first: months().min().unwrap_or_else(at_read),
            last: months().max().unwrap_or_else(at_read),
            rows: panel.rows() as u64,
            join_loss: panel.join_loss.as_ref().map(join_loss::sentence),
            read,
        })
    }
}
