//! [`Receipts`]: what the store itself shows of a job: which partitions have a receipt.
//!
//! Invariants: no source is read. `rollfit plan` shows whether a partition's source has changed since.

use rollfit_job::absence::Absence;
use rollfit_job::receipt::Definition;
use rollfit_job::store::Found;

use crate::args::{ConfigArguments, SelectArguments};
use crate::exit::Failure;
use crate::format;
use crate::open::OpenJob;
use crate::output;

/// How many partitions have what.
#[derive(Default, serde::Serialize)]
pub(super) struct Receipts {
    sink: String,
    partitions: usize,
    /// With a receipt of this definition.
    done: usize,
    /// With a receipt of another definition.
    definition_changed: usize,
    missing: usize,
    /// With features that rollfit did not write.
    foreign: usize,
    /// With features that a later version of rollfit wrote.
    newer: usize,
    /// That cannot be read now.
    unreadable: usize,
}

impl Receipts {
    /// Looks at the store of a configuration.
    pub(super) fn count(config: ConfigArguments) -> Result<Self, Failure> {
        let select = SelectArguments { config, only: Vec::new(), workers: None, shard: None };
        let open = OpenJob::to_read(&select, None)?;
        let definition = Definition::from_config(&open.config);
        let mut receipts =
            Self { sink: open.sink.place(), partitions: open.partitions.len(), ..Self::default() };
        let absence = Absence::new(open.config.run.retry_for);
        for partition in &open.partitions {
            match absence.look(|| open.sink.found(partition)) {
                Ok(Found::Ours(receipt)) if *receipt.definition == definition => receipts.done += 1,
                Ok(Found::Ours(_)) => receipts.definition_changed += 1,
                Ok(Found::Nothing) => receipts.missing += 1,
                Ok(Found::Foreign(_)) => receipts.foreign += 1,
                Ok(Found::Newer(_)) => receipts.newer += 1,
                Err(_) => receipts.unreadable += 1,
            }
        }
        Ok(receipts)
    }

    pub(super) fn print(&self) -> Result<(), Failure> {
        output::line("No run of this job left a record here; the receipts in the store show:")?;
        output::line(&format!(
            "{}: {} done, {} missing, {} of another definition, {} foreign, {} newer, {} unreadable, in {}",
            format::plural(self.partitions, "partition"),
            self.done,
            self.missing,
            self.definition_changed,
            self.foreign,
            self.newer,
            self.unreadable,
            self.sink
        ))?;
        Ok(())
    }
}
