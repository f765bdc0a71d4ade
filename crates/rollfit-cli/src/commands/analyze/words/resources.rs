//! How much of each resource was used.

use rollfit_analysis::{CoresUse, DisksUse, MemoryUse, Resources, SessionsUse, StoreUse};
use rollfit_job::record::Header;

use super::cores::{STOLEN_LEAST, local_server};
use super::joined;
use super::observation::store_waits;
use super::server::use_of_cores;
use crate::format::{byte_rate, bytes, count, percent, plural, quantity};

const UNAVAILABLE: &str = "unavailable";

/// A row for each resource: its name, the share used, its errors, of what that is, and what waited for it.
pub(in super::super) fn resources(resources: &Resources, header: &Header) -> Vec<Vec<String>> {
    let server = local_server(header, resources.store.basis, resources.store.cores);
    let mut rows = vec![cores(&resources.cores, server), memory(&resources.memory), disks(&resources.disks)];
    rows.extend(resources.sessions.as_ref().map(sessions));
    rows.push(store(&resources.store));
    rows
}

fn row(
    name: &str,
    utilisation: Option<f64>,
    errors: Option<u64>,
    used: Option<String>,
    waiting: Option<String>,
) -> Vec<String> {
    let known = |text: Option<String>| text.unwrap_or_else(|| UNAVAILABLE.to_owned());
    vec![
        name.to_owned(),
        known(utilisation.map(percent)),
        known(errors.map(count)),
        known(used),
        known(waiting),
    ]
}

/// `some task waited for memory 3.0 % of the time`
fn pressure(what: &str, share: Option<f64>) -> Option<String> {
    share.map(|share| format!("some task waited for {what} for {} of the time", percent(share)))
}

/// `server` are the cores that the store's server keeps busy on this machine, a part of those of others.
fn cores(cores: &CoresUse, server: Option<f64>) -> Vec<String> {
    let part = |name: &str, cores: Option<f64>| Some(format!("{name} {}", quantity(cores?)));
    let others = cores.others.map(|others| (others - server.unwrap_or(0.0)).max(0.0));
    let parts = joined(
        [
            part("this process", cores.own),
            part("the store's server", server),
            part("other processes", others),
            part("other machines of the hypervisor", cores.stolen.filter(|cores| *cores >= STOLEN_LEAST)),
        ],
        ", ",
    );
    let of = match (cores.all, cores.allowed) {
        (Some(all), Some(allowed)) if allowed < all as f64 => {
            format!(" of {}, {} allowed", plural(all, "core"), quantity(allowed))
        }
        (_, Some(allowed)) => format!(" of {} cores", quantity(allowed)),
        _ => String::new(),
    };
    let threads = cores
        .waiting_threads
        .map(|threads| format!("{} of our threads waited for a core", quantity(threads)));
    let load = cores.load_max.map(|load| format!("load average up to {}", quantity(load)));
    let quota = cores
        .quota_reached
        .map(|share| format!("the control group's quota was used up in {} of its periods", percent(share)));
    let waiting = joined([threads, pressure("a core", cores.pressure), quota, load], ", ");
    row("cores", cores.utilisation, None, parts.map(|parts| parts + &of), waiting)
}

fn memory(memory: &MemoryUse) -> Vec<String> {
    let held = memory.bytes_max.map(bytes);
    let used = match (held, memory.room_bytes) {
        (Some(held), Some(room)) => {
            Some(format!("{held} of {} that this process could hold", bytes(room as u64)))
        }
        (held, _) => held,
    };
    row("memory", memory.utilisation, None, used, pressure("memory", memory.pressure))
}

fn disks(disks: &DisksUse) -> Vec<String> {
    let part = |verb: &str, rate: Option<f64>| Some(format!("{verb} {}", byte_rate(rate?)));
    let everybody = |rate: Option<f64>| Some(format!(" of {} by everybody", byte_rate(rate?)));
    let device = |own: Option<String>, all: Option<f64>| Some(own? + &everybody(all).unwrap_or_default());
    let read = device(part("read", disks.read_bytes_per_s), disks.device_read_bytes_per_s);
    let wrote = device(part("wrote", disks.written_bytes_per_s), disks.device_written_bytes_per_s);
    row("disks", disks.busy, None, joined([read, wrote], ", "), pressure("disks", disks.pressure))
}

fn sessions(sessions: &SessionsUse) -> Vec<String> {
    let own = count(sessions.own as u64);
    let ours = sessions.own_max.map_or_else(
        || format!("{own} of this process"),
        |most| format!("{own} of {} that this process may have", count(most)),
    );
    let all = sessions.all.zip(sessions.all_max);
    let all = all.map(|(all, most)| format!("{all} of {most} that the store allows everybody"));
    let waiting = format!(
        "workers waited for a session or a lock for {} of their time",
        percent(sessions.waiting_share)
    );
    row("sessions", sessions.utilisation, None, joined([Some(ours), all], ", "), Some(waiting))
}

fn store(store: &StoreUse) -> Vec<String> {
    let waited = format!("workers waited for it for {} of their time", percent(store.waiting_share));
    let waits = (!store.waits.is_empty()).then(|| format!("sessions waited: {}", store_waits(&store.waits)));
    row(
        "store",
        store.utilisation,
        Some(store.errors),
        use_of_cores(store),
        joined([Some(waited), waits], ", "),
    )
}
