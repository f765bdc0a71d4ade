//! `rollfit adopt`: trusts the features of another program where every row agrees with what the source gives.

use rollfit_job::adopt::{Verdict, adopt};
use rollfit_job::error_chain;
use rollfit_job::partition::Partition;
use rollfit_job::spec::Spec;
use rollfit_job::stop::Stop;

use crate::args::{GlobalArguments, SelectArguments};
use crate::exit::{Exit, Failure};
use crate::open::OpenJob;
use crate::{format, logging, output, signals};

/// How many differences of a partition are printed; the rest is for `rollfit compare`.
const DIFFERENCES_MAX: usize = 3;

#[derive(serde::Serialize)]
struct AdoptLine {
    partition: Partition,
    verdict: &'static str,
    /// Rows that are ours from now on.
    rows: u64,
    /// Why it was not adopted: what failed, or the first differences.
    causes: Vec<String>,
}

/// What was adopted, as it is printed.
#[derive(serde::Serialize)]
struct AdoptDocument {
    partitions: Vec<AdoptLine>,
    adopted: usize,
    already_ours: usize,
    left_alone: usize,
    failed: usize,
    absent: usize,
    skipped: usize,
}

pub(super) fn run(global: &GlobalArguments, arguments: &SelectArguments) -> Result<Exit, Failure> {
    let open = OpenJob::new(arguments)?;
    let stop = Stop::default();
    signals::heed_at_once(&stop)?;
    let tell = |partition: &Partition, verdict: &Verdict| tell(partition, verdict, &open.spec);
    let verdicts = adopt(&open.job(), &open.partitions, &stop, &tell);
    let line = |(partition, verdict): (&Partition, &Verdict)| line(partition, verdict, &open.spec);
    let document = AdoptDocument::of(open.partitions.iter().zip(&verdicts).map(line).collect());
    if global.json {
        output::json(&document)?;
    } else {
        document.print()?;
    }
    Ok(document.exit())
}

fn tell(partition: &Partition, verdict: &Verdict, spec: &Spec) {
    let say = |serious, message: &str| logging::about(partition, "adopt", serious, message);
    match verdict {
        Verdict::Adopted(compared) => say(false, &format!("{} rows adopted", format::count(compared.rows()))),
        Verdict::AlreadyOurs => say(false, "has a receipt already"),
        Verdict::Absent => say(false, "there are no features"),
        Verdict::Skipped => {}
        other => say(true, causes(other, spec).first().map_or("left alone", String::as_str)),
    }
}

fn line(partition: &Partition, verdict: &Verdict, spec: &Spec) -> AdoptLine {
    let name = match verdict {
        Verdict::Adopted(_) => "adopted",
        Verdict::AlreadyOurs => "already-ours",
        Verdict::LeftAlone(_) => "left-alone",
        Verdict::Absent => "absent",
        Verdict::Held(_) | Verdict::Failed(_) => "failed",
        Verdict::Skipped => "skipped",
    };
    let rows = if let Verdict::Adopted(compared) = verdict { compared.rows() } else { 0 };
    AdoptLine { partition: partition.clone(), verdict: name, rows, causes: causes(verdict, spec) }
}

fn causes(verdict: &Verdict, spec: &Spec) -> Vec<String> {
    match verdict {
        Verdict::LeftAlone(compared) => compared.differences(spec),
        Verdict::Held(holder) => vec![format!("{holder} has it, try again later")],
        Verdict::Failed(error) => vec![error_chain(error)],
        Verdict::Adopted(_) | Verdict::AlreadyOurs | Verdict::Absent | Verdict::Skipped => Vec::new(),
    }
}

impl AdoptDocument {
    fn of(partitions: Vec<AdoptLine>) -> Self {
        let count = |verdict: &str| partitions.iter().filter(|line| line.verdict == verdict).count();
        Self {
            adopted: count("adopted"),
            already_ours: count("already-ours"),
            left_alone: count("left-alone"),
            failed: count("failed"),
            absent: count("absent"),
            skipped: count("skipped"),
            partitions,
        }
    }

    fn exit(&self) -> Exit {
        if self.skipped > 0 {
            Exit::Interrupted
        } else if self.failed > 0 {
            Exit::Failed
        } else if self.left_alone > 0 {
            Exit::LeftAlone
        } else {
            Exit::Done
        }
    }

    fn print(&self) -> Result<(), Failure> {
        output::line(&format!(
            "{}: {} adopted, {} already ours, {} left alone, {} failed, {} without features",
            format::plural(self.partitions.len(), "partition"),
            self.adopted,
            self.already_ours,
            self.left_alone,
            self.failed,
            self.absent
        ))?;
        for line in &self.partitions {
            print_causes(line)?;
        }
        if self.left_alone > 0 {
            output::line("What was left alone is as it was. `rollfit compare` tells all that differs.")?;
        }
        if self.skipped > 0 {
            output::line("Interrupted. The same command goes on where this one stopped.")?;
        }
        Ok(())
    }
}

fn print_causes(line: &AdoptLine) -> Result<(), Failure> {
    for cause in line.causes.iter().take(DIFFERENCES_MAX) {
        output::line(&format!("  {}: {}: {cause}", line.partition, line.verdict))?;
    }
    let more = line.causes.len().saturating_sub(DIFFERENCES_MAX);
    if more > 0 {
        output::line(&format!("  {}: {}", line.partition, format::plural(more, "more difference")))?;
    }
    Ok(())
}
