//! A [`Probe`] for people: what is to be expected first, then what that follows from.

use rollfit_analysis::Outlook;
use rollfit_job::speed::{StoreSpeed, WriteSpeed};

use super::super::figures::{byte_rate, estimated_rate, estimated_time, quantity, rate};
use super::super::tables::{self, Table, number, text};
use super::super::terminal::Page;
use super::Probe;
use super::computing::ComputingSpeed;
use crate::output::{count, plural};

/// What was measured, as lines of text.
pub(super) fn render(probe: &Probe) -> String {
    let mut page = Page::default();
    page.finding(&finding(probe));
    page.heading("The job");
    page.paragraph("", &job(probe));
    page.heading("What was measured");
    page.table(&measured(probe));
    if let Some(outlook) = &probe.outlook {
        page.heading(tables::SCALING);
        page.table(&tables::scaling(&outlook.scaling));
        page.worth(outlook.worth.as_ref());
    }
    let notes = || probe.store.iter().flat_map(|store| &store.notes).chain(&probe.notes);
    if notes().next().is_some() {
        page.heading("What to bear in mind");
        notes().for_each(|note| page.paragraph("", note));
    }
    if !probe.machine.unavailable.is_empty() {
        page.heading("Unavailable");
        probe.machine.unavailable.iter().for_each(|cause| page.paragraph("", cause));
    }
    page.end()
}

fn finding(probe: &Probe) -> String {
    let Some(outlook) = &probe.outlook else {
        return "How long the job would take cannot be told: the store could not be measured.".to_owned();
    };
    let Outlook { workers, rows_per_s, limit, .. } = outlook;
    let workers = plural(*workers, "worker");
    let speed = format!("{} rows/s with {workers}, limited by {limit}", estimated_rate(rows_per_s));
    match &outlook.job_s {
        Some(job_s) => format!("The whole job would take {}: {speed}.", estimated_time(job_s)),
        None => format!("About {speed}. The time of the whole job cannot be told, its rows are not known."),
    }
}

fn job(probe: &Probe) -> String {
    let job = &probe.job;
    let rows = job.rows.map_or("an unknown number of".to_owned(), |rows| format!("about {}", count(rows)));
    format!(
        "{} with {rows} rows of {} and {}, from {} to {}; measured in {:.0} s without a run, nothing that was written stays",
        plural(job.partitions, "partition"),
        plural(job.fits, "fit"),
        plural(job.features, "feature"),
        job.source,
        job.sink,
        probe.took_s
    )
}

/// A line for everything that was measured.
fn measured(probe: &Probe) -> Table {
    let mut rows = vec![cores(probe)];
    rows.extend([probe.computing.alone, probe.computing.together].map(computing));
    rows.extend(probe.reading.map(|reading| {
        let what = format!("reading, {}", plural(reading.partitions, "partition"));
        vec![what, rows_per_s(1e6 / reading.us_per_row), cpu(reading.cpu_us_per_row)]
    }));
    if let Some(store) = &probe.store {
        let what = if probe.job.sessions_max.is_some() { "session" } else { "file" };
        rows.extend(std::iter::once(store.alone).chain(store.together).map(|speed| writing(speed, what)));
        rows.extend(
            probe
                .store_cpu_us_per_row
                .map(|us| vec!["the store's own work".to_owned(), String::new(), cpu(us)]),
        );
        rows.extend(questions(store));
    }
    Table { columns: vec![text("what"), number("speed"), text("of which")], rows }
}

fn cores(probe: &Probe) -> Vec<String> {
    let cores = probe.machine.cores.map_or("unknown".to_owned(), |cores| cores.to_string());
    let allowed = probe.machine.cores_allowed.map(|cores| format!("{} for this process", quantity(cores)));
    let others = probe.busy.others_cores.map(|cores| format!("{} kept busy by others", quantity(cores)));
    let of_which = allowed.into_iter().chain(others).collect::<Vec<_>>().join(", ");
    vec!["cores".to_owned(), cores, of_which]
}

fn computing(speed: ComputingSpeed) -> Vec<String> {
    let of_which = format!("{}, {:.0} ns a fit", cpu(speed.cpu_us_per_row), speed.cpu_ns_per_fit);
    vec![format!("computing, {}", plural(speed.threads, "thread")), rows_per_s(speed.rows_per_s), of_which]
}

fn writing(speed: WriteSpeed, what: &str) -> Vec<String> {
    let fast = format!("{}, {}", rows_per_s(speed.rows_per_s), byte_rate(speed.bytes_per_s));
    let of_which =
        format!("{}; then {:.2} us a row to complete", cpu(speed.cpu_us_per_row), speed.complete_us_per_row);
    vec![format!("writing, {}", plural(speed.sessions, what)), fast, of_which]
}

fn questions(store: &StoreSpeed) -> Vec<Vec<String>> {
    let line = |what: &str, us: f64, of_which: String| {
        vec![what.to_owned(), format!("{:.2} ms", us / 1e3), of_which]
    };
    let trips = store.round_trips.map(|trips| format!("about {trips} for a new partition"));
    let asked = store.round_trip_us.map(|us| line("a question to the store", us, trips.unwrap_or_default()));
    let connected = store.connect_us.map(|us| line("opening a session", us, String::new()));
    let commit = line("a commit", store.commit_us, "for each partition".to_owned());
    asked.into_iter().chain(connected).chain([commit]).collect()
}

fn rows_per_s(rows: f64) -> String {
    format!("{} rows/s", rate(rows))
}

fn cpu(us: f64) -> String {
    format!("{us:.2} us of processor time a row")
}
