//! A [`Probe`] for people.

use rollfit_job::speed::{StoreSpeed, WriteSpeed};

use super::Probe;
use super::computing::ComputingSpeed;
use crate::exit::Failure;
use crate::output::{bytes, count, line, plural, table};

impl Probe {
    pub(super) fn print(&self) -> Result<(), Failure> {
        self.print_job()?;
        table(&["", "speed", "of which"], &self.measured())?;
        line("")?;
        for note in self.store.iter().flat_map(|store| &store.notes).chain(&self.notes) {
            line(&format!("note: {note}"))?;
        }
        for unavailable in &self.machine.unavailable {
            line(&format!("unavailable: {unavailable}"))?;
        }
        Ok(())
    }

    fn print_job(&self) -> Result<(), Failure> {
        let job = &self.job;
        let rows =
            job.rows.map_or("an unknown number of".to_owned(), |rows| format!("about {}", count(rows)));
        line(&format!(
            "{} with {rows} rows of {} and {}",
            plural(job.partitions, "partition"),
            plural(job.fits, "fit"),
            plural(job.features, "feature"),
        ))?;
        line(&format!("from {} to {}", job.source, job.sink))?;
        line(&format!("measured in {:.0} s without a run; nothing that was written stays\n", self.took_s))?;
        Ok(())
    }

    /// What was measured, a line each.
    fn measured(&self) -> Vec<Vec<String>> {
        let mut lines = vec![self.cores()];
        lines.extend([self.computing.alone, self.computing.together].map(computing));
        lines.extend(self.reading.map(|reading| {
            let of_which = format!("{:.2} us of processor time a row", reading.cpu_us_per_row);
            vec!["reading".to_owned(), rows_per_s(1e6 / reading.us_per_row), of_which]
        }));
        if let Some(store) = &self.store {
            lines.extend(std::iter::once(store.alone).chain(store.together).map(|speed| self.writing(speed)));
            lines.extend(self.store_cpu_us_per_row.map(|us| {
                vec!["the store's processor time".to_owned(), format!("{us:.2} us a row"), String::new()]
            }));
            lines.extend(questions(store));
        }
        lines
    }

    fn cores(&self) -> Vec<String> {
        let cores = self.machine.cores.map_or("unknown".to_owned(), |cores| cores.to_string());
        let allowed =
            self.machine.cores_allowed.map(|cores| format!(", {cores:.1} of them for this process"));
        let others = self.busy.others_cores.map(|cores| format!("{cores:.1} kept busy by others"));
        vec!["cores".to_owned(), cores + &allowed.unwrap_or_default(), others.unwrap_or_default()]
    }

    fn writing(&self, speed: WriteSpeed) -> Vec<String> {
        let what = if self.job.sessions_max.is_some() { "session" } else { "file" };
        let fast = format!("{}, {}/s", rows_per_s(speed.rows_per_s), bytes(speed.bytes_per_s as u64));
        let of_which = format!(
            "{:.2} us of processor time a row; then {:.2} us a row to complete",
            speed.cpu_us_per_row, speed.complete_us_per_row
        );
        vec![format!("writing, {}", plural(speed.sessions, what)), fast, of_which]
    }
}

fn computing(speed: ComputingSpeed) -> Vec<String> {
    let of_which = format!(
        "{:.2} us of processor time a row, {:.0} ns a fit",
        speed.cpu_us_per_row, speed.cpu_ns_per_fit
    );
    vec![format!("computing, {}", plural(speed.threads, "thread")), rows_per_s(speed.rows_per_s), of_which]
}

fn questions(store: &StoreSpeed) -> Vec<Vec<String>> {
    let ms = |us: f64| format!("{:.2} ms", us / 1e3);
    let each = |what: &str, us: f64, of_which: String| vec![what.to_owned(), ms(us), of_which];
    let round_trips = store.round_trips.map(|count| format!("{count} for a new partition"));
    let asked =
        store.round_trip_us.map(|us| each("a question to the store", us, round_trips.unwrap_or_default()));
    let connected = store.connect_us.map(|us| each("opening a session", us, String::new()));
    let durable = each("making durable", store.commit_us, "for each partition".to_owned());
    asked.into_iter().chain(connected).chain([durable]).collect()
}

fn rows_per_s(rows: f64) -> String {
    format!("{} rows/s", count(rows as u64))
}
