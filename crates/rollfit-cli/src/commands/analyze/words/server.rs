//! The processors of the sink's server: how busy they are, or what to do so that they can be seen.

use rollfit_analysis::{Analysis, ServerCpuBasis, StoreUse};

use super::{Fact, fact};
use crate::format::{plural, quantity};

/// What to do about a server whose processors are not visible.
const SHOW_IT: &str = "set `server_cores` and `server_metrics_command` in [store] or [sink], so that estimates can count with it";

/// The server of which nothing is visible, where that makes estimates uncertain.
pub(super) fn unseen(analysis: &Analysis) -> Option<Fact> {
    let basis = match (&analysis.resources, &analysis.early) {
        (Some(resources), _) => resources.store.basis,
        (None, early) => early.as_ref()?.server_basis,
    };
    (basis == ServerCpuBasis::Unknown)
        .then(|| fact("server", format!("the server's CPU is not visible from here: {SHOW_IT}")))
}

/// The cores of the server in a row of the table of resources.
pub(super) fn use_of_cores(store: &StoreUse) -> Option<String> {
    let of = store.cores_all.map(|all| format!(" of {}", quantity(all))).unwrap_or_default();
    let busy = |how: &str| Some(format!("{}{of} cores busy, {how}", quantity(store.cores?)));
    match store.basis {
        ServerCpuBasis::NoServer => Some("no server".to_owned()),
        ServerCpuBasis::Processes => busy("all processes of the server"),
        ServerCpuBasis::Command => busy("by server_metrics_command"),
        ServerCpuBasis::Sessions => Some(format!(
            "about {} cores for this run, guessed from its sessions in {}",
            quantity(store.cores?),
            plural(store.samples, "sample")
        )),
        ServerCpuBasis::Unknown => Some("its CPU is not visible from here".to_owned()),
    }
}
