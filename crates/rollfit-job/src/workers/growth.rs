//! [`Growth`]: how many workers there may be next, and what speaks against more.

use super::ceiling::{Ceiling, lowest};
use super::competing_load::{BUSY, CompetingLoad, CoreUse};
use crate::record::WorkerCeiling;

/// See the module.
#[derive(Debug)]
pub(super) struct Growth {
    /// The most workers, and why.
    pub(super) most: Ceiling,
    /// Why more could not do more: the cores are busy.
    pub(super) full: Option<Ceiling>,
}

/// How many times the workers that would keep the cores busy if none ever waited at the same time as another. They do: some more
/// are needed, but never many.
const MORE_THAN_FILL: f64 = 1.5;
/// Where the cores are less busy than this, a few more may be tried in any case.
const NEARLY_BUSY: f64 = 0.9;

impl Growth {
    /// What there may be beyond `count` workers below this ceiling.
    pub(super) fn new(
        count: usize,
        used: Option<CoreUse>,
        they_wait: bool,
        ceiling: Ceiling,
        load: &CompetingLoad,
    ) -> Self {
        let Some(used) = used else { return Self { most: ceiling, full: None } };
        // Where others want all cores, each worker gets its share of them, however few there are to fill.
        let cores = if used.is_crowded && !they_wait {
            let workers = load.workers_in_a_crowd();
            Ceiling { kind: WorkerCeiling::CompetingLoad, workers, why: load.others_use(used.competing) }
        } else {
            let filled = (MORE_THAN_FILL * used.workers_to_fill(they_wait)).ceil() as usize;
            let workers =
                if used.ours_share < NEARLY_BUSY { filled.max(quarter_more(count)) } else { filled };
            Ceiling { kind: WorkerCeiling::Cores, workers, why: cores_used(&used, load) }
        };
        let cores = Ceiling { workers: cores.workers.max(count), ..cores };
        let most = lowest([ceiling.clone(), cores]).unwrap_or(ceiling);
        Self { most, full: full(count, &used, they_wait, load) }
    }

    /// What keeps there from being more than this; none where nothing does.
    pub(super) fn stop(self, count: usize) -> Option<Ceiling> {
        // That there are no more partitions, or that no more workers are allowed, was said at the start.
        let is_news = |stop: &Ceiling| {
            !matches!(stop.kind, WorkerCeiling::Partitions | WorkerCeiling::Setting | WorkerCeiling::Sessions)
        };
        let most = Some(self.most).filter(|most| most.workers <= count);
        self.full.or(most).filter(is_news)
    }
}

fn full(count: usize, used: &CoreUse, they_wait: bool, load: &CompetingLoad) -> Option<Ceiling> {
    let ceiling = |kind, why| Some(Ceiling { kind, workers: count, why });
    if used.ours_share >= BUSY {
        return ceiling(WorkerCeiling::Cores, cores_used(used, load));
    }
    if used.quota_reached >= BUSY {
        return ceiling(WorkerCeiling::Cores, "the CPU quota is used up".to_owned());
    }
    if used.busy_share < BUSY || used.is_crowded || they_wait {
        return None;
    }
    // Where the server's processes are not known, they may be the others.
    if used.server_is_estimated {
        return ceiling(WorkerCeiling::Cores, "all cores are busy".to_owned());
    }
    ceiling(WorkerCeiling::CompetingLoad, load.others_use(used.competing))
}

fn quarter_more(count: usize) -> usize {
    count + (count / 4).max(1)
}

/// What this run and its server keep busy.
fn cores_used(used: &CoreUse, load: &CompetingLoad) -> String {
    let (own, of) = (used.own, load.cores_for_us(used));
    match used.server {
        server if server >= 0.05 => {
            format!("they use {own:.1} and the store's server {server:.1} of {of} cores")
        }
        _ => format!("they use {own:.1} of {of} cores"),
    }
}
