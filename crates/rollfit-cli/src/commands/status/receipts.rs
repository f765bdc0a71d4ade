//! [`Receipts`]: what the store itself shows of a job that left no record here: which partitions have a receipt.
//!
//! Invariants: no row of a source is read. `rollfit plan` shows whether a partition's source has changed since.

use rollfit_job::store_progress::HoldingCounts;

use super::store::watcher;
use crate::args::SelectArguments;
use crate::exit::Failure;
use crate::format;
use crate::job_arguments::JobArguments;
use crate::open::OpenJob;
use crate::output;
use crate::selection_arguments::SelectionArguments;

/// How many partitions have what.
#[derive(serde::Serialize)]
pub(super) struct Receipts {
    sink: String,
    #[serde(flatten)]
    counts: HoldingCounts,
}

impl Receipts {
    /// Looks at the store of a job.
    pub(super) fn count(job: JobArguments) -> Result<Self, Failure> {
        let open = open(job)?;
        let counts = watcher(&open).look(None)?.counts;
        Ok(Self { sink: open.sink.place(), counts })
    }

    pub(super) fn print(&self) -> Result<(), Failure> {
        output::line(
            "No run of this job left a record here (`rollfit run` writes one, `rollfit runs` lists those of all jobs); the receipts in \
             the store show:",
        )?;
        output::line(&counted(&self.counts, &self.sink))?;
        Ok(())
    }
}

/// A whole job, to be looked at.
pub(super) fn open(job: JobArguments) -> Result<OpenJob, Failure> {
    let selection = SelectionArguments::default();
    OpenJob::to_read(&SelectArguments { job, selection, workers: None, shard: None }, None)
}

/// How many partitions have what, on one line.
pub(super) fn counted(counts: &HoldingCounts, sink: &str) -> String {
    let unread = match counts.unread {
        0 => String::new(),
        unread => format!(", {} not looked at yet", format::count(unread)),
    };
    let number = format::count;
    let empty = if counts.empty > 0 { format!(", {} empty", number(counts.empty)) } else { String::new() };
    format!(
        "{}: {} done, {} missing{empty}, {} of another definition, {} foreign, {} newer, {} unreadable{unread}, in {sink}",
        format::plural(usize::try_from(counts.partitions).unwrap_or(usize::MAX), "partition"),
        number(counts.done),
        number(counts.missing),
        number(counts.definition_changed),
        number(counts.foreign),
        number(counts.newer),
        number(counts.unreadable),
    )
}
