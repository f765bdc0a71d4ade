//! Several runners on one store: which share of a job is whose ([`Shard`]), what a runner is called where others see it
//! ([`RunnerName`]), who is at work ([`StoreRunner`]), and what a runner should know before it begins ([`BeforeWork`]).
//!
//! Invariants: the store is the ledger. Runners agree on shares because each computes the same from the names of outputs, never by
//! talking to each other; a share says who begins with a partition, a claim alone says who writes it.

mod before_work;
mod runner_name;
mod shard;
mod store_runner;

pub(crate) use self::before_work::sampled_definitions;
pub use self::before_work::{BeforeWork, StoredOtherwise, check_before_work};
pub use self::runner_name::RunnerName;
pub use self::shard::{SHARDS_MAX, Shard, ShardError};
pub use self::store_runner::{HeldPartition, StoreRunner};
