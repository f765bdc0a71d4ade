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
use crate::spec::{RunSpec, Workers};
use crate::speed::{StoreSpeed, WriteSpeed};
use crate::watch::{MachineLimits, MachineSample};

/// How uncertain a prediction is beside what the model does not know, relative: a run lasts longer than a measurement, and
/// what caches and buffers took at first has to go to disks then.
const DOUBT: f64 = 0.15;

/// What was measured without a run. Times of a row are those of one worker.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What the machine allows.
    pub machine: MachineLimits,
    /// How busy it was without us.
    pub busy: MachineSample,
    /// The partitions of the job, and how many rows each has, about.
    pub partitions: usize,
    /// See [`Measured::partitions`].
    pub rows_of_a_partition: f64,
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
    /// How long the whole job would take as it is configured, from nothing.
    pub job_s: Estimate,
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
        let case = measured.case(run);
        let as_configured = measured.computing(&case, case.workers_now());
        let workers = as_configured.workers_now();
        let numbers = NUMBERS.into_iter().map(|workers| measured.line(&case, workers)).collect();
        Self {
            job_s: widened(as_configured.job_s(), DOUBT),
            workers,
            rows_per_s: as_configured.rows_per_s(workers),
            limit: binding(&as_configured),
            scaling: numbers,
            worth: worth_of(&as_configured, |workers| measured.limit(&as_configured, workers)),
        }
    }
}

