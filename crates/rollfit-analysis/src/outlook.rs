//! [`Outlook`]: what N workers would give and how long the whole job would take, told from what machine and store can do,
//! without a run. The model is that of runs: what the store was measured with takes the place of partitions.

use super::case::{Case, Ceilings, widened};
use super::demand::Demand;
use super::evidence::auto_max;
use super::fit::plausible;
use super::level::Level;
use super::report::{Basis, Estimate, Scaling, Worth};
use super::scaling::{NUMBERS, binding, limit_of, worth_of};
use super::work::{Cores, Place, Work};
use rollfit_job::spec::{RunSpec, Workers};
use rollfit_job::speed::{StoreSpeed, WriteSpeed};
use rollfit_job::watch::{MachineLimits, MachineSample};

/// How uncertain a prediction is beside what the model does not know, relative: a run lasts longer than a measurement, and
/// what caches and buffers took at first has to go to disks then.
const DOUBT: f64 = 0.15;

/// More partitions than there are workers, where nothing is known of the partitions.
const MANY: usize = 1000;

/// What was measured without a run. Times of a row are those of one worker.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What the machine allows.
    pub machine: MachineLimits,
    /// How busy it was without us.
    pub busy: MachineSample,
    /// The partitions of the job.
    pub partitions: usize,
    /// About how many rows each has; none where that is not known, and then no time is told.
    pub rows_of_a_partition: Option<f64>,
    /// The processor time to compute a row's features: on one thread alone, and on so many at once.
    pub computing_us_alone: f64,
    /// See [`Measured::computing_us_alone`].
    pub computing_us_together: f64,
    /// See [`Measured::computing_us_alone`].
    pub threads: usize,
    /// To read a row: the processor time of this process, and the rest.
    pub reading_cpu_us: f64,
    /// See [`Measured::reading_cpu_us`].
    pub reading_wait_us: f64,
    /// How fast the store takes rows.
    pub store: StoreSpeed,
    /// The processor time of the store for a row, as far as it works on this machine.
    pub store_cpu_us: f64,
    /// Whether reading waits for a server on this machine, and so for its processor time.
    pub reads_local_server: bool,
    /// The sessions with the sink that this process may have; none where there is no limit.
    pub sessions_max: Option<usize>,
}

/// What is to be expected of a job.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Outlook {
    /// How long the whole job would take as it is configured, from nothing; none where its rows are not known.
    pub job_s: Option<Estimate>,
    /// The workers there would be then.
    pub workers: usize,
    /// Their rows a second.
    pub rows_per_s: Estimate,
    /// What limits them, in a few words.
    pub limit: String,
    /// What N workers would give, N rising.
    pub scaling: Vec<Scaling>,
    /// Beyond how many it is not worth it.
    pub worth: Option<Worth>,
}

impl Outlook {
    /// What follows from measurements for a job that is to run like this.
    pub fn of(run: &RunSpec, measured: &Measured) -> Self {
        let writing = Writing::of(measured, run);
        let as_configured = writing.whole(writing.whole(1).workers_now());
        let workers = as_configured.workers_now();
        Self {
            job_s: measured.job_s(&as_configured),
            workers,
            rows_per_s: as_configured.rows_per_s(workers),
            limit: binding(&as_configured),
            scaling: NUMBERS.into_iter().map(|workers| writing.line(workers)).collect(),
            worth: worth_of(&as_configured, |workers| measured.limit(&as_configured, workers))
                .filter(|worth| worth.workers <= measured.told_max()),
        }
    }
}

impl Measured {
    /// The rows of a partition, as many as a month of minutes has where they are not known.
    fn rows(&self) -> f64 {
        self.rows_of_a_partition.unwrap_or(30_900.0)
    }

    fn job_s(&self, case: &Case) -> Option<Estimate> {
        self.rows_of_a_partition.filter(|_| self.partitions > 0).map(|_| widened(case.job_s(), DOUBT))
    }

    /// So many sessions or files at once, as if they had been workers with nothing to read or compute.
    fn level(&self, speed: &WriteSpeed, stretch: f64) -> Level {
        Level {
            workers: speed.sessions,
            active: speed.sessions,
            demand: self.demand(speed, stretch),
            variation: 0.1,
            others_cores: 0.0,
        }
    }

    /// What a partition costs one of them.
    fn demand(&self, speed: &WriteSpeed, stretch: f64) -> Demand {
        let rows = self.rows();
        let of_rows = |us: f64| us * rows / 1e6;
        let cpu_s = of_rows(speed.cpu_us_per_row);
        let written_s = rows * speed.sessions as f64 / speed.rows_per_s;
        let round_trips = self.store.round_trips.unwrap_or(0) as f64;
        let asking_s = self.store.round_trip_us.unwrap_or(0.0) * round_trips / 1e6;
        let committing_s = of_rows(speed.complete_us_per_row) + self.store.commit_us / 1e6;
        Demand {
            partitions: 4,
            rows,
            bytes: rows * speed.bytes_per_s / speed.rows_per_s,
            wall_s: written_s + asking_s + committing_s,
            cpu_s,
            stretch,
            asking_s,
            sending_s: (written_s - stretch * cpu_s).max(0.0),
            committing_s,
            ..Demand::default()
        }
    }

    fn work_at(&self, level: &Level) -> Work {
        Work::of(&level.demand, self.store_cpu_us * self.rows() / 1e6, self.cores())
    }

    fn cores(&self) -> Cores {
        let all = self.machine.cores.map_or(f64::INFINITY, |cores| cores as f64);
        let left = all - self.busy.stolen_cores.unwrap_or(0.0);
        let allowed = self.machine.cores_allowed.unwrap_or(all).min(left).max(0.1);
        let others = self.busy.others_cores.unwrap_or(0.0);
        // Cores that this process may not use are theirs first.
        let rivals = if left.is_finite() { (others - (left - allowed)).max(0.0) } else { 0.0 };
        Cores { allowed, rivals }
    }

