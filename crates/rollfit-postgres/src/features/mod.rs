//! The features of a partition: what exists of them, replacing them in one transaction with its commit, reading them back.

pub(crate) mod append_slot;
pub(crate) mod claim_batch;
pub(crate) mod expected;
pub(crate) mod held_look;
pub(crate) mod holdings;
pub(crate) mod inspect;
pub(crate) mod narrow_columns;
pub(crate) mod partition_look;
pub(crate) mod read_back;
pub(crate) mod references;
pub(crate) mod runners;
pub(crate) mod sink;
pub(crate) mod slot;