impl Measured {
    /// The job, but for computing.
    fn case(&self, run: &RunSpec) -> Case {
        let alone = self.level(&self.store.alone, 1.0);
        let start = self.work_at(&alone);
        let together = self.store.together.map(|speed| self.level(&speed, stretch(&start, speed.sessions)));
        let levels: Vec<Level> = std::iter::once(alone).chain(together).collect();
        let case = Case {
            variants: plausible(start, &levels, |level| self.work_at(level)),
            doubt: DOUBT,
            workers: run.workers,
            had: Vec::new(),
            ceilings: self.ceilings(),
            order: run.order,
            rows: vec![self.rows_of_a_partition; self.partitions],
            held_s: 0.0,
        };
        case.with_work(|work| self.add_reading(work, run))
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
        let rows = self.rows_of_a_partition;
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
        Work::of(&level.demand, self.store_cpu_us * self.rows_of_a_partition / 1e6, self.cores())
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

    fn ceilings(&self) -> Ceilings {
        // One session is the probe's, where there is more than one.
        let workers = |sessions: usize| if sessions > 1 { sessions - 1 } else { sessions };
        Ceilings { sessions: self.sessions_max.map(workers), memory: None, auto: auto_max(&self.machine) }
    }

    fn add_reading(&self, work: &mut Work, run: &RunSpec) {
        let of_rows = |us: f64| us * self.rows_of_a_partition / 1e6;
        work.own_cpu_s += of_rows(self.reading_cpu_us);
        if self.reads_local_server {
            work.store_cpu_s += of_rows(self.reading_wait_us);
        } else {
            work.at_mut(Place::Reading).demand_s += of_rows(self.reading_wait_us);
        }
        work.cores_max = run.cpu_max;
        work.bytes_per_s_max = run.store_write_mb_per_s_max.map(|mb| mb * 1e6);
    }

    /// The job with what computing costs where so many threads compute: they share caches, and perhaps cores.
    fn computing(&self, case: &Case, workers: usize) -> Case {
        let share = (workers.min(self.threads) - 1) as f64 / self.threads.saturating_sub(1).max(1) as f64;
        let us = self.computing_us_alone + share * (self.computing_us_together - self.computing_us_alone);
        case.with_work(|work| work.own_cpu_s += us * self.rows_of_a_partition / 1e6)
    }

    fn line(&self, case: &Case, workers: usize) -> Scaling {
        let case = Case { workers: Workers::Fixed(workers), ..self.computing(case, workers) };
        let is_told = workers <= 2 * self.store.together.map_or(1, |together| together.sessions);
        let effective = workers.min(case.workers_max());
        let load = |work: &Work| work.network().at_stations(effective)[0] + work.cores.rivals;
        Scaling {
            workers,
            basis: if is_told { Basis::Modelled } else { Basis::Ceiling },
            rows_per_s: is_told.then(|| case.rows_per_s(effective)),
            job_s: is_told.then(|| widened(case.job_s(), DOUBT)),
            sessions: self.sessions_max.map(|_| workers + 1),
            memory_bytes: None,
            load: case.likeliest().filter(|_| is_told).map(load),
            limit: self.limit(&case, workers),
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

/// How many times as long as its processor time work takes where so many want the cores.
fn stretch(work: &Work, workers: usize) -> f64 {
    let network = work.network();
    let at_cores_s = network.at_stations(workers)[0] / network.rates(workers)[workers];
    let alone_s = work.own_cpu_s + work.store_cpu_s;
    if alone_s > 0.0 { (at_cores_s / alone_s).max(1.0) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{EXAMPLE, Spec};

    const ROWS: f64 = 30_000.0;

    /// A store of which each session takes so many rows a second, four of them so many times as many.
    fn store(rows_per_s: f64, together: f64) -> StoreSpeed {
        let speed = |sessions: usize, rows_per_s: f64| WriteSpeed {
            sessions,
            rows: 100_000,
            rows_per_s,
            bytes_per_s: rows_per_s * 1000.0,
            cpu_us_per_row: 1.0,
            complete_us_per_row: 0.0,
        };
        StoreSpeed {
            alone: speed(1, rows_per_s),
            together: Some(speed(4, rows_per_s * together)),
            ..StoreSpeed::default()
        }
    }

    fn measured(cores: usize, store: StoreSpeed) -> Measured {
        Measured {
            machine: MachineLimits { cores: Some(cores), ..MachineLimits::default() },
            busy: MachineSample::default(),
            partitions: 336,
            rows_of_a_partition: ROWS,
            computing_us_alone: 1.0,
            computing_us_together: 1.0,
            threads: cores,
            reading_cpu_us: 0.0,
            reading_wait_us: 0.0,
            store,
            store_cpu_us: 0.0,
            reads_local_server: false,
            sessions_max: None,
        }
    }

    fn outlook(workers: &str, measured: &Measured) -> Outlook {
        let spec = Spec::parse(EXAMPLE, [("ROLLFIT_RUN__WORKERS".to_owned(), workers.to_owned())]).unwrap();
        Outlook::of(&spec.run, measured)
    }

    fn assert_near(got: Estimate, wanted: f64) {
        assert!((got.expected / wanted - 1.0).abs() < 0.1, "{got:?} is not {wanted}");
        assert!(got.low <= wanted && wanted <= got.high, "{got:?} does not hold {wanted}");
    }

    #[test]
    fn one_worker_takes_the_sum_of_what_a_row_costs() {
        // 1 us computing beside the 10 us in which the store takes a row.
        let outlook = outlook("1", &measured(8, store(100_000.0, 4.0)));
        assert_eq!(outlook.workers, 1);
        assert_near(outlook.rows_per_s, 1e6 / 11.0);
        assert_near(outlook.job_s, 336.0 * ROWS * 11.0 / 1e6);
    }

    #[test]
    fn a_store_that_takes_all_it_can_from_two_sessions_is_what_limits_more() {
        let outlook = outlook("8", &measured(64, store(100_000.0, 2.0)));
        assert_near(outlook.rows_per_s, 200_000.0);
        assert_eq!(outlook.limit, "the bytes a second that the store takes");
        let limit = outlook.scaling.iter().find(|line| line.workers == 8).unwrap().limit.clone();
        assert!(limit.unwrap().starts_with("no gain: limited by the bytes a second"));
    }

    #[test]
    fn cores_limit_where_the_store_does_not_and_its_own_processor_time_counts_where_it_is_here() {
        let far_away = measured(2, store(500_000.0, 4.0));
        assert_near(outlook("8", &far_away).rows_per_s, 2e6 / 2.0);
        // As fast, but its 1 us is spent on these two cores: four sessions share them.
        let here = Measured { store_cpu_us: 1.0, ..measured(2, store(500_000.0, 2.0)) };
        let outlook = outlook("8", &here);
        assert_near(outlook.rows_per_s, 2e6 / 3.0);
        assert_eq!(outlook.limit, "the cores");
    }

    #[test]
    fn beyond_twice_what_was_measured_only_limits_are_told() {
        let measured = Measured { sessions_max: Some(10), ..measured(64, store(100_000.0, 4.0)) };
        let scaling = outlook("auto", &measured).scaling;
        let at = |workers: usize| scaling.iter().find(|line| line.workers == workers).unwrap();
        assert_eq!((at(8).basis, at(12).basis), (Basis::Modelled, Basis::Ceiling));
        assert_eq!((at(12).rows_per_s, at(12).job_s), (None, None));
        assert_eq!((at(8).sessions, at(8).limit.as_deref()), (Some(9), None));
        assert!(at(12).limit.as_ref().unwrap().contains("need 13, there are 10"), "{:?}", at(12).limit);
        assert!(outlook("auto", &measured).workers <= 9);
    }

    #[test]
    fn own_limits_hold() {
        let spec =
            Spec::parse(EXAMPLE, [("ROLLFIT_RUN__STORE_WRITE_MB_PER_S_MAX".to_owned(), "50".to_owned())]);
        let outlook = Outlook::of(&spec.unwrap().run, &measured(8, store(100_000.0, 4.0)));
        assert_near(outlook.rows_per_s, 50_000.0);
    }
}
