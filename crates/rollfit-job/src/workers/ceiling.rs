//! [`Ceiling`]: a limit on the number of workers, independent of what more would gain.

use super::Situation;
use super::limits::whole;
use super::{OtherRunners, auto_workers_max, workers_with_sessions};
use crate::config::Workers;
use crate::record::WorkerCeiling;

/// A most, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ceiling {
    pub(super) kind: WorkerCeiling,
    pub(super) workers: usize,
    pub(super) why: String,
}

impl Ceiling {
    /// That of the store's sessions. The store is asked how it is in one of them, where there is more than one.
    pub(super) fn of_sessions(situation: &Situation) -> Option<Self> {
        let (sessions, why) = situation.sessions.as_ref()?;
        let (kind, workers) = (WorkerCeiling::Sessions, workers_with_sessions(*sessions));
        Some(Self { kind, workers, why: format!("1 of {sessions} sessions ({why}) monitors the store") })
    }

    /// That of the share of the sessions that this runner has now.
    pub(super) fn of_session_share(sessions: usize, others: OtherRunners) -> Self {
        let workers = workers_with_sessions(sessions);
        let why = match others.count {
            0 => format!("1 of {sessions} sessions monitors the store"),
            _ => format!("{}, and {sessions} sessions are for this one", others.why()),
        };
        Self { kind: WorkerCeiling::Sessions, workers, why }
    }

    pub(super) fn of_partitions(situation: &Situation) -> Self {
        let count = situation.partitions.max(1);
        let why =
            if count == 1 { "there is 1 partition".into() } else { format!("there are {count} partitions") };
        Self { kind: WorkerCeiling::Partitions, workers: count, why }
    }

    /// The cores that are there for this process, at first: all that it may use, unless others leave it less than a quarter of
    /// them. What others use for a moment says little about the run, and with too few workers it is slow until more are tried. More
    /// workers than that may pay, where they wait for the store.
    pub(super) fn of_cores(situation: &Situation) -> Option<Self> {
        const IDLE_SHARE_MIN: f64 = 0.25;
        let limits = &situation.limits;
        let others = situation.machine.others_cores.unwrap_or(0.0);
        let cores = limits.cores.map(|cores| cores as f64);
        let [allowed, most] = [limits.cores_allowed, situation.cpu_max];
        let least = [cores, allowed, most].into_iter().flatten().reduce(f64::min)?;
        let free = cores.map(|cores| cores - others).filter(|free| *free < IDLE_SHARE_MIN * least);
        let why = match least {
            _ if free.is_some() => {
                format!("other processes use {others:.1} of {} cores", cores.unwrap_or_default())
            }
            least if Some(least) == cores => cores_text(least),
            least if Some(least) == allowed && least == 1.0 => "1 core is allowed".to_owned(),
            least if Some(least) == allowed => format!("{least} cores are allowed"),
            least => format!("cpu_max = {least}"),
        };
        let here = situation.others.here;
        if here > 0 {
            let workers = whole(least / (here + 1) as f64);
            let why = format!("{} for {} runners on this machine", cores_text(least), here + 1);
            return Some(Self { kind: WorkerCeiling::OtherRunners, workers, why });
        }
        Some(Self { kind: WorkerCeiling::Cores, workers: whole(free.unwrap_or(least)), why })
    }

    /// What is never tried more than, with a store however far away.
    pub(super) fn of_setting(situation: &Situation) -> Self {
        let cores = situation.limits.cores_allowed.or(situation.limits.cores.map(|cores| cores as f64));
        let workers = match situation.setting {
            Workers::Auto => auto_workers_max(cores),
            Workers::Fixed(most) | Workers::Between(_, most) => most,
        };
        Self { kind: WorkerCeiling::Setting, workers, why: format!("workers = {}", situation.setting) }
    }
}

fn cores_text(cores: f64) -> String {
    if cores == 1.0 { "1 core".to_owned() } else { format!("{cores} cores") }
}

/// The lowest.
pub(super) fn lowest(ceilings: impl IntoIterator<Item = Ceiling>) -> Option<Ceiling> {
    ceilings.into_iter().min_by_key(|ceiling| ceiling.workers)
}
