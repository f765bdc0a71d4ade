//! `rollfit adopt`: adopts features of another program, or of an earlier definition, if every row matches what the source gives.

use rollfit_job::adopt::{Adoption, adopt};
use rollfit_job::check::CheckOutcome;
use rollfit_job::partition::Partition;
use rollfit_job::receipt::DEFINITION_VERSION;
use rollfit_job::stop_signal::StopSignal;

use super::checks::{self, Remark, VerdictCauses};
use crate::allow_skipped::AllowSkipped;
use crate::args::{AdoptArguments, GlobalArguments};
use crate::exit::{Exit, Failure};
use crate::given_shard::GivenShard;
use crate::open::OpenJob;
use crate::share::{self, Share};
use crate::{format, logging, output, signals};

/// How many differences of a partition are printed; the rest is for `rollfit compare`.
const DIFFERENCES_MAX: usize = 3;

#[derive(serde::Serialize)]
struct AdoptLine {
    partition: Partition,
    verdict: &'static str,
    /// The rows adopted, or whose receipt was moved.
    rows: u64,
    /// Why it was not adopted: what failed, or the first differences.
    causes: Vec<String>,
}

/// What was adopted, as it is printed.
#[derive(serde::Serialize)]
struct AdoptDocument {
    partitions: Vec<AdoptLine>,
    adopted: usize,
    /// Whose receipt was of an earlier definition and is of this one now.
    moved: usize,
    already_ours: usize,
    /// Whose receipt is of something else.
    not_adopted: usize,
    different: usize,
    failed: usize,
    absent: usize,
    /// Without features, and no series has a row.
    empty: usize,
    /// Written by a later version of rollfit.
    newer: usize,
    skipped: usize,
    /// The shard that was looked at; none where all partitions were.
    shard: Option<Share>,
}

pub(super) fn run(global: &GlobalArguments, arguments: &AdoptArguments) -> Result<Exit, Failure> {
    let given = GivenShard::find(arguments.select.shard)?;
    let open = OpenJob::new(&arguments.select, given.as_ref())?.of_own_share();
    let stop = StopSignal::default();
    signals::stop_at_first_signal(&stop)?;
    let log = |partition: &Partition, outcome: &CheckOutcome<Adoption>| {
        log(partition, outcome, arguments.allow_skipped);
    };
    let outcomes = adopt(&open.job(), &open.partitions, &stop, &log);
    let lines = open.partitions.iter().zip(&outcomes);
    let lines = lines.map(|(partition, outcome)| line(partition, outcome)).collect();
    let document = AdoptDocument::new(lines, open.share.clone());
    let exit = arguments.allow_skipped.exit(document.exit());
    output::result(global, exit, &document, AdoptDocument::print)?;
    Ok(exit)
}

fn log(partition: &Partition, outcome: &CheckOutcome<Adoption>, allow_skipped: AllowSkipped) {
    let remark = |is_serious, text| Remark { is_serious, text };
    if matches!(outcome, CheckOutcome::Absent | CheckOutcome::Empty) {
        // Where nothing is stored there is nothing to trust, and nothing wrong.
        return logging::nothing_to_do(partition, "adopt", checks::NO_FEATURES);
    }
    if matches!(outcome, CheckOutcome::Checked(Adoption::AlreadyOurs)) {
        return logging::nothing_to_do(partition, "adopt", "already has a receipt");
    }
    checks::log("adopt", partition, outcome, allow_skipped, |adoption| match adoption {
        Adoption::Adopted { rows } => remark(false, format!("{} rows adopted", format::count(*rows))),
        Adoption::Moved { rows } => remark(
            false,
            format!(
                "{} rows match; the receipt is of definition {DEFINITION_VERSION} now",
                format::count(*rows)
            ),
        ),
        Adoption::AlreadyOurs => remark(false, "already has a receipt".to_owned()),
        Adoption::NotAdopted(_) | Adoption::Differs(_) | Adoption::Held(_) => {
            let is_expected = allow_skipped.allow_skipped && matches!(adoption, Adoption::NotAdopted(_));
            let first = causes(adoption).into_iter().next();
            remark(!is_expected, first.unwrap_or_else(|| "different".to_owned()))
        }
    });
}

