//! [`Continued`]: a run with --force that does what an interrupted one had left.

use rollfit_job::record::Record;
use rollfit_job::selection::Selection;
use rollfit_job::selector::Selector;

use crate::args::SelectArguments;
use crate::exit::Failure;
use crate::open::OpenJob;
use crate::record::header::job_digest;
use crate::state_dir::{self, StateDir};

/// The run that is continued.
pub(super) struct Continued {
    record: Record,
    left: Vec<Selector>,
    /// What was selected beside.
    typed: Selection,
}

impl Continued {
    /// The run called `run`, of which what `select` selects is wanted.
    ///
    /// # Errors
    /// Where there is no such record, or it says nothing of partitions that are left.
    pub(super) fn find(run: &str, select: &SelectArguments) -> Result<Self, Failure> {
        let record = state_dir::read(&StateDir::open().find(run)?)?;
        let name = &record.header.run;
        if record.remaining.is_empty() {
            return Err(Failure::usage(format!(
                "--continue: {name} has not recorded what it left: only a run with --force does, when a signal interrupts it; \
                 without --continue everything is rewritten"
            )));
        }
        let left = record.remaining.iter().map(|selector| selector.parse::<Selector>());
        let left = left.collect::<Result<Vec<_>, _>>().map_err(|error| {
            Failure::failed(format!("the record of {name} is damaged: {}", rollfit_job::error_chain(&error)))
        })?;
        Ok(Self { left, typed: select.selection.selection()?, record })
    }

    /// The same arguments, which select what is left in place of what was typed.
    pub(super) fn select(&self, select: &SelectArguments) -> SelectArguments {
        let mut select = select.clone();
        select.selection.only.clone_from(&self.left);
        select
    }

    /// Leaves out of a job what was not typed.
    ///
    /// # Errors
    /// Where the run was of another job, or nothing is left.
    pub(super) fn narrow(&self, open: &mut OpenJob) -> Result<(), Failure> {
        let name = &self.record.header.run;
        if self.record.header.job != job_digest(open) {
            return Err(Failure::usage(format!(
                "--continue: {name} was a run of another job or definition, by {}",
                self.record.header.config
            )));
        }
        open.retain(|partition| self.typed.matches(partition));
        if open.partitions.is_empty() {
            return Err(Failure::usage(format!("--continue: {name} left nothing of what is selected")));
        }
        Ok(())
    }
}