    /// The most workers for which speed is told: twice as many as were tried at once.
    fn told_max(&self) -> usize {
        2 * self.store.together.map_or(1, |together| together.sessions)
    }

    fn ceilings(&self) -> Ceilings {
        // One session is the probe's, where there is more than one.
        let workers = |sessions: usize| if sessions > 1 { sessions - 1 } else { sessions };
        Ceilings {
            sessions: self.sessions_max.map(workers),
            memory: None,
            auto: auto_max(&self.machine).min(self.told_max()),
        }
    }

    fn add_reading(&self, work: &mut Work) {
        let of_rows = |us: f64| us * self.rows() / 1e6;
        work.own_cpu_s += of_rows(self.reading_cpu_us);
        if self.reads_local_server {
            work.store_cpu_s += of_rows(self.reading_wait_us);
        } else {
            work.at_mut(Place::Reading).demand_s += of_rows(self.reading_wait_us);
        }
    }

    /// What stands against so many workers.
    fn limit(&self, case: &Case, workers: usize) -> Option<String> {
        match (self.sessions_max, case.ceilings.sessions) {
            (Some(sessions), Some(most)) if workers > most => Some(format!(
                "no gain: limited by sessions: {workers} workers and the probe need {}, there are {sessions}",
                workers + 1
            )),
            _ => limit_of(case, workers),
        }
    }
}

/// A job that writes and does nothing else, as the store was measured.
struct Writing<'a> {
    measured: &'a Measured,
    run: &'a RunSpec,
    case: Case,
    /// By how much the model errs where so many wrote at once: measured over modelled speed.
    errors: Vec<(usize, f64)>,
}

impl<'a> Writing<'a> {
    fn of(measured: &'a Measured, run: &'a RunSpec) -> Self {
        let alone = measured.level(&measured.store.alone, 1.0);
        let start = measured.work_at(&alone);
        let several = |speed: WriteSpeed| measured.level(&speed, stretch(&start, speed.sessions));
        let levels: Vec<Level> = std::iter::once(alone).chain(measured.store.together.map(several)).collect();
        let variants = plausible(start, &levels, |level| measured.work_at(level));
        let modelled =
            |workers: usize| variants.first().map(|best| best.work.network().rates(workers)[workers]);
        let error = |level: &Level| Some((level.workers, level.rate() / modelled(level.workers)?));
        let errors = levels.iter().filter_map(error).collect();
        let case = Case {
            variants,
            doubt: DOUBT,
            workers: run.workers,
            had: Vec::new(),
            ceilings: measured.ceilings(),
            order: run.order,
            rows: vec![measured.rows(); measured.rows_of_a_partition.map_or(MANY, |_| measured.partitions)],
            fixed_share: 0.0,
            held_s: 0.0,
        };
        Self { measured, run, case, errors }
    }

    /// The model's error for so many workers: between those measured in between, beyond as for the most.
    fn error(&self, workers: usize) -> f64 {
        let (Some(&(least, at_least)), Some(&(most, at_most))) = (self.errors.first(), self.errors.last())
        else {
            return 1.0;
        };
        at_least + share(workers, least, most) * (at_most - at_least)
    }

    /// The job with all there is to do, if so many workers do it.
    fn whole(&self, workers: usize) -> Case {
        let Measured { computing_us_alone, computing_us_together, threads, .. } = *self.measured;
        // Threads share caches, and perhaps cores.
        let computing_us =
            computing_us_alone + share(workers, 1, threads) * (computing_us_together - computing_us_alone);
        let error = self.error(workers);
        self.case.with_work(|work| {
            for place in [Place::Sending, Place::Committing] {
                work.at_mut(place).demand_s /= error;
            }
            work.own_cpu_s += computing_us * self.measured.rows() / 1e6;
            self.measured.add_reading(work);
            work.cores_max = self.run.cpu_max;
            work.bytes_per_s_max = self.run.store_write_mb_per_s_max.map(|mb| mb * 1e6);
        })
    }

    fn line(&self, workers: usize) -> Scaling {
        let measured = self.measured;
        let case = Case { workers: Workers::Fixed(workers), ..self.whole(workers) };
        let is_told = workers <= measured.told_max();
        let effective = workers.min(case.workers_max());
        let load = |work: &Work| work.network().at_stations(effective)[0] + work.cores.rivals;
        Scaling {
            workers,
            basis: if is_told { Basis::Modelled } else { Basis::Ceiling },
            rows_per_s: is_told.then(|| case.rows_per_s(effective)),
            job_s: measured.job_s(&case).filter(|_| is_told),
            sessions: measured.sessions_max.map(|_| workers + 1),
            memory_bytes: None,
            load: case.likeliest().filter(|_| is_told).map(load),
            limit: measured.limit(&case, workers),
        }
    }
}

/// How far a number is on the way from one to another, 0 to 1.
fn share(number: usize, from: usize, to: usize) -> f64 {
    (number.clamp(from, to) - from) as f64 / (to - from).max(1) as f64
}

/// How many times as long as its processor time work takes where so many want the cores.
fn stretch(work: &Work, workers: usize) -> f64 {
    let network = work.network();
    let at_cores_s = network.at_stations(workers)[0] / network.rates(workers)[workers];
    let alone_s = work.own_cpu_s + work.store_cpu_s;
    if alone_s > 0.0 { (at_cores_s / alone_s).max(1.0) } else { 1.0 }
}

#[cfg(test)]
mod tests;