fn line(partition: &Partition, outcome: &CheckOutcome<Adoption>) -> AdoptLine {
    let (verdict, cause) = checks::verdict(outcome, |adoption| match adoption {
        Adoption::Adopted { .. } => "adopted",
        Adoption::Moved { .. } => "moved",
        Adoption::AlreadyOurs => "already-ours",
        Adoption::NotAdopted(_) => "not-adopted",
        Adoption::Differs(_) => "different",
        Adoption::Held(_) => "failed",
    });
    let rows = match outcome {
        CheckOutcome::Checked(Adoption::Adopted { rows } | Adoption::Moved { rows }) => *rows,
        _ => 0,
    };
    let causes = match outcome {
        CheckOutcome::Checked(adoption) => causes(adoption),
        CheckOutcome::Failed(_) | CheckOutcome::Newer(_) | CheckOutcome::Blocked(_) => {
            cause.into_iter().collect()
        }
        CheckOutcome::Absent | CheckOutcome::Empty | CheckOutcome::Skipped => Vec::new(),
    };
    AdoptLine { partition: partition.clone(), verdict, rows, causes }
}

fn causes(adoption: &Adoption) -> Vec<String> {
    match adoption {
        Adoption::Differs(differences) => differences.clone(),
        Adoption::NotAdopted(why) => vec![why.clone()],
        Adoption::Held(holder) => vec![format!("in use by {holder}; try again later")],
        Adoption::Adopted { .. } | Adoption::Moved { .. } | Adoption::AlreadyOurs => Vec::new(),
    }
}

impl AdoptDocument {
    fn new(partitions: Vec<AdoptLine>, shard: Option<Share>) -> Self {
        let count = |verdict: &str| partitions.iter().filter(|line| line.verdict == verdict).count();
        Self {
            adopted: count("adopted"),
            moved: count("moved"),
            already_ours: count("already-ours"),
            not_adopted: count("not-adopted"),
            different: count("different"),
            failed: count("failed"),
            absent: count("absent"),
            empty: count("empty"),
            newer: count("newer"),
            skipped: count("skipped"),
            shard,
            partitions,
        }
    }

    fn exit(&self) -> Exit {
        Exit::from_partitions(
            self.skipped > 0,
            self.failed > 0,
            self.different + self.not_adopted + self.newer > 0,
        )
    }

    fn print(&self) -> Result<(), Failure> {
        let words = |count, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
        output::line(&format!(
            "{}: {} adopted, {} already ours, {} different, {} failed, {} without features{}{}{}{}",
            share::partitions(self.partitions.len(), self.shard.as_ref()),
            self.adopted,
            self.already_ours,
            self.different,
            self.failed,
            self.absent,
            checks::empty_words(self.empty),
            words(self.moved, &format!("moved to definition {DEFINITION_VERSION}")),
            words(self.not_adopted, "not adopted"),
            checks::newer_words(self.newer)
        ))?;
        let causes = self.partitions.iter().map(|line| VerdictCauses {
            partition: &line.partition,
            verdict: line.verdict,
            causes: &line.causes,
            reason: None,
        });
        checks::print_causes(&causes.collect::<Vec<_>>(), DIFFERENCES_MAX)?;
        if self.different > 0 {
            output::line("Partitions that differ are unchanged; `rollfit compare` lists all differences.")?;
        }
        if let Some(others) = share::others_sentence(self.shard.as_ref(), "looked at") {
            output::line(&others)?;
        }
        if self.skipped > 0 {
            output::line("Interrupted. Run the same command again to continue.")?;
        }
        Ok(())
    }
}
