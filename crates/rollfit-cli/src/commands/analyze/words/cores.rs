//! Who keeps the cores of this machine busy, and how many are idle.

use rollfit_analysis::{Analysis, Early, ServerCpuBasis};
use rollfit_job::record::Header;

use super::joined;
use crate::commands::analyze::run_now::RunNow;
use crate::format::quantity;

/// The share of the cores below which none is called idle.
const IDLE_LEAST: f64 = 0.1;
/// Fewer cores that the hypervisor gave to others are not worth a word.
pub(super) const STOLEN_LEAST: f64 = 0.05;

/// The cores of this machine, by who kept them busy on average.
pub(super) struct CoresBusy {
    own: f64,
    /// The sink's server, where it is on this machine and its processes are known.
    server: Option<f64>,
    others: Option<f64>,
    stolen: f64,
    all: Option<f64>,
    allowed: Option<f64>,
}

impl CoresBusy {
    /// Those of an analysis; none where they were not measured.
    pub(super) fn new(analysis: &Analysis) -> Option<Self> {
        let machine = &analysis.header.machine;
        let all = machine.cores.map(|cores| cores as f64);
        let allowed = machine.cores_allowed.or(all);
        match (&analysis.resources, &analysis.early) {
            (_, Some(early)) => Self::from_early(early, &analysis.header, all, allowed),
            (Some(resources), None) => {
                let server = local_server(&analysis.header, resources.store.basis, resources.store.cores);
                let cores = &resources.cores;
                let others = cores.others.map(|others| (others - server.unwrap_or(0.0)).max(0.0));
                Some(Self {
                    own: cores.own?,
                    server,
                    others,
                    stolen: cores.stolen.unwrap_or(0.0),
                    all,
                    allowed,
                })
            }
            (None, None) => None,
        }
    }

    fn from_early(early: &Early, header: &Header, all: Option<f64>, allowed: Option<f64>) -> Option<Self> {
        let server = local_server(header, early.server_basis, early.server_cores);
        Some(Self { own: early.own_cores?, server, others: early.others_cores, stolen: 0.0, all, allowed })
    }

    /// Whether a quota or affinity leaves this process fewer cores than there are.
    fn is_limited(&self) -> bool {
        self.allowed.is_some_and(|allowed| self.all.is_none_or(|all| allowed < all))
    }

    /// The cores that this process could still use; none where unknown.
    pub(super) fn idle(&self) -> Option<f64> {
        let busy = self.own + self.server.unwrap_or(0.0) + self.others.unwrap_or(0.0) + self.stolen;
        let free = self.all.map(|all| all - busy);
        let allowed = self.allowed.filter(|_| self.is_limited()).map(|allowed| allowed - self.own);
        [free, allowed].into_iter().flatten().reduce(f64::min).map(|idle| idle.max(0.0))
    }

    /// Whether enough are idle to be worth a word.
    pub(super) fn has_idle(&self) -> bool {
        let capacity = self.allowed.or(self.all).unwrap_or(f64::INFINITY);
        self.idle().is_some_and(|idle| idle >= IDLE_LEAST * capacity)
    }

    /// `1.2 of 2 cores are idle`, `the 2 cores are full`; none where it is not known how many there are.
    pub(super) fn state(&self, now: RunNow) -> Option<String> {
        let capacity = quantity(self.allowed.or(self.all)?);
        let verb = if now.is_running { "are" } else { "were" };
        let of = format!("{capacity} cores{}", if self.is_limited() { " that it may use" } else { "" });
        Some(match self.idle() {
            Some(idle) if self.has_idle() => {
                let idle = quantity(idle);
                let verb = match verb {
                    "are" if idle == "1" => "is",
                    "were" if idle == "1" => "was",
                    _ => verb,
                };
                format!("{idle} of {of} {verb} idle")
            }
            _ => format!("the {of} {verb} full"),
        })
    }

    /// `1.2 of 2 idle: this process 0.7, the store's server 0.4, other processes 0.1`
    pub(super) fn by_user(&self) -> Option<String> {
        let capacity = quantity(self.allowed.or(self.all)?);
        let idle = self.idle().filter(|_| self.has_idle()).map_or("none".to_owned(), quantity);
        let allowed = if self.is_limited() { " allowed" } else { "" };
        Some(format!("{idle} of {capacity}{allowed} idle: {}", self.users()))
    }

    fn users(&self) -> String {
        let part = |who: &str, cores: Option<f64>| cores.map(|cores| format!("{who} {}", quantity(cores)));
        let parts = [
            part("this process", Some(self.own)),
            part("the store's server", self.server),
            part("other processes", self.others),
            part(
                "other machines of the hypervisor",
                Some(self.stolen).filter(|&stolen| stolen >= STOLEN_LEAST),
            ),
        ];
        joined(parts, ", ").unwrap_or_default()
    }
}

/// The cores that the sink's server keeps busy on this machine.
pub(super) fn local_server(header: &Header, basis: ServerCpuBasis, cores: Option<f64>) -> Option<f64> {
    let is_here = header.sink_is_local == Some(true);
    cores.filter(|_| is_here && matches!(basis, ServerCpuBasis::Processes | ServerCpuBasis::Sessions))
}
