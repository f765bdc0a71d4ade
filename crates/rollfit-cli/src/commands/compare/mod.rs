//! `rollfit compare`: recomputes features and compares them with what is stored. Writes nothing.

mod document;
mod print;

use rollfit_job::check::CheckOutcome;
use rollfit_job::compare::{Compared, compare};
use rollfit_job::config::JobConfig;
use rollfit_job::partition::Partition;
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::verify::other_definition;

use self::document::CompareDocument;
use super::checks::{self, Remark};
use crate::allow_skipped::AllowSkipped;
use crate::args::{CompareArguments, GlobalArguments};
use crate::exit::{Exit, Failure};
use crate::given_shard::GivenShard;
use crate::open::OpenJob;
use crate::{format, output, signals};

pub(super) fn run(global: &GlobalArguments, arguments: &CompareArguments) -> Result<Exit, Failure> {
    let given = GivenShard::find(arguments.select.shard)?;
    let open = OpenJob::to_read(&arguments.select, given.as_ref())?.of_own_share();
    let stop = StopSignal::default();
    signals::stop_at_first_signal(&stop)?;
    let log = |partition: &Partition, outcome: &CheckOutcome<Compared>| {
        log(partition, outcome, &open.config, arguments.allow_skipped);
    };
    let outcomes = compare(&open.job(), &open.partitions, arguments.sample, &stop, &log);
    let document = CompareDocument::new(&open.config, &open.partitions, &outcomes, open.share.clone());
    let exit = arguments.allow_skipped.exit(document.exit());
    output::result(global, exit, &document, CompareDocument::print)?;
    Ok(exit)
}

fn log(
    partition: &Partition,
    outcome: &CheckOutcome<Compared>,
    config: &JobConfig,
    allow_skipped: AllowSkipped,
) {
    checks::log("compare", partition, outcome, allow_skipped, |compared| {
        match compared.differences(config).into_iter().next() {
            None => {
                Remark { is_serious: false, text: format!("{} rows match", format::count(compared.rows())) }
            }
            Some(first) => {
                let change = compared.definition_change.as_deref().map(other_definition);
                Remark { is_serious: true, text: change.unwrap_or(first) }
            }
        }
    });
}
