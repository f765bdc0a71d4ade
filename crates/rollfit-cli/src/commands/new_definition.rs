//! [`NewDefinition`]: what a new definition means for features that an earlier version of rollfit stored, in one line.

use std::collections::BTreeSet;

use rollfit_analysis::PlanEstimate;
use rollfit_job::partition::Partition;
use rollfit_job::receipt::DEFINITION_VERSION;
use rollfit_job::state::EarlierDefinition;

use crate::format;
use crate::open::OpenJob;
use crate::record::header::job_digests;
use crate::state_dir::{StateDir, is_running};

/// The partitions in which nothing but the version of the definition has changed.
#[derive(serde::Serialize)]
pub(super) struct NewDefinition {
    /// The versions that wrote them.
    from: BTreeSet<u32>,
    /// The version of this program.
    to: u32,
    partitions: usize,
    rows: u64,
    /// What a run would write if it replaced all of them.
    write_bytes: u64,
    /// How long that takes at the rate of the last run; none if no run of this job wrote anything.
    estimate: Option<PlanEstimate>,
}

impl NewDefinition {
    /// What there is of an earlier definition among the partitions found; none where there is nothing.
    pub(super) fn new<'a>(
        open: &OpenJob,
        found: impl Iterator<Item = (&'a Partition, Option<EarlierDefinition>)>,
    ) -> Option<Self> {
        let none = Self {
            from: BTreeSet::new(),
            to: DEFINITION_VERSION,
            partitions: 0,
            rows: 0,
            write_bytes: 0,
            estimate: None,
        };
        let all = found.fold(none, |mut all, (partition, earlier)| {
            if let Some(EarlierDefinition { version, rows }) = earlier {
                all.from.insert(version);
                all.partitions += 1;
                all.rows += rows;
                all.write_bytes += open.sink.estimate_bytes(partition, rows);
            }
            all
        });
        let versions: Vec<u32> = all.from.iter().copied().collect();
        (all.partitions > 0).then(|| Self { estimate: estimate(open, &versions, all.rows), ..all })
    }

    pub(super) fn sentence(&self) -> String {
        let versions = self.from.iter().map(u32::to_string).collect::<Vec<_>>().join(" and ");
        let seconds =
            self.estimate.as_ref().map(|estimate| format!(", about {}", format::time(estimate.seconds)));
        format!(
            "{} of definition {versions}, now {}: `rollfit adopt` verifies them and keeps those that match, `rollfit run \
             --replace definition-changed` rewrites them (about {}{})",
            format::plural(self.partitions, "partition"),
            self.to,
            format::bytes(self.write_bytes),
            seconds.unwrap_or_default()
        )
    }
}

/// How long writing `rows` takes, at the rate of the newest run of this job that wrote anything and has ended; of this
/// version's definition or one of these.
pub(super) fn estimate(open: &OpenJob, versions: &[u32], rows: u64) -> Option<PlanEstimate> {
    if rows == 0 {
        return None;
    }
    let jobs = job_digests(open, versions);
    let records = StateDir::open();
    let mut records = records.records_of(|run, header| jobs.contains(&header.job) && !is_running(&run.path));
    records.find_map(|record| PlanEstimate::from_record(&record, rows))
}
