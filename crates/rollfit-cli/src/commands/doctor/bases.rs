//! Keys whose derived series have no base, or two.

use rollfit_job::config::JobConfig;
use rollfit_job::error_chain;
use rollfit_job::partition::Partition;
use rollfit_job::store::Problem;

use super::Planned;
use crate::stores::Stores;

/// Keys for which a run would fail because of their base.
pub(super) fn problems(config: &JobConfig, stores: &Stores, planned: &Planned) -> Vec<Problem> {
    if config.series.iter().all(|series| series.derivation.is_none()) {
        return Vec::new();
    }
    let source = stores.derived_source();
    let first_of_keys = planned.partitions.chunk_by(|one, other| one.key == other.key);
    let problem = |first: &Partition| source.check_bases(config, &first.key, first.period).err();
    let problems = first_of_keys.filter_map(|of_key| problem(of_key.first()?));
    problems.map(|error| Problem::new(error_chain(&error))).collect()
}
