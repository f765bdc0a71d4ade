//! [`AllowSkipped`]: the option by which partitions that are skipped do not change the exit code.

use clap::Args;

use crate::exit::Exit;

/// Whether skipped partitions are what the user expects.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct AllowSkipped {
    /// Exit with 0 in place of 4, and do not warn of the partitions that lead to it
    #[arg(long)]
    pub(crate) allow_skipped: bool,
}

impl AllowSkipped {
    /// The exit code of a command that would end with `exit`.
    pub(crate) fn exit(self, exit: Exit) -> Exit {
        if self.allow_skipped && exit == Exit::Skipped { Exit::Done } else { exit }
    }
}
