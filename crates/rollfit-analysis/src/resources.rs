//! Cores, memory, disks, sessions and store by the USE method: utilisation, saturation, errors (Gregg, *Thinking Methodically
//! about Performance*, ACM Queue 10, 2012). And what the workers' time went into.

use super::evidence::Evidence;
use super::report::{ActivityShare, Resource};
use super::words::{bytes, counted, number, percent};
use rollfit_job::activity::{Activity, Times};
use rollfit_job::record::Record;

/// How much of each resource was used.
pub(super) fn resources(record: &Record, evidence: Option<&Evidence<'_>>) -> Vec<Resource> {
    let Some(evidence) = evidence else { return Vec::new() };
    let mut resources = vec![cores(evidence), memory(evidence), disks(evidence)];
    if record.header.sessions_max.is_some() || evidence.seen.own_sessions.is_some() {
        resources.push(sessions(evidence));
    }
    resources.push(store(evidence));
    resources
}

fn cores(evidence: &Evidence<'_>) -> Resource {
    let (seen, machine) = (&evidence.seen, &evidence.record.header.machine);
    let allowed = machine.cores_allowed.or(machine.cores.map(|cores| cores as f64));
    let part = |name: &str, cores: Option<f64>| Some(format!("{name} {}", number(cores?)));
    let parts = [
        part("this process", seen.own_cores),
        part("others", seen.others_cores),
        part("other machines of the hypervisor", seen.stolen_cores.filter(|cores| *cores > 0.0)),
    ];
    let of = match (machine.cores, allowed) {
        (Some(all), Some(allowed)) if allowed < all as f64 => {
            format!(" of {all} cores, {} allowed", number(allowed))
        }
        (_, Some(allowed)) => format!(" of {} cores", number(allowed)),
        _ => String::new(),
    };
    let waits =
        seen.waiting_threads.map(|threads| format!("{} of our threads waited for a core", number(threads)));
    let pressure = seen.cpu_pressure.map(|share| format!("some task waited {} of the time", percent(share)));
    let load = seen.load.map(|load| format!("load average up to {}", number(load)));
    Resource {
        name: "cores".to_owned(),
        utilisation: evidence.cores_busy(),
        used: join(parts).map_or_else(|| "unavailable".to_owned(), |parts| parts + &of),
        saturation: join([waits, pressure, load]),
        errors: None,
    }
}

fn memory(evidence: &Evidence<'_>) -> Resource {
    let seen = &evidence.seen;
    let most = seen.memory_bytes_max.map(|held| held as f64);
    Resource {
        name: "memory".to_owned(),
        utilisation: most.zip(seen.room_bytes).map(|(held, room)| (held / room).min(1.0)),
        used: match (most, seen.room_bytes) {
            (Some(held), Some(room)) => {
                format!("{} of {} that this process could hold", bytes(held), bytes(room))
            }
            (Some(held), None) => bytes(held),
            _ => "unavailable".to_owned(),
        },
        saturation: seen
            .memory_pressure
            .map(|share| format!("some task waited for memory {} of the time", percent(share))),
        errors: None,
    }
}

fn disks(evidence: &Evidence<'_>) -> Resource {
    let seen = &evidence.seen;
    let rate = |verb: &str, rate: Option<f64>| Some(format!("{verb} {}/s", bytes(rate?)));
    Resource {
        name: "disks".to_owned(),
        utilisation: None,
        used: join([rate("read", seen.read_bytes_per_s), rate("wrote", seen.written_bytes_per_s)])
            .unwrap_or_else(|| "unavailable".to_owned()),
        saturation: seen
            .io_pressure
            .map(|share| format!("some task waited for disks {} of the time", percent(share))),
        errors: None,
    }
}

fn sessions(evidence: &Evidence<'_>) -> Resource {
    let (seen, header) = (&evidence.seen, &evidence.record.header);
    let most = evidence.workers_max() + 1;
    let own = seen.own_sessions.map_or(most, |own| own as usize);
    let everybody = seen.sessions.zip(seen.sessions_max);
    let all = everybody.map(|(all, most)| format!("{all} of {most} that the store allows everybody"));
    let ours = header.sessions_max.map_or_else(
        || format!("{own} of this process"),
        |most| format!("{own} of {most} that this process may have"),
    );
    let waiting = evidence.demand.waiting_s / evidence.demand.wall_s;
    Resource {
        name: "sessions".to_owned(),
        utilisation: header.sessions_max.map(|most| (own as f64 / most.max(1) as f64).min(1.0)),
        used: join([Some(ours), all]).unwrap_or_default(),
        saturation: Some(format!(
            "workers waited for a session or a lock {} of their time",
            percent(waiting)
        )),
        errors: None,
    }
}

fn store(evidence: &Evidence<'_>) -> Resource {
    let (seen, demand) = (&evidence.seen, &evidence.demand);
    let waits: Vec<String> = seen
        .waits
        .iter()
        .filter(|(_, count)| **count >= 0.05)
        .map(|(what, count)| format!("{} in {what}", number(*count)))
        .collect();
    let waited = format!("workers waited for it {} of their time", percent(demand.store_s() / demand.wall_s));
    Resource {
        name: "store".to_owned(),
        // Of a server elsewhere the cores are not known.
        utilisation: seen.store_cores.zip(evidence.record.header.machine.cores).and_then(|(busy, cores)| {
            (evidence.record.header.sink_is_local == Some(true)).then(|| busy / cores as f64)
        }),
        used: seen.store_cores.map_or_else(
            || "what it uses is unavailable".to_owned(),
            |cores| {
                format!(
                    "about {} of its cores for this run, estimated from {}",
                    number(cores),
                    counted(evidence.record.samples.len(), "sample")
                )
            },
        ),
        saturation: join([
            Some(waited),
            (!waits.is_empty()).then(|| format!("sessions waited: {}", waits.join(", "))),
        ]),
        errors: Some(evidence.totals.retries + evidence.totals.failed),
    }
}

fn join<const N: usize>(parts: [Option<String>; N]) -> Option<String> {
    let known: Vec<String> = parts.into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.join(", "))
}

/// What the workers' time went into, the largest first.
pub(super) fn activities(record: &Record) -> Vec<ActivityShare> {
    let (mut wall, mut cpu) = (Times::default(), Times::default());
    for end in &record.partitions {
        wall.add_all(&end.wall_us);
        cpu.add_all(&end.cpu_us);
    }
    let total_us = wall.total_us().max(1) as f64;
    let share = |activity: Activity| ActivityShare {
        activity,
        wall_s: wall.of(activity) as f64 / 1e6,
        cpu_s: cpu.of(activity) as f64 / 1e6,
        share: wall.of(activity) as f64 / total_us,
    };
    let mut shares: Vec<ActivityShare> =
        Activity::ALL.into_iter().filter(|activity| wall.of(*activity) > 0).map(share).collect();
    shares.sort_by(|a, b| b.wall_s.total_cmp(&a.wall_s));
    shares
}
