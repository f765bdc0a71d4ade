//! `rollfit compare`: holds stored features, whoever wrote them, against what the source gives. Writes nothing.

mod document;
mod print;

use rollfit_job::compare::{Verdict, compare};
use rollfit_job::error_chain;
use rollfit_job::partition::Partition;
use rollfit_job::spec::Spec;
use rollfit_job::stop::Stop;

use self::document::CompareDocument;
use crate::args::{CompareArguments, GlobalArguments};
use crate::exit::{Exit, Failure};
use crate::open::OpenJob;
use crate::{format, logging, output, signals};

const NO_FEATURES: &str = "there are no features";

pub(super) fn run(global: &GlobalArguments, arguments: &CompareArguments) -> Result<Exit, Failure> {
    let open = OpenJob::to_read(&arguments.select)?;
    let stop = Stop::default();
    signals::heed_at_once(&stop)?;
    let tell = |partition: &Partition, verdict: &Verdict| tell(partition, verdict, &open.spec);
    let verdicts = compare(&open.job(), &open.partitions, arguments.sample, &stop, &tell);
    let document = CompareDocument::of(&open.spec, &open.partitions, &verdicts);
    if global.json {
        output::json(&document)?;
    } else {
        document.print()?;
    }
    Ok(document.exit())
}

fn tell(partition: &Partition, verdict: &Verdict, spec: &Spec) {
    let say = |serious, message: &str| logging::about(partition, "compare", serious, message);
    match verdict {
        Verdict::Compared(compared) => match compared.differences(spec).first() {
            None => say(false, &format!("{} rows agree", format::count(compared.rows()))),
            Some(first) => say(true, first),
        },
        Verdict::Absent => say(true, NO_FEATURES),
        Verdict::Failed(error) => say(true, &error_chain(error)),
        Verdict::Skipped => {}
    }
}
