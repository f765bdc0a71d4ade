//! The processors of the sink's server: how busy they are, or what to do so that they can be seen.

use rollfit_analysis::{Analysis, ServerCpuBasis, StoreUse};
use rollfit_job::record::Header;

use super::{Fact, fact};
use crate::format::{plural, quantity};

/// The server of which nothing is visible, where that makes estimates uncertain.
pub(super) fn unseen(analysis: &Analysis) -> Option<Fact> {
    let basis = match (&analysis.resources, &analysis.early) {
        (Some(resources), _) => resources.store.basis,
        (None, early) => early.as_ref()?.server_basis,
    };
    (basis == ServerCpuBasis::Unknown).then(|| {
        fact("server", format!("the server's CPU is not visible from here: {}", what_to_do(&analysis.header)))
    })
}

/// What to do about a server whose processors are not visible.
fn what_to_do(header: &Header) -> &'static str {
    let is_set = |name: &str| {
        let mut settings = header.settings.iter();
        settings.any(|setting| setting.name.ends_with(name) && setting.value.is_some())
    };
    match (is_set(".server_cores"), is_set(".server_metrics_command")) {
        (_, true) if header.server_cores.is_some() => {
            "server_metrics_command gave no figure during this run; run it by hand to see why"
        }
        (_, true) => "set `server_cores` beside server_metrics_command, so that estimates can count with it",
        (true, false) => {
            "set `server_metrics_command` beside server_cores, so that estimates can count with it"
        }
        (false, false) => {
            "set `server_cores` and `server_metrics_command` in [store] or [sink], so that estimates can count with it"
        }
    }
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

#[cfg(test)]
mod tests {
    use rollfit_job::config::{Origin, Setting};

    use super::*;
    use crate::commands::analyze::example;

    #[test]
    fn what_is_set_already_is_not_to_be_set() {
        let told = |cores: Option<&str>, command: Option<&str>| {
            let mut analysis = example::full();
            let values = [("sink.server_cores", cores), ("sink.server_metrics_command", command)];
            analysis.header.settings.extend(values.map(|(name, value)| Setting {
                name: name.to_owned(),
                value: value.map(str::to_owned),
                origin: Origin::Default,
            }));
            analysis.header.server_cores = cores.map(|_| 8.0);
            analysis.resources.as_mut().unwrap().store.basis = ServerCpuBasis::Unknown;
            unseen(&analysis).unwrap().text
        };
        assert!(told(None, None).contains("set `server_cores` and `server_metrics_command` in"));
        assert!(told(Some("8"), None).contains("set `server_metrics_command` beside"));
        assert!(told(None, Some("a command")).contains("set `server_cores` beside"));
        assert!(told(Some("8"), Some("a command")).contains("run it by hand to see why"));
        assert!(unseen(&example::full()).is_none());
    }
}
