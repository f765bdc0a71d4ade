//! [`Share`]: what a shard is of a job, in numbers and words.

use rollfit_job::runners::Shard;

use crate::format;
use crate::given_shard::GivenShard;

/// What a shard is of a job.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Share {
    #[serde(skip)]
    pub(crate) shard: Shard,
    /// As it was given, for people.
    #[serde(skip)]
    given: String,
    /// Which shard it is, from 0.
    index: u32,
    /// How many shards there are.
    count: u32,
    /// Where that is from: `--shard`, `ROLLFIT_SHARD`, or the engine of an array job.
    from: &'static str,
    /// The selected partitions that are in it.
    pub(crate) partitions: usize,
    /// The selected partitions that are in other shards.
    pub(crate) other_partitions: usize,
}

impl Share {
    /// The share of a job of `total` partitions, of which these are its own.
    pub(crate) fn new(given: &GivenShard, partitions: usize, total: usize) -> Self {
        Self {
            shard: given.shard,
            given: given.to_string(),
            index: given.shard.index(),
            count: given.shard.count(),
            from: given.origin,
            partitions,
            other_partitions: total.saturating_sub(partitions),
        }
    }

    /// `shard 3 of 8, from AWS Batch: 42 of 336 partitions`, and why the store may be another one elsewhere.
    pub(crate) fn sentence(&self, only_here: Option<&str>) -> String {
        let total = self.partitions + self.other_partitions;
        let only_here = only_here.map(|why| format!("; other machines may see another store: {why}"));
        format!(
            "{}: {} of {}{}",
            self.given,
            format::count(self.partitions as u64),
            format::plural(total, "partition"),
            only_here.unwrap_or_default()
        )
    }
}

/// `336 partitions`, or `42 partitions of shard 3/8`.
pub(crate) fn partitions(number: usize, share: Option<&Share>) -> String {
    let of_shard = share.map(|share| format!(" of shard {}", share.shard)).unwrap_or_default();
    format!("{}{of_shard}", format::plural(number, "partition"))
}

/// `294 partitions of other shards were not looked at`; none without a shard.
pub(crate) fn others_sentence(share: Option<&Share>, done: &str) -> Option<String> {
    let others = share?.other_partitions;
    let were = if others == 1 { "was" } else { "were" };
    (others > 0).then(|| format!("{} of other shards {were} not {done}", format::plural(others, "partition")))
}
