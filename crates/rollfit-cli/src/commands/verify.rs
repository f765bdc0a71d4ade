//! `rollfit verify`: checks that what is stored is what the source gives.

use rollfit_job::check::CheckOutcome;
use rollfit_job::partition::Partition;
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::verify::{Depth, Verified, verify};

use super::checks::{self, Remark, VerdictCauses};
use crate::allow_skipped::AllowSkipped;
use crate::args::{GlobalArguments, VerifyArguments};
use crate::exit::{Exit, Failure};
use crate::given_shard::GivenShard;
use crate::open::OpenJob;
use crate::share::{self, Share};
use crate::{format, output, signals};

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
    /// Rows and cells of adopted partitions, compared with their receipts only. `rows` has them too, `cells` does not.
    adopted_rows: u64,
    adopted_cells: u64,
    reference_cells: u64,
    undetermined_cells: u64,
    worst_error: f64,
    worst_at: Option<String>,
    equal: usize,
    different: usize,
    failed: usize,
    absent: usize,
    /// Without features and without a row in any series.
    empty: usize,
    /// Written by a later version of rollfit, which can verify them.
    newer: usize,
    /// A file of others lies where their features are, so that nothing was verified.
    blocked: usize,
    skipped: usize,
    /// The shard that was verified; none where all partitions were.
    shard: Option<Share>,
    #[serde(skip)]
    depth: Depth,
}

pub(super) fn run(global: &GlobalArguments, arguments: &VerifyArguments) -> Result<Exit, Failure> {
    let given = GivenShard::find(arguments.select.shard)?;
    let document = verify_partitions(arguments, given.as_ref())?;
    let exit = arguments.allow_skipped.exit(document.exit());
    output::result(global, exit, &document, VerifyDocument::print)?;
    Ok(exit)
}

/// Verifies and prints only progress.
pub(super) fn verify_partitions(
    arguments: &VerifyArguments,
    given: Option<&GivenShard>,
) -> Result<VerifyDocument, Failure> {
    let open = OpenJob::to_read(&arguments.select, given)?.of_own_share();
    let depth = match (arguments.quick, arguments.sample) {
        (true, _) => Depth::Quick,
        (false, Some(rows)) => Depth::Sampled(rows),
        (false, None) => Depth::Full,
    };
    let stop = StopSignal::default();
    signals::stop_at_first_signal(&stop)?;
    let log = |partition: &Partition, outcome: &CheckOutcome<Verified>| {
        log(partition, outcome, arguments.allow_skipped);
    };
    let outcomes = verify(&open.job(), &open.partitions, depth, &stop, &log);
    let lines =
        open.partitions.into_iter().zip(outcomes).map(|(partition, outcome)| line(partition, outcome));
    Ok(VerifyDocument::new(lines.collect(), depth, open.share))
}

fn log(partition: &Partition, outcome: &CheckOutcome<Verified>, allow_skipped: AllowSkipped) {
    checks::log("verify", partition, outcome, allow_skipped, |verified| Remark {
        is_serious: verified.difference.is_some(),
        text: match &verified.difference {
            None if verified.adopted_cells > 0 => {
                format!("{} adopted rows match their receipt", format::count(verified.rows))
            }
            None => format!("{} rows verified", format::count(verified.rows)),
            Some(difference) => difference.clone(),
        },
    });
}

fn line(partition: Partition, outcome: CheckOutcome<Verified>) -> VerifyLine {
    let word = |verified: &Verified| if verified.difference.is_none() { "equal" } else { "different" };
    let (verdict, cause) = checks::verdict(&outcome, word);
    let verified = outcome.into_checked();
    let difference = verified.as_ref().and_then(|verified| verified.difference.clone());
    VerifyLine { partition, verdict, cause: cause.or(difference), verified }
}

fn mismatches(count: usize) -> String {
    if count == 1 { "1 mismatch".to_owned() } else { format!("{count} mismatches") }
}

impl VerifyDocument {
    fn new(partitions: Vec<VerifyLine>, depth: Depth, shard: Option<Share>) -> Self {
        let verified = || partitions.iter().filter_map(|line| line.verified.as_ref());
        let worst = verified().max_by(|a, b| a.worst_error.total_cmp(&b.worst_error));
        let adopted = || verified().filter(|verified| verified.adopted_cells > 0);
        let count = |verdict: &str| partitions.iter().filter(|line| line.verdict == verdict).count();
        Self {
            rows: verified().map(|verified| verified.rows).sum(),
            cells: verified().map(|verified| verified.cells).sum(),
            adopted_rows: adopted().map(|verified| verified.rows).sum(),
            adopted_cells: adopted().map(|verified| verified.adopted_cells).sum(),
            reference_cells: verified().map(|verified| verified.reference_cells).sum(),
            undetermined_cells: verified().map(|verified| verified.undetermined_cells).sum(),
            worst_error: worst.map_or(0.0, |verified| verified.worst_error),
            worst_at: worst.and_then(|verified| verified.worst_at.clone()),
            equal: count("equal"),
            different: count("different"),
            failed: count("failed"),
            absent: count("absent"),
            empty: count("empty"),
            newer: count("newer"),
            blocked: count("blocked"),
            skipped: count("skipped"),
            shard,
            depth,
            partitions,
        }
    }

    pub(super) fn exit(&self) -> Exit {
        Exit::from_partitions(
            self.skipped > 0,
            self.different + self.failed + self.blocked > 0,
            self.absent + self.newer > 0,
        )
    }

    pub(super) fn print(&self) -> Result<(), Failure> {
        output::line(&format!(
            "{}: {} verified, {}, {} failed, {} without features{}{}{}",
            share::partitions(self.partitions.len(), self.shard.as_ref()),
            self.equal,
            mismatches(self.different),
            self.failed,
            self.absent,
            checks::empty_words(self.empty),
            checks::newer_words(self.newer),
            checks::blocked_words(self.blocked)
        ))?;
        checks::print_not_done(self.skipped, self.shard.as_ref(), "verified")?;
        self.print_cells()?;
        let told =
            self.partitions.iter().filter(|line| !matches!(line.verdict, "equal" | "empty" | "skipped"));
        let causes = told.map(|line| VerdictCauses {
            partition: &line.partition,
            verdict: line.verdict,
            causes: line.cause.as_slice(),
            reason: None,
        });
        Ok(checks::print_causes(&causes.collect::<Vec<_>>(), 1)?)
    }

    /// What each cell was compared with.
    fn print_cells(&self) -> Result<(), Failure> {
        let (rows, cells) = (format::count(self.rows - self.adopted_rows), format::count(self.cells));
        if self.depth == Depth::Quick {
            output::line(&format!("{rows} rows, {cells} cells summed and compared with the receipts"))?;
            return Ok(());
        }
        output::line(&format!("{rows} rows, {cells} cells compared bit for bit with the kernel"))?;
        if self.adopted_cells > 0 {
            output::line(&format!(
                "{} rows, {} cells of adopted partitions compared only with the checksums of their receipts; `rollfit \
                 compare` compares them with the kernel",
                format::count(self.adopted_rows),
                format::count(self.adopted_cells)
            ))?;
        }
        if self.reference_cells == 0 {
            output::line("0 cells checked against the reference")?;
            return Ok(());
        }
        output::line(&format!(
            "{} cells checked against the reference: the worst error is {:.3} of its bound{}; {} undetermined",
            format::count(self.reference_cells),
            self.worst_error,
            self.worst_at.as_ref().map(|at| format!(", {at}")).unwrap_or_default(),
            format::count(self.undetermined_cells)
        ))?;
        Ok(())
    }
}
