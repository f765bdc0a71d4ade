//! `rollfit verify`: whether what is stored is what the source gives.

use rollfit_job::error_chain;
use rollfit_job::partition::Partition;
use rollfit_job::stop::Stop;
use rollfit_job::verify::{Depth, Verdict, Verified, verify};

use crate::args::{GlobalArguments, VerifyArguments};
use crate::exit::{Exit, Failure};
use crate::open::OpenJob;
use crate::{format, logging, output, signals};

const NO_FEATURES: &str = "there are no features";

#[derive(serde::Serialize)]
struct VerifyLine {
    partition: Partition,
    verdict: &'static str,
    cause: Option<String>,
    #[serde(flatten)]
    verified: Option<Verified>,
}

/// What a verification found, as it is printed.
#[derive(serde::Serialize)]
pub(super) struct VerifyDocument {
    partitions: Vec<VerifyLine>,
    rows: u64,
    cells: u64,
    reference_cells: u64,
    undetermined_cells: u64,
    worst_error: f64,
    worst_at: Option<String>,
    equal: usize,
    different: usize,
    failed: usize,
    absent: usize,
    skipped: usize,
    #[serde(skip)]
    depth: Depth,
}

pub(super) fn run(global: &GlobalArguments, arguments: &VerifyArguments) -> Result<Exit, Failure> {
    let document = verify_partitions(arguments)?;
    if global.json {
        output::json(&document)?;
    } else {
        document.print()?;
    }
    Ok(document.exit())
}

/// Verifies, and prints nothing but progress.
pub(super) fn verify_partitions(arguments: &VerifyArguments) -> Result<VerifyDocument, Failure> {
    let open = OpenJob::to_read(&arguments.select)?;
    let depth = match (arguments.quick, arguments.sample) {
        (true, _) => Depth::Quick,
        (false, Some(rows)) => Depth::Sampled(rows),
        (false, None) => Depth::Full,
    };
    let stop = Stop::default();
    signals::heed_at_once(&stop)?;
    let verdicts = verify(&open.job(), &open.partitions, depth, &stop, &tell);
    let lines =
        open.partitions.into_iter().zip(verdicts).map(|(partition, verdict)| line(partition, verdict));
    Ok(VerifyDocument::of(lines.collect(), depth))
}

fn tell(partition: &Partition, verdict: &Verdict) {
    let say = |serious, message: &str| logging::about(partition, "verify", serious, message);
    match verdict {
        Verdict::Compared(Verified { difference: None, rows, .. }) => {
            say(false, &format!("{} rows are as they should be", format::count(*rows)));
        }
        Verdict::Compared(Verified { difference: Some(difference), .. }) => say(true, difference),
        Verdict::Absent => say(true, NO_FEATURES),
        Verdict::Failed(error) => say(true, &error_chain(error)),
        Verdict::Skipped => {}
    }
}

fn line(partition: Partition, verdict: Verdict) -> VerifyLine {
    let (verdict, cause, verified) = match verdict {
        Verdict::Compared(verified) => {
            let verdict = if verified.difference.is_none() { "equal" } else { "different" };
            (verdict, verified.difference.clone(), Some(verified))
        }
        Verdict::Absent => ("absent", Some(NO_FEATURES.to_owned()), None),
        Verdict::Failed(error) => ("failed", Some(error_chain(&error)), None),
        Verdict::Skipped => ("skipped", None, None),
    };
    VerifyLine { partition, verdict, cause, verified }
}

impl VerifyDocument {
    fn of(partitions: Vec<VerifyLine>, depth: Depth) -> Self {
        let verified = || partitions.iter().filter_map(|line| line.verified.as_ref());
        let worst = verified().max_by(|a, b| a.worst_error.total_cmp(&b.worst_error));
        let count = |verdict: &str| partitions.iter().filter(|line| line.verdict == verdict).count();
        Self {
            rows: verified().map(|verified| verified.rows).sum(),
            cells: verified().map(|verified| verified.cells).sum(),
            reference_cells: verified().map(|verified| verified.reference_cells).sum(),
            undetermined_cells: verified().map(|verified| verified.undetermined_cells).sum(),
            worst_error: worst.map_or(0.0, |verified| verified.worst_error),
            worst_at: worst.and_then(|verified| verified.worst_at.clone()),
            equal: count("equal"),
            different: count("different"),
            failed: count("failed"),
            absent: count("absent"),
            skipped: count("skipped"),
            depth,
            partitions,
        }
    }

    /// Interrupted where the stop came before the end, whatever was found until then.
    pub(super) fn exit(&self) -> Exit {
        if self.skipped > 0 {
            Exit::Interrupted
        } else if self.different + self.failed > 0 {
            Exit::Failed
        } else if self.absent > 0 {
            Exit::LeftAlone
        } else {
            Exit::Done
        }
    }

    pub(super) fn print(&self) -> Result<(), Failure> {
        output::line(&format!(
            "{}: {} as they should be, {} different, {} failed, {} without features",
            format::plural(self.partitions.len(), "partition"),
            self.equal,
            self.different,
            self.failed,
            self.absent
        ))?;
        if self.skipped > 0 {
            output::line(&format!(
                "Interrupted: {} not verified",
                format::plural(self.skipped, "partition")
            ))?;
        }
        let (rows, cells) = (format::count(self.rows), format::count(self.cells));
        if self.depth == Depth::Quick {
            output::line(&format!("{rows} rows, {cells} cells summed and compared with the receipts"))?;
        } else {
            output::line(&format!("{rows} rows, {cells} cells compared bit for bit with the kernel"))?;
            output::line(&format!(
                "{} cells held against the reference: the worst error is {:.3} of its bound{}; {} undetermined",
                format::count(self.reference_cells),
                self.worst_error,
                self.worst_at.as_ref().map(|at| format!(", {at}")).unwrap_or_default(),
                format::count(self.undetermined_cells)
            ))?;
        }
        for line in self.partitions.iter().filter(|line| !matches!(line.verdict, "equal" | "skipped")) {
            let cause = line.cause.as_deref().unwrap_or_default();
            output::line(&format!("  {}: {}: {cause}", line.partition, line.verdict))?;
        }
        Ok(())
    }
}
